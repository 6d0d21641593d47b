"""A Dask cluster: one task a series; paths travel where the workers see the cache, addresses where they do not."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import phi
from ..cache.cache import Cache
from ..errors import ConnectError, InvalidRequest
from ..net.association.node import Node
from ..net.connecting import connect
from ..progress import duration
from ..remarks import noted, remark
from ..tables.tables import IDENTIFYING
from .elsewhere import Secret, hidden, packed, unpacked_outcome
from .lease import check, leased, offered
from .outcome import FAILED, Outcome, said

if TYPE_CHECKING:
    from ..net.peer import Peer


WHERE = ("RetrieveAETitle", "InstanceAvailability")  # columns that say who has a series, and whether it is there

BEGINNING = 10.0  # seconds that workers have to begin
BREAK = 20.0  # seconds without a scheduler after which it is taken to be gone
ALONE = 120.0  # seconds without a worker after which none is waited for any more
ASKED = 1.0  # seconds after which the scheduler is asked again who its workers are
ANSWER = 5.0  # seconds that its answer may take
WATCH = 0.5  # seconds after which a worker that retrieves looks whether it is still wanted


class Cluster:
    """The workers of a ``distributed.Client``.

    Parameters
    ----------
    peer
        Where they retrieve for themselves, under leases that hold the associations of the whole cluster at what the
        node allows; None where they see the files.
    """

    def __init__(self, client: Any, function: Callable[[Any], Any], given: str, peer: Peer | None) -> None:
        self.room = 2 * threads_of(client)  # one runs and one waits at each
        self.waits = ""
        self._client, self._packed, self._given = client, packed(function), given
        self._futures: set[Any] = set()
        self._seen = self._manned = monotonic()
        self._asked, self._lost = 0.0, False
        self._node: Node | None = None
        if peer is not None:
            self._node = replace(peer.node, associations=1, listen=0, allow=frozenset())
            count = peer.node.associations  # in the name, so that no two calls count one way and the other
            self._limit = f"{peer.node.identity} {count}", count
            packed_node(self._node)
            offered(client)

    def check(self) -> None:
        """Whether the cluster is still there.

        Raises
        ------
        ConnectError
            It is not: the client was closed, its scheduler is gone for longer than a short break, or has had no worker
            for some minutes.
        """
        status = getattr(self._client, "status", "running")
        if status == "running":
            self._seen = monotonic()
            self._count()
        elif status == "closed" or monotonic() - self._seen > BREAK:
            self._lost = True
            raise ConnectError(
                f"the Dask cluster is gone (its client is {status})",
                advice="Connect to it again, and give error.rows, or the same file of results, to apply.",
            )

    def _count(self) -> None:
        """Workers may end and others come: a cluster that adapts itself, a queue that gives them back later."""
        if monotonic() < self._asked + ASKED:
            return
        self._asked = monotonic()
        try:
            threads = sum(self._client.sync(self._client.scheduler.ncores, callback_timeout=ANSWER).values())
        except (OSError, RuntimeError):  # it is away, or the client closed: the status will tell
            return
        if threads:
            self.room, self.waits = 2 * threads, ""
            self._manned = monotonic()
            return
        alone = monotonic() - self._manned
        self.waits = f"no worker is there, waiting since {alone:.0f} s"
        if alone > ALONE:
            raise ConnectError(
                f"the Dask cluster has had no worker for {duration(alone)}",
                advice="Start workers, and give error.rows, or the same file of results, to apply: what is done is "
                "kept.",
            )

    @property
    def retrieves(self) -> bool:
        """Whether the workers retrieve for themselves."""
        return self._node is not None

    def submit(self, paths: list[str]) -> Future[Outcome]:
        return self._kept(
            self._client.submit(unpacked_outcome, self._packed, paths, self._given, phi.secret(), pure=False)
        )

    def submit_row(self, row: pd.DataFrame) -> Future[Outcome]:
        """Retrieve that row there, load it and call the function."""
        words = [word for word in (*IDENTIFYING, *WHERE) if word in row]
        named = row[words].apply(lambda column: column.map(phi.real))  # a pseudonym is of this process alone
        what = (self._packed, self._node, named, self._given, phi.secret(), self._limit)
        return self._kept(self._client.submit(retrieved_outcome, *what, pure=False))

    def _kept(self, future: Any) -> Any:
        self._futures = {one for one in self._futures if not one.done()} | {future}
        return future

    def renew(self) -> None:
        """The scheduler starts workers again, and their tasks."""

    def close(self) -> None:
        if self._lost:
            return
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._futures))


def threads_of(client: Any) -> int:
    """The threads of all workers.

    Raises
    ------
    InvalidRequest
        It is no client that can be waited for, or it has no workers.
    """
    if not hasattr(client, "submit") or not hasattr(client, "nthreads"):
        raise InvalidRequest(
            f"client is an object of type {type(client).__name__}", advice="Give a distributed.Client."
        )
    if getattr(client, "asynchronous", False):
        raise InvalidRequest("the client is asynchronous", advice="Give one that is not: Client(address).")
    if getattr(client, "status", "running") != "running":
        raise InvalidRequest(f"the client is {client.status}", advice="Connect to the cluster again.")
    threads = sum(client.nthreads().values())
    if not threads:  # a nanny may just be making another; a cluster that adapts itself waits for something to do
        work = client.submit(os.getpid, pure=False)
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(1, timeout=BEGINNING)
        threads = sum(client.nthreads().values())
        work.cancel()
    if not threads:
        raise InvalidRequest("the cluster of this client has no workers", advice="Wait for them, or start some.")
    return int(threads)


def packed_node(node: Node) -> None:
    """Refuse a node that cannot travel."""
    import pickle

    try:
        pickle.dumps(node)
    except Exception as error:
        raise InvalidRequest(
            f"this node cannot go to the workers ({error})",
            advice="Its passwords come from a function of this process: give them by environment variables, "
            "or a cache folder that the workers see.",
        ) from None


def shared(client: Any, folder: Path) -> bool:
    """Whether all workers see that folder."""
    probe = folder / f"probe-{uuid.uuid4().hex}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    probe.touch(0o600)
    try:
        seen = client.run(os.path.exists, str(probe))
    finally:
        probe.unlink()
    return all(seen.values())


@lru_cache(maxsize=4)
def _cache(folder: str) -> Cache:
    """One for all tasks of a worker; it goes with the worker."""
    return Cache(Path(folder, "dicomlab"), index=Path(folder, "dicomlab.sqlite"))


def retrieved_outcome(
    function: bytes, node: Node, row: pd.DataFrame, given: str, secret: Secret, limit: tuple[str, int]
) -> Outcome:
    """Retrieve into a cache of this worker while the cluster may, load and call the function. Runs on a worker."""
    from distributed import get_worker

    cache = _cache(get_worker().local_directory)
    with hidden(secret), noted() as notes, connect(node, cache=cache) as peer:
        try:
            with leased(*limit):
                table = _retrieved(peer, row)
        except Exception as error:
            made = Outcome(FAILED, error=said("retrieve", error))
        else:
            made = unpacked_outcome(function, table["path"].tolist(), given, secret)
        finally:
            with contextlib.suppress(Exception):  # so that its disk holds no more than what is worked on
                cache.drop(row, node=node.identity)
    return replace(made, remarks=(*notes, *made.remarks))


def _retrieved(peer: Peer, row: pd.DataFrame) -> pd.DataFrame:
    """Retrieve as long as the lease is this worker's: one that stood still may have lost it meanwhile."""
    job = peer.retrieve(row, background=True, progress=False)
    job.watched()
    try:
        while not job.wait(WATCH):
            check()
    except BaseException:
        job.stop()
        raise
    for text in job.warnings:
        remark(text, stacklevel=2)
    if job.error is not None:
        raise job.error
    assert isinstance(job.partial, pd.DataFrame)
    return job.partial
