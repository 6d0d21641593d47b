"""C-GET (PS3.4 C.4.3) and what it has in common with C-MOVE: choosing instances, counting, the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_STORE

from . import wire
from .find import LEVELS, Refused, checked_level
from .holdings import UNIQUE, Instance, encode
from .manners import EXPLICIT, IMPLICIT
from .matching import matches, values

if TYPE_CHECKING:
    from .server import Call


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
        elif status is not None and (status >> 12 == 0xB or status in (0x0001, 0x0107, 0x0116)):
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
    if call.identifier is None:
        raise Refused(0xC000, "the Identifier cannot be read")
    level = checked_level(call, call.identifier)
    unique = [call.identifier[word] for word in UNIQUE.values() if word in call.identifier]
    unique = [key for key in unique if values(key)]
    if not any(key.keyword == UNIQUE[level] for key in unique):
        raise Refused(0xA900, f"{UNIQUE[level]} has no value")
    if level not in LEVELS:
        raise Refused(0xA900, "no such level")
    return [each for each in call.server.holdings if all(matches(each.header, key) for key in unique)]


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
        counts.add(instance.uid, send(instance, (call.message.MessageID + number) % 65535 + 1))
        if counts.remaining or manners.pending_last:
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
        respond(call, C_GET, refused.status, None, refused.why)
        return
    if not instances:
        respond(call, C_GET, call.server.manners.no_match, Counts(0))
        return
    run(call, instances, lambda instance, number: store(call.assoc, instance, number, None), C_GET)
