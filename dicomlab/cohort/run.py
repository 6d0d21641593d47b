"""A cohort while it runs: one retrieval at a time ahead of the function, and no more series here than are worked on."""

from __future__ import annotations

import contextlib
import threading
from asyncio import CancelledError
from collections import deque
from concurrent import futures
from concurrent.futures import BrokenExecutor, Future
from time import monotonic
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import AssociationRejected, CacheError, ConnectError, DicomlabError, InvalidRequest
from ..progress import Progress
from .cluster import Cluster
from .members import Member
from .outcome import FAILED, Outcome, said
from .pools import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..net.association.job import Job
    from ..net.peer import Peer

AHEAD = 2  # series that are here and wait for the function, before the next are asked for
BATCH, IMAGES = 8, 400  # series, and instances, that are asked for together
PAUSES = (5.0, 15.0, 40.0)  # seconds before an archive that was there, and cannot be reached, is asked again
REACHING = ("connection", "association", "TLS")  # phases in which no archive is there yet
ENDED = "the process that ran it ended: it may have used up the memory"


class Run:
    """Takes members one after the other, and tells what becomes of each as it is known.

    Parameters
    ----------
    peer
        Who to retrieve from; None where all files are here.
    table
        The rows of the members.
    discard
        Remove from the cache what was fetched for this run alone, once the function is through with it.
    told
        Called with a member and its outcome.
    """

    def __init__(
        self,
        pool: Pool,
        peer: Peer | None,
        table: pd.DataFrame,
        *,
        discard: bool,
        progress: Progress,
        told: Callable[[Member, Outcome], object],
    ) -> None:
        self._pool, self._peer, self._table, self._discard = pool, peer, table, discard
        self._progress, self._told = progress, told
        self._waiting: deque[Member] = deque()
        self._fetched: deque[Member] = deque()
        self._fetching: tuple[list[Member], Job] | None = None
        self._running: dict[Future[Outcome], Member] = {}
        self._suspects: deque[Member] = deque()  # that ran as a process ended: one of them may have ended it
        self._before: set[str] = set()  # series that were here
        self._to_discard: dict[str, Member] = {}
        self._over = False
        self._waits = ""  # as the progress was told
        self._woken = threading.Event()
        self._reached = False  # the archive answered
        self._failures = 0  # to reach it since, one after the other
        self._resumes = 0.0  # when it is asked again
        self.stop = threading.Event()
        self.ended = ""  # why the rest cannot be had now, in words
        self.seconds = 0.0  # of retrieval
        self.size = self.instances = 0  # bytes and instances retrieved
        self.remarks: list[str] = []  # of retrievals, and of what was loaded
        self.reservations = 0  # series that were loaded with a remark

    def all(self, members: list[Member]) -> None:
        """Run until all have an outcome, or it is to stop."""
        self._waiting.extend(members)
        try:
            if self._discard and self._peer is not None:
                here = self._peer.cache.contents("SERIES", node=self._peer.node.identity)
                self._before = set(here["SeriesInstanceUID"])
            while not self.stop.is_set() and self._step():
                self._woken.wait(0.1)
                self._woken.clear()
        finally:
            try:
                self._let_go()
            finally:
                self._pool.close()

    def _let_go(self) -> None:
        """What has come so far is kept; nothing more comes."""
        self._over = True
        if self._fetching is not None:
            job = self._fetching[1]
            job.cancel()
            job.wait(2)
        with contextlib.suppress(ConnectError):
            self._pool.check()
            self._take()
        for member in list(self._to_discard.values()):
            self._remove(member)

    def _step(self) -> bool:
        """Do what can be done now; whether there is more to come."""
        self._pool.check()
        self._wait(self._pool.waits)
        self._take()
        self._fetch()
        self._submit()
        return bool(self._waiting or self._fetched or self._fetching or self._running or self._suspects)

    def _wait(self, why: str) -> None:
        if why != self._waits:
            self._waits = why
            self._progress.wait(why)

    # -- retrieval ---------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        if self._fetching is not None:
            batch, job = self._fetching
            if not job.done:
                return
            self._fetching = None
            self.seconds += job.elapsed
            self._came(batch, job)
        while self._waiting and len(self._fetched) < AHEAD and monotonic() >= self._resumes:
            if self._waiting[0].given or (isinstance(self._pool, Cluster) and self._pool.retrieves):
                self._fetched.append(self._waiting.popleft())
                continue
            assert self._peer is not None
            batch = self._batch()
            if self._discard:
                self._to_discard |= {one.uid: one for one in batch if one.uid not in self._before}
            try:
                job = self._peer.retrieve(self._rows(batch), background=True, progress=False)
            except InvalidRequest as error:  # one of them is offline
                self._not_fetched(batch, error, [])
                continue
            job.watched()
            self._fetching = batch, job
            job.then(lambda _: self._woken.set())
            return

    def _rows(self, batch: list[Member]) -> pd.DataFrame:
        return self._table.iloc[[one.at[0] for one in batch]]

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
        error, partial = job.error, job.partial
        if partial is not None:
            self.size += int(partial.attrs.get("bytes") or 0)
            self.instances += int(partial.attrs.get("fetched") or 0)
        if isinstance(error, ConnectError | AssociationRejected) and error.phase in REACHING:
            self._not_reached(batch, error)
            return
        self._reached, self._failures = True, 0
        table = partial if error is None else None
        found = {} if table is None else dict(iter(table.groupby("SeriesInstanceUID")["path"]))
        if len(batch) > 1 and (job.warnings or len(found) < len(batch)):
            self._not_fetched(batch, error, [])
            return
        self.remarks += job.warnings if found else []
        for member in batch:
            if member.uid in found:
                member.paths = found[member.uid].tolist()
                self._fetched.append(member)
            else:
                self._not_fetched([member], error, job.warnings)

    def _not_fetched(self, batch: list[Member], error: BaseException | None, remarks: list[str]) -> None:
        """Several are asked for again one by one, so that it is known whose fault it is; one alone has failed."""
        cause = getattr(error, "__cause__", None) or error
        if len(batch) > 1 or (isinstance(cause, ConnectError) and not batch[0].cut):
            for member in reversed(batch):
                member.alone, member.cut = True, len(batch) == 1
                self._waiting.appendleft(member)
            return
        why = said("retrieve", error) if error else f"retrieve: {'; '.join(remarks) or 'nothing came'}"
        self._tell(batch[0], Outcome(FAILED, error=why))
        full = isinstance(cause, CacheError | OSError)
        if full and not self._running and not self._fetched:
            self._end("the disk of the cache takes no more")

    def _not_reached(self, batch: list[Member], error: DicomlabError) -> None:
        """The archive is away: it is asked again after a while; where it stays away, the rest is not run."""
        pauses = PAUSES if self._reached else ()
        if self._failures < len(pauses):
            self._resumes = monotonic() + pauses[self._failures]
            self._failures += 1
            self._waiting.extendleft(reversed(batch))
            return
        for member in batch:
            self._tell(member, Outcome(FAILED, error=said("retrieve", error)))
        self._end("the archive cannot be reached")

    def _end(self, why: str) -> None:
        if self._waiting:
            self.ended = why
            self._waiting.clear()

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
            if self._running:  # which is found out when these are taken
                self._fetched.appendleft(member)
                return
            self._pool.renew()
            future = self._sent(member)
        except Exception:  # of Dask, whose client was closed just now
            self._pool.check()
            raise
        self._running[future] = member
        future.add_done_callback(lambda _: self._woken.set())

    def _sent(self, member: Member) -> Future[Outcome]:
        if isinstance(self._pool, Cluster) and self._pool.retrieves and not member.given:
            return self._pool.submit_row(self._rows([member]))
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
            except (Exception, CancelledError) as error:  # never of the function: what it raises is in its outcome
                if self._over or self.stop.is_set():
                    continue  # cancelled
                self._pool.check()
                broke = isinstance(error, OSError) and isinstance(self._pool, Cluster) and not member.unsaid
                if broke or isinstance(error, CancelledError | futures.CancelledError):  # the cluster was begun again
                    member.unsaid = broke
                    self._fetched.append(member)
                    continue
                if type(error).__name__ == "KilledWorker" and not alone:  # another one there may have killed it
                    self._suspects.append(member)
                    continue
                made = Outcome(FAILED, error=self._lost(error))
            self._tell(member, made)
        if broken and not self._over and not self.stop.is_set():
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
        self.remarks += [f"{member.uid}: {text}" for text in made.remarks]
        self.reservations += bool(made.remarks)
        self._remove(member)

    def _remove(self, member: Member) -> None:
        if self._to_discard.pop(member.uid, None) is not None and self._peer is not None:
            with contextlib.suppress(CacheError):
                self._peer.cache.drop(member.address, node=self._peer.node.identity)
