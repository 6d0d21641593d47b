"""Small series written with pydicom, for tests of geometry and values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT, MR, PET = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128"))
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def image(stored: np.ndarray, position: Sequence[float] | None, number: int, **attributes: Any) -> Dataset:
    """A CT image; any attribute may be given by keyword, None leaves it out."""
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = f"1.2.3.{number}"
    dataset.Modality = "CT"
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P1", "1.2.1", "1.2.2"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.FrameOfReferenceUID = 4, number, "1.2.4"
    if position is not None:
        dataset.ImagePositionPatient = [round(float(value), 6) for value in position]
    dataset.ImageOrientationPatient, dataset.PixelSpacing = list(AXIAL), [0.5, 0.25]
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = dataset.BitsAllocated, dataset.BitsAllocated - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = np.ascontiguousarray(stored).tobytes()
    for keyword, value in attributes.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def write(folder: Path, datasets: Sequence[Dataset], syntax: str = ExplicitVRLittleEndian) -> list[Path]:
    """The data sets as files, named by their place in the list."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, dataset in enumerate(datasets):
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        path = folder / f"{index:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def stack(heights: Sequence[float], rows: int = 4, columns: int = 3, **attributes: Any) -> list[Dataset]:
    """Axial CT images at those heights; voxel value 100 * number + row-major index - 1024 HU."""
    found = []
    for number, height in enumerate(heights):
        stored = (100 * number + np.arange(rows * columns)).reshape(rows, columns).astype(np.int16)
        found.append(image(stored, (-10.0, -20.0, height), number + 1, **attributes))
    return found


def with_a_sequence(rng, syntax):
    """A small CT image with a sequence and private attributes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"1.2.{rng.randrange(10**9)}"
    ds.PatientName, ds.PatientID = rng.choice(["A^B", "Müller^Jörg"]), "7" * rng.randrange(5)
    ds.SpecificCharacterSet = "ISO_IR 100"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    ds.ReferencedStudySequence = [inner] * rng.randrange(3)
    ds["ReferencedStudySequence"].is_undefined_length = bool(rng.randrange(2))
    for one in ds.ReferencedStudySequence:
        one.is_undefined_length_sequence_item = bool(rng.randrange(2))
    block = ds.private_block(0x0009, "TEST", create=True)
    block.add_new(1, "UN", b"12")
    ds.ImagePositionPatient, ds.InstanceNumber = [1.5, -2, rng.randrange(100)], rng.randrange(100)
    ds.Rows = ds.Columns = 2
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 16, 12, 11, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes(8)
    ds["PixelData"].VR = "OW"
    return ds
