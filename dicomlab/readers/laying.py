"""How the frames of a segmentation, a dose or a map lie: one grid, whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.elements import Elements, tag_of
from ..errors import GeometryError
from ..geometry.geometry import REGULAR, SAME_DIRECTION, STRAIGHT, Floats, Grid, distinct, normal, stack
from ..stacks.functionalgroups import Groups

POSITION, ORIENTATION, MEASURES = (
    tag_of(keyword) for keyword in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
)
MOST_PLANES = 10_000  # of a grid whose absent planes are filled in


def numbers(header: Elements, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers of an attribute, or None."""
    return many(header.get(keyword), count)


def many(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers that a value is, or None."""
    values = value if isinstance(value, tuple) else (value,)
    if len(values) != count or not all(isinstance(one, int | float) and isfinite(one) for one in values):
        return None
    return tuple(float(one) for one in values)


@dataclass(frozen=True)
class Laid:
    """Where the frames of an object lie."""

    grid: Grid
    orientation: tuple[float, ...]
    place: NDArray[np.intp]  # the plane of the grid each of the frames is


def lay(groups: Groups, shape: tuple[int, int], frames: Sequence[int] | None = None, *, absent: bool = False) -> Laid:
    """The grid of frames in any order, several of which may lie at one position.

    Parameters
    ----------
    groups
        With `POSITION`, `ORIENTATION` and `MEASURES`.
    shape
        Rows, columns.
    frames
        Their indices; None: all.
    absent
        Frames may be left out where they would be empty: planes that are missing between others are part of the
        grid, where the steps are whole multiples of SpacingBetweenSlices, or else of the smallest step.

    Raises
    ------
    GeometryError
        A frame has no position, orientation or spacing, they differ in direction or spacing, or they lie beside
        each other in one plane.

    References
    ----------
    PS3.3 C.7.6.16.2
    """
    chosen = range(groups.frames) if frames is None else frames
    points = np.array(_all(groups, POSITION, "ImagePositionPatient", 3, chosen), np.float64)
    turns = _all(groups, ORIENTATION, "ImageOrientationPatient", 6, chosen)
    spacings = _all(groups, MEASURES, "PixelSpacing", 2, chosen)
    if np.ptp(np.array(turns), axis=0).max() > SAME_DIRECTION:
        raise GeometryError("the frames have different orientations")
    if np.ptp(np.array(spacings), axis=0).max() > 1e-5:
        raise GeometryError("the frames have different PixelSpacing")
    orientation = turns[0]
    heights = points @ normal(orientation)
    place = distinct(heights)
    first = np.unique(place, return_index=True)[1]
    beside = float(np.linalg.norm(points - points[first][place], axis=1).max())
    if beside > STRAIGHT:
        raise GeometryError(f"frames lie beside each other in one plane ({beside:.2f} mm apart)")
    between, thick = (
        many(groups.column(MEASURES, tag_of(keyword))[chosen[0]], 1)
        for keyword in ("SpacingBetweenSlices", "SliceThickness")
    )
    planes = points[first]
    if absent and len(first) > 1:
        rank = _ranks(heights[first], between[0] if between else None)
        if rank is not None:
            place = rank[place]
            filled = planes[0] + np.arange(rank[-1] + 1)[:, None] / rank[-1] * (planes[-1] - planes[0])
            filled[rank] = planes
            planes = filled
    step = between or thick
    grid = stack(planes, orientation, (spacings[0][0], spacings[0][1]), shape, abs(step[0]) if step else None)
    return Laid(grid, orientation, place)


def _all(groups: Groups, group: int, keyword: str, count: int, frames: Sequence[int]) -> list[tuple[float, ...]]:
    column = groups.column(group, tag_of(keyword))
    found = []
    for frame in frames:
        value = many(column[frame], count)
        if value is None:
            raise GeometryError(f"frame {frame + 1} of {groups.frames} has no {keyword}")
        found.append(value)
    return found


def _ranks(heights: Floats, between: float | None) -> NDArray[np.intp] | None:
    """Numbers of sorted planes on the regular grid they are a part of; None where there is no such grid."""
    steps = np.diff(heights)
    for step in (abs(between or 0.0), float(steps.min())):
        if step <= REGULAR:
            continue
        many = np.round(steps / step)
        if (many < 1).any() or (np.abs(steps - many * step) > 2 * REGULAR).any() or many.sum() >= MOST_PLANES:
            continue
        rank = np.concatenate([[0], np.cumsum(many)]).astype(np.intp)
        even = (heights[-1] - heights[0]) / rank[-1]
        if np.abs(heights - heights[0] - rank * even).max() <= REGULAR:
            return rank
    return None
