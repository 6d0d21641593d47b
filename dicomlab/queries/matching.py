"""Does a record match the keys? (PS3.4 C.2.2.2); for searches here, and to see which keys a peer ignored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from ..datasets.elements import Elements
from ..datasets.moments import date, moment, time
from ..errors import BadData, InvalidRequest
from .keys import BINARY, RANGES, WILD, Key, Wanted, wanted

_READ: dict[str, Callable[[str], int]] = {"DA": date, "TM": time, "DT": moment}
_LAST = {"TM": "235959.999999", "DT": "99991231235959.999999"}


def matches(elements: Elements, keys: Mapping[str, Any]) -> bool:
    """Whether a data set matches every key.

    Parameters
    ----------
    elements
        The data set; keys inside sequences match where any item does.
    keys
        As for ``find``; person names match without regard to case, other text with it.

    Raises
    ------
    InvalidRequest
        The keys are none.

    Examples
    --------
    >>> from dicomlab.datasets.elements import parse
    >>> record = parse(bytes.fromhex("10001000 04000000") + b"DOE ", implicit=True)
    >>> matches(record, {"PatientName": "d*"})
    True
    """
    return all(fits(elements, one) for one in wanted(keys))


def fits(elements: Elements, one: Wanted) -> bool:
    """Whether a data set matches one key."""
    return not one.filters or _record_matches(elements, one.key.path, one)


def _record_matches(elements: Elements, path: tuple[tuple[int, int], ...], one: Wanted) -> bool:
    tag = path[0][0]
    if len(path) > 1:
        try:
            return any(_record_matches(item, path[1:], one) for item in elements.items(tag))
        except BadData:
            return False
    try:
        value = elements.get(tag)
    except BadData:
        value = elements.text(tag)
    held = value if isinstance(value, tuple) else (value,)
    return any(_value_matches(one.key, asked, cell) for asked in one.values for cell in held)


def misfits(cells: Sequence[Any], one: Wanted) -> list[int]:
    """Positions of the cells of a column that cannot match a key; none for a key that filters nothing."""
    if not one.filters:
        return []
    known: dict[Any, bool] = {}
    rows = []
    for row, cell in enumerate(cells):
        many = cell if isinstance(cell, (tuple, list)) else (cell,)
        name = tuple(many)
        match = known.get(name)
        if match is None:
            match = any(_value_matches(one.key, asked, part) for asked in one.values for part in many)
            known[name] = match
        if not match:
            rows.append(row)
    return rows


def _value_matches(key: Key, asked: str | int | float, cell: Any) -> bool:
    """Whether one value matches one value asked for; an empty one matches nothing but a lone star."""
    vr = key.vr
    if (
        cell is None
        or cell is pd.NA
        or cell is pd.NaT
        or (isinstance(cell, float) and cell != cell)
        or cell == ""
    ):
        return isinstance(asked, str) and vr in WILD and set(asked) == {"*"}
    if vr in BINARY or vr in ("IS", "DS"):
        try:
            return float(asked) == float(cell)
        except (TypeError, ValueError):
            return False
    if vr in RANGES:
        return _in_range(vr, str(asked), cell)
    text = str(cell).strip(" \0")
    pattern = str(asked).strip(" ") if vr not in ("LT", "ST", "UT") else str(asked)
    if vr in WILD:
        if vr == "PN":
            return _name_matches(pattern, text)
        return _wild(pattern, False)(text) is not None
    return text == pattern.strip(" \0")


@lru_cache(maxsize=1024)
def _wild(pattern: str, fold: bool) -> Callable[[str], Any]:
    """A matcher of the whole text: * any characters, ? one (PS3.4 C.2.2.2.4)."""
    steps = re.split(r"(\*+|\?)", pattern)
    expression = "".join(
        ".*" if step[:1] == "*" else "." if step == "?" else re.escape(step) for step in steps
    )
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if fold else 0)).fullmatch


def _name_matches(pattern: str, name: str) -> bool:
    """Person names: without regard to case; a pattern of one component group may match any group."""
    matcher = _wild(pattern.rstrip("^="), True)
    groups = name.split("=")
    candidates = [name, *groups] if "=" not in pattern else [name]
    return any(matcher(candidate.rstrip("^=")) is not None for candidate in candidates)


@lru_cache(maxsize=1024)
def _bounds(vr: str, asked: str) -> tuple[int | None, int | None]:
    """First and last nanosecond that match a value or a range; a value less precise than the VR is a span."""
    try:
        return _edge(vr, asked, False), _edge(vr, asked, True)
    except ValueError:
        pass
    for at in (found.start() for found in re.finditer("-", asked)):
        first, last = asked[:at], asked[at + 1 :]
        try:
            low = _edge(vr, first, False) if first else None
            high = _edge(vr, last, True) if last else None
            return low, high
        except ValueError:
            continue
    raise InvalidRequest(f"{asked!r} is no range that can be compared here")


def _edge(vr: str, text: str, last: bool) -> int:
    """The first or last moment of what the text says, as far as it says."""
    if not text:
        raise ValueError(text)
    if vr == "DA" or not last:
        return _READ[vr](text)
    if vr == "TM":
        whole, _, fraction = text.partition(".")
        if fraction:
            return time(f"{whole}.{fraction.ljust(6, '9')}")
        return time(whole + _LAST["TM"][len(whole) :])
    whole, _, fraction = text.partition(".")
    if fraction:
        return moment(f"{whole}.{fraction.ljust(6, '9')}")
    if len(whole) == 6:  # the last day of a month
        year, month = int(whole[:4]), int(whole[4:])
        following = f"{year + month // 12:04d}{month % 12 + 1:02d}"
        return moment(following) - 1
    return moment(whole + _LAST["DT"][len(whole) :])


def _in_range(vr: str, asked: str, cell: Any) -> bool:
    """Whether a date or time, as text or as it stands in a table, lies in what is asked for."""
    low, high = _bounds(vr, asked)
    try:
        if isinstance(cell, str):
            held = _READ[vr](cell.strip(" \0"))
        elif isinstance(cell, (pd.Timestamp, pd.Timedelta)):
            held = int(cell.as_unit("ns").value)
        else:
            held = int(pd.Timestamp(cell).as_unit("ns").value)
    except (ValueError, TypeError, OverflowError):
        return False
    return (low is None or held >= low) and (high is None or held <= high)
