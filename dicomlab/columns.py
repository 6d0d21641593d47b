"""One attribute of many data sets as a typed column (dtypes by VR)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd

from .elements import SINGLE, TEXT, Elements
from .encoding import vr_of
from .errors import BadData
from .keys import Key, key_of

INTEGERS: Final = frozenset(("IS", "US", "UL", "SS", "SL", "SV", "UV"))
FLOATS: Final = frozenset(("DS", "FL", "FD"))
PACKED: Final = frozenset(("US", "UL", "SS", "SL", "SV", "UV", "FL", "FD", "AT"))
MOMENTS: Final = {"DA": "datetime64[ns]", "DT": "datetime64[ns]", "TM": "timedelta64[ns]"}
OBJECTS: Final = frozenset(("SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN"))
_TM = re.compile(r"(\d\d)(?::?([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?$")
_DT = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d{2}(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?)?([+-]\d{4})?$")
Report = Callable[[int, str], None]


def dtype_of(vr: str) -> str:
    """The dtype of a column of this VR; "object" for sequences and bytes."""
    if vr in INTEGERS:
        return "Int64"
    if vr in FLOATS:
        return "float64"
    return MOMENTS.get(vr) or ("object" if vr in OBJECTS else "string")


def column(records: Sequence[Elements], name: str, report: Report) -> Any:
    """The values of one key of all records; `report` is told the row and text of what cannot be read."""
    key = key_of(name)
    vr = vr_of(key.tag)
    if " or " in vr:
        vr = "US" if vr.startswith("US") else "OW"
    if len(key.path) > 1:
        records = [_inside(record, key) for record in records]
    if vr == "UN":
        vr = next((record.vr(key.tag) for record in records if key.tag in record), "UN")
    if vr in OBJECTS or vr in PACKED:
        return _objects_or_numbers(records, key.tag, vr, report)
    return _text(records, key.tag, vr, report)


def _inside(record: Elements, key: Key) -> Elements:
    """The item that a path leads to; an empty one where it is not there."""
    for tag, item in key.path[:-1]:
        try:
            items = record.items(tag)
        except BadData:
            items = []
        if item >= len(items):
            return Elements({}, record.implicit)
        record = items[item]
    return record


def _text(records: Sequence[Elements], tag: int, vr: str, report: Report) -> Any:
    """A column of a VR that is encoded as text."""
    raw = [cell[1] if (cell := record.raw.get(tag)) else b"" for record in records]
    joined = b"\n".join(raw)
    texts: list[Any]
    if (
        joined.isascii()
        and not (b"\x1b" in joined or b"\\" in joined)
        and joined.count(b"\n") == len(raw) - 1
    ):
        texts = joined.decode("ascii").split("\n") if raw else []
    else:
        texts = [
            _decoded(record, value, vr, row, report)
            for row, (record, value) in enumerate(zip(records, raw, strict=True))
        ]
    strip = " \0" if vr not in TEXT or vr in ("LO", "SH", "PN", "UC") else None
    several = any(type(text) is tuple for text in texts)
    if strip and not several:
        texts = [text.strip(strip) for text in texts]
    elif not several:
        texts = [text.rstrip(" \0") for text in texts]
    else:
        texts = [_stripped(text) for text in texts]
    if vr == "PN":
        texts = [text.rstrip("=") if type(text) is str else text for text in texts]
    if dtype_of(vr) == "string":
        if several:
            return _object([text or None for text in texts])
        return pd.array([text or None for text in texts], dtype="string")
    return _parsed(texts, vr, several, report)


def _stripped(text: Any) -> Any:
    return tuple(part.strip(" \0") for part in text) if type(text) is tuple else text.strip(" \0")


def _decoded(record: Elements, value: bytes, vr: str, row: int, report: Report) -> Any:
    """Text of one cell, a tuple where there are several values."""
    if not value:
        return ""
    if vr in TEXT:
        from .charset import decode

        text, sure = decode(value, *record.codecs)
        if not sure:
            report(row, text.strip(" \0"))
    else:
        text = value.decode("latin-1")
    if vr in SINGLE or "\\" not in text:
        return text
    return tuple(text.rstrip(" \0").split("\\"))


def _parsed(texts: list[Any], vr: str, several: bool, report: Report) -> Any:
    """Dates, times and numbers from text; each distinct text is read once."""
    parse = _PARSERS[vr]
    values: dict[str, Any] = {}
    for text in (
        {part for one in texts for part in (one if type(one) is tuple else (one,))} if several else set(texts)
    ):
        try:
            values[text] = parse(text) if text else None
        except (ValueError, OverflowError):
            values[text] = ValueError
    bad = {text for text, value in values.items() if value is ValueError}
    if bad:
        for row, one in enumerate(texts):
            if one in bad or (type(one) is tuple and not bad.isdisjoint(one)):
                report(row, "\\".join(one) if type(one) is tuple else one)
        values.update(dict.fromkeys(bad, None))
    if several:
        wrap = _WRAP.get(vr, lambda value: value)
        cells = []
        for one in texts:
            many = tuple(
                None if values[part] is None else wrap(values[part])
                for part in (one if type(one) is tuple else (one,))
            )
            cells.append(
                None if all(part is None for part in many) else many if type(one) is tuple else many[0]
            )
        return _object(cells)
    return _array([values[text] for text in texts], vr)


def _array(values: list[Any], vr: str) -> Any:
    """A typed array of values and None."""
    kind = dtype_of(vr)
    if kind == "float64":
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    missing = np.array([value is None for value in values], dtype=bool)
    if kind == "Int64":
        filled = np.array([0 if value is None else value for value in values], dtype=np.int64)
        return pd.arrays.IntegerArray(filled, missing)
    nat = np.iinfo(np.int64).min
    return np.array([nat if value is None else value for value in values], dtype=np.int64).view(kind)


def _object(cells: list[Any]) -> Any:
    made = np.empty(len(cells), dtype=object)
    made[:] = [pd.NA if cell is None else cell for cell in cells] if cells else []
    return made


def _objects_or_numbers(records: Sequence[Elements], tag: int, vr: str, report: Report) -> Any:
    """A column of packed numbers, tags, bytes or items."""
    cells: list[Any] = []
    for row, record in enumerate(records):
        value = None
        if tag in record.raw:
            try:
                value = record.get(tag)
            except BadData:
                report(row, repr(record.raw[tag][1][:32]))
        if isinstance(value, list):
            value = tuple(_item(item) for item in value) or None
        elif vr == "AT" and value is not None:
            tags = value if isinstance(value, tuple) else (value,)
            names = tuple(f"({one >> 16:04X},{one & 0xFFFF:04X})" for one in tags)
            value = names if len(names) > 1 else names[0]
        cells.append(value)
    kind = dtype_of(vr)
    plain = (int, float, str) if kind != "object" else ()
    if kind == "object" or any(cell is not None and not isinstance(cell, plain) for cell in cells):
        return _object(cells)
    if kind == "string":
        return pd.array(cells, dtype="string")
    for row, cell in enumerate(cells):
        if kind == "Int64" and cell is not None and not (isinstance(cell, int) and -(2**63) <= cell < 2**63):
            report(row, str(cell))
            cells[row] = None
    return _array(cells, vr)


def _item(item: Elements) -> dict[str, Any]:
    """An item of a sequence as a mapping by keyword."""
    found: dict[str, Any] = {}
    for tag in item.raw:
        try:
            value = item.get(tag)
        except BadData:
            value = None
        found[Key(((tag, 0),)).name] = tuple(map(_item, value)) if isinstance(value, list) else value
    return found


@lru_cache(maxsize=65536)
def date(text: str) -> int:
    """Nanoseconds since 1970 of a DA; 2024.01.31 of old files is taken, other forms are not."""
    if len(text) == 10 and text[4] == text[7] == ".":
        text = text.replace(".", "")
    if len(text) != 8 or not text.isdigit() or not text.isascii():
        raise ValueError(text)
    return _nanoseconds(dt.datetime(int(text[:4]), int(text[4:6]), int(text[6:])))


def _nanoseconds(moment: dt.datetime) -> int:
    since = moment - dt.datetime(1970, 1, 1)
    found = (since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds) * 1000
    if not -(2**63) < found < 2**63:
        raise ValueError(moment)
    return found


def time(text: str) -> int:
    """Nanoseconds since midnight of a TM."""
    match = _TM.match(text)
    if match is None or not text.isascii() or int(match[1]) > 23:
        raise ValueError(text)
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def moment(text: str) -> int:
    """Nanoseconds since 1970 of a DT, on the clock it was written by; one with an offset is not read."""
    match = _DT.match(text)
    if match is None or match[5] or not text.isascii():
        raise ValueError(text)
    year, month, day, clock, _ = match.groups()
    start = _nanoseconds(dt.datetime(int(year), int(month or 1), int(day or 1)))
    return start + (time(clock) if clock else 0)


def _integer(text: str) -> int:
    value = int(text) if text.isascii() and "_" not in text else int("x")
    if not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value


def _decimal(text: str) -> float:
    if "_" in text or not text.isascii():
        raise ValueError(text)
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    try:
        return _integer(text)
    except ValueError:
        value = _decimal(text)
        if value != int(value):
            raise
        return int(value)


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "DA": date,
    "TM": time,
    "DT": moment,
    "IS": _whole,
    "DS": _decimal,
}
_WRAP: Final[dict[str, Callable[[int], Any]]] = {"DA": pd.Timestamp, "DT": pd.Timestamp, "TM": pd.Timedelta}
