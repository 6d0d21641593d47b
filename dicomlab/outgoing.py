"""What is to be sent: the instances of tables, files, folders, DICOMDIRs and data sets."""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from . import phi
from .errors import BadData, BadFile, InvalidRequest
from .headers import read
from .headertable import Headers
from .part10 import DEFLATED, EXPLICIT, IMPLICIT, read_bytes
from .places import Place
from .scanning import gather
from .whole import NATIVE, UNDEFINED, check_native, encapsulated

if TYPE_CHECKING:
    import pandas as pd

MAPPED = 64 << 20  # bytes of a file from which it is not read into memory
LONGEST_UID = 64  # characters, PS3.5 9.1
_CLASS, _INSTANCE, _SYNTAX = 0x00080016, 0x00080018, 0x00020010
_NAMES = frozenset((_CLASS, _INSTANCE))
#: With what the length of native pixel data follows from.
_SIZED = _NAMES | {0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280100}
_DICOMDIR = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
_UIDS = ("SOPClassUID", "SOPInstanceUID", "TransferSyntaxUID")


@dataclass(slots=True)
class Outgoing:
    """One instance to be sent, from a file or from memory."""

    path: str = ""
    dataset: Any = None  # a pydicom Dataset; then there is no path
    sop_class: str = ""
    sop_instance: str = ""
    transfer_syntax: str = ""
    trouble: str = ""  # why it cannot be sent


def outgoing(what: Any) -> list[Outgoing]:
    """The instances of what is given, in its order; those of a table are its rows.

    Parameters
    ----------
    what
        A table with a column ``path``, one of its rows, a path of a file, folder or DICOMDIR, a data set, or several
        of these.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or what is given is none of these.
    """
    found = list(_each(what))
    if not found:
        raise InvalidRequest("nothing is selected", advice="Give at least one instance.")
    for row in found:
        row.trouble = row.trouble or _unspeakable(row)
    return found


def _unspeakable(row: Outgoing) -> str:
    """Why an instance cannot even be proposed; for what breaks the rules there a peer refuses all others with it."""
    for word, uid in (("SOP Class", row.sop_class), ("transfer syntax", row.transfer_syntax)):
        if not uid:
            return f"it has no {word} UID"
        if len(uid) > LONGEST_UID:
            return f"its {word} UID has {len(uid)} characters, {LONGEST_UID} are allowed"
        if not re.fullmatch("[0-9.]+", uid):
            return f"its {word} {uid!r} is no UID"
    return ""


def _each(what: Any) -> Iterator[Outgoing]:
    import pandas as pd
    from pydicom.dataset import Dataset

    if isinstance(what, Dataset):
        yield _in_memory(what)
    elif isinstance(what, pd.DataFrame):
        yield from _of_table(what)
    elif isinstance(what, pd.Series) and "path" in what.index:
        yield from _of_table(what.to_frame().T)
    elif isinstance(what, str | os.PathLike):
        yield from _of_place(what)
    elif getattr(getattr(what, "dtype", None), "kind", "O") not in "OU":
        raise InvalidRequest(
            "an array of values is no DICOM file, and cannot be sent",
            advice="Give the instances that it was loaded from, a table with the column path, paths, or pydicom data "
            "sets.",
        )
    elif isinstance(what, Iterable) and not isinstance(what, Mapping | bytes):
        for paths, several in groupby(what, lambda one: isinstance(one, str | os.PathLike)):
            if paths:
                yield from _of_places(list(several))
            else:
                for one in several:
                    yield from _each(one)
    else:
        raise InvalidRequest(
            f"{type(what).__name__} {what!r} cannot be sent",
            advice="Give a table with the column path, as retrieve and scan make it, paths, or pydicom data sets.",
        )


