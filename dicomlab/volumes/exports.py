"""Volumes for other libraries: netCDF, NIfTI by nibabel, SimpleITK images; geometry exact, or refused.

What carries what, besides an affine at right angles:

============== ================ ==================== =========================
form           sheared (tilt)   uneven spacing       dimensions in front
============== ================ ==================== =========================
netCDF, zarr   yes              yes                  any
NIfTI          yes (sform)      refused              up to four
SimpleITK      refused          refused              one
============== ================ ==================== =========================

netCDF and zarr are xarray's own; coordinates, geometry and attributes go with them.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import phi
from ..errors import GeometryError, InvalidRequest, MissingCodec
from ..geometry.geometry import SAME_DIRECTION, Floats, step_of
from ..geometry.positions import Positions
from ..pixels.pixels import smallest

_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # of NIfTI, from LPS
_RESAMPLE = "Resample it onto a regular grid first: volume.dicom.regular()."
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


class Exports(Positions):
    """The part of ``.dicom`` that hands a volume to other libraries."""

    def to_nibabel(self) -> Any:
        """The volume as ``nibabel.Nifti1Image`` (extra ``nifti``).

        Its array is (x, y, z) as loaded, the spatial dimensions of the volume in reverse, with the dimensions in front
        of them behind; colour of 8 bits is of type RGB24. Its affine is in RAS, mm, and may be sheared; then only the
        sform has it, since a qform cannot.

        Raises
        ------
        GeometryError
            Spacing is not uniform, or a spatial dimension is gone.
        InvalidRequest
            NIfTI has no such values (colour of 16 bits), or not so many dimensions.
        MissingCodec
            nibabel is not installed.
        """
        nibabel = _library("nibabel", "nifti")
        array, front, colour = _ordered(self._array)
        if len(front) > 4:
            raise InvalidRequest(f"NIfTI has no room for {', '.join(front)} in front of space")
        values = _values(array)
        if colour:
            if values.dtype != np.uint8 or values.shape[-1] != 3:
                raise InvalidRequest("NIfTI has colours of three times 8 bits only", advice="Take one channel of it.")
            values = np.ascontiguousarray(values).view(_RGB)[..., 0]
        affine = _RAS @ _reversed(self._affine_for("NIfTI"))
        image = nibabel.Nifti1Image(values.T, affine)
        image.set_sform(affine, code="scanner")
        image.set_qform(affine if _straight(affine) else None, code="scanner" if _straight(affine) else 0)
        seconds = _seconds(self._array)
        image.header.set_xyzt_units("mm", "sec" if seconds else "unknown")
        if seconds:
            image.header["pixdim"][4] = seconds
        return image

    def to_netcdf(self, path: str | os.PathLike[str]) -> Path:
        """Write the volume as a netCDF 4 file, with coordinates, geometry and attributes (extra ``netcdf``).

        ``xarray.load_dataarray(path)`` gives the same volume again. Its attributes name the patient, unless the volume
        was made with ``dl.options.phi`` off. ``volume.to_netcdf`` of xarray itself takes whatever engine is
        there, and SciPy's cannot write attributes of several texts, such as ImageType.

        Raises
        ------
        InvalidRequest
            It is no path, its name does not end in .nc, or its folder does not exist.
        MissingCodec
            h5netcdf is not installed.
        """
        place = _place(path, "netCDF", (".nc",), "ct.nc")
        _library("h5netcdf", "netcdf")
        self._array.to_netcdf(place, engine="h5netcdf")
        return place

    def to_nifti(self, path: str | os.PathLike[str]) -> Path:
        """Write the volume as a NIfTI file, ``.nii`` or ``.nii.gz`` (extra ``nifti``); nothing names the patient in it.

        Raises
        ------
        InvalidRequest
            It is no path, its name ends in neither, its folder does not exist; or as for `to_nibabel`.
        GeometryError, MissingCodec
            As for `to_nibabel`.
        """
        place = _place(path, "NIfTI", (".nii", ".nii.gz"), "ct.nii.gz")
        _library("nibabel", "nifti").save(self.to_nibabel(), place)
        return place

    def to_sitk(self) -> Any:
        """The volume as ``SimpleITK.Image`` (extra ``itk``), in LPS, mm; colour as a vector of samples.

        A dimension in front of space is the fourth of the image.

        Raises
        ------
        GeometryError
            Spacing is not uniform, a spatial dimension is gone, or the volume is sheared: SimpleITK's directions are
            at right angles.
        InvalidRequest
            There is more than one dimension in front of space.
        MissingCodec
            SimpleITK is not installed.
        """
        itk = _library("SimpleITK", "itk")
        array, front, colour = _ordered(self._array)
        if len(front) > 1:
            raise InvalidRequest(
                f"a SimpleITK image has no room for {' and '.join(front)}", advice="Take one of them with isel."
            )
        affine = _reversed(self._affine_for("SimpleITK"))
        if not _straight(affine):
            raise GeometryError(
                "the volume is sheared (gantry tilt), the axes of a SimpleITK image are at right angles",
                advice=f"NIfTI carries it: to_nibabel. {_RESAMPLE}",
            )
        image = itk.GetImageFromArray(_values(array), isVector=colour)
        size = 3 + len(front)
        spacing, direction, origin = np.ones(size), np.eye(size), np.zeros(size)
        spacing[:3] = np.linalg.norm(affine[:3, :3], axis=0)
        direction[:3, :3] = affine[:3, :3] / spacing[:3]
        origin[:3] = affine[:3, 3]
        image.SetSpacing(spacing.tolist())
        image.SetDirection(direction.ravel().tolist())
        image.SetOrigin(origin.tolist())
        return image

    def _affine_for(self, form: str) -> Floats:
        try:
            return self.affine
        except GeometryError as error:
            advice = _RESAMPLE if "not uniform" in error.message else error.advice
            raise GeometryError(f"{form} cannot carry it: {error.message}", advice=advice) from None


def _place(path: Any, form: str, endings: tuple[str, ...], example: str) -> Path:
    """Where a file of that form may be written."""
    if not isinstance(path, str | os.PathLike):
        raise InvalidRequest(f"{path!r} is no path of a file", advice=f'Name one, such as "{example}".')
    place = Path(path).expanduser()
    if not place.name.lower().endswith(endings):
        said = f"{phi.path(place.name)} names no {form} file"
        raise InvalidRequest(said, advice=f"Let it end in {' or '.join(endings)}.")
    if not place.parent.is_dir():
        raise InvalidRequest(f"there is no folder {phi.path(str(place.parent))!r}", advice="Make it first.")
    return place


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingCodec(f"{name} is not installed", advice=f'Run: pip install "dicomlab[{extra}]"') from None


def _ordered(array: xr.DataArray) -> tuple[xr.DataArray, list[str], bool]:
    """With all others in front of space, `time` the last of them, and `channel` behind; the names in front."""
    space = [name for name in array.dims if name in ("x", "y", "z")]
    front = [str(name) for name in array.dims if name not in ("x", "y", "z", "channel")]
    front.sort(key=lambda name: name == "time")
    colour = ["channel"] if "channel" in array.dims else []
    return array.transpose(*front, *space, *colour), front, bool(colour)


def _values(array: xr.DataArray) -> NDArray[Any]:
    """In a type that the other libraries have."""
    values = np.asarray(array.values)
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size:
        kind = smallest(int(values.min()), int(values.max()))
        return values.astype(kind if kind.kind in "iu" else np.float64)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _reversed(affine: Floats) -> Floats:
    """From index (k, j, i, 1) to index (i, j, k, 1)."""
    return affine[:, [2, 1, 0, 3]]


def _straight(affine: Floats) -> bool:
    """Whether the axes are at right angles, within the rounding of direction cosines."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() <= 2 * SAME_DIRECTION)


def _seconds(array: xr.DataArray) -> float | None:
    """The step along `time`, where it is one and in seconds or milliseconds."""
    if "time" not in array.dims or "time" not in array.coords or array.coords["time"].dtype.kind not in "iuf":
        return None
    scale = {"s": 1.0, "ms": 0.001}.get(str(array.coords["time"].attrs.get("units", "")))
    values = np.asarray(array.coords["time"].values, np.float64)
    step = step_of(values * (scale or 1)) if len(values) > 1 else None
    return abs(step) if scale and step else None
