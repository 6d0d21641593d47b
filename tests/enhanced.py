"""Small enhanced images written with pydicom: a frame is a dictionary of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from slices import AXIAL, image

ENHANCED_CT, ENHANCED_MR, ENHANCED_PET, LEGACY_MR = (
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "4.1", "130", "4.4")
)
ROWS, COLUMNS = 4, 3
#: Key of a frame: the group, and the attribute in it (behind a dot the attribute of a further sequence).
GROUPS = {
    "StackID": "FrameContentSequence",
    "InStackPositionNumber": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "DimensionIndexValues": "FrameContentSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionVolume": "PlanePositionVolumeSequence",
    "ImageOrientationVolume": "PlaneOrientationVolumeSequence",
    "TemporalPositionTimeOffset": "TemporalPositionSequence",
    "DataType": "ImageDataTypeSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "DiffusionGradientOrientation": "MRDiffusionSequence.DiffusionGradientDirectionSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
    "TriggerTime": "UnassignedPerFrameConvertedAttributesSequence",
    "RealWorldValueSlope": "RealWorldValueMappingSequence",
    "RealWorldValueIntercept": "RealWorldValueMappingSequence",
    "CodeValue": "RealWorldValueMappingSequence.MeasurementUnitsCodeSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
}
SHARED = {
    "ImageOrientationPatient": list(AXIAL), "PixelSpacing": [0.5, 0.25], "SliceThickness": 2.0,
    "RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "US",
}  # fmt: skip


def groups(said: dict[str, Any]) -> Dataset:
    """The functional groups that hold those attributes."""
    item = Dataset()
    for keyword, value in said.items():
        within = item
        for group in GROUPS[keyword].split("."):
            if group not in within:
                setattr(within, group, Items([Dataset()]))
            within = getattr(within, group)[0]
        setattr(within, keyword, value)
    return item


def instance(
    frames: Sequence[dict[str, Any]],
    shared: dict[str, Any] | None = None,
    *,
    number: int = 1,
    dimensions: Sequence[str] = (),
    **attributes: Any,
) -> Dataset:
    """An enhanced MR image; voxel value 100 * frame (from 0) + row-major index, before rescaling."""
    stored = np.concatenate([100 * n + np.arange(ROWS * COLUMNS) for n in range(len(frames))]).astype(np.int16)
    dataset = image(stored.reshape(-1, COLUMNS), None, number)
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)
    dataset.SOPClassUID, dataset.Modality = ENHANCED_MR, "MR"
    dataset.Rows, dataset.NumberOfFrames = ROWS, len(frames)
    dataset.SharedFunctionalGroupsSequence = Items([groups(SHARED if shared is None else shared)])
    dataset.PerFrameFunctionalGroupsSequence = Items([groups(frame) for frame in frames])
    if dimensions:
        dataset.DimensionIndexSequence = Items([_pointer(keyword) for keyword in dimensions])
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def _pointer(keyword: str) -> Dataset:
    item = Dataset()
    item.DimensionIndexPointer = Tag(keyword)
    item.FunctionalGroupPointer = Tag(GROUPS[keyword].partition(".")[0])
    return item


def at(height: float, **said: Any) -> dict[str, Any]:
    """A frame of the stack "1" at that height."""
    return {"StackID": "1", "ImagePositionPatient": [-10.0, -20.0, height], **said}
