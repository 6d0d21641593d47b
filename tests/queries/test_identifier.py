"""Keys to Identifiers: matching by VR, levels, refusals."""

from __future__ import annotations

import datetime as dt
import doctest
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

import dicomlab.queries.identifier
import dicomlab.queries.keys
import dicomlab.queries.models
from dicomlab.errors import InvalidRequest
from dicomlab.level import QueryLevel
from dicomlab.queries.identifier import describe_keys, encode, identifiers
from dicomlab.queries.models import (
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    RETURN_KEYS,
    WORKLIST,
    split_keys,
    unique_keys_above,
)

STEP = "ScheduledProcedureStepSequence[0]."


def test_the_examples_run() -> None:
    for module in (dicomlab.queries.identifier, dicomlab.queries.keys, dicomlab.queries.models):
        assert doctest.testmod(module).failed == 0


def test_a_list_of_uids_is_one_identifier() -> None:  # R3.6, PS3.4 C.2.2.2.2
    (one,) = identifiers(QueryLevel.STUDY, {"StudyInstanceUID": ["1.2", "1.3"]})
    assert list(one.StudyInstanceUID) == ["1.2", "1.3"]


def test_a_list_on_another_key_is_one_identifier_a_value() -> None:  # R3.6
    many = identifiers("STUDY", {"PatientID": ["1", "2", "1"], "ModalitiesInStudy": ["CT", "MR"]})
    assert [(one.PatientID, one.ModalitiesInStudy) for one in many] == [
        ("1", "CT"), ("1", "MR"), ("2", "CT"), ("2", "MR"),
    ]  # fmt: skip


def test_default_return_keys_are_asked_for_empty() -> None:  # R3.3
    (one,) = identifiers("STUDY", {"PatientName": "DOE*"})
    assert {element.keyword for element in one} == {*RETURN_KEYS[QueryLevel.STUDY], "QueryRetrieveLevel"}
    assert one.PatientName == "DOE*" and one.QueryRetrieveLevel == "STUDY"
    assert all(
        element.is_empty for element in one if element.keyword not in ("PatientName", "QueryRetrieveLevel")
    )


def test_issuer_of_patient_id_is_asked_for_at_study_level() -> None:  # R3.10a
    assert "IssuerOfPatientID" in RETURN_KEYS[QueryLevel.STUDY]


def test_what_costs_an_archive_a_look_at_every_instance_is_asked_for_only_on_request() -> None:  # R3.3
    assert not any("SOPClassesInStudy" in keys for keys in RETURN_KEYS.values())
    (one,) = identifiers("STUDY", {"SOPClassesInStudy": ""})
    assert "SOPClassesInStudy" in one


def test_return_keys_can_be_chosen() -> None:
    (one,) = identifiers("STUDY", {"PatientName": "DOE*"}, return_keys=["StudyDate"])
    assert {element.keyword for element in one} == {
        "QueryRetrieveLevel", "PatientName", "StudyDate", "StudyInstanceUID",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("20240101-20240331", "20240101-20240331"),
        ("20240101-", "20240101-"),
        ("-20240331", "-20240331"),
        ("2024-01-31", "20240131"),
        ("2024-01-01-2024-03-31", "20240101-20240331"),
        (("20240101", "20240331"), "20240101-20240331"),
        ((dt.date(2024, 1, 1), None), "20240101-"),
        ((None, dt.datetime(2024, 3, 31, 5)), "-20240331"),
        (slice("20240101", "20240331"), "20240101-20240331"),
        (dt.date(2024, 1, 1), "20240101"),
        (pd.Timestamp("2024-01-01"), "20240101"),
        (np.datetime64("2024-01-01"), "20240101"),
    ],
)
def test_dates_and_their_ranges_may_be_text_dates_pairs_or_slices(value: Any, sent: str) -> None:  # R3.5
    (one,) = identifiers("STUDY", {"StudyDate": value})
    assert one.StudyDate == sent


