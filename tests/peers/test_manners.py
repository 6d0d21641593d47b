"""The embedded PACS plays dcmqrscp and Orthanc: the same questions to it and to them, the same answers (R16.13).

The client is pynetdicom's, so that what is compared are the answers alone. All hold T31 (SPEC 0.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from rejections import Rejection

from dicomlab.demo import DemoServer, Holdings, Manners

PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY = (f"1.2.840.10008.5.1.4.1.2.{number}." for number in (1, 2, 3))
MR, CT, CR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
PREFIX = "1.3.6.1.4.1.5962.1.1.0.0.0."
ST, OTHER = PREFIX + "1196533885.18148.0.1", PREFIX + "1196533885.18148.0.133"
SERIES = PREFIX + "1196533885.18148.0.118"
IMAGE = PREFIX + "1196533885.18148.0.119"
PETER = "98890234"

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # some questions are wrong ones


class Pair(NamedTuple):
    """A peer and the embedded PACS that plays it."""

    real: Any
    played: Any
    move_port: int


@pytest.fixture(scope="module", params=["qr", "orthanc"])
def pair(request: pytest.FixtureRequest, move_port: int, store3: Any) -> Iterator[Pair]:
    real = request.getfixturevalue(request.param)
    manners = Manners.dcmqrscp() if request.param == "qr" else Manners.orthanc()
    destinations = {"DICOMLAB": ("127.0.0.1", move_port), "STORE3": ("127.0.0.1", store3.port)}
    with DemoServer(Holdings.t31(), ae_title=real.ae_title, manners=manners, destinations=destinations) as played:
        yield Pair(real, played, move_port)


def plain(dataset: Dataset | None) -> Any:
    """A data set as a dictionary of text; absent and empty stay apart."""
    if dataset is None:
        return None
    found = {}
    for element in dataset:
        value = element.value
        if element.VR == "SQ":
            found[element.keyword] = [plain(item) for item in value]
        elif value is None or isinstance(value, str) or not hasattr(value, "__iter__"):
            found[element.keyword or str(element.tag)] = "" if value is None else str(value)
        else:
            found[element.keyword or str(element.tag)] = sorted(map(str, value))
    return found


@contextmanager
def associated(peer: Any, contexts: Sequence[Any], **choices: Any) -> Iterator[Any]:
    ae = AE("DICOMLAB")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    choices.setdefault("ae_title", peer.ae_title)
    association = ae.associate(peer.host, peer.port, contexts=list(contexts), **choices)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def identifier(level: str | None, keys: dict[str, Any]) -> Dataset:
    found = Dataset()
    if level is not None:
        found.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(found, keyword, value)
    return found


def find(peer: Any, model: str, level: str | None, keys: dict[str, Any], syntax: str = EXPLICIT) -> Any:
    """The statuses in their order and the identifiers, which come in no order."""
    with associated(peer, [build_context(model + "1", syntax)]) as association:
        assert association.is_established
        answers = list(association.send_c_find(identifier(level, keys), model + "1"))
    statuses = [int(status.get("Status", -1)) for status, _ in answers]
    return statuses, sorted((plain(each) for _, each in answers if each is not None), key=str)


def counts(response: Dataset) -> tuple[Any, ...]:
    names = ("Remaining", "Completed", "Failed", "Warning")
    return (int(response.get("Status", -1)), *(response.get(f"NumberOf{name}Suboperations") for name in names))


def outcome(answers: list[Any], received: list[Any]) -> Any:
    lists = [sorted(each.get("FailedSOPInstanceUIDList") or []) for _, each in answers if each is not None]
    return [counts(status) for status, _ in answers], lists, sorted(received)


def get(
    peer: Any, model: str, level: str | None, keys: dict[str, Any], *, storage: Sequence[str], status: int = 0
) -> Any:
    """Every response with its counts, the lists of failures, and what came."""
    received: list[Any] = []

    def store(event: Any) -> int:
        received.append((event.request.AffectedSOPInstanceUID, event.context.transfer_syntax))
        return status

    contexts = [build_context(model + "3"), *(build_context(name) for name in storage)]
    roles = [build_role(name, scp_role=True) for name in storage]
    with associated(peer, contexts, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]) as association:
        answers = list(association.send_c_get(identifier(level, keys), model + "3"))
    return outcome(answers, received)


def move(
    pair: Pair, peer: Any, level: str | None, keys: dict[str, Any], destination: str = "DICOMLAB", *,
    callers: Sequence[str] | None = (), status: int = 0, storage: Sequence[str] = (MR, CT, CR),
) -> Any:  # fmt: skip
    """As `get`; what came is told with who sent it for whom. `callers` None: nobody listens."""
    received: list[Any] = []

    def store(event: Any) -> int:
        request = event.request
        origin = str(request.MoveOriginatorApplicationEntityTitle).strip(), request.MoveOriginatorMessageID
        received.append((request.AffectedSOPInstanceUID, event.assoc.requestor.ae_title.strip(), *origin))
        return status

    listener = AE("DICOMLAB")
    listener.require_calling_aet = list(callers or ())
    for name in storage:
        listener.add_supported_context(name)
    server = None
    if callers is not None:
        handlers = [(evt.EVT_C_STORE, store)]
        server = listener.start_server(("127.0.0.1", pair.move_port), block=False, evt_handlers=handlers)
    try:
        with associated(peer, [build_context(STUDY_ROOT + "2")]) as association:
            request = identifier(level, keys)
            answers = list(association.send_c_move(request, destination, STUDY_ROOT + "2", msg_id=7))
    finally:
        if server is not None:
            server.shutdown()
    return outcome(answers, received)


def words(text: str) -> list[str]:
    return text.split()


PATIENT_KEYS = words(
    "PatientName PatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs OtherPatientNames EthnicGroup "
    "PatientComments IssuerOfPatientID NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries "
    "NumberOfPatientRelatedInstances PatientSpeciesDescription"
)
STUDY_KEYS = words(
    "StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber ReferringPhysicianName "
    "ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances InstanceAvailability "
    "PatientAge PatientSize PatientWeight InstitutionName NameOfPhysiciansReadingStudy AdditionalPatientHistory "
    "AdmittingDiagnosesDescription Occupation StudyStatusID TimezoneOffsetFromUTC"
)
SERIES_KEYS = words(
    "SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined ProtocolName "
    "Laterality NumberOfSeriesRelatedInstances PerformedProcedureStepStartDate InstitutionName StationName "
    "Manufacturer OperatorsName PerformingPhysicianName RequestAttributesSequence FrameOfReferenceUID"
)
IMAGE_KEYS = words(
    "SOPInstanceUID SOPClassUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames ContentDate ContentTime "
    "AvailableTransferSyntaxUID InstanceAvailability ImageType ImagePositionPatient SliceThickness AcquisitionDate "
    "ReferencedSeriesSequence ConceptNameCodeSequence ContentLabel TransferSyntaxUID"
)


def empty(*keywords: str, **values: Any) -> dict[str, Any]:
    return {**{each: [] if each.endswith("Sequence") else None for each in keywords}, **values}


IN_ST, IN_SERIES = {"StudyInstanceUID": ST}, {"StudyInstanceUID": ST, "SeriesInstanceUID": SERIES}
LISTED = empty("StudyInstanceUID", "PatientName", "PatientID", "StudyDate")
FINDS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "patients": (PATIENT_ROOT, "PATIENT", empty(*PATIENT_KEYS)),
    "patients by name": (PATIENT_ROOT, "PATIENT", empty("PatientID", PatientName="Doe^A*")),
    "patient unknown": (PATIENT_ROOT, "PATIENT", empty(PatientID="NOBODY")),
    "studies": (STUDY_ROOT, "STUDY", empty(*STUDY_KEYS)),
    "studies with their patients": (STUDY_ROOT, "STUDY", empty(*PATIENT_KEYS, *STUDY_KEYS)),
    "studies and who has them": (STUDY_ROOT, "STUDY", empty("StudyInstanceUID", "RetrieveAETitle")),
    "studies of a patient": (PATIENT_ROOT, "STUDY", empty("StudyInstanceUID", PatientID=PETER)),
    "studies without a patient": (PATIENT_ROOT, "STUDY", empty("StudyInstanceUID")),
    "studies, retired model": (PATIENT_STUDY, "STUDY", empty("StudyInstanceUID", PatientID=PETER)),
    "a name": (STUDY_ROOT, "STUDY", LISTED | {"PatientName": "Doe^P*"}),
    "a name in lower case": (STUDY_ROOT, "STUDY", LISTED | {"PatientName": "doe^p*"}),
    "a name in full": (STUDY_ROOT, "STUDY", LISTED | {"PatientName": "Doe^Peter"}),
    "a name with one letter open": (STUDY_ROOT, "STUDY", LISTED | {"PatientName": "Doe^Pete?"}),
    "a family name alone": (STUDY_ROOT, "STUDY", LISTED | {"PatientName": "Doe"}),
    "a star": (STUDY_ROOT, "STUDY", LISTED | {"PatientName": "*"}),
    "a name with delimiters at its end": (STUDY_ROOT, "STUDY", LISTED | {"PatientName": "Doe^Peter^^"}),
    "dates": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "20010101-20021231"}),
    "dates until": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "-20010101"}),
    "dates since": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "20030505-"}),
    "a date": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "20010101"}),
    "times": (STUDY_ROOT, "STUDY", LISTED | {"StudyTime": "000000-120000"}),
    "dates and times": (STUDY_ROOT, "STUDY", LISTED | {"StudyTime": "050000-235959", "StudyDate": "20010101-20031231"}),
    "dates without month and day": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "2001-2003"}),
    "dates the wrong way round": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "20030101-20010101"}),
    "a wild card in a date": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "2001*"}),
    "a star as a date": (STUDY_ROOT, "STUDY", LISTED | {"StudyDate": "*"}),
    "hours": (STUDY_ROOT, "STUDY", LISTED | {"StudyTime": "05-06"}),
    "two patients": (STUDY_ROOT, "STUDY", LISTED | {"PatientID": [PETER, "77654033"]}),
    "a patient with a wild card": (STUDY_ROOT, "STUDY", LISTED | {"PatientID": "98*"}),
    "a sex in lower case": (STUDY_ROOT, "STUDY", LISTED | {"PatientSex": "m"}),
    "an age": (STUDY_ROOT, "STUDY", LISTED | {"PatientAge": "000Y"}),
    "an issuer": (STUDY_ROOT, "STUDY", LISTED | {"IssuerOfPatientID": "X"}),
    "an archive": (STUDY_ROOT, "STUDY", LISTED | {"RetrieveAETitle": "NOBODY"}),
    "a class of the study": (STUDY_ROOT, "STUDY", LISTED | {"SOPClassesInStudy": MR}),
    "a class at STUDY": (STUDY_ROOT, "STUDY", LISTED | {"SOPClassUID": MR}),
    "a maker at STUDY": (STUDY_ROOT, "STUDY", LISTED | {"Manufacturer": "*GE*"}),
    "a status of the study": (STUDY_ROOT, "STUDY", LISTED | {"StudyStatusID": "QC*"}),
    "two UIDs": (STUDY_ROOT, "STUDY", LISTED | {"StudyInstanceUID": [ST, OTHER]}),
    "two UIDs, one unknown": (STUDY_ROOT, "STUDY", LISTED | {"StudyInstanceUID": [ST, "1.2.3"]}),
    "a description": (STUDY_ROOT, "STUDY", LISTED | {"StudyDescription": "*e*"}),
    "a description in capitals": (STUDY_ROOT, "STUDY", LISTED | {"StudyDescription": "*E*"}),
    "an accession number": (STUDY_ROOT, "STUDY", LISTED | {"AccessionNumber": "2*"}),
    "a modality of the study": (STUDY_ROOT, "STUDY", LISTED | {"ModalitiesInStudy": "MR"}),
    "two modalities of the study": (STUDY_ROOT, "STUDY", LISTED | {"ModalitiesInStudy": ["MR", "CT"]}),
    "a modality of the series at STUDY": (STUDY_ROOT, "STUDY", LISTED | {"Modality": "MR"}),
    "a count as a filter": (STUDY_ROOT, "STUDY", LISTED | {"NumberOfStudyRelatedSeries": "3"}),
    "an availability as a filter": (STUDY_ROOT, "STUDY", LISTED | {"InstanceAvailability": "OFFLINE"}),
    "studies in a named character set": (STUDY_ROOT, "STUDY", {"SpecificCharacterSet": "ISO_IR 192", **LISTED}),
    "studies, nothing asked": (STUDY_ROOT, "STUDY", {}),
    "patients with the study root": (STUDY_ROOT, "PATIENT", empty("PatientID", "PatientName")),
    "series with the retired model": (PATIENT_STUDY, "SERIES", empty("SeriesInstanceUID", PatientID=PETER, **IN_ST)),
    "no level": (STUDY_ROOT, None, LISTED),
    "an empty level": (STUDY_ROOT, "", LISTED),
    "a level in lower case": (STUDY_ROOT, "study", LISTED),
    "a level that is none": (STUDY_ROOT, "VISIT", LISTED),
    "series": (STUDY_ROOT, "SERIES", empty(*SERIES_KEYS, **IN_ST)),
    "series with keys from above": (STUDY_ROOT, "SERIES", empty(*SERIES_KEYS, *STUDY_KEYS, *PATIENT_KEYS) | IN_ST),
    "series of a patient and study": (PATIENT_ROOT, "SERIES", empty("SeriesInstanceUID", PatientID=PETER, **IN_ST)),
    "series by modality in all studies": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", Modality="MR")),
    "series by modality in lower case": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", Modality="mr", **IN_ST)),
    "series by two modalities": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", Modality=["MR", "CT"])),
    "series by modality with an empty study": (
        STUDY_ROOT, "SERIES", empty("StudyInstanceUID", "SeriesInstanceUID", Modality="MR")),
    "series by modality with a star as study": (
        STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", Modality="MR", StudyInstanceUID="*")),
    "series by patient with an empty study": (
        STUDY_ROOT, "SERIES", empty("StudyInstanceUID", "SeriesInstanceUID", PatientName="Doe^P*")),
    "series by a date above": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", StudyDate="19990101", **IN_ST)),
    "series by count": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", NumberOfSeriesRelatedInstances="7", **IN_ST)),
    "series by maker": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", Manufacturer="Phil*", **IN_ST)),
    "series by rows": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", Rows=1, **IN_ST)),
    "series by number with a zero": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", SeriesNumber="0700", **IN_ST)),
    "series of a study without its patient": (PATIENT_ROOT, "SERIES", empty("SeriesInstanceUID", **IN_ST)),
    "studies by another name of the patient": (
        PATIENT_ROOT, "STUDY", empty("StudyInstanceUID", PatientID=PETER, PatientName="Doe^X*")),
    "series by number": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", SeriesNumber="1", **IN_ST)),
    "series by patient": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", PatientName="Doe^P*")),
    "series by description": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", SeriesDescription="*s*", **IN_ST)),
    "series of an unknown study": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", StudyInstanceUID="1.2.3")),
    "series of two studies": (STUDY_ROOT, "SERIES", empty("SeriesInstanceUID", StudyInstanceUID=[ST, OTHER])),
    "images": (STUDY_ROOT, "IMAGE", empty(*IMAGE_KEYS) | IN_SERIES),
    "images, keys from above": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID", *STUDY_KEYS, *SERIES_KEYS, **IN_SERIES)),
    "images and who has them": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID", "RetrieveAETitle") | IN_SERIES),
    "images by number": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID", InstanceNumber="1") | IN_SERIES),
    "images by rows": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID", Rows=1, **IN_SERIES)),
    "images by another modality": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID", Modality="CT", **IN_SERIES)),
    "images of a study and empty series": (
        STUDY_ROOT, "IMAGE", empty("SeriesInstanceUID", "SOPInstanceUID", **IN_ST)),
    "images by class": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID", SOPClassUID=CT) | IN_SERIES),
    "images of the study": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID") | IN_ST),
    "images everywhere": (STUDY_ROOT, "IMAGE", empty("SOPInstanceUID")),
}  # fmt: skip


@pytest.mark.parametrize("question", FINDS)
def test_a_query_is_answered_as_by_the_peer_that_is_played(pair: Pair, question: str) -> None:
    model, level, keys = FINDS[question]
    if model == PATIENT_STUDY and pair.real.ae_title == "ORTHANC":
        return  # it refuses the model, see the test of contexts
    assert find(pair.played, model, level, keys) == find(pair.real, model, level, keys)


def test_a_query_at_study_level_has_the_columns_of_some_series_as_the_peer_has(pair: Pair) -> None:
    """Which series of the study is the peer's affair, so the values may differ."""
    keys = empty("StudyInstanceUID", *SERIES_KEYS, *IMAGE_KEYS)
    answers = [find(peer, STUDY_ROOT, "STUDY", keys)[1] for peer in (pair.played, pair.real)]
    played, real = ([set(row) for row in rows] for rows in answers)
    assert played == real


