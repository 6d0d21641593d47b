"""Files of PS3.10: preamble, file meta, and the header of the data set behind it."""

from __future__ import annotations

import os
import stat
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from .. import phi
from ..errors import BadData, BadFile
from .elements import Elements, grow, parse
from .encoding import LONG, PIXELS, UNDEFINED, NeedMore, hexadecimal, walk
from .inflating import RATIO, inflated_size, limit_of
from .uids import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

HEAD = 4096  # bytes read at first
COUNTED = 8 << 20  # bytes of an inflated header above which the whole is counted first, so that a bomb takes no memory
#: First bytes of what is met in the place of DICOM files.
_KINDS = {
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
}


@dataclass(frozen=True)
class FileMeta:
    """What the File Meta Information says of the data set behind it (PS3.10 7.1), or ""."""

    transfer_syntax: str  # (0002,0010); guessed from the data set where absent
    sop_class: str  # (0002,0002)
    sop_instance: str  # (0002,0003)
    data_set: int  # offset in bytes of the data set

    def tell(self, elements: Elements) -> None:
        """Add the transfer syntax as (0002,0010), and SOP class and instance where the data set has none."""
        elements.raw[0x00020010] = ("UI", self.transfer_syntax.encode("latin-1"))
        for tag, uid in ((0x00080016, self.sop_class), (0x00080018, self.sop_instance)):
            if uid and tag not in elements.raw:
                elements.raw[tag] = ("UI", uid.encode("latin-1"))


