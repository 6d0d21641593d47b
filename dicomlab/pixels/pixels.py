"""How the pixels of a frame are stored, and native ones read straight into their place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.uids import NATIVE, name_of
from ..errors import BadFile, InvalidRequest

PIXEL_LIMIT = 8 * 2**30  # bytes of one volume; asked before anything is allocated (R0.8)

Array = NDArray[Any]


@dataclass(frozen=True)
class Format:
    """How the pixels of one frame are stored (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    allocated: int  # bits
    stored: int  # bits
    high: int  # number of the highest bit
    signed: bool
    photometric: str
    planar: bool = False  # colour by plane
    floating: bool = False  # Float or Double Float Pixel Data

    @property
    def dtype(self) -> np.dtype[Any]:
        """Little-endian number of one stored value; a byte for one bit."""
        kind = "f" if self.floating else "i" if self.signed else "u"
        return np.dtype(f"<{kind}{max(self.allocated // 8, 1)}")

    @property
    def size(self) -> int:
        """Bytes of a native frame."""
        return self.bytes_of(1)

    def bytes_of(self, frames: int) -> int:
        """Bytes of native frames; those of one bit a pixel follow each other without padding (PS3.5 8.1.1)."""
        samples = 2 if self.photometric == "YBR_FULL_422" and self.samples == 3 else self.samples
        return (frames * self.rows * self.columns * samples * self.allocated + 7) // 8

    @property
    def full(self) -> int:
        """Bytes of the stored values of a frame in memory."""
        return self.rows * self.columns * self.samples * self.dtype.itemsize

    @property
    def palette(self) -> bool:
        """Whether the stored values are places in a palette."""
        return self.photometric == "PALETTE COLOR" and self.samples == 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame: (rows, columns), and 3 for colour."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest stored value."""
        return (-(2 ** (self.stored - 1)), 2 ** (self.stored - 1) - 1) if self.signed else (0, 2**self.stored - 1)

    def as_stored(self, value: int) -> int:
        """A padding value as the pixels have it: its VR may disagree with their sign, so its bits count."""
        value &= 2**self.allocated - 1
        return value - 2**self.allocated if self.signed and value >= 2 ** (self.allocated - 1) else value

    def check(self) -> str:
        """ "" or what is wrong with it."""
        if min(self.rows, self.columns) < 1:
            return "Rows and Columns are missing or zero"
        if self.samples not in (1, 3):
            return f"SamplesPerPixel is {self.samples}"
        if self.floating:
            return "" if self.allocated in (32, 64) else f"BitsAllocated is {self.allocated} for floating point"
        if self.allocated not in (1, 8, 16, 32) or (self.allocated == 1 and self.samples != 1):
            return f"BitsAllocated is {self.allocated}"
        if not 1 <= self.stored <= self.allocated or self.high != self.stored - 1:
            return f"BitsStored {self.stored}, HighBit {self.high} in {self.allocated} bits"
        return ""


@dataclass(frozen=True)
class Rescale:
    """Modality values = stored values * slope + intercept (PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether whole numbers stay whole."""
        return float(self.slope).is_integer() and float(self.intercept).is_integer()

    def of(self, stored: Any) -> Any:
        """Modality value of one stored value."""
        return stored * self.slope + self.intercept


def smallest(low: float, high: float) -> np.dtype[Any]:
    """int16, or the smallest integer type that holds low to high, else float32 (R12.7).

    Examples
    --------
    >>> [str(smallest(*pair)) for pair in ((-1024, 3071), (0, 65535), (-40000, 9), (0, 2**40))]
    ['int16', 'uint16', 'int32', 'float32']
    """
    for name in ("int16", "uint16", "int32", "uint32"):
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return np.dtype(name)
    return np.dtype("float32")


def check_size(bytes_wanted: int, advice: str = "Load fewer of its instances.") -> None:
    """Refuse a volume above the limit before it is allocated.

    Raises
    ------
    InvalidRequest
        It is larger than ``PIXEL_LIMIT``.
    """
    if bytes_wanted > PIXEL_LIMIT:
        raise InvalidRequest(
            f"the volume takes {bytes_wanted / 2**30:.1f} GiB, the limit is {PIXEL_LIMIT / 2**30:g}",
            advice=advice,
        )


def read_into(path: str, offset: int, place: Array) -> None:
    """Bytes of a file straight into a contiguous array.

    Raises
    ------
    BadFile
        The file ends before the array is full, or cannot be read.
    """
    view = memoryview(place.reshape(-1).view(np.uint8).data)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            got = _pread(descriptor, view, offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadFile(path, f"cannot be read: {error.strerror}") from None  # it holds the path
    if got != len(view):
        raise BadFile(path, f"pixel data ends after {got} of {len(view)} bytes", tag="7FE00010")


def _pread(descriptor: int, view: memoryview, offset: int) -> int:
    """Read until `view` is full or the file ends; the number of bytes read."""
    got = 0
    if hasattr(os, "preadv"):
        while got < len(view):
            count = os.preadv(descriptor, [view[got:]], offset + got)
            if not count:
                break
            got += count
        return got
    with os.fdopen(os.dup(descriptor), "rb", 0) as file:  # no preadv: Windows, and macOS before 11
        file.seek(offset)
        while got < len(view):
            count = file.readinto(view[got:]) or 0
            if not count:
                break
            got += count
    return got


def length_fits(length: int, form: Format, frames: int, transfer_syntax: str) -> str:
    """ "" or what is wrong with the length of the value of pixel data that is not encapsulated."""
    if transfer_syntax not in NATIVE:
        return ""
    if length == 0xFFFFFFFF:
        return f"encapsulated pixel data, but the transfer syntax is {name_of(transfer_syntax)}"
    if length < form.bytes_of(frames):
        many = f"{frames} frames of {form.bytes_of(1)}" if frames > 1 else form.bytes_of(1)
        return f"pixel data of {length} bytes, the header says {many}"
    return ""


def tidy(stored: Array, form: Format) -> Array:
    """Stored values without what old overlays left in the unused high bits (PS3.5 8.1.1); in place.

    Bits above HighBit are no part of the value; where any is set, the value is cut and its sign extended.
    """
    spare = form.allocated - form.stored
    if not spare or form.samples != 1:
        return stored
    bits = stored.view(f"<u{stored.dtype.itemsize}")
    if form.signed:
        low, high = form.range
        if stored.min() >= low and stored.max() <= high:
            return stored
        np.left_shift(stored, spare, out=stored)
        np.right_shift(stored, spare, out=stored)
    elif int(np.bitwise_or.reduce(bits, axis=None)) >> form.stored:
        np.bitwise_and(bits, bits.dtype.type(2**form.stored - 1), out=bits)
    return stored
