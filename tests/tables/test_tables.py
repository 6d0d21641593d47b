"""Typed tables from data sets, and rows as addresses."""

from __future__ import annotations

import doctest
import time
import warnings
from typing import Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

import dicomlab.tables.tables
from dicomlab.datasets.elements import Elements, parse
from dicomlab.errors import InvalidRequest, ResultWarning
from dicomlab.level import QueryLevel
from dicomlab.queries.identifier import encode
from dicomlab.tables.tables import Address, addresses, below, table, tell


def record(charset: str | None = None, **values: Any) -> Elements:
    data_set = Dataset()
    if charset:
        data_set.SpecificCharacterSet = charset
    for word, value in values.items():
        setattr(data_set, word, value)
    return parse(encode(data_set, implicit=True), implicit=True)


def raw(**values: bytes) -> Elements:
    from dicomlab.datasets.elements import tag_of
    from dicomlab.datasets.encoding import vr_of

    return Elements({tag_of(word): (vr_of(tag_of(word)), value) for word, value in values.items()}, True)


DTYPES = {
    "StudyDate": "datetime64[ns]",
    "StudyTime": "timedelta64[ns]",
    "AcquisitionDateTime": "datetime64[ns]",
    "SeriesNumber": "Int64",
    "SliceThickness": "float64",
    "Rows": "Int64",
    "PatientName": "string",
    "PatientID": "string",
    "StudyInstanceUID": "string",
}


def test_the_examples_run() -> None:
    assert doctest.testmod(dicomlab.tables.tables).failed == 0


