"""More calls at once than the peer takes associations: all are served, one after the other (L2, R1.20)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slow_scp import serving
from support import our_threads

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.net.association import opening
from dicomlab.net.association.admission import admission
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.node import Node

AT_ONCE, TAKEN = 16, 4
SERIES = {
    "StudyInstanceUID": "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1",
    "SeriesInstanceUID": "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.118",
}


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoServer]:
    """An archive that takes four associations, and longer for a series than the back-off lasts."""
    monkeypatch.setattr(opening, "BACK_OFF", (0.02, 0.04))
    with DemoServer(Holdings.t31(), manners=Manners(pause=0.1), max_associations=TAKEN) as server:
        yield server


def counted(peer: dl.Peer, rejections: list[str]) -> dl.Peer:
    peer.hooks.add("association rejected", lambda event: rejections.append(str(event.error)))
    return peer


def no_threads() -> bool:
    return not our_threads(5)


def test_sixteen_jobs_are_all_served_by_an_archive_that_takes_four(busy: DemoServer, tmp_path: Path) -> None:  # L2
    rejections: list[str] = []
    pacs = counted(dl.connect(busy.address, cache=tmp_path / "cache"), rejections)
    jobs = [pacs.retrieve(SERIES, background=True, refresh=True) for _ in range(AT_ONCE)]
    waited: set[str] = set()
    while not all(job.done for job in jobs):
        waited |= {job.describe() for job in jobs if job.state == "waiting"}
        time.sleep(0.05)
    assert [len(job.result()) for job in jobs] == [7] * AT_ONCE
    assert rejections and any("no more associations than" in text for text in waited)
    assert no_threads()


def test_sixteen_threads_are_all_served_by_an_archive_that_takes_four(busy: DemoServer, tmp_path: Path) -> None:  # L2
    rejections: list[str] = []
    results: list[Any] = []

    def run(number: int) -> None:
        pacs = counted(dl.connect(busy.address, cache=tmp_path / str(number)), rejections)
        try:
            found = pacs.retrieve(SERIES, progress=False)
            results.append((len(found), found.attrs["complete"]))
        except errors.DicomlabError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [(7, True)] * AT_ONCE
    assert len(rejections) >= AT_ONCE - TAKEN
    assert no_threads()


def test_calls_that_nobody_of_ours_stands_in_the_way_of_are_told_that_the_archive_is_full(tmp_path: Path) -> None:
    results: list[str] = []
    with serving(0, 1, limit=0) as full:
        node = Node("FULL", "127.0.0.1", full.server_address[1])

        def run(number: int) -> None:
            cache = Cache(tmp_path / str(number), index=tmp_path / f"{number}.sqlite")
            try:
                dl.connect(node, cache=cache).retrieve("1.2.9", progress=False)
            except errors.AssociationRejected as error:
                results.append(error.message)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(results) == 3 and all("local limit exceeded" in text for text in results)


def test_a_call_that_waits_can_be_stopped_from_another_thread(tmp_path: Path) -> None:  # R1.17
    with serving(0.1, 60, limit=1) as server:
        node = Node("SLOW", "127.0.0.1", server.server_address[1])
        first, second = (
            dl.connect(node, cache=Cache(tmp_path / name, index=tmp_path / f"{name}.sqlite")) for name in "ab"
        )
        job = first.retrieve("1.2.9", background=True)
        while not job.progress.done:
            time.sleep(0.01)
        threading.Timer(2.6, second.cancel).start()  # it has tried for 2.1 s by then
        with pytest.raises(errors.IncompleteRetrieve, match="stopped on request"):
            second.retrieve("1.2.9", progress=False)
        assert not job.done
        job.stop()


def test_a_call_made_by_another_in_its_own_thread_does_not_wait_for_that() -> None:
    node = Node("BUSY", "127.0.0.1", 104)
    rejected = errors.AssociationRejected("busy", result=2, source=3, diagnostic=2)
    tries: list[int] = []

    def inner() -> None:
        tries.append(1)
        raise rejected

    def outer() -> None:
        with pytest.raises(errors.AssociationRejected):
            admission(node).patiently(inner, Deadline(5))

    admission(node).patiently(outer, Deadline(5))
    assert tries == [1]


def test_the_total_deadline_holds_while_a_call_waits() -> None:  # R1.4
    node = Node("BUSY", "127.0.0.1", 105)
    done = threading.Event()

    def work() -> None:
        raise errors.AssociationRejected("busy", result=2, source=3, diagnostic=2)

    other = threading.Thread(target=admission(node).patiently, args=(lambda: done.wait(20), Deadline(30)))
    other.start()
    try:
        with pytest.raises(errors.AssociationRejected):
            admission(node).patiently(work, Deadline(30, 0.6))
        assert not done.is_set()
    finally:
        done.set()
        other.join(30)


def test_a_warning_points_at_the_line_of_the_user() -> None:
    with dl.demo_pacs(Holdings.t31()) as pacs, pytest.warns(errors.ResultWarning, match="holds nothing") as seen:
        pacs.retrieve("1.2.3", progress=False)
    assert seen[0].filename == __file__
