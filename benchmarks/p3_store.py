"""P3: C-STORE of 500 CT slices to storescp; each way reads the files, and none of them is changed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import data, peers
from .harness import Row, Timed, Way
from .least import CT_STORAGE

EXPLICIT = "1.2.840.10008.1.2.1"


@contextmanager
def prepare() -> Iterator[list[Way]]:
    files = sorted(data.ct().iterdir())
    with server() as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, port, files)),
            Way("DCMTK dcmsend, TCP_NODELAY", lambda timed: by_dcmsend(timed, port, peers.NO_DELAY), mark=1.3),
            Way("pynetdicom", lambda timed: by_pynetdicom(timed, port, files, CT_STORAGE), mark=15),
            Way("DCMTK dcmsend as it comes", lambda timed: by_dcmsend(timed, port, peers.AS_IT_COMES), once=True),
        ]


@contextmanager
def server() -> Iterator[int]:
    """A storescp that lets go by what it takes, so that its disk is not measured; gives its port."""
    port = peers.free_port()
    options = ("--ignore", "-pdu", "131072", "-aet", "STORESCP")
    with peers.running("STORESCP", port, "storescp", *options, str(port)):
        yield port


def by_dicomlab(timed: Timed, port: int, files: list[Path]) -> None:
    import dicomlab as dl

    with dl.connect(f"STORESCP@{peers.HOST}:{port}", allow="store", cache=timed.folder) as archive, timed:
        sent = archive.store(files, progress=False)
    assert len(sent) == len(files) and sent.stored.all() and (sent.status == 0).all()


def by_dcmsend(timed: Timed, port: int, env: Mapping[str, str]) -> None:
    options = ("--no-halt", "--scan-directories", "--no-uid-checks", "--max-send-pdu", "131072")
    with timed:
        peers.call("dcmsend", "-aec", "STORESCP", *options, peers.HOST, str(port), data.ct(), env=env)


def by_pynetdicom(timed: Timed, port: int, files: list[Path], sop_class: str) -> None:
    """By path: pynetdicom reads the header of a file and sends the bytes behind it."""
    from pynetdicom import AE

    ae = AE("DICOMLAB")
    ae.add_requested_context(sop_class, EXPLICIT)
    with timed:
        association = ae.associate(peers.HOST, port, ae_title="STORESCP", max_pdu=131072)
        statuses = [association.send_c_store(path).Status for path in files]
        association.release()
    assert statuses == [0x0000] * len(files)


ROW = Row("P3", "C-STORE of 500 CT slices, 263 MB, to DCMTK's storescp", prepare, memory=300)
