"""The instances table: one row per SOP instance in a file, whether it was received or found in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom.datadict import tag_for_keyword

from .. import phi
from ..datasets import whole
from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..datasets.headertable import CLASS, INSTANCE
from ..datasets.lockstep import Mask
from ..datasets.part10 import parse_file
from ..errors import BadData, BadFile
from .places import Place

if TYPE_CHECKING:
    import pandas as pd

#: Keywords of the instances table, in the order of its columns, after ``path``.
COLUMNS: tuple[str, ...] = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "Modality",
    "BodyPartExamined",
    "ProtocolName",
    "SOPInstanceUID",
    "SOPClassUID",
    "TransferSyntaxUID",
    "InstanceNumber",
    "ImageType",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "EchoTime",
)

#: Read and no columns: character set, and what the length of the pixel data is checked with.
_ALSO = (
    "SpecificCharacterSet",
    "BitsAllocated",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "IssuerOfPatientID",
)

#: Tags to read from a header.
WANTED: frozenset[int] = frozenset(
    int(tag) for tag in (tag_for_keyword(keyword) for keyword in (*COLUMNS, *_ALSO)) if tag and tag >= 0x00080000
)

PART: Final = 1 << 13  # rows of a table that are made at a time
_US = int.from_bytes(b"US", "little")
_NAMED_TWICE = (("instance", "SOPInstanceUID", INSTANCE), ("SOP class", "SOPClassUID", CLASS))  # and in the file meta


def describe(path: Place, wanted: frozenset[int] = WANTED) -> Elements:
    """The header of one file, with its transfer syntax as (0002,0010).

    Parameters
    ----------
    path
        Of a Part 10 file, or a data set without preamble.
    wanted
        Tags of the attributes to keep.

    Raises
    ------
    BadFile
        It is no DICOM, its header is broken, or its pixel data is not all there.
    """
    meta, elements = parse_file(path, wanted=wanted)
    meta.tell(elements)
    _finish(path, elements)
    return elements


def _finish(path: Place, elements: Elements) -> None:
    """Refuse a file whose pixel data is not all there."""
    try:
        whole.check_file(path, elements, elements.text(0x00020010))
    except BadData as error:
        raise BadFile(path, error.why, tag=error.tag) from None
    except OSError as error:
        raise BadFile(path, f"cannot be read: {error.strerror or error}") from None


def check_whole(headers: Headers) -> None:
    """Note in ``errors`` the files whose pixel data is not all there, as `describe` refuses them."""
    for row in np.flatnonzero((headers.pixel_at >= 0) & ~_plainly_whole(headers)).tolist():
        try:
            _finish(headers.paths[row], headers[row])
        except BadFile as error:
            headers.errors[row] = error


def _plainly_whole(headers: Headers) -> Mask:
    """Whether the pixel data is native, in the file, and no less than the image of one frame that is described."""
    expected = np.ones(len(headers))
    plain = (headers.pixel_length != whole.UNDEFINED) & (headers.sizes >= 0)
    plain &= headers.pixel_at + headers.pixel_length <= headers.sizes
    for keyword in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel"):
        data, starts, lengths, vrs = headers.cells(tag_of(keyword))
        known = (lengths == 2) & ((vrs == _US) | headers.implicit)
        at = np.where(known, starts, 0)
        values = np.frombuffer(data, np.uint8)
        if not known.any():
            return known
        expected *= values[at] + 256.0 * values[np.minimum(at + 1, len(values) - 1)]
        plain &= known
    frames = headers.cells(tag_of("NumberOfFrames"))[2]
    return np.asarray(plain & (frames < 0) & (expected <= 8.0 * headers.pixel_length), bool)


def contradictions(headers: Headers) -> dict[int, str]:
    """Rows whose file meta names another instance or SOP class than their data set, which is believed; and the words.

    References
    ----------
    PS3.10 7.1
    """
    found: dict[int, str] = {}
    for word, keyword, of_meta in _NAMED_TWICE:
        tags = of_meta, tag_of(keyword)
        for row in np.flatnonzero(_differ(headers, *tags)).tolist():
            one, other = (headers.value(tag, row)[0].decode("latin-1").strip(" \0") for tag in tags)
            if one and other and one != other and row not in headers.errors:
                one, other = (phi.named(keyword, uid) for uid in (one, other))
                found.setdefault(row, f"its file meta names another {word}, {one!r}, than its data set, {other!r}")
    return dict(sorted(found.items()))


def _differ(headers: Headers, one: int, other: int) -> Mask:
    """Where two attributes are both there and have other bytes."""
    data, starts, lengths, _ = headers.cells(one)
    _, others, widths, _ = headers.cells(other)
    differ = (lengths > 0) & (widths > 0)
    alike = differ & (lengths == widths)
    for width in np.unique(lengths[alike]).tolist():
        rows = np.flatnonzero(alike & (lengths == width))
        texts = np.ndarray((len(data) - width + 1,), f"S{width}", data, 0, (1,))  # from every offset
        differ[rows] = texts[starts[rows]] != texts[others[rows]]
    return differ


def instances(
    paths: Sequence[Place], records: Sequence[Elements] | None = None, *, quiet: bool = False
) -> pd.DataFrame:
    """The instances table of these files, in their order.

    Parameters
    ----------
    paths
        One file for each row.
    records
        Their headers, where they are known already (a list, or `Headers`); read with `describe` otherwise.
    quiet
        As `tables.table` takes it.

    Returns
    -------
    pandas.DataFrame
        Column ``path`` (text), then `COLUMNS`, typed as `tables.table` does.

    Raises
    ------
    BadFile
        A file cannot be used.
    """
    import pandas as pd

    from ..tables.tables import table

    paths = [os.fspath(path) for path in paths]
    if records is None:
        records = [describe(path) for path in paths]
    frame = table(records, COLUMNS, quiet=quiet)
    try:
        column = pd.Series(paths, index=frame.index, dtype="string")
    except UnicodeEncodeError:  # a name that is not UTF-8
        column = pd.Series(paths, index=frame.index, dtype="object")
    frame.insert(0, "path", column)
    return phi.frame(frame)


def in_parts(count: int, part: Callable[[slice], tuple[Sequence[Place], Sequence[Elements]]]) -> pd.DataFrame:
    """The instances table of very many, made of some rows after others, so that what it is made of is soon let go.

    Parameters
    ----------
    count
        Number of rows.
    part
        Gives the files and headers of some rows, as `instances` takes them.

    Returns
    -------
    pandas.DataFrame
        As `instances` gives it; nothing is warned of.
    """
    from ..tables.tables import below

    slices = [slice(first, first + PART) for first in range(0, count or 1, PART)]
    parts = [instances(*part(rows), quiet=True) for rows in slices]
    return phi.noted(below(parts)) if len(parts) > 1 else parts[0]  # type: ignore[no-any-return]
