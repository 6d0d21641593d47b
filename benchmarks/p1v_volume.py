"""P1v: C-GET of 500 CT slices from Orthanc, and the volume of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import data, peers
from .harness import Row, Timed, Way
from .p1_get import SERIES, getscu, peer, pynetdicom
from .p7_load import check, simpleitk, stacked


@contextmanager
def prepare() -> Iterator[list[Way]]:
    with peers.orthanc("ct", data.ct(), data.SLICES) as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, port)),
            Way("DCMTK getscu +B, SimpleITK", lambda timed: by_getscu(timed, port), mark=4),
            Way("pynetdicom, pydicom", lambda timed: by_pynetdicom(timed, port), mark=5),
        ]


def by_dicomlab(timed: Timed, port: int) -> None:
    import dicomlab as dl

    with peer(timed.folder, "ORTHANC", port) as archive, timed:
        volume = dl.load(archive.retrieve(SERIES, method="get", progress=False)).to_numpy()
    check(volume)


def by_getscu(timed: Timed, port: int) -> None:
    peers.module("SimpleITK")
    with timed:
        getscu(timed.folder, port, peers.NO_DELAY)
        volume = simpleitk(timed.folder)
    check(volume)


def by_pynetdicom(timed: Timed, port: int) -> None:
    """In memory; nothing is written."""
    slices: list[Any] = []

    def keep(event: Any) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        slices.append(ds)
        return 0x0000

    with timed:
        pynetdicom("ORTHANC", port, keep)
        volume = stacked(slices)
    check(volume)


ROW = Row("P1v", "C-GET of 500 CT slices from Orthanc to a volume", prepare, memory=1400)
