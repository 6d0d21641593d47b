"""What a printer is and how it is doing: its classes, its status, and the events it reports (PS3.4 annex H)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...datasets.elements import Elements, parse, tag_of
from ...datasets.uids import EXPLICIT, IMPLICIT
from ...errors import BadData, InvalidRequest, NoAcceptedContext, StatusError
from ...facts import Facts
from ...remarks import remark
from ..association.association import Association, associate
from ..association.contexts import Context
from ..association.deadline import Deadline
from ..association.incoming import Message
from ..association.negotiation import RESULTS
from ..association.node import Node
from ..association.normalized import Normalized

if TYPE_CHECKING:
    import pandas as pd

_ROOT = "1.2.840.10008.5.1.1."
GRAYSCALE_META, COLOR_META = _ROOT + "9", _ROOT + "18"
SESSION, FILM_BOX, GRAYSCALE_BOX, COLOR_BOX = (_ROOT + end for end in ("1", "2", "4", "4.1"))
JOB, ANNOTATION, LUT, OVERLAY = (_ROOT + end for end in ("14", "15", "23", "24.1"))
PRINTER, PRINTER_INSTANCE = _ROOT + "16", _ROOT + "17"
CONFIGURATION, CONFIGURATION_INSTANCE = _ROOT + "16.376", _ROOT + "17.376"

METAS = {"grayscale": GRAYSCALE_META, "colour": COLOR_META}
#: Classes that a printer may have beside a meta class (R9.8).
OPTIONAL = {
    "annotation": ANNOTATION,
    "presentation LUT": LUT,
    "print job": JOB,
    "printer configuration": CONFIGURATION,
    "image overlay": OVERLAY,
}
PROPOSED = tuple(Context(uid, (EXPLICIT, IMPLICIT)) for uid in (*METAS.values(), *OPTIONAL.values()))
#: Event Type IDs and their names (R9.6).
EVENTS = {
    PRINTER: {1: "NORMAL", 2: "WARNING", 3: "FAILURE"},
    JOB: {1: "PENDING", 2: "PRINTING", 3: "DONE", 4: "FAILURE"},
}
NO_SUCH_EVENT, PROCESSING_FAILURE = 0x0113, 0x0110
#: What is asked of a printer first; anything else one by one (R9.5).
STATUS = ("PrinterStatus", "PrinterStatusInfo")
ABOUT = ("PrinterName", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")


@dataclass(frozen=True)
class Event:
    """An N-EVENT-REPORT as it came."""

    source: str  # "printer" or "print job"
    event: str  # NORMAL, WARNING, FAILURE, or PENDING, PRINTING, DONE, FAILURE
    info: str  # PrinterStatusInfo or ExecutionStatusInfo, "" where there is none
    instance: str  # SOP Instance UID of the job; that of the printer
    elapsed: float  # seconds since the call began


@dataclass
class Reports:
    """Takes the events of a printer and of print jobs, and answers them."""

    tell: Callable[[Event], object] | None = None
    events: list[Event] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def take(self, association: Association, message: Message) -> int:
        """The status of an N-EVENT-REPORT."""
        command = message.command
        words = EVENTS.get(command.sop_class, {}).get(command.number(0x1002) or 0)
        if words is None:
            return NO_SUCH_EVENT
        _, syntax = association.accepted.contexts[message.context_id]
        try:
            said = parse(bytes(message.data or b""), implicit=syntax == IMPLICIT)
            name = "PrinterStatusInfo" if command.sop_class == PRINTER else "ExecutionStatusInfo"
            info = _text(said, name)
        except BadData as error:
            self.remarks.append(f"what an event says cannot be read ({error.message})")
            info = ""
        source = "printer" if command.sop_class == PRINTER else "print job"
        event = Event(source, words, info, command.sop_instance, round(association.deadline.elapsed, 3))
        self.events.append(event)
        if words in ("WARNING", "FAILURE"):
            self.remarks.append(f"the {source} says {words}{f': {info}' if info else ''}")
        if self.tell is not None:
            self.tell(event)
        return 0x0000

    def wait(self, association: Association, seconds: float, done: Callable[[], bool]) -> bool:
        """Take events for so long, or until `done`; whether it is."""
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            association.deadline.progressed()  # to wait is no silence of the peer's
            if association.wire.arrives(min(0.25, max(0.01, until - time.monotonic()))):
                message = association.read()
                if message.command.command_field != 0x0100:
                    raise association.broken("a message that is no event came while nothing was asked")
                association.answer(message, self.take(association, message))
        return done()

    def state(self, job: str) -> str:
        """What was said last of a print job; "" where nothing was."""
        return next((one.event for one in reversed(self.events) if one.instance == job), "")

    def table(self) -> pd.DataFrame:
        """One row an event, in the order in which they came."""
        import pandas as pd

        frame = pd.DataFrame(
            [(one.source, one.event, one.info, one.instance, one.elapsed) for one in self.events],
            columns=["source", "event", "info", "instance", "elapsed"],
        )
        return frame.astype(dict.fromkeys(("source", "event", "info", "instance"), "string") | {"elapsed": "float64"})


@dataclass(frozen=True, repr=False)
class Printer(Facts):
    """A printer as it described itself.

    Attributes
    ----------
    peer
        Its address.
    status, info
        PrinterStatus ("NORMAL", "WARNING" or "FAILURE") and PrinterStatusInfo.
    attributes
        What else it was asked for and has, by keyword.
    classes
        "grayscale", "colour", "annotation", "presentation LUT", "print job", "printer configuration" and
        "image overlay": whether it takes them.
    configuration
        What it can do, where it was asked: a data set for each of its queues or trays.
    unknown
        Attributes that it was asked for and does not know, with what it answered.
    """

    peer: str
    status: str
    info: str
    attributes: dict[str, Any]
    classes: dict[str, bool]
    configuration: tuple[Any, ...] = ()
    unknown: dict[str, str] = field(default_factory=dict)

    def facts(self) -> Iterable[tuple[str, str]]:
        """Status, and what it takes."""
        yield "printer", f"{self.peer}: {self.status or 'no status'}{f', {self.info}' if self.info else ''}"
        yield "takes", ", ".join(name for name, taken in self.classes.items() if taken)
        yield "takes no", ", ".join(name for name, taken in self.classes.items() if not taken)
        for name, value in self.attributes.items():
            yield name, str(value)
        yield "configuration", f"{len(self.configuration)} data sets" if self.configuration else ""
        yield "does not know", ", ".join(self.unknown)


def taken(association: Association) -> dict[str, bool]:
    """Which classes of printing were accepted, by name."""
    there = {name for name, _ in association.accepted.contexts.values()}
    return {name: uid in there for name, uid in {**METAS, **OPTIONAL}.items()}


def meta_of(association: Association, colour: bool | None) -> str:
    """The meta class to print with (R9.2); None takes what there is.

    Raises
    ------
    NoAcceptedContext
        It was refused; the message says which the printer takes.
    """
    found = taken(association)
    wanted = "colour" if colour else "grayscale"
    if colour is None and not found["grayscale"]:
        wanted = "colour"
    if found[wanted]:
        return METAS[wanted]
    other = "grayscale" if wanted == "colour" else "colour"
    result = association.accepted.results.get(METAS[wanted])
    why = RESULTS.get(result, f"result {result}") if result is not None else "it was not answered"
    advice = "This service is not supported by this peer, or not allowed for your AE title."
    if found[other]:
        advice = (
            "Say colour=False: colour images are then made grey."
            if wanted == "colour"
            else "Say colour=True: grey images are then sent as RGB."
        )
    raise NoAcceptedContext(
        f"the printer takes no {wanted} prints ({why})" + (f", it takes {other} ones" if found[other] else ""),
        abstract_syntax=METAS[wanted],
        result=result,
        peer=association.node.identity,
        phase="association",
        elapsed=association.deadline.elapsed,
        advice=advice,
    )


def ask(association: Association, meta: str, reports: Reports, keywords: Sequence[str] = ()) -> Printer:
    """N-GET of a printer: its status, then each further attribute alone (R9.5)."""
    request = Normalized(association, "PRINT", context=meta, on_event=reports.take)

    def get(*names: str) -> Elements:
        association.deadline.progressed()
        reply = request.get(PRINTER, PRINTER_INSTANCE, [tag_of(name) for name in names])
        if reply.status.code:
            reports.remarks.append(f"N-GET of the printer: {reply.status}")
        return reply.data or Elements({}, False)

    said, found, unknown = get(*STATUS), dict[str, Any](), dict[str, str]()
    for name in keywords:
        try:
            value = get(name).get(name)
        except StatusError as error:
            unknown[name] = str(error.status)
            continue
        found[name] = value
    return Printer(
        association.node.identity,
        _text(said, "PrinterStatus"),
        _text(said, "PrinterStatusInfo"),
        {name: value for name, value in found.items() if value not in (None, "")},
        taken(association),
        unknown=unknown,
    )


def examine(node: Node, deadline: Deadline, *, keywords: Sequence[str], configuration: bool) -> Printer:
    """What a printer is and how it is doing; see `Peer.printer`."""
    wanted = tuple(dict.fromkeys((*ABOUT, *keywords)))
    for name in wanted:
        try:
            tag_of(name)
        except KeyError:
            raise InvalidRequest(f"{name!r} is no attribute", advice="Give keywords of PS3.6.") from None
    reports = Reports()
    with associate(node, PROPOSED, deadline, phase="N-GET") as association:
        found = ask(association, meta_of(association, None), reports, wanted)
        if configuration:
            request = Normalized(association, "PRINT", on_event=reports.take)
            sequence = tag_of("PrinterConfigurationSequence")
            reply = request.get(CONFIGURATION, CONFIGURATION_INSTANCE, [sequence])
            items = reply.data.items(sequence) if reply.data is not None and sequence in reply.data.raw else []
            found = Printer(
                found.peer,
                found.status,
                found.info,
                found.attributes,
                found.classes,
                tuple(item.dataset() for item in items),
                found.unknown,
            )
    if reports.remarks:
        remark(f"{node.identity}: {'; '.join(reports.remarks)}", stacklevel=3)
    return found


def _text(said: Elements, keyword: str) -> str:
    try:
        return said.text(keyword)
    except BadData:
        return ""
