"""Sizes and ages as a user says them, and counts as they are said to a user."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from .errors import InvalidRequest

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", re.IGNORECASE)


def bytes_of(size: int | str) -> int:
    """A size in bytes.

    Examples
    --------
    >>> bytes_of("1.5 GB"), bytes_of(100)
    (1500000000, 100)
    """
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if match is not None:
        return int(float(match[1]) * _UNITS[match[2].upper().removesuffix("B")])
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidRequest(f"{size!r} is no size", advice='Give bytes, or text such as "50 GB".')
    return size


def counted(count: int, one: str, many: str = "") -> str:
    """So many of them, with what is said of them, in the singular or the plural.

    Examples
    --------
    >>> counted(1, "instance"), counted(1200, "instance"), counted(2, "study is", "studies are")
    ('1 instance', '1,200 instances', '2 studies are')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def are(count: int) -> str:
    """The verb of so many."""
    return "is" if count == 1 else "are"


def days_of(age: float | dt.timedelta) -> float:
    """An age in days."""
    if isinstance(age, dt.timedelta):
        age = age / dt.timedelta(days=1)
    if isinstance(age, bool) or not isinstance(age, int | float) or not age >= 0:
        raise InvalidRequest(f"{age!r} is no age", advice="Give days, or a timedelta.")
    return float(age)
