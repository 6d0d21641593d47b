"""P4o: the query of P4 to Orthanc, whose own time is most of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import data, peers
from .harness import Row, Way
from .p4_find import ways


@contextmanager
def prepare() -> Iterator[list[Way]]:
    with peers.orthanc("studies", data.studies(), data.STUDIES) as port:
        yield ways("ORTHANC", port, dcmtk=1.3, python=5)


ROW = Row("P4o", f"C-FIND of {data.STUDIES:,} matches, 16 attributes, Orthanc", prepare)
