"""Headers as bytes and back, and several as one, so that what was read of files can be kept between sessions."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from ..errors import BadFile
from .extents import Extents
from .headertable import Headers

_MARK: Final = b"dicomlab headers 2\n"
_EXTENTS: Final = {"varies": "?", "group": "<u4", "steady": "<i4", "varying": "<i4"}  # arrays, as they are kept
_BY_ROW: Final = {
    "implicit": "?", "data_set": "<i8", "ends": "<i8", "sizes": "<i8",
    "pixel_at": "<i8", "pixel_length": "<i8", "pixel_tag": "<i8", "pixel_vr": "<u2",
}  # fmt: skip
_LARGEST: Final = 0x7FFFFFFF  # bytes of values that `Extents` can count to, as they are kept
_SIZE: Final = struct.Struct("<Q")


def pack(headers: Headers) -> list[bytes | memoryview]:
    """Headers as parts of bytes; none where there are too many values."""
    if len(headers.data) > _LARGEST:
        return []
    errors = {row: (one.why, one.tag, one.offset, one.advice) for row, one in headers.errors.items()}
    groups = headers.extents.steady.shape[2]
    head = json.dumps({"tags": headers.tags, "groups": groups, "errors": errors}).encode("ascii")
    paths = b"\0".join(os.fsencode(path) for path in headers.paths)
    kinds = ((headers.extents, _EXTENTS), (headers, _BY_ROW))
    arrays = (np.ascontiguousarray(getattr(one, name), kind) for one, names in kinds for name, kind in names.items())
    parts: list[bytes | memoryview] = [head, paths]
    parts += [array.reshape(-1).view(np.uint8).data for array in arrays]
    parts += [headers.data]
    return [_MARK, *(part for one in parts for part in (_SIZE.pack(len(one)), one))]


def unpack(data: memoryview, wanted: frozenset[int]) -> Headers:
    """The headers that `pack` made bytes of; nothing of theirs lies in these, so that they may go.

    Raises
    ------
    ValueError
        They are no such bytes.
    """
    parts = _parts(data)
    try:
        about = json.loads(bytes(parts[0]))
        paths = [os.fsdecode(path) for path in bytes(parts[1]).split(b"\0")] if len(parts[1]) else []
        made = Headers([], wanted, [int(tag) for tag in about["tags"]])
        made.paths = paths
        rows, kinds = len(paths), _EXTENTS | _BY_ROW
        arrays = [np.frombuffer(part, kind).copy() for part, kind in zip(parts[2:-1], kinds.values(), strict=True)]
        varies, group, steady, varying = arrays[: len(_EXTENTS)]
        shapes = [(3, int(which.sum()), count) for which, count in ((~varies, about["groups"]), (varies, rows))]
        made.extents = Extents(varies, group.reshape(rows), steady.reshape(shapes[0]), varying.reshape(shapes[1]))
        for array, name in zip(arrays[len(_EXTENTS) :], _BY_ROW, strict=True):
            setattr(made, name, array.reshape(rows).astype(getattr(made, name).dtype, copy=False))
        made.data = bytes(parts[-1])
        for row, (why, tag, offset, advice) in about["errors"].items():
            made.errors[int(row)] = BadFile(paths[int(row)], why, tag=tag, offset=offset, advice=advice)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"no packed headers: {error}") from None
    return made.described()


def _parts(data: memoryview) -> list[memoryview]:
    if data[: len(_MARK)] != _MARK:
        raise ValueError("no packed headers of this version")
    at = len(_MARK)
    parts: list[memoryview] = []
    while at < len(data):
        if at + _SIZE.size > len(data):
            raise ValueError("packed headers that are cut")
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
        if at + size > len(data):
            raise ValueError("packed headers that are cut")
        parts.append(data[at : at + size])
        at += size
    return parts


def joined(parts: Sequence[Headers]) -> Headers:
    """Headers of the same attributes one behind the other."""
    first, *others = parts
    if not others:
        return first
    made = Headers([path for part in parts for path in part.paths], first.wanted, first.tags)
    made.data = b"".join(part.data for part in parts)
    before = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
    every = np.ones(len(first.tags), np.int64)
    made.extents = Extents.joined(
        [part.extents.moved(shift * every) for part, shift in zip(parts, before, strict=True)]
    )
    for name in _BY_ROW:
        setattr(made, name, np.concatenate([getattr(part, name) for part in parts]))
    row = 0
    for part in parts:
        for known, new in ((part.errors, made.errors), (part.made, made.made), (part.metas, made.metas)):
            new |= {row + at: value for at, value in known.items()}  # type: ignore[assignment, operator]
        row += len(part)
    return made.described()


def without_rest(headers: Headers) -> Headers:
    """The same with the values of these rows only: rows that were taken away leave theirs behind."""
    made = headers.take(range(len(headers)))
    made.extents, made.data = made.extents.gathered(headers.data)
    return made
