"""The headers of many files at once: a few microseconds each where they are plain, exact where they are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import BadFile
from .encoding import vr_of
from .extents import Extents
from .headertable import CLASS, INSTANCE, META, PIXEL_VR, SYNTAX, Headers
from .lockstep import Integers, Mask, Places, walk_all
from .part10 import parse_file
from .uids import BIG_ENDIAN, DEFLATED, IMPLICIT

__all__ = ["Headers", "read"]

BATCH: Final = 2048  # files whose heads are held at a time
FEW = 24  # files that are read one by one: a walk of many is no quicker for them
#: Bytes read of a file at first; then, where that is not enough, from where the walk stopped. What is not decided by
#: then is read by `parse_file`.
WINDOWS: Final = (4096, 16384, 16384, 65536, 65536)
_ROOM: Final = 16 << 20  # bytes of windows held at a time
_LONGEST_UID: Final = 1024  # as `part10` takes it
_APART: Final = 64  # bytes between windows: heads at multiples of 4096 would fall upon the same cache lines
_FILE_META: Final = 0x0002  # group
_EXPLICIT, _IMPLICIT = 1, 2
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def read(
    paths: Sequence[str | os.PathLike[str]],
    wanted: frozenset[int],
    *,
    told: Callable[[int], object] | None = None,
) -> Headers:
    """The headers of many files, as `part10.parse_file` gives them one by one.

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


