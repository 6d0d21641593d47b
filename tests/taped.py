"""Conversations with an archive, taped byte by byte, and an archive that plays such a tape up to any byte of it.

A peer that falls silent, closes (FIN) or resets (RST) at a byte is the same each time: no clock decides where it ends.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


@dataclass
class Tape:
    """What the archive said in one association."""

    heard: bytes = b""
    ends: list[int] = field(default_factory=list)  # where each of its PDUs ends

    def marked(self) -> Tape:
        at = 0
        while at < len(self.heard):
            at += 6 + int.from_bytes(self.heard[at + 2 : at + 6], "big")
            self.ends.append(at)
        assert at == len(self.heard)
        return self


def _pump(source: socket.socket, target: socket.socket, heard: bytearray | None = None) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            if heard is not None:
                heard += part
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)


def taped(port: int, work: Callable[[int], object]) -> list[Tape]:
    """Do that through a port that passes everything on; what that port's archive said in each association."""
    tapes: list[bytearray] = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def pass_on() -> None:
            while True:
                near, _ = door.accept()
                if stop.is_set():
                    return near.close()
                with near, socket.create_connection(("127.0.0.1", port)) as far:
                    tapes.append(bytearray())
                    forth = threading.Thread(target=_pump, args=(near, far))
                    forth.start()
                    _pump(far, near, tapes[-1])
                    forth.join()

        thread = threading.Thread(target=pass_on)
        thread.start()
        try:
            work(door.getsockname()[1])
        finally:
            stop.set()
            socket.create_connection(door.getsockname()).close()
            thread.join(30)
    return [Tape(bytes(one)).marked() for one in tapes]


class Player:
    """Plays the tapes in turn, a connection each; the one that is cut ends at its byte."""

    def __init__(self, tapes: list[Tape]) -> None:
        self.tapes = tapes
        self.cut, self.at, self.how = 0, 0, "FIN"
        self.played = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._stop = False
        self._thread = threading.Thread(target=self._serve)

    def to_cut(self, tape: int, at: int, how: str) -> None:
        """From the next call on: end tape number `tape` after `at` bytes by "FIN" or "RST"."""
        self.cut, self.at, self.how, self.played = tape, at, how, 0

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._door.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._door.accept()
            with connection, contextlib.suppress(OSError):
                if self._stop:
                    return
                number, self.played = self.played, self.played + 1
                if number >= len(self.tapes):  # whoever asks beyond the tapes is hung up on
                    continue
                said = self.tapes[number].heard
                cut = number == self.cut
                wanted = said[: self.at] if cut else said
                connection.recv(1 << 16)  # the request for an association
                connection.sendall(wanted[: self.tapes[number].ends[0]])
                if len(wanted) > self.tapes[number].ends[0]:
                    connection.recv(1 << 16)  # the request
                    connection.sendall(wanted[self.tapes[number].ends[0] :])
                if cut and self.how == "RST":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    continue
                if cut:
                    connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass


@contextlib.contextmanager
def playing(tapes: list[Tape]) -> Iterator[Player]:
    with Player(tapes) as player:
        yield player
