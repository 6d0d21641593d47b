"""Where a log goes: lines to a file that only grows, or to a function of the user's."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ... import phi
from ...amounts import counted
from ...errors import InvalidRequest, LogError
from ...remarks import remark

if TYPE_CHECKING:
    from .hooks import AssociationEvent, Hook, Hooks, MessageEvent

LIMIT: Final = 64 << 20  # bytes of a file, after which the next is begun
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class LogFile:
    """A file that is appended to, mode 0600; one that is full gets its time as an ending, and none is ever deleted.

    Each entry is one write, so that threads and processes may share the file.

    Raises
    ------
    InvalidRequest
        It cannot be written, or the limit is no number of bytes.
    """

    def __init__(self, path: str | os.PathLike[str], limit: int) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidRequest(f"limit={limit!r} is no number of bytes", advice="Give one of 1 or more.")
        self.path = Path(phi.real(os.fspath(path))).expanduser().absolute()
        self._limit = limit
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._handle = -1
        try:
            self._open()
        except OSError as error:
            raise InvalidRequest(
                f"the log {phi.path(str(self.path))!r} cannot be written ({error.strerror})",
                advice="Name a file in a folder that is there and may be written.",
            ) from None

    def write(self, text: str) -> None:
        """Append a text that ends with a new line."""
        data = text.encode("utf-8", "backslashreplace")
        with self._lock:
            self._turn(len(data))
            view = memoryview(data)
            while view:  # a disk that is nearly full may take a part
                view = view[os.write(self._handle, view) :]

    @property
    def size(self) -> int:
        """Bytes of the file that is written to now."""
        try:
            return os.stat(self.path).st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Close the file; the next entry opens it again."""
        with self._lock:
            self._shut()

    def _turn(self, more: int) -> None:
        """Begin the next file where this one is full, or was moved away by somebody."""
        there = held = None
        with suppress(FileNotFoundError):
            there = os.stat(self.path)
            held = os.fstat(self._handle) if self._handle >= 0 else None
        if there is None or held is None or (there.st_ino, there.st_dev) != (held.st_ino, held.st_dev):
            self._shut()
            self._open()
            return
        if there.st_size and there.st_size + more > self._limit:
            self._shut()  # Windows renames no file that is open
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            with suppress(FileNotFoundError):  # somebody moved it away just now
                os.rename(self.path, f"{self.path}.{stamp}-{os.getpid()}-{next(self._numbers)}")
            self._open()

    def _open(self) -> None:
        self._handle = os.open(self.path, _APPEND, 0o600)

    def _shut(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with suppress(OSError):
                os.close(handle)


class Log(ABC):
    """What `TransactionLog` and `MessageDump` share: hooks on one peer that write entries.

    What comes is noted before it is dealt with, for that may fail; what we send is noted when it was sent.

    Attributes
    ----------
    entries, failed
        How many were written, and how many could not be.
    error
        Why the last that failed did; None where none did.
    """

    states: ClassVar[Sequence[str]]  # events of an association that are noted

    def __init__(
        self,
        hooks: Hooks,
        where: str | os.PathLike[str] | Callable[[Any], object],
        *,
        names: bool = False,
        strict: bool = False,
        limit: int = LIMIT,
    ) -> None:
        if not callable(where) and not isinstance(where, str | os.PathLike):
            raise InvalidRequest(
                f"{where!r} is no place for a log", advice="Name a file, or give a function that takes an entry."
            )
        self._file = None if callable(where) else LogFile(where, limit)
        self._tell = where if callable(where) else None
        self._names, self._strict = names, strict
        self._hooks, self._lock = hooks, threading.Lock()
        self.entries = self.failed = 0
        self.error: Exception | None = None
        events: dict[str, Hook] = dict.fromkeys(self.states, self._association)
        events |= {"before message": self._received, "after message": self._sent}
        self._added = [(event, self._guarded(function)) for event, function in events.items()]
        for event, function in self._added:
            hooks.add(event, function)

    @property
    def path(self) -> Path | None:
        """The file; None where entries go to a function."""
        return self._file.path if self._file else None

    @property
    def size(self) -> int:
        """Bytes of the file that is written to now; 0 where entries go to a function."""
        return self._file.size if self._file else 0

    def close(self) -> None:
        """Log nothing more; may be called twice."""
        for event, function in self._added:
            self._hooks.remove(event, function)
        self._added = []
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = type(self).__name__
        where = f"{phi.path(str(self.path))!r}, {self.size:,} bytes" if self._file else f"to {self._tell!r}"
        lost = f", {self.failed:,} NOT WRITTEN: {phi.said(str(self.error))}" if self.failed else ""
        ended = "" if self._added else ", closed"
        return f"<{kind} {where}, {counted(self.entries, 'entry', 'entries')}{lost}{ended}>"

    @abstractmethod
    def _association(self, event: AssociationEvent) -> None:
        """Note an event of an association."""

    @abstractmethod
    def _message(self, event: MessageEvent) -> None:
        """Note a message."""

    def _received(self, event: MessageEvent) -> None:
        if event.direction == "received":
            self._message(event)

    def _sent(self, event: MessageEvent) -> None:
        if event.direction == "sent":
            self._message(event)

    def _guarded(self, function: Hook) -> Hook:
        """A hook that breaks no transfer, unless it was asked to."""

        def hook(event: Any) -> None:
            try:
                function(event)
            except Exception as error:
                self._not_written(error)

        return hook

    def _not_written(self, error: Exception) -> None:
        with self._lock:
            first, self.error = self.error is None, error
            self.failed += 1
        where = "the function" if self._file is None else f"the file {phi.path(str(self._file.path))!r}"
        words = f"an entry could not be logged to {where} ({getattr(error, 'strerror', None) or error!r})"
        if self._strict:
            raise LogError(words, advice="Give it room, or log without strict=True.") from error
        if first:
            remark(f"{words}; the work goes on, and .failed of the log counts what it misses", stacklevel=4)

    def _write(self, entry: Any, text: str) -> None:
        if self._tell is not None:
            self._tell(entry)
        elif self._file is not None:
            self._file.write(text)
        with self._lock:
            self.entries += 1
