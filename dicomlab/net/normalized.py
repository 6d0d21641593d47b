"""DIMSE-N requests on an association that stands (PS3.7 section 10): one request, one response, events between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from ..elements import Elements, parse
from ..errors import BadData, StatusError
from ..identifier import encode
from ..status import Category, Status
from .association import Association
from .contexts import IMPLICIT
from .dimse import RESPONSE, CommandField
from .incoming import Message

#: Takes an N-EVENT-REPORT of the peer's; gives the status it is answered with.
OnEvent = Callable[[Association, Message], int]
NO_SUCH_EVENT = 0x0113


@dataclass(frozen=True, slots=True)
class Reply:
    """What a peer answered to a DIMSE-N request."""

    status: Status  # a success or a warning
    sop_instance: str  # (0000,1000) Affected SOP Instance UID, "" where it gives none
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
        """Send one request and read up to its response.

        Raises
        ------
        StatusError
            It is a failure.
        ProtocolError
            What comes is no response to it.
        """
        association = self.association
        context_id, syntax = association.context(self._context or sop_class)
        message_id = association.send(
            field,
            sop_class,
            None if data is None else encode(data, implicit=syntax == IMPLICIT),
            context_id=context_id,
            sop_instance=sop_instance,
            action=action,
            attributes=attributes,
        )
        name = field.name.removesuffix("_RQ").replace("_", "-")
        message = self._response(message_id, field, name)
        status = message.command.status(self.service)
        if status is None:
            raise association.broken("a response came without a status (0000,0900)")
        if message.context_id != context_id:
            raise association.broken(f"a response came on context {message.context_id}, {context_id} was asked on")
        if status.category not in (Category.SUCCESS, Category.WARNING):
            raise StatusError(
                f"{name} was refused: {status}",
                peer=association.node.identity,
                phase=name,
                elapsed=association.deadline.elapsed,
                status=status,
            )
        return Reply(status, message.command.sop_instance, self._read(message, syntax))

    def _response(self, message_id: int, field: CommandField, name: str) -> Message:
        association = self.association
        while True:
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

    def _read(self, message: Message, syntax: str) -> Elements | None:
        if message.data is None:
            return None
        try:
            return parse(bytes(message.data), implicit=syntax == IMPLICIT)
        except BadData as error:
            what = f"the attribute list of a response cannot be read ({error.message})"
            raise self.association.broken(what) from None
