"""Zip archives, unpacked for as long as this process runs, so that each row of a table is a file for any program.

Members are hostile: each is inside and bounded, or named. What a killed process left goes when the next one unpacks.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import lzma
import os
import shutil
import stat
import struct
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, Final

from .. import phi
from ..datasets.inflating import INFLATED, RATIO
from ..disk.leftovers import abandoned, owner
from ..errors import BadFile, CacheError

MEMBERS: Final = 100_000  # R0.8
FREE: Final = 1 << 20  # bytes that are always allowed: a blank image of few bytes is no attack
LISTED: Final = 64 << 20  # bytes of a central directory: 670 for each member
_PREFIX: Final = "dicomlab-"  # of the names of our temporary folders
_MARKS: Final = (b"PK\3\4", b"PK\5\6")  # a member first, or none
_PIECE: Final = 1 << 20
_BY_HAND: Final = "If you trust it, unpack it yourself and name the folder."
_BROKEN: Final = (zipfile.BadZipFile, RuntimeError, EOFError, ValueError, struct.error, zlib.error, lzma.LZMAError)

_lock = threading.Lock()
_known: dict[tuple[str, int, int, int, int], Unpacked] = {}


@dataclass
class Unpacked:
    """Where the files of an archive are now, and what is wrong with its members."""

    folder: str
    problems: list[tuple[str, str, str]] = field(default_factory=list)  # path in the archive, why, severity


def is_zip(path: str) -> bool:
    """Whether a file begins as a zip archive does."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4) in _MARKS
    except OSError:
        return False


def unpacked(path: str) -> Unpacked:
    """The files of a zip archive, in a folder of this user's own that goes when the process ends.

    The same archive is unpacked once, until its size or time of change is another.

    Raises
    ------
    BadFile
        It cannot be read, has more than `MEMBERS` members, or would grow beyond the limits of R0.8.
    CacheError
        There is no room for its files.
    """
    with _lock:
        try:
            about = os.stat(path)
        except OSError as error:
            raise BadFile(path, f"cannot be read: {error.strerror or error}") from None
        key = (os.path.realpath(path), about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        known = _known.get(key)
        if known is None or not os.path.isdir(known.folder):
            _known[key] = known = _unpack(path)
        return known


def _unpack(path: str) -> Unpacked:
    _sweep()
    try:
        folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{owner()}-")  # mode 0700
    except OSError as error:
        raise _no_room(path, error) from None
    atexit.register(_remove, folder, os.getpid())
    result = Unpacked(folder)
    try:
        with open(path, "rb") as file:
            _count(path, file)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _limit(path, sum(member.file_size for member in members), os.fstat(file.fileno()).st_size)
                for member in members:
                    _extract(archive, member, path, result)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, (*_BROKEN, OSError)):
            raise BadFile(path, f"the zip archive cannot be read: {error}", advice="Copy it again.") from None
        raise
    return result


@lru_cache(maxsize=1)
def _sweep() -> None:
    """Delete what processes that were killed have unpacked; once."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX) or not entry.is_dir(follow_symlinks=False):
                continue
            about = entry.stat(follow_symlinks=False)
            ours = not hasattr(os, "getuid") or about.st_uid == os.getuid()
            if ours and abandoned(entry.name.removeprefix(_PREFIX), about.st_mtime):
                shutil.rmtree(entry.path, ignore_errors=True)


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # not in a child that was forked
        shutil.rmtree(folder, ignore_errors=True)


def _no_room(path: str, error: OSError) -> CacheError:
    return CacheError(
        f"{phi.path(path)} cannot be unpacked: {error.strerror or error}",
        advice=f"Make room in {tempfile.gettempdir()}, or set TMPDIR to another folder before Python starts.",
    )


def _count(path: str, file: BinaryIO) -> None:
    """Refuse a list of members that is too long, before zipfile makes an object of each."""
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size - (1 << 16) - 22)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + 22 > len(tail):
        raise BadFile(path, "the zip archive is cut: it has no list of members", advice="Copy it again.")
    length = struct.unpack_from("<L", tail, at + 12)[0]
    end = begin + at
    if tail[max(0, at - 20) : at].startswith(b"PK\6\7") and (large := tail[max(0, at - 76) : at - 20])[:4] == b"PK\6\6":
        length, end = struct.unpack_from("<Q", large, 40)[0], end - 76
    if length > LISTED:
        raise BadFile(path, f"the list of members is too long ({length:,} bytes)", advice=_BY_HAND)
    file.seek(max(0, end - length))
    listed, at, count, total = file.read(length), 0, 0, 0
    while listed[at : at + 4] == b"PK\1\2" and at + 46 <= len(listed):
        stated = struct.unpack_from("<L", listed, at + 24)[0]
        total += stated if stated != 0xFFFFFFFF else 0  # then the size is elsewhere, and looked at later
        at += 46 + sum(struct.unpack_from("<HHH", listed, at + 28))
        count += 1
        if count > MEMBERS:
            raise BadFile(path, f"the zip archive has more than {MEMBERS:,} members", advice=_BY_HAND)
    _limit(path, total, size)
    file.seek(0)


def _limit(path: str, total: int, size: int) -> None:
    """Refuse what would grow beyond all measure, by the sizes that the archive states; zipfile holds it to them."""
    limit = min(INFLATED, max(FREE, RATIO * size))
    if total > limit:
        raise BadFile(path, f"unpacks to {total:,} bytes, at most {limit:,} are allowed", advice=_BY_HAND)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, into: Unpacked) -> None:
    """Write one member, or note why not."""
    name = os.path.join(path, member.filename)
    parts = [part for part in member.filename.replace("\\", "/").split("/") if part not in ("", ".")]
    kind = stat.S_IFMT(member.external_attr >> 16)
    away = member.filename.startswith(("/", "\\")) or ".." in parts
    if away or (os.name == "nt" and ":" in member.filename):
        into.problems.append((name, "leads out of the archive, not opened", "warning"))
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        into.problems.append((name, "neither a file nor a folder, not opened", "warning"))
    elif member.is_dir() or not parts:
        return
    elif member.flag_bits & 1:
        into.problems.append((name, "is encrypted; unpack the archive with its password", "error"))
    elif member.file_size > max(FREE, RATIO * member.compress_size):
        into.problems.append((name, f"inflates to more than {RATIO} times its size, not opened", "error"))
    else:
        target = os.path.join(into.folder, *parts)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            with archive.open(member) as source, _written(target) as file:
                shutil.copyfileobj(source, file, _PIECE)
        except _BROKEN as error:
            into.problems.append((name, f"cannot be unpacked: {error}", "error"))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _no_room(path, error) from None
            into.problems.append((name, f"cannot be unpacked: {error.strerror or error}", "error"))


@contextlib.contextmanager
def _written(path: str) -> Iterator[BinaryIO]:
    """A new file to write; gone again where that fails."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            yield stream
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
