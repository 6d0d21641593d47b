"""RT doses: values on a grid of planes along their normal (PS3.3 A.18.3, C.8.8.3)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import xarray as xr
from pydicom.dataset import Dataset

from ..errors import InvalidRequest
from ..geometry.geometry import REGULAR, Floats
from ..outgoing.outgoing import outgoing
from ..pixels.pixels import Array
from ..pixels.transcoding import read_file
from .alongside import frame_of
from .laid import Planes, must_be_array, planes_of
from .modules import began, decimal, finish, new_uid, reference, source_images
from .required import complete
from .source import Source, text
from .stored import rounded_up
from .writer import Made, Order

_RT = "1.2.840.10008.5.1.4.1.1.481."
_CLASS, _PLANS = _RT + "2", (_RT + "5", _RT + "8")  # RT Plan and RT Ion Plan
_UNITS = {"gy": "GY", "relative": "RELATIVE"}
_TYPES = ("PHYSICAL", "EFFECTIVE", "ERROR")
_WITHOUT_PLAN = ("RECORD", "PLAN_OVERVIEW")
_LARGEST = 2**32 - 1


class Doses:
    """A dose in Gy or relative to something, stored in 32 bits times DoseGridScaling.

    ``plan=`` names the RT Plan that it is of, where `like` is neither that nor a dose of it. DoseType ("PHYSICAL"),
    DoseSummationType ("PLAN"), DoseComment and DoseGridScaling are given by keyword.
    """

    kind = "DOSE"
    choices = frozenset(("plan",))

    def writes(self, what: Any, source: Source) -> bool:
        """Real numbers that are derived from a dose or a plan; others are asked for by ``kind``."""
        given = text(source.first, "SOPClassUID")
        return isinstance(what, xr.DataArray) and what.dtype != np.bool_ and given in (_CLASS, *_PLANS)

    def make(self, order: Order) -> Made:
        """One instance with a frame for each plane."""
        source, given = order.source, order.attributes
        must_be_array(order.what, self.kind)
        planes = planes_of(order.what)
        if planes.front or planes.colour:
            raise InvalidRequest(
                f"a dose has no dimension {(*planes.front, 'channel')[0]!r}", advice="Write one volume at a time."
            )
        offsets = _offsets(planes)
        plans = _plans(source, order.choices.get("plan"))
        dataset = began(source, _CLASS, "RTDOSE", dt.datetime.now())
        dataset.DoseUnits = _units(order)
        dataset.DoseType = _one_of(given, "DoseType", _TYPES, source)
        dataset.DoseSummationType = str(given.get("DoseSummationType") or text(source.first, "DoseSummationType"))
        dataset.DoseSummationType = dataset.DoseSummationType or "PLAN"
        remarks = []
        if plans:
            dataset.ReferencedRTPlanSequence = plans
        elif dataset.DoseSummationType not in _WITHOUT_PLAN:
            remarks.append(
                f"the dose names no RT Plan, which DoseSummationType {dataset.DoseSummationType} asks for (give plan=)"
            )
        values = np.ascontiguousarray(planes.array.values)
        scaling = _scaling(values, dataset.DoseType, given.get("DoseGridScaling"), source)
        error = _into(dataset, values, scaling, signed=dataset.DoseType == "ERROR")
        unknown = source.frames_of_reference == {""} and text(source.first, "SOPClassUID") in _PLANS
        dataset.FrameOfReferenceUID = planes.frame if unknown and planes.frame else frame_of(planes, source)
        dataset.PositionReferenceIndicator = text(source.first, "PositionReferenceIndicator")
        dataset.ImagePositionPatient = [decimal(value) for value in planes.positions[0]]
        dataset.ImageOrientationPatient = [decimal(value) for value in planes.orientation]
        dataset.PixelSpacing = [decimal(value) for value in planes.spacing]
        dataset.SliceThickness = None if planes.step is None else decimal(planes.step)
        dataset.NumberOfFrames, dataset.FrameIncrementPointer = len(offsets), 0x3004000C
        dataset.GridFrameOffsetVector = [decimal(value) for value in offsets]
        dataset.SOPInstanceUID, dataset.InstanceNumber = new_uid(), 1
        dataset.ImageType = ["DERIVED", "SECONDARY"]
        if source.images:
            dataset.SourceImageSequence = source_images(source.datasets)
        step = float(dataset.DoseGridScaling)
        dataset.DerivationDescription = f"Derived with dicomlab; values are stored in steps of {step:.3g}"
        finish(dataset, {name: value for name, value in given.items() if name != "DoseGridScaling"})
        complete(dataset)
        return Made([dataset], 0.0 if error == 0 else step, error, remarks)


def _units(order: Order) -> str:
    """DoseUnits."""
    units = order.units or str(order.attributes.get("DoseUnits", ""))
    found = _UNITS.get(units.lower())
    if found is None:
        said = f"a dose cannot be in {units!r}" if units else "the units of the dose are not known"
        advice = 'Give units="Gy", or "relative"' + ("; 1 Gy is 100 cGy." if units.lower() == "cgy" else ".")
        raise InvalidRequest(said, advice=advice)
    return found


def _one_of(given: dict[str, Any], keyword: str, known: tuple[str, ...], source: Source) -> str:
    value = str(given.get(keyword) or text(source.first, keyword) or known[0])
    if value not in known:
        raise InvalidRequest(f"{keyword} {value!r} is none", advice=f"It is one of {', '.join(known)}.")
    return value


def _offsets(planes: Planes) -> Floats:
    """GridFrameOffsetVector: distances from the first plane along the normal."""
    normal = np.cross(planes.orientation[:3], planes.orientation[3:])
    away = planes.positions - planes.positions[0]
    heights: Floats = away @ normal
    if np.abs(away - heights[:, None] * normal).max(initial=0) > REGULAR:
        raise InvalidRequest(
            "the planes of a dose lie one above the other, and those of the array are sheared",
            advice="Put it on a regular grid first: volume.dicom.regular().",
        )
    return heights


def _plans(source: Source, plan: Any) -> list[Dataset]:
    """References to the plans: the one that was named, the source itself, or those that the source names."""
    if plan is not None:
        found = [one.dataset if one.dataset is not None else read_file(one.path) for one in outgoing(plan)]
        for one in found:
            if text(one, "SOPClassUID") not in _PLANS:
                raise InvalidRequest("plan= is no RT Plan", advice="Give the instance of one: its path, or its row.")
            if text(one, "StudyInstanceUID") and text(one, "PatientID") != text(source.first, "PatientID"):
                raise InvalidRequest("plan= is of another patient than like=", advice="Give the plan of this one.")
        return [reference(one) for one in found]
    if text(source.first, "SOPClassUID") in _PLANS:
        return [reference(one) for one in source.datasets]
    made = []
    for item in source.first.get("ReferencedRTPlanSequence") or ():
        one = Dataset()
        one.ReferencedSOPClassUID = text(item, "ReferencedSOPClassUID")
        one.ReferencedSOPInstanceUID = text(item, "ReferencedSOPInstanceUID")
        made.append(one)
    return made


def _scaling(values: Array, kind: str, given: Any, source: Source) -> float:
    """DoseGridScaling: the one that was given, that of the source where it loses nothing, else the finest.

    Raises
    ------
    InvalidRequest
        The values cannot be stored with it.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InvalidRequest(
            "some values are NaN or infinite, which a dose cannot be", advice="Fill them first, as volume.fillna(0)."
        )
    low, high = float(values.min()), float(values.max())
    if low < 0 and kind != "ERROR":
        raise InvalidRequest(
            f"a dose is not below 0, and the least value is {low:g}",
            advice='Clip it: volume.clip(min=0); a difference of doses is DoseType="ERROR".',
        )
    most, largest = max(abs(low), abs(high)), 2**31 - 1 if kind == "ERROR" else _LARGEST
    if given is not None:
        try:
            scaling = float(decimal(float(given)))
        except (TypeError, ValueError):
            scaling = 0.0
        if not 0 < scaling < np.inf:
            raise InvalidRequest(f"DoseGridScaling {given!r} is none", advice="Give a number above 0, or leave it out.")
        if most / scaling > largest:
            raise InvalidRequest(
                f"with DoseGridScaling {scaling:g} the value {most:g} is beyond what 32 bits hold",
                advice=f"Give one of at least {rounded_up(most / largest):g}, or leave it out.",
            )
        return scaling
    known = source.first.get("DoseGridScaling")
    for scaling in (1.0, *([float(known)] if known else [])):
        if most / scaling <= largest and _same(values, scaling):
            return scaling
    return rounded_up(most / largest)


def _same(values: Array, scaling: float) -> bool:
    """Whether all are multiples, as real numbers of 32 bits."""
    levels = np.rint(values.astype(np.float64) / scaling)
    return bool(((levels * scaling).astype(np.float32) == values).all())


def _into(dataset: Dataset, values: Array, scaling: float, *, signed: bool) -> float:
    """The pixels; gives how far off the value is that is farthest from what was given, as `load` reads them."""
    dataset.DoseGridScaling = decimal(scaling)
    levels = np.rint(values.astype(np.float64) / scaling)
    exact = _same(values, scaling)
    error = 0.0 if exact else float(np.abs(levels * scaling - values).max(initial=0.0))
    stored = levels.astype("<i4" if signed else "<u4")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[1:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 32, 31
    dataset.PixelRepresentation = int(signed)
    dataset.add_new(0x7FE00010, "OW", stored.tobytes())
    return error
