"""Functional groups: what a multi-frame object says of all its frames, or of one, and how its frames lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..elements import Elements, tag_of
from ..errors import BadData, GeometryError
from ..geometry import REGULAR, SAME_DIRECTION, STRAIGHT, Floats, Grid, distinct, normal, stack

SHARED, EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
TAGS = frozenset(map(tag_of, (SHARED, EACH)))
MOST_PLANES = 10_000  # of a grid whose absent planes are filled in


class Groups:
    """Functional groups of an object of `frames` frames (PS3.3 C.7.6.16).

    Raises
    ------
    BadData
        There are groups for another number of frames.
    """

    def __init__(self, header: Elements, frames: int) -> None:
        shared = header.items(SHARED)
        self.frames = frames
        self._each = header.items(EACH)
        self._shared: Elements | None = shared[0] if shared else None
        self._known: dict[str, Elements | None] = {}
        if self._each and len(self._each) != frames:
            raise BadData(f"PerFrameFunctionalGroupsSequence describes {len(self._each)} frames, there are {frames}")

    def item(self, frame: int, macro: str) -> Elements | None:
        """The first item of a macro's sequence, of that frame or of all; None where neither has it."""
        if self._each and macro in self._each[frame]:
            items = self._each[frame].items(macro)
            if items:
                return items[0]
        if macro not in self._known:
            items = self._shared.items(macro) if self._shared is not None else []
            self._known[macro] = items[0] if items else None
        return self._known[macro]

    def items(self, frame: int, macro: str) -> list[Elements]:
        """All items of a macro's sequence."""
        if self._each and macro in self._each[frame]:
            return self._each[frame].items(macro)
        return self._shared.items(macro) if self._shared is not None else []

    def column(self, macro: str, keyword: str, count: int) -> list[tuple[float, ...] | None]:
        """`count` numbers of an attribute for each frame; None where a frame has not that many."""
        return [numbers(self.item(frame, macro), keyword, count) for frame in range(self.frames)]


def numbers(item: Elements | None, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers of an attribute, or None."""
    value: Any = None if item is None else item.get(keyword)
    values = value if isinstance(value, tuple) else (value,)
    if len(values) != count or not all(isinstance(one, int | float) and isfinite(one) for one in values):
        return None
    return tuple(float(one) for one in values)


@dataclass(frozen=True)
class Laid:
    """Where the frames of an object lie."""

    grid: Grid
    orientation: tuple[float, ...]
    place: NDArray[np.intp]  # (frames,) the plane of the grid each frame is


def lay(groups: Groups, shape: tuple[int, int], *, absent: bool = False) -> Laid:
    """The grid of frames in any order, several of which may lie at one position.

    Parameters
    ----------
    groups
        With Plane Position, Plane Orientation and Pixel Measures.
    shape
        Rows, columns.
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
    at = _all(groups.column("PlanePositionSequence", "ImagePositionPatient", 3), "ImagePositionPatient")
    points = np.array(at, np.float64)
    turns = _all(groups.column("PlaneOrientationSequence", "ImageOrientationPatient", 6), "ImageOrientationPatient")
    spacings = _all(groups.column("PixelMeasuresSequence", "PixelSpacing", 2), "PixelSpacing")
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
    measures = groups.item(0, "PixelMeasuresSequence")
    between, thick = (numbers(measures, name, 1) for name in ("SpacingBetweenSlices", "SliceThickness"))
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


def _all(values: Sequence[tuple[float, ...] | None], name: str) -> list[tuple[float, ...]]:
    found = [value for value in values if value is not None]
    if len(found) < len(values) or not found:
        frame = next((number for number, value in enumerate(values, 1) if value is None), 1)
        raise GeometryError(f"frame {frame} of {len(values)} has no {name}")
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
