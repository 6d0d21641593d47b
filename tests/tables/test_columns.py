"""Columns of many data sets at once: the same values as one by one, whatever stands in the rows."""

from __future__ import annotations

import doctest
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dicomlab.datasets.cells
import dicomlab.tables.columns
from dicomlab.datasets import charset
from dicomlab.datasets.cells import Cells, Joined, strings
from dicomlab.datasets.elements import Elements, parse, tag_of
from dicomlab.datasets.encoding import LONG, vr_of
from dicomlab.datasets.moments import date, moment, time
from dicomlab.datasets.numerals import decimal, whole
from dicomlab.datasets.values import SINGLE, TEXT
from dicomlab.errors import BadData
from dicomlab.markup import pictured
from dicomlab.tables.columns import build, dtype_of
from dicomlab.tables.records import Records
from dicomlab.tables.tables import table

KEYWORDS = [
    "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "Modality", "RetrieveURL",
    "AcquisitionDateTime", "StudyDescription", "PatientName", "PatientID", "PatientAge", "PatientWeight",
    "PatientComments", "SliceThickness", "StudyInstanceUID", "SeriesNumber", "FrameIncrementPointer", "Rows",
    "PixelAspectRatio", "RecommendedDisplayFrameRateInFloat",
]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    """A few rows are read in parts, as very many are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicomlab.tables.columns, "_PART", 2)
        yield


READ = {"DA": date, "TM": time, "DT": moment, "IS": whole, "DS": decimal}


def encoded(values: dict[str, bytes], implicit: bool) -> bytes:
    body = b""
    for tag, value in sorted((tag_of(word), value) for word, value in values.items()):
        vr = vr_of(tag)
        head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
        if implicit:
            head += len(value).to_bytes(4, "little")
        elif vr in LONG:
            head += vr.encode() + b"\0\0" + len(value).to_bytes(4, "little")
        else:
            head += vr.encode() + len(value).to_bytes(2, "little")
        body += head + value
    return body


def expected(word: str, record: Elements) -> tuple[Any, bool]:
    """The cell of one value, and whether it is a problem; read by itself."""
    tag = tag_of(word)
    value = record.raw.get(tag, ("", b""))[1]
    vr = vr_of(tag)
    if vr in ("US", "FL", "AT"):
        size = {"US": 2}.get(vr, 4)
        if not value or (vr == "AT" and len(value) < 4):
            return None, False
        if vr != "AT" and len(value) % size:
            return None, True
        found = record.get(tag)
        many = found if isinstance(found, tuple) else (found,)
        if vr == "AT":
            many = tuple(f"({one >> 16:04X},{one & 0xFFFF:04X})" for one in many)
        return (many if len(many) > 1 else many[0]), False
    bad = False
    if vr in TEXT:
        text, sure = charset.decode(value, *record.codecs, vr)
        bad = not sure
    else:
        text = value.decode("latin-1")
    parts = (text,) if vr in SINGLE or "\\" not in text else tuple(text.rstrip(" \0").split("\\"))
    parts = tuple(part.rstrip(" \0") if vr in ("LT", "ST", "UT") else part.strip(" \0") for part in parts)
    if vr == "PN" and len(parts) == 1:
        parts = (parts[0].rstrip("="),)
    if vr not in READ:
        parts = tuple(map(pictured, parts))  # control characters that no attribute may hold
        return (parts if len(parts) > 1 else parts[0] or None), bad
    read: list[Any] = []
    for part in parts:
        try:
            read.append(READ[vr](part) if part else None)
        except (ValueError, OverflowError):
            read.append(None)
            bad = True
    if all(one is None for one in read):
        return None, bad
    made = {"DA": pd.Timestamp, "DT": pd.Timestamp, "TM": pd.Timedelta}.get(vr, lambda one: one)
    typed = tuple(None if one is None else made(one) for one in read)
    return (typed if len(typed) > 1 else typed[0]), bad


def check(records: Sequence[Elements], plain: Sequence[Elements]) -> None:
    """The table of `records` has what each of `plain`, the same data sets, has by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = table(records, KEYWORDS)
    problems = {(problem["row"], problem["column"]) for problem in frame.attrs.get("problems", [])}
    for word in KEYWORDS:
        cells = [expected(word, record) for record in plain]
        several = any(isinstance(cell, tuple) for cell, _ in cells)
        assert frame[word].dtype == (object if several else dtype_of(vr_of(tag_of(word)))), word
        for row, ((cell, bad), held) in enumerate(zip(cells, frame[word].tolist(), strict=True)):
            if cell is None:
                assert held is pd.NA or pd.isna(held), (word, row, held)
            else:
                assert held == cell or repr(held) == repr(cell), (word, row)  # NaN is none
            assert ((row, word) in problems) is bad, (word, row)


