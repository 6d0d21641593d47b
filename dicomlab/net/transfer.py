"""The transfers of a retrieval: C-GET, and C-MOVE to ourselves or to others (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import DicomlabError, InvalidRequest, ResultWarning, StatusError
from ..identifier import PATIENT_ROOT, STUDY_ROOT, encode, identifiers
from ..level import QueryLevel
from ..status import Category, Status
from ..tables import Address
from . import contexts
from .association import DATA_LIMIT, Association, Message, associate
from .contexts import IMPLICIT
from .deadline import Cancelled, Deadline
from .dimse import CommandField
from .holdings import Held, Holdings
from .listener import Listener
from .node import Node
from .receiver import Receiver

#: By the FIND model of the same root: the C-GET and C-MOVE SOP classes (PS3.4 C.6).
GET = {STUDY_ROOT: "1.2.840.10008.5.1.4.1.2.2.3", PATIENT_ROOT: "1.2.840.10008.5.1.4.1.2.1.3"}
MOVE = {STUDY_ROOT: "1.2.840.10008.5.1.4.1.2.2.2", PATIENT_ROOT: "1.2.840.10008.5.1.4.1.2.1.2"}
_ROOTS = {uid: root for kind in (GET, MOVE) for root, uid in kind.items()}
UIDS_PER_REQUEST = 500  # of a list in one IMAGE-level identifier
STOP_GRACE = 0.6  # seconds for the final response after Ctrl-C or cancel (R1.19: back within 1 s)


@dataclass(frozen=True)
class Unit:
    """One C-GET or C-MOVE request."""

    level: QueryLevel
    keys: dict[str, str | list[str]]


@dataclass
class Tally:
    """What the archive said of one retrieval; shown, never believed."""

    counts: dict[str, int] = field(default_factory=dict)  # of final responses, summed
    statuses: list[Status] = field(default_factory=list)  # final ones, one a request
    failed: list[str] = field(default_factory=list)  # FailedSOPInstanceUIDList (0008,0058)
    troubles: list[str] = field(default_factory=list)  # who was turned away by our listener, and what broke there

    def add(self, message: Message, status: Status, implicit: bool) -> None:
        """Take a final response in."""
        self.statuses.append(status)
        for name, value in message.command.counts().items():
            self.counts[name] = self.counts.get(name, 0) + value
        self.failed += [uid for uid in message.command.text(0x00080058).split("\\") if uid]
        if message.data:
            from ..elements import parse
            from ..errors import BadData

            with contextlib.suppress(BadData):
                failed = parse(bytes(message.data), implicit=implicit).get("FailedSOPInstanceUIDList")
                self.failed += [str(uid) for uid in (failed if isinstance(failed, tuple) else (failed,)) if uid]


def units(missing: Sequence[Held], here: set[str], holdings: Holdings, addresses: Sequence[Address]) -> list[Unit]:
    """The requests for what is missing: whole series where all of it was asked for and nothing of it is here.

    Parameters
    ----------
    missing
        Instances to fetch.
    here
        SOP Instance UIDs that are here already.
    addresses
        What was asked for.
    """
    asked: dict[str, dict[str, list[str]]] = {}
    for held in missing:
        asked.setdefault(held.StudyInstanceUID, {}).setdefault(held.SeriesInstanceUID, []).append(held.SOPInstanceUID)
    partial = {held.SeriesInstanceUID for held in holdings.instances.values() if held.SOPInstanceUID in here}
    partial |= {item.SeriesInstanceUID for item in addresses if item.level is QueryLevel.IMAGE}
    wanted: list[Unit] = []
    for study, series in asked.items():
        for uid, instances in series.items():
            above: dict[str, str | list[str]] = {"StudyInstanceUID": study, "SeriesInstanceUID": uid}
            if uid not in partial:
                wanted.append(Unit(QueryLevel.SERIES, above))
                continue
            for at in range(0, len(instances), UIDS_PER_REQUEST):
                chosen = instances[at : at + UIDS_PER_REQUEST]
                wanted.append(Unit(QueryLevel.IMAGE, {**above, "SOPInstanceUID": chosen}))
    return wanted


def get(
    node: Node, model: str, requests: Sequence[Unit], batches: Iterable[list[contexts.Context]], receiver: Receiver,
    deadline: Deadline, tally: Tally, enough: Callable[[], bool], rest: Callable[[], Sequence[Unit]],
) -> None:  # fmt: skip
    """Fetch by C-GET; more associations with other contexts only while something is missing (R5.6).

    A further association asks for the `rest` only, never again for what has come.

    Raises
    ------
    NoAcceptedContext
        The peer has no C-GET.
    """
    for number, batch in enumerate(batches):
        if number:
            requests = rest()
        if not requests:
            return
        proposed = [*contexts.query(model), *batch]
        roles = list(dict.fromkeys(context.abstract_syntax for context in batch))
        with associate(node, proposed, deadline, phase="C-GET", scp_roles=roles) as association:
            association.context(model)
            for unit in requests:
                if enough():
                    return
                _get_one(association, model, unit, receiver, tally)
        if enough():
            return


def _get_one(association: Association, model: str, unit: Unit, receiver: Receiver, tally: Tally) -> None:
    _, syntax = association.context(model)
    message_id = 0
    try:
        for identifier in identifiers(unit.level, unit.keys, model=_ROOTS[model], return_keys=()):
            data = encode(identifier, implicit=syntax == IMPLICIT)
            message_id = association.send(CommandField.C_GET_RQ, model, data)
            _take(association, model, message_id, receiver, tally, syntax == IMPLICIT)
    except (KeyboardInterrupt, Cancelled):
        _stop(association, model, message_id, receiver, tally, syntax == IMPLICIT)
        raise


def _take(
    association: Association, model: str, message_id: int, receiver: Receiver, tally: Tally, implicit: bool
) -> None:
    cancelled = False
    for message in association.responses(message_id, CommandField.C_GET_RQ, "C-GET", DATA_LIMIT):
        if message.command.command_field == CommandField.C_STORE_RQ:
            _, transfer_syntax = association.accepted.contexts[message.context_id]
            association.answer(message, receiver.receive(transfer_syntax, message))
            if receiver.full is not None and not cancelled:
                association.cancel(model, message_id)
                cancelled = True
            continue
        _response(message, "C-GET", tally, implicit)


def _response(message: Message, service: str, tally: Tally, implicit: bool) -> Status:
    status = message.command.status(service)
    assert status is not None
    if status.category is not Category.PENDING:
        tally.add(message, status, implicit)
    return status


def _stop(
    association: Association, model: str, message_id: int, receiver: Receiver, tally: Tally, implicit: bool
) -> None:
    """Told to stop: C-CANCEL, take what still comes for a short grace time, then the caller aborts."""
    association.wire.deadline = Deadline(STOP_GRACE, STOP_GRACE)
    association.cancel(model, message_id)
    with contextlib.suppress(DicomlabError, Cancelled, KeyboardInterrupt, Exception):
        _take(association, model, message_id, receiver, tally, implicit)


def move(
    node: Node, model: str, requests: Sequence[Unit], receiver: Receiver, deadline: Deadline, tally: Tally,
    arrived: threading.Event, expected: bool,
) -> None:  # fmt: skip
    """Fetch by C-MOVE to our own listener, which is open for the length of this call."""
    if not node.listen:
        raise InvalidRequest(
            "C-MOVE needs a port of ours that the archive sends to",
            peer=node.identity,
            phase="C-MOVE",
            advice="Give connect(..., listen=port) and have the PACS administrator enter your AE title "
            f"({node.move_ae}), this machine's address and that port.",
        )
    with Listener(node, receiver, deadline) as listener:
        try:
            with associate(node, contexts.query(model), deadline, phase="C-MOVE") as association:
                for unit in requests:
                    _move_one(association, model, unit, node.move_ae, tally)
            final = tally.statuses[-1] if tally.statuses else None
            sent = tally.counts.get("completed", 0) + tally.counts.get("warning", 0)
            nothing = final is not None and final.category is Category.FAILURE and not sent and not listener.busy
            if not nothing and not arrived.is_set() and (expected or sent > len(receiver.kept) or listener.busy):
                listener.settle(min(node.quirks.move_grace, deadline.progress), arrived)
        finally:
            tally.troubles += [f"turned away: {who}" for who in listener.rejected] + listener.troubles


def move_to(
    node: Node, model: str, requests: Iterable[Unit], destination: str, deadline: Deadline, tally: Tally
) -> None:
    """Have the archive send to a third party; nothing listens here (R5.8)."""
    with associate(node, contexts.query(model), deadline, phase="C-MOVE") as association:
        for unit in requests:
            _move_one(association, model, unit, destination, tally)


def _move_one(association: Association, model: str, unit: Unit, destination: str, tally: Tally) -> None:
    _, syntax = association.context(model)
    message_id = 0
    try:
        for identifier in identifiers(unit.level, unit.keys, model=_ROOTS[model], return_keys=()):
            data = encode(identifier, implicit=syntax == IMPLICIT)
            message_id = association.send(CommandField.C_MOVE_RQ, model, data, destination=destination)
            before: dict[str, int] = {}
            for message in association.responses(message_id, CommandField.C_MOVE_RQ, "C-MOVE"):
                counts = message.command.counts()
                if counts != before:
                    before = counts
                    association.deadline.progressed()
                status = _response(message, "C-MOVE", tally, syntax == IMPLICIT)
                if status.code == 0xA801:
                    raise _unknown(association, destination, status)
    except (KeyboardInterrupt, Cancelled):
        association.wire.deadline = Deadline(STOP_GRACE, STOP_GRACE)
        association.cancel(model, message_id)
        with contextlib.suppress(DicomlabError, Cancelled, KeyboardInterrupt):
            for message in association.responses(message_id, CommandField.C_MOVE_RQ, "C-MOVE"):
                _response(message, "C-MOVE", tally, syntax == IMPLICIT)
        raise


def _unknown(association: Association, destination: str, status: Status) -> StatusError:
    return StatusError(
        f"the archive does not know the move destination {destination!r} ({status})",
        peer=association.node.identity,
        phase="C-MOVE",
        elapsed=association.deadline.elapsed,
        status=status,
        advice=f"Ask the PACS administrator to enter AE title {destination}, the address of this machine and port "
        f"{association.node.listen or '(the one given as listen=)'} as a destination.",
    )


def say(remarks: Sequence[str], peer: str) -> None:
    """One ResultWarning for what is odd about a retrieval."""
    said = list(dict.fromkeys(remarks))
    if said:
        more = f"; and {len(said) - 5} more remarks, in attrs['remarks']" if len(said) > 5 else ""
        warnings.warn(f"{peer}: {'; '.join(said[:5])}{more}", ResultWarning, stacklevel=5)
