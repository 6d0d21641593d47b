"""Frames of multi-frame instances to volumes: grouped, put on a grid, with what tells them apart in front."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import frames, geometry, realworld
from ..elements import Elements
from ..errors import BadData, GeometryError
from ..headers import Headers
from ..imageheader import SERIES, format_of
from ..lookup import has_palette
from ..pixels import Format, Rescale, length_fits
from ..stacks import direction_of, line
from ..volume import geometry_coordinate
from .layout import Column, Integers, Layout, lay_out
from .reader import Failed, Found, Thing, title


@dataclass(eq=False)
class Instance:
    """One multi-frame file, as its header describes it."""

    path: str
    header: Elements
    name: str  # SOPInstanceUID, or the path where it has none
    transfer_syntax: str
    form: Format
    place: tuple[int, int]  # offset and length of the value of Pixel Data
    count: int  # frames

    @property
    def number(self) -> int:
        """InstanceNumber, 0 where it has none."""
        return whole(self.header, "InstanceNumber", 0)


@dataclass(eq=False, slots=True)
class Slice:
    """One frame without its pixels."""

    instance: Instance
    index: int  # in the file, from 0
    position: tuple[float, ...] | None  # (3,) mm, LPS
    orientation: tuple[float, ...] | None  # (6,)
    spacing: tuple[float, ...] | None  # between rows, between columns, mm
    rescale: Rescale
    units: str
    stack: str = ""  # StackID
    thickness: float | None = None  # mm, of a plane that is alone
    window: tuple[float, float] | None = None  # centre, width
    real_world: realworld.RealWorld | None = None

    @property
    def lies(self) -> bool:
        """Whether it says where in the patient it lies."""
        return None not in (self.position, self.orientation, self.spacing)


#: What may tell slices apart at the same position.
Telling = Callable[[Sequence[Slice], Integers], list[Column]]


def whole(header: Elements, keyword: str, default: int) -> int:
    """A whole number of a header; `default` where it is none."""
    try:
        number = header.get(keyword, default)
    except BadData:
        return default
    return number if isinstance(number, int) else default


def instance_of(headers: Headers, row: int) -> Instance:
    """A multi-frame file without its pixels.

    Raises
    ------
    BadData
        Its header contradicts itself, or the pixel data is shorter than it says.
    """
    header, meta = headers[row], headers.meta(row)
    form = format_of(header)
    wrong = form.check()
    if wrong:
        raise BadData(wrong)
    count = header.get("NumberOfFrames", 1)
    if not isinstance(count, int) or count < 1:
        raise BadData(f"NumberOfFrames is {count}", tag="00280008")
    place = int(headers.pixel_at[row]), int(headers.pixel_length[row])
    wrong = length_fits(place[1], form, count, meta.transfer_syntax)
    if wrong:
        raise BadData(wrong, tag="7FE00010")
    try:
        size = os.path.getsize(headers.paths[row])
    except OSError as error:
        raise BadData(f"cannot be read: {error.strerror}") from error
    if place[1] == 0xFFFFFFFF and 8 * count > size:  # each frame is a fragment at least, with a header of 8 bytes
        raise BadData(f"NumberOfFrames is {count} in a file of {size} bytes", tag="00280008")
    name = header.text("SOPInstanceUID") or headers.paths[row]
    return Instance(headers.paths[row], header, name, meta.transfer_syntax, form, place, count)


def arrange(slices: Sequence[Slice], telling: Telling, found: Found) -> None:
    """Things of slices, or why they make none; each instance counts once."""
    known: dict[str, Instance] = {}
    series: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    for one in slices:
        instance = one.instance
        if known.setdefault(instance.name, instance) is not instance:
            if not one.index:
                left = f"the same instance as {known[instance.name].path}; left out"
                found.notes.append((instance.path, left, [instance.name]))
            continue
        text = instance.header.text
        series[text("PatientID"), text("StudyInstanceUID"), text("SeriesInstanceUID")].append(one)
    for members in series.values():
        members.sort(key=lambda one: (one.instance.number, one.instance.name, one.index))  # input order never counts
        for why, alike in _groups(members):
            _stacked(alike, why, telling, found)


def _groups(slices: Sequence[Slice]) -> list[tuple[str, list[Slice]]]:
    """Slices that may be one volume, each group with what sets it apart from the largest."""
    names = (
        "SOP class",
        "size or pixel format",
        "frame of reference",
        "PixelSpacing",
        "orientation",
        "StackID",
        "units",
    )
    directions: list[Any] = []
    turns: dict[Any, int] = {None: -1}
    of_instance: dict[Instance, tuple[Any, ...]] = {}
    kinds: dict[tuple[Any, ...], list[Slice]] = defaultdict(list)
    for one in slices:
        if one.orientation not in turns:
            assert one.orientation is not None
            turns[one.orientation] = direction_of(directions, np.array(one.orientation))
        instance = one.instance
        if instance not in of_instance:
            text = instance.header.text
            of_instance[instance] = text("SOPClassUID"), instance.form, text("FrameOfReferenceUID")
        spacing = one.spacing and tuple(round(value, 5) for value in one.spacing)
        kinds[(*of_instance[instance], spacing, turns[one.orientation], one.stack, one.units)].append(one)
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    leader = ordered[0][0]
    found = []
    for kind, members in ordered:
        differs = [name for name, mine, its in zip(names, kind, leader, strict=True) if mine != its]
        found.append((f"other {', '.join(differs)}" if differs else "", members))
    return found


def _stacked(slices: list[Slice], why: str, telling: Telling, found: Found) -> None:
    """One volume, or one for each instance, of slices that are alike."""
    header = slices[0].instance.header
    of_instance: dict[Instance, list[Slice]] = defaultdict(list)
    for one in slices:
        of_instance[one.instance].append(one)
    try:
        thing = _thing(slices, why, telling)
        if len(of_instance) > 1 and thing.warnings and _better_apart(list(of_instance.values()), telling):
            raise GeometryError("each instance is a volume by itself")
    except GeometryError as error:
        if len(of_instance) > 1:
            for members in of_instance.values():
                _stacked(members, why or "an instance of its own", telling, found)
            return
        names = _instances(slices)
        said = f"{why}; {error.message}" if why else error.message
        found.failed.append(Failed(title(header), _line(slices, said), names, error))
        return
    found.things.append(thing)


def _better_apart(instances: Sequence[list[Slice]], telling: Telling) -> bool:
    """Whether all are volumes without anything odd, of several planes each and no parts of one concatenation."""
    if any(members[0].instance.header.text("ConcatenationUID") for members in instances):
        return False
    try:
        things = [_thing(members, "", telling) for members in instances]
    except GeometryError:
        return False
    return not any(thing.warnings or thing.left for thing in things) and all(len(members) > 1 for members in instances)


def _thing(slices: list[Slice], why: str, telling: Telling) -> Thing:
    first = slices[0]
    if not all(one.lies for one in slices):
        raise GeometryError(
            f"{len(slices)} frames without ImagePositionPatient, ImageOrientationPatient or PixelSpacing",
            advice="They can be loaded one by one as pictures with pydicom, but not as a volume.",
        )
    assert first.orientation is not None
    points = np.array([one.position for one in slices], np.float64)
    place = geometry.distinct(points @ geometry.normal(first.orientation))
    columns = telling(slices, place)
    layout = lay_out(place, columns)
    alike = {column.long_name: column.values[0] for column in columns if _said_of_all(column)}
    grid = _grid(slices, points, layout)

    def make(chunks: Any) -> xr.DataArray:
        return _volume(slices, layout, grid, chunks).assign_attrs(alike)

    left = [
        (said, [f"frame {slices[i].index + 1} of {slices[i].instance.name}" for i in out]) for said, out in layout.left
    ]
    made = Thing(title(first.instance.header), _line(slices, why), _instances(slices), make, why, left=left)
    made.warnings += grid.problems
    return made


def _said_of_all(column: Column) -> bool:
    """Whether all frames have one value, which is that of the attribute it names (the echo time, the flip angle)."""
    counted = column.name in ("time", "acquisition", "cardiac_phase", "respiratory_phase")
    return bool(column.long_name) and not counted and not column.ranks.any() and column.values[0] is not None


def _grid(slices: Sequence[Slice], points: geometry.Floats, layout: Layout) -> geometry.Grid:
    lines = layout.cells.reshape(-1, layout.cells.shape[-1])
    apart = float(np.linalg.norm(points[lines] - points[lines[0]], axis=-1).max())
    if apart > geometry.STRAIGHT:
        raise GeometryError(f"the volumes along {layout.front[0]} do not lie on each other ({apart:.2f} mm apart)")
    first = slices[int(lines[0, 0])]
    assert first.spacing is not None
    # The orientations agree within a tolerance; their mean favours none.
    turns = {slices[index].orientation or () for index in lines[0].tolist()}
    orientation = first.orientation if len(turns) == 1 else np.mean(sorted(turns), axis=0)
    assert orientation is not None
    form = first.instance.form
    return geometry.stack(
        points[lines[0]], orientation, (first.spacing[0], first.spacing[1]), (form.rows, form.columns), first.thickness
    )


def _volume(slices: Sequence[Slice], layout: Layout, grid: geometry.Grid, chunks: Any) -> xr.DataArray:
    ordered = [slices[index] for index in layout.cells.ravel().tolist()]
    first, shape = ordered[0], layout.cells.shape
    values = read_frames(ordered, chunks)
    values = values.reshape(*shape, *values.shape[1:])
    dims: tuple[str, ...] = (*layout.front, "z", "y", "x")
    coordinates: dict[str, Any] = {name: (name, getattr(grid, name), {"units": "mm"}) for name in "zyx"}
    coordinates |= layout.coordinates
    coordinates |= per_frame(ordered, shape, (*layout.front, "z"))
    frame = first.instance.header.text("FrameOfReferenceUID")
    coordinates["geometry"] = geometry_coordinate(grid.matrix, frame, grid.spacing)
    return labelled(values, coordinates, dims, attributes(ordered), chunks)


def labelled(
    values: Any, coordinates: dict[str, Any], dims: tuple[str, ...], attrs: dict[str, Any], chunks: Any
) -> xr.DataArray:
    """The array, with an axis `channel` behind where the values are colours."""
    if values.ndim > len(dims):
        dims = (*dims, "channel")
        coordinates = coordinates | {"channel": ("channel", ["red", "green", "blue"])}
        attrs = attrs | {"PhotometricInterpretation": "RGB"}  # whatever it was in the file
    array = xr.DataArray(values, coordinates, dims, attrs=attrs)
    return array.chunk(chunks) if chunks else array


def read_frames(slices: Sequence[Slice], chunks: Any) -> Any:
    """Modality values of slices, (slices, rows, columns[, 3]), a dask array where `chunks` is not None."""
    wanted = []
    tables: dict[Instance, Elements | None] = {}
    for one in slices:
        of = one.instance
        if of not in tables:
            tabled = has_palette(of.header) if of.form.palette else "ModalityLUTSequence" in of.header
            tables[of] = of.header if tabled else None
        wanted.append(
            frames.Frame(
                of.path, of.transfer_syntax, of.form, of.place, one.rescale, one.index, of.count, lut=tables[of]
            )
        )
    return frames.read(wanted) if chunks is None else frames.lazy(wanted)


def per_frame(slices: Sequence[Slice], shape: tuple[int, ...], dims: tuple[str, ...]) -> dict[str, Any]:
    """Coordinates that each frame has for itself, or all share: where it came from, padding, real world values."""

    def along(values: Sequence[Any], dtype: Any) -> Any:
        if len(set(values)) == 1:
            return np.array(values[0], dtype)
        return dims, np.array(values, dtype).reshape(shape)

    found = {
        "SOPInstanceUID": along([one.instance.header.text("SOPInstanceUID") for one in slices], str),
        "InstanceNumber": along([one.instance.number for one in slices], np.int64),
        "FrameNumber": (dims, np.array([one.index + 1 for one in slices], np.int64).reshape(shape)),
        "path": along([one.instance.path for one in slices], str),
    }
    for name, keyword in (("padding", "PixelPaddingValue"), ("padding_limit", "PixelPaddingRangeLimit")):
        stored = {one.instance: one.instance.header.get(keyword) for one in slices}
        if all(isinstance(value, int) for value in stored.values()):
            padded = [one.rescale.of(one.instance.form.as_stored(stored[one.instance])) for one in slices]
            found[name] = along(padded, np.float64)
    mapped = realworld.coordinates([one.real_world for one in slices], [one.rescale for one in slices])
    found |= {name: along(values, str if name.endswith("units") else np.float64) for name, values in mapped.items()}
    return found


def attributes(slices: Sequence[Slice]) -> dict[str, Any]:
    """Series attributes by keyword where all instances agree, the window the frames share, and `units`."""
    headers = list({id(one.instance): one.instance.header for one in slices}.values())
    found: dict[str, Any] = {}
    for keyword in SERIES:
        try:
            values = [header.get(keyword) for header in headers]
        except BadData:
            continue
        value = values[0]
        if isinstance(value, tuple):
            value = [part if part is not None else "" for part in value]
        if isinstance(value, str | int | float | list) and all(other == values[0] for other in values):
            found[keyword] = value
    windows = {one.window for one in slices}
    if len(windows) == 1 and None not in windows:
        ((found["WindowCenter"], found["WindowWidth"]),) = windows  # type: ignore[misc]
    found["units"] = slices[0].units
    return found


def _instances(slices: Sequence[Slice]) -> list[str]:
    return list(dict.fromkeys(one.instance.name for one in slices))


def _line(slices: Sequence[Slice], why: str) -> dict[str, Any]:
    """The row in the table of stacks; its images are frames."""
    made = line(slices[0].instance.header, _instances(slices), why, slices[0].orientation)
    return made | {"images": len(slices)}
