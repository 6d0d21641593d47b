"""Images that hold a whole volume as tiles: Siemens' mosaics and UIH's grids."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil, isqrt
from typing import Any

import numpy as np
import xarray as xr

from ..datasets import csa, moments
from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..datasets.part10 import parse_file
from ..datasets.vendor import SIEMENS_TILES, UIH_FRAMES, UIH_TILES
from ..errors import BadData, BadFile, DicomlabError, GeometryError
from ..geometry.geometry import STRAIGHT, Floats, Grid, normal, stack
from ..geometry.positions import coordinates_of
from ..pixels.frames import read
from ..pixels.lazyframes import lazy
from ..pixels.pixels import Array
from ..stacks.arranging import volumes
from ..stacks.assemble import attributes, padding
from ..stacks.imageheader import PLANES, WANTED
from ..stacks.planes import Plane, describe, frames
from ..stacks.stacks import Stack, groups, line
from .images import frames_of, tiled
from .reader import Failed, Found, Thing, title

_BLOCKS = range(0x10, 0x18)  # of group 0029, where the CSA header may stand
_SPACING = tag_of("SpacingBetweenSlices")
_REVERSED = (
    "ProtocolSliceNumber of the CSA header says that the slices are numbered from the other end, SliceNormalVector "
    "that they are not; it is followed"
)
_NEEDED = frozenset(
    [SIEMENS_TILES.tag, SIEMENS_TILES.block, _SPACING]
    + [0x00290000 | block for block in _BLOCKS]
    + [0x00290000 | block << 8 | 0x10 for block in _BLOCKS]
)


@dataclass(frozen=True)
class Tiles:
    """The planes in one image."""

    positions: Floats  # (planes, 3), the centre of the first voxel of each, mm, LPS, sorted along the normal
    order: tuple[int, ...]  # the tile of each plane, counted row by row
    across: int  # tiles in a row
    rows: int  # of one tile
    columns: int
    times: tuple[float, ...]  # of each plane, ms since the first of its volume; () where none are given
    doubt: str = ""  # what must be said of their order

    def lies_on(self, other: Tiles) -> bool:
        """Whether the planes of both are at the same places."""
        mine, its = (self.order, self.rows, self.columns), (other.order, other.rows, other.columns)
        return mine == its and bool(np.abs(self.positions - other.positions).max() <= STRAIGHT)

    def cut(self, images: Any) -> Any:
        """(files, rows, columns) of the images to (files, planes, rows, columns)."""
        files, high, _ = images.shape
        grid = images.reshape(files, high // self.rows, self.rows, self.across, self.columns)
        flat = grid.transpose(0, 1, 3, 2, 4).reshape(files, -1, self.rows, self.columns)
        return flat[:, list(self.order)]


class Mosaics:
    """MR images of which each holds a volume."""

    wanted = WANTED | {UIH_FRAMES, tag_of("NumberOfFrames")}

    def reads(self, sop_class: str, header: Elements) -> bool:
        """An image class whose planes lie in the patient, tiled."""
        return sop_class in PLANES and header.pixels is not None and frames_of(header) <= 1 and tiled(header)

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Volumes, several of one series along time, b-value or what else tells them apart."""
        described, errors = describe(headers, rows)
        found = Found(errors={**errors})
        known: dict[tuple[Any, ...], Plane] = {}
        tiles: dict[int, Tiles] = {}
        for plane in described:
            same = known.setdefault((plane.name, plane.position, plane.number), plane)
            if same is not plane:
                found.again(plane.path, same.path, plane.name)
                continue
            try:
                tiles[plane.row] = tiles_of(plane)
            except DicomlabError as error:
                found.errors[plane.row] = _bad(plane, error)
        for why, members in groups([plane for plane in known.values() if plane.row in tiles]):
            for more, part in _alike(members, tiles):
                self._arrange(part, "; ".join(filter(None, (why, more))), tiles, found)
        return found

    def _arrange(self, planes: list[Plane], why: str, tiles: dict[int, Tiles], found: Found) -> None:
        first = planes[0]
        names = [plane.name for plane in planes]
        try:
            stacks = volumes(planes, why)
        except GeometryError as error:
            said = f"{why}; {error.message}" if why else error.message
            found.failed.append(Failed(title(first.elements), _line(planes, said, tiles), names, error))
            return
        found.things += [_thing(part, tiles) for part in stacks]


