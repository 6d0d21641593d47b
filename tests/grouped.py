"""Multi-frame objects with functional groups, written with pydicom, for tests of their readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slices
from pydicom.dataset import Dataset

SEG, LABELMAP, MAP, DOSE, STRUCTURES = (
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("66.4", "66.7", "30", "481.2", "481.3")
)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)


def items(**attributes: Any) -> list[Dataset]:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return [item]


def code(value: str, meaning: str, scheme: str = "SCT") -> list[Dataset]:
    """A code sequence."""
    return items(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def shared(orientation: Sequence[float], spacing: Sequence[float], step: float | None, **more: Any) -> list[Dataset]:
    """Shared functional groups: orientation, PixelSpacing, SpacingBetweenSlices (None leaves it out)."""
    measures = items(PixelSpacing=list(spacing), SliceThickness=9)
    if step is not None:
        measures[0].SpacingBetweenSlices = step
    turn = items(ImageOrientationPatient=list(orientation))
    return items(PlaneOrientationSequence=turn, PixelMeasuresSequence=measures, **more)


def segmentation(
    masks: np.ndarray,
    cells: Sequence[tuple[int, int]],
    kind: str = "BINARY",
    *,
    orientation: Sequence[float] = slices.AXIAL,
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    step: float = 2.5,
    **attributes: Any,
) -> Dataset:
    """A SEG of masks (segment, z, y, x): bool, or stored fractions of 200, or of segment numbers (z, y, x).

    Parameters
    ----------
    cells
        Segment number and plane of each frame, in the order of the frames.
    """
    orientation = np.array(orientation)
    across = np.cross(orientation[:3], orientation[3:])
    if kind == "LABELMAP":
        frames = [masks[plane] for _, plane in cells]
    else:
        frames = [masks[number - 1, plane] for number, plane in cells]
    dataset = slices.image(np.zeros(masks.shape[-2:], np.uint8), None, 1, SOPClassUID=SEG, Modality="SEG")
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)
    dataset.SegmentationType, dataset.NumberOfFrames = kind, len(cells)
    stored = np.array(frames)
    if kind == "BINARY":
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
        dataset.PixelData = np.packbits(stored.ravel() != 0, bitorder="little").tobytes()
    else:
        dataset.PixelData = stored.astype(np.uint8).tobytes()
    if kind == "FRACTIONAL":
        dataset.MaximumFractionalValue = 200
    if kind == "LABELMAP":
        dataset.SOPClassUID = LABELMAP
    if len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    dataset.SegmentSequence = []
    for number in sorted({number for number, _ in cells} if kind != "LABELMAP" else set(masks.ravel().tolist())):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = number, f"part {number}", "MANUAL"
        item.SegmentedPropertyCategoryCodeSequence = code("123037004", "Anatomical Structure")
        item.SegmentedPropertyTypeCodeSequence = code("10200004", "Liver")
        dataset.SegmentSequence.append(item)
    dataset.SharedFunctionalGroupsSequence = shared(orientation, (0.5, 0.25), step)
    dataset.PerFrameFunctionalGroupsSequence = []
    for number, plane in cells:
        position = np.array(origin) + plane * step * across
        group = Dataset()
        group.PlanePositionSequence = items(ImagePositionPatient=[round(float(value), 6) for value in position])
        if kind != "LABELMAP":
            group.SegmentIdentificationSequence = items(ReferencedSegmentNumber=number)
        source = items(ReferencedSOPInstanceUID=f"1.2.9.{plane}")
        group.DerivationImageSequence = items(SourceImageSequence=source)
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset
