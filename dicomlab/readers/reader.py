"""What a reader is, and what it gives: the seam between `load` and the kinds of instances."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..datasets.uids import class_name
from ..errors import DicomlabError, GeometryError


@dataclass
class Thing:
    """One thing that instances hold, before its values are read."""

    title: str  # "CT 4 thorax"; load_all makes it unique
    line: dict[str, Any]  # its row in the table of stacks
    instances: list[str]  # SOP Instance UIDs (paths where there are none) it is made of
    make: Callable[[Any], Any]  # from `chunks` of load: reads the values; may append to the lists below
    why: str = ""  # why it is a thing of its own
    warnings: list[str] = field(default_factory=list)  # what must not be missed
    left: list[tuple[str, list[str]]] = field(default_factory=list)  # why, and the instances left out
    image: bool = True  # an array of voxels; beside one of these, `load` leaves aside what is none


@dataclass
class Failed:
    """Instances that belong together and make nothing."""

    title: str
    line: dict[str, Any]
    instances: list[str]
    error: GeometryError


@dataclass
class Found:
    """What instances hold, and what is wrong with them."""

    things: list[Thing] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    errors: dict[int, DicomlabError] = field(default_factory=dict)  # by row: why that file is not used
    notes: list[tuple[str, str, list[str]]] = field(default_factory=list)  # what (title or path), why, instances
    doubts: list[tuple[str, str, list[str]]] = field(default_factory=list)  # the same, of what must not be missed

    def again(self, path: str, first: str, name: str) -> None:
        """Tell of a file that is left out because the instance of another has its SOP Instance UID."""
        try:
            same = filecmp.cmp(first, path, shallow=False)
        except OSError:
            same = False
        if same:
            self.notes.append((path, f"the same instance as {first}; left out", [name]))
        else:
            self.doubts.append((path, f"has the SOPInstanceUID of {first}, but is another file; left out", [name]))


class Reader(Protocol):
    """Loads some kinds of instances.

    Attributes
    ----------
    wanted
        Tags of the header that it needs.
    """

    wanted: frozenset[int]

    def reads(self, sop_class: str, header: Elements) -> bool:
        """Whether it loads instances of that SOP class with such a header.

        Asked once for each combination of SOP class, NumberOfFrames, ImageType, and the presence of functional
        groups and of pixel data; the header is one of several like it.
        """
        ...

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """What those rows of the headers hold. Pixel data is read later, by ``Thing.make``."""
        ...


def title(header: Elements) -> str:
    """Modality, number and description of the series, or its UID, or what class it is, or "unnamed"."""
    parts = (header.text(name) for name in ("Modality", "SeriesNumber", "SeriesDescription"))
    found = " ".join(part for part in parts if part) or header.text("SeriesInstanceUID")
    sop_class = header.text("SOPClassUID")
    if found or not sop_class:
        return found or "unnamed"
    name, _, uid = class_name(sop_class).rpartition(" (")
    return sop_class if not name else name if not name.startswith("private") else f"{name} {uid[:-1]}"
