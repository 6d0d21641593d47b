"""Data elements of values as tables, data sets and callers have them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from .. import phi
from ..errors import InvalidRequest
from ..writers.modules import element, keyword_known, loose

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

_EARLIEST: Final = 1890  # a date before is one that was moved while names were hidden
_NO_TEXT: Final = frozenset(("SQ", "DA", "TM", "DT", "US", "UL", "SS", "SL", "FL", "FD", "IS", "DS", "OB", "OW", "UN"))


def filled(keyword: str, value: Any, *, strict: bool = False) -> DataElement:
    """An element of a value as a table, a data set or a caller has it; empty where there is none.

    Parameters
    ----------
    strict
        Refuse what the VR does not allow; else what a worklist gave goes back as it is.

    Raises
    ------
    InvalidRequest
        It is no value of that attribute.
    """
    from pydicom.datadict import dictionary_VR

    vr = dictionary_VR(keyword)
    if missing(value):
        return loose(keyword, [] if vr == "SQ" else None)
    if vr == "SQ":
        return loose(keyword, _items(keyword, value, strict))
    value = phi.key(keyword, value)
    if not isinstance(value, str) and isinstance(value, Sequence):
        plain: Any = [_plain(keyword, vr, one) for one in value]
    else:
        plain = _plain(keyword, vr, value)
    return element(keyword, plain) if strict else loose(keyword, plain)


def missing(value: Any) -> bool:
    """Whether a cell, or what a caller gave, holds nothing."""
    import pandas as pd

    if value is None or (isinstance(value, str | list | tuple) and not len(value)):
        return True
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _items(keyword: str, value: Any, strict: bool) -> list[Dataset]:
    from pydicom.dataset import Dataset

    several = [value] if isinstance(value, Mapping | Dataset) else value
    if not isinstance(several, Sequence) or isinstance(several, str):
        raise InvalidRequest(
            f"{keyword} is a sequence, and {value!r:.60} has no items", advice="Give a dict, or a list of dicts."
        )
    made = []
    for one in several:
        pairs = [(part.keyword, part.value) for part in one] if isinstance(one, Dataset) else list(dict(one).items())
        item = Dataset()
        for name, inner in pairs:
            keyword_known(name)
            if not missing(inner):
                item.add(filled(name, inner, strict=strict))
        if len(item):
            made.append(item)
    return made


def _plain(keyword: str, vr: str, value: Any) -> Any:
    """One value in DICOM's form."""
    if vr in ("DA", "TM", "DT"):
        text = _moment(vr, value)
        if vr != "TM" and text[:4].isdecimal() and int(text[:4]) < _EARLIEST:
            raise InvalidRequest(
                f"{keyword} lies before {_EARLIEST}, as dates do in a table that was made while names were hidden",
                advice="Ask again with dl.options.phi as it is now, and take the rows of the new table.",
            )
        return text
    if vr not in _NO_TEXT and isinstance(value, Real):
        raise InvalidRequest(
            f"{keyword} is text ({vr}), not the number {value!r}",
            advice=f"Write {keyword}={str(value)!r}; read_table keeps identifiers as text.",
        )
    return value.item() if hasattr(value, "item") and vr in _NO_TEXT else value if vr in _NO_TEXT else str(value)


def _moment(vr: str, value: Any) -> str:
    import pandas as pd

    if isinstance(value, dt.timedelta):
        value = (dt.datetime.min + value).time()
    if type(value).__name__ == "datetime64":
        value = pd.Timestamp(value)
    if isinstance(value, dt.date | dt.time):
        fraction = getattr(value, "microsecond", 0)
        text = value.strftime({"DA": "%Y%m%d", "TM": "%H%M%S", "DT": "%Y%m%d%H%M%S"}[vr])
        return text + (f".{fraction:06d}" if fraction and vr != "DA" else "")
    return str(value)


def declare(data: Dataset) -> None:
    """Say the character set where a text needs one."""
    texts = (str(part.value) for part in data.iterall() if part.VR != "SQ" and part.value is not None)
    if not all(text.isascii() for text in texts):
        data.SpecificCharacterSet = "ISO_IR 192"
