"""Calls in the background: they go on while the next cell runs, are stopped, and say how they ended (R5.23, R15.4)."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slow_scp import serving
from support import ROOT, Stopwatch, free_port, until

import dicomlab as dl
import dicomlab.net.association.job
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.net.association.job import Job
from dicomlab.net.association.jobs import Jobs
from dicomlab.net.association.node import Node
from dicomlab.progress import Meter

SLOW = Manners(pause=0.1)


def ours() -> list[str]:
    return [item.name for item in threading.enumerate() if item.name.startswith("dicomlab")]


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:  # R0.7
    yield
    with contextlib.suppress(AssertionError):
        until(lambda: not ours(), 5)
    assert not ours()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[dl.Peer]:
    """An archive that takes a tenth of a second for each of its 31 instances."""
    with dl.demo_pacs(Holdings.t31(), manners=SLOW, cache=tmp_path / "cache") as pacs:
        yield pacs


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[dl.Peer]:
    with dl.demo_pacs(Holdings.t31(), cache=tmp_path / "cache") as pacs:
        yield pacs


def all_of(pacs: dl.Peer) -> Any:
    return pacs.find("STUDY", PatientName="")


def job_of(work: Callable[[Job], Any], title: str = "a job") -> Job:
    return Job(title, work).start()


# -- the way it goes -----------------------------------------------------------------------------------------------


def test_a_job_comes_back_at_once_and_gives_the_table_of_the_plain_call(slow: dl.Peer) -> None:  # R5.23
    rows = all_of(slow)
    watch = Stopwatch()
    job = slow.retrieve(rows, background=True)
    assert watch.seconds < 1.5 < 3.1  # what 31 instances take at the least
    assert not job.done and job.state == "running" and slow.jobs == (job,) and job.partial is None
    until(lambda: 0 < job.progress.done < 31)
    assert "of 31 instances" in repr(job) and "instances/s" in repr(job) and "left" in repr(job)
    assert len(slow.find("STUDY", PatientName="")) == len(rows)  # the next cell runs meanwhile
    table = job.result()
    assert job.done and not job.failed and job.error is None and job.state == "done" and slow.jobs == ()
    assert job.partial is table is job.result()
    assert list(table.path) == list(slow.retrieve(rows).path) and len(table) == 31
    assert "done in" in repr(job) and "31 of 31" in repr(job)


def test_what_is_here_already_is_said(quick: dl.Peer) -> None:
    rows = all_of(quick).head(1)
    count = len(quick.retrieve(rows))
    job = quick.retrieve(rows, background=True)
    job.result()
    assert job.describe().endswith(f"{count} instances, all of them were here")


def test_a_job_can_be_awaited(quick: dl.Peer) -> None:
    async def cell() -> tuple[int, int]:
        first, second = quick.retrieve(all_of(quick).head(1), background=True), Job("x", lambda job: 7).start()
        return len(await first), await second

    count, seven = asyncio.run(cell())
    assert count > 0 and seven == 7


def test_an_await_that_is_cancelled_stops_the_job(slow: dl.Peer) -> None:
    job = slow.retrieve(all_of(slow), background=True)

    async def cell() -> None:
        await asyncio.wait_for(job, 0.5)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(cell())
    assert job.wait(5) and job.state == "stopped"


def test_several_jobs_run_at_once_on_one_peer_each_on_its_own_association(tmp_path: Path) -> None:  # R5.23
    with DemoServer(Holdings.t31(), manners=SLOW) as server, dl.connect(server.address, cache=tmp_path / "c") as pacs:
        studies = all_of(pacs)
        jobs = [pacs.retrieve(studies.iloc[[row]], background=True) for row in range(3)]
        until(lambda: all(job.progress.done for job in jobs) or any(job.done for job in jobs))
        assert sum(not job.done for job in jobs) >= 2  # side by side, not one after the other
        counts = [len(job.result()) for job in jobs]
        assert counts == list(studies.NumberOfStudyRelatedInstances[:3])
        assert len(pacs.retrieve(studies.head(3))) == sum(counts)


def test_a_job_that_the_archive_has_no_association_for_waits_for_another_to_end(tmp_path: Path) -> None:  # R1.20, R5.23
    with serving(0.15, 24, limit=1) as server:
        node = Node("SLOW", "127.0.0.1", server.server_address[1])
        caches = [Cache(tmp_path / name, index=tmp_path / f"{name}.sqlite") for name in ("a", "b")]
        pacs = dl.connect(node, cache=caches[0])
        first = pacs.retrieve("1.2.9", background=True)
        until(lambda: first.progress.done)
        second = pacs.retrieve("1.2.9", background=True, refresh=True)
        until(lambda: second.state == "waiting")
        assert not first.done and "no more associations" in second.describe()
        assert len(first.result()) == len(second.result()) == 24
        third = pacs.retrieve("1.2.9", background=True, refresh=True)
        until(lambda: third.progress.done)
        fourth = pacs.retrieve("1.2.9", background=True, refresh=True)
        until(lambda: fourth.state == "waiting")
        fourth.stop()
        assert fourth.state == "stopped" and not third.done  # told to stop while it waits
        third.stop()
        with serving(0.0, 1, limit=0) as full:
            alone = dl.connect(Node("FULL", "127.0.0.1", full.server_address[1]), cache=caches[1])
            job = alone.retrieve("1.2.9", background=True)
            with pytest.raises(errors.AssociationRejected, match="local limit exceeded"):
                job.result()


def test_jobs_that_move_take_turns_with_the_port_of_our_listener(tmp_path: Path) -> None:  # R5.23
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pause=0.03), cache=tmp_path / "cache") as pacs:
        studies = all_of(pacs)
        jobs = [pacs.retrieve(studies.iloc[[row]], method="move", background=True) for row in range(3)]
        assert [len(job.result()) for job in jobs] == list(studies.NumberOfStudyRelatedInstances[:3])


def test_a_move_that_waits_for_the_port_can_be_stopped(tmp_path: Path) -> None:
    with dl.demo_pacs(Holdings.t31(), manners=SLOW, cache=tmp_path / "cache") as pacs:
        first = pacs.retrieve(all_of(pacs), method="move", background=True)
        until(lambda: first.progress.done)
        second = pacs.retrieve(all_of(pacs), method="move", background=True, refresh=True)
        until(lambda: second.progress.begun)
        assert len(second.stop()) <= 31 and second.state == "stopped" and second.progress.done == 0
        assert not first.done
        first.stop()


# -- stopping ------------------------------------------------------------------------------------------------------


def test_stop_sends_a_cancel_and_gives_back_what_came(slow: dl.Peer) -> None:  # R5.21, R1.17
    sent: list[str] = []
    slow.hooks.add("after C-CANCEL-RQ", lambda event: sent.append(event.name))
    job = slow.retrieve(all_of(slow), background=True)
    until(lambda: job.progress.done >= 3)
    table = job.stop()
    assert sent == ["C-CANCEL-RQ"]
    assert job.done and job.state == "stopped" and not job.failed
    assert 3 <= len(table) < 31 and table.attrs["cancelled"] and len(table.attrs["missing"]) == 31 - len(table)
    assert all(Path(path).exists() for path in table.path)
    # a part is never taken for the whole
    with pytest.raises(errors.IncompleteRetrieve, match="stopped on request") as caught:
        job.result()
    assert caught.value.instances is table and len(caught.value.missing) == 31 - len(table)
    assert "stopped after" in repr(job) and "on request" not in repr(job)
    assert len(slow.retrieve(all_of(slow))) == 31  # and the rest comes another time
    job.cancel()
    assert job.stop() is table and job.state == "stopped"


def test_a_job_may_be_stopped_before_it_has_begun(slow: dl.Peer) -> None:
    job = slow.retrieve(all_of(slow), background=True)
    table = job.stop()
    assert job.state == "stopped" and len(table) < 31


def test_with_errors_reported_a_stopped_job_gives_the_part_and_warns(slow: dl.Peer) -> None:
    job = slow.retrieve(all_of(slow), background=True, errors="report")
    until(lambda: job.progress.done)
    part = job.stop()
    with pytest.warns(errors.ResultWarning, match="stopped on request"):
        assert job.result() is part
    assert part.attrs["cancelled"] and len(part) < 31


@pytest.mark.parametrize("end", [dl.Peer.cancel, dl.Peer.close])
def test_a_peer_that_is_closed_or_cancelled_ends_its_jobs(slow: dl.Peer, end: Callable[[dl.Peer], None]) -> None:
    jobs = [slow.retrieve(all_of(slow), background=True) for _ in range(2)]
    until(lambda: jobs[0].progress.done)
    end(slow)
    assert all(job.wait(5) for job in jobs) and [job.state for job in jobs] == ["stopped"] * 2
    assert len(jobs[0].partial) < 31


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_the_interrupt_button_while_a_result_is_waited_for_stops_the_job(slow: dl.Peer) -> None:  # R1.19
    job = slow.retrieve(all_of(slow), background=True)
    until(lambda: job.progress.done)
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(errors.IncompleteRetrieve) as caught:
        job.result()
    assert 0 < len(caught.value.instances) < 31 and job.state == "stopped"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_the_interrupt_button_while_a_job_is_waited_for_lets_it_go_on(slow: dl.Peer) -> None:
    job = slow.retrieve(all_of(slow).head(2), background=True)
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        job.wait()
    assert job.state == "running" and not job.wait(0.01)
    job.result()


def test_an_interrupt_of_a_job_that_does_not_heed_it_comes_back_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomlab.net.association.job.STOPPING", 0.2)
    release = threading.Event()
    job = job_of(lambda job: release.wait(10))
    monkeypatch.setattr(job, "wait", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(errors.Interrupted, match="a job was interrupted"):
        job.result()
    release.set()


# -- errors --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_asked_is_refused_at_once(quick: dl.Peer) -> None:  # R15.11, DESIGN 1
    rows = all_of(quick)
    for wrong in ({"method": "fetch"}, {"errors": "hide"}, {"destination": "\\"}):
        with pytest.raises(errors.InvalidRequest):
            quick.retrieve(rows, background=True, **wrong)
    with pytest.raises(errors.InvalidRequest, match="nothing is selected"):
        quick.retrieve(rows.head(0), background=True)
    quick.close()
    with pytest.raises(errors.InvalidRequest, match="was closed"):
        quick.retrieve(rows, background=True)
    assert quick.jobs == ()


def test_a_job_that_nobody_looks_at_says_once_and_in_words_why_it_failed(capfd: pytest.CaptureFixture[str]) -> None:
    peer = dl.connect(f"GONE@127.0.0.1:{free_port()}")
    job = peer.retrieve("1.2.3", background=True)
    until(lambda: job.done and not ours())
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said and "Exception in thread" not in said
    assert said.startswith("Job retrieve from GONE@") and "nothing listens at" in said and "Check the port" in said
    assert job.failed and isinstance(job.error, errors.ConnectError)


def test_a_failure_that_is_asked_for_or_shown_is_not_printed_too(capfd: pytest.CaptureFixture[str]) -> None:
    peer = dl.connect(f"GONE@127.0.0.1:{free_port()}")
    shown = peer.retrieve("1.2.3", background=True)
    shown.watched()
    shown._thread.join()

    def fail(job: Job) -> None:
        raise errors.StatusError("no", advice="Ask.")

    asked = job_of(fail)
    asked.wait()  # it has failed before it is asked for
    with pytest.raises(errors.StatusError, match="no"):
        asked.result()
    asked._thread.join()
    assert capfd.readouterr().err == ""


def test_the_error_of_a_job_has_no_traceback_of_its_thread_and_a_fault_of_ours_has() -> None:
    def fail(job: Job) -> None:
        raise errors.StatusError("no")

    def break_(job: Job) -> None:
        raise ZeroDivisionError("a fault")

    for work, kind, frames in ((fail, errors.StatusError, False), (break_, ZeroDivisionError, True)):
        job = job_of(work)
        job.watched()
        with pytest.raises(kind) as caught:
            job.result()
        assert any(entry.name == work.__name__ for entry in caught.traceback) is frames
        assert job.failed


def test_what_a_plain_call_would_warn_of_comes_with_the_result_once(tmp_path: Path) -> None:
    with serving(0.0, 6, listed=4) as server:
        pacs = dl.connect(Node("SLOW", "127.0.0.1", server.server_address[1]), cache=tmp_path / "cache")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            job = pacs.retrieve("1.2.9", background=True)
            job.wait()
        assert job.warnings and "not known what the archive holds" in job.describe()
        with pytest.warns(errors.ResultWarning, match="not known what the archive holds") as seen:
            assert len(job.result()) == 6
        assert seen[0].filename == __file__
        job.result()  # warnings are errors here


def test_an_incomplete_job_says_what_is_here_and_keeps_it(tmp_path: Path) -> None:  # R5.11
    with serving(0.0, 8, halves=True) as server:
        pacs = dl.connect(Node("SLOW", "127.0.0.1", server.server_address[1]), cache=tmp_path / "cache")
        job = pacs.retrieve("1.2.9", background=True)
        job.watched()
        job.wait()
    assert job.failed and len(job.partial) == 4 and "4 of 8 instances are here" in job.describe()
    assert "Call retrieve again" in job.describe()


def test_a_function_is_called_when_a_job_has_ended_whenever_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    hold, seen = threading.Event(), []
    job = job_of(lambda job: hold.wait(5))
    job.then(lambda job: seen.append(job.state))
    job.then(lambda job: 1 / 0)
    job.then(seen.append)
    hold.set()
    until(lambda: len(seen) == 2)
    job.then(seen.append)
    assert seen == ["done", job, job]
    assert "after a job: ZeroDivisionError" in capsys.readouterr().err


def test_a_silent_archive_fails_the_job_within_its_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = dl.connect(f"SILENT@127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)
        job = peer.retrieve("1.2.3", background=True)
        job.watched()
        assert job.wait(5) and job.failed
        assert isinstance(job.error, errors.AssociationTimeout)
        job = dl.connect(f"SILENT@127.0.0.1:{silent.getsockname()[1]}").retrieve("1.2.3", background=True)
        time.sleep(0.2)
        assert len(job.stop()) == 0 and job.state == "stopped" and job.describe().startswith("stopped after")


# -- what is shown -------------------------------------------------------------------------------------------------


def test_text_of_the_peer_is_text_in_the_html_of_a_job() -> None:  # R15.9
    def fail(job: Job) -> None:
        raise errors.StatusError("<script>alert(1)</script>\x1b[2J")

    job = Job("retrieve from <b>X</b>", fail).start()
    job.watched()
    job.wait()
    html = job._repr_html_()
    assert "<script>" not in html and "<b>X" not in html and "&lt;script&gt;" in html and "\x1b" not in html
    assert set(job._repr_mimebundle_()) == {"text/plain", "text/html"}  # no kernel here


def test_the_numbers_of_a_job_stand_in_its_html() -> None:
    hold = threading.Event()

    def work(job: Job) -> None:
        job.progress.begin("", 40)
        job.progress.advance(10, 5_000_000)
        hold.wait(5)

    job = Job("retrieve", work, Meter()).start()
    until(lambda: job.progress.done)
    assert '<progress max="40" value="10">' in job._repr_html_() and "10 of 40 instances (25 %)" in job._repr_html_()
    hold.set()
    job.wait()


# -- the end of Python ---------------------------------------------------------------------------------------------


def test_when_python_ends_its_jobs_are_stopped_and_nothing_is_printed(tmp_path: Path) -> None:  # R0.7
    with DemoServer(Holdings.t31(), manners=Manners(pause=0.3)) as server:
        code = f"""
import dicomlab as dl, time
pacs = dl.connect({server.address!r}, cache={str(tmp_path / "cache")!r})
job = pacs.retrieve(pacs.find("STUDY", PatientName=""), background=True)
while not job.progress.done: time.sleep(0.01)
print("leaving")
"""
        watch = Stopwatch()
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")
        assert watch.seconds < 30
        until(lambda: not list(server._server.active_associations), 5)
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.suffix in (".part", ".tmp")]
    assert not left


def test_jobs_know_themselves() -> None:
    jobs = Jobs()
    hold = threading.Event()
    job = jobs.start("a", lambda job: hold.wait(5), Meter())
    assert jobs.running == (job,)
    hold.set()
    job.result()
    until(lambda: jobs.running == ())
    jobs.close()


def test_the_examples_run() -> None:
    assert doctest.testmod(dicomlab.net.association.job).failed == 0
