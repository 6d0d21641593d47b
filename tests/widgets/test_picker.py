"""Rows chosen of a table: what comes back, what goes to the browser, and what never stays in a notebook."""

from __future__ import annotations

import doctest
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import slices
from PIL import Image
from support import ROOT

import dicomlab as dl
import dicomlab.widgets.pages
import dicomlab.widgets.picker
from dicomlab.cache.cache import Cache
from dicomlab.errors import InvalidRequest
from dicomlab.markup import page_text, plain
from dicomlab.widgets.pages import text_of
from dicomlab.widgets.pictures import Pictures, thumbnail

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pacs():
    with dl.demo_pacs() as peer:
        yield peer


@pytest.fixture
def series(pacs):
    return pacs.find("SERIES", StudyDate="")


def heard(picker) -> list[dict]:
    """What the picker says to its browser from now on."""
    messages: list[dict] = []
    picker.send = lambda content, buffers=None: messages.append({**content, "buffers": buffers or []})
    return messages


def says(picker, **message) -> None:
    """As if the browser said it."""
    picker._handle_custom_msg({"number": picker._number, **message}, [])


def cells(picker) -> list[list[str]]:
    return json.loads(picker._dt_args["data_json"])


def test_what_is_chosen_is_a_table_of_the_same_kind_with_where_it_came_from(series):  # R15.7
    picker = dl.pick(series)
    says(picker, kind="selected", rows=[4, 1])
    pd.testing.assert_frame_equal(picker.selected, series.iloc[[1, 4]])
    assert picker.selected.attrs == series.attrs and picker.selected.dtypes.equals(series.dtypes)


def test_chosen_rows_are_retrieved_and_loaded(pacs, series):
    picker = dl.pick(series, series.Modality == "PT")
    assert set(dl.load(pacs.retrieve(picker.selected)).attrs["Modality"].split()) == {"PT"}


def test_nothing_chosen_is_an_empty_table_that_asks_for_nothing(pacs, series):
    picker = dl.pick(series)
    assert picker.selected.empty and list(picker.selected) == list(series)
    with pytest.raises(InvalidRequest, match="nothing is selected"):
        pacs.retrieve(picker.selected)


@pytest.mark.parametrize("rows", [[], [3], [0, 5, 7], slice(2, 4), 1, "modality"])
def test_the_line_of_code_gives_the_same_rows_without_the_mouse(series, rows):
    picker = dl.pick(series, series.Modality == "CT" if rows == "modality" else rows)
    names = {"series": series}
    exec(picker.code("series"), names)
    pd.testing.assert_frame_equal(names["selected"], picker.selected)
    assert picker.code() == picker.code("series")  # found among the names of whoever asks
    assert repr(picker.code("series")) == str(picker.code("series"))


def test_rows_without_an_identifier_of_their_own_are_named_by_position():
    for table in (pd.DataFrame({"mean": [1.0, 2.0]}), pd.DataFrame({"PatientID": ["1", "1"], "mean": [1.0, 2.0]})):
        names = {"table": table}
        exec(dl.pick(table, [1]).code("table"), names)
        pd.testing.assert_frame_equal(names["selected"], table.iloc[[1]])


def test_a_table_that_is_changed_later_does_not_change_what_is_chosen(series):
    picker = dl.pick(series, [0])
    expected = series.iloc[[0]].copy()
    series.loc[:, "PatientID"] = "another"
    pd.testing.assert_frame_equal(picker.selected, expected)


def test_any_index_and_a_table_that_was_filtered_keep_theirs(series):
    some = series[series.Modality == "MR"].set_index("StudyDate", drop=False)
    picker = dl.pick(some, [1])
    pd.testing.assert_frame_equal(picker.selected, some.iloc[[1]])


