"""P11: many small stores to storescp, and how many of them get no answer.

5,000 of them in each round, or as many as the environment variable DICOMLAB_BENCHMARKS_STORES says (50,000 is the
full form; `make soak` has it too, with the memory that ours takes). pynetdicom has one round: it takes long.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from pydicom.uid import MRImageStorage

from . import data, peers
from .harness import Row, Timed, Way
from .p3_store import EXPLICIT, server
from .p3m_small import without_delay

STORES = int(os.environ.get("DICOMLAB_BENCHMARKS_STORES", 5000))


@contextmanager
def prepare() -> Iterator[list[Way]]:
    files = sorted(path for path in data.mr().rglob("*") if path.is_file())
    with server() as port:
        yield [
            Way("dicomlab", lambda timed: by_dicomlab(timed, port, files), lossless=True),
            Way("pynetdicom, TCP_NODELAY", lambda timed: by_pynetdicom(timed, port, files), once=True),
        ]


def by_dicomlab(timed: Timed, port: int, files: list[Path]) -> None:
    import dicomlab as dl

    with dl.connect(f"STORESCP@{peers.HOST}:{port}", allow="store", cache=timed.folder) as archive:
        while timed.asked < STORES:
            part = files[: STORES - timed.asked]
            with timed:
                sent = archive.store(part, errors="report", progress=False)
            timed.asked += len(part)
            timed.lost += len(part) - int(sent.stored.sum())


def by_pynetdicom(timed: Timed, port: int, files: list[Path]) -> None:
    """An association whose response was lost is aborted, and the next file goes over another."""
    from pynetdicom import AE

    ae = AE("DICOMLAB")
    ae.add_requested_context(MRImageStorage, EXPLICIT)
    ae.dimse_timeout = 5
    with without_delay(), timed:
        association = ae.associate(peers.HOST, port, ae_title="STORESCP", max_pdu=131072)
        for path in islice(cycle(files), STORES):
            if not association.is_established:
                association = ae.associate(peers.HOST, port, ae_title="STORESCP", max_pdu=131072)
            timed.asked += 1
            timed.lost += "Status" not in association.send_c_store(path)
        association.release()


ROW = Row("P11", f"{STORES:,} C-STORE of MR images of 128 x 128 to DCMTK's storescp", prepare)
