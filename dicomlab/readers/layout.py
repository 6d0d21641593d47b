"""Frames at positions to an array: what tells those at one position apart becomes axes in front of z."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..amounts import counted
from ..errors import GeometryError

Integers = NDArray[np.intp]


@dataclass(eq=False)
class Column:
    """An attribute of frames that may make an axis."""

    name: str  # of the axis
    ranks: Integers  # (frames,) the order along the axis; equal ranks are one place on it
    values: Sequence[Any]  # (frames,) numbers or text, None where unknown
    units: str = ""
    long_name: str = ""  # its keyword, or what it is
    beside: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # further coordinates, (frames,) each

    def tells(self, place: Integers) -> bool:
        """Whether it differs between frames of one position."""
        low = np.full(int(place.max()) + 1, np.iinfo(np.intp).max)
        high = np.full(int(place.max()) + 1, -1)
        np.minimum.at(low, place, self.ranks)
        np.maximum.at(high, place, self.ranks)
        return bool((low != high).any())


@dataclass
class Layout:
    """Which frame lies where."""

    cells: Integers  # (..., z) number of the frame
    front: tuple[str, ...] = ()
    coordinates: dict[str, tuple[str, Any, dict[str, str]]] = field(default_factory=dict)
    left: list[tuple[str, list[int]]] = field(default_factory=list)  # why, and the frames left out


def ranked(keys: Sequence[Any]) -> Integers:
    """The rank of each key among the different ones; None before all others.

    Examples
    --------
    >>> ranked([5.0, None, 2.0, 5.0]).tolist()
    [2, 0, 1, 2]
    """
    order = sorted(set(keys), key=lambda key: (key is not None, 0 if key is None else key))
    number = {key: rank for rank, key in enumerate(order)}
    return np.array([number[key] for key in keys], np.intp)


def within(place: Integers, ranks: Integers) -> Integers:
    """The rank among the frames of the same position, of what differs from position to position.

    Examples
    --------
    >>> within(np.array([0, 0, 1, 1]), np.array([3, 1, 2, 0])).tolist()
    [1, 0, 1, 0]
    """
    found = np.zeros(len(place), np.intp)
    for number in range(int(place.max()) + 1):
        here = np.flatnonzero(place == number)
        found[here] = np.unique(ranks[here], return_inverse=True)[1]
    return found


def lay_out(place: Integers, columns: Sequence[Column]) -> Layout:
    """Axes for the columns that are needed to tell the frames at one position apart.

    Parameters
    ----------
    place
        (frames,) number of the position along z.
    columns
        The first that tells frames apart is taken, then those that tell more.

    Raises
    ------
    GeometryError
        Frames at one position are alike in all columns, or no part of them is complete.
    """
    first = _needed(place, columns)
    tries = [first]
    for column in first:  # one that counts the frames leaves no room for those that order them
        try:
            tries.append(_needed(place, [other for other in columns if other is not column]))
        except GeometryError:
            continue
    for fill in (_complete, _complete_part):
        for chosen in tries:
            for parts in sorted(_partitions(chosen), key=len, reverse=True):
                made = fill(place, parts)
                if made is not None:
                    _describe(made, columns, parts)
                    return made
    names = ", ".join(column.name for column in first)
    positions = counted(int(place.max()) + 1, "position")
    raise GeometryError(f"{len(place)} frames at {positions} are incomplete along {names}")


def _ranks(place: Integers, parts: Sequence[Sequence[Column]]) -> tuple[list[Integers], tuple[int, ...]]:
    """The rank of each frame along each axis, and the shape of the array."""
    ranks = [*(_joined([column.ranks for column in part]) for part in parts), place]
    return ranks, tuple(int(rank.max()) + 1 for rank in ranks)


def _complete(place: Integers, parts: Sequence[Sequence[Column]]) -> Layout | None:
    """The frames on those axes if they fill them."""
    ranks, shape = _ranks(place, parts)
    if math.prod(shape) != len(place):
        return None
    cells = np.empty(shape, np.intp)
    cells[tuple(ranks)] = np.arange(len(place))
    return Layout(cells, tuple(part[0].name for part in parts))


def _complete_part(place: Integers, parts: Sequence[Sequence[Column]]) -> Layout | None:
    """The same without the entries of an axis that lack frames, if they are fewer than the others."""
    ranks, shape = _ranks(place, parts)
    if math.prod(shape) > 4 * len(place):
        return None
    cells = np.full(shape, -1, np.intp)
    cells[tuple(ranks)] = np.arange(len(place))
    for number in range(len(parts)):
        rows = _rows(cells, number)
        whole = np.atleast_1d((rows >= 0).all(axis=1))
        if 2 * whole.sum() > len(whole) or (len(parts) == 1 and whole.any()):
            name = parts[number][0].name
            made = Layout(np.compress(whole, cells, axis=number), tuple(part[0].name for part in parts))
            said = f"{int((~whole).sum())} of {len(whole)} along {name} lack frames and are left out"
            made.left.append((said, [int(frame) for frame in rows[~whole].ravel() if frame >= 0]))
            return made
    return None


def _needed(place: Integers, columns: Sequence[Column]) -> list[Column]:
    """The fewest columns, the first ones preferred, that give every frame a place of its own."""
    frames, code = len(place), place
    chosen: list[Column] = []
    for column in columns:
        if int(code.max()) + 1 == frames:
            break
        if column.tells(place) and column.name not in [known.name for known in chosen]:
            joined = _joined([code, column.ranks])
            if joined.max() > code.max():
                chosen.append(column)
                code = joined
    if int(code.max()) + 1 < frames:
        count = int(place.max()) + 1
        raise GeometryError(
            f"{frames} frames at {counted(count, 'position')}, and nothing tells those at one position "
            "apart (no dimension, time, echo, b-value or type)"
        )
    for column in chosen[:-1]:
        others = [other for other in chosen if other is not column]
        if int(_joined([place, *(other.ranks for other in others)]).max()) + 1 == frames:
            chosen = others
    return chosen


def _joined(ranks: Sequence[Integers]) -> Integers:
    """One rank for several, the first deciding first."""
    code = ranks[0]
    for rank in ranks[1:]:
        code = np.unique(code * (int(rank.max()) + 1) + rank, return_inverse=True)[1].reshape(-1)
    return code


def _partitions(columns: list[Column]) -> Iterator[list[list[Column]]]:
    """All ways to put columns together, in their order."""
    if not columns:
        yield []
        return
    *before, last = columns
    for parts in _partitions(before):
        yield [*parts, [last]]
        for number, part in enumerate(parts):
            yield [*parts[:number], [*part, last], *parts[number + 1 :]]


def _describe(made: Layout, columns: Sequence[Column], parts: Sequence[Sequence[Column]]) -> None:
    """Coordinates: of each axis, and of whatever else goes along one."""
    axes = list(enumerate(made.front))
    for number, axis in axes:
        main = parts[number][0]
        rows = _rows(made.cells, number)
        made.coordinates[axis] = (axis, _along(main, rows), _units(main))
        for name, values in main.beside.items():
            made.coordinates[name] = (axis, values[rows[:, 0]], {"long_name": "patient direction, LPS"})
    for column in columns:
        if column.name in made.coordinates or not np.ptp(column.ranks):
            continue
        for number, axis in axes:
            rows = _rows(made.cells, number)
            if not np.ptp(column.ranks[rows], axis=1).any() and len(rows) > 1:
                made.coordinates[column.name] = (axis, _along(column, rows), _units(column))
                break


def _rows(cells: Integers, number: int) -> Integers:
    return np.moveaxis(cells, number, 0).reshape(cells.shape[number], -1)


def _units(column: Column) -> dict[str, str]:
    said = {"units": column.units, "long_name": column.long_name}
    return {name: text for name, text in said.items() if text}


def _along(column: Column, rows: Integers) -> NDArray[Any]:
    """The value of each entry of an axis: the median of numbers, text as it is."""
    values = [[column.values[frame] for frame in row] for row in rows]
    if all(isinstance(value, str) or value is None for row in values for value in row):
        return np.array([next((value for value in row if value), "") for row in values])
    numbers = np.array([[np.nan if v is None else v for v in row] for row in values], np.float64)
    whole = all(isinstance(value, int) for row in values for value in row)
    found = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in numbers])
    return found.astype(np.int64) if whole and (found == np.round(found)).all() else found