def _of_table(frame: pd.DataFrame) -> Iterator[Outgoing]:
    if not len(frame):
        raise InvalidRequest("nothing is selected", advice="Choose at least one row.")
    if "path" not in frame.columns:
        raise InvalidRequest(
            "these rows name no files: there is no column path",
            advice="retrieve() or scan() give a table that does; matches of find() are still in the archive.",
        )
    paths = [str(phi.real(path)) if isinstance(path, str | os.PathLike) else "" for path in frame["path"].tolist()]
    if all(name in frame.columns for name in _UIDS):
        columns = [[value if isinstance(value, str) else "" for value in frame[name].tolist()] for name in _UIDS]
    else:
        columns = [[""] * len(frame) for _ in _UIDS]
    rows = [Outgoing(path, None, *uids) for path, *uids in zip(paths, *columns, strict=True)]
    unknown = [row for row in rows if not (row.sop_class and row.transfer_syntax)]
    headers = read([row.path for row in unknown], _NAMES)
    for number, row in enumerate(unknown):
        if row.path:
            known = row.sop_instance
            _take(row, headers, number)
            row.sop_instance = known or row.sop_instance
        else:
            row.trouble = "its row has no path"
    yield from rows


def _of_places(places: list[Place]) -> Iterator[Outgoing]:
    """Several files are looked at together; what is no instance of itself is a place of its own."""
    paths = [os.path.expanduser(os.fspath(phi.real(place))) for place in places]
    headers = read(paths, _NAMES)
    for number, path in enumerate(paths):
        row = Outgoing(path)
        _take(row, headers, number)
        if row.trouble or row.sop_class in ("", _DICOMDIR):
            yield from _of_place(path)
        else:
            yield row


def _of_place(place: Place) -> Iterator[Outgoing]:
    """A file that is given alone is sent as it is; of a folder or DICOMDIR what a scan finds, and what it finds bad."""
    path = os.path.expanduser(os.fspath(phi.real(place)))
    found = gather([path])
    rows = [Outgoing(one) for one in found.paths]
    for number, row in enumerate(rows):
        _take(row, found.records, number)
    yield from rows
    bad = [one for one in found.problems if one["severity"] == "error"]
    yield from (Outgoing(one["path"], trouble=one["why"]) for one in bad)
    if not rows and not bad:
        raise InvalidRequest(
            f"there is no DICOM instance in {phi.path(path)!r}", advice="Name the folder, file or DICOMDIR of some."
        )


def _take(row: Outgoing, headers: Headers, number: int) -> None:
    """What a header says of a file."""
    try:
        meta = headers.meta(number)
        elements = headers[number]
    except BadFile as error:
        row.trouble = error.said
        return
    row.sop_class, row.sop_instance = elements.text(_CLASS), elements.text(_INSTANCE)
    row.transfer_syntax = meta.transfer_syntax


