"""What lies over a volume: masks and a dose, on its grid by the places of the voxels in the patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InvalidRequest
from ..readers.structures import Structures

MOST = 64
COLOURS = (
    "#e6550d", "#31a354", "#3182bd", "#e7298a", "#fdae0b", "#17becf", "#9467bd", "#bcbd22", "#d62728", "#66c2a5",
    "#8c564b", "#1f9e89",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mask:
    """One region over a volume."""

    name: str
    colour: str  # "#rrggbb"
    values: NDArray[np.bool_]  # (z, y, x) of the volume


def masks_over(volume: xr.DataArray, given: Any) -> list[Mask]:
    """The masks of what was given, on the grid of a volume of dimensions z, y, x.

    Parameters
    ----------
    volume
        What they lie over; only its grid is used.
    given
        A boolean array, a segmentation (with the dimension ``segment``), a structure set, a mapping from names
        to any of these, or a list of them.

    Raises
    ------
    InvalidRequest
        It is none of these, or holds more than 64 masks.
    GeometryError
        It is not in the frame of reference of the volume.
    """
    found: list[Mask] = []
    for name, colour, array in _each(volume, given, ""):
        if len(found) == MOST:
            raise InvalidRequest(f"more than {MOST} masks", advice="Give those that you want to see.")
        found.append(Mask(name or f"mask {len(found) + 1}", colour or COLOURS[len(found) % len(COLOURS)], array))
    return found


def _each(volume: xr.DataArray, given: Any, name: str) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    if isinstance(given, Structures):
        made = given.mask(volume)
        colours = dict(zip(given.rois.ROINumber, given.rois.colour, strict=True))
        for one in made:
            yield _named(name, str(one.ROIName.values)), colours[int(one.roi)], _on(volume, one)
    elif isinstance(given, xr.DataArray):
        front = [dimension for dimension in given.dims if dimension in ("segment", "roi")]
        if given.dtype != np.bool_ and not front:
            raise InvalidRequest(
                f"a mask of type {given.dtype} is no mask", advice="Give one of bool, such as volume > 300."
            )
        if not front:
            yield name, "", _on(volume, given)
        for one in given.transpose(*front, ...) if front else ():
            label = next((one.coords[each] for each in ("SegmentLabel", "ROIName", *front) if each in one.coords), "")
            yield _named(name, str(getattr(label, "values", label))), "", _on(volume, one > 0)
    elif isinstance(given, Mapping):
        for key, each in given.items():
            yield from _each(volume, each, str(key))
    elif isinstance(given, list | tuple):
        for each in given:
            yield from _each(volume, each, name)
    else:
        raise InvalidRequest(
            f"{type(given).__name__} is no mask",
            advice="Give a boolean array, a segmentation, a structure set, or names with these: {'bone': ct > 300}.",
        )


def _named(group: str, name: str) -> str:
    return f"{group}: {name}" if group else name


def _on(volume: xr.DataArray, mask: xr.DataArray) -> NDArray[np.bool_]:
    """Values of a mask at the voxels of the volume."""
    if "z" not in mask.dims and "z" in volume.dims and {"y", "x"} <= set(mask.dims):
        mask = mask.expand_dims("z")
    same = all(mask.sizes.get(name) == volume.sizes[name] for name in "zyx")
    if same and "geometry" not in mask.coords and "geometry" not in volume.coords:  # of an image without a position
        placed = mask
    else:
        placed = mask.dicom.like(volume)
    if set(placed.dims) != set("zyx"):
        raise InvalidRequest(
            f"a mask has the dimensions {', '.join(map(str, placed.dims))}",
            advice="Give one of z, y and x: choose with isel.",
        )
    return np.asarray(placed.transpose("z", "y", "x").values, np.bool_)


def packed(masks: list[Mask]) -> list[NDArray[np.uint8]]:
    """Masks as bits, eight in each array of uint8: the first is bit 0 of the first."""
    found = []
    for start in range(0, len(masks), 8):
        bits = np.zeros(masks[start].values.shape, np.uint8)
        for number, mask in enumerate(masks[start : start + 8]):
            bits |= mask.values.astype(np.uint8) << number
        found.append(bits)
    return found


def dose_over(volume: xr.DataArray, dose: Any) -> xr.DataArray:
    """A dose, or any other array in one frame of reference, on the grid of the volume; NaN outside.

    Raises
    ------
    InvalidRequest
        It is no volume, or has more dimensions than z, y and x.
    """
    if not isinstance(dose, xr.DataArray):
        raise InvalidRequest(f"{type(dose).__name__} is no dose", advice="Give the array of load.")
    more = [str(name) for name in dose.dims if name not in ("z", "y", "x")]
    if more:
        raise InvalidRequest(f"a dose with the dimension {more[0]}", advice=f"Choose one: dose.isel({more[0]}=0).")
    return dose.dicom.like(volume).transpose("z", "y", "x")
