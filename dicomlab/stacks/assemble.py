"""A stack of planes to a labelled volume: coordinates, attributes, values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import GeometryError
from ..geometry.geometry import STRAIGHT, Grid, stack
from ..geometry.positions import coordinates_of
from ..pixels import realworld
from ..pixels.frames import read
from ..pixels.lazyframes import chunked, lazy
from ..pixels.pixels import Array
from .imageheader import SERIES
from .planes import Plane, agreed, column, frames
from .stacks import Stack


def volume(found: Stack, chunks: Any = None) -> xr.DataArray:
    """The labelled volume of a stack, or the image (y, x) of a plane without a position.

    Raises
    ------
    GeometryError
        The planes do not lie on a line, or the volumes of a 4-D stack do not lie on each other.
    """
    first = found.first
    planes = list(found.planes.flat)
    grid = _grid(found) if first.lies else None
    values = read(frames(planes)) if chunks is None else lazy(frames(planes), found.planes.shape)
    shape = found.planes.shape
    dims: tuple[str, ...] = (*found.front, "z", "y", "x")
    if chunks is None:
        values = values.reshape(*shape, *values.shape[1:])
    coordinates: dict[str, Any] = {}
    if grid is None:
        values, dims = values.reshape(values.shape[1:]), ("y", "x")
        coordinates = {"SOPInstanceUID": first.sop_instance, "path": first.path}
    else:
        coordinates = coordinates_of(grid, first.frame) | _per_plane(found)
    described = attributes(planes)
    if values.ndim > len(dims):
        dims = (*dims, "channel")
        coordinates["channel"] = ("channel", ["red", "green", "blue"])
        described["PhotometricInterpretation"] = "RGB"  # whatever it was in the file
    array = xr.DataArray(values, coordinates, dims, attrs=described)
    return array if chunks is None else chunked(array, chunks)


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
    coordinates |= {name: along(values, np.float64) for name, values in padding(flat).items()}
    said = column(flat, "RealWorldValueMappingSequence")
    mappings = [realworld.lines_of(items, plane.form.range) for plane, items in zip(flat, said, strict=True)]
    mapped = realworld.coordinates(mappings, [plane.rescale for plane in flat])
    for name, values in mapped.items():
        coordinates[name] = along(values, str if isinstance(values[0], str) else np.float64)
    return coordinates


def padding(planes: Sequence[Plane]) -> dict[str, list[float]]:
    """Modality value of the padding, and of the limit of its range, of each plane; {} where one has none."""
    found = {}
    for name, keyword in (("padding", "PixelPaddingValue"), ("padding_limit", "PixelPaddingRangeLimit")):
        stored = column(planes, keyword)
        if all(isinstance(value, int) for value in stored):
            pairs = zip(planes, stored, strict=True)
            found[name] = [float(plane.rescale.of(plane.form.as_stored(value))) for plane, value in pairs]
    return found


def attributes(planes: Sequence[Plane]) -> dict[str, Any]:
    """Series attributes by keyword where all planes agree, and `units`; values netCDF can take."""
    found: dict[str, Any] = {}
    for keyword in agreed(planes, SERIES):
        value = planes[0].value(keyword)
        if isinstance(value, tuple):
            value = [part if part is not None else "" for part in value]
        if isinstance(value, str | int | float | list):
            found[keyword] = value
    # Magnitude and phase in one volume have no units in common.
    ways = {(plane.shared, plane.rescale): plane for plane in planes}
    known = {units(plane) for plane in ways.values()}
    found["units"] = known.pop() if len(known) == 1 else ""
    return found


def units(plane: Plane) -> str:
    """Units of the modality values: PET Units, HU for CT, RescaleType, or of equal real world values; "" if unknown."""
    modality, kind = plane.elements.text("Modality"), plane.elements.text("RescaleType")
    if modality == "PT" and plane.elements.text("Units"):
        return plane.elements.text("Units")
    if modality == "CT" and not kind and "RescaleIntercept" in plane.elements:
        return "HU"
    if kind in ("", "US"):  # "unspecified"
        mappings = realworld.lines_of(plane.value("RealWorldValueMappingSequence"))
        return mappings[0].units_of(plane.rescale) if mappings else ""
    return kind
