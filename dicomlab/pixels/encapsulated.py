"""Encapsulated pixel data: which fragments are a frame, by the offset table or what the fragments hold (PS3.5 A.4)."""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import IO

from ..amounts import counted
from ..errors import BadData, BadFile

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED = 0xFFFFFFFF
_AHEAD = 4096  # bytes that are read for the head of an item
#: How a JPEG, a JPEG-LS and a JPEG 2000 codestream begin.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")

Fragments = Sequence[tuple[int, int]]  # offset in the file and length of each, without the items' headers


def frame(path: str, place: tuple[int, int], index: int = 0, count: int = 1) -> bytes:
    """The codestream of one frame.

    Parameters
    ----------
    path
        The file.
    place
        Offset and length of the value of Pixel Data in it; the length may be undefined (0xFFFFFFFF).
    index, count
        Which frame, from 0, of how many.

    Raises
    ------
    BadFile
        The file cannot be read, or its fragments are not those of so many frames.
    """
    try:
        with open(path, "rb", 0) as file:
            read = _reader(file)
            if count == 1:  # all of them
                fragments: Fragments = _items(read, place[0], _end(file, place))[1]
            else:
                fragments = _fragments(path, os.stat(path).st_mtime_ns, place, count)[index]
            parts = [read(at, size) for at, size in fragments]
        return parts[0] if len(parts) == 1 else b"".join(parts)
    except BadData as error:
        raise BadFile(path, error.why, tag="7FE00010") from None
    except OSError as error:
        raise BadFile(path, f"cannot be read: {error.strerror}") from None  # it holds the path


def _reader(file: IO[bytes]) -> Callable[[int, int], bytes]:
    def read(at: int, size: int) -> bytes:
        file.seek(at)
        data = file.read(size)
        if len(data) != size:
            raise BadData("the file became shorter")
        return data

    return read


def _end(file: IO[bytes], place: tuple[int, int]) -> int:
    """Where the value of Pixel Data ends at the latest."""
    held = os.fstat(file.fileno()).st_size
    return held if place[1] == _UNDEFINED else min(held, sum(place))


@lru_cache(maxsize=4)
def _fragments(path: str, changed: int, place: tuple[int, int], count: int) -> list[Fragments]:
    """For each frame its fragments; `changed` only says which state of the file this is known of."""
    with open(path, "rb") as file:
        read = _reader(file)
        table, fragments = _items(read, place[0], _end(file, place))
        return _by_table(table, fragments, count) or _by_content(read, fragments, count)


def _items(read: Callable[[int, int], bytes], at: int, end: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The Basic Offset Table, and offset and length of each fragment."""
    table: bytes | None = None
    found: list[tuple[int, int]] = []
    held, first = b"", 0  # some bytes of the file, and where they begin: heads may lie close together
    while at + 8 <= end:
        if not first <= at <= first + len(held) - 8:
            held, first = read(at, min(_AHEAD, end - at)), at
        head = held[at - first : at - first + 8]
        size = int.from_bytes(head[4:], "little")
        if head[:4] == _END:
            break
        if head[:4] != _ITEM:
            raise BadData("the pixel data is not made of fragments", offset=at)
        at += 8
        if at + size > end:
            raise BadData("a fragment of the pixel data runs over its end")
        if table is None:
            table = read(at, size)
        elif size:  # an empty one is of no frame
            found.append((at, size))
        at += size
    if not found:
        raise BadData("the pixel data has no fragments")
    return table or b"", found


def _by_table(encoded: bytes, fragments: Fragments, count: int) -> list[Fragments]:
    """Frames by the Basic Offset Table; none where it is empty or does not fit the fragments."""
    if len(encoded) != 4 * count:
        return []
    table = struct.unpack(f"<{count}L", encoded)
    starts = [offset - 8 - (fragments[0][0] - 8) for offset, _ in fragments]
    if table[0] != 0 or not set(table) <= set(starts) or sorted(set(table)) != list(table):
        return []
    firsts = [bisect_right(starts, offset) - 1 for offset in table]
    return [fragments[first:last] for first, last in pairwise([*firsts, len(fragments)])]


def _by_content(read: Callable[[int, int], bytes], fragments: Fragments, count: int) -> list[Fragments]:
    """One frame a fragment (always so with an Extended Offset Table), or from one start of a codestream to the next."""
    if len(fragments) == count:
        return [[fragment] for fragment in fragments]
    firsts = [number for number, (at, size) in enumerate(fragments) if read(at, min(size, 4)).startswith(_STARTS)]
    if len(firsts) != count or firsts[0] != 0:
        of = f"{counted(len(fragments), 'fragment')} for {counted(count, 'frame')}"
        raise BadData(f"the pixel data has {of}, nothing says which is whose")
    return [fragments[first:last] for first, last in pairwise([*firsts, len(fragments)])]
