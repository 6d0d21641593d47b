"""A volume on another grid: by the places of its voxels in the patient, never by index."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import GeometryError, InvalidRequest, ResultWarning
from ..pixels.pixels import check_size
from .geometry import STEP, Floats, step_of, unequal

AXES = ("z", "y", "x")
METHODS = ("linear", "nearest")
SAME_AXES = 5e-6  # components of M^-1 M' may differ so much from those of 1: 0.003 mm at 500 mm


def like(array: xr.DataArray, other: xr.DataArray, method: str | None = None, fill: Any = None) -> xr.DataArray:
    """Values of `array` at the voxels of `other`; documented at ``.dicom.like``."""
    must_be_volume(other)
    _checked(array, method)
    same_frame(array.dicom.frame_of_reference, other.dicom.frame_of_reference, "the volumes")
    for volume in (array, other):
        must_be_whole(volume)
    return onto(array, other, method, fill)


def onto(array: xr.DataArray, other: xr.DataArray, method: str | None, fill: Any) -> xr.DataArray:
    """Values at the voxels of a grid that is known to lie in the same frame of reference."""
    method = _checked(array, method)
    mine, theirs = array.dicom, other.dicom
    front = [str(name) for name in array.dims if name not in AXES]
    source = np.asarray(array.transpose(*front, *AXES).values)
    dtype = source.dtype
    if method == "linear":
        dtype = np.dtype(np.float64 if source.dtype in (np.float64, np.int64) else np.float32)
    if fill is None:
        fill = np.nan if dtype.kind == "f" else np.zeros((), dtype)[()]
    size = tuple(int(other.sizes[name]) for name in AXES)
    shape = (*source.shape[: len(front)], *size)
    check_size(int(np.prod(shape, dtype=object)) * dtype.itemsize)
    axes = []
    for name in AXES:  # no comprehension: a warning counts the frames
        axes.append(_Axis(array, name))
    turn = np.linalg.solve(mine.matrix, theirs.matrix)  # coordinates of `other` to those of `array`, both (x, y, z)
    at = [np.atleast_1d(np.asarray(other.coords[name].values, np.float64)) for name in AXES]
    volumes = source.reshape(-1, *source.shape[len(front) :])
    result = np.empty((len(volumes), *size), dtype)
    if np.abs(turn - np.eye(3)).max() <= SAME_AXES:
        places = [axis.index(values) for axis, values in zip(axes, at, strict=True)]
        for values, out in zip(volumes, result, strict=True):
            out[...] = _separate(values, places, method, fill, dtype)
    else:
        _turned(volumes, result, axes, turn, at, method, fill)
    coordinates = {str(name): other.coords[name].variable for name in (*AXES, "geometry")}
    for key, coordinate in array.coords.items():
        if str(key) not in coordinates and not set(coordinate.dims) & set(AXES):
            coordinates[str(key)] = coordinate.variable
    made = xr.DataArray(result.reshape(shape), coordinates, (*front, *AXES), array.name, array.attrs)
    return made.transpose(*array.dims)


def _checked(array: xr.DataArray, method: str | None) -> str:
    """The method that is asked for, or the one for such values.

    Raises
    ------
    InvalidRequest
        There is no such method.
    """
    if method is None:
        return "nearest" if array.dtype == np.bool_ else "linear"
    if method not in METHODS:
        raise InvalidRequest(f"method is {method!r}", advice='It is "linear" or "nearest".')
    return method


def must_be_whole(volume: xr.DataArray) -> None:
    """Refuse what has lost a spatial dimension.

    Raises
    ------
    GeometryError
        It has, or never had a place in the patient.
    """
    dims, _ = volume.dicom.dims, volume.dicom.matrix
    if set(dims) != set(AXES):
        raise GeometryError(
            f"resampling needs the dimensions z, y and x, here are {', '.join(dims) or 'none'}",
            advice="Keep a dimension of length 1: isel(z=[k]) instead of isel(z=k).",
        )


def must_be_volume(thing: Any) -> None:
    """Refuse what is no array of xarray, such as its bare values.

    Raises
    ------
    InvalidRequest
        It is none.
    """
    if not isinstance(thing, xr.DataArray):
        name = type(thing).__name__
        raise InvalidRequest(f"a volume is needed, not {name}", advice="Give the array of load, not its values.")


def same_frame(one: str, other: str, what: str) -> None:
    """Refuse to relate what lies in two frames of reference.

    Raises
    ------
    GeometryError
        They differ, or one is not named.
    """
    if one == other and one:
        return
    named = f"{one or '(none)'} and {other or '(none)'}"
    raise GeometryError(
        f"{what} are not in one frame of reference: {named}",
        advice="Nothing says how they lie to each other: register them first.",
    )


class _Axis:
    """From coordinates along one axis to indices, by parts linear where steps are unequal."""

    def __init__(self, array: xr.DataArray, name: str) -> None:
        values = np.asarray(array.coords[name].values, np.float64)
        self.backwards = len(values) > 1 and values[-1] < values[0]
        self.values = values[::-1] if self.backwards else values
        if len(values) > 1:
            low, high = self.values[1] - self.values[0], self.values[-1] - self.values[-2]
            if step_of(values) is None:
                text = unequal(self.values)
                warnings.warn(f"resampled between planes that are there: {text}", ResultWarning, stacklevel=5)
        else:
            spacing = np.asarray(array.coords["geometry"].attrs["spacing"], np.float64)
            low = high = float(spacing["xyz".index(name)])
        # A voxel reaches half a step beyond its centre.
        self.low, self.high = self.values[0] - low / 2 - STEP, self.values[-1] + high / 2 + STEP

    def index(self, at: Floats) -> Floats:
        """Index at each coordinate, with a fraction; NaN outside the outermost voxels."""
        found = np.interp(at, self.values, np.arange(len(self.values), dtype=np.float64))
        if self.backwards:
            found = len(self.values) - 1 - found
        found[(at < self.low) | (at > self.high)] = np.nan
        return found


def _nearest(places: Floats, length: int) -> NDArray[np.intp]:
    return np.clip(np.floor(np.nan_to_num(places) + 0.5), 0, length - 1).astype(np.intp)


def _separate(values: NDArray[Any], places: list[Floats], method: str, fill: Any, dtype: Any) -> NDArray[Any]:
    """Axes that run alike: one after the other, first the one that leaves least."""
    found = values if method == "nearest" else values.astype(dtype, copy=False)
    for axis in sorted(range(3), key=lambda axis: len(places[axis]) / values.shape[axis]):
        place, length = places[axis], values.shape[axis]
        if method == "nearest":
            found = np.take(found, _nearest(place, length), axis)
            continue
        clean = np.nan_to_num(place)
        low = np.floor(clean).astype(np.intp)
        part = (clean - low).astype(dtype).reshape([-1 if one == axis else 1 for one in range(3)])
        below = np.take(found, low, axis)
        found = (
            below
            if not part.any()
            else below * (1 - part) + np.take(found, np.minimum(low + 1, length - 1), axis) * part
        )
    for axis, place in enumerate(places):
        if np.isnan(place).any():
            found[(slice(None),) * axis + (np.isnan(place),)] = fill
    return found


def _turned(
    volumes: NDArray[Any],
    result: NDArray[Any],
    axes: list[_Axis],
    turn: Floats,
    at: list[Floats],
    method: str,
    fill: Any,
) -> None:
    """Axes that run otherwise: plane by plane of the other grid."""
    from scipy.ndimage import map_coordinates

    plane = np.stack(np.broadcast_arrays(at[2][None, :], at[1][:, None]))  # x, y of (rows, columns)
    across = np.tensordot(turn[:, :2], plane, 1)
    volumes = volumes if method == "nearest" else volumes.astype(result.dtype, copy=False)
    for k, height in enumerate(at[0]):
        local = across + (turn[:, 2] * height)[:, None, None]  # x, y, z in the coordinates of the array
        places = np.stack([axis.index(local[2 - number]) for number, axis in enumerate(axes)])
        outside = np.isnan(places).any(axis=0)
        for values, out in zip(volumes, result, strict=True):
            if outside.all():
                out[k] = fill
                continue
            if method == "nearest":
                found = values[
                    tuple(_nearest(place, length) for place, length in zip(places, values.shape, strict=True))
                ]
            else:
                found = map_coordinates(values, np.nan_to_num(places), order=1, mode="nearest")
            out[k] = np.where(outside, fill, found)
