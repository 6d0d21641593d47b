"""Images of one frame a file: CT, MR and PET images (PS3.3 A.3, A.4, A.21)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from ..errors import InvalidRequest, did_you_mean
from .alongside import PLACE, frame_of, staying
from .laid import Planes, must_be_array, planes_of
from .modules import began, decimal, element, finish, new_uid, source_images
from .planevalues import Values
from .required import complete
from .source import Source, plain, text
from .writer import Made, Order

_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: Of each acquisition, taken from the source of each plane.
_ACQUIRED = ("AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime")
_SERIES = ("BodyPartExamined", "PatientPosition", "ProtocolName", "Laterality", "PositionReferenceIndicator")
_CT = (
    "KVP", "ScanOptions", "DataCollectionDiameter", "ReconstructionDiameter", "GantryDetectorTilt", "ExposureTime",
    "XRayTubeCurrent", "Exposure", "FilterType", "ConvolutionKernel", "ContrastBolusAgent",
)  # fmt: skip
_MR = (
    "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "SequenceName", "RepetitionTime",
    "EchoTime", "InversionTime", "EchoTrainLength", "EchoNumbers", "MagneticFieldStrength", "ImagingFrequency",
    "FlipAngle", "TriggerTime", "TemporalPositionIdentifier", "NumberOfTemporalPositions", "DiffusionBValue",
    "DiffusionGradientOrientation", "ContrastBolusAgent",
)  # fmt: skip
_PET = (
    "SeriesDate", "SeriesTime", "CollimatorType", "CorrectedImage", "SeriesType", "CountsSource", "DecayCorrection",
    "RandomsCorrectionMethod", "AttenuationCorrectionMethod", "ScatterCorrectionMethod", "ReconstructionMethod",
    "RadiopharmaceuticalInformationSequence", "PatientOrientationCodeSequence",
    "PatientGantryRelationshipCodeSequence", "ActualFrameDuration", "FrameReferenceTime", "TriggerTime", "FrameTime",
    "DecayFactor", "NumberOfTimeSlices", "NumberOfRRIntervals", "NumberOfTimeSlots",
)  # fmt: skip
#: What says of an axis in front which of its places a plane has, where its source does not.
_TELLS = {
    "time": "TemporalPositionIdentifier", "echo": "EchoTime", "b_value": "DiffusionBValue",
    "inversion_time": "InversionTime", "flip_angle": "FlipAngle", "acquisition": "AcquisitionNumber",
}  # fmt: skip
#: Terms of Units (0054,1001) of PET.
_UNITS = (
    "BQML", "GML", "NONE", "CNTS", "PCNT", "CPS", "CM2", "CM2ML", "MGMINML", "UMOLMINML", "MLMING", "MLG",
    "1CM", "UMOLML", "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "STDDEV",
)  # fmt: skip
#: Words that are heard for terms.
_MEANT = {"hu": "HU", "hounsfield": "HU", "hounsfield unit": "HU", "hounsfield units": "HU", "[hnsf'u]": "HU"}


def _units_of(array: xr.DataArray) -> str:
    """What to do about units that are not known."""
    values = np.asarray(array.values)
    if bool(((values == 0) | (values == 1)).all()):
        return "If it is a mask, write it as one: volume.astype(bool). Else give units=, such as \"NONE\"."
    said = str(array.attrs.get("units", ""))
    if said in _UNITS:
        return f'If they are still what the array says, give units="{said}".'
    return 'Give units=, a term of Units (0054,1001): "BQML", "GML", "NONE", ...'


@dataclass(frozen=True)
class Images:
    """Writes one kind of single-frame image."""

    kind: str
    end: str  # of the SOP class UID
    modality: str
    keywords: tuple[str, ...]
    classes: frozenset[str]  # ends of the SOP classes it is for
    choices: frozenset[str] = frozenset()

    def writes(self, what: Any, source: Source) -> bool:
        """An array that is derived from images of that kind."""
        if not isinstance(what, xr.DataArray) or what.dtype == np.bool_ or "segment" in what.dims:
            return False
        given = text(source.first, "SOPClassUID").removeprefix(_STORAGE)
        return given in self.classes and "channel" not in what.dims

    def make(self, order: Order) -> Made:
        """An image for each plane, numbered in the order of their places (R13.3)."""
        volume, source = order.what, order.source
        must_be_array(volume, self.kind)
        if volume.dtype == np.bool_:
            volume = volume.astype(np.uint8)
        planes = planes_of(volume)
        if planes.colour:
            raise InvalidRequest(
                f"colour cannot be written as {self.kind}", advice='Write it as kind="SECONDARY CAPTURE".'
            )
        meant = _MEANT.get(str(order.units).lower())
        if meant and meant != order.units:
            raise InvalidRequest(f"{order.units!r} is no unit of {self.kind}", advice=f"Give units={meant!r}.")
        frame = frame_of(planes, source)
        now = dt.datetime.now()
        common = began(source, _STORAGE + self.end, self.modality, now)
        for part in source.copied(_SERIES):
            common.add(part)
        common.FrameOfReferenceUID = frame
        common.PositionReferenceIndicator = text(source.first, "PositionReferenceIndicator")
        self._series(common, order, planes)
        return _instances(self, order, planes, common, Values(planes, order, through_zero=self.kind == "PET"))

    def _series(self, common: Dataset, order: Order, planes: Planes) -> None:
        """What is the same in all images of the kind."""
        third = _third(order.source, self.kind)
        common.ImageType = ["DERIVED", "SECONDARY", third]
        for part in order.source.copied(self.keywords):
            common.add(part)
        if self.kind == "PET":
            common.ImageType = ["DERIVED", "PRIMARY"]  # SECONDARY is no value there (PS3.3 C.8.9.4)
            common.pop("PatientPosition", None)  # PatientOrientationCodeSequence says it
            units = order.units or str(order.attributes.get("Units", ""))
            if not units:
                raise InvalidRequest(
                    "a PET image says in which units its values are, and these are not known",
                    advice=_units_of(order.what),
                )
            if units not in _UNITS:
                raise InvalidRequest(
                    f"{units!r} is no term of Units (0054,1001){did_you_mean(units, _UNITS)}",
                    advice=f"Terms are {', '.join(_UNITS)}.",
                )
            common.add(element("Units", units))
            common.NumberOfSlices = len(planes.positions)
            if "SeriesType" in common and list(common.SeriesType)[:1] != ["WHOLE BODY"] and not planes.front:
                common.SeriesType = ["STATIC", list(common.SeriesType)[-1]]

    def plane(self, dataset: Dataset, source: Dataset | None, number: int) -> None:
        """What is of the one image."""
        if source is not None:
            for keyword in (*_ACQUIRED, *self.keywords):
                if keyword in source and keyword not in _PET[:7]:
                    dataset.add(plain(source[keyword]))
        if self.kind == "PET":
            dataset.ImageIndex = number


CT = Images("CT", "2", "CT", _CT, frozenset(("2", "2.1", "2.2")))
MR = Images("MR", "4", "MR", _MR, frozenset(("4", "4.1", "4.4")))
PET = Images("PET", "128", "PT", _PET, frozenset(("128", "130", "128.1")))


def _third(source: Source, kind: str) -> str:
    """Value 3 of ImageType, which CT and MR images must have."""
    values = source.first.get("ImageType") or []
    third = str(values[2]) if not isinstance(values, str) and len(values) > 2 else ""
    if kind == "CT":
        return third if third in ("AXIAL", "LOCALIZER") else "AXIAL"
    return "OTHER" if third in ("", "VOLUME", "SAMPLED", "DISTORTED", "MIXED") else third  # those of enhanced images


def _instances(kind: Images, order: Order, planes: Planes, common: Dataset, values: Values) -> Made:
    source, count = order.source, len(planes.positions)
    uids = _uids(planes)
    made, remarks = [], []
    stays = staying(planes, source)
    shape = [planes.array.sizes[name] for name in planes.front]
    whole: Items | None = None
    for index in range(len(values.planes)):
        plane, place = index % count, index // count
        dataset = Dataset()
        dataset.update(common)
        found = source.named([uids[index]]) if uids else []
        found = found or source.at(planes.positions[plane], planes.orientation)
        kind.plane(dataset, found[0] if len(found) == 1 else None, index + 1)
        _tell(dataset, planes, np.unravel_index(place, shape) if shape else (), told=len(found) == 1)
        dataset.SOPInstanceUID, dataset.InstanceNumber = new_uid(), index + 1
        if stays[plane] is None:
            dataset.ImagePositionPatient = [decimal(value) for value in planes.positions[plane]]
            dataset.ImageOrientationPatient = [decimal(value) for value in planes.orientation]
            dataset.PixelSpacing = [decimal(value) for value in planes.spacing]
        else:
            for keyword in PLACE:
                dataset.add(plain(stays[plane][keyword]))
        _thickness(dataset, kind, planes, found)
        values.into(dataset, index, rescale=kind.kind in ("CT", "PET"), units=order.units)
        if kind.kind == "PET" and "RescaleType" in dataset:
            del dataset.RescaleType  # no attribute of PET images: Units says it
        frames = source.frames_at(planes.positions[plane], planes.orientation)
        if len(found) == len(source.datasets) and not frames:
            whole = whole or Items(source_images(found))
            dataset.SourceImageSequence = whole
        else:
            dataset.SourceImageSequence = source_images(found, frames)
        made.append(dataset)
    said = "Derived with dicomlab"
    if values.step:
        said += f"; values are stored in steps of {values.step:.3g}, none is farther than {values.error:.3g} off"
    for dataset in made:
        dataset.DerivationDescription = said
        finish(dataset, order.attributes)
        complete(dataset)
    if values.rules[0].exact and (values.planes.min(), values.planes.max()) == (0, 1):
        remarks.append('all values are 0 and 1: a segmentation is made of array > 0, or with kind="SEG"')
    elif order.units is None and kind.kind == "CT":
        remarks.append('the units of the values are not known and are written as unspecified (give units="HU")')
    return Made(made, values.step, values.error, remarks)


def _uids(planes: Planes) -> list[str]:
    """SOPInstanceUID of each plane, where the array still says it of each; []."""
    array = planes.array
    coordinate = array.coords.get("SOPInstanceUID")
    dims = (*planes.front, planes.plane)
    if coordinate is None or not coordinate.dims or not set(coordinate.dims) <= set(dims):
        return []
    full = coordinate.broadcast_like(array.isel({name: 0 for name in array.dims if name not in dims}, drop=True))
    return [str(uid) for uid in np.ravel(full.transpose(*dims).values)]


def _tell(dataset: Dataset, planes: Planes, place: Any, *, told: bool) -> None:
    """Which of the places along the axes in front an image has."""
    for name, at in zip(planes.front, place, strict=True):
        keyword = _TELLS.get(name)
        if keyword is None:
            raise InvalidRequest(
                f"images cannot say where along {name!r} they are",
                advice=f"Write one at a time: volume.isel({name}=0), or call the axis one of {', '.join(_TELLS)}.",
            )
        if told and name != "time":
            continue
        value = planes.array.coords[name].values[at] if name in planes.array.coords else at + 1
        if name == "time":
            dataset.TemporalPositionIdentifier = int(at) + 1
            dataset.NumberOfTemporalPositions = planes.array.sizes[name]
        else:
            dataset.add(element(keyword, int(value) if keyword == "AcquisitionNumber" else float(value)))


def _thickness(dataset: Dataset, kind: Images, planes: Planes, found: list[Dataset]) -> None:
    """SliceThickness of the one source, else the distance of the planes; and that distance where the IOD has it."""
    thick = found[0].get("SliceThickness") if len(found) == 1 else planes.step
    if len(planes.positions) == 1 and kind.kind == "PET":
        thick = planes.step
    dataset.SliceThickness = None if thick in (None, "") else decimal(float(thick))
    if planes.step is not None and kind.kind in ("CT", "MR"):
        dataset.SpacingBetweenSlices = decimal(planes.step)
