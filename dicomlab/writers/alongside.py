"""What an array shares with the instances that it was made from: a frame of reference, and the place of planes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from ..errors import InvalidRequest
from ..geometry.geometry import STEP
from .laid import Planes
from .modules import new_uid
from .source import Source

PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")


def frame_of(planes: Planes, source: Source) -> str:
    """The FrameOfReferenceUID that the array and its source share; a new one where neither has any.

    Raises
    ------
    InvalidRequest
        The array lies in another than the source.
    """
    known = source.frames_of_reference - {""}
    if planes.frame in known:
        return planes.frame
    if planes.frame or known:
        raise InvalidRequest(
            "the array lies in another frame of reference than the instances of like=",
            advice="Give the instances it was made from, or put it on their grid first: array.dicom.like(volume).",
        )
    return new_uid()


def staying(planes: Planes, source: Source) -> list[Any]:
    """For each plane the source image that lies there pixel by pixel; None for all, where one has none.

    Its own decimal strings are written then, so that what is derived has equal coordinates: those of an array are
    rounded to `geometry.STEP`.
    """
    images: dict[bytes, list[Dataset]] = {}
    for one in source.images:
        if all(keyword in one.dataset for keyword in PLACE):
            images.setdefault(_rounded(one.position), []).append(one.dataset)
    found = []
    rows, columns = planes.array.shape[len(planes.front) + 1 : len(planes.front) + 3]
    for position in planes.positions:
        near = [one for key in _nearby(position) for one in images.get(key, ())]
        corners = _corners(position, planes.orientation, planes.spacing, rows, columns)
        for image in near:
            place, turn, between = (image[keyword].value for keyword in PLACE)
            theirs = _corners(place, turn, between, rows, columns)
            alike = (image.get("Rows"), image.get("Columns")) == (rows, columns)
            if alike and np.abs(theirs - corners).max() <= 2 * STEP:
                found.append(image)
                break
        else:
            return [None] * len(planes.positions)
    return found


def _rounded(position: Any) -> bytes:
    return np.round(np.asarray(position, np.float64)).astype(np.int64).tobytes()


def _nearby(position: Any) -> set[bytes]:
    """The whole millimetres that a position within two steps of it may be rounded to."""
    ends = np.round(np.stack([np.asarray(position) - 2 * STEP, np.asarray(position) + 2 * STEP])).astype(np.int64)
    return {np.array(one, np.int64).tobytes() for one in product(*ends.T.tolist())}


def _corners(position: Any, orientation: Any, spacing: Any, rows: int, columns: int) -> Any:
    """Positions of the first voxel, and the last of the first row and of the first column."""
    first, six = np.array(position, np.float64), np.array(orientation, np.float64)
    between = np.array(spacing, np.float64)
    return first + np.array([six[:3] * 0, six[:3] * between[1] * (columns - 1), six[3:] * between[0] * (rows - 1)])
