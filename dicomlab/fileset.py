"""Written instances to files: whole or not at all, and never over another file; or as a file-set with a DICOMDIR."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from .dicomdir import referenced
from .errors import BadData, BadFile, InvalidRequest
from .part10 import EXPLICIT
from .transcoding import transcode

DIRECTORY = "DICOMDIR"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def file_of(dataset: Dataset, syntax: str = EXPLICIT, was: str = EXPLICIT) -> bytes:
    """The bytes of a file (PS3.10 7.1) of a data set that `was` in one transfer syntax, in one that loses nothing.

    Raises
    ------
    BadData
        A value cannot be written.
    MissingCodec
        A package is needed that is not installed.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info

    data = transcode(dataset, was, syntax)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    start = DicomBytesIO()
    write_file_meta_info(start, dataset.file_meta)
    return bytes(128) + b"DICM" + start.getvalue() + data


def file_name(uid: str) -> str:
    """The name of the file of an instance.

    Raises
    ------
    InvalidRequest
        It is no UID, and might lead anywhere.
    """
    if not re.fullmatch("[0-9.]{1,64}", uid):
        raise InvalidRequest(f"SOPInstanceUID {uid!r:.80} is no UID", advice="Leave this instance out.")
    return f"{uid}.dcm"


def to_folder(
    datasets: Sequence[Dataset],
    folder: str,
    syntax: str,
    told: Callable[[int], object] = lambda size: None,
    was: str = EXPLICIT,
) -> list[str]:
    """Write each data set to `<SOPInstanceUID>.dcm` in a folder: all of them, or none.

    Raises
    ------
    InvalidRequest
        The folder cannot be made or written, or a file of that name exists.
    """
    drafts: list[str] = []
    paths: list[str] = []
    try:
        os.makedirs(folder, exist_ok=True)
        for dataset in datasets:
            path = os.path.join(folder, file_name(str(dataset.SOPInstanceUID)))
            data = file_of(dataset, syntax, was)
            drafts.append(f"{path}.{os.getpid()}.part")
            _write(drafts[-1], data)
            told(len(data))
        for draft in drafts:
            path = draft.rsplit(".", 2)[0]
            if os.path.lexists(path):
                raise FileExistsError(17, "a file of that name exists", path)
            os.rename(draft, path)
            paths.append(path)
        _sync(folder)
        return paths
    except BaseException as error:
        for path in (*drafts, *paths):
            with suppress(OSError):
                os.unlink(path)
        if isinstance(error, OSError):
            raise InvalidRequest(
                f"nothing was written to {folder!r}: {error.strerror or error}", advice="Name another folder."
            ) from None
        raise


def _write(path: str, data: bytes) -> None:
    handle = os.open(path, _NEW, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync(folder: str) -> None:
    """The names too are on the disk; where a folder cannot be opened that is the system's affair."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def to_file_set(datasets: Sequence[Dataset], folder: str) -> list[str]:
    """Add data sets to the file-set of a folder, and to its DICOMDIR; what is there stays (R13.7).

    Names have at most 8 components of at most 8 characters A-Z, 0-9 and _ (PS3.10 8.2, 8.5).

    Raises
    ------
    InvalidRequest
        The folder cannot be written.
    BadFile
        It holds a DICOMDIR that cannot be used.
    """
    from pydicom.fileset import FileSet

    place = os.path.join(folder, DIRECTORY)
    try:
        known = os.path.exists(place)
        if known:
            wrong = referenced(place)[1]
            if wrong:
                raise BadFile(place, wrong[0], advice="Mend it first, or name another folder.")
        os.makedirs(folder, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files = FileSet(place) if known else FileSet()
            try:
                for dataset in datasets:
                    files.add(_readable(dataset))
                files.write(None if known else folder)
            finally:
                files._stage["t"].cleanup()  # a folder of its own, which it leaves to the garbage collector
        at = {str(one.SOPInstanceUID): os.path.join(folder, *one.FileID.split(os.sep)) for one in files}
        return [at[str(dataset.SOPInstanceUID)] for dataset in datasets]
    except OSError as error:
        raise InvalidRequest(f"the file-set {folder!r} cannot be written: {error}", advice="Name another.") from None
    except (ValueError, AttributeError, TypeError, BadData) as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile(place, f"the file-set cannot be written: {error}") from None


def _readable(dataset: Dataset) -> Any:
    """The data set as one that was read from a file, which a file-set wants."""
    from pydicom import dcmread

    return dcmread(BytesIO(file_of(dataset)))
