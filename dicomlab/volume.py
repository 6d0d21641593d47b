"""The accessor ``.dicom``: what DICOM adds to an xarray volume.

It keeps nothing of its own: everything is worked out from the coordinates x, y, z and the scalar coordinate
``geometry`` (see geometry.py), which slicing, flipping, arithmetic, concat and netCDF keep right. In-place
arithmetic on the values, ``roll`` and ``shift`` move voxels without their coordinates and are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .errors import GeometryError, InvalidRequest
from .exports import Exports
from .geometry import AXES, Floats, axis_letters, digest, step_of
from .glance import glance
from .markup import Html, rows
from .sides import indices

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

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


@xr.register_dataarray_accessor("dicom")
class DicomAccessor(Exports):
    """Geometry and origin of a volume: ``volume.dicom.affine``, ``.window``, ``.montage()``, ``.to_sitk()``, ..."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def __repr__(self) -> str:
        return f"<dicom: {'; '.join(f'{name} {text}' for name, text in glance(self._array))}>"

    def _repr_html_(self) -> Html:
        return rows(glance(self._array), "volume")

    # ------------------------------------------------------------------ geometry
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
            from .geometry import unequal

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
        from .resample import must_be_volume

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

    def like(self, other: xr.DataArray, method: str | None = None, fill: Any = None) -> xr.DataArray:
        """The array on the grid of another volume, by the places of the voxels in the patient.

        Dimensions without place (``time``, ``segment``, ``channel``) stay; coordinates along x, y and z, such as
        SOPInstanceUID of each plane, are those of no voxel any more and are left out.

        Parameters
        ----------
        other
            A volume in the same frame of reference.
        method
            "linear" or "nearest"; None: nearest for a boolean array, linear for all others. Linear gives
            float32 (float64 from float64); for numbers that are labels choose nearest.
        fill
            Value outside the voxels of this array; None: NaN, False of a mask, 0 of integers. A voxel reaches
            half a step beyond its centre.

        Raises
        ------
        InvalidRequest
            The other is no volume.
        GeometryError
            The two are not in one frame of reference, or a spatial dimension is gone.

        Warns
        -----
        ResultWarning
            Planes are missing in this array: what lies between is worked out from those beside them.

        Examples
        --------
        The dose at the voxels of another volume, here of every second plane of itself:

        >>> from pydicom.data import get_testdata_file
        >>> from dicomlab.series import load
        >>> dose = load(get_testdata_file("rtdose.dcm"))
        >>> found = dose.dicom.like(dose[::2] > 1)
        >>> found.shape, found.dtype, bool((found.values == dose.values[::2]).all())
        ((8, 10, 10), dtype('float32'), True)
        """
        from .resample import METHODS, like

        if method in (None, *METHODS) and self.same_grid(other):
            return self._array.copy()
        return like(self._array, other, method, fill)

    def regular(
        self,
        spacing: float | Sequence[float] | None = None,
        *,
        axes: str = "planes",
        method: str | None = None,
        fill: Any = None,
    ) -> xr.DataArray:
        """The array on a regular grid: axes at right angles and one step along each, so that it has an affine anywhere.

        For a tilted gantry, missing planes and unequal steps. The grid covers all voxel centres, and begins with the
        first plane. Nothing is changed where the array lies on that grid already. As of `like`, coordinates of each
        plane are left out.

        Parameters
        ----------
        spacing
            mm: one number, or three in the order of the array's spatial dimensions; None keeps that of the pixels, and
            between planes the least distance there is (of a tilted stack along their normal, so that each plane stays
            one).
        axes
            "planes": rows and columns stay as they are, the third axis is their normal. "patient": the axes of the
            patient, so that x, y and z are L, P and S.
        method, fill
            As of `like`.

        Raises
        ------
        InvalidRequest
            A choice is none of these.
        GeometryError
            A spatial dimension is gone, or there is no geometry.

        Warns
        -----
        ResultWarning
            Planes are missing: what lies between is worked out from those beside them.

        Examples
        --------
        >>> from pydicom.data import get_testdata_file
        >>> from dicomlab.series import load
        >>> dose = load(get_testdata_file("rtdose.dcm"))
        >>> dose.dicom.spacing, dose.dicom.regular(5).dicom.spacing
        ((5.0, 10.0, 10.0), (5.0, 5.0, 5.0))
        """
        from .regular import regular

        return regular(self._array, spacing, axes, method, fill)

    # ------------------------------------------------------------------ what it was made of
    @property
    def units(self) -> str:
        """Units of the values, "" where none are known.

        "HU" of CT; of PET always a term of Units (0054,1001), such as "BQML" (Bq/ml) and "GML" (g/ml, SUV); "Gy" or
        "relative" of a dose; of others their RescaleType, or a code of UCUM such as "um2/s".
        """
        return str(self._array.attrs.get("units", ""))

    @property
    def instances(self) -> pd.DataFrame:
        """The instances the array was made of, one row each: SOPInstanceUID, InstanceNumber, path, z (mm)."""
        import pandas as pd

        names = [name for name in ("SOPInstanceUID", "InstanceNumber", "path") if name in self._array.coords]
        if not names:
            return pd.DataFrame(columns=["SOPInstanceUID", "InstanceNumber", "path", "z"])
        coordinates = self._array.coords
        wanted = [coordinates[name] for name in names]
        wanted += [coordinates["z"].reset_coords(drop=True).rename("z")] if "z" in coordinates else []
        columns = xr.broadcast(*wanted)
        return pd.DataFrame({str(column.name): np.ravel(column.values) for column in columns})

    def real_world(self, which: int | str | None = None) -> xr.DataArray:
        """Real world values by a mapping of the images (0040,9096).

        Parameters
        ----------
        which
            None: the first item of the mapping sequence that is a line (a table is no choice); or its number from 1,
            its label (LUTLabel) or its units.

        Returns
        -------
        xarray.DataArray
            float32 of the same shape; NaN where the mapping is not stated for the stored value; ``units`` a code such
            as "Hz", of PET a term of Units (0054,1001).

        Raises
        ------
        InvalidRequest
            The images have no such mapping, or one in several units.
        """
        from .realworld import real_world

        return real_world(self._array, which)

    @property
    def padding(self) -> xr.DataArray:
        """A boolean array, True where a value is padding (PixelPaddingValue), not measured.

        It compares values, so ask before changing them.
        """
        array, coordinates = self._array, self._array.coords
        if "padding" not in coordinates:
            return xr.zeros_like(array, dtype=bool)
        first = coordinates["padding"].variable
        last = coordinates["padding_limit"].variable if "padding_limit" in coordinates else first
        kind = array.dtype if array.dtype.kind == "f" else np.float64  # rounded as the values were
        mask = (array >= np.minimum(first, last).astype(kind)) & (array <= np.maximum(first, last).astype(kind))
        mask.attrs = {}
        return mask.transpose(*array.dims)

    def suv(self, kind: str = "bw", **known: Any) -> xr.DataArray:
        """A PET volume in SUV, worked out from the headers of the instances it was made of, PET or Enhanced PET images.

        Parameters
        ----------
        kind
            "bw" by body weight, "lbm" by lean body mass (Janmahasatian; "lbmjames128" by James), "bsa" by body
            surface.
        known
            What you know and the headers do not say: ``PatientWeight`` (kg), ``PatientSize`` (m), ``PatientSex``,
            ``RadionuclideTotalDose`` (Bq), ``RadionuclideHalfLife`` (s), ``RadiopharmaceuticalStartDateTime``.

        Returns
        -------
        xarray.DataArray
            float32 of the same shape; ``units`` "GML" (g/ml), for "bsa" "CM2ML" (cm2/ml), how it was computed in
            ``attrs["SUV"]``.

        Raises
        ------
        InvalidRequest
            There is no SUV; the message names the attribute that is missing or wrong. Nothing is ever assumed.
        BadFile
            An instance is no longer where it was.
        """
        from .suv import suv

        return suv(self._array, kind, known)

    # ------------------------------------------------------------------ looking
    @property
    def window(self) -> tuple[float, float]:
        """Centre and width to look at it with: that of the images if they share one, else from the values."""
        attributes = self._array.attrs
        centre, width = (np.atleast_1d(attributes.get(name, [])) for name in ("WindowCenter", "WindowWidth"))
        if centre.size and width.size and float(width[0]) > 0:
            return float(centre[0]), float(width[0])
        values = np.asarray(self._array.values)
        if values.dtype == np.bool_:
            return 0.5, 1.0
        sample = values.ravel()[:: max(1, values.size // 200_000)].astype(np.float64)
        sample = sample[np.isfinite(sample)]
        low, high = np.percentile(sample, [1, 99.5]) if sample.size else (0.0, 1.0)
        if attributes.get("Modality") == "CT" and self.units == "HU" and low < 240 and high > -160:
            return 40.0, 400.0
        if low == high and sample.size:  # nearly all alike: what is not must be seen
            finite = values[np.isfinite(values)]
            low, high = float(finite.min()), float(finite.max())
        elif attributes.get("Modality") == "PT" and sample.size:  # what is hot is small: let it stand out
            low, high = 0.0, min(4 * high, float(np.nanmax(values)))
        return float(low + high) / 2, float(max(high - low, 1e-9))

    def montage(self, axis: str = "z", **choices: Any) -> Image:
        """Slices side by side as one picture of 8-bit grey, windowed, each with the right aspect.

        Parameters
        ----------
        axis
            The dimension that is laid out; a 4-D array shows its first volume.
        choices
            ``slices`` (how many at most), ``columns``, ``window`` (centre, width), ``width`` of the picture.

        Returns
        -------
        PIL.Image.Image
            Mode "L", or "RGB" for colour.
        """
        from .montage import montage

        return montage(self._array, axis, **choices)