def test_times_and_datetimes_have_ranges_too() -> None:  # R3.5
    (one,) = identifiers("STUDY", {"StudyTime": (dt.time(8), "18:30")})
    assert one.StudyTime == "080000-1830"
    (one,) = identifiers(None, {"ObservationDateTime": "20240101120000-0500-20240102"}, model=WORKLIST)
    assert one.ObservationDateTime == "20240101120000-0500-20240102"


def test_a_time_range_over_midnight_is_two_queries() -> None:  # R3.5
    evening, morning = identifiers("STUDY", {"StudyTime": "1800-0600"})
    assert (evening.StudyTime, morning.StudyTime) == ("1800-235959.999999", "000000-0600")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"PatientID": []}, "nothing is selected"),
        ({"PatientID": pd.Series([], dtype="string")}, "nothing is selected"),
        ({"PatientID": pd.Series(["1", None], dtype="string")}, "nothing is selected"),
        ({"StudyInstanceUID": pd.Index([])}, "nothing is selected"),
        ({"StudyInstanceUID": pd.NA}, "nothing is selected"),
        ({"PatientID": float("nan")}, "nothing is selected"),
        ({"StudyDate": pd.NaT}, "nothing is selected"),
        ({"StudyDate": (None, None)}, "nothing is selected"),
        ({"StudyDate": (pd.NaT, "20240101")}, "nothing is selected"),
        ({"PatientID": ["1", ""]}, "nothing is selected"),
        ({"PatientID": "1\\"}, "nothing is selected"),
        ({"PatientID": 123}, "not the number"),
        ({"PatientID": np.int64(123)}, "not the number"),
        ({"StudyDate": 20240101}, "StudyDate"),
        ({}, "nothing was requested"),
        ({"PatientNmae": "X"}, "did you mean 'PatientName'"),
        ({"PatientName[0": "X"}, "is no key"),
        ({"patient_name": "X"}, "is no key, did you mean 'PatientName'?"),
        ({"StudyDate": "2024*"}, "no wild cards"),
        ({"StudyTime": "12??"}, "no wild cards"),
        ({"StudyInstanceUID": "1.2.*"}, "no wild cards"),
        ({"NumberOfStudyRelatedSeries": "1*"}, "no wild cards"),
        ({"PatientWeight": "7?"}, "no wild cards"),
        ({"PatientAge": "0??Y"}, "no wild cards"),
        ({"StudyDate": "20240331-20240101"}, "inverted"),
        ({"StudyDate": "20240230"}, "is no date"),
        ({"StudyDate": "2024"}, "'20240101-20241231' for all of it"),
        ({"StudyDate": "2024-02"}, "'20240201-20240229' for all of it"),
        ({"StudyDate": "202413"}, "Write it as '20240131'"),
        ({"StudyDate": "yesterday"}, "is no date"),
        ({"StudyTime": "2561"}, "is no time"),
        ({"PatientID": slice("1", "2")}, "no range"),
        ({"NumberOfStudyRelatedSeries": "many"}, "takes a number"),
        ({"NumberOfStudyRelatedSeries": 1.5}, "takes a number"),
        ({"QueryRetrieveLevel": "STUDY"}, "first argument"),
        ({"SpecificCharacterSet": "ISO_IR 100"}, "by itself"),
        ({"PatientID": True}, "not the number"),
        ({"PatientID": object()}, "takes text"),
        ({"PatientID": "1", "(0010,0020)": "2"}, "twice"),
        ({"PatientName.PatientID": "1"}, "no sequence"),
        ({"ProcedureCodeSequence": "CT"}, "is a sequence"),
        ({"PatientID": [str(i) for i in range(2000)]}, "2000 queries"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_sending(keys: dict[str, Any], words: str) -> None:  # R3.4
    with pytest.raises(InvalidRequest) as caught:
        identifiers("STUDY", keys)
    assert words in str(caught.value)


def test_only_an_empty_text_or_none_is_a_return_key() -> None:  # R3.4
    (one,) = identifiers("STUDY", {"PatientName": "", "PatientID": None, "PatientWeight": ""})
    assert one["PatientName"].is_empty and one["PatientID"].is_empty
    assert one.PatientWeight is None  # R3.3: zero length of a number VR


@pytest.mark.parametrize(
    ("level", "model", "above"),
    [
        ("STUDY", dicomlab.queries.identifier.STUDY_ROOT, []),
        ("STUDY", PATIENT_ROOT, ["PatientID"]),
        ("SERIES", dicomlab.queries.identifier.STUDY_ROOT, ["StudyInstanceUID"]),
        ("IMAGE", PATIENT_ROOT, ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]),
    ],
)
def test_a_hierarchical_query_wants_one_value_for_each_unique_key_above(  # R3.4, PS3.4 C.4.1.2.1
    level: str, model: str, above: list[str]
) -> None:
    assert unique_keys_above(level, model) == above
    keys: dict[str, Any] = dict.fromkeys(above, "1.2")
    keys["InstanceAvailability"] = ""
    (one,) = identifiers(level, keys, model=model)
    for word in above:
        assert one[word].value == "1.2"
        less = {name: value for name, value in keys.items() if name != word}
        for missing in (less, {**less, word: ""}, {**less, word: ["1.2", "1.3"]}):
            with pytest.raises(InvalidRequest, match=word):
                identifiers(level, missing, model=model)


