"""P1t: P1 through TLS; to be written with TLS itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .harness import LeftOut, Row, Way


@contextmanager
def prepare() -> Iterator[list[Way]]:
    raise LeftOut("dicomlab has no TLS yet")
    yield []


ROW = Row("P1t", "C-GET of 500 CT slices through TLS", prepare)
