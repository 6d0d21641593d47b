"""P1k: what a retrieval in a thread leaves of the kernel's time: a cell with work of its own runs beside it.

The time is that of both, and what it has above the cell alone is what the retrieval took from the cell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import data, peers
from .harness import Row, Timed, Way
from .p1_get import SERIES, peer, pynetdicom

WORK = 40_000_000  # additions in pure Python, some two seconds


@contextmanager
def prepare() -> Iterator[list[Way]]:
    with peers.orthanc("ct", data.ct(), data.SLICES) as port:
        yield [
            Way("dicomlab beside the cell", lambda timed: by_dicomlab(timed, port)),
            Way("pynetdicom beside the cell", lambda timed: by_pynetdicom(timed, port)),
            Way("the cell alone", lambda timed: both(timed, lambda: None)),
        ]


def by_dicomlab(timed: Timed, port: int) -> None:
    with peer(timed.folder, "ORTHANC", port) as archive:
        both(timed, lambda: archive.retrieve(SERIES, method="get", progress=False))
    data.check(timed.folder)


def by_pynetdicom(timed: Timed, port: int) -> None:
    def keep(event: Any) -> int:
        Path(timed.folder, event.request.AffectedSOPInstanceUID).write_bytes(event.encoded_dataset())
        return 0x0000

    both(timed, lambda: pynetdicom("ORTHANC", port, keep))
    data.check(timed.folder)


def both(timed: Timed, retrieve: Callable[[], object]) -> None:
    thread = threading.Thread(target=retrieve)
    with timed:
        thread.start()
        total = 0
        for number in range(WORK):
            total += number
        thread.join()
    assert total == WORK * (WORK - 1) // 2


ROW = Row("P1k", "a cell of its own work, and C-GET of 500 CT slices from Orthanc beside it", prepare, memory=700)
