"""The instances that are measured on: made once, the same everywhere, in a cache folder outside the repository."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

VERSION = 1  # raised with any change below, so that nothing old is taken for new
#: A tenth of everything, for a run of P4, P5 or P7 that is to say only that nothing is ruined (no round number of
#: studies, since that is what an archive with a limit finds).
SHORT = bool(os.environ.get("DICOMLAB_BENCHMARKS_SHORT"))
SLICES, FILES, STUDIES = (50, 500, 990) if SHORT else (500, 5000, 10_000)
NAMES = ("SMITH^ANNE", "MÜLLER^JÖRG", "DUPONT^FRANÇOIS", "GARCÍA^ÉLODIE", "JENSEN^BO", "ROSSI^CHIARA")


def uid(*names: object) -> str:
    """A UID that is the same in every run."""
    digest = sha256("/".join(map(str, names)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"


STUDY, SERIES = uid("ct", "study"), uid("ct", "series")


def words(text: str) -> list[str]:
    return text.split()


def folder(*names: str) -> Path:
    """A folder of ours; all of them lie in the one that the environment variable DICOMLAB_BENCHMARKS names."""
    import platformdirs

    root = os.environ.get("DICOMLAB_BENCHMARKS")
    top = Path(root) if root else platformdirs.user_cache_path("dicomlab", appauthor=False) / "benchmarks"
    path = top.joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


@cache
def ct() -> Path:
    """500 CT slices of 512 x 512 int16, one series, 262 MB; the names are not in the order of the slices."""
    return made("ct", _ct)


@cache
def mr() -> Path:
    """5,000 MR images of 128 x 128 uint16, 25 series of 200 in 5 studies."""
    return made("mr", _mr)


@cache
def studies() -> Path:
    """10,000 studies of one small instance each."""
    return made("studies", _studies)


@cache
def ct_sum() -> int:
    """The sum of all pixels of `ct`."""
    return pixel_sum(ct().iterdir())


def pixel_sum(paths: Iterable[Path], pixels: int = 512 * 512) -> int:
    """The sum of the int16 pixels that end each file."""
    return sum(int(np.frombuffer(path.read_bytes()[-2 * pixels :], "<i2").sum(dtype=np.int64)) for path in paths)


def check(folder: Path) -> None:
    """Raise unless the files below a folder are the CT, every pixel of it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 2 * 512 * 512]
    assert len(files) == SLICES, f"{len(files)} instances arrived"
    assert pixel_sum(files) == ct_sum(), "the pixels are not those that were sent"


def made(name: str, make: Callable[[Path], None]) -> Path:
    """Make what is not there yet; a making that was broken off leaves nothing behind that looks whole."""
    place = folder() / f"{name}{'-short' if SHORT else ''}-{VERSION}"
    if not place.exists():
        print(f"making {place} (once) ...", flush=True)
        half = Path(tempfile.mkdtemp(dir=folder()))
        try:
            make(half)
            half.rename(place)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return place


def _ct(place: Path) -> None:
    noise = np.random.default_rng(1).integers(-30, 30, (512, 512), dtype=np.int16)
    ds = _header("ct", CTImageStorage, STUDY, SERIES, "DOE^JANE", "PID-CT-1")
    ds.BodyPartExamined, ds.KVP, ds.ConvolutionKernel, ds.PatientPosition = "CHEST", "120", "B31f", "HFS"
    ds.SliceThickness, ds.PixelSpacing, ds.ImageOrientationPatient = "1", ["0.703125"] * 2, [1, 0, 0, 0, 1, 0]
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = ["40", "-600"], ["400", "1200"]
    for number in range(SLICES):
        ds.SOPInstanceUID, ds.InstanceNumber = uid("ct", number), number + 1
        ds.ImagePositionPatient = ["-179.6484", "-179.6484", f"{number - 600}"]
        ds.AcquisitionTime = f"101330.{number:06}"
        _pixels(ds, np.roll(noise, number, 1) + _body(512, number / SLICES), signed=True)
        _save(ds, place / f"IM{number * 367 % SLICES:04}")


