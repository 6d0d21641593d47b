"""Attributes of instances changed before they are sent, with what they were (R13.11)."""

from __future__ import annotations

import copy
import datetime as dt
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from .. import phi
from ..disk.placing import Piece
from ..errors import BadFile, InvalidRequest
from ..outgoing.fileset import file_name, file_of, meta_of, to_folder
from ..outgoing.outgoing import Outgoing, outgoing
from ..pixels.transcoding import read_file
from ..scanning.dicomdir import is_directory_file
from ..scanning.instances import instances as table_of
from ..writers.modules import MAKER, element, keyword_known

if TYPE_CHECKING:
    import pandas as pd

#: What says which instance it is, and how its pixels are stored.
_FIXED = frozenset(
    (
        "SOPClassUID", "SOPInstanceUID", "SpecificCharacterSet", "PixelData", "FloatPixelData", "DoubleFloatPixelData",
        "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
        "PixelRepresentation", "PlanarConfiguration", "PhotometricInterpretation", "OriginalAttributesSequence",
    )
)  # fmt: skip
_REASONS = ("COERCE", "CORRECT")


def modify(instances: Any, to: str | os.PathLike[str], *, reason: str = "CORRECT", **attributes: Any) -> pd.DataFrame:
    """Copies of instances with other values; what they were stands in OriginalAttributesSequence of each.

    The SOP Instance UIDs stay, and pixels are not touched.

    Parameters
    ----------
    instances
        An instances table, rows of one, paths or data sets.
    to
        A folder; its files are named by their SOP Instance UID, and who may read them is as your system has it for new
        ones (umask).
    reason
        "CORRECT" (they were wrong) or "COERCE" (to be as another system has them).
    attributes
        New values by keyword; None empties one.

    Returns
    -------
    pandas.DataFrame
        The instances table of the copies.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or a keyword or value cannot be; nothing was written.
    BadFile
        An instance cannot be read; nothing was written.

    References
    ----------
    PS3.3 C.12.1.1.9

    Examples
    --------
    >>> import tempfile
    >>> from pydicom.data import get_testdata_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = modify(get_testdata_file("CT_small.dcm"), folder, PatientID="0042")
    ...     made.PatientID.tolist()
    ['0042']
    """
    if not attributes:
        raise InvalidRequest("nothing is to be changed", advice="Give attributes by keyword: PatientID=...")
    if reason not in _REASONS:
        raise InvalidRequest(f"reason {reason!r} is none", advice="It is 'CORRECT' or 'COERCE'.")
    for keyword in attributes:
        keyword_known(keyword)
        if keyword in _FIXED:
            raise InvalidRequest(f"{keyword} is not changed by modify", advice="Leave it out.")
    elements = [element(keyword, value) for keyword, value in attributes.items()]
    folder = os.path.expanduser(os.fspath(phi.real(to)))
    if os.path.isfile(folder) and not is_directory_file(folder):
        raise InvalidRequest(f"{folder!r} is a file", advice="Name a folder.")
    now = dt.datetime.now().strftime("%Y%m%d%H%M%S")
    named: dict[str, Outgoing] = {}
    for one in outgoing(instances):  # all of them once before the first is written
        name = file_name(str(_changed(one, elements, now, reason).SOPInstanceUID))
        if name in named:
            raise InvalidRequest("an instance is there twice", advice="Choose one of them.")
        named[name] = one
    pieces = [Piece(name, partial(_file, one, elements, now, reason)) for name, one in named.items()]
    return table_of(to_folder(pieces, folder))


def _file(one: Outgoing, elements: list[Any], now: str, reason: str) -> bytes:
    return file_of(_changed(one, elements, now, reason), one.transfer_syntax, one.transfer_syntax)


def _changed(one: Outgoing, elements: list[Any], now: str, reason: str) -> Dataset:
    if one.trouble:
        raise BadFile(one.path, one.trouble)
    dataset = copy.deepcopy(one.dataset) if one.dataset is not None else read_file(one.path)
    _change(dataset, elements, now, reason)
    dataset.file_meta = meta_of(dataset, one.transfer_syntax)
    return dataset


def _change(dataset: Dataset, elements: list[Any], now: str, reason: str) -> None:
    """New values, and an item that says what they were."""
    if any(not str(part.value).isascii() for part in elements):
        dataset.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"
    before = Dataset()
    for part in elements:
        if part.tag in dataset:
            before.add(copy.deepcopy(dataset[part.tag]))
        else:
            before.add(type(part)(part.tag, part.VR, [] if part.VR == "SQ" else None))
        dataset.add(copy.deepcopy(part))
    item = Dataset()
    item.SourceOfPreviousValues = None
    item.AttributeModificationDateTime, item.ModifyingSystem = now, MAKER
    item.ReasonForTheAttributeModification = reason
    item.ModifiedAttributesSequence = [before]
    dataset.OriginalAttributesSequence = [*(dataset.get("OriginalAttributesSequence") or []), item]
