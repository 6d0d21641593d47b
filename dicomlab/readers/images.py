"""Single-frame images: planes that are stacked by position, and pictures that lie nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..errors import GeometryError
from ..stacks.arranging import arrange
from ..stacks.assemble import volume
from ..stacks.imageheader import IMAGES, PLANES, WANTED
from ..stacks.planes import Plane, describe
from ..stacks.stacks import Stack, groups, row
from .reader import Failed, Found, Thing, title

_IMAGE_TYPE = tag_of("ImageType")
_UIH_FRAMES = 0x00651051  # sequence of the planes tiled into one image, with creator "Image Private Header"


class Images:
    """Images of one frame a file, of any class that has them."""

    wanted = WANTED | {_UIH_FRAMES, tag_of("NumberOfFrames"), tag_of("SharedFunctionalGroupsSequence")}

    @staticmethod
    def has(sop_class: str) -> bool:
        """Whether instances of that class may be such images."""
        return sop_class in PLANES or sop_class in IMAGES

    def reads(self, sop_class: str, header: Elements) -> bool:
        """An image class, with pixel data of one frame that is one plane."""
        return (
            self.has(sop_class)
            and header.pixels is not None
            and frames_of(header) <= 1
            and "SharedFunctionalGroupsSequence" not in header
            and not tiled(header)
        )

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Stacks of planes, and pictures."""
        described, errors = describe(headers, rows)
        found = Found(errors={**errors})
        for why, members in groups(_once(described, found)):
            try:
                parts = arrange(members, why)
            except GeometryError as error:
                line = row(members, f"{why}; {error.message}" if why else error.message)
                names = [plane.name for plane in members]
                found.failed.append(Failed(title(members[0].elements), line, names, error))
                continue
            found.things += [_thing(part) for part in parts]
        return found


def _once(planes: Sequence[Plane], found: Found) -> list[Plane]:
    """Each plane once; the same instance again is noted."""
    kept: dict[Any, Plane] = {}
    for plane in planes:
        series = plane.elements.text("SeriesInstanceUID")  # of two series both are kept, whatever their names
        known = kept.setdefault((plane.name, plane.position, plane.number, series), plane)
        if known is not plane:
            found.again(plane.path, known.path, plane.name)
    return list(kept.values())


def _thing(found: Stack) -> Thing:
    planes: list[Plane] = list(found.planes.flat)

    def make(chunks: Any) -> Any:
        return volume(found, chunks)

    return Thing(
        title=title(found.first.elements),
        line=row(planes, found.why),
        instances=[plane.name for plane in planes],
        make=make,
        why=found.why,
        warnings=found.warnings,
        left=[(why, [plane.name for plane in left]) for why, left in found.left],
    )


def frames_of(header: Elements) -> int:
    """NumberOfFrames, 1 where absent.

    Raises
    ------
    BadData
        It is no number.
    """
    value = header.get("NumberOfFrames", 1)
    return value if isinstance(value, int) else 1


def tiled(header: Elements) -> bool:
    """Whether many planes are tiled into one image: Siemens' mosaics, UIH's frames."""
    kind = header.raw.get(_IMAGE_TYPE, ("", b""))[1]
    return b"MOSAIC" in kind.replace(b" ", b"").split(b"\\") or _UIH_FRAMES in header.raw
