"""Pictures of many frames that lie nowhere: ultrasound, angiography, secondary capture, video of visible light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..amounts import counted
from ..datasets import moments
from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..errors import BadData, BadFile
from ..pixels.pixels import Rescale
from ..stacks.functionalgroups import Groups
from ..stacks.imageheader import IMAGES, WANTED
from ..stacks.stacks import line
from .arrays import attributes, labelled, per_frame, read_frames
from .enhanced import Enhanced
from .images import frames_of
from .reader import Found, Thing, title
from .slices import Instance, Slice, instance_of

_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: Classes whose images are multi-frame, one frame or many.
MULTIFRAME = frozenset(
    _STORAGE + end
    for end in (
        "3.1", "7.1", "7.2", "7.3", "7.4", "12.1.1", "12.2.1", "14.1", "14.2", "77.1.1.1", "77.1.2.1", "77.1.4.1",
        "77.1.5.1", "77.1.5.2", "77.1.5.5", "77.1.5.6", "77.1.5.8",
    )
)  # fmt: skip
#: Classes whose images may be multi-frame.
MAYBE = IMAGES - {_STORAGE + "20"}  # nuclear medicine: see nuclear.py
_KEYWORDS = (
    "NumberOfFrames", "FrameIncrementPointer", "FrameTime", "FrameTimeVector", "CineRate",
    "RecommendedDisplayFrameRate", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
)  # fmt: skip
_POSITION, _CONTENT = tag_of("PlanePositionSequence"), tag_of("FrameContentSequence")


class Multiframe:
    """(frame, y, x), and channel behind for colour, with the time of each frame in ms where the header gives it.

    Frames that say in functional groups where they lie are read as those of enhanced images.
    """

    wanted = WANTED | Enhanced.wanted | frozenset(map(tag_of, _KEYWORDS))

    def __init__(self) -> None:
        self._enhanced = Enhanced()

    def reads(self, sop_class: str, header: Elements) -> bool:
        """Multi-frame classes, and others where there are many frames, with pixel data."""
        many = sop_class in MULTIFRAME or (sop_class in MAYBE and frames_of(header) > 1)
        return many and header.pixels is not None

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """A thing for each file; volumes of those whose frames lie somewhere."""
        found = Found()
        known: dict[str, str] = {}
        lying = []
        for row in rows:
            try:
                instance = instance_of(headers, row)
                groups = Groups(instance.header, instance.count, (_POSITION, _CONTENT))
                if any(groups.column(_POSITION, tag_of("ImagePositionPatient"))):
                    lying.append(row)
                elif known.setdefault(instance.name, instance.path) != instance.path:
                    found.again(instance.path, known[instance.name], instance.name)
                else:
                    found.things.append(_thing(instance, groups))
            except BadData as error:
                found.errors[row] = BadFile(headers.paths[row], error.why, tag=error.tag)
        if lying:
            volumes = self._enhanced.find(headers, lying)
            for name in ("things", "failed", "notes", "doubts"):
                getattr(found, name).extend(getattr(volumes, name))
            found.errors |= volumes.errors
        return found


def _thing(instance: Instance, groups: Groups) -> Thing:
    rescale = rescale_of(instance.header)
    slices = [Slice(instance, i, None, None, None, rescale, units_of(instance.header)) for i in range(instance.count)]
    times, said, warnings = _times(instance, groups)

    def make(chunks: Any) -> xr.DataArray:
        return frames_array(
            slices, chunks, {"time": ("frame", times, {"units": "ms", "long_name": said})} if said else {}
        )

    described = line(instance.header, [instance.name]) | {"images": instance.count}
    return Thing(title(instance.header), described, [instance.name], make, "frames without a position", warnings)


def rescale_of(header: Elements) -> Rescale:
    """Rescale of the whole instance (PS3.3 C.11.1).

    Raises
    ------
    BadData
        A value is no number.
    """
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return Rescale(
        float(slope) if isinstance(slope, float) else 1.0, float(intercept) if isinstance(intercept, float) else 0.0
    )


def units_of(header: Elements) -> str:
    """RescaleType, else Units; "" where unspecified."""
    kind = header.text("RescaleType") or header.text("Units")
    return "" if kind == "US" else kind


def frames_array(
    slices: Sequence[Slice],
    chunks: Any,
    coordinates: dict[str, Any],
    front: dict[str, Any] | None = None,
) -> xr.DataArray:
    """Frames that lie nowhere, with axes in front of y and x: ``frame`` from 1 if none are given."""
    axes = front or {"frame": np.arange(1, len(slices) + 1)}
    shape = tuple(len(values) for values in axes.values())
    values = read_frames(slices, shape, chunks)
    found = per_frame(slices, shape, tuple(axes)) | {name: (name, along) for name, along in axes.items()} | coordinates
    if "frame" in axes:
        del found["FrameNumber"]  # it is the axis
    attrs = attributes(slices)
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = slices[0].instance.header.get(keyword)
        if isinstance(spacing, tuple) and None not in spacing:
            attrs[keyword] = list(spacing)
    return labelled(values, found, (*axes, "y", "x"), attrs, chunks)


def _times(instance: Instance, groups: Groups) -> tuple[NDArray[np.float64], str, list[str]]:
    """Milliseconds of each frame since the first, by which attribute ("" where none says), and what is odd of it."""
    header, count = instance.header, instance.count
    vector = header.get("FrameTimeVector")
    steps = [vector] if isinstance(vector, float) else list(vector or ())
    warnings = []
    if steps:
        if len(steps) == count and None not in steps:
            # The first value is the time before the first frame (PS3.3 C.7.6.5.1.2): nothing.
            return np.cumsum([0.0, *steps[1:]]), "FrameTimeVector", []
        said = f"{counted(len(steps), 'value')} for {counted(count, 'frame')}"
        warnings.append(f"FrameTimeVector has {said}, and is not used")
    step = header.get("FrameTime")
    if isinstance(step, float) and step > 0:
        return np.arange(count, dtype=np.float64) * step, "FrameTime", warnings
    begins = groups.column(_CONTENT, tag_of("FrameAcquisitionDateTime"))
    try:
        since = np.array([moments.moment(str(text)) for text in begins], np.int64)
        return (since - since[0]).astype(np.float64) / 1e6, "FrameAcquisitionDateTime", warnings
    except ValueError:
        pass
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = header.get(keyword)
        if isinstance(rate, int) and rate > 0:
            return np.arange(count) * 1000.0 / rate, keyword, warnings
    return np.zeros(count), "", warnings
