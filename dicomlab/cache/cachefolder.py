"""The folder of a cache: files that get their final name when they are whole, and what is set aside."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path

import xxhash

from .. import phi
from ..datasets import filemeta
from ..disk.indexplace import private
from ..disk.leftovers import OLD, abandoned, owner
from ..errors import BadData, CacheError
from ..scanning.instances import WANTED
from .draft import NEW_FILE, Draft
from .index import Row

PART = 1 << 18  # bytes that are gathered before they are written
_INCOMING, QUARANTINE, ASIDE = "incoming", "quarantine", "aside"
_LEASES, _PINS = "leases", "pins"
_FINAL = re.compile(r"[0-9a-f]{32}\.dcm\Z")
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES, errno.EXDEV}
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # what the process lacks; it says nothing of the file
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO}
_NOFOLLOW = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class CacheFolder:
    """The files of a cache below ``root``: final ones in folders of one digit, the others in folders that say so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        phi.our_folder(root)
        self._numbers = count()
        self._spare: list[bytearray] = []
        self._token = ""

    def open(self) -> None:
        """Make the folder, check that it is ours and can be written, sweep what dead processes left.

        Raises
        ------
        CacheError
            It cannot be made, belongs to another user or cannot be written.
        """
        token = owner()
        _prepare(self.root, f"{token}-probe.part")
        self._sweep()
        self._token = token

    def path(self, name: str) -> Path:
        return Path(self.place(name))

    def place(self, name: str) -> str:
        """The same as text: of very many, a tenth of the time."""
        return f"{self.root}/{name[:1]}/{name}.dcm"

    def draft(self, start: int) -> Draft:
        """A new temporary file whose data set will begin `start` bytes from its beginning."""
        path = f"{self.root}/{_INCOMING}/{self._token}-{next(self._numbers)}.part"
        try:
            return Draft(path, start)
        except FileNotFoundError:
            os.makedirs(f"{self.root}/{_INCOMING}", mode=0o700, exist_ok=True)
            return Draft(path, start)

    def borrow(self) -> bytearray:
        """Memory for what arrives; `give_back` it."""
        try:
            return self._spare.pop()
        except IndexError:
            return bytearray(PART)

    def give_back(self, buffer: bytearray) -> None:
        """Keep that memory for the next."""
        if len(buffer) <= 1 << 21 and len(self._spare) < 8:
            self._spare.append(buffer)

    def settle(self, temporary: str, final: Path) -> bool:
        """Give the temporary file its final name, unless that exists."""
        for _ in range(2):
            try:
                os.link(temporary, final)
            except FileExistsError:
                return False
            except FileNotFoundError:
                os.makedirs(final.parent, mode=0o700, exist_ok=True)
                continue
            except (AttributeError, NotImplementedError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in _NO_LINKS:
                    raise
                os.makedirs(final.parent, mode=0o700, exist_ok=True)
                if os.path.lexists(final):  # no hard links here: a short race instead of none
                    return False
                os.replace(temporary, final)
            return True
        raise FileNotFoundError(2, "the folder of the cache disappears", str(final.parent))

    def stash(self, folder: str, draft: Draft, node: str, digest: str, why: str) -> Path | None:
        """Keep what is no result below `folder`, with a note; None if the disk does not take it."""
        path = self.root / folder / f"{name_of(node, digest)}.dcm"
        try:
            self.settle(draft.path, path)
            _note(path, node, why)
        except OSError:
            return None
        return path

    def expel(self, final: Path, why: str) -> None:
        """Move what stands under a final name, and is not the instance, to quarantine."""
        moved = self._beside(QUARANTINE, final)
        os.rename(final, moved)
        with suppress(OSError):
            _note(moved, "", why)

    def replace(self, temporary: str, final: Path) -> None:
        """Give the temporary file its final name; what had it goes aside. At every moment there is one or the other."""
        aside = self._beside(ASIDE, final)
        try:
            os.link(final, aside)
        except (AttributeError, NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(final, aside)
        try:
            os.replace(temporary, final)
        except BaseException:
            with suppress(OSError):
                os.unlink(aside)
            raise
        with suppress(OSError):
            _note(aside, "", "replaced by a newer copy")

    def _beside(self, folder: str, final: Path) -> Path:
        target = self.root / folder
        os.makedirs(target, mode=0o700, exist_ok=True)
        return target / f"{final.stem}-{os.urandom(4).hex()}.dcm"

    def rows(self) -> Iterator[Row]:
        """The rows of all files, for a new index; an OSError where a folder cannot be listed."""
        with suppress(FileNotFoundError), os.scandir(self.root) as folders:
            for folder in folders:
                if len(folder.name) == 1 and folder.is_dir(follow_symlinks=False):
                    with os.scandir(folder.path) as files:
                        for file in files:
                            row = read_row(Path(file.path)) if _FINAL.match(file.name) else None
                            if row is not None and f"{row.name}.dcm" == file.name:
                                yield row

    def lease(self) -> Path:
        """A file that says since when a call needs what it finds here; delete it at its end."""
        folder = self.root / _LEASES
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = folder / f"{self._token}-{next(self._numbers)}"
        with open(os.open(path, NEW_FILE, 0o600), "w", encoding="ascii") as file:
            file.write(repr(time.time()))
        return path

    def leases(self) -> list[float]:
        """Since when each call that runs, in any process, needs what it finds here; leases of the dead are deleted."""
        began: list[float] = []
        with suppress(OSError), os.scandir(self.root / _LEASES) as files:
            for file in files:
                with suppress(OSError, ValueError):
                    at = float(Path(file.path).read_text("ascii") or file.stat().st_mtime)
                    if abandoned(file.name, at) or time.time() - at > OLD:
                        os.unlink(file.path)
                    else:
                        began.append(at)
        return began

    @staticmethod
    def pin_name(node: str, series: str) -> str:
        """The name of the file that pins a series."""
        return name_of(node, series)

    def pin(self, node: str, series: str) -> None:
        """Note that a series stays; beside the files, for the index may be made anew."""
        os.makedirs(self.root / _PINS, mode=0o700, exist_ok=True)
        (self.root / _PINS / self.pin_name(node, series)).touch(0o600)

    def unpin(self, node: str, series: str) -> None:
        """Take that back."""
        with suppress(FileNotFoundError):
            os.unlink(self.root / _PINS / self.pin_name(node, series))

    def pinned(self) -> set[str]:
        """The names of the pins."""
        try:
            return set(os.listdir(self.root / _PINS))
        except FileNotFoundError:
            return set()

    def _sweep(self) -> None:
        """Delete temporary files whose process on this host is gone."""
        with suppress(OSError), os.scandir(self.root / _INCOMING) as files:
            for file in files:
                with suppress(OSError):
                    if abandoned(file.name, file.stat(follow_symlinks=False).st_mtime):
                        os.unlink(file.path)


def name_of(node: str, uid: str) -> str:
    return blake2b(f"{node}\0{uid}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def inspect(path: Path) -> tuple[str, str, str] | None:
    """Node, digest and transfer syntax of a file whose bytes are those it was written with; else None.

    Raises
    ------
    OSError
        There is a file, and it cannot be read.
    """
    try:
        with open(os.open(path, _NOFOLLOW | getattr(os, "O_NONBLOCK", 0)), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            head = filemeta.read_head(file.read(1 << 13))
            if head is None or head.provenance is None:
                return None
            file.seek(head.length)
            digest, size = xxhash.xxh3_128(), 0
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    stated = head.provenance
    if size != stated.size or digest.hexdigest() != stated.digest:
        return None
    return stated.node, stated.digest, head.transfer_syntax


def read_row(path: Path) -> Row | None:
    """The index row of a file of the cache; None where it is damaged or not one."""
    from ..datasets.part10 import parse_file

    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        with open(path, "rb", buffering=0) as file:
            head = filemeta.read_head(file.read(1 << 13))
        if head is None or head.provenance is None or status.st_size != head.length + head.provenance.size:
            return None
        _, elements = parse_file(path, wanted=WANTED)
    except BadData:
        return None
    except OSError as error:
        if error.errno in _SHORT_OF:
            raise
        return None
    uid = elements.text("SOPInstanceUID")
    return Row(
        name_of(head.provenance.node, uid),
        head.provenance.node,
        uid,
        elements.text("SOPClassUID") or head.sop_class,
        elements.text("StudyInstanceUID"),
        elements.text("SeriesInstanceUID"),
        elements.text("PatientID"),
        head.transfer_syntax,
        status.st_size,
        status.st_mtime_ns,
        head.provenance.digest,
        status.st_mtime,
    )


def note_path(path: Path) -> str:
    """The note beside a file that was set aside."""
    return f"{path.with_suffix('')}.why.txt"


def note_of(path: Path) -> str:
    """Why a file was set aside, as its note says; "" without one."""
    try:
        return Path(note_path(path)).read_text("ascii", "replace").partition("\n")[2].strip()
    except OSError:
        return ""


def _note(path: Path, node: str, why: str) -> None:
    """Say beside a file why it is here."""
    handle = os.open(note_path(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="ascii", errors="backslashreplace") as file:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {node}\n{why}\n")


def unread(error: OSError) -> bool:
    """Whether that is why a file cannot be read, and not what the process is short of."""
    return error.errno not in _SHORT_OF


def _prepare(root: Path, probe: str) -> None:
    """Make the folder of a cache, or check one that is there, by a temporary file of that name."""
    advice = "Give another folder as cache=, or in the environment variable DICOMLAB_CACHE."
    try:
        private(root)
        status = os.stat(root)
        if hasattr(os, "getuid"):
            if status.st_uid != os.getuid():
                raise CacheError(f"the cache {root} belongs to another user", advice=advice)
            if status.st_mode & 0o077:
                os.chmod(root, 0o700)
        os.makedirs(root / _INCOMING, mode=0o700, exist_ok=True)
        path = root / _INCOMING / probe
        os.close(os.open(path, NEW_FILE, 0o600))
        os.unlink(path)
    except OSError as error:
        raise CacheError(f"the cache {root} cannot be written ({error.strerror})", advice=advice) from error
