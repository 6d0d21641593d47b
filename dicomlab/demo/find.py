"""C-FIND: of the Query/Retrieve models (PS3.4 C.4.1), and what all have in common."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pynetdicom.dimse_primitives import C_FIND

from . import wire
from .holdings import UNIQUE, Holdings, Instance, encode
from .manners import EXPLICIT, IMPLICIT, words
from .matching import matches, uids, values
from .negotiation import WORKLIST
from .worklistfind import steps

if TYPE_CHECKING:
    from .request import Call

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
NO_KEYS = frozenset(["QueryRetrieveLevel", "SpecificCharacterSet", "QueryRetrieveView"])


class Refused(Exception):
    """The Identifier cannot be served; `status` says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def levels_of(call: Call) -> tuple[str, ...]:
    """The levels of the model that is asked, from the top."""
    model = str(call.message.AffectedSOPClassUID).split(".")[-2]
    return LEVELS if call.server.manners.hierarchy == "present" and model == "3" else ROOTS[model]


def known_level(call: Call, identifier: Dataset) -> str:
    """The level of an Identifier, whether the model has it or not.

    Raises
    ------
    Refused
        There is none, or none of that name.
    """
    manners = call.server.manners
    level = str(identifier.get("QueryRetrieveLevel") or "").strip()
    if not level:
        raise Refused(manners.no_level, "no Query/Retrieve Level")
    if manners.any_case:
        level = level.upper()
    if level not in LEVELS:
        raise Refused(manners.unknown_level, f"{level} is no level")
    return level


def checked_level(call: Call, identifier: Dataset) -> str:
    """The level of an Identifier that follows the rules of the hierarchy (PS3.4 C.4.1.3.1).

    Raises
    ------
    Refused
        With the status that these manners give.
    """
    manners, levels = call.server.manners, levels_of(call)
    level = known_level(call, identifier)
    if level not in levels and manners.wrong_level is not None:
        raise Refused(manners.wrong_level, f"level {level} is not in this model")
    above = [UNIQUE[each] for each in levels[: levels.index(level)]] if level in levels else []
    if manners.hierarchy == "strict" and not call.relational:
        for word in above:
            held = values(identifier.get(word) and identifier[word])
            if len(held) != 1 or set(str(held[0])) & set("*?"):
                raise Refused(0xA900, f"{word} must have one value")
    if manners.hierarchy == "present" and not all(word in identifier for word in above):
        raise Refused(0xC000, "the unique keys above the level must be there")
    if manners.misplaced_wild is not None:
        dated = [each for each in identifier if each.VR in ("UI", "DA", "TM", "DT")]
        if any(set(str(value)) & set("*?") for each in dated for value in values(each)):
            raise Refused(manners.misplaced_wild, "a wild card where there can be none")
    return level


def serve(call: Call) -> None:
    """Answer each match with 0xFF00, then the end."""
    manners, assoc, message = call.server.manners, call.assoc, call.message
    try:
        identifier = call.identifier
        if identifier is None:
            raise Refused(0xC000, "the Identifier cannot be read")
        if message.AffectedSOPClassUID == WORKLIST:
            found = steps(call, identifier)
        else:
            found = records(call, identifier, checked_level(call, identifier))
    except Refused as refused:
        respond(call, refused.status, comment=refused.why)
        return
    syntax = EXPLICIT if call.transfer_syntax == EXPLICIT else IMPLICIT
    commands: dict[int, bytes] = {}  # by status: that of one match is that of the next
    for sent, (record, ignored) in enumerate(found):
        if message.MessageID in assoc.dimse.cancel_req:
            respond(call, 0xFE00)
            return
        if manners.response_limit is not None and sent >= manners.response_limit:
            respond(call, 0xB001)
            return
        status = 0xFF01 if ignored else 0xFF00
        if status not in commands:
            commands[status] = wire.command(_response(call, status), data=True)
        wire.put(assoc, call.context_id, commands[status], encode(record, syntax))
        if manners.pace:
            time.sleep(manners.pace)
    respond(call, 0xFE00 if message.MessageID in assoc.dimse.cancel_req else 0x0000)


def records(call: Call, identifier: Dataset, level: str) -> list[tuple[Dataset, bool]]:
    """The matches as they are answered, each with whether an optional matching key was ignored."""
    manners = call.server.manners
    keys: list[DataElement] = [each for each in identifier if each.keyword not in NO_KEYS]
    roles = {each.tag: _role(call, each.keyword, level) for each in keys}
    filters = [each for each in keys if values(each) and each.keyword != "TimezoneOffsetFromUTC"]  # of the others
    ignored = any(roles[each.tag] == "ignore" for each in filters)
    if any(roles[each.tag] == "never" for each in filters):
        return []
    plain = [each for each in filters if roles[each.tag] == "match" and each.keyword not in DERIVED]
    counted = [each for each in filters if roles[each.tag] == "match" and each.keyword in DERIVED]
    derived = [each for each in keys if _is_counted(call, each.keyword, level)]
    holdings, found = call.server.holdings, []
    for group in holdings.groups(level, uids(plain)):
        header = group[0].header
        if not all(matches(header, key, manners.matching) for key in plain):
            continue
        extra = _derived(group, derived, holdings)
        if not all(matches(extra, key) for key in counted):
            continue
        answer = _answer(call, identifier, header, extra, [(each, roles[each.tag]) for each in keys], level)
        found.append((answer, ignored and manners.name == "plain"))
    return found


