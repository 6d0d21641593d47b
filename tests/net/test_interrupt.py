"""Ctrl-C at every phase of find, C-GET and C-MOVE: back at once, with what came, and nothing left open (F7, R1.19)."""

from __future__ import annotations

import contextlib
import dis
import itertools
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from halting_scp import BEFORE, INSTANCES, HaltingServer, halting
from support import ROOT, free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.cache.draft import Draft
from dicomlab.cache.index import Index
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.node import Node
from dicomlab.net.retrieve.transfer import STOP_GRACE

STUDY = "1.2.9"
MARK = 1.0  # seconds from Ctrl-C to the result (R1.19)
ROOM = 0.5  # and for a machine that is busy with other things

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def sockets() -> set[str]:
    """The sockets that this process holds, where /proc tells."""
    held = set()
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            link = os.readlink(descriptor)
        except OSError:
            continue
        if link.startswith("socket:"):
            held.add(link)
    return held


class Stop:
    """Sends SIGINT to this process, and knows when that was."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> None:
        if not self.at:
            self.at = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)

    @property
    def seconds(self) -> float:
        assert self.at, "it was never stopped"
        return time.monotonic() - self.at


@pytest.fixture
def stop() -> Iterator[Stop]:
    """When the test is over no thread, no socket and no exception in a thread is left."""
    died: list[Any] = []
    hook, threading.excepthook = threading.excepthook, died.append
    before = sockets()
    yield Stop()
    threading.excepthook = hook
    assert not died
    end = time.monotonic() + 5  # of the server's own
    while sockets() - before and time.monotonic() < end:
        time.sleep(0.02)
    assert not sockets() - before


def threads() -> list[str]:
    return [item.name for item in threading.enumerate() if item.name.startswith("dicomlab")]


def peer(server: HaltingServer, folder: Path) -> dl.Peer:
    node = Node("SLOW", "127.0.0.1", server.server_address[1], listen=server.move_port)
    return dl.connect(node, cache=Cache(folder / "cache", index=folder / "index.sqlite"), timeout=20)


def stopped(call: Callable[[], Any], stop: Stop, kind: type[BaseException]) -> Any:
    """The exception that a call which is stopped ends with; nothing of it may be left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ResultWarning)
        with pytest.raises(kind) as caught:
            call()
    assert stop.seconds < MARK + ROOM
    assert not threads()
    return caught.value


def check_rest(slow: dl.Peer, method: str, error: errors.IncompleteRetrieve, least: int) -> None:
    """What is missing is named, no file is left over, and the next call fetches that and no more (R5.13)."""
    assert "stopped on request" in str(error)
    here = set(error.instances.SOPInstanceUID)
    assert len(here) >= least
    assert not list(slow.cache.root.rglob("incoming/*"))
    rest = slow.retrieve(STUDY, method=method, progress=False)
    assert len(rest) == INSTANCES and rest.attrs["complete"] and rest.attrs["fetched"] == INSTANCES - len(here)
    assert slow.cache.verify() == []


@pytest.mark.parametrize("phase", ["association", "request", "between", "mid-PDU", "final response"])
def test_ctrl_c_ends_a_find_with_the_matches_that_came(phase: str, stop: Stop, tmp_path: Path) -> None:
    with halting(stop) as server, peer(server, tmp_path) as slow:
        server.at = phase
        error = stopped(lambda: slow.find("STUDY", StudyInstanceUID=""), stop, errors.Interrupted)
    assert len(error.rows) == {"association": 0, "request": 0, "final response": INSTANCES}.get(phase, BEFORE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a full backlog drops connections on Linux")
@pytest.mark.parametrize("call", ["find", "retrieve"])
def test_ctrl_c_while_nobody_answers_the_connection(call: str, stop: Stop, tmp_path: Path) -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as held:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):  # more than it keeps waiting
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        time.sleep(0.1)
        node = Node("DEAF", "127.0.0.1", deaf.getsockname()[1])
        slow = dl.connect(node, cache=Cache(tmp_path / "cache", index=tmp_path / "index.sqlite"), timeout=20)
        threading.Timer(0.3, stop).start()
        if call == "find":
            error = stopped(lambda: slow.find("STUDY", StudyInstanceUID=""), stop, errors.Interrupted)
            assert len(error.rows) == 0
        else:
            error = stopped(lambda: slow.retrieve(STUDY, progress=False), stop, errors.IncompleteRetrieve)
            assert len(error.instances) == 0 and error.phase == "C-FIND"
        slow.cache.close()


def test_ctrl_c_in_the_release_of_a_find_leaves_its_table(stop: Stop, tmp_path: Path) -> None:
    with halting(stop) as server, peer(server, tmp_path) as slow:
        server.at = "first release"
        assert len(slow.find("STUDY", StudyInstanceUID="")) == INSTANCES
        assert stop.seconds < MARK + ROOM and not threads()


