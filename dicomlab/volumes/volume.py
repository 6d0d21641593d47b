"""The accessor ``.dicom``: what DICOM adds to an xarray volume. Where its voxels lie is said by positions.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..markup import Html, rows
from .exports import Exports
from .glance import glance

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image


@xr.register_dataarray_accessor("dicom")
class DicomAccessor(Exports):
    """Geometry and origin of a volume: ``volume.dicom.affine``, ``.window``, ``.montage()``, ``.to_sitk()``, ..."""

    def __repr__(self) -> str:
        return f"<dicom: {'; '.join(f'{name} {text}' for name, text in glance(self._array))}>"

    def _repr_html_(self) -> Html:
        return rows(glance(self._array), "volume")

    # ------------------------------------------------------------------ on another grid
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
        >>> from dicomlab.volumes.series import load
        >>> dose = load(get_testdata_file("rtdose.dcm"))
        >>> found = dose.dicom.like(dose[::2] > 1)
        >>> found.shape, found.dtype, bool((found.values == dose.values[::2]).all())
        ((8, 10, 10), dtype('float32'), True)
        """
        from ..geometry.resample import METHODS, like

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
        >>> from dicomlab.volumes.series import load
        >>> dose = load(get_testdata_file("rtdose.dcm"))
        >>> dose.dicom.spacing, dose.dicom.regular(5).dicom.spacing
        ((5.0, 10.0, 10.0), (5.0, 5.0, 5.0))
        """
        from ..geometry.regular import regular

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
        from ..pixels.realworld import real_world

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
