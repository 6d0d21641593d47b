"""Relational queries: one C-FIND instead of a drill-down, and the same table (SPEC 3, R3.9, R3.10)."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from canned import Answers, archive, match
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.demo.manners import DCMQRSCP_KEYS
from dicomlab.net.association.node import Node, Quirks

QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SERIES", {"Modality": "MR"}),
    ("SERIES", {"PatientName": "Doe^P*", "Modality": "MR"}),
    ("SERIES", {"PatientID": ["77654033", "98890234"]}),
    ("SERIES", {"ModalitiesInStudy": "CT"}),
    ("IMAGE", {"PatientID": "98890234", "StudyDate": "20030505", "Modality": "MR"}),
    ("SERIES", {"PatientID": "NOBODY"}),
]


def requests(server: DemoServer, before: int) -> list[str]:
    return [item.service for item in server.transcript[before:]]


@pytest.mark.parametrize(("level", "keys"), QUESTIONS)
@pytest.mark.parametrize("model", ["study", "patient"])
def test_a_relational_query_gives_the_table_of_a_drill_down(level: str, keys: dict[str, Any], model: str) -> None:
    with (
        dl.demo_pacs(Holdings.t31(), timeout=10) as pacs,
        dl.demo_pacs(Holdings.t31(), manners=Manners(agree=(1,)), timeout=10) as relational,
    ):
        slow = pacs.find(level, model=model, **keys)
        fast = relational.find(level, model=model, **keys)
    pd.testing.assert_frame_equal(slow, fast)
    assert not slow.attrs["relational"]
    if "ModalitiesInStudy" not in keys:  # which the archive computes for a study, so that its level decides
        assert fast.attrs["relational"] and fast.attrs["queries"] <= 2
        assert slow.attrs["queries"] > 2 or slow.empty


def test_it_is_one_query_where_byte_1_was_agreed_and_a_drill_down_where_it_was_not() -> None:  # R3.10
    for agree, queries in (((1,), 1), ((0, 1), 7), ((), 7)):
        with dl.demo_pacs(Holdings.t31(), manners=Manners(agree=agree), timeout=10) as pacs:
            before = len(pacs._owner.server.transcript)
            series = pacs.find("SERIES", Modality="MR")
            assert len(series) == 7
            assert requests(pacs._owner.server, before) == ["A-ASSOCIATE", *["C-FIND"] * queries]
            assert series.attrs["relational"] is (queries == 1)


@pytest.mark.parametrize("manners", [Manners.dcmqrscp(), Manners.orthanc()], ids=["dcmqrscp", "orthanc"])
def test_the_quirk_of_a_node_asks_relationally_without_agreement(manners: Manners) -> None:  # R3.10
    with DemoServer(Holdings.t31(), manners=manners) as server:
        node = replace(Node.of(server.address), quirks=Quirks(relational=True))
        series = dl.connect(node, timeout=10).find("SERIES", Modality="MR")
    assert len(series) == 7 and series.attrs["relational"]


def test_a_node_that_refuses_it_after_all_is_asked_level_by_level() -> None:
    def answer(identifier: Dataset) -> Answers:
        if identifier.QueryRetrieveLevel == "STUDY":
            yield 0xFF00, match(StudyInstanceUID="1.2")
        elif not identifier.StudyInstanceUID:
            yield 0xA900, None
        else:
            yield 0xFF00, match(StudyInstanceUID="1.2", SeriesInstanceUID="1.2.3", Modality="MR")

    with archive(answer) as address:
        node = replace(Node.of(address), quirks=Quirks(relational=True))
        with pytest.warns(errors.ResultWarning, match="relational query .* 0xA900.* level by level"):
            series = dl.connect(node, timeout=10).find("SERIES", Modality="MR")
    assert list(series.SeriesInstanceUID) == ["1.2.3"] and not series.attrs["relational"]


def test_what_lacks_the_study_is_asked_level_by_level_and_no_row_is_doubled() -> None:
    series = [match(StudyInstanceUID="1.2", SeriesInstanceUID=f"1.2.{n}", Modality="MR") for n in range(1, 4)]

    def answer(identifier: Dataset) -> Answers:
        if identifier.QueryRetrieveLevel == "STUDY":
            yield 0xFF00, match(StudyInstanceUID="1.2")
        elif identifier.StudyInstanceUID:
            yield from ((0xFF00, one) for one in series)
        else:
            yield 0xFF00, series[0]
            yield 0xFF00, match(SeriesInstanceUID="1.2.2", Modality="MR")

    with (
        archive(answer, relational=True) as address,
        pytest.warns(errors.ResultWarning, match="came without StudyInstanceUID"),
    ):
        found = dl.connect(address, timeout=10).find("SERIES", Modality="MR")
    assert list(found.SeriesInstanceUID) == ["1.2.1", "1.2.2", "1.2.3"]


def test_an_archive_that_sends_on_after_a_c_cancel_is_asked_level_by_level_all_the_same() -> None:
    def answer(identifier: Dataset) -> Answers:
        if identifier.QueryRetrieveLevel == "STUDY":
            yield 0xFF00, match(StudyInstanceUID="1.2")
        elif identifier.StudyInstanceUID:
            yield 0xFF00, match(StudyInstanceUID="1.2", SeriesInstanceUID="1.2.1", Modality="MR")
        else:
            for _ in range(25):
                time.sleep(0.1)  # longer than the grace time of a C-CANCEL in all
                yield 0xFF00, match(SeriesInstanceUID="1.2.1", Modality="MR")

    with (
        archive(answer, relational=True) as address,
        pytest.warns(errors.ResultWarning, match="came without StudyInstanceUID"),
    ):
        found = dl.connect(address, timeout=10).find("SERIES", Modality="MR")
    assert list(found.SeriesInstanceUID) == ["1.2.1"]


def test_that_an_answer_was_cut_which_is_not_used_is_not_said_of_the_table() -> None:
    few = {**DCMQRSCP_KEYS, "STUDY": DCMQRSCP_KEYS["STUDY"] - {"AccessionNumber"}}
    manners = Manners(agree=(1,), known_keys=few, counts=False, response_limit=6)
    with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as pacs, warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ResultWarning)
        series = pacs.find("SERIES", AccessionNumber="2", Modality="MR")
    assert len(series) == 7 and series.attrs["cut"] is None and not series.attrs["relational"]


def test_one_series_uid_in_two_studies_is_two_rows() -> None:
    """Archives hold such; a row is its address."""

    def answer(identifier: Dataset) -> Answers:
        for study in ("1.2", "1.3"):
            yield 0xFF00, match(StudyInstanceUID=study, SeriesInstanceUID="1.9", Modality="MR")

    with archive(answer, relational=True) as address:
        found = dl.connect(address, timeout=10).find("SERIES", Modality="MR")
    assert list(found.StudyInstanceUID) == ["1.2", "1.3"]


def test_an_answer_without_a_key_of_a_level_above_is_asked_level_by_level() -> None:
    few = {**DCMQRSCP_KEYS, "STUDY": DCMQRSCP_KEYS["STUDY"] - {"AccessionNumber"}}
    manners = Manners(agree=(1,), known_keys=few, counts=False)
    with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as pacs:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            series = pacs.find("SERIES", AccessionNumber="2", Modality="MR")
        assert any("came without AccessionNumber), so it was asked level" in str(one.message) for one in caught)
        assert len(series) == 7 and series.attrs["unverified"] == ["AccessionNumber"]
        assert series.SeriesInstanceUID.is_unique


def test_numbers_that_a_relational_answer_leaves_out_are_asked_for_once_more() -> None:
    """Orthanc gives the numbers of a study at STUDY level alone."""
    with dl.demo_pacs(Holdings.t31(), manners=Manners(agree=(1,), counts=False), timeout=10) as pacs:
        series = pacs.find("SERIES", PatientID="*", counts=True)
    assert series.NumberOfSeriesRelatedInstances.sum() == 31


def test_the_limit_cuts_a_relational_answer_and_the_association_goes_on() -> None:  # R3.14
    with dl.demo_pacs(Holdings.t31(), manners=Manners(agree=(1,)), timeout=10) as pacs:
        assert pacs.find("SERIES", PatientID="*", limit=13).attrs["cut"] is None
        with pytest.warns(errors.ResultWarning, match="cut at the limit of 12"):
            assert len(pacs.find("SERIES", PatientID="*", limit=12)) == 12


def test_matches_come_one_by_one_from_a_relational_answer_too() -> None:  # R3.2
    with dl.demo_pacs(Holdings.t31(), manners=Manners(agree=(1,)), timeout=10) as pacs, warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = [row["Modality"] for row in pacs.each("SERIES", Modality="MR")]
    assert rows == ["MR"] * 7
