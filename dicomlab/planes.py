"""One single-frame image as its header describes it: where it lies and how its pixels are stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np

from .elements import Elements, parse_file, tag_of
from .errors import BadData, BadFile, InvalidRequest
from .geometry import Floats, normal
from .pixels import NATIVE, Format, Rescale, name_of

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
#: Attributes that separate several images at one position, with the name of the axis they make (R12.11).
KEYS = (
    ("TemporalPositionIdentifier", "time"),
    ("TemporalPositionIndex", "time"),
    ("TriggerTime", "time"),
    ("FrameReferenceTime", "time"),
    ("EchoTime", "echo"),
    ("DiffusionBValue", "b_value"),
    ("AcquisitionNumber", "acquisition"),
)
_OTHER = (
    "SpecificCharacterSet", "SOPInstanceUID", "InstanceNumber", "FrameOfReferenceUID", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "NumberOfFrames",
    "Rows", "Columns", "SamplesPerPixel", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept",
    "RescaleType", "ModalityLUTSequence", "SharedFunctionalGroupsSequence", "DiffusionGradientOrientation",
)  # fmt: skip
WANTED = frozenset(tag_of(keyword) for keyword in (*SERIES, *(key for key, _ in KEYS), *_OTHER))
_IMAGE_TYPE = tag_of("ImageType")
_UIH_FRAMES = 0x00651051  # sequence of the planes tiled into one image, with creator "Image Private Header"


@dataclass(frozen=True, eq=False)
class Plane:
    """A single-frame image without its pixels."""

    path: str
    transfer_syntax: str
    sop_class: str
    sop_instance: str
    number: int | None  # InstanceNumber
    series: tuple[str, str, str]  # PatientID, StudyInstanceUID, SeriesInstanceUID
    frame: str  # FrameOfReferenceUID
    form: Format
    position: tuple[float, ...] | None  # (3,) mm, LPS
    orientation: tuple[float, ...] | None  # (6,)
    spacing: tuple[float, ...] | None  # between rows, between columns, mm
    rescale: Rescale
    place: tuple[int, int]  # offset and length of the value of Pixel Data
    elements: Elements

    @property
    def native(self) -> bool:
        """Whether the stored values can be read straight from the file."""
        return self.transfer_syntax in NATIVE and not self.form.planar

    @property
    def height(self) -> float:
        """Distance of the plane along its own normal, mm."""
        return float(np.dot(normal(self.orientation), self.position))  # type: ignore[arg-type]

    @property
    def point(self) -> Floats:
        """ImagePositionPatient as an array."""
        return np.asarray(self.position, np.float64)

    @property
    def lies(self) -> bool:
        """Whether it says where in the patient it lies."""
        return None not in (self.position, self.orientation, self.spacing)

    def value(self, keyword: str) -> Any:
        """Value of an attribute; None if it is absent, empty or unreadable."""
        try:
            return self.elements.get(keyword)
        except BadData:
            return None


def describe(path: str) -> Plane:
    """The plane of one file.

    Raises
    ------
    BadFile
        It cannot be read, or its pixel data is shorter than its header says.
    InvalidRequest
        It is no single-frame image; the message names its SOP class.
    """
    meta, elements = parse_file(path, wanted=WANTED | {_UIH_FRAMES})
    try:
        return _plane(path, meta.transfer_syntax, meta.sop_class, elements)
    except BadFile:
        raise
    except BadData as error:
        raise BadFile(path, error.why, tag=error.tag) from error


def _plane(path: str, transfer_syntax: str, meta_class: str, elements: Elements) -> Plane:
    get, text = elements.get, elements.text
    sop_class = text("SOPClassUID") or meta_class
    refuse(path, sop_class, elements)
    assert elements.pixels is not None
    form = _format(elements)
    wrong = form.check()
    if wrong:
        raise BadFile(path, wrong)
    _, offset, length = elements.pixels
    if transfer_syntax in NATIVE and length < form.size:
        raise BadFile(path, f"pixel data of {length} bytes, the header says {form.size}", tag="7FE00010")
    number = get("InstanceNumber")
    slope, intercept = (_numbers(elements, name, 1) for name in ("RescaleSlope", "RescaleIntercept"))
    return Plane(
        path=path,
        transfer_syntax=transfer_syntax,
        sop_class=sop_class,
        sop_instance=text("SOPInstanceUID"),
        number=number if isinstance(number, int) else None,
        series=(text("PatientID"), text("StudyInstanceUID"), text("SeriesInstanceUID")),
        frame=text("FrameOfReferenceUID"),
        form=form,
        position=_numbers(elements, "ImagePositionPatient", 3),
        orientation=_numbers(elements, "ImageOrientationPatient", 6),
        spacing=_numbers(elements, "PixelSpacing", 2),
        rescale=Rescale(slope[0] if slope else 1.0, intercept[0] if intercept else 0.0),
        place=(offset, length),
        elements=elements,
    )


def refuse(path: str, sop_class: str, elements: Elements) -> None:
    """Say why a data set is no single-frame image.

    Raises
    ------
    InvalidRequest
        It is something else; the message names the SOP class.
    """
    name = name_of(sop_class) if sop_class else "no SOP class"
    if sop_class not in PLANES | IMAGES:
        raise InvalidRequest(f"{path}: {name} is not a series of single-frame images; it is not loaded")
    if elements.pixels is None:
        raise InvalidRequest(f"{path}: {name} without pixel data")
    frames = _whole(elements, "NumberOfFrames", 1)
    if frames > 1 or "SharedFunctionalGroupsSequence" in elements:
        raise InvalidRequest(f"{path}: {name} of {frames} frames; multi-frame images are not loaded")
    kind = elements.raw.get(_IMAGE_TYPE, ("", b""))[1]
    if b"MOSAIC" in kind.replace(b" ", b"").split(b"\\") or _UIH_FRAMES in elements.raw:
        raise InvalidRequest(f"{path}: {name}, many planes tiled into one image (mosaic); it is not loaded")


def _whole(elements: Elements, keyword: str, default: int = 0) -> int:
    value = elements.get(keyword, default)
    return int(value) if isinstance(value, int) else default


def _numbers(elements: Elements, keyword: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers of a decimal string, or None."""
    found = elements.raw.get(tag_of(keyword))
    return _decimals(found[1], count) if found else None


