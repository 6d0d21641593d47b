"""Frames to modality values: read or decoded in threads, rescaled where they lie, in the smallest type that holds them.

Native frames are read straight into their place in the volume and rescaled there while they are still in the
processor's cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..datasets.elements import Elements
from ..datasets.uids import IN_PLACE
from ..errors import BadData, BadFile, InvalidRequest
from .decoding import decode, forget, photometric
from .lookup import Lookup, lookup
from .pixels import Array, Format, Rescale, check_size, read_into, smallest, tidy

#: A frame this large that is so many times larger than its file is a broken header, and nothing is allocated for it.
_LARGE, _DENSEST = 256 * 2**20, 10_000


_FEWER = "Load fewer instances, or with chunks={}."


@dataclass(frozen=True)
class Frame:
    """Where the stored values of one frame are, and what they mean."""

    path: str
    transfer_syntax: str
    form: Format
    place: tuple[int, int]  # offset and length of the value of Pixel Data
    rescale: Rescale
    index: int = 0  # of the frame in the file
    count: int = 1  # frames in the file
    lut: Elements | None = None  # holds the ModalityLUTSequence or the palette, where there is one

    @property
    def native(self) -> bool:
        """Whether the stored values can be read straight from the file."""
        form = self.form
        return self.transfer_syntax in IN_PLACE and not (form.samples > 1 and (form.planar or form.size < form.full))


Work = Callable[[Frame, Array], None]


class _DoesNotFit(Exception):
    """A value is outside the integer type that was hoped for."""


def read(frames: Sequence[Frame]) -> Array:
    """Modality values (R12.7) of frames of one format.

    Returns
    -------
    numpy.ndarray
        (frames, rows, columns), and 3 behind for colour: int16 or the smallest integer type that holds the
        values where slopes and intercepts are whole, else float32 (float64 of Double Float Pixel Data); colour as
        stored, of a palette as its entries are.

    Raises
    ------
    InvalidRequest
        They are larger than ``pixels.PIXEL_LIMIT``.
    BadFile
        A file is shorter than its header said, or cannot be decoded; ``others`` are the further ones.
    MissingCodec
        Their transfer syntax needs a package that is absent.
    """
    form = frames[0].form
    total = checked_size(frames)
    try:
        return _values(frames, form)
    except MemoryError:
        said = f"values of {total / 2**30:.1f} GiB do not fit into memory"
        raise InvalidRequest(said, advice=_FEWER) from None
    finally:
        forget()


def checked_size(frames: Sequence[Frame]) -> int:
    """Bytes of the values, checked before anything is allocated for them."""
    form = frames[0].form
    if form.size > _LARGE:
        for frame in frames:
            held = os.path.getsize(frame.path) if os.path.exists(frame.path) else 0
            if not frame.native and form.size > _DENSEST * held:
                raise BadFile(frame.path, f"a frame of {form.size} bytes in a file of {held}", tag="7FE00010")
    total = _bytes(frames)
    check_size(total, _FEWER)
    return total


def _values(frames: Sequence[Frame], form: Format) -> Array:
    shape = (len(frames), *form.shape)
    way = way_of(frames)
    if way is not None:
        size, dtype, work = way
        return filled(frames, np.empty((len(frames), *size), dtype), work)
    low, high, whole = range_of(frames)
    if not whole:
        return filled(frames, np.empty(shape, fraction(form)), general)
    dtype = smallest(low, high)
    if (form.allocated == 16 and dtype.itemsize != 2) or dtype == np.uint16:
        # What the bits could hold does not fit, what is in them usually does.
        try:
            return filled(frames, np.empty(shape, np.int16), _sixteen)
        except _DoesNotFit:
            pass
    if form.allocated == 16 and dtype == np.int16:
        return filled(frames, np.empty(shape, np.int16), _sixteen)
    if dtype.itemsize == 4 and dtype != np.float32:
        values = filled(frames, np.empty(shape, dtype), general)
        return values.astype(smallest(int(values.min()), int(values.max())), copy=False)
    return filled(frames, np.empty(shape, dtype), general)


def _bytes(frames: Sequence[Frame]) -> int:
    """What they take in memory, at least."""
    form = frames[0].form
    values = len(frames) * form.rows * form.columns * (3 if form.palette else form.samples)
    return values * (max(form.allocated // 8, 2) if form.allocated > 8 or form.samples == 1 else 2)


def fraction(form: Format) -> np.dtype[Any]:
    return np.dtype(np.float64 if form.floating and form.allocated == 64 else np.float32)


def way_of(frames: Sequence[Frame]) -> tuple[tuple[int, ...], np.dtype[Any], Work] | None:
    """Shape and type of a frame of colour or by a lookup table, and how it is made; None for what is rescaled."""
    form = frames[0].form
    if form.samples > 1:
        return form.shape, form.dtype, _colour
    tables = _lookups(frames)
    if not tables or (form.palette and any(frame.lut is None for frame in frames)):
        return None

    looked_up = _LookedUp(tables)
    if form.palette:
        return (*form.shape, 3), np.result_type(*(table.table.dtype for _, table in tables)), looked_up
    ends = [float(end) for _, table in tables for end in (table.table.min(), table.table.max())]
    rest = [frame for frame in frames if frame.lut is None]
    low, high, whole = range_of(rest) if rest else (ends[0], ends[0], True)
    dtype = smallest(min(low, *ends), max(high, *ends)) if whole else fraction(form)
    return form.shape, dtype, looked_up


class _LookedUp:
    """Values by the table of the header that a frame is of; it travels to other processes together with the frames."""

    def __init__(self, tables: list[tuple[Elements, Lookup]]) -> None:
        self._tables = tables
        self._of = {id(header): table for header, table in tables}

    def __call__(self, frame: Frame, place: Array) -> None:
        if frame.lut is None:
            general(frame, place)
        else:
            place[...] = self._of[id(frame.lut)].of(stored_values(frame))

    def __reduce__(self) -> tuple[Any, ...]:
        return _LookedUp, (self._tables,)


def _lookups(frames: Sequence[Frame]) -> list[tuple[Elements, Lookup]]:
    """Each header that has a table, with it."""
    headers = {id(frame.lut): frame for frame in frames if frame.lut is not None}
    found = []
    for frame in headers.values():
        assert frame.lut is not None
        try:
            found.append((frame.lut, lookup(frame.lut, frame.form)))
        except BadData as error:
            raise BadFile(frame.path, error.why, tag=error.tag) from error
    return found


def range_of(frames: Sequence[Frame]) -> tuple[float, float, bool]:
    """The least and greatest value that the headers allow, and whether all are whole numbers."""
    if frames[0].form.floating:
        return -np.inf, np.inf, False
    ways = {frame.rescale for frame in frames}
    ends = [rescale.of(stored) for rescale in ways for stored in frames[0].form.range]
    return min(ends), max(ends), all(rescale.whole for rescale in ways)


def filled(frames: Sequence[Frame], out: Array, work: Work, size: int = 0) -> Array:
    """Apply ``work(frame, place)`` to every frame, in two threads or more where there is enough to do.

    That is by the bytes of what is filled, or `size`, those that are read for it.

    Raises
    ------
    BadFile
        The first file that is bad; ``others`` are those behind it.
    """
    count = min(max(2, (os.cpu_count() or 1)), 8)
    enough = 4 * 2**20 if all(frame.native for frame in frames) else 2**17
    if max(out.nbytes, size) < enough or len(frames) < 2 * count:
        count = 1
    bad: dict[int, BadFile] = {}

    def part(number: int) -> None:
        for index in range(number * len(frames) // count, (number + 1) * len(frames) // count):
            try:
                work(frames[index], out[index])
            except BadFile as error:
                bad[index] = error

    if count == 1:
        part(0)
    else:
        with ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(part, number) for number in range(count)]:
                done.result()
    if bad:
        first, *others = (bad[index] for index in sorted(bad))
        first.others = others
        raise first
    return out


def stored_values(frame: Frame, place: Array | None = None) -> Array:
    """Stored values of a frame, into `place` (same bytes per value) where given."""
    form = frame.form
    if form.allocated == 1:
        return _bits(frame)
    if frame.native:
        if place is None:
            place = np.empty(form.shape, form.dtype)
        read_into(frame.path, frame.place[0] + frame.index * form.size, place)
        return tidy(place.view(form.dtype), form)
    if place is None:
        return _decoded(frame)
    stored = place.view(form.dtype)
    decoded = _decoded(frame, stored)
    if not np.may_share_memory(decoded, stored):
        stored[...] = decoded
    return stored


def _bits(frame: Frame) -> Array:
    """One bit a pixel, a byte for each; a frame does not begin where a byte does (PS3.5 8.1.1)."""
    form, size = frame.form, frame.form.rows * frame.form.columns
    if not frame.native:
        return _decoded(replace(frame, form=replace(form, allocated=8, stored=8, high=7, signed=False)))
    first, skipped = divmod(frame.index * size, 8)
    packed = np.empty((skipped + size + 7) // 8, np.uint8)
    read_into(frame.path, frame.place[0] + first, packed)
    return np.unpackbits(packed, bitorder="little")[skipped : skipped + size].reshape(form.shape)


def _decoded(frame: Frame, out: Array | None = None) -> Array:
    return decode(frame.path, frame.transfer_syntax, frame.form, frame.place, frame.index, frame.count, out)


def _colour(frame: Frame, place: Array) -> None:
    if frame.native and frame.form.photometric == "RGB":
        read_into(frame.path, frame.place[0] + frame.index * frame.form.size, place)
        return
    place[...] = _decoded(frame)
    if photometric(frame.transfer_syntax, frame.form) == "YBR_FULL":
        from pydicom.pixels import convert_color_space

        place[...] = convert_color_space(place, "YBR_FULL", "RGB")


def _sixteen(frame: Frame, place: Array) -> None:
    """16-bit values rescaled where they lie; sums wrap around and are right where the result fits."""
    stored = stored_values(frame, place)
    slope, intercept = int(frame.rescale.slope), int(frame.rescale.intercept)
    low, high = frame.form.range
    if slope != 1:
        wide = stored.astype(np.int64) * slope + intercept
        if wide.min() < -32768 or wide.max() > 32767:
            raise _DoesNotFit
        place[...] = wide
        return
    if high + intercept > 32767 and int(stored.max()) + intercept > 32767:
        raise _DoesNotFit
    if low + intercept < -32768 and int(stored.min()) + intercept < -32768:
        raise _DoesNotFit
    if intercept:
        np.add(place.view(np.uint16), np.uint16(intercept % 65536), out=place.view(np.uint16))


def general(frame: Frame, place: Array) -> None:
    place[...] = rescaled(stored_values(frame), frame.rescale, place.dtype)


def rescaled(stored: Array, rescale: Rescale, dtype: Any) -> Array:
    """Modality values, worked out in float64 (exact integers where whole) and rounded once, to `dtype`."""
    if rescale.whole and np.dtype(dtype).kind in "iu":
        return (stored.astype(np.int64) * int(rescale.slope) + int(rescale.intercept)).astype(dtype)
    return (stored.astype(np.float64) * rescale.slope + rescale.intercept).astype(dtype)
