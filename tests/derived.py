"""Series that something is derived from, each whole enough for its IOD; and programs that judge the result."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slices
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RTPlanStorage
from pydicom.valuerep import format_number_as_ds
from support import require_peer

STUDY: dict[str, Any] = {
    "PatientName": "Müller^Jörg", "PatientID": "00123", "PatientBirthDate": "19610203", "PatientSex": "M",
    "PatientWeight": 70, "StudyDate": "20240320", "StudyTime": "101500", "AccessionNumber": "A7", "StudyID": "S1",
    "ReferringPhysicianName": "", "StudyDescription": "Abdomen", "SpecificCharacterSet": "ISO_IR 100",
    "BodyPartExamined": "ABDOMEN", "PatientPosition": "HFS", "SliceThickness": 3, "SeriesDescription": "portal venous",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "AcquisitionNumber": 2, "AcquisitionDate": "20240320",
    "AcquisitionTime": "102000", "Manufacturer": "ACME", "PositionReferenceIndicator": "",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1", "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.4",
}  # fmt: skip
CT: dict[str, Any] = {"SOPClassUID": slices.CT, "Modality": "CT", "KVP": 120, "ConvolutionKernel": "B30f"}
MR: dict[str, Any] = {
    "SOPClassUID": slices.MR, "Modality": "MR", "ScanningSequence": "GR", "SequenceVariant": "SP", "ScanOptions": "",
    "MRAcquisitionType": "3D", "EchoTime": 2.5, "RepetitionTime": 8, "EchoTrainLength": 1, "RescaleSlope": None,
    "RescaleIntercept": None, "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
}  # fmt: skip
PET: dict[str, Any] = {
    "SOPClassUID": slices.PET, "Modality": "PT", "Units": "BQML", "DecayCorrection": "START", "SeriesDate": "20240320",
    "CorrectedImage": ["NORM", "DECY", "ATTN", "SCAT"], "SeriesTime": "110000", "RescaleIntercept": 0,
    "SeriesType": ["STATIC", "IMAGE"], "CountsSource": "EMISSION", "FrameReferenceTime": 0, "ImageIndex": 1,
    "ActualFrameDuration": 180000, "CollimatorType": "NONE", "DecayFactor": 1, "PatientOrientationCodeSequence": [],
    "PatientGantryRelationshipCodeSequence": [], "ImageType": ["ORIGINAL", "PRIMARY"], "NumberOfSlices": 4,
}  # fmt: skip
KINDS = {"CT": CT, "MR": MR, "PET": PET}


def numbers(values: Sequence[float]) -> list[float]:
    """Numbers as a decimal string holds them."""
    return [float(format_number_as_ds(float(value))) for value in values]


def series(
    folder: Path,
    kind: str = "CT",
    count: int = 4,
    shape: tuple[int, int] = (6, 5),
    turn: np.ndarray | None = None,
    line: np.ndarray | None = None,
    spacing: tuple[float, float] = (0.7, 0.9),
    step: float = 3.0,
    **attributes: Any,
) -> list[Path]:
    """A series of planes along a line (their normal, if none is given)."""
    turn = np.eye(3) if turn is None else turn
    line = turn[:, 2] if line is None else line
    datasets: list[Dataset] = []
    for plane in range(count):
        stored = (100 * plane + np.arange(shape[0] * shape[1])).reshape(shape).astype(np.int16)
        known = STUDY | KINDS[kind] | attributes
        dataset = slices.image(stored, None, plane + 1, **known)
        dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.3.{plane + 1}"
        if kind == "PET":
            dataset.RadiopharmaceuticalInformationSequence = [tracer()]
        dataset.ImagePositionPatient = numbers(np.array([-20.0, 11.5, -300.25]) + plane * step * line)
        dataset.ImageOrientationPatient = numbers([*turn[:, 0], *turn[:, 1]])
        dataset.PixelSpacing = numbers(spacing)
        datasets.append(dataset)
    return slices.write(folder, datasets)


def tracer() -> Dataset:
    """What was injected."""
    item = Dataset()
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = 350e6, 6586.2
    item.RadiopharmaceuticalStartDateTime = "20240320100000"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "77004003", "SCT", "^18^Fluorine"
    item.RadionuclideCodeSequence = [code]
    return item


#: What dciodvfy says of objects that are right: it cannot know whether a body part is one of a pair, nor the modules
#: that secondary captures have had since it was made; a slope of MR images is no part of their IOD, but not forbidden;
#: nor can it know our private coding scheme.
KNOWN = (
    "<Laterality>",
    "<99DICOMLAB>",
    "Non-identity Modality LUT",
    "not present in standard DICOM IOD",
    "Dicom dataset contains attributes not present",
)


def verified(path: str | Path) -> list[str]:
    """What dciodvfy has against a file."""
    program = require_peer("dciodvfy")
    said = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=60)
    lines = (said.stdout + said.stderr).splitlines()
    return [line for line in lines if line.startswith(("Error", "Warning")) and not any(one in line for one in KNOWN)]


def dumped(path: str | Path) -> str:
    """A file as dcmdump shows it, which reads all of it."""
    program = require_peer("dcmdump")
    said = subprocess.run([program, "+L", "-q", str(path)], capture_output=True, timeout=60)
    assert said.returncode == 0 and not said.stderr, said.stderr
    return said.stdout.decode(errors="replace")


NEAR = 1e-3  # mm


def rotation(seed):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def datasets(table):
    return [dcmread(path) for path in table.path]


def check_same_places(volume, back):
    """Each voxel of one is at the place of the same voxel of the other."""
    corners = [np.array([0, size - 1]) for size in volume.shape[-3:]]
    index = np.meshgrid(*corners, indexing="ij")
    assert np.abs(volume.dicom.position(*index) - back.dicom.position(*index)).max() < NEAR


UNITS = {"CT": "HU", "MR": "ms", "PET": "BQML"}


def plan(folder, **attributes):
    """An RT Plan of the patient of `STUDY`; the path."""
    dataset = slices.image(np.zeros((1, 1), np.int16), None, 1, **STUDY | attributes)
    for keyword in ("PixelData", "Rows", "Columns", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        delattr(dataset, keyword)
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTPlanStorage, "1.2.826.0.1.3680043.8.498.9"
    dataset.Modality = "RTPLAN"
    dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.8"
    (path,) = slices.write(folder, [dataset])
    return path
