"""The door of the listener: a bound port, and the connections that have not asked for an association yet.

One thread waits for all of them, so that connections which say nothing take no place from those that do.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from time import monotonic, sleep

from ..association.forking import owned
from ..association.pdu import PduType
from ..association.sealed import Sealed

HALF_OPEN = 5.0  # seconds for a connection to send its A-ASSOCIATE-RQ
WAITING = 800  # connections that may be in that state; beyond it, or where the system has none left, the oldest goes
REQUEST_LIMIT = 1 << 18  # bytes of an A-ASSOCIATE-RQ: 128 contexts with 20 syntaxes each take a quarter of it


class _Visitor:
    """One connection that has not asked yet."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext | None, whom: str) -> None:
        self.connection = connection
        self.sealed = None if context is None else Sealed(connection, context, inbound=True, server_name=whom)
        self.until = monotonic() + HALF_OPEN
        self.heard = bytearray()
        self.ready = context is None  # TLS stands, where there is any

    def listen(self) -> bool:
        """Take what there is; whether the request is whole, or can be none."""
        part = memoryview(bytearray(1 << 16))
        with contextlib.suppress(BlockingIOError):
            while not self.ready:
                self.ready = self.sealed is None or self.sealed.step()
            while not self._whole():  # more may lie decrypted than the socket shows
                got = (self.sealed or self.connection).recv_into(part)
                if not got:
                    raise ConnectionResetError
                self.heard += part[:got]
        return self._whole()

    def _whole(self) -> bool:
        if not self.heard:
            return False
        if self.heard[0] != PduType.ASSOCIATE_RQ:
            return True
        if len(self.heard) < 6:
            return False
        length = int.from_bytes(self.heard[2:6], "big")
        return length > REQUEST_LIMIT or len(self.heard) >= 6 + length


class Doorway:
    """A bound port; calls back, in its own thread, for every first PDU.

    Parameters
    ----------
    host, port
        Where to listen; port 0 is one that the system chooses.
    admits
        Whether a connection from that address may stay.
    came
        Called with the connection and the bytes of its first PDU; owns the connection from then on.
    context
        For TLS; the handshake belongs to the time in which a connection has to ask.
    failed
        Called with a sentence where a handshake fails.
    whom
        Name that must be in the certificate of who connects; "" for any.

    Raises
    ------
    OSError
        The port is in use or may not be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        admits: Callable[[str], bool],
        came: Callable[[socket.socket | Sealed, bytes], None],
        context: ssl.SSLContext | None = None,
        failed: Callable[[str], object] = str,
        whom: str = "",
    ) -> None:
        self._admits, self._came, self._context, self._failed, self._whom = admits, came, context, failed, whom
        self._stop = False
        self._exhausted = False  # the system gives no more connections
        self._thread: threading.Thread | None = None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = owned(socket.socket(family, socket.SOCK_STREAM))
        try:
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(128)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._waker, self._woken = map(owned, socket.socketpair())

    def open(self) -> None:
        """Begin to accept."""
        self._thread = threading.Thread(target=self._watch, name="dicomlab listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the port and close whoever has not asked; may be called twice."""
        self._stop = True
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")
        if self._thread is not None:
            self._thread.join(2.0)
        for item in (self._socket, self._waker, self._woken):
            item.close()

    def _watch(self) -> None:
        visitors: dict[socket.socket, _Visitor] = {}  # in the order in which they came

        def dismiss(connection: socket.socket) -> None:
            selector.unregister(connection)
            del visitors[connection]

        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stop:
                first = next(iter(visitors.values()), None)
                for key, _ in selector.select(None if first is None else max(0.0, first.until - monotonic())):
                    ready = key.fileobj
                    assert isinstance(ready, socket.socket)
                    if ready is self._socket:
                        if visitor := self._accept():
                            visitors[visitor.connection] = visitor
                            selector.register(visitor.connection, selectors.EVENT_READ)
                    elif ready in visitors:
                        visitor = visitors[ready]
                        try:
                            whole = visitor.listen()
                        except OSError as error:
                            if visitor.sealed is not None and not visitor.heard:
                                self._failed(visitor.sealed.explained(error).words)
                            dismiss(ready)
                            ready.close()
                            continue
                        if whole:
                            dismiss(ready)
                            self._came(visitor.sealed or ready, bytes(visitor.heard))
                while visitors:
                    oldest = next(iter(visitors.values()))
                    if oldest.until > monotonic() and len(visitors) <= WAITING and not self._exhausted:
                        break
                    self._exhausted = False
                    if not oldest.ready:
                        self._failed(f"the handshake was not finished within {HALF_OPEN:g} s")
                    dismiss(oldest.connection)
                    oldest.connection.close()
            for connection in visitors:
                connection.close()

    def _accept(self) -> _Visitor | None:
        try:
            connection, address = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._exhausted = True
                sleep(0.01)  # where no visitor holds them: wait instead of turning in a circle
            return None
        host = str(address[0]).removeprefix("::ffff:")
        if not self._admits(host):
            connection.close()
            return None
        owned(connection).setblocking(False)
        return _Visitor(connection, self._context, self._whom)


def remedy(error: OSError, host: str, port: int) -> str:
    """What to do where a port cannot be bound."""
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            "This machine has no such address, or no longer. Leave listen_host out: the address of the route to the "
            "peer is used then. If that is another than before, tell the PACS administrator."
        )
    if error.errno == errno.EACCES:
        begin, free = "The system gives low ports to the administrator alone. Choose", _free(host, 11112)
    else:
        begin = "Another program, perhaps another notebook, holds it. Stop that, or choose"
        free = _free(host, port + 1)
    which = f"listen={free}), which is free," if free else "listen=port)"
    return f"{begin} another port with connect(..., {which} and tell the PACS administrator."


def _free(host: str, first: int) -> int:
    """The first port from there on that may be bound; 0 where none of twenty may."""
    for port in range(first, min(first + 20, 1 << 16)):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, port))
            return port
    return 0
