"""An archive that says no more at a point of its own choice; whoever waits for it is to be stopped there."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from slow_scp import STUDY, Slow, SlowServer

from benchmarks.canned import SUCCESS, Association, Context, encode, fragment, message, response

INSTANCES = 12
BEFORE = 5  # instances, or matches, that come before the archive halts among them


class Halted(Exception):
    """The client has gone."""


class HaltingServer(SlowServer):
    """Halts at a point, once, and calls `halted` then.

    The points are "association", "request", "mid-PDU", "between", "final response", "first release" and "release".
    """

    def __init__(self, halted: Callable[[], object], *, move_port: int = 0) -> None:
        super().__init__(0, INSTANCES, move_port=move_port)
        self.RequestHandlerClass = Halting
        self.at = ""
        self.halted = halted
        self.releases = 0


class Halting(Slow):
    server: HaltingServer

    def halt(self, point: str) -> None:
        """Say no more, here, where that is the point: until the client has gone."""
        if self.server.at != point:
            return
        self.server.at = ""
        self.until_read()
        time.sleep(0.05)  # until the client waits
        self.server.halted()
        with contextlib.suppress(OSError):
            while super().pdu()[0]:
                pass
        raise Halted

    def until_read(self, seconds: float = 10) -> None:
        """Wait until the client, a process of this machine, has read what was sent to it, where Linux tells."""
        host, port = self.request.getpeername()[:2]
        local = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
        end = time.monotonic() + seconds
        with contextlib.suppress(FileNotFoundError):
            while time.monotonic() < end:
                lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
                if not any(line[1] == local and not line[4].endswith(":00000000") for line in lines):
                    return
                time.sleep(0.01)

    def negotiate(self, body: bytes) -> None:
        self.halt("association")
        super().negotiate(body)

    def pdu(self) -> tuple[int, bytes]:
        kind, body = super().pdu()
        if kind == 5:
            self.server.releases += 1
            self.halt("first release" if self.server.releases == 1 else "release")
        return kind, body

    def answer_find(self, context: Context, command: dict[int, bytes], identifier: bytes) -> None:
        self.halt("request")
        if b"PATIENT" in identifier or b"SERIES" in identifier or b"IMAGE" in identifier:
            super().answer_find(context, command, identifier)
            return
        pending = message(context, response(command, 0xFF00, with_data=True))
        for number in range(INSTANCES):
            if number == BEFORE:
                self.halt("between")
            named = [(0x00080052, b"CS", b"STUDY"), (0x0020000D, b"UI", b"%b.%d" % (STUDY, number))]
            match = pending + fragment(context, encode(named))
            if number == BEFORE and self.server.at == "mid-PDU":
                self.request.sendall(match[:-5])
                self.halt("mid-PDU")
            self.request.sendall(match)
        self.halt("final response")
        self.request.sendall(message(context, response(command, SUCCESS)))

    def give(self, sink: Association, parts: bytes, number: int) -> None:
        waiting = object.__new__(Halting)
        waiting.server, waiting.request, waiting.rfile = self.server, sink.request, sink.rfile
        if number == BEFORE:
            waiting.halt("between")
            if self.server.at == "mid-PDU":
                sink.request.sendall(parts[:-1000])
                waiting.halt("mid-PDU")
        super().give(sink, parts, number)

    def finish(self, parts: bytes) -> None:
        self.halt("final response")
        self.request.sendall(parts)


@contextlib.contextmanager
def halting(halted: Callable[[], object], *, move_port: int = 0) -> Iterator[HaltingServer]:
    """A HaltingServer in threads of this process."""
    with HaltingServer(halted, move_port=move_port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(30)
