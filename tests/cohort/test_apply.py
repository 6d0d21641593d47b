"""A function over the series of a table: a row each, whatever fails, and only what is missing is done again."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cohort.conftest import SERIES, Counted
from features import Deadly, features, process_of, slow
from slices import stack, write
from support import ROOT, until

import dicomlab as dl
from dicomlab.cohort import run
from dicomlab.errors import CacheError, Interrupted, InvalidRequest, ResultWarning


def size(volume: Any) -> int:
    return int(volume.size)


def test_each_series_is_a_row_with_its_own_result(peer: dl.Peer, series: pd.DataFrame) -> None:
    table = dl.apply(features, series, peer=peer, progress=False)
    assert list(table.index) == list(series.index) and list(table.SeriesInstanceUID) == list(series.SeriesInstanceUID)
    assert table.voxels.tolist() == [3 * (n + 1) * 3 for n in range(SERIES)]
    assert set(table.status) == {"done"} and set(table.unit) == {"HU"} and (table.error == "").all()
    for n, mean in enumerate(table["mean"]):
        stored = [100 * plane + np.arange(3 * (n + 1)) for plane in range(3)]
        assert mean == pytest.approx(np.mean(stored) - 1024)
    assert (table.seconds > 0).all()


def test_a_single_value_is_the_column_result(peer: dl.Peer, series: pd.DataFrame) -> None:
    table = dl.apply(lambda volume: np.float32(volume.max()), series.head(2), peer=peer)
    assert table.result.dtype == "Float64" or table.result.dtype == "Int64"
    assert table.result.notna().all()


def test_what_fails_costs_its_row_and_says_where(peer: dl.Peer, series: pd.DataFrame, archive: Counted) -> None:
    def picky(volume: Any) -> int:
        if volume.size == 18:
            raise KeyError("no such organ")
        return int(volume.size)

    for uid in ("1.2.9.3.1.1", "1.2.9.3.1.2", "1.2.9.3.1.3"):
        archive.server.holdings.remove(uid)
    with pytest.warns(ResultWarning, match=r"10 done, 2 failed of 12 series; the first: function: KeyError: 'no such"):
        table = dl.apply(picky, series, peer=peer)
    failed = table[table.status == "failed"]
    assert list(failed.PatientID) == ["C001", "C003"] and failed.result.isna().all()
    assert failed.error.iloc[1].startswith("retrieve: ")
    assert table[table.status == "done"].result.notna().all()


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (np.zeros(3), "an object of type ndarray"),
        ({"mask": [1, 2]}, "an object of type list as mask"),
        ({"status": 1}, "a value status, as a column of the answer"),
        ({"PatientID": "x"}, "a value PatientID, as a column of the table"),
        ({3: 1}, "a value 3"),
    ],
)
def test_a_result_that_no_column_holds_is_refused_in_its_row(
    peer: dl.Peer, series: pd.DataFrame, result: Any, why: str
) -> None:
    with pytest.warns(ResultWarning, match="1 failed of 1 series"):
        table = dl.apply(lambda volume: result, series.head(1), peer=peer)
    assert why in table.error.iloc[0] and table.PatientID.iloc[0] == "C000"


def test_files_need_no_peer_and_are_grouped_by_series(tmp_path: Path) -> None:
    paths = [
        path
        for n in range(2)
        for path in write(tmp_path / str(n), stack([0, 2], rows=n + 2, SeriesInstanceUID=f"1.2.{n}", SeriesNumber=n))
    ]
    assert len(paths) == 4
    for n, folder in enumerate(tmp_path.iterdir()):
        assert folder.is_dir(), n
    with pytest.warns(ResultWarning):  # one SOP Instance UID in two series
        scanned = dl.scan(tmp_path)
    table = dl.apply(features, scanned)
    assert sorted(table.voxels) == [12, 18] and list(table.instances) == [2, 2]
    assert table.SeriesNumber.dtype == "Int64"


def test_the_function_may_take_the_instances(peer: dl.Peer, series: pd.DataFrame) -> None:
    table = dl.apply(lambda rows: len(rows), series.head(3), peer=peer, given="instances")
    assert table.result.tolist() == [3, 3, 3]


# -- threads, processes ------------------------------------------------------------------------------------------


def test_processes_take_functions_of_a_notebook_too(peer: dl.Peer, series: pd.DataFrame) -> None:
    table = dl.apply(process_of, series.head(4), peer=peer, processes=True, workers=2)
    assert os.getpid() not in set(table.result) and (table.status == "done").all()
    offset = 7
    table = dl.apply(lambda volume: int(volume.size) + offset, series.head(2), peer=peer, processes=True)
    assert table.result.tolist() == [16, 25]
    until(lambda: not multiprocessing.active_children())  # a thread of the pool may be just noting their end


def test_a_process_that_dies_costs_only_the_series_that_killed_it(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    lives = tmp_path / "lives"
    lives.mkdir()
    for life in range(9):
        (lives / str(life)).touch()
    with pytest.warns(ResultWarning, match="11 done, 1 failed of 12 series"):
        table = dl.apply(Deadly(27, lives), series, peer=peer, processes=True, workers=2)
    (failed,) = table[table.status == "failed"].itertuples()
    assert failed.PatientID == "C002" and "the process that ran it ended" in failed.error
    assert len(list(lives.iterdir())) in (7, 8)  # once alone, and perhaps once among others


# -- stopped, and run again ----------------------------------------------------------------------------------------


def counting(calls: list[int]) -> Any:
    def counted(volume: Any) -> int:
        calls.append(int(volume.size))
        return int(volume.size)

    return counted


def test_a_file_of_results_is_gone_on_with(peer: dl.Peer, series: pd.DataFrame, tmp_path: Path) -> None:
    calls: list[int] = []
    function, path = counting(calls), tmp_path / "results.jsonl"
    dl.apply(function, series.head(5), peer=peer, results=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    _, *lines = map(json.loads, before.splitlines())  # in the order in which the threads ended
    assert len(lines) == 5 and sorted(line["values"]["result"] for line in lines) == sorted(calls)
    calls.clear()
    with path.open("ab") as file:  # as a killed process leaves it
        file.write(b'{"series": "1.2.9.5.1", "sta')
    table = dl.apply(function, series, peer=peer, results=path)
    assert sorted(calls) == [3 * (n + 1) * 3 for n in range(5, 12)]
    assert table.result.tolist() == [3 * (n + 1) * 3 for n in range(12)]
    assert path.read_bytes().startswith(before)


def test_a_table_that_is_given_back_is_gone_on_with(peer: dl.Peer, series: pd.DataFrame) -> None:
    calls: list[int] = []
    function = counting(calls)
    table = dl.apply(function, series.head(3), peer=peer)
    calls.clear()
    table.loc[table.index[1], "status"] = "failed"
    again = dl.apply(function, table, peer=peer)
    assert calls == [18] and again.result.tolist() == [9, 18, 27]
    assert list(again.columns) == list(table.columns)
    other = dl.apply(size, again.drop(columns="result"), peer=peer)  # another function: all anew
    assert other.result.tolist() == [9, 18, 27]


def test_results_of_another_function_or_file_are_refused_and_left(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "results"
    dl.apply(features, series.head(1), peer=peer, results=path)
    before = path.read_bytes()
    with pytest.raises(InvalidRequest, match="has the results of features"):
        dl.apply(size, series.head(1), peer=peer, results=path)
    assert path.read_bytes() == before
    notes = tmp_path / "notes.txt"
    for content in ("my notes", "my notes\nof today\n", '{"kind": "another"}\n'):
        notes.write_text(content)
        with pytest.raises(InvalidRequest, match="no file of results"):
            dl.apply(size, series.head(1), peer=peer, results=notes)
        assert notes.read_text() == content
    with pytest.raises(CacheError, match="cannot be used"):
        dl.apply(size, series.head(1), peer=peer, results=tmp_path / "absent" / "results")


def test_a_function_that_was_changed_does_not_go_on_with_its_old_results(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    def once(volume: Any) -> float:
        return float(volume.max())

    first = once

    def once(volume: Any) -> float:
        return float(volume.min())

    dl.apply(first, series.head(1), peer=peer, results=tmp_path / "results")
    with pytest.raises(InvalidRequest, match="as it was before it was changed"):
        dl.apply(once, series.head(1), peer=peer, results=tmp_path / "results")


def test_one_call_at_a_time_writes_to_a_file(peer: dl.Peer, series: pd.DataFrame, tmp_path: Path) -> None:
    job = dl.apply(slow, series, peer=peer, results=tmp_path / "results", workers=1, background=True)
    with pytest.raises(InvalidRequest, match="another call writes"):
        dl.apply(slow, series, peer=peer, results=tmp_path / "results")
    job.stop()


def test_ctrl_c_gives_the_table_so_far_and_the_rest_is_done_later(peer: dl.Peer, series: pd.DataFrame) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="not run of 12 series") as caught:
        dl.apply(slow, series, peer=peer, workers=1, progress=interrupt)
    table = caught.value.rows
    assert table is not None and {"done", "not run"} <= set(table.status) and table.attrs["stopped"]
    done = set(table[table.status == "done"].SeriesInstanceUID)
    again = dl.apply(slow, table, peer=peer)
    assert (again.status == "done").all() and done


def test_a_job_is_stopped_and_gives_what_is_done(peer: dl.Peer, series: pd.DataFrame) -> None:
    job = dl.apply(slow, series, peer=peer, workers=1, background=True)
    end = time.monotonic() + 30
    while job.progress.done < 2 and time.monotonic() < end:
        time.sleep(0.02)
    table = job.stop()
    counts = table.status.value_counts()
    assert counts["done"] >= 2 and counts["not run"] >= 1
    assert job.state == "stopped" and "stopped after" in repr(job)


def test_kill_loses_no_result_that_was_kept(archive: Counted, tmp_path: Path) -> None:
    program = (
        "import dicomlab as dl, features, sys\n"
        "if __name__ == '__main__':\n"
        "    peer = dl.connect(sys.argv[1], cache=sys.argv[2])\n"
        "    dl.apply(features.slow, peer.find('SERIES', PatientName='COHORT*'), peer=peer, results=sys.argv[3],"
        " workers=1)\n"
    )
    path = tmp_path / "results"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    arguments = [archive.server.address, str(tmp_path / "cache"), str(path)]
    child = subprocess.Popen([sys.executable, "-c", program, *arguments], env=environment)
    end = time.monotonic() + 60
    while time.monotonic() < end and (not path.exists() or path.read_bytes().count(b"\n") < 4):
        time.sleep(0.02)
    child.kill()
    child.wait()
    kept = path.read_bytes().count(b"\n") - 1
    assert kept >= 3
    calls: list[int] = []
    with dl.connect(archive.server.address, cache=tmp_path / "cache") as peer:
        series = peer.find("SERIES", PatientName="COHORT*")
        table = dl.apply(slow, series, peer=peer, results=path, progress=lambda done, total: calls.append(total))
    assert (table.status == "done").all() and set(calls) == {12 - kept}


# -- how much is here ------------------------------------------------------------------------------------------------


def test_no_more_series_are_here_than_are_worked_on(
    peer: dl.Peer, series: pd.DataFrame, archive: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[int] = []
    monkeypatch.setattr(run, "BATCH", 2)

    def look(volume: Any) -> int:
        time.sleep(0.1)
        here.append(len(peer.cache.contents("SERIES")))
        return int(volume.size)

    table = dl.apply(look, series, peer=peer, workers=1, discard=True)
    assert (table.status == "done").all() and max(here) <= 1 + (run.AHEAD - 1) + 2 + 1
    assert len(peer.cache.contents("SERIES")) == 0
    assert archive.most == 1


def test_small_series_are_asked_for_together_and_large_ones_alone(
    peer: dl.Peer, series: pd.DataFrame, archive: Counted
) -> None:
    before = len(archive.server.requests("A-ASSOCIATE"))
    dl.apply(size, series, peer=peer)
    together = len(archive.server.requests("A-ASSOCIATE")) - before
    peer.cache.remove(series)
    large = series.assign(NumberOfSeriesRelatedInstances=run.IMAGES)
    dl.apply(size, large, peer=peer)
    assert together == 2 * 2 and len(archive.server.requests("A-ASSOCIATE")) - before - together == 2 * SERIES


def test_what_was_here_before_is_not_discarded(peer: dl.Peer, series: pd.DataFrame) -> None:
    peer.retrieve(series.head(1))
    dl.apply(size, series.head(3), peer=peer, discard=True)
    assert list(peer.cache.contents("SERIES").SeriesInstanceUID) == ["1.2.9.0.1"]


def test_an_estimate_counts_and_after_a_few_series_it_has_minutes(peer: dl.Peer, series: pd.DataFrame) -> None:
    def named(volume: Any) -> int:
        time.sleep(0.05)
        return 1

    (before,) = dl.apply(named, series, peer=peer, dry_run=True).itertuples()
    assert (before.series, before.instances) == (12, 36) and before.GB_to_fetch > 0
    assert before.minutes is pd.NA
    dl.apply(named, series.head(3), peer=peer)
    (after,) = dl.apply(named, series, peer=peer, dry_run=True, workers=1).itertuples()
    assert after.instances == 36 and after.GB_to_fetch < before.GB_to_fetch
    assert 12 * 0.05 / 60 <= after.minutes < 1


def test_an_estimate_leaves_its_file_of_results_to_the_run(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a file that is left open is one
        for count in (3, 1):
            (row,) = dl.apply(size, series.head(3), peer=peer, results=results, dry_run=True).itertuples()
            assert row.series == count
            dl.apply(size, series.head(2), peer=peer, results=results)
            gc.collect()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"series": "1.2.3"}, "no table of series"),
        ({"series": pd.DataFrame({"SeriesInstanceUID": []})}, "nothing is selected"),
        ({"series": pd.DataFrame({"StudyInstanceUID": ["1"], "SeriesInstanceUID": ["2"]})}, "no peer is given"),
        ({"function": 3}, "of type int"),
        ({"workers": 0}, "workers=0"),
        ({"given": "pixels"}, "given='pixels'"),
        ({"client": object()}, "client is an object"),
        ({"client": object(), "workers": 2}, "its own workers"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(arguments: dict[str, Any], why: str, tmp_path: Path) -> None:
    write(tmp_path, stack([0, 1]))
    with pytest.raises(InvalidRequest, match=why):
        dl.apply(**{"function": size, "series": dl.scan(tmp_path), **arguments})
