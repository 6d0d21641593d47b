"""Closed contours to masks: by scan lines, holes by exclusive or, each plane of contours a slab.

A voxel belongs to a structure where its centre is inside an odd number of the contours of one plane (XOR), so that
holes, nested parts and "keyhole" contours come out alike. Contours lie in planes; along the normal each plane
stands for a slab that reaches half way to the next. Tolerances in mm and pixels are stated here and nowhere else:

- ``FLAT`` 0.1 mm, or a quarter of a voxel that is smaller: points of one contour, and contours of one plane, lie
  within this of their plane.
- ``WIDE`` 10 mm: planes farther apart than this are no neighbours; each is as thick as a voxel of the volume.
- ``SNAP`` 1/512 pixel: points are rounded to it, so that contours drawn through the centres of pixels, written with
  few decimals, take or leave a whole edge.
- ``FINE`` 4: contours that lie across the planes of a volume are first filled with so many points a voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import GeometryError
from .geometry import AXES, Floats, canonical, distinct, step_of, unequal

FLAT = 0.1
WIDE = 10.0
SNAP = 1 / 512
FINE = 4
MOST = 2**29  # points of them in all

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Grid:
    """Coordinates of the voxels of a volume, whatever the order of its dimensions."""

    matrix: Floats  # (3, 3), position = matrix @ (x, y, z)
    coordinates: tuple[Floats, Floats, Floats]  # along x, y, z
    steps: tuple[float, float, float]  # signed, along x, y, z; of unequal z the smallest

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x)."""
        x, y, z = self.coordinates
        return len(z), len(y), len(x)


def grid_of(volume: xr.DataArray) -> _Grid:
    """The grid of a volume.

    Raises
    ------
    GeometryError
        It has none, or its rows or columns are not equally spaced.
    """
    matrix = volume.dicom.matrix
    spacing = volume.coords["geometry"].attrs["spacing"]
    coordinates, steps = [], []
    for number, name in enumerate(AXES):
        if name not in volume.dims:
            raise GeometryError(
                f"a mask needs the dimensions z, y and x, {name} is gone",
                advice="Keep a dimension of length 1: isel(z=[k]) instead of isel(z=k).",
            )
        values = np.asarray(volume.coords[name].values, np.float64)
        step = step_of(values) if len(values) > 1 else float(spacing[number])
        if step is None:
            if name != "z":
                raise GeometryError(f"spacing along {name} is not uniform: {unequal(values)}")
            step = float(np.abs(np.diff(values)).min())
        coordinates.append(values)
        steps.append(step)
    return _Grid(matrix, tuple(coordinates), tuple(steps))  # type: ignore[arg-type]


def fill(out: Mask, grid: _Grid, contours: Sequence[Floats], thick: float | None = None) -> None:
    """Set the voxels inside closed contours.

    Parameters
    ----------
    out
        bool (z, y, x) of False.
    grid
        Its grid.
    contours
        Points (n, 3) of each, patient mm, LPS.
    thick
        Extent of a plane of contours along its normal, mm; None: the distance between the planes.

    Raises
    ------
    GeometryError
        A contour is not flat, or contours lie in different directions.
    """
    points = np.concatenate(contours)
    which = np.repeat(np.arange(len(contours)), [len(contour) for contour in contours])
    local = np.linalg.solve(grid.matrix, points.T)
    planes = _planes(local[2], which, abs(grid.steps[2]))
    if planes is not None:
        x, y, z = grid.coordinates
        heights, plane = planes
        reach = _reach(heights, thick, abs(grid.steps[2]))
        chosen = _nearest(z, heights, reach)
        columns, rows = (local[0] - x[0]) / grid.steps[0], (local[1] - y[0]) / grid.steps[1]
        box, inside = _inside(rows, columns, which, plane, len(heights), grid.shape[1:])
        for k in np.flatnonzero(chosen >= 0):
            out[k][box] = inside[chosen[k]]
        return
    _across(out, grid, points, which, thick)


def _planes(heights: Floats, which: NDArray[np.intp], step: float) -> tuple[Floats, NDArray[np.intp]] | None:
    """Height of each plane of contours, and the plane of each point; None where a contour is not flat."""
    start = np.flatnonzero(np.diff(which, prepend=-1))
    low, high = np.minimum.reduceat(heights, start), np.maximum.reduceat(heights, start)
    flat = min(FLAT, step / 4)
    if (high - low).max() > 2 * flat:
        return None
    middle = (low + high) / 2
    place = distinct(middle, flat)
    count = np.bincount(place)
    return np.bincount(place, middle) / count, place[which]


def _reach(heights: Floats, thick: float | None, step: float) -> float:
    """Half the extent of a plane of contours along its normal, mm."""
    if thick is None and len(heights) > 1:
        between = float(np.median(np.diff(heights))) if len(heights) > 2 else float(heights[1] - heights[0])
        thick = between if between <= WIDE else None
    return (thick or step) / 2


def _nearest(z: Floats, heights: Floats, reach: float) -> NDArray[np.intp]:
    """For each z the number of the nearest plane of contours; -1 where that is farther than `reach`."""
    # Half open, so that of two planes just as far, the upper one is taken, and of two voxels the lower.
    lifted = z + SNAP * reach
    found = np.searchsorted((heights[1:] + heights[:-1]) / 2, lifted, side="right")
    off = lifted - heights[found]
    return np.where((off >= -reach) & (off < reach), found, -1)


