"""The order of a scan: studies by date, series by number, planes along their normal, then by number."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..datasets.elements import tag_of
from ..datasets.encoding import vr_of
from ..datasets.headers import Headers
from ..datasets.values import typed

Floats = NDArray[np.float64]
_PART: Final = 1 << 14  # rows whose values are looked at one by one at a time
_SERIES: Final = (0x00080020, 0x00080030, 0x0020000D, 0x00200011, 0x0020000E)  # what a study and series are sorted by


def in_order(headers: Headers) -> NDArray[np.intp]:
    """The rows in the order of a scan."""
    by_path = np.array(sorted(range(len(headers)), key=headers.paths.__getitem__), np.intp)
    planes = _planes(headers)  # without a position first
    keys = (_instance_numbers(headers), *planes[::-1], _series(headers))  # the last decides first
    return by_path[np.lexsort([key[by_path] for key in keys])]


def twice(headers: Headers, order: NDArray[np.intp]) -> Iterator[tuple[str, str]]:
    """Each file with the SOP Instance UID of one before it in the order, and that one."""
    values = [value or b"" for value in headers.values(tag_of("SOPInstanceUID"))]
    joined = b"".join(values)
    if joined.isascii() and b"\\" not in joined and b"\x1b" not in joined:
        uids = [value.strip(b" \0") for value in values]
    else:
        uids = [one.text("SOPInstanceUID").encode() for one in headers]
    if len(set(uids)) == len(uids):
        return
    seen: dict[bytes, str] = {}
    for row in order.tolist():
        path = headers.paths[row]
        if uids[row] and seen.setdefault(uids[row], path) != path:
            yield path, seen[uids[row]]


def _distinct(headers: Headers, *tags: int) -> tuple[list[int], NDArray[np.int64]]:
    """A row for each set of values that some attributes have, and for all rows the number of theirs."""
    others: list[NDArray[np.uint16]] = []
    for tag in tags:
        _, _, lengths, vrs = headers.cells(tag)
        vrs = np.where(lengths < 0, vrs.max(initial=0), vrs)
        if (vrs != vrs[:1]).any():
            others.append(vrs)  # the same bytes of another VR are another value
    numbers: dict[Any, int] = {}
    which = np.zeros(len(headers), np.int64)
    for first in range(0, len(headers), _PART):
        part = slice(first, first + _PART)
        columns = [*(headers.values(tag, part) for tag in tags), *(vrs[part].tolist() for vrs in others)]
        keys = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
        which[part] = [numbers.setdefault(key, len(numbers)) for key in keys]
    return np.unique(which, return_index=True)[1].tolist(), which


def _series(headers: Headers) -> NDArray[np.int64]:
    """The rank of the study and series of each row."""
    rows, which = _distinct(headers, *_SERIES)
    keys = [_series_key(headers, row) for row in rows]
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return np.array([ranks[key] for key in keys], np.int64)[which]


def _series_key(headers: Headers, row: int) -> tuple[str, str, str, float, str]:
    number = _numbers(headers, row, tag_of("SeriesNumber"))
    date, time, study, _, uid = (headers.text(tag, row) for tag in _SERIES)
    return date, time, study, number[0] if number else math.inf, uid


def _instance_numbers(headers: Headers) -> Floats:
    """Infinite where there is none."""
    tag = tag_of("InstanceNumber")
    rows, which = _distinct(headers, tag)
    found = [float(numbers[0]) if (numbers := _numbers(headers, row, tag)) else math.inf for row in rows]
    return np.array(found, np.float64)[which]


def _planes(headers: Headers) -> list[Floats]:
    """Whether a plane lies somewhere (0 or 1), the three components of its normal, the position along it; or zeros."""
    tag = tag_of("ImageOrientationPatient")
    rows, which = _distinct(headers, tag)
    normals = np.array([_normal(_numbers(headers, row, tag)) for row in rows], np.float64).reshape(-1, 4)[which]
    positions = _positions(headers)
    lies = normals[:, 3] * positions[:, 3]
    normal, position = normals[:, :3] * lies[:, None], positions[:, :3]
    along = (normal[:, 0] * position[:, 0] + normal[:, 1] * position[:, 1]) + normal[:, 2] * position[:, 2]
    return [lies, *(np.round(normal, 2) + 0.0).T, np.round(along, 3) + 0.0]


def _normal(a: tuple[float, ...]) -> tuple[float, ...]:
    """The normal of the rows and columns of a plane, and 1; zeros without."""
    if len(a) != 6:
        return (0.0, 0.0, 0.0, 0.0)
    return (a[1] * a[5] - a[2] * a[4], a[2] * a[3] - a[0] * a[5], a[0] * a[4] - a[1] * a[3], 1.0)


def _positions(headers: Headers) -> Floats:
    """(rows, 4) Image Position (Patient) and 1; zeros without."""
    tag = tag_of("ImagePositionPatient")
    rows, which = _distinct(headers, tag)
    found = np.zeros((len(rows), 4))
    for first in range(0, len(rows), _PART):
        _place(headers, tag, rows[first : first + _PART], found[first : first + _PART])
    return found[which]


def _place(headers: Headers, tag: int, rows: list[int], found: Floats) -> None:
    """Fill in the positions of some rows."""
    cells = [headers.value(tag, row) for row in rows]
    plain = [slot for slot, (value, vr) in enumerate(cells) if vr in ("DS", "") and value.count(b"\\") == 2]
    joined = b"\\".join([cells[slot][0] for slot in plain]).replace(b"\0", b" ")
    try:
        found[plain, :3] = np.array(list(map(float, joined.split(b"\\"))) if plain else []).reshape(len(plain), 3)
        found[plain, 3] = np.isfinite(found[plain]).all(axis=1)
    except ValueError:  # one of them is no number
        pass
    for slot in np.flatnonzero(found[:, 3] == 0).tolist():
        position = _numbers(headers, rows[slot], tag)
        found[slot] = (*position, 1) if len(position) == 3 else 0


def _numbers(headers: Headers, row: int, tag: int) -> tuple[float, ...]:
    """The finite numbers of a value; () where one is none."""
    value, vr = headers.value(tag, row)
    if not value:
        return ()
    try:
        found = typed(vr_of(tag) if vr in ("", "UN") else vr, value, (("iso8859",), False))
        values = found if isinstance(found, tuple) else (found,)
        return values if all(isinstance(v, int | float) and math.isfinite(v) for v in values) else ()
    except (ValueError, struct.error, OverflowError):
        return ()
