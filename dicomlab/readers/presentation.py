"""Presentation states: how images are meant to be shown, as tables; nothing is drawn or changed (PS3.3 C.11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..errors import InvalidRequest
from .codes import several
from .instance import WANTED, Instance, blamed, thing, whole
from .reader import Found

_STATES = "1.2.840.10008.5.1.4.1.1.11."
REFERENCES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "frames")
WINDOWS = ("images", "frames", "centre", "width", "function", "explanation", "lut")
AREAS = ("images", "frames", "top_left", "bottom_right", "mode", "spacing", "aspect", "magnification")
GRAPHICS = ("layer", "images", "frames", "kind", "units", "points", "filled", "text")
_READ = (
    "StudyInstanceUID", "ContentLabel", "ContentDescription", "ReferencedSeriesSequence", "BlendingSequence",
    "SoftcopyVOILUTSequence", "DisplayedAreaSelectionSequence", "GraphicAnnotationSequence", "ModalityLUTSequence",
    "PresentationLUTShape", "PresentationLUTSequence", "ImageRotation", "ImageHorizontalFlip", "RescaleSlope",
    "RescaleIntercept",
)  # fmt: skip
_OVERLAYS = tuple(0x60001001 + (number << 17) for number in range(16))  # Overlay Activation Layer


@dataclass(frozen=True, repr=False, eq=False)
class Presentation(Instance):
    """A presentation state.

    In each table `images` lists SOP Instance UIDs and `frames` frame numbers; an empty list means all of them.

    Attributes
    ----------
    label, description
        ContentLabel and ContentDescription.
    references
        The images it is for: a table that can be retrieved and loaded.
    windows
        One row for each window or VOI LUT: images, frames, centre, width, function, explanation, lut (whether it is
        a table of values and no window).
    areas
        Displayed areas: images, frames, top_left and bottom_right (column, row, from 1), mode, spacing (mm),
        aspect, magnification.
    graphics
        One row for each graphic or text: layer, images, frames, kind (GraphicType or "TEXT"), units ("PIXEL" with
        (1, 1) the centre of the first, or "DISPLAY" in fractions), points (n, 2), filled, text.
    transforms
        What else is done to the values or the picture: "presentation LUT INVERSE", "rotated by 90", ...
    """

    label: str
    description: str
    references: pd.DataFrame
    windows: pd.DataFrame
    areas: pd.DataFrame
    graphics: pd.DataFrame
    transforms: tuple[str, ...]

    def window(self, volume: xr.DataArray) -> tuple[float, float]:
        """Centre and width that it asks for a volume: ``view(volume, window=state.window(volume))``.

        Raises
        ------
        InvalidRequest
            It is for other images, gives them no window, or several.
        """
        if "SOPInstanceUID" not in volume.coords:
            raise InvalidRequest("the array no longer names its instances (coordinate SOPInstanceUID)")
        mine = set(np.ravel(volume.coords["SOPInstanceUID"].values).tolist())
        meant = mine & set(self.references.SOPInstanceUID)
        if not meant:
            raise InvalidRequest(f"{self.label or 'the presentation state'} is for other images")
        lines = list[Any](self.windows.itertuples())
        fitting = [line for line in lines if not line.images or meant & set(line.images)]
        if any(line.lut for line in fitting) or any(text.startswith("modality LUT") for text in self.transforms):
            raise InvalidRequest(
                f"{self.label or 'the presentation state'} maps values by a table, not by a window",
                advice="Its tables are in .dataset.",
            )
        found = {(float(line.centre), float(line.width)) for line in fitting}
        if len(found) != 1:
            raise InvalidRequest(
                f"{self.label or 'the presentation state'} gives these images {len(found) or 'no'} windows",
                advice="See its table windows." if found else "",
            )
        return found.pop()

    def facts(self) -> Iterable[tuple[str, str]]:
        """Label, and how much there is of what."""
        yield "label", self.label or self.title
        yield "description", self.description
        yield "title", self.title
        yield "images", str(len(self.references))
        luts = int(self.windows.lut.sum()) if len(self.windows) else 0
        yield "windows", f"{len(self.windows) - luts}" + (f", and {luts} VOI LUT" if luts else "")
        yield "graphics", str(len(self.graphics))
        yield "transforms", ", ".join(self.transforms)


class Presentations:
    """Softcopy presentation states: grayscale, colour, blending, X-ray and volumetric ones."""

    wanted = WANTED

    def reads(self, sop_class: str, header: Elements) -> bool:
        """A class of presentation states."""
        return sop_class.startswith(_STATES)

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Each instance alone."""
        return Found([thing(headers, row, _presentation) for row in rows])


def _presentation(known: dict[str, Any], _: list[str]) -> Presentation:
    with blamed(known["path"]):
        root = whole(known["path"], *_READ, *_OVERLAYS)
        return Presentation(
            **known,
            label=root.text("ContentLabel"),
            description=root.text("ContentDescription"),
            references=_table(REFERENCES, _references(root)),
            windows=_table(WINDOWS, _windows(root)),
            areas=_table(AREAS, _areas(root)),
            graphics=_table(GRAPHICS, _graphics(root)),
            transforms=tuple(_transforms(root)),
        )


