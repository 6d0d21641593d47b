"""A table as text to look at: one text for each cell, in which nothing is markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pandas as pd
from pydicom.datadict import tag_for_keyword

from ..datasets.encoding import vr_of
from ..errors import InvalidRequest, did_you_mean
from ..markup import page_text, plain, shown

_FIRST = ("PatientName", "PatientID")


def text_of(value: Any) -> str:
    """One cell in one line: dates as 2024-01-31, times as 14:30:00, several values with commas, NA as nothing.

    Examples
    --------
    >>> text_of(("CT", "PT")), text_of(pd.Timedelta(hours=14, minutes=30)), text_of(pd.NA), text_of(0.5)
    ('CT, PT', '14:30:00', '', '0.5')
    """
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, tuple | list):
        return shown(", ".join(text_of(one) for one in value))
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dt.datetime):
        return str(value.date()) if value.time() == dt.time() else value.isoformat(" ", "seconds")
    if isinstance(value, dt.timedelta):
        return _clock(value)
    return shown(value)


def _clock(since_midnight: dt.timedelta) -> str:
    seconds = int(since_midnight.total_seconds())
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def texts_of(column: pd.Series) -> list[str]:
    """The text of each cell of a column, each value written once."""
    known: dict[Any, str] = {}
    found: list[str] = []
    for value in column.tolist():
        key = (type(value), value)  # True is 1 to a dict
        try:
            text = known.get(key)
        except TypeError:  # a list is no key
            found.append(text_of(value))
            continue
        if text is None:
            text = known[key] = text_of(value)
        found.append(text)
    return found


def columns_shown(table: pd.DataFrame, columns: Sequence[str] | None = None) -> list[str]:
    """The columns to look at: those asked for, else all but UIDs and what is empty in every row.

    Raises
    ------
    InvalidRequest
        There is no such column, or none is asked for.
    """
    if columns is not None:
        asked = [columns] if isinstance(columns, str) else list(columns)
        for name in asked:
            if name not in table.columns:
                known = [str(one) for one in table.columns]
                raise InvalidRequest(
                    f"the table has no column {name!r}{did_you_mean(str(name), known)}",
                    advice=f"It has {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}.",
                )
        if not asked and len(table.columns):
            raise InvalidRequest("no column is to be shown", advice="Name one, or leave columns out.")
        return asked
    named = [name for name in table.columns if not _is_uid(str(name))]
    filled = [name for name in named if not len(table) or table[name].notna().any()]
    shown_first = [name for name in _FIRST if name in filled]
    return [*shown_first, *(name for name in filled if name not in _FIRST)] or named or list(table.columns)


def _is_uid(name: str) -> bool:
    tag = tag_for_keyword(name.rpartition(".")[2])
    return tag is not None and vr_of(tag) == "UI"


def page(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, list[str]]:
    """The cells of those columns, and their names, as HTML without markup."""
    return {str(page_text(shown(name))): _html(texts_of(table[name])) for name in columns}


def _html(texts: list[str]) -> list[str]:
    if plain("".join(texts)):
        return texts
    known: dict[str, str] = {text: page_text(text) for text in dict.fromkeys(texts)}
    return [known[text] for text in texts]


def as_text(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The same rows with every cell as text in one line."""
    return pd.DataFrame({shown(name): texts_of(table[name]) for name in columns}, dtype=object, index=table.index)
