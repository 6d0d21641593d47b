"""`make benchmarks CHECK=1`: what has fallen, what is noise, and a short form of it that is run with the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest
from support import ROOT

pytest.importorskip("resource", reason="the benchmarks count CPU time as POSIX systems do")
sys.path.insert(0, str(ROOT))
from benchmarks import check, plot
from benchmarks.__main__ import main
from benchmarks.check import Kept, judge, kept, published
from benchmarks.harness import Measured, Row, Timed, Way, ratios


@contextmanager
def unprepared() -> Iterator[list[Way]]:
    yield []


ROW = Row("P0", "a job", unprepared)


def took(*seconds: float, name: str = "peer", **marks: object) -> Measured:
    return Measured(Way(name, lambda timed: None, **marks), list(seconds), list(seconds))  # type: ignore[arg-type]


OURS = took(1.0, 1.2, 1.1, name="dicomlab")


def judged(found: list[Measured], before: Kept | None, noise: float = 0.1) -> str:
    known = {} if before is None else {("P0", found[-1].way.name): before}
    (finding,) = judge(ROW, found, known, noise)
    word, _, _ = finding.text.partition(":")
    assert finding.fell is (word == "FELL")
    return word


REACHED, MISSED = Kept(worst=3.9, reached=True), Kept(worst=2.5, reached=False)


@pytest.mark.parametrize(
    ("seconds", "before", "noise", "word"),
    [
        ((4.4, 4.9, 4.7), REACHED, 0.1, "held"),  # the medians: 4.3 times
        ((3.0, 4.7, 3.0), REACHED, 0.1, "within noise"),  # 3.9 times in one round, and 3.9 with a tenth is above 4
        ((3.0, 3.5, 3.2), REACHED, 0.1, "FELL"),  # 3.0 at most
        ((3.0, 3.5, 3.2), REACHED, 1.0, "within noise"),  # a noisy machine is allowed as much as one says
        ((2.0, 2.4, 2.2), MISSED, 0.1, "FELL"),  # 2.0 in each round, and 2.5 was the worst
        ((2.0, 2.8, 2.2), MISSED, 0.1, "SHORT"),  # 2.3 in one round, which with a tenth is 2.6
        ((4.4, 4.9, 4.7), MISSED, 0.1, "held"),
        ((0.1, 0.1, 0.1), None, 0.1, "SHORT"),  # never published: nothing that it could have fallen from
        ((), REACHED, 0.1, "not measured"),
    ],
)
def test_a_mark_has_fallen_when_the_best_round_is_below_what_was_published(
    seconds: tuple[float, ...], before: Kept | None, noise: float, word: str
) -> None:
    assert judged([OURS, took(*seconds, mark=4)], before, noise) == word


def test_the_line_of_a_row_that_fell_says_from_where_to_where() -> None:
    known = {("P0", "GDCM"): REACHED, ("P0", "reading"): Kept(worst=0.5, reached=False)}
    found = [OURS, took(3.0, 3.5, 3.2, mark=4, name="GDCM"), took(0.1, 0.1, 0.1, within=1.5, name="reading")]
    assert [finding.text for finding in judge(ROW, found, known)] == [
        "FELL: P0: 2.9 times as fast as GDCM, the mark is 4, which the published run reached; it is 3 in the best round"
        " now",
        "FELL: P0: 1/11 times as fast as reading, the mark is 1/1.5, 1/2 was the worst round published; it is 1/10 in"
        " the best round now",
    ]


@pytest.mark.parametrize(
    ("seconds", "before", "word"),
    [
        ((0.004, 0.009, 0.009), Kept(0.9, True), "within noise"),  # it was quick enough once: the machine was busy
        ((0.008, 0.009, 0.009), Kept(0.9, True), "FELL"),
        ((0.008, 0.009, 0.009), Kept(0.9, False), "SHORT"),  # times of two machines are not compared
        ((0.004, 0.003, 0.009), Kept(0.9, True), "held"),
    ],
)
def test_a_mark_of_time_is_judged_by_its_best_round(seconds: tuple[float, ...], before: Kept, word: str) -> None:
    assert judged([took(*seconds, name="dicomlab", most=0.005)], before) == word


@pytest.mark.parametrize(("lost", "word"), [(0, "held"), (1, "FELL")])
def test_a_request_without_its_answer_is_no_noise(lost: int, word: str) -> None:  # P11
    ours = replace(took(1.0, name="dicomlab", lossless=True), asked=5000, lost=lost)
    assert judged([ours], None, noise=1000) == word


@pytest.mark.parametrize(
    ("trouble", "word"), [("failed: wrong pixels", "FELL"), ("left out: no DCMTK", "not measured")]
)
def test_ours_failing_is_a_fall_and_a_row_left_out_is_told(trouble: str, word: str) -> None:
    assert judged([Measured(OURS.way, trouble=trouble), took(1.0, mark=2)], None) == word


def test_the_ratio_of_the_medians_lies_among_those_of_the_rounds() -> None:
    other = took(6.0, 2.0, 100.0)
    assert ratios(OURS, other) == pytest.approx([6.0, 2.0 / 1.2, 100 / 1.1])
    assert ratios(OURS, took(12.0, once=True)) == pytest.approx([12.0, 10.0, 12 / 1.1])


def test_what_is_published_is_ratios_and_comes_back(tmp_path: Path) -> None:
    found = [OURS, took(6.0, 6.0, 6.0, mark=4), took(2.0, 2.0, 2.0, name="reading", within=0.25), took(name="absent")]
    path = tmp_path / "benchmarks.json"
    path.write_text(published({"when": "2026-11-21 18:45", "system": "Linux", "cpus": 2}, 3, [(ROW, found)]))
    told = json.loads(path.read_text())
    assert set(told) == {"when", "rounds", "rows"}
    assert set(told["rows"][0]["ways"][0]) == {"way", "ratio", "mark", "worst", "best", "reached"}
    assert kept(path)["P0", "peer"] == Kept(worst=5.0, reached=True)
    assert kept(path)["P0", "reading"] == Kept(worst=pytest.approx(1.6667), reached=False)
    assert kept(path)["P0", "absent"] == Kept(None, None)
    assert kept(tmp_path / "none.json") == {}


def test_the_published_ratios_are_those_of_the_page() -> None:
    page = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    told = json.loads(check.PUBLISHED.read_text(encoding="utf-8"))
    assert f"Measured {told['when']}, {told['rounds']} rounds" in page
    assert any(known.reached for known in kept().values())
    assert "(benchmarks-light.svg)" in page and "(benchmarks-dark.svg)" in page
    assert all(f"| {way}" in page for _, way in kept())


def test_the_plot_has_a_bar_and_a_label_for_each_peer_in_both_themes(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.json"
    found = [
        OURS,
        took(6.0, 5.0, 7.0, mark=4, name="GDCM"),
        took(2.0, name="read <it>", once=True),
        took(name="absent"),
    ]
    path.write_text(published({"when": ""}, 3, [(ROW, found)]))
    plot.write(path)
    light, dark = ((tmp_path / f"benchmarks-{theme}.svg").read_text(encoding="utf-8") for theme in plot.THEMES)
    assert light != dark and len(light) < 50_000
    for drawn in (light, dark):
        assert "P0: GDCM" in drawn and "P0: read &lt;it&gt;" in drawn
        assert "absent" not in drawn and "P0: dicomlab" not in drawn
    plot.write(path)
    assert (tmp_path / "benchmarks-light.svg").read_text(encoding="utf-8") == light  # the same ratios, the same file


def timed_as(*seconds: float, name: str = "peer", mark: float | None = None) -> Way:
    """Takes so long in each call, the last for ever."""
    left = iter([*seconds[:-1], *repeat(seconds[-1], 99)])

    def run(timed: Timed) -> None:
        timed.wall = next(left)

    return Way(name, run, mark=mark)


@pytest.mark.parametrize(
    ("ours", "code", "said"),
    [
        ([1.0], 0, "held: P0: 5 times as fast as peer, the mark is 4"),
        ([5.0, 5.0, 5.0, 5.0, 1.0], 0, "held: P0: 5 times as fast as peer, the mark is 4"),  # better the second time
        ([5.0], 1, "FELL: P0: 1 times as fast as peer, the mark is 4, which the published run reached; it is 1 in"),
    ],
)
def test_the_command_ends_with_an_error_where_a_row_fell_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    ours: list[float], code: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("DICOMLAB_BENCHMARKS", str(tmp_path))
    ways = [timed_as(*ours, name="dicomlab"), timed_as(5.0, mark=4), timed_as(0.1, name="another", mark=9)]

    @contextmanager
    def prepare() -> Iterator[list[Way]]:
        yield ways

    path = tmp_path / "published.json"
    path.write_text(published({"when": ""}, 1, [(ROW, [took(1.0, name="dicomlab"), took(5.0, mark=4)])]))
    words = ["--check", str(path), "--against", "peer", "--json", str(tmp_path / "run.json")]
    assert main(words, {"P0": Row("P0", "a job", prepare)}) == code
    printed = capsys.readouterr().out
    assert said in printed and "another" not in printed
    assert ("measured again" in printed) is (len(ours) > 1 or code == 1)


@pytest.mark.timeout(300)
def test_no_speed_is_ruined(tmp_path: Path) -> None:  # P4, P5, P7
    """A tenth of the data, and a quarter of a mark is enough, in the better of two times: other programs run here."""
    ours = {"DICOMLAB_BENCHMARKS": str(tmp_path), "DICOMLAB_BENCHMARKS_SHORT": "1", "PYTHONPATH": str(ROOT)}
    words = ["P4", "P5", "P7", "--against", "pynetdicom", "pydicom", "--check", "--noise", "3"]
    command, log = [sys.executable, "-m", "benchmarks", *words], tmp_path / "log"
    with log.open("w") as out:
        env = {**os.environ, **ours}
        made = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True)
        try:
            code = made.wait(timeout=240)
        except subprocess.TimeoutExpired:
            os.killpg(made.pid, signal.SIGKILL)  # and the server that it started
            made.wait(timeout=10)
            raise
    said = log.read_text()
    assert code == 0, said
    judged = [line for line in said.splitlines() if line.startswith(("held: ", "within noise: ", "SHORT: "))]
    assert [line.split(": ")[1] for line in judged] == ["P4", "P5", "P7"], said
