"""A form for the keys of a query: fields by VR, keywords as find takes them, and nothing of it in a notebook."""

from __future__ import annotations

import doctest
import json

import pytest

import dicomlab as dl
import dicomlab.widgets.form
from dicomlab.errors import InvalidRequest
from dicomlab.queries.keys import key_of
from dicomlab.widgets.form import USUAL, Field, Form
from dicomlab.widgets.unsaved import Said


def says(widget, **message) -> list[dict]:
    """As if the browser said it; gives what it is answered."""
    answers: list[dict] = []
    widget.send = lambda content, buffers=None: answers.append(content)
    widget._handle_custom_msg(message, [])
    return answers


@pytest.mark.parametrize("level", USUAL)
def test_the_usual_keys_of_a_level_can_be_asked_at_that_level(level):
    form = dl.Form(level)
    assert form.keywords == {} and form.code() == f'pacs.find("{level}")'
    assert [one.key for one in form.fields.values()] == list(USUAL[level])


@pytest.mark.parametrize(
    ("keyword", "kind", "hint"),
    [
        ("StudyDate", "date", ""),
        ("StudyTime", "time", ""),
        ("PatientName", "text", "DOE* (* for any letters, ? for one)"),
        ("StudyDescription", "text", "* for any letters, ? for one"),
        ("StudyInstanceUID", "text", "digits and dots"),
        ("InstanceNumber", "text", "a number"),
        ("Modality", "choice", "others"),
        ("ScheduledProcedureStepSequence[0].Modality", "choice", "others"),
        ("ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate", "date", ""),
    ],
)
def test_the_vr_makes_the_field_and_only_what_takes_wild_cards_offers_them(keyword, kind, hint):  # PS3.4 C.2.2.2.4
    made = Field.of(key_of(keyword))
    assert (made.kind, made.hint) == (kind, hint)


def test_what_is_typed_in_is_what_find_takes_and_the_code_asks_the_same():
    with dl.demo_pacs() as pacs:
        form = dl.Form("STUDY")
        answers = says(
            form,
            kind="entered",
            entered={
                "PatientName": " DOE* ",
                "StudyDate": ["2024-01-01", "2024-12-31"],
                "ModalitiesInStudy": ["CT"],
                "AccessionNumber": "",
                "StudyDescription": "  ",
            },
        )
        assert form.keywords == {"PatientName": "DOE*", "StudyDate": "20240101-20241231", "ModalitiesInStudy": "CT"}
        assert answers == [{"kind": "remarks", "problems": {}, "code": str(form.code())}]
        found = eval(form.code(), {"pacs": pacs})
        assert found.equals(pacs.find("STUDY", **form.keywords)) and list(found.PatientID) == ["DEMO-001"]


@pytest.mark.parametrize(
    ("ends", "value"),
    [
        (["2024-01-31", "2024-01-31"], "20240131"),
        (["2024-01-31", ""], "20240131-"),
        (["", "2024-01-31"], "-20240131"),
    ],
)
def test_a_date_is_one_day_or_a_range_with_one_end_open(ends, value):  # PS3.4 C.2.2.2.5
    form = dl.Form("STUDY")
    says(form, kind="entered", entered={"StudyDate": ends})
    assert form.keywords == {"StudyDate": value}
    other = dl.Form("STUDY")
    other.set(StudyDate=value)
    assert other.keywords == {"StudyDate": value} and other._entered == {"StudyDate": ends}


@pytest.mark.parametrize(
    ("keyword", "value", "given"),
    [
        ("StudyTime", "0800-1200", "0800-1200"),
        ("StudyTime", "080005-120000", "080005-120000"),
        ("Modality", ["CT", "MR"], ["CT", "MR"]),
        ("Modality", ["CT", "XX"], "CT\\XX"),
        ("PatientName", "DOE^JANE", "DOE^JANE"),
        ("InstanceNumber", "7", 7),
        ("StudyInstanceUID", "1.2\\1.3", ["1.2", "1.3"]),
    ],
)
def test_a_field_filled_in_from_python_gives_back_what_it_was_given(keyword, value, given):  # R15.7
    form = dl.Form([keyword])
    form.set(**{keyword: given})
    assert form.keywords == {keyword: value}
    form.clear()
    assert form.keywords == {}


