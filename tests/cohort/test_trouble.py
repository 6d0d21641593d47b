"""A cohort where something else goes wrong: the archive, the table, other processes, names that are hidden."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cohort.conftest import SERIES, Counted, cohort
from features import named, slow
from slices import stack, write
from support import ROOT

import dicomlab as dl
from dicomlab.cohort import run
from dicomlab.demo import DemoServer
from dicomlab.errors import CacheError, Interrupted, InvalidRequest, ResultWarning

ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}


def size(volume: Any) -> int:
    return int(volume.size)


SIZES = [9 * (n + 1) for n in range(SERIES)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/null to be no folder")
def test_a_cache_that_cannot_be_written_is_said_before_the_first_series(peer: dl.Peer, series: pd.DataFrame) -> None:
    nowhere = dl.connect(peer.node, cache=dl.Cache("/dev/null/cache"))
    with pytest.raises(CacheError, match=r"/dev/null/cache cannot be written.*cache="):
        dl.apply(size, series, peer=nowhere)


# -- the archive -------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # pynetdicom's, of the dead server
def test_an_archive_that_dies_and_returns_costs_no_row(
    peer: dl.Peer, series: pd.DataFrame, archive: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PAUSES", (0.2,) * 300)
    monkeypatch.setattr(run, "BATCH", 1)
    later: list[DemoServer] = []

    def died(done: int, total: int | None) -> None:
        if done == 3:
            archive.server.stop()
            back = threading.Timer(1.0, lambda: later.append(DemoServer(cohort(SERIES), port=archive.server.port)))
            back.daemon = True
            back.start()

    try:
        table = dl.apply(size, series, peer=peer, progress=died)
    finally:
        for one in later:
            one.stop()
    assert len(later) == 1 and table.result.tolist() == SIZES


def test_an_archive_that_stays_away_is_not_asked_for_each_row(
    peer: dl.Peer, series: pd.DataFrame, archive: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PAUSES", (0.1, 0.1))
    monkeypatch.setattr(run, "BATCH", 1)

    def died(done: int, total: int | None) -> None:
        if done == 3:
            archive.server.stop()

    with pytest.warns(ResultWarning, match="the archive cannot be reached; .* not run of 12 series; give this table"):
        table = dl.apply(size, series, peer=peer, progress=died)
    counts = table.status.value_counts()
    assert counts["failed"] == 1 and counts["done"] >= 3 and counts["not run"] >= 1 and table.attrs["stopped"]
    assert table.error[table.status == "failed"].str.startswith("retrieve: ").all()
    with DemoServer(cohort(SERIES), port=archive.server.port):
        assert dl.apply(size, table, peer=peer).result.tolist() == SIZES


def test_an_archive_that_never_was_there_is_told_at_once(series: pd.DataFrame, tmp_path: Path) -> None:
    with (
        dl.connect("NOBODY@127.0.0.1:1", cache=tmp_path / "other") as nobody,
        pytest.warns(ResultWarning, match="the archive cannot be reached; 8 failed, 4 not run of 12 series"),
    ):
        table = dl.apply(size, series, peer=nobody)
    assert set(table.status) == {"failed", "not run"}


def test_a_series_that_is_offline_costs_its_row(peer: dl.Peer, series: pd.DataFrame) -> None:
    there = series.assign(InstanceAvailability=["ONLINE"] * 3 + ["OFFLINE"] + ["ONLINE"] * (SERIES - 4))
    with pytest.warns(ResultWarning, match="11 done, 1 failed of 12 series; the first: retrieve: .*OFFLINE"):
        table = dl.apply(size, there, peer=peer)
    assert list(table.PatientID[table.status == "failed"]) == ["C003"]


def test_what_was_fetched_for_a_call_that_is_stopped_is_discarded_too(peer: dl.Peer, series: pd.DataFrame) -> None:
    job = dl.apply(slow, series, peer=peer, workers=1, discard=True, background=True)
    end = time.monotonic() + 60
    while job.progress.done < 2 and time.monotonic() < end:
        time.sleep(0.02)
    began = time.monotonic()
    job.stop()
    assert time.monotonic() - began < 5 and job.progress.done >= 2
    assert len(peer.cache.contents()) == 0


# -- the table ---------------------------------------------------------------------------------------------------


def test_rows_of_instances_and_of_one_series_in_two_studies_are_refused(peer: dl.Peer, series: pd.DataFrame) -> None:
    images = series.assign(SOPInstanceUID="1.2.3")
    with pytest.raises(InvalidRequest, match="the rows name instances"):
        dl.apply(size, images, peer=peer)
    twice = pd.concat([series, series.head(1).assign(StudyInstanceUID="1.2.9.99")])
    with pytest.raises(InvalidRequest, match="is there in two studies"):
        dl.apply(size, twice, peer=peer)


def test_the_same_series_in_two_rows_is_run_once(peer: dl.Peer, series: pd.DataFrame) -> None:
    calls: list[int] = []
    rows = pd.concat([series.head(2), series.head(1)]).assign(who=["a", "b", "c"])
    table = dl.apply(lambda volume: calls.append(1) or volume.size, rows, peer=peer)
    assert len(calls) == 2 and table.result.tolist() == [9, 18, 9] and list(table.index) == list(rows.index)
    assert table.who.tolist() == ["a", "b", "c"]


def test_a_function_may_give_a_path_and_its_table_is_still_one_of_series(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    calls: list[int] = []

    def written(volume: Any) -> dict[str, Any]:
        calls.append(volume.size)
        return {"path": str(tmp_path / f"{volume.size}.nii"), "SOPInstanceUID": "1.2.3"}

    table = dl.apply(written, series.head(3), peer=peer)
    table.loc[table.index[2], "status"] = "failed"
    again = dl.apply(written, table, peer=peer)
    assert calls[3:] == [27] and again.path.tolist() == [str(tmp_path / f"{count}.nii") for count in (9, 18, 27)]


def test_a_function_that_was_changed_takes_its_old_table_and_computes_anew(peer: dl.Peer, series: pd.DataFrame) -> None:
    def once(volume: Any) -> float:
        return float(volume.max())

    table = dl.apply(once, series.head(2), peer=peer)

    def changed(volume: Any) -> float:
        return float(volume.min())

    changed.__qualname__ = once.__qualname__
    assert (dl.apply(changed, table, peer=peer).result < table.result).all()


def test_results_of_before_never_stand_in_a_column_of_the_table(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    dl.apply(size, series.head(1), peer=peer, results=tmp_path / "results")
    with pytest.raises(InvalidRequest, match=r"have a value result, as a column of the table is. .*drop\(columns='res"):
        dl.apply(size, series.head(2).assign(result="mine"), peer=peer, results=tmp_path / "results")


def test_an_argument_that_is_refused_leaves_the_file_of_results_to_others(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="progress=5"):
        dl.apply(size, series.head(1), peer=peer, results=tmp_path / "results", progress=5)
    assert dl.apply(size, series.head(1), peer=peer, results=tmp_path / "results").result.tolist() == [9]


def test_an_estimate_of_nothing_left_is_no_minutes_and_files_that_are_gone_no_error(
    peer: dl.Peer, series: pd.DataFrame, tmp_path: Path
) -> None:
    dl.apply(size, series.head(2), peer=peer, results=tmp_path / "results")
    (row,) = dl.apply(size, series.head(2), peer=peer, results=tmp_path / "results", dry_run=True).itertuples()
    assert (row.series, row.instances, row.GB, row.minutes) == (0, 0, 0, 0)
    (row,) = dl.apply(size, series.head(2), peer=peer, dry_run=True).itertuples()
    assert row.GB_to_fetch == 0 and peer.cache.size / 1e9 == row.GB
    paths = write(tmp_path / "files", stack([0, 1]))
    scanned = dl.scan(tmp_path / "files")
    for path in paths:
        path.unlink()
    assert dl.apply(size, scanned, dry_run=True).GB.tolist() == [0]
    with pytest.warns(ResultWarning, match="1 failed of 1 series; the first: load: "):
        dl.apply(size, scanned)


# -- other processes ---------------------------------------------------------------------------------------------


def test_names_that_are_hidden_here_are_hidden_by_the_same_pseudonyms_there(
    peer: dl.Peer, series: pd.DataFrame
) -> None:
    with dl.options.set(phi=False):
        rows = peer.find("SERIES", PatientName="COHORT*").sort_values("SeriesInstanceUID").head(4)
        here = dl.apply(named, rows, peer=peer)
        with pytest.warns(ResultWarning, match="3 done, 1 failed of 4 series"):
            there = dl.apply(named, rows, peer=peer, processes=True, workers=2)
    assert here.who.str.startswith("hidden-").all()
    done = there[there.status == "done"]
    assert list(done.who) == list(here.who[done.index])
    (error,) = there.error[there.status == "failed"]
    assert error == "function: ValueError"  # of which the text would hold a name
    assert "COHORT" not in there.to_csv()


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / "data" / str(n), stack([0, 1], SeriesInstanceUID=f"1.2.{n}"))
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, warnings, dicomlab as dl, features\nwarnings.simplefilter('ignore')\n"
        f"dl.apply(features.features, dl.scan({str(tmp_path / 'data')!r}), processes=True, workers=1)\n"
    )
    made = subprocess.run(
        [sys.executable, str(script)], env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False
    )
    assert made.returncode == 1
    assert made.stderr.rstrip().splitlines()[-1].startswith("dicomlab.errors.InvalidRequest: no process can begin")


def test_processes_end_with_the_one_that_began_them_and_ctrl_c_is_not_theirs(tmp_path: Path) -> None:
    """A notebook's interrupt goes to all processes of its group; a kill goes to one."""
    for n in range(4):
        write(tmp_path / "data" / str(n), stack([0, 1], rows=n + 1, SeriesInstanceUID=f"1.2.{n}"))
    program = (
        "import sys, warnings, dicomlab as dl, features\n"
        "if __name__ == '__main__':\n"
        "    warnings.simplefilter('ignore')\n"
        "    try:\n"
        "        dl.apply(features.Noted(sys.argv[2]), dl.scan(sys.argv[1]), processes=True, workers=2)\n"
        "    except KeyboardInterrupt as error:\n"
        "        print(sorted(set(error.rows.status)), flush=True)\n"
    )
    for number in (signal.SIGINT, signal.SIGKILL):
        notes = tmp_path / number.name
        notes.mkdir()
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "data"), str(notes)],
            env=ENVIRONMENT,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        end = time.monotonic() + 120
        while len(list(notes.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        workers = [int(note.name) for note in notes.iterdir()]
        if number is signal.SIGINT:
            os.killpg(child.pid, number)
        else:
            os.kill(child.pid, number)
        said, wrong = child.communicate(timeout=60)
        assert len(workers) == 2
        if number is signal.SIGINT:
            assert said == "['not run']\n" and not wrong
        while any(alive(worker) for worker in workers) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(alive(worker) for worker in workers)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_second_ctrl_c_leaves_no_process(
    peer: dl.Peer, series: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ends the call, the second the wait for what ends."""
    closed: list[bool] = []
    monkeypatch.setattr("dicomlab.cohort.pools.Threads.close", lambda pool: closed.append(True))

    def again(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run.Run, "_let_go", again)

    def interrupt(done: int, total: int | None) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        dl.apply(size, series.head(3), peer=peer, progress=interrupt)
    assert closed
