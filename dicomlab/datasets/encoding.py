"""Where each element of an encoded data set begins and ends (PS3.5 7), in bytes that may be hostile."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ..errors import BadData

UNDEFINED: Final = 0xFFFFFFFF
#: Pixel Data, Float and Double Float Pixel Data: where the walk stops.
PIXELS: Final = frozenset((0x7FE00010, 0x7FE00008, 0x7FE00009))
NESTING: Final = 64  # R0.8
SHORT: Final = frozenset(
    [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FL",
        "FD",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    ]
)
LONG: Final = frozenset(
    ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]
)  # PS3.5 7.1.2, 32-bit length
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: Tag to (VR, value); implicit?; where the walk stopped; VR, offset and length of the pixel data there.
Walked = tuple[dict[int, tuple[str, bytes]], bool, int, tuple[str, int, int] | None]

_heads: dict[bytes, tuple[int, str, bool]] = {}  # the first six bytes of an explicit element -> tag, VR, long?
_tags: dict[bytes, tuple[int, str]] = {}  # the first four bytes of an implicit element -> tag, VR


_BEGIN, _ITEM_END, _SEQUENCE_END = (
    bytes.fromhex(text) for text in ("feff00e0ffffffff", "feff0de000000000", "feffdde000000000")
)


class NeedMore(Exception):
    """The walk needs the bytes up to ``size``, which lie behind the window it was given."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


@lru_cache(maxsize=4096)
def vr_of(tag: int) -> str:
    """The VR of a tag by PS3.6; "UN" for private and unknown tags, "US or SS" and the like as there."""
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(tag))
    except KeyError:
        if tag & 0xFFFF == 0:
            return "UL"  # a group length
        return "LO" if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF else "UN"


def hexadecimal(tag: int) -> str:
    """A tag as 8 hexadecimal digits."""
    return f"{tag:08X}"


def tag_at(data: bytes, at: int) -> int:
    """The tag encoded at that offset."""
    return int.from_bytes(data[at : at + 2], "little") << 16 | int.from_bytes(data[at + 2 : at + 4], "little")


def walk(
    data: bytes,
    start: int,
    total: int,
    implicit: bool,
    wanted: frozenset[int] | None = None,
    *,
    top: bool = True,
) -> Walked:
    """The elements from `start`; `data` is a window of `total` bytes, and NeedMore is raised at its edge."""
    raw: dict[int, tuple[str, bytes]] = {}
    size, at = len(data), start
    if total - at >= 8 and size - at >= 8:
        implicit = really_implicit(data, at, implicit)
    heads, last = _heads, size - 8
    while at <= last:
        if implicit:
            known = _tags.get(data[at : at + 4]) or _implicit_head(data, at)
            tag, vr = known
            length = int.from_bytes(data[at + 4 : at + 8], "little")
            value = at + 8
        else:
            head = heads.get(data[at : at + 6]) or _explicit_head(data, at)
            tag, vr, wide = head
            if wide:
                value = at + 12
                if value > size:
                    break
                length = int.from_bytes(data[at + 8 : value], "little")
            else:
                length = data[at + 6] | data[at + 7] << 8
                value = at + 8
        after = value + length
        if after <= size and tag < 0x7FE00008 and length != UNDEFINED:  # most elements
            if wanted is None or tag in wanted:
                raw[tag] = (vr, data[value:after])
            at = after
            continue
        if tag in PIXELS and top:
            if length != UNDEFINED and value + length > total:
                raise BadData(
                    f"it ends too early: {total - value:,} of {length:,} bytes of pixel data are there",
                    tag=hexadecimal(tag),
                    offset=at,
                )
            vr = {0x7FE00010: "OW", 0x7FE00008: "OF", 0x7FE00009: "OD"}[tag] if implicit else vr
            return raw, implicit, at, (vr, value, length)
        if length == UNDEFINED:
            stop, after = _undefined(data, value, total, implicit or vr == "UN", tag)
            if vr in ("UN", "SQ"):
                vr = "SQ"
        else:
            stop = after
            if after > size:
                if after > total:
                    raise BadData(
                        f"it ends too early: a value of {length:,} bytes, and {total - value:,} are left",
                        tag=hexadecimal(tag),
                        offset=at,
                    )
                if wanted is None or tag in wanted or after + 8 <= total:
                    raise NeedMore(after)
        if wanted is None or tag in wanted:
            raw[tag] = (vr, data[value:stop])
        at = after
    if at < total:
        if size < total:
            raise NeedMore(min(total, at + 12))
        if any(data[at:]):
            raise BadData(f"{total - at} bytes after the last element", offset=at)
    return raw, implicit, at, None


def really_implicit(data: bytes, at: int, implicit: bool) -> bool:
    """Whether the first element has no VR, whatever was announced."""
    vr = data[at + 4 : at + 6]
    letters = 65 <= vr[0] <= 90 and 65 <= vr[1] <= 90
    if implicit and letters:
        return vr.decode("ascii") not in SHORT and vr.decode("ascii") not in LONG
    if not implicit and not letters and data[at + 2 : at + 4] != b"\xff\xfe":
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        return length == UNDEFINED or length < 0x10000
    return implicit


