"""File-sets: instances in a folder with a DICOMDIR, or the same in a zip archive (PS3.10 8, PS3.3 F; R13.7)."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydicom.dataset import Dataset

from .. import phi
from ..disk.placing import Piece, place
from ..disk.placing import replace as replaced
from ..errors import BadFile, InvalidRequest
from ..scanning.dicomdir import referenced

DIRECTORY = "DICOMDIR"
#: Attributes that a directory record has to have, and what stands in it for an instance without; as dcmmkdir's.
_INVENTED = {
    "PatientID": "UNKNOWN", "StudyDate": "19000101", "StudyTime": "000000", "StudyID": "1", "SeriesNumber": 0,
    "InstanceNumber": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """An instance that is to be in a file-set."""

    header: Dataset  # with its file_meta
    piece: Piece  # the name is chosen here


def to_file_set(
    entries: Sequence[Entry], folder: str, told: Callable[[int], object] = lambda size: None
) -> tuple[list[str], list[str]]:
    """Add instances to the file-set of a folder, and to its DICOMDIR; what is there stays as and where it is.

    Names have at most 8 components of at most 8 characters A-Z, 0-9 and _ (PS3.10 8.2, 8.5). The DICOMDIR is replaced
    at once, when all files are in their places.

    Returns
    -------
    paths, remarks
        One for each entry; one that is in the file-set already stays there.

    Raises
    ------
    InvalidRequest
        The folder cannot be written; nothing was.
    BadFile
        It holds a DICOMDIR that cannot be used, or an instance has no place in one.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.fileset import FileSet

    where = os.path.join(folder, DIRECTORY)
    known = os.path.exists(where)
    if known and referenced(where)[1]:
        raise BadFile(where, referenced(where)[1][0], advice="Mend it first, or name another folder.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = FileSet()
        try:
            if known:
                files.load(where)
            paths, pieces, remarks = _added(files, entries, folder)
            directory: Any = DicomBytesIO()
            files._write_dicomdir(directory)
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise BadFile(where, f"the file-set cannot be written: {error}") from None
        finally:
            files._stage["t"].cleanup()  # a folder of its own, which it leaves to the garbage collector
    try:
        place(pieces, folder, told, then=lambda: replaced(where, directory.getvalue()))
    except OSError as error:
        raise InvalidRequest(
            f"nothing was added to the file-set {phi.path(folder)!r}: {error.strerror or error}",
            advice="Make room, or name another folder." if error.errno == 28 else "Name another folder.",
        ) from None
    return paths, remarks


def _added(files: Any, entries: Sequence[Entry], folder: str) -> tuple[list[str], list[Piece], list[str]]:
    """The records of the entries in the tree; where each file is, those that are to be written, and what is odd."""
    from pydicom.fileset import FileInstance, RecordNode

    at = {str(one.SOPInstanceUID): one.node._record.ReferencedFileID for one in files}
    taken: set[str] = set()
    paths: list[str] = []
    pieces: list[Piece] = []
    invented: set[str] = set()
    for entry in entries:
        uid = str(entry.header.SOPInstanceUID)
        if uid in at:
            parts = at[uid]
            paths.append(os.path.join(folder, *([parts] if isinstance(parts, str) else parts)))
            continue
        node = None
        for record in files._recordify(_recorded(entry.header, invented)):
            below = RecordNode(record)
            if node is not None:
                below.parent = node
            node = below
        assert node is not None
        instance = FileInstance(node)
        node.instance = instance
        files._tree.add(node)
        files._instances.append(instance)
        parts = _free(instance.FileID.split(os.sep), folder, taken)
        at[uid] = node._record.ReferencedFileID = parts
        paths.append(os.path.join(folder, *parts))
        pieces.append(replace(entry.piece, name="/".join(parts)))
    remarks = []
    if invented:
        remarks.append(f"the DICOMDIR has made-up values for {', '.join(sorted(invented))}, which instances lack")
    return paths, pieces, remarks


def _recorded(header: Dataset, invented: set[str]) -> Dataset:
    """The header with what a directory record is made of."""
    made = copy.copy(header)
    made._dict = dict(header._dict)
    made.file_meta = header.file_meta
    for keyword, value in _INVENTED.items():
        if made.get(keyword) in (None, ""):
            setattr(made, keyword, value)
            invented.add(keyword)
    if "ContentSequence" in made:  # of a report only what modifies its title is in the record (PS3.3 F.5.25)
        title = [item for item in made.ContentSequence if item.get("RelationshipType") == "HAS CONCEPT MOD"]
        del made["ContentSequence"]
        if title:
            made.ContentSequence = title
    return made


def _free(parts: list[str], folder: str, taken: set[str]) -> list[str]:
    """The components of a name that no file has."""
    stem, last = parts[-1][:2], int(parts[-1][2:]) if parts[-1][2:].isdecimal() else 0
    while "/".join(parts) in taken or os.path.lexists(os.path.join(folder, *parts)):
        last += 1
        parts = [*parts[:-1], f"{stem}{last:06d}"]
    taken.add("/".join(parts))
    return parts


def to_zip(entries: Sequence[Entry], path: str, told: Callable[[int], object] = lambda size: None) -> list[str]:
    """A file-set with its DICOMDIR, in a zip archive that is not there yet; what is odd, in words.

    Raises
    ------
    InvalidRequest
        It is there, or cannot be written.
    """
    if os.path.lexists(path):
        raise InvalidRequest(f"{phi.path(path)!r} is there already", advice="Name an archive that is not there yet.")
    above = os.path.dirname(path) or "."
    folder, draft = "", f"{path}.{os.getpid()}.part"
    try:
        os.makedirs(above, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".dicomlab-", dir=above)
        remarks = to_file_set(entries, folder, told)[1]
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_DEFLATED) as archive:
            for root, folders, names in os.walk(folder):
                folders.sort()
                for name in sorted(names):
                    whole = os.path.join(root, name)
                    archive.write(whole, os.path.relpath(whole, folder))
        if os.path.lexists(path):
            raise FileExistsError(17, "a file of that name exists", path)
        os.rename(draft, path)
        return remarks
    except OSError as error:
        raise InvalidRequest(
            f"{phi.path(path)!r} cannot be written: {error.strerror or error}", advice="Name another."
        ) from None
    finally:
        with suppress(OSError):
            os.unlink(draft)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