def test_each_vr_has_its_dtype_also_with_no_rows() -> None:  # R3.19a
    full = raw(
        StudyDate=b"20240131", StudyTime=b"143000.25 ", AcquisitionDateTime=b"20240131143000", SeriesNumber=b" 3",
        SliceThickness=b"2.50", Rows=b"\0\2", PatientName=b"DOE^JOHN=", PatientID=b"00123 ", StudyInstanceUID=b"1.2\0",
    )  # fmt: skip
    for records in ([full], [full, raw()], []):
        frame = table(records, list(DTYPES))
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
        assert len(frame) == len(records)
    row = table([full], list(DTYPES)).iloc[0]
    assert row.StudyDate == pd.Timestamp(2024, 1, 31) and row.StudyTime == pd.Timedelta("14:30:00.25")
    assert row.AcquisitionDateTime == pd.Timestamp(2024, 1, 31, 14, 30)
    assert (row.SeriesNumber, row.SliceThickness, row.Rows) == (3, 2.5, 512)
    assert (row.PatientName, row.PatientID, row.StudyInstanceUID) == ("DOE^JOHN", "00123", "1.2")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_table_that_is_made_in_parts_is_the_one_that_is_made_at_once(size: int) -> None:  # R3.19a
    """Also where some rows have several values, so that a column is of objects, or what cannot be read."""
    words = [*DTYPES, "ImageType", "AcquisitionNumber", "EchoTime", "StudyComments"]
    full = raw(
        StudyDate=b"20240131", StudyTime=b"143000", AcquisitionDateTime=b"20240131143000", SeriesNumber=b"3",
        SliceThickness=b"2.5", Rows=b"\0\2", PatientName=b"DOE^JOHN", PatientID=b"1", StudyInstanceUID=b"1.2",
        ImageType=b"ORIGINAL", AcquisitionNumber=b"7", EchoTime=b"1.5",
    )  # fmt: skip
    several = raw(
        StudyDate=b"20240131\\20240201", StudyTime=b"1200\\1300", AcquisitionDateTime=b"2024\\2025",
        SeriesNumber=b"3\\4", SliceThickness=b"2\\3", Rows=b"\0\2\0\3", PatientID=b"1\\2", ImageType=b"A\\B",
    )  # fmt: skip
    odd = raw(StudyDate=b"yesterday", SeriesNumber=b"x", EchoTime=b"long")
    for records in ([full, raw(), odd, full, raw(), odd], [raw(), full, odd, several, full, odd, raw()]):
        parts = [table(records[at : at + size], words, quiet=True) for at in range(0, len(records), size)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            whole, made = table(records, words), below(parts)
            tell(made, stacklevel=1)
        pd.testing.assert_frame_equal(made, whole)
        for word in words:
            assert list(map(repr, made[word])) == list(map(repr, whole[word]))  # 3 is not 3.0, NA not NaN
        assert made.attrs == whole.attrs and len(made.attrs["problems"]) == 6
        assert len(caught) == 2 and str(caught[0].message) == str(caught[1].message)
    assert size > 6 or not any(len(part.columns) for part in parts)  # and of what they were made of nothing is left


def test_a_date_and_a_time_are_a_moment_and_a_time_is_shown_by_its_clock() -> None:  # R3.19a
    """pandas writes a timedelta as "0 days 08:30:00"; a table is a plain one, so the reader asks for the clock."""
    frame = table([record(StudyDate="20240131", StudyTime="083000")], ["StudyDate", "StudyTime"])
    assert (frame.StudyDate + frame.StudyTime)[0] == pd.Timestamp("2024-01-31 08:30")
    assert str((pd.Timestamp(0) + frame.StudyTime).dt.time[0]) == "08:30:00"  # as help(Peer.find) says


def test_absent_and_empty_are_both_na() -> None:  # R3.19a
    frame = table([raw(), raw(**dict.fromkeys(DTYPES, b""))], list(DTYPES))
    assert frame.isna().all(axis=None)


def test_several_values_are_a_tuple() -> None:  # R3.19a
    frame = table(
        [raw(ModalitiesInStudy=b"CT\\MR", PixelSpacing=b"0.5\\0.5 "), raw(ModalitiesInStudy=b"CT"), raw()],
        ["ModalitiesInStudy", "PixelSpacing"],
    )
    assert frame.ModalitiesInStudy.tolist()[:2] == [("CT", "MR"), "CT"] and frame.ModalitiesInStudy.isna()[2]
    assert frame.PixelSpacing[0] == (0.5, 0.5) and frame.PixelSpacing.isna()[1]


def test_what_cannot_be_read_is_na_and_listed_with_one_warning() -> None:  # R3.19a
    bad = raw(
        StudyDate=b"2024-1-31", StudyTime=b"2561", SeriesNumber=b"three", SliceThickness=b"thin", Rows=b"\1",
        PatientBirthDate=b"00010101", AcquisitionDateTime=b"20240131+0100",
    )  # fmt: skip
    words = ["StudyDate", "StudyTime", "SeriesNumber", "SliceThickness", "Rows", "PatientBirthDate"]
    words.append("AcquisitionDateTime")
    with pytest.warns(ResultWarning) as caught:
        frame = table([raw(StudyDate=b"20240131"), bad], words)
    assert len(caught) == 1
    assert frame.iloc[1].isna().all() and frame.StudyDate.notna()[0]
    problems = frame.attrs["problems"]
    assert [problem["column"] for problem in problems] == words
    assert {problem["row"] for problem in problems} == {1}
    assert problems[0] == {"row": 1, "column": "StudyDate", "text": "2024-1-31"}


def test_each_record_is_decoded_by_its_own_character_set() -> None:  # R3.18
    frame = table(
        [
            record("ISO_IR 192", PatientName="Müller"),
            record("ISO_IR 100", PatientName="Müller"),
            record("ISO_IR 144", PatientName="Люкceмбypг"),
            record(PatientName="DOE"),
        ],
        ["PatientName"],
    )
    assert frame.PatientName.tolist() == ["Müller", "Müller", "Люкceмбypг", "DOE"]
    assert "problems" not in frame.attrs


def test_text_that_cannot_be_decoded_is_replaced_or_falls_back_and_is_flagged() -> None:  # R3.18
    with pytest.warns(ResultWarning):
        frame = table(
            [
                raw(PatientName=b"M\xfcller"),
                raw(PatientName=b"M\xfcller", SpecificCharacterSet=b"ISO_IR 192"),
            ],
            ["PatientName"],
        )
    assert frame.PatientName.tolist() == ["Müller", "M\ufffdller"]
    assert [problem["row"] for problem in frame.attrs["problems"]] == [0, 1]


def test_a_path_is_a_column() -> None:  # R4.2
    data_set = Dataset()
    step = Dataset()
    step.Modality, step.ScheduledProcedureStepStartDate = "CT", "20240131"
    data_set.ScheduledProcedureStepSequence = [step]
    records = [parse(encode(data_set, implicit=implicit), implicit=implicit) for implicit in (True, False)]
    words = [
        f"ScheduledProcedureStepSequence[0].{word}"
        for word in ("Modality", "ScheduledProcedureStepStartDate")
    ]
    frame = table([*records, raw()], [*words, "ScheduledProcedureStepSequence"])
    assert frame[words[0]].tolist()[:2] == ["CT", "CT"] and frame[words[1]][0] == pd.Timestamp(2024, 1, 31)
    assert frame.ScheduledProcedureStepSequence[0][0]["Modality"] == "CT"
    assert frame.iloc[2].isna().all()


def test_ten_thousand_rows_take_a_moment() -> None:
    rows = [raw(PatientID=b"%d" % row, StudyDate=b"20240131", Rows=b"\0\2") for row in range(10_000)]
    before = time.perf_counter()
    frame = table(rows, ["PatientID", "StudyDate", "Rows"] * 1)
    assert len(addresses(frame[["PatientID", "Rows"]])) == 10_000
    assert time.perf_counter() - before < 3


SERIES = pd.DataFrame(
    {"PatientID": ["1", "1"], "StudyInstanceUID": ["1.2", "1.2"], "SeriesInstanceUID": ["1.2.1", "1.2.2"]}
)


def test_a_row_is_its_own_address() -> None:  # R3.21
    first, second = addresses(SERIES)
    assert first == Address("1", "1.2", "1.2.1") and first.level is QueryLevel.SERIES
    assert addresses(SERIES.iloc[1]) == [second]
    assert addresses(SERIES.iloc[1].to_dict()) == [second]
    assert addresses([SERIES.iloc[0], SERIES.iloc[1]]) == [first, second]
    assert addresses(SERIES[["StudyInstanceUID"]]) == [Address(StudyInstanceUID="1.2")]
    assert addresses(SERIES[["PatientID"]]) == [Address(PatientID="1")]
    assert addresses(SERIES.assign(SOPInstanceUID=["1.5", "1.6"]))[0].level is QueryLevel.IMAGE


def test_a_uid_in_the_index_is_no_less_of_an_address() -> None:  # R3.21: else a series would become its whole study
    series = addresses(SERIES)
    assert addresses(SERIES.set_index("SeriesInstanceUID")) == series
    assert addresses(SERIES.set_index(["StudyInstanceUID", "SeriesInstanceUID"])) == series
    assert addresses(SERIES.set_index("SeriesInstanceUID", drop=False)) == series
    assert addresses(SERIES.groupby("SeriesInstanceUID").first()) == series
    assert addresses(next(SERIES.itertuples())) == series[:1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (SERIES.assign(SeriesNumber=1).rename(columns={"SeriesInstanceUID": "uid"}), "Keep the column SeriesInstance"),
        (SERIES.assign(SeriesDescription="a").drop(columns="SeriesInstanceUID"), "name whole studies"),
        (SERIES.assign(SeriesNumber=1).drop(columns="SeriesInstanceUID").iloc[0], "name whole studies"),
        ({"StudyInstanceUID": "1.2", "SeriesNumber": 1}, 'rows[["StudyInstanceUID"]]'),
        (SERIES.assign(InstanceNumber=1), "Keep the column SOPInstanceUID"),
        (pd.DataFrame({"PatientID": ["1"], "StudyDate": ["20240101"]}), "name whole patients"),
        (pd.DataFrame({"PatientID": ["1"], "SeriesNumber": [1]}), "name whole patients"),
    ],
)
def test_rows_that_would_name_more_than_they_show_are_refused(rows: Any, words: str) -> None:  # R3.4, R3.21
    with pytest.raises(InvalidRequest) as caught:
        addresses(rows)
    assert words in str(caught.value)


