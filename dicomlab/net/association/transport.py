"""Bytes of a transport connection, within a deadline. Synchronous, in the caller's thread.

A blocking socket that ticks (ticking.py) keeps MSG_WAITALL whole and still lets deadlines and the abort flag be looked
at; without it, or under TLS (sealed.py), the same code reads in smaller steps.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Sequence
from itertools import count
from typing import Any

from ...errors import ConnectionLost, DicomlabError, TLSVerificationError
from .deadline import Cancelled, Deadline, no_answer
from .sealed import Sealed
from .ticking import tick

STEP = 1 << 14  # bytes of an unfinished fragment that count as progress
BUFFERS = 512  # of one call that sends; the system takes 1,024
SENT = 1 << 20  # bytes of one call that sends where it takes one buffer
AHEAD = 1 << 16  # bytes read at once where messages are small

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_WAITALL = getattr(socket, "MSG_WAITALL", 0)

_numbers = count(1)  # of the connections of this process, to tell them apart in logs


class Transport:
    """One connection as a stream of bytes; reads belong to one thread, `send` may be called by any."""

    def __init__(self, sock: socket.socket | Sealed, peer: str) -> None:
        self.peer = peer
        self.number = next(_numbers)
        self.phase = "association"
        self.deadline = Deadline(30.0)
        self._sock: Any = sock
        self._send_lock = threading.Lock()
        self._buffer = bytearray(AHEAD)
        self._view = memoryview(self._buffer)
        self._start = self._stop = 0  # what of the buffer is filled and not yet taken
        self._torn = False  # a read ended in the middle of a PDU: what follows has no beginning
        self._sealed = sock if isinstance(sock, Sealed) else None
        self._plain = tick(sock.sock if isinstance(sock, Sealed) else sock) and self._sealed is None

    def send(self, *buffers: bytes | memoryview) -> None:
        """Send all buffers, in one call of the system where it takes them."""
        with self._send_lock:
            pending: list[bytes | memoryview] = list(buffers) if self._plain else [b"".join(buffers)]
            while pending:
                try:
                    if self._plain:
                        sent = self._sock.sendmsg(pending[:BUFFERS])
                    else:
                        sent = self._sock.send(memoryview(pending[0])[:SENT])
                except (BlockingIOError, TimeoutError):
                    self.deadline.check(self._late)
                    continue
                except OSError as error:
                    raise self._lost(error) from error
                done = 0
                while done < len(pending) and sent >= len(pending[done]):
                    sent -= len(pending[done])
                    done += 1
                del pending[:done]
                if pending:
                    pending[0] = memoryview(pending[0])[sent:]
                    self.deadline.progressed()
                    self.deadline.check(self._late)

    def _need(self, count: int) -> None:
        """Have at least `count` bytes in the buffer, reading as much as there is."""
        if self._torn:
            raise ConnectionLost("a read before this one was stopped in the middle of a PDU", **self._context())
        have = self._stop - self._start
        if have >= count:
            return
        if len(self._buffer) - self._start < count or not have:
            self._buffer[:have] = bytes(self._view[self._start : self._stop])
            self._start, self._stop = 0, have
        while self._stop - self._start < count:
            self._stop += self._receive([self._view[self._stop :]], 0)

    def _fill(self, target: memoryview, follows: int) -> None:
        """Fill `target`, and take up to `follows` more bytes into the buffer if they come along."""
        size = len(target)
        done = min(size, self._stop - self._start)
        target[:done] = self._view[self._start : self._start + done]
        self._start += done
        if done == size:
            return  # the next header is read when it is asked for
        self._start = self._stop = 0
        steps = done // STEP
        while done < size:
            rest = [target[done:], self._view[:follows]] if follows else [target[done:]]
            done += self._receive(rest, _WAITALL)
            if done // STEP > steps and done < size:
                steps = done // STEP
                self.deadline.progressed()
        self._stop = done - size

    def _receive(self, views: Sequence[memoryview], flags: int) -> int:
        """One read of at least one byte, within the deadline."""
        while True:
            try:
                if self._plain:
                    if _QUICKACK is not None:  # a peer with Nagle's algorithm on stalls 40 ms otherwise
                        self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
                    count = self._sock.recvmsg_into(views, 0, flags)[0]
                else:
                    count = self._sock.recv_into(views[0])
            except (BlockingIOError, TimeoutError):
                self.deadline.check(self._late)
                continue
            except OSError as error:
                raise self._lost(error) from error
            if count:
                if self.deadline.stopped or self.deadline.remaining <= 0:
                    self.deadline.check(self._late)
                return count
            raise self._lost(None)

    # -- words of failure ------------------------------------------------------------------------------------

    def _context(self) -> dict[str, Any]:
        return {"peer": self.peer, "phase": self.phase, "elapsed": self.deadline.elapsed}

    def _late(self, sentence: str) -> DicomlabError:
        return no_answer(self.peer, self.phase, self.deadline)(sentence)

    def _lost(self, error: OSError | None) -> DicomlabError:
        if self.deadline.stopped:
            raise Cancelled
        reason = self._sealed.failure(error) if self._sealed is not None and error is not None else None
        if reason is not None:
            return TLSVerificationError(reason.words, advice=reason.advice, **self._context())
        closed = error is None or isinstance(error, ssl.SSLEOFError)
        how = "the peer closed the connection" if closed else f"the connection was lost ({error})"
        return ConnectionLost(
            how, advice="Try again; if it happens each time, the archive's log says why.", **self._context()
        )

    # -- the end ---------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Wake whoever reads, to look at the abort flag; what is sent still goes. May be called by any thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def shutdown(self) -> None:
        """Wake whoever reads, and send no more; may be called by any thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; may be called twice."""
        with contextlib.suppress(OSError):
            self._sock.close()
