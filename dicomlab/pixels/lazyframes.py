"""Frames that are read when their values are asked for: ``load(..., chunks=...)``, as a dask array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
import xarray as xr

from .. import phi
from ..errors import BadFile, MissingCodec
from .decoding import forget
from .frames import Frame, checked_size, filled, fraction, general, range_of, stored_values, way_of
from .pixels import Array, smallest

_READ_LATER = "A lazy volume reads its files when it is computed: keep them until then, or load without chunks=."
_SAME = 2 * 10**9  # ns by which a time of change may differ: not all file systems keep it alike


def lazy(frames: Sequence[Frame], front: tuple[int, ...] = (-1,)) -> Any:
    """What `frames.read` gives, of the same type, as a dask array; one chunk a frame, see `chunked`.

    Where the headers leave the type open (16 bits that may hold more than int16 does), the values are looked through
    once for it, a frame at a time.

    Parameters
    ----------
    front
        Shape of the axes in front of (rows, columns[, 3]), which the frames fill in their order.

    Raises
    ------
    MissingCodec
        dask is not installed.
    BadFile
        A lookup table is damaged, or a frame that had to be looked at.
    """
    try:
        import dask.array  # noqa: F401
    except ImportError:
        raise MissingCodec("chunks= needs dask", advice='pip install "dicomlab[dask]"') from None
    checked_size(frames[:1])  # of a chunk, which is what is in memory at once
    return _Source(frames, front).dask((1,) * len(front))


def chunked(array: xr.DataArray, chunks: Any) -> xr.DataArray:
    """That array with chunks as xarray takes them; {} for those it has.

    What `lazy` gave is read in these chunks at once: a task for each costs a fraction of one for each frame and another
    that puts them together. Of native frames some rows can be read alone; what is compressed is divided once it is
    decoded, so that no frame is decoded twice.
    """
    if chunks == {}:
        return array
    made = array.chunk(chunks)
    source = _sources.get(array.data.name)
    return made if source is None else array.copy(data=source.dask(made.chunks).rechunk(made.chunks))


class _Source:
    """What dask takes for an array: it reads the part that it is asked for, in whichever thread or process asks.

    Threads share nothing here, so that none waits for another.
    """

    def __init__(self, frames: Sequence[Frame], front: tuple[int, ...]) -> None:
        size, self.dtype, self._work = way_of(frames) or (frames[0].form.shape, _type(frames), general)
        self._frames = list(frames)
        self._numbers = np.arange(len(frames)).reshape(front)
        self._size = size
        self._parted = all(frame.native and frame.form.allocated >= 8 for frame in frames)
        self.shape = (*self._numbers.shape, *size)
        self.ndim = len(self.shape)
        paths = list(dict.fromkeys(frame.path for frame in frames))
        self._looks = {path: _look(path) for path in paths}
        self._hidden = {path: phi.path(path) for path in paths} if phi.masking() else {}

    def dask(self, chunks: Any) -> Any:
        """The array in those chunks, as dask takes them; whole frames where no part of one can be read."""
        import dask.array as da

        front = len(chunks) if self._parted else self._numbers.ndim
        chunks = (*chunks[:front], *self.shape[front:])
        name = f"dicomlab-{uuid4().hex}"
        _sources[name] = self
        meta = np.empty((0,) * self.ndim, self.dtype)
        return da.from_array(self, chunks, name=name, lock=False, fancy=False, meta=meta)

    def __getitem__(self, key: tuple[Any, ...]) -> Array:
        """Values of a part: an integer or a slice for each axis."""
        front = self._numbers.ndim
        numbers, inner = np.asarray(self._numbers[key[:front]]), key[front:]
        shape = np.broadcast_to(np.empty((), self.dtype), self._size)[inner].shape
        values = np.empty((*numbers.shape, *shape), self.dtype)
        rows, rest = self._rows(inner[0])
        size = (len(rows), *self._size[1:])
        for place, number in zip(values.reshape(numbers.size, *shape), numbers.ravel().tolist(), strict=True):
            if shape == size:
                self._read(self._frames[number], rows, place)
            else:
                whole = np.empty(size, self.dtype)
                self._read(self._frames[number], rows, whole)
                place[...] = whole[(rest, *inner[1:])]
        return values

    def _rows(self, asked: int | slice) -> tuple[range, int | slice]:
        """The rows to read of each frame for those that are asked for, and what is to be taken of them."""
        every = range(self._size[0])
        if not self._parted:
            return every, asked
        if isinstance(asked, slice):
            rows = every[asked]
            return (rows, slice(None)) if rows.step == 1 else (every, asked)
        row = every[asked]
        return range(row, row + 1), 0

    def _read(self, frame: Frame, rows: range, place: Array) -> None:
        form = frame.form
        if len(rows) < form.rows:
            offset = frame.place[0] + frame.index * form.size + rows.start * form.size // form.rows
            part = replace(form, rows=len(rows))
            frame = replace(frame, form=part, place=(offset, part.size), index=0, count=1)
        try:
            self._check(frame.path)
            self._work(frame, place)
        except BadFile as error:
            hidden = self._hidden.get(frame.path)
            if hidden is None or phi.masking():
                raise
            why = error.why.replace(frame.path, hidden)  # another process, which does not know that names are hidden
            shown = BadFile(hidden, why, tag=error.tag, advice=error.advice)
        else:
            return
        raise shown

    def _check(self, path: str) -> None:
        """Refuse a file that is no more what it was when its header was read: its values would be others'."""
        (size, modified), (before, then) = _look(path), self._looks[path]
        if size != before or abs(modified - then) >= _SAME:
            more = f" (it had {before:,} bytes, and has {size:,})" if size != before else ""
            raise BadFile(path, f"has changed since it was loaded{more}", advice="Load it again.")


_sources: WeakValueDictionary[str, _Source] = WeakValueDictionary()  # by the name of the dask array that reads it


def _look(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in ns."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise BadFile(path, f"cannot be read: {error.strerror}", advice=_READ_LATER) from None  # it holds the path
    return found.st_size, found.st_mtime_ns


def _type(frames: Sequence[Frame]) -> np.dtype[Any]:
    """The type that `frames.read` would give the values."""
    form = frames[0].form
    low, high, whole = range_of(frames)
    if not whole:
        return fraction(form)
    dtype = smallest(low, high)
    wide = dtype.itemsize == 4 and dtype != np.float32
    if not wide and dtype != np.uint16:
        return dtype
    try:
        ends = filled(frames, np.empty((len(frames), 2), np.int64), _ends, form.full * len(frames))
    finally:
        forget()
    if wide or np.can_cast(smallest(int(ends.min()), int(ends.max())), np.int16):
        return smallest(int(ends.min()), int(ends.max()))
    return dtype


def _ends(frame: Frame, place: Array) -> None:
    """The least and the greatest value of a frame."""
    slope, intercept = int(frame.rescale.slope), int(frame.rescale.intercept)
    stored = stored_values(frame)
    place[:] = sorted(int(end) * slope + intercept for end in (stored.min(), stored.max()))
