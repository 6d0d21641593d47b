"""Modality performed procedure steps (PS3.4 annex F), strictly: each is kept as it was told, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pynetdicom.dimse_primitives import N_CREATE, N_GET, N_SET

from .answering import respond, tags

if TYPE_CHECKING:
    from .request import Call
    from .server import DemoServer

MPPS, RETRIEVE = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"
STATUS = "PerformedProcedureStepStatus"
FINAL = ("COMPLETED", "DISCONTINUED")
#: Type of each attribute in an N-CREATE, by PS3.4 Table F.7.2-1: 1 has a value, 2 may be empty.
CREATION = {
    "ScheduledStepAttributesSequence": 1, "PatientName": 2, "PatientID": 2, "PatientBirthDate": 2, "PatientSex": 2,
    "ReferencedPatientSequence": 2, "PerformedProcedureStepID": 1, "PerformedStationAETitle": 1,
    "PerformedStationName": 2, "PerformedLocation": 2, "PerformedProcedureStepStartDate": 1,
    "PerformedProcedureStepStartTime": 1, STATUS: 1, "PerformedProcedureStepDescription": 2,
    "PerformedProcedureTypeDescription": 2, "ProcedureCodeSequence": 2, "PerformedProcedureStepEndDate": 2,
    "PerformedProcedureStepEndTime": 2, "Modality": 1, "StudyID": 2, "PerformedProtocolCodeSequence": 2,
    "PerformedSeriesSequence": 2, "PerformedProcedureStepDiscontinuationReasonCodeSequence": 2,
}  # fmt: skip
SCHEDULED = {
    "StudyInstanceUID": 1, "ReferencedStudySequence": 2, "AccessionNumber": 2, "RequestedProcedureID": 2,
    "RequestedProcedureDescription": 2, "ScheduledProcedureStepID": 2, "ScheduledProcedureStepDescription": 2,
    "ScheduledProtocolCodeSequence": 2,
}  # fmt: skip
SERIES = {
    "SeriesInstanceUID": 1, "ProtocolName": 1, "PerformingPhysicianName": 2, "OperatorsName": 2,
    "SeriesDescription": 2, "RetrieveAETitle": 2, "ReferencedImageSequence": 2,
    "ReferencedNonImageCompositeSOPInstanceSequence": 2,
}  # fmt: skip
ENDING = {"PerformedProcedureStepEndDate": 1, "PerformedProcedureStepEndTime": 1, "PerformedSeriesSequence": 1}
#: What no N-SET may hold although it was created.
SAID_ONCE = frozenset(
    (
        "ScheduledStepAttributesSequence", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
        "ReferencedPatientSequence", "PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName",
        "PerformedLocation", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "Modality",
        "StudyID", "IssuerOfPatientID",
    )
)  # fmt: skip
NO_SUCH_ATTRIBUTE, INVALID_VALUE, ATTRIBUTE_LIST, FAILURE = 0x0105, 0x0106, 0x0107, 0x0110
DUPLICATE, NO_SUCH_INSTANCE, INVALID_INSTANCE = 0x0111, 0x0112, 0x0117
MISSING, MISSING_VALUE, UNRECOGNISED = 0x0120, 0x0121, 0x0211
NO_LONGER, NO_LONGER_WORDS = 0xA710, "Performed Procedure Step Object may no longer be updated"


class Refused(Exception):
    """A request that is not granted."""

    def __init__(self, status: int, comment: str, keywords: Iterable[str] = (), error_id: int = 0) -> None:
        super().__init__(comment)
        self.status, self.comment, self.keywords, self.error_id = status, comment, tuple(keywords), error_id


def serve(call: Call) -> None:
    """Answer one request of the class; the Retrieve class has a context, and a function, of its own."""
    message = call.message
    try:
        if isinstance(message, N_CREATE):
            ignored = _create(call)
        elif isinstance(message, N_SET):
            ignored = _set(call)
        else:
            raise Refused(UNRECOGNISED, "not of this class")
    except Refused as refused:
        _refuse(call, refused)
        return
    if ignored:
        respond(call, ATTRIBUTE_LIST, comment=_names(ignored), attributes=_tags(ignored))
    else:
        respond(call, 0x0000)


def retrieve(call: Call) -> None:
    """N-GET: the attributes that are asked for, or all."""
    message = call.message
    step = call.server.performed.get(str(getattr(message, "RequestedSOPInstanceUID", "")))
    if not isinstance(message, N_GET):
        respond(call, UNRECOGNISED)
    elif step is None:
        respond(call, NO_SUCH_INSTANCE)
    else:
        wanted = tags(message)
        found = Dataset()
        for element in step:
            if not wanted or int(element.tag) in wanted or element.keyword == "SpecificCharacterSet":
                found.add(element)
        unknown = any(tag not in step for tag in wanted)
        respond(call, 0x0001 if unknown else 0x0000, found)


def _create(call: Call) -> list[str]:
    uid, told = str(call.message.AffectedSOPInstanceUID or ""), call.identifier
    if not uid:
        raise Refused(INVALID_INSTANCE, "the SCU names the instance")
    if uid in call.server.performed:
        raise Refused(DUPLICATE, "there is a step of that UID")
    if told is None:
        raise Refused(MISSING, "no attributes came", CREATION)
    if told.get(STATUS) not in (None, "", "IN PROGRESS"):
        raise Refused(INVALID_VALUE, "a new step is IN PROGRESS", [STATUS])
    _check(told, CREATION)
    for item in told.ScheduledStepAttributesSequence:
        _check(item, SCHEDULED)
    kept, ignored = _without(told, call.server)
    call.server.performed[uid] = kept
    _follow(call.server, kept)
    return ignored


def _set(call: Call) -> list[str]:
    step, told = call.server.performed.get(str(call.message.RequestedSOPInstanceUID)), call.identifier
    if step is None:
        raise Refused(NO_SUCH_INSTANCE, "there is no step of that UID")
    if step[STATUS].value in FINAL:
        raise Refused(FAILURE, NO_LONGER_WORDS, error_id=NO_LONGER)
    if told is None:
        raise Refused(MISSING, "no attributes came")
    names = [element.keyword for element in told if element.keyword != "SpecificCharacterSet"]
    told, ignored = _without(told, call.server)
    unknown = [name for name in names if name not in step and name not in ignored]
    if unknown:
        raise Refused(NO_SUCH_ATTRIBUTE, f"not created: {_names(unknown)}", unknown)
    fixed = sorted(SAID_ONCE.intersection(names))
    if fixed:
        raise Refused(NO_SUCH_ATTRIBUTE, f"not to be set: {_names(fixed)}", fixed)
    if told.get(STATUS, "IN PROGRESS") not in ("IN PROGRESS", *FINAL):
        raise Refused(INVALID_VALUE, "no such status", [STATUS])
    for item in told.get("PerformedSeriesSequence") or ():
        _check(item, SERIES)
    after = deepcopy(step)
    after.update(told)
    if after[STATUS].value in FINAL:
        _check(after, ENDING)
    call.server.performed[str(call.message.RequestedSOPInstanceUID)] = after
    _follow(call.server, after)
    return ignored


def _check(told: Dataset, types: dict[str, int]) -> None:
    absent = [name for name in types if name not in told]
    if absent:
        raise Refused(MISSING, f"missing: {_names(absent)}", absent)
    empty = [name for name, kind in types.items() if kind == 1 and not told[name].value]
    if empty:
        raise Refused(MISSING_VALUE, f"no value: {_names(empty)}", empty)


def _without(told: Dataset, server: DemoServer) -> tuple[Dataset, list[str]]:
    """What is kept of it, and the attributes that these manners do not know."""
    kept = deepcopy(told)
    ignored = sorted(name for name in server.manners.performed_ignores if name in kept)
    for name in ignored:
        del kept[name]
    return kept, ignored


def _follow(server: DemoServer, step: Dataset) -> None:
    """The worklist follows: a step is STARTED, done and off the list, or on it again."""
    status = step[STATUS].value
    for item in step.ScheduledStepAttributesSequence:
        wanted = str(item.StudyInstanceUID), str(item.ScheduledProcedureStepID or "")
        for number, entry in enumerate(list(server.schedule or ())):
            if not any(_name(entry, one) == wanted for one in entry.ScheduledProcedureStepSequence):
                continue
            assert server.schedule is not None
            changed = deepcopy(entry)
            for one in changed.ScheduledProcedureStepSequence:
                if _name(entry, one) == wanted:
                    one.ScheduledProcedureStepStatus = {"IN PROGRESS": "STARTED"}.get(status, "SCHEDULED")
            server.schedule[number] = changed
            if status == "COMPLETED":
                server.schedule.remove(changed)
            break


def _name(entry: Dataset, step: Dataset) -> tuple[str, str]:
    return str(entry.StudyInstanceUID), str(step.ScheduledProcedureStepID)


def _refuse(call: Call, refused: Refused) -> None:
    respond(
        call,
        refused.status,
        comment=refused.comment[:64],
        error_id=refused.error_id,
        attributes=_tags(refused.keywords),
    )


def _names(keywords: Sequence[str]) -> str:
    return ", ".join(keywords)[:64]


def _tags(keywords: Iterable[str]) -> list[int]:
    return [int(tag) for name in keywords if (tag := tag_for_keyword(name)) is not None]
