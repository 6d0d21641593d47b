"""A peer of DIMSE-N services that does one thing wrong, and what a call is to make of it (PS3.7 section 10, R16.12).

A test of a service says what it calls, and which message goes wrong; what is due is in `FAULTS`::

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_step_survives_what_a_peer_does_wrong(fault):
        meet(fault, lambda peer: peer.perform(step), sop_classes=[MPPS], allow="perform", at="N-SET")
"""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid

import dicomlab as dl
from benchmarks.canned import EXPLICIT, NO_DATA, Association, Context, Server, fragment, message, pdu, short, word
from dicomlab import errors

TIMEOUT = 1.5  # seconds without progress that the call has
LEEWAY = 4.0  # seconds beside it, on a busy machine
VERIFICATION = "1.2.840.10008.1.1"
COMMENT = "the disk is full"
NAMES = {0x0100: "N-EVENT-REPORT", 0x0110: "N-GET", 0x0120: "N-SET", 0x0130: "N-ACTION", 0x0140: "N-CREATE",
         0x0150: "N-DELETE"}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What goes wrong at one request, and what its call is to raise; None: nothing, the operation goes on."""

    error: type[errors.DicomlabError] | None
    words: tuple[str, ...] = ()  # in the message


#: What the peer does instead of a proper answer, or beside it.
FAULTS: dict[str, Fault] = {
    "none": Fault(None),
    # nothing comes
    "silent": Fault(errors.DimseTimeout, ("nothing moved",)),
    "half": Fault(errors.DimseTimeout, ("nothing moved",)),
    "abort": Fault(errors.AssociationAborted, ("aborted", "reason")),
    "reset": Fault(errors.ConnectionLost, ("lost",)),
    "close": Fault(errors.ConnectionLost, ("closed",)),
    "release": Fault(errors.ConnectionLost, ("release",)),
    # something else comes
    "wrong message id": Fault(errors.ProtocolError, ("4242",)),
    "wrong command": Fault(errors.ProtocolError, ("command field",)),
    "wrong context": Fault(errors.ProtocolError, ("context 253",)),
    "other instance": Fault(errors.ProtocolError, ("1.2.3.4242",)),
    "no status": Fault(errors.ProtocolError, ("status",)),
    "no command": Fault(errors.ProtocolError, ()),
    "truncated": Fault(errors.ProtocolError, ("attribute list", "cannot be read")),
    "no list": Fault(None),  # where one was to come: what becomes of it is the service's, `meet(on={...})` says
    # a status
    "failure": Fault(errors.StatusError, (COMMENT,)),
    "unknown status": Fault(errors.StatusError, ("0x1234",)),
    "pending": Fault(errors.StatusError, ("0xFF00",)),
    "warning": Fault(None),
    # events
    "event": Fault(None),  # answered before the response comes
    "events at once": Fault(None),  # with the response, in one segment
    "late event": Fault(None),  # behind the response, before the next request or the release
    "events without end": Fault(errors.ProtocolError, ("N-EVENT-REPORT",)),
}


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    name: str  # "N-CREATE", ...
    sop_class: str
    sop_instance: str  # "" where it names none
    data: Dataset | None
    action: int | None = None
    attributes: tuple[int, ...] = ()  # tags that an N-GET asks for
    message_id: int = 0


@dataclass(frozen=True)
class Answer:
    """What a peer in good order answers."""

    data: Dataset | None = None
    sop_instance: str = ""  # of an N-CREATE that named none
    status: int = 0x0000
    events: Sequence[tuple[int, Dataset | None]] = ()  # Event Type ID and Event Information, sent before the answer


def honest(asked: Asked) -> Answer:
    """Success, with a UID for what is created without one."""
    return Answer(sop_instance=asked.sop_instance or str(generate_uid(prefix=None)))


@dataclass
class Outcome:
    """What a call came to."""

    result: Any = None
    error: BaseException | None = None
    warned: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Scripted(Server):
    """A peer on the loopback address that is in good order, but for one message.

    Parameters
    ----------
    sop_classes
        Abstract syntaxes that it accepts, beside Verification; with a Meta SOP Class, that one.
    fault
        A name in `FAULTS`.
    at
        The request at which it happens, once: its number over all associations, from 1 on, or the name of a message,
        such as "N-SET", for the first of them.
    answer
        What is answered to a request otherwise.
    failure, warning
        The statuses of those faults.
    event
        SOP class, instance and Event Type ID of the N-EVENT-REPORTs; default those of the request, and 1.
    event_data
        Their Event Information.
    """

    def __init__(
        self,
        sop_classes: Sequence[str],
        fault: str = "none",
        *,
        at: int | str = 1,
        answer: Callable[[Asked], Answer] = honest,
        failure: int = 0x0110,
        warning: int = 0x0001,
        event: tuple[str, str, int] | None = None,
        event_data: Dataset | None = None,
    ) -> None:
        super().__init__()
        assert fault in FAULTS, fault
        self.RequestHandlerClass = _Scripted
        self.sop_classes = {*sop_classes, VERIFICATION}
        self.fault, self.at, self.answer = fault, at, answer
        self.failure, self.warning = failure, warning
        self.event, self.event_data = event, event_data
        #: Every DIMSE-N request that came, in order.
        self.transcript: list[Asked] = []
        #: The status that each N-EVENT-REPORT was answered with.
        self.event_statuses: list[int] = []
        #: How each association ended: "released", "aborted" or "closed".
        self.ended: list[str] = []
        self.opened = 0  # associations
        self.happened = threading.Event()  # the fault

    def __enter__(self) -> Scripted:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"SCRIPTED@127.0.0.1:{self.server_address[1]}"

    def peer(self, **settings: Any) -> dl.Peer:
        """A peer to ask it with, whose patience is short."""
        return dl.connect(self.address, **{"timeout": TIMEOUT, **settings})

    def names(self) -> list[str]:
        """The names of the requests that came."""
        return [one.name for one in self.transcript]

    def due(self, asked: Asked) -> bool:
        """Whether the fault happens at that request, the last of the transcript."""
        if self.happened.is_set():
            return False
        now = asked.name == self.at if isinstance(self.at, str) else len(self.transcript) == self.at
        if now:
            self.happened.set()
        return now

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no trouble."""


