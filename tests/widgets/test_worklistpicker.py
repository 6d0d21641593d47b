"""The worklist with the mouse, without a browser: what its buttons do, keep and say (R15.2, R15.7)."""

from __future__ import annotations

import datetime as dt
import doctest
import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ipywidgets
import pandas as pd
import pytest
from canned import Answers, archive, match
from pydicom.dataset import Dataset

import dicomlab as dl
import dicomlab.widgets.priors
import dicomlab.widgets.worklistpicker
from dicomlab.demo import Holdings, Manners
from dicomlab.demo.schedule import schedule
from dicomlab.errors import InvalidRequest
from dicomlab.widgets.priors import earlier, patients

PATIENTS = ["DEMO-001", "DEMO-002", "DEMO-003", "DEMO-005", "DEMO-004"]


@pytest.fixture(scope="module")
def pacs() -> Iterator[dl.Peer]:
    with dl.demo_pacs(timeout=10) as peer:
        yield peer


@pytest.fixture
def today(pacs: dl.Peer) -> Iterator[Any]:
    picker = dl.worklist(pacs)
    yield picker
    picker.close()


def said(picker: Any) -> str:
    """The line under the form."""
    return str(picker.form.content()["status"])


def test_the_form_has_a_field_for_each_key_of_both_query_forms_and_begins_with_today(today: Any) -> None:  # R4.4
    from dicomlab.queries.worklistkeys import FORMS

    assert set(today.form.fields) == FORMS["patient"] | FORMS["broad"]
    assert today.form.keywords == {"ScheduledProcedureStepStartDate": f"{dt.date.today():%Y%m%d}"}
    assert len(today.children) == 1  # no table before there is one


def test_a_query_fills_the_table_and_what_is_chosen_is_a_worklist_again(pacs: dl.Peer, today: Any) -> None:  # R15.7
    today.form.submit()
    assert today.wait(10)
    assert list(today.table.PatientID) == PATIENTS and said(today) == "5 scheduled steps"
    today.steps.choose([1])
    assert today.selected.PatientName[1].startswith("Yamada") and today.selected.attrs["form"] == "broad"
    assert "5 scheduled procedure steps, 1 chosen" in today.summary and "Yamada" in repr(today)
    pd.testing.assert_frame_equal(
        today.selected, pacs.worklist(ScheduledProcedureStepStartDate=dt.date.today()).iloc[[1]], check_like=True
    )


def test_the_earlier_studies_of_the_chosen_patients_are_the_newest_first_and_can_be_retrieved(
    pacs: dl.Peer, today: Any
) -> None:  # R15.2
    today.query()
    today.wait(10)
    today.steps.choose([0])
    today.look()
    assert today.wait(10)
    assert today.priors.table.StudyDate.dt.year.tolist() == [2024, 2023]
    today.priors.choose([1])
    assert len(pacs.retrieve(today.priors.selected)) == 32
    today.steps.choose([3])  # another patient: those are no longer the studies of the chosen one
    assert len(today.priors.table) == 0 and today.priors not in today.children
    today.look()
    today.wait(10)
    assert today._said.text == "no earlier study"


def test_the_lines_of_code_give_the_same_without_the_mouse(pacs: dl.Peer, today: Any) -> None:
    today.form.set(ScheduledProcedureStepStartDate="", Modality="CT")
    today.query()
    today.wait(10)
    today.steps.choose(today.table.PatientID == "DEMO-001")
    names: dict[str, Any] = {"pacs": pacs}
    exec(str(today.code()), names)
    pd.testing.assert_frame_equal(names["selected"], today.selected)
    assert len(names["studies"]) == 2


def test_nothing_is_asked_where_nothing_is_filled_in_or_wrong_and_it_is_said(pacs: dl.Peer, today: Any) -> None:  # R4.5
    before = len(pacs._owner.server.transcript)
    today.form.clear()
    today.form.submit()
    assert "Fill in a day, a modality" in said(today)
    today.look()
    assert "Choose at least one step" in today._said.text
    with pytest.raises(InvalidRequest, match="no field"):
        dl.worklist(pacs, PatientSex="F")
    assert len(pacs._owner.server.transcript) == before


def test_what_a_peer_refuses_is_said_under_the_form(capsys: pytest.CaptureFixture[str]) -> None:  # R15.11
    with dl.demo_pacs(Holdings(), timeout=10) as peer:
        picker = dl.worklist(peer)
        picker.query()
        assert picker.wait(10)
        assert "Modality Worklist" in said(picker) and "not accepted" in said(picker)
        picker.close()
    assert not capsys.readouterr().err  # shown once


