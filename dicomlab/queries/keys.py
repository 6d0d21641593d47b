"""Keys of a query: which attribute a key names, and what its value asks for (PS3.4 C.2.2.2)."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Final

from .. import phi
from ..datasets.elements import similar, tag_of
from ..datasets.encoding import vr_of
from ..errors import InvalidRequest

#: VRs that have wild card matching (PS3.4 C.2.2.2.4).
WILD: Final = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
RANGES: Final = frozenset(("DA", "TM", "DT"))
BINARY: Final = frozenset(("US", "SS", "UL", "SL", "FL", "FD", "SV", "UV"))
_STEP = re.compile(
    r"([A-Za-z][A-Za-z0-9]*|\([0-9A-Fa-f]{4},\s*[0-9A-Fa-f]{4}\)|[0-9A-Fa-f]{8})(?:\[(\d+)\])?$"
)
_UID = re.compile(r"[0-9.]{1,64}$")
_DA = re.compile(r"\d{8}$")
_TM = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?|60)?)?$")
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d$")
_DT = re.compile(r"\d{4}(\d\d(\d\d(\d\d(\d\d(\d\d(\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?$")
ZONE: Final = 0x00080201  # TimezoneOffsetFromUTC, in which the dates and times of the other keys are meant
_LAST_MOMENT = "235959.999999"


_LIKE: Final = "Keys look like PatientID, (0010,0020) or ScheduledProcedureStepSequence[0].Modality."


@dataclass(frozen=True)
class Key:
    """An attribute, perhaps inside sequences."""

    path: tuple[tuple[int, int], ...]  # tag and item index of each step; the index of the last step is 0

    @property
    def tag(self) -> int:
        return self.path[-1][0]

    @property
    def vr(self) -> str:
        vr = vr_of(self.tag)
        return vr if " or " not in vr else vr[:2]

    @property
    def name(self) -> str:
        """As it is written in a call: by keyword, items in brackets."""
        steps = [f"{_keyword(tag)}[{item}]" for tag, item in self.path[:-1]]
        return ".".join([*steps, _keyword(self.tag)])


def _keyword(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def key_of(name: str | int) -> Key:
    """The attribute that a keyword, a tag or a path names.

    Raises
    ------
    InvalidRequest
        There is no such attribute, or the path does not lead through sequences.

    Examples
    --------
    >>> key_of("(0010,0020)").name, key_of(0x00100020).name
    ('PatientID', 'PatientID')
    >>> key_of("ScheduledProcedureStepSequence[0].Modality").name
    'ScheduledProcedureStepSequence[0].Modality'
    """
    if isinstance(name, bool) or not isinstance(name, (str, Integral)):
        raise InvalidRequest(f"a key is an attribute's name, a tag or a path, not {name!r}", advice=_LIKE)
    if isinstance(name, Integral):
        if not 0 < int(name) <= 0xFFFFFFFF:
            raise InvalidRequest(f"{name!r} is no tag", advice="A tag is a number such as 0x00100020.")
        return Key(((int(name), 0),))
    path: list[tuple[int, int]] = []
    for step in str(name).split("."):
        match = _STEP.match(step.strip())
        if match is None:
            near = similar(step.strip().replace("_", "").replace(" ", ""))
            raise InvalidRequest(f"{name!r} is no key{near}", advice="" if near else _LIKE)
        word, item = match.groups()
        if word.startswith("("):
            tag = int(word[1:5] + word[-5:-1], 16)
        elif re.fullmatch("[0-9A-Fa-f]{8}", word) and any(char.isdigit() for char in word):
            tag = int(word, 16)
        else:
            tag = tag_of(word)
        path.append((tag, int(item or 0)))
    for tag, item in path[:-1]:
        if vr_of(tag) not in ("SQ", "UN"):
            raise InvalidRequest(
                f"{_keyword(tag)} in {name!r} is no sequence", advice="Only a sequence has attributes inside it."
            )
        if item > 63:
            raise InvalidRequest(f"item {item} in {name!r}: at most 64 items")
    return Key((*path[:-1], (path[-1][0], 0)))


@dataclass(frozen=True)
class Wanted:
    """What the value of a key asks for: any of `values`; nothing in particular where there is none."""

    key: Key
    values: tuple[str | int | float, ...] = ()

    @property
    def filters(self) -> bool:
        """Whether some matches are left out by it; a return key leaves out none, nor does the zone of the others."""
        return bool(self.values) and self.key.tag != ZONE


def wanted(keys: Mapping[Any, Any]) -> list[Wanted]:
    """Each key with its values as they stand in an Identifier; a mapping is taken as the item of a sequence.

    Ranges are text with a hyphen; a time range over midnight is two values. Any of several values may match.

    Raises
    ------
    InvalidRequest
        Nothing is selected, a number stands where text is due, a wild card or range where none can be, or a
        date or time is none.
    """
    found: dict[tuple[tuple[int, int], ...], Wanted] = {}
    for name, value in keys.items():
        for key, one in _flat(key_of(name), value):
            if key.path in found:
                raise InvalidRequest(f"{key.name} is given twice", advice="A list asks for several values.")
            found[key.path] = Wanted(key, values_of(key, one))
    return list(found.values())


def _flat(key: Key, value: Any) -> Iterable[tuple[Key, Any]]:
    if isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], Mapping):
        value = value[0]
    if not isinstance(value, Mapping):
        return [(key, value)]
    if key.vr != "SQ":
        raise InvalidRequest(f"{key.name} is no sequence, so it takes no dict", advice="Give a value or a list.")
    inside = [
        pair
        for name, one in value.items()
        for pair in _flat(Key((*key.path[:-1], (key.tag, 0), *key_of(name).path)), one)
    ]
    return inside or [(key, "")]


def values_of(key: Key, value: Any) -> tuple[str | int | float, ...]:
    """The values a key asks for, encoded as in an Identifier; () for a return key (a literal "" or None)."""
    if value is None or (isinstance(value, str) and value == ""):
        return ()
    value, vr = phi.key(key.name, value), key.vr
    if vr == "SQ":
        raise InvalidRequest(f"{key.name} is a sequence", advice=f"Name an attribute in it: {key.name}[0].…")
    if isinstance(value, slice):
        return _range(key, value.start, value.stop)
    if isinstance(value, tuple) and vr in RANGES and len(value) == 2:
        return _range(key, *value)
    if not isinstance(value, (str, bytes)) and hasattr(value, "__iter__") and not _is_name(value):
        many = list(value)
        if not many or any(_is_na(one) or (isinstance(one, str) and not one) for one in many):
            what = "is empty" if not many else "holds an empty or missing value"
            raise InvalidRequest(
                f"nothing is selected: the list for {key.name} {what}",
                advice='Leave the key out, or give "" to ask for it without filtering.',
            )
        nested = [encoded for one in many for encoded in values_of(key, one)]
        return tuple(dict.fromkeys(nested))
    if _is_na(value):
        raise InvalidRequest(
            f"nothing is selected: {key.name} is {value!r}",
            advice='Leave the key out, or give "" to ask for it without filtering.',
        )
    return _encoded(key, value)


def _is_na(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Real) and value != value


def _is_name(value: Any) -> bool:
    return type(value).__name__ == "PersonName"


def _encoded(key: Key, value: Any) -> tuple[str | int | float, ...]:
    vr = key.vr
    number = isinstance(value, Real) and not isinstance(value, bool)
    if vr in BINARY or vr in ("IS", "DS"):
        return tuple(_number(key, one) for one in (value.split("\\") if isinstance(value, str) else [value]))
    if vr in RANGES:
        if isinstance(value, str):
            return tuple(part for one in value.split("\\") for part in _text_range(key, one.strip()))
        return (_moment(key, value),)
    if number or isinstance(value, bool):
        raise InvalidRequest(
            f"{key.name} is text ({vr}), not the number {value!r}",
            advice=f"Write {key.name}={str(value)!r}; read_table keeps identifiers as text.",
        )
    if not isinstance(value, str) and not _is_name(value):
        raise InvalidRequest(f"{key.name} ({vr}) takes text, not {type(value).__name__}")
    text = str(value)
    if key.tag == ZONE and not _OFFSET.match(text):
        raise InvalidRequest(f"{key.name}: {text!r} is no offset from UTC", advice="Write it as '+0100'.")
    if vr in ("LT", "ST", "UT", "UR"):
        return (text,)
    parts = [part.strip() if vr in ("UI", "CS", "AE", "AS") else part for part in text.split("\\")]
    if any(not part.strip() for part in parts):
        raise InvalidRequest(f"nothing is selected: {key.name} holds an empty value in {text!r}")
    if vr not in WILD and re.search(r"[*?]", text):
        raise InvalidRequest(f"{key.name} ({vr}) takes no wild cards: {text!r}")
    if vr == "UI" and not all(_UID.match(part) for part in parts):
        raise InvalidRequest(f"{key.name}: {text!r} is no UID", advice="A UID has digits and dots, 64 at most.")
    return tuple(dict.fromkeys(parts))


def _number(key: Key, value: Any) -> str | int | float:
    vr = key.vr
    if isinstance(value, str) and re.search(r"[*?]", value):
        raise InvalidRequest(f"{key.name} ({vr}) takes no wild cards: {value!r}")
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, str):
            text = value.strip()
            exact = float(text) if vr in ("DS", "FL", "FD") else int(text)
        else:
            exact = float(value) if vr in ("DS", "FL", "FD") else int(value)
            if exact != value:
                raise ValueError
            text = str(exact) if vr != "DS" else _decimal(exact)
    except (ValueError, TypeError, OverflowError):
        raise InvalidRequest(f"{key.name} ({vr}) takes a number, not {value!r}") from None
    return text if vr in ("IS", "DS") else exact


def _decimal(number: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    text = str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)
    for digits in range(16, 5, -1):
        if len(text) <= 16:
            break
        text = f"{number:.{digits}g}"
    return text


def _moment(key: Key, value: Any) -> str:
    """A date, time or datetime as DA, TM or DT."""
    vr = key.vr
    if isinstance(value, dt.datetime):
        fraction = f".{value.microsecond:06d}" if value.microsecond else ""
        if vr == "DT":
            zone = value.strftime("%z")[:5]
            return value.strftime("%Y%m%d%H%M%S") + fraction + zone
        return value.strftime("%Y%m%d") if vr == "DA" else value.strftime("%H%M%S") + fraction
    if isinstance(value, dt.date) and vr in ("DA", "DT"):
        return f"{value.year:04d}{value.month:02d}{value.day:02d}"
    if isinstance(value, dt.time) and vr == "TM":
        return value.strftime("%H%M%S") + (f".{value.microsecond:06d}" if value.microsecond else "")
    if type(value).__name__ == "datetime64":
        return _moment(key, value.astype("datetime64[us]").item())
    if isinstance(value, str):
        return _checked(key, value.strip())
    raise InvalidRequest(
        f"{key.name} ({vr}) takes text such as {_EXAMPLES[vr]}, not {type(value).__name__} {value!r}"
    )


_EXAMPLES = {"DA": "'20240131'", "TM": "'143000'", "DT": "'20240131143000'"}
_RANGES = {"DA": "'20240101-20240331' or '20240101-'", "TM": "'0800-1200'", "DT": "'20240101-20240331'"}
_KINDS = {"DA": "date", "TM": "time", "DT": "date with time"}


def _checked(key: Key, text: str) -> str:
    """One date or time in DICOM's form; ISO 8601's is taken too."""
    vr, given = key.vr, text
    if re.search(r"[*?]", text):
        raise InvalidRequest(
            f"{key.name} ({vr}) takes no wild cards: {text!r}",
            advice=f"Give a range, such as {_RANGES[vr]}.",
        )
    if vr == "DA":
        text = re.sub(r"^(\d{4})-(\d\d)-(\d\d)$", r"\1\2\3", text)
        try:
            if _DA.match(text):
                dt.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
                return text
        except ValueError:
            pass
    elif vr == "TM":
        text = re.sub(r"^(\d\d):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?$", r"\1\2\3", text)
        if _TM.match(text):
            return text
    else:
        text = re.sub(
            r"^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?)?$", r"\1\2\3\4\5\6", text
        )
        if _DT.match(text):
            return text
    advice = f"Write it as {_EXAMPLES[vr]}."
    if vr == "DA" and (part := re.match(r"([12]\d{3})-?(0[1-9]|1[0-2])?$", text)):
        year, first, last = part[1], part[2] or "01", part[2] or "12"
        days = calendar.monthrange(int(year), int(last))[1]
        advice = f"Write '{year}{first}01-{year}{last}{days}' for all of it, or a day as {_EXAMPLES[vr]}."
    raise InvalidRequest(f"{key.name}: {given!r} is no {_KINDS[vr]}", advice=advice)


def _text_range(key: Key, text: str) -> tuple[str, ...]:
    """A value or a range in text: a, a-, -b, a-b."""
    try:
        return (_checked(key, text),)
    except InvalidRequest as error:
        if "-" not in text or "wild" in error.message:
            raise
        for at in (match.start() for match in re.finditer("-", text)):
            first, last = text[:at].strip(), text[at + 1 :].strip()
            try:
                ends = [_checked(key, end) if end else None for end in (first, last)]
            except InvalidRequest:
                continue
            return _range(key, *ends)
        raise


def _range(key: Key, first: Any, last: Any) -> tuple[str, ...]:
    """A range as text; a time range over midnight is two (R3.5)."""
    if key.vr not in RANGES:
        raise InvalidRequest(f"{key.name} ({key.vr}) takes no range")
    for end in (first, last):
        if end is not None and end != "" and _is_na(end):
            raise InvalidRequest(f"nothing is selected: {key.name} is a range from {first!r} to {last!r}")
    low, high = (_moment(key, end) if end not in (None, "") else "" for end in (first, last))
    if not low and not high:
        raise InvalidRequest(f"nothing is selected: {key.name} is a range without ends")
    if low and high and low[:14] > high.ljust(14, "9")[:14]:
        if key.vr == "TM":
            return f"{low}-{_LAST_MOMENT}", f"000000-{high}"
        raise InvalidRequest(f"{key.name}: the range {low}-{high} is inverted", advice="Give the earlier end first.")
    return (f"{low}-{high}",)