def not_there(path: str | os.PathLike[str]) -> str:
    """What to do about a file or folder that is not there: how far its path is right."""
    if phi.masking():
        return "Check the name, and its capitals."
    whole = os.path.abspath(os.fspath(path))
    there = os.path.dirname(whole)
    while not os.path.isdir(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    return f"Of this path {there!r} is there: check what follows, and its capitals."


def parse_file(
    path: str | os.PathLike[str],
    *,
    wanted: frozenset[int] | None = None,
    fallback_charset: str = "iso8859",
) -> tuple[FileMeta, Elements]:
    """The file meta and the header of a Part 10 file; its pixel data is not read.

    Parameters
    ----------
    path
        A regular file. Without preamble or file meta it is taken where it plainly is a data set.
    wanted
        Tags whose values are kept; None keeps all.
    fallback_charset
        Python codec for bytes beyond ASCII without a known SpecificCharacterSet.

    Returns
    -------
    meta, elements
        ``elements.pixels`` gives the place of the pixel data in the file; where deflated, in the inflated
        data set. Values of a big-endian file are given in little endian.

    Raises
    ------
    BadFile
        It cannot be read, is no DICOM, or its data set is broken.
    """
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        gone = isinstance(error, FileNotFoundError)
        advice = f"{not_there(path)} If a table named it, retrieve or scan again." if gone else ""
        raise BadFile(path, f"cannot be opened: {getattr(error, 'strerror', None) or error}", advice=advice) from None
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise BadFile(path, "no regular file")
        return _header(_Window(file, about.st_size), wanted, fallback_charset)
    except BadFile:
        raise
    except BadData as error:
        raise BadFile(path, error.why, tag=error.tag, offset=error.offset, advice=error.advice) from None
    except OSError as error:
        raise BadFile(path, f"cannot be read: {error.strerror or error}") from None
    finally:
        os.close(file)


class _Window:
    """The first bytes of an open file, as many as were asked for."""

    def __init__(self, file: int, size: int) -> None:
        self.file, self.size, self.held = file, size, b""

    def __call__(self, size: int) -> bytes:
        if len(self.held) < min(size, self.size):
            os.lseek(self.file, 0, os.SEEK_SET)
            parts: list[bytes] = []
            left = min(size, self.size)
            while left > 0 and (part := os.read(self.file, left)):
                parts.append(part)
                left -= len(part)
            if left > 0:
                raise BadData("the file became shorter while it was read")
            self.held = b"".join(parts)
        return self.held


def read_bytes(data: bytes | memoryview, wanted: frozenset[int] | None) -> tuple[FileMeta, Elements]:
    """The same of a Part 10 file that is in memory.

    Raises
    ------
    BadData
        It is no DICOM, or its data set is broken.
    """
    return _header(_Held(memoryview(data)), wanted, "iso8859")


class _Held:
    """The first bytes of what is in memory, as many as were asked for or more."""

    def __init__(self, view: memoryview) -> None:
        self.view, self.size, self.held = view, len(view), b""

    def __call__(self, size: int) -> bytes:
        if len(self.held) < min(size, self.size):
            self.held = bytes(self.view[: max(size, HEAD)])
        return self.held


_AnyWindow = _Window | _Held


def _header(window: _AnyWindow, wanted: frozenset[int] | None, fallback_charset: str) -> tuple[FileMeta, Elements]:
    head = window(HEAD)
    if head[128:132] == b"DICM":
        at = 132
    elif head[:4] in (b"\2\0\0\0", b"\2\0\1\0", b"\2\0\2\0"):
        at = 0  # file meta without preamble
    else:
        return _bare(window, wanted, fallback_charset)
    meta = _meta(window, at)
    head = window(HEAD)
    start = meta.data_set
    if start >= window.size:
        raise BadData("it ends where its data set would begin")
    syntax = meta.transfer_syntax or _guess(window(start + 8)[start : start + 8], window.size - start)
    meta = FileMeta(syntax, meta.sop_class, meta.sop_instance, start)
    if syntax == DEFLATED:
        return meta, _deflated(window(window.size), start, wanted, fallback_charset)
    if syntax == BIG_ENDIAN:
        return meta, _big_endian(window, start, wanted, fallback_charset)
    return meta, _walked(window, start, syntax == IMPLICIT, wanted, fallback_charset)


def _walked(
    window: _AnyWindow,
    start: int,
    implicit: bool,
    wanted: frozenset[int] | None,
    fallback_charset: str,
) -> Elements:
    size = window.size
    return grow(
        window,
        HEAD,
        size,
        lambda data: Elements(*walk(data, start, size, implicit, wanted), fallback_charset),
    )


def _meta(window: _AnyWindow, at: int) -> FileMeta:
    """The elements of group 0002, explicit little endian whatever follows; its length is not trusted."""
    found = {0x10: "", 2: "", 3: ""}
    while True:
        data = window(at + 8)
        if len(data) < at + 8:
            break
        if data[at : at + 2] != b"\2\0":
            break
        element = int.from_bytes(data[at + 2 : at + 4], "little")
        vr = data[at + 4 : at + 6]
        if vr.decode("latin-1") in LONG:
            data = window(at + 12)
            length, value = int.from_bytes(data[at + 8 : at + 12], "little"), at + 12
        elif 65 <= vr[0] <= 90 and 65 <= vr[1] <= 90:
            length, value = data[at + 6] | data[at + 7] << 8, at + 8
        else:  # file meta in implicit VR: wrong, but seen
            length, value = int.from_bytes(data[at + 4 : at + 8], "little"), at + 8
        if value + length > window.size:
            raise BadData("the file meta runs over the end", tag=f"0002{element:04X}", offset=at)
        if element in found:
            if length > 1024:
                raise BadData(f"a UID of {length} bytes", tag=f"0002{element:04X}", offset=at)
            found[element] = window(value + length)[value : value + length].decode("latin-1").strip(" \0")
        at = value + length
    return FileMeta(found[0x10], found[2], found[3], at)


def _guess(first: bytes, size: int) -> str:
    """The transfer syntax of a data set that does not say: from its first element."""
    if len(first) < 8:
        return EXPLICIT
    letters = first[4:6].isalpha() and first[4:6].isupper()
    if letters:
        big = int.from_bytes(first[:2], "little") >= 0x0100 and first[0] == 0
        return BIG_ENDIAN if big else EXPLICIT
    return IMPLICIT


def _no_dicom(head: bytes) -> BadData:
    """In plain words, what a file is that begins like no DICOM file."""
    if not head:
        return BadData("the file is empty", advice="Copy or retrieve it again.")
    kind = next((name for mark, name in _KINDS.items() if head.startswith(mark)), "")
    if not kind and not any(byte < 9 or 13 < byte < 32 for byte in head):
        kind = "a text file"
    if not kind:
        return BadData("no DICOM: neither a preamble nor a data set")
    unpack = "Unpack it first." if kind.endswith("archive") else "Name a DICOM file, or a folder that holds some."
    return BadData(f"{kind}, no DICOM", advice=unpack)


def _bare(window: _AnyWindow, wanted: frozenset[int] | None, fallback_charset: str) -> tuple[FileMeta, Elements]:
    """A data set without preamble and file meta, if it plainly is one."""
    head = window(HEAD)
    group = head[:2]
    if len(head) < 16 or group not in (b"\x08\0", b"\0\x08", b"\x04\0", b"\x02\0"):
        raise _no_dicom(head)
    syntax = _guess(head[:8], window.size)
    try:
        if syntax == BIG_ENDIAN:
            elements = _big_endian(window, 0, wanted, fallback_charset)
        else:
            elements = _walked(window, 0, syntax == IMPLICIT, wanted, fallback_charset)
    except BadData as error:
        why = f"no DICOM: no preamble, and no data set: {error.why}"
        raise BadData(why, tag=error.tag, offset=error.offset) from None
    if not elements.raw and wanted is None:
        raise BadData("no DICOM: neither a preamble nor a data set")
    return FileMeta(syntax, elements.text(0x00080016), elements.text(0x00080018), 0), elements


def _deflated(data: bytes, start: int, wanted: frozenset[int] | None, fallback_charset: str) -> Elements:
    """The header of a deflated data set, inflated only as far as needed (PS3.5 A.5)."""
    source = memoryview(data)[start:]
    limit = limit_of(len(source))

    def use(size: int) -> tuple[bytes, bool]:
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            text = engine.decompress(source, size)
        except zlib.error as error:
            raise BadData(f"the deflated data set cannot be inflated: {error}", offset=start) from None
        if not engine.eof and len(text) < size:
            raise BadData("the deflated data set is cut", offset=start)
        return text, engine.eof

    size, counted = 65536, False
    while True:
        if size > COUNTED and not counted:
            counted = bool(inflated_size(source))
        text, whole = use(min(size, limit))
        try:
            total = len(text) if whole else limit + (1 << 32)
            found = walk(text, 0, total, False, wanted)
            return Elements(*found, fallback_charset)
        except NeedMore as more:
            if more.size > limit or size >= limit:
                raise BadData(f"inflates to more than {limit} bytes (at most {RATIO} times the file)") from None
            size = max(4 * size, more.size + 1024)


def _check_lengths(data_set: Dataset) -> None:
    """Refuse a value that is shorter than it says: pydicom takes what there is."""
    from pydicom.dataelem import RawDataElement

    for one in data_set.values():
        if isinstance(one, RawDataElement) and one.value is not None and len(one.value) < one.length < UNDEFINED:
            raise BadData(
                f"it ends too early: a value of {one.length:,} bytes, and {len(one.value):,} are left",
                tag=hexadecimal(int(one.tag)),
                offset=one.value_tell,
            )


def _big_endian(window: _AnyWindow, start: int, wanted: frozenset[int] | None, fallback_charset: str) -> Elements:
    """Explicit VR Big Endian (retired), by pydicom; the values are given in little endian."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_dataset
    from pydicom.filewriter import write_dataset
    from pydicom.tag import BaseTag

    source = BytesIO(window(window.size))
    source.seek(start)
    place: list[tuple[str, int, int]] = []

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in PIXELS:
            place.append((str(vr or "OW"), source.tell(), length))
            return True
        return False

    try:
        with warnings.catch_warnings():  # pydicom warns of every value that breaks its VR
            warnings.simplefilter("ignore")
            data_set = read_dataset(source, False, False, stop_when=stop)
            _check_lengths(data_set)
            out = DicomBytesIO()
            out.is_little_endian, out.is_implicit_VR = True, False
            write_dataset(out, data_set)
    except BadData:
        raise
    except Exception as error:  # pydicom raises anything on broken bytes
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadData(f"the big-endian data set cannot be read: {why}", offset=start) from None
    found = parse(out.getvalue(), implicit=False, wanted=wanted, fallback_charset=fallback_charset)
    found.pixels = place[0] if place else None
    return found
