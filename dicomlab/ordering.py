"""The order of a scan: studies by date, series by number, planes along their normal, then by number."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .elements import tag_of
from .encoding import vr_of
from .headers import Headers
from .values import typed

Floats = NDArray[np.float64]
_SERIES: Final = (0x00080020, 0x00080030, 0x0020000D, 0x00200011, 0x0020000E)  # what a study and series are sorted by
_DS: Final = int.from_bytes(b"DS", "little")


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


def _series(headers: Headers) -> NDArray[np.int64]:
    """The rank of the study and series of each row; what the same bytes say is read once."""
    columns: list[list[Any]] = [headers.values(tag) for tag in _SERIES]
    for tag in _SERIES:
        _, _, lengths, vrs = headers.cells(tag)
        vrs = np.where(lengths < 0, vrs.max(initial=0), vrs)
        if (vrs != vrs[:1]).any():
            columns.append(vrs.tolist())  # the same bytes of another VR are another value
    keys = list(zip(*columns, strict=True))
    known = {key: _series_key(headers, row) for key, row in {key: row for row, key in enumerate(keys)}.items()}
    ranks = {key: rank for rank, key in enumerate(sorted(set(known.values())))}
    return np.array([ranks[known[key]] for key in keys], np.int64)


def _series_key(headers: Headers, row: int) -> tuple[str, str, str, float, str]:
    number = _numbers(headers, row, tag_of("SeriesNumber"))
    date, time, study, _, uid = (headers.text(tag, row) for tag in _SERIES)
    return date, time, study, number[0] if number else math.inf, uid


def _instance_numbers(headers: Headers) -> Floats:
    """Infinite where there is none."""
    known: dict[bytes | None, float] = {None: math.inf}
    found: list[float] = []
    tag = tag_of("InstanceNumber")
    for row, value in enumerate(headers.values(tag)):
        number = known.get(value)
        if number is None:
            numbers = _numbers(headers, row, tag)
            number = float(numbers[0]) if numbers else math.inf
            known[value] = number
        found.append(number)
    return np.array(found, np.float64)


def _planes(headers: Headers) -> list[Floats]:
    """Whether a plane lies somewhere (0 or 1), the three components of its normal, the position along it; or zeros."""
    tag = tag_of("ImageOrientationPatient")
    values = headers.values(tag)
    first: dict[bytes | None, int] = {value: row for row, value in enumerate(values)}
    numbers = {value: number for number, value in enumerate(first)}
    normals = np.array([_normal(_numbers(headers, row, tag)) for row in first.values()], np.float64).reshape(-1, 4)
    which = normals[[numbers[value] for value in values]]
    rows, lies = which[:, :3], which[:, 3]
    position, there = _positions(headers)
    lies = lies * there
    rows = rows * lies[:, None]
    along = ((rows[:, 0] * position[:, 0] + rows[:, 1] * position[:, 1]) + rows[:, 2] * position[:, 2]) * lies
    return [lies, *(np.round(rows, 2) + 0.0).T, np.round(along, 3) + 0.0]


def _normal(a: tuple[float, ...]) -> tuple[float, ...]:
    """The normal of the rows and columns of a plane, and 1; zeros without."""
    if len(a) != 6:
        return (0.0, 0.0, 0.0, 0.0)
    return (a[1] * a[5] - a[2] * a[4], a[2] * a[3] - a[0] * a[5], a[0] * a[4] - a[1] * a[3], 1.0)


def _positions(headers: Headers) -> tuple[Floats, Floats]:
    """(rows, 3) Image Position (Patient), zeros without; and 1 where it is there."""
    found, there = np.zeros((len(headers), 3)), np.zeros(len(headers))
    tag = tag_of("ImagePositionPatient")
    values, vrs = headers.values(tag), headers.cells(tag)[3]
    plain = [
        row
        for row, (value, vr) in enumerate(zip(values, vrs.tolist(), strict=True))
        if value and vr in (_DS, 0) and value.count(b"\\") == 2
    ]
    joined = b"\\".join([values[row] or b"" for row in plain]).replace(b"\0", b" ")
    try:
        numbers = np.array(list(map(float, joined.split(b"\\"))) if plain else []).reshape(len(plain), 3)
        found[plain], there[plain] = numbers, 1
        odd = set(np.array(plain, np.intp)[~np.isfinite(numbers).all(axis=1)].tolist())
    except ValueError:  # one of them is no number
        odd = set(plain)
    odd |= {row for row, value in enumerate(values) if value} - set(plain)
    for row in odd:
        position = _numbers(headers, row, tag)
        there[row] = len(position) == 3
        found[row] = position if len(position) == 3 else 0
    return found, there


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
