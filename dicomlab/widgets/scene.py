"""What a browser is told and sent of a volume and what lies over it: words once, voxels in pieces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import GeometryError, InvalidRequest
from ..geometry.geometry import AXES
from ..markup import shown
from .overlays import Mask, dose_over, masks_over, packed
from .panes import Pane, panes, standing
from .presets import Window, presets
from .voxels import Encoding, encoding_of

PIECE = 8 * 2**20  # bytes of one message, about
_PRIVATE = ("UID", "InstanceNumber", "path", "geometry")  # ends of names of coordinates that are no labels


@dataclass(frozen=True, eq=False)
class Layer:
    """One array that travels."""

    kind: str  # "image", "masks", "dose"
    array: xr.DataArray  # (others..., z, y, x[, channel])
    encoding: Encoding

    @property
    def planes(self) -> int:
        """Planes across z of all volumes."""
        return int(np.prod(self.array.shape[: self.array.dims.index("y")]))

    @property
    def plane_bytes(self) -> int:
        """Of one plane across z."""
        return int(np.prod(self.array.shape[self.array.dims.index("y") :])) * self.encoding.bytes

    def piece(self, first: int, last: int) -> NDArray[Any]:
        """Planes across z, `first` up to `last`, counted through all volumes."""
        front = self.array.shape[: self.array.dims.index("y")]
        made = [self.array[index].values for index in zip(*np.unravel_index(range(first, last), front), strict=True)]
        return self.encoding.stored(np.stack(made))

    def plane(self, across: str, index: int, element: int) -> NDArray[Any]:
        """One plane across any axis of one volume."""
        front = self.array.shape[: self.array.dims.index("z")]
        volume = self.array[tuple(int(each) for each in np.unravel_index(element, front))] if front else self.array
        return self.encoding.stored(np.asarray(volume.isel({across: index}).values))


class Scene:
    """A volume, its planes and windows, and what lies over it.

    Parameters
    ----------
    volume
        As `load` gives it, also 4-D, in colour, or an image without a position.
    masks, dose
        See `masks_over` and `dose_over`.
    """

    def __init__(self, volume: xr.DataArray, masks: Any = None, dose: Any = None) -> None:
        self.given = volume
        self.volume = _grey_or_colour(standing(volume))
        self.panes: tuple[Pane, Pane, Pane] = panes(self.volume)
        self.layers = [Layer("image", self.volume, encoding_of(self.volume))]
        self.windows: list[Window] = presets(self.volume)
        self.masks: list[Mask] = []
        self.dose: xr.DataArray | None = None
        grid = self.volume
        for name in self.front:
            grid = grid.isel({name: 0})
        if "channel" in grid.dims:
            grid = grid.isel(channel=0)
        self.grid = grid
        if masks is not None:
            self.masks = masks_over(grid, masks)
            for bits in packed(self.masks):
                self.layers.append(Layer("masks", xr.DataArray(bits, dims=("z", "y", "x")), Encoding("uint8")))
        if dose is not None:
            self.dose = dose_over(grid, dose)
            self.layers.append(Layer("dose", self.dose, encoding_of(self.dose)))

    @property
    def front(self) -> list[str]:
        """Dimensions that are not of space: time, echo, ..."""
        return [str(name) for name in self.volume.dims[: self.volume.dims.index("z")]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of z, y, x."""
        z, y, x = (int(self.volume.sizes[name]) for name in "zyx")
        return z, y, x

    @property
    def bytes(self) -> int:
        """That the browser needs to hold all of it."""
        return sum(layer.planes * layer.plane_bytes for layer in self.layers)

    @property
    def matrix(self) -> NDArray[np.float64] | None:
        """M of the volume; None where its voxels have no place: without geometry, or in a maximum along an axis."""
        if any("nowhere" in self.volume.coords[name].attrs for name in AXES if name in self.volume.coords):
            return None
        try:
            return np.asarray(self.volume.dicom.matrix)
        except GeometryError:
            return None

    def coordinates(self, name: str) -> NDArray[np.float64] | None:
        """Along z, y or x, mm; None where there are none."""
        if "geometry" not in self.volume.coords or "nowhere" in self.volume.coords[name].attrs:
            return None
        return np.atleast_1d(np.asarray(self.volume.coords[name].values, np.float64))

    def position(self, cursor: tuple[int, int, int]) -> tuple[float, float, float] | None:
        """Of a voxel by its indices k, j, i, in the patient (LPS, mm)."""
        if self.matrix is None:
            return None
        x, y, z = (float(value) for value in self.volume.dicom.position(*cursor))
        return x, y, z

    def nearest(self, position: tuple[float, float, float]) -> tuple[int, int, int]:
        """Indices k, j, i of the voxel nearest to a position in the patient (LPS, mm), along each axis.

        Raises
        ------
        GeometryError
            The volume has no geometry.
        """
        matrix = self.volume.dicom.matrix
        local = dict(zip(AXES, np.linalg.solve(matrix, np.asarray(position, np.float64)), strict=True))
        k, j, i = (int(np.argmin(np.abs(self._along(name) - local[name]))) for name in "zyx")
        return k, j, i

    def _along(self, name: str) -> NDArray[np.float64]:
        found = self.coordinates(name)
        assert found is not None
        return found

    def labels(self, name: str) -> list[str]:
        """Of each place along a dimension that is not of space: its coordinates, with their units."""
        own = self.volume.coords[name].dims if name in self.volume.coords else ()
        names = [name] if own == (name,) else []
        names += [str(other) for other, values in self.volume.coords.items() if values.dims == (name,)]
        names = [other for other in dict.fromkeys(names) if not other.endswith(_PRIVATE)]
        found = []
        for index in range(self.volume.sizes[name]):
            parts = [_label(self.volume.coords[other], index, other) for other in names]
            found.append(shown(" · ".join(parts)) or f"{name} {index}")
        return found

    @property
    def title(self) -> str:
        """Modality, number and description of the series."""
        attributes = self.given.attrs
        names = ("Modality", "SeriesNumber", "SeriesDescription")
        said = " ".join(str(attributes[name]) for name in names if attributes.get(name) not in (None, ""))
        return shown(said) or "volume"

    def words(self) -> dict[str, Any]:
        """All that a browser needs to know before the first voxel; JSON."""
        matrix = self.matrix
        return {
            "title": self.title,
            "units": self.volume.dicom.units,
            "shape": list(self.shape),
            "channels": int(self.volume.sizes.get("channel", 1)),
            "panes": [asdict(pane) for pane in self.panes],
            "matrix": None if matrix is None else matrix.ravel().tolist(),
            "axes": {name: self._axis(name) for name in "zyx"},
            "front": [{"name": name, "labels": self.labels(name)} for name in self.front],
            "presets": [list(each) for each in self.windows],
            "masks": [{"name": shown(mask.name), "colour": mask.colour} for mask in self.masks],
            "dose": self._dose_words(),
            "layers": [
                {
                    "kind": layer.kind,
                    "planes": layer.planes,
                    "bytes": layer.plane_bytes,
                    "piece": max(1, PIECE // layer.plane_bytes),
                    **asdict(layer.encoding),
                }
                for layer in self.layers
            ],
            "notes": self.notes(),
        }

    def _axis(self, name: str) -> dict[str, Any]:
        """Coordinates in mm, or None, and the length of a voxel that has no neighbour."""
        along = self.coordinates(name)
        spacing = self.volume.coords["geometry"].attrs["spacing"] if "geometry" in self.volume.coords else [1.0] * 3
        step = float(np.asarray(spacing, np.float64)[AXES.index(name)])
        return {"at": None if along is None else along.tolist(), "step": step}

    def _dose_words(self) -> dict[str, Any] | None:
        if self.dose is None:
            return None
        values = self.dose.values
        highest = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
        kind = "dose" if self.dose.attrs.get("Modality") == "RTDOSE" else self.dose.attrs.get("Modality", "overlay")
        return {"name": str(kind), "units": self.dose.dicom.units, "highest": highest}

    def notes(self) -> list[str]:
        """What whoever looks must know."""
        found = []
        if self.matrix is None:
            found.append("no position in the patient")
        encoding = self.layers[0].encoding
        if not encoding.exact:
            found.append(f"values in steps of {encoding.slope:.2g}")
        return found


def _label(coordinate: xr.DataArray, index: int, name: str) -> str:
    value = coordinate.values[index]
    text = f"{value:g}" if isinstance(value, np.integer | np.floating) else str(value)
    units = str(coordinate.attrs.get("units", ""))
    return f"{name} {text}{f' {units}' if units else ''}"


def _grey_or_colour(volume: xr.DataArray) -> xr.DataArray:
    """Colour as 8 bits of red, green and blue; anything else as it is.

    Raises
    ------
    InvalidRequest
        It has channels that are not three colours.
    """
    if "channel" not in volume.dims:
        return volume
    if volume.sizes["channel"] != 3:
        raise InvalidRequest(
            f"{volume.sizes['channel']} channels are no colours", advice="Choose one: volume.isel(channel=0)."
        )
    if volume.dtype == np.uint8:
        return volume
    if volume.dtype == np.uint16:  # a palette has 16 bits
        return (volume // 257).astype(np.uint8)
    raise InvalidRequest(f"colours of type {volume.dtype}", advice="Give uint8 or uint16.")
