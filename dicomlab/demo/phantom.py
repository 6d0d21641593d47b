"""Synthetic patients with known truth: made from a seed, labelled, never anybody's.

Five studies of four patients: a CT of the thorax with inserts of known HU and its prior, an oblique MR, a PET with
known SUV, an MR that is measured several times. Attributes are made at once, pixels when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage, generate_uid

from .holdings import Instance, joined, pieces
from .manners import EXPLICIT

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Sphere:
    """An insert: all voxels whose centre lies within it have exactly this value, at every time."""

    name: str
    centre: Vector  # patient coordinates, LPS, mm
    radius: float  # mm
    value: float  # in the unit of the series


@dataclass(frozen=True)
class Truth:
    """What is known about one series.

    `position` is the centre of the first voxel of the lowest plane along the normal, `row` and `column` the direction
    cosines of (0020,0037), `spacing` mm between planes, rows and columns. `inserts` are in `unit` ("HU", "SUVbw" or
    "arbitrary"); with several times the value of an insert at time t is ``value * factors[t]``.
    """

    name: str
    modality: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    shape: tuple[int, int, int]  # planes, rows, columns
    position: Vector
    row: Vector  # along a row: from column to column
    column: Vector  # along a column: from row to row
    spacing: Vector
    unit: str
    background: float  # inside the body, without noise
    outside: float
    body: Sphere
    inserts: tuple[Sphere, ...]
    factors: tuple[float, ...] = (1.0,)
    seconds: tuple[float, ...] = (0.0,)
    bqml_per_suv: float = 1.0  # PET: activity concentration of SUV 1, Bq/ml
    noise: float = 0.0  # standard deviation in the body outside the inserts
    seed: int = 0

    @property
    def normal(self) -> Vector:
        return tuple(float(each) for each in np.cross(self.row, self.column))  # type: ignore[return-value]

    def points(self) -> np.ndarray:
        """Centres of all voxels: float64, (planes, rows, columns, 3), LPS, mm."""
        return np.stack(_coordinates(self), axis=-1)

    def inside(self, name: str) -> np.ndarray:
        """The voxels of one insert (or "body"): bool, (planes, rows, columns)."""
        sphere = next(each for each in (self.body, *self.inserts) if each.name == name)
        return _inside(_coordinates(self), sphere, cylinder=name == "body")

    def values(self) -> np.ndarray:
        """The series in its unit at factor 1: float64, (planes, rows, columns)."""
        return _values(self)


def _coordinates(truth: Truth) -> list[np.ndarray]:
    """x, y and z of all voxel centres, each (planes, rows, columns)."""
    k, j, i = np.ogrid[tuple(slice(0.0, count) for count in truth.shape)]
    step, row_step, column_step = truth.spacing
    return [
        truth.position[n]
        + k * (truth.normal[n] * step)
        + j * (truth.column[n] * row_step)
        + i * (truth.row[n] * column_step)
        for n in range(3)
    ]


def _inside(points: list[np.ndarray], sphere: Sphere, *, cylinder: bool = False) -> np.ndarray:
    """The voxels of a sphere, or of the cylinder along z of that radius."""
    squared = np.zeros(points[0].shape)
    for have, centre in list(zip(points, sphere.centre, strict=True))[: 2 if cylinder else 3]:
        squared += (have - centre) ** 2
    return squared <= sphere.radius**2


@lru_cache(maxsize=8)
def _values(truth: Truth) -> np.ndarray:
    points = _coordinates(truth)
    found = np.full(truth.shape, truth.outside)
    inner = _inside(points, truth.body, cylinder=True)
    texture = np.random.default_rng(truth.seed).standard_normal(int(inner.sum())) * truth.noise
    found[inner] = truth.background + texture
    for insert in truth.inserts:
        found[_inside(points, insert)] = insert.value
    found.flags.writeable = False
    return found


def _uid(seed: int, *parts: object) -> str:
    return str(generate_uid(entropy_srcs=["dicomlab demo", str(seed), *map(str, parts)]))


def _thorax(name: str, seed: int, study: str, shape: tuple[int, int, int], step: float) -> Truth:
    half = 0.5 * step * (shape[0] - 1)
    inserts = (
        Sphere("air", (-60.0, -20.0, 0.0), 20.0, -1000.0),
        Sphere("lung", (60.0, -20.0, 0.0), 20.0, -800.0),
        Sphere("fat", (0.0, -60.0, 0.0), 16.0, -100.0),
        Sphere("water", (0.0, 0.0, 0.0), 16.0, 0.0),
        Sphere("bone", (0.0, 70.0, 0.0), 20.0, 1000.0),
    )
    return Truth(
        name, "CT", study, _uid(seed, name, "series"), shape, (-158.75, -158.75, -half), (1.0, 0.0, 0.0),
        (0.0, 1.0, 0.0), (step, 2.5, 2.5), "HU", 40.0, -1000.0, Sphere("body", (0.0, 0.0, 0.0), 130.0, 40.0),
        inserts, noise=8.0, seed=seed,
    )  # fmt: skip


@lru_cache(maxsize=4)
def truths(seed: int = 0) -> dict[str, Truth]:
    """What is known of each series, by name: "ct", "ct prior", "mr", "pet", "mr time"."""
    ct = _thorax("ct", seed, _uid(seed, "study ct"), (48, 128, 128), 3.0)
    prior = _thorax("ct prior", seed + 1, _uid(seed, "study ct prior"), (32, 128, 128), 4.0)
    turn, tilt = np.deg2rad(20.0), np.deg2rad(-15.0)
    row = (float(np.cos(turn)), float(np.sin(turn)), 0.0)
    column = tuple(
        float(each) for each in np.cross((0.0, 0.0, 1.0), row) * np.cos(tilt) + np.array((0.0, 0.0, np.sin(tilt)))
    )
    mr = Truth(
        "mr", "MR", _uid(seed, "study mr"), _uid(seed, "mr", "series"), (24, 128, 96), (-70.0, -110.0, -20.0),
        row, column, (4.0, 1.75, 1.75), "arbitrary", 300.0, 0.0, Sphere("body", (0.0, 0.0, 0.0), 90.0, 300.0),  # type: ignore[arg-type]
        (Sphere("lesion", (15.0, -10.0, 30.0), 14.0, 900.0), Sphere("cyst", (-25.0, 20.0, 40.0), 12.0, 60.0)),
        noise=12.0, seed=seed + 2,
    )  # fmt: skip
    pet = Truth(
        "pet", "PT", _uid(seed, "study pet"), _uid(seed, "pet", "series"), (32, 64, 64), (-126.0, -126.0, -62.0),
        (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (4.0, 4.0, 4.0), "SUVbw", 1.0, 0.0,
        Sphere("body", (0.0, 0.0, 0.0), 100.0, 1.0),
        (Sphere("hot", (40.0, 0.0, 0.0), 16.0, 5.0), Sphere("cold", (-40.0, 0.0, 0.0), 16.0, 0.25)),
        bqml_per_suv=350e6 * 0.5 ** (3600.0 / HALF_LIFE) / 70_000.0, seed=seed + 3,
    )  # fmt: skip
    time = Truth(
        "mr time", "MR", _uid(seed, "study mr time"), _uid(seed, "mr time", "series"), (12, 64, 64),
        (-94.5, -94.5, -27.5), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (5.0, 3.0, 3.0), "arbitrary", 200.0, 0.0,
        Sphere("body", (0.0, 0.0, 0.0), 80.0, 200.0), (Sphere("vessel", (20.0, 10.0, 0.0), 12.0, 400.0),),
        factors=(1.0, 1.5, 2.0, 1.75, 1.25), seconds=(0.0, 2.5, 5.0, 7.5, 10.0), seed=seed + 4,
    )  # fmt: skip
    return {each.name: each for each in (ct, prior, mr, pet, time)}


def truth(name: str = "ct", seed: int = 0) -> Truth:
    """What is known of one series.

    Examples
    --------
    >>> [(each.name, each.value) for each in truth("pet").inserts]
    [('hot', 5.0), ('cold', 0.25)]
    """
    return truths(seed)[name]


HALF_LIFE = 6586.2  # seconds, F-18


def _attributes(**known: Any) -> dict[str, Any]:
    return known


PATIENTS: dict[str, dict[str, Any]] = {
    "ct": _attributes(
        PatientID="DEMO-001", PatientName="DOE^JANE", PatientBirthDate="19600229", PatientSex="F",
        StudyDate="20240215", StudyTime="101500", AccessionNumber="A24-0001", StudyID="2", PatientAge="063Y",
        StudyDescription="CT thorax (phantom)", SeriesDescription="thorax 3 mm", SeriesNumber=2,
        BodyPartExamined="CHEST", SpecificCharacterSet="ISO_IR 100",
    ),
    "ct prior": _attributes(
        PatientID="DEMO-001", PatientName="DOE^JANE", PatientBirthDate="19600229", PatientSex="F",
        StudyDate="20230110", StudyTime="090000", AccessionNumber="A23-0007", StudyID="1", PatientAge="062Y",
        StudyDescription="CT thorax, prior (phantom)", SeriesDescription="thorax 4 mm", SeriesNumber=2,
        BodyPartExamined="CHEST", SpecificCharacterSet="ISO_IR 100",
    ),
    "mr": _attributes(
        PatientID="DEMO-002", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", PatientBirthDate="19711103",
        PatientSex="M", StudyDate="20240305", StudyTime="141000", AccessionNumber="A24-0002", StudyID="1",
        StudyDescription="MR head, oblique (phantom)", SeriesDescription="T1 oblique", SeriesNumber=3,
        BodyPartExamined="HEAD", SpecificCharacterSet=["", "ISO 2022 IR 87"],
    ),
    "pet": _attributes(
        PatientID="DEMO-003", PatientName="Müller^Jürgen^^Dr.", PatientBirthDate="19550617", PatientSex="M",
        StudyDate="20240320", StudyTime="080000", AccessionNumber="A24-0003", StudyID="1",
        StudyDescription="PET (phantom)", SeriesDescription="FDG", SeriesNumber=4, BodyPartExamined="WHOLEBODY",
        SpecificCharacterSet="ISO_IR 100",
    ),
    "mr time": _attributes(
        PatientID="DEMO-004", PatientName="Иванова^Анна", PatientBirthDate="19800101", PatientSex="F",
        StudyDate="20240328", StudyTime="160000", AccessionNumber="A24-0004", StudyID="1",
        StudyDescription="MR perfusion (phantom)", SeriesDescription="dynamic", SeriesNumber=5,
        BodyPartExamined="HEAD", SpecificCharacterSet="ISO_IR 192",
    ),
}  # fmt: skip


def _common(truth: Truth, seed: int) -> Dataset:
    """The attributes that all instances of a series share."""
    known, found = PATIENTS[truth.name], Dataset()
    time = f"{int(known['StudyTime']) + 500:06d}"
    classes = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
    attributes = _attributes(
        **known, SOPClassUID=classes[truth.modality], Modality=truth.modality,
        StudyInstanceUID=truth.StudyInstanceUID, SeriesInstanceUID=truth.SeriesInstanceUID,
        FrameOfReferenceUID=_uid(seed, known["PatientID"], known["StudyDate"], "frame"),
        PositionReferenceIndicator="", ReferringPhysicianName="Doctor^Demo", Manufacturer="dicomlab",
        ManufacturerModelName="phantom", InstitutionName="dicomlab demo", SoftwareVersions="1",
        SeriesDate=known["StudyDate"], SeriesTime=time, PatientPosition="HFS",
        AcquisitionDate=known["StudyDate"], ContentDate=known["StudyDate"],
        ImageOrientationPatient=[round(each, 12) for each in (*truth.row, *truth.column)],
        PixelSpacing=list(truth.spacing[1:]), SliceThickness=truth.spacing[0],
        SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", Rows=truth.shape[1], Columns=truth.shape[2],
        BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0, PatientWeight=70.0, PatientSize=1.75,
        PatientComments="synthetic, not a person", AcquisitionNumber=1, ProtocolName="demo",
    )  # fmt: skip
    kind = ["ORIGINAL", "PRIMARY", "AXIAL"]
    if truth.modality == "CT":
        attributes.update(
            ImageType=kind, BitsStored=12, HighBit=11, RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU",
            KVP=120, WindowCenter=40, WindowWidth=400, GantryDetectorTilt=0, ConvolutionKernel="demo",
            SpacingBetweenSlices=truth.spacing[0],
        )  # fmt: skip
    elif truth.modality == "MR":
        attributes.update(
            ImageType=["ORIGINAL", "PRIMARY", "OTHER"], BitsStored=12, HighBit=11, ScanningSequence="GR",
            SequenceVariant="SP", ScanOptions="", MRAcquisitionType="2D", RepetitionTime=500, EchoTime=10,
            EchoTrainLength=1, FlipAngle=30, MagneticFieldStrength=1.5, WindowCenter=450, WindowWidth=900,
            SpacingBetweenSlices=truth.spacing[0],
        )  # fmt: skip
        if len(truth.factors) > 1:
            attributes.update(NumberOfTemporalPositions=len(truth.factors), TemporalResolution=2500)
    else:
        attributes.update(
            ImageType=["ORIGINAL", "PRIMARY"], Units="BQML", CountsSource="EMISSION",
            SeriesType=["STATIC", "IMAGE"], NumberOfSlices=truth.shape[0], DecayCorrection="START",
            CorrectedImage=["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"], CollimatorType="NONE",
            RandomsCorrectionMethod="DLYD", AttenuationCorrectionMethod="measured", ScatterCorrectionMethod="model",
            ReconstructionMethod="demo", ActualFrameDuration=120_000, FrameReferenceTime=0.0, DecayFactor=1.0,
            RescaleIntercept=0, AcquisitionTime=time,
        )  # fmt: skip
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    if truth.modality == "PT":
        found.RadiopharmaceuticalInformationSequence = Sequence([_tracer(known["StudyDate"])])
        found.PatientOrientationCodeSequence = Sequence([_code("102538003", "SCT", "recumbent")])
        found.PatientGantryRelationshipCodeSequence = Sequence([_code("102540008", "SCT", "headfirst")])
    return found


def _tracer(date: str) -> Dataset:
    """350 MBq of F-18, one hour before the series began (08:05)."""
    item = Dataset()
    item.Radiopharmaceutical = "FDG"
    item.RadiopharmaceuticalStartTime = "070500"
    item.RadiopharmaceuticalStartDateTime = date + "070500"
    item.RadionuclideTotalDose = 350e6
    item.RadionuclideHalfLife = HALF_LIFE
    item.RadionuclidePositronFraction = 0.967
    item.RadionuclideCodeSequence = Sequence([_code("77004003", "SCT", "^18^Fluorine")])
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _stored(truth: Truth, plane: int, factor: float) -> tuple[np.ndarray, float]:
    """Stored values of one plane, uint16 (rows, columns), and the rescale slope they were made with."""
    values = truth.values()[plane] * factor
    if truth.modality == "CT":
        return np.clip(np.rint(values) + 1024, 0, 4095).astype("<u2"), 1.0
    if truth.modality == "PT":
        slope = _slope(truth, plane)
        return np.rint(values * truth.bqml_per_suv / slope).astype("<u2"), slope
    return np.clip(np.rint(values), 0, 4095).astype("<u2"), 1.0


def _slope(truth: Truth, plane: int) -> float:
    """Rescale slope of one plane of a PET: it differs from plane to plane, as scanners have it."""
    return float(f"{truth.bqml_per_suv * 5.0 / (30_000 - 100 * plane):.10g}")


def instances(seed: int = 0) -> Iterator[Instance]:
    """All instances of the phantoms, explicit VR little endian."""
    for each in truths(seed).values():
        common, number = _common(each, seed), 0
        shared = lru_cache(maxsize=1)(partial(pieces, common))
        for moment, factor in enumerate(each.factors):
            for plane in range(each.shape[0]):
                number += 1
                yield _instance(each, common, shared, seed, number, plane, moment, factor)


def _instance(
    truth: Truth,
    common: Dataset,
    shared: Callable[[], dict[int, bytes]],
    seed: int,
    number: int,
    plane: int,
    moment: int,
    factor: float,
) -> Instance:
    header = Dataset()
    header.update(common)
    offset = np.asarray(truth.normal) * truth.spacing[0] * plane
    header.SOPInstanceUID = _uid(seed, truth.name, "instance", number)
    header.InstanceNumber = number
    header.ImagePositionPatient = [round(float(each), 9) for each in np.asarray(truth.position) + offset]
    header.SliceLocation = round(truth.spacing[0] * plane, 9)
    if truth.modality != "PT":
        start = int(PATIENTS[truth.name]["StudyTime"]) + 500
        header.AcquisitionTime = header.ContentTime = f"{start + truth.seconds[moment]:013.6f}"
    else:
        header.ContentTime = header.AcquisitionTime
        header.RescaleSlope = _slope(truth, plane)
        header.ImageIndex = plane + 1
    if len(truth.factors) > 1:
        header.TemporalPositionIdentifier = moment + 1

    def load() -> bytes:
        return joined(shared(), header, _stored(truth, plane, factor)[0])

    return Instance(header, EXPLICIT, load)