def _explicit_head(data: bytes, at: int) -> tuple[int, str, bool]:
    tag = tag_at(data, at)
    if tag >> 16 == 0xFFFE:
        raise BadData("an item or delimiter where none can be", tag=hexadecimal(tag), offset=at)
    vr = data[at + 4 : at + 6].decode("latin-1")
    if vr not in SHORT and vr not in LONG:
        raise BadData(f"{vr!r} is no VR", tag=hexadecimal(tag), offset=at)
    if len(_heads) > 50_000:
        _heads.clear()
    _heads[data[at : at + 6]] = found = (tag, vr, vr in LONG)
    return found


def _implicit_head(data: bytes, at: int) -> tuple[int, str]:
    tag = tag_at(data, at)
    if tag >> 16 == 0xFFFE:
        raise BadData("an item or delimiter where none can be", tag=hexadecimal(tag), offset=at)
    if len(_tags) > 50_000:
        _tags.clear()
    _tags[data[at : at + 4]] = found = (tag, vr_of(tag))
    return found


def _undefined(data: bytes, at: int, total: int, implicit: bool, tag: int) -> tuple[int, int]:
    """Offsets of the delimiter that ends a value of undefined length, and of what follows it (PS3.5 7.5)."""
    size, start = len(data), at
    nest: list[tuple[bool, bool]] = [(True, implicit)]  # (in a sequence, else in an item; implicit)
    heads, inside = _heads, size - 12
    sequence = True

    def need(stop: int) -> None:
        if stop > total:
            raise BadData("a sequence without its end", tag=hexadecimal(tag), offset=start)
        if stop > size:
            raise NeedMore(stop)

    while True:
        # First what most headers of many frames consist of; what is not plain is looked at below.
        while at <= inside:
            eight = data[at : at + 8]
            if sequence:
                if eight == _BEGIN:
                    at += 8
                    implicit = really_implicit(data, at, implicit) if at + 8 <= size else implicit
                    need(min(total, at + 8))
                    nest.append((False, implicit))
                elif eight == _SEQUENCE_END:
                    nest.pop()
                    if not nest:
                        return at, at + 8
                    at += 8
                else:
                    break
            elif eight == _ITEM_END:
                nest.pop()
                at += 8
            elif implicit:
                break
            else:
                head = heads.get(eight[:6])
                if head is None:
                    break
                if head[2]:
                    value = at + 12
                    length = int.from_bytes(data[at + 8 : value], "little")
                else:
                    value, length = at + 8, eight[6] | eight[7] << 8
                if length == UNDEFINED:
                    if len(nest) >= 2 * NESTING:
                        break
                    nest.append((True, head[1] == "UN"))
                    at = value
                elif value + length + 8 > size:
                    break
                else:
                    at = value + length
                    continue
            sequence, implicit = nest[-1]
        need(at + 8)
        sequence, implicit = nest[-1]
        head_tag = tag_at(data, at)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if sequence or head_tag >> 16 == 0xFFFE:
            if sequence and head_tag == SEQUENCE_END:
                nest.pop()
                if not nest:
                    return at, at + 8
                at += 8
            elif sequence and head_tag == ITEM:
                at += 8
                if length == UNDEFINED:
                    implicit = really_implicit(data, at, implicit) if at + 8 <= size else implicit
                    need(min(total, at + 8))
                    nest.append((False, implicit))
                else:
                    need(min(total + 1, at + length + 8))  # at least a delimiter follows
                    at += length
            elif not sequence and head_tag == ITEM_END:
                nest.pop()
                at += 8
            else:
                raise BadData("items and delimiters do not match", tag=hexadecimal(head_tag), offset=at)
            sequence, implicit = nest[-1]
            continue
        value = at + 8
        inner = implicit
        if not implicit:
            vr = data[at + 4 : at + 6].decode("latin-1")
            if vr in LONG:
                value = at + 12
                need(value)
                length = int.from_bytes(data[at + 8 : value], "little")
            elif vr in SHORT:
                length = data[at + 6] | data[at + 7] << 8
            else:
                raise BadData(f"{vr!r} is no VR", tag=hexadecimal(head_tag), offset=at)
            inner = vr == "UN"
            _explicit_head(data, at)  # so that it is known above
        if length == UNDEFINED:
            if len(nest) >= 2 * NESTING:
                raise BadData(f"sequences nest deeper than {NESTING}", tag=hexadecimal(head_tag), offset=at)
            nest.append((True, inner))
            at = value
        else:
            need(min(total + 1, value + length + 8))
            at = value + length
        sequence, implicit = nest[-1]


def item_end(data: bytes, at: int, implicit: bool) -> tuple[int, int]:
    """Offsets of the delimiter of the item that begins there, and of what follows it.

    Raises
    ------
    BadData
        There is none.
    """
    total = len(data)
    if at + 8 <= total:
        implicit = really_implicit(data, at, implicit)
    while at + 8 <= total:
        if tag_at(data, at) == ITEM_END:
            return at, at + 8
        if implicit:
            _, vr = _tags.get(data[at : at + 4]) or _implicit_head(data, at)
            length = int.from_bytes(data[at + 4 : at + 8], "little")
            at += 8
        else:
            _, vr, wide = _heads.get(data[at : at + 6]) or _explicit_head(data, at)
            if wide:
                if at + 12 > total:
                    break
                length = int.from_bytes(data[at + 8 : at + 12], "little")
                at += 12
            else:
                length = data[at + 6] | data[at + 7] << 8
                at += 8
        if length == UNDEFINED:
            at = _undefined(data, at, total, implicit or vr == "UN", 0)[1]
        else:
            at += length
    raise BadData("an item without its end", offset=at)
