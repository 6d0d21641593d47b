"""Query against the embedded PACS (SPEC 3)."""

from __future__ import annotations

import json
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from support import Stopwatch

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings, Manners
from dicomlab.demo.manners import DCMQRSCP_KEYS

PREFIX = "1.3.6.1.4.1.5962.1.1.0.0.0."
ST = f"{PREFIX}1196533885.18148.0.1"


@pytest.fixture(scope="module")
def pacs() -> Iterator[dl.Peer]:
    with dl.demo_pacs(Holdings.t31(), timeout=10) as peer:
        yield peer


def test_a_table_has_a_column_for_each_key_and_a_type_for_each_vr(pacs: dl.Peer) -> None:  # R3.2, R3.19a
    studies = pacs.find("STUDY", PatientID="*", PatientComments=None)
    assert len(studies) == 6 and "PatientComments" in studies
    types = {name: str(kind) for name, kind in studies.dtypes.items()}
    assert types["StudyDate"] == "datetime64[ns]" and types["StudyTime"] == "timedelta64[ns]"
    assert types["NumberOfStudyRelatedInstances"] == "Int64" and types["PatientName"] == "string"


def test_no_match_has_the_same_columns_and_types(pacs: dl.Peer) -> None:  # R3.2
    some, none = pacs.find("STUDY", PatientID="*"), pacs.find("STUDY", PatientID="NOBODY")
    assert list(some.columns) == list(none.columns) and len(none) == 0
    for name in ("StudyDate", "StudyInstanceUID", "NumberOfStudyRelatedSeries"):
        assert some[name].dtype == none[name].dtype


def test_provenance_is_json_and_says_what_was_asked(pacs: dl.Peer) -> None:  # R3.20
    studies = pacs.find("STUDY", PatientName="Doe^P*", StudyDate="20010101-")
    told = json.loads(json.dumps(studies.attrs))
    assert told["keys"] == {"PatientName": "Doe^P*", "StudyDate": "20010101-"}
    assert told["peer"] == pacs.node.identity and told["queries"] == 1 and told["cut"] is None
    assert studies.head(1).attrs == studies.attrs


