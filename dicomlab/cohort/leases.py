"""The scheduler's part of `lease`: who has an association. Runs in the scheduler of a Dask cluster."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from time import monotonic
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from .lease import LEASES


class Leases(SchedulerPlugin):
    """Gives leases to workers that are there, and takes those of a worker back as it goes."""

    name = LEASES
    idempotent = True  # all clients of a cluster share one

    async def start(self, scheduler: Any) -> None:
        """The scheduler has it from now on."""
        self._workers = scheduler.workers
        self.held: dict[str, dict[str, str]] = defaultdict(dict)  # by name: the worker that has a lease
        self.waiting: dict[str, int] = defaultdict(int)  # by name: requests that are not answered
        self._free: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        scheduler.handlers.update(dicomlab_lease=self.lease, dicomlab_release=self.release)

    async def lease(self, *, name: str, count: int, worker: str, lease: str, seconds: float) -> bool:
        """Wait so long for one of `count` leases; whether the worker has it now."""
        held, free = self.held[name], self._free[name]
        end = monotonic() + seconds
        self.waiting[name] += 1
        try:
            while worker in self._workers:  # it may go as it waits
                if lease in held or len(held) < count:
                    held[lease] = worker
                    return True
                free.clear()
                await asyncio.wait_for(free.wait(), end - monotonic())
        except TimeoutError:
            pass
        finally:
            self.waiting[name] -= 1
        return False

    async def release(self, *, name: str, lease: str) -> bool:
        """That lease is free again, where it was had."""
        self.held[name].pop(lease, None)
        self._free[name].set()
        return True

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        """A worker ended, or is given up because it was not heard of for Dask's ``worker-ttl``."""
        for name, held in self.held.items():
            for lease in [one for one, its in held.items() if its == worker]:
                del held[lease]
            self._free[name].set()
