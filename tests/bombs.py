"""Small files that claim to be large: what they are is said here, what becomes of them in test_bombs.py."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from slices import image

from dicomlab.datasets import filemeta

EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
RLE, JPEG, LOSSLESS, JPEG_LS, JPEG_2000, JPEG_XL = (
    "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{end}" for end in ("50", "70", "80", "90", "110")),
)
BEGIN, END, LAST = (bytes.fromhex(text) for text in ("feff00e0ffffffff", "feff0de000000000", "feffdde000000000"))


def head(syntax: str, sop_class: str = "1.2.840.10008.5.1.4.1.1.2") -> bytes:
    """Preamble and file meta."""
    return filemeta.head(sop_class, "1.2.3.1", syntax, filemeta.Provenance("A@h:1", "00", 0))


def body(rows: int = 4, columns: int = 4, **attributes: object) -> bytes:
    """A CT image in explicit VR without its pixel data; Rows and Columns as they are claimed."""
    dataset = image(np.zeros((4, 4), np.uint16), (0, 0, 0), 1)
    dataset.Rows, dataset.Columns = rows, columns
    for name, value in attributes.items():
        setattr(dataset, name, value)
    del dataset.PixelData
    dataset.file_meta = FileMetaDataset()
    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(made, enforce_file_format=False, implicit_vr=False, little_endian=True)
    return made.getvalue()


def pixels(value: bytes, length: int | None = None) -> bytes:
    """Pixel Data in explicit VR, of a claimed length."""
    return b"\xe0\x7f\x10\0OW\0\0" + struct.pack("<L", len(value) if length is None else length) + value


def fragments(frame: bytes) -> bytes:
    """Encapsulated Pixel Data of one frame."""
    return b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + encapsulate([frame])


def deflated(parts: list[bytes]) -> bytes:
    engine = zlib.compressobj(9, wbits=-15)
    return b"".join([*(engine.compress(part) for part in parts), engine.flush()])


def _nested(depth: int) -> bytes:
    sequence = b"\x40\0\x30\xa7SQ\0\0\xff\xff\xff\xff" + BEGIN
    return sequence * depth + (END + LAST) * depth


def nested_with_lengths(depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        value = b"\x40\0\x30\xa7SQ\0\0" + struct.pack("<L", len(value) + 8) + b"\xfe\xff\0\xe0" + (
            struct.pack("<L", len(value)) + value
        )
    return value


def _sof(marker: int, rows: int, columns: int, precision: int = 8) -> bytes:
    frame = struct.pack(">BHHB", precision, rows, columns, 1) + b"\1\x11\0"
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(40)
    return b"\xff\xd8\xff" + bytes([marker]) + struct.pack(">H", 2 + len(frame)) + frame + scan + b"\xff\xd9"


def _siz(rows: int, columns: int) -> bytes:
    size = struct.pack(">HLLLLLLLLH", 0, columns, rows, 0, 0, columns, rows, 0, 0, 1) + b"\x0f\1\1"
    cod = b"\xff\x52\0\x0c\0\0\0\1\0\5\4\4\0\0"
    qcd = b"\xff\x5c\0\x13\x40" + bytes(16)
    head = b"\xff\x4f\xff\x51" + struct.pack(">H", 2 + len(size)) + size
    return head + cod + qcd + b"\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93\xff\xd9"


def _rle() -> bytes:
    return struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * 18


def _jxl(rows: int, columns: int) -> bytes:
    bits, at = 0, 0

    def put(value: int, count: int) -> None:
        nonlocal bits, at
        bits |= value << at
        at += count

    put(0, 1), put(2, 2), put(rows - 1, 18), put(0, 3), put(2, 2), put(columns - 1, 18)
    return b"\xff\x0a" + bits.to_bytes(16, "little") + bytes(60)


def _zip_in_zip() -> bytes:
    data = bytes(50 << 20)
    for _ in range(3):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.writestr("x.dcm", data)
        data = made.getvalue()
    return data


WIDE = 65_500  # rows and columns that nobody has
SIXTEEN = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}

#: Name to the bytes of the file (B5).
BOMBS: dict[str, Callable[[], bytes]] = {
    "10,000 sequences in one another": lambda: head(EXPLICIT) + body() + _nested(10_000),
    "10,000 sequences, implicit": lambda: head(IMPLICIT) + (b"\x40\0\x30\xa7\xff\xff\xff\xff" + BEGIN) * 10_000,
    "a length of 0xFFFFFFF0": lambda: head(EXPLICIT) + body() + pixels(bytes(32), 0xFFFFFFF0),
    "a text of 4 GiB": lambda: head(EXPLICIT) + b"\x08\0\x60\0UT\0\0\xf0\xff\xff\xff" + bytes(64),
    "pixel data without an end": lambda: head(JPEG) + body() + fragments(bytes(40))[:-8],
    "a sequence without an end": lambda: head(EXPLICIT) + body() + b"\x40\0\x30\xa7SQ\0\0\xff\xff\xff\xff" + BEGIN,
    "1 GiB deflated, one value": lambda: head(DEFLATED)
    + deflated([body(), pixels(b"", 1 << 30), *[bytes(1 << 20)] * 1024]),
    "1 GiB deflated, many elements": lambda: head(DEFLATED)
    + deflated([b"".join(struct.pack("<HH2sH", 0x11, 0x1000 + n, b"UT", 0)[:6] + b"\0\0" + struct.pack("<L", 60_000)
                         + bytes(60_000) for n in range(100))] * 170),
    "RLE of 65,500 x 65,500": lambda: head(RLE) + body(WIDE, WIDE, **EIGHT) + fragments(_rle()),
    "30,000 frames of 65,500 x 65,500": lambda: head(EXPLICIT)
    + body(WIDE, WIDE, NumberOfFrames=30_000, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3") + pixels(bytes(64)),
    "2,000,000,000 frames": lambda: head(RLE)
    + body(512, 512, NumberOfFrames=2_000_000_000, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3") + fragments(_rle()),
    "JPEG of 65,500 x 65,500": lambda: head(JPEG) + body(WIDE, WIDE, **EIGHT) + fragments(_sof(0xC0, WIDE, WIDE)),
    "JPEG lossless of 65,500 x 65,500": lambda: head(LOSSLESS)
    + body(WIDE, WIDE, **SIXTEEN) + fragments(_sof(0xC3, WIDE, WIDE, 16)),
    "JPEG-LS of 65,500 x 65,500": lambda: head(JPEG_LS)
    + body(WIDE, WIDE, **SIXTEEN) + fragments(_sof(0xF7, WIDE, WIDE, 16)),
    "JPEG 2000 of 65,500 x 65,500": lambda: head(JPEG_2000)
    + body(WIDE, WIDE, **SIXTEEN) + fragments(_siz(WIDE, WIDE)),
    "JPEG XL of 65,500 x 65,500": lambda: head(JPEG_XL) + body(WIDE, WIDE, **EIGHT) + fragments(_jxl(WIDE, WIDE)),
    "a million empty fragments": lambda: head(JPEG)
    + body(**EIGHT) + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\0\0\0\0" * 1_000_000 + LAST,
    "an offset table of a million frames": lambda: head(JPEG)
    + body(**EIGHT, NumberOfFrames=2, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2")
    + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0" + struct.pack("<L", 8 << 20) + bytes(8 << 20)
    + (b"\xfe\xff\0\xe0\4\0\0\0abcd") * 3 + LAST,
    "zip in zip in zip": _zip_in_zip,
}
