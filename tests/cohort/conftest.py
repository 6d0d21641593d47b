"""A cohort of small generated series, and an archive that counts the associations that stand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pynetdicom import evt
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RQ
from slices import stack

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings

SERIES = 12


def cohort(count: int, planes: int = 3) -> Holdings:
    """That many studies of one CT series each; series n has n + 1 rows."""
    found = []
    for n in range(count):
        for number, image in enumerate(stack(np.arange(planes) * 2.0, rows=n + 1)):
            image.PatientID, image.PatientName = f"C{n:03d}", f"COHORT^{n:03d}"
            image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.9.{n}", f"1.2.9.{n}.1"
            image.SOPInstanceUID = f"1.2.9.{n}.1.{number + 1}"
            image.StudyDate = "20240101"
            found.append(image)
    return Holdings.of(found)


class Counted:
    """An archive, and the most associations that stood at once."""

    def __init__(self, server: DemoServer) -> None:
        self.server, self.most = server, 0
        self._lock, self._open = threading.Lock(), dict[int, int]()
        server._server.bind(evt.EVT_ACCEPTED, self._accepted)
        server._server.bind(evt.EVT_PDU_RECV, self._received)
        server._server.bind(evt.EVT_CONN_CLOSE, lambda event: self._ended(event.assoc))

    def _accepted(self, event: evt.Event) -> None:
        with self._lock:
            self._open[id(event.assoc)] = event.assoc.requestor.port
            self.most = max(self.most, len(self._open))

    def _received(self, event: evt.Event) -> None:
        if isinstance(event.pdu, A_RELEASE_RQ | A_ABORT_RQ):  # before it is answered, and another may come
            self._ended(event.assoc)

    def _ended(self, association: object) -> None:
        with self._lock:
            self._open.pop(id(association), None)

    @property
    def ports(self) -> set[int]:
        """Those that the associations which stand now come from."""
        with self._lock:
            return set(self._open.values())


@pytest.fixture
def archive() -> Iterator[Counted]:
    with DemoServer(cohort(SERIES)) as server:
        yield Counted(server)


@pytest.fixture
def peer(archive: Counted, tmp_path: Path) -> Iterator[dl.Peer]:
    with dl.connect(archive.server.address, cache=tmp_path / "cache", timeout=20) as made:
        yield made


@pytest.fixture
def series(peer: dl.Peer) -> pd.DataFrame:
    return peer.find("SERIES", PatientName="COHORT*").sort_values("PatientID")