def test_what_came_before_a_failure_is_shown_with_the_failure() -> None:  # R0.5
    def answer(identifier: Dataset) -> Answers:
        yield 0xFF00, match(PatientID="came", ScheduledProcedureStepSequence=[match(Modality="CT")])
        yield 0xC001, None

    with archive(answer) as address:
        picker = dl.worklist(dl.connect(address, timeout=10))
        picker.query()
        assert picker.wait(10)
        assert list(picker.table.PatientID) == ["came"]
        assert said(picker).startswith("1 scheduled step; ") and "0xC001" in said(picker)
        picker.close()


def test_stop_keeps_the_steps_that_came_and_says_so() -> None:
    with dl.demo_pacs(schedule=schedule(), manners=Manners(pace=0.3), timeout=10) as peer:
        picker = dl.worklist(peer, PatientName="*")
        picker.query()
        while picker._job.progress.done < 2:
            picker._job.wait(0.02)
        picker.stop()
        assert picker.wait(10)
        assert 2 <= len(picker.table) < 8 and "cancelled after" in said(picker)


def test_another_question_takes_the_place_of_the_one_that_runs() -> None:
    manners = Manners(pace=0.3)
    with dl.demo_pacs(schedule=schedule(), manners=manners, timeout=10) as peer:
        picker = dl.worklist(peer, PatientName="*")
        picker.query()
        peer._owner.server.manners = replace(manners, pace=0.0)
        picker.form.set(PatientName="", Modality="PT")
        picker.query()
        assert picker.wait(10) and list(picker.table.Modality) == ["PT"] and said(picker) == "1 scheduled step"
        picker.query()
        picker.close()  # ends it too
        assert not [job for job in peer.jobs if not job.wait(5)]


def test_the_archive_of_the_studies_may_be_another_peer(pacs: dl.Peer) -> None:
    with dl.demo_pacs(Holdings(), schedule=schedule(), timeout=10) as ris:
        picker = dl.worklist(ris, pacs, PatientID="DEMO-002")
        picker.query()
        picker.wait(10)
        picker.steps.choose([0])
        picker.look()
        picker.wait(10)
    assert picker.priors.table.attrs["peer"] == pacs.node.identity and len(picker.priors.table) == 1
    assert 'studies = archive.find("STUDY"' in picker.code()


def test_nothing_of_the_answers_or_of_what_is_typed_in_is_kept_in_a_notebook(today: Any) -> None:  # R15.10
    today.form.set(PatientName="DOE*")
    today.query()
    today.wait(10)
    today.steps.choose([0])
    today.look()
    today.wait(10)
    kept = json.dumps(ipywidgets.Widget.get_manager_state(), default=str)
    assert not [text for text in ("DOE", "DEMO-001", "A24-0001", "thorax") if text in kept]
    assert "DOE" not in today.summary


def test_hidden_names_stay_hidden(pacs: dl.Peer) -> None:  # R0.6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tables that other tests made before
        dl.options.phi = False
    try:
        picker = dl.worklist(pacs, PatientID="DEMO-001")
        picker.query()
        picker.wait(10)
        picker.steps.choose([0])
        picker.look()
        picker.wait(10)
        assert len(picker.priors.table) == 2 and "DOE" not in repr(picker) and "hidden-" in repr(picker)
    finally:
        dl.options.phi = True


def steps(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"PatientID": ["1"], "StudyInstanceUID": ["1.9"], **more}).astype("string")


def test_a_study_of_another_issuer_or_birth_date_is_not_taken_for_the_patients(  # R3.21, DESIGN 1
) -> None:
    found = pd.DataFrame(
        {
            "PatientID": ["1", "1", "1", "2", "1"],
            "StudyInstanceUID": ["1.1", "1.2", "1.3", "1.4", "1.9"],
            "IssuerOfPatientID": ["HERE", "THERE", None, "HERE", "HERE"],
            "PatientBirthDate": ["1960", "1960", "1999", "1960", "1960"],
        },
        dtype="string",
    )
    mine, remarks = earlier(found, steps(IssuerOfPatientID=["HERE"], PatientBirthDate=["1960"]))
    assert list(mine.StudyInstanceUID) == ["1.1", "1.3"]
    assert remarks == [
        "one study is of that PatientID by another issuer, and left out",
        "one study is of another birth date than the step: see whether it is the same patient",
    ]
    mine, remarks = earlier(found, steps())
    assert list(mine.StudyInstanceUID) == ["1.1", "1.2", "1.3"] and not remarks


def test_a_step_without_a_patient_id_leads_to_no_question() -> None:
    with pytest.raises(InvalidRequest, match="names no PatientID"):
        patients(pd.DataFrame({"PatientID": ["1", None]}, dtype="string"))


@pytest.mark.parametrize("module", [dicomlab.widgets.priors, dicomlab.widgets.worklistpicker])
def test_the_examples_run(module: Any) -> None:
    with warnings.catch_warnings():
        failed, attempted = doctest.testmod(module)
    assert attempted and not failed
