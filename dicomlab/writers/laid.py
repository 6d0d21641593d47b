"""A volume as planes that DICOM can hold: where each lies, by the coordinates of the array (DESIGN 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..errors import GeometryError, InvalidRequest
from ..geometry.geometry import AXES, Floats, step_of

_RIGHT = 1e-3  # of two unit vectors: rows and columns this far from a right angle are no image


@dataclass(frozen=True)
class Planes:
    """The planes of a volume, in the order of their places."""

    array: xr.DataArray  # (..., plane, row, column), and channel behind for colour; sorted along the normal
    front: tuple[str, ...]  # dimensions before the plane
    positions: Floats  # (planes, 3), mm, LPS: ImagePositionPatient
    orientation: Floats  # (6,): ImageOrientationPatient
    spacing: tuple[float, float]  # between rows, between columns, mm
    step: float | None  # between planes along their normal, mm; None where they are unequal
    frame: str  # FrameOfReferenceUID, "" where there was none

    @property
    def plane(self) -> str:
        """The dimension whose steps are the planes."""
        return str(self.array.dims[len(self.front)])

    @property
    def colour(self) -> bool:
        """Whether there is a dimension for the channels."""
        return "channel" in self.array.dims


def must_be_array(what: Any, kind: str) -> None:
    """Refuse what has no coordinates.

    Raises
    ------
    InvalidRequest
        It is no xarray.DataArray.
    """
    if not isinstance(what, xr.DataArray):
        raise InvalidRequest(
            f"{type(what).__name__} cannot be written as {kind}: it does not say where it lies",
            advice="Give an xarray.DataArray, as load gives it: volume.copy(data=values) puts values in its place.",
        )


def planes_of(volume: xr.DataArray) -> Planes:
    """The planes of a volume along the first of its spatial dimensions.

    Raises
    ------
    InvalidRequest
        It has no geometry, or none that planes of equal pixels can have.
    """
    try:
        matrix, frame = volume.dicom.matrix, volume.dicom.frame_of_reference
        if volume.dicom.space != "patient":
            raise GeometryError(f"positions are relative to the {volume.dicom.space}, not to the patient")
        for name in AXES:
            if name not in volume.dims:
                if name not in volume.coords:
                    raise GeometryError(f"the array has no coordinate {name}")
                volume = volume.expand_dims(name)
        dims = tuple(str(name) for name in volume.dims if name in AXES)
        front = tuple(str(name) for name in volume.dims if name not in (*AXES, "channel"))
        behind = ("channel",) if "channel" in volume.dims else ()
        volume = volume.transpose(*front, *dims, *behind)
        across, along = (_direction(volume, matrix, name) for name in (dims[2], dims[1]))
        spacing = tuple(abs(float(volume.dicom._step(name))) for name in dims[1:])
    except GeometryError as error:
        raise InvalidRequest(
            f"the array has no place that images can say: {error.message}",
            advice=error.advice or "Write what load gave, or what was computed from it.",
        ) from None
    if not volume.size:
        raise InvalidRequest("the array is empty", advice="Choose at least one voxel.")
    if abs(across @ along) > _RIGHT:
        raise InvalidRequest(
            "rows and columns of the array are not at right angles (the gantry was tilted)",
            advice='Put its planes first, as load does: volume.transpose("z", "y", "x").',
        )
    first, step = _coordinates(volume, dims[0]), None
    corner = {name: _coordinates(volume, name)[0] for name in dims[1:]}
    points = np.array([[{dims[0]: value, **corner}[name] for name in AXES] for value in first])
    positions = points @ matrix.T
    normal = np.cross(across, along)
    heights = positions @ normal
    if len(heights) > 1 and heights[-1] < heights[0]:
        volume, positions, heights = volume.isel({dims[0]: slice(None, None, -1)}), positions[::-1], heights[::-1]
    if (np.diff(heights) <= 0).any():
        raise InvalidRequest(f"the planes along {dims[0]} are in no order", advice=f'Sort them: sortby("{dims[0]}").')
    lean = abs(float(matrix[:, AXES.index(dims[0])] @ normal))
    if len(first) == 1:
        step = abs(float(volume.dicom._step(dims[0]))) * lean
    elif (regular := step_of(first)) is not None:
        step = abs(regular) * lean
    orientation = np.concatenate([across, along])
    return Planes(volume, front, positions, orientation, (spacing[0], spacing[1]), step, frame)


def _coordinates(volume: xr.DataArray, name: str) -> Floats:
    return np.atleast_1d(np.asarray(volume.coords[name].values, np.float64))


def _direction(volume: xr.DataArray, matrix: Floats, name: str) -> Floats:
    """Unit vector along growing index."""
    values = _coordinates(volume, name)
    sign = -1.0 if len(values) > 1 and values[-1] < values[0] else 1.0
    column: Any = matrix[:, AXES.index(name)] * sign
    return np.asarray(column / np.linalg.norm(column) + 0.0)