def test_each_choice_is_told_once_and_an_error_of_who_listens_is_shown(series):  # R15.7, R15.11
    picker, seen = dl.pick(series), []
    messages = heard(picker)
    picker.on_select(lambda rows: seen.append(len(rows)))
    picker.on_select(lambda rows: 1 // 0)
    says(picker, kind="selected", rows=[0, 1], view="a")
    says(picker, kind="selected", rows=[0, 1], view="a")
    assert seen == [2]
    assert [one["kind"] for one in messages] == ["select", "note"] and messages[0]["view"] == "a"
    assert "ZeroDivisionError" in messages[1]["note"]


def test_a_click_in_a_table_that_is_gone_chooses_nothing(series):
    picker = dl.pick(series)
    before = picker._number
    picker.update(series.tail(3))
    says(picker, kind="selected", rows=[0], number=before)
    assert picker.selected.empty
    says(picker, kind="selected", rows=[0])
    pd.testing.assert_frame_equal(picker.selected, series.tail(3).head(1))


def test_the_rows_are_no_state_of_the_widget(series):  # R15.10: a notebook is saved with the state of its widgets
    series = series.assign(PatientName="SECRET^NAME")
    picker = dl.pick(series, [0])
    picker.comm.kernel_state = json.dumps(picker.get_state(), default=str)
    assert "SECRET" not in picker.comm.kernel_state and series.PatientID[0] not in picker.comm.kernel_state
    messages = heard(picker)
    says(picker, kind="ready")
    told, = messages
    assert "SECRET^NAME" in told["args"]["data_json"] and told["rows"] == [0]


def test_a_notebook_keeps_the_summary_and_a_terminal_shows_the_rows(series, monkeypatch):  # R15.8, R15.10
    picker = dl.pick(series.assign(PatientName="SECRET^NAME"), [0])
    assert "SECRET^NAME" in repr(picker) and repr(picker).startswith("Picker of 18 series, 1 chosen")
    box = ipywidgets.VBox([picker])
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert picker._repr_mimebundle_()[0]["text/plain"] == "Picker of 18 series, 1 chosen"
    assert "SECRET" not in box._repr_mimebundle_()["text/plain"]
    assert "SECRET^NAME" in str(picker)


@pytest.mark.parametrize("column", ["PatientName", f"Modality{MARKUP}"])
def test_markup_in_cells_and_names_of_columns_is_text(series, column):  # R15.9
    table = series.assign(**{column: [MARKUP, "a\u202eb\nc", *["x"] * (len(series) - 2)]})
    picker = dl.pick(table, columns=[column])
    (first,), (second,), *_ = cells(picker)
    assert first == "&lt;img src=x onerror=alert(1)&gt;" and "\u202e" not in second and "u202eb" in second
    assert "<img" not in picker._dt_args["table_html"] and "<img" not in json.dumps(picker._dt_args)
    assert "\u202e" not in repr(picker) and r"a\u202eb\nc" in repr(picker)


def test_cells_are_written_so_that_their_text_sorts_as_they_do():
    when = pd.Timestamp("2024-01-31 14:30:05")
    values = [when.normalize(), when, pd.Timedelta(when - when.normalize()), ("CT", "PT"), pd.NA, pd.NaT, None, 1.5, 7]
    assert [text_of(value) for value in values] == [
        "2024-01-31", "2024-01-31 14:30:05", "14:30:05", "CT, PT", "", "", "", "1.5", "7",
    ]  # fmt: skip
    assert [text_of(value) for value in (True, 1, np.float64("nan"), [1, 2])] == ["yes", "1", "", "1, 2"]


def test_uids_and_empty_columns_are_not_shown_and_names_come_first(series):
    picker = dl.pick(series.assign(StudyComments=pd.NA))
    heads = picker._dt_args["table_html"]
    assert "InstanceUID" not in heads and "StudyComments" not in heads and "SOPClassesInStudy" not in heads
    assert heads.index("PatientName") < heads.index("PatientID") < heads.index("Modality")
    assert "StudyInstanceUID" in dl.pick(series, columns=["StudyInstanceUID"])._dt_args["table_html"]


def test_ten_thousand_rows_go_to_the_browser_whole_and_soon():  # R15.12
    count = 10_000
    table = pd.DataFrame({f"column {number}": [f"{number} {row}" for row in range(count)] for number in range(24)})
    table["StudyInstanceUID"] = [f"1.2.{row}" for row in range(count)]
    table["StudyDate"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(count), unit="D")
    start = time.process_time()
    picker = dl.pick(table)
    assert time.process_time() - start < 6  # measured 0.3
    rows = cells(picker)
    assert len(rows) == count and len(rows[0]) == 25  # no row and no column is left out, StudyInstanceUID apart
    says(picker, kind="selected", rows=list(range(0, count, 2)))
    assert len(picker.selected) == count // 2


def test_a_table_without_rows_is_shown_as_such(series):
    picker = dl.pick(series.head(0))
    assert cells(picker) == [] and picker.summary == "Picker of 0 series, 0 chosen"


@pytest.mark.parametrize("what", [None, [1, 2], "1.2.3", pd.Series([1])])
def test_what_is_no_table_is_refused(what):  # R0.4
    with pytest.raises(InvalidRequest, match=r"pick takes a table, not .*\. Give what find"):
        dl.pick(what)


@pytest.mark.parametrize("rows", [[18], [-1], 99, ["a"], [0.5], {"a": 1}, [True], [[0], [1]], object()])
def test_rows_that_are_none_are_refused(series, rows):  # R0.4
    with pytest.raises(InvalidRequest, match="no row"):
        dl.pick(series, rows)


def test_columns_that_are_none_are_refused(series):  # R0.4
    with pytest.raises(InvalidRequest, match="no column 'PatientNmae', did you mean 'PatientName'"):
        dl.pick(series, columns=["PatientNmae"])
    with pytest.raises(InvalidRequest, match="no column is to be shown"):
        dl.pick(series, columns=[])
    with pytest.raises(InvalidRequest, match="two columns A"):
        dl.pick(pd.DataFrame([[1, 2]], columns=["A", "A"]))


def test_a_browser_that_sends_nonsense_changes_nothing(series):
    picker = dl.pick(series, [1])
    for message in ({"kind": "selected", "rows": [99]}, {"kind": "selected"}, {"kind": "pictures"}, {}):
        picker._handle_custom_msg({"number": -1, **message}, [])
    messages = heard(picker)
    says(picker, kind="selected", rows=[99])
    assert picker.selected_rows == [1] and "there is no row 99" in messages[0]["note"]


# -- pictures --------------------------------------------------------------------------------------------------------


def test_the_middle_slice_of_a_series_that_is_here_becomes_a_small_picture(pacs, series):
    chosen = series[series.SeriesDescription == "thorax 3 mm"]
    pacs.retrieve(chosen)
    picker = dl.pick(chosen, cache=pacs.cache)
    messages = heard(picker)
    says(picker, kind="pictures", rows=[0])
    end = time.monotonic() + 60
    while not messages and time.monotonic() < end:
        time.sleep(0.02)
    told, = messages
    picture = Image.open(io.BytesIO(told["buffers"][0]))
    assert told["kind"] == "picture" and picture.height == 80 and len(np.unique(np.asarray(picture))) > 2
    picker.close()


def test_a_series_that_is_not_here_has_no_picture_and_nothing_is_sent(pacs, series, tmp_path):
    with Cache(tmp_path, index=tmp_path / "index.sqlite") as cache:
        picker = dl.pick(series, cache=cache)
        assert picker._files(0) == [] and thumbnail([]) is None


def test_what_is_no_image_and_what_is_damaged_have_no_picture_and_the_next_has(tmp_path):
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(b"no DICOM at all")
    good = slices.write(tmp_path, slices.stack([0, 2, 4], rows=8, columns=16))
    told: list[int] = []
    pictures = Pictures({0: [damaged], 1: good, 2: []}.__getitem__, lambda row, picture: told.append(row))
    pictures.ask([0, 2, 1])
    end = time.monotonic() + 60
    while not told and time.monotonic() < end:
        time.sleep(0.02)
    pictures.close()
    pictures.ask([1])
    assert told == [1]
    assert Image.open(io.BytesIO(thumbnail(good))).size == (80, 80)  # 8 x 0.5 mm high, 16 x 0.25 mm wide


def test_instances_have_the_picture_of_their_own_file(tmp_path):
    table = dl.scan(Path(slices.write(tmp_path, slices.stack([0, 2]))[0]).parent)
    picker = dl.pick(table)
    assert picker._files(1) == [table.path[1]] and '"dicomlab-picture row-1"' in cells(picker)[1][0]


def test_the_picker_is_not_loaded_before_it_is_used():
    code = "import sys, dicomlab; print([one for one in ('itables', 'ipywidgets', 'anywidget') if one in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"


def test_the_examples_run():
    for module in (dicomlab.widgets.pages, dicomlab.widgets.picker):
        failed, attempted = doctest.testmod(module)
        assert attempted and not failed


def test_what_is_called_plain_is_text_as_it_stands():  # R15.9
    every = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    assert {char for char in every if plain(char) and page_text(char) != char} == set()
    assert not any(plain(char) for char in "<>&\"'$\\\n\x1b\u202e")
