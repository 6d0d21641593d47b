"""What all written objects have in common: whose they are, who made them when, in which characters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from ..errors import InvalidRequest, did_you_mean
from ..outgoing.fileset import meta_of
from .source import PATIENT, STUDY, Source, text

MAKER = "dicomlab"
_LONG = 64  # characters of LO
#: Of whom and of what it is comes from `like` alone, where it lies from the coordinates, how it is stored from values.
FIXED = frozenset(
    (
        *PATIENT, *STUDY, "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PixelData",
        "PlanarConfiguration", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept",
        "SourceImageSequence", "ReferencedSeriesSequence", "SpecificCharacterSet", "EncapsulatedDocument",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "SpacingBetweenSlices",
        "GridFrameOffsetVector", "FrameIncrementPointer", "ReferencedRTPlanSequence",
    )
)  # fmt: skip
#: Those of STUDY and PATIENT that say something of the object too and may be given.
_OPEN = frozenset(("TimezoneOffsetFromUTC",))


def new_uid() -> str:
    """A UID that nobody else has, from a random number (PS3.5 B.2); nothing of a patient is in it."""
    return str(generate_uid(prefix=None))


def checked(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of the caller.

    Raises
    ------
    InvalidRequest
        One is no keyword of PS3.6, or not the caller's to say.
    """
    for keyword in attributes:
        keyword_known(keyword)
        if keyword in FIXED - _OPEN:
            whose = "like=" if keyword in (*PATIENT, *STUDY) else "the array and like="
            raise InvalidRequest(
                f"{keyword} cannot be given: it comes from {whose} alone",
                advice="Leave it out; to change what files say of a patient use dl.modify.",
            )
    return dict(attributes)


def keyword_known(keyword: str) -> None:
    """Refuse what is no keyword of a data set.

    Raises
    ------
    InvalidRequest
        It is none; the message has the nearest.
    """
    tag = tag_for_keyword(keyword)
    if tag is None or tag < 0x00080000:
        from pydicom.datadict import keyword_dict

        near = did_you_mean(keyword, list(keyword_dict))
        raise InvalidRequest(
            f"DICOM has no attribute {keyword!r}{near}", advice="Attributes are named by keyword, as SeriesDescription."
        )


def element(keyword: str, value: Any) -> DataElement:
    """An element of a value as a caller writes it.

    Raises
    ------
    InvalidRequest
        Its VR cannot hold the value.
    """
    tag = int(tag_for_keyword(keyword) or 0)
    vr = dictionary_VR(tag)
    if isinstance(value, tuple):
        value = list(value)
    if vr == "DS" and isinstance(value, float):
        value = decimal(value)
    elif vr == "DS" and isinstance(value, list):
        value = [decimal(one) if isinstance(one, float) else one for one in value]
    try:
        made = DataElement(tag, vr, value, validation_mode=config.RAISE)
        if made.VM > 1 and dictionary_VM(tag) == "1" and vr != "SQ":
            raise ValueError(f"{keyword} has one value, and {made.VM} were given")
        return made
    except Exception as error:  # ValueError, TypeError, OverflowError, InvalidOperation
        said = f"{keyword} ({vr}) cannot be {value!r:.60}: {error}"
        raise InvalidRequest(said, advice="Give another value.") from None


def decimal(value: float) -> str:
    """A number as a decimal string of at most 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def began(source: Source, sop_class: str, modality: str, now: dt.datetime) -> Dataset:
    """Patient, study, a new series and the equipment of an object that is derived from a source."""
    dataset = Dataset()
    for part in source.copied((*PATIENT, *STUDY)):
        dataset.add(part)
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    dataset.SeriesInstanceUID = new_uid()
    number = source.first.get("SeriesNumber")
    dataset.SeriesNumber = min(int(number), 2**31 - 1001) + 1000 if number not in (None, "") else 1000
    described = text(source.first, "SeriesDescription")
    dataset.add(loose("SeriesDescription", f"{described[: _LONG - 10]} (derived)" if described else "derived"))
    dataset.SeriesDate, dataset.SeriesTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.Manufacturer = dataset.ManufacturerModelName = MAKER
    dataset.SoftwareVersions = version()
    return dataset


def version() -> str:
    """The version of this package."""
    from importlib import metadata

    try:
        return metadata.version("dicomlab")
    except metadata.PackageNotFoundError:
        return "unknown"


def loose(keyword: str, value: Any) -> DataElement:
    """An element whose value is taken as it is, such as one of a source."""
    tag = int(tag_for_keyword(keyword) or 0)
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE)


def reference(dataset: Dataset) -> Dataset:
    """The item that refers to an instance."""
    item = Dataset()
    item.add(loose("ReferencedSOPClassUID", text(dataset, "SOPClassUID")))
    item.add(loose("ReferencedSOPInstanceUID", text(dataset, "SOPInstanceUID")))
    return item


def source_images(datasets: Iterable[Dataset], frames: Mapping[str, list[int]] | None = None) -> list[Dataset]:
    """Items of SourceImageSequence; of multi-frame images with the frames, where it is not all of them."""
    made = []
    for one in datasets:
        item = reference(one)
        numbers = (frames or {}).get(text(one, "SOPInstanceUID"), [])
        if numbers and len(numbers) < int(one.get("NumberOfFrames") or 1):
            item.ReferencedFrameNumber = numbers
        purpose = Dataset()
        purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
        purpose.CodeMeaning = "Source image for image processing operation"
        item.PurposeOfReferenceCodeSequence = [purpose]
        made.append(item)
    return made


def finish(dataset: Dataset, attributes: Mapping[str, Any]) -> None:
    """The attributes of the caller, the character set, and the file meta information."""
    for keyword, value in attributes.items():
        dataset.add(element(keyword, value))
    if any(not one.isascii() for one in _texts(dataset)):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.file_meta = meta_of(dataset)


def _texts(dataset: Dataset) -> Iterator[str]:
    for part in dataset:
        if part.VR == "SQ":
            for item in part.value or ():
                yield from _texts(item)
        elif part.VR in ("PN", "LO", "SH", "LT", "ST", "UT", "UC") and part.value is not None:
            yield str(part.value)
