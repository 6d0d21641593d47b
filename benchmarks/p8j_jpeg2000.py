"""P8j: 100 slices of JPEG 2000, lossless, as one volume."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from .p8_decode import row


def jpeg_2000(source: Path, target: Path) -> None:
    ds = dcmread(source)
    ds.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    ds.save_as(target)


ROW = row("P8j", "JPEG 2000", jpeg_2000, ("pylibjpeg", "gdcm"), mark=1.1)
