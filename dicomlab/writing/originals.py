"""Instances written back as they are, bit for bit (R13.10)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from .. import phi
from ..disk.placing import Piece
from ..errors import BadFile, InvalidRequest
from ..outgoing.fileset import file_name, made, meta_of, to_folder
from ..outgoing.outgoing import Outgoing, outgoing
from ..writers.measurements import are_measurements
from .mediaset import DIRECTORY, Entry, to_file_set, to_zip


@dataclass(frozen=True)
class Target:
    """Where files go."""

    path: str
    form: str  # "folder", "file-set" or "zip"


def target_of(to: Any) -> Target:
    """What a name stands for: a folder, the file-set of a DICOMDIR, or a zip archive.

    Raises
    ------
    InvalidRequest
        It is empty, or a file.
    """
    path = os.path.expanduser(os.fspath(phi.real(to)))
    if not path:
        raise InvalidRequest("the name of the folder is empty")
    if os.path.basename(path) == DIRECTORY:
        return Target(os.path.dirname(path) or ".", "file-set")
    if path.lower().endswith(".zip") and not os.path.isdir(path):
        return Target(path, "zip")
    if os.path.isfile(path):
        raise InvalidRequest(f"{phi.path(path)!r} is a file", advice="Name a folder; its files are named by UID.")
    return Target(path, "folder")


def write_out(
    entries: Sequence[Entry], target: Target, told: Callable[[int], object] = lambda size: None
) -> tuple[list[str], list[str]]:
    """Write to a folder, a file-set or a zip archive: all of them or none; paths, and what is odd.

    Of a zip archive the one path is its own.
    """
    if target.form == "file-set":
        return to_file_set(entries, target.path, told)
    if target.form == "zip":
        return [target.path], to_zip(entries, target.path, told)
    return to_folder([one.piece for one in entries], target.path, told), []


def are_instances(what: Any, like: Any = None) -> bool:
    """Whether these are instances, or their files, and not something to be made an instance of.

    With `like` paths and tables without files are taken for something that is derived from it.
    """
    import pandas as pd

    if isinstance(what, str | os.PathLike):
        return like is None and not _begins(os.path.expanduser(os.fspath(what)), b"%PDF-")
    if isinstance(what, pd.DataFrame) and like is not None and "path" not in what.columns:
        return False
    if isinstance(what, list | tuple):
        return bool(what) and all(isinstance(one, Dataset | str | os.PathLike) for one in what)
    return isinstance(what, pd.DataFrame | pd.Series | Dataset) and not are_measurements(what)


def _begins(path: str, with_: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(with_)) == with_
    except OSError:
        return False


def originals(what: Any) -> list[Entry]:
    """Instances as they are, to be written.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or an instance is there twice.
    BadFile
        One cannot be read, or is none.
    """
    found: dict[str, Entry] = {}
    for one in outgoing(what):
        if one.trouble:
            raise BadFile(one.path, one.trouble)
        entry = _entry(one)
        uid = str(entry.header.get("SOPInstanceUID", ""))
        if uid in found and found[uid].piece.source != entry.piece.source:
            raise InvalidRequest(
                f"the instance {uid} is there twice: a folder has one file of a UID", advice="Choose one of them."
            )
        found[uid] = entry
    return list(found.values())


def _entry(one: Outgoing) -> Entry:
    if one.dataset is not None:
        header = one.dataset
        if not getattr(header, "file_meta", None):
            header.file_meta = meta_of(header, one.transfer_syntax)
        return Entry(header, made(header, file_name(one.sop_instance), one.transfer_syntax, one.transfer_syntax))
    from pydicom import dcmread

    try:
        header = dcmread(one.path, stop_before_pixels=True, force=True)
    except Exception as error:  # pydicom raises what it meets
        raise BadFile(one.path, f"cannot be read: {error}") from None
    return Entry(header, Piece(file_name(str(header.get("SOPInstanceUID", ""))), source=one.path))
