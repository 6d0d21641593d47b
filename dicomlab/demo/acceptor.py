"""The socket that listens, and a thread for each connection: pynetdicom's, where it would keep others waiting."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import ThreadedAssociationServer


class Acceptor(ThreadedAssociationServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(*args, **settings)

    def service_actions(self) -> None:
        """pynetdicom collects garbage here, every 60th poll."""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """A connection, before its TLS handshake: one that stalls keeps nobody out."""
        assert self.socket is not None
        connection, address = self.socket.accept()
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections = [each for each in self._connections if each.fileno() >= 0] + [connection]
        return connection, address

    def close_connections(self) -> None:
        """Close what pynetdicom has left open, as it does where TLS breaks."""
        for connection in self._connections:
            connection.close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the thread of the connection, then serve it."""
        if isinstance(request, ssl.SSLSocket):
            waits = request.gettimeout()
            request.settimeout(5)
            request.do_handshake()
            request.settimeout(waits)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that ends before it began is no news."""


def stop(server: Acceptor, thread: threading.Thread) -> None:
    """End the associations, the thread and the listening socket."""
    with contextlib.suppress(Exception):
        server.shutdown()  # ends serve_forever and closes the socket; raises on a second call
    server.server_close()
    thread.join(2)
    for assoc in _living(server):
        with contextlib.suppress(Exception):
            assoc.abort()
    for assoc in _living(server):
        assoc.join(1)
    server.close_connections()


def _living(server: ThreadedAssociationServer) -> Iterator[Association]:
    return iter([each for each in server.active_associations if each is not threading.current_thread()])
