"""Files to be sent: looked at many at a time, then read one after the other into the same memory."""

from __future__ import annotations

import mmap
import os
import stat
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..datasets.headers import BATCH, read
from ..datasets.headertable import CLASS, INSTANCE, SYNTAX, Headers
from ..datasets.inflating import inflated_size
from ..datasets.part10 import read_bytes
from ..datasets.uids import DEFLATED, EXPLICIT, IMPLICIT, NATIVE
from ..datasets.whole import UNDEFINED, check_native, encapsulated, expected_length
from ..errors import BadData, BadFile

MAPPED = 64 << 20  # bytes of a file from which it is not read into memory
LONGEST_UID = 64  # characters, PS3.5 9.1
CHUNK = 256  # files looked at together, shortly before the first of them is sent
_CLASS, _INSTANCE = 0x00080016, 0x00080018
#: With what the length of native pixel data follows from.
_SHAPE = (0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280100)
_WANTED = frozenset((_CLASS, _INSTANCE, *_SHAPE))


class Seen(NamedTuple):
    """What was seen of a file that is whole and is the instance that its row says; good while the file is the same."""

    mark: tuple[int, ...]  # see `_mark`
    data_set: int  # offset in bytes
    fragments: int  # offset in bytes of encapsulated pixel data, whose items are still to be walked; else -1

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.mark[1]


@dataclass(slots=True)
class Outgoing:
    """One instance to be sent, from a file or from memory."""

    path: str = ""
    dataset: Any = None  # a pydicom Dataset; then there is no path
    sop_class: str = ""
    sop_instance: str = ""
    transfer_syntax: str = ""
    trouble: str = ""  # why it cannot be sent
    looked: bool = False  # `look` had it
    seen: Seen | None = None


def wrong(names: tuple[str, str], meta: tuple[str, str]) -> str:
    """Why an instance of these SOP Class and Instance UIDs cannot be sent; "" where it can."""
    for word, name, said in zip(("Class", "Instance"), names, meta, strict=True):
        if not name:
            return f"it has no SOP {word} UID"
        if len(name) > LONGEST_UID:
            return f"its SOP {word} UID has {len(name)} characters, {LONGEST_UID} are allowed"
        if said and said != name:
            return f"its file meta names the SOP {word} {said}, its data set {name}"
    return ""


def _mark(about: os.stat_result) -> tuple[int, ...]:
    """What differs once a file was written again."""
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def look(rows: Sequence[Outgoing]) -> None:
    """Look at the heads of these files, at all at once.

    A row without its UIDs is given them, or the trouble with its file. What is whole and is what its row says needs no
    second look (`Outgoing.seen`); all else the `Reader` looks at, and says what is wrong.
    """
    for first in range(0, len(rows), BATCH):  # what is known of the heads is several times what is kept
        _look(rows[first : first + BATCH])


def _look(rows: Sequence[Outgoing]) -> None:
    marks: list[tuple[int, ...] | None] = []
    for row in rows:
        row.looked = True
        try:
            marks.append(_mark(os.stat(row.path)))
        except (OSError, ValueError):
            marks.append(None)
    headers = read([row.path for row in rows], _WANTED)
    judge = _Judge(headers)
    for number, (row, mark) in enumerate(zip(rows, marks, strict=True)):
        if number in headers.errors:
            if not (row.sop_class and row.transfer_syntax):
                row.trouble = headers.errors[number].said
            continue
        names = headers.text(_CLASS, number), headers.text(_INSTANCE, number)
        syntax = judge.syntax(number)
        if not (row.sop_class and row.transfer_syntax):
            row.sop_class, row.transfer_syntax = names[0], syntax
        row.sop_instance = row.sop_instance or names[1]
        if mark is not None and (*names, syntax) == (row.sop_class, row.sop_instance, row.transfer_syntax):
            row.seen = judge.seen(number, mark, names)


