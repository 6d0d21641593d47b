"""Slices side by side as one grey picture."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import GeometryError, InvalidRequest
from ..geometry.geometry import AXES
from .windows import checked_window

if TYPE_CHECKING:
    from PIL.Image import Image


def grey(
    values: NDArray[np.generic], window: tuple[float, float], inverted: bool = False, bits: int = 8
) -> NDArray[np.unsignedinteger]:
    """Grey of so many bits (uint8, above 8 uint16) of values through a window, exactly linear; colour passes.

    Examples
    --------
    >>> grey(np.array([-160, 40, 240]), (40, 400)).tolist()
    [0, 128, 255]
    """
    if values.ndim == 3:
        return np.asarray(values, np.uint8)
    centre, width = window
    white = 2**bits - 1
    scaled = (np.asarray(values, np.float32) - centre) / width + 0.5
    picture = np.round(np.clip(np.nan_to_num(scaled), 0, 1) * white).astype(np.uint8 if bits <= 8 else np.uint16)
    return white - picture if inverted else picture


def as_volume(volume: xr.DataArray, axis: str) -> tuple[xr.DataArray, str]:
    """A single plane, of which one spatial dimension is gone, as a volume of one slice across that one; and which.

    What has z, y and x stays as it is, and so does the axis.
    """
    gone = [name for name in AXES if name not in volume.dims]
    if len(gone) != 1:
        return volume, axis
    (across,) = gone
    if "geometry" in volume.coords and across not in volume.coords:  # a sum or maximum along it: nowhere on it
        return volume.expand_dims(across).assign_coords({across: (across, [0.0], {"nowhere": 1})}), across
    return volume.expand_dims(across), across


def slices_of(volume: xr.DataArray, axis: str, slices: int) -> tuple[list[int], xr.DataArray]:
    """Which slices are shown, the same step apart, and the volume with that axis in front (of 4-D the first).

    Slices across x and y have the head up; those across z are as they were taken.
    """
    if axis not in volume.dims:
        raise InvalidRequest(f"the array has no dimension {axis!r}, it has {', '.join(map(str, volume.dims))}")
    if axis not in AXES:
        choose = f"volume.isel({axis}=0)" if axis.isidentifier() else "one with isel"
        raise InvalidRequest(
            f"slices lie side by side along z, y or x, not {axis}", advice=f"Choose one volume first: {choose}."
        )
    for name in volume.dims:
        if name not in (*AXES, "channel"):
            volume = volume.isel({name: 0})
    if volume.ndim - ("channel" in volume.dims) != 3:
        gone = " and ".join(name for name in AXES if name not in volume.dims)
        raise GeometryError(
            f"a picture has two dimensions of z, y and x, and {gone} are gone",
            advice="A line of values is drawn by its own method: volume.plot().",
        )
    if not volume.size:
        sizes = ", ".join(f"{name} {length}" for name, length in volume.sizes.items())
        raise InvalidRequest(f"nothing is selected: the array is empty ({sizes})", advice="Look at its coordinates.")
    rest = [name for name in volume.dims if name != axis]
    if isinstance(slices, bool) or not isinstance(slices, Integral) or slices < 1:
        raise InvalidRequest(f"{slices!r} slices cannot be shown", advice="Give a whole number from 1 upwards.")
    count = volume.sizes[axis]
    step = -(-count // int(slices))  # a gap that varies would be read as the patient's
    chosen = list(range((count - 1) % step // 2, count, step))
    volume = volume.transpose(axis, *rest)
    if rest[0] == "z" and {"geometry", "z"} <= set(volume.coords) and volume.dicom.space == "patient":
        down = volume.dicom.direction[:, volume.dicom.dims.index("z")]
        if down[2] == max(np.abs(down)):
            volume = volume.isel(z=slice(None, None, -1))
    return chosen, volume


def aspect(volume: xr.DataArray, axis: str) -> float:
    """Height of a pixel over its width, for slices across `axis`."""
    rows, columns = (name for name in volume.dicom.dims if name != axis)
    steps = []
    for name in (rows, columns):
        values = np.asarray(volume.coords[name].values, np.float64)
        steps.append(abs(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else volume.dicom._step(name))
    return float(steps[0] / steps[1])


def montage(
    volume: xr.DataArray,
    axis: str = "z",
    *,
    slices: int = 24,
    columns: int | None = None,
    window: tuple[float, float] | str | None = None,
    width: int = 1200,
) -> Image:
    """Slices side by side in one picture; see ``.dicom.montage``.

    Raises
    ------
    InvalidRequest
        There is no such dimension or window, or a number is none from 1 upwards.
    """
    from PIL import Image

    for name, number in (("columns", 1 if columns is None else columns), ("width", width)):
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
            raise InvalidRequest(f"a montage of {name} {number!r}", advice="Give a whole number from 1 upwards.")
    volume, axis = as_volume(volume, axis)
    chosen, ordered = slices_of(volume, axis, slices)
    centre_width = volume.dicom.window if window is None else checked_window(window, volume.dicom.units)
    inverted = volume.attrs.get("PhotometricInterpretation") == "MONOCHROME1"
    tall = aspect(ordered, axis) * ordered.shape[1] / ordered.shape[2]
    across = columns or max(1, min(len(chosen), round(np.sqrt(len(chosen) * 1.6 * tall))))
    down = -(-len(chosen) // across)
    wide = max(1, width // across)
    high = max(1, round(wide * tall))
    mode = "RGB" if "channel" in ordered.dims else "L"
    sheet = Image.new(mode, (wide * across, high * down))
    for number, index in enumerate(chosen):
        tile = Image.fromarray(grey(np.asarray(ordered[index].values), centre_width, inverted))
        sheet.paste(
            tile.resize((wide, high), Image.Resampling.BILINEAR),
            (number % across * wide, number // across * high),
        )
    return sheet
