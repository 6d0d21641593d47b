"""Single-frame images as their headers describe them: where each lies and how its pixels are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..errors import BadData, BadFile
from ..geometry.geometry import Floats
from ..pixels.frames import Frame
from ..pixels.lookup import PALETTE
from ..pixels.pixels import Format, Rescale, length_fits
from .imageheader import FORMAT, format_of

_INSTANCE, _NUMBER, _LUT = (tag_of(keyword) for keyword in ("SOPInstanceUID", "InstanceNumber", "ModalityLUTSequence"))
_PALETTE = tag_of(PALETTE[0])
_DECIMALS = tuple(
    tag_of(keyword)
    for keyword in (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
    )
)  # fmt: skip
_TRANSFER_SYNTAX, _META_CLASS = 0x00020010, 0x00020002
#: What the planes of a series usually share; worked out once for each combination of values.
_SHARED = (
    _TRANSFER_SYNTAX,
    _META_CLASS,
    *map(tag_of, ("SpecificCharacterSet", "SOPClassUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")),
    *map(tag_of, ("FrameOfReferenceUID", *FORMAT)),
)


@dataclass(frozen=True, eq=False)
class Shared:
    """What the planes of a series usually have in common."""

    transfer_syntax: str
    sop_class: str
    series: tuple[str, str, str]  # PatientID, StudyInstanceUID, SeriesInstanceUID
    frame: str  # FrameOfReferenceUID
    form: Format


@dataclass(frozen=True, eq=False, slots=True)
class Plane:
    """A single-frame image without its pixels."""

    headers: Headers
    row: int  # in headers
    shared: Shared
    sop_instance: str
    number: int | None  # InstanceNumber
    position: tuple[float, ...] | None  # (3,) mm, LPS
    orientation: tuple[float, ...] | None  # (6,)
    spacing: tuple[float, ...] | None  # between rows, between columns, mm
    rescale: Rescale
    place: tuple[int, int]  # offset and length of the value of Pixel Data

    @property
    def path(self) -> str:
        """The file."""
        return self.headers.paths[self.row]

    @property
    def elements(self) -> Elements:
        """The header."""
        return self.headers[self.row]

    @property
    def sop_class(self) -> str:
        """SOPClassUID."""
        return self.shared.sop_class

    @property
    def series(self) -> tuple[str, str, str]:
        """PatientID, StudyInstanceUID, SeriesInstanceUID."""
        return self.shared.series

    @property
    def frame(self) -> str:
        """FrameOfReferenceUID."""
        return self.shared.frame

    @property
    def form(self) -> Format:
        """How its pixels are stored."""
        return self.shared.form

    @property
    def name(self) -> str:
        """What it is called in a report: SOPInstanceUID, or the path where it has none."""
        return self.sop_instance or self.path

    @property
    def point(self) -> Floats:
        """ImagePositionPatient as an array."""
        return np.asarray(self.position, np.float64)

    @property
    def lies(self) -> bool:
        """Whether it says where in the patient it lies."""
        return None not in (self.position, self.orientation, self.spacing)

    def value(self, keyword: str | int) -> Any:
        """Value of an attribute; None if it is absent, empty or unreadable."""
        try:
            return self.elements.get(keyword)
        except BadData:
            return None


def describe(found: Headers, rows: Sequence[int]) -> tuple[list[Plane], dict[int, BadFile]]:
    """The planes of those rows, in their order; and by row, why a file is none.

    Values that all files of a series share are read once; the others stand in columns.
    """
    if not len(rows):
        return [], {}
    keys = combinations(found, _SHARED, rows)
    names, numbers = found.values(_INSTANCE), found.values(_NUMBER)
    positions, orientations, spacings, slopes, intercepts = (found.values(tag) for tag in _DECIMALS)
    at, length = found.pixel_at.tolist(), found.pixel_length.tolist()
    exact = found.exact
    known: dict[Any, Shared | BadData] = {}
    planes: list[Plane] = []
    errors: dict[int, BadFile] = {}
    for row in rows:
        key = keys[row] if row not in exact else row
        shared = known.get(key)
        if shared is None:
            shared = known[key] = _shared(found, row)
        try:
            if isinstance(shared, BadData):
                raise shared
            wrong = length_fits(length[row], shared.form, 1, shared.transfer_syntax)
            if wrong:
                raise BadData(wrong, tag="7FE00010")
            planes.append(
                Plane(
                    headers=found,
                    row=row,
                    shared=shared,
                    sop_instance=_uid(names[row]),
                    number=_integer(numbers[row], found, row),
                    position=_decimals(positions[row], 3),
                    orientation=_decimals(orientations[row], 6),
                    spacing=_decimals(spacings[row], 2),
                    rescale=_rescale(slopes[row], intercepts[row]),
                    place=(at[row], length[row]),
                )
            )
        except BadData as error:
            errors[row] = BadFile(found.paths[row], error.why, tag=error.tag)
    return planes, errors


def frames(planes: Sequence[Plane]) -> list[Frame]:
    """Where their stored values are, and what they mean."""
    read = planes[0].headers
    luts, palettes = (read.cells(tag)[2] for tag in (_LUT, _PALETTE))
    return [
        Frame(
            plane.path,
            plane.shared.transfer_syntax,
            plane.shared.form,
            plane.place,
            plane.rescale,
            lut=plane.elements if (palettes if plane.form.palette else luts)[plane.row] >= 0 else None,
        )
        for plane in planes
    ]


def combinations(found: Headers, tags: Sequence[int], rows: Sequence[int]) -> list[tuple[bytes | None, ...]]:
    """For every row of the headers what tells its values from those of others; only those of `rows` count."""
    here = np.asarray(rows, np.intp)
    varying = [found.values(tag) for tag in tags if _same(found, tag, here) == -2]
    return list(zip(*varying, strict=True)) if varying else [()] * len(found)


def column(planes: Sequence[Plane], keyword: str | int) -> list[Any]:
    """``plane.value(keyword)`` of planes of one series, worked out once for all that have the same bytes."""
    read = planes[0].headers
    raw = read.values(keyword if isinstance(keyword, int) else tag_of(keyword))
    exact = read.exact
    known: dict[Any, Any] = {None: None}
    values = []
    for plane in planes:
        key = plane.row if plane.row in exact else raw[plane.row]
        if key not in known:
            known[key] = plane.value(keyword)
        values.append(known[key])
    return values


def agreed(planes: Sequence[Plane], keywords: Sequence[str]) -> list[str]:
    """Those attributes of which all planes (of one `Headers`) have the same bytes, and some."""
    read = planes[0].headers
    rows = np.fromiter((plane.row for plane in planes), np.intp, len(planes))
    return [keyword for keyword in keywords if _same(read, tag_of(keyword), rows) > 0]


def _same(found: Headers, tag: int, rows: NDArray[np.intp]) -> int:
    """Bytes of the one value that all rows have for a tag; -1 where none has one, -2 where they differ."""
    data, starts, lengths, _ = found.cells(tag)
    starts, lengths = starts[rows], lengths[rows]
    length = int(lengths[0])
    if (lengths != length).any():
        return -2
    if length > 0:
        values = np.frombuffer(data, np.uint8)[starts[:, None] + np.arange(length)]
        if (values != values[0]).any():
            return -2
    return length


def _shared(found: Headers, row: int) -> Shared | BadData:
    elements, meta = found[row], found.meta(row)
    text = elements.text
    try:
        form = format_of(elements)
    except BadData as error:
        return error
    wrong = form.check()
    if wrong:
        return BadData(wrong)
    return Shared(
        transfer_syntax=meta.transfer_syntax,
        sop_class=text("SOPClassUID") or meta.sop_class,
        series=(text("PatientID"), text("StudyInstanceUID"), text("SeriesInstanceUID")),
        frame=text("FrameOfReferenceUID"),
        form=form,
    )


def _uid(value: bytes | None) -> str:
    return (value or b"").decode("latin-1").partition("\\")[0].strip(" \0")


def _integer(value: bytes | None, found: Headers, row: int) -> int | None:
    """The number of an IS; None where it is absent, empty or several.

    Raises
    ------
    BadData
        It is none.
    """
    try:
        return int(value or b"")
    except ValueError:
        number = found[row].get(_NUMBER)
        return number if isinstance(number, int) else None


@lru_cache(maxsize=1024)  # most planes of a series say the same
def _decimals(value: bytes | None, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers of a decimal string, or None."""
    if value is None:
        return None
    try:
        many = tuple(map(float, value.decode("ascii").rstrip(" \0").split("\\")))
    except ValueError:
        return None
    return many if len(many) == count and all(map(isfinite, many)) else None


@lru_cache(maxsize=1024)
def _rescale(slope: bytes | None, intercept: bytes | None) -> Rescale:
    by, to = _decimals(slope, 1), _decimals(intercept, 1)
    return Rescale(by[0] if by else 1.0, to[0] if to else 0.0)
