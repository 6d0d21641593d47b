"""The values of planes as an image stores them: bits, rescale, and the window to look at them with."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from ..errors import InvalidRequest
from ..pixels.pixels import Array
from .laid import Planes
from .modules import decimal, loose
from .stored import Rule, rule_for
from .writer import Order

_MAXIMUM_PLANES = 100_000


class Values:
    """The values of the planes as they are stored."""

    def __init__(self, planes: Planes, order: Order, *, through_zero: bool = False, bytes_stay: bool = False) -> None:
        array = planes.array
        shape = (-1, *array.shape[len(planes.front) + 1 :])
        self.planes: Array = np.ascontiguousarray(array.values).reshape(shape)
        if len(self.planes) > _MAXIMUM_PLANES:
            raise InvalidRequest(f"{len(self.planes):,} planes are more than a series may have")
        rule = rule_for(list(self.planes), through_zero=through_zero, bytes_stay=bytes_stay)
        self.rules: list[Rule] = [rule] * len(self.planes)
        if through_zero and not rule.exact:  # a slope of its own for each plane keeps more
            self.rules = [rule_for([plane], through_zero=True, only=rule.dtype) for plane in self.planes]
        self.error = 0.0
        self._window = window_of(order)

    @property
    def step(self) -> float:
        """The largest step between stored values."""
        return max(rule.step for rule in self.rules)

    def into(self, dataset: Dataset, index: int, *, rescale: bool, units: str | None) -> None:
        """Pixels of one plane, what they mean, and how to look at them."""
        rule = self.rules[index]
        stored, error = rule.stored(self.planes[index])
        self.error = max(self.error, error)
        dataset.Rows, dataset.Columns = stored.shape[:2]
        dataset.SamplesPerPixel = 1 if stored.ndim == 2 else 3
        dataset.PhotometricInterpretation = "MONOCHROME2" if stored.ndim == 2 else "RGB"
        if stored.ndim == 3:
            dataset.PlanarConfiguration = 0
        bits = 8 * stored.dtype.itemsize
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
        dataset.PixelRepresentation = int(stored.dtype.kind == "i")
        data = stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes()
        dataset.add_new(0x7FE00010, "OB" if bits == 8 else "OW", data + b"\0" * (len(data) % 2))
        if stored.ndim == 3:
            return
        if rescale or (rule.slope, rule.intercept) != (1.0, 0.0) or units:
            dataset.RescaleSlope, dataset.RescaleIntercept = decimal(rule.slope), decimal(rule.intercept)
            dataset.add(loose("RescaleType", (units or "US")[:64]))
        dataset.WindowCenter, dataset.WindowWidth = decimal(self._window[0]), decimal(self._window[1])


def window_of(order: Order) -> tuple[float, float]:
    """Centre and width: those of the images while their units are still those of the array, else by its values."""
    array = order.what
    kept = {} if order.units is None else {"Modality": array.attrs.get("Modality"), "units": order.units}
    if order.units is not None and order.units == array.attrs.get("units"):
        kept |= {name: array.attrs[name] for name in ("WindowCenter", "WindowWidth") if name in array.attrs}
    bare = array.copy(deep=False)
    bare.attrs = kept
    centre, width = bare.dicom.window
    return centre, max(width, 1e-6)
