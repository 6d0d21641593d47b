"""DIMSE-N requests on an association that stands (PS3.7 section 10): one request, one response, events between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from ...datasets.elements import Elements, parse
from ...datasets.uids import IMPLICIT
from ...errors import BadData, StatusError
from ...queries.identifier import encode
from ...status import Category, Status
from . import contexts
from .association import Association
from .contexts import Context
from .dimse import MESSAGES, RESPONSE, CommandField
from .incoming import Message

#: Takes an N-EVENT-REPORT of the peer's; gives the status it is answered with.
OnEvent = Callable[[Association, Message], int]
NO_SUCH_EVENT = 0x0113
EVENTS = 200  # that may come before one response: a peer that does nothing else is not waited for


def proposed(*sop_classes: str) -> list[Context]:
    """Contexts of those classes, with Verification beside them: some peers reject an association in which none fits."""
    return [one for sop_class in (*sop_classes, contexts.VERIFICATION) for one in contexts.query(sop_class)]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a peer answered to a DIMSE-N request."""

    status: Status  # a success or a warning
    sop_instance: str  # (0000,1000) Affected SOP Instance UID, or that of the request where it gives none
    data: Elements | None  # the attribute list, None where there is none


class Normalized:
    """DIMSE-N requests of one service on one association.

    Parameters
    ----------
    association
        Stands, with `context` among its contexts.
    service
        By whose meanings a status is read; see `Status.service`.
    context
        The class whose context every message goes on: the Meta SOP Class where there is one; default the class asked.
    on_event
        Takes N-EVENT-REPORTs that come before a response; without it they are answered "no such event type".

    Each request raises StatusError where its status is a failure by the meanings of the service, ProtocolError where
    what comes is no response to it, and what `Association.read` raises.
    """

    def __init__(
        self, association: Association, service: str, *, context: str = "", on_event: OnEvent | None = None
    ) -> None:
        self.association, self.service = association, service
        self._context, self._on_event = context, on_event

    def create(self, sop_class: str, data: Dataset | None = None, *, sop_instance: str = "") -> Reply:
        """N-CREATE; the peer names the instance where `sop_instance` is empty."""
        return self._ask(CommandField.N_CREATE_RQ, sop_class, sop_instance, data)

    def set(self, sop_class: str, sop_instance: str, data: Dataset) -> Reply:
        """N-SET of a Modification List."""
        return self._ask(CommandField.N_SET_RQ, sop_class, sop_instance, data)

    def get(self, sop_class: str, sop_instance: str, attributes: Sequence[int] = ()) -> Reply:
        """N-GET of those tags; of all where none is named."""
        return self._ask(CommandField.N_GET_RQ, sop_class, sop_instance, attributes=attributes)

    def action(self, sop_class: str, sop_instance: str, action: int, data: Dataset | None = None) -> Reply:
        """N-ACTION of that Action Type ID."""
        return self._ask(CommandField.N_ACTION_RQ, sop_class, sop_instance, data, action=action)

    def delete(self, sop_class: str, sop_instance: str) -> Reply:
        """N-DELETE."""
        return self._ask(CommandField.N_DELETE_RQ, sop_class, sop_instance)

    def _ask(
        self,
        field: CommandField,
        sop_class: str,
        sop_instance: str,
        data: Dataset | None = None,
        *,
        action: int | None = None,
        attributes: Sequence[int] = (),
    ) -> Reply:
        """Send one request and read up to its response."""
        association = self.association
        context_id, syntax = association.context(self._context or sop_class)
        name = MESSAGES[field].removesuffix("-RQ")
        association.wire.phase = name
        message_id = association.send(
            field,
            sop_class,
            None if not data else encode(data, implicit=syntax == IMPLICIT),
            context_id=context_id,
            sop_instance=sop_instance,
            action=action,
            attributes=attributes,
        )
        asked_for = association.asked_for  # an event that is answered meanwhile changes it
        message = self._response(message_id, field, name)
        command = message.command
        status = command.status(self.service)
        if status is None:
            raise association.broken("a response came without a status (0000,0900)")
        if message.context_id != context_id:
            raise association.broken(f"a response came on context {message.context_id}, {context_id} was asked on")
        if asked_for and command.sop_instance not in ("", asked_for):
            raise association.broken(f"a response names the instance {command.sop_instance}, {asked_for} was asked")
        if status.category not in (Category.SUCCESS, Category.WARNING):
            raise StatusError(
                f"refused with {status}",
                peer=association.node.identity,
                phase=name,
                elapsed=association.deadline.elapsed,
                status=status,
                advice="The log of the peer says why.",
            )
        return Reply(status, command.sop_instance or asked_for, self._read(message, syntax))

    def _response(self, message_id: int, field: CommandField, name: str) -> Message:
        association = self.association
        for _ in range(EVENTS):
            message = association.read()
            command = message.command
            if command.command_field == CommandField.N_EVENT_REPORT_RQ:
                take = self._on_event
                association.answer(message, NO_SUCH_EVENT if take is None else take(association, message))
                continue
            if command.command_field != field | RESPONSE:
                raise association.broken(
                    f"a message of command field 0x{command.command_field:04X} came, no {name} response"
                )
            if command.responded_to != message_id:
                raise association.broken(f"a response to message {command.responded_to} came, {message_id} was asked")
            return message
        raise association.broken(f"{EVENTS} messages N-EVENT-REPORT came, and no {name} response")

    def _read(self, message: Message, syntax: str) -> Elements | None:
        if message.data is None:
            return None
        try:
            return parse(bytes(message.data), implicit=syntax == IMPLICIT)
        except BadData as error:
            what = f"the attribute list of a response cannot be read ({error.message})"
            raise self.association.broken(what) from None
