"""Planes to stacks: what belongs together, and how a table names it (arranging.py puts each in order)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..datasets.elements import Elements
from ..datasets.uids import class_name
from ..errors import GeometryError
from ..geometry.geometry import SAME_DIRECTION, axis_letters, normal
from .planes import Plane


@dataclass
class Stack:
    """Planes of one volume, in order."""

    planes: np.ndarray[Any, Any]  # of Plane, shape (..., z)
    front: tuple[str, ...] = ()  # names of the axes in front of z
    coordinates: dict[str, Any] = field(default_factory=dict)  # name: (dimensions, values[, attributes])
    warnings: list[str] = field(default_factory=list)
    left: list[tuple[str, list[Plane]]] = field(default_factory=list)  # why, and the planes left out
    why: str = ""  # why it is a stack of its own

    @property
    def first(self) -> Plane:
        """The first plane of the first volume."""
        return self.planes.flat[0]


def groups(planes: Sequence[Plane]) -> list[tuple[str, list[Plane]]]:
    """Planes that may be stacked together, each group with what sets it apart from the largest."""
    kinds: dict[tuple[Any, ...], list[Plane]] = {}
    # A series in which every image names a study of its own was written by a careless program; two images of
    # one study and more of another are two series that bear one UID by mistake.
    studies: dict[str, list[str]] = defaultdict(list)
    for plane in planes:
        studies[plane.series[2]].append(plane.series[1])
    scattered = {uid for uid, named in studies.items() if len(named) == len(set(named)) > 2}

    def study(plane: Plane) -> str:
        return "" if plane.series[2] in scattered else plane.series[1]

    directions: list[np.ndarray[Any, Any]] = []
    # In their own order, not that of the files: which of several nearly equal ones is met first decides.
    six = sorted({plane.orientation for plane in planes if plane.orientation is not None})
    turns = {orientation: direction_of(directions, np.array(orientation)) for orientation in six}
    alike: dict[tuple[Any, ...], list[Plane]] = {}  # most planes of a series are alike: their kind is worked out once
    for plane in planes:
        alike.setdefault((plane.shared, plane.spacing, plane.orientation, plane.lies), []).append(plane)
    for (shared, between, orientation, lies), members in alike.items():
        turn = -1 if orientation is None else turns[orientation]
        spacing = between and tuple(round(value, 5) for value in between)
        kind = (
            shared.series[0],
            study(members[0]),
            shared.series[2],
            shared.sop_class,
            shared.form,
            shared.frame,
            spacing,
            turn,
            lies,
        )
        kinds.setdefault(kind, []).extend(members)
    found = []
    leaders: dict[Any, tuple[Any, ...]] = {}
    names = (
        "PatientID",
        "StudyInstanceUID",
        "",
        "SOP class",
        "size or pixel format",
        "frame of reference",
        "PixelSpacing",
        "orientation",
        "position",
    )
    for kind, members in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[1][0].sop_instance)):
        leader = leaders.setdefault(kind[2], kind)
        differs = [name for name, mine, its in zip(names, kind, leader, strict=True) if name and mine != its]
        found.append((f"other {', '.join(differs)}" if differs else "", members))
    return found


def direction_of(known: list[np.ndarray[Any, Any]], orientation: np.ndarray[Any, Any]) -> int:
    """The number of an orientation among the known ones, to which a new one is added."""
    for index, direction in enumerate(known):
        if np.abs(direction - orientation).max() <= SAME_DIRECTION:
            return index
    known.append(orientation)
    return len(known) - 1


def row(planes: Sequence[Plane], why: str) -> dict[str, Any]:
    """One line of the table of stacks."""
    first = planes[0]
    return line(first.elements, [plane.sop_instance for plane in planes], why, first.orientation)


def line(
    header: Elements, instances: Sequence[str], why: str = "", orientation: Sequence[float] | None = None
) -> dict[str, Any]:
    """One line of the table of stacks, for whatever instances hold.

    Parameters
    ----------
    header
        Of the first of them.
    instances
        Their SOP Instance UIDs.
    why
        Why they are a thing of their own, or none.
    orientation
        (6,), the ImageOrientationPatient they share.
    """
    letters = ""
    if orientation is not None:
        try:
            across = normal(orientation)
            letters = "".join(axis_letters(v) for v in (across, orientation[3:], orientation[:3]))
        except GeometryError:
            letters = "?"
    sop_class, rows, columns = (header.text(name) for name in ("SOPClassUID", "Rows", "Columns"))
    return {
        "SeriesInstanceUID": header.text("SeriesInstanceUID"),
        "SeriesNumber": header.text("SeriesNumber"),
        "SeriesDescription": header.text("SeriesDescription"),
        "Modality": header.text("Modality"),
        "SOPClass": class_name(sop_class) if sop_class else "",
        "images": len(instances),
        "Rows": int(rows or 0),
        "Columns": int(columns or 0),
        "orientation": letters,
        "why": why,
        "SOPInstanceUID": list(instances),
    }