def _role(call: Call, keyword: str, level: str) -> str:
    """What a key with a value does at this level: "match", "ignore", or "never", which matches nothing."""
    manners = call.server.manners
    upper = LEVELS[: LEVELS.index(level) + 1]
    elsewhere = "never" if manners.filter_elsewhere else "ignore"
    if keyword in DERIVED:
        if not manners.counts or DERIVED[keyword] not in upper:
            return elsewhere
        return elsewhere if manners.filter_elsewhere and keyword != "ModalitiesInStudy" else "match"
    if manners.known_keys is not None:
        own = next((each for each in LEVELS if keyword in manners.known_keys[each]), None)
        if own not in upper:
            return "ignore"
        joined = own == "PATIENT" and level == "STUDY" and levels_of(call)[0] == "STUDY"  # PS3.4 C.6.2.1
        return "match" if manners.filter_above or own == level or joined or keyword == UNIQUE[own] else "ignore"
    if keyword in ("InstanceAvailability", "RetrieveAETitle"):
        return elsewhere
    if level == "IMAGE" or any(keyword in ATTRIBUTES[each] for each in upper):
        return "match"
    below = any(keyword in ATTRIBUTES.get(each, ()) for each in LEVELS if each not in upper)
    return elsewhere if below or not manners.any_attribute else "match"


def _is_counted(call: Call, keyword: str, level: str) -> bool:
    """Is this a count or summary that is made at this level?"""
    manners, own = call.server.manners, DERIVED.get(keyword)
    if own is None or not manners.counts:
        return False
    return own == level or (manners.counts_above and own in LEVELS[: LEVELS.index(level)])


def _derived(group: list[Instance], keys: list[DataElement], holdings: Holdings) -> Dataset:
    """Counts and summaries over all that belongs to one match."""
    extra = Dataset()
    for key in keys:
        level = DERIVED[key.keyword]
        whole = holdings.group(level, str(group[0].header.get(UNIQUE[level], "")))
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
    call: Call, identifier: Dataset, header: Dataset, extra: Dataset, keys: list[tuple[DataElement, str]], level: str
) -> Dataset:
    """One response Identifier: what was asked for and is known."""
    manners, answer = call.server.manners, Dataset()
    named = {"own": header, "asked": identifier, "never": Dataset()}[manners.character_set]
    encodings = named.get("SpecificCharacterSet")
    if encodings and (isinstance(encodings, str) or manners.character_set == "own"):
        answer.SpecificCharacterSet = encodings  # dcmqrscp repeats a single one alone
    answer.QueryRetrieveLevel = level if manners.known_keys else identifier.QueryRetrieveLevel
    for key, role in keys:
        if _answered(call, key, role):
            source = extra if key.keyword in DERIVED else header
            if key.tag in source:
                answer.add(source[key.tag])
            elif key.VR != "SQ" or manners.empty_sequences:
                answer.add_new(key.tag, _vr(key), None if key.VR != "SQ" else [])
    if "InstanceAvailability" in identifier and manners.availability is not None:
        answer.InstanceAvailability = manners.availability
    if manners.retrieve_ae != "never":
        empty = manners.retrieve_ae == "unless asked" and "RetrieveAETitle" in identifier
        answer.RetrieveAETitle = "" if empty else call.server.ae_title
    return answer


def _answered(call: Call, key: DataElement, role: str) -> bool:
    manners = call.server.manners
    if key.keyword in ("RetrieveAETitle", "InstanceAvailability", "TransferSyntaxUID"):
        return False
    if key.keyword in DERIVED and not manners.counts:
        return False
    if manners.known_keys is not None and key.keyword not in DERIVED:
        return any(key.keyword in known for known in manners.known_keys.values())
    return manners.any_attribute or role == "match"


def _vr(key: DataElement) -> str:
    try:
        return dictionary_VR(key.tag) if " " not in dictionary_VR(key.tag) else key.VR
    except KeyError:
        return key.VR


def respond(call: Call, status: int, comment: str = "") -> None:
    """Send the final C-FIND response."""
    wire.send(call.assoc, _response(call, status, comment), call.context_id)


def _response(call: Call, status: int, comment: str = "") -> C_FIND:
    response = C_FIND()
    response.MessageIDBeingRespondedTo = call.message.MessageID
    response.AffectedSOPClassUID = call.message.AffectedSOPClassUID
    response.Status = status
    if comment:
        response.ErrorComment = comment[:64]  # type: ignore[assignment]
    return response
