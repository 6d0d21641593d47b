"""Does an attribute match a key? Attribute matching of PS3.4 C.2.2.2, seen from the SCP.

Shares nothing with the code of the SCU side: one is the test of the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import DataElement, Dataset

LISTED = frozenset(["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])  # what holdings find without a search
WILD = frozenset(["AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"])  # PS3.4 C.2.2.2.4


@dataclass(frozen=True)
class Rules:
    """Where archives match differently; the defaults are the plain reading of PS3.4 C.2.2.2."""

    fold: bool = False  # person names match without regard to case
    trim: bool = True  # delimiters at the end of a name do not count
    lists: bool = True  # several values of a key that is no UID match any of them; False: none
    universal: bool = True  # a single * matches everything whatever the VR
    short_dates: str = "span"  # a range end without month or day: its whole "span", compared as "text", or "never"
    numbers: bool = True  # "007" is 7


PLAIN = Rules()


def values(element: DataElement | None) -> list[Any]:
    """The values of an element; none where it is absent or empty."""
    if element is None or element.value is None:
        return []
    value = element.value
    if element.VR == "SQ":
        return list(value)
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return [value] if str(value) != "" else []
    return list(value)


def uids(keys: Iterable[DataElement]) -> dict[str, list[str]]:
    """The UIDs, by keyword, that those of the keys name that hold an index (PS3.4 C.2.2.2.2)."""
    named = {key.keyword: [str(each).strip(" \0") for each in values(key)] for key in keys if key.keyword in LISTED}
    return {word: wanted for word, wanted in named.items() if wanted and "*" not in wanted}


def matches(record: Dataset, key: DataElement, rules: Rules = PLAIN) -> bool:
    """Does the record match one key?

    Parameters
    ----------
    record
        What the archive knows.
    key
        A key of the Identifier; one without value matches everything (C.2.2.2.3).
    rules
        Where archives differ.
    """
    wanted = values(key)
    if not wanted or key.keyword == "SpecificCharacterSet":
        return True
    held = values(record.get_item(key.tag) and record[key.tag])
    if key.VR == "SQ":
        inner = wanted[0]
        if not any(values(element) for element in inner):
            return True
        return any(all(matches(item, element, rules) for element in inner) for item in held)
    if all(str(each) == "*" for each in wanted) and (rules.universal or key.VR in WILD):
        return True
    if len(wanted) > 1 and key.VR != "UI" and not rules.lists:
        return False
    return any(one(key.VR, str(want), have, rules) for want in wanted for have in held)


def one(vr: str, want: str, have: Any, rules: Rules) -> bool:
    """Does one value match one key value of this VR?"""
    want = want.strip(" \0") if vr not in ("LT", "ST", "UT") else want.rstrip(" \0")
    if vr == "UI":
        return want == str(have)
    if vr in ("DA", "TM", "DT"):
        return _in_range(vr, want, str(have).strip(), rules.short_dates)
    if vr in ("IS", "DS", "US", "UL", "SS", "SL", "FL", "FD", "UV", "SV"):
        if not rules.numbers:
            return str(getattr(want, "original_string", want)) == str(have)
        try:
            return float(want) == float(have)
        except ValueError:
            return False
    if vr == "PN":
        return _name(want, str(have), rules)
    text = str(have).strip(" ")
    if vr in WILD and ("*" in want or "?" in want):
        return wild(want, text)
    return want == text


def wild(pattern: str, text: str, flags: int = 0) -> bool:
    """``*`` is any number of characters, ``?`` exactly one."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL | flags) is not None


def _name(want: str, have: str, rules: Rules) -> bool:
    """The whole name or any one of its component groups, without trailing delimiters (PS3.5 6.2.1)."""
    flags = re.IGNORECASE if rules.fold else 0
    groups = [have, *have.split("=")] if "=" not in want else [have]
    return any(wild(_trim(want) if rules.trim else want, _trim(group), flags) for group in groups if group)


def _trim(name: str) -> str:
    return "=".join(group.strip(" ").rstrip("^ ") for group in name.split("=")).rstrip("=")


def _in_range(vr: str, want: str, have: str, short_dates: str) -> bool:
    """Equal, or within a range whose ends are part of it (C.2.2.2.5); a short value covers its whole span."""
    if vr == "DA":
        want, have = want.replace(".", ""), have.replace(".", "")
    if vr == "TM":
        want, have = want.replace(":", ""), have.replace(":", "")
    low, dash, high = _split(want) if vr == "DT" else want.partition("-")
    if vr == "DA" and short_dates != "span" and any(each and len(each) < 8 for each in (low, high)):
        return short_dates == "text" and (not low or low <= have) and (not high or have <= high)
    earliest, latest = _span(vr, have)
    if not dash:
        low = high = want
    if not dash and vr == "DA":
        return want == have
    return (not low or _span(vr, low)[0] <= latest) and (not high or earliest <= _span(vr, high)[1])


def _split(want: str) -> tuple[str, str, str]:
    """The two ends of a range of date times; a hyphen may also begin the offset from UTC."""
    for at in (hit.start() for hit in re.finditer("-", want)):
        before, after = want[:at], want[at + 1 :]
        is_offset = re.match(r"(0\d|1[0-4])[0-5]\d(-|$)", after) and len(before) >= 4
        if not is_offset:
            return before, "-", after
    return want, "", ""


def _span(vr: str, text: str) -> tuple[str, str]:
    """The earliest and the latest moment that a value with parts left out may mean."""
    if vr == "DT":
        text = re.sub(r"[+-]\d{4}$", "", text)
    digits, _, fraction = text.partition(".")
    width, last = {"DA": (8, "99999999"), "TM": (6, "235959"), "DT": (14, "99991231235959")}[vr]
    low = digits + "00000000000000"[len(digits) : width]
    high = digits + last[len(digits) : width]
    whole = len(digits) == width
    return low + "." + fraction.ljust(6, "0"), high + "." + (fraction.ljust(6, "9") if whole else "999999")