def test_a_key_of_a_level_above_is_refused_in_a_hierarchical_query_and_sent_in_a_relational_one() -> None:
    keys = {"StudyInstanceUID": "1.2", "PatientName": "DOE*", "Modality": "CT"}
    with pytest.raises(InvalidRequest, match="PatientName belongs to the STUDY level"):
        identifiers("SERIES", keys)
    (one,) = identifiers("SERIES", {"PatientName": "DOE*", "Modality": "CT"}, hierarchical=False)
    assert one.PatientName == "DOE*" and one.Modality == "CT" and one["StudyInstanceUID"].is_empty


def test_return_keys_of_a_level_above_are_left_out_of_a_hierarchical_query() -> None:
    (one,) = identifiers("SERIES", {"StudyInstanceUID": "1.2", "PatientName": ""})
    assert "PatientName" not in one and one.StudyInstanceUID == "1.2"


def test_keys_are_split_by_the_level_they_belong_to() -> None:  # R3.9
    keys = {
        "PatientName": "DOE*", "StudyDate": "2024", "Modality": "CT", "SliceThickness": 1,
        "SOPClassUID": "1.2", "(0010,0020)": "1",
    }  # fmt: skip
    assert split_keys("SERIES", keys) == {
        QueryLevel.STUDY: {"PatientName": "DOE*", "StudyDate": "2024", "(0010,0020)": "1"},
        QueryLevel.SERIES: {"Modality": "CT", "SliceThickness": 1, "SOPClassUID": "1.2"},
    }
    assert split_keys("IMAGE", keys, PATIENT_ROOT) == {
        QueryLevel.PATIENT: {"PatientName": "DOE*", "(0010,0020)": "1"},
        QueryLevel.STUDY: {"StudyDate": "2024"},
        QueryLevel.SERIES: {"Modality": "CT"},
        QueryLevel.IMAGE: {"SliceThickness": 1, "SOPClassUID": "1.2"},
    }
    assert split_keys("STUDY", {"Modality": "CT"}) == {QueryLevel.STUDY: {"Modality": "CT"}}


def test_a_level_that_is_not_in_the_model_is_refused() -> None:  # R3.4
    for level, model in (("PATIENT", dicomlab.queries.identifier.STUDY_ROOT), ("SERIES", PATIENT_STUDY_ONLY)):
        with pytest.raises(InvalidRequest, match=f"no {level} level"):
            identifiers(level, {"PatientID": "1"}, model=model)
    with pytest.raises(InvalidRequest, match="did you mean 'SERIES'"):
        identifiers("SERIE", {"PatientID": "1"})


def test_keys_may_be_keywords_tags_numbers_or_paths() -> None:  # R3.3
    keys = {"(0010,0020)": "1", 0x00100010: "DOE", STEP + "Modality": "CT", "00400100[0].00400001": "AB45"}
    (one,) = identifiers(None, keys, model=WORKLIST)
    assert one.PatientID == "1" and one.PatientName == "DOE"
    item = one.ScheduledProcedureStepSequence[0]
    assert (item.Modality, item.ScheduledStationAETitle) == ("CT", "AB45")
    assert "QueryRetrieveLevel" not in one  # R4.9