@pytest.mark.parametrize(
    ("level", "keys", "word"),
    [
        ("STUDDY", {"PatientID": "1"}, "did you mean 'STUDY'"),
        ("STUDY", {"PatientNmae": "DOE"}, "did you mean 'PatientName'"),
        ("STUDY", {}, "nothing was requested"),
        ("SERIES", {}, "nothing was requested"),
        ("STUDY", {"PatientID": []}, "nothing is selected"),
        ("STUDY", {"PatientID": pd.Series([], dtype="string")}, "nothing is selected"),
        ("STUDY", {"PatientID": pd.Series(["1", pd.NA], dtype="string")}, "nothing is selected"),
        ("STUDY", {"StudyDate": "2024-99"}, "StudyDate"),
        ("STUDY", {"StudyDate": "20240201-20240101"}, "StudyDate"),
        ("STUDY", {"StudyDate": "2024*"}, "StudyDate"),
        ("STUDY", {"StudyInstanceUID": "1.2.*"}, "StudyInstanceUID"),
        ("STUDY", {"PatientID": 123}, "PatientID"),
        ("IMAGE", {"StudyInstanceUID": "abc"}, "StudyInstanceUID"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(  # R3.4
    pacs: dl.Peer, level: str, keys: dict[str, Any], word: str
) -> None:
    server = pacs._owner.server
    before = len(server.transcript)
    with pytest.raises(errors.InvalidRequest) as caught:
        pacs.find(level, **keys)
    assert word in str(caught.value)
    assert len(server.transcript) == before


def test_the_identifier_can_be_seen_without_sending_it(pacs: dl.Peer) -> None:
    server = pacs._owner.server
    before = len(server.transcript)
    (identifier,) = pacs.identifier("STUDY", PatientName="DOE*")
    assert identifier.PatientName == "DOE*" and identifier.QueryRetrieveLevel == "STUDY"
    assert len(server.transcript) == before


def test_a_whole_column_goes_into_the_next_question(pacs: dl.Peer) -> None:  # R3.21
    studies = pacs.find("STUDY", PatientName="Doe^P*")
    series = pacs.find("SERIES", StudyInstanceUID=studies.StudyInstanceUID)
    assert len(series) == 9 and set(series.StudyInstanceUID) == set(studies.StudyInstanceUID)


def test_a_drill_down_asks_level_by_level_on_one_association(pacs: dl.Peer) -> None:  # R3.9
    server = pacs._owner.server
    before = len(server.transcript)
    images = pacs.find("IMAGE", PatientID="98890234", StudyDate="20030505", Modality="MR")
    sent = server.transcript[before:]
    assert len(images) == 17
    assert [item.service for item in sent].count("A-ASSOCIATE") == 1
    assert [item.service for item in sent].count("C-FIND") == images.attrs["queries"] == 1 + 3 + 7


def test_two_values_of_a_key_are_a_union_without_doubles(pacs: dl.Peer) -> None:  # R3.6
    both = pacs.find("STUDY", PatientID=["77654033", "98890234", "77654033"])
    assert len(both) == 6 and both.StudyInstanceUID.is_unique


def test_the_raw_data_set_of_each_row_is_there_on_request(pacs: dl.Peer) -> None:  # R0.1
    studies = pacs.find("STUDY", PatientID="*", raw=True)
    assert [item.StudyInstanceUID for item in studies.dataset] == list(studies.StudyInstanceUID)


def test_any_other_find_model_goes_by_its_uid(pacs: dl.Peer) -> None:  # R3.1
    with pytest.raises(errors.NoAcceptedContext, match="not support"):
        pacs.find(None, model="1.2.840.10008.5.1.4.38.2", HangingProtocolName=None)  # Hanging Protocol FIND
    with pytest.raises(errors.InvalidRequest, match="no query model"):
        pacs.find("STUDY", model="worklists", PatientID="*")


def test_a_template_is_asked_with_the_keys_over_it(pacs: dl.Peer) -> None:  # R3.8
    from pydicom.dataset import Dataset

    template = Dataset()
    template.PatientName, template.StudyDate = "NOBODY", "20030505"
    studies = pacs.find("STUDY", template=template, PatientName="Doe^P*")
    assert len(studies) == 3 and "StudyInstanceUID" in studies


def test_a_key_that_the_archive_ignores_is_found_out_and_the_rows_filtered() -> None:  # R3.15
    few = {**DCMQRSCP_KEYS, "STUDY": frozenset({"StudyInstanceUID", "StudyDate"})}
    with (
        dl.demo_pacs(Holdings.t31(), manners=Manners(known_keys=few), timeout=10) as pacs,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        pacs.find("STUDY", AccessionNumber="NONE SUCH")
    assert any("AccessionNumber" in str(item.message) for item in caught)


def test_what_a_function_raises_ends_the_query_and_comes_back(pacs: dl.Peer) -> None:  # R1.14, R3.2
    def broken(row: dict[str, Any]) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        pacs.find("STUDY", PatientID="*", on_match=broken)
    assert len(pacs.find("STUDY", PatientID="*")) == 6


def test_a_function_may_ask_and_retrieve_itself(pacs: dl.Peer) -> None:  # R3.22
    found: list[int] = []
    pacs.find(
        "STUDY",
        PatientID="77654033",
        on_match=lambda row: found.append(len(pacs.find("SERIES", StudyInstanceUID=row["StudyInstanceUID"]))),
    )
    assert sorted(found) == [1, 3]


def test_cancel_from_another_thread_keeps_the_rows_so_far() -> None:  # R1.17, R3.13
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pace=0.2), timeout=10) as pacs:
        threading.Timer(0.7, pacs.cancel).start()
        clock = Stopwatch()
        with pytest.warns(errors.ResultWarning, match="cancelled"):
            rows = pacs.find("STUDY", PatientID="*")
    assert 0 < len(rows) < 6 and rows.attrs["cancelled"]
    assert clock.seconds < 2.5


@pytest.mark.parametrize(("level", "least"), [("STUDY", 1), ("SERIES", 0)])
def test_ctrl_c_stops_run_all_within_a_second_and_carries_the_rows_so_far(level: str, least: int) -> None:  # R1.19
    """A table that was cut short must not go into the next cell; a drill-down may have no row yet."""
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pace=0.2), timeout=10) as pacs:
        threading.Timer(0.6, signal.raise_signal, [signal.SIGINT]).start()
        clock = Stopwatch()
        with pytest.raises(KeyboardInterrupt, match=r"stopped after \d matches") as caught:
            pacs.find(level, PatientID="*")
        assert clock.seconds < 1.6
        stopped = caught.value
        assert isinstance(stopped, errors.Interrupted) and not isinstance(stopped, Exception)
        assert stopped.rows is not None and least <= len(stopped.rows) < 6 and stopped.rows.attrs["cancelled"]
        assert "StudyInstanceUID" in stopped.rows
        assert len(pacs.find("STUDY", PatientID="77654033")) == 2


def test_cancel_before_the_lowest_level_of_a_drill_down_is_a_marked_table_too() -> None:  # R3.13
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pace=0.2), timeout=10) as pacs:
        threading.Timer(0.5, pacs.cancel).start()
        with pytest.warns(errors.ResultWarning, match="cancelled after 0 matches"):
            rows = pacs.find("SERIES", PatientID="*")
    assert len(rows) == 0 and rows.attrs["cancelled"] and "SeriesInstanceUID" in rows


@pytest.mark.parametrize("manners", [Manners.dcmqrscp(), Manners.orthanc()], ids=["dcmqrscp", "orthanc"])
def test_the_manners_of_real_archives_give_the_same_studies_and_series(manners: Manners) -> None:  # R16.13
    with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as pacs:
        assert len(pacs.find("STUDY", PatientID="*")) == 6
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.ResultWarning)
            assert len(pacs.find("STUDY", ModalitiesInStudy="MR")) == 3
            assert len(pacs.find("SERIES", Modality="MR")) == 7
        assert sorted(pacs.find("SERIES", StudyInstanceUID=ST, counts=True).NumberOfSeriesRelatedInstances) == [1, 3, 7]


def test_a_tables_question_is_answered_by_cache_and_folder_too(pacs: dl.Peer) -> None:  # R3.23
    instances = pacs.retrieve(ST, progress=False)
    for place in (pacs.cache, list(instances.path)):
        here = dl.open_folder(*(place if isinstance(place, list) else [place]))
        there = pacs.find("SERIES", StudyInstanceUID=ST)
        series = here.find("SERIES", StudyInstanceUID=ST)
        columns = ["SeriesInstanceUID", "Modality", "SeriesNumber", "NumberOfSeriesRelatedInstances"]
        pd.testing.assert_frame_equal(series[columns], there[columns], check_dtype=False)
