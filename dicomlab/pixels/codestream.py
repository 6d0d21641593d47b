"""What a compressed frame says of its own size, read before anything is decoded, and whether it is whole."""

from __future__ import annotations

from ..errors import BadData

Size = tuple[int, int, int, int]  # rows, columns, samples, bits of the widest sample; 0 where it is not said

_END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_NO_LENGTH = {0x01, *range(0xD0, 0xD8)}  # markers that stand alone
#: Start of frame: SOF0 to SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def jpeg(data: bytes) -> Size:
    """Size of a JPEG or JPEG-LS codestream (ISO/IEC 10918-1 B.2.2).

    Raises
    ------
    BadData
        It is none, or it is cut off.
    """
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME and at + 10 <= len(data):
            rows, columns = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            _whole(data, at, "JPEG")
            return rows, columns, data[at + 9], data[at + 4]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise BadData("the frame is no JPEG codestream")


def sound(data: bytes) -> None:
    """Check the markers of a JPEG codestream up to its scan: where they are damaged, gdcm ends the whole process.

    Raises
    ------
    BadData
        A marker is none, or JFIF is of a version that gdcm gives up at.
    """
    at, frame = 2, False
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker < 0xC0 or marker == 0xFF or marker in _NO_LENGTH or length < 2:
            break
        if data[at + 4 : at + 9] == b"JFIF\0" and data[at + 9] != 1:
            break
        if marker in _FRAME and marker != 0xF7:
            if frame or data[at + 4] < 2:
                break
            frame = True
        if marker == 0xDA:
            if frame:
                return
            break
        at += 2 + length
    raise BadData("the markers of the JPEG codestream are damaged", offset=at)


def jpeg_2000(data: bytes) -> Size:
    """Size of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 file (ISO/IEC 15444-1 A.5.1).

    Raises
    ------
    BadData
        It is none, or it is cut off.
    """
    at = 0 if data[:2] == b"\xff\x4f" else data.find(b"jp2c") + 4
    if data[at : at + 4] != b"\xff\x4f\xff\x51" or at + 42 > len(data):
        raise BadData("the frame is no JPEG 2000 codestream")
    right, bottom, left, top = (int.from_bytes(data[at + i : at + i + 4], "big") for i in (8, 12, 16, 20))
    if not _tiles_whole(data, at):
        _whole(data, at, "JPEG 2000")
    samples = int.from_bytes(data[at + 40 : at + 42], "big")
    bits = max((data[at + 42 : at + 42 + 3 * samples : 3]), default=0) % 128 + 1  # the highest bit says: signed
    return bottom - top, right - left, samples, bits


def _tiles_whole(data: bytes, at: int) -> bool:
    """Whether the tile-parts, by their lengths, fill the codestream; some end without EOC."""
    at += 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\x90":  # the main header
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    while data[at : at + 2] == b"\xff\x90":
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        if length < 12:  # 0: as long as there is data
            return False
        at += length
    return at <= len(data) <= at + 3


def _whole(data: bytes, at: int, what: str) -> None:
    if data.rfind(_END, at) < 0:  # within coded data no marker can stand
        raise BadData(f"the {what} codestream is cut off")


def jpeg_xl(data: bytes) -> Size:
    """Rows, columns, 0 and 0 (not said in front) of a JPEG XL codestream (ISO/IEC 18181-1 D.2).

    Raises
    ------
    BadData
        It is none.
    """
    if data[4:8] == b"JXL ":
        start = max(data.find(b"jxlc") + 4, 4) if b"jxlc" in data else data.find(b"jxlp") + 8
        data = data[start : start + 32]
    if data[:2] != b"\xff\x0a":
        raise BadData("the frame is no JPEG XL codestream")
    bits, at = int.from_bytes(data[2:16], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return (bits >> (at - count)) & ((1 << count) - 1)

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    rows = side()
    ratio = take(3)
    over, under = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio]
    return rows, rows * over // under if ratio else side(), 0, 0