def _in_memory(dataset: Any) -> Outgoing:
    row = Outgoing(dataset=dataset)
    row.sop_class, row.sop_instance = (str(dataset.get(name, "") or "") for name in ("SOPClassUID", "SOPInstanceUID"))
    row.transfer_syntax = _syntax(dataset)
    meta = getattr(dataset, "file_meta", None) or {}
    said = [str(meta.get(name, "") or "") for name in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID")]
    if not row.transfer_syntax:
        row.trouble = "its pixel data is compressed, and file_meta.TransferSyntaxUID does not say how"
    else:
        row.trouble = _wrong((row.sop_class, row.sop_instance), (said[0], said[1])) or _short(dataset, row)
    return row


def _short(dataset: Any, row: Outgoing) -> str:
    """Why the pixel data of a data set in memory is not its image; "" where it is."""
    from pydicom.pixels.utils import get_expected_length

    pixels = dataset.get("PixelData")
    if not isinstance(pixels, bytes):
        return ""
    if row.transfer_syntax not in NATIVE:
        if pixels[:4] == b"\xfe\xff\x00\xe0":
            return ""
        return "its pixel data is not compressed, and file_meta.TransferSyntaxUID says that it is"
    try:
        expected = int(get_expected_length(dataset))
    except Exception:  # pydicom raises anything where an attribute is absent: then nothing can be expected
        return ""
    return f"its pixel data has {len(pixels):,} bytes, its image needs {expected:,}" if len(pixels) < expected else ""


def _syntax(dataset: Any) -> str:
    """The transfer syntax that a data set in memory is in, or will be written in; "" where it cannot be known."""
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and meta.get("TransferSyntaxUID"):
        return str(meta.TransferSyntaxUID)
    pixels = dataset.get("PixelData")
    if isinstance(pixels, bytes) and pixels[:4] == b"\xfe\xff\x00\xe0":
        return ""
    implicit, little = getattr(dataset, "original_encoding", (None, None))
    return IMPLICIT if implicit and little else EXPLICIT


def _wrong(names: tuple[str, str], meta: tuple[str, str]) -> str:
    """Why an instance of these SOP Class and Instance UIDs cannot be sent; "" where it can."""
    for word, name, said in zip(("Class", "Instance"), names, meta, strict=True):
        if not name:
            return f"it has no SOP {word} UID"
        if len(name) > LONGEST_UID:
            return f"its SOP {word} UID has {len(name)} characters, {LONGEST_UID} are allowed"
        if said and said != name:
            return f"its file meta names the SOP {word} {said}, its data set {name}"
    return ""


class Reader:
    """Reads files to be sent, one after the other into the same memory."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def data_set(self, row: Outgoing) -> memoryview:
        """The bytes of the data set of a file, as they are; good until the next call.

        Raises
        ------
        BadFile
            It cannot be read, is no whole instance, or is not the one that its row says.
        """
        try:
            file = self._file(row.path)
            meta, elements = read_bytes(file, _SIZED)
            if elements.pixels is not None:
                _, offset, length = elements.pixels
                if meta.transfer_syntax in NATIVE:
                    check_native(elements, length)
                elif length == UNDEFINED:
                    encapsulated(file, offset)
        except OSError as error:
            raise BadFile(row.path, f"cannot be read: {error.strerror or error}") from None
        except BadData as error:
            raise BadFile(row.path, error.why, tag=error.tag, offset=error.offset, advice=error.advice) from None
        names = (elements.text(_CLASS), elements.text(_INSTANCE))
        wrong = _wrong(names, (meta.sop_class, meta.sop_instance))
        if not wrong and meta.transfer_syntax != row.transfer_syntax:
            wrong = f"its transfer syntax is {meta.transfer_syntax}, {row.transfer_syntax or 'none'} was expected"
        if not wrong and names != (row.sop_class, row.sop_instance or names[1]):
            wrong = f"it holds another instance than its row says: {names[1]} of class {names[0]}"
        if wrong:
            raise BadFile(row.path, wrong)
        row.sop_instance = names[1]
        data = file[meta.data_set :]
        if meta.transfer_syntax == DEFLATED and len(data) % 2:  # peers take no odd one (PS3.5 A.5)
            return memoryview(bytes(data) + b"\0")
        return data

    def _file(self, path: str) -> memoryview:
        flags = ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK")  # the last: a pipe is refused, and not waited for
        handle = os.open(path, sum((getattr(os, name, 0) for name in flags), os.O_RDONLY))
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise BadData("no regular file")
            size = about.st_size
            if size >= MAPPED:
                return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
            if size > len(self._memory):
                self._memory = bytearray(size + size // 4)
            view, filled = memoryview(self._memory)[:size], 0
            while filled < size:
                count = os.readv(handle, [view[filled:]]) if hasattr(os, "readv") else _read_into(handle, view[filled:])
                if not count:
                    raise BadData("the file became shorter while it was read")
                filled += count
            return view
        finally:
            os.close(handle)


def _read_into(handle: int, view: memoryview) -> int:
    part = os.read(handle, min(len(view), 1 << 20))
    view[: len(part)] = part
    return len(part)
