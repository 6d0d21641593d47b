"""What a volume is, how big it is and what is missing of it, in a few words."""

from __future__ import annotations

import xarray as xr

from ..errors import GeometryError


def glance(volume: xr.DataArray) -> list[tuple[str, str]]:
    """Name and text of what is worth knowing of a volume; "missing" only where something is.

    Examples
    --------
    >>> glance(xr.DataArray([[1, 2]], dims=("y", "x")))[0]
    ('size', '1 x 2 (y, x), int64, 16 bytes')
    """
    accessor = volume.dicom
    said = [("size", f"{_shape(volume)}, {volume.dtype}, {_memory(volume.nbytes)}")]
    missing = [] if accessor.units else ["units"]
    said.append(("units", accessor.units))
    try:
        said.append(("axes", ", ".join(f"{name} {text}" for name, text in accessor.axes.items())))
        said.append(("spacing", " x ".join(f"{step:g}" for step in accessor.spacing) + " mm"))
    except GeometryError as error:
        missing.append(error.message)
    return [(name, text) for name, text in [*said, ("missing", "; ".join(missing))] if text]


def _shape(volume: xr.DataArray) -> str:
    return f"{' x '.join(map(str, volume.shape))} ({', '.join(map(str, volume.dims))})"


def _memory(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"
