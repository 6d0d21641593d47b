"""Segmentations: one mask a segment, on the grid of the segmentation itself (PS3.3 C.8.20)."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import numpy as np
import xarray as xr

from ..datasets.elements import Elements, tag_of
from ..errors import BadData, GeometryError, InvalidRequest, MissingCodec
from ..geometry.geometry import STRAIGHT
from ..pixels.frames import stored_values
from ..pixels.pixels import PIXEL_LIMIT, Array, check_size
from ..stacks.functionalgroups import PER_FRAME, SHARED, Groups
from ..stacks.imageheader import WANTED
from ..stacks.stacks import line
from .bits import BitFrames
from .laying import MEASURES, ORIENTATION, POSITION, Laid, lay
from .reader import Thing, title
from .single import File, Single, attributes, labelled

_SEGMENT, _DERIVATION = (tag_of(keyword) for keyword in ("SegmentIdentificationSequence", "DerivationImageSequence"))
_GROUPS = (POSITION, ORIENTATION, MEASURES, _SEGMENT, _DERIVATION)
_TYPES = ("BINARY", "FRACTIONAL", "LABELMAP")
_KEYWORDS = (
    "NumberOfFrames", "SegmentationType", "SegmentationFractionalType", "MaximumFractionalValue", "SegmentSequence",
    "ImageOrientationSlide", "TotalPixelMatrixColumns", "TotalPixelMatrixRows", "ReferencedSeriesSequence",
    "ContentLabel",
)  # fmt: skip


class Segmentations(Single):
    """Segmentations of volumes: (segment, z, y, x), bool, or float32 from 0 to 1 where FRACTIONAL.

    The coordinate ``segment`` holds the segment numbers, ``SegmentLabel`` their names; ``attrs["segments"]`` is the
    segment table as JSON (number, label, category, type, algorithm), ``attrs["sources"]`` the SOP Instance UIDs of
    the images it was made from, ``ReferencedSOPInstanceUID`` along z those of each plane. Planes of which no frame
    was written are empty.
    """

    classes = frozenset(("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"))
    wanted = WANTED | {SHARED, PER_FRAME} | frozenset(map(tag_of, _KEYWORDS))

    def things(self, file: File) -> list[Thing]:
        """The masks of one file."""
        header, form, _ = file.header, file.form, file.place
        kind = header.text("SegmentationType")
        if kind not in _TYPES:
            raise BadData(f"SegmentationType is {kind!r}", tag="00620001")
        if "ImageOrientationSlide" in header or "TotalPixelMatrixColumns" in header:
            size = " x ".join(header.text(name) or "?" for name in ("TotalPixelMatrixColumns", "TotalPixelMatrixRows"))
            raise InvalidRequest(
                f"a segmentation of a whole-slide image, {file.frames} tiles of a matrix of {size} pixels; "
                "tiles are no volume",
                advice="highdicom reads it: highdicom.seg.segread(path).get_total_pixel_matrix().",
            )
        wrong = form.check() if form.allocated != 1 else "" if min(form.rows, form.columns) > 0 else "it has no size"
        if wrong or form.samples != 1:
            raise BadData(wrong or f"SamplesPerPixel is {form.samples}")
        if kind == "FRACTIONAL" and not header.get("MaximumFractionalValue"):
            raise BadData("a fractional segmentation without MaximumFractionalValue", tag="0062000E")
        segments = table(header)
        if not segments:
            raise BadData("SegmentSequence is missing or empty", tag="00620002")
        groups = Groups(header, file.frames, _GROUPS)
        laid = None
        if any(position is not None for position in groups.column(POSITION, tag_of("ImagePositionPatient"))):
            laid = lay(groups, (form.rows, form.columns), absent=True)

        def make(chunks: Any) -> xr.DataArray:
            return _masks(file, kind, segments, groups, laid, chunks)

        described = line(header, [file.name], orientation=laid.orientation if laid else None)
        warnings = [text for text in laid.grid.problems if _matters(text)] if laid else []
        return [Thing(title(header), described, [file.name], make, warnings=warnings)]


def _matters(problem: str) -> bool:
    return not problem.startswith("planes lie up to") or float(problem.split()[4]) > STRAIGHT


def table(header: Elements) -> list[dict[str, Any]]:
    """The segment table: number, label, category, type, algorithm of each segment.

    Raises
    ------
    BadData
        A segment has no number, or two have the same.
    """
    found = []
    for item in header.items("SegmentSequence"):
        number = item.get("SegmentNumber")
        if not isinstance(number, int):
            raise BadData("a segment has no SegmentNumber", tag="00620004")
        found.append(
            {
                "number": number,
                "label": item.text("SegmentLabel"),
                "category": code(item, "SegmentedPropertyCategoryCodeSequence"),
                "type": code(item, "SegmentedPropertyTypeCodeSequence"),
                "algorithm": item.text("SegmentAlgorithmType"),
                "algorithm_name": item.text("SegmentAlgorithmName"),
            }
        )
    if len({segment["number"] for segment in found}) < len(found):
        raise BadData("two segments have one SegmentNumber", tag="00620004")
    return found


def code(item: Elements, keyword: str) -> dict[str, str] | None:
    """The first code of a code sequence: value, scheme, meaning; None where it is absent."""
    codes = item.items(keyword)
    if not codes:
        return None
    names = {"value": "CodeValue", "scheme": "CodingSchemeDesignator", "meaning": "CodeMeaning"}
    return {name: codes[0].text(attribute) for name, attribute in names.items()}


def _masks(
    file: File, kind: str, segments: list[dict[str, Any]], groups: Groups, laid: Laid | None, chunks: Any
) -> xr.DataArray:
    header, form = file.header, file.form
    if kind == "LABELMAP":
        background = header.get("PixelPaddingValue", 0)
        segments = [segment for segment in segments if segment["number"] != background]
    numbers = [segment["number"] for segment in segments]
    planes = len(laid.grid.z) if laid else 1
    sources: list[list[str]] = [[] for _ in range(planes)]
    for place, uids in zip(laid.place if laid else [0] * file.frames, _sources(groups), strict=True):
        sources[place] += [uid for uid in uids if uid not in sources[place]]
    if laid is None and len(sources[0]) > 1:
        raise GeometryError(f"{file.frames} frames of {len(sources[0])} images without positions are no volume")
    filler = _Filler(file, kind, tuple(numbers), (planes, form.rows, form.columns))
    cells = _cells(file, kind, numbers, groups, laid)
    values = filler.all(cells) if chunks is None else filler.lazy(cells)
    attrs = attributes(header, ("SegmentationType", "ContentLabel"))
    attrs |= {"units": "", "segments": json.dumps(segments, ensure_ascii=False)}
    attrs["sources"] = list(dict.fromkeys([uid for plane in sources for uid in plane])) or _referenced(header)
    coordinates: dict[str, Any] = {"SegmentLabel": ("segment", [segment["label"] for segment in segments])}
    if laid is None:
        values = values[:, 0]
    else:
        coordinates["ReferencedSOPInstanceUID"] = ("z", ["\\".join(plane) for plane in sources])
    front = {"segment": numbers}
    grid = laid.grid if laid else None
    array = labelled(values, file, grid, front=front, attrs=attrs, coordinates=coordinates)
    return array.chunk(chunks) if chunks else array


Cells = list[tuple[int, int, int]]  # frame, segment (its index), plane


def _cells(file: File, kind: str, numbers: list[int], groups: Groups, laid: Laid | None) -> Cells:
    """Where each frame belongs."""
    places = laid.place.tolist() if laid else [0] * file.frames
    if kind == "LABELMAP":
        if len(set(places)) < len(places):
            raise GeometryError("several frames of a label map lie at one position; they are no single volume")
        return [(frame, index, place) for frame, place in enumerate(places) for index in range(len(numbers))]
    order = {number: index for index, number in enumerate(numbers)}
    found: Cells = []
    taken = set()
    for frame, number in enumerate(groups.column(_SEGMENT, tag_of("ReferencedSegmentNumber"))):
        if number not in order:
            raise file.bad(f"frame {frame + 1} is of segment {number}, which SegmentSequence does not have", "0062000B")
        cell = order[number], places[frame]
        if cell in taken:
            raise GeometryError(f"several frames of segment {number} lie at one position; they are no single mask")
        taken.add(cell)
        found.append((frame, *cell))
    return found


class _Filler:
    """Frames to masks, of all segments now or of each when it is asked for."""

    def __init__(self, file: File, kind: str, numbers: tuple[int, ...], shape: tuple[int, int, int]) -> None:
        self._file, self._kind, self._numbers, self._shape = file, kind, numbers, shape
        self._dtype = np.dtype(np.float32 if kind == "FRACTIONAL" else np.bool_)
        self._bits = BitFrames(file) if file.form.allocated == 1 else None

    def all(self, cells: Cells) -> Array:
        """(segment, z, y, x)."""
        shape = (len(self._numbers), *self._shape)
        size = int(np.prod(shape, dtype=object)) * self._dtype.itemsize
        if size > PIXEL_LIMIT:
            raise InvalidRequest(
                f"the masks of {shape[0]} segments take {size / 2**30:.1f} GiB, the limit is {PIXEL_LIMIT / 2**30:g}",
                advice="Load them lazily, a segment at a time: chunks={} (extra dask).",
            )
        values = np.zeros(shape, self._dtype)
        self._fill(values, cells)
        return values

    def lazy(self, cells: Cells) -> Any:
        """The same as a dask array, a chunk a segment."""
        try:
            import dask.array as da
            from dask.delayed import delayed
        except ImportError:
            raise MissingCodec("chunks= needs dask", advice='pip install "dicomlab[dask]"') from None
        check_size(int(np.prod(self._shape, dtype=object)) * self._dtype.itemsize)
        of: list[Cells] = [[] for _ in self._numbers]
        for frame, index, place in cells:
            of[index].append((frame, index, place))
        make = delayed(self._one)
        return da.stack([da.from_delayed(make(own), self._shape, self._dtype) for own in of])

    def _one(self, cells: Cells) -> Array:
        values = np.zeros(self._shape, self._dtype)
        self._fill(values[None], cells, cells[0][1] if cells else 0)
        return values

    def _fill(self, values: Array, cells: Cells, first: int = 0) -> None:
        """Each frame into its plane; `values` begins with the segment `first`."""
        most = self._file.header.get("MaximumFractionalValue", 1)
        for frame, own in groupby(cells, key=lambda cell: cell[0]):
            bits = self._bits
            stored = bits[frame] if bits is not None else stored_values(self._file.frame(frame, self._file.form))
            present = set(np.unique(stored).tolist()) if self._kind == "LABELMAP" else set()
            for _, index, place in own:
                out = values[index - first, place]
                if self._kind == "FRACTIONAL":
                    np.divide(stored, most, out=out, casting="same_kind", dtype=np.float32)
                elif self._kind == "BINARY":
                    np.not_equal(stored, 0, out=out)
                elif self._numbers[index] in present:
                    np.equal(stored, self._numbers[index], out=out)


def _sources(groups: Groups) -> list[list[str]]:
    """SOP Instance UIDs of the images each frame was made from."""
    found = []
    for images in groups.column(_DERIVATION, tag_of("SourceImageSequence")):
        uids = (image.text("ReferencedSOPInstanceUID") for image in images or ())
        found.append([uid for uid in uids if uid])
    return found


def _referenced(header: Elements) -> list[str]:
    series = header.items("ReferencedSeriesSequence")
    instances = [one for item in series for one in item.items("ReferencedInstanceSequence")]
    return [uid for one in instances if (uid := one.text("ReferencedSOPInstanceUID"))]
