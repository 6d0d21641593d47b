"""Compressed instances for tests, made by encoders that are not ours."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian
from support import require_peer

JPEG = "1.2.840.10008.1.2.4."
BASELINE, EXTENDED, LOSSLESS, LOSSLESS_SV1 = (JPEG + end for end in ("50", "51", "57", "70"))
JPEG_LS, NEAR_LOSSLESS = JPEG + "80", JPEG + "81"
JPEG_2000, HTJ2K, JPEG_XL = JPEG + "90", JPEG + "201", JPEG + "110"
RLE, DEFLATED_FRAMES = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"

#: DCMTK's encoder and its options.
DCMTK = {
    BASELINE: ("dcmcjpeg", "+eb", "+cr"),
    EXTENDED: ("dcmcjpeg", "+ee"),
    LOSSLESS: ("dcmcjpeg", "+el"),
    LOSSLESS_SV1: ("dcmcjpeg", "+e1"),
    JPEG_LS: ("dcmcjpls", "+el"),
    NEAR_LOSSLESS: ("dcmcjpls", "+en", "+md", "2"),
    RLE: ("dcmcrle",),
}


def picture(dtype: Any = np.int16, bits: int = 12, rows: int = 37, columns: int = 50, samples: int = 1) -> np.ndarray:
    """Values that use all bits: a smooth surface, some noise and both ends of the range."""
    random = np.random.default_rng(bits + samples)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if np.dtype(dtype).kind == "i" else (0, 2**bits - 1)
    ramp = np.add.outer(np.linspace(0, 0.6, rows), np.linspace(0, 0.35, columns))[..., None] + np.zeros(samples)
    values = low + (high - low) * (ramp + 0.05 * random.random(ramp.shape))
    values[0, 0], values[-1, -1] = low, high
    return values.astype(dtype)[..., 0] if samples == 1 else values.astype(dtype)


def dataset(values: np.ndarray, bits: int, frames: int = 1, **attributes: Any) -> Dataset:
    """A CT image (or a colour picture) of those stored values, not compressed, without rescale."""
    one = values if frames == 1 else values[0]
    known: dict[str, Any] = {"BitsStored": bits, "HighBit": bits - 1, "RescaleIntercept": 0, **attributes}
    if one.ndim == 3:
        known |= {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    if frames > 1:
        known["NumberOfFrames"] = frames
    made = slices.image(one, (0, 0, 0), 1, **known)
    made.PixelData = np.ascontiguousarray(values).tobytes()
    made.PixelData += b"\0" * (len(made.PixelData) % 2)
    return made


def by_dcmtk(folder: Path, made: Dataset, syntax: str) -> Path:
    """The file that DCMTK makes of it; skips the test where DCMTK is absent."""
    (plain,) = slices.write(folder / "plain", [made], ExplicitVRLittleEndian)
    program, *options = DCMTK[syntax]
    path = folder / "coded.dcm"
    subprocess.run([require_peer(program), *options, str(plain), str(path)], check=True, capture_output=True)
    return path


def encapsulated(folder: Path, made: Dataset, syntax: str, frames: list[bytes], **how: Any) -> Path:
    """A file with those codestreams, encapsulated by pydicom."""
    made.PixelData = encapsulate(frames, **how)
    made["PixelData"].VR = "OB"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = (
        made.SOPClassUID,
        made.SOPInstanceUID,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "0000.dcm"
    with path.open("wb") as file:  # not save_as: pydicom does not know the newest transfer syntaxes
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(file, made.file_meta)
        written = DicomBytesIO()
        written.is_little_endian, written.is_implicit_VR = True, False
        write_dataset(written, made)
        file.write(written.getvalue())
    return path


def jpeg_2000(values: np.ndarray, bits: int) -> bytes:
    """A lossless codestream by OpenJPEG."""
    from openjpeg.utils import encode_array

    return bytes(encode_array(values, bits_stored=bits, photometric_interpretation=2 if values.ndim == 2 else 1))


def imagecodecs() -> Any:
    """The library of the extra `fast`; skips the test where it is absent."""
    return pytest.importorskip("imagecodecs", reason="the extra fast is not installed")


def compressed(folder, count, damaged=(), series="1.2.2"):
    """Axial slices of JPEG 2000, some of them cut off."""
    made = []
    for number in range(count):
        values = picture(np.uint16, 12) // (number + 1)
        data = jpeg_2000(values, 12)
        one = dataset(values, 12, SeriesInstanceUID=series, InstanceNumber=number + 1)
        one.SOPInstanceUID = f"{series}.{number}"
        one.ImagePositionPatient = [0, 0, 2.0 * number]
        cut = data[: len(data) // 3] if number in damaged else data
        made.append(encapsulated(folder / str(number), one, JPEG_2000, [cut]))
    return made