def _bad(plane: Plane, error: DicomlabError) -> DicomlabError:
    return error if isinstance(error, BadFile) else BadFile(plane.path, getattr(error, "why", error.message))


def _line(planes: Sequence[Plane], why: str, tiles: dict[int, Tiles]) -> dict[str, Any]:
    first = planes[0]
    made = line(first.elements, [plane.name for plane in planes], why, first.orientation)
    return {**made, "Rows": tiles[first.row].rows, "Columns": tiles[first.row].columns}


def _alike(planes: Sequence[Plane], tiles: dict[int, Tiles]) -> list[tuple[str, list[Plane]]]:
    """Those whose tiles lie at the same places and whose ImageType is the same, each with what sets it apart."""
    parts: list[tuple[Any, Tiles, list[Plane]]] = []
    for plane in sorted(planes, key=lambda plane: (plane.number or 0, plane.sop_instance)):
        mine, kind = tiles[plane.row], plane.value("ImageType")
        for other, its, members in parts:
            if kind == other and mine.lies_on(its):
                members.append(plane)
                break
        else:
            parts.append((kind, mine, [plane]))
    if len(parts) == 1:
        return [("", parts[0][2])]
    kinds = len({kind for kind, _, _ in parts})
    return [(f"ImageType {kind}" if kinds > 1 else "other tiles", members) for kind, _, members in parts]


def _thing(found: Stack, tiles: dict[int, Tiles]) -> Thing:
    planes: list[Plane] = list(found.planes.flat)
    doubt = tiles[found.first.row].doubt
    found.warnings.extend([doubt] if doubt else [])

    def make(chunks: Any) -> Any:
        return _volume(found, tiles, chunks)

    return Thing(
        title=title(found.first.elements),
        line=_line(planes, found.why, tiles),
        instances=[plane.name for plane in planes],
        make=make,
        why=found.why,
        warnings=found.warnings,
        left=[(why, [plane.name for plane in left]) for why, left in found.left],
    )


def _volume(found: Stack, tiles: dict[int, Tiles], chunks: Any) -> xr.DataArray:
    planes: list[Plane] = list(found.planes.flat)
    first = planes[0]
    cut = tiles[first.row]
    assert first.orientation is not None and first.spacing is not None
    grid: Grid = stack(cut.positions, first.orientation, (first.spacing[0], first.spacing[1]), (cut.rows, cut.columns))
    found.warnings.extend(text for text in grid.problems if text not in found.warnings)
    values: Array = cut.cut(read(frames(planes)) if chunks is None else lazy(frames(planes)))
    shape, front = found.planes.shape, found.front

    def along(of_each: Sequence[Any], dtype: Any) -> tuple[tuple[str, ...], Array]:
        return front, np.array(of_each, dtype).reshape(shape)

    coordinates = coordinates_of(grid, first.frame) | found.coordinates
    coordinates["SOPInstanceUID"] = along([plane.sop_instance for plane in planes], str)
    numbers = [plane.number for plane in planes]
    if None not in numbers:
        coordinates["InstanceNumber"] = along(numbers, np.int64)
    coordinates["path"] = along([plane.path for plane in planes], str)
    coordinates |= {name: along(stored, np.float64) for name, stored in padding(planes).items()}
    times = [tiles[plane.row].times for plane in planes]
    if all(times):
        each = np.array(times, np.float64).reshape(*shape, len(cut.positions))
        said = {"units": "ms", "long_name": "since the volume's first slice"}
        coordinates["slice_time"] = ((*front, "z"), each, said)
    values = values.reshape(*shape, *values.shape[1:])
    made = xr.DataArray(values, coordinates, (*front, "z", "y", "x"), attrs=attributes(planes))
    return made if chunks is None or chunks == {} else made.chunk(chunks)


def tiles_of(plane: Plane) -> Tiles:
    """Where the planes of one image lie.

    Raises
    ------
    GeometryError
        The number of tiles, the spacing or the order of the planes is not said, or the image cannot be cut so.
    BadData
        The CSA header, or the sequence of the planes, is broken.
    """
    if not plane.orientation or not plane.spacing or plane.form.samples != 1:
        raise GeometryError("a mosaic without ImageOrientationPatient or PixelSpacing")
    return _grid(plane) if UIH_FRAMES in plane.elements.raw else _mosaic(plane)


