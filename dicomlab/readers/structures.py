"""RT Structure Sets: a table of regions of interest, their contours in mm, and masks on the grid of a volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..amounts import counted
from ..datasets.elements import Elements, tag_of
from ..datasets.headers import Headers
from ..errors import BadData, BadFile, InvalidRequest, did_you_mean
from ..geometry.contours import fill, grid_of
from ..geometry.geometry import Floats
from ..geometry.resample import must_be_volume, same_frame
from ..pixels.pixels import check_size
from .instance import WANTED, Instance, blamed, thing, whole
from .reader import Found

_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_CONTENT = (
    "StructureSetLabel", "FrameOfReferenceUID", "ReferencedFrameOfReferenceSequence", "StructureSetROISequence",
    "ROIContourSequence", "RTROIObservationsSequence",
)  # fmt: skip
_DATA = tag_of("ContourData")
CLOSED = frozenset(("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"))


@dataclass(frozen=True, eq=False)
class Contour:
    """One contour of a region of interest (PS3.3 C.8.8.6)."""

    kind: str  # ContourGeometricType: CLOSED_PLANAR, OPEN_PLANAR, POINT, ...
    points: Floats  # (n, 3), patient mm, LPS
    source: str = ""  # SOP Instance UID of the image it was drawn on
    thickness: float | None = None  # ContourSlabThickness, mm

    @property
    def closed(self) -> bool:
        """Whether it bounds a part of a plane."""
        return self.kind in CLOSED and len(self.points) > 2


@dataclass(frozen=True, repr=False, eq=False)
class Structures(Instance):
    """A structure set.

    Attributes
    ----------
    label
        StructureSetLabel.
    rois
        One row a region of interest: ROINumber, ROIName, colour ("#rrggbb"), RTROIInterpretedType, contours and
        points (how many), types (their ContourGeometricType), FrameOfReferenceUID, problem ("" or why its
        contours cannot be used).

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> from dicomlab.volumes.series import load
    >>> found = load(get_testdata_file("rtstruct.dcm"))
    >>> found.rois[["ROINumber", "ROIName", "contours", "types"]].values.tolist()[:2]
    [[1, 'patient', 3, ('CLOSED_PLANAR',)], [2, 'Isocenter 1', 1, ('POINT',)]]
    >>> found.contours("Isocenter 1")[0].points.tolist()
    [[0.0, -0.0, 0.0]]

    ``found.mask(ct, "patient")`` is where a volume is inside.
    """

    label: str
    rois: pd.DataFrame
    found: dict[int, list[Contour]]

    def contours(self, roi: int | str) -> list[Contour]:
        """Contours of a region of interest, by its number or name.

        Raises
        ------
        InvalidRequest
            There is none such, or several.
        BadFile
            Its contours cannot be read.
        """
        line = self._line(roi)
        if line.problem:
            raise BadFile(self.path, f"ROI {line.ROINumber} {line.ROIName!r}: {line.problem}")
        return self.found[int(line.ROINumber)]

    def mask(self, volume: xr.DataArray, roi: int | str | Iterable[int | str] | None = None) -> xr.DataArray:
        """Where a volume's voxels are inside closed contours.

        A voxel is inside where its centre is within an odd number of the contours of one plane, so that a
        contour in another is a hole. A plane of contours that was drawn on images of this volume is one plane of
        it; of others each plane is a slab that reaches half way to the next.

        Parameters
        ----------
        volume
            In the frame of reference of the structure set; only its grid is used.
        roi
            Number or name of one; or a list of them; None: all regions of interest that have closed contours.

        Returns
        -------
        xarray.DataArray
            bool, with the spatial dimensions of the volume. One that is named alone has no other dimension; a list
            and None give ``roi`` in front, the numbers, with the coordinate ``ROIName``, however many there are, so
            that what works for three works for one: ``.sel(roi=2)`` takes one, ``.squeeze("roi")`` the only one.

        Raises
        ------
        InvalidRequest
            There is no such region of interest, or it has no closed contours: points and lines have no inside; or
            it is no volume.
        GeometryError
            The frames of reference differ, or the contours lie in no parallel planes.
        BadFile
            Its contours cannot be read.

        References
        ----------
        PS3.3 C.8.8.6
        """
        must_be_volume(volume)
        chosen: list[Any]
        alone = isinstance(roi, str) or (roi is not None and not isinstance(roi, Iterable))
        if roi is None:
            lines: list[Any] = list(self.rois.itertuples())
            chosen = [line for line in lines if not line.problem and CLOSED & set(line.types)]
            if not chosen:
                raise InvalidRequest("no region of interest has closed contours", advice="See .rois.")
        else:
            wanted: list[Any] = [roi] if alone or not isinstance(roi, Iterable) else list(roi)
            if not wanted:
                raise InvalidRequest("nothing is selected", advice="Name a region of interest, or leave out the list.")
            chosen = [self._line(one) for one in wanted]
        for line in chosen:
            same_frame(
                str(line.FrameOfReferenceUID),
                volume.dicom.frame_of_reference,
                f"ROI {line.ROINumber} {line.ROIName!r} and the volume",
            )
        grid = grid_of(volume)
        shape = (len(chosen), *grid.shape)
        check_size(int(np.prod(shape, dtype=object)))
        values = np.zeros(shape, np.bool_)
        here = set(np.ravel(volume.coords["SOPInstanceUID"].values)) if "SOPInstanceUID" in volume.coords else set()
        for line, out in zip(chosen, values, strict=True):
            closed = [contour for contour in self.contours(int(line.ROINumber)) if contour.closed]
            if not closed:
                raise InvalidRequest(
                    f"ROI {line.ROINumber} {line.ROIName!r} has no closed contours ({', '.join(line.types) or 'none'})",
                    advice="Its points are in contours(...).",
                )
            fill(out, grid, [contour.points for contour in closed], _thickness(closed, here, abs(grid.steps[2])))
        coordinates = {
            str(name): coordinate.variable
            for name, coordinate in volume.coords.items()
            if name == "geometry" or (coordinate.dims and set(coordinate.dims) <= {"z", "y", "x"})
        }
        coordinates["roi"] = xr.Variable("roi", [int(line.ROINumber) for line in chosen])
        coordinates["ROIName"] = xr.Variable("roi", [str(line.ROIName) for line in chosen])
        array = xr.DataArray(values, coordinates, ("roi", "z", "y", "x"), attrs={"units": ""})
        array = array.transpose("roi", *volume.dicom.dims)
        return array[0] if alone else array

    def _line(self, roi: int | str) -> Any:
        column = "ROIName" if isinstance(roi, str) else "ROINumber"
        lines = list(self.rois[self.rois[column] == roi].itertuples())
        if len(lines) == 1:
            return lines[0]
        if lines:
            numbers = ", ".join(str(line.ROINumber) for line in lines)
            raise InvalidRequest(f"several regions of interest are named {roi!r}", advice=f"Take a number: {numbers}.")
        names = [str(name) for name in self.rois.ROIName]
        near = did_you_mean(roi, names) if isinstance(roi, str) else ""
        some = f"{', '.join(map(repr, names[:8]))}{', ...' if len(names) > 8 else ''}" or "none at all"
        are = "are" if len(names) > 1 else "is"
        raise InvalidRequest(f"there is no region of interest {roi!r}{near}", advice=f"There {are} {some}: see .rois.")

    def facts(self) -> Iterable[tuple[str, str]]:
        count = len(self.rois)
        yield "regions", counted(count, "region of interest", "regions of interest")
        yield "label", self.label
        yield "names", ", ".join(str(name) for name in self.rois.ROIName)
        yield from super().facts()


def _thickness(contours: Sequence[Contour], here: set[Any], step: float) -> float | None:
    """How far a plane of contours reaches along its normal; None: by the distance between them."""
    if any(contour.source and contour.source in here for contour in contours):  # others may be cut away
        return step
    told = {contour.thickness for contour in contours}
    (one,) = told if len(told) == 1 else (None,)
    return one if one and one > 0 else None


class StructureSets:
    """Reader of structure sets."""

    wanted = WANTED

    def reads(self, sop_class: str, header: Elements) -> bool:
        """RT Structure Set Storage."""
        return sop_class == _CLASS

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """A structure set for each file."""
        return Found([thing(headers, row, structures) for row in rows])


def structures(known: dict[str, Any], warnings: list[str]) -> Structures:
    """The structure set of a file, of which the fields of `Instance` are known.

    Raises
    ------
    BadFile
        It cannot be read, or its regions of interest have no numbers.
    """
    header = whole(known["path"], *_CONTENT)
    with blamed(known["path"]):
        lines, found = _table(header)
    said = zip(lines["ROINumber"], lines["ROIName"], lines["problem"], strict=True)
    warnings += [f"ROI {number} {name!r} cannot be used: {problem}" for number, name, problem in said if problem]
    return Structures(**known, label=header.text("StructureSetLabel"), rois=pd.DataFrame(lines), found=found)


def _table(header: Elements) -> tuple[dict[str, list[Any]], dict[int, list[Contour]]]:
    frames = [item.text("FrameOfReferenceUID") for item in header.items("ReferencedFrameOfReferenceSequence")]
    frame = header.text("FrameOfReferenceUID") or (frames[0] if len(frames) == 1 else "")
    rois = {_number(item, "ROINumber"): item for item in header.items("StructureSetROISequence")}
    drawn = {_number(item, "ReferencedROINumber"): item for item in header.items("ROIContourSequence")}
    seen = {item.get("ReferencedROINumber"): item for item in header.items("RTROIObservationsSequence")}
    found: dict[int, list[Contour]] = {}
    lines: list[dict[str, Any]] = []
    for number in [*rois, *(other for other in drawn if other not in rois)]:
        contours, problem = _contours(drawn.get(number))
        found[number] = contours
        item, observed = rois.get(number), seen.get(number)
        lines.append(
            {
                "ROINumber": number,
                "ROIName": item.text("ROIName") if item is not None else "",
                "colour": _colour(drawn.get(number)),
                "RTROIInterpretedType": observed.text("RTROIInterpretedType") if observed is not None else "",
                "contours": len(contours),
                "points": sum(len(contour.points) for contour in contours),
                "types": tuple(dict.fromkeys(contour.kind for contour in contours)),
                "FrameOfReferenceUID": (item.text("ReferencedFrameOfReferenceUID") if item is not None else "")
                or frame,
                "problem": problem,
            }
        )
    names = (
        "ROINumber", "ROIName", "colour", "RTROIInterpretedType", "contours", "points", "types",
        "FrameOfReferenceUID", "problem",
    )  # fmt: skip
    return {name: [line[name] for line in lines] for name in names}, found


def _number(item: Elements, keyword: str) -> int:
    number = item.get(keyword)
    if not isinstance(number, int):
        raise BadData(f"a region of interest without {keyword}", tag=f"{tag_of(keyword):08X}")
    return number


def _colour(item: Elements | None) -> str:
    value = None if item is None else item.get("ROIDisplayColor")
    if not isinstance(value, tuple) or len(value) != 3 or not all(isinstance(part, int) for part in value):
        return ""
    return "#" + "".join(f"{min(255, max(0, part)):02x}" for part in value)


def _contours(item: Elements | None) -> tuple[list[Contour], str]:
    """Contours of a region of interest, and what is wrong with them: with one broken, none can be trusted."""
    found = []
    for number, contour in enumerate(item.items("ContourSequence") if item is not None else [], 1):
        value = contour.raw.get(_DATA, ("DS", b""))[1]
        try:
            flat = np.array(value.rstrip(b" \0").split(b"\\") if value else []).astype(np.float64)
        except ValueError:
            return [], f"contour {number} holds what is no number"
        if len(flat) % 3 or not np.isfinite(flat).all():
            return [], f"contour {number} has {counted(len(flat), 'number')}, and no points of them"
        points = flat.reshape(-1, 3)
        told = contour.get("NumberOfContourPoints", len(points))
        if told != len(points):
            return [], f"contour {number} has {counted(len(points), 'point')}, NumberOfContourPoints says {told}"
        images = contour.items("ContourImageSequence")
        thickness = contour.get("ContourSlabThickness")
        found.append(
            Contour(
                contour.text("ContourGeometricType"),
                points,
                images[0].text("ReferencedSOPInstanceUID") if images else "",
                float(thickness) if isinstance(thickness, int | float) else None,
            )
        )
    return found, ""
