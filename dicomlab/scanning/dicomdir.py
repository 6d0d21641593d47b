"""DICOMDIR: which files a file-set has, and whether they are where they may be (PS3.3 F, PS3.10 8)."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from ..datasets.elements import Elements, each_item
from ..datasets.part10 import parse_file
from ..errors import BadData
from ..markup import printable

SHOWN = 200  # characters of a Referenced File ID in a message
_WANTED = frozenset((0x00041220, 0x00080005))  # Directory Record Sequence, and the character set


def is_directory_file(path: str) -> bool:
    """Whether a file is named DICOMDIR, or says in its file meta that it is one."""
    name = os.path.basename(path).upper()
    if name == "DICOMDIR":
        return True
    try:
        with open(path, "rb", buffering=0) as file:
            return b"UI\x14\x001.2.840.10008.1.3.10" in file.read(1024)[132:]
    except OSError:
        return False


def inside(path: str, root: str) -> bool:
    """Whether a resolved path is below a resolved folder."""
    return path.startswith(root.rstrip(os.sep) + os.sep)


def referenced(path: str) -> tuple[list[str], list[str]]:
    """The files that a DICOMDIR refers to.

    Parameters
    ----------
    path
        Of the DICOMDIR; the file-set is the folder it lies in.

    Returns
    -------
    paths, problems
        Regular files inside that folder; a sentence for each reference that is none.

    Raises
    ------
    BadData
        The DICOMDIR itself cannot be read.
    """
    _, directory = parse_file(path, wanted=_WANTED)
    folder = os.path.dirname(path) or "."
    root = os.path.realpath(folder)
    paths: dict[str, None] = {}
    problems: list[str] = []
    for number, record in enumerate(_records(directory), 1):
        try:
            components = _components(record)
        except BadData as error:
            problems.append(f"directory record {number} names a file that cannot be told: {error.why}")
            continue
        if not components:
            continue
        shown = "\\".join(components)[:SHOWN]
        if any(part in ("", ".", "..") or any(sign in part for sign in "/\\:\0") for part in components):
            problems.append(f"{shown!r} is no file of this file-set, not opened")
            continue
        found = _resolve(folder, components)
        if found is None:
            problems.append(f"it lists {printable(shown)}, which is not there")
        elif not inside(os.path.realpath(found), root):
            problems.append(f"{shown!r} leads out of the folder, not opened")
        elif not stat.S_ISREG(os.stat(found).st_mode):
            problems.append(f"{shown!r} is no regular file, not opened")
        else:
            paths[found] = None
    return list(paths), problems


def _records(directory: Elements) -> Iterator[Elements]:
    _, value = directory.raw.get(0x00041220, ("SQ", b""))
    yield from each_item(value, implicit=directory.implicit, parent=directory)


def _components(record: Elements) -> tuple[str, ...]:
    """Referenced File ID (0004,1500), where the record is in use."""
    with contextlib.suppress(BadData):  # one that is no number does not say that it is out of use
        if record.get(0x00041410) == 0:  # Record In-use Flag
            return ()
    value = record.get(0x00041500, ())
    parts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(part, str) for part in parts):
        raise BadData(f"its Referenced File ID is no text but {record.vr(0x00041500)}", tag="00041500")
    return parts


def _resolve(folder: str, components: tuple[str, ...]) -> str | None:
    """The file of these components; some programs write the names in lower case on the disk."""
    for names in (components, [part.lower() for part in components]):
        path = os.path.join(folder, *names)
        if os.path.exists(path):
            return path
    return None
