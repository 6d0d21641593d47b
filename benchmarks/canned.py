"""A server that answers from bytes made beforehand, so that a row measures the client: ``python -m benchmarks.canned``.

It prints its port. C-ECHO is answered; C-FIND of studies gives 10,000 matches, of series and images those of the
CT; C-GET sends the CT, or those of its instances that a list of UIDs names. It accepts every context proposed, and
waits for each C-STORE response before it sends the next instance, as archives do (PS3.7 9.3.3).
"""

from __future__ import annotations

import socketserver
import struct
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from . import data

EXPLICIT = b"1.2.840.10008.1.2.1"
CT_STORAGE = b"1.2.840.10008.5.1.4.1.1.2"
ECHO, FIND, GET = 0x0030, 0x0020, 0x0010  # Command Field of the requests (PS3.7 E.1)
SUCCESS, PENDING = 0x0000, 0xFF00
NO_DATA = 0x0101  # Command Data Set Type


class Context(NamedTuple):
    """A presentation context as accepted."""

    number: int
    abstract: bytes
    syntax: bytes


class Server(socketserver.ThreadingTCPServer):
    """Listens on the loopback address, on a port the system gives."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Association)


class Association(socketserver.StreamRequestHandler):
    """One association, from its request to its release."""

    disable_nagle_algorithm = True
    contexts: dict[int, Context]
    room: int  # bytes of a fragment

    def handle(self) -> None:
        self.negotiate(self.pdu()[1])
        for number, command, identifier in self.messages():
            kind = short(command[0x00000100])
            answer = {ECHO: self.echo, FIND: self.find, GET: self.get}[kind]
            answer(self.contexts[number], command, identifier)

    def echo(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        self.request.sendall(message(context, response(command, SUCCESS)))

    def find(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        pending = message(context, response(command, PENDING, with_data=True))
        level = next(level for level in (b"STUDY", b"SERIES", b"IMAGE") if level in identifier)
        matches = b"".join(pending + fragment(context, match) for match in identifiers(level))
        self.request.sendall(matches + message(context, response(command, SUCCESS)))

    def get(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        wanted = [one for one in ct() if one[0] in identifier] or ct()
        way = next(one for one in self.contexts.values() if (one.abstract, one.syntax) == (CT_STORAGE, EXPLICIT))
        for number, (uid, data_set) in enumerate(wanted, 2):
            head = {0x0002: CT_STORAGE, 0x0100: b"\1\0", 0x0110: word(number), 0x0700: b"\0\0", 0x0800: b"\1\0"}
            self.send([message(way, {**head, 0x1000: uid}), *self.fragments(way, data_set)])
            self.pdu()  # the C-STORE response
        counts = {0x1021: len(wanted), 0x1022: 0, 0x1023: 0}
        said = {**response(command, SUCCESS), **{element: word(count) for element, count in counts.items()}}
        self.request.sendall(message(context, said))

    # -- PS3.8 ---------------------------------------------------------------------------------------------------

    def accepts(self, abstract: bytes) -> bool:
        """Whether contexts of that abstract syntax are accepted."""
        return True

    def negotiate(self, body: bytes) -> None:
        """Accept those contexts, with Explicit VR Little Endian where it is proposed, and every role."""
        self.contexts = {}
        answer, user = b"", b""
        for kind, value in items(body[68:]):
            if kind == 0x20:
                names = list(items(value[4:]))
                syntaxes = [name for sort, name in names if sort == 0x40]
                chosen = EXPLICIT if EXPLICIT in syntaxes else syntaxes[0]
                result = 0 if self.accepts(names[0][1]) else 3  # abstract syntax not supported
                if not result:
                    self.contexts[value[0]] = Context(value[0], names[0][1], chosen)
                answer += item(0x21, bytes((value[0], 0, result, 0)) + item(0x40, chosen))
            elif kind == 0x50:
                said = list(items(value))
                largest = struct.unpack(">L", dict(said)[0x51])[0] or 1 << 20
                self.room = (min(largest, 1 << 20) - 6) & ~1
                user = item(0x51, struct.pack(">L", 131072)) + item(0x52, b"2.25.1")
                user += b"".join(item(sort, role) for sort, role in said if sort == 0x54)
        name = item(0x10, b"1.2.840.10008.3.1.1.1")
        self.request.sendall(pdu(2, body[:68] + name + answer + item(0x50, user)))

    def messages(self) -> Iterator[tuple[int, dict[int, bytes], bytes]]:
        """Context number, command set and identifier of each request, until the association is released."""
        command, identifier = b"", b""
        while True:
            kind, body = self.pdu()
            if kind == 5:
                self.request.sendall(pdu(6, bytes(4)))
            if kind != 4:
                return
            while body:
                length, number, control = struct.unpack_from(">LBB", body)
                value, body = body[6 : 4 + length], body[4 + length :]
                if control & 1:
                    command += value
                else:
                    identifier += value
                if control & 2 and (not control & 1 or short(elements(command)[0x00000800]) == NO_DATA):
                    yield number, elements(command), identifier
                    command, identifier = b"", b""

    def pdu(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; type 0 where the client has gone."""
        head = self.rfile.read(6)
        if len(head) < 6:
            return 0, b""
        return head[0], self.rfile.read(int.from_bytes(head[2:], "big"))

    def fragments(self, context: Context, data_set: memoryview) -> Iterator[bytes | memoryview]:
        for start in range(0, len(data_set), self.room):
            part = data_set[start : start + self.room]
            last = start + self.room >= len(data_set)
            yield struct.pack(">BxLLBB", 4, len(part) + 6, len(part) + 2, context.number, 2 * last)
            yield part

    def send(self, parts: list[bytes | memoryview]) -> None:
        sent = self.request.sendmsg(parts)
        for part in parts:
            if sent < len(part):
                self.request.sendall(memoryview(part)[sent:])
            sent = max(0, sent - len(part))


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def items(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        kind, length = struct.unpack_from(">BxH", body)
        yield kind, body[4 : 4 + length]
        body = body[4 + length :]


# -- PS3.7 6.3: command sets are Implicit VR Little Endian ---------------------------------------------------------


def message(context: Context, command: dict[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in sorted(command.items()))
    return fragment(context, struct.pack("<HHLL", 0, 0, 4, len(body)) + body, control=3)


def fragment(context: Context, value: bytes, control: int = 2) -> bytes:
    return pdu(4, struct.pack(">LBB", len(value) + 2, context.number, control) + value)


def response(request: dict[int, bytes], status: int, *, with_data: bool = False) -> dict[int, bytes]:
    return {
        0x0002: request[0x0002],
        0x0100: word(short(request[0x0100]) | 0x8000),
        0x0120: request[0x0110],
        0x0800: word(1 if with_data else NO_DATA),
        0x0900: word(status),
    }


def elements(command: bytes) -> dict[int, bytes]:
    found = {}
    while command:
        _, element, length = struct.unpack_from("<HHL", command)
        found[element] = command[8 : 8 + length]
        command = command[8 + length :]
    return found


def word(value: int) -> bytes:
    return struct.pack("<H", value)


def short(value: bytes) -> int:
    return int(struct.unpack("<H", value)[0])


# -- what is answered ----------------------------------------------------------------------------------------------


@cache
def ct() -> list[tuple[bytes, memoryview]]:
    """SOP Instance UID, padded to even length, and data set of each slice, in Explicit VR Little Endian."""
    found = []
    for path in sorted(data.ct().iterdir()):
        whole = path.read_bytes()
        start = 144 + struct.unpack_from("<L", whole, 140)[0]  # PS3.10 7.1: behind the File Meta Information
        at = whole.index(b"\x08\x00\x18\x00UI", start)
        length = struct.unpack_from("<H", whole, at + 6)[0]
        found.append((whole[at + 8 : at + 8 + length], memoryview(whole)[start:]))
    return found


@cache
def identifiers(level: bytes) -> list[bytes]:
    """The matches at one level, in Explicit VR Little Endian."""
    study, series = data.STUDY.encode(), data.SERIES.encode()
    if level == b"STUDY":
        return [encode(match) for match in studies()]
    common = [(0x00080005, b"CS", b"ISO_IR 192"), (0x00080052, b"CS", level)]
    names = [(0x0020000D, b"UI", study), (0x0020000E, b"UI", series)]
    if level == b"SERIES":
        count = (0x00201209, b"IS", b"%d" % len(ct()))
        return [encode([*common, (0x00080060, b"CS", b"CT"), *names, count])]
    return [encode([*common, (0x00080016, b"UI", CT_STORAGE), (0x00080018, b"UI", uid), *names]) for uid, _ in ct()]


def studies() -> Iterator[list[tuple[int, bytes, bytes]]]:
    """The elements of 10,000 studies: 16 attributes, and the character set of their text."""
    for number in range(data.STUDIES):
        yield [
            (0x00080005, b"CS", b"ISO_IR 192"),
            (0x00080020, b"DA", b"%d%02d%02d" % (2015 + number % 10, 1 + number % 12, 1 + number % 28)),
            (0x00080030, b"TM", b"101112.345"),
            (0x00080050, b"SH", b"A%08d" % number),
            (0x00080052, b"CS", b"STUDY"),
            (0x00080054, b"AE", b"CANNED"),
            (0x00080061, b"CS", b"CT\\SR" if number % 5 == 0 else b"CT"),
            (0x00080090, b"PN", b"REFERRER^ANNE^^DR"),
            (0x00081030, b"LO", b"CT study %d" % (number % 97)),
            (0x00100010, b"PN", data.NAMES[number % len(data.NAMES)].encode()),
            (0x00100020, b"LO", b"PID%07d" % (number // 2)),
            (0x00100030, b"DA", b"19600102" if number % 7 else b""),
            (0x00100040, b"CS", b"FMO"[number % 3 : number % 3 + 1]),
            (0x0020000D, b"UI", data.uid("studies", number).encode()),
            (0x00200010, b"SH", b"%d" % number),
            (0x00201206, b"IS", b"%d" % (1 + number % 9)),
            (0x00201208, b"IS", b"%d" % (1 + number % 900)),
        ]


def encode(identifier: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """An identifier of short elements, in Explicit VR Little Endian (PS3.5 7.1.2)."""
    parts = []
    for tag, vr, value in identifier:
        if len(value) % 2:
            value += b"\0" if vr == b"UI" else b" "
        parts.append(struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value)
    return b"".join(parts)


if __name__ == "__main__":
    ct(), identifiers(b"STUDY"), identifiers(b"IMAGE")  # made before the first client comes
    with Server() as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
