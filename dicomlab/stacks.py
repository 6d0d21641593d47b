"""Planes to stacks: what belongs together, in which order, with which axes in front."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .elements import Elements
from .errors import GeometryError
from .geometry import SAME_DIRECTION, axis_letters, distinct, normal
from .imageheader import KEYS, PLANES
from .pixels import name_of
from .planes import Plane, column

#: Attributes that differ from plane to plane at one time point: their rank counts, not their value.
_BY_RANK = frozenset({"TriggerTime", "FrameReferenceTime"})


@dataclass
class Stack:
    """Planes of one volume, in order."""

    planes: np.ndarray[Any, Any]  # of Plane, shape (..., z)
    front: tuple[str, ...] = ()  # names of the axes in front of z
    coordinates: dict[str, tuple[str, Any]] = field(default_factory=dict)  # name: (dimension, values)
    warnings: list[str] = field(default_factory=list)
    left: list[tuple[str, list[Plane]]] = field(default_factory=list)  # why, and the planes left out
    why: str = ""  # why it is a stack of its own

    @property
    def first(self) -> Plane:
        """The first plane of the first volume."""
        return self.planes.flat[0]


def groups(planes: Sequence[Plane]) -> list[tuple[str, list[Plane]]]:
    """Planes that may be stacked together, each group with what sets it apart from the largest."""
    kinds: dict[tuple[Any, ...], list[Plane]] = {}
    # A series in which every image names a study of its own was written by a careless program; two images of
    # one study and more of another are two series that bear one UID by mistake.
    studies: dict[str, list[str]] = defaultdict(list)
    for plane in planes:
        studies[plane.series[2]].append(plane.series[1])
    scattered = {uid for uid, named in studies.items() if len(named) == len(set(named)) > 2}

    def study(plane: Plane) -> str:
        return "" if plane.series[2] in scattered else plane.series[1]

    directions: list[np.ndarray[Any, Any]] = []
    known: dict[tuple[float, ...], int] = {}
    alike: dict[tuple[Any, ...], list[Plane]] = {}  # most planes of a series are alike: their kind is worked out once
    for plane in planes:
        alike.setdefault((plane.shared, plane.spacing, plane.orientation, plane.lies), []).append(plane)
    for (shared, between, orientation, lies), members in alike.items():
        turn = -1
        if orientation is not None:
            turn = known.get(orientation, -1)
            if turn < 0:
                turn = known[orientation] = _direction(directions, np.array(orientation))
        spacing = between and tuple(round(value, 5) for value in between)
        kind = (
            shared.series[0],
            study(members[0]),
            shared.series[2],
            shared.sop_class,
            shared.form,
            shared.frame,
            spacing,
            turn,
            lies,
        )
        kinds.setdefault(kind, []).extend(members)
    found = []
    leaders: dict[Any, tuple[Any, ...]] = {}
    names = (
        "PatientID",
        "StudyInstanceUID",
        "",
        "SOP class",
        "size or pixel format",
        "frame of reference",
        "PixelSpacing",
        "orientation",
        "position",
    )
    for kind, members in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[1][0].sop_instance)):
        leader = leaders.setdefault(kind[2], kind)
        differs = [name for name, mine, its in zip(names, kind, leader, strict=True) if name and mine != its]
        found.append((f"other {', '.join(differs)}" if differs else "", members))
    return found


def _direction(known: list[np.ndarray[Any, Any]], orientation: np.ndarray[Any, Any]) -> int:
    for index, direction in enumerate(known):
        if np.abs(direction - orientation).max() <= SAME_DIRECTION:
            return index
    known.append(orientation)
    return len(known) - 1


def arrange(planes: list[Plane], why: str = "") -> list[Stack]:
    """The stacks of one group of planes, sorted along the normal.

    Raises
    ------
    GeometryError
        A plane has no position, or several lie at one position and nothing tells them apart.
    """
    planes = sorted(planes, key=lambda plane: (plane.number or 0, plane.sop_instance))  # input order never counts
    if not planes[0].lies:
        if planes[0].sop_class in PLANES:
            raise GeometryError(
                f"{len(planes)} images without ImagePositionPatient, ImageOrientationPatient or PixelSpacing",
                advice="They can be loaded one by one as pictures with pydicom, but not as a volume.",
            )
        return [Stack(_array([plane], (1,)), why=why or "image without a position") for plane in planes]
    assert planes[0].orientation is not None
    across = normal(planes[0].orientation)
    place = distinct(np.array([plane.position for plane in planes], np.float64) @ across)
    count = int(place.max()) + 1
    if count == len(planes):
        found = Stack(_array([planes[i] for i in np.argsort(place)], (count,)), why=why)
        if len({plane.series[1] for plane in planes}) > 1:
            found.warnings.append("every image names another StudyInstanceUID")
        return [found]
    types: dict[Any, list[int]] = defaultdict(list)
    for index, kind in enumerate(column(planes, "ImageType")):
        types[kind].append(index)
    if len(types) > 1:
        parts = []
        for kind, members in types.items():
            parts += arrange([planes[i] for i in members], f"ImageType {kind}")
        return parts
    return _repeated(planes, place, count, why)


def _repeated(planes: list[Plane], place: np.ndarray[Any, Any], count: int, why: str) -> list[Stack]:
    """Several images at one position: axes in front of z, or separate stacks by acquisition."""
    varying = {}
    for keyword, axis in KEYS:
        values = column(planes, keyword)
        if all(isinstance(value, int | float) for value in values):
            numbers = np.array(values, np.float64)
            if any(len(set(numbers[place == p])) > 1 for p in range(count)):
                varying[keyword] = (axis, numbers)
    if count == 1:  # an acquisition number alone makes no volume of one position (nothing says what it counts)
        varying.pop("AcquisitionNumber", None)
    for keyword, (axis, numbers) in varying.items():
        ranks = _ranks(numbers, place, count) if keyword in _BY_RANK else np.unique(numbers, return_inverse=True)[1]
        stack = _lay_out(planes, place, count, [(axis, ranks, numbers)], complete=True)
        if stack:
            return [stack]
    names = list(varying)
    for one in range(len(names)):
        for two in range(one + 1, len(names)):
            pair = [(varying[k][0], np.unique(varying[k][1], return_inverse=True)[1], varying[k][1])
                    for k in (names[one], names[two])]  # fmt: skip
            if pair[0][0] != pair[1][0]:
                stack = _lay_out(planes, place, count, pair, complete=True)
                if stack:
                    return [stack]
    for keyword, (axis, numbers) in varying.items():
        if keyword not in _BY_RANK and keyword != "AcquisitionNumber":
            ranks = np.unique(numbers, return_inverse=True)[1]
            stack = _lay_out(planes, place, count, [(axis, ranks, numbers)], complete=False)
            if stack:
                return [stack]
    if "AcquisitionNumber" in varying:
        parts: dict[float, list[int]] = defaultdict(list)
        for index, number in enumerate(varying["AcquisitionNumber"][1]):
            parts[number].append(index)
        if all(len(set(place[members])) == len(members) for members in parts.values()):
            return [
                stack
                for number, members in sorted(parts.items())
                for stack in arrange([planes[i] for i in members], f"AcquisitionNumber {number:g}")
            ]
    stack = _by_number(planes, place, count)
    if stack:
        return [stack]
    raise GeometryError(
        f"{len(planes)} images at {count} position{'s' if count > 1 else ''}, and nothing tells those at one "
        "position apart (no time, echo or b-value)",
        advice="Filter the instances, for example by AcquisitionNumber or InstanceNumber.",
    )


def _lay_out(
    planes: list[Plane],
    place: np.ndarray[Any, Any],
    count: int,
    keys: list[tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]],
    *,
    complete: bool,
) -> Stack | None:
    """The stack with an axis for each key, if every cell has one plane; else the complete part, or None."""
    shape = (*(int(ranks.max()) + 1 for _, ranks, _ in keys), count)
    cells = np.full(shape, -1)
    for index in range(len(planes)):
        cell = (*(ranks[index] for _, ranks, _ in keys), place[index])
        if cells[cell] >= 0:
            return None
        cells[cell] = index
    stack = Stack(np.empty(0), tuple(axis for axis, _, _ in keys))
    if (cells < 0).any():
        whole = np.atleast_1d((cells >= 0).all(axis=-1))
        if complete or len(keys) > 1 or not whole.any():
            return None
        left = [planes[i] for i in cells[~whole].ravel() if i >= 0]
        said = f"{int((~whole).sum())} of {len(whole)} along {keys[0][0]} lack planes and are left out"
        stack.left.append((said, left))
        cells = cells[whole]
    for number, (axis, _, numbers) in enumerate(keys):
        rows = np.moveaxis(cells, number, 0).reshape(cells.shape[number], -1)
        stack.coordinates[axis] = (axis, np.array([np.median(numbers[row]) for row in rows]))
    stack.planes = _array([planes[i] for i in cells.ravel()], cells.shape)
    return stack


def _ranks(numbers: np.ndarray[Any, Any], place: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Rank of each number among those at its position."""
    ranks = np.zeros(len(numbers), np.intp)
    for p in range(count):
        here = np.flatnonzero(place == p)
        ranks[here] = np.unique(numbers[here], return_inverse=True)[1]
    return ranks


