"""The head of the files we keep: preamble, file meta (PS3.10 7.1) and where the data set came from."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# UUID-derived UIDs (PS3.5 B.2): ours for the implementation, and for the owner of the private information
IMPLEMENTATION_CLASS_UID = "2.25.213462158710936452018465310274881620471"  # of files and of associations alike
IMPLEMENTATION_VERSION_NAME = "DICOMLAB_010"  # at most 16 characters
PROVENANCE_CREATOR = "2.25.213462158710936452018465310274881620472"

_PREAMBLE = bytes(128) + b"DICM"
_LONG = frozenset((b"OB", b"UN"))


@dataclass(frozen=True)
class Provenance:
    """What a file of the cache says of itself, so that an index can be made from files alone."""

    node: str  # identity of the peer, "AET@host:port"
    digest: str  # xxh3_128 of the data set, 32 hex digits
    size: int  # bytes of the data set


@dataclass(frozen=True)
class Head:
    """What `read_head` found."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    provenance: Provenance | None  # None where the file was not written by this package
    length: int  # offset of the data set in bytes


def _element(tag: tuple[int, int], vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b" " if vr in (b"AE", b"SH") else b"\0"
    if vr in _LONG:
        return struct.pack("<HH2sHI", *tag, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", *tag, vr, len(value)) + value


def _uid(text: str) -> bytes:
    """A UID for the group: digits and dots alone, and never so many that the length field overflows."""
    return re.sub(r"[^0-9.]", "", text)[:1024].encode("ascii")


@lru_cache(maxsize=256)
def _constant(sop_class: str, transfer_syntax: str, node: str) -> tuple[bytes, bytes, bytes]:
    """The parts of the group that do not change from one instance of a series to the next."""
    title = node.partition("@")[0].strip()[:16].encode("ascii", "replace")
    return (
        _element((2, 1), b"OB", b"\0\1") + _element((2, 2), b"UI", _uid(sop_class)),
        _element((2, 0x10), b"UI", _uid(transfer_syntax))
        + _element((2, 0x12), b"UI", IMPLEMENTATION_CLASS_UID.encode())
        + _element((2, 0x13), b"SH", IMPLEMENTATION_VERSION_NAME.encode())
        + (_element((2, 0x17), b"AE", title) if title else b""),
        _element((2, 0x100), b"UI", PROVENANCE_CREATOR.encode()),
    )


def head(sop_class: str, sop_instance: str, transfer_syntax: str, provenance: Provenance) -> bytes:
    """Preamble and File Meta Information of a received data set.

    Parameters
    ----------
    sop_class, sop_instance, transfer_syntax
        UIDs of the data set that follows.
    provenance
        Written as Private Information (0002,0102); its length does not depend on digest and size.

    Returns
    -------
    bytes
        To be followed by the data set, bit for bit as it was received.

    Examples
    --------
    >>> head("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2", Provenance("A@h:1", "00", 0))[128:132]
    b'DICM'
    """
    first, middle, creator = _constant(sop_class, transfer_syntax, provenance.node)
    note = f"[{json.dumps(provenance.node)}, {json.dumps(provenance.digest)}, {provenance.size:>20}]".encode("ascii")
    group = b"".join(
        (
            first,
            _element((2, 3), b"UI", _uid(sop_instance)),
            middle,
            creator,
            _element((2, 0x102), b"OB", note + b" " * (len(note) % 2)),
        )
    )
    return b"".join((_PREAMBLE, _element((2, 0), b"UL", struct.pack("<I", len(group))), group))


def read_head(data: bytes | memoryview) -> Head | None:
    """The head of a file of the cache; None if the bytes are not one.

    Examples
    --------
    >>> written = head("1.2", "1.2.3", "1.2.840.10008.1.2", Provenance("A@h:1", "00", 8))
    >>> read_head(written).provenance
    Provenance(node='A@h:1', digest='00', size=8)
    """
    data = bytes(data[: 1 << 14])
    if data[128:132] != b"DICM" or len(data) < 144 or data[132:140] != b"\2\0\0\0UL\4\0":
        return None
    end = 144 + struct.unpack_from("<I", data, 140)[0]
    if end > len(data):
        return None
    found: dict[int, bytes] = {}
    at = 144
    while at + 8 <= end:
        group, element, vr, length = struct.unpack_from("<HH2sH", data, at)
        at += 8
        if vr in _LONG:
            if at + 4 > end:
                return None
            (length,) = struct.unpack_from("<I", data, at)
            at += 4
        if group != 2 or at + length > end:
            return None
        found[element] = data[at : at + length]
        at += length
    if at != end:
        return None
    uids = [found.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace") for element in (2, 3, 0x10)]
    return Head(uids[0], uids[1], uids[2], _provenance(found), end)


def _provenance(found: dict[int, bytes]) -> Provenance | None:
    if found.get(0x100, b"").rstrip(b"\0 ") != PROVENANCE_CREATOR.encode():
        return None
    try:
        note: Any = json.loads(found.get(0x102, b""))
    except ValueError:
        return None
    if not isinstance(note, list) or len(note) != 3 or type(note[2]) is not int:
        return None
    return Provenance(str(note[0]), str(note[1]), note[2])