@pytest.mark.parametrize("encodings", ["ISO_IR 192", "ISO_IR 100", ["", "ISO 2022 IR 87"], ""])
def test_the_character_set_of_an_answer_is_named_as_by_the_peer(pair: Pair, encodings: Any) -> None:
    keys = {"SpecificCharacterSet": encodings, **LISTED}
    assert find(pair.played, STUDY_ROOT, "STUDY", keys) == find(pair.real, STUDY_ROOT, "STUDY", keys)


def test_a_query_in_implicit_vr_has_the_same_answer(pair: Pair) -> None:
    question = (STUDY_ROOT, "STUDY", empty(*STUDY_KEYS), IMPLICIT)
    assert find(pair.played, *question) == find(pair.real, *question)


GETS: dict[str, tuple[str, str | None, dict[str, Any], dict[str, Any]]] = {
    "a study": (STUDY_ROOT, "STUDY", IN_ST, {}),
    "a study of a patient": (PATIENT_ROOT, "STUDY", {"PatientID": PETER, **IN_ST}, {}),
    "a study without its patient": (PATIENT_ROOT, "STUDY", IN_ST, {}),
    "a patient": (PATIENT_ROOT, "PATIENT", {"PatientID": PETER}, {}),
    "an unknown patient": (PATIENT_ROOT, "PATIENT", {"PatientID": "NOBODY"}, {}),
    "a patient with the study root": (STUDY_ROOT, "PATIENT", {"PatientID": PETER}, {}),
    "an unknown study": (STUDY_ROOT, "STUDY", {"StudyInstanceUID": "1.2.3"}, {}),
    "two studies": (STUDY_ROOT, "STUDY", {"StudyInstanceUID": [ST, OTHER]}, {}),
    "two studies, one unknown": (STUDY_ROOT, "STUDY", {"StudyInstanceUID": [ST, "1.2.3"]}, {}),
    "a series": (STUDY_ROOT, "SERIES", IN_SERIES, {}),
    "a series without its study": (STUDY_ROOT, "SERIES", {"SeriesInstanceUID": SERIES}, {}),
    "a series of another study": (STUDY_ROOT, "SERIES", {"SeriesInstanceUID": SERIES, "StudyInstanceUID": OTHER}, {}),
    "an image": (STUDY_ROOT, "IMAGE", {"SOPInstanceUID": IMAGE, **IN_SERIES}, {}),
    "an image alone": (STUDY_ROOT, "IMAGE", {"SOPInstanceUID": IMAGE}, {}),
    "no study named": (STUDY_ROOT, "STUDY", {"PatientID": PETER}, {}),
    "an empty study": (STUDY_ROOT, "STUDY", {"StudyInstanceUID": None}, {}),
    "a star as study": (STUDY_ROOT, "STUDY", {"StudyInstanceUID": "*"}, {}),
    "a key that is not unique": (STUDY_ROOT, "STUDY", {"Modality": "CT", **IN_ST}, {}),
    "no level": (STUDY_ROOT, None, IN_ST, {}),
    "a level that is none": (STUDY_ROOT, "VISIT", IN_ST, {}),
    "a level in lower case": (STUDY_ROOT, "study", IN_ST, {}),
    "no class accepted": (STUDY_ROOT, "STUDY", IN_ST, {"storage": ()}),
    "another class accepted": (STUDY_ROOT, "STUDY", IN_ST, {"storage": (CT,)}),
    "refused by us": (STUDY_ROOT, "SERIES", IN_SERIES, {"status": 0xA700}),
    "taken with a warning": (STUDY_ROOT, "SERIES", IN_SERIES, {"status": 0xB000}),
}