class _Scripted(Association):
    server: Scripted

    def handle(self) -> None:
        self.last, self.server.opened = 0, self.server.opened + 1
        try:
            self.negotiate(self.pdu()[1])
            for number, command, raw in self.messages():
                if short(command[0x0100]) == 0x0030:
                    self.echo(self.contexts[number], command, raw)
                else:
                    self._serve(self.contexts[number], command, raw)
        except (OSError, ValueError):  # it is reset
            self.last = 0
        self.server.ended.append({5: "released", 7: "aborted"}.get(self.last, "closed"))

    def accepts(self, abstract: bytes) -> bool:
        return abstract.rstrip(b"\0").decode() in self.server.sop_classes

    def pdu(self) -> tuple[int, bytes]:
        kind, body = super().pdu()
        self.last = kind or self.last
        return kind, body

    def _serve(self, context: Context, command: dict[int, bytes], raw: bytes) -> None:
        server, asked = self.server, _asked(context, command, raw)
        if asked is None:
            server.event_statuses.append(short(command[0x0900]))
            return
        server.transcript.append(asked)
        fault = server.fault if server.due(asked) else "none"
        if fault in ("silent", "half"):
            if fault == "half":
                self.request.sendall(self._response(context, command, asked, Answer())[:-6])
            return  # whoever waits goes away in the end, which `messages` sees
        if fault in ("abort", "reset", "close", "release"):
            self._end(fault)
            return
        if fault in ("event", "events at once", "events without end"):
            self._events(fault, context, asked)
        answer = server.answer(asked)
        for event, information in answer.events:
            self.request.sendall(self._event(context, asked, event, information))
        self.request.sendall(self._response(context, command, asked, answer, fault))
        if fault == "late event":
            self.request.sendall(self._event(context, asked))

    def _end(self, fault: str) -> None:
        if fault == "release":
            self.request.sendall(pdu(5, bytes(4)))
        elif fault == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.request.close()
        else:
            if fault == "abort":
                self.request.sendall(pdu(7, bytes(4)))
            self.request.shutdown(socket.SHUT_WR)

    def _events(self, fault: str, context: Context, asked: Asked) -> None:
        event, statuses = self._event(context, asked), self.server.event_statuses
        if fault == "events at once":
            self.request.sendall(event * 3)
            return
        while True:
            self.request.sendall(event)
            for _, command, _ in self.messages():
                statuses.append(short(command[0x0900]))
                break
            else:
                return
            if fault == "event":
                return

    def _event(
        self, context: Context, asked: Asked, kind: int | None = None, information: Dataset | None = None
    ) -> bytes:
        sop_class, instance, event = self.server.event or (asked.sop_class, asked.sop_instance or "1.2.3", 1)
        data = information if kind is not None else self.server.event_data
        head = {
            0x0002: _uid(sop_class),
            0x0100: word(0x0100),
            0x0110: word(77),
            0x0800: word(NO_DATA if data is None else 1),
            0x1000: _uid(instance),
            0x1002: word(event if kind is None else kind),
        }
        return message(context, head) + (b"" if data is None else fragment(context, encoded(data, context)))

    def _response(
        self, context: Context, command: dict[int, bytes], asked: Asked, answer: Answer, fault: str = "none"
    ) -> bytes:
        data = None if fault == "no list" else answer.data
        raw = None if data is None else encoded(data, context)
        statuses = {"failure": self.server.failure, "warning": self.server.warning, "unknown status": 0x1234,
                    "pending": 0xFF00}  # fmt: skip
        status = statuses.get(fault, answer.status)
        if fault == "truncated":
            raw = (raw or encoded(_some(), context))[:-1]
        if fault in ("failure", "unknown status", "pending"):
            raw = None
        said = {
            0x0002: _uid(asked.sop_class),
            0x0100: word(short(command[0x0100]) | 0x8000),
            0x0120: command[0x0110],
            0x0800: word(NO_DATA if raw is None else 1),
            0x0900: word(status),
            0x1000: _uid(asked.sop_instance or answer.sop_instance),
        }
        if asked.action is not None:
            said[0x1008] = word(asked.action)
        if fault == "failure":
            said[0x0902] = COMMENT.encode()
        if fault == "wrong message id":
            said[0x0120] = word(4242)
        elif fault == "wrong command":
            said[0x0100] = word(0x8020)  # C-FIND-RSP
        elif fault == "no command":
            del said[0x0100]
        elif fault == "no status":
            del said[0x0900]
        elif fault == "other instance":
            said[0x1000] = _uid("1.2.3.4242")
        where = context._replace(number=253) if fault == "wrong context" else context
        return message(where, said) + (b"" if raw is None else fragment(where, raw))


