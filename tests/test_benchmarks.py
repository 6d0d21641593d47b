"""The harness of benchmarks/ itself: its arithmetic, its verdicts, its order, its reasons."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from support import ROOT

pytest.importorskip("resource", reason="the benchmarks count CPU time as POSIX systems do")
sys.path.insert(0, str(ROOT))
from benchmarks import canned, harness, peers, table
from benchmarks.harness import LeftOut, Measured, Row, Timed, Way, measure, verdict


def nothing(timed: Timed) -> None:
    with timed:
        pass


def took(*seconds: float, name: str = "peer", **marks: float | None) -> Measured:
    return Measured(Way(name, nothing, **marks), list(seconds), list(seconds))  # type: ignore[arg-type]


OURS = took(1.0, 9.0, 2.0, name="dicomlab")
ROW = Row("P0", "a job", lambda: nullcontext([]))


def test_the_ratio_is_that_of_the_medians() -> None:
    assert verdict(OURS, took(5.0, 6.0, 100.0)).ratio == 3.0


@pytest.mark.parametrize(("mark", "reached"), [(None, None), (2.9, True), (3.0, True), (3.1, False)])
def test_a_mark_is_reached_from_its_own_value_on(mark: float | None, reached: bool | None) -> None:
    assert verdict(OURS, took(6.0, mark=mark)).reached is reached


@pytest.mark.parametrize(("seconds", "reached"), [(0.5, True), (0.4, False)])
def test_a_limit_of_the_machine_may_be_exceeded_so_many_times(seconds: float, reached: bool) -> None:
    assert verdict(OURS, took(seconds, within=4)).reached is reached


@pytest.mark.parametrize(("most", "reached", "said"), [(0.005, True, "reached"), (0.003, False, "SHORT")])
def test_a_mark_of_time_is_that_of_ours_alone(most: float, reached: bool, said: str) -> None:  # P9, P10
    ours = took(0.002, 0.004, 0.9, name="dicomlab", most=most)
    assert verdict(ours, ours).reached is reached and verdict(ours, took(1.0)).reached is None
    line, other = table.lines(ROW, [ours, took(1.0)])
    assert (line[6], line[7]) == (f"{1000 * most:.0f} ms", said) and other[6:] == ("", "")
    assert table.short(ROW, [ours]) == ([] if reached else ["P0: 4 ms, the mark is 3 ms"])


@pytest.mark.parametrize(("lost", "said"), [(0, "reached, 0 of 8 lost"), (1, "SHORT, 1 of 8 lost")])
def test_what_got_no_answer_is_counted_in_every_round(tmp_path: Path, lost: int, said: str) -> None:  # P11
    def way(timed: Timed) -> None:
        with timed:
            timed.asked = 4
        timed.lost = lost if first.pop() else 0

    first = [False, True]  # the warm-up is counted too
    found = measure([Way("dicomlab", way, lossless=True)], 1, tmp_path)
    assert verdict(found[0], found[0]).reached is (lost == 0)
    assert table.lines(ROW, found)[0][6:] == ("0 lost", said)
    assert table.short(ROW, found) == (["P0: 1 of 8 lost, the mark is 0 lost"] if lost else [])


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdict(OURS, took(mark=2)).reached is None
    assert verdict(took(), took(1.0, mark=2)).reached is None


def test_the_marks_not_reached_are_named_with_ratio_and_mark() -> None:
    found = [OURS, took(6.0, mark=2), took(5.0, mark=4, name="GDCM"), took(0.25, within=4, name="reading")]
    assert table.short(ROW, found) == [
        "P0: 2.5 times as fast as GDCM, the mark is 4",
        "P0: 1/8 times as fast as reading, the mark is 1/4",
    ]


@pytest.mark.parametrize(
    ("trouble", "said"), [("failed: it raised", ["P0: dicomlab failed: it raised"]), ("left out: it", [])]
)
def test_a_way_that_failed_is_named_and_one_left_out_is_not(trouble: str, said: list[str]) -> None:
    assert table.short(ROW, [Measured(OURS.way, trouble=trouble), took(1.0, mark=2)]) == said


def test_every_way_is_called_in_the_warm_up_and_in_each_round_in_rotating_order(tmp_path: Path) -> None:
    order = []

    def way(name: str) -> Way:
        return Way(name, lambda timed: order.append(name))

    found = measure([way("a"), way("b"), way("c")], 2, tmp_path)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert [len(one.walls) for one in found] == [2, 2, 2]


def test_a_slow_way_has_one_round_and_no_warm_up(tmp_path: Path) -> None:
    calls = []
    slow = Way("slow", lambda timed: calls.append(1), once=True)
    assert len(measure([Way("ours", nothing), slow], 3, tmp_path)[1].walls) == len(calls) == 1


def test_a_way_that_raises_has_no_time_and_is_not_called_again(tmp_path: Path) -> None:
    calls = []

    def wrong(timed: Timed) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise AssertionError("499 instances")

    (found,) = measure([Way("wrong", wrong)], 3, tmp_path)
    assert (len(calls), found.walls, found.trouble) == (2, [], "failed: AssertionError: 499 instances")


def test_a_peer_that_is_not_installed_is_left_out_with_the_reason(tmp_path: Path) -> None:
    found = measure(
        [
            Way("module", lambda timed: peers.module("no_such_module", "python-nothing") and None),
            Way("program", lambda timed: peers.call("no-such-program")),
        ],
        1,
        tmp_path,
    )
    assert found[0].trouble == "left out: python-nothing is not installed (pip install -e '.[bench]')"
    assert found[1].trouble == "left out: no-such-program is not installed (make peers)"


def test_only_what_is_inside_the_with_block_is_timed(tmp_path: Path) -> None:
    def way(timed: Timed) -> None:
        time.sleep(0.2)
        with timed:
            time.sleep(0.02)
        time.sleep(0.2)

    (found,) = measure([Way("sleeps", way)], 1, tmp_path)
    assert 0.02 <= found.wall < 0.2
    assert found.cpu < 0.02


def test_the_cpu_time_of_a_child_is_counted(tmp_path: Path) -> None:
    def way(timed: Timed) -> None:
        with timed:
            peers.call(sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass")

    (found,) = measure([Way("child", way)], 1, tmp_path)
    assert found.cpu >= 0.2


def test_a_wrong_end_of_a_program_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended with 3: no such study"):
        peers.call(sys.executable, "-c", "import sys; sys.stderr.write('no such study'); sys.exit(3)")


def test_a_row_that_cannot_be_prepared_is_one_line_with_the_reason(tmp_path: Path) -> None:
    from benchmarks.__main__ import run

    def prepare() -> None:
        raise LeftOut("Orthanc is not installed (make peers)")

    (found,) = run(Row("P0", "a job", prepare, scratch=tmp_path), 1)  # type: ignore[arg-type]
    assert found.trouble == "left out: Orthanc is not installed (make peers)"
    assert harness.LeftOut is LeftOut


def test_without_a_browser_the_rows_of_the_viewer_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import p9_view
    from benchmarks.__main__ import run

    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = run(replace(p9_view.ROW, scratch=tmp_path), 1)
    assert found.trouble == "left out: chromium is not installed (make peers)"


@pytest.mark.parametrize(("load", "warned"), [(1.9, False), (2.0, False), (6.5, True)])
def test_a_busy_machine_is_warned_of(load: float, warned: bool) -> None:
    assert ("busy" in table.busy({"load": load, "cpus": 2})) is warned


def test_the_page_holds_the_jobs_the_machine_and_the_table() -> None:
    lines = table.lines(ROW, [OURS, took(6.0, mark=2)])
    page = table.page([ROW], lines, table.machine({"DCMTK": "3.6.7"}), 3)
    assert "- **P0**: a job" in page and "DCMTK 3.6.7" in page and table.markdown(lines) in page


def test_the_columns_of_the_table_stand_under_one_another() -> None:
    text = table.markdown(table.lines(ROW, [OURS, took(6.0, mark=2)])).splitlines()
    assert len({len(line) for line in text}) == 1
    assert "reached" in text[-1]


def test_the_ten_thousand_canned_studies_are_what_pydicom_reads() -> None:
    from io import BytesIO

    from pydicom.filereader import read_dataset

    first, second, *_, last = canned.identifiers(b"STUDY")
    ds = read_dataset(BytesIO(second), is_implicit_VR=False, is_little_endian=True)
    assert (len(canned.identifiers(b"STUDY")), len(ds)) == (10_000, 17)
    assert (str(ds.PatientName), ds.StudyDate, ds.NumberOfStudyRelatedInstances) == ("MÜLLER^JÖRG", "20160202", 2)
    assert len({first, second, last}) == 3


def test_the_page_of_a_cohort_is_written_between_its_marks(tmp_path: Path) -> None:
    from benchmarks import cohortpage

    def cost(series: int, here: float, there: float) -> dict[str, float]:
        return {"series": series, "here": here, "there": there, "wall": 9.0, "grown": 2_000, "largest": 200_000}

    ways = {
        "threads": [cost(50, 0.1, 0.0), cost(200, 0.4, 0.0), cost(1_000, 2.0, 0.0)],
        "dask2": [cost(50, 0.1, 0.004), cost(200, 0.4, 0.004), cost(1_000, 2.0, 0.006)],
        "dask4": [cost(50, 0.1, 0.004), cost(200, 0.4, 0.004), cost(1_000, 4.0, 0.008)],
    }
    told = {"ways": ways, "when": "today", "system": "Linux", "cpus": 2, "load": 0.5}
    assert [line.rpartition("(")[2] for line in cohortpage.verdicts(told).splitlines()] == [
        "reached)",
        "SHORT)",
        "SHORT)",
    ]
    page = tmp_path / "scale.md"
    page.write_text(f"# Scale\n\n{cohortpage.BEGIN}\nold\n{cohortpage.END}\n\nafter\n")
    cohortpage.write(told, page)
    text = page.read_text()
    assert text.startswith(f"# Scale\n\n{cohortpage.BEGIN}\n12 small") and text.endswith(f"{cohortpage.END}\n\nafter\n")
    assert "old" not in text and "adds 6.0 ms of CPU to a series with two workers and 10.0 ms with four" in text
    assert "| files, 2 threads | 2.0 | 2.0 | 2.0 | 2.0 | +0% | reached |" in text
    page.write_text("no marks\n")
    with pytest.raises(SystemExit, match="until here"):
        cohortpage.write(told, page)
