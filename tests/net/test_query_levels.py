"""A drill-down where a level is cut, ignores a key or says too little (SPEC 3, R3.14, R3.15)."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from canned import Answers, archive, match
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings, Manners

ST = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"


def series_of(study: str, *modalities: str) -> Answers:
    for number, modality in enumerate(modalities):
        yield 0xFF00, match(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.{number}", Modality=modality)


@pytest.mark.parametrize(("limit", "patient", "rows"), [(4, "*", None), (2, "77654033", 3)], ids=["studies", "series"])
def test_a_limit_of_the_archive_at_one_level_marks_the_whole_table(  # R3.14, 0xB001
    limit: int, patient: str, rows: int | None
) -> None:
    """Of the six studies four come; of the two studies of the other patient one has three series, one has one."""
    with (
        dl.demo_pacs(Holdings.t31(), manners=Manners(response_limit=limit), timeout=10) as pacs,
        pytest.warns(errors.ResultWarning, match=r"cut by the archive.*0xB001.*narrow the question"),
    ):
        series = pacs.find("SERIES", PatientID=patient)
    assert "0xB001" in series.attrs["cut"]
    assert len(series) == rows if rows else series.StudyInstanceUID.nunique() == 4 == series.attrs["queries"] - 1


def test_studies_that_fail_a_key_are_left_out_before_their_series_are_asked_for() -> None:  # R3.15
    asked: list[str] = []

    def answer(identifier: Dataset) -> Answers:
        if identifier.QueryRetrieveLevel == "STUDY":  # whatever date is asked for
            yield 0xFF00, match(StudyInstanceUID="1.2", StudyDate="20240101")
            yield 0xFF00, match(StudyInstanceUID="1.3", StudyDate="20200101")
            yield 0xFF00, match(StudyInstanceUID="1.4", StudyDate="")
        else:
            asked.append(identifier.StudyInstanceUID)
            yield from series_of(identifier.StudyInstanceUID, "CT")

    with (
        archive(answer) as address,
        pytest.warns(errors.ResultWarning, match="ignored the key StudyDate: 2 matches that do not fit"),
    ):
        series = dl.connect(address, timeout=10).find("SERIES", StudyDate="20240101-", Modality="CT")
    assert asked == ["1.2"] and list(series.StudyInstanceUID) == ["1.2"]
    assert series.attrs["ignored"] == ["StudyDate"]


def test_a_key_that_no_study_answers_leaves_none_out_and_is_said() -> None:  # R3.15
    def answer(identifier: Dataset) -> Answers:
        if identifier.QueryRetrieveLevel == "STUDY":
            yield from ((0xFF00, match(StudyInstanceUID=study)) for study in ("1.2", "1.3"))
        else:
            yield from series_of(identifier.StudyInstanceUID, "CT")

    with archive(answer) as address, pytest.warns(errors.ResultWarning, match="gave no AccessionNumber back"):
        series = dl.connect(address, timeout=10).find("SERIES", AccessionNumber="7", Modality="CT")
    assert len(series) == 2 and series.attrs["unverified"] == ["AccessionNumber"]


def test_who_asks_studies_by_modality_hears_what_studies_have() -> None:  # R3.10
    def answer(identifier: Dataset) -> Answers:
        yield 0xFF00, match(StudyInstanceUID="1.2")

    with archive(answer) as address, pytest.warns(errors.ResultWarning, match="of studies ask ModalitiesInStudy"):
        dl.connect(address, timeout=10).find("STUDY", Modality="CT")


@pytest.mark.parametrize("model", ["study", "patient"])
def test_modalities_and_numbers_are_found_in_each_model(model: str) -> None:  # R3.10a, R3.15
    """dcmqrscp says neither; a query below PATIENT in Patient Root needs the PatientID too."""
    with (
        dl.demo_pacs(Holdings.t31(), manners=Manners.dcmqrscp(), timeout=10) as pacs,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        before = len(pacs._owner.server.transcript)
        studies = pacs.find("STUDY", model=model, PatientID="98890234", ModalitiesInStudy="MR", counts=True)
        sent = [item.identifier for item in pacs._owner.server.transcript[before:] if item.service == "C-FIND"]
        series = pacs.find("SERIES", model=model, StudyInstanceUID=ST, counts=True)
    assert sorted(studies.NumberOfStudyRelatedInstances) == [2, 4, 11] and set(studies.ModalitiesInStudy) == {"MR"}
    assert sorted(series.NumberOfSeriesRelatedInstances) == [1, 3, 7]
    below = [one for one in sent if one.QueryRetrieveLevel in ("SERIES", "IMAGE")]
    assert [one.get("PatientID") for one in below] == [None if model == "study" else "98890234"] * len(below)
    assert studies.attrs["queries"] == len(sent)


def test_a_model_without_series_cannot_decide_and_says_so() -> None:  # R3.15
    with (
        dl.demo_pacs(Holdings.t31(), manners=Manners.dcmqrscp(), timeout=10) as pacs,
        pytest.warns(errors.ResultWarning, match="gave no ModalitiesInStudy back"),
    ):
        studies = pacs.find("STUDY", model="patient-study-only", PatientID="98890234", ModalitiesInStudy="MR")
    assert len(studies) == 4


def test_a_number_is_not_counted_from_a_list_that_was_cut() -> None:  # R3.10a
    manners = replace(Manners.dcmqrscp(), response_limit=5)
    with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as pacs:
        series = pacs.find("SERIES", StudyInstanceUID=ST, counts=True)
    assert sorted(series.NumberOfSeriesRelatedInstances.dropna()) == [1, 3] and len(series) == 3  # not 5 for 7
