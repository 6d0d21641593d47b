"""Files into a folder: all of them or none, and never over another file (R13.7)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True)
class Piece:
    """A file that is to be written."""

    name: str  # below the folder, with "/" between its parts
    data: Callable[[], bytes] | None = None  # its bytes, made when it is its turn
    source: str = ""  # or the file that it is a copy of, bit for bit
    link: bool = False  # a hard link to that file instead


def place(
    pieces: Sequence[Piece],
    folder: str,
    told: Callable[[int], object] = lambda size: None,
    mode: int = 0o666,
    then: Callable[[], object] = lambda: None,
) -> list[str]:
    """Write the files into a folder, and do what is to be done `then`; the paths, in their order.

    Raises
    ------
    OSError
        The disk did not take one of them, or `then` failed; none is there then, nor a folder that was made for them.
    """
    drafts: list[str] = []
    paths: list[str] = []
    made: list[str] = []
    try:
        folders = dict.fromkeys(os.path.dirname(os.path.join(folder, *piece.name.split("/"))) for piece in pieces)
        for one in [folder, *folders]:
            _folder(one, made, 0o700 if mode == 0o600 else 0o777)
        for piece in pieces:
            path = os.path.join(folder, *piece.name.split("/"))
            if os.path.lexists(path):
                raise FileExistsError(17, "a file of that name exists", path)
            draft = f"{path}.{os.getpid()}.part"
            if piece.data is not None:
                data = piece.data()
                drafts.append(draft)
                _write(draft, data, mode)
            else:
                drafts.append(draft)
                _copy(piece, draft, mode)
            told(os.stat(draft).st_size)
        for draft in drafts:
            path = draft.rsplit(".", 2)[0]
            if os.path.lexists(path):
                raise FileExistsError(17, "a file of that name exists", path)
            os.rename(draft, path)
            paths.append(path)
        for one in folders:
            _sync(one)
        then()
        return paths
    except BaseException:
        for path in (*drafts, *paths):
            with suppress(OSError):
                os.unlink(path)
        for one in reversed(made):
            with suppress(OSError):
                os.rmdir(one)
        raise


def _folder(path: str, made: list[str], mode: int) -> None:
    """A folder and those it lies in, noted where they were not there."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for one in reversed(missing):
        os.mkdir(one, mode)
        made.append(one)


def _write(path: str, data: bytes, mode: int = 0o666) -> None:
    handle = os.open(path, _NEW, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(piece: Piece, path: str, mode: int) -> None:
    if piece.link:
        os.link(piece.source, path)
        return
    with open(piece.source, "rb") as source, os.fdopen(os.open(path, _NEW, mode), "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())


def replace(path: str, data: bytes, mode: int = 0o666) -> None:
    """A file with other bytes, at once: whoever reads it finds the old ones or the new.

    Raises
    ------
    OSError
        The disk did not take it; the old one is still there.
    """
    draft = f"{path}.{os.getpid()}.part"
    try:
        _write(draft, data, mode)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    _sync(os.path.dirname(path))


def _sync(folder: str) -> None:
    """The names too are on the disk; where a folder cannot be opened that is the system's affair."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
