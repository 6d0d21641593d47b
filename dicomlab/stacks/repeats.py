"""What tells several images at one position apart, in the order of R12.11, and what goes along with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import phi
from ..datasets import moments
from ..datasets.vendor import GE_B, GE_TYPE, PHILIPS_B, PHILIPS_G, SIEMENS_B, SIEMENS_G, UIH_B, UIH_G, Private
from ..geometry.geometry import Floats, normal
from .imageheader import KEYS
from .planes import Plane, column

Integers = NDArray[np.intp]
#: Attributes that differ from plane to plane at one time point: their rank counts, not their value.
_BY_RANK = frozenset({"TriggerTime", "FrameReferenceTime"})
TYPES = ("magnitude", "phase", "real", "imaginary")
_COMMENT = re.compile(r"b=\d+(?:\.\d*)?" + r"\((-?\d\.\d+),(-?\d\.\d+),(-?\d\.\d+)\)")  # b=1500(0.895,0.000,0.445)
_B_VALUES = (SIEMENS_B, GE_B, PHILIPS_B, UIH_B)


@dataclass(frozen=True, eq=False)
class Varying:
    """An attribute that has several values at one position."""

    name: str  # its keyword, or what it is
    axis: str  # the axis it makes
    units: str  # of its values; "" where they only count
    numbers: Floats  # (planes,)
    ranks: Integers  # (planes,), along the axis

    def coordinate(self, values: Any) -> tuple[str, Any, dict[str, str]]:
        """The coordinate of the axis."""
        said = {"units": self.units} if self.units else {}
        if self.axis == "type":
            values = [TYPES[int(value)] for value in values]
        return self.axis, values, {**said, "long_name": self.name}


def varying(planes: Sequence[Plane], place: Integers, count: int) -> list[Varying]:
    """The attributes of which every plane has a value, and those at some position several."""
    found = []
    ways = [*KEYS[:-1], ("type", "type", ""), KEYS[-1]]  # the acquisition comes last, R12.11
    for name, axis, units in ways:
        if name == "DiffusionBValue":
            values = b_values(planes)
        elif name == "type":
            values = [one[0] if one else None for one in _private(planes, GE_TYPE)]
            values = [value if value in range(len(TYPES)) else None for value in values]
        else:
            values = column(planes, name)
        if not all(isinstance(value, int | float) for value in values):
            continue
        numbers = np.array(values, np.float64)
        if not np.isfinite(numbers).all() or not _several(numbers, place, count):
            continue
        by_rank = name in _BY_RANK
        turn = ranks(numbers, place, count) if by_rank else np.unique(numbers, return_inverse=True)[1]
        found.append(Varying(name, axis, units, numbers, turn))
    return found


def _several(numbers: Floats, place: Integers, count: int) -> bool:
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, place, numbers)
    np.maximum.at(high, place, numbers)
    return bool((low < high).any())


def ranks(numbers: Floats, place: Integers, count: int) -> Integers:
    """Rank of each number among those at its position."""
    found = np.zeros(len(numbers), np.intp)
    for p in range(count):
        here = np.flatnonzero(place == p)
        found[here] = np.unique(numbers[here], return_inverse=True)[1]
    return found


def diffusion(planes: Sequence[Plane]) -> Varying | None:
    """b-value and direction of the gradient together, in the order of InstanceNumber where all have one."""
    values, ways = b_values(planes), directions(planes)
    if None in values or not any(ways):
        return None
    pairs = [(b, tuple(np.round(way, 4)) if way and b else ()) for b, way in zip(values, ways, strict=True)]
    first: dict[Any, Any] = {}
    counted = all(plane.number is not None for plane in planes)
    for plane, pair in zip(planes, pairs, strict=True):
        order: Any = plane.number if counted else pair
        first[pair] = min(first.get(pair, order), order)
    if len(first) < 2:
        return None
    turn = {pair: rank for rank, pair in enumerate(sorted(first, key=first.__getitem__))}
    numbers = np.array(values, np.float64)
    found = np.array([turn[pair] for pair in pairs], np.intp)
    return Varying("DiffusionBValue", "b_value", "s/mm2", numbers, found)


def _private(planes: Sequence[Plane], wanted: Private) -> list[tuple[Any, ...]]:
    pairs = zip(column(planes, wanted.block), column(planes, wanted.tag), strict=True)
    return [wanted.of(creator, value) for creator, value in pairs]


def b_values(planes: Sequence[Plane]) -> list[Any]:
    """b-value of each in s/mm2, from (0018,9087) or the vendor's own attribute; None where it has none."""
    values = column(planes, "DiffusionBValue")
    for wanted in _B_VALUES:
        if None not in values:
            break
        theirs = _private(planes, wanted)
        if wanted is GE_B:
            theirs = [(one[0] % 100_000,) if one and isinstance(one[0], int) else () for one in theirs]
        pairs = zip(values, theirs, strict=True)
        values = [one[0] if mine is None and len(one) == 1 else mine for mine, one in pairs]
    return [float(value) if isinstance(value, int | float) else None for value in values]


