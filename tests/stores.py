"""Storage SCPs of a few lines, which answer as a test says."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from dicomlab.datasets.uids import EXPLICIT
from dicomlab.net.association import dimse, negotiation
from dicomlab.net.association.pdu import RELEASE_RP, PduType, abort_pdu, p_data

CT = "1.2.840.10008.5.1.4.1.1.2"


class Sender:
    """The association of a client that stores, as the peer sees it."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection, self.number = connection, number  # which association of all, from 0

    def pdu(self) -> tuple[int, bytes]:
        """The next PDU; (0, b"") where the connection was closed."""
        head = self._bytes(6)
        if len(head) < 6:
            return 0, b""
        return head[0], self._bytes(int.from_bytes(head[2:], "big"))

    def _bytes(self, count: int) -> bytes:
        came = b""
        while len(came) < count and (part := self.connection.recv(count - len(came))):
            came += part
        return came

    def request(self, *, data: bool = True) -> tuple[int, dimse.Command] | None:
        """Context and command of the next C-STORE request; its data set is read too unless told not to."""
        kind, body = self.pdu()
        if kind != PduType.P_DATA_TF:
            if kind == PduType.RELEASE_RQ:
                self.connection.sendall(RELEASE_RP)
            return None
        command = dimse.decode(body[6:])
        while data:
            kind, part = self.pdu()
            at = 0
            while at < len(part):
                length = int.from_bytes(part[at : at + 4], "big")
                data = not part[at + 5] & 2
                at += 4 + length
        return body[4], command

    def answer(self, context_id: int, command: dimse.Command, status: int = 0, **changes: int | bytes | None) -> None:
        """A C-STORE response, right unless told otherwise: `e0120=7` sets (0000,0120), None leaves it out."""
        raw = dict(dimse.decode(dimse.response(command, status)).raw)
        for name, value in changes.items():
            element = int(name[1:], 16)
            raw.pop(element, None)
            if value is not None:
                raw[element] = dimse.number(value) if isinstance(value, int) else value
        self.connection.sendall(p_data(context_id, 3, dimse.encode({k: v for k, v in raw.items() if 0 < k <= 0xFFFF})))

    def abort(self) -> None:
        self.connection.sendall(abort_pdu(2, 1))

    def reset(self) -> None:
        """Close without the other side being told properly."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


@contextlib.contextmanager
def store_that(
    does: Callable[[Sender], object], syntaxes: tuple[str, ...] = (EXPLICIT,), length: int = 1 << 14
) -> Iterator[str]:
    """The address of a peer that takes CT images in those syntaxes, and then does as told on each association."""
    door = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            sender = Sender(connection, number)
            asked = negotiation.requested(sender.pdu()[1])
            accept, _ = negotiation.acceptance(asked, frozenset({CT}), syntaxes)
            at = accept.index(b"\x51\x00\x00\x04") + 4
            connection.sendall(accept[:at] + length.to_bytes(4, "big") + accept[at + 4 :])
            does(sender)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = door.accept()
                threads.append(threading.Thread(target=serve, args=(connection, len(threads)), daemon=True))
                threads[-1].start()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield f"STORE@127.0.0.1:{door.getsockname()[1]}"
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        listener.join(5)
        for thread in threads:
            thread.join(5)


def serve_all(sender: Sender) -> None:
    """Take everything."""
    while (asked := sender.request()) is not None:
        sender.answer(*asked)