@lru_cache(maxsize=1024)  # most planes of a series say the same
def _decimals(value: bytes, count: int) -> tuple[float, ...] | None:
    try:
        many = tuple(map(float, value.decode("ascii").rstrip(" \0").split("\\")))
    except ValueError:
        return None
    return many if len(many) == count and all(map(isfinite, many)) else None


def _format(elements: Elements) -> Format:
    key = tuple(elements.raw.get(tag, _ABSENT)[1] for tag in _FORMAT)
    found = _formats.get(key)
    if found is None:
        if len(_formats) > 1000:
            _formats.clear()
        found = _formats[key] = _read_format(elements)
    return found


_FORMAT_KEYWORDS = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PhotometricInterpretation", "PlanarConfiguration",
)  # fmt: skip
_FORMAT = tuple(tag_of(keyword) for keyword in _FORMAT_KEYWORDS)
_ABSENT = ("", b"")
_formats: dict[tuple[bytes, ...], Format] = {}


def _read_format(elements: Elements) -> Format:
    allocated = _whole(elements, "BitsAllocated")
    stored = _whole(elements, "BitsStored", allocated)
    return Format(
        rows=_whole(elements, "Rows"),
        columns=_whole(elements, "Columns"),
        samples=_whole(elements, "SamplesPerPixel", 1),
        allocated=allocated,
        stored=stored,
        high=_whole(elements, "HighBit", stored - 1),
        signed=_whole(elements, "PixelRepresentation", 0) == 1,
        photometric=elements.text("PhotometricInterpretation"),
        planar=_whole(elements, "PlanarConfiguration", 0) == 1,
    )
