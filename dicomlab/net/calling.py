"""Calls of a peer while they run, one after the other or side by side, and its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..cache.cache import Cache
from ..errors import InvalidRequest
from ..progress import Meter
from .association.call import Call
from .association.deadline import Deadline
from .association.hooks import Hooks
from .association.job import Job
from .association.jobs import Jobs
from .association.negotiated import Negotiated
from .association.node import Node

if TYPE_CHECKING:
    from .patients.patients import PatientUpdater


class Owner(Protocol):
    """Something that ends with its peer: the embedded PACS."""

    def stop(self) -> None:
        """End it; may be called twice."""


class Calling:
    """What calls a peer: each call has a clock, runs now or as a job, and all end with the peer."""

    def __init__(self, node: Node, cache: Cache, owner: Owner | None = None) -> None:
        self.node, self.cache = node, cache
        self._owner = owner
        self._running: set[Deadline] = set()
        self._jobs = Jobs()
        self._closed = False
        self._negotiated: Negotiated | None = None
        self._updater: PatientUpdater | None = None
        #: Functions to call as messages are sent and received; see `Hooks`.
        self.hooks = Hooks()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, and the embedded PACS where this is one; may be called twice.

        Every call afterwards is InvalidRequest.
        """
        self._closed = True
        self.cancel()
        self._jobs.close()
        self.cache.close()
        if self._owner is not None:
            self._owner.stop()

    def cancel(self) -> None:
        """Ask every call of this peer that runs in another thread to stop and give back what it has."""
        for job in self.jobs:
            job.cancel()
        for deadline in list(self._running):
            deadline.cancel()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The calls of this peer that run in the background."""
        return self._jobs.running

    @property
    def negotiated(self) -> Negotiated | None:
        """What was agreed for the association of the last call: contexts, roles, options, lengths; None before any.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     _ = pacs.echo()
        ...     print([context.result for context in pacs.negotiated.contexts])
        [0]
        """
        return self._negotiated

    def _job(self, title: str, run: Callable[[Call, Meter], Any], timeout: float | None, progress: Any) -> Job:
        """A call in the background; `run` is given its clock and the meter that it moves."""
        self._check_open()
        if self.node.tls is not None:
            self.node.tls.client()  # a password is asked for here: nobody could type it in a thread

        def work(job: Job) -> Any:
            call = self._call(timeout)
            call.waits = partial(setattr, job, "waiting")
            job.stops(call.clock.cancel)
            return run(call, job.progress)

        return self._jobs.start(title, work, Meter(also=progress if callable(progress) else None))

    def _check_open(self) -> None:
        if self._closed:
            again = "demo_pacs()" if self._owner is not None else f'connect("{self.node.name or self.node.identity}")'
            raise InvalidRequest(
                "this peer was closed, by close() or at the end of its with block",
                peer=self.node.identity,
                advice=f"Make another: dicomlab.{again}.",
            )

    def _call(self, timeout: float | None) -> Call:
        self._check_open()
        times = self.node.timeouts
        if timeout is not None:
            times = replace(times, progress=timeout)
        clock = Deadline(times.progress, times.total)
        clock.hooks = self.hooks.of_call(clock)
        return Call(self, clock)


def waiting(wait: float) -> float:
    """Seconds to wait for an answer that comes later, 0 or more."""
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait < 1e7:
        raise InvalidRequest(f"wait={wait!r}", advice="Give seconds, 0 or more.")
    return float(wait)
