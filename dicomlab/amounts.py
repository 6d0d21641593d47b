"""Sizes and ages as a user says them."""

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


def days_of(age: float | dt.timedelta) -> float:
    """An age in days."""
    if isinstance(age, dt.timedelta):
        age = age / dt.timedelta(days=1)
    if isinstance(age, bool) or not isinstance(age, int | float) or not age >= 0:
        raise InvalidRequest(f"{age!r} is no age", advice="Give days, or a timedelta.")
    return float(age)
