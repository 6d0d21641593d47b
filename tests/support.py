"""What several tests need: the shared data, free ports, and programs that may be absent."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared(name: str = "") -> Path:
    """A file or folder of the material shared beside the project; skips the test where it is absent."""
    path = ROOT.parent / "shared" / name
    if not path.exists():
        pytest.skip(f"shared material {name or '(folder)'} is not beside this project")
    return path


def require_peer(program: str) -> str:
    """Path of a peer's program; absent, the test is skipped, or fails under DICOMLAB_REQUIRE_PEERS=1."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(program, path=places)
    if found:
        return found
    reason = f"{program} is not installed (make peers)"
    if os.environ.get("DICOMLAB_REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require_file(path: Path) -> Path:
    """A file that a peer brings; absent, as `require_peer`."""
    if not path.exists():
        reason = f"{path.name} is not installed (make peers)"
        if os.environ.get("DICOMLAB_REQUIRE_PEERS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return path


_given: set[int] = set()  # ports, to this process


def free_port() -> int:
    """A TCP port nobody listens on, below those the system hands out, so that it stays free a while.

    No two workers are given the same one, for it may be a while until a server takes it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(first := 20_000 + worker % 6 * 2_000, first + 2_000)
    left = [port for port in mine if port not in _given] or list(mine)
    for port in random.sample(left, min(200, len(left))):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise RuntimeError(f"no free port between {mine[0]} and {mine[-1]}")


def wait_for_port(process: subprocess.Popen[Any], port: int, seconds: float = 30.0) -> None:
    """Return once `process` itself holds `port`; another server there would answer just as well.

    Raises
    ------
    RuntimeError
        The process ended, or the port is not its own in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it held port {port}")
        if holds(process.pid, port):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not hold port {port} after {seconds:.0f} s")


def holds(pid: int, port: int) -> bool:
    """Whether that process listens on the port (by /proc on Linux, else by a connection)."""
    if not Path("/proc/net/tcp").exists():
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            for line in Path(table).read_text().splitlines()[1:]:
                local, state, inode = (line.split()[i] for i in (1, 3, 9))
                if state == "0A" and int(local.rsplit(":", 1)[1], 16) == port:
                    listening.add(f"socket:[{inode}]")
    if not listening:
        return False
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(descriptor) in listening:
                return True
        except OSError:
            continue
    return False


def until(true: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def our_threads(seconds: float = 0.0) -> list[str]:
    """Names of the threads of the package that are left once they had so many seconds to end (R0.7)."""
    end = time.monotonic() + seconds
    while True:
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("dicomlab")]
        if not left or time.monotonic() >= end:
            return left
        time.sleep(0.02)


def stop(process: subprocess.Popen[Any], seconds: float = 10.0) -> None:
    """End a process this test started, by its own id."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(seconds)


class Stopwatch:
    """Seconds since it was made until they are read, without those in which a busy machine kept everybody waiting.

    A thread asks to be woken every 10 ms; how much later it is woken is what the machine does beside. A call and its
    peer wait for the processor in turn, so that is taken off twice. On a machine that is free it is nothing: a hang, or
    a deadline that does not hold, is as long as it is.
    """

    def __init__(self) -> None:
        self._lag, self._read = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stopwatch", daemon=True)
        self._began = time.monotonic()
        self._thread.start()

    def _watch(self) -> None:
        while not self._read.is_set() and time.monotonic() < self._began + 120:
            before = time.monotonic()
            time.sleep(0.01)
            self._lag += max(0.0, time.monotonic() - before - 0.012)

    @property
    def seconds(self) -> float:
        wall = time.monotonic() - self._began
        self._read.set()
        self._thread.join()
        return wall - 2 * self._lag


def words(figure: Any) -> list[str]:
    """What is written on a figure of matplotlib."""
    texts = [text.get_text() for text in figure.texts]
    return texts + [text.get_text() for axes in figure.axes for text in axes.texts]
