"""Frames of multi-frame instances, as their headers describe them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..errors import BadData
from ..pixels.pixels import Format, Rescale, length_fits
from ..pixels.realworld import RealWorld
from ..stacks.imageheader import format_of


@dataclass(eq=False)
class Instance:
    """One multi-frame file, as its header describes it."""

    path: str
    header: Elements
    name: str  # SOPInstanceUID, or the path where it has none
    transfer_syntax: str
    form: Format
    place: tuple[int, int]  # offset and length of the value of Pixel Data
    count: int  # frames
    frame: str = ""  # FrameOfReferenceUID
    space: str = ""  # what positions are relative to, where that is not the patient

    @property
    def number(self) -> int:
        """InstanceNumber, 0 where it has none."""
        return whole(self.header, "InstanceNumber", 0)


@dataclass(eq=False, slots=True)
class Slice:
    """One frame without its pixels."""

    instance: Instance
    index: int  # in the file, from 0
    position: tuple[float, ...] | None  # (3,) mm, LPS
    orientation: tuple[float, ...] | None  # (6,)
    spacing: tuple[float, ...] | None  # between rows, between columns, mm
    rescale: Rescale
    units: str
    stack: str = ""  # StackID
    thickness: float | None = None  # mm, of a plane that is alone
    window: tuple[float, float] | None = None  # centre, width
    real_world: tuple[RealWorld, ...] = ()

    @property
    def lies(self) -> bool:
        """Whether it says where in the patient it lies."""
        return None not in (self.position, self.orientation, self.spacing)


def whole(header: Elements, keyword: str, default: int) -> int:
    """A whole number of a header; `default` where it is none."""
    try:
        number = header.get(keyword, default)
    except BadData:
        return default
    return number if isinstance(number, int) else default


def instance_of(headers: Headers, row: int) -> Instance:
    """A multi-frame file without its pixels.

    Raises
    ------
    BadData
        Its header contradicts itself, or the pixel data is shorter than it says.
    """
    header, meta = headers[row], headers.meta(row)
    form = format_of(header)
    wrong = form.check()
    if wrong:
        raise BadData(wrong)
    count = header.get("NumberOfFrames", 1)
    if not isinstance(count, int) or count < 1:
        raise BadData(f"NumberOfFrames is {count}", tag="00280008")
    place = int(headers.pixel_at[row]), int(headers.pixel_length[row])
    wrong = length_fits(place[1], form, count, meta.transfer_syntax)
    if wrong:
        raise BadData(wrong, tag="7FE00010")
    try:
        size = os.path.getsize(headers.paths[row])
    except OSError as error:
        raise BadData(f"cannot be read: {error.strerror}") from None  # it holds the path
    if place[1] == 0xFFFFFFFF and 8 * count > size:  # each frame is a fragment at least, with a header of 8 bytes
        raise BadData(f"NumberOfFrames is {count} in a file of {size} bytes", tag="00280008")
    name = header.text("SOPInstanceUID") or headers.paths[row]
    frame = header.text("FrameOfReferenceUID")
    return Instance(headers.paths[row], header, name, meta.transfer_syntax, form, place, count, frame)
