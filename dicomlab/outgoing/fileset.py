"""Written instances as files of a folder, each named by its UID."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from .. import phi
from ..datasets.filemeta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ..datasets.uids import EXPLICIT
from ..disk.placing import Piece, place
from ..errors import InvalidRequest
from ..pixels.transcoding import transcode


def meta_of(dataset: Dataset, syntax: str = EXPLICIT) -> FileMetaDataset:
    """The file meta information of a data set that we write (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


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


def made(dataset: Dataset, name: str, syntax: str = EXPLICIT, was: str = EXPLICIT) -> Piece:
    """The file of a data set, of that name."""
    return Piece(name, lambda: file_of(dataset, syntax, was))


def to_folder(pieces: Sequence[Piece], folder: str, told: Callable[[int], object] = lambda size: None) -> list[str]:
    """Write files into a folder: all of them, or none.

    Raises
    ------
    InvalidRequest
        The folder cannot be made or written, or a file of that name exists.
    """
    try:
        return place(pieces, folder, told)
    except FileExistsError as error:
        raise InvalidRequest(
            f"nothing was written to {phi.path(folder)!r}: {phi.path(str(error.filename))!r} is there already",
            advice="Name another folder; no file is written over.",
        ) from None
    except OSError as error:
        raise InvalidRequest(
            f"nothing was written to {phi.path(folder)!r}: {error.strerror or error}",
            advice="Make room, or name another folder." if error.errno == 28 else "Name another folder.",
        ) from None
