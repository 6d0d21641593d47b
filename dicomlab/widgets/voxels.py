"""Voxels as a browser gets them: 16 bits or fewer, little endian, with the line back to their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InvalidRequest

_AS_THEY_ARE = {"b": "uint8", "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16"}
_STEPS = 65534  # 16 bits but for the highest number, which says "no value"


@dataclass(frozen=True)
class Encoding:
    """How values travel: value = slope * stored + intercept.

    Examples
    --------
    >>> encoding = encoding_of(xr.DataArray([0.0, 0.5, float("nan")]))
    >>> encoding.stored(np.array([0.0, 0.5, float("nan")])).tolist()
    [0, 65534, 65535]
    """

    dtype: str  # uint8, int8, uint16, int16
    slope: float = 1.0
    intercept: float = 0.0
    exact: bool = True  # the values come back exactly; else to half of `slope`
    none: int | None = None  # the stored number of NaN

    @property
    def bytes(self) -> int:
        """Of one voxel."""
        return np.dtype(self.dtype).itemsize

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values as they travel, C-contiguous and little endian."""
        kind = np.dtype(self.dtype).newbyteorder("<")
        if self.slope == 1 and self.intercept == 0 and self.none is None:
            return np.ascontiguousarray(values, kind)
        numbers = np.asarray(values, np.float64)
        with np.errstate(over="ignore"):
            found = np.rint((numbers - self.intercept) / self.slope)
        found = np.clip(found, 0, _STEPS, out=found)
        if self.none is not None:
            found[np.isnan(found)] = self.none
        return np.ascontiguousarray(found, kind)


def encoding_of(array: xr.DataArray) -> Encoding:
    """The encoding of an array: its own where 16 bits hold it, else steps between its ends, as fine as 16 bits allow.

    Raises
    ------
    InvalidRequest
        Its values are no real numbers.
    """
    kind = array.dtype
    own = _AS_THEY_ARE.get("b" if kind.kind == "b" else f"{kind.kind}{kind.itemsize}")
    if own:
        return Encoding(own)
    if kind.kind not in "iuf":
        advice = "View abs(volume), .real or .imag." if kind.kind == "c" else "A view needs numbers."
        raise InvalidRequest(f"values of type {kind} are no grey values", advice=advice)
    low, high, whole = _ends(array)
    none = _STEPS + 1 if kind.kind == "f" else None
    if whole and high - low <= _STEPS:
        return Encoding("uint16", 1.0, low, True, none)
    return Encoding("uint16", (high - low) / _STEPS, low, False, none)


def _ends(array: xr.DataArray) -> tuple[float, float, bool]:
    """Least and greatest finite value, and whether all are whole; a piece at a time, so that lazy arrays stay so."""
    low, high, whole = np.inf, -np.inf, True
    first = array.dims[0] if array.ndim > 1 else None
    for index in range(array.shape[0] if first is not None else 1):
        values = np.asarray(array.values if first is None else array.isel({first: index}).values)
        if values.dtype.kind == "f":
            finite = values[np.isfinite(values)]
            whole = whole and bool((np.rint(finite) == finite).all())
            values = finite
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low > high:  # nothing but NaN
        return 0.0, 1.0, True
    return low, high, whole
