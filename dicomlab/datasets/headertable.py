"""The headers of many files side by side: whole columns as they are encoded, and Elements of a row on demand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import BadFile
from .elements import Elements
from .encoding import vr_of
from .extents import Extents
from .lockstep import Integers, Mask
from .part10 import FileMeta

SYNTAX, CLASS, INSTANCE = 0x00020010, 0x00020002, 0x00020003
META: Final = (CLASS, INSTANCE, SYNTAX)
PIXEL_VR: Final = {0x7FE00010: "OW", 0x7FE00008: "OF", 0x7FE00009: "OD"}  # where implicit
_TEXTS: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"))
_ALL: Final = slice(None)
_ROWS: Final = 256  # whose places are listed at a time


class Headers(Sequence[Elements]):
    """The headers of many files: a sequence of Elements that are made when they are asked for.

    Attributes
    ----------
    paths
        One file a row.
    errors
        Row to the error that `part10.parse_file` raises for the file.
    sizes
        int64 (rows,). Bytes of the files; -1 where `exact` or bad.
    pixel_at, pixel_length
        int64 (rows,). Offset and length of the value of the pixel data in the file, -1 without; the length is
        0xFFFFFFFF where it is encapsulated.
    masked
        Whether the values that `text` and the Elements give are pseudonyms (see phi.py).
    exact
        Rows that `part10.parse_file` has read.
    """

    def __init__(self, paths: list[str], wanted: frozenset[int], tags: Sequence[int]) -> None:
        rows = len(paths)
        self.paths = paths
        self.wanted = wanted
        self.errors: dict[int, BadFile] = {}
        self.tags = tuple(tags)
        self.data = b""  # all values
        self.extents = Extents.absent(len(tags), rows)  # of the values in `data`, attributes in the order of `tags`
        self.implicit: Mask = np.zeros(rows, bool)
        self.data_set, self.ends, self.sizes, self.pixel_at, self.pixel_length, self.pixel_tag = (
            np.full(rows, -1, np.int64) for _ in range(6)
        )
        self.pixel_vr: NDArray[np.uint16] = np.zeros(rows, np.uint16)
        self._described = False
        self.masked = False
        self._next = 0
        self._listed: tuple[int, list[list[list[int]]]] | None = None
        self.made: dict[int, Elements] = {}
        self.metas: dict[int, FileMeta] = {}
        self.slots = {tag: slot for slot, tag in enumerate(tags)}

    @property
    def exact(self) -> set[int]:
        return set(self.metas)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, row: int) -> Elements: ...

    @overload
    def __getitem__(self, row: slice) -> list[Elements]: ...

    def __getitem__(self, row: int | slice) -> Elements | list[Elements]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        if row in self.errors:
            raise self.errors[row]
        if row not in self.made:
            self.made[row] = self._elements(row)
        self.made[row].masked = self.masked
        return self.made[row]

    def _elements(self, row: int) -> Elements:
        implicit = bool(self.implicit[row])
        raw: dict[int, tuple[str, bytes]] = {}
        data, where = self.data, self._where(row)
        for tag, start, length, vr in zip(self.tags, *where, strict=True):
            if length >= 0 and tag not in META:
                raw[tag] = (vr_of(tag) if implicit else _letters(vr), data[start : start + length])
        tag = int(self.pixel_tag[row])
        pixels = None
        if tag >= 0:
            vr_text = PIXEL_VR[tag] if implicit else _letters(int(self.pixel_vr[row]))
            pixels = (vr_text, int(self.pixel_at[row]), int(self.pixel_length[row]))
        made = Elements(raw, implicit, int(self.ends[row]), pixels)
        if self._described:
            self.meta(row).tell(made)
        return made

    def _where(self, row: int) -> list[list[int]]:
        """Starts, lengths and VRs of one row; of many rows at a time where they are asked for one after the other."""
        part, inside = divmod(row, _ROWS)
        in_turn, self._next = row == self._next, row + 1
        if self._listed is None or self._listed[0] != part:
            if not in_turn:
                return self.extents.row(row)
            self._listed = part, self.extents.rows(slice(part * _ROWS, (part + 1) * _ROWS))
        return self._listed[1][inside]

    def described(self) -> Headers:
        """These, with the transfer syntax among the elements of each as (0002,0010).

        The SOP class and instance are those of the file meta where a data set has none.
        """
        self._described, self._listed = True, None
        for tag, of_meta in ((0x00080016, CLASS), (0x00080018, INSTANCE)):
            if tag not in self.slots:
                continue
            slot, other = self.slots[tag], self.slots[of_meta]
            lacking = np.flatnonzero((self.extents.column(slot)[1] < 0) & (self.extents.column(other)[1] > 0))
            found = {row: uid for row in lacking.tolist() if (uid := self._text(of_meta, row).encode("latin-1"))}
            if found:
                lengths = list(map(len, found.values()))
                starts = (np.cumsum([len(self.data), *lengths])[:-1]).tolist()
                self.extents = self.extents.put(slot, list(found), starts, lengths)
                self.data = b"".join([self.data, *found.values()])
        for row, elements in self.made.items():
            self.meta(row).tell(elements)
        return self

    def meta(self, row: int) -> FileMeta:
        """What the file meta says, as `part10.parse_file` gives it."""
        if row in self.errors:
            raise self.errors[row]
        if row in self.metas:
            return self.metas[row]
        syntax, sop_class, sop_instance = (self._text(tag, row) for tag in (SYNTAX, CLASS, INSTANCE))
        return FileMeta(syntax, sop_class, sop_instance, int(self.data_set[row]))

    def _text(self, tag: int, row: int) -> str:
        return self.value(tag, row)[0].decode("latin-1").strip(" \0")

    def cells(self, tag: int) -> tuple[bytes, Integers, Integers, NDArray[np.uint16]]:
        """The values of one attribute: a buffer that holds them, their offsets, lengths (-1 absent) and VRs.

        The VRs are two letters as a little-endian number, 0 where implicit.
        """
        starts, lengths, vrs = self.extents.column(self.slots[tag])
        return self.data, starts.astype(np.int64), lengths.astype(np.int64), vrs.astype(np.uint16)

    def value(self, tag: int, row: int) -> tuple[bytes, str]:
        """One value as it is encoded (b"" where it is absent), and its VR ("" where that is not encoded)."""
        start, length, vr = self.extents.cell(self.slots[tag], row)
        return self.data[start : start + max(length, 0)], _letters(vr) if vr else ""

    def text(self, tag: int, row: int) -> str:
        """The first value of an attribute as text, as `Elements.text` gives it."""
        value, vr = self.value(tag, row)
        if not self.masked and (vr or vr_of(tag)) in _TEXTS and value.isascii() and b"\x1b" not in value:
            text = value.decode("ascii").partition("\\")[0].strip(" \0")
            if text.isprintable():
                return text
        return self[row].text(tag)

    def values(self, tag: int, rows: slice = _ALL) -> list[bytes | None]:
        """The values of one attribute as they are encoded, None where it is absent."""
        data, starts, lengths, _ = self.cells(tag)
        starts, lengths = starts[rows], lengths[rows]
        ends = np.where(lengths < 0, -1, starts + lengths)
        return [
            data[start:end] if end >= 0 else None for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

    def take(self, rows: Iterable[int] | NDArray[np.intp]) -> Headers:
        """The headers of these rows, in that order."""
        order = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), np.intp)
        made = Headers.__new__(Headers)
        made.__dict__ |= self.__dict__
        made._listed = None
        listed = order.tolist()
        made.paths = [self.paths[row] for row in listed]
        made.extents = self.extents.take(order)
        for name in ("implicit", "data_set", "ends", "sizes", "pixel_at", "pixel_length", "pixel_tag", "pixel_vr"):
            setattr(made, name, getattr(self, name)[order])
        for name in ("errors", "made", "metas"):
            known = getattr(self, name)
            setattr(made, name, {new: known[old] for new, old in enumerate(listed) if old in known} if known else {})
        return made


@lru_cache(maxsize=256)
def _letters(vr: int) -> str:
    return vr.to_bytes(2, "little").decode("latin-1")
