"""Planes of one group to stacks: in which order, with which axes in front."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..amounts import counted
from ..errors import GeometryError
from ..geometry.geometry import distinct, normal
from .imageheader import PLANES
from .planes import Plane, column
from .repeats import TYPES, Integers, Varying, accompanying, acquired, b_values, diffusion, ranks, varying
from .stacks import Stack

_LETTERS = dict(zip("MPRI", range(len(TYPES)), strict=True))  # as vendors name them in ImageType


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
            images = counted(len(planes), "image")
            raise GeometryError(
                f"{images} without ImagePositionPatient, ImageOrientationPatient or PixelSpacing",
                advice="They can be loaded one by one as pictures with pydicom, but not as a volume.",
            )
        return [Stack(array([plane], (1,)), why=why or "image without a position") for plane in planes]
    assert planes[0].orientation is not None
    across = normal(planes[0].orientation)
    place = distinct(np.array([plane.position for plane in planes], np.float64) @ across)
    count = int(place.max()) + 1
    if count == len(planes):
        found = Stack(array([planes[i] for i in np.argsort(place)], (count,)), why=why)
        if len({plane.series[1] for plane in planes}) > 1:
            found.warnings.append("every image names another StudyInstanceUID")
        return [found]
    types: dict[Any, list[Plane]] = defaultdict(list)
    for plane, kind in zip(planes, column(planes, "ImageType"), strict=True):
        types[kind].append(plane)
    if len(types) > 1:
        parts = [(kind, arrange(members, f"ImageType {kind}")) for kind, members in types.items()]
        together = _complex(parts)
        return [together] if together else [stack for _, part in parts for stack in part]
    stacks = _repeated(planes, place, count, why)
    for stack in stacks:
        if stack.front:
            stack.coordinates |= dict(accompanying(stack.planes, stack.front))
    return stacks


def volumes(planes: list[Plane], why: str = "") -> list[Stack]:
    """The stacks of planes that are whole volumes at one place (mosaics): `Stack.planes` has no axis z.

    Raises
    ------
    GeometryError
        Nothing tells them apart.
    """
    planes = sorted(planes, key=lambda plane: (plane.number or 0, plane.sop_instance))
    if len(planes) == 1:
        return [Stack(array(planes, ()), why=why)]
    stack = _series(planes)
    stack.why = why
    stack.coordinates |= dict(accompanying(stack.planes, stack.front))
    if "time" in stack.front and stack.coordinates["time"][2].get("units") == "s":
        stack.coordinates.pop("acquisition_time", None)  # it is the axis
    stack.planes = stack.planes[..., 0]
    return [stack]


def _complex(parts: list[tuple[Any, list[Stack]]]) -> Stack | None:
    """Magnitude, phase, real and imaginary part of the same planes as one stack along `type`; else None."""
    if any(len(stacks) != 1 or stacks[0].left or not isinstance(kind, tuple) for kind, stacks in parts):
        return None
    letters = []
    for kind, _ in parts:
        found = [value for value in kind[2:4] if value in _LETTERS]
        letters.append(_LETTERS[found[-1]] if found else -1)
    alike = {(kind[:2], kind[4:], len(kind)) for kind, _ in parts}
    shapes = {(stacks[0].planes.shape, stacks[0].front) for _, stacks in parts}
    if len(alike) > 1 or len(shapes) > 1 or -1 in letters or len(set(letters)) < len(letters):
        return None
    order = np.argsort(letters)
    stacks = [parts[i][1][0] for i in order]
    first = stacks[0]
    for other in stacks[1:]:
        for name in first.front:
            if not np.array_equal(first.coordinates[name][1], other.coordinates[name][1]):
                return None
    names = [TYPES[letters[i]] for i in order]
    coordinates = {"type": ("type", names, {"long_name": "ImageType"}), **first.coordinates}
    warnings = list(dict.fromkeys(text for stack in stacks for text in stack.warnings))
    together = np.stack([stack.planes for stack in stacks])
    return Stack(together, ("type", *first.front), coordinates, warnings)


def _repeated(planes: list[Plane], place: Integers, count: int, why: str) -> list[Stack]:
    """Several images at one position: axes in front of z, or separate stacks by acquisition."""
    found = varying(planes, place, count)
    if count == 1:  # an acquisition number alone makes no volume of one position (nothing says what it counts)
        found = [key for key in found if key.name != "AcquisitionNumber"]
    stack = _by_keys(planes, place, count, found)
    if stack:
        return [stack]
    numbers = next((key.numbers for key in found if key.name == "AcquisitionNumber"), None)
    if numbers is not None:
        parts: dict[float, list[int]] = defaultdict(list)
        for index, number in enumerate(numbers):
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
        f"{len(planes)} images at {counted(count, 'position')}, and nothing tells those at one "
        "position apart (no time, echo or b-value)",
        advice="Filter the instances, for example by AcquisitionNumber or InstanceNumber.",
    )


def _by_keys(planes: list[Plane], place: Integers, count: int, found: list[Varying]) -> Stack | None:
    """Along one attribute, two or three, or the diffusion gradient: complete, else the complete part."""
    tries = [[key] for key in found]
    for many in (2, 3):
        tries += [list(keys) for keys in combinations(found, many) if len({key.axis for key in keys}) == many]
    gradient = diffusion(planes)
    tries += [[gradient]] if gradient else []
    for complete in (True, False):
        for keys in tries:
            if complete or not any(key.name == "AcquisitionNumber" or _ranked(key) for key in keys):
                stack = _lay_out(planes, place, count, keys, complete=complete)
                if stack:
                    return stack
    return None


def _ranked(key: Varying) -> bool:
    """Whether a missing plane would shift the others of its position along the axis."""
    return key.name in ("TriggerTime", "FrameReferenceTime")


def _lay_out(planes: list[Plane], place: Integers, count: int, keys: list[Varying], *, complete: bool) -> Stack | None:
    """The stack with an axis for each key, if every cell has one plane; else the complete part, or None."""
    shape = (*(int(key.ranks.max()) + 1 for key in keys), count)
    if np.prod(shape, dtype=np.float64) > 4 * len(planes):
        return None
    cells = np.full(shape, -1)
    for index in range(len(planes)):
        cell = (*(key.ranks[index] for key in keys), place[index])
        if cells[cell] >= 0:
            return None
        cells[cell] = index
    stack = Stack(np.empty(0), tuple(key.axis for key in keys))
    if (cells < 0).any():
        whole = np.array([bool((part >= 0).all()) for part in cells])
        if complete or not whole.any() or (len(keys) > 1 and 2 * whole.sum() <= len(whole)):
            return None
        left = [planes[i] for i in cells[~whole].ravel() if i >= 0]
        said = f"{int((~whole).sum())} of {len(whole)} along {keys[0].axis} lack planes and are left out"
        stack.left.append((said, left))
        cells = cells[whole]
    for number, key in enumerate(keys):
        rows = np.moveaxis(cells, number, 0).reshape(cells.shape[number], -1)
        stack.coordinates[key.axis] = key.coordinate(np.array([np.median(key.numbers[row]) for row in rows]))
    stack.planes = array([planes[i] for i in cells.ravel()], cells.shape)
    return stack


def _by_number(planes: list[Plane], place: Integers, count: int) -> Stack | None:
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
    turn = ranks(rank.astype(np.float64), place, count)
    by_volume = (rank // count == turn).all()
    by_position = all(np.ptp(rank[place == p]) == times - 1 for p in range(count))
    if not (by_volume or by_position):
        return None
    key = _numbered(planes, turn)
    stack = _lay_out(planes, place, count, [key], complete=True)
    if stack is not None:
        stack.warnings.append(
            f"{times} images at each of {count} positions; only InstanceNumber tells them apart along {key.axis}"
        )
    return stack


def _numbered(planes: list[Plane], turn: Integers) -> Varying:
    """An axis whose order is that of InstanceNumber: `b_value`, `time` where the header counts so many, or `frame`."""
    values = b_values(planes)
    if None not in values:
        b = np.array(values, np.float64)
        if np.ptp(b) > 0 and all(np.ptp(b[turn == step]) == 0 for step in range(int(turn.max()) + 1)):
            return Varying("DiffusionBValue", "b_value", "s/mm2", b, turn)
    steps = int(turn.max()) + 1
    axis = "time" if set(column(planes, "NumberOfTemporalPositions")) == {steps} else "frame"
    return Varying("InstanceNumber", axis, "", turn.astype(np.float64), turn)


def _series(planes: list[Plane]) -> Stack:
    """Whole volumes at one place, along what tells them apart."""
    place = np.zeros(len(planes), np.intp)
    found = varying(planes, place, 1)
    acquisition = [key for key in found if key.name == "AcquisitionNumber"]
    stack = _by_keys(planes, place, 1, [key for key in found if key.name != "AcquisitionNumber"])
    if stack:
        return stack
    seconds = acquired(planes)
    if seconds is not None:
        turn = np.unique(seconds, return_inverse=True)[1]
        b = _numbered(planes, turn)
        key = b if b.axis == "b_value" else Varying("AcquisitionTime", "time", "s", seconds - seconds.min(), turn)
        stack = _lay_out(planes, place, 1, [key], complete=True)
    if stack is None and acquisition:
        stack = _lay_out(planes, place, 1, acquisition, complete=True)
    numbers = [plane.number for plane in planes]
    if stack is None and None not in numbers and len(set(numbers)) == len(numbers):
        key = _numbered(planes, np.arange(len(planes)))  # they are sorted by it
        stack = _lay_out(planes, place, 1, [key], complete=True)
        assert stack is not None
        stack.warnings.append(f"only InstanceNumber tells {len(planes)} volumes apart along {key.axis}")
    if stack is None:
        raise GeometryError(
            f"{len(planes)} volumes at one place, and nothing tells them apart",
            advice="Filter the instances, for example by InstanceNumber.",
        )
    return stack


def array(planes: Sequence[Plane], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The planes as an array of objects."""
    made = np.empty(len(planes), object)
    made[:] = planes
    return made.reshape(shape)
