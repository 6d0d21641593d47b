"""What the functional groups say of a frame besides its place: time, echo, b-value, type (PS3.3 C.7.6.16, C.7.6.17)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..datasets import moments
from ..datasets.elements import Elements, tag_of
from ..stacks.functionalgroups import Groups
from .layout import Column, Integers, ranked, within


@dataclass(frozen=True)
class Known:
    """An attribute that makes an axis."""

    name: str  # of the axis
    group: int
    attribute: int
    units: str = ""
    by_rank: bool = False  # differs from position to position at one place on the axis


def _known(name: str, group: str, attribute: str, units: str = "", by_rank: bool = False) -> Known:
    return Known(name, tag_of(group), tag_of(attribute), units, by_rank)


_CONTENT, _CONVERTED = "FrameContentSequence", "UnassignedPerFrameConvertedAttributesSequence"
KNOWN = (
    _known("time", _CONTENT, "TemporalPositionIndex"),
    _known("time", _CONVERTED, "TemporalPositionIdentifier"),
    _known("time", "TemporalPositionSequence", "TemporalPositionTimeOffset", "s"),
    _known("cardiac_phase", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "ms", True),
    _known("respiratory_phase", "RespiratorySynchronizationSequence", "NominalRespiratoryTriggerDelayTime", "ms", True),
    _known("time", _CONVERTED, "TriggerTime", "ms", True),
    _known("time", _CONVERTED, "FrameReferenceTime", "ms", True),
    _known("b_value", "MRDiffusionSequence", "DiffusionBValue", "s/mm2"),
    _known("b_value", _CONVERTED, "DiffusionBValue", "s/mm2"),
    _known("type", "MRImageFrameTypeSequence", "ComplexImageComponent"),
    _known("type", "MRImageFrameTypeSequence", "FrameType"),
    _known("type", "CTImageFrameTypeSequence", "FrameType"),
    _known("type", "PETFrameTypeSequence", "FrameType"),
    _known("type", "XRay3DFrameTypeSequence", "FrameType"),
    _known("type", "ImageDataTypeSequence", "DataType"),
    _known("echo", "MREchoSequence", "EffectiveEchoTime", "ms"),
    _known("echo", _CONVERTED, "EchoTime", "ms"),
    _known("inversion_time", "MRModifierSequence", "InversionTimes", "ms"),
    _known("flip_angle", "MRTimingAndRelatedParametersSequence", "FlipAngle", "deg"),
    _known("repetition_time", "MRTimingAndRelatedParametersSequence", "RepetitionTime", "ms"),
    _known("label", "MRArterialSpinLabelingSequence", "ASLContext"),
    _known("kvp", "CTXRayDetailsSequence", "KVP", "kV"),
    _known("kernel", "CTReconstructionSequence", "ConvolutionKernel"),
    _known("time", _CONTENT, "FrameReferenceDateTime", by_rank=True),
    _known("time", _CONTENT, "FrameAcquisitionDateTime", by_rank=True),
    _known("acquisition", _CONTENT, "FrameAcquisitionNumber"),
    _known("acquisition", _CONVERTED, "AcquisitionNumber"),
)
_INDEX = tag_of("DimensionIndexValues")
_DIFFUSION, _DIRECTION, _GRADIENT = (
    tag_of(keyword)
    for keyword in ("MRDiffusionSequence", "DiffusionGradientDirectionSequence", "DiffusionGradientOrientation")
)
_COMPONENT = tag_of("ComplexImageComponent")
_CONTENT_TAG, _DATE_TIME = tag_of(_CONTENT), tag_of("FrameAcquisitionDateTime")
_TEMPORAL, _OFFSET = tag_of("TemporalPositionSequence"), tag_of("TemporalPositionTimeOffset")
#: The functional groups that are looked at here.
GROUPS = frozenset(known.group for known in KNOWN) | {_CONTENT_TAG, _DIFFUSION, _TEMPORAL}
#: Where a frame lies makes no axis in front.
_SPATIAL = frozenset(
    tag_of(keyword)
    for keyword in (
        "StackID", "InStackPositionNumber", "ImagePositionPatient", "ImageOrientationPatient", "ImagePositionVolume",
        "ImageOrientationVolume",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Pointer:
    """One dimension of the dimension index."""

    attribute: int
    group: int
    name: str


def pointers(header: Elements) -> tuple[Pointer, ...]:
    """The dimensions of an instance, in their order."""
    found: list[Pointer] = []
    for item in header.items("DimensionIndexSequence"):
        attribute, group = item.get("DimensionIndexPointer", 0), item.get("FunctionalGroupPointer", 0)
        group = group or next((known.group for known in KNOWN if known.attribute == attribute), 0)
        label = item.text("DimensionDescriptionLabel") or _keyword(attribute)
        found.append(Pointer(attribute, group, _snake(label) or f"dimension_{len(found) + 1}"))
    return tuple(found)


def _keyword(tag: Any) -> str:
    from pydicom.datadict import keyword_for_tag

    return str(keyword_for_tag(tag))


def _snake(text: str) -> str:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", text)
    return "_".join(part.lower() for part in parts)


class Said:
    """What the functional groups of one instance say of its frames, besides their place.

    Raises
    ------
    BadData
        A value is none of its VR.
    """

    def __init__(self, header: Elements, groups: Groups) -> None:
        self.pointers = pointers(header)
        index = [_many(value) for value in groups.column(_CONTENT_TAG, _INDEX)]
        whole = all(len(value) == len(self.pointers) for value in index)
        self.index = index if whole and self.pointers else []
        self.known = [_plain(groups.column(known.group, known.attribute)) for known in KNOWN]
        self.gradients = groups.column(_DIFFUSION, _DIRECTION, _GRADIENT)
        self.seconds = _plain(groups.column(_TEMPORAL, _OFFSET))
        if None in self.seconds:
            self.seconds = [_seconds(value) for value in groups.column(_CONTENT_TAG, _DATE_TIME)]


def _many(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _plain(values: list[Any]) -> list[Any]:
    return [_one(value) if isinstance(value, tuple) else value for value in values]


def _one(value: tuple[Any, ...]) -> Any:
    """Texts as one, of several numbers the first."""
    return "\\".join(value) if all(isinstance(part, str) for part in value) else value[0]


def _seconds(value: Any) -> float | None:
    """Seconds of a DT since 1970; its offset from UTC is that of all frames and is left out."""
    text = str(value or "").partition("+")[0].partition("-")[0].strip()
    try:
        return moments.moment(text) / 1e9
    except ValueError:
        return None


def columns(frames: Sequence[tuple[Said, int]], place: Integers) -> list[Column]:
    """What may tell frames apart: first their dimensions, in the order of the index, then what else is known.

    Parameters
    ----------
    frames
        What an instance says, and the number of the frame in it.
    place
        (frames,) number of the position along z.
    """
    said = [one for one, _ in frames]
    dimensions = said[0].pointers if all(one.index and one.pointers == said[0].pointers for one in said) else ()
    alone = all(one is said[0] for one in said)
    index = {
        (pointer.group, pointer.attribute): [one.index[frame][number] for one, frame in frames]
        for number, pointer in enumerate(dimensions)
    }
    found: dict[tuple[int, int], Column] = {}
    for number, known in enumerate(KNOWN):
        values = [one.known[number][frame] for one, frame in frames]
        key = (known.group, known.attribute)
        if known.name == "b_value":
            made = _diffusion(known, values, frames, index)
        elif any(value is not None for value in values):
            if known.attribute == _COMPONENT:
                values = [value and value.lower() for value in values]  # as `type` of single-frame images has it
            made = Column(known.name, _ranks(values, index.get(key), alone), values, known.units)
        else:
            continue
        if known.by_rank and int(made.ranks.max()) >= len(place) // (int(place.max()) + 1) and key not in index:
            made.ranks = within(place, made.ranks)
        if known.name == "time" and not known.units:
            _in_seconds(made, [one.seconds[frame] for one, frame in frames])
        made.long_name = made.long_name or _keyword(known.attribute)
        found[key] = made
    first, last = [], []
    for pointer in dimensions:
        key = (pointer.group, pointer.attribute)
        if key[1] in (_GRADIENT,):
            key = (_DIFFUSION, tag_of("DiffusionBValue"))
        if key in found:
            first.append(found.pop(key))
        elif key in index and key[1] not in _SPATIAL:
            last.append(Column(pointer.name, ranked(index[key]), index[key]))
    return first + list(found.values()) + last


def _ranks(values: Sequence[Any], index: Sequence[int] | None, alone: bool) -> Integers:
    """By the dimension index, where it means the same in all instances; else by the values."""
    if index is not None and (
        alone or len(set(zip(index, values, strict=True))) == len(set(index)) == len(set(values))
    ):
        return ranked(index)
    return ranked(values)


def _diffusion(
    known: Known, values: list[Any], frames: Sequence[tuple[Said, int]], index: dict[tuple[int, int], list[int]]
) -> Column:
    """B-values with their directions: one axis, since each b-value has directions of its own."""
    gradients: list[Any] = [one.gradients[frame] for one, frame in frames]
    order: dict[Any, int] = {None: -1}
    for gradient in gradients:
        order.setdefault(gradient, len(order))
    number = next((index[key] for key in index if key[1] == _GRADIENT), None)
    keys = [
        (-1.0 if b is None else float(b), order[gradient] if number is None else number[frame])
        for frame, (b, gradient) in enumerate(zip(values, gradients, strict=True))
    ]
    column = Column(known.name, ranked(keys), values, known.units)
    if len(order) > 1:
        vectors = np.array([g if isinstance(g, tuple) and len(g) == 3 else (0.0, 0.0, 0.0) for g in gradients])
        column.beside = {f"gradient_{axis}": vectors[:, number] for number, axis in enumerate("xyz")}
    return column


def _in_seconds(column: Column, seconds: Sequence[float | None]) -> None:
    """Seconds since the first frame for the values, where they grow with the index."""
    if any(second is None for second in seconds):
        return
    begins = np.full(int(column.ranks.max()) + 1, np.inf)
    np.minimum.at(begins, column.ranks, np.array(seconds, np.float64))
    begins -= begins[0]
    if (np.diff(begins) > 0).all():
        column.values, column.units = np.round(begins, 6)[column.ranks].tolist(), "s"
        column.long_name = "since the first"
