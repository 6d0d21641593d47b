"""A connection with a Wire at one end and a bare socket, the peer, at the other."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dicomlab.net.deadline import Deadline
from dicomlab.net.pdu import Fragment, Wire


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    return near, far


@contextlib.contextmanager
def wired(
    progress: float = 10.0, total: float | None = None, *, plain: bool = True
) -> Iterator[tuple[Wire, socket.socket]]:
    """A Wire and its peer; `plain` False takes the way of Windows and TLS, without recvmsg_into."""
    near, far = connected()
    with pytest.MonkeyPatch.context() as patch:
        if not plain:
            patch.setattr("sys.platform", "win32")
        wire = Wire(near, "PEER@127.0.0.1:104")
    assert wire._plain is plain
    wire.deadline, wire.phase = Deadline(progress, total), "C-FIND"
    try:
        yield wire, far
    finally:
        wire.close()
        far.close()


@contextlib.contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Run that in a thread beside the block; its exceptions are not lost."""
    troubles: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
    assert not thread.is_alive()
    assert not troubles, troubles


def collect(wire: Wire) -> tuple[list[Fragment], bytes]:
    """Fragments up to the last one of a data set, and the bytes of that data set."""
    fragments: list[Fragment] = []
    data = bytearray()
    while True:
        fragment = wire.fragment()
        fragments.append(fragment)
        if fragment.command:
            wire.take(fragment)
            continue
        part = bytearray(fragment.length)
        wire.take_into(fragment, memoryview(part))
        data += part
        if fragment.last:
            return fragments, bytes(data)