@pytest.mark.parametrize("question", GETS)
def test_a_get_is_answered_as_by_the_peer_that_is_played(pair: Pair, question: str) -> None:
    model, level, keys, choices = GETS[question]
    choices = {"storage": (MR, CT, CR), **choices}
    assert get(pair.played, model, level, keys, **choices) == get(pair.real, model, level, keys, **choices)


MOVES: dict[str, tuple[str | None, dict[str, Any], dict[str, Any]]] = {
    "a study": ("STUDY", IN_ST, {}),
    "a series": ("SERIES", IN_SERIES, {}),
    "an image": ("IMAGE", {"SOPInstanceUID": IMAGE, **IN_SERIES}, {}),
    "an unknown study": ("STUDY", {"StudyInstanceUID": "1.2.3"}, {}),
    "no study named": ("STUDY", {"PatientID": PETER}, {}),
    "no level": (None, IN_ST, {}),
    "to a third party": ("STUDY", IN_ST, {"destination": "STORE3"}),
    "to nobody": ("STUDY", IN_ST, {"destination": "NOBODY"}),
    "an unknown study to nobody": ("STUDY", {"StudyInstanceUID": "1.2.3"}, {"destination": "NOBODY"}),
    "where nobody listens": ("STUDY", IN_ST, {"callers": None}),
    "where others are admitted": ("STUDY", IN_ST, {"callers": ["OTHER"]}),
    "where no class is taken": ("STUDY", IN_ST, {"storage": (CT,)}),
    "where it is refused": ("IMAGE", {"SOPInstanceUID": IMAGE, **IN_SERIES}, {"status": 0xA700}),
    "where it is taken with a warning": ("SERIES", IN_SERIES, {"status": 0xB000}),
}


