"""Real world values: what the header maps stored values to besides the modality values (PS3.3 C.7.6.16.2.11).

They are not applied by loading: modality values are those that other programs show and the manufacturer scales by. The
mapping comes along in the coordinates ``real_world_slope``, ``real_world_intercept`` and ``real_world_units`` (a code,
usually of UCUM) with ``rescale_slope`` and ``rescale_intercept``, and ``.dicom.real_world`` applies it. Where both are
the same line, its units are those of the modality values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .elements import Elements
from .errors import BadData, InvalidRequest
from .pixels import Rescale

_NAMES = ("real_world_slope", "real_world_intercept", "rescale_slope", "rescale_intercept")


@dataclass(frozen=True)
class RealWorld:
    """Real world values = stored values * slope + intercept."""

    slope: float
    intercept: float
    units: str  # CodeValue of the measurement units

    def units_of(self, rescale: Rescale) -> str:
        """Units of modality values: its own where both are the same line, and not "no units" (1); else ""."""
        ends = (self.slope, self.intercept), (rescale.slope, rescale.intercept)
        return self.units if np.allclose(*ends, rtol=1e-6) and self.units != "1" else ""


def first_of(items: Any) -> RealWorld | None:
    """The mapping of the first item of RealWorldValueMappingSequence; None where it is absent, or is a table."""
    if not isinstance(items, list) or not items or not isinstance(items[0], Elements):
        return None
    try:
        slope, intercept = items[0].get("RealWorldValueSlope"), items[0].get("RealWorldValueIntercept")
        codes = items[0].items("MeasurementUnitsCodeSequence")
    except BadData:
        return None
    if not isinstance(slope, float) or not isinstance(intercept, float):
        return None
    return RealWorld(slope, intercept, codes[0].text("CodeValue") if codes else "")


def coordinates(mappings: Sequence[RealWorld | None], rescales: Sequence[Rescale]) -> dict[str, list[Any]]:
    """Coordinates of frames by name, a value for each; {} where one has no mapping."""
    known = [mapping for mapping in mappings if mapping is not None]
    if len(known) < len(mappings):
        return {}
    numbers = (
        [mapping.slope for mapping in known],
        [mapping.intercept for mapping in known],
        [rescale.slope for rescale in rescales],
        [rescale.intercept for rescale in rescales],
    )
    return {**dict(zip(_NAMES, numbers, strict=True)), "real_world_units": [mapping.units for mapping in known]}


def real_world(array: xr.DataArray) -> xr.DataArray:
    """Real world values of modality values, float32, with their units.

    Raises
    ------
    InvalidRequest
        The images have no such mapping, or one in several units.
    """
    found = array.coords
    if not all(name in found for name in (*_NAMES, "real_world_units")):
        raise InvalidRequest("the images have no real world value mapping that is a line")
    units = {str(one) for one in np.unique(found["real_world_units"].values)}
    if len(units) > 1:
        raise InvalidRequest(f"the real world values have several units ({', '.join(sorted(units))})")
    slope, intercept, by, to = (found[name].variable.astype(np.float64) for name in _NAMES)
    if not (by != 0).all():
        raise InvalidRequest("a RescaleSlope is 0, so that the stored values are lost")
    values = (array.variable.astype(np.float64) - to) / by * slope + intercept
    result = array.copy(data=values.transpose(*array.dims).astype(np.float32).data)
    result.attrs["units"] = units.pop()
    return result
