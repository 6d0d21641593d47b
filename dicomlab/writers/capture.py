"""Secondary captures: pictures and arrays of any origin (PS3.3 A.8.1)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import xarray as xr
from pydicom.dataset import Dataset

from ..errors import InvalidRequest
from .alongside import frame_of
from .laid import Planes, must_be_array, planes_of
from .modules import began, decimal, finish, new_uid, source_images
from .planevalues import Values
from .required import complete
from .source import Source
from .writer import Made, Order

_CLASS = "1.2.840.10008.5.1.4.1.1.7"


class Captures:
    """One secondary capture for each plane; colour (channel behind) as RGB. A picture (y, x) needs no place."""

    kind = "SECONDARY CAPTURE"
    choices: frozenset[str] = frozenset()

    def writes(self, what: Any, source: Source) -> bool:
        """Arrays that no other writer takes: colour, bytes, and what is derived from other images."""
        return isinstance(what, xr.DataArray) and what.dtype != np.bool_ and "segment" not in what.dims

    def make(self, order: Order) -> Made:
        """The images, numbered in the order of their places."""
        array, source = order.what, order.source
        must_be_array(array, self.kind)
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * np.uint8(255)
        if "channel" in array.dims and (array.sizes["channel"] != 3 or array.dtype != np.uint8):
            raise InvalidRequest(
                f"colour of {array.sizes['channel']} channels of {array.dtype} cannot be written",
                advice="Give three channels of uint8.",
            )
        lies = "geometry" in array.coords
        planes = planes_of(array) if lies else _flat(array)
        if planes.front:
            raise InvalidRequest(
                f"secondary captures cannot say where along {planes.front[0]!r} they are",
                advice=f"Write one at a time: array.isel({planes.front[0]}=0).",
            )
        order.what = array
        values = Values(planes, order, bytes_stay=True)
        common = began(source, _CLASS, source.modality or "OT", dt.datetime.now())
        common.ConversionType = "WSD"
        common.ImageType = ["DERIVED", "SECONDARY"]
        common.PatientOrientation = None
        if lies:
            common.FrameOfReferenceUID = frame_of(planes, source)
            common.PositionReferenceIndicator = None
        made = []
        for index in range(len(values.planes)):
            dataset = Dataset()
            dataset.update(common)
            dataset.SOPInstanceUID, dataset.InstanceNumber = new_uid(), index + 1
            found, frames = list(source.datasets), {}
            if lies:
                frames = source.frames_at(planes.positions[index], planes.orientation)
                found = source.at(planes.positions[index], planes.orientation)
                dataset.ImagePositionPatient = [decimal(value) for value in planes.positions[index]]
                dataset.ImageOrientationPatient = [decimal(value) for value in planes.orientation]
                dataset.PixelSpacing = [decimal(value) for value in planes.spacing]
                dataset.SliceThickness = None if planes.step is None else decimal(planes.step)
            values.into(dataset, index, rescale=False, units=order.units)
            dataset.SourceImageSequence = source_images(found, frames)
            dataset.DerivationDescription = "Derived with dicomlab"
            finish(dataset, order.attributes)
            complete(dataset)
            made.append(dataset)
        return Made(made, values.step, values.error)


def _flat(array: xr.DataArray) -> Planes:
    """A picture that lies nowhere as one plane."""
    behind = ("channel",) if "channel" in array.dims else ()
    front = tuple(str(name) for name in array.dims if name not in ("y", "x", *behind))
    if {"y", "x"} - set(array.dims) or len(front) > 1:
        raise InvalidRequest(
            f"an array with the dimensions {', '.join(map(str, array.dims))} and no geometry is no picture",
            advice="Give (y, x), or (y, x, channel) for colour.",
        )
    if not front:
        array, front = array.expand_dims("picture"), ("picture",)
    array = array.transpose(*front, "y", "x", *behind)
    nowhere = np.zeros((array.shape[0], 3))
    return Planes(array, (), nowhere, np.array([1.0, 0, 0, 0, 1, 0]), (1.0, 1.0), None, "")
