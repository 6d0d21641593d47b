"""Load: instances to volumes, ordered by position, never stacked silently."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .assemble import volume
from .errors import BadData, BadFile, GeometryError, InvalidRequest, MissingCodec, ResultWarning
from .planes import Plane, describe
from .report import Volumes
from .stacks import Stack, arrange, groups, row

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def load(instances: Any, *, chunks: Any = None) -> xr.DataArray:
    """The volume that instances of one series make.

    Parameters
    ----------
    instances
        An instances table (only its column `path` is needed), one row of it, a path, or a list of paths.
    chunks
        None reads the values now. Chunk sizes as xarray takes them, or {} for one chunk a slice, give a lazy
        volume (extra ``dask``).

    Returns
    -------
    xarray.DataArray
        Dimensions (z, y, x), with ``time``, ``echo``, ``b_value``, ``acquisition`` or ``frame`` in front
        where there are several images at each position, and ``channel`` behind for colour. Coordinates in mm,
        modality values (HU for CT) as int16 or the smallest integer type, float32 where slopes are not whole.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or the instances are something else; the message names their SOP class.
    GeometryError
        They are not one volume: ``stacks`` lists what they are.
    BadFile
        No file of them can be used.
    MissingCodec
        Their transfer syntax needs a package that is absent.

    Warns
    -----
    ResultWarning
        Something about the volume must not be missed: slices are missing, the gantry was tilted, a file could
        not be used, an incomplete time point was left out.

    References
    ----------
    PS3.3 C.7.6.2

    Examples
    --------
    >>> load([])
    Traceback (most recent call last):
    dicomlab.errors.InvalidRequest: nothing is selected
    """
    return _only(_load(_paths(instances), chunks, one=True))


def load_all(instances: Any) -> Volumes:
    """Every volume that instances make, by name; ``.report`` says what is not a volume, and why.

    Parameters
    ----------
    instances
        As for `load`, of any number of series.

    Raises
    ------
    InvalidRequest
        Nothing is selected.

    Examples
    --------
    >>> load_all([])
    Traceback (most recent call last):
    dicomlab.errors.InvalidRequest: nothing is selected
    """
    return _load(_paths(instances), None, one=False)


def _only(found: Volumes) -> xr.DataArray:
    (result,) = found.values()
    for line in found.report.itertuples():
        if line.severity != "note":
            warnings.warn(f"{line.what}: {line.why}", ResultWarning, stacklevel=3)
    return result


_TAKES = "Retrieve or scan first: load takes a table of instances, or paths of files."


def _paths(instances: Any) -> list[str]:
    """Paths of an instances table, a row of it, a path or a list of paths.

    Raises
    ------
    InvalidRequest
        There are none, or one is missing.
    """
    import pandas as pd

    if isinstance(instances, str | os.PathLike):
        found: Iterable[Any] = [instances]
    elif isinstance(instances, pd.DataFrame | pd.Series) and "path" in getattr(instances, "columns", instances.index):
        column = instances["path"]
        found = column.tolist() if isinstance(column, pd.Series) else [column]
    elif isinstance(instances, pd.DataFrame):
        raise InvalidRequest("the table has no column path", advice=_TAKES)
    elif isinstance(instances, Iterable):
        found = list(instances)
    else:
        raise InvalidRequest(f"{instances!r} is no table of instances and no path", advice=_TAKES)
    paths = []
    for path in found:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise InvalidRequest(f"{path!r} is no path", advice=_TAKES)
        if os.path.isdir(path):
            raise InvalidRequest(f"{path} is a folder", advice="load takes instances: load(scan(folder)).")
        paths.append(os.fspath(path))
    if not paths:
        raise InvalidRequest("nothing is selected", advice="Choose at least one instance.")
    return [str(path) for path in dict.fromkeys(paths)]


def _load(paths: Sequence[str], chunks: Any, *, one: bool) -> Volumes:
    report: list[dict[str, Any]] = []
    errors: list[Exception] = []
    planes = _describe(paths, report, errors)
    stacks: list[Stack] = []
    table: list[dict[str, Any]] = []
    failed: list[GeometryError] = []
    for why, members in groups(planes):
        try:
            parts = arrange(members, why)
        except GeometryError as error:
            failed.append(error)
            table.append(row(members, f"{why}; {error.message}" if why else error.message))
            report.append(_line("error", _title(members[0]), error.message, members))
            continue
        for part in parts:
            stacks.append(part)
            table.append(row(list(part.planes.flat), part.why))
    seen = _table(table)
    if one:
        _refuse_many(stacks, failed, errors, seen)
    volumes: dict[str, xr.DataArray] = {}
    for found in stacks:
        name = _name(_title(found.first), volumes)
        try:
            volumes[name] = volume(found, chunks)
        except (GeometryError, BadData, InvalidRequest, MissingCodec) as error:
            if one and isinstance(error, GeometryError):
                error.stacks = seen
            if one:
                raise
            report.append(_line("error", name, error.message, list(found.planes.flat)))
            continue
        report += [_line("warning", name, text, list(found.planes.flat)) for text in found.warnings if not found.left]
        report += [_line("warning", name, text, left) for text, left in found.left]
        if found.why:
            report.append(_line("note", name, f"a stack of its own: {found.why}", list(found.planes.flat)))
    return Volumes(volumes, report, seen)


def _describe(paths: Sequence[str], report: list[dict[str, Any]], errors: list[Exception]) -> list[Plane]:
    planes: dict[Any, Plane] = {}
    for path in paths:
        try:
            plane = describe(path)
        except (BadFile, InvalidRequest) as error:
            errors.append(error)
            report.append(
                {"severity": "error", "what": path, "why": _without(error.message, path), "instances": [path]}
            )
            continue
        known = planes.setdefault((plane.sop_instance or path, plane.position, plane.number), plane)
        if known is not plane:
            report.append(_line("note", path, f"the same instance as {known.path}; left out", [plane]))
    return list(planes.values())


def _refuse_many(stacks: list[Stack], failed: list[GeometryError], errors: list[Exception], seen: pd.DataFrame) -> None:
    """Raise unless there is one stack, whole."""
    if len(stacks) == 1 and not failed:
        return
    if not stacks and not failed:
        raise errors[0]
    if len(stacks) + len(failed) == 1:
        failed[0].stacks = seen
        raise failed[0]
    reasons = "; ".join(dict.fromkeys(str(why) for why in seen["why"] if why))
    series = seen["SeriesInstanceUID"].nunique()
    what = f"{len(seen)} stacks" + (f" of {series} series" if series > 1 else "")
    raise GeometryError(
        f"the instances are {what}, not one volume" + (f" ({reasons})" if reasons else ""),
        stacks=seen,
        advice="Filter the table to one of them (error.stacks lists them), or use load_all.",
    )


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)


def _line(severity: str, what: str, why: str, planes: Sequence[Plane]) -> dict[str, Any]:
    uids = [plane.sop_instance or plane.path for plane in planes]
    return {"severity": severity, "what": what, "why": why, "instances": uids}


def _title(plane: Plane) -> str:
    parts = (plane.elements.text(name) for name in ("Modality", "SeriesNumber", "SeriesDescription"))
    return " ".join(part for part in parts if part) or plane.series[2] or "volume"


def _name(title: str, taken: Any) -> str:
    name, number = title, 1
    while name in taken:
        number += 1
        name = f"{title} ({number})"
    return name


def _without(message: str, path: str) -> str:
    return message.removeprefix(f"{path}: ")
