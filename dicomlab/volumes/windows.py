"""Windows to look through: a centre and a width in units of the values, or a preset of CT by its name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import InvalidRequest, did_you_mean

#: Centre and width in HU, as they are usual for CT; a matter of taste, not of the standard.
PRESETS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"lung": (-600, 1500), "bone": (400, 1800), "soft tissue": (40, 400), "brain": (40, 80)}
)


def checked_window(window: Any, units: str = "") -> tuple[float, float]:
    """Centre and width of a window as it was asked for.

    Parameters
    ----------
    window
        Centre and width, or the name of a preset in any case.
    units
        Of the values that are looked at; presets are for "HU" alone.

    Returns
    -------
    centre, width
        In `units`; the width is above 0.

    Raises
    ------
    InvalidRequest
        It is neither, or a preset of CT for values that are not HU.

    Examples
    --------
    >>> checked_window("Lung", "HU")
    (-600.0, 1500.0)
    """
    if isinstance(window, str):
        return _preset(window, units)
    try:
        centre, width = map(float, window)
    except (TypeError, ValueError):
        raise _refused(f"{window!r} is no window") from None
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        raise _refused(f"a window of centre {centre:g} and width {width:g} shows nothing")
    return centre, width


def _preset(name: str, units: str) -> tuple[float, float]:
    known = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    if known not in PRESETS:
        raise _refused(f"there is no window {name!r}{did_you_mean(known, list(PRESETS))}")
    if units != "HU":
        raise _refused(f"the window {known!r} is for CT in HU, and these values are in {units or 'no known unit'}")
    centre, width = PRESETS[known]
    return float(centre), float(width)


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(
        message,
        advice=f"Give centre and width, such as (40, 400), or for CT in HU one of {', '.join(PRESETS)}.",
    )
