"""A file that one call at a time reads, changes and writes again."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

LOOK: Final = 0.05  # seconds between two looks whether the other is through


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Keep other threads and processes that use this from a file, for a ``with`` block; wait until they are through.

    The lock is a file beside it, which ends with the process that holds it, however that ends. Where the file system
    has no locks nobody is kept away.

    Raises
    ------
    OSError
        The file beside it cannot be made.
    """
    beside = f"{path}.lock"
    while True:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            while not _taken(handle):
                time.sleep(LOOK)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(beside)):  # else the other took it away with it
                    break
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows takes away no file that is open
            os.unlink(beside)
        os.close(handle)


def _taken(handle: int) -> bool:
    """Whether it is ours now."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True
