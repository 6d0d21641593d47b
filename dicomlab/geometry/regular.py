"""A volume on a grid of its own that is regular: axes at right angles, one step along each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InvalidRequest
from . import geometry
from .geometry import AXES, Floats
from .positions import geometry_coordinate
from .resample import must_be_whole, onto
from .sides import axis_of_rows

CHOICES = ("planes", "patient")
_ALIKE = 1.01  # steps that differ by less are one step


def regular(
    array: xr.DataArray,
    spacing: float | Sequence[float] | None = None,
    axes: str = "planes",
    method: str | None = None,
    fill: Any = None,
) -> xr.DataArray:
    """See ``.dicom.regular``."""
    if axes not in CHOICES:
        raise InvalidRequest(f"axes is {axes!r}", advice='It is "planes" or "patient".')
    mine = array.dicom
    must_be_whole(array)
    matrix = mine.matrix
    if axes == "patient":
        mine._patient()
    target = geometry.canonical(_straightened(matrix) if axes == "planes" else np.eye(3))
    coordinates = {name: mine._coordinate(name) for name in AXES}
    steps = _wanted(spacing, mine.dims) or _own(array, coordinates, matrix, target, axes)
    ends = np.array([[values[0], values[-1]] for values in coordinates.values()])
    turn = np.linalg.solve(target, matrix)  # from the coordinates of the array to those of the grid
    corners = turn @ np.array(list(product(*ends))).T
    found = {}
    for number, name in enumerate(AXES):
        low, high, step = corners[number].min(), corners[number].max(), steps[name]
        count = int(np.ceil((high - low - geometry.REGULAR) / step)) + 1 if high - low > geometry.REGULAR else 1
        along = geometry.on_lattice(low + step * np.arange(count))
        backwards = float(turn[number] @ _ahead(coordinates)) < 0
        found[name] = along[::-1] if backwards else along
    grid = xr.DataArray(
        np.broadcast_to(np.zeros((), bool), tuple(len(found[name]) for name in mine.dims)),
        {name: (name, found[name], {"units": "mm"}) for name in mine.dims},
        mine.dims,
    )
    space = "" if mine.space == "patient" else mine.space
    spacing_of_one = (steps["x"], steps["y"], steps["z"])
    grid.coords["geometry"] = geometry_coordinate(target, mine.frame_of_reference, spacing_of_one, space)
    if mine.same_grid(grid):
        return array.copy()
    return onto(array, grid, method, fill)


def _straightened(matrix: Floats) -> Floats:
    """Axes at right angles: rows and columns as they are, and the normal of the planes for a tilted stack."""
    if np.abs(matrix.T @ matrix - np.eye(3)).max() <= geometry.SAME_DIRECTION:
        return matrix
    right = matrix[:, 0]
    down = matrix[:, 1] - (matrix[:, 1] @ right) * right
    across = np.cross(right, down)
    return np.stack([right, down, across], axis=1)


def _ahead(coordinates: dict[str, Floats]) -> Floats:
    """(3,) along which way each axis of the array runs."""
    return np.array([np.sign(values[-1] - values[0]) if len(values) > 1 else 1.0 for values in coordinates.values()])


def _own(
    array: xr.DataArray, coordinates: dict[str, Floats], matrix: Floats, target: Floats, axes: str
) -> dict[str, float]:
    """The step along each axis of the grid: that of the array's axis which runs along it, between planes the least."""
    steps = {name: _least(array, name, values) for name, values in coordinates.items()}
    if axes == "patient":
        return {name: steps[own] for name, own in zip(AXES, axis_of_rows(matrix), strict=True)}
    return {name: steps[name] * abs(float(target[:, n] @ matrix[:, n])) for n, name in enumerate(AXES)}


def _least(array: xr.DataArray, name: str, values: Floats) -> float:
    """The step of an axis; of unequal ones the least, so that nothing between two planes is lost."""
    even = geometry.step_of(values)
    if even is not None or len(values) == 1:
        return abs(float(even)) if even is not None else abs(array.dicom._step(name))
    steps = np.abs(np.diff(values))
    return float(np.median(steps[steps <= steps.min() * _ALIKE]))


def _wanted(spacing: float | Sequence[float] | None, dims: Sequence[str]) -> dict[str, float] | None:
    """The spacing that was asked for, by the name of its axis."""
    if spacing is None:
        return None
    given = [spacing] * 3 if isinstance(spacing, Real) else list(spacing) if isinstance(spacing, Sequence) else []
    good = [isinstance(one, Real) and not isinstance(one, bool) and 0.01 < float(one) < 1e4 for one in given]
    if len(given) != 3 or not all(good):
        raise InvalidRequest(
            f"a spacing of {spacing!r}",
            advice=f"Give a number of mm, or three of them for {', '.join(dims)}, above 0.01.",
        )
    return {name: float(one) for name, one in zip(dims, given, strict=True)}  # type: ignore[arg-type]