CHARSETS = [
    b"", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 144 ", b"\\ISO 2022 IR 87", b"GB18030 ", b"NONE",
    b"ISO 2022 IR 13\\ISO 2022 IR 87",
]  # fmt: skip
ODD = [
    b"", b" ", b"\0\0", b"20240131", b"20240230", b"2024.01.31", b"00010101", b"16770921", b"16770922", b"22620411",
    b"22620412", b"20240131 ", b" 20240131", b"143000.25 ", b"2400", b"1430", b"14:30:00", b"143060", b"14",
    b"143000.", b"143000.1234567", b"1430001", b"20240131143000.5", b"2024", b"202401", b"20240131+0100", b"7", b" 7 ",
    b"-7", b"+7", b"007", b"7.0", b"7.5", b"1_0", b"123456789012", b"1234567890123456789", b"99999999999999999999",
    b"9223372036854775807", b"9223372036854775808", b"2.50", b"-1e-3", b"1e999", b"nan", b"inf", b"1e", b"1-2", b".",
    b"0.1\\0.2 ", b"1\\2", b"1\\", b"\\", b"\\\\", b"CT\\MR ", b"1.2\0", b"DOE^JOHN=", b"DOE^JOHN= ", b"=", b"===",
    b"M\xfcller", "Müller".encode(), b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3",
    b"\x95\x5c ", b"  led", b"two  ", b"one\ntwo", b"\0\2", b"\1", b"\0\2\1\2", b"\0\0\x80\x3f",
    b" " * 90 + b"x" + b" \0" * 40, b"=" * 70,
]  # fmt: skip
BYTES = st.one_of(
    st.sampled_from(ODD),
    st.binary(max_size=12),
    st.text(alphabet="0123456789.:+-eE\\ \0", max_size=17).map(str.encode),
)
ROW = st.dictionaries(st.sampled_from(KEYWORDS[1:]), BYTES, max_size=8)
FULL = st.fixed_dictionaries(dict.fromkeys(KEYWORDS[1:], BYTES))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(ROW | FULL, st.sampled_from(CHARSETS)), max_size=5),
    st.booleans(),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_rows_together_have_the_values_of_each_alone(  # R3.19a, R3.18
    rows: list[tuple[dict[str, bytes], bytes]], implicit: bool, looked: list[bool]
) -> None:
    sets = [encoded({**row, **({"SpecificCharacterSet": names} if names else {})}, implicit) for row, names in rows]
    alone = [parse(one, implicit=implicit) for one in sets]
    check(alone, alone)
    later = [Elements.later(one, implicit) for one in sets]
    check(later, alone)
    mixed = [
        Elements.later(one, implicit) if again else parse(one, implicit=implicit)
        for one, again in zip(sets, looked, strict=False)
    ]
    check(mixed, alone)


def test_a_data_set_that_is_not_plain_costs_the_others_nothing() -> None:
    plain = encoded({"PatientID": b"7 ", "PatientName": b"DOE "}, False)
    closing = b"\xfe\xff\xdd\xe0\0\0\0\0"
    nested = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + closing + plain
    other = encoded({"PatientID": b"8 "}, True)  # implicit where explicit was agreed
    sets = [plain, nested, other, b"", plain]
    records = [Elements.later(one, False) for one in sets]
    assert table(records, ["PatientID"]).PatientID.tolist() == ["7", "7", "8", pd.NA, "7"]
    assert records[0].encoded is not None and records[2].encoded is None
    assert repr(records[0]) == "<data set of 22 bytes, not parsed yet>" and "implicit" in repr(records[2])
    assert records[4].text("PatientName") == "DOE" and records[4].encoded is None  # parsed as soon as it is looked at


def test_a_data_set_that_cannot_be_parsed_is_named_by_its_row() -> None:
    whole = encoded({"PatientID": b"7 "}, False)
    records = [Elements.later(one, False) for one in (whole, whole[:-1], whole)]
    abreast = Records(records, ["PatientID"])
    assert list(abreast.unreadable) == [1] and "are left" in str(abreast.unreadable[1])
    with pytest.raises(BadData, match="are left"):
        table(records, ["PatientID"])
    with pytest.raises(BadData, match="are left"):
        records[1].text("PatientID")


