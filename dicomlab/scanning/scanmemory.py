"""What a scan read of the files of a place, kept on disk, so that the next one reads those that changed (R14.2).

One file for each place, below the folder of the cache's index: a digest as its name, mode 0600 in a folder of mode
0700, for it holds what the headers hold. A file is known again by its path, inode, size and times of last change; one
that was changed while, or just before, it was read is not kept. Whatever is wrong with a memory, it is forgotten.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from array import array
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..datasets.headerpack import pack, unpack, without_rest
from ..datasets.headers import Headers
from ..disk.indexplace import private
from ..disk.leftovers import abandoned, owner

ROOM: Final = 1 << 30  # bytes of all memories; those that were not used for longest go
UNUSED: Final = 90 * 86400  # seconds after which a memory goes
#: Seconds for which a time of change may stand still, so that a file may change and keep it: the clock of a kernel
#: ticks 100 times a second and more, some file systems count whole seconds.
TICK, COARSE_TICK = 0.02, 3.0
_DIGEST: Final = 8

Looks = NDArray[np.int64]  # (files, 4) inode, size, times of change of the bytes and of the file, in ns


def look(paths: Sequence[str]) -> Looks:
    """What the system says of each file, to be compared with another time; 0 for one that it says nothing of."""
    found, asked, cut = array("q"), os.stat, (1 << 63) - 1
    for path in paths:
        try:
            about = asked(path)
        except (OSError, ValueError):
            found.extend((0, 0, 0, 0))
        else:
            times = about.st_mtime_ns & cut, about.st_ctime_ns & cut  # a year beyond 2262 has more bits
            found.extend((about.st_ino & cut, about.st_size, *times))
    return np.frombuffer(found, np.int64).reshape(len(paths), 4)


def settled(looks: Looks, now: float) -> NDArray[np.bool_]:
    """Whether a change after `now`, the time before they were looked at, would give a file another time."""
    changed = looks[:, 2:].max(axis=1, initial=0)
    coarse = (looks[:, 2:] % 1_000_000_000 == 0).any(axis=1)
    return np.asarray((looks[:, 3] != 0) & (changed / 1e9 < now - np.where(coarse, COARSE_TICK, TICK)), bool)


class Memory:
    """What is known of the files of some places.

    Parameters
    ----------
    places
        As a scan is given them.
    wanted
        Tags that are read.
    """

    def __init__(self, places: Iterable[Any], wanted: frozenset[int]) -> None:
        named = [os.path.abspath(os.path.expanduser(os.fspath(place))) for place in places]
        key = repr((sorted(map(os.fsencode, named)), sorted(wanted)))
        self.wanted = wanted
        self.path = folder() / blake2b(key.encode(), digest_size=16).hexdigest()
        self._headers: Headers | None = None
        self._looks: Looks = np.zeros((0, 4), np.int64)
        self._foreign: set[int] = set()

    def recall(self) -> None:
        """Read what was kept."""
        try:
            data = _whole(self.path)
            size, rows = len(data) - _DIGEST, int.from_bytes(data[:8], "little")
            if xxhash.xxh3_64(data[:size]).digest() != data[size:]:
                raise ValueError("damaged")
            at = 8 + rows * 32
            looks = np.frombuffer(data[8:at], "<i8").reshape(rows, 4).copy()
            foreign = set(np.flatnonzero(np.frombuffer(data[at : at + rows], bool)).tolist())
            headers = unpack(data[at + rows : size], self.wanted)
            if len(headers) != rows:
                raise ValueError("damaged")
        except FileNotFoundError:
            return
        except (OSError, ValueError, MemoryError):
            self.forget()
            return
        self._headers, self._looks, self._foreign = headers, looks, foreign

    def known(self, paths: Sequence[str], looks: Looks) -> tuple[NDArray[np.intp], Headers | None, set[int]]:
        """Which of these files are known as they are now, their headers, and which of those are not DICOM at all."""
        if self._headers is None:
            return np.zeros(0, np.intp), None, set()
        at = {path: row for row, path in enumerate(self._headers.paths)}
        rows = np.array([at.get(path, -1) for path in paths], np.intp)
        same = np.flatnonzero((rows >= 0) & (looks[:, 3] != 0))
        same = same[(self._looks[rows[same]] == looks[same]).all(axis=1)]
        taken = rows[same]
        foreign = {new for new, old in enumerate(taken.tolist()) if old in self._foreign}
        whole = len(taken) == len(self._headers) and bool((np.diff(taken) > 0).all())
        if whole:
            self._headers.paths = [paths[row] for row in same.tolist()]  # equal, and here already
        return same, self._headers if whole else self._headers.take(taken), foreign

    def keep(self, headers: Headers, looks: Looks, foreign: set[int], now: float) -> None:
        """Keep what is settled of these files, and of no others."""
        stays = settled(looks, now)
        for row, error in headers.errors.items():
            stays[row] &= not isinstance(error.__context__, OSError)  # that may be better next time
        rows = np.flatnonzero(stays)
        before = [] if self._headers is None else self._headers.paths
        same = len(rows) == len(before) and np.array_equal(looks[rows], self._looks)
        if same and before == [headers.paths[row] for row in rows.tolist()]:
            with contextlib.suppress(OSError):
                os.utime(self.path)
            return
        if not len(rows):
            self.forget()
            return
        if len(rows) < len(headers) or self._headers is not None:
            headers = without_rest(headers.take(rows))
        flags = np.isin(rows, list(foreign))
        parts = pack(headers)
        if parts:
            self._write([len(rows).to_bytes(8, "little"), looks[rows].astype("<i8").tobytes(), flags.tobytes(), *parts])

    def _write(self, parts: list[bytes | memoryview]) -> None:
        digest = xxhash.xxh3_64()
        for part in parts:
            digest.update(part)
        with contextlib.suppress(OSError):
            private(self.path.parent)
            _prune(self.path, ROOM - sum(map(len, parts)))
            if sum(map(len, parts)) > ROOM:
                return
            draft = self.path.with_name(owner())
            try:
                with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.writelines([*parts, digest.digest()])
                os.replace(draft, self.path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(draft)
                raise

    def forget(self) -> None:
        """Delete it."""
        self._headers = None
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _whole(path: Path) -> memoryview:
    """The bytes of a file."""
    with open(path, "rb", buffering=0) as file:
        data = memoryview(bytearray(os.fstat(file.fileno()).st_size))
        return data[: file.readinto(data)]


def folder() -> Path:
    """Where the memories are."""
    import platformdirs

    home = Path(platformdirs.user_cache_dir("dicomlab", appauthor=False))
    return Path(os.environ.get("DICOMLAB_INDEX") or home / "index").expanduser().absolute() / "scans"


def _prune(ours: Path, room: int) -> None:
    """Delete other memories: unused for long, or without room, and what killed processes left of some."""
    found = []
    with os.scandir(ours.parent) as files:
        for file in files:
            about = file.stat(follow_symlinks=False)
            if not stat.S_ISREG(about.st_mode):
                continue
            if "-" not in file.name and file.name != ours.name:
                found.append((about.st_mtime, about.st_size, file.path))
            elif abandoned(file.name, about.st_mtime):
                os.unlink(file.path)
    oldest = time.time() - UNUSED
    for used, size, path in sorted(found, reverse=True):
        room -= size
        if room < 0 or used < oldest:
            with contextlib.suppress(OSError):
                os.unlink(path)
