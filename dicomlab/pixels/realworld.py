"""Real world values: what the header maps stored values to besides the modality values (PS3.3 C.7.6.16.2.11).

They are not applied by loading: modality values are those that other programs show and the manufacturer scales by. The
mappings come along in the coordinates ``real_world_slope``, ``real_world_intercept``, ``real_world_units`` (a code,
usually of UCUM) and ``real_world_label`` (LUTLabel), of a second mapping with ``_2`` behind, and so on, with
``rescale_slope`` and ``rescale_intercept``; ``.dicom.real_world()`` applies one. Where the first and the rescaling are
the same line, its units are those of the modality values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..errors import BadData, InvalidRequest
from .pixels import Rescale

#: Codes of UCUM for what Units (0054,1001) of PET has terms for, without their annotations in braces (PS3.3 C.8.9.1).
_TERMS = {
    "Bq/ml": "BQML", "g/ml": "GML", "cm2/ml": "CM2ML", "{counts}": "CNTS", "{counts}/s": "CPS", "%": "PCNT",
    "{propcounts}": "PROPCNTS", "{propcounts}/s": "PROPCPS", "cm2": "CM2", "mg/min/ml": "MGMINML",
    "umol/min/ml": "UMOLMINML", "ml/min/g": "MLMING", "ml/g": "MLG", "/cm": "1CM", "umol/ml": "UMOLML",
    "ml/min/ml": "MLMINML", "ml/ml": "MLML",
}  # fmt: skip
_ANNOTATION = re.compile(r"\{[^}]*\}")
_OWN = ("slope", "intercept", "units", "label", "first", "last")  # of a mapping, behind real_world_


@dataclass(frozen=True)
class RealWorld:
    """Real world values = stored values * slope + intercept, for stored values from `first` to `last`."""

    slope: float
    intercept: float
    units: str  # CodeValue of the measurement units
    label: str = ""  # LUTLabel
    first: float = -np.inf
    last: float = np.inf

    def units_of(self, rescale: Rescale) -> str:
        """Units of modality values: its own where both are the same line, and not "no units" (1); else ""."""
        ends = (self.slope, self.intercept), (rescale.slope, rescale.intercept)
        return self.units if np.allclose(*ends, rtol=1e-6) and self.units != "1" else ""


def pet_units(code: str) -> str:
    """The term of Units (0054,1001) for a code of UCUM, so that PET has one spelling; the code where there is none.

    Examples
    --------
    >>> pet_units("Bq/mL"), pet_units("{SUVbw}g/ml"), pet_units("BQML"), pet_units("K")
    ('BQML', 'GML', 'BQML', 'K')
    """
    plain = code.replace("mL", "ml")
    return _TERMS.get(plain) or _TERMS.get(_ANNOTATION.sub("", plain)) or code


def lines_of(items: Any, stored: tuple[int, int] = (0, 0)) -> tuple[RealWorld, ...]:
    """The mappings of RealWorldValueMappingSequence that are lines, in their order; () where it is absent or broken.

    Parameters
    ----------
    items
        Of the sequence.
    stored
        The least and greatest value that the bits can hold: a mapping of all of them has no limits.
    """
    found = []
    for item in items if isinstance(items, list) else ():
        try:
            slope, intercept = item.get("RealWorldValueSlope"), item.get("RealWorldValueIntercept")
            codes = item.items("MeasurementUnitsCodeSequence")
            ends = item.get("RealWorldValueFirstValueMapped"), item.get("RealWorldValueLastValueMapped")
        except BadData:
            continue
        if not isinstance(slope, float) or not isinstance(intercept, float):
            continue
        limits = (-np.inf, np.inf)
        if isinstance(ends[0], int) and isinstance(ends[1], int) and (ends[0] > stored[0] or ends[1] < stored[1]):
            limits = float(ends[0]), float(ends[1])
        units = codes[0].text("CodeValue") if codes else ""
        found.append(RealWorld(slope, intercept, units, item.text("LUTLabel"), *limits))
    return tuple(found)


def coordinates(
    mappings: Sequence[tuple[RealWorld, ...]], rescales: Sequence[Rescale]
) -> dict[str, list[float] | list[str]]:
    """Coordinates of frames by name, a value for each; {} where one has no mapping."""
    number = min(map(len, mappings), default=0)
    found: dict[str, list[Any]] = {}
    for which in range(number):
        known = [of_frame[which] for of_frame in mappings]
        behind = f"_{which + 1}" if which else ""
        for name in _OWN:
            values = [getattr(mapping, name) for mapping in known]
            told = name in ("slope", "intercept", "units") or any(value != "" and value == value for value in values)
            if name in ("first", "last"):
                told = bool(np.isfinite(values).any())
            if told:
                found[f"real_world_{name}{behind}"] = values
    if found:
        found["rescale_slope"] = [rescale.slope for rescale in rescales]
        found["rescale_intercept"] = [rescale.intercept for rescale in rescales]
    return found


def real_world(array: xr.DataArray, which: int | str | None = None) -> xr.DataArray:
    """Real world values of modality values, float32, with their units; see ``.dicom.real_world``."""
    found = array.coords
    behind = _chosen(found, which)
    units = {str(one) for one in np.unique(found[f"real_world_units{behind}"].values)}
    if len(units) > 1:
        raise InvalidRequest(f"the real world values have several units ({', '.join(sorted(units))})")
    names = (f"real_world_slope{behind}", f"real_world_intercept{behind}", "rescale_slope", "rescale_intercept")
    slope, intercept, by, to = (found[name].variable.astype(np.float64) for name in names)
    if not (by != 0).all():
        raise InvalidRequest("a RescaleSlope is 0, so that the stored values are lost")
    stored = (array.variable.astype(np.float64) - to) / by
    values = stored * slope + intercept
    for name, sign in (("first", 1), ("last", -1)):
        limit = found.get(f"real_world_{name}{behind}")
        if limit is not None:  # half a step for what was rounded
            values = values.where(sign * (stored - limit.variable) > -0.5)
    result = array.copy(data=values.transpose(*array.dims).astype(np.float32).data)
    (unit,) = units
    result.attrs["units"] = pet_units(unit) if array.attrs.get("Modality") == "PT" else unit
    return result


def _chosen(found: Mapping[Any, Any], which: int | str | None) -> str:
    """What stands behind the names of the coordinates of the mapping that is asked for."""
    behind = [""]
    while f"real_world_slope_{len(behind) + 1}" in found:
        behind.append(f"_{len(behind) + 1}")
    if "real_world_slope" not in found or "rescale_slope" not in found:
        raise InvalidRequest("the images have no real world value mapping that is a line")
    said = [tuple(_one(found, f"real_world_{name}{end}") for name in ("label", "units")) for end in behind]
    named = (f"{number} {label} in {units}".replace("  ", " ") for number, (label, units) in enumerate(said, 1))
    advice = f"Mappings are: {'; '.join(named)}."
    if which is None:
        return ""
    if isinstance(which, str):
        fitting = [end for end, names in zip(behind, said, strict=True) if which in names]
    elif isinstance(which, int) and not isinstance(which, bool) and 1 <= which <= len(behind):
        fitting = [behind[which - 1]]
    else:
        fitting = []
    if not fitting:
        raise InvalidRequest(f"there is no real world value mapping {which!r}", advice=advice)
    if len(fitting) > 1:
        raise InvalidRequest(f"{len(fitting)} real world value mappings are {which!r}", advice=advice)
    return fitting[0]


def _one(found: Mapping[Any, Any], name: str) -> str:
    """The text that all frames have, "" where they differ or have none."""
    values = {str(value) for value in np.ravel(found[name].values)} if name in found else set()
    return values.pop() if len(values) == 1 else ""
