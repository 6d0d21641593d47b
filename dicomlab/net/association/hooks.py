"""Functions of the user's that see what goes over an association, and may change or cancel it (R1.14)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ...errors import InvalidRequest, did_you_mean
from .dimse import MESSAGES, Command
from .messages import command_set, dataset, encoded, encoded_command

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .deadline import Deadline
    from .negotiated import Negotiated
    from .negotiation import Proposal
    from .node import Node
    from .sealed import Link

_STATES = ("requested", "accepted", "rejected", "failed", "released", "aborted")
ASSOCIATION = tuple(f"association {state}" for state in _STATES)
EVENTS = (
    *ASSOCIATION,
    "TLS ready",
    *(f"{when} {name}" for name in ("message", *MESSAGES.values()) for when in ("before", "after")),
)


class _Event:
    """What every hook is told."""

    def __init__(self, node: Node, deadline: Deadline, association: int = 0) -> None:
        self.event = ""  # its name, as it was given to `Hooks.add`
        self.peer = node.identity  # "AET@host:port"
        self.calling = node.calling  # our AE title
        self.association = association  # its number in this process; 0 where none stands yet
        self._deadline = deadline

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._deadline.elapsed

    def cancel(self, reason: str) -> NoReturn:
        """End the call here: the association is aborted, and its caller gets InvalidRequest with that reason."""
        raise InvalidRequest(
            f"cancelled by a hook: {reason}",
            peer=self.peer,
            phase=self.event,
            elapsed=self.elapsed,
            advice="peer.hooks shows the hooks there are.",
        )


class AssociationEvent(_Event):
    """An association was requested, or accepted, rejected, not opened, released or aborted; or TLS is ready for it."""

    def __init__(
        self,
        node: Node,
        deadline: Deadline,
        proposal: Proposal | None = None,
        negotiated: Negotiated | None = None,
        error: BaseException | None = None,
        tls: Link | None = None,
        association: int = 0,
    ) -> None:
        super().__init__(node, deadline, association)
        self.called = node.ae_title
        #: What is asked for; "association requested" may put another Proposal here.
        self.proposal = proposal
        #: What was agreed; None until it is accepted.
        self.negotiated = negotiated
        #: What protects the connection; for "TLS ready".
        self.tls = tls
        #: Why it was rejected, could not be opened, or was aborted.
        self.error = error

    def __repr__(self) -> str:
        why = f": {self.error}" if self.error is not None else ""
        return f"<{self.event}, {self.peer}{why}>"


class MessageEvent(_Event):
    """A DIMSE message on its way; one object before and after."""

    def __init__(
        self,
        node: Node,
        deadline: Deadline,
        context: tuple[int, str, str],
        command: Command,
        data: bytes | memoryview | None,
        direction: str,
        association: int = 0,
    ) -> None:
        super().__init__(node, deadline, association)
        #: "C-FIND-RQ", "C-FIND-RSP", ...
        self.name = MESSAGES.get(command.command_field, f"0x{command.command_field:04X}")
        #: "sent" or "received".
        self.direction = direction
        #: Presentation context: its id, SOP class and transfer syntax.
        self.context_id, self.abstract_syntax, self.transfer_syntax = context
        #: The command set by element number.
        self.command = command
        #: The data set as it is on the wire; copy it by ``bytes(event.data)`` to keep it.
        self.data = data
        self._dataset: Dataset | None = None

    @property
    def message_id(self) -> int:
        """The id of the message, or of the one that it answers or cancels."""
        answered = self.command.responded_to
        return self.command.message_id if answered is None else answered

    def command_set(self) -> Dataset:
        """The command set as a pydicom Dataset; `change` sends another."""
        return command_set(self.command)

    def dataset(self) -> Dataset | None:
        """The data set as a pydicom Dataset, decoded when first asked for; None where there is none.

        Raises
        ------
        BadData
            It cannot be read.
        """
        if self._dataset is None and self.data is not None:
            self._dataset = dataset(self.data, self.transfer_syntax)
        return self._dataset

    def change(
        self,
        *,
        command_set: Dataset | None = None,
        dataset: Dataset | None = None,
        data: bytes | None = None,
    ) -> None:
        """Have something else sent, or taken for what was received; for "before" only.

        Parameters
        ----------
        command_set
            With elements of group 0000.
        dataset
            Encoded in the transfer syntax of the context.
        data
            The same as bytes.

        Raises
        ------
        InvalidRequest
            It is too late, the message has no data set, or it cannot be encoded.
        """
        if not self.event.startswith("before "):
            raise InvalidRequest(
                f"{self.name} was {self.direction} already", advice=f'Change it in a hook "before {self.name}".'
            )
        if command_set is not None:
            self.command = encoded_command(command_set)
        if dataset is not None:
            data = encoded(dataset, self.transfer_syntax)
        if data is not None and self.data is None:
            raise InvalidRequest(f"{self.name} carries no data set", advice="Change its command set only.")
        if data is not None:
            self.data, self._dataset = data, None

    def __repr__(self) -> str:
        size = f", {len(self.data):,} bytes" if self.data is not None else ""
        return f"<{self.event}: {self.name} {self.message_id} {self.direction}, {self.peer}{size}>"


Hook = Callable[[Any], object]


class Hooks:
    """What a peer calls as things happen: functions by the name of an event.

    ``"before ..."`` is called before a message is sent, or after it was received and before it is dealt with; it may
    `MessageEvent.change` it. ``"after ..."`` is called when it was sent, or has been dealt with. Both may `cancel` the
    call. ``...`` is a message by the name of PS3.7, "C-FIND-RQ", "C-STORE-RSP", or "message" for all of them. Events
    of an association are "association requested", "accepted", "rejected", "failed" (it could not be opened),
    "released" and "aborted"; "TLS ready" comes before "accepted" where there is TLS.

    Functions are called in the order in which they were added, in the thread that sends or receives: of a C-MOVE to
    ourselves not the caller's. An exception of one aborts the association and is raised to the caller of the service.
    Calls that begin later see what is added here; those that run do not.

    Examples
    --------
    >>> import dicomlab as dl
    >>> def urgent(event):
    ...     command = event.command_set()
    ...     command.Priority = 1
    ...     event.change(command_set=command)
    ...     print(event.name, event.message_id)
    >>> with dl.demo_pacs() as pacs:
    ...     pacs.hooks.add("before C-FIND-RQ", urgent)
    ...     len(pacs.find("STUDY", PatientID="nobody"))
    C-FIND-RQ 1
    0
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._functions: dict[str, tuple[Hook, ...]] = {}

    def add(self, event: str, function: Hook) -> None:
        """Have a function called with an AssociationEvent or MessageEvent at each such event.

        Raises
        ------
        InvalidRequest
            There is no such event.
        """
        _check(event)
        if not callable(function):
            raise InvalidRequest(f"{function!r} cannot be called", advice="Give a function of one event.")
        with self._lock:
            self._functions = {**self._functions, event: (*self._functions.get(event, ()), function)}

    def remove(self, event: str, function: Hook) -> None:
        """Forget a function, as often as it was added; one that is not there is no error."""
        _check(event)
        with self._lock:
            left = tuple(item for item in self._functions.get(event, ()) if item != function)
            self._functions = {**self._functions, event: left}

    def copy(self) -> Hooks:
        """Hooks with the same functions, to which others can be added."""
        made = Hooks()
        made._functions = self._functions
        return made

    def __len__(self) -> int:
        return sum(map(len, self._functions.values()))

    def __repr__(self) -> str:
        lines = [
            f"{event}: {getattr(function, '__qualname__', function)}"
            for event, functions in self._functions.items()
            for function in functions
        ]
        return "\n".join(lines) or "no hooks"

    def of_call(self, deadline: Deadline) -> CallHooks | None:
        """The hooks for a call that begins; None where there are none, so that they cost nothing."""
        return CallHooks(self._functions, deadline) if len(self) else None


