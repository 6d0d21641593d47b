"""What is deflated, inflated within limits (R0.8): a bomb takes no memory."""

from __future__ import annotations

import zlib
from typing import Final

from ..errors import BadData

INFLATED: Final = 4 << 30  # bytes that come of one data set or archive at the most, and
RATIO: Final = 200  # so many times its size;
FREE: Final = 8 << 20  # bytes of a data set that are always allowed: one of zeros is no attack
_PART = 1 << 16  # bytes that are inflated at a time to be counted


def limit_of(size: int) -> int:
    """Bytes that a deflated data set of `size` bytes may inflate to, or any part of it."""
    return min(INFLATED, max(FREE, RATIO * size))


def inflate(data: bytes | memoryview) -> bytes:
    """A data set of Deflated Explicit VR Little Endian, inflated within limits (PS3.5 A.5).

    Raises
    ------
    BadData
        The stream is damaged, ends early, or inflates to more than 4 GiB or 200 times its size.

    Examples
    --------
    >>> deflate = zlib.compressobj(wbits=-15)
    >>> inflate(deflate.compress(b"abc") + deflate.flush())
    b'abc'
    """
    size = inflated_size(data)
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max(size, 1))


def inflated_size(data: bytes | memoryview) -> int:
    """Bytes that a deflated data set inflates to, counted without keeping them: a bomb takes no memory.

    Raises
    ------
    BadData
        The stream is damaged, ends early, or inflates to more than 4 GiB or 200 times its size.
    """
    limit = limit_of(len(data))
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    view, at, size, rest = memoryview(data), 0, 0, b""
    while not stream.eof:
        if not rest:
            rest, at = bytes(view[at : at + _PART]), at + _PART
            if not rest:
                raise BadData("the deflated data set ends before its stream does")
        try:
            size += len(stream.decompress(rest, _PART))
        except zlib.error as error:
            raise BadData(f"the deflated data set is damaged ({error})") from None
        if size > limit:
            raise BadData(f"the deflated data set inflates to more than {limit:,} bytes")
        rest = stream.unconsumed_tail
    return size
