"""The three planes of a volume as a screen shows them: which way up, with which letters at their sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..errors import GeometryError, InvalidRequest
from ..geometry.geometry import AXES, Floats, axis_letters
from ..volumes.montage import as_volume

#: Of LPS: the plane that an axis along left, posterior, superior runs across.
NAMES = ("sagittal", "coronal", "axial")
_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))
_OBLIQUE = 0.2  # a direction whose second largest component is above this has a second letter


@dataclass(frozen=True)
class Pane:
    """One plane across a volume of dimensions z, y, x.

    Examples
    --------
    >>> Pane("axial", "z", "y", "x").letters
    ('', '', '', '')
    """

    name: str  # axial, coronal, sagittal; without geometry the dimension it is across
    across: str
    down: str  # the dimension that runs down on the screen
    right: str
    up: bool = False  # `down` runs upwards
    left: bool = False  # `right` runs to the left
    letters: tuple[str, str, str, str] = ("", "", "", "")  # at the top, bottom, left, right; "" without geometry
    shear: float = 0.0  # cosine between what runs right and what runs down; not 0 under a gantry tilt


def letters(direction: ArrayLike) -> str:
    """Side of the patient a direction runs to; a second letter where it is oblique.

    Examples
    --------
    >>> letters([0.0, 1.0, 0.0]), letters([-0.5, 0.0, 0.87])
    ('P', 'SR')
    """
    first = axis_letters(direction)
    rest = np.array(direction, np.float64)
    rest[np.argmax(np.abs(rest))] = 0
    return first + (axis_letters(rest) if np.abs(rest).max() > _OBLIQUE else "")


def opposite(text: str) -> str:
    """The letters of the other side.

    Examples
    --------
    >>> opposite("SR")
    'IL'
    """
    return "".join(_OPPOSITE[letter] for letter in text)


def standing(volume: xr.DataArray) -> xr.DataArray:
    """The volume with its dimensions in the order (others, z, y, x, channel); a single plane becomes one slice.

    Raises
    ------
    InvalidRequest
        It is empty.
    GeometryError
        Two of z, y and x are gone.
    """
    volume, _ = as_volume(volume, "z")
    gone = [name for name in AXES if name not in volume.dims]
    if gone:
        raise GeometryError(
            f"a picture has two dimensions of z, y and x, and {' and '.join(gone)} are gone",
            advice="A line of values is drawn by its own method: volume.plot().",
        )
    if not volume.size:
        sizes = ", ".join(f"{name} {length}" for name, length in volume.sizes.items())
        raise InvalidRequest(f"nothing is selected: the array is empty ({sizes})", advice="Look at its coordinates.")
    front = [name for name in volume.dims if name not in (*AXES, "channel")]
    return volume.transpose(*front, "z", "y", "x", *(["channel"] if "channel" in volume.dims else []))


def panes(volume: xr.DataArray) -> tuple[Pane, Pane, Pane]:
    """The planes across z, y and x of a volume that is `standing`.

    The plane across z is shown as it is stored, as every workstation does; the others with head or front up and
    the right of the patient, or the front, at the left. Without geometry all are as they are stored, without letters.
    """
    try:
        volume.dicom.orientation  # noqa: B018 (raises where there are no sides of a patient)
        matrix, direction = volume.dicom.matrix, volume.dicom.direction
    except GeometryError:
        return Pane("z", "z", "y", "x"), Pane("y", "y", "z", "x"), Pane("x", "x", "z", "y")
    along = dict(zip("zyx", direction.T, strict=True))
    patient = _patient_axes(matrix)
    found = []
    for across, (down, right) in {"z": ("y", "x"), "y": ("z", "x"), "x": ("z", "y")}.items():
        up = left = False
        if across != "z":
            if patient[right] > patient[down]:  # head to feet, else front to back, stands upright
                down, right = right, down
            up = bool(along[down][patient[down]] * (1 if patient[down] == 2 else -1) > 0)
            left = bool(along[right][patient[right]] < 0)
        downwards, rightwards = along[down] * (-1 if up else 1), along[right] * (-1 if left else 1)
        shear = float(np.round(downwards @ rightwards, 6)) + 0.0
        bottom, side = letters(downwards - shear * rightwards), letters(rightwards)  # the screen has right angles
        sides = (opposite(bottom), bottom, opposite(side), side)
        found.append(Pane(NAMES[patient[across]], across, down, right, up, left, sides, shear))
    first, second, third = found
    return first, second, third


def _patient_axes(matrix: Floats) -> dict[str, int]:
    """For x, y, z the patient's axis (of LPS) it mostly runs along, each taken once."""
    from itertools import permutations

    size = np.abs(matrix)
    best = max(permutations(range(3)), key=lambda order: sum(size[order[axis], axis] for axis in range(3)))
    return dict(zip(AXES, best, strict=True))