def _cut(plane: Plane, count: int, across: int, down: int) -> tuple[int, int]:
    """Rows and columns of one tile."""
    rows, columns = plane.form.rows, plane.form.columns
    if count < 1 or rows % down or columns % across:
        raise GeometryError(f"a mosaic of {rows} x {columns} cannot be cut into {count} tiles")
    return rows // down, columns // across


def _mosaic(plane: Plane) -> Tiles:
    """Siemens: the position is the corner of an image as large as the mosaic, around the centre of the first tile."""
    _, header = parse_file(plane.path, wanted=_NEEDED)
    known = _csa(header)
    said = [header.get(tag) for tag in (SIEMENS_TILES.block, SIEMENS_TILES.tag)]
    counts = SIEMENS_TILES.of(*said) or tuple(csa.numbers(known.get("NumberOfImagesInMosaic", [])))
    if len(counts) != 1 or not 1 <= counts[0] <= 65536:
        raise GeometryError(
            "a mosaic that does not say how many tiles it has, (0019,100A) or the CSA header",
            advice="Anonymisation may have removed them: take the file from before it.",
        )
    count = int(counts[0])
    side = isqrt(count - 1) + 1
    rows, columns = _cut(plane, count, side, side)
    between = header.get(_SPACING) or next(iter(csa.numbers(known.get("SpacingBetweenSlices", []))), None)
    if plane.position is None or (count > 1 and not isinstance(between, int | float)):
        raise GeometryError("a mosaic without ImagePositionPatient or SpacingBetweenSlices")
    six = np.array(plane.orientation, np.float64)
    across = normal(six)
    along = csa.numbers(known.get("SliceNormalVector", []))
    if len(along) != 3 and count > 1:
        raise GeometryError("a mosaic without SliceNormalVector in its CSA header: the order of its slices is unknown")
    sense = float(across @ np.array(along)) if len(along) == 3 else 1.0
    if abs(abs(sense) - 1) > 1e-2:
        raise GeometryError("SliceNormalVector of the CSA header is not the normal of ImageOrientationPatient")
    assert plane.spacing is not None
    between_rows, between_columns = plane.spacing
    start = np.array(plane.position, np.float64)
    start += six[:3] * between_columns * (plane.form.columns - columns) / 2
    start += six[3:] * between_rows * (plane.form.rows - rows) / 2
    steps = np.arange(count) * float(between or 0) * np.sign(sense)
    times = csa.numbers(known.get("MosaicRefAcqTimes", []))
    made = _sorted(start + steps[:, None] * across, across, side, (rows, columns), times)
    numbered = csa.numbers(known.get("ProtocolSliceNumber", []))
    return replace(made, doubt=_REVERSED) if sense > 0 and count > 1 and numbered[:1] > [0] else made


def _csa(header: Elements) -> dict[str, list[str]]:
    """The image's CSA header; {} where it has none."""
    for block in _BLOCKS:
        if header.text(0x00290000 | block) == "SIEMENS CSA HEADER":
            value = header.raw.get(0x00290000 | block << 8 | 0x10, ("", b""))[1]
            return csa.parse(value) if value else {}
    return {}


def _grid(plane: Plane) -> Tiles:
    """UIH: a sequence says where each tile lies and when it was acquired."""
    header = plane.elements
    frames = header.items(UIH_FRAMES)
    counts = UIH_TILES.of(header.get(UIH_TILES.block), header.get(UIH_TILES.tag))
    if counts and counts != (len(frames),):
        raise GeometryError(f"a grid of {counts[0]:g} tiles that describes {len(frames)}")
    points, seconds = [], []
    for frame in frames:
        point = frame.get("ImagePositionPatient")
        if not isinstance(point, tuple) or len(point) != 3 or None in point:
            raise BadData("a tile without ImagePositionPatient", tag="00651051")
        points.append(point)
        with suppress(ValueError):
            seconds.append(moments.time(frame.text("AcquisitionTime")) / 1e6)
    across = isqrt(max(len(frames) - 1, 0)) + 1
    rows, columns = _cut(plane, len(frames), across, ceil(len(frames) / across))
    times = [each - min(seconds) for each in seconds]
    return _sorted(np.array(points, np.float64), normal(plane.orientation or ()), across, (rows, columns), times)


def _sorted(points: Floats, across: Floats, side: int, shape: tuple[int, int], times: Sequence[float]) -> Tiles:
    order = np.argsort(points @ across, kind="stable")
    timed = tuple(float(times[tile]) for tile in order) if len(times) == len(points) else ()
    return Tiles(points[order], tuple(order.tolist()), side, *shape, timed)
