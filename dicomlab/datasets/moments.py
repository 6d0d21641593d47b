"""Dates and times of DICOM as nanoseconds: one text, or the plain ones of a whole column (PS3.5 6.2)."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

import numpy as np

from .cells import Cells, Offsets, Rows

_TM = re.compile(r"(\d\d)(?::?([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?$")
_DT = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d{2}(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?)?([+-]\d{4})?$")
_DAY = 86_400_000_000_000  # nanoseconds
_LAST_DAY = (1 << 63) // _DAY  # after 1970 that int64 holds


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


def _number(digits: np.ndarray) -> Offsets:
    """The numbers that rows of decimal digits write."""
    found = digits[:, 0].astype(np.int64)
    for place in range(1, digits.shape[1]):
        found = 10 * found + digits[:, place]
    return found


def dates(cells: Cells) -> tuple[Offsets, Rows]:
    """What `date` gives for each value, and whether that is known here: for eight digits it is."""
    digits = cells.block(8) - 48
    done = (cells.lengths == 8) & (digits <= 9).all(axis=1)
    year, month, day = (np.where(done, _number(part), 1) for part in np.split(digits, [4, 6], axis=1))
    since = (year - 1970) * 12 + month - 1
    start, following = (
        months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for months in (since, since + 1)
    )
    days = start + day - 1
    done &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (days < following)
    done &= np.abs(days) <= _LAST_DAY
    return np.where(done, days, 0) * _DAY, done


def times(cells: Cells) -> tuple[Offsets, Rows]:
    """What `time` gives for each value, and whether that is known here: for HH, HHMM, HHMMSS and HHMMSS.F it is."""
    length = cells.lengths
    digits = cells.block(13) - 48
    point = digits[:, 6] == (ord(".") - 48) % 256
    digits[:, 6] = 0
    beyond = np.arange(13) >= length[:, None]
    digits[beyond] = 0
    done = (digits <= 9).all(axis=1)
    done &= (length == 2) | (length == 4) | (length == 6) | ((length >= 8) & (length <= 13) & point)
    hours, minutes, seconds, _, fraction = (_number(part) for part in np.split(digits, [2, 4, 6, 7], axis=1))
    done &= (hours <= 23) & (minutes <= 59) & (seconds <= 60)
    whole = (hours * 3600 + minutes * 60 + seconds) * 1_000_000_000 + fraction * 1000
    return np.where(done, whole, 0), done
