"""Matching on our side, by the rules of PS3.4 C.2.2.2."""

from __future__ import annotations

import datetime as dt
import doctest
from typing import Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

import dicomlab.queries.matching
from dicomlab.datasets.elements import Elements, parse
from dicomlab.datasets.moments import time
from dicomlab.errors import InvalidRequest
from dicomlab.queries.identifier import encode
from dicomlab.queries.keys import wanted
from dicomlab.queries.matching import matches, misfits
from dicomlab.tables.tables import table


def record() -> Elements:
    data_set = Dataset()
    data_set.PatientName, data_set.PatientID = "Doe^Peter=山田^太郎", "00123"
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.StudyDate, data_set.StudyTime, data_set.PatientBirthDate = "20240131", "143000", ""
    data_set.StudyInstanceUID, data_set.ModalitiesInStudy = "1.2.3", ["CT", "MR"]
    data_set.StudyDescription, data_set.SeriesNumber, data_set.Rows = "Thorax (1)", 3, 512
    data_set.SliceThickness, data_set.AcquisitionDateTime = "2.50", "20240131143000"
    step = Dataset()
    step.Modality = "CT"
    data_set.ScheduledProcedureStepSequence = [step]
    return parse(encode(data_set, implicit=False), implicit=False)


def mismatched(frame: pd.DataFrame, keys: dict[str, Any]) -> dict[str, list[int]]:
    """For each key that not all rows match: the rows whose value cannot."""
    asked = {name: one for name, value in keys.items() for one in wanted({name: value})}
    return {name: rows for name, one in asked.items() if (rows := misfits(frame[name].tolist(), one))}


CASES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"PatientID": ""}, True),
    ({"PatientID": "00123"}, True),
    ({"PatientID": "123"}, False),
    ({"PatientID": ["1", "00123"]}, True),
    ({"PatientName": "doe^p*"}, True),
    ({"PatientName": "Doe^Peter"}, True),
    ({"PatientName": "山田*"}, True),
    ({"PatientName": "Do?^Peter"}, True),
    ({"PatientName": "oe"}, False),
    ({"StudyDescription": "Thorax (?)"}, True),
    ({"StudyDescription": "thorax*"}, False),
    ({"StudyDate": "20240131"}, True),
    ({"StudyDate": "20240101-20240131"}, True),
    ({"StudyDate": "20240201-"}, False),
    ({"StudyDate": "-20240131"}, True),
    ({"StudyTime": "14"}, True),
    ({"StudyTime": "1200-1430"}, True),
    ({"StudyTime": "1200-1429"}, False),
    ({"StudyTime": "2200-1500"}, True),
    ({"AcquisitionDateTime": "202401"}, True),
    ({"AcquisitionDateTime": "2024013114-20240201"}, True),
    ({"AcquisitionDateTime": "20240201-"}, False),
    ({"PatientBirthDate": "19700101"}, False),
    ({"AccessionNumber": "1"}, False),
    ({"AccessionNumber": "*"}, True),
    ({"StudyInstanceUID": ["1.2.4", "1.2.3"]}, True),
    ({"StudyInstanceUID": "1.2"}, False),
    ({"ModalitiesInStudy": "MR"}, True),
    ({"ModalitiesInStudy": "M?"}, True),
    ({"ModalitiesInStudy": "US"}, False),
    ({"SeriesNumber": 3}, True),
    ({"SeriesNumber": "03"}, True),
    ({"SeriesNumber": 4}, False),
    ({"SliceThickness": 2.5}, True),
    ({"Rows": 512}, True),
]


def test_the_examples_run() -> None:
    assert doctest.testmod(dicomlab.queries.matching).failed == 0


@pytest.mark.parametrize(("keys", "fits"), CASES)
def test_a_data_set_matches_by_the_vr_of_each_key(keys: dict[str, Any], fits: bool) -> None:  # R3.5 to R3.7
    assert matches(record(), keys) is fits


@pytest.mark.parametrize(("keys", "fits"), CASES)
def test_a_row_of_a_table_matches_as_its_data_set_does(keys: dict[str, Any], fits: bool) -> None:  # R3.15
    words = [*keys, "PatientID"]
    assert mismatched(table([record()], words), keys) == ({} if fits else {next(iter(keys)): [0]})


def test_a_key_inside_a_sequence_matches_where_an_item_does() -> None:
    name = "ScheduledProcedureStepSequence[0].Modality"
    assert matches(record(), {name: "CT"}) and not matches(record(), {name: "MR"})


def test_cells_that_cannot_match_are_given_by_row() -> None:  # R3.15
    one, other = wanted({"PatientID": "1"}), wanted({"StudyID": ""})
    assert misfits(["1", "2", None, ("3", "1")], one[0]) == [1, 2] and misfits([], one[0]) == []
    assert misfits(["1", None], other[0]) == []  # a return key filters nothing


def test_keys_that_are_none_are_refused() -> None:  # R3.4
    with pytest.raises(InvalidRequest):
        matches(record(), {"PatientNmae": "1"})
    with pytest.raises(InvalidRequest, match="nothing is selected"):
        mismatched(pd.DataFrame({"PatientID": ["1"]}), {"PatientID": []})


@pytest.mark.parametrize("asked", ["2200-0500", ("22:00", "05:00"), (dt.time(22), dt.time(5))])
def test_a_time_range_over_midnight_keeps_both_ends_and_leaves_out_the_day(asked: Any) -> None:  # R3.5
    times = ["220000", "235959.999999", "000000", "050000", "050059.5", "0501", "12", "215959.9", None]
    frame = pd.DataFrame(
        {"StudyTime": pd.to_timedelta([None if one is None else time(one) for one in times], unit="ns")}
    )
    late = 3 if asked[0] == dt.time(22) else 4  # a time without seconds is the whole minute, one of datetime none
    assert mismatched(frame, {"StudyTime": asked}) == {"StudyTime": list(range(late + 1, 9))}


def test_dates_and_times_match_separately() -> None:  # R3.5
    frame = pd.DataFrame(
        {
            "StudyDate": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]),
            "StudyTime": pd.to_timedelta(["03:00:00", "12:00:00", "23:00:00"]),
        }
    )
    keys = {"StudyDate": "20240101-20240102", "StudyTime": "1800-0600"}
    assert mismatched(frame, keys) == {"StudyDate": [2], "StudyTime": [1]}
