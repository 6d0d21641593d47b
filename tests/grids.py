"""Volumes whose values are what their places say, in any direction."""

from __future__ import annotations

import numpy as np
import xarray as xr

from dicomlab.geometry import geometry
from dicomlab.geometry.positions import coordinates_of

AXIAL, OBLIQUE = (1, 0, 0, 0, 1, 0), (0.8, 0.6, 0, -0.36, 0.48, 0.8)
SAGITTAL, BACKWARDS = (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, -1, 0)


def grid(orientation=AXIAL, shape=(6, 7, 8), spacing=(3, 2, 1.5), centre=(0, 0, 0), frame="1.2", heights=None):
    """A volume around a centre whose values are 2 x - 3 y + 5 z + 7 of its voxels' places (LPS, mm)."""
    six = np.array(orientation, float)
    across = np.cross(six[:3], six[3:])
    heights = np.arange(shape[0]) * spacing[0] if heights is None else np.array(heights)
    corner = np.array(centre, float) - across * heights.mean()
    corner -= six[3:] * spacing[1] * (shape[1] - 1) / 2 + six[:3] * spacing[2] * (shape[2] - 1) / 2
    found = geometry.stack(corner + heights[:, None] * across, six, spacing[1:], (shape[1], shape[2]), spacing[0])
    values = np.zeros((len(heights), *shape[1:]))
    volume = xr.DataArray(values, coordinates_of(found, frame), ("z", "y", "x"), attrs={"units": "Gy"})
    return volume.copy(data=expected(volume))


def expected(volume: xr.DataArray) -> np.ndarray:
    places = volume.dicom.position(*np.meshgrid(*map(np.arange, volume.shape), indexing="ij"))
    return places @ [2.0, -3.0, 5.0] + 7
