"""What the writers have in common that let highdicom make their objects (extra ``derived``)."""

from __future__ import annotations

import copy
import datetime as dt
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset

from .. import phi
from ..errors import InvalidRequest, MissingCodec
from .modules import began
from .writer import Order

_NEEDED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "StudyID", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip


def highdicom() -> Any:
    """The package that writes these.

    Raises
    ------
    MissingCodec
        It is not installed.
    """
    try:
        import highdicom as found
    except ImportError:
        raise MissingCodec(
            "writing segmentations, parametric maps and measurements needs highdicom",
            advice='Run: pip install "dicomlab[derived]"',
        ) from None
    return found


@contextmanager
def blamed(modality: str) -> Iterator[None]:
    """What highdicom refuses in here is an `InvalidRequest`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of highdicom and pydicom, on the headers of others
            yield
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        if isinstance(error, InvalidRequest):
            raise
        said = type(error).__name__ if phi.masking() else " ".join(str(error).split())  # it may quote a header
        raise InvalidRequest(
            f"highdicom cannot make a {modality} object of this: {said}",
            advice="See that like= holds the images it was made from.",
        ) from None


def prepared(dataset: Dataset, frame: str = "") -> Dataset:
    """A copy that has what highdicom asks for, if only without a value."""
    made = copy.copy(dataset)
    made._dict = dict(dataset._dict)
    for keyword in _NEEDED:
        if keyword not in made:
            setattr(made, keyword, None)
    if frame and not made.get("FrameOfReferenceUID"):
        made.FrameOfReferenceUID = frame
    return made


def adopted(dataset: Dataset, order: Order, sop_class: str, modality: str) -> Dataset:
    """What highdicom made, with patient and study as they are in the source."""
    made = Dataset()
    made.update(dataset)
    made.file_meta = dataset.file_meta
    for part in began(order.source, sop_class, modality, dt.datetime.now()):
        if part.keyword not in ("SOPClassUID", "SeriesInstanceUID"):
            made.add(part)
    made.pop("SpecificCharacterSet", None)
    return made


def code_of(code: Any, what: str) -> tuple[str, str, str]:
    """Value, scheme and meaning of a code.

    Raises
    ------
    InvalidRequest
        It is none.
    """
    if isinstance(code, Mapping):
        code = [code.get(name) for name in ("value", "scheme", "meaning")]
    if not isinstance(code, Iterable) or isinstance(code, str):
        code = ()
    parts = [str(part) for part in code if part]
    if len(parts) != 3:
        raise InvalidRequest(
            f"{what} is no code", advice='Give value, scheme and meaning: ("10200004", "SCT", "Liver").'
        )
    return parts[0], parts[1], parts[2]