@pytest.mark.parametrize("method", ["get", "move"])
@pytest.mark.parametrize("phase", ["association", "request", "between", "mid-PDU", "final response", "first release"])
def test_ctrl_c_ends_a_retrieve_with_what_came(method: str, phase: str, stop: Stop, tmp_path: Path) -> None:
    with halting(stop, move_port=free_port()) as server, peer(server, tmp_path) as slow:
        server.at = phase
        if phase == "final response":  # all is here by then
            with pytest.warns(errors.ResultWarning, match="all instances are here"):
                assert len(slow.retrieve(STUDY, method=method, progress=False)) == INSTANCES
            assert stop.seconds < MARK + ROOM and not threads()
            return
        error = stopped(lambda: slow.retrieve(STUDY, method=method, progress=False), stop, errors.IncompleteRetrieve)
        among = phase in ("between", "mid-PDU")
        assert len(error.instances) == (BEFORE if among else 0)
        if among:
            assert len(error.missing) == INSTANCES - BEFORE and error.phase == f"C-{method.upper()}"
        if phase == "first release":  # of the query: it went no further
            assert len(error.missing) == INSTANCES and not server.asked
        check_rest(slow, method, error, BEFORE if among else 0)


@pytest.mark.parametrize("method", ["get", "move"])
def test_ctrl_c_in_the_last_release_leaves_the_whole_result(method: str, stop: Stop, tmp_path: Path) -> None:
    with halting(stop, move_port=free_port()) as server, peer(server, tmp_path) as slow:
        server.at = "release"
        got = slow.retrieve(STUDY, method=method, progress=False)
        assert stop.seconds < MARK + ROOM and not threads()
    assert len(got) == INSTANCES and got.attrs["complete"]


@pytest.mark.parametrize("method", ["get", "move"])
@pytest.mark.parametrize("where", [(Draft, "write"), (Draft, "close"), (Index, "add")], ids=["write", "close", "index"])
def test_ctrl_c_in_the_middle_of_keeping_an_instance(
    method: str, where: tuple[type, str], stop: Stop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count(1)
    real = getattr(*where)

    def interrupted(*arguments: Any) -> Any:
        if next(calls) == BEFORE:
            stop()
        return real(*arguments)

    with halting(stop, move_port=free_port()) as server, peer(server, tmp_path) as slow:
        server.seconds = 0.2  # between the instances, so that a C-MOVE is not over before it is stopped
        monkeypatch.setattr(*where, interrupted)
        error = stopped(lambda: slow.retrieve(STUDY, method=method, progress=False), stop, errors.IncompleteRetrieve)
        server.seconds = 0
        check_rest(slow, method, error, BEFORE - 1)


@pytest.mark.parametrize("method", ["get", "move"])
def test_ctrl_c_while_another_process_holds_the_index(method: str, stop: Stop, tmp_path: Path) -> None:
    held: list[sqlite3.Connection] = []

    def told(done: int, total: int) -> None:
        if done == BEFORE:
            held.append(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None, check_same_thread=False))
            held[0].execute("BEGIN EXCLUSIVE")
            threading.Timer(0.4, stop).start()

    with halting(stop, move_port=free_port()) as server, peer(server, tmp_path) as slow:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.ResultWarning)
            with pytest.raises(errors.IncompleteRetrieve, match="stopped on request") as caught:
                slow.retrieve(STUDY, method=method, progress=told)
        assert stop.seconds < MARK + ROOM
        held[0].execute("ROLLBACK")
        held[0].close()
        assert not threads() and len(caught.value.instances) >= BEFORE
        rest = slow.retrieve(STUDY, method=method, progress=False)
        assert len(rest) == INSTANCES and rest.attrs["complete"]


def test_all_associations_of_a_call_end_together_however_late_one_hears_of_it() -> None:  # R1.19
    call = Deadline(20)
    call.cancel()
    early = call.farewell(STOP_GRACE).remaining
    time.sleep(0.2)
    late = call.farewell(STOP_GRACE)
    assert early <= STOP_GRACE and late.remaining < early - 0.15
    call.cancel()  # again: it counts from the first
    assert call.farewell(STOP_GRACE).remaining < early - 0.15


