"""Where the values of many headers lie; what neighbours have in common is held once for them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.integer[Any]]  # (3, attributes, rows or groups): start, length (-1 absent) and VR of each value
Changes = NDArray[np.bool_]
OFTEN: Final = 8  # an attribute varies where more than every eighth row has another value than the row before
_NARROW: Final = np.iinfo(np.int32).max


class Extents:
    """Start, length and VR of each attribute of each row.

    The files of a series have most values in common, which were read once then. So an attribute is steady, and held for
    groups of rows in which none of the steady ones changes, or it varies, and is held row by row.

    Parameters
    ----------
    varies
        (attributes,). Which of them vary.
    group
        (rows,). The group of each row.
    steady
        Table of the steady attributes: (3, attributes, groups).
    varying
        Table of the others: (3, attributes, rows).
    """

    def __init__(self, varies: Changes, group: NDArray[np.uint32], steady: Table, varying: Table) -> None:
        self.varies, self.group, self.steady, self.varying = varies, group, steady, varying
        self._at = np.where(varies, np.cumsum(varies), np.cumsum(~varies)).tolist()  # 1 is the first of its table
        self._kind = varies.tolist()

    @classmethod
    def absent(cls, attributes: int, rows: int) -> Extents:
        """Of rows without any value."""
        nothing = np.array([0, -1, 0], np.int32)[:, None, None]
        steady = np.repeat(nothing, attributes, axis=1)
        group, varying = np.zeros(rows, np.uint32), np.zeros((3, 0, rows), np.int32)
        return cls(np.zeros(attributes, bool), group, steady, varying)

    @classmethod
    def of(cls, table: Table) -> Extents:
        """Of a table (3, attributes, rows)."""
        changes = (table[:, :, 1:] != table[:, :, :-1]).any(axis=0)
        varies = changes.sum(axis=1) * OFTEN > table.shape[2]
        group = np.zeros(table.shape[2], np.uint32)
        np.cumsum(changes[~varies].any(axis=0), out=group[1:])
        first = np.flatnonzero(np.diff(group, prepend=-1))
        return cls(varies, group, narrow(table[:, ~varies][:, :, first]), narrow(table[:, varies]))

    @classmethod
    def joined(cls, parts: Sequence[Extents]) -> Extents:
        """Those of the same attributes one behind the other."""
        rows = sum(len(part) for part in parts)
        varies = OFTEN * np.sum([len(part) * part.varies for part in parts], axis=0) > rows
        alike = [part._divided(varies) for part in parts]
        groups = np.cumsum([0, *(part.steady.shape[2] for part in alike[:-1])])
        group = [part.group + np.uint32(before) for part, before in zip(alike, groups.tolist(), strict=True)]
        steady = np.concatenate([part.steady for part in alike], axis=2)
        return cls(varies, np.concatenate(group), steady, np.concatenate([part.varying for part in alike], axis=2))

    def __len__(self) -> int:
        return len(self.group)

    def cell(self, attribute: int, row: int) -> list[int]:
        """Start, length and VR of one value."""
        at = self._at[attribute] - 1
        found = self.varying[:, at, row] if self._kind[attribute] else self.steady[:, at, self.group[row]]
        return found.tolist()  # type: ignore[no-any-return]

    def column(self, attribute: int) -> Table:
        """(3, rows). Those of one attribute."""
        at = self._at[attribute] - 1
        return self.varying[:, at] if self._kind[attribute] else self.steady[:, at, self.group]

    def row(self, row: int) -> list[list[int]]:
        """Starts, lengths and VRs of one row, by attribute."""
        found = np.empty((3, len(self.varies)), np.int64)
        found[:, ~self.varies], found[:, self.varies] = self.steady[:, :, self.group[row]], self.varying[:, :, row]
        return found.tolist()  # type: ignore[no-any-return]

    def rows(self, rows: slice) -> list[list[list[int]]]:
        """The same of many rows, each as `row` gives it."""
        group = self.group[rows]
        found = np.empty((3, len(self.varies), len(group)), np.int64)
        found[:, ~self.varies], found[:, self.varies] = self.steady[:, :, group], self.varying[:, :, rows]
        return found.transpose(2, 0, 1).tolist()  # type: ignore[no-any-return]

    def take(self, order: NDArray[np.intp]) -> Extents:
        """Those of these rows, in that order."""
        return Extents(self.varies, self.group[order], self.steady, self.varying[:, :, order])

    def put(self, attribute: int, rows: Sequence[int], starts: Sequence[int], lengths: Sequence[int]) -> Extents:
        """The same with values of one attribute that were not there."""
        varies = self.varies.copy()
        varies[attribute] = True
        made, at = self._divided(varies), int(np.cumsum(varies)[attribute]) - 1
        varying = made.varying.astype(np.int64)
        varying[0, at, rows], varying[1, at, rows] = starts, lengths
        return Extents(varies, made.group, made.steady, narrow(varying))

    def moved(self, by: NDArray[np.int64]) -> Extents:
        """The same with the values of each attribute so many bytes further on."""
        tables = [self.steady.astype(np.int64), self.varying.astype(np.int64)]
        for table, which in zip(tables, (~self.varies, self.varies), strict=True):
            table[0] += by[which][:, None]
        return Extents(self.varies, self.group, *map(narrow, tables))

    def gathered(self, data: bytes) -> tuple[Extents, bytes]:
        """The same where nothing is left of the values of other rows, in the order of these; and the bytes."""
        new = np.ones(len(self), bool)
        new[1:] = self.group[1:] != self.group[:-1]
        group = (np.cumsum(new) - 1).astype(np.uint32)
        tables = [self.steady[:, :, self.group[new]].astype(np.int64), self.varying.astype(np.int64)]
        values, parts, filled = np.frombuffer(data, np.uint8), [], 0
        for starts, lengths, _ in (one for table in tables for one in table.transpose(1, 0, 2)):
            sizes = np.maximum(lengths, 0)
            new = np.ones(len(starts), bool)  # and not what lies where the one before it does
            new[1:] = (starts[1:] != starts[:-1]) | (sizes[1:] != sizes[:-1])
            begins, sizes = starts[new], sizes[new]
            first, total = np.cumsum(sizes) - sizes, int(sizes.sum())
            parts.append(values[np.repeat(begins - first, sizes) + np.arange(total)].tobytes())
            starts[:] = first[np.cumsum(new) - 1] + filled
            filled += total
        return Extents(self.varies, group, *map(narrow, tables)), b"".join(parts)

    def _divided(self, varies: Changes) -> Extents:
        """The same with these attributes row by row and the others in groups."""
        if (varies == self.varies).all():
            return self
        group, steady = self.group, self.steady
        others = np.flatnonzero(~varies).tolist()
        if self.varies[others].any():  # a few rows of which the many others know nothing
            group = np.arange(len(self), dtype=np.uint32)
            steady = np.stack([self.column(slot) for slot in others], axis=1)
        else:
            steady = steady[:, [self._at[slot] - 1 for slot in others]]
        chosen = [self.column(slot) for slot in np.flatnonzero(varies).tolist()]
        varying = np.stack(chosen, axis=1) if chosen else np.zeros((3, 0, len(self)), np.int32)
        return Extents(varies, group, steady, varying)


def narrow(table: Table) -> Table:
    """A table in half the memory, unless it is to count to more than that can."""
    return table.astype(np.int32 if table.max(initial=0) <= _NARROW else np.int64, copy=False)