def test_a_mapping_is_the_item_of_a_sequence() -> None:
    (one,) = identifiers(None, {"ScheduledProcedureStepSequence": {"Modality": "CT"}}, model=WORKLIST)
    assert one.ScheduledProcedureStepSequence[0].Modality == "CT"
    (one,) = identifiers(None, {"ScheduledProcedureStepSequence": ""}, model=WORKLIST)
    assert len(one.ScheduledProcedureStepSequence) == 0


def test_keys_are_copied_over_a_template(tmp_path: Path) -> None:  # R3.8
    template = Dataset()
    template.PatientName, template.StudyDate, template.QueryRetrieveLevel = "OLD", "20200101", "IMAGE"
    (one,) = identifiers("STUDY", {"PatientName": "DOE*"}, template=template)
    assert (one.PatientName, one.StudyDate, one.QueryRetrieveLevel) == ("DOE*", "20200101", "STUDY")
    assert template.PatientName == "OLD"
    (tmp_path / "template.dcm").write_bytes(encode(template, implicit=True))
    (one,) = identifiers("STUDY", {"PatientName": "DOE*"}, template=tmp_path / "template.dcm")
    assert (one.PatientName, one.StudyDate) == ("DOE*", "20200101")


def test_the_character_set_is_said_where_a_key_is_not_ascii_and_only_there() -> None:  # R3.18
    (one,) = identifiers("STUDY", {"PatientName": "DOE*"})
    assert "SpecificCharacterSet" not in one
    (one,) = identifiers("STUDY", {"PatientName": "Å*"})
    assert one.SpecificCharacterSet == "ISO_IR 192"
    assert "Å*".encode() in encode(one, implicit=True)
    (one,) = identifiers("STUDY", {"PatientName": "Å*"}, charset="ISO_IR 100")
    assert "Å*".encode("latin-1") in encode(one, implicit=True)
    with pytest.raises(InvalidRequest, match="ISO_IR 100"):
        identifiers("STUDY", {"PatientName": "山*"}, charset="ISO_IR 100")


def test_keys_longer_than_their_vr_are_sent() -> None:  # R3.7
    (one,) = identifiers("STUDY", {"AccessionNumber": "*" + "1" * 30, "ModalitiesInStudy": "c?"})
    assert b"1" * 30 in encode(one, implicit=False)


@pytest.mark.parametrize("implicit", [True, False])
def test_an_identifier_is_encoded_as_pydicom_reads_it(implicit: bool) -> None:
    (one,) = identifiers("IMAGE", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "Rows": 512})
    again = read_dataset(BytesIO(encode(one, implicit=implicit)), implicit, True)
    assert again.Rows == 512 and again.StudyInstanceUID == "1.2" and again.keys() == one.keys()
    assert encode(again, implicit=implicit) == encode(one, implicit=implicit)


def test_an_empty_identifier_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        encode(Dataset(), implicit=True)


def test_the_description_of_keys_is_json() -> None:  # R3.20
    keys = {
        "StudyDate": (dt.date(2024, 1, 1), None),
        "StudyInstanceUID": pd.Series(["1.2", "1.3"]),
        "Rows": 5,
    }
    assert json.loads(json.dumps(describe_keys(keys))) == {
        "StudyDate": "20240101-", "StudyInstanceUID": ["1.2", "1.3"], "Rows": 5,
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["PatientID", "StudyDate", "StudyTime", "StudyInstanceUID", "PatientWeight", "Rows", "PatientName"]
    ),
    st.one_of(
        st.text(max_size=20), st.integers(), st.floats(), st.none(), st.lists(st.text(max_size=5), max_size=3)
    ),
)
def test_any_value_makes_identifiers_or_is_refused(name: str, value: Any) -> None:
    try:
        made = identifiers("STUDY", {name: value})
    except InvalidRequest:
        return
    assert made
