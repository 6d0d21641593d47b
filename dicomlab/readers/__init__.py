"""Readers: which kind of instance is loaded by what. One file a kind; `register` adds one from outside."""

from __future__ import annotations

from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..datasets.uids import class_name
from ..errors import BadData, BadFile, DicomlabError, InvalidRequest
from ..stacks.planes import combinations
from .document import Documents
from .dose import Doses
from .enhanced import Enhanced
from .images import Images, frames_of, tiled
from .mosaic import Mosaics
from .multiframe import Multiframe
from .nuclear import Nuclear
from .others import DIRECTORY, Others
from .parametric import ParametricMaps
from .presentation import Presentations
from .reader import Reader
from .segmentation import Segmentations
from .structured import Reports
from .structures import StructureSets
from .waveform import Waveforms

#: Asked in this order; the first that reads an instance gets it.
READERS: list[Reader] = [
    Segmentations(),
    Doses(),
    StructureSets(),
    ParametricMaps(),
    Enhanced(),
    Mosaics(),
    Nuclear(),
    Multiframe(),
    Images(),
    Reports(),
    Presentations(),
    Documents(),
    Waveforms(),
    Others(),
]

SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_KIND = tuple(tag_of(keyword) for keyword in ("SOPClassUID", "NumberOfFrames", "ImageType"))
_META_CLASS = 0x00020002
_PRESENT = (tag_of("SharedFunctionalGroupsSequence"), 0x00651051)  # the latter: UIH's planes tiled into one image


def register(reader: Reader) -> None:
    """Ask `reader` before all others."""
    READERS.insert(0, reader)


def wanted() -> frozenset[int]:
    """Tags of the header that the readers need, and those that choose among them."""
    return frozenset([*_KIND, *_PRESENT]).union(*(reader.wanted for reader in READERS))


def choose(headers: Headers) -> tuple[list[tuple[Reader, list[int]]], dict[int, DicomlabError]]:
    """Each reader with its rows, and by row why a file has none."""
    errors: dict[int, DicomlabError] = dict(headers.errors)
    good = [row for row in range(len(headers)) if row not in errors]
    if not good:
        return [], errors
    present = [(headers.cells(tag)[2] >= 0).tolist() for tag in _PRESENT]
    said = combinations(headers, (_META_CLASS, *_KIND), good)
    kinds = list(zip(said, *present, (headers.pixel_at >= 0).tolist(), strict=True))
    known: dict[object, Reader | DicomlabError] = {}
    rows: dict[int, list[int]] = {}
    for row in good:
        kind = kinds[row]
        found = known.get(kind)
        if found is None:
            found = known[kind] = _reader(headers, row)
        if not isinstance(found, DicomlabError):
            rows.setdefault(READERS.index(found), []).append(row)
        elif isinstance(found, BadData):
            errors[row] = BadFile(headers.paths[row], found.why, tag=found.tag)
        else:
            errors[row] = InvalidRequest(f"{headers.paths[row]}: {found.message}", advice=found.advice)
    return [(READERS[index], members) for index, members in sorted(rows.items())], errors


def _reader(headers: Headers, row: int) -> Reader | DicomlabError:
    header = headers[row]
    sop_class = header.text("SOPClassUID") or headers.meta(row).sop_class
    try:
        for reader in READERS:
            if reader.reads(sop_class, header):
                return reader
        return refusal(sop_class, header)
    except BadData as error:
        return error


def refusal(sop_class: str, header: Elements) -> InvalidRequest:
    """Why no reader takes an instance; names what it is.

    Raises
    ------
    BadData
        NumberOfFrames is no number.
    """
    if not sop_class:
        return InvalidRequest("it lacks SOPClassUID, which says what it is", advice="pydicom.dcmread reads it.")
    name = class_name(sop_class)
    if sop_class == DIRECTORY:
        return InvalidRequest("a DICOMDIR, which lists instances and is none", advice="load takes scan(DICOMDIR).")
    if " Image " in name and header.pixels is None:
        return InvalidRequest(f"{name} without pixel data")
    if sop_class == SLIDE:
        return InvalidRequest(
            f"{name}: {frames_of(header)} tiles of a slide, which are no volume",
            advice="highdicom puts them together: highdicom.imread(path).get_total_pixel_matrix().",
        )
    if Images.has(sop_class):
        frames = frames_of(header)
        if frames > 1 or "SharedFunctionalGroupsSequence" in header:
            return InvalidRequest(f"{name} of {frames} frames, a class that is not multi-frame; it is not loaded")
        if tiled(header):
            return InvalidRequest(f"{name}, many planes tiled into one image (mosaic); it is not loaded")
    return InvalidRequest(f"nothing here reads {name}")


__all__ = ["READERS", "Reader", "choose", "refusal", "register", "wanted"]
