"""Retrieve (PS3.4 C.4.2, C.4.3): what is asked for, minus what is here, into the cache; then count what arrived."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...cache.cache import Cache
from ...errors import DicomlabError, InvalidRequest, NoAcceptedContext, StatusError
from ...level import QueryLevel
from ...options import options
from ...progress import reporter
from ...queries.identifier import PATIENT_ROOT
from ...status import Category
from ...tables.tables import Address
from ..association import contexts
from ..association.address import ae_title
from ..association.deadline import Cancelled, Deadline, let_go
from ..association.node import Node
from . import transfer
from .holdings import Held, Holdings
from .inquiry import ask
from .outcome import Retrieval, estimate, result
from .receiver import Receiver
from .transfer import Unit

if TYPE_CHECKING:
    import pandas as pd


def retrieve(
    node: Node,
    cache: Cache,
    addresses: list[Address],
    deadline: Deadline,
    *,
    method: str | None = None,
    destination: str | None = None,
    dry_run: bool = False,
    progress: Any = None,
    errors: str = "raise",
    refresh: bool = False,
    limit: int | None = None,
    named: str = "",
) -> pd.DataFrame:
    """Fetch what the addresses name; see `Peer.retrieve`. `named` is the RetrieveAETitle of another node."""
    destination = check(method, destination, errors)
    elsewhere = destination is not None and destination != node.move_ae
    if not dry_run and not elsewhere:
        cache.open()
    run = Retrieval(node, cache, addresses, deadline, refresh, named)
    try:
        run.holdings = ask(node, addresses, deadline, sizes=dry_run)
    except (KeyboardInterrupt, Cancelled) as error:
        run.cause = error
        deadline.cancel()
        let_go(error)
        run.holdings = Holdings(known=False, why="stopped before it had said so")
        run.look()
        return result(run, errors)
    run.weigh(remembered=not elsewhere)
    if not elsewhere:
        run.look()
    missing = run.due()
    if dry_run:
        return estimate(run)
    if (len(missing) > options.retrieve_limit and limit is None) or (limit is not None and len(missing) > limit):
        raise InvalidRequest(
            f"{len(missing):,} instances would be fetched, more than the limit of {limit or options.retrieve_limit:,}",
            peer=node.identity,
            advice=f"Ask for fewer, or say limit={len(missing)}.",
        )
    requests = _requests(run, missing)
    if elsewhere:
        assert destination is not None
        return _send_elsewhere(run, requests, destination)
    if requests:
        _fetch(run, requests, missing, method, progress)
        run.remember(len(requests))
    return result(run, errors)


def check(method: str | None, destination: str | None, errors: str) -> str | None:
    """Refuse what cannot be asked, before anything is sent; gives the destination as an AE title."""
    if method not in (None, "get", "move"):
        raise InvalidRequest(f"method={method!r} is no way to retrieve", advice='Use "get", "move" or leave it out.')
    if errors not in ("raise", "report"):
        raise InvalidRequest(f"errors={errors!r}: use 'raise' or 'report'")
    return None if destination is None else ae_title(destination, "destination")


def _requests(run: Retrieval, missing: list[Held]) -> list[Unit]:
    if run.holdings.known:
        return _units(run, missing)
    requests = []
    for item in run.addresses:
        keys: dict[str, str | list[str]] = {
            level.unique_key: uid for level in QueryLevel if (uid := getattr(item, level.unique_key))
        }
        if item.StudyInstanceUID:  # in Study Root, where PatientID is no key above the study
            keys.pop("PatientID", None)
        requests.append(Unit(item.level, keys))
    return sorted(requests, key=lambda unit: unit.root == PATIENT_ROOT)  # last: it may be that only Study Root is there


def _units(run: Retrieval, missing: list[Held]) -> list[Unit]:
    here = run.holdings.instances.keys() - {held.SOPInstanceUID for held in missing}
    return transfer.units(missing, here, run.holdings, run.addresses, run.node.associations)


def _fetch(run: Retrieval, requests: Sequence[Unit], missing: list[Held], method: str | None, progress: Any) -> None:
    """Run the transfers; what goes wrong is kept in `run.cause`, for what arrived decides what it means."""
    arrived = threading.Event()
    bar = reporter(progress, f"{run.node.ae_title}", len(missing) or None)
    wanted = {held.SOPInstanceUID for held in missing} if run.holdings.known else set()  # set(): take all that comes

    def all_here() -> bool:
        return 0 < len(wanted) <= len(receiver.kept) and receiver.kept.keys() >= wanted

    one_by_one = threading.Lock()

    def on_instance(size: int) -> None:
        with one_by_one:  # instances come in several threads
            bar.advance(1, size)
        if all_here():
            arrived.set()

    receiver = run.receiver = Receiver(
        run.cache,
        run.node,
        run.addresses,
        on_instance,
        due=run.holdings.instances,
        replace=run.refresh,
        stopped=run.deadline.is_stopped,
    )

    def enough() -> bool:
        return receiver.full is not None or all_here()

    def rest() -> Sequence[Unit]:
        if not run.holdings.known:  # nothing to measure by but what the archive says
            return [] if run.tally.satisfied(len(requests), len(receiver.kept)) else requests
        return _units(run, [held for held in missing if held.SOPInstanceUID not in receiver.kept])

    transfers = transfer.Transfers(run.node, receiver, run.deadline, run.tally, enough, rest)
    try:
        run.method, run.reason = _choose(run.node, method)
        if run.method == "get":
            try:
                transfers.get(requests, run.holdings.batches(contexts.preferred(run.node.quirks.syntaxes)))
            except NoAcceptedContext as error:
                if method == "get" or not run.node.listen or error.abstract_syntax not in transfer.GET.values():
                    raise
                run.method, run.reason = "move", f"the archive has no C-GET ({error.message})"
        if run.method == "move":
            transfers.move(requests, arrived, bool(wanted))
    except (DicomlabError, KeyboardInterrupt, Cancelled) as error:
        run.cause = error
        if not isinstance(error, DicomlabError):
            run.deadline.cancel()
            let_go(error)
    finally:
        run.remarks += run.tally.troubles
        receiver.over()
        bar.close()
        with contextlib.suppress(OSError):
            run.cache.sync()


def _choose(node: Node, method: str | None) -> tuple[str, str]:
    if method is not None:
        return method, "asked for"
    if node.quirks.no_get:
        return "move", "this node's entry says that it has no C-GET"
    return "get", "C-GET needs no way back"


def _send_elsewhere(run: Retrieval, requests: Sequence[Unit], destination: str) -> pd.DataFrame:
    """C-MOVE to a third party: what the archive says is all that can be known here."""
    import pandas as pd

    if requests:
        transfer.move_to(run.node, requests, destination, run.deadline, run.tally)
    failures = [item for item in run.tally.statuses if item.category in (Category.FAILURE, Category.WARNING)]
    counts = run.tally.counts
    if failures:
        raise StatusError(
            f"sending to {destination} ended with {failures[0]}; "
            f"{counts.get('completed', 0)} sent, {counts.get('failed', 0)} failed",
            peer=run.node.identity,
            phase="C-MOVE",
            elapsed=run.deadline.elapsed,
            status=failures[0],
            advice=f"Is {destination} running, and does it take these SOP classes?",
        )
    frame = pd.DataFrame(
        [
            (held.StudyInstanceUID, held.SeriesInstanceUID, held.SOPInstanceUID)
            for held in run.holdings.instances.values()
        ],
        columns=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
        dtype="string",
    )
    frame.attrs = {"peer": run.node.identity, "destination": destination, "method": "move", "peer_counts": counts}
    return frame
