"""Where the voxels of an array lie: worked out from its coordinates x, y, z and the scalar coordinate ``geometry``.

Nothing of it is kept: slicing, flipping, arithmetic, concat and netCDF keep the coordinates right, and so this too.
See geometry.py for the one rule behind it. In-place arithmetic on the values, ``roll`` and ``shift`` move voxels
without their coordinates and are not seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..errors import GeometryError, InvalidRequest
from .geometry import AXES, Floats, Grid, axis_letters, digest, step_of, unequal
from .resample import must_be_volume
from .sides import indices

_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))


def geometry_coordinate(
    matrix: Floats, frame: str, spacing: tuple[float, float, float], space: str = ""
) -> xr.Variable:
    """The scalar coordinate `geometry`: a digest of M and the frame of reference, M in its attributes.

    `space` names what positions are relative to where that is not the patient.
    """
    attributes: dict[str, Any] = {
        "M": [float(number) for number in np.asarray(matrix).reshape(9)],  # row by row
        "spacing": [float(step) for step in spacing],  # mm along x, y, z; read only for axes of length 1
        "FrameOfReferenceUID": frame,
    }
    if space:
        attributes["space"] = space
    return xr.Variable((), digest(matrix, frame), attributes)


def coordinates_of(grid: Grid, frame: str, space: str = "") -> dict[str, Any]:
    """The coordinates z, y, x and `geometry` of an array whose voxels lie on that grid, as xarray takes them."""
    found: dict[str, Any] = {name: (name, getattr(grid, name), {"units": "mm"}) for name in "zyx"}
    return found | {"geometry": geometry_coordinate(grid.matrix, frame, grid.spacing, space)}


class Positions:
    """The part of ``.dicom`` that says where voxels lie in the patient."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def _geometry(self) -> xr.DataArray:
        found = self._array.coords.get("geometry")
        if found is None:
            raise GeometryError(
                "the array has no geometry",
                advice="A picture without a position has none, and arithmetic between volumes of different geometry "
                "leaves none: resample one first.",
            )
        if found.ndim:
            raise GeometryError(
                "the array holds several geometries (a concat of different ones)",
                advice="Take one of them with isel.",
            )
        if "M" not in found.attrs:
            raise GeometryError("the coordinate `geometry` has lost its attributes")
        return found

    @property
    def matrix(self) -> Floats:
        """M, float64 (3, 3): position in the patient (LPS, mm) = M @ (x, y, z).

        Raises
        ------
        GeometryError
            There is no geometry, or there are several.
        """
        matrix = np.asarray(self._geometry().attrs["M"], np.float64)
        if matrix.size != 9:
            raise GeometryError("the geometry does not hold nine numbers")
        return matrix.reshape(3, 3)

    @property
    def space(self) -> str:
        """What positions are relative to: "patient", or "volume" of an ultrasound volume that knows no patient."""
        return str(self._geometry().attrs.get("space", "patient"))

    @property
    def frame_of_reference(self) -> str:
        """FrameOfReferenceUID, "" where the images named none."""
        return str(self._geometry().attrs.get("FrameOfReferenceUID", ""))

    def _coordinate(self, name: str) -> Floats:
        if name not in self._array.coords:
            raise GeometryError(f"the array has no coordinate {name}")
        return np.atleast_1d(np.asarray(self._array.coords[name].values, np.float64))

    @property
    def dims(self) -> tuple[str, ...]:
        """The spatial dimensions, in the order of the array: ("z", "y", "x") as loaded."""
        return tuple(str(name) for name in self._array.dims if name in AXES)

    def _step(self, name: str) -> float:
        """Signed distance between voxels along an axis, mm."""
        values = self._coordinate(name)
        if len(values) == 1:
            return float(np.asarray(self._geometry().attrs["spacing"], np.float64)[AXES.index(name)])
        step = step_of(values)
        if step is None:
            raise GeometryError(
                f"spacing along {name} is not uniform: {unequal(values)}",
                advice=f"Positions are right all the same: use the coordinate {name}, or .dicom.position; "
                ".dicom.regular() resamples to one step.",
            )
        return step

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between voxel centres, mm, in the order of the array's spatial dimensions.

        Raises
        ------
        GeometryError
            It is not uniform (slices are missing).
        """
        return tuple(abs(self._step(name)) for name in self.dims)

    @property
    def affine(self) -> Floats:
        """float64 (4, 4): index (k, j, i, 1) to patient position (LPS, mm) of voxel centres.

        The indices are those of the array's own spatial dimensions in their order, (z, y, x) as loaded.

        Raises
        ------
        GeometryError
            Spacing is not uniform, or a spatial dimension is gone.
        """
        matrix, dims = self.matrix, self.dims
        if len(dims) != 3:
            raise GeometryError(
                f"an affine needs the dimensions x, y and z, here are {', '.join(dims) or 'none'}",
                advice="Keep a dimension of length 1: isel(z=[k]) instead of isel(z=k).",
            )
        affine = np.eye(4)
        for column, name in enumerate(dims):
            affine[:3, column] = matrix[:, AXES.index(name)] * self._step(name)
        affine[:3, 3] = self.origin
        return affine

    @property
    def direction(self) -> Floats:
        """float64 (3, n): unit vectors (LPS) along growing index, one column for each spatial dimension."""
        matrix = self.matrix
        columns = []
        for name in self.dims:
            values = self._coordinate(name)
            backwards = len(values) > 1 and values[-1] < values[0]
            columns.append(matrix[:, AXES.index(name)] * (-1.0 if backwards else 1.0))
        return np.stack(columns, axis=1) if columns else np.zeros((3, 0))

    @property
    def origin(self) -> Floats:
        """float64 (3,): patient position (LPS, mm) of the centre of the first voxel."""
        return self.matrix @ np.array([self._coordinate(name)[0] for name in AXES])

    @property
    def orientation(self) -> str:
        """A letter for each spatial dimension, the side it runs to: "SPL" for plain axial images.

        Raises
        ------
        GeometryError
            Positions are not those of a patient.
        """
        self._patient()
        return "".join(axis_letters(column) for column in self.direction.T)

    def _patient(self) -> None:
        """Refuse to name sides of a patient where there is none."""
        if self.space != "patient":
            raise GeometryError(
                f"positions are relative to the {self.space}, not to the patient, so that there are no sides",
                advice="Use the coordinates x, y and z, in mm.",
            )

    @property
    def axes(self) -> dict[str, str]:
        """For each spatial dimension the sides it runs from and to, as ``{"z": "I to S", ...}``."""
        return {name: f"{_OPPOSITE[to]} to {to}" for name, to in zip(self.dims, self.orientation, strict=True)}

    def position(self, *index: ArrayLike) -> Floats:
        """Patient position (LPS, mm) of voxels by their index.

        Parameters
        ----------
        index
            One for each spatial dimension in the array's order (k, j, i as loaded); numbers or arrays.

        Returns
        -------
        float64 (..., 3), also where spacing is not uniform.

        Raises
        ------
        InvalidRequest
            The number of indices is not that of the spatial dimensions, or one lies outside the array.
        """
        dims = self.dims
        if len(index) != len(dims):
            raise InvalidRequest(f"position takes {len(dims)} indices, for {', '.join(dims)}")
        given = dict(zip(dims, np.broadcast_arrays(*index), strict=True))
        shape = next(iter(given.values())).shape if given else ()
        for name, places in given.items():
            size = self._array.sizes[name]
            if places.size and not (places.dtype.kind in "iu" and -size <= places.min() and places.max() < size):
                raise InvalidRequest(
                    f"the array has {size} voxels along {name}, and {places.tolist()!r:.60} is no index of one",
                    advice=f"Give whole numbers below {size}.",
                )
        points = [
            self._coordinate(name)[given[name]] if name in given else np.full(shape, self._coordinate(name)[0])
            for name in AXES
        ]
        return np.stack(points, axis=-1) @ self.matrix.T

    def same_grid(self, other: xr.DataArray) -> bool:
        """Whether the voxels of both lie at the same places in one frame of reference.

        Raises
        ------
        InvalidRequest
            The other is no volume.
        """
        must_be_volume(other)
        try:
            mine, theirs = str(self._geometry().values), str(other.dicom._geometry().values)
        except GeometryError:
            return False
        return mine == theirs and all(
            np.array_equal(self._coordinate(name), other.dicom._coordinate(name)) for name in AXES
        )

    def sel(self, **sides: Any) -> xr.DataArray:
        """The slice, or range of slices, at patient coordinates: ``sel(S=-35)``, ``sel(A=slice(0, 40))``.

        L, P and S are the positive directions of LPS; R, A and I the negative ones, so ``R=20`` is 20 mm
        to the right. In an oblique volume the missing coordinates are those of its centre.

        Raises
        ------
        InvalidRequest
            A letter is none of R L A P S I, or two of them name one axis.
        GeometryError
            The place lies outside the volume, or there is no geometry.
        """
        self._patient()
        coordinates = {name: self._coordinate(name) for name in AXES}
        found = indices(sides, self.matrix, coordinates, self.dims, self._step)
        return self._array.isel(found)
