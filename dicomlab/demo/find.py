"""C-FIND of the Query/Retrieve models (PS3.4 C.4.1)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pynetdicom.dimse_primitives import C_FIND

from . import wire
from .holdings import UNIQUE, Instance, encode
from .manners import EXPLICIT, words
from .matching import matches, values

if TYPE_CHECKING:
    from .server import Call

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
ROOTS = {"1": LEVELS, "2": LEVELS[1:], "3": LEVELS[:2]}  # by the last but one part of the class UID
DERIVED = {
    "NumberOfPatientRelatedStudies": "PATIENT",
    "NumberOfPatientRelatedSeries": "PATIENT",
    "NumberOfPatientRelatedInstances": "PATIENT",
    "NumberOfStudyRelatedSeries": "STUDY",
    "NumberOfStudyRelatedInstances": "STUDY",
    "ModalitiesInStudy": "STUDY",
    "SOPClassesInStudy": "STUDY",
    "NumberOfSeriesRelatedInstances": "SERIES",
}
ATTRIBUTES = {
    "PATIENT": words(
        "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs "
        "OtherPatientNames EthnicGroup PatientComments PatientSpeciesDescription"
    ),
    "STUDY": words(
        "StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber PatientAge PatientSize "
        "ReferringPhysicianName InstitutionName NameOfPhysiciansReadingStudy PatientWeight Occupation "
        "AdmittingDiagnosesDescription AdditionalPatientHistory TimezoneOffsetFromUTC"
    ),
    "SERIES": words(
        "SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined "
        "ProtocolName FrameOfReferenceUID Laterality PatientPosition Manufacturer ManufacturerModelName "
        "StationName InstitutionName PerformedProcedureStepStartDate PerformedProcedureStepStartTime "
        "RequestAttributesSequence OperatorsName PerformingPhysicianName"
    ),
}
NO_KEYS = frozenset(["QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveView"])


class Refused(Exception):
    """The Identifier cannot be served; `status` says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def checked_level(call: Call, identifier: Dataset) -> str:
    """The level of an Identifier that follows the rules of the hierarchy (PS3.4 C.4.1.3.1).

    Raises
    ------
    Refused
        With the status that these manners give.
    """
    manners = call.server.manners
    level = str(identifier.get("QueryRetrieveLevel") or "").strip()
    levels = ROOTS[str(call.message.AffectedSOPClassUID).split(".")[-2]]
    if not level:
        raise Refused(manners.no_level, "no Query/Retrieve Level")
    if level not in LEVELS or (level not in levels and manners.wrong_level is not None):
        raise Refused(manners.wrong_level or 0xA900, f"level {level} is not in this model")
    if not call.relational:
        for above in levels[: levels.index(level)] if level in levels else ():
            held = values(identifier.get(UNIQUE[above]) and identifier[UNIQUE[above]])
            if len(held) != 1 or set(str(held[0])) & set("*?"):
                raise Refused(0xA900, f"{UNIQUE[above]} must have one value")
    return level


def serve(call: Call) -> None:
    """Answer each match with 0xFF00, then the end."""
    manners, assoc, message = call.server.manners, call.assoc, call.message
    try:
        identifier = call.identifier
        if identifier is None:
            raise Refused(0xC000, "the Identifier cannot be read")
        level = checked_level(call, identifier)
    except Refused as refused:
        respond(call, refused.status, comment=refused.why)
        return
    for sent, (record, ignored) in enumerate(records(call, identifier, level)):
        if message.MessageID in assoc.dimse.cancel_req:
            respond(call, 0xFE00)
            return
        if manners.response_limit is not None and sent >= manners.response_limit:
            respond(call, 0xB001)
            return
        respond(call, 0xFF01 if ignored else 0xFF00, record)
        if manners.pace:
            time.sleep(manners.pace)
    respond(call, 0xFE00 if message.MessageID in assoc.dimse.cancel_req else 0x0000)


