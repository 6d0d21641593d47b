"""RT Dose: values in Gy on the grid of the dose itself (PS3.3 C.8.8.3)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..amounts import are, counted
from ..datasets.elements import Elements, tag_of
from ..errors import BadData, GeometryError
from ..geometry.geometry import REGULAR, SAME_DIRECTION, Floats, Grid, normal, stack
from ..pixels.frames import read
from ..pixels.lazyframes import lazy
from ..pixels.pixels import Rescale
from ..stacks.imageheader import WANTED
from ..stacks.stacks import line
from .laying import numbers
from .reader import Thing, title
from .single import File, Single, attributes, labelled

_KEYWORDS = ("DoseUnits", "DoseType", "DoseSummationType", "DoseComment")
_UNITS = {"GY": "Gy", "RELATIVE": "relative"}


class Doses(Single):
    """Dose distributions: (z, y, x) float32, stored values times DoseGridScaling; ``units`` "Gy" or "relative".

    ``attrs["sources"]`` are the SOP Instance UIDs of the plans, ``attrs["dvh"]`` the dose volume histograms as JSON,
    where there are some: of each the numbers of the regions of interest, type, units, and the dose at the upper
    end of each bin with its volume.
    """

    classes = frozenset(("1.2.840.10008.5.1.4.1.1.481.2",))
    wanted = WANTED | frozenset(
        map(
            tag_of,
            (
                *_KEYWORDS,
                *("NumberOfFrames", "DoseGridScaling", "GridFrameOffsetVector", "ReferencedRTPlanSequence"),
                "DVHSequence",
            ),
        )
    )

    def things(self, file: File) -> list[Thing]:
        """The dose of one file."""
        header, form, _ = file.header, file.form, file.place
        wrong = form.check()
        if wrong or form.samples != 1:
            raise BadData(wrong or f"SamplesPerPixel is {form.samples}")
        scaling = numbers(header, "DoseGridScaling", 1)
        if scaling is None:
            raise BadData("a dose without DoseGridScaling: its values have no unit", tag="3004000E")
        count = file.frames
        offsets, warnings = _offsets(header, count)
        order = np.argsort(offsets, kind="stable")
        grid = _grid(header, offsets, order, (form.rows, form.columns))

        def make(chunks: Any) -> xr.DataArray:
            frames = [file.frame(int(index), form, Rescale(scaling[0])) for index in order]
            values = read(frames) if chunks is None else lazy(frames)
            values = values.astype(np.float32, copy=False)
            attrs = attributes(header, _KEYWORDS)
            attrs["units"] = _UNITS.get(header.text("DoseUnits"), header.text("DoseUnits"))
            plans = [item.text("ReferencedSOPInstanceUID") for item in header.items("ReferencedRTPlanSequence")]
            attrs["sources"] = [uid for uid in plans if uid]
            histograms = _histograms(header)
            if histograms:
                attrs["dvh"] = json.dumps(histograms)
            array = labelled(values, file, grid, front={}, attrs=attrs)
            return array.chunk(chunks) if chunks else array

        described = line(header, [file.name], orientation=numbers(header, "ImageOrientationPatient", 6))
        return [Thing(title(header), described, [file.name], make, warnings=[*warnings, *grid.problems])]


def _histograms(header: Elements) -> list[dict[str, Any]]:
    """Dose volume histograms (PS3.3 C.8.8.4).

    Raises
    ------
    BadData
        One does not hold pairs of numbers.
    """
    found = []
    for item in header.items("DVHSequence"):
        value = item.get("DVHData", ())
        pairs = np.array(value if isinstance(value, tuple) else (), object)
        if len(pairs) % 2 or any(not isinstance(one, int | float) for one in pairs):
            raise BadData(f"DVHData holds {counted(len(pairs), 'number')}, and no pairs of them", tag="30040058")
        scaling = numbers(item, "DVHDoseScaling", 1) or (1.0,)
        widths, volumes = pairs.astype(np.float64).reshape(-1, 2).T
        rois = [one.get("ReferencedROINumber") for one in item.items("DVHReferencedROISequence")]
        found.append(
            {
                "rois": rois,
                "type": item.text("DVHType"),
                "units": _UNITS.get(item.text("DoseUnits"), item.text("DoseUnits")),
                "volume_units": item.text("DVHVolumeUnits"),
                "dose": (np.cumsum(widths) * scaling[0]).tolist(),
                "volume": volumes.tolist(),
            }
        )
    return found


def _offsets(header: Elements, count: int) -> tuple[Floats, list[str]]:
    """GridFrameOffsetVector, as many as there are frames; and what is odd about it."""
    value: Any = header.get("GridFrameOffsetVector")
    if value is None and count == 1:
        return np.zeros(1), []
    found = np.array(value if isinstance(value, tuple) else () if value is None else (value,), object)
    if len(found) < count or any(not isinstance(one, int | float) for one in found):
        raise GeometryError(f"GridFrameOffsetVector has {counted(len(found), 'value')} for {counted(count, 'frame')}")
    offsets = found.astype(np.float64)
    if not np.isfinite(offsets).all():
        raise GeometryError("GridFrameOffsetVector is not numbers")
    if len(offsets) == count:
        return offsets, []
    said = f"{len(offsets)} values for {counted(count, 'frame')}"
    return offsets[:count], [f"GridFrameOffsetVector has {said}; the first {are(count)} taken"]


def _grid(header: Elements, offsets: Floats, order: NDArray[np.intp], shape: tuple[int, int]) -> Grid:
    """The grid of planes at `offsets`, sorted by `order`.

    Offsets that begin with 0 are counted from ImagePositionPatient along the normal; those that begin with its z
    are heights in the patient, of transverse planes only (PS3.3 C.8.8.3.2).
    """
    found = {}
    for name, size in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        value = numbers(header, name, size)
        if value is None:
            raise GeometryError(f"a dose without {name}")
        found[name] = np.array(value)
    position, orientation, spacing = found.values()
    across = normal(orientation)
    if abs(offsets[0]) > REGULAR:
        transverse = np.abs(orientation - [1, 0, 0, 0, 1, 0]).max() <= SAME_DIRECTION
        if not transverse or abs(offsets[0] - position[2]) > REGULAR:
            raise GeometryError(
                f"GridFrameOffsetVector begins with {offsets[0]:g}, which is neither 0 nor the z of transverse planes "
                f"at ImagePositionPatient z = {position[2]:g}: nothing says where the dose lies"
            )
        offsets = offsets - position[2]
    points = position + offsets[order][:, None] * across
    return stack(points, orientation, (spacing[0], spacing[1]), shape)
