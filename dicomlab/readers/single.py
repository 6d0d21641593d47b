"""Objects of which each file is a thing of its own: segmentations, doses, maps, structure sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..errors import BadData, BadFile, GeometryError, InvalidRequest
from ..geometry.geometry import Grid
from ..geometry.positions import coordinates_of
from ..pixels.frames import Frame
from ..pixels.pixels import Format, Rescale
from ..stacks.imageheader import SERIES, WANTED, format_of
from ..stacks.stacks import line
from .images import frames_of
from .reader import Failed, Found, Thing, title


@dataclass(frozen=True)
class File:
    """One object: its header, and where its pixels are."""

    path: str
    header: Elements
    transfer_syntax: str

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return self.header.text("SOPInstanceUID") or self.path

    @property
    def frames(self) -> int:
        """NumberOfFrames, 1 where absent."""
        return frames_of(self.header)

    @property
    def form(self) -> Format:
        """How its pixels are stored."""
        return format_of(self.header)

    @property
    def place(self) -> tuple[int, int]:
        """Offset and length of the value of its pixel data.

        Raises
        ------
        BadFile
            It has none.
        """
        if self.header.pixels is None:
            raise self.bad("it has no pixel data")
        return self.header.pixels[1], self.header.pixels[2]

    def frame(self, index: int, form: Format, rescale: Rescale | None = None) -> Frame:
        """One of its frames."""
        return Frame(
            self.path, self.transfer_syntax, form, self.place, rescale or Rescale(), index=index, count=self.frames
        )

    def bad(self, why: str, tag: str = "") -> BadFile:
        """The error that says what is wrong with it."""
        return BadFile(self.path, why, tag=tag)


class Single:
    """A reader of objects each of which stands alone; what one holds is said by `things`."""

    classes: frozenset[str]
    wanted = WANTED

    def reads(self, sop_class: str, header: Elements) -> bool:
        """Its SOP classes, whatever else the header says."""
        return sop_class in self.classes

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """The things of each file."""
        found = Found()
        for row in rows:
            header = headers[row]
            file = File(headers.paths[row], header, headers.meta(row).transfer_syntax)
            try:
                things = self.things(file)
                for thing in things:
                    thing.make = _naming(file, thing.make)
                found.things += things
            except BadFile as error:
                found.errors[row] = error
            except BadData as error:
                found.errors[row] = file.bad(error.why, error.tag)
            except InvalidRequest as error:
                found.errors[row] = InvalidRequest(f"{file.path}: {error.message}", advice=error.advice)
            except GeometryError as error:
                described = line(header, [file.name], error.message)
                found.failed.append(Failed(title(header), described, [file.name], error))
        return found

    def things(self, file: File) -> list[Thing]:
        """What a file holds.

        Raises
        ------
        BadData, GeometryError, InvalidRequest
            Nothing that can be loaded; the message says why.
        """
        raise NotImplementedError


def _naming(file: File, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`make`, whose errors say in which file the bad data is."""

    def named(chunks: Any) -> Any:
        try:
            return make(chunks)
        except BadFile:
            raise
        except BadData as error:
            raise file.bad(error.why, error.tag) from error

    return named


def attributes(header: Elements, more: Sequence[str] = ()) -> dict[str, Any]:
    """Series attributes by keyword, and `more`; values netCDF can take."""
    found: dict[str, Any] = {}
    for keyword in (*SERIES, *more):
        try:
            value = header.get(keyword)
        except BadData:
            continue
        if isinstance(value, tuple):
            value = [part if part is not None else "" for part in value]
        if isinstance(value, str | int | float | list):
            found[keyword] = value
    return found


def labelled(
    values: Any,
    file: File,
    grid: Grid | None,
    *,
    front: Mapping[str, Any],
    attrs: dict[str, Any],
    coordinates: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """A labelled array on a grid; (y, x) without one.

    Parameters
    ----------
    values
        (..., z, y, x), or (..., y, x) where there is no grid.
    front
        The axes in front, by name, with their values.
    coordinates
        Others, as xarray takes them.
    """
    found: dict[str, Any] = {name: (name, along) for name, along in front.items()}
    dims = (*front, "y", "x")
    if grid is not None:
        dims = (*front, "z", "y", "x")
        found |= coordinates_of(grid, file.header.text("FrameOfReferenceUID"))
    found |= coordinates or {}
    found |= {"SOPInstanceUID": file.header.text("SOPInstanceUID"), "path": file.path}
    array = xr.DataArray(values, found, dims, attrs=attrs)
    array.name = None  # xarray takes the name of a dask array, which means nothing here
    return array


def now(chunks: Any, what: str) -> None:
    """Refuse `chunks` for what is not loaded lazily.

    Raises
    ------
    InvalidRequest
        They were asked for.
    """
    if chunks is not None:
        raise InvalidRequest(f"{what} is not loaded lazily", advice="Leave out chunks=.")
