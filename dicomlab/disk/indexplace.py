"""Where the index of a cache lies: in the user's cache folder, or in the cache where that cannot be written.

It holds patient and study identifiers, so that of a cache whose folder was deleted it goes too.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

UNUSED: Final = 90 * 86400  # seconds after which an index goes that does not say whose it is
_YOUNG: Final = 60  # seconds in which the folder of a cache may come about after its index
_ROOT: Final = ".root"  # suffix of the file beside an index that names the folder of its cache
_NO_PLACE: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}  # a home that is none, or read-only


def private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone (mode 0700)."""
    if not folder.exists():
        if folder.parent != folder:
            private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def made(path: Path, spare: Path | None, root: Path | None) -> Path:
    """Make the file of an index, mode 0600, and give its path; `spare` where the folder of the first is not to be had.

    Parameters
    ----------
    spare
        None where its place was named by somebody: then that is meant.
    root
        Folder of the cache that it is of; None for an index that is not in a folder of indexes.

    Raises
    ------
    OSError
        It cannot be made.
    """
    try:
        _make(path)
    except OSError as error:
        if spare is None or error.errno not in _NO_PLACE:
            raise
        _make(spare)
        return spare
    if root is not None:
        with suppress(OSError):
            _say(path, root)
            _sweep(path.parent)
    return path


def _make(path: Path) -> None:
    private(path.parent)
    if path.is_dir() and not os.listdir(path):
        os.rmdir(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))


def _say(path: Path, root: Path) -> None:
    """Note beside an index whose it is."""
    beside = path.with_suffix(_ROOT)
    if not beside.exists():
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(os.fsencode(root))


@lru_cache(maxsize=8)
def _sweep(folder: Path) -> None:
    """Delete the indexes of caches that are gone; once for each folder."""
    for path in folder.glob("*.sqlite"):
        with suppress(OSError):
            if _orphan(path, time.time()):
                for one in (path, *(Path(f"{path}{rest}") for rest in ("-wal", "-shm", "-journal"))):
                    one.unlink(missing_ok=True)
                path.with_suffix(_ROOT).unlink(missing_ok=True)


def _orphan(path: Path, now: float) -> bool:
    """Whether an index is of a cache that is gone; it can be made anew from the files of any that is not."""
    age = now - path.stat().st_mtime
    try:
        root = Path(os.fsdecode(path.with_suffix(_ROOT).read_bytes()))
    except FileNotFoundError:
        return age > UNUSED
    try:
        root.stat()
    except FileNotFoundError:
        return age > _YOUNG
    return False
