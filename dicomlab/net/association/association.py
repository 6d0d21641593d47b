"""An association that stands: its messages, both ways, and its end (PS3.7, PS3.8)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from types import MappingProxyType
from typing import Any

from ...errors import (
    ConnectionLost,
    DicomlabError,
    ProtocolError,
)
from ...status import Status
from . import dimse, negotiation
from .contexts import Context
from .deadline import Cancelled, Deadline
from .hooks import AssociationEvent, MessageEvent
from .incoming import Incoming, Message, Sinks
from .negotiated import Negotiated
from .negotiation import Proposal
from .node import Node
from .opening import opened, refused
from .pdu import (
    RELEASE_RP,
    RELEASE_RQ,
    PduType,
    Released,
    ReleaseRequested,
    Wire,
    abort_pdu,
    p_data,
    p_data_head,
)

SMALL = 1 << 12  # bytes up to which a PDU is made whole before it is sent
UNLIMITED = 1 << 17  # bytes of a PDU to a peer that sets no limit
GRACE = 2.0  # seconds in which the final response may come after a cancel


class Association:
    """An association that stands; made by `associate`.

    Reads belong to one thread; `cancel` and `abort` may be called by any.
    """

    def __init__(
        self,
        wire: Wire,
        node: Node,
        accepted: negotiation.Accepted,
        deadline: Deadline,
        facts: Negotiated | None = None,
    ) -> None:
        self.wire, self.node, self.accepted, self.deadline = wire, node, accepted, deadline
        self.facts = facts  # of one that we asked for
        self._message_id = 0
        self.asked_for = ""  # SOP Instance UID of the request that was sent last, as hooks left it
        self._asked_on = 0  # context id of the request that is answered now
        self._incoming = Incoming(wire, accepted.contexts)
        self._received: MessageEvent | None = None  # read, and not yet dealt with
        self._over = False  # released or aborted

    # -- contexts --------------------------------------------------------------------------------------------

    def context(self, abstract_syntax: str) -> tuple[int, str]:
        """Id and transfer syntax of the accepted context of that class.

        Raises
        ------
        NoAcceptedContext
            The peer refused it.
        """
        for context_id, (abstract, syntax) in self.accepted.contexts.items():
            if abstract == abstract_syntax:
                return context_id, syntax
        raise refused(self.node, abstract_syntax, self.accepted.results.get(abstract_syntax), self.deadline)

    # -- messages --------------------------------------------------------------------------------------------

    def send(
        self,
        command_field: dimse.CommandField,
        sop_class: str,
        data: bytes | memoryview | None = None,
        *,
        context_id: int | None = None,
        **fields: Any,
    ) -> int:
        """Send a request with its identifier or data set; gives its message id.

        Parameters
        ----------
        context_id
            Of the context to send it on; default the first one accepted for the class.
        **fields
            Of the command set, as `dimse.request` takes them.
        """
        if context_id is None:
            context_id, _ = self.context(sop_class)
        self.handled()
        self._message_id = self._message_id % 0xFFFF + 1
        self._asked_on = context_id
        self.asked_for = fields.get("sop_instance", "")
        command = dimse.request(
            command_field,
            sop_class,
            self._message_id,
            data=data is not None,
            **fields,
        )
        try:
            self._put(context_id, command, data)
        except ConnectionLost as lost:
            raise self.wire.last_word(lost) from lost
        return self._message_id

    def _put(self, context_id: int, command: bytes, data: bytes | memoryview | None = None) -> None:
        """Send one message; all that we send comes through here."""
        hooks = self.deadline.hooks
        if hooks is not None:
            event = self._event(context_id, dimse.decode(command), data, "sent")
            hooks.before(event)
            command, data = event.command.encoded(), event.data
            self.asked_for = event.command.sop_instance or event.command.text(0x1001)  # affected, or requested
        room = (self.accepted.maximum_length or UNLIMITED) - 6
        room -= room % 2 if room > 1 else 0  # fragments of even length (PS3.8 9.3.1)
        self.wire.send(*_fragments(context_id, 1, command, room), *_fragments(context_id, 0, data or b"", room))
        if hooks is not None:
            hooks.after(event)

    def _event(
        self, context_id: int, command: dimse.Command, data: bytes | memoryview | None, direction: str
    ) -> MessageEvent:
        context = (context_id, *self.accepted.contexts[context_id])
        return MessageEvent(self.node, self.deadline, context, command, data, direction, self.wire.number)

    def read(self, sinks: Sinks | None = None) -> Message:
        """The next message, whole.

        Parameters
        ----------
        sinks
            Where given, the data set of a C-STORE request goes there as it arrives; a hook sees it in memory first.
        """
        hooks = self.deadline.hooks
        if hooks is None:
            return self._incoming.read(sinks)
        self.handled()
        message = self._incoming.read()
        command = dimse.Command(dict(message.command.raw))  # its own: the next one may come as the same object
        event = self._event(message.context_id, command, message.data, "received")
        hooks.before(event)
        self._received = event
        data = None if event.data is None else memoryview(event.data)
        return Message(message.context_id, event.command, data)

    def handled(self) -> None:
        """The message that was read last has been dealt with: the hooks that come after it are called."""
        event, self._received = self._received, None
        if event is not None and self.deadline.hooks is not None:
            self.deadline.hooks.after(event)

    def tell(self, what: str, error: BaseException | None = None) -> None:
        """Call the hooks of an event of this association."""
        if self.deadline.hooks is not None:
            facts = self.facts
            proposal = facts.proposal if facts else None
            number = self.wire.number
            event = AssociationEvent(self.node, self.deadline, proposal, facts, error, association=number)
            self.deadline.hooks.run(event, what)

    def responses(
        self,
        message_id: int,
        command_field: int,
        service: str,
        sinks: Sinks | None = None,
    ) -> Iterator[Message]:
        """The messages that follow a request, up to and with its final response; C-STORE requests among them.

        Raises
        ------
        ProtocolError
            A response answers another message, or is of another kind, or has no status (R1.21).
        """
        stores = command_field == dimse.CommandField.C_GET_RQ
        asked_on = self._asked_on
        command: dimse.Command | None = None  # the last one that was checked; pending ones come as the same object
        while True:
            message = self.read(sinks)
            if message.command is not command:
                command = message.command
                if command.command_field == dimse.CommandField.C_STORE_RQ and stores:
                    status = None
                else:
                    status = self._response_status(command, message_id, command_field, service)
            if status is not None and message.context_id != asked_on:
                raise self.broken(f"a response came on context {message.context_id}, {asked_on} was asked on")
            message.status = status
            before = monotonic()
            yield message
            self.deadline.excuse(monotonic() - before)  # what its taker needs is not the peer's silence
            if status is not None and status.code not in (0xFF00, 0xFF01):
                return

    def _response_status(self, command: dimse.Command, message_id: int, command_field: int, service: str) -> Status:
        """The status of a response to that message; a ProtocolError where it is none (R1.21)."""
        if command.command_field != command_field | dimse.RESPONSE:
            raise self.broken(f"a message of command field 0x{command.command_field:04X} came, no {service} response")
        if command.responded_to != message_id:
            raise self.broken(f"a response to message {command.responded_to} came, {message_id} was asked")
        status = command.status(service)
        if status is None:
            raise self.broken("a response came without a status (0000,0900)")
        return status

    def answer(self, message: Message, status: int) -> None:
        """Answer a request of the peer's (a C-STORE of a C-GET, an N-EVENT-REPORT)."""
        self.handled()
        self._put(message.context_id, dimse.response(message.command, status))

    def broken(self, what: str) -> ProtocolError:
        """A ProtocolError of this association."""
        return ProtocolError(
            what,
            peer=self.node.identity,
            phase=self.wire.phase,
            elapsed=self.deadline.elapsed,
            advice="The peer breaks the protocol; report it to its vendor.",
        )

    # -- the end ---------------------------------------------------------------------------------------------

    def cancel(self, sop_class: str, message_id: int) -> None:
        """Send C-CANCEL; the final response is still to be read. May be called by any thread."""
        with contextlib.suppress(DicomlabError, Cancelled):
            self._put(self.context(sop_class)[0], dimse.cancel(message_id))

    def release(self) -> None:
        """Release the association; an unanswered or clumsy release is no error (the result stands)."""
        deadline = self.deadline.grace(self.node.timeouts.association)
        self.wire.deadline, self.wire.phase = deadline, "release"
        try:
            self.wire.send(RELEASE_RQ)
            while True:
                kind, _ = self.wire.read_pdu()
                if kind == PduType.RELEASE_RQ:  # collision, PS3.8 7.2.2.7: the requestor answers first
                    self.wire.send(RELEASE_RP)
                elif kind != PduType.P_DATA_TF:
                    break
            self.wire.close()
        except (DicomlabError, Cancelled, KeyboardInterrupt) as error:  # the result stands
            if isinstance(error, KeyboardInterrupt):  # and nothing follows it
                self.deadline.cancel()
            self.abort(error)
            return
        self._over = True
        self.tell("association released")

    def abort(self, error: BaseException | None = None) -> None:
        """Send A-ABORT if it can be sent at once, and close. May be called twice and by any thread.

        Parameters
        ----------
        error
            Why, for the hooks.
        """
        over, self._over = self._over, True
        self.wire.deadline = Deadline(0.1, 0.1)
        with contextlib.suppress(DicomlabError, Cancelled):
            self.wire.send(abort_pdu())
        self.wire.shutdown()
        self.wire.close()
        if not over:
            self.tell("association aborted", error)


