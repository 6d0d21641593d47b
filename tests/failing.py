"""The k-th call of the system that the cache makes fails: any write, name, folder, open, and step of the database."""

from __future__ import annotations

import errno
import itertools
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import dicomlab.cache.database

CALLS = (
    "open", "write", "writev", "lseek", "fstat", "close", "link", "rename", "replace", "unlink",
    "mkdir", "rmdir", "chmod", "truncate", "ftruncate", "fsync",
)  # fmt: skip
OURS = {f"dicomlab.cache.{module}" for module in ("cache", "cachefolder", "database", "draft", "index", "arrival")}
CODES = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT)


class Failing:
    """Counts the calls, whoever's thread they are in, and lets the k-th fail with an error number.

    With the number 0 it is a write that comes back short instead, and nothing fails.
    """

    def __init__(self, patch: pytest.MonkeyPatch, number: int, code: int) -> None:
        self._counter, self._number, self._code = itertools.count(1), number, code
        self.failed = ""  # the call that did
        for name in CALLS:
            if hasattr(os, name):
                patch.setattr(os, name, self._wrap(name, getattr(os, name)))
        outer = self

        class Connection(sqlite3.Connection):
            def execute(self, *arguments: Any) -> sqlite3.Cursor:
                outer._step(f"execute {arguments[0].strip()[:20]}")
                return super().execute(*arguments)

            def executemany(self, *arguments: Any) -> sqlite3.Cursor:
                outer._step("executemany")
                return super().executemany(*arguments)

        class Module:
            def __getattr__(self, name: str) -> Any:
                return getattr(sqlite3, name)

            def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
                outer._step("connect")
                return sqlite3.connect(*arguments, **options, factory=Connection)

        patch.setattr(dicomlab.cache.database, "sqlite3", Module())

    def _now(self, what: str) -> bool:
        if next(self._counter) != self._number:
            return False
        self.failed = what
        return True

    def _step(self, what: str) -> None:
        if self._code and self._now(what):
            full = self._code in (errno.ENOSPC, errno.EDQUOT)
            error = sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR  # type: ignore[attr-defined]
            raise error

    def _wrap(self, name: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            frame: Any = sys._getframe(1)
            while frame.f_globals.get("__name__") in ("os", "pathlib"):
                frame = frame.f_back
            if frame.f_globals.get("__name__") not in OURS:
                return real(*arguments, **options)
            if self._code == 0:
                if name in ("write", "writev") and self._now(name):
                    handle, data = arguments
                    part = bytes(data[0] if name == "writev" else data)
                    return os_write(handle, part[: max(1, len(part) // 2)])
                return real(*arguments, **options)
            if self._now(name):
                if name == "close":  # it is closed all the same (close(2))
                    real(*arguments, **options)
                raise OSError(self._code, os.strerror(self._code), *arguments[:1])
            return real(*arguments, **options)

        return call


os_write = os.write


def sweep(most: int, every: int = 1) -> Iterator[int]:
    """1, 2, 3, ... : the caller ends it when a run has passed."""
    yield from range(1, most, every)
    pytest.fail(f"the sweep did not end within {most} runs")


def no_threads() -> bool:
    return not [item for item in threading.enumerate() if item.name.startswith("dicomlab")]
