"""What a study or patient says goes into the matches below it."""

from __future__ import annotations

import contextlib

from ...datasets.elements import Elements
from ...errors import BadData

_CHARSET = 0x00080005  # SpecificCharacterSet
_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # VRs that it applies to


def inherit(record: Elements, parent: Elements) -> None:
    """Give a match what its study and patient say, where it says nothing itself."""
    own = record.raw.get(_CHARSET)
    foreign = (own or ("CS", b""))[1] != parent.raw.get(_CHARSET, ("CS", b""))[1]
    if foreign and any(_beyond_ascii(value) for _, value in parent.raw.values()):
        for one in (record, parent):  # both in one repertoire, so that each text keeps its meaning
            _recode(one)
    for tag, value in parent.raw.items():
        if tag != _CHARSET and not record.raw.get(tag, ("", b""))[1]:
            record.raw[tag] = value


def _beyond_ascii(value: bytes) -> bool:
    return not value.isascii() or b"\x1b" in value


def _recode(record: Elements) -> None:
    """Turn the texts of a match into UTF-8."""
    for tag, (vr, value) in list(record.raw.items()):
        if record.vr(tag) in _TEXT and _beyond_ascii(value):
            with contextlib.suppress(BadData):
                found = record.get(tag, "")
                text = "\\".join(map(str, found)) if isinstance(found, tuple) else str(found)
                record.raw[tag] = (vr, text.encode())
    record.raw[_CHARSET] = ("CS", b"ISO_IR 192")
    record._codecs = None
