"""One attribute of many data sets as a typed column (dtypes by VR).

What is plain (one value, ASCII, a number or date as PS3.5 writes it) is read for all rows at once; every other row is
read alone, and gives the same.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from ..datasets import charset
from ..datasets.cells import Cells, Rows, strings, utf8_strings
from ..datasets.elements import Elements
from ..datasets.moments import date, dates, moment, time, times
from ..datasets.numerals import decimal, decimals, whole, wholes
from ..datasets.values import NUMBERS, SINGLE, TEXT, typed
from ..errors import BadData
from ..markup import pictured
from ..queries.keys import Key

INTEGERS: Final = frozenset(("IS", "US", "UL", "SS", "SL", "SV", "UV"))
FLOATS: Final = frozenset(("DS", "FL", "FD"))
PACKED: Final = frozenset(("US", "UL", "SS", "SL", "SV", "UV", "FL", "FD", "AT"))
MOMENTS: Final = {"DA": "datetime64[ns]", "DT": "datetime64[ns]", "TM": "timedelta64[ns]"}
OBJECTS: Final = frozenset(("SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN"))
_PART: Final = 1 << 14  # rows that are read one by one at a time
_BEHIND: Final = frozenset(("LT", "ST", "UT"))  # spaces before the text are part of it, PS3.5 6.2
Report = Callable[[int, str], None]  # told the row and the text of what cannot be read
Codecs = Callable[[int], tuple[tuple[str, ...], bool]]  # of a row, as `charset.codecs_of` gives them
_NO_CODECS: Final = charset.codecs_of(b"")
_UTF8: Final = charset.codecs_of(b"ISO_IR 192")


def dtype_of(vr: str) -> str:
    """The dtype of a column of this VR; "object" for sequences and bytes."""
    if vr in INTEGERS:
        return "Int64"
    if vr in FLOATS:
        return "float64"
    return MOMENTS.get(vr) or ("object" if vr in OBJECTS else "string")


def build(
    vr: str,
    cells: Cells,
    report: Report,
    codecs: Codecs = lambda row: _NO_CODECS,
    get: Callable[[int], Any] | None = None,
) -> Any:
    """A typed array of the values of one attribute.

    Parameters
    ----------
    vr
        The VR of the column by PS3.6; none of `OBJECTS`, and not ambiguous.
    cells
        The values.
    report
        Told the row and the text of what cannot be read, which is NA, and of text that cannot be decoded.
    codecs
        Asked for the rows whose text is not plain ASCII.
    get
        Gives the value of a row whose number is not encoded as one of `vr`, or raises BadData; without it, the
        VR that stands in `cells` decides.

    Returns
    -------
    array
        (n,) of `dtype_of(vr)`, or object with tuples where a row has several values.
    """
    if vr in PACKED:
        return _packed(vr, cells, report, get or (lambda row: _one(vr, cells, row, codecs)))
    breaks, beyond = cells.hold(cells.joined.breaks), cells.hold(cells.joined.beyond)
    slow = breaks | beyond
    plain = cells.stripped(b" \0", left=vr not in _BEHIND)
    if vr == "PN":
        plain = plain.stripped(b"=", left=False)

    if dtype_of(vr) != "string":
        return _parsed(vr, plain, slow, report)
    if not slow.any():
        return strings(plain)
    if vr in TEXT and not breaks.any() and all(codecs(row) == _UTF8 for row in np.flatnonzero(beyond).tolist()):
        made = utf8_strings(plain)
        if made is not None:
            return made
    texts: list[Any] = [""] * len(plain) if slow.all() else plain.texts()
    known: dict[bytes, Any] = {}  # of what does not depend upon the character set
    rows = np.flatnonzero(slow)
    for row, value in zip(rows.tolist(), cells.values(rows), strict=True):
        if value not in known or vr in TEXT:
            known[value] = _stripped(_decoded(value, vr, row, codecs, report), vr)
        texts[row] = known[value]
    texts = [tuple(map(pictured, one)) if type(one) is tuple else pictured(one) for one in texts]
    if any(type(one) is tuple for one in texts):
        return objects([one or None for one in texts])
    return pd.array([one or None for one in texts], dtype="string")


# -- text ----------------------------------------------------------------------------------------------------


def _decoded(value: bytes, vr: str, row: int, codecs: Codecs, report: Report) -> Any:
    """Text of one cell, a tuple where there are several values."""
    if vr in TEXT:
        text, sure = charset.decode(value, *codecs(row), vr)
        if not sure:
            report(row, text.strip(" \0"))
    else:
        text = value.decode("latin-1")
    return _split(text, vr)


def _split(text: str, vr: str) -> Any:
    """A tuple where there are several values."""
    if vr in SINGLE or "\\" not in text:
        return text
    return tuple(text.rstrip(" \0").split("\\"))


def _stripped(text: Any, vr: str) -> Any:
    if type(text) is tuple:
        return tuple(part.strip(" \0") for part in text)
    if vr in _BEHIND:
        return text.rstrip(" \0")
    text = text.strip(" \0")
    return text.rstrip("=") if vr == "PN" else text


def objects(values: Sequence[Any]) -> Any:
    """An object array; NA for None."""
    made = np.empty(len(values), dtype=object)
    made[:] = [pd.NA if value is None else value for value in values] if values else []
    return made


# -- dates, times and numbers that are written as text -------------------------------------------------------


def _parsed(vr: str, plain: Cells, slow: Rows, report: Report) -> Any:
    """A column of numbers or moments; the same bytes that are not plain are read once."""
    read = _AT_ONCE.get(vr)
    values: Any = np.zeros(len(plain), np.float64 if vr == "DS" else np.int64)
    done = np.zeros(len(plain), bool)
    if read is not None:
        values, done = read(plain)
        done &= ~slow
    rest = np.flatnonzero(~done & (slow | (plain.lengths > 0)))
    wrap = _WRAP.get(vr, lambda value: value)
    made: Any = None  # the column, once a row has several values
    for first in range(0, len(rest), _PART):
        rows = rest[first : first + _PART]
        raw = plain.values(rows)
        known = {cell: _read(_stripped(_split(cell.decode("latin-1"), vr), vr), vr) for cell in set(raw)}
        if not all(good for _, good in known.values()):
            for row, cell in zip(rows.tolist(), raw, strict=True):
                if not known[cell][1]:
                    text = _stripped(_split(cell.decode("latin-1"), vr), vr)
                    report(row, "\\".join(text) if type(text) is tuple else text)
        if made is None and any(type(value) is tuple for value, _ in known.values()):
            made = objects([None] * len(plain))
            plainly = np.flatnonzero(done)
            made[plainly] = objects([wrap(value) for value in values[plainly].tolist()])
        if made is None:
            values[rows] = [known[cell][0] or 0 for cell in raw]
            done[rows] = [known[cell][0] is not None for cell in raw]
        else:
            several = {cell: _wrapped(value, wrap) for cell, (value, _) in known.items()}
            made[rows] = objects([several[cell] for cell in raw])
    return _array(values, ~done, vr) if made is None else made


def _wrapped(value: Any, wrap: Callable[[Any], Any]) -> Any:
    if type(value) is tuple:
        return tuple(None if part is None else wrap(part) for part in value)
    return None if value is None else wrap(value)


def _read(text: Any, vr: str) -> tuple[Any, bool]:
    """The value of one text, or those of a tuple of them, None where there is none; and whether all are good."""
    if type(text) is tuple:
        many = [_read(part, vr) for part in text]
        values = tuple(value for value, _ in many)
        return None if all(value is None for value in values) else values, all(good for _, good in many)
    if not text:
        return None, True
    try:
        return _PARSERS[vr](text), True
    except (ValueError, OverflowError):
        return None, False


def _array(values: Any, missing: Rows, vr: str) -> Any:
    """A typed array of numbers, NA where they are missing."""
    kind = dtype_of(vr)
    if kind == "Int64":
        return pd.arrays.IntegerArray(np.where(missing, 0, values).astype(np.int64), missing)
    if kind == "float64":
        return np.where(missing, np.nan, values).astype(np.float64)
    return np.where(missing, np.iinfo(np.int64).min, values).view(kind)


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "DA": date,
    "TM": time,
    "DT": moment,
    "IS": whole,
    "DS": decimal,
}
_AT_ONCE: Final[dict[str, Callable[[Cells], tuple[Any, Rows]]]] = {
    "DA": dates,
    "TM": times,
    "IS": wholes,
    "DS": decimals,
}
_WRAP: Final[dict[str, Callable[[int], Any]]] = {"DA": pd.Timestamp, "DT": pd.Timestamp, "TM": pd.Timedelta}


def united(parts: Sequence[pd.Series]) -> Any:
    """The columns of one attribute of some rows after others as one array: of objects where one of them is."""
    if any(part.dtype == object for part in parts):
        return np.concatenate([part.astype(object).where(part.notna(), pd.NA).to_numpy() for part in parts])
    return pd.concat(parts, ignore_index=True).array


# -- packed numbers, tags, bytes and sequences ---------------------------------------------------------------


def _packed(vr: str, cells: Cells, report: Report, get: Callable[[int], Any]) -> Any:
    """A column of binary numbers or tags; read row by row unless each holds one number of this VR."""
    form = NUMBERS.get(vr)
    size = struct.calcsize("<" + form) if form else 0
    there = cells.lengths == size
    if cells.vrs is not None:
        there &= (cells.vrs == 0) | (cells.vrs == int.from_bytes(vr.encode(), "little"))
    if form is None or vr == "UV" or (~there & (cells.lengths > 0)).any():
        return one_by_one(vr, len(cells), get, cells.value, report)
    return _array(cells.block(size).view("<" + form)[:, 0], ~there, vr)


def _one(vr: str, cells: Cells, row: int, codecs: Codecs) -> Any:
    """The value of one row in the VR that it was encoded in."""
    code = 0 if cells.vrs is None else int(cells.vrs[row])
    encoded = code.to_bytes(2, "little").decode("latin-1") if code else vr
    return typed(vr if encoded == "UN" else encoded, cells.value(row), codecs(row))


def one_by_one(vr: str, count: int, get: Callable[[int], Any], raw: Callable[[int], bytes], report: Report) -> Any:
    """A column of binary numbers, tags, bytes or items, read row by row.

    `get` gives the value of a row, None where there is none, or raises BadData; `raw` its bytes.
    """
    cells: list[Any] = []
    for row in range(count):
        value = None
        try:
            value = get(row)
        except BadData:
            report(row, repr(raw(row)[:32]))
        if isinstance(value, list):
            items = tuple(_item(item) for item in value)
            value = items if any(map(_says, items)) else None
        elif vr == "AT" and value is not None:
            tags = value if isinstance(value, tuple) else (value,)
            names = tuple(f"({one >> 16:04X},{one & 0xFFFF:04X})" for one in tags)
            value = names if len(names) > 1 else names[0]
        cells.append(value)
    kind = dtype_of(vr)
    plain = (int, float, str) if kind != "object" else ()
    if kind == "object" or any(cell is not None and not isinstance(cell, plain) for cell in cells):
        return objects(cells)
    if kind == "string":
        return pd.array(cells, dtype="string")
    for row, cell in enumerate(cells):
        if kind == "Int64" and cell is not None and not (isinstance(cell, int) and -(2**63) <= cell < 2**63):
            report(row, str(cell))
            cells[row] = None
    missing = np.array([cell is None for cell in cells], dtype=bool)
    number = np.float64 if kind == "float64" else np.int64
    return _array(np.array([0 if cell is None else cell for cell in cells], dtype=number), missing, vr)


def _says(item: dict[str, Any]) -> bool:
    """Whether an item holds any value: dcmqrscp and wlmscpfs answer with one that holds none."""
    return any(value not in (None, ()) for value in item.values())


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
