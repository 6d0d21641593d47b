"""An archive that is far away: each sub-operation waits; it limits its associations, may cut one off, and more.

``python slow_scp.py SECONDS INSTANCES MOVE_PORT`` prints its port. Made of the canned server of the benchmarks.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.canned import (
    CT_STORAGE,
    EXPLICIT,
    SUCCESS,
    Association,
    Context,
    Server,
    elements,
    encode,
    fragment,
    item,
    items,
    message,
    pdu,
    response,
    short,
    word,
)

STORAGE = b"1.2.840.10008.5.1.4.1.1."  # what the storage SOP classes begin with
STUDY, SERIES = b"1.2.9", b"1.2.9.1"
PIXELS = 64 * 64 * 2
BUSY = bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 2))  # A-ASSOCIATE-RJ: transient, local limit exceeded


def uid(number: int) -> bytes:
    return b"1.2.9.1.%06d" % (100000 + number)


def data_set(number: int, sop_class: bytes = CT_STORAGE) -> bytes:
    """One small CT image in Explicit VR Little Endian."""
    words = [(0x0002, 1), (0x0010, 64), (0x0011, 64), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0)]
    text = [(0x00080016, b"UI", sop_class), (0x00080018, b"UI", uid(number)), (0x00080060, b"CS", b"CT")]
    text += [(0x00100020, b"LO", b"P1"), (0x0020000D, b"UI", STUDY), (0x0020000E, b"UI", SERIES)]
    text += [(0x00200013, b"IS", b"%d" % number), (0x00280004, b"CS", b"MONOCHROME2")]
    all_of_them = sorted([*text, *((0x00280000 | element, b"US", word(value)) for element, value in words)])
    return encode(all_of_them) + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, PIXELS) + bytes(PIXELS)


class SlowServer(Server):
    """Counts the associations that stand; beyond `limit` they are rejected as "local limit exceeded"."""

    def __init__(
        self,
        seconds: float,
        instances: int,
        *,
        move_port: int = 0,
        limit: int = 64,
        cut: int = 0,
        find: bool = True,
        listed: int | None = None,
        stated: int | None = None,
        halves: bool = False,
    ) -> None:
        super().__init__()
        self.RequestHandlerClass = Slow
        self.seconds, self.instances, self.move_port, self.limit = seconds, instances, move_port, limit
        self.cut = cut  # instances after which one association of several, the first that comes so far, is aborted
        self.find = find  # C-FIND is answered; else it fails with 0xC001
        self.listed = instances if listed is None else listed  # instances that C-FIND names, of those it counts
        self.stated = instances if stated is None else stated  # NumberOfSeriesRelatedInstances
        self.halves = halves  # a first C-GET sends half, and says that the others failed; a second the others
        self.lock = threading.Lock()
        self.standing = self.most = self.rejected = self.aborted = 0
        self.waiting = self.together = 0  # sub-operations that wait now, and the most that waited at once
        self.asked: list[int] = []  # instances that each request named
        self.answers: list[tuple[str, int]] = []  # SOP Instance UID and status of each C-STORE response
        self.models: list[tuple[str, str]] = []  # SOP class and level of each C-GET and C-MOVE

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no trouble."""


