"""Stored values to modality values: reading, decoding, rescale, units.

Native little-endian frames are read straight into their place in the volume; everything else goes through
pydicom's decoders, tried in our own order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadData, BadFile, InvalidRequest, MissingCodec

PIXEL_LIMIT = 8 * 2**30  # bytes of one volume; asked before anything is allocated (R0.8)

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
NATIVE = frozenset({IMPLICIT, EXPLICIT})
#: Plugins of pydicom's decoders in the order we try them: the exact and quick ones first.
ORDER = ("pylibjpeg", "gdcm", "pyjpegls", "pillow", "pydicom")
#: What to install for a transfer syntax that nothing here decodes.
PIP = {
    "1.2.840.10008.1.2.5": "pylibjpeg pylibjpeg-rle",
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "python-gdcm",
    "1.2.840.10008.1.2.4.57": "python-gdcm",
    "1.2.840.10008.1.2.4.70": "python-gdcm",
    "1.2.840.10008.1.2.4.80": "python-gdcm",
    "1.2.840.10008.1.2.4.81": "python-gdcm",
    "1.2.840.10008.1.2.4.90": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg pylibjpeg-openjpeg",
}
_IMAGECODECS = {  # syntaxes for which imagecodecs (extra `fast`) is tried first: it decodes without the GIL
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
}

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

    @property
    def dtype(self) -> np.dtype[Any]:
        """Little-endian integer of one stored value."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def size(self) -> int:
        """Bytes of a native frame."""
        return self.rows * self.columns * self.samples * self.allocated // 8

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame: (rows, columns), and 3 for colour."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest stored value."""
        return (-(2 ** (self.stored - 1)), 2 ** (self.stored - 1) - 1) if self.signed else (0, 2**self.stored - 1)

    def check(self) -> str:
        """ "" or what is wrong with it."""
        if min(self.rows, self.columns) < 1:
            return "Rows and Columns are missing or zero"
        if self.samples not in (1, 3):
            return f"SamplesPerPixel is {self.samples}"
        if self.allocated not in (8, 16, 32):
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


def check_size(bytes_wanted: int) -> None:
    """Refuse a volume above the limit before it is allocated.

    Raises
    ------
    InvalidRequest
        It is larger than ``PIXEL_LIMIT``.
    """
    if bytes_wanted > PIXEL_LIMIT:
        raise InvalidRequest(
            f"the volume takes {bytes_wanted / 2**30:.1f} GiB, the limit is {PIXEL_LIMIT / 2**30:g}",
            advice="Load fewer of its instances.",
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
        raise BadFile(path, f"cannot be read: {error.strerror}") from error
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


def decode(path: str, transfer_syntax: str, form: Format, encapsulated: tuple[int, int] | None) -> Array:
    """Stored values of one compressed (or deflated, or big-endian) frame.

    Parameters
    ----------
    path
        The file.
    transfer_syntax
        Its Transfer Syntax UID.
    form
        What the header says of the pixels; the result is checked against it.
    encapsulated
        Offset and length of the value of Pixel Data in the file, where known.

    Raises
    ------
    MissingCodec
        No package here decodes this transfer syntax; the message holds the pip line.
    BadFile
        The pixel data cannot be decoded, or is not what the header says.
    """
    quick = _imagecodecs(transfer_syntax)
    if quick is not None and encapsulated is not None and form.samples == 1:
        try:
            array = np.asarray(quick(_fragments(path, *encapsulated)))
            if array.shape == form.shape:
                return tidy(np.ascontiguousarray(array).view(form.dtype).reshape(form.shape), form)
        except Exception:  # its own error classes are not importable by name; the decoders below say what is wrong
            pass
    return _by_pydicom(path, transfer_syntax, form)


def _by_pydicom(path: str, transfer_syntax: str, form: Format) -> Array:
    import pydicom
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(pydicom.uid.UID(transfer_syntax))
    except NotImplementedError:
        raise MissingCodec(f"{path}: no decoder is known for transfer syntax {name_of(transfer_syntax)}") from None
    plugins: list[str] = []
    if decoder.is_encapsulated:
        plugins = [name for name in ORDER if name in decoder.available_plugins]
        plugins += [name for name in decoder.available_plugins if name not in plugins]
        if not plugins:
            packages = PIP.get(transfer_syntax, "imagecodecs")
            raise MissingCodec(
                f"{path}: nothing installed decodes {name_of(transfer_syntax)}",
                advice=f"pip install {packages}",
            )
    failures = []
    try:
        dataset = pydicom.dcmread(path)
    except Exception as error:  # pydicom raises what it meets: struct.error, ValueError, KeyError, ...
        raise BadFile(path, f"cannot be read: {error}") from error
    for plugin in plugins or [""]:
        try:
            array, _ = decoder.as_array(dataset, index=0, decoding_plugin=plugin, raw=False)
        except Exception as error:
            failures.append(f"{plugin}: {error}" if plugin else str(error))
            continue
        if array.shape != form.shape:
            failures.append(f"{plugin}: decoded to {array.shape}, the header says {form.shape}")
            continue
        little = np.ascontiguousarray(array).astype(form.dtype, copy=True)
        return tidy(little, form)
    raise BadFile(
        path,
        f"pixel data of {name_of(transfer_syntax)} cannot be decoded: {'; '.join(failures)[:300]}",
        tag="7FE00010",
    )


@lru_cache(maxsize=256)
def name_of(uid: str) -> str:
    """Name of a UID in PS3.6 Annex A, with the UID; the UID alone if it has none.

    Examples
    --------
    >>> name_of("1.2.840.10008.1.2.1")
    'Explicit VR Little Endian (1.2.840.10008.1.2.1)'
    """
    from pydicom.uid import UID

    name = UID(uid).name
    return f"{name} ({uid})" if name != uid else uid


def _imagecodecs(transfer_syntax: str) -> Callable[[bytes], Any] | None:
    if transfer_syntax not in _IMAGECODECS:
        return None
    try:
        import imagecodecs
    except ImportError:
        return None
    return getattr(imagecodecs, _IMAGECODECS[transfer_syntax], None)


def _fragments(path: str, offset: int, length: int) -> bytes:
    """The one frame of an encapsulated value: its fragments joined, without the Basic Offset Table."""
    with open(path, "rb", 0) as file:
        file.seek(offset)
        data = file.read() if length == 0xFFFFFFFF else file.read(length)
    at = 0
    parts: list[bytes] = []
    while at + 8 <= len(data):
        tag, size = (
            int.from_bytes(data[at : at + 4], "little"),
            int.from_bytes(data[at + 4 : at + 8], "little"),
        )
        at += 8
        if tag == 0xE0DDFFFE:
            return b"".join(parts[1:])
        if tag != 0xE000FFFE or at + size > len(data):
            raise BadData("a fragment of the pixel data runs over its end", tag="7FE00010", offset=offset + at)
        parts.append(data[at : at + size])
        at += size
    raise BadData("the pixel data has no end", tag="7FE00010")