def _fragments(context_id: int, control: int, data: bytes | memoryview, room: int) -> Iterator[bytes | memoryview]:
    """PDUs of at most `room` bytes of data each; the last is marked (PS3.8 annex E).

    The bytes of large ones follow their header apart, so that they are not copied.
    """
    if len(data) <= min(room, SMALL):
        if data:
            yield p_data(context_id, control | 2, bytes(data))
        return
    view = memoryview(data)
    for at in range(0, len(data), room):
        part = view[at : at + room]
        yield p_data_head(context_id, control | (2 if at + room >= len(data) else 0), len(part))
        yield part


@contextlib.contextmanager
def associate(
    node: Node,
    contexts: Sequence[Context],
    deadline: Deadline,
    *,
    phase: str,
    scp_roles: Sequence[str] = (),
    extended: Mapping[str, bytes] = MappingProxyType({}),
) -> Iterator[Association]:
    """An association for the length of a ``with`` block: released at its end, aborted where it raises.

    What `extended` proposes for a SOP class (R1.10) is agreed as far as `Association.accepted.agreed` says; an option
    that is not falls back for that option only.

    Raises
    ------
    ConnectError, AssociationRejected, NoAcceptedContext, ProtocolError
    """
    wire, facts = opened(node, Proposal(tuple(contexts), tuple(scp_roles), extended), deadline)
    association = Association(wire, node, facts.accepted, deadline, facts)
    try:
        wire.deadline, wire.phase = deadline, phase
        association.tell("association accepted")
        if not facts.accepted.contexts:
            association.release()
            first = facts.proposal.contexts[0].abstract_syntax
            raise refused(node, first, facts.accepted.results.get(first), deadline)
        yield association
        association.handled()
    except ReleaseRequested:
        with contextlib.suppress(DicomlabError, Cancelled):
            association.wire.send(RELEASE_RP)
        association.wire.close()
        lost = ConnectionLost(
            "the peer asked for release in the middle of the operation",
            peer=node.identity,
            phase=wire.phase,
            elapsed=deadline.elapsed,
            advice="Try again; what came is kept.",
        )
        association.abort(lost)
        raise lost from None
    except Released:
        broken = association.broken("the peer confirmed a release that nobody asked for")
        association.abort(broken)
        raise broken from None
    except BaseException as error:
        association.abort(error)
        raise
    association.release()
