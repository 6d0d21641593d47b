"""From a host name to a connection: who is silent, name server or host, keeps nobody beyond the deadline (R1.4)."""

from __future__ import annotations

import _thread
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.net.association.deadline import Cancelled, Deadline
from dicomlab.net.association.node import Node, Timeouts
from dicomlab.net.association.reaching import reached, resolve

SOON = 4.0  # seconds; what waits for the name server itself waits for 30


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A name server that does not answer for one name, as the system's function waits for it: deaf to everything."""
    real, over = socket.getaddrinfo, threading.Event()

    def look_up(host: str, *arguments: Any, **more: Any) -> Any:
        if host == "pacs.example":
            over.wait(30)
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    over.set()
    for thread in threading.enumerate():
        if thread.name == "name lookup":
            thread.join(5)


def pacs(seconds: float = 0.5, **more: Any) -> dl.Peer:
    return dl.connect(Node("ARCHIVE", "pacs.example", 104, timeouts=Timeouts(connect=seconds), **more))


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    "call",
    [
        lambda: pacs().echo(),
        lambda: pacs().find("STUDY", PatientID="1"),
        lambda: pacs().retrieve("1.2.3", method="get"),
        lambda: pacs(listen=11112).retrieve("1.2.3", method="move"),
    ],
    ids=["echo", "find", "get", "move"],
)
def test_a_name_server_that_is_silent_ends_with_the_deadline(call: Callable[[], object]) -> None:  # R1.4
    began = time.monotonic()
    with pytest.raises(errors.AssociationTimeout, match=r"ARCHIVE@pacs\.example:104.*name server"):
        call()
    assert time.monotonic() - began < SOON


@pytest.mark.usefixtures("silent")
def test_a_diagnosis_says_that_the_name_server_is_silent_and_writes_the_letter_all_the_same() -> None:  # R2.6
    began = time.monotonic()
    table = pacs().diagnose(timeout=0.5)
    assert "the name server did not say within" in table.means[table.check == "host name"].item()
    assert "known once the host name of the archive is" in table.attrs["letter"]
    assert time.monotonic() - began < 2 * SOON


@pytest.mark.usefixtures("silent")
def test_who_waits_for_a_name_hears_ctrl_c_and_cancel() -> None:  # R1.17, R1.19
    for stop, error in ((_thread.interrupt_main, KeyboardInterrupt), (None, errors.ConnectError)):
        peer = pacs(25)
        timer = threading.Timer(0.3, stop or peer.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(error):
            peer.echo()
        assert time.monotonic() - began < SOON
        timer.join(30)


def full() -> socket.socket:
    """A door whose waiting room is full: who knocks is not answered."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(0)
    return door


def test_a_host_that_does_not_answer_is_left_at_the_deadline_and_at_a_cancel() -> None:  # R1.4, R1.17
    with full() as door:
        knocking = [socket.socket() for _ in range(4)]
        for one in knocking:
            one.setblocking(False)
            one.connect_ex(door.getsockname())
        host, port = door.getsockname()
        try:
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                reached(host, port, Deadline(0.4))
            deadline = Deadline(25)
            timer = threading.Timer(0.3, deadline.cancel)
            timer.start()
            with pytest.raises(Cancelled):
                reached(host, port, deadline)
            assert time.monotonic() - began < SOON
            timer.join(30)
        finally:
            for one in knocking:
                one.close()


def test_the_addresses_of_a_host_share_its_time_and_the_next_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:  # R1.4
    with full() as door, socket.create_server(("127.0.0.1", 0)) as other:
        knocking = [socket.socket() for _ in range(4)]
        for one in knocking:
            one.setblocking(False)
            one.connect_ex(door.getsockname())
        doors = [door.getsockname(), door.getsockname(), other.getsockname()]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in doors]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **more: found)
        began = time.monotonic()
        with reached("pacs.example", 104, Deadline(1.5)) as sock:
            assert sock.getpeername() == other.getsockname()
        assert time.monotonic() - began < 1.5  # two addresses that say nothing had two thirds of it
        for one in knocking:
            one.close()


def test_what_the_system_says_of_a_name_or_port_is_passed_on() -> None:  # R2.3
    with pytest.raises(socket.gaierror):
        resolve("no-such-host.invalid", 104, Deadline(20))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            reached("127.0.0.1", probe.getsockname()[1], Deadline(20))
