"""Many small patients with one lesion each, whose size is known: something to run a function over."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid

from .holdings import Holdings, Instance, joined, pieces
from .manners import EXPLICIT

PLANES, SIDE = 12, 32
SPACING = (4.0, 3.0, 3.0)  # mm, z y x
DESCRIPTION = "lesion 4 mm"


def cohort(patients: int = 200, seed: int = 0) -> tuple[Holdings, list[dict[str, Any]]]:
    """The holdings of an archive with a CT of each patient, and what is true of each.

    Lesions grow with age, by and large. Water has 0 HU, a lesion 60 HU, and the noise a deviation of 8 HU.

    Parameters
    ----------
    patients
        How many, one study with one series of 12 images each.
    seed
        One seed gives one cohort.

    Returns
    -------
    Holdings
        For ``dl.demo_pacs(holdings)``.
    list of dict
        ``PatientID``, ``age`` (years) and ``volume`` (ml, of the sphere that was drawn) of each.

    Examples
    --------
    >>> holdings, truth = cohort(2)
    >>> len(holdings), truth[0]["PatientID"]
    (24, 'COHORT-000')
    """
    random = np.random.default_rng(seed)
    images: list[Instance] = []
    truth = []
    for number in range(patients):
        age = int(random.integers(30, 90))
        radius = float(np.clip(6.5 + 0.12 * (age - 30) + random.normal(0, 1.0), 4, 17))
        made = _stored(radius, random)
        images += _images(number, age, made, seed)
        name = str(images[-1].header.PatientID)
        truth.append({"PatientID": name, "age": age, "volume": 4 / 3 * np.pi * radius**3 / 1000})
    return Holdings(images), truth


def _stored(radius: float, random: np.random.Generator) -> np.ndarray:
    """Stored values (z, y, x) of a sphere in the middle, give or take a voxel."""
    axes = [
        step * (np.arange(count) - (count - 1) / 2) + random.uniform(-step, step)
        for step, count in zip(SPACING, (PLANES, SIDE, SIDE), strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    values = np.where(x * x + y * y + z * z <= radius * radius, 60.0, 0.0)
    return np.rint(values + random.normal(0, 8, values.shape) + 1024).astype("<u2")


def _images(number: int, age: int, stored: np.ndarray, seed: int) -> list[Instance]:
    def uid(*parts: object) -> str:
        return str(generate_uid(entropy_srcs=["dicomlab cohort", str(seed), str(number), *map(str, parts)]))

    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.StudyInstanceUID, image.SeriesInstanceUID = uid("study"), uid("series")
    image.FrameOfReferenceUID = uid("frame")
    image.PatientID, image.PatientName = f"COHORT-{number:03d}", f"COHORT^{number:03d}"
    image.PatientSex, image.PatientAge, image.PatientBirthDate = "FM"[number % 2], f"{age:03d}Y", ""
    image.StudyDate = image.SeriesDate = "20240502"
    image.StudyTime, image.AccessionNumber, image.StudyID = "100000", f"C24-{number:04d}", "1"
    image.StudyDescription, image.SeriesDescription = "CT (phantom)", DESCRIPTION
    image.Modality, image.SeriesNumber = "CT", 2
    image.ImageType, image.PatientPosition = ["ORIGINAL", "PRIMARY", "AXIAL"], "HFS"
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = list(SPACING[1:]), SPACING[0]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows = image.Columns = SIDE
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
    shared, found = pieces(image), []
    for plane, pixels in enumerate(stored):
        header = Dataset()
        header.update(image)
        header.SOPInstanceUID, header.InstanceNumber = uid("image", plane), plane + 1
        header.ImagePositionPatient = [-46.5, -46.5, 4.0 * plane]
        found.append(Instance(header, EXPLICIT, partial(joined, shared, header, pixels)))
    return found