def _check(event: str) -> None:
    if event not in EVENTS:
        near = did_you_mean(str(event), EVENTS)
        raise InvalidRequest(
            f"there is no event {event!r}{near}",
            advice=f'Events are {", ".join(ASSOCIATION)}, TLS ready; and "before" or "after" with "message" or one of '
            f"{', '.join(MESSAGES.values())}.",
        )


class CallHooks:
    """The hooks of one call, as they were when it began; keeps the first exception of one for its caller."""

    def __init__(self, functions: dict[str, tuple[Hook, ...]], deadline: Deadline) -> None:
        self._functions, self._deadline = functions, deadline
        self.error: Exception | None = None

    def run(self, event: _Event, *names: str) -> None:
        """Call the functions of those names; what one raises stops the call in every thread."""
        for name in names:
            event.event = name
            for function in self._functions.get(name, ()):
                try:
                    function(event)
                except Exception as error:
                    if self.error is None:
                        self.error = error
                    self._deadline.cancel()
                    raise

    def before(self, event: MessageEvent) -> None:
        """Call what is to see a message before it is sent, or dealt with."""
        self.run(event, "before message", f"before {event.name}")

    def after(self, event: MessageEvent) -> None:
        """Call what is to see a message when it was sent, or has been dealt with."""
        self.run(event, f"after {event.name}", "after message")