@pytest.mark.parametrize("question", MOVES)
def test_a_move_is_answered_as_by_the_peer_that_is_played(pair: Pair, question: str) -> None:
    level, keys, choices = MOVES[question]
    assert move(pair, pair.played, level, keys, **choices) == move(pair, pair.real, level, keys, **choices)


CLASSES = {
    "Verification": "1.2.840.10008.1.1",
    **{f"model {model} service {service}": f"1.2.840.10008.5.1.4.1.2.{model}.{service}"
       for model in (1, 2, 3) for service in (1, 2, 3)},
    "Composite Instance Root Retrieve": "1.2.840.10008.5.1.4.1.2.4.3",
    "Modality Performed Procedure Step": "1.2.840.10008.3.1.2.3.3",
    "MR Image Storage": MR,
    "Unified Procedure Step Push": "1.2.840.10008.5.1.4.34.6.1",
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
def test_a_context_is_answered_as_by_the_peer_that_is_played(pair: Pair, name: str) -> None:  # SPEC 0.5
    def answered(peer: Any) -> Any:
        contexts = [build_context("1.2.840.10008.1.1"), build_context(CLASSES[name], [IMPLICIT, EXPLICIT])]
        with associated(peer, contexts) as association:
            accepted = [(each.abstract_syntax, each.transfer_syntax) for each in association.accepted_contexts]
            return accepted, [(each.abstract_syntax, each.result) for each in association.rejected_contexts]

    assert answered(pair.played) == answered(pair.real)


def test_a_title_that_is_unknown_is_rejected_as_by_the_peer(pair: Pair) -> None:
    def answered(peer: Any) -> Any:
        rejection, context = Rejection(), build_context("1.2.840.10008.1.1")
        with associated(peer, [context], ae_title="NOBODY", evt_handlers=rejection.handlers) as association:
            assert not association.is_established
        return rejection.reason

    assert answered(pair.played) == answered(pair.real)


def test_extended_negotiation_and_roles_are_answered_as_by_the_peer(pair: Pair) -> None:  # SPEC 0.5
    def answered(peer: Any) -> Any:
        asked = SOPClassExtendedNegotiation()
        asked.sop_class_uid, asked.service_class_application_information = STUDY_ROOT + "1", b"\1\1\1"
        contexts = [build_context(STUDY_ROOT + "1"), build_context(STUDY_ROOT + "3"), build_context(MR)]
        with associated(peer, contexts, ext_neg=[asked, build_role(MR, scp_role=True)]) as association:
            roles = [(each.abstract_syntax, each.as_scu, each.as_scp) for each in association.accepted_contexts]
            return association.acceptor.sop_class_extended, roles

    assert answered(pair.played) == answered(pair.real)
