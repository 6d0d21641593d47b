"""The headers of many files at once: a few microseconds each where they are plain, exact where they are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from .elements import Elements, FileMeta, parse_file
from .encoding import vr_of
from .errors import BadFile
from .lockstep import Integers, Mask, Places, walk_all
from .part10 import BIG_ENDIAN, DEFLATED, IMPLICIT

BATCH: Final = 2048  # files whose heads are held at a time
FEW = 24  # files that are read one by one: a walk of many is no quicker for them
#: Bytes read of a file at first; then, where that is not enough, from where the walk stopped. What is not decided by
#: then is read by `parse_file`.
WINDOWS: Final = (4096, 16384, 16384, 65536, 65536)
_TEXTS: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"))
_ROWS: Final = 256
_ROOM: Final = 16 << 20  # bytes of windows held at a time
_LONGEST_UID: Final = 1024  # as `part10` takes it
_APART: Final = 64  # bytes between windows: heads at multiples of 4096 would fall upon the same cache lines
_SYNTAX, _CLASS, _INSTANCE = 0x00020010, 0x00020002, 0x00020003
_META: Final = (_CLASS, _INSTANCE, _SYNTAX)
_FILE_META: Final = 0x0002  # group
_EXPLICIT, _IMPLICIT = 1, 2
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_PIXEL_VR: Final = {0x7FE00010: "OW", 0x7FE00008: "OF", 0x7FE00009: "OD"}  # where implicit


def read(
    paths: Sequence[str | os.PathLike[str]],
    wanted: frozenset[int],
    *,
    told: Callable[[int], object] | None = None,
) -> Headers:
    """The headers of many files, as `elements.parse_file` gives them one by one.

    Parameters
    ----------
    paths
        Of regular files.
    wanted
        Tags of the attributes to keep.
    told
        Called with the number of files read, after each; an exception raised in it ends the reading.

    Returns
    -------
    Headers
        One for each path. A file that cannot be used raises nothing: its error is in ``errors``.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> found = read([get_testdata_file("CT_small.dcm"), "/nowhere"], frozenset([0x00080060]))
    >>> found[0].text("Modality"), found.meta(0).transfer_syntax, list(found.errors)
    ('CT', '1.2.840.10008.1.2.1', [1])
    """
    reader = _Reader([os.fspath(path) for path in paths], wanted)
    for first in range(0, len(paths), BATCH):
        reader.batch(np.arange(first, min(first + BATCH, len(paths))), told)
    return reader.found()


class Headers(Sequence[Elements]):
    """The headers of many files: a sequence of Elements that are made when they are asked for.

    Attributes
    ----------
    paths
        One file a row.
    errors
        Row to the error that `elements.parse_file` raises for the file.
    sizes
        int64 (rows,). Bytes of the files; -1 where `exact` or bad.
    pixel_at, pixel_length
        int64 (rows,). Offset and length of the value of the pixel data in the file, -1 without; the length is
        0xFFFFFFFF where it is encapsulated.
    exact
        Rows that `elements.parse_file` has read.
    """

    def __init__(self, paths: list[str], wanted: frozenset[int], tags: Sequence[int]) -> None:
        rows, shape = len(paths), (len(tags), len(paths))
        self.paths = paths
        self.wanted = wanted
        self.errors: dict[int, BadFile] = {}
        self.tags = tuple(tags)
        self.data = b""  # all values
        self.starts: Integers = np.full(shape, -1, np.int64)  # of the values in `data`
        self.lengths: Integers = np.full(shape, -1, np.int32)
        self.vrs: NDArray[np.uint16] = np.zeros(shape, np.uint16)
        self.implicit: Mask = np.zeros(rows, bool)
        self.data_set, self.ends, self.sizes, self.pixel_at, self.pixel_length, self.pixel_tag = (
            np.full(rows, -1, np.int64) for _ in range(6)
        )
        self.pixel_vr: NDArray[np.uint16] = np.zeros(rows, np.uint16)
        self._described = False
        self._next = 0
        self._listed: tuple[int, list[list[list[int]]]] | None = None
        self._made: dict[int, Elements] = {}
        self._metas: dict[int, FileMeta] = {}
        self._slots = {tag: slot for slot, tag in enumerate(tags)}

    @property
    def exact(self) -> set[int]:
        return set(self._metas)

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
        if row not in self._made:
            self._made[row] = self._elements(row)
        return self._made[row]

    def _elements(self, row: int) -> Elements:
        implicit = bool(self.implicit[row])
        raw: dict[int, tuple[str, bytes]] = {}
        data, where = self.data, self._where(row)
        for tag, start, length, vr in zip(self.tags, *where, strict=True):
            if length >= 0 and tag not in _META:
                raw[tag] = (vr_of(tag) if implicit else _letters(vr), data[start : start + length])
        tag = int(self.pixel_tag[row])
        pixels = None
        if tag >= 0:
            vr_text = _PIXEL_VR[tag] if implicit else _letters(int(self.pixel_vr[row]))
            pixels = (vr_text, int(self.pixel_at[row]), int(self.pixel_length[row]))
        made = Elements(raw, implicit, int(self.ends[row]), pixels)
        if self._described:
            self._describe(row, made)
        return made

    def _where(self, row: int) -> list[list[int]]:
        """Starts, lengths and VRs of one row; of many rows at a time where they are asked for one after the other."""
        part, inside = divmod(row, _ROWS)
        in_turn, self._next = row == self._next, row + 1
        tables = (self.starts, self.lengths, self.vrs)
        if self._listed is None or self._listed[0] != part:
            if not in_turn:
                return [one[:, row].tolist() for one in tables]
            rows = slice(part * _ROWS, (part + 1) * _ROWS)
            self._listed = part, [one[:, rows].T.tolist() for one in tables]
        return [one[inside] for one in self._listed[1]]

    def described(self) -> Headers:
        """These, with the transfer syntax among the elements of each as (0002,0010).

        The SOP class and instance are those of the file meta where a data set has none.
        """
        self._described, self._listed = True, None
        parts, filled = [self.data], len(self.data)
        for tag, of_meta in ((0x00080016, _CLASS), (0x00080018, _INSTANCE)):
            slot, other = self._slots.get(tag), self._slots[of_meta]
            if slot is None:
                continue
            for row in np.flatnonzero((self.lengths[slot] < 0) & (self.lengths[other] > 0)).tolist():
                uid = self._text(of_meta, row).encode("ascii", "replace")
                if uid:
                    self.starts[slot, row], self.lengths[slot, row] = filled, len(uid)
                    parts.append(uid)
                    filled += len(uid)
        self.data = b"".join(parts) if len(parts) > 1 else self.data
        for row, elements in self._made.items():
            self._describe(row, elements)
        return self

    def _describe(self, row: int, elements: Elements) -> None:
        meta = self.meta(row)
        elements.raw[_SYNTAX] = ("UI", meta.transfer_syntax.encode("ascii", "replace"))
        for tag, uid in ((0x00080016, meta.sop_class), (0x00080018, meta.sop_instance)):
            if uid and tag not in elements.raw:
                elements.raw[tag] = ("UI", uid.encode("ascii", "replace"))

    def meta(self, row: int) -> FileMeta:
        """What the file meta says, as `elements.parse_file` gives it."""
        if row in self.errors:
            raise self.errors[row]
        if row in self._metas:
            return self._metas[row]
        syntax, sop_class, sop_instance = (self._text(tag, row) for tag in (_SYNTAX, _CLASS, _INSTANCE))
        return FileMeta(syntax, sop_class, sop_instance, int(self.data_set[row]))

    def _text(self, tag: int, row: int) -> str:
        return self.value(tag, row)[0].decode("latin-1").strip(" \0")

    def cells(self, tag: int) -> tuple[Any, Integers, Integers, NDArray[np.uint16]]:
        """The values of one attribute: a buffer that holds them, their offsets, lengths (-1 absent) and VRs.

        The VRs are two letters as a little-endian number, 0 where implicit.
        """
        slot = self._slots[tag]
        return self.data, self.starts[slot], self.lengths[slot].astype(np.int64), self.vrs[slot]

    def value(self, tag: int, row: int) -> tuple[bytes, str]:
        """One value as it is encoded (b"" where it is absent), and its VR ("" where that is not encoded)."""
        slot = self._slots[tag]
        start, length = int(self.starts[slot, row]), max(int(self.lengths[slot, row]), 0)
        vr = int(self.vrs[slot, row])
        return self.data[start : start + length], _letters(vr) if vr else ""

    def text(self, tag: int, row: int) -> str:
        """The first value of an attribute as text, as `Elements.text` gives it."""
        value, vr = self.value(tag, row)
        if (vr or vr_of(tag)) in _TEXTS and value.isascii() and b"\x1b" not in value:
            return value.decode("ascii").partition("\\")[0].strip(" \0")
        return self[row].text(tag)

    def values(self, tag: int) -> list[bytes | None]:
        """The values of one attribute as they are encoded, None where it is absent."""
        data, starts, lengths, _ = self.cells(tag)
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
        for name in ("starts", "lengths", "vrs"):
            setattr(made, name, getattr(self, name)[:, order])
        for name in ("implicit", "data_set", "ends", "sizes", "pixel_at", "pixel_length", "pixel_tag", "pixel_vr"):
            setattr(made, name, getattr(self, name)[order])
        for name in ("errors", "_made", "_metas"):
            known = getattr(self, name)
            setattr(made, name, {new: known[old] for new, old in enumerate(listed) if old in known} if known else {})
        return made


@lru_cache(maxsize=256)
def _letters(vr: int) -> str:
    return vr.to_bytes(2, "little").decode("latin-1")


class _Reader:
    """Fills `Headers`, a batch of files at a time."""

    def __init__(self, paths: list[str], wanted: frozenset[int]) -> None:
        self.made = Headers(paths, wanted, sorted({*wanted, *_META}))
        self.sure = np.zeros(len(paths), bool)
        self.parts: list[Any] = []  # of the buffer of values
        self.filled = 0
        self.unknown = [slot for slot, tag in enumerate(self.made.tags) if vr_of(tag) == "UN"]

    def found(self) -> Headers:
        self.made.data = b"".join(self.parts)
        return self.made

    def batch(self, rows: NDArray[np.intp], told: Callable[[int], object] | None) -> None:
        """Read some files."""
        if len(rows) < FEW:
            for row in rows.tolist():
                self._exactly(row)
                if told is not None:
                    told(row + 1)
            return
        window = self._windows(rows, np.zeros(len(rows), np.int64), WINDOWS[0], told)
        explicit, implicit = self._file_meta(window)
        self._data_sets(window, explicit, False)
        self._data_sets(window, implicit, True)
        for row in rows[~self.sure[rows]].tolist():
            self._exactly(row)

    def _windows(
        self, rows: NDArray[np.intp], offsets: Integers, size: int, told: Callable[[int], object] | None = None
    ) -> _Window:
        """Read `size` bytes of each file; what cannot be read is not there."""
        step = size + _APART
        data = np.empty(step * len(rows) + size, np.uint8)  # see `_gathered`: a value fits behind every offset
        view, got, sizes = data.data, [], []
        paths, flags, end, read_at = self.made.paths, _FLAGS, os.SEEK_END, getattr(os, "preadv", _read_at)
        at = 0
        for row, offset in zip(rows.tolist(), offsets.tolist(), strict=True):
            count = total = 0
            try:
                file = os.open(paths[row], flags)
                try:
                    total = os.lseek(file, 0, end)  # cheaper than fstat, and no FIFO has one
                    count = read_at(file, [view[at : at + size]], offset)
                finally:
                    os.close(file)
            except (OSError, ValueError):
                total = 0
            got.append(count)
            sizes.append(total)
            at += step
            if told is not None:
                told(row + 1)
        starts = np.arange(len(rows), dtype=np.int64) * step
        return _Window(rows, data, starts, starts + got, offsets, np.array(sizes, np.int64))

    def _file_meta(self, window: _Window) -> tuple[Mask, Mask]:
        """Walk the file meta; which data sets are explicit and which implicit."""
        made, rows = self.made, window.rows
        begins = window.ends - window.starts >= 132 + 8
        mark = window.starts[begins][:, None] + np.arange(128, 132)
        begins[begins] = (window.data[mark] == np.frombuffer(b"DICM", np.uint8)).all(axis=1)
        chosen = np.flatnonzero(begins)
        one = window.take(chosen)
        begin = one.starts + 132
        places = walk_all(one.data, begin, one.ends, _META, implicit=False, totals=one.totals, group=_FILE_META)
        sure = places.sure & (places.lengths <= _LONGEST_UID).all(axis=0)
        self._store(one, places, sure)
        made.data_set[one.rows] = places.stops - one.starts
        made.sizes[rows] = window.sizes
        slot = places.tags.index(_SYNTAX)
        starts, lengths = places.starts[slot, sure], np.maximum(places.lengths[slot, sure], 0)
        data, starts = _gathered(window.data, starts, lengths)
        bounds = zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        syntaxes = [data[start:end] for start, end in bounds]
        kinds = {syntax: _kind(syntax) for syntax in set(syntaxes)}
        kind = np.zeros(len(rows), np.int64)
        kind[chosen[sure]] = [kinds[syntax] for syntax in syntaxes]
        return kind == _EXPLICIT, kind == _IMPLICIT

    def _data_sets(self, window: _Window, which: Mask, implicit: bool) -> None:
        """Walk the data sets, with further windows where one is too short."""
        window = window.take(np.flatnonzero(which))
        self.made.implicit[window.rows] = implicit
        self._walk(window, window.starts + self.made.data_set[window.rows], implicit, WINDOWS[1:])

    def _walk(self, window: _Window, at: Integers, implicit: bool, further: Sequence[int]) -> None:
        if not len(window.rows):
            return
        tags = sorted(self.made.wanted)
        places = walk_all(
            window.data, at, window.ends, tags, implicit=implicit, totals=window.totals, leave_few=FEW > 0
        )
        self._finish(window, places, implicit)
        more = np.flatnonzero(places.more)
        if not len(more) or not further:
            return
        rows, offsets = window.rows[more], (places.stops - window.starts + window.offsets)[more]
        many = _ROOM // further[0]
        for first in range(0, len(rows), many):
            part = slice(first, first + many)
            window = self._windows(rows[part], offsets[part], further[0])
            self._walk(window, window.starts, implicit, further[1:])

    def _finish(self, window: _Window, places: Places, implicit: bool) -> None:
        """Keep what a walk found."""
        made, sure, rows = self.made, places.sure, window.rows
        self._store(window, places, sure | places.more)
        self.sure[rows] = sure
        if implicit and self.unknown:  # a sequence of undefined length, or bytes: `encoding.walk` tells
            self.sure[rows] &= (made.lengths[self.unknown][:, rows] < 0).all(axis=0)
        shift = window.offsets - window.starts
        made.ends[rows] = places.stops + shift
        image = sure & (places.pixel_tags >= 0)
        rows, shift = rows[image], shift[image]
        made.pixel_at[rows], made.pixel_length[rows] = places.pixel_starts[image] + shift, places.pixel_lengths[image]
        made.pixel_tag[rows], made.pixel_vr[rows] = places.pixel_tags[image], places.pixel_vrs[image]

    def _store(self, window: _Window, places: Places, which: Mask) -> None:
        """Take the values of these data sets out of their windows."""
        made, rows = self.made, window.rows
        for tag, starts, lengths, vrs in zip(places.tags, places.starts, places.lengths, places.vrs, strict=True):
            present = np.flatnonzero((lengths >= 0) & which)
            if not len(present):
                continue
            starts, lengths = starts[present], lengths[present]
            data, apart = _gathered(window.data, starts, lengths)
            where = made._slots[tag], rows[present]
            made.starts[where], made.lengths[where], made.vrs[where] = apart + self.filled, lengths, vrs[present]
            self.parts.append(data)
            self.filled += len(data)

    def _exactly(self, row: int) -> None:
        """Read one file as `parse_file` does."""
        made = self.made
        made.sizes[row] = made.pixel_at[row] = made.pixel_length[row] = -1
        made.lengths[:, row] = -1
        try:
            meta, elements = parse_file(made.paths[row], wanted=made.wanted)
        except BadFile as error:
            made.errors[row] = error
            return
        made._metas[row], made._made[row] = meta, elements
        made.implicit[row] = elements.implicit
        values = dict(elements.raw)
        for tag, text in ((_SYNTAX, meta.transfer_syntax), (_CLASS, meta.sop_class), (_INSTANCE, meta.sop_instance)):
            values[tag] = ("UI", text.encode("ascii", "replace"))
        for tag, (vr, value) in values.items():
            slot = made._slots[tag]
            made.starts[slot, row], made.lengths[slot, row] = self.filled, len(value)
            made.vrs[slot, row] = 0 if elements.implicit else int.from_bytes(vr.encode("latin-1"), "little")
            self.parts.append(value)
            self.filled += len(value)
        if elements.pixels is not None:
            made.pixel_at[row], made.pixel_length[row] = elements.pixels[1:]


@dataclass(frozen=True)
class _Window:
    """A part of each of some files, side by side in one buffer."""

    rows: NDArray[np.intp]
    data: NDArray[np.uint8]
    starts: Integers  # in `data`
    ends: Integers
    offsets: Integers  # in the files
    sizes: Integers  # of the files

    @property
    def totals(self) -> Integers:
        """Where the files would end in `data`."""
        return self.starts - self.offsets + self.sizes

    def take(self, chosen: NDArray[np.intp]) -> _Window:
        if len(chosen) == len(self.rows):
            return self
        one = (array[chosen] for array in (self.starts, self.ends, self.offsets, self.sizes))
        return _Window(self.rows[chosen], self.data, *one)


def _gathered(data: NDArray[np.uint8], starts: Integers, lengths: Integers) -> tuple[bytes, Integers]:
    """Values out of a buffer, one behind the other, and where each is then; what is between them does not matter."""
    if not len(starts):
        return b"", starts
    width = int(lengths.max())
    if 0 < width * len(starts) <= 4 * int(lengths.sum()):  # of much the same length: as records of one width
        records = np.ndarray((len(data) - width + 1,), f"V{width}", data, 0, (1,))
        return records[starts].tobytes(), np.arange(len(starts)) * width
    ends = np.cumsum(lengths)
    first = ends - lengths
    return data[np.repeat(starts - first, lengths) + np.arange(int(lengths.sum()))].tobytes(), first


def _kind(syntax: bytes) -> int:
    """Explicit or implicit little endian, or 0 for what the walk of many is not for."""
    uid = syntax.decode("latin-1").strip(" \0")
    if uid in ("", BIG_ENDIAN, DEFLATED) or not uid.isascii():
        return 0
    return _IMPLICIT if uid == IMPLICIT else _EXPLICIT


def _read_at(file: int, views: list[memoryview], offset: int) -> int:
    """`os.preadv` for Windows, which has none."""
    os.lseek(file, offset, os.SEEK_SET)
    found = os.read(file, len(views[0]))
    views[0][: len(found)] = found
    return len(found)
