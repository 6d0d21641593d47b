"""A connection with a Wire at one end and a bare socket, the peer, at the other."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import certificates
import pytest

from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.pdu import Fragment, Wire
from dicomlab.net.association.sealed import Sealed
from dicomlab.net.association.tls import TLS


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    return near, far


@functools.cache
def both_sides() -> tuple[TLS, TLS]:
    """TLS of a client and of a server that trust each other."""
    folder = Path(tempfile.mkdtemp(prefix="certificates"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = certificates.made(folder)
    return TLS(made.ca, made.client, made.client_key), TLS(made.ca, made.server, made.server_key)


@contextlib.contextmanager
def wired(
    progress: float = 10.0, total: float | None = None, *, way: str = "recvmsg_into"
) -> Iterator[tuple[Wire, socket.socket]]:
    """A Wire and its peer; `way` "steps" is that of Windows, without recvmsg_into, and "TLS" goes through TLS."""
    near, far = connected()
    with pytest.MonkeyPatch.context() as patch:
        if way == "steps":
            patch.setattr("sys.platform", "win32")
        if way == "TLS":
            sealed, far = shaken(near, far)
            wire = Wire(sealed, "PEER@127.0.0.1:104")
        else:
            wire = Wire(near, "PEER@127.0.0.1:104")
    assert wire._plain is (way == "recvmsg_into")
    wire.deadline, wire.phase = Deadline(progress, total), "C-FIND"
    try:
        yield wire, far
    finally:
        wire.close()
        far.close()


def shaken(near: socket.socket, far: socket.socket) -> tuple[Sealed, ssl.SSLSocket]:
    """The two ends after the handshake: ours, and that of Python's own `ssl`."""
    client, server = both_sides()
    peer = server.server().wrap_socket(far, server_side=True, do_handshake_on_connect=False)
    sealed = Sealed(near, client.client(), server_name="localhost")
    with meanwhile(peer.do_handshake):
        sealed.shake_hands(lambda: None)
    return sealed, peer


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
