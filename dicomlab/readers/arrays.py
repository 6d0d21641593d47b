"""Frames of multi-frame instances to labelled arrays: values, where each came from, what the series says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..datasets.elements import Elements
from ..errors import BadData
from ..pixels import frames, realworld
from ..pixels.lazyframes import chunked, lazy
from ..pixels.lookup import has_palette
from ..stacks.imageheader import SERIES
from .slices import Instance, Slice


def read_frames(slices: Sequence[Slice], front: tuple[int, ...], chunks: Any) -> Any:
    """Modality values of slices, (*front, rows, columns[, 3]), a dask array where `chunks` is not None."""
    wanted = []
    tables: dict[Instance, Elements | None] = {}
    for one in slices:
        of = one.instance
        if of not in tables:
            tabled = has_palette(of.header) if of.form.palette else "ModalityLUTSequence" in of.header
            tables[of] = of.header if tabled else None
        wanted.append(
            frames.Frame(
                of.path, of.transfer_syntax, of.form, of.place, one.rescale, one.index, of.count, lut=tables[of]
            )
        )
    if chunks is not None:
        return lazy(wanted, front)
    values = frames.read(wanted)
    return values.reshape(*front, *values.shape[1:])


def per_frame(slices: Sequence[Slice], shape: tuple[int, ...], dims: tuple[str, ...]) -> dict[str, Any]:
    """Coordinates that each frame has for itself, or all share: where it came from, padding, real world values."""

    def along(values: Sequence[Any], dtype: Any) -> Any:
        if len(set(values)) == 1:
            return np.array(values[0], dtype)
        return dims, np.array(values, dtype).reshape(shape)

    found = {
        "SOPInstanceUID": along([one.instance.header.text("SOPInstanceUID") for one in slices], str),
        "InstanceNumber": along([one.instance.number for one in slices], np.int64),
        "FrameNumber": (dims, np.array([one.index + 1 for one in slices], np.int64).reshape(shape)),
        "path": along([one.instance.path for one in slices], str),
    }
    for name, keyword in (("padding", "PixelPaddingValue"), ("padding_limit", "PixelPaddingRangeLimit")):
        stored = {one.instance: one.instance.header.get(keyword) for one in slices}
        if all(isinstance(value, int) for value in stored.values()):
            padded = [one.rescale.of(one.instance.form.as_stored(stored[one.instance])) for one in slices]
            found[name] = along(padded, np.float64)
    mapped = realworld.coordinates([one.real_world for one in slices], [one.rescale for one in slices])
    found |= {name: along(values, str if isinstance(values[0], str) else np.float64) for name, values in mapped.items()}
    return found


def attributes(slices: Sequence[Slice]) -> dict[str, Any]:
    """Series attributes by keyword where all instances agree, the window the frames share, and `units`."""
    headers = list({id(one.instance): one.instance.header for one in slices}.values())
    found: dict[str, Any] = {}
    for keyword in SERIES:
        try:
            values = [header.get(keyword) for header in headers]
        except BadData:
            continue
        value = values[0]
        if isinstance(value, tuple):
            value = [part if part is not None else "" for part in value]
        if isinstance(value, str | int | float | list) and all(other == values[0] for other in values):
            found[keyword] = value
    windows = {one.window for one in slices}
    if len(windows) == 1 and None not in windows:
        ((found["WindowCenter"], found["WindowWidth"]),) = windows  # type: ignore[misc]
    found["units"] = slices[0].units
    return found


def labelled(
    values: Any, coordinates: dict[str, Any], dims: tuple[str, ...], attrs: dict[str, Any], chunks: Any
) -> xr.DataArray:
    """The array, with an axis `channel` behind where the values are colours."""
    if values.ndim > len(dims):
        dims = (*dims, "channel")
        coordinates = coordinates | {"channel": ("channel", ["red", "green", "blue"])}
        attrs = attrs | {"PhotometricInterpretation": "RGB"}  # whatever it was in the file
    array = xr.DataArray(values, coordinates, dims, attrs=attrs)
    return array if chunks is None else chunked(array, chunks)
