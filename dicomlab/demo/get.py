"""C-GET (PS3.4 C.4.3) and what it has in common with C-MOVE: choosing instances, counting, the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom import DataElement, Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE, C_STORE

from . import wire
from .find import Refused, checked_level, known_level, levels_of
from .holdings import UNIQUE, Instance, encode
from .manners import EXPLICIT, IMPLICIT
from .matching import matches, uids, values

if TYPE_CHECKING:
    from .request import Call


SERVICE: dict[type[Any], str] = {C_GET: "C-GET", C_MOVE: "C-MOVE"}


def is_warning(status: int) -> bool:
    """Is it a warning of C-STORE (PS3.4 B.2.3)?"""
    return status >> 12 == 0xB or status in (0x0001, 0x0107, 0x0116)


def refuse(call: Call, kind: type[Any], refused: Refused) -> None:
    """Send the final response of a request that is not served."""
    counts = Counts(0) if call.server.manners.refusal_counts else None
    respond(call, kind, refused.status, counts, refused.why)


@dataclass
class Counts:
    """Sub-operations so far (PS3.7 9.1.3.1)."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, uid: str, status: int | None) -> None:
        """Count one C-STORE by its status; None where it could not be sent."""
        self.remaining -= 1
        if status == 0x0000:
            self.completed += 1
        elif status is not None and is_warning(status):
            self.warning += 1
        else:
            self.failed += 1
            self.failures.append(uid)

    @property
    def final(self) -> int:
        """The final status these counts call for."""
        if self.failed and not self.completed and not self.warning:
            return 0xA702
        return 0xB000 if self.failed or self.warning else 0x0000


def chosen(call: Call) -> list[Instance]:
    """The instances the unique keys of the Identifier name.

    Raises
    ------
    Refused
        The Identifier breaks the rules of the hierarchy, or names nothing.
    """
    manners, identifier, moves = call.server.manners, call.identifier, isinstance(call.message, C_MOVE)
    if identifier is None:
        raise Refused(0xC000, "the Identifier cannot be read")
    unique = [identifier[word] for word in UNIQUE.values() if word in identifier]
    if manners.hierarchy == "present":
        return _beneath(call, known_level(call, identifier), unique)
    unique = [key for key in unique if values(key)]
    if manners.hierarchy == "lenient" and "QueryRetrieveLevel" not in identifier and unique and moves:
        lowest = unique[-1].keyword  # of what Orthanc is asked to move it needs no level
        identifier.QueryRetrieveLevel = next(each for each, word in UNIQUE.items() if word == lowest)
    level, holdings = checked_level(call, identifier), call.server.holdings
    own = next((key for key in unique if key.keyword == UNIQUE[level]), None)
    if own is None:
        raise Refused(manners.no_match or 0xA900, f"{UNIQUE[level]} has no value")
    if manners.hierarchy == "lenient":
        unique = [own]
        if not all(holdings.group(level, str(value)) for value in values(own)):
            return []  # all or none
    return [each for each in holdings.among(uids(unique)) if all(matches(each.header, key) for key in unique)]


def _beneath(call: Call, level: str, unique: list[DataElement]) -> list[Instance]:
    """As dcmqrscp does: a unique key missing above names nothing, one without value at the level names all."""
    levels, given = levels_of(call), {key.keyword for key in unique}
    if level not in levels or not all(UNIQUE[each] in given for each in levels[: levels.index(level)]):
        return []
    rules = call.server.manners.matching
    holdings = call.server.holdings
    return [each for each in holdings.among(uids(unique)) if all(matches(each.header, key, rules) for key in unique)]


def store(assoc: Association, instance: Instance, message_id: int, originator: tuple[str, int] | None) -> int | None:
    """Send one C-STORE over an association; the status, None where no context fits.

    Raises
    ------
    wire.Gone
        The association ended.
    """
    for context in assoc.accepted_contexts:
        if context.abstract_syntax != instance.sop_class:
            continue
        data = instance.encoded(str(context.transfer_syntax[0]))
        if data is None:
            continue
        request = C_STORE()
        request.MessageID, request.Priority = message_id, 2
        request.AffectedSOPClassUID = instance.sop_class
        request.AffectedSOPInstanceUID = instance.uid
        if originator:
            request.MoveOriginatorApplicationEntityTitle = originator[0]
            request.MoveOriginatorMessageID = originator[1]
        assert context.context_id is not None
        wire.send(assoc, request, context.context_id, data)
        return int(wire.receive(assoc).Status)
    return None


def run(call: Call, instances: list[Instance], send: Callable[[Instance, int], int | None], kind: type[Any]) -> None:
    """Send the instances one by one, with pending responses between and the final one."""
    manners, counts = call.server.manners, Counts(len(instances))
    for number, instance in enumerate(instances):
        if call.message.MessageID in call.assoc.dimse.cancel_req:
            respond(call, kind, 0xFE00, counts)
            return
        if manners.pause:
            time.sleep(manners.pause)
        status = send(instance, (call.message.MessageID + number) % 65535 + 1)
        if kind is C_MOVE and not manners.move_warnings and status is not None and is_warning(status):
            status = 0x0000
        counts.add(instance.uid, status)
        if kind is C_GET and status is None and manners.no_context is not None:
            respond(call, kind, manners.no_context, counts)
            return
        if kind is C_MOVE and counts.failed and manners.failed_move is not None:
            respond(call, kind, manners.failed_move, Counts(0))
            return
        if counts.remaining or SERVICE[kind] in manners.pending_last:
            respond(call, kind, 0xFF00, counts)
        if manners.pace:
            time.sleep(manners.pace)
    respond(call, kind, counts.final, counts)


def respond(call: Call, kind: type[Any], status: int, counts: Counts | None, comment: str = "") -> None:
    """Send one C-GET or C-MOVE response."""
    manners, response = call.server.manners, kind()
    response.MessageIDBeingRespondedTo = call.message.MessageID
    response.AffectedSOPClassUID = call.message.AffectedSOPClassUID
    response.Status = status
    pending = status == 0xFF00
    if counts is not None and (manners.pending_counts or not pending):
        if pending or status == 0xFE00:
            response.NumberOfRemainingSuboperations = counts.remaining
        response.NumberOfCompletedSuboperations = counts.completed
        response.NumberOfFailedSuboperations = counts.failed
        response.NumberOfWarningSuboperations = counts.warning
    if comment:
        response.ErrorComment = comment[:64]
    data = None
    if counts is not None and counts.failures and manners.failed_list and not pending:
        failed = Dataset()
        failed.FailedSOPInstanceUIDList = counts.failures
        data = encode(failed, EXPLICIT if call.transfer_syntax == EXPLICIT else IMPLICIT)
    wire.send(call.assoc, response, call.context_id, data)


def serve(call: Call) -> None:
    """Send what is asked for over the association it was asked on."""
    try:
        instances = chosen(call)
    except Refused as refused:
        refuse(call, C_GET, refused)
        return
    if not instances:
        respond(call, C_GET, call.server.manners.no_match, Counts(0))
        return
    run(call, instances, lambda instance, number: store(call.assoc, instance, number, None), C_GET)
