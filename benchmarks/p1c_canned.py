"""P1c: C-GET of 500 CT slices from a server that only sends, the cache in memory: what the client itself takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import data, least, peers
from .harness import Row, Timed, Way
from .p1_get import by_dicomlab, pynetdicom


@contextmanager
def prepare() -> Iterator[list[Way]]:
    with peers.canned() as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, "CANNED", port)),
            Way("pynetdicom, in memory", lambda timed: by_pynetdicom(timed, port), mark=10),
            Way("received and let go by", lambda timed: least.get(timed, "CANNED", port, least.let_go)),
            Way("received and written", lambda timed: least.get(timed, "CANNED", port, least.write)),
        ]


def by_pynetdicom(timed: Timed, port: int) -> None:
    received = []

    def keep(event: Any) -> int:
        received.append(len(event.request.DataSet.getvalue()))
        return 0x0000

    with timed:
        pynetdicom("CANNED", port, keep)
    assert len(received) == data.SLICES and min(received) > 2 * 512 * 512


SHARED_MEMORY = Path("/dev/shm")
ROW = Row(
    "P1c",
    "C-GET of 500 CT slices from the canned server, the cache in memory",
    prepare,
    memory=1000,
    scratch=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None,
)