def meet(
    fault: str,
    call: Callable[[dl.Peer], Any],
    *,
    sop_classes: Sequence[str],
    allow: str | Sequence[str],
    settings: dict[str, Any] | None = None,
    **script: Any,
) -> tuple[Outcome, Scripted]:
    """Make a call of a peer with that fault, and see that it ends as `FAULTS` says: in time, in words, leaving nothing.

    Parameters
    ----------
    call
        What is done with the peer; its result is in the outcome.
    settings
        Of `connect`.
    **script
        Of `Scripted`: ``at``, ``answer``, ...
    """
    due, outcome = FAULTS[fault], Outcome()
    with Scripted(sop_classes, fault, **script) as scp, scp.peer(allow=allow, **(settings or {})) as peer:
        began = time.monotonic()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                outcome.result = call(peer)
            except errors.DicomlabError as error:
                outcome.error = error
        outcome.seconds = time.monotonic() - began
        outcome.warned = [str(one.message) for one in caught]
        assert scp.happened.is_set() or fault == "none", f"{scp.at} did not come: {scp.names()}"
        assert outcome.seconds < TIMEOUT + LEEWAY, outcome  # R1.4
        if due.error is None:
            assert outcome.error is None, repr(outcome.error)
        else:
            assert type(outcome.error) is due.error, outcome
            text = str(outcome.error)
            for words in (scp.address, *due.words):  # R0.4
                assert words in text, text
            assert outcome.error.phase and outcome.error.elapsed is not None, text
        if fault == "failure":
            assert outcome.error is not None and outcome.error.status is not None  # type: ignore[attr-defined]
            assert outcome.error.status.code == scp.failure  # type: ignore[attr-defined]
        _has_ended(scp)
    strangers = [one for one in caught if not issubclass(one.category, errors.ResultWarning)]
    assert not strangers, [str(one.message) for one in strangers]
    return outcome, scp


def _has_ended(scp: Scripted) -> None:
    """No association stands once the call is back."""
    end = time.monotonic() + LEEWAY
    while len(scp.ended) < scp.opened and time.monotonic() < end:
        time.sleep(0.01)
    assert len(scp.ended) == scp.opened, "an association is left open"


def encoded(data: Dataset, context: Context) -> bytes:
    """A data set in the transfer syntax of its context."""
    out = io.BytesIO()
    data.save_as(out, implicit_vr=context.syntax.rstrip(b"\0") != EXPLICIT, little_endian=True)
    return out.getvalue()


def _asked(context: Context, command: dict[int, bytes], raw: bytes) -> Asked | None:
    """The request in those bytes; None for the answer to an event."""
    name = NAMES.get(short(command[0x0100]))
    if name is None:
        return None
    tags = struct.iter_unpack("<HH", command.get(0x1005, b""))
    return Asked(
        name,
        _text(command.get(0x0003) or command.get(0x0002, b"")),
        _text(command.get(0x1001) or command.get(0x1000, b"")),
        decoded(raw, context) if raw else None,
        short(command[0x1008]) if 0x1008 in command else None,
        tuple(group << 16 | element for group, element in tags),
        short(command[0x0110]),
    )


def decoded(raw: bytes, context: Context) -> Dataset:
    """The data set in those bytes, every element read."""
    from pydicom.filereader import read_dataset

    found = read_dataset(io.BytesIO(raw), context.syntax.rstrip(b"\0") != EXPLICIT, True)
    list(found.iterall())
    return found


def _some() -> Dataset:
    made = Dataset()
    made.PatientID, made.PatientName = "SCRIPTED-1", "Scripted^Answer"
    return made


def _uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) & 1)


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")
