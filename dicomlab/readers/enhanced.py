"""Enhanced and legacy converted enhanced images: volumes from their functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import isfinite
from typing import Any

from ..amounts import are
from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..errors import BadData, BadFile
from ..pixels.pixels import Rescale
from ..pixels.realworld import RealWorld, lines_of, pet_units
from ..stacks.functionalgroups import PER_FRAME, SHARED, Groups
from ..stacks.imageheader import WANTED
from .dimensions import GROUPS, Said, columns
from .layout import Column, Integers
from .reader import Found
from .slices import Instance, Slice, instance_of
from .stacking import arrange

_STORAGE = "1.2.840.10008.5.1.4.1.1."
ENHANCED = frozenset(
    _STORAGE + end for end in ("2.1", "2.2", "4.1", "4.3", "4.4", "130", "128.1", "13.1.1", "13.1.2", "13.1.3", "6.2")
)
ULTRASOUND = _STORAGE + "6.2"
_MEASURES, _POSITION, _ORIENTATION, _CONTENT, _TRANSFORMATION, _MAPPING, _WINDOW, _IN_VOLUME, _TURN_IN_VOLUME = (
    tag_of(keyword)
    for keyword in (
        "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "FrameContentSequence",
        "PixelValueTransformationSequence", "RealWorldValueMappingSequence", "FrameVOILUTSequence",
        "PlanePositionVolumeSequence", "PlaneOrientationVolumeSequence",
    )
)  # fmt: skip
_GROUPS = tuple(
    {_MEASURES, _POSITION, _ORIENTATION, _CONTENT, _TRANSFORMATION, _MAPPING, _WINDOW, _IN_VOLUME, _TURN_IN_VOLUME}
    | GROUPS
)
_ULTRASOUND = ("VolumeFrameOfReferenceUID", "PatientFrameOfReferenceSource", "UltrasoundAcquisitionGeometry")


class Enhanced:
    """Images whose frames say in functional groups where they lie and what they are."""

    wanted = WANTED | {SHARED, PER_FRAME} | {
        tag_of(keyword)
        for keyword in ("NumberOfFrames", "DimensionIndexSequence", "ConcatenationUID", "InConcatenationTotalNumber",
                        *_ULTRASOUND)
    }  # fmt: skip

    def reads(self, sop_class: str, header: Elements) -> bool:
        """The enhanced classes, with pixel data."""
        return sop_class in ENHANCED and header.pixels is not None

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Volumes, one for each stack, size, orientation and unit of each series."""
        found = Found()
        slices: list[Slice] = []
        said: dict[Instance, Said] = {}
        for row in rows:
            try:
                members, of_them = _describe(headers, row)
            except BadData as error:
                found.errors[row] = BadFile(headers.paths[row], error.why, tag=error.tag)
                continue
            said[members[0].instance] = of_them
            slices += members

        def telling(members: Sequence[Slice], place: Integers) -> list[Column]:
            return columns([(said[one.instance], one.index) for one in members], place)

        arrange(slices, telling, found)
        _concatenations(said, found)
        for thing in found.things:
            thing.warnings += _placed(said, set(thing.instances))
        return found


def _placed(said: dict[Instance, Said], names: set[str]) -> list[str]:
    """What must be known of positions that no equipment has measured in the patient."""
    here = [one for one in said if one.name in names]
    if any(one.space for one in here):
        return [
            "positions are in the frame of reference of the ultrasound volume, not in the patient's: there are no sides"
        ]
    estimated = any(one.header.text("PatientFrameOfReferenceSource") == "ESTIMATED" for one in here)
    return ["positions in the patient are estimated (PatientFrameOfReferenceSource)"] if estimated else []


