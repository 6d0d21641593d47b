"""P8r: 100 slices of RLE as one volume."""

from __future__ import annotations

from pathlib import Path

from . import peers
from .p8_decode import row


def rle(source: Path, target: Path) -> None:
    peers.call("dcmcrle", source, target)


ROW = row("P8r", "RLE", rle, ("pylibjpeg", "pydicom"), mark=3)
