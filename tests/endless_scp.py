"""An archive of very much: matches by the hundred thousand or without end, and one instance of gigabytes.

``python endless_scp.py MATCHES MEBIBYTES HEEDS`` prints its port; 0 matches: without end; HEEDS 1: it heeds a C-CANCEL.
After each C-FIND it prints how many matches it sent and what the client did: "cancel", "gone" or nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import struct
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.canned import SUCCESS, Association, Context, Server, encode, fragment, message, response, word

MULTI_FRAME = b"1.2.840.10008.5.1.4.1.1.7.3"  # Multi-frame Grayscale Word Secondary Capture
STUDY, SERIES, INSTANCE = b"1.2.9", b"1.2.9.1", b"1.2.9.1.1"
BLOCK = 500  # matches sent at a time
SIDE = 1024  # rows and columns of a frame of two bytes a pixel: 2 MiB
CANCELLED = 0xFE00


class Endless(Association):
    server: EndlessServer

    def find(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        if b"SERIES" in identifier or b"IMAGE" in identifier:
            self.find_one(context, command, identifier)
            return
        pending = message(context, response(command, 0xFF00, with_data=True))
        heard, sent = "", 0
        total = self.server.matches
        for start in itertools.count(0, BLOCK) if not total else range(0, total, BLOCK):
            numbers = range(start, min(start + BLOCK, total or start + BLOCK))
            try:
                self.request.sendall(b"".join(pending + fragment(context, encode(study(one))) for one in numbers))
                sent += len(numbers)
                if not heard and select.select([self.request], [], [], 0)[0]:
                    heard = "cancel" if self.pdu()[0] == 4 else "gone"
            except OSError:
                heard = f"{heard} gone".strip()
            if "gone" in heard or (heard and self.server.heeds):
                break
        print(sent, heard, flush=True)
        if "gone" in heard:
            return
        self.request.sendall(message(context, response(command, CANCELLED if heard else SUCCESS)))

    def find_one(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        named = [(0x0020000D, b"UI", STUDY), (0x0020000E, b"UI", SERIES)]
        match = [(0x00080052, b"CS", b"SERIES"), (0x00080060, b"CS", b"OT"), *named, (0x00201209, b"IS", b"1")]
        if b"IMAGE" in identifier:
            match = [(0x00080016, b"UI", MULTI_FRAME), (0x00080018, b"UI", INSTANCE), *named]
        pending = message(context, response(command, 0xFF00, with_data=True))
        self.request.sendall(pending + fragment(context, encode(match)) + message(context, response(command, SUCCESS)))

    def get(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        way = next(one for one in self.contexts.values() if one.abstract.rstrip(b"\0") == MULTI_FRAME)
        head = {0x0002: MULTI_FRAME + b"\0", 0x0100: b"\1\0", 0x0110: word(1), 0x0700: b"\0\0", 0x0800: b"\1\0"}
        self.request.sendall(message(way, {**head, 0x1000: INSTANCE + b"\0"}))
        self.request.sendall(fragment(way, beginning(self.server.mebibytes), control=0))
        part = bytes(1 << 16)
        count = self.server.mebibytes << 4
        for number in range(count):
            self.request.sendall(fragment(way, part, control=2 * (number == count - 1)))
        self.pdu()  # the C-STORE response
        counts = {element: word(number) for element, number in ((0x1021, 1), (0x1022, 0), (0x1023, 0))}
        self.request.sendall(message(context, response(command, SUCCESS) | counts))


class EndlessServer(Server):
    def __init__(self, matches: int, mebibytes: int, heeds: bool) -> None:
        super().__init__()
        self.RequestHandlerClass = Endless
        self.matches, self.mebibytes, self.heeds = matches, mebibytes, heeds

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no trouble."""


def study(number: int) -> list[tuple[int, bytes, bytes]]:
    """A match of ten attributes."""
    return [
        (0x00080005, b"CS", b"ISO_IR 192"),
        (0x00080020, b"DA", b"20240101"),
        (0x00080030, b"TM", b"101112"),
        (0x00080050, b"SH", b"A%08d" % number),
        (0x00080052, b"CS", b"STUDY"),
        (0x00081030, b"LO", b"study %d" % (number % 97)),
        (0x00100010, b"PN", b"PATIENT^%d" % (number // 2)),
        (0x00100020, b"LO", b"PID%07d" % (number // 2)),
        (0x0020000D, b"UI", b"1.2.8.%d" % number),
        (0x00201208, b"IS", b"%d" % (1 + number % 900)),
    ]


def beginning(mebibytes: int) -> bytes:
    """The data set up to its pixels."""
    words = [(0x0002, 1), (0x0010, SIDE), (0x0011, SIDE), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0)]
    text = [(0x00080016, b"UI", MULTI_FRAME), (0x00080018, b"UI", INSTANCE), (0x00080060, b"CS", b"OT")]
    text += [(0x00100020, b"LO", b"P1"), (0x0020000D, b"UI", STUDY), (0x0020000E, b"UI", SERIES)]
    text += [(0x00280004, b"CS", b"MONOCHROME2"), (0x00280008, b"IS", b"%d" % (mebibytes // 2))]
    elements = sorted([*text, *((0x00280000 | element, b"US", word(value)) for element, value in words)])
    return encode(elements) + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, mebibytes << 20)


if __name__ == "__main__":
    matches, mebibytes, heeds = map(int, sys.argv[1:])
    with EndlessServer(matches, mebibytes, bool(heeds)) as alone, contextlib.suppress(KeyboardInterrupt):
        print(alone.server_address[1], flush=True)
        alone.serve_forever()
