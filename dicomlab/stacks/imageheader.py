"""What is read of the header of an image: which SOP classes, which attributes, and how the pixels are stored."""

from __future__ import annotations

from ..datasets.elements import Elements, tag_of
from ..datasets.vendor import TAGS
from ..pixels.lookup import PALETTE
from ..pixels.pixels import Format

_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: Single-frame classes whose planes must lie in the patient (PS3.3 C.7.6.2 is mandatory in their IODs).
PLANES = frozenset(_STORAGE + end for end in ("2", "4", "128"))
#: Classes that may be images without a position: they load as (y, x).
IMAGES = frozenset(
    _STORAGE + end
    for end in (
        "1",
        "1.1",
        "1.1.1",
        "1.2",
        "1.2.1",
        "1.3",
        "1.3.1",
        "6",
        "6.1",
        "7",
        "12.1",
        "12.2",
        "20",
        "481.1",
        *("77.1.1", "77.1.2", "77.1.4", "77.1.7"),  # endoscopy, microscopy, photography
    )
)

#: Series attributes: kept in ``attrs`` where all images agree. No geometry among them.
SERIES = (
    "Modality", "Manufacturer", "ManufacturerModelName", "PatientName", "PatientID", "PatientBirthDate",
    "PatientSex", "PatientAge", "PatientSize", "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime",
    "StudyDescription", "AccessionNumber", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "SeriesDate", "SeriesTime", "BodyPartExamined", "ProtocolName", "SOPClassUID", "ImageType",
    "AcquisitionDate", "AcquisitionTime", "PhotometricInterpretation", "WindowCenter", "WindowWidth", "KVP",
    "ConvolutionKernel",
    "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "MagneticFieldStrength", "ScanningSequence",
    "SequenceVariant", "Units", "DecayCorrection", "CorrectedImage", "PatientPosition",
)  # fmt: skip
#: Attributes that separate several images at one position (R12.11, and two more before the acquisition): keyword, the
#: axis they make, units of its values.
KEYS = (
    ("TemporalPositionIdentifier", "time", ""),
    ("TemporalPositionIndex", "time", ""),
    ("TriggerTime", "time", "ms"),
    ("FrameReferenceTime", "time", "ms"),
    ("EchoTime", "echo", "ms"),
    ("DiffusionBValue", "b_value", "s/mm2"),
    ("InversionTime", "inversion_time", "ms"),
    ("FlipAngle", "flip_angle", "deg"),
    ("AcquisitionNumber", "acquisition", ""),
)
FORMAT = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PhotometricInterpretation", "PlanarConfiguration",
)  # fmt: skip
_OTHER = (
    "SpecificCharacterSet", "SOPInstanceUID", "InstanceNumber", "FrameOfReferenceUID", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
    "DiffusionGradientOrientation", "AcquisitionDateTime", "NumberOfTemporalPositions", "ImageComments",
    "InPlanePhaseEncodingDirection", "RealWorldValueMappingSequence",
)  # fmt: skip
WANTED = TAGS.union(tag_of(keyword) for keyword in (*SERIES, *(key for key, *_ in KEYS), *FORMAT, *_OTHER, *PALETTE))


def format_of(elements: Elements) -> Format:
    """How the pixels of an image are stored, by its header.

    Raises
    ------
    BadData
        A value is no number.
    """
    allocated = _whole(elements, "BitsAllocated")
    floating = elements.pixels is not None and elements.pixels[0] in ("OF", "OD")
    stored = allocated if floating else _whole(elements, "BitsStored", allocated)
    samples = _whole(elements, "SamplesPerPixel", 1)
    return Format(
        rows=_whole(elements, "Rows"),
        columns=_whole(elements, "Columns"),
        samples=samples,
        allocated=allocated,
        stored=stored,
        high=stored - 1 if floating else _whole(elements, "HighBit", stored - 1),
        signed=_whole(elements, "PixelRepresentation", 0) == 1,
        photometric=elements.text("PhotometricInterpretation"),
        planar=samples > 1 and _whole(elements, "PlanarConfiguration", 0) == 1,
        floating=floating,
    )


def _whole(elements: Elements, keyword: str, default: int = 0) -> int:
    value = elements.get(keyword, default)
    return int(value) if isinstance(value, int) else default
