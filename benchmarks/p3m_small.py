"""P3m: C-STORE of 1,000 small MR images to storescp: what each instance costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from pydicom.uid import MRImageStorage

from . import data, peers
from .harness import Row, Timed, Way
from .p3_store import by_dicomlab, by_pynetdicom, server

IMAGES = 1000


@contextmanager
def prepare() -> Iterator[list[Way]]:
    files = list(islice((path for path in sorted(data.mr().rglob("*")) if path.is_file()), IMAGES))
    with server() as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, port, files)),
            Way("DCMTK storescu, TCP_NODELAY", lambda timed: by_storescu(timed, port, files, peers.NO_DELAY), mark=1.7),
            Way("pynetdicom, TCP_NODELAY", lambda timed: quickly(timed, port, files), mark=15),
        ]


def by_storescu(timed: Timed, port: int, files: list[Path], env: Mapping[str, str]) -> None:
    options = ("--no-halt", "-pdu", "131072", "-aec", "STORESCP")
    with timed:
        peers.call("storescu", *options, peers.HOST, str(port), *files, env=env)


def quickly(timed: Timed, port: int, files: list[Path]) -> None:
    with without_delay():
        by_pynetdicom(timed, port, files, MRImageStorage)


@contextmanager
def without_delay() -> Iterator[None]:
    """pynetdicom with TCP_NODELAY, which it does not set: 40 ms an instance without it."""
    import socket

    from pynetdicom.transport import AssociationSocket

    made = AssociationSocket._create_socket

    def create(self: AssociationSocket, *address: object) -> socket.socket:
        sock: socket.socket = made(self, *address)  # type: ignore[arg-type]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    AssociationSocket._create_socket = create  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        AssociationSocket._create_socket = made  # type: ignore[method-assign]


ROW = Row("P3m", f"C-STORE of {IMAGES:,} MR images of 128 x 128 to DCMTK's storescp", prepare)
