"""P7: 500 slices in files as one volume."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread

from . import data, peers
from .harness import Row, Timed, Way


@contextmanager
def prepare() -> Iterator[list[Way]]:
    data.ct_sum()
    yield [
        Way("dicomlab", by_dicomlab),
        Way("dcm2niix, nibabel", by_dcm2niix, mark=5),
        Way("SimpleITK", by_simpleitk, mark=8),
        Way("pydicom", by_pydicom, mark=8),
        Way("highdicom", by_highdicom, once=True),
        Way("read every file", by_reading),
    ]


def by_dicomlab(timed: Timed) -> None:
    import dicomlab as dl

    paths = files()
    with timed:
        volume = dl.load(paths).to_numpy()
    check(volume)


def by_dcm2niix(timed: Timed) -> None:
    dcm2niix, nibabel = peers.module("dcm2niix"), peers.module("nibabel")
    options = data.words("-z n -b n -m y -f volume -o")
    with timed:
        command = [dcm2niix.bin, *options, str(timed.folder), str(data.ct())]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        volume = np.asarray(nibabel.load(timed.folder / "volume.nii").dataobj)
    check(volume)


def by_simpleitk(timed: Timed) -> None:
    peers.module("SimpleITK")
    with timed:
        volume = simpleitk(data.ct())
    check(volume)


def simpleitk(folder: Path) -> Any:
    itk = peers.module("SimpleITK")
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return itk.GetArrayFromImage(reader.Execute())


def by_pydicom(timed: Timed) -> None:
    paths = files()
    with timed:
        volume = stacked([dcmread(path) for path in paths])
    check(volume)


def stacked(slices: list[Any]) -> np.ndarray:
    """The way of many a notebook: sort by position, stack the arrays."""
    slices.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    return np.stack([ds.pixel_array for ds in slices])


def by_highdicom(timed: Timed) -> None:
    highdicom = peers.module("highdicom")
    paths = files()
    with timed:
        volume = highdicom.get_volume_from_series([dcmread(path) for path in paths])
    check(volume.array)


def by_reading(timed: Timed) -> None:
    """What the page cache asks for it."""
    buffer, paths = bytearray(1 << 20), files()
    with timed:
        for path in paths:
            with open(path, "rb", buffering=0) as file:
                file.readinto(buffer)


def files() -> list[Path]:
    return list(data.ct().iterdir())


def check(volume: np.ndarray) -> None:
    assert sorted(volume.shape) == [data.SLICES, 512, 512], volume.shape
    assert int(volume.sum(dtype=np.int64)) == data.ct_sum(), "the pixels are not those of the files"


ROW = Row("P7", f"load {data.SLICES} slices as a volume", prepare, memory=700)
