"""A meter that is read while a call runs: rates of late, what is left, and words (R5.10)."""

from __future__ import annotations

import doctest
import sys
import threading
import time
import warnings

import pytest

import dicomlab.progress
import dicomlab.remarks
from dicomlab.errors import ResultWarning
from dicomlab.progress import WINDOW, Bar, Meter, duration, reporter
from dicomlab.remarks import noted, remark
from dicomlab.scanning.scanning import STEP, gather


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def moved(meter: Meter, clock: Clock, seconds: float, steps: int, size: int = 1_000_000) -> None:
    for _ in range(steps):
        clock.now += seconds / steps
        meter.advance(1, size)


def test_a_meter_tells_rate_speed_and_the_time_that_is_left(clock: Clock) -> None:  # R5.10
    meter = Meter(clock=clock)
    assert str(meter) == "asking what there is" and not meter.begun and meter.left is None
    assert reporter(meter, "ARCHIVE", 100) is meter
    moved(meter, clock, 2.0, 20)
    assert meter.rates == pytest.approx((10.0, 10e6)) and meter.left == pytest.approx(8.0)
    assert str(meter) == "20 of 100 instances (20 %), 20.0 MB, 10 instances/s, 10.0 MB/s, 8 s left"


def test_the_rate_is_that_of_late_and_falls_to_nothing_where_nothing_comes(clock: Clock) -> None:
    meter = Meter(clock=clock)
    meter.begin("", 1000)
    moved(meter, clock, 20.0, 20)
    moved(meter, clock, WINDOW * 2, 500)
    assert meter.rates[0] == pytest.approx(500 / (WINDOW * 2), rel=0.1)
    clock.now += 2 * WINDOW
    assert meter.rates == (0.0, 0.0) and meter.left is None
    assert str(meter).endswith("nothing came for 5 s")


def test_why_nothing_can_be_done_stands_in_the_sentence_until_it_goes_on(clock: Clock) -> None:
    meter = Meter(clock=clock)
    meter.begin("", 10)
    moved(meter, clock, 2.0, 4)
    meter.wait("no worker is there")
    assert str(meter) == "4 of 10 instances (40 %), 4.0 MB, no worker is there"
    meter.wait("")
    assert "worker" not in str(meter)


def test_a_meter_that_is_closed_gives_the_rate_of_the_whole(clock: Clock) -> None:
    meter = Meter(clock=clock)
    meter.begin("", 30)
    moved(meter, clock, 1.0, 10)
    moved(meter, clock, 9.0, 20)
    meter.close()
    clock.now += 1000
    assert meter.rates[0] == pytest.approx(3.0) and "left" not in str(meter)


def test_where_nobody_knows_how_many_there_are_no_share_is_made_up(clock: Clock) -> None:
    meter = Meter(clock=clock)
    meter.begin("", None)
    moved(meter, clock, 60.0, 30, 1_000)
    assert str(meter) == "30 instances, 30 kB, 30 instances/min, 0.5 kB/s" and meter.left is None


def test_a_meter_passes_on_to_a_function_of_the_users() -> None:
    told: list[tuple[int, int | None]] = []
    meter = Meter(also=lambda done, total: told.append((done, total)))
    meter.begin("", 2)
    meter.advance(1, 8)
    meter.advance(1, 8)
    assert told == [(1, 2), (2, 2)]


def test_many_threads_may_move_one_meter() -> None:
    meter = Meter()
    meter.begin("", 4000)
    threads = [threading.Thread(target=lambda: [meter.advance(1, 10) for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert meter.rates[0] >= 0 and str(meter)
    assert (meter.done, meter.size) == (4000, 40_000)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (9.96, "10 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7200, "2 h 0 min")]
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_remark_is_a_warning_unless_it_is_noted() -> None:
    with pytest.warns(ResultWarning, match="cut") as seen:
        remark("it was cut", stacklevel=1)
    assert seen[0].filename == __file__
    with warnings.catch_warnings(), noted() as notes:
        warnings.simplefilter("error")
        remark("it was cut", stacklevel=1)
        remark("it was cut", stacklevel=1)
    assert notes == ["it was cut"]


@pytest.mark.parametrize("module", [dicomlab.progress, dicomlab.remarks])
def test_the_examples_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_bar_in_a_notebook_leaves_a_line_and_no_red_strip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # R5.10: JupyterLab paints red what goes to stderr, blanks too
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    bar = Bar("retrieve", 2)
    bar.advance(1, 1_000_000)
    time.sleep(0.6)
    bar.advance(1, 1_000_000)
    bar.close()
    out, err = capsys.readouterr()
    assert err == "" and "2/2" in out.split("\r")[-1]


def test_a_bar_says_why_nothing_can_be_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    bar = Bar("apply", 3, "series")
    time.sleep(0.6)
    bar.advance(1, 2_000_000)
    bar.wait("no worker is there, waiting since 7 s")
    assert "no worker is there, waiting since 7 s" in capsys.readouterr().out
    bar.wait("")
    bar.close()
    last = capsys.readouterr().out.rsplit("\r", 1)[-1]
    assert "2 MB" in last and "worker" not in last


def test_a_short_call_in_a_notebook_shows_no_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # R5.10
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    bar = Bar("retrieve", 2)
    bar.advance(2, 1_000_000)
    bar.close()
    assert capsys.readouterr() == ("", "")


def test_the_bar_of_a_scan_is_moved_now_and_then_and_reaches_the_end(tmp_path, monkeypatch):  # R14.1
    moves = []

    class Counting:
        def advance(self, count, size):
            moves.append(count)

        def close(self):
            moves.append(0)

    monkeypatch.setattr("dicomlab.scanning.scanning.reporter", lambda *_: Counting())
    for number in range(2 * STEP + 10):
        (tmp_path / f"{number}.txt").write_text("no image")
    gather([tmp_path], None)
    assert sum(moves) == 2 * STEP + 10 and len(moves) == 4 and moves[-1] == 0
