"""Worklist queries against the embedded PACS and a canned one (SPEC 4)."""

from __future__ import annotations

import datetime as dt
import doctest
import json
import struct
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from canned import Answers, archive, match
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings, Manners
from dicomlab.demo.schedule import schedule
from dicomlab.net import asking, calling, performing, recording, sending
from dicomlab.net import peer as whole
from dicomlab.queries import worklistkeys

PARTS = [worklistkeys, asking, calling, performing, recording, sending, whole]
TODAY = dt.date(2024, 4, 1)
STEP = "ScheduledProcedureStepSequence"
SPEC_4 = """ScheduledStationAETitle ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime Modality
    ScheduledPerformingPhysicianName ScheduledProcedureStepDescription ScheduledProtocolCodeSequence
    ScheduledProcedureStepID ScheduledStationName ScheduledProcedureStepLocation PreMedication RequestedContrastAgent
    / RequestedProcedureID RequestedProcedureDescription RequestedProcedureCodeSequence StudyInstanceUID
    ReferencedStudySequence RequestedProcedurePriority PatientTransportArrangements AccessionNumber
    RequestingPhysician ReferringPhysicianName AdmissionID CurrentPatientLocation ReferencedPatientSequence
    PatientName PatientID PatientBirthDate PatientSex PatientWeight ConfidentialityConstraintOnPatientDataDescription
    PatientState PregnancyStatus MedicalAlerts Allergies SpecialNeeds"""


@pytest.fixture(scope="module")
def pacs() -> Iterator[dl.Peer]:
    with dl.demo_pacs(schedule=schedule(today=TODAY), timeout=10) as peer:
        yield peer


def answering(*matches: Dataset) -> Any:
    def answer(identifier: Dataset) -> Answers:
        yield from ((0xFF00, one) for one in matches)
        yield 0x0000, None

    return archive(answer)


def test_the_minimal_request_has_every_key_of_the_table_and_filters_by_none(pacs: dl.Peer) -> None:  # R4.1, R4.9
    (identifier,) = pacs.identifier(None, model="worklist", PatientName="")
    step, request = (part.split() for part in SPEC_4.split("/"))
    (item,) = identifier[STEP].value
    assert set(step) <= set(dir(item)) and set(request) <= set(dir(identifier))
    assert not [each for each in identifier.iterall() if each.VR != "SQ" and not each.is_empty]
    assert "QueryRetrieveLevel" not in identifier and "SpecificCharacterSet" not in identifier
    codes = identifier.RequestedProcedureCodeSequence[0], item.ScheduledProtocolCodeSequence[0]
    for code in codes:
        assert set(dir(code)) >= {"CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"}
    assert set(pacs.worklist(PatientName="").columns) == {*step, *request, "IssuerOfPatientID"}


def test_a_key_of_the_step_is_asked_for_in_its_sequence_however_it_is_named(pacs: dl.Peer) -> None:  # R4.3
    for keys in (
        {"Modality": "MR", "ScheduledProtocolCodeSequence": {"CodeValue": "24590-2"}},
        {"(0008,0060)": "MR", "ScheduledProtocolCodeSequence[0].CodeValue": "24590-2"},
        {STEP: {"Modality": "MR", "ScheduledProtocolCodeSequence": {"CodeValue": "24590-2"}}},
    ):
        (identifier,) = pacs.identifier(None, model="worklist", **keys)
        (item,) = identifier[STEP].value
        assert "Modality" not in identifier and item.Modality == "MR"
        assert item.ScheduledProtocolCodeSequence[0].CodeValue == "24590-2"
        assert len(pacs.worklist(**keys)) == 3
    assert len(pacs.worklist(**{STEP: "", "PatientID": "DEMO-001"})) == 2