def test_keys_inside_a_sequence_have_a_name_and_a_label_of_their_own():
    path = "ScheduledProcedureStepSequence[0].Modality"
    form = dl.Form(["PatientID", path], call="pacs.worklist(", labels={path: "modality"}, names={path: "Modality"})
    form.set(Modality="CT", PatientID="7")
    assert form.keywords == {"PatientID": "7", "Modality": "CT"} and form.fields[path].label == "modality"
    assert form.code() == "pacs.worklist(PatientID='7', Modality='CT')"
    plain = dl.Form([path], call="pacs.worklist(")
    plain.set(**{path: "CT"})
    assert plain.code() == f"pacs.worklist(**{{'{path}': 'CT'}})"


def test_what_is_wrong_is_said_at_its_field_and_nothing_is_asked():  # R15.11
    form, asked = dl.Form(["StudyInstanceUID", "StudyDate"]), []
    form.on_submit(lambda form: asked.append(form.keywords))
    entered = {"StudyInstanceUID": "1.2.x", "StudyDate": ["2024-03-01", "2024-01-01"]}
    remarks, = says(form, kind="submit", entered=entered)
    assert not asked and remarks["code"] == ""
    assert "is no UID" in remarks["problems"]["StudyInstanceUID"] and "inverted" in remarks["problems"]["StudyDate"]
    with pytest.raises(InvalidRequest, match="is no UID"):
        form.keywords
    says(form, kind="submit", entered={"StudyInstanceUID": "1.2"})
    assert asked == [{"StudyInstanceUID": "1.2"}]


def test_an_error_of_what_is_asked_is_shown_in_words():  # R15.11
    form = dl.Form("STUDY")
    with dl.demo_pacs() as pacs:
        form.on_submit(lambda form: pacs.find("STUDY", **form.keywords))
        answers = says(form, kind="submit", entered={})
    assert answers[-1]["status"].startswith("nothing was requested. Give a key") and not answers[-1]["busy"]


def test_what_is_typed_in_is_no_state_of_the_form():  # R15.10
    form = dl.Form("STUDY")
    form.set(PatientName="SECRET^NAME")
    form.say("SECRET^NAME was found")
    said = Said("SECRET^NAME")
    for widget in (form, said):
        assert "SECRET" not in json.dumps(widget.get_state(), default=str) and "SECRET" not in widget.summary
    (content,) = says(form, kind="ready")
    assert content["entered"]["PatientName"] == "SECRET^NAME" and content["status"] == "SECRET^NAME was found"
    assert says(said, kind="ready") == [{"kind": "content", "text": "SECRET^NAME"}]
    assert repr(form) == "Form pacs.find(\"STUDY\", PatientName='SECRET^NAME')"


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("STUDIES", "no query level"),
        ([], "without keys"),
        (["PatientNmae"], "PatientName"),
        (["RequestAttributesSequence"], "is a sequence"),
    ],
)
def test_a_form_of_what_are_no_keys_is_refused(keys, why):  # R0.4
    with pytest.raises(InvalidRequest, match=why):
        Form(keys)


def test_a_field_that_is_none_or_cannot_hold_it_is_refused():  # R0.4
    form = dl.Form("STUDY")
    with pytest.raises(InvalidRequest, match="no field 'PatientNmae', did you mean 'PatientName'"):
        form.set(PatientNmae="DOE")
    with pytest.raises(InvalidRequest, match="one date or range"):
        form.set(StudyDate=["20240101", "20240105"])
    with pytest.raises(InvalidRequest, match="not the number 7"):
        form.set(PatientID=7)
    assert form.keywords == {}


def test_the_examples_run():
    failed, attempted = doctest.testmod(dicomlab.widgets.form)
    assert attempted and not failed
