"""PET in SUV: activity concentration over the injected dose per body weight, or the reason why there is none.

What is needed is read again from the headers of the instances the array names, for attributes of an array outlive
what was done to its values. The recipe is the one of QIBA's vendor-neutral pseudo-code.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .. import phi
from ..datasets import headers
from ..datasets.elements import Elements, tag_of
from ..datasets.uids import class_name
from ..errors import InvalidRequest, ResultWarning, did_you_mean
from . import suvenhanced
from .suvdecay import of_dose, one_tracer, scan_start
from .suvenhanced import ENHANCED_PET
from .suvfacts import KINDS, KNOWN, NOTHING, Factor, Kind, already, needed, number, of_bw, refused

PET = "1.2.840.10008.5.1.4.1.1.128"
_PHILIPS, _FACTOR, _TO_BQML = 0x70530010, 0x70531000, 0x70531009
_TRACER = "RadiopharmaceuticalInformationSequence"
#: Must be the same in all instances: one factor holds for all of them.
_SHARED = (
    "SeriesInstanceUID", "SeriesDate", "SeriesTime", "PatientID", "PatientWeight", "PatientSize", "PatientSex", "Units",
    "SUVType", "CorrectedImage", "DecayCorrection", _TRACER, "TimezoneOffsetFromUTC",
)  # fmt: skip
_EACH = ("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "AcquisitionDate", "AcquisitionTime", "Manufacturer",
         "NumberOfSlices", "ImagePositionPatient")  # fmt: skip
_PRIVATE = {_PHILIPS, _FACTOR, _TO_BQML, 0x00090010, 0x0009100D}
WANTED = frozenset([*map(tag_of, (*_SHARED, *_EACH)), *_PRIVATE])


def suv(array: xr.DataArray, kind: str = "bw", known: Mapping[str, Any] = NOTHING) -> xr.DataArray:
    """See ``.dicom.suv``."""
    if kind not in KINDS:
        near = did_you_mean(kind, list(KINDS)) if isinstance(kind, str) else ""
        raise InvalidRequest(f"there is no SUV of kind {kind!r}{near}", advice=f"Kinds are {', '.join(KINDS)}.")
    for name in known:
        if name not in KNOWN:
            raise InvalidRequest(
                f"suv takes no {name}{did_you_mean(name, KNOWN)}", advice=f"It takes kind, {', '.join(KNOWN)}."
            )
    if "SUV" in array.attrs:
        advice = "Take each kind of SUV of the volume as it was loaded."
        raise refused(f"the values are SUV already ({array.attrs['SUV']})", advice)
    read, sop_class = _headers(array)
    units = array.attrs.get("units", "")
    if sop_class == ENHANCED_PET:
        found = suvenhanced.factor(read, units, KINDS[kind], known)
    else:
        found = _factor(list(read), units, KINDS[kind], known)
    for text in found.warnings:
        warnings.warn(f"SUV: {text}", ResultWarning, stacklevel=3)
    made = (array * found.factor).astype(np.float32)
    for name in ("padding", "padding_limit"):  # through the same steps as the values, so that they stay equal
        if name in array.coords:
            padding = array.coords[name].variable.astype(array.dtype) * found.factor
            made = made.assign_coords({name: padding.astype(np.float32).astype(np.float64)})
    given = f"; given by the caller: {', '.join(sorted(known))}" if known else ""
    made.attrs = {**array.attrs, "units": KINDS[kind].units, "SUV": found.how + given}
    made.attrs |= {"Units": KINDS[kind].units, "SUVType": KINDS[kind].suv_type, "long_name": f"SUV{kind}"}
    for name in ("WindowCenter", "WindowWidth"):
        if name in made.attrs:
            made.attrs[name] = (np.asarray(made.attrs[name], np.float64) * found.factor).tolist()
    made.name = array.name
    return made


def _headers(array: xr.DataArray) -> tuple[headers.Headers, str]:
    """The headers of the instances that the array names, and their SOP class."""
    if "path" not in array.coords or "SOPInstanceUID" not in array.coords:
        raise refused("the array no longer names the instances it was made of (coordinates path and SOPInstanceUID)")
    paths, uids = np.broadcast_arrays(array.coords["path"].values, array.coords["SOPInstanceUID"].values)
    named = dict(zip(paths.ravel().tolist(), uids.ravel().tolist(), strict=True))
    if not named:
        raise refused("the array is empty")
    read = headers.read([phi.real(path) for path in named], WANTED | suvenhanced.WANTED)
    classes = set()
    for row, (path, uid) in enumerate(named.items()):
        header = read[row]
        if header.text("SOPInstanceUID") != uid:
            raise refused(f"{path} is now another instance than the one loaded from it")
        sop_class = header.text("SOPClassUID")
        if sop_class not in (PET, ENHANCED_PET):
            name = class_name(sop_class) if sop_class else "an instance without SOP class"
            raise refused(f"it is worked out for {class_name(PET)} and {class_name(ENHANCED_PET)}, and this is {name}")
        classes.add(sop_class)
    if len(classes) > 1:
        raise refused("the instances are PET and Enhanced PET images", "Take the SUV of each.")
    return read, classes.pop()


def _factor(read: list[Elements], units: str, kind: Kind, known: Mapping[str, Any]) -> Factor:
    first = read[0]
    for name in _SHARED:
        tag = tag_of(name)
        if len({header.raw.get(tag, ("", b""))[1] for header in read}) > 1:
            raise refused(f"{name} differs between the instances")
    stated = needed(first, "Units")
    if units != stated:
        raise refused(
            f"the values are in {units or 'no known units'}, while Units (0054,1001) of the instances is {stated}",
            "Values that were computed with are no activity any more; take the SUV first.",
        )
    if stated in ("GML", "CM2ML"):  # PS3.3 C.8.9.1.1.3 leaves SUVType out for body weight
        suv_type = first.text("SUVType") or {"GML": "BW", "CM2ML": "BSA"}[stated]
        return already(first, f"Units {stated} and SUVType {suv_type}", suv_type, kind, known)
    corrected = first.get("CorrectedImage", ())
    corrected = {corrected} if isinstance(corrected, str) else set(corrected)
    if "ATTN" not in corrected:
        raise refused("CorrectedImage (0028,0051) has no ATTN: attenuation is not corrected")
    if not corrected & {"DECY", "DECAY"}:
        raise refused("CorrectedImage (0028,0051) has no DECY: decay is not corrected")
    scale, note = 1.0, "value"
    if stated == "CNTS":
        direct, scale = _private(first, _FACTOR), _private(first, _TO_BQML)
        if direct:
            made = Factor(direct, f"value x {direct:g}, the SUV scale factor of Philips (7053,1000)")
            return of_bw(made, first, kind, known)
        if not scale:
            raise refused("Units is CNTS, and neither (7053,1000) nor (7053,1009) of Philips says what a count is")
        note = f"value x {scale:g} Bq/ml, the activity scale factor of Philips (7053,1009)"
    elif stated != "BQML":
        raise refused(f"Units (0054,1001) is {stated}; SUV is made of BQML, CNTS of Philips, or GML")
    tracer = one_tracer(first)
    dose, correction = _dose(tracer, known), needed(first, "DecayCorrection")
    if correction not in ("ADMIN", "START"):
        raise refused(f"DecayCorrection (0054,1102) is {correction}, and must be START or ADMIN")
    scan = scan_start if correction == "START" else None
    return of_dose(read, tracer, dose, scan, note, scale, kind, known)


def _dose(tracer: Elements, known: Mapping[str, Any]) -> float:
    """The dose in Bq."""
    dose = number(tracer, "RadionuclideTotalDose", known)
    if dose < 1e4:
        raise refused(
            f"RadionuclideTotalDose (0018,1074) is {dose:g}, too little for Bq; MBq perhaps",
            "If you know it, give RadionuclideTotalDose= in Bq.",
        )
    return dose


def _private(header: Elements, tag: int) -> float:
    """A number of Philips, 0 where there is none."""
    if not _text(header, _PHILIPS).startswith("Philips PET Private"):
        return 0.0
    try:
        value = float(_text(header, tag) or 0)
    except ValueError:
        return 0.0
    return value if np.isfinite(value) and value > 0 else 0.0


def _text(header: Elements, tag: int) -> str:
    return header.raw.get(tag, ("", b""))[1].decode("latin-1").strip(" \0")