def _table(columns: Sequence[str], rows: Iterator[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))


def _references(root: Elements) -> Iterator[dict[str, Any]]:
    for part in (root, *root.items("BlendingSequence")):
        study = part.text("StudyInstanceUID") or root.text("StudyInstanceUID")
        for series in part.items("ReferencedSeriesSequence"):
            for image in series.items("ReferencedImageSequence"):
                yield {
                    "StudyInstanceUID": study,
                    "SeriesInstanceUID": series.text("SeriesInstanceUID"),
                    "SOPInstanceUID": image.text("ReferencedSOPInstanceUID"),
                    "SOPClassUID": image.text("ReferencedSOPClassUID"),
                    "frames": several(image.get("ReferencedFrameNumber")),
                }


def _meant(item: Elements) -> dict[str, Any]:
    """The images and frames that one item of the state is for."""
    images = item.items("ReferencedImageSequence")
    return {
        "images": [image.text("ReferencedSOPInstanceUID") for image in images],
        "frames": [frame for image in images for frame in several(image.get("ReferencedFrameNumber"))],
    }


def _windows(root: Elements) -> Iterator[dict[str, Any]]:
    parts = [root, *root.items("BlendingSequence")]
    for item in (voi for part in parts for voi in part.items("SoftcopyVOILUTSequence")):
        meant = _meant(item)
        centres, widths = several(item.get("WindowCenter")), several(item.get("WindowWidth"))
        names = several(item.get("WindowCenterWidthExplanation"))
        for number, (centre, width) in enumerate(zip(centres, widths, strict=False)):
            yield meant | {
                "centre": centre,
                "width": width,
                "function": item.text("VOILUTFunction") or "LINEAR",
                "explanation": names[number] if number < len(names) else "",
                "lut": False,
            }
        for table in item.items("VOILUTSequence"):
            no_window = {"centre": np.nan, "width": np.nan, "function": "", "lut": True}
            yield meant | no_window | {"explanation": table.text("LUTExplanation")}


def _areas(root: Elements) -> Iterator[dict[str, Any]]:
    for item in root.items("DisplayedAreaSelectionSequence"):
        yield _meant(item) | {
            "top_left": item.get("DisplayedAreaTopLeftHandCorner"),
            "bottom_right": item.get("DisplayedAreaBottomRightHandCorner"),
            "mode": item.text("PresentationSizeMode"),
            "spacing": item.get("PresentationPixelSpacing"),
            "aspect": item.get("PresentationPixelAspectRatio"),
            "magnification": item.get("PresentationPixelMagnificationRatio"),
        }


def _graphics(root: Elements) -> Iterator[dict[str, Any]]:
    for item in root.items("GraphicAnnotationSequence"):
        shared = _meant(item) | {"layer": item.text("GraphicLayer"), "filled": False, "text": ""}
        for graphic in item.items("GraphicObjectSequence"):
            yield shared | {
                "kind": graphic.text("GraphicType"),
                "units": graphic.text("GraphicAnnotationUnits"),
                "points": _points(graphic.get("GraphicData")),
                "filled": graphic.text("GraphicFilled") == "Y",
            }
        for text in item.items("TextObjectSequence"):
            box = text.get("BoundingBoxTopLeftHandCorner"), text.get("BoundingBoxBottomRightHandCorner")
            anchor = text.get("AnchorPoint")
            boxed = None not in box
            kind = "BoundingBox" if boxed else "AnchorPoint"
            yield shared | {
                "kind": "TEXT",
                "units": text.text(f"{kind}AnnotationUnits"),
                "points": _points((*several(box[0]), *several(box[1])) if boxed else anchor),
                "text": text.text("UnformattedTextValue"),
            }


def _points(value: Any) -> Any:
    numbers = np.array(several(value), np.float64)
    return numbers[: len(numbers) // 2 * 2].reshape(-1, 2)


def _transforms(root: Elements) -> Iterator[str]:
    for lut in root.items("ModalityLUTSequence"):
        yield f"modality LUT {lut.text('LUTExplanation')}".strip()
    if "RescaleSlope" in root:
        yield f"rescale {root.text('RescaleSlope')} x + {root.text('RescaleIntercept')}"
    for lut in root.items("PresentationLUTSequence"):
        yield f"presentation LUT {lut.text('LUTExplanation')}".strip()
    if root.text("PresentationLUTShape") not in ("", "IDENTITY"):
        yield f"presentation LUT {root.text('PresentationLUTShape')}"
    if root.text("ImageRotation") not in ("", "0"):
        yield f"rotated by {root.text('ImageRotation')}"
    if root.text("ImageHorizontalFlip") == "Y":
        yield "flipped"
    for tag in _OVERLAYS:
        if root.text(tag):
            yield f"overlay {tag >> 16:04X} in {root.text(tag)}"
