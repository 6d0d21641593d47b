"""The CSA header: Siemens' own attributes in one element, (0029,xx10) of the block "SIEMENS CSA HEADER"."""

from __future__ import annotations

import struct

from ..errors import BadData

_TAG = struct.Struct("<64si4s3i")
_ITEM = struct.Struct("<4i")
_MOST = 4096  # tags, or items of one; real ones have about a hundred, and six


def parse(data: bytes) -> dict[str, list[str]]:
    """The attributes by name, each with its values as text; empty ones are left out.

    Parameters
    ----------
    data
        The value of the element: version 2 begins with SV10, version 1 does not.

    Raises
    ------
    BadData
        It is cut short, or no such header.

    Examples
    --------
    >>> parse(b"SV10\\4\\3\\2\\1" + bytes(8))
    {}
    """
    at = 8 if data[:4] == b"SV10" else 0
    found: dict[str, list[str]] = {}
    try:
        (count,) = struct.unpack_from("<I", data, at)
        if count > _MOST:
            raise BadData(f"a CSA header of {count} attributes")
        at += 8
        for _ in range(count):
            name, _, _, _, items, _ = _TAG.unpack_from(data, at)
            at += _TAG.size
            if not 0 <= items <= _MOST:
                raise BadData(f"an attribute of {items} items in the CSA header")
            values = []
            for _ in range(items):
                lengths = _ITEM.unpack_from(data, at)
                at += _ITEM.size
                length = lengths[1]
                if length < 0 or at + length > len(data):
                    raise BadData(f"an item of {length} bytes in the CSA header, where {len(data) - at} are left")
                values.append(data[at : at + length].partition(b"\0")[0].decode("latin-1").strip())
                at += -(-length // 4) * 4
            values = [value for value in values if value]
            if values:
                found[name.partition(b"\0")[0].decode("latin-1")] = values
    except struct.error:
        raise BadData("the CSA header is cut short") from None
    return found


def numbers(values: list[str]) -> list[float]:
    """Values of one attribute as numbers; [] where one is none.

    Examples
    --------
    >>> numbers(["1.5", " 2"]), numbers(["x"])
    ([1.5, 2.0], [])
    """
    try:
        return [float(value) for value in values]
    except ValueError:
        return []
