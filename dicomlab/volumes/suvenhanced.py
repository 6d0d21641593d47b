"""SUV of Enhanced PET images: the same recipe, from the attributes of their modules (PS3.3 C.8.22).

What differs from PET images: the dose is in MBq (C.8.22.4), the time that decay is corrected to is stated
(DecayCorrectionDateTime), and the units of the values are those of their real world value mapping.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..readers.enhanced import Enhanced, units_of_frames
from .suvdecay import corrected_to, of_dose, one_tracer
from .suvfacts import Factor, Kind, already, needed, number, refused, tagged

ENHANCED_PET: Final = "1.2.840.10008.5.1.4.1.1.130"
_TRACER = "RadiopharmaceuticalInformationSequence"
#: Must be the same in all instances: one factor holds for all of them.
_SHARED = (
    "SeriesInstanceUID", "PatientID", "PatientWeight", "PatientSize", "PatientSex", "AttenuationCorrected",
    "DecayCorrected", "DecayCorrectionDateTime", _TRACER, "TimezoneOffsetFromUTC",
)  # fmt: skip
WANTED = Enhanced.wanted.union(map(tag_of, _SHARED))
_MOST: Final = 1e5  # MBq that nobody is given
_ANNOTATION = re.compile(r"\{SUV(bw|lbm|bsa|ibw)\}", re.IGNORECASE)


def factor(read: Headers, units: str, kind: Kind, known: Mapping[str, Any]) -> Factor:
    """What the values are multiplied by, and how it came about; see ``.dicom.suv``."""
    first = read[0]
    for name in _SHARED:
        tag = tag_of(name)
        if len({read[row].raw.get(tag, ("", b""))[1] for row in range(len(read))}) > 1:
            raise refused(f"{name} differs between the instances")
    stated = set().union(*(units_of_frames(read, row) for row in range(len(read))))
    terms = {term for term, _ in stated}
    if len(terms) > 1:
        raise refused(f"the frames of the instances are in several units: {', '.join(sorted(map(str, terms)))}")
    (term,) = terms
    if units != term:
        raise refused(
            f"the values are in {units or 'no known units'}, while those of the instances are in {term or 'none'}",
            "Values that were computed with are no activity any more; take the SUV first.",
        )
    if term in ("GML", "CM2ML"):
        types = {found[1].upper() if (found := _ANNOTATION.search(code)) else "" for _, code in stated}
        suv_type = types.pop() if len(types) == 1 else ""
        if not suv_type:
            raise refused(f"the values are in {term}, and their real world value mapping does not say of which kind")
        return already(first, f"Units {term} of the mapping", suv_type, kind, known)
    if term != "BQML":
        raise refused(
            f"the values are in {term or 'no known units'}; SUV is made of Bq/ml, by a real world value mapping that "
            "is the rescaling of the frames"
        )
    for name in ("AttenuationCorrected", "DecayCorrected"):
        value = needed(first, name)
        if value != "YES":
            raise refused(f"{tagged(name)} is {value}, and must be YES")
    tracer = one_tracer(first)
    dose = _dose(tracer, known)
    scan = corrected_to(first, "DecayCorrectionDateTime")
    return of_dose([first], tracer, dose, scan, "value", 1.0, kind, known)


def _dose(tracer: Elements, known: Mapping[str, Any]) -> float:
    """The dose in Bq; the header has MBq."""
    dose = number(tracer, "RadionuclideTotalDose", known)
    if "RadionuclideTotalDose" in known:
        return dose
    if dose > _MOST:
        raise refused(
            f"RadionuclideTotalDose (0018,1074) is {dose:g}, too much for MBq; Bq perhaps",
            "If you know it, give RadionuclideTotalDose= in Bq.",
        )
    return dose * 1e6
