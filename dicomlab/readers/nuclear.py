"""Nuclear medicine: frames counted by several vectors, reconstructed slices as volumes (PS3.3 C.8.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..amounts import counted
from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..errors import BadData, BadFile, GeometryError
from ..geometry.geometry import normal
from ..stacks.imageheader import WANTED
from ..stacks.stacks import line
from .images import frames_of
from .layout import Column, Integers, Layout, lay_out, ranked
from .multiframe import frames_array, rescale_of, units_of
from .reader import Found, Thing, title
from .slices import Instance, Slice, instance_of, whole
from .stacking import arrange

NUCLEAR = "1.2.840.10008.5.1.4.1.1.20"
#: The vectors that Frame Increment Pointer may name, and the axis each makes (PS3.3 C.8.4.8.1.1).
VECTORS = {
    tag_of(keyword): axis
    for keyword, axis in (
        ("EnergyWindowVector", "energy_window"),
        ("DetectorVector", "detector"),
        ("PhaseVector", "phase"),
        ("RotationVector", "rotation"),
        ("RRIntervalVector", "rr_interval"),
        ("TimeSlotVector", "time_slot"),
        ("SliceVector", "z"),
        ("AngularViewVector", "angular_view"),
        ("TimeSliceVector", "time_slice"),
    )
}
_SLICES = tag_of("SliceVector")
_KEYWORDS = (
    "NumberOfFrames",
    "FrameIncrementPointer",
    "SpacingBetweenSlices",
    "DetectorInformationSequence",
    "PhaseInformationSequence",
)


class Nuclear:
    """Multi-frame NM: an axis for each vector that counts further than 1, in the order of Frame Increment Pointer.

    Reconstructed slices (RECON TOMO) are volumes: the first lies where the detector module says, the others
    SpacingBetweenSlices apart along the normal. Without a position in the patient z, y and x count mm from the
    first voxel, and there is no affine.
    """

    wanted = WANTED | frozenset(VECTORS) | frozenset(map(tag_of, _KEYWORDS))

    def reads(self, sop_class: str, header: Elements) -> bool:
        """Of several frames, or of one whose place the detector module gives."""
        several = frames_of(header) > 1 or "SliceVector" in header
        return sop_class == NUCLEAR and header.pixels is not None and several

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Volumes of reconstructed slices, and a thing for each other file."""
        found = Found()
        slices: list[Slice] = []
        counted: dict[Instance, dict[str, list[Any]]] = {}
        for row in rows:
            try:
                instance = instance_of(headers, row)
                vectors = _vectors(instance)
                first = _first(instance.header)
                if "z" in vectors and first is not None:
                    counted[instance] = vectors
                    slices += _lying(instance, vectors["z"], *first)
                else:
                    found.things.append(_thing(instance, vectors))
            except BadData as error:
                found.errors[row] = BadFile(headers.paths[row], error.why, tag=error.tag)

        def telling(members: Sequence[Slice], place: Integers) -> list[Column]:
            return _columns([counted[one.instance] for one in members], [one.index for one in members])

        arrange(slices, telling, found)
        return found


def _vectors(instance: Instance) -> dict[str, list[Any]]:
    """Axis to the number of each frame along it, in the order in which the numbers vary, the slowest first.

    The first is ``time`` where the phases of a dynamic study give it.

    Raises
    ------
    BadData
        A vector has not a number for each frame.
    """
    pointer = instance.header.get("FrameIncrementPointer", ())
    pointed = [tag for tag in (pointer if isinstance(pointer, tuple) else (pointer,)) if tag in VECTORS]
    found = {}
    for tag in pointed or [tag for tag in VECTORS if tag in instance.header]:
        value = instance.header.get(tag)
        values = list(value) if isinstance(value, tuple) else [value]
        if values == [None]:
            continue
        if len(values) != instance.count:
            numbers = f"{counted(len(values), 'number')} for {counted(instance.count, 'frame')}"
            raise BadData(f"a vector of {numbers}", tag=f"{tag:08X}")
        found[VECTORS[tag]] = values
    times = _times(instance.header, found)
    return ({"time": times} if times else {}) | found


def _times(header: Elements, vectors: dict[str, list[Any]]) -> list[float]:
    """Milliseconds at which each frame of a dynamic study begins; [] where its phases do not say (PS3.3 C.8.4.14)."""
    if "time_slice" not in vectors:
        return []
    begins, steps, now = [], [], 0.0
    for item in header.items("PhaseInformationSequence"):
        count, duration = item.get("NumberOfFramesInPhase"), item.get("ActualFrameDuration")
        if not isinstance(count, int) or not isinstance(duration, int):
            return []
        delay, pause = (whole(item, name, 0) for name in ("PhaseDelay", "PauseBetweenFrames"))
        now += delay
        begins.append(now)
        steps.append(duration + pause)
        now += count * steps[-1]
    phases = vectors.get("phase", [1] * len(vectors["time_slice"]))
    if not begins or max(phases) > len(begins) or min(phases) < 1:
        return []
    return [begins[p - 1] + (t - 1) * steps[p - 1] for p, t in zip(phases, vectors["time_slice"], strict=True)]


