"""Media creation (PS3.4 annex S): requests for media, and how far each has come; nothing is written anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.dimse_primitives import N_ACTION, N_CREATE, N_GET

from .answering import respond

if TYPE_CHECKING:
    from .request import Call
    from .server import DemoServer

MEDIA = "1.2.840.10008.5.1.1.33"
YES_NO = (
    "LabelUsingInformationExtractedFromInstances", "AllowMediaSplitting", "IncludeDisplayApplication",
    "PreserveCompositeInstancesAfterMediaCreation", "AllowLossyCompression",
)  # fmt: skip
LETTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
OPTIONAL_NOT_KNOWN = 0x0001
WRONG_VALUE, DUPLICATE, NO_SUCH_INSTANCE, WRONG_ARGUMENT = 0x0106, 0x0111, 0x0112, 0x0115
NO_SUCH_CLASS, MISSING, MISSING_VALUE, NO_SUCH_ACTION, NO_SUCH_OPERATION = 0x0118, 0x0120, 0x0121, 0x0123, 0x0211
INITIATED, COMPLETED, UNDER_WAY = 0xA510, 0xC201, 0xC202
KNOWN = {  # what an N-GET can give
    0x21000020: "ExecutionStatus",
    0x21000030: "ExecutionStatusInfo",
    0x2200000B: "TotalNumberOfPiecesOfMediaCreated",
    0x00081198: "FailedSOPSequence",
    0x2200000D: "ReferencedStorageMediaSequence",
}


@dataclass
class Job:
    """One request."""

    asked: Dataset
    copies: int = 0
    left: list[str] = field(default_factory=lambda: ["IDLE"])  # the state now, and those to come

    @property
    def state(self) -> str:
        return self.left[0]


def serve(call: Call) -> None:
    """Hand the request to what deals with it."""
    message = call.message
    if call.sop_class != MEDIA:
        respond(call, NO_SUCH_CLASS)
    elif isinstance(message, N_CREATE):
        _create(call)
    elif isinstance(message, N_ACTION):
        _action(call)
    elif isinstance(message, N_GET):
        _get(call)
    else:
        respond(call, NO_SUCH_OPERATION)


def _create(call: Call) -> None:
    uid = str(call.message.AffectedSOPInstanceUID or "") or str(generate_uid())
    jobs, asked = call.server.media, call.identifier
    status = call.server.manners.media_create
    if not status and uid in jobs:
        status = DUPLICATE if jobs[uid].state == "IDLE" else INITIATED
    if not status:
        status = _wrong(asked)
    if status or asked is None:
        respond(call, status or MISSING, instance=uid)
        return
    jobs[uid] = Job(asked)
    made = Dataset()
    made.ExecutionStatus = "IDLE"
    respond(call, 0x0000, made, instance=uid)


def _wrong(asked: Dataset | None) -> int:
    """The status of an Attribute List that cannot be taken; 0 where it can."""
    if asked is None or "ReferencedSOPSequence" not in asked:
        return MISSING
    if not asked.ReferencedSOPSequence:
        return MISSING_VALUE
    for item in asked.ReferencedSOPSequence:
        for name in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "RequestedMediaApplicationProfile"):
            if name not in item:
                return MISSING
            if not item[name].value:
                return MISSING_VALUE
    name = str(asked.get("StorageMediaFileSetID", "") or "")
    yes_no = all(str(asked[word].value) in ("YES", "NO") for word in YES_NO if word in asked)
    return 0 if yes_no and len(name) <= 16 and set(name) <= LETTERS else WRONG_VALUE


def _action(call: Call) -> None:
    jobs, manners, said = call.server.media, call.server.manners, call.identifier or Dataset()
    uid, kind = str(call.message.RequestedSOPInstanceUID), call.message.ActionTypeID
    job = jobs.get(uid)
    if kind not in (1, 2):
        respond(call, NO_SUCH_ACTION)
    elif job is None:
        respond(call, NO_SUCH_INSTANCE)
    elif kind == 2:
        late = {"CREATING": UNDER_WAY, "DONE": COMPLETED, "FAILURE": COMPLETED, "FAILED": COMPLETED}
        status = manners.media_cancel or late.get(job.state, 0x0000)
        if not status:
            del jobs[uid]
        respond(call, status)
    elif job.state != "IDLE":
        respond(call, INITIATED)
    elif said.get("RequestPriority", "MED") not in ("HIGH", "MED", "LOW") or int(said.get("NumberOfCopies", 1)) < 1:
        respond(call, WRONG_ARGUMENT)
    elif manners.media_action:
        respond(call, manners.media_action)
    else:
        job.copies, job.left = int(said.get("NumberOfCopies", 1)), list(manners.media_states)
        respond(call, 0x0000)


def _get(call: Call) -> None:
    job = call.server.media.get(str(call.message.RequestedSOPInstanceUID))
    if job is None:
        respond(call, NO_SUCH_INSTANCE)
        return
    wanted = [int(tag) for tag in getattr(call.message, "AttributeIdentifierList", None) or ()] or list(KNOWN)
    whole = _answer(call.server, job)
    found = Dataset()
    for tag in wanted:
        if tag in KNOWN and KNOWN[tag] in whole:
            found.add(whole[KNOWN[tag]])
    status = call.server.manners.media_get or (0x0000 if set(wanted) <= set(KNOWN) else OPTIONAL_NOT_KNOWN)
    if len(job.left) > 1:
        job.left.pop(0)  # each question finds it one state further
    respond(call, status, found)


def _answer(server: DemoServer, job: Job) -> Dataset:
    """What is known of a request now."""
    manners, state = server.manners, job.state
    uids = [str(item.ReferencedSOPInstanceUID) for item in job.asked.ReferencedSOPSequence]
    failed = {uid: 0x0112 for uid in uids if uid not in server.holdings} | {
        uid: reason for uid, reason in manners.media_failures.items() if uid in uids
    }
    info = {"IDLE": "NORMAL", "PENDING": "QUEUED", "CREATING": "NORMAL"}.get(state, manners.media_info)
    if state == "DONE" and (len(failed) == len(set(uids)) or len(set(uids)) < len(uids)):
        state, info = "FAILURE", "NO_INSTANCE" if failed else "DUPL_REF_INST"
    found = Dataset()
    found.ExecutionStatus, found.ExecutionStatusInfo = state, info
    if state not in ("DONE", "FAILURE", "FAILED"):
        return found
    found.TotalNumberOfPiecesOfMediaCreated = job.copies if state == "DONE" else 0
    found.FailedSOPSequence = []
    for item in job.asked.ReferencedSOPSequence:
        if str(item.ReferencedSOPInstanceUID) in failed:
            said = Dataset()
            said.ReferencedSOPClassUID = item.ReferencedSOPClassUID
            said.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
            said.FailureReason = failed[str(item.ReferencedSOPInstanceUID)]
            found.FailedSOPSequence.append(said)
    found.ReferencedStorageMediaSequence = []
    for _ in range(job.copies if state == "DONE" else 0):
        piece = Dataset()
        piece.StorageMediaFileSetID = job.asked.get("StorageMediaFileSetID", "")
        piece.StorageMediaFileSetUID = job.asked.get("StorageMediaFileSetUID") or generate_uid()
        found.ReferencedStorageMediaSequence.append(piece)
    return found
