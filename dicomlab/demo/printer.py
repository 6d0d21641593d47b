"""The printer (PS3.4 annex H): who answers for a request, how the printer and its jobs are, and what they report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import N_ACTION, N_CREATE, N_DELETE, N_EVENT_REPORT, N_GET, N_SET
from pynetdicom.dsutils import encode

from . import films, wire
from .answering import respond, tags
from .films import (
    ANNOTATION,
    CONFIGURATION,
    CONFIGURATION_INSTANCE,
    FILM_BOX,
    IMAGE_BOX,
    JOB,
    LUT,
    NO_ATTRIBUTE,
    NO_CLASS,
    NO_INSTANCE,
    PRINTER,
    PRINTER_INSTANCE,
    SESSION,
    UNRECOGNISED,
    Answer,
    Desk,
    Refused,
    classes_of,
    desk_of,
    instance_asked,
    on_context,
)
from .manners import IMPLICIT

if TYPE_CHECKING:
    from .request import Call
    from .server import DemoServer

NAMES = {
    SESSION: "film session",
    FILM_BOX: "film box",
    **dict.fromkeys(IMAGE_BOX.values(), "image box"),
    ANNOTATION: "annotation box",
    LUT: "presentation LUT",
    JOB: "print job",
    PRINTER: "printer",
    CONFIGURATION: "printer configuration",
}
STATES = {1: "PENDING", 2: "PRINTING", 3: "DONE", 4: "FAILURE"}
def serve(call: Call) -> None:
    """Answer one request about a film."""
    message = call.message
    name = call.sop_class
    kind = type(message).__name__.replace("_", "-")
    step = f"{kind} {NAMES.get(name, 'unknown class')}"
    wanted = call.server.manners.print_statuses.get(step, 0)
    for event, info in call.server.manners.print_events.get(step, ()):
        _tell(call, PRINTER, PRINTER_INSTANCE, event, _printer_event(info))
    try:
        if name not in classes_of(call):
            raise Refused(NO_CLASS, "not on this presentation context")
        if wanted and not 0xB000 <= wanted <= 0xBFFF and wanted not in (0x0001, 0x0107, 0x0116):
            raise Refused(wanted, "as the manners say")
        work = _WORK.get((type(message), name))
        if work is None:
            raise Refused(UNRECOGNISED)
        desk = desk_of(call)
        answer = work(call, desk)
    except Refused as refused:
        respond(call, refused.status, comment=refused.comment)
        return
    respond(call, answer.status or wanted, answer.data, instance=answer.instance)
    if answer.job:
        context = on_context(call, JOB)
        assert context is not None
        threading.Thread(
            target=_report, args=(context, desk, answer.job), name="demo print job", daemon=True
        ).start()


# -- printer, jobs and events ----------------------------------------------------------------------------------------


def _get_printer(call: Call, desk: Desk) -> Answer:
    if instance_asked(call) != PRINTER_INSTANCE:
        raise Refused(NO_INSTANCE)
    return Answer(_attributes(call, call.server.manners.print_printer))


def _attributes(call: Call, known: dict[str, str]) -> Dataset:
    """The attributes that were asked for, all where none is named; one that is not known fails them all."""
    whole = Dataset()
    for name, value in known.items():
        setattr(whole, name, value)
    wanted = tags(call.message)
    found = Dataset()
    for tag in wanted or [int(element.tag) for element in whole]:
        if tag not in whole:
            raise Refused(NO_ATTRIBUTE, f"({tag >> 16:04X},{tag & 0xFFFF:04X})")
        found.add(whole[tag])
    return found


def _get_job(call: Call, desk: Desk) -> Answer:
    if instance_asked(call) not in desk.jobs:
        raise Refused(NO_INSTANCE, "no such print job")
    return Answer(_attributes(call, {"ExecutionStatus": desk.jobs[instance_asked(call)], "PrinterName": "DEMO"}))


def _get_configuration(call: Call, desk: Desk) -> Answer:
    if instance_asked(call) != CONFIGURATION_INSTANCE:
        raise Refused(NO_INSTANCE)
    tray = Dataset()
    tray.MemoryBitDepth, tray.PrintingBitDepth = 12, 12
    tray.FilmSizeID = "14INX17IN"
    found = Dataset()
    found.PrinterConfigurationSequence = [tray]
    return Answer(found)


def _report(call: Call, desk: Desk, job: str) -> None:
    """Tell how the job goes, whenever that is: nobody asks for it."""
    manners = call.server.manners
    for event in manners.print_job:
        time.sleep(manners.print_pace)
        desk.jobs[job] = STATES[event]
        data = Dataset()
        data.ExecutionStatus, data.ExecutionStatusInfo = STATES[event], manners.print_job_info
        if not _tell(call, JOB, job, event, data):
            return


def _tell(call: Call, sop_class: str, instance: str, event: int, data: Dataset | None) -> bool:
    """Send an event on the context of this call; its answer comes among the requests. False where nobody is there."""
    message = N_EVENT_REPORT()
    message.MessageID = 1 + len(call.server.events_sent)
    message.AffectedSOPClassUID, message.AffectedSOPInstanceUID, message.EventTypeID = sop_class, instance, event
    raw = None if data is None else encode(data, call.transfer_syntax == IMPLICIT, True)
    call.server.events_sent.append((sop_class, event))
    try:
        wire.send(call.assoc, message, call.context_id, raw)
    except wire.Gone:
        return False
    return True


def _printer_event(info: str) -> Dataset | None:
    if not info:
        return None
    data = Dataset()
    data.PrinterStatusInfo = info
    return data


_WORK: dict[tuple[type, str], Callable[[Call, Desk], Answer]] = {
    (N_CREATE, SESSION): films.create_session,
    (N_SET, SESSION): films.set_session,
    (N_ACTION, SESSION): films.print_session,
    (N_DELETE, SESSION): films.delete_session,
    (N_CREATE, FILM_BOX): films.create_box,
    (N_SET, FILM_BOX): films.set_box,
    (N_ACTION, FILM_BOX): films.print_box,
    (N_DELETE, FILM_BOX): films.delete_box,
    **{(N_SET, uid): films.set_image for uid in IMAGE_BOX.values()},
    (N_SET, ANNOTATION): films.set_annotation,
    (N_CREATE, LUT): films.create_lut,
    (N_DELETE, LUT): films.delete_lut,
    (N_GET, PRINTER): _get_printer,
    (N_GET, JOB): _get_job,
    (N_GET, CONFIGURATION): _get_configuration,
}


def answered(server: DemoServer, message: N_EVENT_REPORT) -> None:
    """An event of ours was answered."""
    server.event_answers.append(int(message.Status) if message.Status is not None else -1)
