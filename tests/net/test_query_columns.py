"""Each key has its column, however it was given, and a row its value (SPEC 3, R3.2, R3.3)."""

from __future__ import annotations

from typing import Any

import pytest
from canned import WORKLIST, Answers, archive, match
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.demo import Holdings

STEP = "ScheduledProcedureStepSequence"


@pytest.mark.parametrize("key", ["PatientName", "00100010", "(0010,0010)", "(0010, 0010)"])
def test_a_key_by_tag_has_the_column_of_its_keyword(key: str) -> None:
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        studies = pacs.find("STUDY", **{key: "Doe^P*"})
        patients = [row["PatientName"] for row in pacs.each("STUDY", **{key: "Doe^P*"})]
    assert key == "PatientName" or key not in studies
    assert list(studies.PatientName) == ["Doe^Peter"] * 4 == patients


def test_a_key_by_tag_is_checked_against_the_rows_too() -> None:  # R3.15
    def answer(identifier: Dataset) -> Answers:
        for number in ("1", "2"):
            yield 0xFF00, match(StudyInstanceUID=f"1.2.{number}", AccessionNumber=number)

    with archive(answer) as address, pytest.warns(dl.errors.ResultWarning, match="ignored the key AccessionNumber"):
        studies = dl.connect(address, timeout=10).find("STUDY", **{"00080050": "2"})
    assert list(studies.AccessionNumber) == ["2"]


def test_a_private_key_has_a_column_by_its_tag() -> None:
    def answer(identifier: Dataset) -> Answers:
        yield 0xFF00, match(StudyInstanceUID="1.2")

    with archive(answer) as address:
        studies = dl.connect(address, timeout=10).find("STUDY", StudyInstanceUID="1.2", **{"(0009,1001)": ""})
        (row,) = dl.connect(address, timeout=10).each("STUDY", StudyInstanceUID="1.2", **{"(0009,1001)": ""})
    assert studies["(0009,1001)"].isna().all() and row["(0009,1001)"] is None


def scheduled(identifier: Dataset) -> Answers:
    step = match(Modality="MR", ScheduledStationAETitle=["AB45", "DD56"], ScheduledProcedureStepStartDate="19960406")
    yield 0xFF00, match(PatientID="1", **{STEP: [step]})
    yield 0xFF00, match(PatientID="2", **{STEP: []})


QUESTIONS: list[dict[str, Any]] = [
    {f"{STEP}[0].{name}": "" for name in ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate")},
    {STEP: {"Modality": "", "ScheduledStationAETitle": "", "ScheduledProcedureStepStartDate": ""}},
    {f"(0040,0100)[0].{name}": "" for name in ("(0008,0060)", "00400001", "ScheduledProcedureStepStartDate")},
]


@pytest.mark.parametrize("keys", QUESTIONS, ids=["paths", "mapping", "tags"])
def test_what_is_in_a_sequence_is_a_flat_typed_column(keys: dict[str, Any]) -> None:  # R4.2
    with archive(scheduled) as address:
        peer = dl.connect(address, timeout=10)
        steps = peer.find(None, model=WORKLIST, PatientID="", **keys)
        first, second = peer.each(None, model=WORKLIST, PatientID="", **keys)
    assert steps[f"{STEP}[0].Modality"].tolist()[0] == "MR" and steps[f"{STEP}[0].Modality"].isna().tolist()[1]
    assert steps[f"{STEP}[0].ScheduledStationAETitle"][0] == ("AB45", "DD56")
    assert steps[f"{STEP}[0].ScheduledProcedureStepStartDate"][0].year == 1996
    assert len(steps.columns) == 4
    assert first[f"{STEP}[0].Modality"] == "MR" and second[f"{STEP}[0].Modality"] is None


def test_a_template_gives_a_column_for_each_attribute_in_its_sequences() -> None:  # R3.8
    template = match(PatientID="", SpecificCharacterSet="ISO_IR 100", **{STEP: [match(Modality="")]})
    with archive(scheduled) as address:
        steps = dl.connect(address, timeout=10).find(None, model=WORKLIST, template=template)
    assert list(steps.columns) == ["PatientID", f"{STEP}[0].Modality"]


def test_a_match_in_the_second_item_of_a_sequence_is_kept() -> None:
    """The column shows the first item, and any item may match."""

    def answer(identifier: Dataset) -> Answers:
        for number, names in enumerate((("A", "B"), ("C",), ("B",))):
            yield 0xFF00, match(
                StudyInstanceUID="1.2",
                SeriesInstanceUID=f"1.2.{number}",
                RequestAttributesSequence=[match(RequestedProcedureID=name) for name in names],
            )

    with (
        archive(answer, relational=True) as address,
        pytest.warns(dl.errors.ResultWarning, match="one match that does not fit was left out"),
    ):
        found = dl.connect(address, timeout=10).find(
            "SERIES", StudyInstanceUID="1.2", **{"RequestAttributesSequence[0].RequestedProcedureID": "B"}
        )
    assert list(found["RequestAttributesSequence[0].RequestedProcedureID"]) == ["A", "B"]
