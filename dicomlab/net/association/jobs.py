"""The jobs of one peer: they run side by side, each with an association of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ...progress import Meter
from .deadline import Cancelled, Deadline, no_answer
from .forking import in_child
from .job import STOPPING, Job


class Jobs:
    """The jobs of one peer that run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: list[Job] = []

    @property
    def running(self) -> tuple[Job, ...]:
        """Those that have not ended."""
        with self._lock:
            return tuple(self._jobs)

    def start(self, title: str, call: Callable[[Job], Any], meter: Meter) -> Job:
        """Run a call in the background."""

        def work(job: Job) -> Any:
            try:
                return call(job)
            finally:
                with self._lock:
                    self._jobs.remove(job)

        job = Job(title, work, meter)
        with self._lock:
            self._jobs.append(job)
        return job.start()

    def close(self) -> None:
        """Stop all, and wait until they have ended."""
        for job in self.running:
            job.cancel()
        for job in self.running:
            job.wait(STOPPING)


_ports: dict[tuple[str, int], threading.Lock] = {}
in_child(_ports.clear)


@contextlib.contextmanager
def turn(host: str, port: int, deadline: Deadline, peer: str) -> Iterator[None]:
    """The port of our listener for the length of a ``with`` block; calls of this process take turns (R5.23)."""
    lock = _ports.setdefault((host, port), threading.Lock())
    while not lock.acquire(timeout=0.25):
        if deadline.stopped:
            raise Cancelled
        deadline.progressed()  # it is no silence of the peer's
        deadline.check(no_answer(peer, "C-MOVE", deadline))
    try:
        yield
    finally:
        lock.release()