def records(call: Call, identifier: Dataset, level: str) -> list[tuple[Dataset, bool]]:
    """The matches as they are answered, each with whether an optional matching key was ignored."""
    manners = call.server.manners
    upper = LEVELS[: LEVELS.index(level) + 1]
    keys: list[DataElement] = [each for each in identifier if each.keyword not in NO_KEYS]
    supported = [each for each in keys if _supported(call, each.keyword, level, upper)]
    ignored = any(values(each) and each not in supported for each in keys)
    plain = [each for each in supported if each.keyword not in DERIVED and values(each)]
    derived = [each for each in supported if each.keyword in DERIVED]
    found = []
    index = {each: call.server.holdings.groups(each) for each in upper} if derived else {}
    for group in call.server.holdings.groups(level):
        header = group[0].header
        if not all(matches(header, key, fold=manners.fold_person_names) for key in plain):
            continue
        extra = _derived(group, derived, index)
        if not all(matches(extra, key) for key in derived):
            continue
        found.append((_answer(call, header, extra, keys, supported, level), ignored and manners.name == "plain"))
    return found


def _supported(call: Call, keyword: str, level: str, upper: tuple[str, ...]) -> bool:
    """May this key match and come back at this level?"""
    manners = call.server.manners
    if keyword in DERIVED:
        return manners.counts and DERIVED[keyword] in upper
    if manners.known_keys is not None:
        return any(keyword in manners.known_keys[each] for each in upper)
    if keyword in ("RetrieveAETitle", "InstanceAvailability"):
        return False
    return level == "IMAGE" or any(keyword in ATTRIBUTES[each] for each in upper)


def _derived(group: list[Instance], keys: list[DataElement], index: dict[str, list[list[Instance]]]) -> Dataset:
    """Counts and summaries over all that belongs to one match."""
    extra = Dataset()
    for key in keys:
        level = DERIVED[key.keyword]
        mine = group[0].header.get(UNIQUE[level])
        whole = next(each for each in index[level] if each[0].header.get(UNIQUE[level]) == mine)
        if key.keyword == "ModalitiesInStudy":
            extra.ModalitiesInStudy = sorted({str(each.header.get("Modality", "")) for each in whole})
        elif key.keyword == "SOPClassesInStudy":
            extra.SOPClassesInStudy = sorted({each.sop_class for each in whole})
        elif key.keyword.endswith("Instances"):
            setattr(extra, key.keyword, len(whole))
        else:
            below = "StudyInstanceUID" if key.keyword.endswith("Studies") else "SeriesInstanceUID"
            setattr(extra, key.keyword, len({str(each.header.get(below)) for each in whole}))
    return extra


def _answer(
    call: Call, header: Dataset, extra: Dataset, keys: list[DataElement], supported: list[DataElement], level: str
) -> Dataset:
    """One response Identifier: what was asked for and is known."""
    manners, answer = call.server.manners, Dataset()
    if manners.character_set and header.get("SpecificCharacterSet"):
        answer.SpecificCharacterSet = header.SpecificCharacterSet
    answer.QueryRetrieveLevel = level
    for key in keys:
        if key.keyword == "RetrieveAETitle":
            continue
        if key.keyword == "InstanceAvailability":
            if manners.availability is not None:
                answer.InstanceAvailability = manners.availability
        elif key in supported:
            source = extra if key.keyword in DERIVED else header
            if key.tag in source:
                answer.add(source[key.tag])
            elif manners.known_keys is None:
                answer.add_new(key.tag, _vr(key), None if key.VR != "SQ" else [])
        elif manners.name == "orthanc" and key.keyword not in DERIVED:
            answer.add_new(key.tag, _vr(key), None if key.VR != "SQ" else [])
    asked = any(key.keyword == "RetrieveAETitle" for key in keys)
    if manners.retrieve_ae != "never":
        empty = manners.retrieve_ae == "unless asked" and asked
        answer.RetrieveAETitle = "" if empty else call.server.ae_title
    return answer


def _vr(key: DataElement) -> str:
    try:
        return dictionary_VR(key.tag) if " " not in dictionary_VR(key.tag) else key.VR
    except KeyError:
        return key.VR


def respond(call: Call, status: int, record: Dataset | None = None, comment: str = "") -> None:
    """Send one C-FIND response."""
    response = C_FIND()
    response.MessageIDBeingRespondedTo = call.message.MessageID
    response.AffectedSOPClassUID = call.message.AffectedSOPClassUID
    response.Status = status
    if comment:
        response.ErrorComment = comment[:64]  # type: ignore[assignment]
    explicit = call.transfer_syntax == EXPLICIT
    data = None if record is None else encode(record, call.transfer_syntax if explicit else "1.2.840.10008.1.2")
    wire.send(call.assoc, response, call.context_id, data)
