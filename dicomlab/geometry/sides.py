"""Sides of the patient to places in an array: what ``volume.dicom.sel(S=-35, A=slice(0, 40))`` takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import permutations
from numbers import Real
from typing import Any

import numpy as np

from ..errors import GeometryError, InvalidRequest
from .geometry import AXES, Floats

#: Patient axis (of LPS) and sign of each side; H and F are the head and the feet.
SIDES = {
    "L": (0, 1),
    "R": (0, -1),
    "P": (1, 1),
    "A": (1, -1),
    "S": (2, 1),
    "I": (2, -1),
    "H": (2, 1),
    "F": (2, -1),
}


def indices(
    sides: Mapping[str, Any],
    matrix: Floats,
    coordinates: Mapping[str, Floats],
    dims: Collection[str],
    step: Callable[[str], float],
) -> dict[str, Any]:
    """Index of each dimension that the sides name.

    Parameters
    ----------
    sides
        Letter to mm on that side of the patient, or a slice of them.
    matrix
        M: position in the patient = M @ (x, y, z).
    coordinates
        Of x, y and z, mm.
    dims
        Those of them that are dimensions still.
    step
        From the name of a dimension of length 1 to its spacing.

    Raises
    ------
    InvalidRequest
        A letter is none of R L A P S I, two of them name one axis, or a range has a step.
    GeometryError
        The place lies outside, or its dimension is gone.
    """
    wanted = _wanted(sides)
    inverse = np.linalg.inv(matrix)
    point = matrix @ np.array([coordinates[name].mean() for name in AXES])
    for row, (_, value, sign) in wanted.items():
        if not isinstance(value, slice):
            point[row] = sign * float(value)
    found: dict[str, Any] = {}
    for row, (letter, value, sign) in wanted.items():
        name = axis_of_rows(matrix)[row]
        if name not in dims:
            raise GeometryError(f"the array has no dimension along {letter} any more")
        axis, values = AXES.index(name), coordinates[name]
        if isinstance(value, slice):
            slope = sign * inverse[axis, row]
            here = float(inverse[axis] @ point) - inverse[axis, row] * point[row]
            ends = [
                here + slope * float(end) if end is not None else open_end * np.sign(slope) * np.inf
                for end, open_end in ((value.start, -1), (value.stop, 1))
            ]
            found[name] = np.flatnonzero((values >= min(ends) - 1e-3) & (values <= max(ends) + 1e-3))
            if not len(found[name]):
                raise GeometryError(f"no voxels between {letter}={value.start} and {letter}={value.stop}")
        else:
            place = float(inverse[axis] @ point)
            nearest = int(np.argmin(np.abs(values - place)))
            reach = abs(step(name)) if len(values) == 1 else float(np.abs(np.diff(values)).max())
            if abs(values[nearest] - place) > reach:
                raise GeometryError(f"{letter}={value} is outside: {name} is {values.min():g} to {values.max():g} mm")
            found[name] = nearest
    return found


def _wanted(sides: Mapping[str, Any]) -> dict[int, tuple[str, Any, int]]:
    """By patient axis: the letter, the place or range, the sign."""
    wanted: dict[int, tuple[str, Any, int]] = {}
    for letter, value in sides.items():
        if letter.upper() not in SIDES:
            raise InvalidRequest(f"{letter!r} is no side of a patient", advice="Use R, L, A, P, S or I.")
        row, sign = SIDES[letter.upper()]
        if row in wanted:
            raise InvalidRequest(f"{wanted[row][0]} and {letter} name one axis")
        if isinstance(value, slice) and value.step is not None:
            raise InvalidRequest("a range of patient coordinates takes no step")
        ends = (value.start, value.stop) if isinstance(value, slice) else (value,)
        if not all(_number(end) or (end is None and isinstance(value, slice)) for end in ends):
            raise InvalidRequest(f"{letter}={value!r} is no place", advice="Give mm, or a slice of them.")
        wanted[row] = (letter, value, sign)
    return wanted


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def axis_of_rows(matrix: Floats) -> tuple[str, str, str]:
    """For patient x, y, z the array's axis that runs along it: the assignment with the largest components."""
    size = np.abs(matrix)
    best = max(permutations(range(3)), key=lambda order: sum(size[row, order[row]] for row in range(3)))
    return (AXES[best[0]], AXES[best[1]], AXES[best[2]])