def _by_number(planes: list[Plane], place: np.ndarray[Any, Any], count: int) -> Stack | None:
    """Equally many images at each position, numbered volume by volume or position by position.

    Nothing but InstanceNumber tells the repetitions apart then (diffusion directions, older functional MR),
    and it is taken only where it runs regularly; it never decides the order along z.
    """
    times: int = len(planes) // count
    rest = len(planes) % count
    numbers = [plane.number for plane in planes]
    if count < 2 or rest or None in numbers or len(set(numbers)) != len(numbers):
        return None
    if bool(np.any(np.bincount(place, minlength=count) != times)):
        return None
    rank = np.argsort(np.argsort(np.array(numbers, np.float64)))
    turn = _ranks(rank.astype(np.float64), place, count)
    by_volume = (rank // count == turn).all()
    by_position = all(np.ptp(rank[place == p]) == times - 1 for p in range(count))
    if not (by_volume or by_position):
        return None
    b_values = column(planes, "DiffusionBValue")
    axis = "frame"
    values = np.arange(times, dtype=np.float64)
    if all(isinstance(b, float) for b in b_values):
        b = np.array(b_values)
        if all(np.ptp(b[turn == t]) == 0 for t in range(times)):
            axis, values = "b_value", np.array([b[turn == t][0] for t in range(times)])
    stack = _lay_out(planes, place, count, [(axis, turn, values[turn])], complete=True)
    if stack is None:
        return None
    stack.coordinates[axis] = (axis, values if axis == "b_value" else np.arange(times))
    directions = column(list(stack.planes[:, 0]), "DiffusionGradientOrientation")
    if axis == "b_value" and any(isinstance(direction, tuple) for direction in directions):
        vectors = np.array([d if isinstance(d, tuple) and len(d) == 3 else (0.0, 0.0, 0.0) for d in directions])
        for index, name in enumerate("xyz"):
            stack.coordinates[f"gradient_{name}"] = (axis, vectors[:, index])
    stack.warnings.append(
        f"{times} images at each of {count} positions; only InstanceNumber tells them apart along {axis}"
    )
    return stack


def row(planes: Sequence[Plane], why: str) -> dict[str, Any]:
    """One line of the table of stacks."""
    first = planes[0]
    return line(first.elements, [plane.sop_instance for plane in planes], why, first.orientation)


def line(
    header: Elements, instances: Sequence[str], why: str = "", orientation: Sequence[float] | None = None
) -> dict[str, Any]:
    """One line of the table of stacks, for whatever instances hold.

    Parameters
    ----------
    header
        Of the first of them.
    instances
        Their SOP Instance UIDs.
    why
        Why they are a thing of their own, or none.
    orientation
        (6,), the ImageOrientationPatient they share.
    """
    letters = ""
    if orientation is not None:
        try:
            across = normal(orientation)
            letters = "".join(axis_letters(v) for v in (across, orientation[3:], orientation[:3]))
        except GeometryError:
            letters = "?"
    sop_class, rows, columns = (header.text(name) for name in ("SOPClassUID", "Rows", "Columns"))
    return {
        "SeriesInstanceUID": header.text("SeriesInstanceUID"),
        "SeriesNumber": header.text("SeriesNumber"),
        "SeriesDescription": header.text("SeriesDescription"),
        "Modality": header.text("Modality"),
        "SOPClass": name_of(sop_class) if sop_class else "",
        "images": len(instances),
        "Rows": int(rows or 0),
        "Columns": int(columns or 0),
        "orientation": letters,
        "why": why,
        "SOPInstanceUID": list(instances),
    }


def _array(planes: Sequence[Plane], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    array = np.empty(len(planes), object)
    array[:] = planes
    return array.reshape(shape)