def test_the_table_has_one_row_a_step_in_order_and_types_by_vr(pacs: dl.Peer) -> None:  # R4.2, R3.19a
    steps = pacs.worklist(ScheduledProcedureStepStartDate=TODAY)
    assert list(steps.PatientID) == ["DEMO-001", "DEMO-002", "DEMO-003", "DEMO-005", "DEMO-004"]
    types = {name: str(kind) for name, kind in steps.dtypes.items()}
    assert types["ScheduledProcedureStepStartDate"] == types["PatientBirthDate"] == "datetime64[ns]"
    assert types["ScheduledProcedureStepStartTime"] == "timedelta64[ns]" and types["Modality"] == "string"
    assert types["PatientWeight"] == "float64" and types["PregnancyStatus"] == "Int64"
    assert steps.ScheduledStationAETitle[3] == ("DEMOCT1", "DEMOCT2")
    assert steps.PatientName[1] == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert steps.PatientName[4] == "Иванова^Анна"
    assert steps.RequestedProcedureCodeSequence[0][0]["CodeMeaning"] == "CT Chest"
    none = pacs.worklist(PatientID="NOBODY")
    assert len(none) == 0 and list(none.columns) == list(steps.columns)
    assert none.ScheduledProcedureStepStartDate.dtype == "datetime64[ns]"


def test_provenance_says_by_the_names_of_the_columns_what_was_asked(pacs: dl.Peer) -> None:  # R3.20, R4.4
    told = json.loads(json.dumps(pacs.worklist(Modality="CT", PatientID="DEMO-001").attrs))
    assert told["keys"] == {"Modality": "CT", "PatientID": "DEMO-001"}
    assert (told["form"], told["level"], told["model"], told["queries"]) == ("free", None, "1.2.840.10008.5.1.4.31", 1)
    assert pacs.worklist(Modality="CT", ScheduledStationAETitle="DEMOCT1").attrs["form"] == "broad"
    assert pacs.worklist(PatientName="DOE*", AccessionNumber="W00-0001").attrs["form"] == "patient"
    assert pacs.worklist(PatientName="").attrs["form"] == "free"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "nothing was requested of the worklist"),  # R4.5
        ({"template": Dataset()}, "nothing was requested"),
        ({"PatientID": []}, "nothing is selected"),
        ({"PatientID": pd.Series([pd.NA], dtype="string")}, "nothing is selected"),
        ({"Modalty": "CT"}, "did you mean 'Modality'"),
        ({"ScheduledProcedureStepStartDate": "2024-99-99"}, "is no date"),
        ({"ScheduledProcedureStepStartDate": "20240402-20240401"}, "inverted"),
        ({"QueryRetrieveLevel": "STUDY"}, "is no key"),
        ({"form": "broad", "PatientID": "1"}, "no key of the broad query form"),  # R4.4
        ({"form": "patient", "Modality": "CT"}, "no key of the patient query form"),
        ({"form": "brod", "Modality": "CT"}, "did you mean 'broad'"),
        (
            {"ScheduledProcedureStepStartDate": "20240401-20240403", "ScheduledProcedureStepStartTime": "1000-1200"},
            "two meanings",
        ),
        ({"Modality": "CT", STEP: {"Modality": "MR"}}, "given twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(  # R3.4
    pacs: dl.Peer, keys: dict[str, Any], words: str
) -> None:
    before = len(pacs._owner.server.transcript)
    with pytest.raises(errors.InvalidRequest, match=words) as caught:
        pacs.worklist(**keys)
    assert "dicomlab" not in str(caught.value)
    assert len(pacs._owner.server.transcript) == before


def test_the_forms_take_their_keys_in_any_combination(pacs: dl.Peer) -> None:  # R4.4
    assert len(pacs.worklist(form="broad", Modality="MR", ScheduledProcedureStepStartDate=TODAY)) == 2
    assert len(pacs.worklist(form="broad", ScheduledStationAETitle=["DEMOCT1", "DEMOPT1"])) == 3
    assert len(pacs.worklist(form="patient", PatientID="DEMO-001", RequestedProcedureID="RP6")) == 1
    assert len(pacs.worklist(form="patient", PatientName="山田*")) == 2


def test_a_night_is_asked_for_as_two_stretches_of_one_day(pacs: dl.Peer) -> None:  # R3.5
    night = pacs.worklist(ScheduledProcedureStepStartDate=TODAY, ScheduledProcedureStepStartTime=("200000", "085959"))
    assert list(night.PatientID) == ["DEMO-001", "DEMO-004"] and night.attrs["queries"] == 2


def test_a_template_keeps_its_keys_and_the_call_goes_over_them(pacs: dl.Peer) -> None:  # R3.8, R4.2
    template, item = Dataset(), Dataset()
    item.Modality, item.ScheduledProcedureStepStatus = "CT", None
    template.ScheduledProcedureStepSequence = [item]
    steps = pacs.worklist(template=template)
    assert set(steps.Modality) == {"CT"} and len(steps) == 4 and "ScheduledProcedureStepStatus" in steps
    assert set(pacs.worklist(template=template, Modality="PT").Modality) == {"PT"}


