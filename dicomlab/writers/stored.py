"""Values to stored values of 16 bits: whole numbers as they are, others with a slope that keeps most of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.valuerep import format_number_as_ds

from ..errors import InvalidRequest
from ..pixels.pixels import Array

LEVELS = 2**16


@dataclass(frozen=True)
class Rule:
    """Value = stored value * slope + intercept; slope and intercept are decimal strings of DICOM."""

    dtype: np.dtype[Any]
    slope: float = 1.0
    intercept: float = 0.0
    exact: bool = True  # whole numbers that stay what they are

    @property
    def step(self) -> float:
        """Distance of two values that can be told apart; 0 where nothing is lost."""
        return 0.0 if self.exact else self.slope

    def stored(self, values: Array) -> tuple[Array, float]:
        """Stored values, and how far the value farthest from what was given is."""
        if self.exact and self.intercept == 0:
            return np.asarray(values).astype(self.dtype), 0.0
        given = np.asarray(values, np.float64)
        levels = np.rint((given - self.intercept) / self.slope)
        limits = np.iinfo(self.dtype)
        np.clip(levels, limits.min, limits.max, out=levels)
        back = levels * self.slope + self.intercept
        return levels.astype(self.dtype), float(np.abs(back - given).max(initial=0.0))


def rule_for(
    values: Sequence[Array] | Array,
    *,
    through_zero: bool = False,
    bytes_stay: bool = False,
    only: np.dtype[Any] | None = None,
) -> Rule:
    """How values are stored in 16 bits.

    Parameters
    ----------
    values
        Planes of one array.
    through_zero
        The intercept has to be 0, as in PET images (PS3.3 C.8.9.4).
    bytes_stay
        Values of 8 bits are stored in 8.
    only
        The type of stored values, where another plane has decided it.

    Raises
    ------
    InvalidRequest
        They are no real numbers, or some are NaN or infinite.
    """
    kind = np.asarray(values[0]).dtype
    if kind.kind not in "biuf":
        raise InvalidRequest(f"values of type {kind} cannot be stored", advice="Give real numbers.")
    if kind in (np.bool_, np.uint8) and bytes_stay:
        return Rule(np.dtype(np.uint8))
    whole, low, high = True, np.inf, -np.inf
    for plane in values:
        if kind.kind == "f":
            if not np.isfinite(plane).all():
                raise InvalidRequest(
                    "some values are NaN or infinite, which stored values cannot be",
                    advice='Fill them first, as volume.fillna(0), or write a parametric map: kind="PARAMETRIC MAP".',
                )
            whole = whole and bool((np.rint(plane) == plane).all())
        low, high = min(low, float(np.min(plane))), max(high, float(np.max(plane)))
    if whole:
        for name in ("int16", "uint16") if only is None else (str(only),):
            limits = np.iinfo(name)
            if limits.min <= low and high <= limits.max:
                return Rule(np.dtype(name))
        if high - low < LEVELS and not through_zero and abs(low) < 2**53 and _decimal(low) == low:
            return Rule(np.dtype(np.uint16), 1.0, low)
    if through_zero:
        most = max(abs(low), abs(high))
        unsigned = low >= 0 if only is None else only.kind == "u"
        slope = most / (LEVELS - 1 if unsigned else LEVELS // 2 - 1)
        return Rule(np.dtype(np.uint16 if unsigned else np.int16), _up(slope, whole), 0.0, exact=False)
    slope = _up((high - low) / (LEVELS - 2), whole)
    return Rule(np.dtype(np.uint16), slope, _decimal(low), exact=False)


def _decimal(value: float) -> float:
    """The number that a decimal string of 16 characters holds."""
    return float(format_number_as_ds(value))


def _up(slope: float, whole: bool) -> float:
    """A slope no smaller, that a decimal string holds; whole where the values are."""
    return max(float(np.ceil(slope)), 1.0) if whole else rounded_up(slope)  # 0 where there is but one value


def rounded_up(slope: float) -> float:
    """The next number that a decimal string of 16 characters holds, above 0."""
    made = _decimal(slope)
    return made if made >= slope and made > 0 else _decimal(max(slope, 1e-30) * (1 + 1e-8))
