"""The listener under load: hundreds that say nothing, drip, or claim gigabytes, and thousands that come and go."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from net.test_listener import listening, request, store
from net.test_tls import ask
from net.test_tls import doorway as tls_doorway
from support import ROOT, stop

from dicomlab.net.association.pdu import RELEASE_RQ
from dicomlab.net.association.tls import TLS
from dicomlab.net.retrieve import doorway

CROWD = """
import socket, sys, time
port, silent, slow, huge = map(int, sys.argv[1:5])
held = [socket.create_connection(("127.0.0.1", port)) for _ in range(silent + slow + huge)]
for number, one in enumerate(held[:silent]):
    one.sendall(bytes.fromhex(sys.argv[5])[:number % 40])
for one in held[silent + slow:]:
    one.sendall(b"\\x01\\x00\\xff\\xff\\xff\\xff" + bytes(1000))
print("held", flush=True)
def gone(one):
    one.setblocking(False)
    try:
        return one.recv(64)[:1] in (b"", b"\\x07")
    except BlockingIOError:
        return False
    except OSError:
        return True
begun = time.monotonic()
while time.monotonic() - begun < 60:
    for one in held[silent:silent + slow]:
        try:
            one.send(b"\\x01\\x00\\x00\\x00\\x03"[:1])
        except OSError:
            pass
    if sys.stdin.readline() == "":
        break
    print(sum(map(gone, held[:silent])), sum(map(gone, held[silent + slow:])), flush=True)
"""


@contextlib.contextmanager
def crowd(port: int, silent: int, slow: int = 0, huge: int = 0, said: bytes = request()) -> Iterator[subprocess.Popen]:
    """Another process that holds that many connections: silent in their request, slow, or with one of 4 GiB."""
    command = [sys.executable, "-c", CROWD, str(port), str(silent), str(slow), str(huge), said.hex()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        stop(process)
        process.stdin.close()
        process.stdout.close()


def gone(process: subprocess.Popen) -> list[int]:
    """How many of the silent ones, and of the huge ones, were closed."""
    process.stdin.write("\n")
    process.stdin.flush()
    return [int(word) for word in process.stdout.readline().split()]


def resident() -> int:
    """KiB of memory that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def served(address: tuple[str, int]) -> float:
    """Seconds for an association with three instances; the least of three, for the machine may be busy."""
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        assert store(address, instances=3) == [0, 0, 0, 0]
        seconds.append(time.monotonic() - began)
    return min(seconds)


linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@linux
def test_with_500_half_open_connections_held_the_archive_is_served(monkeypatch):  # L4, S8
    monkeypatch.setattr(doorway, "HALF_OPEN", 60.0)
    with listening() as (door, received):
        assert store(door.address) == [0, 0]  # what is imported for it is no growth
        before, threads = resident(), threading.active_count()
        with crowd(door.address[1], 500) as process:
            took = served(door.address)
            assert gone(process) == [0, 0]  # all 500 are still there
            assert threading.active_count() <= threads + 1  # none has a thread of its own
            grown = resident() - before
        assert took < 2, took
        assert grown < 10 << 10, grown
    assert len(received.kept) == 3


@linux
def test_silent_slow_and_endless_ones_together_do_not_keep_the_archive_out(monkeypatch):  # S8
    monkeypatch.setattr(doorway, "HALF_OPEN", 60.0)
    with listening() as (door, _):
        assert store(door.address) == [0, 0]
        before = resident()
        with crowd(door.address[1], 500, 50, 50) as process:
            assert served(door.address) < 2
            end = time.monotonic() + 10
            while gone(process) != [0, 50]:  # whoever announces 4 GiB is turned away at once
                assert time.monotonic() < end
                time.sleep(0.1)
            assert resident() - before < 64 << 10
    assert len(door.rejected) == 50


@linux
def test_with_500_stalled_tls_handshakes_the_archive_is_served(made, monkeypatch):  # L4, S8
    monkeypatch.setattr(doorway, "HALF_OPEN", 60.0)
    client = TLS(made.ca, made.client, made.client_key)
    with tls_doorway(TLS(made.ca, made.server, made.server_key)) as (door, heard, _):
        ask(client, door)
        before = resident()
        with crowd(door.address[1], 500, said=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)) as process:
            began = time.monotonic()
            ask(client, door)
            assert len(heard) == 2 and time.monotonic() - began < 2
            assert gone(process) == [0, 0]
            assert resident() - before < 64 << 10


FEW = """
import resource, socket, sys, threading
sys.path[:0] = sys.argv[1:3]
from net.test_listener import listening, store
from dicomlab.net.retrieve import doorway
doorway.HALF_OPEN = 60.0
with listening() as (door, received):
    assert store(door.address) == [0, 0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    print(door.address[1], flush=True)
    sys.stdin.readline()
    print(len(received.kept), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limit")
def test_where_a_process_may_hold_few_connections_the_oldest_silent_one_goes():  # R0.7, S8
    command = [sys.executable, "-c", FEW, str(ROOT), str(ROOT / "tests")]
    ours = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = int(ours.stdout.readline())
        with crowd(port, 300) as process:
            assert store(("127.0.0.1", port), instances=2) == [0, 0, 0]
            assert gone(process)[0] > 150  # no more than 120 could stay
        assert ours.communicate("\n", timeout=20)[0] == "2\n"
        assert ours.returncode == 0
    finally:
        stop(ours)


@linux
@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.soak)])
def test_associations_and_bare_connections_that_come_and_go_leave_nothing(count):  # L4
    with listening() as (door, _):
        assert store(door.address) == [0, 0]
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        before = 0
        for number in range(count):
            with socket.create_connection(door.address) as bare:
                bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with socket.create_connection(door.address) as one:
                one.sendall(request())
                one.settimeout(5)
                assert one.recv(4096)[0] == 2
                one.sendall(RELEASE_RQ)
                assert one.recv(64)[0] == 6
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its port is free at once
            if number == count // 5:
                before = resident()
        end = time.monotonic() + 60
        while threading.active_count() > threads + 2 or len(os.listdir("/proc/self/fd")) > files + 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert resident() - before < 10 << 10
        assert store(door.address) == [0, 0]
    assert door.troubles == []
