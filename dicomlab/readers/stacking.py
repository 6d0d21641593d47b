"""Frames of multi-frame instances to volumes: grouped, put on a grid, with what tells them apart in front."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..amounts import counted
from ..errors import GeometryError
from ..geometry import geometry
from ..geometry.positions import coordinates_of
from ..stacks.stacks import direction_of, line
from .arrays import attributes, labelled, per_frame, read_frames
from .layout import Column, Integers, Layout, lay_out
from .reader import Failed, Found, Thing, title
from .slices import Instance, Slice

#: What may tell slices apart at the same position.
Telling = Callable[[Sequence[Slice], Integers], list[Column]]


def arrange(slices: Sequence[Slice], telling: Telling, found: Found) -> None:
    """Things of slices, or why they make none; each instance counts once."""
    known: dict[str, Instance] = {}
    series: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    for one in slices:
        instance = one.instance
        if known.setdefault(instance.name, instance) is not instance:
            if not one.index:
                found.again(instance.path, known[instance.name].path, instance.name)
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
            of_instance[instance] = text("SOPClassUID"), instance.form, (instance.frame, instance.space)
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
            f"{counted(len(slices), 'frame')} without ImagePositionPatient, ImageOrientationPatient or PixelSpacing",
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
    values = read_frames(ordered, shape, chunks)
    dims: tuple[str, ...] = (*layout.front, "z", "y", "x")
    coordinates = coordinates_of(grid, first.instance.frame, first.instance.space) | layout.coordinates
    coordinates |= per_frame(ordered, shape, (*layout.front, "z"))
    return labelled(values, coordinates, dims, attributes(ordered), chunks)


def _instances(slices: Sequence[Slice]) -> list[str]:
    return list(dict.fromkeys(one.instance.name for one in slices))


def _line(slices: Sequence[Slice], why: str) -> dict[str, Any]:
    """The row in the table of stacks; its images are frames."""
    made = line(slices[0].instance.header, _instances(slices), why, slices[0].orientation)
    return made | {"images": len(slices)}