CHILD = """
import gc, json, os, signal, sys, time, warnings
gc.disable()
sys.path[:0] = [sys.argv[1], os.path.join(sys.argv[1], "tests")]
import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.net.association.node import Node
root, port, listen, folder, method = sys.argv[1:]
warnings.simplefilter("ignore")
node = Node("SLOW", "127.0.0.1", int(port), listen=int(listen))
slow = dl.connect(node, cache=Cache(folder + "/cache", index=folder + "/index.sqlite"), timeout=20)
kept = came = missing = None
try:
    if method == "find":
        slow.find("STUDY", StudyInstanceUID="")
    else:
        slow.retrieve("1.2.9", method=method, progress=False)
except errors.Interrupted as error:
    kept, came = error, len(error.rows)
except errors.IncompleteRetrieve as error:
    kept, came, missing = error, len(error.instances), len(error.missing)
back = time.monotonic()
import threading
held = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
links = [os.readlink(path) for path in held if os.path.lexists(path)]
print(json.dumps({
    "back": back, "kind": type(kept).__name__, "came": came, "missing": missing,
    "threads": threading.active_count(), "sockets": sum(link.startswith("socket:") for link in links),
    "files": sum(".part" in name for _, _, names in os.walk(folder) for name in names),
}), flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc and one monotonic clock for all processes")
@pytest.mark.parametrize(
    ("method", "phase", "came"),
    [
        ("find", "request", 0),
        ("get", "association", 0),
        ("get", "mid-PDU", BEFORE),
        ("move", "between", BEFORE),
    ],
)
def test_sigint_to_a_process_leaves_no_thread_socket_or_file_in_it(
    method: str, phase: str, came: int, tmp_path: Path
) -> None:
    import json

    at: list[float] = []

    def interrupt() -> None:
        at.append(time.monotonic())
        process.send_signal(signal.SIGINT)

    with halting(interrupt, move_port=free_port()) as server:
        server.at = phase
        places = [str(ROOT), str(server.server_address[1]), str(server.move_port), str(tmp_path)]
        command = [sys.executable, "-c", CHILD, *places, method]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            began = time.monotonic()
            assert process.wait(30) == 0
            # F7: the interpreter exits; leaving pandas alone takes it seconds of a core that many want.
            assert time.monotonic() - began < 8
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()
    assert told.pop("back") - at[0] < MARK + ROOM
    kind = "Interrupted" if method == "find" else "IncompleteRetrieve"
    missing = None if method == "find" else INSTANCES - came if came else 0
    assert told == {"kind": kind, "came": came, "missing": missing, "threads": 1, "sockets": 0, "files": 0}


def leaves_with(frame: Any) -> bool:
    """Whether what is run next is the `__exit__` of a with statement, before which Python lets no signal in.

    An exception from the trace function comes even there, and the `__exit__`, of a lock say, is then never called.
    """
    code, at = frame.f_code, frame.f_lasti
    names = [dis.opname[number] for number in code.co_code[at : at + 10 : 2]]
    if names[:2] == ["PUSH_EXC_INFO", "WITH_EXCEPT_START"]:
        return True
    at += 2 * (names[0] == "SWAP")  # a value that is returned
    nones = code.co_code[at : at + 6]
    return all(
        dis.opname[number] == "LOAD_CONST" and code.co_consts[which] is None
        for number, which in zip(nones[::2], nones[1::2], strict=True)
    )


def test_the_way_out_of_a_with_statement_is_known() -> None:
    """On whatever version of Python this runs on."""
    lock = threading.Lock()

    def falls() -> int:
        with lock:
            found = 1
        return found

    def returns() -> int:
        with lock:
            return len("one")

    def fails() -> None:
        with lock:
            raise OSError

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line" and frame.f_code in (falls.__code__, returns.__code__, fails.__code__):
            left -= 1
            if left <= 0 and not leaves_with(frame):
                raise KeyboardInterrupt
        return trace

    for function in (falls, returns, fails):
        for number in range(1, 8):
            left = number
            with contextlib.suppress(KeyboardInterrupt, OSError):
                try:
                    sys.settrace(trace)
                    function()
                finally:
                    sys.settrace(None)
            assert not lock.locked(), (function, number)


class AtLine:
    """Raises KeyboardInterrupt before the k-th line of ours that this thread runs, as a signal would."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.where = ""

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        return self.line if str(ROOT / "dicomlab") in frame.f_code.co_filename else None

    def line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line":
            self.left -= 1
            if self.left <= 0 and not leaves_with(frame):
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self.line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("method", "points"),
    [("get", 12), ("move", 8), *(pytest.param(method, 500, marks=pytest.mark.soak) for method in ("get", "move"))],
)
def test_ctrl_c_before_any_line_leaves_nothing_open_and_loses_nothing(
    method: str, points: int, tmp_path: Path
) -> None:  # F7
    chance = random.Random(7)
    with halting(lambda: None, move_port=free_port()) as server:

        def run(folder: Path, number: int) -> tuple[AtLine, BaseException | None]:
            at, error = AtLine(number), None
            with peer(server, folder) as slow, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    sys.settrace(at)
                    slow.retrieve(STUDY, method=method, progress=False)
                except (KeyboardInterrupt, errors.IncompleteRetrieve) as caught:
                    error = caught
                finally:
                    sys.settrace(None)
            assert not threads(), at.where
            end = time.monotonic() + 5  # the server's side
            while server.standing and time.monotonic() < end:
                time.sleep(0.002)
            assert sockets() <= before, at.where
            assert not list(folder.rglob("*.part")), at.where
            slow.cache.close()
            return at, error

        before = sockets()
        lines = 10**9 - run(tmp_path / "all", 10**9)[0].left
        for turn in range(points):
            folder = tmp_path / str(turn)
            at, error = run(folder, chance.randrange(1, lines))
            with peer(server, folder) as slow:
                rest = slow.retrieve(STUDY, method=method, progress=False)
                assert len(rest) == INSTANCES and rest.attrs["complete"], at.where
                if isinstance(error, errors.IncompleteRetrieve):
                    assert rest.attrs["fetched"] == INSTANCES - len(error.instances), at.where
                assert slow.cache.verify() == []
                slow.cache.close()
    print(f"{points} of {lines} lines")