def directions(planes: Sequence[Plane]) -> list[tuple[float, ...] | None]:
    """Direction of the diffusion gradient in the patient (LPS), where the header gives it in a frame that is known.

    GE's is relative to the phase encoding and is not taken.
    """
    found: list[Any] = column(planes, "DiffusionGradientOrientation")
    if any(way is None for way in found):
        philips = zip(*(_private(planes, axis) for axis in PHILIPS_G), strict=True)
        theirs = [_private(planes, SIEMENS_G), [sum(parts, ()) for parts in philips]]
        for image in (_private(planes, UIH_G), _canon(planes)):
            theirs.append([_in_patient(plane, one) for plane, one in zip(planes, image, strict=True)])
        for ways in theirs:
            found = [mine if mine is not None else one or None for mine, one in zip(found, ways, strict=True)]
    return [_unit(way) for way in found]


def _canon(planes: Sequence[Plane]) -> list[tuple[float, ...]]:
    """Canon writes it as text, relative to the phase encoding: known (by dcm2niix) where that is along the columns."""
    said = [column(planes, name) for name in ("Manufacturer", "ImageComments", "InPlanePhaseEncodingDirection")]
    found: list[tuple[float, ...]] = []
    for maker, comment, phase in zip(*said, strict=True):
        theirs = str(maker).upper().startswith(("CANON", "TOSHIBA")) and phase == "COL" and isinstance(comment, str)
        match = _COMMENT.fullmatch(phi.real(comment).strip()) if theirs else None
        along, across, normal_part = (float(part) for part in match.groups()) if match else (0.0, 0.0, 0.0)
        found.append((-across, -along, normal_part) if match else ())
    return found


def _in_patient(plane: Plane, way: tuple[Any, ...]) -> tuple[Any, ...]:
    """A direction given along the rows, the columns and the normal of an image."""
    if len(way) != 3 or plane.orientation is None or not all(isinstance(part, float) for part in way):
        return ()
    six = np.array(plane.orientation)
    turned = np.stack([six[:3], six[3:], normal(six)], axis=1) @ np.array(way)
    return tuple(turned.tolist())


def _unit(way: Any) -> tuple[float, ...] | None:
    if not isinstance(way, tuple) or len(way) != 3 or not all(isinstance(part, int | float) for part in way):
        return None
    length = float(np.linalg.norm(way))
    return tuple(float(part) for part in way) if np.isfinite(length) and length > 1e-6 else None


def accompanying(planes: NDArray[Any], front: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Coordinates beside those of the axes: the direction of the gradient, and when each volume was acquired.

    Parameters
    ----------
    planes
        Of `Plane`, shape (..., z).
    front
        Names of the axes in front of z.
    """
    flat = list(planes.flat)
    if "b_value" in front:
        axis = front.index("b_value")
        ways = directions(flat)
        if any(ways):
            # The average over the planes of a volume: they have the same.
            each = np.array([way or (0.0, 0.0, 0.0) for way in ways]).reshape(*planes.shape, 3)
            each = np.moveaxis(each, axis, 0).reshape(planes.shape[axis], -1, 3)
            if np.ptp(each, axis=1).max() < 1e-3:
                for index, name in enumerate("xyz"):
                    yield f"gradient_{name}", ("b_value", each[:, 0, index], {"long_name": "patient direction, LPS"})
    seconds = acquired(flat)
    if seconds is not None and front:
        starts = seconds.reshape(planes.shape).min(axis=-1)
        if np.ptp(starts) > 0:
            yield "acquisition_time", (front, starts - starts.min(), {"units": "s", "long_name": "since the first"})


def acquired(planes: Sequence[Plane]) -> Floats | None:
    """When each was acquired, seconds; None where one does not say."""
    whole = column(planes, "AcquisitionDateTime")
    pairs = zip(column(planes, "AcquisitionDate"), column(planes, "AcquisitionTime"), strict=True)
    found = []
    try:
        for moment, (day, clock) in zip(whole, pairs, strict=True):
            if isinstance(clock, str):
                found.append((moments.date(day) if isinstance(day, str) else 0) + moments.time(clock))
            elif isinstance(moment, str):
                found.append(moments.moment(moment))
            else:
                return None
    except ValueError:
        return None
    return (np.array(found, np.int64) - min(found)) / 1e9
