"""A stack of planes to a labelled volume: values read in parallel, coordinates, attributes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr

from .errors import GeometryError, MissingCodec
from .geometry import STRAIGHT, Grid, stack
from .pixels import Array, Rescale, check_size, decode, read_into, smallest, tidy
from .planes import SERIES, Plane
from .stacks import Stack
from .volume import geometry_coordinate

_EMPTY = ("", b"")


class _DoesNotFit(Exception):
    """A value is outside the integer type that was hoped for."""


def volume(found: Stack, chunks: Any = None) -> xr.DataArray:
    """The labelled volume of a stack, or the image (y, x) of a plane without a position.

    Raises
    ------
    GeometryError
        The planes do not lie on a line, or the volumes of a 4-D stack do not lie on each other.
    """
    first = found.first
    form = first.form
    planes = list(found.planes.flat)
    grid = _grid(found) if first.lies else None
    check_size(len(planes) * form.size * (1 if form.allocated > 8 else 2))
    if chunks is None:
        values = read(planes)
    else:
        values = _lazy(planes)
    shape = found.planes.shape
    dims: tuple[str, ...] = (*found.front, "z", "y", "x")
    values = values.reshape(*shape, *form.shape)
    coordinates: dict[str, Any] = {}
    if grid is None:
        values, dims = values.reshape(form.shape), ("y", "x")
        coordinates = {"SOPInstanceUID": first.sop_instance, "path": first.path}
    else:
        coordinates = {name: (name, getattr(grid, name), {"units": "mm"}) for name in "zyx"}
        coordinates |= _per_plane(found)
        coordinates["geometry"] = geometry_coordinate(grid.matrix, first.frame, grid.spacing)
    if form.samples > 1:
        dims = (*dims, "channel")
        coordinates["channel"] = ("channel", ["red", "green", "blue"])
    array = xr.DataArray(values, coordinates, dims, attrs=attributes(planes))
    if chunks is not None and chunks != {}:
        array = array.chunk(chunks)
    return array


def _grid(found: Stack) -> Grid:
    planes = found.planes.reshape(-1, found.planes.shape[-1])
    points = np.array([[plane.position for plane in row] for row in planes], np.float64)
    apart = float(np.linalg.norm(points - points[0], axis=-1).max())
    if apart > STRAIGHT:
        raise GeometryError(f"the volumes along {found.front[0]} do not lie on each other ({apart:.2f} mm apart)")
    first = found.first
    assert first.spacing is not None and first.orientation is not None
    thick = first.value("SpacingBetweenSlices") or first.value("SliceThickness")
    # The orientations agree within a tolerance; their mean favours none.
    orientation = np.mean([plane.orientation for plane in planes[0]], axis=0)
    grid = stack(
        points[0],
        orientation if len({plane.orientation for plane in planes[0]}) > 1 else first.orientation,
        (first.spacing[0], first.spacing[1]),
        (first.form.rows, first.form.columns),
        abs(float(thick)) if isinstance(thick, int | float) else None,
    )
    found.warnings.extend(grid.problems)
    return grid


def _per_plane(found: Stack) -> dict[str, Any]:
    planes, dims = found.planes, (*found.front, "z")

    def along(values: Sequence[Any], dtype: Any) -> tuple[tuple[str, ...], Array]:
        return dims, np.array(values, dtype).reshape(planes.shape)

    flat = list(planes.flat)
    coordinates: dict[str, Any] = dict(found.coordinates)
    coordinates["SOPInstanceUID"] = along([plane.sop_instance for plane in flat], str)
    numbers = [plane.number for plane in flat]
    if None not in numbers:
        coordinates["InstanceNumber"] = along(numbers, np.int64)
    coordinates["path"] = along([plane.path for plane in flat], str)
    for name, keyword in (("padding", "PixelPaddingValue"), ("padding_limit", "PixelPaddingRangeLimit")):
        stored = [_padding(plane, keyword) for plane in flat]
        if None not in stored:
            values = [plane.rescale.of(value) for plane, value in zip(flat, stored, strict=True)]
            coordinates[name] = along(values, np.float64)
    return coordinates


def _padding(plane: Plane, keyword: str) -> int | None:
    """Stored padding value; its VR may disagree with the sign of the pixels, so its bits count."""
    value = plane.value(keyword)
    if not isinstance(value, int):
        return None
    bits = plane.form.allocated
    low, _ = plane.form.range
    value &= 2**bits - 1
    return value - 2**bits if low < 0 and value >= 2 ** (bits - 1) else value


def attributes(planes: Sequence[Plane]) -> dict[str, Any]:
    """Series attributes by keyword where all planes agree, and `units`; values netCDF can take."""
    from .elements import tag_of

    first = planes[0].elements
    found: dict[str, Any] = {}
    for keyword in SERIES:
        tag = tag_of(keyword)
        raw = first.raw.get(tag, _EMPTY)[1]
        if raw and all(plane.elements.raw.get(tag, _EMPTY)[1] == raw for plane in planes):
            value = planes[0].value(keyword)
            if isinstance(value, tuple):
                value = [part if part is not None else "" for part in value]
            if isinstance(value, str | int | float | list):
                found[keyword] = value
    found["units"] = units(planes[0])
    return found


def units(plane: Plane) -> str:
    """Units of the modality values: PET Units, HU for CT, else RescaleType; "" if unknown."""
    modality, kind = plane.elements.text("Modality"), plane.elements.text("RescaleType")
    if modality == "PT" and plane.elements.text("Units"):
        return plane.elements.text("Units")
    if kind == "US":  # "unspecified"
        return ""
    if modality == "CT" and not kind and "RescaleIntercept" in plane.elements:
        return "HU"
    return kind


# ---------------------------------------------------------------------- values
def read(planes: Sequence[Plane]) -> Array:
    """Modality values (R12.7) of planes of one format, shape (planes, rows, columns[, 3])."""
    form = planes[0].form
    shape = (len(planes), *form.shape)
    if form.samples > 1:
        return _filled(planes, np.empty(shape, form.dtype), _colour)
    if any("ModalityLUTSequence" in plane.elements for plane in planes):
        return np.stack([_through_lut(plane) for plane in planes])
    if not all(plane.rescale.whole for plane in planes):
        return _filled(planes, np.empty(shape, np.float32), _general)
    ends = [plane.rescale.of(stored) for plane in planes for stored in form.range]
    dtype = smallest(min(ends), max(ends))
    if (form.allocated == 16 and dtype.itemsize != 2) or dtype == np.uint16:
        # What the bits could hold does not fit, what is in them usually does.
        try:
            return _filled(planes, np.empty(shape, np.int16), _sixteen)
        except _DoesNotFit:
            pass
    if form.allocated == 16 and dtype == np.int16:
        return _filled(planes, np.empty(shape, np.int16), _sixteen)
    if dtype.itemsize == 4 and dtype != np.float32:
        values = _filled(planes, np.empty(shape, dtype), _general)
        return values.astype(smallest(int(values.min()), int(values.max())), copy=False)
    return _filled(planes, np.empty(shape, dtype), _general)


def _filled(planes: Sequence[Plane], out: Array, work: Any) -> Array:
    """Apply ``work(plane, place)`` to every plane, in two threads or more where there is enough to do."""
    count = min(max(2, (os.cpu_count() or 1)), 8)
    if out.nbytes < 4 * 2**20 or len(planes) < 2 * count:
        count = 1
    if count == 1:
        for plane, place in zip(planes, out, strict=True):
            work(plane, place)
        return out

    def part(number: int) -> None:
        for index in range(number * len(planes) // count, (number + 1) * len(planes) // count):
            work(planes[index], out[index])

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(part, number) for number in range(count)]:
            done.result()
    return out


def stored_values(plane: Plane, place: Array | None = None) -> Array:
    """Stored values of a plane, into `place` (same bytes per value) where given."""
    form = plane.form
    if plane.native:
        if place is None:
            place = np.empty(form.shape, form.dtype)
        read_into(plane.path, plane.place[0], place)
        return tidy(place.view(form.dtype), form)
    decoded = decode(plane.path, plane.transfer_syntax, form, plane.place)
    if place is None:
        return decoded
    place.view(form.dtype)[...] = decoded
    return place.view(form.dtype)


def _colour(plane: Plane, place: Array) -> None:
    if plane.native and plane.form.photometric == "RGB":
        read_into(plane.path, plane.place[0], place)
    else:
        place[...] = decode(plane.path, plane.transfer_syntax, plane.form, None)


def _sixteen(plane: Plane, place: Array) -> None:
    """16-bit values rescaled where they lie; sums wrap around and are right where the result fits."""
    stored = stored_values(plane, place)
    slope, intercept = int(plane.rescale.slope), int(plane.rescale.intercept)
    low, high = plane.form.range
    if slope != 1:
        wide = stored.astype(np.int64) * slope + intercept
        if wide.min() < -32768 or wide.max() > 32767:
            raise _DoesNotFit
        place[...] = wide
        return
    if high + intercept > 32767 and int(stored.max()) + intercept > 32767:
        raise _DoesNotFit
    if low + intercept < -32768 and int(stored.min()) + intercept < -32768:
        raise _DoesNotFit
    if intercept:
        np.add(place.view(np.uint16), np.uint16(intercept % 65536), out=place.view(np.uint16))


def _general(plane: Plane, place: Array) -> None:
    place[...] = rescaled(stored_values(plane), plane.rescale, place.dtype)


def rescaled(stored: Array, rescale: Rescale, dtype: Any) -> Array:
    """Modality values, worked out in float64 (exact integers where whole) and rounded once, to `dtype`."""
    if rescale.whole and np.dtype(dtype).kind in "iu":
        return (stored.astype(np.int64) * int(rescale.slope) + int(rescale.intercept)).astype(dtype)
    return (stored.astype(np.float64) * rescale.slope + rescale.intercept).astype(dtype)


def _through_lut(plane: Plane) -> Array:
    from pydicom.pixels import apply_modality_lut

    return np.asarray(apply_modality_lut(stored_values(plane), plane.elements.dataset()))


def _lazy(planes: Sequence[Plane]) -> Any:
    """The same as a dask array, one chunk a plane; the type follows from the headers alone."""
    try:
        import dask.array as da
        from dask.delayed import delayed
    except ImportError:
        raise MissingCodec("chunks= needs dask", advice='pip install "dicomlab[dask]"') from None
    form = planes[0].form
    if form.samples > 1:
        dtype, work = form.dtype, _colour
    elif any("ModalityLUTSequence" in plane.elements for plane in planes):
        raise MissingCodec("a series with a modality LUT is not loaded lazily", advice="Leave out chunks=.")
    else:
        ends = [plane.rescale.of(stored) for plane in planes for stored in form.range]
        whole = all(plane.rescale.whole for plane in planes)
        dtype, work = (smallest(min(ends), max(ends)) if whole else np.dtype(np.float32)), _general

    def one(plane: Plane) -> Array:
        place = np.empty(form.shape, dtype)
        work(plane, place)
        return place

    return da.stack([da.from_delayed(delayed(one)(plane), form.shape, dtype) for plane in planes])
