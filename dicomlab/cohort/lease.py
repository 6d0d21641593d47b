"""The associations that a node allows, shared out among the workers of a Dask cluster.

Dask's own Semaphore takes a lease back from whoever is not heard of for 30 s. A worker that stands still for longer (a
laptop that sleeps, a machine that swaps) keeps its association all the same, and another would be opened beside it. So
the scheduler counts: who has a lease keeps it for as long as the scheduler has that worker, and it is free again at
once where that worker dies.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from time import sleep
from typing import Any

from ..errors import ConnectError, InvalidRequest

LEASES = "dicomlab leases"  # what the scheduler knows them by
ASKING = 5.0  # seconds that one request waits at the scheduler
ANSWER = 30.0  # ... and for it, at a scheduler that is busy
PAUSE = 0.5  # seconds before one that cannot be reached is asked again
GONE = ("closing", "closed", "failed", "stopping", "stopped")  # states of a worker that the scheduler may have given up


def offered(client: Any) -> None:
    """Have the scheduler of a cluster give leases.

    Raises
    ------
    InvalidRequest
        It cannot.
    """
    from .leases import Leases

    try:
        client.register_plugin(Leases())
    except Exception as error:  # whatever the unpickling there raises
        raise InvalidRequest(
            f"the scheduler of this cluster cannot count the associations of its workers ({error})",
            advice="Install the same dicomlab where the scheduler runs, or give the peer a cache folder that all "
            "workers see.",
        ) from None


@contextlib.contextmanager
def leased(name: str, count: int) -> Iterator[None]:
    """Hold one of so many leases of that name for a ``with`` block; waits for one. Runs on a worker.

    Raises
    ------
    ConnectError
        The worker is being closed.
    """
    from distributed import get_worker

    worker = get_worker()
    named = {"name": name, "lease": uuid.uuid4().hex}
    try:
        while not _asked(worker, "lease", **named, count=count, worker=worker.address, seconds=ASKING):
            check()
        check()
        yield
    finally:
        while not _asked(worker, "release", **named) and worker.status.name not in GONE:
            continue


def check() -> None:
    """Whether the scheduler still counts on this worker. Runs on a worker.

    Raises
    ------
    ConnectError
        It does not, and has given its leases to others; or the worker was told to end.
    """
    from distributed import get_worker

    if get_worker().status.name in GONE:
        raise ConnectError("this worker is being closed", advice="Its task is given to another.")


def _asked(worker: Any, what: str, /, **named: Any) -> Any:
    """What the scheduler answers; None where it cannot be reached, which closes the worker if it stays so."""
    from distributed.utils import sync

    try:
        return sync(worker.loop, getattr(worker.scheduler, f"dicomlab_{what}"), callback_timeout=ANSWER, **named)
    except OSError:
        sleep(PAUSE)
        return None
