"""What is to be sent: the instances of tables, files, folders, DICOMDIRs and data sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .. import phi
from ..datasets.uids import EXPLICIT, IMPLICIT, NATIVE
from ..errors import BadFile, InvalidRequest
from ..pixels.transcoding import read_file
from ..scanning.places import Place
from ..scanning.scanning import gather
from .sendable import LONGEST_UID, Outgoing, Reader, look, wrong

if TYPE_CHECKING:
    import pandas as pd

_DICOMDIR = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
_UIDS = ("SOPClassUID", "SOPInstanceUID", "TransferSyntaxUID")


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


def twins(rows: Sequence[Outgoing]) -> dict[int, int]:
    """Rows whose instance was given before: the row, and the first with it.

    One that has the SOP Instance UID of another, and is not the same, gets that for its trouble: an archive keeps one
    of the two, and nobody would know which.
    """
    first: dict[str, int] = {}
    found: dict[int, int] = {}
    for number, row in enumerate(rows):
        if row.trouble or not row.sop_instance:
            continue
        before = first.setdefault(row.sop_instance, number)
        if before == number:
            continue
        same = _same(row, rows[before])
        if same:
            found[number] = before
        elif same is not None:
            name = repr(phi.path(rows[before].path)) if rows[before].path else f"instance {before + 1} of these"
            row.trouble = f"it has the SOP Instance UID of {name} and is not the same: only that one is sent"
    return found


def _same(row: Outgoing, other: Outgoing) -> bool | None:
    """Whether two instances are the same, element by element; None where that cannot be told."""
    try:
        if row.path and other.path:
            return row.path == other.path or Reader().data_set(row) == Reader().data_set(other)
        one, two = (read_file(each.path) if each.path else each.dataset for each in (row, other))
        return one is two or bool(one == two)
    except BadFile:  # told when its turn comes
        return None


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
    for row in rows:
        if not row.path:
            row.trouble = "its row has no path"
    look([row for row in rows if row.path and not (row.sop_class and row.transfer_syntax)])
    yield from rows


def _of_places(places: list[Place]) -> Iterator[Outgoing]:
    """Several files are looked at together; what is no instance of itself is a place of its own."""
    paths = [os.path.expanduser(os.fspath(phi.real(place))) for place in places]
    rows = [Outgoing(path) for path in paths]
    look(rows)
    for row in rows:
        if row.trouble or row.sop_class in ("", _DICOMDIR):
            yield from _of_place(row.path)
        else:
            yield row


def _of_place(place: Place) -> Iterator[Outgoing]:
    """A file that is given alone is sent as it is; of a folder or DICOMDIR what a scan finds, and what it finds bad."""
    path = os.path.expanduser(os.fspath(phi.real(place)))
    found = gather([path])
    rows = [Outgoing(one) for one in found.paths]
    look(rows)
    yield from rows
    bad = [one for one in found.problems if one["severity"] == "error"]
    yield from (Outgoing(one["path"], trouble=one["why"]) for one in bad)
    if not rows and not bad:
        raise InvalidRequest(
            f"there is no DICOM instance in {phi.path(path)!r}", advice="Name the folder, file or DICOMDIR of some."
        )


def _in_memory(dataset: Any) -> Outgoing:
    row = Outgoing(dataset=dataset)
    row.sop_class, row.sop_instance = (str(dataset.get(name, "") or "") for name in ("SOPClassUID", "SOPInstanceUID"))
    row.transfer_syntax = _syntax(dataset)
    meta = getattr(dataset, "file_meta", None) or {}
    said = [str(meta.get(name, "") or "") for name in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID")]
    if not row.transfer_syntax:
        row.trouble = "its pixel data is compressed, and file_meta.TransferSyntaxUID does not say how"
    else:
        row.trouble = wrong((row.sop_class, row.sop_instance), (said[0], said[1])) or _short(dataset, row)
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
