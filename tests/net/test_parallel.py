"""Several associations at once: near-linear with a peer that is far, and one truth whatever happens (R1.20)."""

from __future__ import annotations

import itertools
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slow_scp import serving
from support import free_port, our_threads

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.cache.cachefolder import CacheFolder
from dicomlab.cache.draft import Draft
from dicomlab.net.association import parallel
from dicomlab.net.association.deadline import Cancelled, Deadline
from dicomlab.net.association.node import Node
from dicomlab.net.association.parallel import Parallel
from dicomlab.net.retrieve import outcome
from dicomlab.net.retrieve.outcome import Retrieval
from dicomlab.net.retrieve.receiver import Receiver

STUDY = "1.2.9"
WITHIN = 4 * 20  # instances that an archive which takes 0.05 s for each can send in a second on four associations


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:  # R0.7
    yield
    assert not our_threads(3)


def test_what_one_association_cannot_do_is_raised_and_the_others_go_on() -> None:
    done: list[int] = []
    together = threading.Barrier(2, timeout=5)

    def job(waiting: Iterator[int], deadline: Deadline, stands: Callable[[], None]) -> None:
        stands()
        together.wait()
        for number in waiting:
            if threading.current_thread() is not threading.main_thread():
                raise errors.StatusError("mine")
            time.sleep(0.01)
            done.append(number)

    several = Parallel(range(20), 2, Deadline(10), job)
    with pytest.raises(errors.StatusError, match="mine"):
        several.run()
    assert several.stood == 2 and len(done) == 19


def test_an_association_that_does_not_open_is_not_waited_for_when_all_is_done() -> None:
    release = threading.Event()
    unwelcome: list[BaseException] = []

    def job(waiting: Iterator[int], deadline: Deadline, stands: Callable[[], None]) -> None:
        if threading.current_thread() is not threading.main_thread():
            release.wait(10)
            try:
                stands()
            except Cancelled as error:
                unwelcome.append(error)
                raise
        stands()
        for _ in waiting:
            time.sleep(0.01)

    several = Parallel(range(3), 2, Deadline(10), job)
    began = time.monotonic()
    several.run()
    assert time.monotonic() - began < 3 and several.stood == 1
    release.set()
    end = time.monotonic() + 2
    while not unwelcome and time.monotonic() < end:
        time.sleep(0.01)
    assert unwelcome


class Slow(set[threading.Thread]):
    """Takes its time to let somebody in."""

    def add(self, thread: threading.Thread) -> None:
        time.sleep(0 if thread is threading.main_thread() else 0.5)
        super().add(thread)


def test_an_association_that_opens_in_the_last_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "OPENING", 0.1)
    done: list[int] = []

    def job(waiting: Iterator[int], deadline: Deadline, stands: Callable[[], None]) -> None:
        stands()
        if threading.current_thread() is threading.main_thread():
            raise errors.StatusError("mine")
        for number in waiting:
            time.sleep(0.2)
            done.append(number)

    several = Parallel(range(2), 2, Deadline(10), job)
    several._stand = Slow()
    with pytest.raises(errors.StatusError, match="mine"):
        several.run()
    assert done == [0, 1]


class Growing(dict[str, None]):
    """Gets one more while it is looked through."""

    def __iter__(self) -> Iterator[str]:
        for uid in super().__iter__():
            self[f"{uid}.1"] = None
            yield uid


def test_an_instance_that_comes_while_the_result_is_made_does_no_harm(tmp_path: Path) -> None:  # R1.19
    node = Node("SLOW", "127.0.0.1", 104)
    with Cache(tmp_path / "cache", index=tmp_path / "index.sqlite") as cache:
        run = Retrieval(node, cache, [], Deadline(5))
        run.receiver = Receiver(cache, node, [], lambda size: None)
        run.receiver.kept = Growing({"1.2": None})
        assert run.lacking() == [] and list(run.here) == ["1.2"]


def peer(port: int, folder: Path, associations: int, listen: int = 0) -> dl.Peer:
    node = Node("SLOW", "127.0.0.1", port, associations=associations, listen=listen)
    return dl.connect(node, cache=Cache(folder / "cache", index=folder / "index.sqlite"), timeout=10)


@pytest.mark.parametrize("method", ["get", "move"])
def test_a_series_is_shared_by_as_many_associations_as_the_node_allows(method: str, tmp_path: Path) -> None:
    listen = free_port()
    with (
        serving(0.005, 45, move_port=listen) as server,
        peer(server.server_address[1], tmp_path, 3, listen) as slow,
    ):
        got = slow.retrieve(STUDY, method=method, progress=False)
    assert len(got) == 45 and got.attrs["complete"] and got.attrs["associations"] == 3
    assert server.most == 3 and sorted(server.asked) == [5, 10, 10, 10, 10]
    assert got.attrs["peer_counts"]["completed"] == 45 and not got.attrs["remarks"]


def test_one_association_asks_for_the_series_in_one_request(tmp_path: Path) -> None:
    with serving(0, 45) as server, peer(server.server_address[1], tmp_path, 1) as slow:
        got = slow.retrieve(STUDY, progress=False)
    assert len(got) == 45 and got.attrs["associations"] == 1 and server.asked == [45]


