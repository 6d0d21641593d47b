"""A Dask cluster: one task a series; paths travel where the workers see the cache, addresses where they do not."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..cache import Cache
from ..errors import InvalidRequest
from ..net.connecting import connect
from ..net.node import Node
from .outcome import FAILED, Outcome, said
from .pools import packed, unpacked_outcome

if TYPE_CHECKING:
    from ..net.peer import Peer


class Cluster:
    """The workers of a ``distributed.Client``.

    Parameters
    ----------
    peer
        Where they retrieve for themselves, under a semaphore that holds the associations of the whole cluster at what
        the node allows; None where they see the files.
    """

    def __init__(self, client: Any, function: Callable[[Any], Any], given: str, peer: Peer | None) -> None:
        if not hasattr(client, "submit") or not hasattr(client, "nthreads"):
            raise InvalidRequest(
                f"client is an object of type {type(client).__name__}", advice="Give a distributed.Client."
            )
        threads = sum(client.nthreads().values())
        if not threads:
            raise InvalidRequest("the cluster of this client has no workers", advice="Wait for them, or start some.")
        self._client, self._packed, self._given = client, packed(function), given
        self.room = 2 * threads  # one runs and one waits at each
        self._futures: set[Any] = set()
        self._node: Node | None = None
        if peer is not None:
            from distributed import Semaphore

            self._node = replace(peer.node, associations=1, listen=0, allow=frozenset())
            self._limit = Semaphore(max_leases=peer.node.associations, name=f"dicomlab {peer.node.identity}")
            packed_node(self._node)

    @property
    def retrieves(self) -> bool:
        """Whether the workers retrieve for themselves."""
        return self._node is not None

    def submit(self, paths: list[str]) -> Future[Outcome]:
        return self._kept(self._client.submit(unpacked_outcome, self._packed, paths, self._given, pure=False))

    def submit_row(self, row: pd.DataFrame) -> Future[Outcome]:
        """Retrieve that row there, load it and call the function."""
        future = self._client.submit(
            retrieved_outcome, self._packed, self._node, row, self._given, self._limit, pure=False
        )
        return self._kept(future)

    def _kept(self, future: Any) -> Any:
        self._futures = {one for one in self._futures if not one.done()} | {future}
        return future

    def renew(self) -> None:
        """The scheduler starts workers again, and their tasks."""

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._futures))


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


def retrieved_outcome(function: bytes, node: Node, row: pd.DataFrame, given: str, limit: Any) -> Outcome:
    """Retrieve into a cache of this worker while the cluster may, load and call the function. Runs on a worker."""
    from distributed import get_worker

    cache = Cache(Path(get_worker().local_directory) / "dicomlab")
    with connect(node, cache=cache) as peer:
        try:
            with limit:
                table = peer.retrieve(row, progress=False)
        except Exception as error:
            return Outcome(FAILED, error=said("retrieve", error))
        made = unpacked_outcome(function, table["path"].tolist(), given)
        with contextlib.suppress(Exception):  # so that its disk holds no more than what is worked on
            cache.remove(table)
    return made


