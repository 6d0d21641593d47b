"""P6: the headers of 5,500 files as a DataFrame."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
from pydicom import dcmread
from pydicom.tag import Tag

from . import data, peers
from .harness import Row, Timed, Way

#: What every way reads; dicomlab reads the other columns of its instances table too.
COLUMNS = data.words("""
    SpecificCharacterSet SOPClassUID SOPInstanceUID StudyDate StudyTime AccessionNumber Modality
    StudyDescription SeriesDescription PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID
    SeriesInstanceUID StudyID SeriesNumber InstanceNumber ImagePositionPatient ImageOrientationPatient Rows Columns
    PixelSpacing SliceThickness""")


@contextmanager
def prepare() -> Iterator[list[Way]]:
    data.ct(), data.mr()
    yield [
        Way("dicomlab", by_dicomlab),
        Way("dicomlab, for the second time", again),
        Way("GDCM Scanner", by_gdcm, mark=10),
        Way("pydicom", by_pydicom, mark=30),
        Way("list, open, read 4 KiB, close", by_reading, within=4),
    ]


def by_dicomlab(timed: Timed) -> None:
    import dicomlab as dl

    with timed:
        frame = dl.scan(data.ct(), data.mr(), refresh=True)
    check(frame)


def again(timed: Timed) -> None:
    """What was read before is known; nothing is opened."""
    import dicomlab as dl

    with timed:
        frame = dl.scan(data.ct(), data.mr())
    check(frame)


def by_gdcm(timed: Timed) -> None:
    gdcm = peers.module("gdcm", "python-gdcm")
    with timed:
        found = files()
        tags = {word: gdcm.Tag(Tag(word).group, Tag(word).element) for word in COLUMNS}
        scanner = gdcm.Scanner()
        for tag in tags.values():
            scanner.AddTag(tag)
        assert scanner.Scan(found)
        frame = pd.DataFrame([{word: scanner.GetValue(path, tag) for word, tag in tags.items()} for path in found])
    check(frame)


def by_pydicom(timed: Timed) -> None:
    with timed:
        rows = []
        for path in files():
            ds = dcmread(path, stop_before_pixels=True, specific_tags=COLUMNS)
            rows.append({word: str(ds[word].value) if word in ds else None for word in COLUMNS})
        frame = pd.DataFrame(rows)
    check(frame)


def by_reading(timed: Timed) -> None:
    """What the machine asks for it."""
    with timed:
        for path in files():
            descriptor = os.open(path, os.O_RDONLY)
            os.read(descriptor, 4096)
            os.close(descriptor)


def files() -> list[str]:
    folders = [entry.path for entry in os.scandir(data.mr())]
    return [entry.path for folder in [str(data.ct()), *folders] for entry in os.scandir(folder)]


def check(frame: pd.DataFrame) -> None:
    assert len(frame) == data.SLICES + data.FILES, f"{len(frame)} rows"
    assert frame.SOPInstanceUID.is_unique and frame.SeriesInstanceUID.nunique() == 26
    assert sum(frame.InstanceNumber.astype(int)) == 500 * 501 // 2 + 25 * 200 * 201 // 2


ROW = Row("P6", "scan 5,500 files into a DataFrame", prepare)