class _Judge:
    """Whether files are whole, by their headers; those of one series are of one shape."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._syntaxes = headers.values(SYNTAX)
        self._meta = [headers.values(tag) for tag in (CLASS, INSTANCE)]
        self._own = [headers.values(tag) for tag in (_CLASS, _INSTANCE)]
        self._shapes = list(zip(*(headers.values(tag) for tag in _SHAPE), headers.implicit.tolist(), strict=True))
        self._expected: dict[tuple[Any, ...], int | None] = {}
        self._pixels = list(zip(headers.pixel_at.tolist(), headers.pixel_length.tolist(), strict=True))
        self._data_set = headers.data_set.tolist()
        self._words: dict[bytes | None, str] = {}

    def syntax(self, number: int) -> str:
        """Transfer syntax of a file."""
        value = self._syntaxes[number]
        if value not in self._words:
            self._words[value] = self._headers.meta(number).transfer_syntax
        return self._words[value]

    def seen(self, number: int, mark: tuple[int, ...], names: tuple[str, str]) -> Seen | None:
        """What was seen of a file that is whole; None where that has to be looked at closer."""
        headers = self._headers
        if any(meta[number] != own[number] for meta, own in zip(self._meta, self._own, strict=True)):
            meta = headers.meta(number)
            if wrong(names, (meta.sop_class, meta.sop_instance)):
                return None
        elif not all(0 < len(name) <= LONGEST_UID for name in names):
            return None
        syntax = self.syntax(number)
        exact = headers.metas.get(number)
        data_set = self._data_set[number] if exact is None else exact.data_set
        at, length = self._pixels[number]
        if syntax not in NATIVE:
            if at >= 0 and length != UNDEFINED:
                return None
            return Seen(mark, data_set, at)
        if syntax not in (EXPLICIT, IMPLICIT):
            return None
        if at >= 0:
            expected = self._length(number)
            if at + length > mark[1] or (expected is not None and length < expected):
                return None
        return Seen(mark, data_set, -1)

    def _length(self, number: int) -> int | None:
        shape = self._shapes[number]
        if shape not in self._expected:
            self._expected[shape] = expected_length(self._headers[number])
        return self._expected[shape]


class Lookout:
    """Looks at files shortly before they are sent, many at a time; for several threads."""

    def __init__(self, rows: Iterable[Outgoing]) -> None:
        self._waiting = deque(row for row in rows if row.path and not row.looked)
        self._lock = threading.Lock()

    def reached(self, row: Outgoing) -> None:
        """That one is sent next."""
        if row.looked or not row.path:
            return
        with self._lock:
            while self._waiting and not row.looked:
                look([self._waiting.popleft() for _ in range(min(CHUNK, len(self._waiting)))])


class Reader:
    """Reads files to be sent, one after the other into the same memory."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def data_set(self, row: Outgoing) -> memoryview:
        """The bytes of the data set of a file, as they are; good until the next call.

        Raises
        ------
        BadFile
            It cannot be read, is no whole instance, or is not the one that its row says.
        """
        try:
            file, mark = self._file(row.path)
            if row.seen is not None and row.seen.mark == mark:
                if row.seen.fragments >= 0:
                    encapsulated(file, row.seen.fragments)
                return file[row.seen.data_set :]
            return self._looked_at(row, file)
        except OSError as error:
            raise BadFile(row.path, f"cannot be read: {error.strerror or error}") from None
        except BadFile:
            raise
        except BadData as error:
            raise BadFile(row.path, error.why, tag=error.tag, offset=error.offset, advice=error.advice) from None

    def _looked_at(self, row: Outgoing, file: memoryview) -> memoryview:
        """The data set of a file, of which nothing is known before."""
        meta, elements = read_bytes(file, _WANTED)
        if elements.pixels is not None:
            _, offset, length = elements.pixels
            if meta.transfer_syntax in NATIVE:
                check_native(elements, length)
                if meta.transfer_syntax == DEFLATED and offset + length > inflated_size(file[meta.data_set :]):
                    raise BadData("the deflated data set ends before its pixel data does")
            elif length == UNDEFINED:
                encapsulated(file, offset)
        names = (elements.text(_CLASS), elements.text(_INSTANCE))
        why = wrong(names, (meta.sop_class, meta.sop_instance))
        if not why and meta.transfer_syntax != row.transfer_syntax:
            why = f"its transfer syntax is {meta.transfer_syntax}, {row.transfer_syntax or 'none'} was expected"
        if not why and names != (row.sop_class, row.sop_instance or names[1]):
            why = f"it holds another instance than its row says: {names[1]} of class {names[0]}"
        if why:
            raise BadFile(row.path, why)
        row.sop_instance = names[1]
        data = file[meta.data_set :]
        if meta.transfer_syntax == DEFLATED and len(data) % 2:  # peers take no odd one (PS3.5 A.5)
            return memoryview(bytes(data) + b"\0")
        return data

    def _file(self, path: str) -> tuple[memoryview, tuple[int, ...]]:
        """The bytes of a file, and its mark."""
        handle = os.open(path, _FLAGS)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise BadData("no regular file")
            size, mark = about.st_size, _mark(about)
            if size >= MAPPED:
                return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ)), mark
            if size > len(self._memory):
                self._memory = bytearray(size + size // 4)
            view, filled = memoryview(self._memory)[:size], 0
            while filled < size:
                count = _read_into(handle, view[filled:] if filled else view)
                if not count:
                    raise BadData("the file became shorter while it was read")
                filled += count
            return view, mark
        finally:
            os.close(handle)


#: The last: a pipe is refused, and not waited for.
_FLAGS = sum((getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK")), os.O_RDONLY)


def _read_into(handle: int, view: memoryview) -> int:
    if hasattr(os, "readv"):
        return os.readv(handle, [view])
    part = os.read(handle, min(len(view), 1 << 20))
    view[: len(part)] = part
    return len(part)
