"""Data elements from bytes: the top level of a data set, values left encoded (PS3.5 7)."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .. import phi
from ..errors import BadData, InvalidRequest, did_you_mean
from ..markup import pictured
from . import charset
from .encoding import (
    ITEM,
    NESTING,
    SEQUENCE_END,
    UNDEFINED,
    NeedMore,
    hexadecimal,
    item_end,
    really_implicit,
    tag_at,
    vr_of,
    walk,
)
from .values import NUMBERS, SINGLE, typed

if TYPE_CHECKING:
    from mmap import mmap

    from pydicom.dataset import Dataset

    Buffer = bytes | bytearray | memoryview | mmap


@lru_cache(maxsize=4096)
def tag_of(keyword: str) -> int:
    """The tag of a PS3.6 keyword.

    Raises
    ------
    InvalidRequest
        There is no such keyword.

    Examples
    --------
    >>> hex(tag_of("PatientID"))
    '0x100020'
    """
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None:
        near = similar(keyword)
        raise InvalidRequest(
            f"DICOM has no attribute {keyword!r}{near}", advice="" if near else "Names are written as PatientName is."
        )
    return int(tag)


def similar(word: str) -> str:
    """ " did you mean 'X'?" for the nearest PS3.6 keyword, or "".

    Examples
    --------
    >>> similar("patientname")
    ", did you mean 'PatientName'?"
    """
    from pydicom.datadict import keyword_dict

    return did_you_mean(word, list(keyword_dict))


_NOTHING: dict[int, tuple[str, bytes]] = {}  # in place of elements that are not parsed yet


class Elements:
    """The top-level elements of one data set, values as encoded in little endian.

    Attributes
    ----------
    raw
        Tag (0xggggeeee) to (VR, bytes of the value). A sequence holds the bytes between its header and its
        delimiter. The VR of an implicit element is PS3.6's, or "UN".
    encoded
        The data set as it came, while nobody has looked at its elements; else None.
    implicit
        Whether the elements were encoded without VR.
    end
        Offset in bytes where the walk stopped: of the pixel data's header, or the end.
    pixels
        VR, offset of the value and length (or 0xFFFFFFFF) of the pixel data where the walk stopped there.
        "OB" or "OW" by PS3.6 where implicit: "OW".
    fallback_charset
        Python codec for bytes beyond ASCII where SpecificCharacterSet is absent or unknown.
    masked
        Whether `get` and `text` give pseudonyms (see phi.py), here and in the items of sequences.
    """

    __slots__ = ("_codecs", "_raw", "encoded", "end", "fallback_charset", "implicit", "masked", "pixels")

    def __init__(
        self,
        raw: dict[int, tuple[str, bytes]],
        implicit: bool,
        end: int = 0,
        pixels: tuple[str, int, int] | None = None,
        fallback_charset: str = "iso8859",
    ) -> None:
        self._raw, self.implicit, self.end, self.pixels = raw, implicit, end, pixels
        self.fallback_charset = fallback_charset
        self.encoded: bytes | None = None
        self._codecs: tuple[tuple[str, ...], bool] | None = None
        self.masked = False

    @classmethod
    def later(cls, data: bytes, implicit: bool, fallback_charset: str = "iso8859") -> Elements:
        """The elements of a whole data set, parsed when they are first looked at, which then may raise BadData."""
        made = cls(_NOTHING, implicit, 0, None, fallback_charset)
        made.encoded = data
        return made

    @property
    def raw(self) -> dict[int, tuple[str, bytes]]:
        """Tag to (VR, bytes of the value); a change of it is one of the data set."""
        if self.encoded is not None:
            data, self.encoded = self.encoded, None
            try:
                self._raw, self.implicit, self.end, self.pixels = walk(data, 0, len(data), self.implicit)
            except BadData:
                self.encoded = data
                raise
        return self._raw

    @raw.setter
    def raw(self, raw: dict[int, tuple[str, bytes]]) -> None:
        self._raw, self.encoded = raw, None

    def __contains__(self, keyword: str | int) -> bool:
        return _tag(keyword) in self.raw

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        if self.encoded is not None:
            return f"<data set of {len(self.encoded)} bytes, not parsed yet>"
        kind = "implicit" if self.implicit else "explicit"
        return f"<{len(self.raw)} elements, {kind} VR{', pixel data' if self.pixels else ''}>"

    @property
    def codecs(self) -> tuple[tuple[str, ...], bool]:
        """Python codecs of SpecificCharacterSet, and whether they are known (else the fall-back)."""
        if self._codecs is None:
            value = self.raw.get(0x00080005, ("CS", b""))[1]
            self._codecs = charset.codecs_of(value, self.fallback_charset)
        return self._codecs

    def vr(self, keyword: str | int) -> str:
        """The VR of an element that is present: as encoded, with UN and ambiguous ones resolved by PS3.6."""
        tag = _tag(keyword)
        vr = self.raw[tag][0]
        if vr == "UN":
            vr = self._private_vr(tag) if tag >> 16 & 1 else vr_of(tag)
        if " or " in vr:
            if vr.startswith("US"):
                signed = self.raw.get(0x00280103, ("US", b""))[1][:1] == b"\x01"
                first_only = tag in (0x00281101, 0x00281102, 0x00281103, 0x00283002)
                return "SS" if signed and not first_only else "US"
            return "OW"
        return vr

    def _private_vr(self, tag: int) -> str:
        from pydicom.datadict import private_dictionary_VR

        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "LO"
        creator = self.raw.get(tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8, ("LO", b""))[1]
        try:
            return str(private_dictionary_VR(tag, creator.decode("latin-1").strip(" \0")))
        except KeyError:
            return "UN"

    def get(self, keyword: str | int, default: Any = None) -> Any:
        """The value in Python: str, int, float, bytes, a list of Elements (SQ), or a tuple of several.

        Dates and times stay text; PN is text with its `^` and `=`; AT is an int. `default` where the
        attribute is absent or empty; None for an empty one among several numbers.

        Raises
        ------
        BadData
            A number that is none, or a value of the wrong length.
        """
        tag = _tag(keyword)
        if tag not in self.raw:
            return default
        value = self.raw[tag][1]
        vr = self.vr(tag)
        if vr == "SQ":
            return self.items(tag)
        if not value:
            return default
        try:
            found = typed(vr, value, self.codecs)
        except (ValueError, struct.error, OverflowError):
            raise BadData(f"{_shown(value)} is no value of VR {vr}", tag=hexadecimal(tag)) from None
        if type(found) is str:
            found = pictured(found)
        elif type(found) is tuple and type(found[0]) is str:
            found = tuple(map(pictured, found))
        if self.masked:
            found = phi.value(tag, vr, found)
        return default if found is None or found == "" else found

    def text(self, keyword: str | int) -> str:
        """The first value as text without spaces around it; "" where absent or empty. Never raises."""
        tag = _tag(keyword)
        if tag not in self.raw:
            return ""
        vr = self.vr(tag)
        if vr in NUMBERS or vr == "AT":
            try:
                value = self.get(tag, "")
            except BadData:
                return ""
            return str(value[0] if isinstance(value, tuple) else value)
        text, _ = charset.decode(self.raw[tag][1], *self.codecs, vr)
        if vr not in SINGLE:
            text = text.partition("\\")[0]
        text = pictured(text.strip(" \0"))
        return str(phi.value(tag, vr, text)) if self.masked else text

    def items(self, keyword: str | int) -> list[Elements]:
        """The items of a sequence, parsed; [] where absent or empty.

        Raises
        ------
        BadData
            The bytes are no items.
        """
        tag = _tag(keyword)
        if tag not in self.raw:
            return []
        return parse_items(self.raw[tag][1], implicit=self.implicit, parent=self)

    def _check_depth(self) -> None:
        """Refuse sequences with lengths that nest too deep; those without were refused by the walk (R0.8)."""
        waiting = [(self, 0)]
        while waiting:
            one, depth = waiting.pop()
            for tag, (vr, _) in one.raw.items():
                if vr != "SQ":
                    continue
                if depth == NESTING:
                    raise BadData(f"sequences nest deeper than {NESTING}", tag=hexadecimal(tag))
                with contextlib.suppress(BadData):  # pydicom may take it otherwise
                    waiting += [(item, depth + 1) for item in one.items(tag)]

    def dataset(self) -> Dataset:
        """A pydicom Dataset of what was parsed (slow), with its sequences.

        Raises
        ------
        BadData
            Its sequences nest deeper than 64: pydicom would run out of stack as it is looked at.
        """
        from pydicom.dataelem import RawDataElement
        from pydicom.dataset import Dataset
        from pydicom.tag import Tag

        self._check_depth()
        found: dict[Any, Any] = {}
        for tag, (vr, value) in self.raw.items():
            implicit = self.implicit if vr != "SQ" else not _explicit_items(value, self.implicit)
            kind = vr if vr == "SQ" or not self.implicit else None
            found[Tag(tag)] = RawDataElement(Tag(tag), kind, len(value), value or None, 0, implicit, True)
        made = Dataset(found)
        made.set_original_encoding(self.implicit, True, list(self.codecs[0]))
        return made


def _shown(value: bytes) -> str:
    """A value for a message: its text where it is some, else its bytes; cut where it is long."""
    if phi.masking():
        return "what is hidden here"
    short = value[:32].rstrip(b" \0")
    return repr(short.decode("ascii")) if short.isascii() and short.decode("ascii").isprintable() else repr(short)


def _tag(keyword: str | int) -> int:
    return keyword if isinstance(keyword, int) else tag_of(keyword)


def parse(
    data: Buffer,
    *,
    implicit: bool,
    start: int = 0,
    wanted: frozenset[int] | None = None,
    fallback_charset: str = "iso8859",
) -> Elements:
    """The top-level elements of a little-endian data set, up to its pixel data.

    Parameters
    ----------
    data
        The bytes; anything but `bytes` is looked at piece by piece, so that pixel data is not copied.
    implicit
        Whether the transfer syntax is Implicit VR Little Endian. A data set that plainly is the other one is
        read as what it is.
    start
        Offset in bytes of the first element.
    wanted
        Tags whose values are kept; None keeps all.
    fallback_charset
        Python codec for bytes beyond ASCII without a known SpecificCharacterSet.

    Raises
    ------
    BadData
        A value or item runs over the end, a VR is none, items stand where none can, or sequences nest deeper
        than 64.

    Examples
    --------
    >>> parse(bytes.fromhex("10002000 04000000 31323320"), implicit=True).text("PatientID")
    '123'
    """
    if isinstance(data, bytes):
        return Elements(*walk(data, start, len(data), implicit, wanted), fallback_charset)
    with memoryview(data) as view:
        flat = view if view.format == "B" else view.cast("B")
        return grow(
            lambda size: bytes(flat[:size]),
            8192,
            len(flat),
            lambda window: Elements(*walk(window, start, len(flat), implicit, wanted), fallback_charset),
        )


def grow(read: Callable[[int], bytes], first: int, total: int, use: Callable[[bytes], Elements]) -> Elements:
    """What `use` makes of the first bytes, of as many of them as it needs."""
    size = min(first, total)
    while True:
        try:
            return use(read(size))
        except NeedMore as more:
            size = min(total, max(4 * size, more.size + 1024))


def _explicit_items(value: bytes, implicit: bool) -> bool:
    """Whether the first element of the first item has a VR."""
    if len(value) < 16:
        return not implicit
    return not really_implicit(value, 8, implicit)


def parse_items(value: bytes, *, implicit: bool, parent: Elements | None = None) -> list[Elements]:
    """The items of the bytes of a sequence.

    Raises
    ------
    BadData
        The bytes are no items.
    """
    return list(each_item(value, implicit=implicit, parent=parent))


def each_item(value: bytes, *, implicit: bool, parent: Elements | None = None) -> Iterator[Elements]:
    """The items of the bytes of a sequence, one after another: a million empty ones take no memory.

    Raises
    ------
    BadData
        The bytes are no items.
    """
    fallback = parent.fallback_charset if parent else "iso8859"
    for body in item_bodies(value, implicit=implicit):
        item = Elements(*walk(body, 0, len(body), implicit, None, top=False), fallback)
        if 0x00080005 not in item.raw and parent is not None:
            item._codecs = parent.codecs
        item.masked = parent is not None and parent.masked
        yield item


def item_bodies(value: bytes, *, implicit: bool) -> Iterator[bytes]:
    """The bytes of each item of a sequence, without its header and delimiter.

    Raises
    ------
    BadData
        The bytes are no items.
    """
    at, total = 0, len(value)
    while at + 8 <= total:
        tag = tag_at(value, at)
        length = int.from_bytes(value[at + 4 : at + 8], "little")
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            raise BadData("no item in a sequence", tag=hexadecimal(tag), offset=at)
        at += 8
        if length == UNDEFINED:
            stop, after = item_end(value, at, implicit)
        else:
            stop = after = at + length
            if stop > total:
                raise BadData(f"an item of {length} bytes, {total - at} are left", offset=at - 8)
        yield value[at:stop]
        at = after
