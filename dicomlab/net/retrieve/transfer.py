"""The transfers of a retrieval: C-GET, and C-MOVE to ourselves or to others (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...datasets.uids import IMPLICIT
from ...errors import (
    AssociationAborted,
    ConnectionLost,
    InvalidRequest,
    StatusError,
)
from ...level import QueryLevel
from ...queries.identifier import PATIENT_ROOT, STUDY_ROOT, encode, identifiers
from ...status import Category, Status
from ...tables.tables import Address
from ..association import contexts
from ..association.association import Association, Message, associate
from ..association.deadline import Cancelled, Deadline
from ..association.dimse import CommandField
from ..association.jobs import turn
from ..association.node import Node
from ..association.parallel import Parallel
from .holdings import UIDS_PER_REQUEST, Held, Holdings
from .listener import Listener, Storage
from .receiver import Receiver
from .tally import Tally

#: By the FIND model of the same root: the C-GET and C-MOVE SOP classes (PS3.4 C.6).
GET = {STUDY_ROOT: "1.2.840.10008.5.1.4.1.2.2.3", PATIENT_ROOT: "1.2.840.10008.5.1.4.1.2.1.3"}
MOVE = {STUDY_ROOT: "1.2.840.10008.5.1.4.1.2.2.2", PATIENT_ROOT: "1.2.840.10008.5.1.4.1.2.1.2"}
PIECE = 10  # instances that a further association is worth
STOP_GRACE = 0.45  # seconds for the final response after Ctrl-C or cancel: not quite two ticks (R1.19: back within 1 s)


@dataclass(frozen=True)
class Unit:
    """One C-GET or C-MOVE request."""

    level: QueryLevel
    keys: dict[str, str | list[str]]

    @property
    def root(self) -> str:
        """The FIND model of the information model it is asked in: Patient Root for a whole patient."""
        return PATIENT_ROOT if self.level is QueryLevel.PATIENT else STUDY_ROOT


def units(
    missing: Sequence[Held], here: set[str], holdings: Holdings, addresses: Sequence[Address], associations: int = 1
) -> list[Unit]:
    """The requests for what is missing: whole series where all of it was asked for and nothing of it is here.

    For several associations, series are divided into lists of instances: two requests each, so that none waits long
    for the others at the end.

    Parameters
    ----------
    missing
        Instances to fetch.
    here
        SOP Instance UIDs that are here already.
    addresses
        What was asked for.
    associations
        How many there may be.
    """
    size = UIDS_PER_REQUEST
    if associations > 1:
        size = min(size, max(PIECE, -(-len(missing) // (2 * associations))))
    asked: dict[str, dict[str, list[str]]] = {}
    for held in missing:
        asked.setdefault(held.StudyInstanceUID, {}).setdefault(held.SeriesInstanceUID, []).append(held.SOPInstanceUID)
    partial = {held.SeriesInstanceUID for held in holdings.instances.values() if held.SOPInstanceUID in here}
    single = {item.SOPInstanceUID for item in addresses if item.level is QueryLevel.IMAGE}
    partial |= {held.SeriesInstanceUID for held in missing if held.SOPInstanceUID in single}
    wanted: list[Unit] = []
    for study, series in asked.items():
        for uid, instances in series.items():
            above: dict[str, str | list[str]] = {"StudyInstanceUID": study, "SeriesInstanceUID": uid}
            if uid not in partial and (associations == 1 or len(instances) <= size):
                wanted.append(Unit(QueryLevel.SERIES, above))
                continue
            for at in range(0, len(instances), size):
                chosen = instances[at : at + size]
                wanted.append(Unit(QueryLevel.IMAGE, {**above, "SOPInstanceUID": chosen}))
    return wanted


Job = Callable[[Iterator[Unit], Deadline, Callable[[], None]], None]


@dataclass(frozen=True)
class Transfers:
    """The requests of one retrieval, on as many associations as the node allows."""

    node: Node
    receiver: Receiver
    deadline: Deadline
    tally: Tally
    enough: Callable[[], bool]  # nothing more is to be asked for
    rest: Callable[[], Sequence[Unit]]  # the requests for what is missing now

    def get(self, requests: Sequence[Unit], batches: Iterable[list[contexts.Context]]) -> None:
        """Fetch by C-GET; more associations with other contexts only while something is missing (R5.6).

        A further one asks for the rest only, never again for what has come.

        Raises
        ------
        NoAcceptedContext
            The peer has no C-GET.
        """
        for number, batch in enumerate(batches):
            if number:
                requests = self.rest()
            if not requests:
                return
            self._share(requests, self._getting(requests, batch))
            if self.enough():
                return

    def _getting(self, requests: Sequence[Unit], batch: list[contexts.Context]) -> Job:
        proposed = [*_models(requests, GET), *batch]
        roles = list(dict.fromkeys(context.abstract_syntax for context in batch))

        def job(waiting: Iterator[Unit], deadline: Deadline, stands: Callable[[], None]) -> None:
            with associate(self.node, proposed, deadline, phase="C-GET", scp_roles=roles) as association:
                association.context(proposed[0].abstract_syntax)
                stands()
                for unit in waiting:
                    if self.enough():
                        return
                    _get_one(association, unit, self.receiver, self.tally)

        return job

    def move(self, requests: Sequence[Unit], arrived: threading.Event, expected: bool) -> None:
        """Fetch by C-MOVE to our own listener, which is open for the length of this call.

        Parameters
        ----------
        arrived
            Set once all that is expected is here.
        expected
            Whether it is known what should come.
        """
        node, tally = self.node, self.tally
        if not node.listen:
            raise InvalidRequest(
                "C-MOVE needs a port of ours that the archive sends to",
                peer=node.identity,
                phase="C-MOVE",
                advice="Give connect(..., listen=port) and have the PACS administrator enter your AE title "
                f"({node.move_ae}), this machine's address and that port.",
            )
        with (
            turn(node.listen_host, node.listen, self.deadline, node.identity),
            Listener(node, Storage(self.receiver), self.deadline) as listener,
        ):
            try:
                self._share(requests, self._moving(requests))
                sent = tally.counts.get("completed", 0) + tally.counts.get("warning", 0)
                failed = {status.category for status in tally.latest} == {Category.FAILURE}
                nothing = self.receiver.full is not None or (failed and not sent and not listener.busy)
                waiting = expected or sent > len(self.receiver.kept) or listener.busy
                if not nothing and not arrived.is_set() and waiting:
                    listener.settle(min(node.quirks.move_grace, self.deadline.progress), arrived)
            finally:
                tally.troubles += [f"turned away: {who}" for who in listener.rejected] + listener.troubles

    def _moving(self, requests: Sequence[Unit]) -> Job:
        proposed = _models(requests, MOVE)

        def job(waiting: Iterator[Unit], deadline: Deadline, stands: Callable[[], None]) -> None:
            with associate(self.node, proposed, deadline, phase="C-MOVE") as association:
                association.context(proposed[0].abstract_syntax)
                stands()
                for unit in waiting:
                    if self.enough():
                        return
                    _move_one(association, unit, self.node.move_ae, self.tally)

        return job

    def _share(self, requests: Sequence[Unit], job: Job) -> None:
        """Do the requests on several associations; the rest on one, where the archive cuts them off (R1.20)."""
        self.tally.begin()
        several = Parallel(requests, self.node.associations, self.deadline, job)
        try:
            several.run()
        except (ConnectionLost, AssociationAborted) as error:
            rest = self.rest()
            if several.stood < 2 or not rest:
                raise
            self.tally.troubles.append(f"of {several.stood} associations at once one was lost ({error.message})")
            self.tally.begin()
            Parallel(rest, 1, self.deadline, job).run()
        finally:
            self.tally.associations = max(self.tally.associations, several.stood)


def _models(requests: Sequence[Unit], kind: dict[str, str]) -> list[contexts.Context]:
    roots = dict.fromkeys(unit.root for unit in requests)
    return [context for root in roots for context in contexts.query(kind[root])]


def _get_one(association: Association, unit: Unit, receiver: Receiver, tally: Tally) -> None:
    model = GET[unit.root]
    _, syntax = association.context(model)
    message_id = 0
    try:
        for identifier in identifiers(unit.level, unit.keys, model=unit.root, return_keys=()):
            data = encode(identifier, implicit=syntax == IMPLICIT)
            message_id = association.send(CommandField.C_GET_RQ, model, data)
            _take(association, unit, message_id, receiver, tally)
    except (KeyboardInterrupt, Cancelled):
        _stop(association, model, message_id, lambda: _take(association, unit, message_id, receiver, tally))
        raise


def _take(association: Association, unit: Unit, message_id: int, receiver: Receiver, tally: Tally) -> None:
    model = GET[unit.root]
    _, syntax = association.context(model)
    cancelled = False
    for message in association.responses(message_id, CommandField.C_GET_RQ, "C-GET", receiver.sink):
        if message.command.command_field == CommandField.C_STORE_RQ:
            _, transfer_syntax = association.accepted.contexts[message.context_id]
            association.answer(message, receiver.receive(transfer_syntax, message))
            if receiver.full is not None and not cancelled:
                association.cancel(model, message_id)
                cancelled = True
            continue
        _response(message, "C-GET", tally, syntax == IMPLICIT)


def _response(message: Message, service: str, tally: Tally, implicit: bool) -> Status:
    status = message.command.status(service)
    assert status is not None
    if status.category is not Category.PENDING:
        tally.add(message, status, implicit)
    return status


def _stop(association: Association, model: str, message_id: int, take: Callable[[], object]) -> None:
    """Told to stop: C-CANCEL, take what still comes for a short grace time, then the caller aborts."""
    association.deadline.cancel()  # the other associations stop meanwhile
    association.wire.deadline = association.deadline.farewell(STOP_GRACE)
    association.cancel(model, message_id)
    with contextlib.suppress(Exception, KeyboardInterrupt):  # however it ends, a release among it: it was told to
        take()


def move_to(node: Node, requests: Sequence[Unit], destination: str, deadline: Deadline, tally: Tally) -> None:
    """Have the archive send to a third party; nothing listens here (R5.8)."""
    tally.begin()
    with associate(node, _models(requests, MOVE), deadline, phase="C-MOVE") as association:
        for unit in requests:
            _move_one(association, unit, destination, tally)


def _move_one(association: Association, unit: Unit, destination: str, tally: Tally) -> None:
    model = MOVE[unit.root]
    _, syntax = association.context(model)
    message_id = 0
    try:
        for identifier in identifiers(unit.level, unit.keys, model=unit.root, return_keys=()):
            data = encode(identifier, implicit=syntax == IMPLICIT)
            message_id = association.send(CommandField.C_MOVE_RQ, model, data, destination=destination)
            _watch(association, unit, message_id, destination, tally)
    except (KeyboardInterrupt, Cancelled):
        _stop(association, model, message_id, lambda: _watch(association, unit, message_id, destination, tally))
        raise


def _watch(association: Association, unit: Unit, message_id: int, destination: str, tally: Tally) -> None:
    _, syntax = association.context(MOVE[unit.root])
    before: dict[str, int] = {}
    for message in association.responses(message_id, CommandField.C_MOVE_RQ, "C-MOVE"):
        counts = message.command.counts()
        if counts != before:
            before = counts
            association.deadline.progressed()
        status = _response(message, "C-MOVE", tally, syntax == IMPLICIT)
        if status.code == 0xA801:
            raise _unknown(association, destination, status)


def _unknown(association: Association, destination: str, status: Status) -> StatusError:
    node = association.node
    whose = f"of this machine and port {node.listen}" if destination == node.move_ae else "and port that it has"
    return StatusError(
        f"the archive does not know the move destination {destination!r} ({status})",
        peer=node.identity,
        phase="C-MOVE",
        elapsed=association.deadline.elapsed,
        status=status,
        advice=f"Check its spelling, or ask the PACS administrator to enter AE title {destination} with the address "
        f"{whose} as a destination.",
    )
