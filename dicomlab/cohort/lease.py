"""The associations that a node allows, shared out among the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

ASKING = 5.0  # seconds that one request waits: that of a worker which died meanwhile would be granted a lease too

_limits: dict[tuple[str, str], Any] = {}  # by worker and name
_lock = threading.Lock()


@contextlib.contextmanager
def leased(name: str, count: int) -> Iterator[None]:
    """Hold one of so many leases of that name for a ``with`` block; waits for one. Runs on a worker.

    The lease of a worker that dies is free again after Dask's ``distributed.scheduler.locks.lease-timeout``, 30 s, and
    at most the ``lease-validation-interval`` more.
    """
    limit = _limit(name, count)
    limit.register()
    while not limit.acquire(timeout=ASKING):
        continue
    try:
        yield
    finally:
        limit.release()


def _limit(name: str, count: int) -> Any:
    """One semaphore for all tasks of a worker: each has a timer in its event loop for as long as that runs."""
    from distributed import Semaphore, get_worker

    key = get_worker().id, name
    with _lock:
        if key not in _limits:
            _limits[key] = Semaphore(max_leases=count, name=name)
        return _limits[key]