def _describe(headers: Headers, row: int) -> tuple[list[Slice], Said]:
    """The frames of one file.

    Raises
    ------
    BadData
        Its header contradicts itself.
    """
    instance = instance_of(headers, row)
    header = instance.header
    functional = Groups(header, instance.count, _GROUPS)
    column = functional.column
    positions = column(_POSITION, tag_of("ImagePositionPatient"))
    turns = column(_ORIENTATION, tag_of("ImageOrientationPatient"))
    if header.text("SOPClassUID") == ULTRASOUND and (None in positions or None in turns):  # PS3.3 C.8.24.2
        positions = column(_IN_VOLUME, tag_of("ImagePositionVolume"))
        turns = column(_TURN_IN_VOLUME, tag_of("ImageOrientationVolume"))
        instance.frame, instance.space = header.text("VolumeFrameOfReferenceUID"), "volume"
    described = zip(
        column(_CONTENT, tag_of("StackID")),
        positions,
        turns,
        column(_MEASURES, tag_of("PixelSpacing")),
        column(_MEASURES, tag_of("SpacingBetweenSlices")),
        column(_MEASURES, tag_of("SliceThickness")),
        _values(header, functional, instance.form.range),
        _windows(functional),
        strict=True,
    )
    slices = [
        Slice(
            instance,
            index,
            position=_many(position, 3),
            orientation=_many(orientation, 6),
            spacing=_many(spacing, 2),
            rescale=values[0],
            units=values[1],
            stack=stack or "",
            thickness=spaced or thickness,
            window=window,
            real_world=values[2],
        )
        for index, (stack, position, orientation, spacing, spaced, thickness, values, window) in enumerate(described)
    ]
    return slices, Said(header, functional)


def units_of_frames(headers: Headers, row: int) -> set[tuple[str, str]]:
    """The units of the modality values of the frames of a file, each with the code of its real world value mapping.

    Raises
    ------
    BadFile
        Its header contradicts itself.
    """
    try:
        slices, _ = _describe(headers, row)
    except BadData as error:
        raise BadFile(headers.paths[row], error.why, tag=error.tag) from None
    return {(one.units, one.real_world[0].units if one.real_world else "") for one in slices}


def _many(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None."""
    if isinstance(value, tuple) and len(value) == count and None not in value and all(map(isfinite, value)):
        return value
    return None


def _concatenations(said: dict[Instance, Said], found: Found) -> None:
    """Say where parts of a concatenation are missing (PS3.3 C.7.6.16.2.2.4)."""
    parts: dict[str, list[Instance]] = defaultdict(list)
    for instance in said:
        uid = instance.header.text("ConcatenationUID")
        if uid:
            parts[uid].append(instance)
    for members in parts.values():
        total = members[0].header.get("InConcatenationTotalNumber")
        if isinstance(total, int) and len(members) < total:
            names = {one.name for one in members}
            for thing in found.things:
                if names & set(thing.instances):
                    there = f"{len(members)} of {total} parts of its concatenation {are(len(members))} there"
                    thing.warnings.append(there)


def _values(
    header: Elements, functional: Groups, stored: tuple[int, int]
) -> list[tuple[Rescale, str, tuple[RealWorld, ...]]]:
    """How the values of each frame become modality values, their units, and its real world values."""
    column = functional.column
    slopes, intercepts, kinds = (
        column(_TRANSFORMATION, tag_of(keyword)) for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType")
    )
    plain = [header.get(keyword) for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType")]
    modality = header.text("Modality")
    ways: dict[Any, tuple[Rescale, str, tuple[RealWorld, ...]]] = {}
    found = []
    mapped = functional.each(_MAPPING, lambda items: lines_of(items, stored))
    for own, real in zip(zip(slopes, intercepts, kinds, strict=True), mapped, strict=True):
        key = own, real
        if key not in ways:
            slope, intercept, kind = own if own[0] is not None else plain
            by = float(slope) if isinstance(slope, int | float) else 1.0
            to = float(intercept) if isinstance(intercept, int | float) else 0.0
            rescale = Rescale(by, to)
            ways[key] = rescale, _units(modality, rescale, kind or "", real, header), real
        found.append(ways[key])
    return found


def _units(modality: str, rescale: Rescale, kind: str, real: tuple[RealWorld, ...], header: Elements) -> str:
    """RescaleType; where that is unspecified, the units of a real world value mapping that is the same line.

    Those of PET are terms of Units (0054,1001).
    """
    known = kind if kind != "US" else ""
    if not known and real:
        known = real[0].units_of(rescale)
    if modality == "PT":
        return pet_units(known or header.text("Units"))
    if known:
        return known
    return "HU" if modality == "CT" and rescale.intercept else ""


def _windows(functional: Groups) -> list[tuple[float, float] | None]:
    """Centre and width of each frame, where it has one of each or several."""
    pairs = zip(
        *(functional.column(_WINDOW, tag_of(keyword)) for keyword in ("WindowCenter", "WindowWidth")), strict=True
    )
    first = ([value[0] if isinstance(value, tuple) else value for value in pair] for pair in pairs)
    return [None if None in pair else (float(pair[0]), float(pair[1])) for pair in first]
