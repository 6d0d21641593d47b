"""P5: associate, C-ECHO and release, fifty times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import peers
from .harness import Row, Timed, Way

TIMES = 50


@contextmanager
def prepare() -> Iterator[list[Way]]:
    with peers.canned() as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, port)),
            Way("pynetdicom", lambda timed: by_pynetdicom(timed, port), mark=10),
        ]


def by_dicomlab(timed: Timed, port: int) -> None:
    import dicomlab as dl

    with dl.connect(f"CANNED@{peers.HOST}:{port}", cache=timed.folder) as peer, timed:
        for _ in range(TIMES):
            assert peer.echo() > 0


def by_pynetdicom(timed: Timed, port: int) -> None:
    from pynetdicom import AE

    ae = AE("DICOMLAB")
    ae.add_requested_context("1.2.840.10008.1.1")
    with timed:
        for _ in range(TIMES):
            association = ae.associate(peers.HOST, port, ae_title="CANNED")
            assert association.send_c_echo().Status == 0x0000
            association.release()


ROW = Row("P5", f"{TIMES} times associate, C-ECHO and release", prepare)
