"""Text from bytes: Specific Character Set (0008,0005), code extensions, and a fall-back that never raises."""

from __future__ import annotations

import re
from functools import lru_cache

_LINES = frozenset(b"\r\n\f\t")
#: Bytes that end a code extension, by VR: CR, LF, FF, TAB; a backslash where it separates values; ^ and = in names
#: (PS3.5 6.1.2.5.3).
DELIMITERS = {
    "PN": _LINES | frozenset(b"\\^="),
    **dict.fromkeys(("LT", "ST", "UT"), _LINES),
    **dict.fromkeys(("LO", "SH", "UC"), _LINES | frozenset(b"\\")),
}
_FRAGMENTS = re.compile(rb"(^[^\x1b]+|\x1b[^\x1b]*)")
_ALONE = {"UTF8", "GBK", "GB18030"}


@lru_cache(maxsize=256)
def codecs_of(charset: bytes, fallback: str = "iso8859") -> tuple[tuple[str, ...], bool]:
    """Python codecs for a value of SpecificCharacterSet, and whether every term of it is known.

    Parameters
    ----------
    charset
        The value as encoded, several terms separated by a backslash; b"" where the attribute is absent.
    fallback
        Codec for bytes beyond ASCII where no term, or an unknown one, stands there.

    Returns
    -------
    codecs, known
        The first codec is the one a value starts with. ``known`` is False where the fall-back is used for it.

    Examples
    --------
    >>> codecs_of(b"ISO_IR 192")
    (('UTF8',), True)
    >>> codecs_of(b"")
    (('iso8859',), False)
    """
    from pydicom.charset import python_encoding

    terms = [term.strip(" \0") for term in charset.decode("latin-1").split("\\")]
    found: list[str] = []
    known = True
    for position, term in enumerate(terms):
        codec = None
        if term:
            codec = python_encoding.get(term) or _near(term, python_encoding)
        elif len(terms) > 1:  # an empty first value is ISO 646
            codec = python_encoding[""]
        if codec is None and position > 0:
            known = False
            continue
        if codec is None:
            codec, known = fallback, False
        found.append(codec)
    if len(found) > 1:
        if found[0] in _ALONE:
            found = found[:1]
        else:
            found = [found[0], *(codec for codec in found[1:] if codec not in _ALONE)]
    return tuple(found), known


def _near(term: str, table: dict[str, str]) -> str | None:
    """The codec of a term with a common slip: ISO-IR 100, ISO IR 100, ISO_IR_100, iso_ir 100, UTF-8."""
    plain = re.sub(r"[ _-]+", " ", term.upper())
    if plain in ("UTF 8", "UTF8"):
        return table["ISO_IR 192"]
    for known, codec in table.items():
        if known and re.sub(r"[ _-]+", " ", known) == plain:
            return codec
    return None


def decode(value: bytes, codecs: tuple[str, ...], known: bool = True, vr: str = "LO") -> tuple[str, bool]:
    """Text of the bytes of a VR, and whether it can be trusted.

    False stands beside text that holds replacement characters, or that was decoded by the fall-back codec.

    Examples
    --------
    >>> decode("Å".encode(), ("UTF8",))
    ('Å', True)
    """
    if b"\x1b" not in value:
        if value.isascii():
            return value.decode("ascii"), True
        try:
            return value.decode(codecs[0]), known
        except (UnicodeError, LookupError):
            return _replaced(value, codecs[0]), False
    parts: list[str] = []
    sure = known
    for fragment in _FRAGMENTS.findall(value):
        text, good = _fragment(fragment, codecs, DELIMITERS.get(vr, _LINES))
        parts.append(text)
        sure = sure and good
    return "".join(parts), sure


def _replaced(value: bytes, codec: str) -> str:
    try:
        return value.decode(codec, "replace")
    except LookupError:
        return value.decode("ascii", "replace")


def _fragment(value: bytes, codecs: tuple[str, ...], delimiters: frozenset[int]) -> tuple[str, bool]:
    """One run of bytes that holds at most one escape sequence, at its beginning (PS3.5 6.1.2.5)."""
    from pydicom.charset import CODES_TO_ENCODINGS, default_encoding, handled_encodings

    first = codecs[0]
    if not value.startswith(b"\x1b"):
        try:
            return value.decode(first), True
        except (UnicodeError, LookupError):
            return _replaced(value, first), False
    size = 4 if value.startswith((b"\x1b$(", b"\x1b$)")) else 3
    codec = CODES_TO_ENCODINGS.get(value[:size], "")
    try:
        if codec in handled_encodings and codec in codecs:
            return value.decode(codec), True
        if codec and (codec in codecs or codec == default_encoding):
            body = value[size:]
            stop = next((at for at, byte in enumerate(body) if byte in delimiters), len(body))
            return body[:stop].decode(codec) + body[stop:].decode(first), True
        return value.decode(first), False  # an escape sequence that was not announced
    except (UnicodeError, LookupError):
        return _replaced(value, first), False
