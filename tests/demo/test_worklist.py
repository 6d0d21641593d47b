"""The worklist of the embedded PACS, asked by a requestor that is not ours (R16.6)."""

from __future__ import annotations

import datetime as dt
import doctest
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicomlab.demo import DemoServer, Holdings, Manners, phantom
from dicomlab.demo import schedule as generated
from dicomlab.demo.schedule import schedule

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
assert _place is not None and _place.loader is not None
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)
associated, identifier = scu.associated, scu.identifier
WORKLIST = "1.2.840.10008.5.1.4.31"
DAY = dt.date(2024, 4, 1)
STEP = "ScheduledProcedureStepSequence"


def asked(server: Any, keys: Dataset) -> tuple[int, list[Dataset]]:
    with associated(server, WORKLIST) as association:
        assert association.is_established
        answers = list(association.send_c_find(keys, WORKLIST))
    return answers[-1][0].Status, [found for _, found in answers[:-1] if found is not None]


def of_step(**keys: Any) -> Dataset:
    return identifier(None, PatientID="", **{STEP: [identifier(None, **keys)]})


@pytest.fixture(scope="module")
def server():
    with DemoServer(Holdings(), schedule=schedule(today=DAY)) as server:
        yield server


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        ({"Modality": ""}, 8),
        ({"Modality": "CT"}, 4),
        ({"ScheduledStationAETitle": "DEMOCT2"}, 3),  # one step has two stations
        ({"ScheduledProcedureStepStartDate": "20240401"}, 5),
        ({"ScheduledProcedureStepStartDate": "-20240331"}, 1),
        ({"ScheduledProcedureStepStartDate": "20240401", "ScheduledProcedureStepStartTime": "0900-1200"}, 3),
        ({"ScheduledPerformingPhysicianName": "tech*"}, 8),
        ({"ScheduledProtocolCodeSequence": [identifier(None, CodeValue="24590-2")]}, 3),
    ],
)
def test_keys_inside_the_sequence_match_its_item(server: DemoServer, keys: dict[str, Any], rows: int) -> None:
    status, found = asked(server, of_step(**keys))
    assert status == 0x0000 and len(found) == rows


def test_ranges_of_date_and_time_are_one_period_or_two_keys() -> None:  # as wlmscpfs and Orthanc have it
    keys = of_step(ScheduledProcedureStepStartDate="20240401-20240402", ScheduledProcedureStepStartTime="1000-0815")
    for manners, rows in ((Manners.wlmscpfs(), 4), (Manners.orthanc(), 0)):
        with DemoServer(Holdings(), manners=manners, schedule=schedule(today=DAY)) as server:
            assert len(asked(server, keys)[1]) == rows


def test_what_is_asked_for_comes_back_and_nothing_else(server: DemoServer) -> None:
    code = identifier(None, CodeMeaning="")
    keys = of_step(Modality="PT", ScheduledProcedureStepID="", ScheduledProtocolCodeSequence=[code], PreMedication="")
    _, (found,) = asked(server, keys)
    (item,) = found[STEP].value
    assert (found.PatientID, found.SpecificCharacterSet) == ("DEMO-003", "ISO_IR 100")
    assert item.ScheduledProcedureStepID == "SPS3"
    assert item.ScheduledProtocolCodeSequence[0].CodeMeaning == "PET whole body"
    assert "CodeValue" not in item.ScheduledProtocolCodeSequence[0] and item["PreMedication"].is_empty
    assert "PatientName" not in found and "ScheduledStationAETitle" not in item


def test_a_sequence_without_keys_asks_for_all_of_its_items(server: DemoServer) -> None:
    _, (found, _) = asked(server, identifier(None, PatientID="DEMO-001", **{STEP: []}))
    assert found[STEP].value[0].Modality == "CT"


def test_a_server_without_a_schedule_has_no_worklist() -> None:
    for manners, rejected in ((Manners(), False), (Manners.wlmscpfs(), True)):
        with DemoServer(Holdings(), manners=manners) as server, associated(server, WORKLIST) as association:
            assert not association.is_established and association.is_rejected is rejected


def test_a_list_is_cut_with_0xb001() -> None:
    manners = replace(Manners(), response_limit=2)
    with DemoServer(Holdings(), manners=manners, schedule=schedule(today=DAY)) as server:
        status, found = asked(server, identifier(None, PatientName=""))
    assert (status, len(found)) == (0xB001, 2)


def test_patients_of_the_schedule_are_those_of_the_phantoms_or_new() -> None:
    known = {each["PatientID"] for each in phantom.PATIENTS.values()}
    entries = schedule(seed=3, today=DAY)
    assert {entry.PatientID for entry in entries} - known == {"DEMO-005"}
    studies = {each.StudyInstanceUID for each in phantom.truths(3).values()}
    assert not studies & {entry.StudyInstanceUID for entry in entries}
    failed, attempted = doctest.testmod(generated)
    assert attempted and not failed
