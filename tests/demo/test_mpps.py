"""The demo PACS as a strict SCP of procedure steps, asked by pynetdicom (R16.10)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.tag import Tag

from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.demo.schedule import schedule

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
assert _place is not None and _place.loader is not None
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)
associated, identifier = scu.associated, scu.identifier

MPPS, RETRIEVE = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"
UID = "1.2.3.4.5"
NOT_YET = (
    "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedStationName", "PerformedLocation",
    "PerformedProcedureStepDescription", "PerformedProcedureTypeDescription", "StudyID",
)  # fmt: skip
SEQUENCES = (
    "ReferencedPatientSequence", "ProcedureCodeSequence", "PerformedProtocolCodeSequence", "PerformedSeriesSequence",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence",
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Holdings.t31(), schedule=schedule()) as made:
        yield made


def creation(server: DemoServer, **changes: Any) -> Dataset:
    """The attributes of an N-CREATE for the first step of the worklist; None leaves one out."""
    assert server.schedule is not None
    entry = server.schedule[0]
    step = entry.ScheduledProcedureStepSequence[0]
    item = identifier(
        None,
        StudyInstanceUID=entry.StudyInstanceUID,
        ReferencedStudySequence=[],
        AccessionNumber=entry.AccessionNumber,
        RequestedProcedureID=entry.RequestedProcedureID,
        RequestedProcedureDescription="",
        ScheduledProcedureStepID=step.ScheduledProcedureStepID,
        ScheduledProcedureStepDescription="",
        ScheduledProtocolCodeSequence=[],
    )
    said = {
        "ScheduledStepAttributesSequence": [item], "PatientName": "DOE^JANE", "PatientID": "DEMO-001",
        "PatientBirthDate": "19600229", "PatientSex": "F", "PerformedProcedureStepID": "P1",
        "PerformedStationAETitle": "CT1", "PerformedProcedureStepStartDate": "20240101",
        "PerformedProcedureStepStartTime": "120000", "PerformedProcedureStepStatus": "IN PROGRESS", "Modality": "CT",
        **dict.fromkeys(NOT_YET, ""), **{name: [] for name in SEQUENCES}, **changes,
    }  # fmt: skip
    return identifier(None, **{name: value for name, value in said.items() if value is not None})


def final(**changes: Any) -> Dataset:
    """The attributes of an N-SET that completes a step."""
    series = identifier(
        None, SeriesInstanceUID="1.2.3", ProtocolName="thorax", PerformingPhysicianName="", OperatorsName="",
        SeriesDescription="", RetrieveAETitle="", ReferencedImageSequence=[],
        ReferencedNonImageCompositeSOPInstanceSequence=[],
    )  # fmt: skip
    said = {
        "PerformedProcedureStepStatus": "COMPLETED", "PerformedProcedureStepEndDate": "20240101",
        "PerformedProcedureStepEndTime": "123000", "PerformedSeriesSequence": [series], **changes,
    }  # fmt: skip
    return identifier(None, **{name: value for name, value in said.items() if value is not None})


def create(server: DemoServer, data: Dataset | None, uid: str | None = UID) -> Dataset:
    with associated(server, MPPS) as association:
        return association.send_n_create(data, MPPS, uid)[0]


def change(server: DemoServer, data: Dataset, uid: str = UID) -> Dataset:
    with associated(server, MPPS) as association:
        return association.send_n_set(data, MPPS, uid)[0]


def test_a_step_is_kept_as_it_is_told(server: DemoServer) -> None:  # R16.10
    assert create(server, creation(server)).Status == 0x0000
    assert server.performed[UID].PerformedProcedureStepStatus == "IN PROGRESS"
    assert change(server, final()).Status == 0x0000
    assert server.performed[UID].PerformedProcedureStepStatus == "COMPLETED"
    assert server.performed[UID].PatientID == "DEMO-001"
    requests = [(one.service, one.sop_class, one.sop_instance) for one in server.transcript if one.sop_instance]
    assert requests == [("N-CREATE", MPPS, UID), ("N-SET", MPPS, UID)]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106, "IN PROGRESS"),
        ({"PerformedStationAETitle": None}, 0x0120, "PerformedStationAETitle"),
        ({"PerformedLocation": None}, 0x0120, "PerformedLocation"),
        ({"PerformedSeriesSequence": None}, 0x0120, "PerformedSeriesSequence"),
        ({"PerformedProcedureStepID": ""}, 0x0121, "PerformedProcedureStepID"),
        ({"ScheduledStepAttributesSequence": []}, 0x0121, "ScheduledStepAttributesSequence"),
        ({"ScheduledStepAttributesSequence": [Dataset()]}, 0x0120, "StudyInstanceUID"),
    ],
)
def test_a_creation_that_is_not_whole_is_refused(  # R16.10
    changes: dict[str, Any], status: int, words: str, server: DemoServer
) -> None:
    answer = create(server, creation(server, **changes))
    assert answer.Status == status and words in answer.ErrorComment
    assert not server.performed


def test_what_is_there_is_not_created_again_and_what_is_not_is_not_changed(server: DemoServer) -> None:  # R16.10
    assert change(server, final()).Status == 0x0112
    assert create(server, creation(server)).Status == 0x0000
    assert create(server, creation(server)).Status == 0x0111
    assert create(server, creation(server), None).Status == 0x0117
    assert list(server.performed) == [UID]


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_a_final_step_is_no_longer_updated(status: str, server: DemoServer) -> None:  # R16.10
    create(server, creation(server))
    assert change(server, final(PerformedProcedureStepStatus=status)).Status == 0x0000
    answer = change(server, final())
    assert (answer.Status, answer.ErrorID) == (0x0110, 0xA710)
    assert answer.ErrorComment == "Performed Procedure Step Object may no longer be updated"
    assert server.performed[UID].PerformedProcedureStepStatus == status


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"EntranceDose": 3}, 0x0105, "EntranceDose"),
        ({"PatientName": "OTHER"}, 0x0105, "PatientName"),
        ({"PerformedProcedureStepStatus": "PAUSED"}, 0x0106, "PerformedProcedureStepStatus"),
        ({"PerformedSeriesSequence": [Dataset()]}, 0x0120, "SeriesInstanceUID"),
        ({"PerformedSeriesSequence": []}, 0x0121, "PerformedSeriesSequence"),
        ({"PerformedSeriesSequence": None}, 0x0121, "PerformedSeriesSequence"),
        ({"PerformedProcedureStepEndTime": ""}, 0x0121, "PerformedProcedureStepEndTime"),
    ],
)
def test_a_change_that_may_not_be_changes_nothing(  # R16.10
    changes: dict[str, Any], status: int, named: str, server: DemoServer
) -> None:
    create(server, creation(server))
    before = server.performed[UID].to_json()
    answer = change(server, final(**changes))
    listed = answer["AttributeIdentifierList"]
    assert answer.Status == status and Tag(named) in (listed.value if listed.VM > 1 else [listed.value])
    assert server.performed[UID].to_json() == before


def test_what_an_archive_does_not_keep_is_a_warning_that_names_it(server: DemoServer) -> None:  # R16.10
    server.manners = Manners(performed_ignores=frozenset(["StudyID"]))
    answer = create(server, creation(server, StudyID="7"))
    assert answer.Status == 0x0107 and "StudyID" in answer.ErrorComment and "StudyID" not in server.performed[UID]


def test_the_retrieve_class_gives_what_is_asked_for(server: DemoServer) -> None:  # R16.10
    create(server, creation(server))
    with associated(server, RETRIEVE) as association:
        status, found = association.send_n_get([Tag("PatientID"), Tag("Modality")], RETRIEVE, UID)
        assert (status.Status, found.PatientID, len(found)) == (0, "DEMO-001", 2)
        assert len(association.send_n_get([], RETRIEVE, UID)[1]) == len(server.performed[UID])
        assert association.send_n_get([Tag("PatientID"), Tag("EntranceDose")], RETRIEVE, UID)[0].Status == 0x0001
        assert association.send_n_get([], RETRIEVE, "1.2")[0].Status == 0x0112
    with associated(server, MPPS) as association:
        assert association.send_n_get([], MPPS, UID)[0].Status == 0x0211


@pytest.mark.parametrize(("offered", "accepted"), [(0, []), (1, [MPPS]), (2, [MPPS, RETRIEVE])])
def test_the_classes_that_are_offered_are_a_matter_of_manners(  # R16.4, R16.10
    offered: int, accepted: list[str], server: DemoServer
) -> None:
    server.manners = Manners(performed=offered)
    with associated(server, MPPS, RETRIEVE, "1.2.840.10008.1.1") as association:
        found = [str(one.abstract_syntax) for one in association.accepted_contexts]
        refused = {str(one.abstract_syntax): one.result for one in association.rejected_contexts}
    assert found == [*accepted, "1.2.840.10008.1.1"] and set(refused.values()) <= {3}


def test_the_worklist_follows_the_step(server: DemoServer) -> None:  # R16.10
    assert server.schedule is not None
    first, count = server.schedule[0], len(server.schedule)

    def state() -> str | None:
        assert server.schedule is not None
        (found,) = [one for one in server.schedule if one.StudyInstanceUID == first.StudyInstanceUID]
        return found.ScheduledProcedureStepSequence[0].get("ScheduledProcedureStepStatus")

    create(server, creation(server))
    assert state() == "STARTED"
    change(server, final(PerformedProcedureStepStatus="DISCONTINUED"))
    assert state() == "SCHEDULED" and len(server.schedule) == count
    create(server, creation(server), "1.2.3.4.6")
    change(server, final(), "1.2.3.4.6")
    assert len(server.schedule) == count - 1 and first.StudyInstanceUID not in [
        one.StudyInstanceUID for one in server.schedule
    ]
    assert first.ScheduledProcedureStepSequence[0].get("ScheduledProcedureStepStatus") is None  # the caller's own
