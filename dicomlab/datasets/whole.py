"""Is a data set whole? Its pixel data against the bytes that are there, and against its own description."""

from __future__ import annotations

import os
import struct
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

from ..errors import BadData, BadFile
from .uids import BIG_ENDIAN, DEFLATED, NATIVE

if TYPE_CHECKING:
    from .elements import Elements

UNDEFINED = 0xFFFFFFFF


def check(data: bytes | memoryview, elements: Elements, transfer_syntax: str) -> str:
    """Check that the pixel data of a data set is all there.

    Parameters
    ----------
    data
        The data set as little endian bytes (inflated, if it was deflated).
    elements
        What `elements.parse` made of it.
    transfer_syntax
        UID of the transfer syntax it is in.

    Returns
    -------
    str
        "" or a remark: what is odd and yet no loss.

    Raises
    ------
    BadData
        Bytes are missing; the message says how many.
    """
    if elements.pixels is None:
        from pydicom.config import IGNORE
        from pydicom.uid import UID

        image = "Rows" in elements or "Image Storage" in UID(elements.text("SOPClassUID"), IGNORE).name
        return "an image without pixel data" if image else ""
    _, offset, length = elements.pixels
    if length == UNDEFINED:
        end = encapsulated(data, offset)
    else:
        end = offset + length
        if end > len(data):
            raise BadData(
                f"the pixel data is {end - len(data)} bytes short of its length of {length}",
                tag="7FE00010",
                offset=offset,
            )
        if transfer_syntax in NATIVE:
            check_native(elements, length)
    return trailing(data, end, elements.implicit)


def read_big_endian(data: bytes | memoryview, wanted: frozenset[int]) -> tuple[Elements, str]:
    """Header of a data set of Explicit VR Big Endian (retired), checked as `check` does.

    Raises
    ------
    BadData
        It cannot be read, or bytes are missing.
    """
    import tempfile

    from . import filemeta
    from .part10 import parse_file

    head = filemeta.head("", "", BIG_ENDIAN, filemeta.Provenance("", "", len(data)))
    handle, path = tempfile.mkstemp(suffix=".dcm")
    try:
        with open(handle, "wb") as file:
            file.write(head)
            file.write(data)
        _, elements = parse_file(path, wanted=wanted)
    except BadFile as error:
        raise BadData(error.why, tag=error.tag) from None
    finally:
        os.unlink(path)
    if elements.pixels is not None:
        _, offset, length = elements.pixels
        missing = offset + length - len(head) - len(data)
        if missing > 0:
            raise BadData(f"the pixel data is {missing} bytes short of its length of {length}", tag="7FE00010")
        check_native(elements, length)
    return elements, ""


def check_file(path: str | os.PathLike[str], elements: Elements, transfer_syntax: str) -> None:
    """Check that the pixel data of a file is all there; of large ones little is read.

    Raises
    ------
    BadData
        Bytes are missing.
    """
    if elements.pixels is None or transfer_syntax == DEFLATED:
        return
    _, offset, length = elements.pixels
    if length == UNDEFINED:
        with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            encapsulated(data, offset)
        return
    if offset + length > os.path.getsize(path):
        raise BadData(f"the pixel data is short of its length of {length}", tag="7FE00010")
    if transfer_syntax in NATIVE:
        check_native(elements, length)


def encapsulated(data: bytes | memoryview | mmap, offset: int) -> int:
    """Walk the items of encapsulated pixel data to its Sequence Delimitation Item (PS3.5 A.4).

    Returns
    -------
    int
        Offset of what follows the delimiter.

    Raises
    ------
    BadData
        An item does not fit, or the delimiter is missing.
    """
    at, size, fragments = offset, len(data), 0
    unpack = struct.Struct("<HHI").unpack_from
    while at + 8 <= size:
        group, element, length = unpack(data, at)
        if group != 0xFFFE or element not in (0xE000, 0xE0DD):
            raise BadData(
                f"({group:04X},{element:04X}) stands between the fragments of the pixel data",
                tag="7FE00010",
                offset=at,
            )
        at += 8
        if element == 0xE0DD:
            return at
        if at + length > size:
            raise BadData(
                f"fragment {fragments} of the pixel data is {at + length - size} bytes short",
                tag="7FE00010",
                offset=at,
            )
        at += length
        fragments += 1
    raise BadData("the pixel data is not closed by a sequence delimiter", tag="7FE00010", offset=at)


def expected_length(elements: Elements) -> int | None:
    """Bytes of native pixel data by Rows, Columns and their like; None where one is absent (PS3.5 8.1)."""
    try:
        values = [_short(elements, tag) for tag in (0x00280010, 0x00280011, 0x00280100)]
        samples, frames = _short(elements, 0x00280002) or 1, elements.get(0x00280008, 1)
    except BadData:  # "1A" frames: then nothing can be expected
        return None
    if not all(isinstance(value, int) for value in (*values, samples, frames)):
        return None
    rows, columns, bits = values
    if samples == 3 and elements.text("PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2  # two of three samples: one Cb and one Cr for two Y (PS3.3 C.7.6.3.1.2)
    return (rows * columns * samples * bits * max(frames, 1) + 7) // 8


def _short(elements: Elements, tag: int) -> Any:
    """The value of an element that is nearly always one unsigned short."""
    vr, value = elements.raw.get(tag, ("", b""))
    return int.from_bytes(value, "little") if vr == "US" and len(value) == 2 else elements.get(tag)


def check_native(elements: Elements, length: int) -> None:
    """Refuse native pixel data that is shorter than its image.

    Raises
    ------
    BadData
        It is; the message says by how much.
    """
    expected = expected_length(elements)
    if expected is not None and length < expected:
        raise BadData(f"the pixel data has {length} bytes, but the image described needs {expected}", tag="7FE00010")


def trailing(data: bytes | memoryview, start: int, implicit: bool) -> str:
    """Check what follows the pixel data: data elements, or padding with zeros that is remarked upon."""
    if start >= len(data):
        return ""
    from .elements import parse

    try:
        parse(bytes(data[start:]), implicit=implicit, wanted=frozenset())
    except BadData:
        if any(bytes(data[start:])):
            raise
        return f"{len(data) - start} bytes of zeros after the pixel data"
    return ""