def _inside(
    rows: Floats,
    columns: Floats,
    which: NDArray[np.intp],
    plane: NDArray[np.intp],
    planes: int,
    shape: tuple[int, int],
) -> tuple[tuple[slice, slice], Mask]:
    """The part of the rows and columns that contours touch, and there (planes, rows, columns) what is inside.

    Rows and columns of the points are in pixels, those of pixels' centres whole numbers.
    """
    rows, columns = (np.round(values / SNAP) * SNAP for values in (rows, columns))
    top, left = max(0, int(np.ceil(rows.min()))), max(0, int(np.ceil(columns.min())))
    bottom, right = min(shape[0], int(np.floor(rows.max())) + 1), min(shape[1], int(np.floor(columns.max())) + 1)
    box = slice(top, max(top, bottom)), slice(left, max(left, right))
    height, width = box[0].stop - top, box[1].stop - left
    toggled = np.zeros((planes, height, width + 1), np.bool_)
    if not height or not width:
        return box, toggled[..., :0]
    # Edges: from each point to the next, from the last of a contour to its first.
    after = np.arange(1, len(which) + 1)
    ends = np.flatnonzero(np.diff(which, append=-1))
    after[ends] = np.concatenate([[0], ends[:-1] + 1])
    start, stop = np.ceil(np.minimum(rows, rows[after])), np.ceil(np.maximum(rows, rows[after]))
    start, stop = np.clip(start, top, bottom).astype(np.intp), np.clip(stop, top, bottom).astype(np.intp)
    crossed = stop - start
    edge = np.repeat(np.arange(len(which)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + start[edge]
    slope = np.zeros(len(which))
    np.divide(columns[after] - columns, rows[after] - rows, out=slope, where=rows[after] != rows)
    column = np.ceil(np.round((columns[edge] + (row - rows[edge]) * slope[edge]) / SNAP) * SNAP)
    column = np.clip(column - left, 0, width).astype(np.intp)
    at = (plane[edge] * height + row - top) * (width + 1) + column
    odd, times = np.unique(at, return_counts=True)
    toggled.reshape(-1)[odd[times % 2 == 1]] = True
    # The parity of a running sum, which wraps at 256 and keeps it.
    return box, (np.cumsum(toggled, axis=2, dtype=np.uint8)[..., :width] & 1).view(np.bool_)


def _across(out: Mask, grid: _Grid, points: Floats, which: NDArray[np.intp], thick: float | None) -> None:
    """Contours whose planes are not those of the volume: filled on planes of their own, then looked up."""
    matrix = _own_axes(points, which)
    local = np.linalg.solve(matrix, points.T)
    voxel = min(abs(step) for step in grid.steps)
    planes = _planes(local[2], which, voxel)
    if planes is None:
        raise GeometryError("the contours do not lie in parallel planes")
    heights, plane = planes
    reach = _reach(heights, thick, voxel)
    corner, end = local[:2].min(axis=1), local[:2].max(axis=1)
    fine = max(voxel / FINE, float(np.sqrt(np.prod(end - corner) * len(heights) / MOST)))
    size = np.ceil((end - corner) / fine).astype(int) + 2
    columns, rows = (local[:2] - corner[:, None]) / fine
    box, inside = _inside(rows, columns, which, plane, len(heights), (int(size[1]), int(size[0])))
    turn = np.linalg.solve(matrix, grid.matrix)  # coordinates of the volume to those of the contours
    # Only voxels near the contours: their bounding box in indices, widened by the slab.
    ends = np.linalg.solve(grid.matrix, points.T)
    part = []
    for values, index in zip(grid.coordinates, ends, strict=True):
        near = np.flatnonzero((values >= index.min() - reach) & (values <= index.max() + reach))
        part.append(slice(int(near[0]), int(near[-1]) + 1) if len(near) else slice(0, 0))
    x, y, z = (values[some] for values, some in zip(grid.coordinates, part, strict=True))
    flat = turn[:, 0, None, None] * x[None, None, :] + turn[:, 1, None, None] * y[None, :, None]
    for k, one in enumerate(z, part[2].start):
        place = flat + (turn[:, 2] * one)[:, None, None]
        chosen = _nearest(place[2], heights, reach)
        column, row = (np.floor((place[i] - corner[i]) / fine + 0.5).astype(np.intp) for i in (0, 1))
        row, column = row - box[0].start, column - box[1].start
        sure = (chosen >= 0) & (row >= 0) & (row < inside.shape[1]) & (column >= 0) & (column < inside.shape[2])
        found: Any = out[k, part[1], part[0]]
        found[sure] = inside[chosen[sure], row[sure], column[sure]]


def _own_axes(points: Floats, which: NDArray[np.intp]) -> Floats:
    """M of the planes of the contours: two axes in them, the third across."""
    largest = int(np.bincount(which).argmax())
    some = points[which == largest]
    _, _, axes = np.linalg.svd(some - some.mean(axis=0), full_matrices=True)
    return canonical(axes.T)