def _first(header: Elements) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], float] | None:
    """Position and orientation of the first slice, PixelSpacing, and the signed step; None where one is absent."""
    detectors = header.items("DetectorInformationSequence")
    at: Any = None
    turn: Any = None
    for item in (*detectors[:1], header):
        at, turn = at or item.get("ImagePositionPatient"), turn or item.get("ImageOrientationPatient")
    spacing, step = header.get("PixelSpacing"), header.get("SpacingBetweenSlices")
    if not (_numbers(at, 3) and _numbers(turn, 6) and _numbers(spacing, 2) and isinstance(step, float) and step):
        return None
    return at, turn, spacing, step


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, tuple) and len(value) == count and None not in value


def _lying(
    instance: Instance,
    numbers: Sequence[int],
    at: tuple[float, ...],
    turn: tuple[float, ...],
    spacing: tuple[float, ...],
    step: float,
) -> list[Slice]:
    """Slices behind the first along the normal, in front of it where the step is negative (PS3.3 C.8.4.15)."""
    try:
        across = normal(turn)
    except GeometryError as error:
        raise BadData(error.message, tag="00200037") from None
    rescale, units, low = rescale_of(instance.header), units_of(instance.header), min(numbers)
    return [
        Slice(
            instance,
            index,
            position=tuple((np.asarray(at) + (number - low) * step * across).tolist()),
            orientation=turn,
            spacing=spacing,
            rescale=rescale,
            units=units,
            thickness=abs(step),
        )
        for index, number in enumerate(numbers)
    ]


def _columns(vectors: Sequence[dict[str, list[Any]]], frames: Sequence[int]) -> list[Column]:
    found = []
    times = [one.get("time") for one in vectors]
    if None not in times:
        values = [one[frame] for one, frame in zip(times, frames, strict=True) if one is not None]
        found.append(Column("time", ranked(values), values, "ms", "begin of the frame since that of the first phase"))
    for axis in vectors[0]:
        if axis not in ("z", "time") and all(axis in one for one in vectors):
            values = [one[axis][frame] for one, frame in zip(vectors, frames, strict=True)]
            found.append(Column(axis, ranked(values), values))
    return found


def _thing(instance: Instance, vectors: dict[str, list[Any]]) -> Thing:
    header, count = instance.header, instance.count
    slices = [Slice(instance, i, None, None, None, rescale_of(header), units_of(header)) for i in range(count)]
    place = ranked(vectors["z"]) if "z" in vectors else np.zeros(count, np.intp)
    warnings, layout = [], None
    try:
        layout = lay_out(place, _columns([vectors] * count, range(count)))
    except GeometryError as error:
        warnings.append(f"its vectors do not count the frames ({error.message}); they stand in the order of the file")
    if "z" in vectors:
        warnings.append("no position in the patient: z, y and x count from the first voxel")

    def make(chunks: Any) -> xr.DataArray:
        if layout is None:
            return frames_array(slices, chunks, {})
        return _laid_out(slices, layout, chunks, solid="z" in vectors)

    described = line(header, [instance.name]) | {"images": count}
    left = (
        [(said, [f"frame {frame + 1} of {instance.name}" for frame in out]) for said, out in layout.left]
        if layout
        else []
    )
    return Thing(title(header), described, [instance.name], make, "frames without a position", warnings, left)


def _laid_out(slices: Sequence[Slice], layout: Layout, chunks: Any, *, solid: bool) -> xr.DataArray:
    header = slices[0].instance.header
    coordinates = dict(layout.coordinates)
    cells = layout.cells if solid else layout.cells[..., 0]
    front: dict[str, Any] = {axis: coordinates[axis][1] for axis in layout.front}
    spacing, step = header.get("PixelSpacing"), header.get("SpacingBetweenSlices")
    form = slices[0].instance.form
    if solid:
        front["z"] = np.arange(cells.shape[-1]) * (abs(step) if isinstance(step, float) and step else 1.0)
    if not front:
        front = {"frame": np.arange(1, 2)}
        cells = cells.reshape(1)
    array = frames_array([slices[index] for index in cells.ravel().tolist()], chunks, coordinates, front)
    if solid and _numbers(spacing, 2):
        sides = {"y": np.arange(form.rows) * spacing[0], "x": np.arange(form.columns) * spacing[1]}
        array = array.assign_coords({name: (name, along, {"units": "mm"}) for name, along in sides.items()})
        if isinstance(step, float) and step:
            array["z"].attrs["units"] = "mm"
    return array
