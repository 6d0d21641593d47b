"""How a DIMSE-N service of the demo PACS answers, and how it reports an event (PS3.7 section 10)."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode

from . import wire
from .manners import IMPLICIT

if TYPE_CHECKING:
    from .request import Call


def respond(
    call: Call,
    status: int,
    data: Dataset | None = None,
    *,
    instance: str = "",
    comment: str = "",
    error_id: int = 0,
    attributes: Sequence[int] = (),
) -> None:
    """Send the response to the request of this call.

    `data` is the Attribute List or Action Reply, `instance` the one that an N-CREATE has made; `attributes` are tags
    that the status is about, which pynetdicom sends in the response to an N-GET or N-SET alone.
    """
    message = call.message
    response = type(message)()
    response.MessageIDBeingRespondedTo = message.MessageID
    response.AffectedSOPClassUID = call.sop_class or None
    response.AffectedSOPInstanceUID = instance or call.sop_instance or None
    if isinstance(message, N_ACTION):
        response.ActionTypeID = message.ActionTypeID
    response.Status = status
    if comment:
        response.ErrorComment = comment
    if error_id:
        response.ErrorID = error_id
    if attributes and hasattr(response, "AttributeIdentifierList"):
        response.AttributeIdentifierList = list(attributes)
    raw = None
    if data is not None:
        raw = encode(data, call.transfer_syntax == IMPLICIT, True)
        holder = "ActionReply" if isinstance(message, N_ACTION) else "AttributeList"
        setattr(response, holder, BytesIO(b"\0\0"))  # says that one follows
    wire.send(call.assoc, response, call.context_id, raw)


def tags(message: Any) -> tuple[int, ...]:
    """The Attribute Identifier List of a request; of one tag pynetdicom makes no list."""
    found = getattr(message, "AttributeIdentifierList", None)
    return (int(found),) if isinstance(found, int) else tuple(map(int, found or ()))


def report(call: Call, sop_class: str, instance: str, event: int, data: Dataset | None = None) -> int | None:
    """Send an N-EVENT-REPORT on the association of this call; gives the status it is answered with."""
    message = N_EVENT_REPORT()
    message.MessageID = 1
    message.AffectedSOPClassUID, message.AffectedSOPInstanceUID, message.EventTypeID = sop_class, instance, event
    raw = None if data is None else encode(data, call.transfer_syntax == IMPLICIT, True)
    wire.send(call.assoc, message, call.context_id, raw)
    answer = wire.receive(call.assoc)
    return getattr(answer, "Status", None)