def test_a_value_given_to_a_record_later_is_in_its_row() -> None:
    records = [Elements.later(encoded({"PatientID": one, "Modality": b"CT"}, False), False) for one in (b"7 ", b"8 ")]
    records[0].raw[tag_of("PatientID")] = ("LO", b"9")
    records[1].raw = {}
    frame = table(records, ["PatientID", "Modality"])
    assert frame.PatientID.tolist() == ["9", pd.NA] and frame.Modality.tolist() == ["CT", pd.NA]


@pytest.mark.parametrize("storage", ["python", "pyarrow"])
def test_text_is_the_same_with_and_without_pyarrow(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    values = [b"one", None, b"", b"a longer one", b"one", b" "]
    with pd.option_context("mode.string_storage", storage):
        made = strings(Cells.of(values).stripped(b" \0", left=True))
        assert made.dtype == "string" and made.dtype == pd.array(["x"], dtype="string").dtype
        assert made.dtype.storage == storage
    assert made.tolist() == ["one", pd.NA, pd.NA, "a longer one", "one", pd.NA]


def test_values_that_lie_in_another_order_than_the_rows_are_taken_too() -> None:
    joined = Joined(b"onetwothree")
    cells = Cells(joined, *(pd.array(one, dtype="int64").to_numpy() for one in ([6, 0, 3], [5, 3, 3])))
    assert strings(cells).tolist() == ["three", "one", "two"]
    joined = Joined(b"onetwothree")
    starts, lengths = [6, 0, 0, 6, 3, 0, 0], [5, 3, -1, 5, 3, 3, 3]
    cells = Cells(joined, *(pd.array(one, dtype="int64").to_numpy() for one in (starts, lengths)))
    assert strings(cells).tolist() == ["three", "one", pd.NA, "three", "two", "one", "one"]


@pytest.mark.parametrize("starts, lengths", [([0, 0], [3, 6]), ([0, 0, 0], [6, 3, 6]), ([3, 0], [3, 4])])
def test_values_that_overlap_are_taken_too(starts: list[int], lengths: list[int]) -> None:
    cells = Cells(Joined(b"onetwo"), *(pd.array(one, dtype="int64").to_numpy() for one in (starts, lengths)))
    assert strings(cells).tolist() == [
        "onetwo"[start : start + length] for start, length in zip(starts, lengths, strict=True)
    ]


def test_rows_may_have_one_value_in_common_with_rows_between_that_have_none() -> None:
    joined = Joined(b"onetwo")
    starts, lengths = [0, 0, 0, 0, 3, 3, 0], [3, -1, 3, 3, 0, 3, -1]
    cells = Cells(joined, *(pd.array(one, dtype="int64").to_numpy() for one in (starts, lengths)))
    assert strings(cells).tolist() == ["one", pd.NA, "one", "one", pd.NA, "two", pd.NA]
    assert cells.texts() == ["one", "", "one", "one", "", "two", ""]


def test_numbers_are_a_column_of_objects_from_the_first_row_with_several_on() -> None:
    told: list[tuple[int, str]] = []
    values = [b"1", b"x", None, b" 2e0", b"3\\4", b"5", b"", b"y", b"6\\7", b"1 "]
    made = build("DS", Cells.of(values), lambda row, text: told.append((row, text)))
    assert list(made) == [1.0, pd.NA, pd.NA, 2.0, (3.0, 4.0), 5.0, pd.NA, pd.NA, (6.0, 7.0), 1.0]
    assert told == [(1, "x"), (7, "y")]


def test_no_rows_and_no_bytes_are_columns() -> None:
    for values in ([], [None], [b""]):
        for vr in ("DA", "TM", "DT", "IS", "DS", "US", "FD", "AT", "PN", "LT"):
            made = build(vr, Cells.of(values), lambda row, text: pytest.fail(text))
            assert len(made) == len(values) and made.dtype == dtype_of(vr) and pd.isna(made).all()


@example(b"19700101")
@example(b"20000229")
@example(b"19000229")
@given(st.dates().map(lambda day: day.strftime("%Y%m%d").encode()) | st.from_regex(rb"[0-9]{8}", fullmatch=True))
def test_a_date_is_the_same_day_in_a_column_and_alone(text: bytes) -> None:
    wrong: list[str] = []
    made = build("DA", Cells.of([text]), lambda row, value: wrong.append(value))
    try:
        assert made.view("int64")[0] == date(text.decode()) and not wrong
    except ValueError:
        assert pd.isna(made[0]) and wrong == [text.decode()]


def test_the_examples_run() -> None:
    assert doctest.testmod(dicomlab.datasets.cells).failed == 0
