"""Frames to modality values: read or decoded in threads, rescaled where they lie, in the smallest type that holds them.

Native frames are read straight into their place in the volume and rescaled there while they are still in the
processor's cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .decoding import decode, forget, photometric
from .elements import Elements
from .errors import BadFile, InvalidRequest, MissingCodec
from .pixels import NATIVE, Array, Format, Rescale, check_size, read_into, smallest, tidy

#: A frame this large that is so many times larger than its file is a broken header, and nothing is allocated for it.
_LARGE, _DENSEST = 256 * 2**20, 10_000


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
    lut: Elements | None = None  # holds the ModalityLUTSequence, where there is one

    @property
    def native(self) -> bool:
        """Whether the stored values can be read straight from the file."""
        return self.transfer_syntax in NATIVE and not self.form.planar


class _DoesNotFit(Exception):
    """A value is outside the integer type that was hoped for."""


def read(frames: Sequence[Frame]) -> Array:
    """Modality values (R12.7) of frames of one format.

    Returns
    -------
    numpy.ndarray
        (frames, rows, columns), and 3 behind for colour: int16 or the smallest integer type that holds the
        values where slopes and intercepts are whole, else float32; colour as stored.

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
    total = _size(frames)
    try:
        return _values(frames, form)
    except MemoryError:
        said = f"values of {total / 2**30:.1f} GiB do not fit into memory"
        raise InvalidRequest(said, advice="Load fewer instances, or with chunks={}.") from None
    finally:
        forget()


def _size(frames: Sequence[Frame]) -> int:
    """Bytes of the values, checked before anything is allocated for them."""
    form = frames[0].form
    if form.size > _LARGE:
        for frame in frames:
            held = os.path.getsize(frame.path) if os.path.exists(frame.path) else 0
            if not frame.native and form.size > _DENSEST * held:
                raise BadFile(frame.path, f"a frame of {form.size} bytes in a file of {held}", tag="7FE00010")
    total = len(frames) * form.size * (1 if form.allocated > 8 else 2)
    check_size(total)
    return total


def _values(frames: Sequence[Frame], form: Format) -> Array:
    shape = (len(frames), *form.shape)
    if form.samples > 1:
        return _filled(frames, np.empty(shape, form.dtype), _colour)
    if any(frame.lut is not None for frame in frames):
        return np.stack([_through_lut(frame) for frame in frames])
    low, high, whole = _range(frames)
    if not whole:
        return _filled(frames, np.empty(shape, np.float32), _general)
    dtype = smallest(low, high)
    if (form.allocated == 16 and dtype.itemsize != 2) or dtype == np.uint16:
        # What the bits could hold does not fit, what is in them usually does.
        try:
            return _filled(frames, np.empty(shape, np.int16), _sixteen)
        except _DoesNotFit:
            pass
    if form.allocated == 16 and dtype == np.int16:
        return _filled(frames, np.empty(shape, np.int16), _sixteen)
    if dtype.itemsize == 4 and dtype != np.float32:
        values = _filled(frames, np.empty(shape, dtype), _general)
        return values.astype(smallest(int(values.min()), int(values.max())), copy=False)
    return _filled(frames, np.empty(shape, dtype), _general)


def lazy(frames: Sequence[Frame]) -> Any:
    """The same as a dask array, one chunk a frame; the type follows from the headers alone.

    Raises
    ------
    MissingCodec
        dask is not installed, or a frame has a modality LUT.
    """
    try:
        import dask.array as da
        from dask.delayed import delayed
    except ImportError:
        raise MissingCodec("chunks= needs dask", advice='pip install "dicomlab[dask]"') from None
    form = frames[0].form
    _size(frames)
    work: Callable[[Frame, Array], None] = _general
    if form.samples > 1:
        dtype, work = form.dtype, _colour
    elif any(frame.lut is not None for frame in frames):
        raise MissingCodec("a series with a modality LUT is not loaded lazily", advice="Leave out chunks=.")
    else:
        low, high, whole = _range(frames)
        dtype = smallest(low, high) if whole else np.dtype(np.float32)

    make = delayed(_alone)
    return da.stack([da.from_delayed(make(frame, dtype, work), form.shape, dtype) for frame in frames])


def _alone(frame: Frame, dtype: np.dtype[Any], work: Callable[[Frame, Array], None]) -> Array:
    place = np.empty(frame.form.shape, dtype)
    work(frame, place)
    return place


def _range(frames: Sequence[Frame]) -> tuple[float, float, bool]:
    """The least and greatest value that the headers allow, and whether all are whole numbers."""
    ways = {frame.rescale for frame in frames}
    ends = [rescale.of(stored) for rescale in ways for stored in frames[0].form.range]
    return min(ends), max(ends), all(rescale.whole for rescale in ways)


def _filled(frames: Sequence[Frame], out: Array, work: Callable[[Frame, Array], None]) -> Array:
    """Apply ``work(frame, place)`` to every frame, in two threads or more where there is enough to do.

    Raises
    ------
    BadFile
        The first file that is bad; ``others`` are those behind it.
    """
    count = min(max(2, (os.cpu_count() or 1)), 8)
    enough = 4 * 2**20 if all(frame.native for frame in frames) else 2**17
    if out.nbytes < enough or len(frames) < 2 * count:
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


def _general(frame: Frame, place: Array) -> None:
    place[...] = rescaled(stored_values(frame), frame.rescale, place.dtype)


def rescaled(stored: Array, rescale: Rescale, dtype: Any) -> Array:
    """Modality values, worked out in float64 (exact integers where whole) and rounded once, to `dtype`."""
    if rescale.whole and np.dtype(dtype).kind in "iu":
        return (stored.astype(np.int64) * int(rescale.slope) + int(rescale.intercept)).astype(dtype)
    return (stored.astype(np.float64) * rescale.slope + rescale.intercept).astype(dtype)


def _through_lut(frame: Frame) -> Array:
    from pydicom.pixels import apply_modality_lut

    assert frame.lut is not None
    return np.asarray(apply_modality_lut(stored_values(frame), frame.lut.dataset()))
