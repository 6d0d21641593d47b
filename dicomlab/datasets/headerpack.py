"""Headers as bytes and back, and several as one, so that what was read of files can be kept between sessions."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from ..errors import BadFile
from .headertable import Headers, offsets

_MARK: Final = b"dicomlab headers 1\n"
_BY_TAG: Final = {"starts": "<u4", "lengths": "<i4", "vrs": "<u2"}  # arrays (tags, rows), as they are kept
_BY_ROW: Final = {
    "implicit": "?", "data_set": "<i8", "ends": "<i8", "sizes": "<i8",
    "pixel_at": "<i8", "pixel_length": "<i8", "pixel_tag": "<i8", "pixel_vr": "<u2",
}  # fmt: skip
_LARGEST: Final = 0xFFFFFFFF  # bytes of values that `starts` can count
_SIZE: Final = struct.Struct("<Q")


def pack(headers: Headers) -> list[bytes | memoryview]:
    """Headers as parts of bytes; none where there are too many values."""
    if len(headers.data) > _LARGEST:
        return []
    errors = {row: (one.why, one.tag, one.offset, one.advice) for row, one in headers.errors.items()}
    head = json.dumps({"tags": headers.tags, "errors": errors}).encode("ascii")
    paths = b"\0".join(os.fsencode(path) for path in headers.paths)
    kinds = (_BY_TAG | _BY_ROW).items()
    arrays = (np.ascontiguousarray(getattr(headers, name), kind) for name, kind in kinds)
    parts: list[bytes | memoryview] = [head, paths]
    parts += [array.reshape(-1).view(np.uint8).data for array in arrays]
    parts += [headers.data]
    return [_MARK, *(part for one in parts for part in (_SIZE.pack(len(one)), one))]


def unpack(data: memoryview, wanted: frozenset[int]) -> Headers:
    """The headers that `pack` made bytes of; they lie where these do, which are not to change.

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
        for part, (name, kind) in zip(parts[2:-1], (_BY_TAG | _BY_ROW).items(), strict=True):
            shape = (len(made.tags), len(paths)) if name in _BY_TAG else (len(paths),)
            array = np.frombuffer(part, kind).reshape(shape)
            setattr(made, name, array.astype(getattr(made, name).dtype, copy=False))
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
    shifts = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
    starts = [part.starts + shift for part, shift in zip(parts, shifts, strict=True)]
    made.starts = offsets(np.concatenate(starts, axis=1), len(made.data))
    for name in ("lengths", "vrs"):
        setattr(made, name, np.concatenate([getattr(part, name) for part in parts], axis=1))
    for name in _BY_ROW:
        setattr(made, name, np.concatenate([getattr(part, name) for part in parts]))
    before = 0
    for part in parts:
        for known, new in ((part.errors, made.errors), (part.made, made.made), (part.metas, made.metas)):
            new |= {row + before: value for row, value in known.items()}  # type: ignore[assignment, operator]
        before += len(part)
    return made.described()


def without_rest(headers: Headers) -> Headers:
    """The same with the values of these rows only: rows that were taken away leave theirs behind."""
    made = headers.take(range(len(headers)))
    values, parts, filled = np.frombuffer(headers.data, np.uint8), [], 0
    made.starts = headers.starts.astype(np.int64)
    for slot, lengths in enumerate(np.maximum(headers.lengths, 0).astype(np.int64)):
        starts = headers.starts[slot].astype(np.int64)
        new = np.ones(len(starts), bool)  # and not what lies where the one before it does
        new[1:] = (starts[1:] != starts[:-1]) | (lengths[1:] != lengths[:-1])
        starts, lengths = starts[new], lengths[new]
        ends = np.cumsum(lengths)
        first, total = ends - lengths, int(lengths.sum())
        parts.append(values[np.repeat(starts - first, lengths) + np.arange(total)].tobytes())
        made.starts[slot] = first[np.cumsum(new) - 1] + filled
        filled += total
    made.starts, made.data = offsets(made.starts, filled), b"".join(parts)
    return made
