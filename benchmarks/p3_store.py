"""P3: C-STORE of 500 CT slices to storescp; each way reads the files, and none of them is changed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import data, peers
from .harness import LeftOut, Row, Timed, Way
from .least import CT_STORAGE

if TYPE_CHECKING:
    import ssl

EXPLICIT = "1.2.840.10008.1.2.1"
TRIES = 3


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
def server(tls: peers.Pem | None = None) -> Iterator[int]:
    """A storescp that lets go by what it takes, so that its disk is not measured; gives its port."""
    port = peers.free_port()
    options = ("--ignore", "-pdu", "131072", "-aet", "STORESCP", *(() if tls is None else tls.options))
    with peers.running("STORESCP", port, "storescp", *options, str(port), tls=tls):
        yield port


def by_dicomlab(timed: Timed, port: int, files: list[Path], tls: Any = None) -> None:
    import dicomlab as dl

    peer = dl.connect(f"STORESCP@{peers.HOST}:{port}", allow="store", cache=timed.folder, tls=tls)
    with peer as archive, timed:
        sent = archive.store(files, progress=False)
    assert len(sent) == len(files) and sent.stored.all() and (sent.status == 0).all()


def by_dcmsend(timed: Timed, port: int, env: Mapping[str, str]) -> None:
    options = ("--no-halt", "--scan-directories", "--no-uid-checks", "--max-send-pdu", "131072")
    with timed:
        peers.call("dcmsend", "-aec", "STORESCP", *options, peers.HOST, str(port), data.ct(), env=env)


def by_pynetdicom(
    timed: Timed, port: int, files: list[Path], sop_class: str, context: ssl.SSLContext | None = None
) -> None:
    """By path: pynetdicom reads the header of a file and sends the bytes behind it.

    It loses a response now and then, the more often the busier the machine is, and waits for it until its time is up:
    that says nothing of its speed, and it may try again.
    """
    from pynetdicom import AE

    ae = AE("DICOMLAB")
    ae.add_requested_context(sop_class, EXPLICIT)
    ae.dimse_timeout = 5
    before = timed.wall, timed.cpu
    for _ in range(TRIES):
        timed.wall, timed.cpu = before
        with timed:
            secured = (context, peers.HOST) if context else None
            association = ae.associate(peers.HOST, port, ae_title="STORESCP", max_pdu=131072, tls_args=secured)
            stored = sum(association.is_established and _stored(association, path) for path in files)
            association.release()
        if stored == len(files):
            return
    raise LeftOut(f"pynetdicom lost a response in each of {TRIES} tries")


def _stored(association: Any, path: Path) -> bool:
    status = association.send_c_store(path)
    assert status.get("Status", 0x0000) == 0x0000  # without one: the response was lost
    return "Status" in status


ROW = Row("P3", "C-STORE of 500 CT slices, 263 MB, to DCMTK's storescp", prepare, memory=300)