def test_raw_rows_and_rows_as_they_come_are_there(pacs: dl.Peer) -> None:  # R0.1, R3.2
    seen: list[dict[str, Any]] = []
    steps = pacs.worklist(PatientID="DEMO-001", raw=True, on_match=seen.append)
    assert [one["Modality"] for one in seen] == ["CT", "CT"] and seen[0]["PatientName"] == "DOE^JANE"
    assert steps.dataset[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == "SPS1"
    each = pacs.each(None, model="worklist", Modality="PT")
    assert [one["ScheduledProcedureStepID"] for one in each] == ["SPS3"]


def test_the_limit_cuts_the_list_and_says_so(pacs: dl.Peer) -> None:  # R3.14
    with pytest.warns(errors.ResultWarning, match="cut at the limit of 3 rows"):
        steps = pacs.worklist(PatientName="", limit=3)
    assert len(steps) == 3 and "cut at the limit" in steps.attrs["cut"]


def test_a_worklist_is_asked_by_its_own_call_or_without_a_level(pacs: dl.Peer) -> None:
    with pytest.raises(errors.InvalidRequest, match="no levels"):
        pacs.find("STUDY", model="worklist", PatientID="1")
    assert len(pacs.find(None, model="worklist", PatientID="DEMO-001")) == 2


def test_hooks_see_the_worklist_and_may_stop_it(pacs: dl.Peer) -> None:  # R1.14
    names: list[str] = []
    pacs.hooks.add("after message", see := lambda event: names.append(event.name))
    try:
        pacs.worklist(PatientID="DEMO-001")
    finally:
        pacs.hooks.remove("after message", see)
    assert names == ["C-FIND-RQ", "C-FIND-RSP", "C-FIND-RSP", "C-FIND-RSP"]
    pacs.hooks.add("before C-FIND-RSP", stop := lambda event: event.cancel("enough"))
    try:
        with pytest.raises(errors.InvalidRequest, match="enough"):
            pacs.worklist(PatientID="DEMO-001")
    finally:
        pacs.hooks.remove("before C-FIND-RSP", stop)


def test_a_cancel_from_another_thread_keeps_the_steps_so_far() -> None:  # R4.6
    with dl.demo_pacs(schedule=schedule(), manners=Manners(pace=0.2), timeout=10) as pacs:
        seen: list[Any] = []

        def stop(step: dict[str, Any]) -> None:
            seen.append(step)
            if len(seen) == 2:
                threading.Thread(target=pacs.cancel).start()

        with pytest.warns(errors.ResultWarning, match="cancelled"):
            steps = pacs.worklist(PatientName="", on_match=stop)
    assert steps.attrs["cancelled"] and 2 <= len(steps) < 8


def test_a_question_in_the_background_is_a_job_that_stops_alone() -> None:  # R4.6, R15.3
    with dl.demo_pacs(schedule=schedule(), manners=Manners(pace=0.2), timeout=10) as pacs:
        with pytest.raises(errors.InvalidRequest, match="nothing was requested"):  # at once, in the caller
            pacs.worklist(background=True)
        seen: list[Any] = []
        one = pacs.worklist(PatientName="", background=True, on_match=seen.append)
        other = pacs.find("STUDY", PatientID="DEMO-00?", background=True)
        while one.progress.done < 2:
            one.wait(0.02)
        one.cancel()
        assert other.result().attrs["cancelled"] is False and len(other.result()) == 5
        with pytest.warns(errors.ResultWarning, match="cancelled"):
            steps = one.result()
    assert steps.attrs["cancelled"] and 2 <= len(steps) == len(seen) < 8
    assert "matches" in other.describe() and "MB" not in other.describe()
    assert "DEMO-" not in one.title


def test_a_peer_without_a_worklist_is_told_from_one_that_rejects_us() -> None:  # R4.8
    for manners in (Manners(), Manners(reject_unfit=True)):
        with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as pacs:
            with pytest.raises(errors.NoAcceptedContext, match="Modality Worklist"):
                pacs.worklist(PatientName="")
            if manners.reject_unfit:  # alone, the same class is a rejection that says nothing
                with pytest.raises(errors.AssociationRejected):
                    pacs.find(None, model="1.2.840.10008.5.1.4.31", PatientName="")


def step(**values: Any) -> Dataset:
    return match(**{"ScheduledProcedureStepStartDate": "20240401", "Modality": "CT", **values})


def test_a_match_of_several_steps_is_a_row_each_of_those_that_fit() -> None:  # R4.2
    both = match(PatientID="1", **{STEP: [step(Modality="CT"), step(Modality="MR", ScheduledProcedureStepID="B")]})
    with answering(both) as address:
        peer = dl.connect(address, timeout=10)
        assert list(peer.worklist(PatientID="1").Modality) == ["CT", "MR"]
        mr = peer.worklist(Modality="MR", PatientID="1", raw=True)
    assert list(mr.ScheduledProcedureStepID) == ["B"] and list(mr.PatientID) == ["1"]
    assert mr.dataset[0].ScheduledProcedureStepSequence[0].Modality == "MR"


def test_a_step_may_name_a_character_set_of_its_own() -> None:  # R3.18
    inner = step(SpecificCharacterSet="ISO_IR 144", ScheduledPerformingPhysicianName="Люкceмбypг")
    outer = match(SpecificCharacterSet="ISO_IR 100", PatientName="Müller", PatientID="1", **{STEP: [inner]})
    with answering(outer) as address:
        steps = dl.connect(address, timeout=10).worklist(PatientID="1")
    assert steps.PatientName[0] == "Müller" and steps.ScheduledPerformingPhysicianName[0] == "Люкceмбypг"


def test_matches_that_do_not_fit_are_left_out_and_the_key_is_named_as_it_was_given() -> None:  # R3.15
    ct, mr = (match(PatientID="1", **{STEP: [step(Modality=name)]}) for name in ("CT", "MR"))
    with answering(ct, mr) as address, pytest.warns(errors.ResultWarning, match="ignored the key Modality: one match"):
        steps = dl.connect(address, timeout=10).worklist(Modality="CT")
    assert list(steps.Modality) == ["CT"] and steps.attrs["ignored"] == ["Modality"]


def test_a_match_without_a_step_or_with_a_broken_one_is_a_row() -> None:  # R0.5
    broken = struct.pack("<HH2sH6s", 0x0010, 0x0020, b"LO", 6, b"broken")
    broken += struct.pack("<HH2sxxL16s", 0x0040, 0x0100, b"SQ", 16, b"no items at all!")

    def spoil(event: Any) -> None:
        if event.dataset() is not None and event.dataset().PatientID == "spoil":
            event.change(data=broken)

    with answering(match(PatientID="bare"), match(PatientID="spoil")) as address:
        peer = dl.connect(address, timeout=10)
        peer.hooks.add("before C-FIND-RSP", spoil)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            steps = peer.worklist(PatientName="")
    assert set(steps.PatientID) == {"bare", "broken"} and steps.Modality.isna().all()
    assert any("the step of match 2 cannot be read" in str(each.message) for each in caught)


def test_a_date_that_is_none_is_said_by_the_name_of_its_column() -> None:  # R3.19
    bad = match(PatientID="1", **{STEP: [step()]})
    bad[STEP].value[0]["ScheduledProcedureStepStartDate"]._value = "tomorrow"
    with answering(bad) as address, pytest.warns(errors.ResultWarning, match="ScheduledProcedureStepStartDate"):
        steps = dl.connect(address, timeout=10).worklist(PatientID="1")
    assert steps.ScheduledProcedureStepStartDate.isna().all()
    (problem,) = steps.attrs["problems"]
    assert (problem["column"], problem["text"]) == ("ScheduledProcedureStepStartDate", "tomorrow")


def test_from_a_step_to_the_earlier_studies_of_its_patient(pacs: dl.Peer) -> None:  # R3.21
    steps = pacs.worklist(ScheduledProcedureStepStartDate=TODAY, Modality="CT")
    priors = pacs.find("STUDY", PatientID=steps.PatientID)
    assert set(priors.PatientID) == {"DEMO-001"} and len(priors) == 2
    assert not set(priors.StudyInstanceUID) & set(steps.StudyInstanceUID)


@pytest.mark.parametrize("module", PARTS)
def test_the_examples_run(module: Any) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted and not failed