def _mr(place: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 200, (128, 128), dtype=np.int16)
    for series in range(25):
        (place / f"S{series:02}").mkdir()
        study = series // 5
        names = uid("mr", study), uid("mr", study, series)
        ds = _header("mr", MRImageStorage, *names, "ROE^RICHARD", f"PID-MR-{study}")
        ds.SeriesNumber, ds.ScanningSequence, ds.SequenceVariant, ds.EchoTime = series + 1, "EP", "SK", "30"
        ds.RepetitionTime, ds.SliceThickness, ds.PixelSpacing = "2000", "3", ["1.5", "1.5"]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        for number in range(FILES // 25):
            ds.SOPInstanceUID, ds.InstanceNumber = uid("mr", series, number), number + 1
            ds.ImagePositionPatient = ["-96", "-96", f"{number * 3.3:.1f}"]
            _pixels(ds, np.roll(noise, number, 1) + 500, signed=False)
            _save(ds, place / f"S{series:02}" / f"IM{number:04}.dcm")


def _studies(place: Path) -> None:
    for number in range(STUDIES):
        names = uid("studies", number), uid("studies", number, "series")
        ds = _header("studies", CTImageStorage, *names, NAMES[number % len(NAMES)], f"PID{number // 2:07}")
        ds.SOPInstanceUID, ds.InstanceNumber = uid("studies", number, "instance"), 1
        ds.StudyDate = f"{date(2015, 1, 1) + timedelta(days=number % 3650):%Y%m%d}"
        ds.AccessionNumber, ds.StudyID, ds.StudyDescription = f"A{number:08}", f"{number}", f"CT study {number % 97}"
        _pixels(ds, np.zeros((8, 8), np.int16), signed=False)
        _save(ds, place / f"{number:05}.dcm")


def _header(kind: str, sop_class: str, study: str, series: str, name: str, patient: str) -> Dataset:
    """A header as long and as nested as a scanner writes it: sequences and a private block before the pixels."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType, ds.SOPClassUID = ["ORIGINAL", "PRIMARY", "AXIAL"], sop_class
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240311"
    ds.StudyTime, ds.SeriesTime, ds.AcquisitionTime, ds.ContentTime = "101112", "101312", "101330", "101331"
    ds.AccessionNumber, ds.Modality = "A1", "CT" if sop_class == CTImageStorage else "MR"
    ds.Manufacturer, ds.InstitutionName, ds.InstitutionAddress = "BENCH", "Hôpital", "1 Bench Street"
    ds.ReferringPhysicianName, ds.OperatorsName, ds.StationName = "REFERRER^ANNE^^DR", "OP^DAVE", "STATION1"
    ds.StudyDescription, ds.SeriesDescription, ds.ProtocolName = f"{kind} study", f"{kind} series", "Thorax"
    ds.ManufacturerModelName, ds.SoftwareVersions, ds.DeviceSerialNumber = "Simulator", ["v1", "b4"], "12345"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "CTTHX", "99BENCH", "CT of the thorax"
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "R1", "S1"
    request.ScheduledProtocolCodeSequence = [code, code]
    ds.ProcedureCodeSequence, ds.RequestAttributesSequence = [code], [request]
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = name, patient, "19600102", "F"
    ds.PatientAge, ds.PatientWeight = "064Y", "70"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.StudyID, ds.SeriesNumber = study, series, "1", 1
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator, ds.AcquisitionNumber = uid("frame", study), "", 1
    block = ds.private_block(0x0019, "BENCH HEADER", create=True)
    for number in range(8):
        block.add_new(0x60 + number, "DS", f"{1.5 * number}")
    block.add_new(0x80, "OB", bytes(range(256)) * 2)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _body(size: int, height: float) -> np.ndarray:
    """A slice of a trunk with lungs in it, in HU."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    image = np.full((size, size), -1000, np.int16)
    image[(x / 0.42) ** 2 + (y / 0.30) ** 2 < 1] = 40
    image[((abs(x) - 0.18) / 0.13) ** 2 + (y / (0.2 - 0.12 * height)) ** 2 < 1] = -820
    return image


def _pixels(ds: Dataset, pixels: np.ndarray, *, signed: bool) -> None:
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, int(signed)
    ds.PixelData = pixels.astype("<i2").tobytes()


def _save(ds: Dataset, path: Path) -> None:
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)
