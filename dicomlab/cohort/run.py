"""A cohort while it runs: one retrieval at a time ahead of the function, and no more series here than are worked on."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import CacheError
from ..progress import Progress
from .cluster import Cluster
from .members import Member
from .outcome import FAILED, Outcome, said
from .pools import Pool

if TYPE_CHECKING:
    from ..net.job import Job
    from ..net.peer import Peer

AHEAD = 2  # series that are here and wait for the function, before the next are asked for
BATCH, IMAGES = 8, 400  # series, and instances, that are asked for together
ENDED = "the process that ran it ended: it may have used up the memory"


class Run:
    """Takes members one after the other, and tells what becomes of each as it is known.

    Parameters
    ----------
    peer
        Who to retrieve from; None where all files are here.
    discard
        Remove from the cache what was fetched for this run alone, once the function is through with it.
    told
        Called with a member and its outcome.
    """

    def __init__(
        self,
        pool: Pool,
        peer: Peer | None,
        *,
        discard: bool,
        progress: Progress,
        told: Callable[[Member, Outcome], object],
    ) -> None:
        self._pool, self._peer, self._discard, self._progress, self._told = pool, peer, discard, progress, told
        self._waiting: deque[Member] = deque()
        self._fetched: deque[Member] = deque()
        self._fetching: tuple[list[Member], Job] | None = None
        self._running: dict[Future[Outcome], Member] = {}
        self._suspects: deque[Member] = deque()  # that ran as a process ended: one of them may have ended it
        self._before: set[str] = set()  # series that were here
        self._woken = threading.Event()
        self.stop = threading.Event()
        self.seconds = 0.0  # of retrieval
        self.size = 0  # bytes retrieved
        self.remarks: list[str] = []  # of retrievals

    def all(self, members: list[Member]) -> None:
        """Run until all have an outcome, or it is to stop."""
        self._waiting.extend(members)
        if self._discard and self._peer is not None:
            here = self._peer.cache.contents("SERIES", node=self._peer.node.identity)
            self._before = set(here["SeriesInstanceUID"])
        try:
            while not self.stop.is_set() and self._step():
                self._woken.wait(0.25)
                self._woken.clear()
        finally:
            if self._fetching is not None:
                job = self._fetching[1]
                job.cancel()
                job.wait(2)
            self._take()
            self._pool.close()

    def _step(self) -> bool:
        """Do what can be done now; whether there is more to come."""
        self._take()
        self._fetch()
        self._submit()
        return bool(self._waiting or self._fetched or self._fetching or self._running or self._suspects)

    # -- retrieval ---------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        if self._fetching is not None:
            batch, job = self._fetching
            if not job.done:
                return
            self._fetching = None
            self.seconds += job.elapsed
            self._came(batch, job)
        while self._waiting and len(self._fetched) < AHEAD:
            if self._waiting[0].row is None or (isinstance(self._pool, Cluster) and self._pool.retrieves):
                self._fetched.append(self._waiting.popleft())
                continue
            assert self._peer is not None
            batch = self._batch()
            rows = pd.concat([one.row for one in batch if one.row is not None])
            job = self._peer.retrieve(rows, background=True, progress=False)
            job.watched()
            self._fetching = batch, job
            job.then(lambda _: self._woken.set())
            return

    def _batch(self) -> list[Member]:
        """The next ones that are asked for together: small series would wait for associations alone."""
        batch = [self._waiting.popleft()]
        images = batch[0].images
        while self._waiting and not batch[0].alone and len(batch) < BATCH:
            images += self._waiting[0].images
            if self._waiting[0].alone or images > IMAGES:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _came(self, batch: list[Member], job: Job) -> None:
        table = job.partial if job.error is None else None
        found = {} if table is None else dict(iter(table.groupby("SeriesInstanceUID")["path"]))
        if len(batch) > 1 and (job.warnings or len(found) < len(batch)):  # asked again one by one, it is known whose
            for member in reversed(batch):
                member.alone = True
                self._waiting.appendleft(member)
            return
        self.remarks += job.warnings if found else []
        for member in batch:
            if member.uid in found:
                member.paths = found[member.uid].tolist()
                self._fetched.append(member)
                continue
            why = said("retrieve", job.error) if job.error else f"retrieve: {'; '.join(job.warnings) or 'nothing came'}"
            self._tell(member, Outcome(FAILED, error=why))
        if table is not None:
            self.size += int(table.attrs["bytes"] or 0)

    # -- the function ------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        if self._suspects:
            if not self._running:  # alone, so that it is known whose fault it is
                self._send(self._suspects.popleft())
            return
        while self._fetched and len(self._running) < self._pool.room:
            self._send(self._fetched.popleft())

    def _send(self, member: Member) -> None:
        try:
            future = self._sent(member)
        except BrokenExecutor:  # a process ended just now
            self._pool.renew()
            future = self._sent(member)
        self._running[future] = member
        future.add_done_callback(lambda _: self._woken.set())

    def _sent(self, member: Member) -> Future[Outcome]:
        if isinstance(self._pool, Cluster) and self._pool.retrieves and member.row is not None:
            return self._pool.submit_row(member.row)
        return self._pool.submit(member.paths)

    def _take(self) -> None:
        """What has ended."""
        alone = len(self._running) == 1
        broken: list[Member] = []
        for future in [one for one in self._running if one.done()]:
            member = self._running.pop(future)
            try:
                made = future.result()
            except BrokenExecutor:
                broken.append(member)
                continue
            except BaseException as error:
                if self.stop.is_set():
                    continue  # cancelled
                made = Outcome(FAILED, error=self._lost(error))
            self._tell(member, made)
        if broken and not self.stop.is_set():
            self._pool.renew()
            if alone:
                self._tell(broken[0], Outcome(FAILED, error=ENDED))
            else:
                self._suspects.extend([*broken, *self._running.values()])
                self._running.clear()

    @staticmethod
    def _lost(error: BaseException) -> str:
        return ENDED if type(error).__name__ == "KilledWorker" else said("function", error)

    def _tell(self, member: Member, made: Outcome) -> None:
        self._told(member, made)
        self._progress.advance(1, 0)
        if self._discard and self._peer is not None and member.row is not None and member.uid not in self._before:
            with contextlib.suppress(CacheError):
                self._peer.cache.remove(member.row, node=self._peer.node.identity)
