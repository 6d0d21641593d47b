"""The files in folders, DICOMDIRs, zip archives and lists.

Entries are hostile: each is regular and inside its root, or named.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from .. import phi
from ..datasets.part10 import not_there
from ..errors import BadData, BadFile, InvalidRequest
from .dicomdir import inside, is_directory_file, referenced
from .unpacking import is_zip, unpacked

Place = str | os.PathLike[str]


class Files:
    """The files in some places, each once; what is odd about a place is noted."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.named: set[str] = set()  # by the caller or a DICOMDIR, not found in a folder
        self.listed = False  # whether some are of a folder or DICOMDIR
        self.unpacked = False  # whether some are there for as long as this process runs only
        self.problems: list[dict[str, str]] = []  # path, why, and the severity: "error" where it is not used
        self._seen: dict[int, dict[int, int]] = {}  # device, inode: where the first file with these is in `paths`

    def problem(self, path: str, why: str, severity: str = "error") -> None:
        """Note what is wrong with a file, or only odd about it."""
        self.problems.append({"severity": severity, "path": phi.path(path), "why": phi.said(why)})

    def add(self, place: Place) -> None:
        """Take the files of one place."""
        try:
            path = os.path.expanduser(os.fspath(place))
            status = os.stat(path)
        except FileNotFoundError:
            given = os.fspath(place)
            wild = "*" in str(given) or "?" in str(given)
            raise InvalidRequest(
                f"there is no file or folder {phi.path(given)!r}",
                advice="Name the folder: scan takes no wild cards, and leaves out what is no DICOM."
                if wild
                else not_there(path),
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise InvalidRequest(f"{_shown(place)} cannot be read ({_why(error)})") from None
        if stat.S_ISDIR(status.st_mode):
            self._folder(path, os.path.realpath(path))
        elif not stat.S_ISREG(status.st_mode):
            raise InvalidRequest(f"{phi.path(path)!r} is neither a file nor a folder")
        elif is_directory_file(path):
            self._directory(path)
        elif is_zip(path):
            self._archive(path)
        else:
            self._file(path, status.st_dev, status.st_ino, named=True)

    def _archive(self, path: str) -> None:
        """Take the members of a zip archive, which is as a folder that was packed."""
        found = unpacked(path)
        self.unpacked = True
        for name, why, severity in found.problems:
            self.problem(name, why, severity)
        self._folder(found.folder, os.path.realpath(found.folder))

    def _file(self, path: str, device: int, inode: int, named: bool = False) -> None:
        """Take a file unless it was taken before, maybe by another name."""
        seen = self._seen.setdefault(device, {})
        known = seen.get(inode)
        if known is not None and _same(self.paths[known], path):
            return
        seen[inode] = len(self.paths)
        self.paths.append(path)
        if named:
            self.named.add(path)

    def _folder(self, top: str, root: str) -> None:
        self.listed = True
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda entry: entry.name)
                device = os.stat(folder).st_dev
            except OSError as error:
                if folder == top:
                    raise InvalidRequest(f"the folder {phi.path(folder)!r} cannot be read ({error.strerror})") from None
                self.problem(folder, f"the folder cannot be read ({error.strerror})")
                continue
            below = []
            for entry in ordered:
                try:
                    if entry.is_file(follow_symlinks=False):
                        self._file(entry.path, device, entry.inode())  # no stat: it would cost as much as opening
                    elif entry.is_symlink():
                        self._link(entry.path, root)
                    elif entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    else:
                        self.problem(entry.path, "neither a file nor a folder, not opened", "warning")
                except OSError as error:
                    self.problem(entry.path, f"cannot be read ({error.strerror})")
            waiting += reversed(below)

    def _link(self, path: str, root: str) -> None:
        """A link to a file inside the root is taken; one to a folder inside is found there anyway."""
        target = os.path.realpath(path)
        if target == root:
            self.problem(path, "a link back to the folder itself, not followed", "warning")
            return
        if not inside(target, root):
            self.problem(path, "a link that leads out of the folder, not followed", "warning")
            return
        try:
            status = os.stat(target)
        except OSError:
            self.problem(path, "a link that leads nowhere", "warning")
            return
        if stat.S_ISREG(status.st_mode):
            self._file(path, status.st_dev, status.st_ino)

    def _directory(self, path: str) -> None:
        self.listed = True
        try:
            names, problems = referenced(path)
        except BadData as error:
            raise BadFile(path, f"the DICOMDIR cannot be read: {error.said}") from None
        for why in problems:
            self.problem(path, why)
        for name in names:
            status = os.stat(name)
            self._file(name, status.st_dev, status.st_ino, named=True)


def _shown(place: object) -> str:
    """A place in a message; its name is hidden as any path is."""
    return repr(phi.path(os.fspath(place)) if isinstance(place, str | os.PathLike) else place)


def _why(error: Exception) -> str:
    """What is wrong, without the path that an OSError repeats."""
    return getattr(error, "strerror", None) or str(error)


def is_place(path: str) -> bool:
    """Whether a path is that of a folder, DICOMDIR or zip archive, which hold instances and are none."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and (is_directory_file(path) or is_zip(path)))


def each(places: Iterable[Place | Iterable[Place]]) -> list[Place]:
    """Places and lists of them as one list.

    Raises
    ------
    InvalidRequest
        One is no place, or there is none.
    """
    flat: list[Place] = []
    for place in places:
        if isinstance(place, str | os.PathLike):
            flat.append(phi.real(place))
        elif isinstance(place, Iterable) and not isinstance(place, bytes):
            flat += each(place)
        else:
            raise InvalidRequest(f"{place!r} is no file or folder")
    if not flat:
        raise InvalidRequest("nothing is selected", advice="Name a folder, a file, a DICOMDIR or a zip archive.")
    return flat


def _same(one: str, other: str) -> bool:
    """Whether two paths of one inode number lead to the same file; device and inode of an entry may be reused."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
