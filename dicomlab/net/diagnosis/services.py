"""The services that a peer may offer, each by the SOP class that it is negotiated by (SPEC 0.5)."""

from __future__ import annotations

from dataclasses import dataclass

from ...datasets.uids import EXPLICIT, IMPLICIT
from ...queries.models import PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT
from ..association.contexts import Context
from ..association.verification import VERIFICATION
from ..patients.updates import UPDATER
from ..retrieve.transfer import GET, MOVE

CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
OPTIONS = {1: "relational queries", 2: "combined date and time", 3: "fuzzy matching of names", 4: "time zones"}


@dataclass(frozen=True)
class Service:
    """What is asked for in one presentation context."""

    name: str
    sop_class: str
    use: str  # what it is for, in words
    needed: bool = False  # by the main job: query and retrieve


#: In the order in which they are shown. C-GET or C-MOVE is needed, not both.
SERVICES = (
    Service("C-FIND Study Root", STUDY_ROOT, "to find studies, series and images", needed=True),
    Service("C-FIND Patient Root", PATIENT_ROOT, "to find patients"),
    Service("C-FIND Patient/Study Only", PATIENT_STUDY_ONLY, "to find patients the old way"),
    Service("C-GET Study Root", GET[STUDY_ROOT], "to retrieve without a way back"),
    Service("C-GET Patient Root", GET[PATIENT_ROOT], "to retrieve whole patients without a way back"),
    Service("C-MOVE Study Root", MOVE[STUDY_ROOT], "to have studies sent to a port of ours"),
    Service("C-MOVE Patient Root", MOVE[PATIENT_ROOT], "to have whole patients sent to a port of ours"),
    Service("modality worklist", "1.2.840.10008.5.1.4.31", "to see what is scheduled"),
    Service("C-STORE CT images", CT_IMAGE, "to send images"),
    Service("storage commitment", "1.2.840.10008.1.20.1", "to be told that what was sent is kept"),
    Service("MPPS", "1.2.840.10008.3.1.2.3.3", "to report procedure steps"),
    Service("print, grayscale", "1.2.840.10008.5.1.1.9", "to print"),
    Service("print, colour", "1.2.840.10008.5.1.1.18", "to print in colour"),
    Service("media creation", "1.2.840.10008.5.1.1.33", "to have CDs written"),
    Service("unified procedure step", "1.2.840.10008.5.1.4.34.6.1", "to hand out work"),
    Service("patient updater", UPDATER, "to change, merge and delete patients (private class of LEAD servers)"),
)
#: One context each, and Verification beside them: a peer that knows none of them need not reject the association.
CONTEXTS = (
    *(Context(service.sop_class, (EXPLICIT, IMPLICIT)) for service in SERVICES),
    Context(MR_IMAGE, (EXPLICIT, IMPLICIT)),
    Context(VERIFICATION, (EXPLICIT, IMPLICIT)),
)
ROLES = (MR_IMAGE,)  # as the SCP, as a C-GET needs it; of another class than is offered for storing
EXTENDED = {
    STUDY_ROOT: b"\1\1\1\1",
    PATIENT_ROOT: b"\1\1\1\1",
    **dict.fromkeys((GET[STUDY_ROOT], MOVE[STUDY_ROOT]), b"\1"),
}
