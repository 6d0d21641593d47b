"""The jobs of one peer: they run side by side, each with an association of its own, as far as the peer takes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import AssociationRejected, DicomlabError
from ..progress import Meter
from .deadline import Cancelled, Deadline, no_answer
from .job import STOPPING, Job

TRANSIENT = 2  # result of an A-ASSOCIATE-RJ, PS3.8 9.3.4


class Jobs:
    """The jobs of one peer that run.

    One that the peer rejects for the time being (local limit exceeded, congestion) waits until another of these has
    ended, and is then tried again (R1.20, R5.23).
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: list[Job] = []

    @property
    def running(self) -> tuple[Job, ...]:
        """Those that have not ended."""
        with self._changed:
            return tuple(self._jobs)

    def start(self, title: str, call: Callable[[Job], Any], meter: Meter) -> Job:
        """Run a call in the background."""

        def work(job: Job) -> Any:
            try:
                while True:
                    try:
                        return call(job)
                    except DicomlabError as error:
                        if not _busy(error) or not self._wait(job):
                            raise
            finally:
                with self._changed:
                    self._jobs.remove(job)
                    self._changed.notify_all()

        job = Job(title, work, meter)
        with self._changed:
            self._jobs.append(job)
        return job.start()

    def _wait(self, job: Job) -> bool:
        """Wait until another job has ended; False where none runs or this one is told to stop."""
        job.stops(self._wake)
        with self._changed:
            before = [other for other in self._jobs if other is not job and not other.waiting]
            job.waiting = f"the archive takes no more associations than the {len(before)} that run"
            while before and set(before) <= set(self._jobs) and not job.stopped:
                self._changed.wait(1.0)
            job.waiting = ""
        return bool(before) and not job.stopped

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Stop all, and wait until they have ended."""
        for job in self.running:
            job.cancel()
        for job in self.running:
            job.wait(STOPPING)


def _busy(error: DicomlabError) -> bool:
    """Whether the peer said to come again."""
    return any(isinstance(one, AssociationRejected) and one.result == TRANSIENT for one in (error, error.__cause__))


_ports: dict[tuple[str, int], threading.Lock] = {}


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