def test_whole_studies_are_named_by_their_own_column() -> None:  # as the refusal advises
    assert addresses(SERIES.assign(SeriesNumber=1)[["StudyInstanceUID"]]) == [Address(StudyInstanceUID="1.2")]
    assert len(addresses(SERIES.assign(SeriesNumber=1, StudyDate="20240101"))) == 2


def test_uids_alone_are_studies() -> None:
    study = [Address(StudyInstanceUID="1.2")]
    for what in (
        "1.2",
        ["1.2", "1.2"],
        SERIES.StudyInstanceUID,
        pd.Index(["1.2"]),
        pd.Series(["1.2"]),
        ("1.2",),
    ):
        assert addresses(what) == study


def test_with_a_study_the_patient_is_not_needed() -> None:  # DESIGN 1
    for patient in (123, None, pd.NA, ""):
        assert addresses({"PatientID": patient, "StudyInstanceUID": "1.2"}) == [
            Address(StudyInstanceUID="1.2")
        ]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (SERIES.iloc[:0], "nothing is selected"),
        ([], "nothing is selected"),
        (pd.Series([], dtype="string"), "nothing is selected"),
        ("", "nothing is selected"),
        (["1.2", None], "nothing is selected"),
        (pd.Series(["1.2", pd.NA]), "nothing is selected"),
        (SERIES.assign(SeriesInstanceUID=["1.2.1", None]), "nothing is selected"),
        (SERIES.assign(StudyInstanceUID=["1.2", float("nan")]), "nothing is selected"),
        (pd.DataFrame({"PatientID": [123]}), "read_table"),
        (pd.DataFrame({"StudyInstanceUID": [1.2]}), "read_table"),
        (123, "read_table"),
        (None, "names nothing"),
        (pd.DataFrame({"Modality": ["CT"]}), "StudyInstanceUID"),
        ({}, "columns are none"),
        (SERIES.SeriesInstanceUID == "1.2.1", "Take the rows by it"),
        ((SERIES.SeriesInstanceUID == "1.2.1").to_numpy(), "Take the rows by it"),
        (SERIES.merge(SERIES, on="SeriesInstanceUID"), "StudyInstanceUID_x"),
        (SERIES[["SeriesInstanceUID"]], "Add the column StudyInstanceUID"),
        (SERIES.SeriesInstanceUID, "Add the column StudyInstanceUID"),
        (
            SERIES.assign(SOPInstanceUID="1")[["StudyInstanceUID", "SOPInstanceUID"]],
            "Add the column SeriesInstanceUID",
        ),
        ("1.2.x", "digits and dots"),
        ("1." * 32 + "1", "at most 64"),
        ("1..2", "digits and dots"),
        ({"StudyInstanceUID": ("1.2", "1.3")}, "not text"),
    ],
)
def test_what_names_nothing_is_refused_and_says_what_to_do(what: Any, words: str) -> None:  # R3.4
    with warnings.catch_warnings(), pytest.raises(InvalidRequest) as caught:
        addresses(what)
    assert words in str(caught.value)