class Slow(Association):
    server: SlowServer

    def handle(self) -> None:
        server = self.server
        with server.lock:
            busy = server.standing >= server.limit
            server.rejected += busy
            server.standing += not busy
            server.most = max(server.most, server.standing)
        if busy:
            self.pdu()
            self.request.sendall(BUSY)
            self.pdu()
            return
        try:
            self.negotiate(self.pdu()[1])
            for number, command, identifier in self.messages():
                context = self.contexts[number]
                kind = int.from_bytes(command[0x0100], "little")
                if kind == 0x0020:
                    self.answer_find(context, command, identifier)
                elif kind in (0x0010, 0x0021):
                    self.transfer(context, command, identifier)
        finally:
            with server.lock:
                server.standing -= 1

    def answer_find(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        if not self.server.find:
            self.request.sendall(message(context, response(command, 0xC001)))
            return
        pending = message(context, response(command, 0xFF00, with_data=True))
        above = [(0x0020000D, b"UI", STUDY), (0x0020000E, b"UI", SERIES)]
        count = (0x00201209, b"IS", b"%d" % self.server.stated)
        matches = [[(0x00080052, b"CS", b"SERIES"), (0x00080060, b"CS", b"CT"), *above, count]]
        if b"IMAGE" in identifier:
            matches = [
                [(0x00080016, b"UI", CT_STORAGE), (0x00080018, b"UI", uid(number)), *above]
                for number in range(self.server.listed)
            ]
        parts = b"".join(pending + fragment(context, encode(match)) for match in matches)
        self.request.sendall(parts + message(context, response(command, SUCCESS)))

    def transfer(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        server = self.server
        wanted = [number for number in range(server.instances) if uid(number) in identifier]
        wanted = wanted or list(range(server.instances))
        half = wanted[:: -1 if len(server.asked) else 1][: len(wanted) // 2]
        sent = half if server.halves else wanted
        server.asked.append(len(wanted))
        level = next(level for level in ("PATIENT", "STUDY", "SERIES", "IMAGE") if level.encode() in identifier)
        server.models.append((context.abstract.decode().rstrip("\0"), level))
        with self.sink(command) as (sink, way):
            for done, number in enumerate(sent):
                if done == server.cut and self.cut_off():
                    self.request.sendall(bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 0)))
                    self.request.shutdown(socket.SHUT_RDWR)
                    return
                with server.lock:
                    server.waiting += 1
                    server.together = max(server.together, server.waiting)
                time.sleep(server.seconds)
                with server.lock:
                    server.waiting -= 1
                head = {0x0002: way.abstract, 0x0100: b"\1\0", 0x0110: word(number % 0xFFFF + 1), 0x0700: b"\0\0"}
                head |= {0x0800: b"\1\0", 0x1000: uid(number)}
                self.give(sink, message(way, head) + fragment(way, data_set(number, way.abstract)), number)
        counts = {0x1021: len(sent), 0x1022: len(wanted) - len(sent), 0x1023: 0}
        status = 0xB000 if server.halves else SUCCESS
        said = response(command, status) | {element: word(min(count, 0xFFFF)) for element, count in counts.items()}
        self.finish(message(context, said))

    def cut_off(self) -> bool:
        """Whether this is the association that is aborted; one that asks alone for what is left is not."""
        server = self.server
        with server.lock:
            cut = bool(server.cut) and not server.aborted
            server.aborted += cut
        return cut

    def give(self, sink: Association, parts: bytes, number: int) -> None:
        """Send one instance, and wait for the C-STORE response."""
        sink.request.sendall(parts)
        while True:
            kind, body = sink.pdu()
            status = elements(body[6:]).get(0x0900) if kind == 4 else b""
            if status is not None:  # else it is a C-CANCEL, which is not heeded
                break
        if status:
            self.server.answers.append((uid(number).decode(), short(status)))

    def finish(self, parts: bytes) -> None:
        """Send the final response."""
        self.request.sendall(parts)

    @contextlib.contextmanager
    def sink(self, command: dict[int, bytes]) -> Iterator[tuple[Association, Context]]:
        """Where the instances go, and the context there: this association, or one of a C-MOVE's own."""
        if 0x0600 not in command:
            ways = [one for one in self.contexts.values() if STORAGE in one.abstract and one.syntax == EXPLICIT]
            yield self, next((way for way in ways if way.abstract == CT_STORAGE), ways[0])
            return
        with socket.create_connection(("127.0.0.1", self.server.move_port)) as connection:
            other = object.__new__(Slow)
            other.request, other.rfile = connection, connection.makefile("rb")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            syntax = item(0x30, CT_STORAGE) + item(0x40, EXPLICIT)
            user = item(0x50, item(0x51, struct.pack(">L", 1 << 17)) + item(0x52, b"2.25.1"))
            titles = command[0x0600].ljust(16) + b"SLOW".ljust(16) + bytes(32)
            names = item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, b"\1\0\0\0" + syntax) + user
            connection.sendall(pdu(1, b"\0\1\0\0" + titles + names))
            kind, body = other.pdu()
            assert kind == 2 and items(body[68:])
            yield other, Context(1, CT_STORAGE, EXPLICIT)
            connection.sendall(pdu(5, bytes(4)))
            other.pdu()
            other.rfile.close()


@contextlib.contextmanager
def serving(seconds: float, instances: int, **more: Any) -> Iterator[SlowServer]:
    """A SlowServer in threads of this process."""
    with SlowServer(seconds, instances, **more) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(30)


if __name__ == "__main__":
    with SlowServer(float(sys.argv[1]), int(sys.argv[2]), move_port=int(sys.argv[3])) as alone:
        print(alone.server_address[1], flush=True)
        alone.serve_forever()
