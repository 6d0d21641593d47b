"""Windows to choose from, by modality."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..volumes.windows import PRESETS

Window = tuple[str, float, float]  # name, centre, width


def presets(volume: xr.DataArray) -> list[Window]:
    """Windows for a volume: those of its images, those usual for its modality, and the whole range.

    Examples
    --------
    >>> volume = xr.DataArray(np.arange(8.0).reshape(2, 2, 2), attrs={"Modality": "PT", "units": "GML"})
    >>> presets(volume)[0]
    ('SUV 0 to 5', 2.5, 5.0)
    """
    if "channel" in volume.dims:
        return []
    attributes = volume.attrs
    found: list[Window] = []
    centres, widths = (np.atleast_1d(attributes.get(name, [])) for name in ("WindowCenter", "WindowWidth"))
    for number, (centre, width) in enumerate(zip(centres, widths, strict=False)):
        if float(width) > 0:
            found.append(("of the images" + (f" {number + 1}" if number else ""), float(centre), float(width)))
    low, first, middle, last, high = _spread(volume)
    modality, units = attributes.get("Modality"), str(attributes.get("units", ""))
    if modality == "CT" and units == "HU":
        found += [(name, float(centre), float(width)) for name, (centre, width) in PRESETS.items()]
    elif modality == "PT" and units == "GML":
        found += [(f"SUV 0 to {top}", top / 2, float(top)) for top in (5, 10, 15)]
    elif modality in ("PT", "NM") and high > 0:
        found += [(name, high * part / 2, high * part) for name, part in _PARTS if high * part > 0]
    elif volume.dtype != np.bool_ and last > first:
        found.append(("1 to 99 %", (first + last) / 2, last - first))
        if last > middle > first:
            found.append(("bright half", (middle + last) / 2, last - middle))
    if high > low:
        found.append(("whole range", (low + high) / 2, high - low))
    return found


_PARTS = (("0 to 20 % of the highest", 0.2), ("0 to half of the highest", 0.5), ("0 to the highest", 1.0))


def _spread(volume: xr.DataArray) -> tuple[float, float, float, float, float]:
    """Least, 1 %, median, 99 % and greatest of a sample of the values."""
    step = max(1, round((volume.size / 500_000) ** (1 / max(1, volume.ndim))))
    sample = np.ravel(np.asarray(volume[(slice(None, None, step),) * volume.ndim].values)).astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    low, first, middle, last, high = (float(each) for each in np.percentile(sample, [0, 1, 50, 99, 100]))
    return low, first, middle, last, high