def test_little_to_fetch_needs_no_second_association(tmp_path: Path) -> None:
    with serving(0, 9) as server, peer(server.server_address[1], tmp_path, 8) as slow:
        assert len(slow.retrieve(STUDY, progress=False)) == 9
    assert server.most == 1 and server.asked == [9]


@pytest.mark.parametrize("method", ["get", "move"])
def test_local_limit_exceeded_means_fewer_associations_and_no_error(method: str, tmp_path: Path) -> None:
    listen = free_port()
    with (
        serving(0.005, 80, limit=2, move_port=listen) as server,
        peer(server.server_address[1], tmp_path, 8, listen) as slow,
    ):
        got = slow.retrieve(STUDY, method=method, progress=False)
    assert len(got) == 80 and got.attrs["complete"] and got.attrs["associations"] == 2
    assert server.most == 2 and server.rejected >= 6 and not got.attrs["remarks"]


def test_what_a_lost_association_left_is_fetched_on_one(tmp_path: Path) -> None:
    with (
        serving(0.005, 60, cut=3) as server,
        peer(server.server_address[1], tmp_path, 3) as slow,
        pytest.warns(errors.ResultWarning, match="of 3 associations at once one was lost"),
    ):
        got = slow.retrieve(STUDY, progress=False)
    assert server.aborted and len(got) == 60 and got.attrs["complete"]


@pytest.mark.parametrize("method", ["get", "move"])
def test_ctrl_c_stops_all_within_a_second(method: str, tmp_path: Path) -> None:  # R1.19
    listen = free_port()
    with (
        serving(0.05, 200, move_port=listen) as server,
        peer(server.server_address[1], tmp_path, 4, listen) as slow,
    ):

        def told(done: int, total: int) -> None:
            if done == 12:
                signal.raise_signal(signal.SIGINT)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.ResultWarning)
            with pytest.raises(errors.IncompleteRetrieve, match="stopped on request") as caught:
                slow.retrieve(STUDY, method=method, progress=told)
        here = len(caught.value.instances)
        assert 12 <= here < 12 + WITHIN and here + len(caught.value.missing) == 200
        server.seconds = 0
        rest = slow.retrieve(STUDY, method=method, progress=False)
    assert len(rest) == 200 and rest.attrs["fetched"] == 200 - here


def test_after_a_stop_very_many_files_that_came_are_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R1.19: of very many that alone takes a second
    looks: list[int] = []
    look = Retrieval.look

    def counted(run: Retrieval) -> None:
        looks.append(len(run.here))
        look(run)

    monkeypatch.setattr(Retrieval, "look", counted)
    monkeypatch.setattr(outcome, "QUICK", 10)
    with serving(0.01, 60) as server, peer(server.server_address[1], tmp_path, 1) as slow:

        def told(done: int, total: int) -> None:
            if done == 12:
                looks.clear()
                slow.cancel()

        with pytest.warns(errors.ResultWarning, match="stopped on request"):
            some = slow.retrieve(STUDY, progress=told, errors="report")
        assert not looks and len(some) >= 12
        assert len(slow.retrieve(STUDY, progress=False)) == 60 and looks


def test_cancel_stops_all_within_a_second(tmp_path: Path) -> None:  # R1.17
    with serving(0.05, 200) as server, peer(server.server_address[1], tmp_path, 4) as slow:

        def told(done: int, total: int) -> None:
            if done == 12:
                slow.cancel()

        with pytest.warns(errors.ResultWarning, match="stopped on request"):
            some = slow.retrieve(STUDY, progress=told, errors="report")
    assert some.attrs["cancelled"] and 12 <= len(some) < 12 + WITHIN


@pytest.mark.parametrize("method", ["get", "move"])
def test_of_eight_associations_each_waits_while_the_others_do(method: str, tmp_path: Path) -> None:  # R1.20
    together: dict[int, int] = {}
    for count, instances in ((1, 6), (8, 96)):
        listen = free_port()
        folder = tmp_path / str(count)
        folder.mkdir()
        with (
            serving(0.1, instances, move_port=listen) as server,
            peer(server.server_address[1], folder, count, listen) as slow,
        ):
            assert len(slow.retrieve(STUDY, method=method, progress=False)) == instances
        together[count] = server.together
    assert together == {1: 1, 8: 8}  # an archive that waits 0.1 s for each instance is asked for eight in that time


def test_a_full_disk_ends_the_requests_of_every_association(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with (
        serving(0.005, 80, move_port=port) as server,
        peer(server.server_address[1], tmp_path, 2, port) as slow,
    ):
        drafts = itertools.count()
        draft = CacheFolder.draft

        def full(folder: CacheFolder, start: int) -> Draft:
            if next(drafts) < 12:
                return draft(folder, start)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(CacheFolder, "draft", full)
        words = "arrived whole; the disk did not take them: No space left on device"
        with pytest.raises(errors.IncompleteRetrieve, match=words) as caught:
            slow.retrieve(STUDY, method="move", progress=False)
    assert sum(server.asked) < 80
    assert caught.value.elapsed is not None and caught.value.elapsed < 4  # late ones are not waited for
