"""P8: 100 compressed slices in files as one volume, JPEG-LS; P8r and P8j are the same of RLE and of JPEG 2000."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.pixels import pixel_array

from . import data, peers
from .harness import Row, Timed, Way
from .p7_load import simpleitk

SLICES = 100


def row(name: str, coding: str, encode: Callable[[Path, Path], None], plugins: tuple[str, ...], mark: float) -> Row:
    """The job of decoding `coding`, with each of pydicom's plugins for it."""

    @contextmanager
    def prepare() -> Iterator[list[Way]]:
        peers.module("imagecodecs")  # the mark is that of the extra fast
        folder = coded(coding, encode)
        total = data.pixel_sum(plain())

        def ours(timed: Timed) -> None:
            import dicomlab as dl

            paths = list(folder.iterdir())
            with timed:
                volume = dl.load(paths).to_numpy()
            check(volume)

        def pydicom(timed: Timed, plugin: str) -> None:
            paths = list(folder.iterdir())
            with timed:
                slices = [dcmread(path) for path in paths]
                slices.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
                volume = np.stack([pixel_array(ds, decoding_plugin=plugin) for ds in slices])
            check(volume)

        def itk(timed: Timed) -> None:
            peers.module("SimpleITK")
            with timed:
                volume = simpleitk(folder)
            check(volume)

        def check(volume: np.ndarray) -> None:
            assert volume.shape == (SLICES, 512, 512), volume.shape
            assert int(volume.sum(dtype=np.int64)) == total, "the pixels are not those that were coded"

        yield [
            Way("dicomlab", ours),
            *(Way(f"pydicom, {name}", lambda timed, name=name: pydicom(timed, name), mark=mark) for name in plugins),
            Way("SimpleITK", itk, mark=mark),
        ]

    make: Callable[[], AbstractContextManager[list[Way]]] = prepare
    return Row(name, f"{SLICES} slices of {coding} as a volume, with the extra fast", make, memory=200)


def plain() -> list[Path]:
    """The slices that are coded: the first of the CT, each beside the next."""
    return sorted(data.ct().iterdir(), key=_number)[:SLICES]


def _number(path: Path) -> int:
    return int(dcmread(path, specific_tags=["InstanceNumber"]).InstanceNumber)


def coded(coding: str, encode: Callable[[Path, Path], None]) -> Path:
    """A folder of them, coded once."""

    def make(place: Path) -> None:
        for path in plain():
            encode(path, place / path.name)

    return data.made(coding.lower().replace(" ", ""), make)


def jpeg_ls(source: Path, target: Path) -> None:
    peers.call("dcmcjpls", source, target)


ROW = row("P8", "JPEG-LS", jpeg_ls, ("pyjpegls", "gdcm"), mark=2)