class _Reader:
    """Fills `Headers`, a batch of files at a time."""

    def __init__(self, paths: list[str], wanted: frozenset[int]) -> None:
        self.made = Headers(paths, wanted, sorted({*wanted, *META}))
        self.sure = np.zeros(len(paths), bool)
        tags = len(self.made.tags)
        self.parts: list[list[bytes]] = [[] for _ in range(tags)]  # of the buffer of values: each attribute by itself
        self.filled = np.zeros(tags, np.int64)  # bytes of these
        self.extents: list[Extents] = []  # of the batches; starts in the parts of each attribute
        self.table = np.empty((3, tags, min(BATCH, len(paths))), np.int64)  # of one batch, as `Extents.of` takes it
        self.first = 0  # row that this batch begins with
        self.room = np.empty(0, np.uint8)  # for the heads of a batch; new memory for each costs more than it seems
        self.unknown = [slot for slot, tag in enumerate(self.made.tags) if vr_of(tag) == "UN"]

    def found(self) -> Headers:
        made = self.made
        made.data = b"".join(part for parts in self.parts for part in parts)
        if self.extents:
            made.extents = Extents.joined(self.extents).moved(np.cumsum(self.filled) - self.filled)
        return made

    def batch(self, rows: NDArray[np.intp], told: Callable[[int], object] | None) -> None:
        """Read some files."""
        self.first = int(rows[0])
        self.table[:, :, : len(rows)] = np.array([0, -1, 0])[:, None, None]
        self._read(rows, told)
        self.extents.append(Extents.of(self.table[:, :, : len(rows)]))

    def _read(self, rows: NDArray[np.intp], told: Callable[[int], object] | None) -> None:
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
        need = step * len(rows) + size  # see `_gathered`: a value fits behind every offset
        if offsets.any():  # further windows: the heads are in use
            data = np.empty(need, np.uint8)
        else:
            data = self.room = self.room if len(self.room) >= need else np.empty(need, np.uint8)
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
                count = total = 0
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
        places = walk_all(one.data, begin, one.ends, META, implicit=False, totals=one.totals, group=_FILE_META)
        sure = places.sure & (places.lengths <= _LONGEST_UID).all(axis=0)
        self._store(one, places, sure)
        made.data_set[one.rows] = places.stops - one.starts
        made.sizes[rows] = window.sizes
        slot = places.tags.index(SYNTAX)
        starts, lengths = places.starts[slot, sure], np.maximum(places.lengths[slot, sure], 0)
        data, starts = _gathered(window.data, starts, lengths)
        bounds = zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        syntaxes = [data[start:end] for start, end in bounds]
        kinds = {syntax: _kind(syntax) for syntax in set(syntaxes)}
        kind = np.zeros(len(rows), np.int64)
        kind[chosen[sure]] = [kinds[syntax] for syntax in syntaxes]
        kind[made.data_set[rows] >= window.sizes] = 0  # nothing behind the file meta
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
            self.sure[rows] &= (self.table[1, self.unknown][:, rows - self.first] < 0).all(axis=0)
        shift = window.offsets - window.starts
        made.ends[rows] = places.stops + shift
        image = sure & (places.pixel_tags >= 0)
        rows, shift = rows[image], shift[image]
        made.pixel_at[rows], made.pixel_length[rows] = places.pixel_starts[image] + shift, places.pixel_lengths[image]
        made.pixel_tag[rows], made.pixel_vr[rows] = places.pixel_tags[image], places.pixel_vrs[image]

    def _store(self, window: _Window, places: Places, which: Mask) -> None:
        """Take the values of these data sets out of their windows."""
        rows = window.rows
        for tag, starts, lengths, vrs in zip(places.tags, places.starts, places.lengths, places.vrs, strict=True):
            present = np.flatnonzero((lengths >= 0) & which)
            if not len(present):
                continue
            starts, lengths = starts[present], lengths[present]
            data, apart = _gathered(window.data, starts, lengths)
            slot = self.made.slots[tag]
            self.table[:, slot, rows[present] - self.first] = apart + self._add(slot, data), lengths, vrs[present]

    def _add(self, slot: int, data: bytes) -> int:
        """Keep values of one attribute; where they begin."""
        begin = int(self.filled[slot])
        self.parts[slot].append(data)
        self.filled[slot] += len(data)
        return begin

    def _exactly(self, row: int) -> None:
        """Read one file as `parse_file` does."""
        made, here = self.made, row - self.first
        made.sizes[row] = made.pixel_at[row] = made.pixel_length[row] = -1
        self.table[:, :, here] = np.array([0, -1, 0])[:, None]
        try:
            meta, elements = parse_file(made.paths[row], wanted=made.wanted)
        except BadFile as error:
            made.errors[row] = error
            return
        made.metas[row], made.made[row] = meta, elements
        made.implicit[row] = elements.implicit
        made.data_set[row], made.ends[row] = meta.data_set, elements.end
        values = dict(elements.raw)
        for tag, text in ((SYNTAX, meta.transfer_syntax), (CLASS, meta.sop_class), (INSTANCE, meta.sop_instance)):
            values[tag] = ("UI", text.encode("latin-1"))
        for tag, (vr, value) in values.items():
            slot = made.slots[tag]
            code = 0 if elements.implicit else int.from_bytes(vr.encode("latin-1"), "little")
            self.table[:, slot, here] = self._add(slot, value), len(value), code
        if elements.pixels is not None:
            vr, made.pixel_at[row], made.pixel_length[row] = elements.pixels
            made.pixel_tag[row] = next((tag for tag, known in PIXEL_VR.items() if known == vr), 0x7FE00010)
            made.pixel_vr[row] = int.from_bytes(vr.encode("latin-1"), "little")


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
    """Values out of a buffer, one behind the other, and where each is then; what is between them does not matter.

    What a series has in common comes once for the files of it that lie side by side.
    """
    if not len(starts):
        return b"", starts
    width = int(lengths.max())
    if 0 < width * len(starts) <= 4 * int(lengths.sum()):  # of much the same length: as records of one width
        records = np.ndarray((len(data) - width + 1,), f"V{width}", data, 0, (1,))
        taken = records[starts]
        new = np.ones(len(taken), bool)
        new[1:] = taken[1:] != taken[:-1]
        return taken[new].tobytes(), (np.cumsum(new) - 1) * width
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
