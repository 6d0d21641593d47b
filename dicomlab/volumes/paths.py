"""The paths of the instances that are to be loaded: of a table, a row, a list, or what a place holds."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import phi
from ..amounts import counted
from ..datasets.headers import Headers
from ..errors import InvalidRequest
from ..scanning.places import is_place
from ..scanning.scanning import gather
from .report import left_out

_TAKES = "Retrieve or scan first: load takes a table of instances, or paths of files."


def paths_of(instances: Any) -> list[str]:
    """Paths of an instances table, a row of it, a path or a list of paths.

    Raises
    ------
    InvalidRequest
        There are none, or one is missing.
    """
    if isinstance(instances, str | os.PathLike):
        found: Iterable[Any] = [instances]
    elif isinstance(instances, pd.DataFrame | pd.Series) and "path" in getattr(instances, "columns", instances.index):
        column = instances["path"]
        found = column.tolist() if isinstance(column, pd.Series) else [column]
    elif isinstance(instances, pd.DataFrame) and "path" in instances.index.names:
        found = instances.index.get_level_values("path").tolist()
    elif isinstance(instances, pd.DataFrame):
        raise InvalidRequest("the table has no column path", advice=_TAKES)
    elif isinstance(instances, Iterable) and not isinstance(instances, bytes | Mapping) and not _one_thing(instances):
        found = list(instances)
    else:
        raise InvalidRequest(f"{_shown(instances)} is no table of instances and no path", advice=_TAKES)
    paths = []
    for path in found:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise InvalidRequest(f"{_shown(path)} in a list is no path", advice=_TAKES)
        paths.append(os.path.expanduser(phi.real(path)))
    if not paths:
        raise InvalidRequest("nothing is selected", advice="Choose at least one instance.")
    return [str(path) for path in dict.fromkeys(paths)]


def _one_thing(thing: Any) -> bool:
    """Whether it is the values of an array, or a data set, of which no part is a path."""
    if isinstance(thing, np.ndarray | xr.DataArray):
        return thing.dtype.kind not in "OU"
    return hasattr(thing, "to_json_dict")  # a Dataset of pydicom, which need not be imported to know it


def _shown(thing: Any) -> str:
    """A plain value as it is, anything else by its type: a data set would fill the screen."""
    return repr(thing) if isinstance(thing, str | int | float | None) else f"an object of type {type(thing).__name__}"


def places_among(paths: Sequence[str], read: Headers) -> set[str]:
    """Those of the paths that are no instances but places with some: what reads as an instance is not opened again."""
    classes = read.values(0x00080016)
    suspects = (path for row, path in enumerate(paths) if row in read.errors or not classes[row])
    return {path for path in suspects if is_place(path)}


def gathered(paths: Sequence[str], places: Container[str]) -> tuple[list[str], list[dict[str, Any]]]:
    """The paths, with what is in a place in its stead; and the lines of the report for what is left out."""
    flat: dict[str, None] = {}
    report: list[dict[str, Any]] = []
    for path in paths:
        if path not in places:
            flat[path] = None
            continue
        found = gather([path])
        if not len(found.order) and not found.problems:
            files = counted(found.looked or 0, "file")
            raise InvalidRequest(
                f"{phi.path(path)} holds no DICOM instance; {files} looked at",
                advice="Name the folder, DICOMDIR or zip archive of some.",
            )
        flat |= dict.fromkeys(found.paths)
        report += left_out(found.problems, found.skipped, found.paths)
    if not flat:
        worst = report[0]
        raise InvalidRequest(
            f"nothing in it can be used: {worst['what']}, {worst['why']}", advice="dl.scan lists all that is wrong."
        )
    return list(flat), report
