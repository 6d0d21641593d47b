"""The attributes that an object cannot do without: those of type 1 and 2 of the mandatory modules of its IOD.

Conditional ones (1C, 2C) that always hold of what is written here are listed too. A test compares the table with the
IOD tables that highdicom carries.
"""

from __future__ import annotations

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from ..datasets.uids import class_name
from ..errors import InvalidRequest

_PATIENT = ((), ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"))
_STUDY = (
    ("StudyInstanceUID",), ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID")
)  # fmt: skip
_SERIES = (("Modality", "SeriesInstanceUID"), ("SeriesNumber",))
_EQUIPMENT = ((), ("Manufacturer",))
_FRAME = (("FrameOfReferenceUID",), ("PositionReferenceIndicator",))
_IMAGE = ((), ("InstanceNumber",))
_PLANE = (("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"), ("SliceThickness",))
_PIXEL = (
    (
        "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
        "PixelRepresentation", "PixelData",
    ),
    (),
)  # fmt: skip
_COMMON = (("SOPClassUID", "SOPInstanceUID"), ())
_CT = (("ImageType", "RescaleIntercept", "RescaleSlope"), ("KVP", "AcquisitionNumber"))
_MR = (
    ("ImageType", "ScanningSequence", "SequenceVariant"),
    ("ScanOptions", "MRAcquisitionType", "EchoTime", "EchoTrainLength"),
)
_PET = (
    (
        "SeriesDate", "SeriesTime", "NumberOfSlices", "SeriesType", "Units", "CountsSource", "DecayCorrection",
        "ImageType", "RescaleIntercept", "RescaleSlope", "FrameReferenceTime", "ImageIndex",
    ),
    (
        "CollimatorType", "CorrectedImage", "RadiopharmaceuticalInformationSequence", "PatientOrientationCodeSequence",
        "PatientGantryRelationshipCodeSequence", "AcquisitionDate", "AcquisitionTime", "ActualFrameDuration",
    ),
)  # fmt: skip
_DOCUMENT = (
    ("SeriesNumber", "ConversionType", "InstanceNumber", "BurnedInAnnotation", "EncapsulatedDocument",
     "MIMETypeOfEncapsulatedDocument"),
    ("ContentDate", "ContentTime", "AcquisitionDateTime", "ConceptNameCodeSequence", "DocumentTitle"),
)  # fmt: skip
_DOSE = (
    ("DoseUnits", "DoseType", "DoseSummationType", "NumberOfFrames", "FrameIncrementPointer", "GridFrameOffsetVector",
     "DoseGridScaling"),
    ("OperatorsName",),
)  # fmt: skip
_REPORT = (
    ("SeriesNumber", "InstanceNumber", "CompletionFlag", "VerificationFlag", "ContentDate", "ContentTime", "ValueType",
     "ConceptNameCodeSequence"),
    ("PerformedProcedureCodeSequence", "ReferencedPerformedProcedureStepSequence"),
)  # fmt: skip

_PLANAR = (_PATIENT, _STUDY, _SERIES, _FRAME, _EQUIPMENT, _IMAGE, _PLANE, _PIXEL, _COMMON)
_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: SOP class: modules, each with its attributes of type 1 and of type 2.
REQUIRED = {
    _STORAGE + "2": (*_PLANAR, _CT),
    _STORAGE + "4": (*_PLANAR, _MR),
    _STORAGE + "128": (*_PLANAR, _PET),
    _STORAGE + "7": (_PATIENT, _STUDY, _SERIES, _IMAGE, _PIXEL, _COMMON, (("ConversionType",), ())),
    _STORAGE + "481.2": (*_PLANAR, _DOSE),
    _STORAGE + "88.33": (_PATIENT, _STUDY, _SERIES, _EQUIPMENT, _COMMON, _REPORT),
    _STORAGE + "104.1": (_PATIENT, _STUDY, _SERIES, _EQUIPMENT, _COMMON, _DOCUMENT),
}


def complete(dataset: Dataset) -> None:
    """Add the attributes of type 2 that are absent, without a value, and ask for those of type 1 (R13.4).

    Raises
    ------
    InvalidRequest
        One of type 1 has no value; the message names all of them.
    """
    missing = []
    for values, known in REQUIRED.get(str(dataset.SOPClassUID), ()):
        missing += [keyword for keyword in values if _empty(dataset, keyword)]
        for keyword in known:
            if keyword not in dataset:
                setattr(dataset, keyword, [] if dictionary_VR(str_tag(keyword)) == "SQ" else None)
    if missing:
        one = missing[0]
        raise InvalidRequest(
            f"{class_name(str(dataset.SOPClassUID))} needs {', '.join(missing)}, which like= does not have",
            advice=f"Give {'it' if len(missing) == 1 else 'them'} by keyword: write(..., {one}=...).",
        )


def str_tag(keyword: str) -> int:
    """The tag of a keyword that is known."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return int(tag)


def _empty(dataset: Dataset, keyword: str) -> bool:
    if keyword not in dataset:
        return True
    value = dataset[keyword].value
    return value is None or (hasattr(value, "__len__") and len(value) == 0)
