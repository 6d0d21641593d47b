"""TLS on a connected socket: the handshake, and records both ways (RFC 8446, RFC 5246).

Records go through memory instead of `ssl.SSLSocket`: one call of the system takes many of them, nobody holds the lock
while it waits, and a deadline holds in the handshake too.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import InvalidRequest
from .deadline import Deadline
from .reaching import reached
from .ticking import tick
from .tlsreasons import Reason, explained

AT_FIRST = 1 << 12  # bytes of records taken by one call of the system, for a handshake,
AT_ONCE = 1 << 18  # and where more come: a record has at most 16 KiB
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True)
class Link:
    """What protects one connection."""

    version: str  # "TLSv1.3"
    cipher: str  # "TLS_AES_256_GCM_SHA384"
    bits: int  # of its key
    subject: str = ""  # of the peer's certificate, "CN=pacs, O=Hospital"; "" where it showed none
    issuer: str = ""
    expires: str = ""  # "Nov 21 17:12:41 2027 GMT"

    def __str__(self) -> str:
        whom = f", certificate of {self.subject}" if self.subject else ""
        return f"{self.version} {self.cipher}{whom}"


class Sealed:
    """A connected socket with TLS on it; has what a Wire needs of a socket.

    Reads belong to one thread; `send` may be called by any, one at a time.

    Parameters
    ----------
    server_name
        Whom the peer's certificate is to be for; of an inbound connection None for anybody whose CA is trusted.

    Raises
    ------
    InvalidRequest
        The name can be in no certificate.
    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, inbound: bool = False, server_name: str | None = None
    ) -> None:
        self.sock = sock
        self._received, self._sending = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(self._received, self._sending, inbound, None if inbound else server_name)
        except ValueError as error:
            raise InvalidRequest(
                f"{server_name!r} can be the name of no certificate ({error})", advice="Check the host name."
            ) from error
        self._inbound = inbound
        self._whom = server_name if inbound else None  # the library checks the name of a server only
        self._lock = threading.Lock()  # an SSL object is not for two threads at once
        self._records = memoryview(bytearray(AT_FIRST))
        self._pending = memoryview(b"")  # records that the socket did not take yet
        self._first = b""  # what the peer sent first
        self._waiting = False  # the handshake goes on when more has come
        self._heard = False  # something came through TLS

    # -- the handshake -----------------------------------------------------------------------------------------

    def shake_hands(self, check: Callable[[], None]) -> None:
        """The whole handshake on a socket that waits; `check` is called at least every quarter of a second.

        Raises
        ------
        OSError
            It failed, see `explained`; or what `check` raises.
        """
        tick(self.sock)
        while True:
            check()
            with contextlib.suppress(BlockingIOError, TimeoutError):
                if self.step():
                    return

    def step(self) -> bool:
        """One step of the handshake; whether it is done. BlockingIOError or TimeoutError: it needs more time."""
        if self._waiting:
            got = self.sock.recv_into(self._records)
            self._first = self._first or bytes(self._records[: min(got, 8)])
            if got:
                self._received.write(self._records[:got])
            else:
                self._received.write_eof()
            self._waiting = False
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            self._waiting = True
            return False
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._flush()  # the alert tells the peer why
            raise
        if self._whom:
            self._check_name(self._whom)
        self._flush()
        return True

    def _check_name(self, name: str) -> None:
        shown: dict[str, Any] = self._tls.getpeercert() or {}
        names = [text for kind, text in shown.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
        if not any(_fits(text, name) for text in names):
            raise ssl.SSLError(1, f"Hostname mismatch, certificate is for {', '.join(names)[:200]} and not {name}")

    def _flush(self) -> None:
        self._pending = memoryview(bytes(self._pending) + self._sending.read())
        while self._pending:
            self._pending = self._pending[self.sock.send(self._pending) :]

    @property
    def spoke_tls(self) -> bool:
        """Whether the peer answered in TLS at all."""
        return self._first[:1] in (b"\x14", b"\x15", b"\x16", b"\x17")  # content types

    @property
    def link(self) -> Link:
        """What was agreed; after the handshake."""
        name, version, bits = self._tls.cipher() or ("", "", 0)
        shown: dict[str, Any] = self._tls.getpeercert() or {}
        return Link(
            self._tls.version() or version,
            name,
            bits,
            _distinguished(shown.get("subject", ())),
            _distinguished(shown.get("issuer", ())),
            str(shown.get("notAfter", "")),
        )

    # -- as a socket -------------------------------------------------------------------------------------------

    def recv_into(self, target: memoryview) -> int:
        """Read what there is, as much as fits; 0 where the peer has ended the connection as TLS ends it."""
        size, done, got = len(target), 0, 0
        read: Callable[[int, memoryview], int] = self._tls.read  # type: ignore[assignment]
        while True:
            with self._lock:
                if got:
                    self._received.write(self._records[:got])
                    if got == len(self._records) < AT_ONCE:  # not for a connection that has said little
                        self._records = memoryview(bytearray(min(8 * got, AT_ONCE)))
                try:
                    while done < size:
                        part = read(size - done, target[done:])
                        if not part:  # it ended TLS as TLS is ended; its TCP may stay open
                            return done
                        done += part
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    if not done and not isinstance(error, ssl.SSLZeroReturnError):
                        raise
                    return done
            if done:
                self._heard = True
                return done
            if _QUICKACK is not None:  # a peer with Nagle's algorithm on stalls 40 ms otherwise
                self.sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            got = self.sock.recv_into(self._records)
            if not got:
                self._received.write_eof()

    def send(self, data: bytes | memoryview) -> int:
        """Send all of that, or 0: call again with the same data; so too after BlockingIOError or TimeoutError."""
        if not self._pending:
            with self._lock:
                left = memoryview(data)
                while left:
                    left = left[self._tls.write(left) :]
                self._pending = memoryview(self._sending.read())
        try:
            self._pending = self._pending[self.sock.send(self._pending) :]
        except ConnectionError:
            if not self._heard:  # a client certificate is judged after the handshake of TLS 1.3: why it was refused
                with contextlib.suppress(BlockingIOError, TimeoutError):
                    self.recv_into(memoryview(bytearray(1)))
            raise
        return 0 if self._pending else len(data)

    def shutdown(self, how: int) -> None:
        """Wake whoever reads; may be called by any thread."""
        self.sock.shutdown(how)

    def close(self) -> None:
        """Tell the peer that nothing more comes, if that can be done at once, and close; may be called twice."""
        with contextlib.suppress(OSError, ValueError):
            self.sock.setblocking(False)
            with self._lock, contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            if not self._pending:
                self.sock.send(self._sending.read())
        self.sock.close()

    # -- words of failure --------------------------------------------------------------------------------------

    def failure(self, error: OSError) -> Reason | None:
        """What that error after the handshake means; None where the connection was lost, whatever was on it."""
        if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
            return None
        return self.explained(error)

    def explained(self, error: OSError) -> Reason:
        """What that error of the handshake, or of a read after it, means."""
        if self._first and not self.spoke_tls:
            return Reason(
                f"it speaks no TLS: it sent {self._first!r}",
                "This may be its port for plain DICOM: ask for its TLS port, or connect without tls=.",
            )
        return explained(error, self._inbound)


def expects_tls(host: str, port: int, seconds: float) -> bool:
    """Whether a TLS handshake is answered there; it is begun and left, and nothing else is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(OSError), reached(host, port, Deadline(seconds)) as sock:
        sock.settimeout(seconds)
        sealed = Sealed(sock, context, server_name=host)
        with contextlib.suppress(ssl.SSLError):
            sealed.step()  # asks
            sealed.step()  # hears
        return sealed.spoke_tls
    return False


def _fits(shown: str, name: str) -> bool:
    """Whether a name in a certificate is that one; "*.hospital.org" is for any "x.hospital.org" (RFC 6125)."""
    shown, name = shown.lower().rstrip("."), name.lower().rstrip(".")
    if shown.startswith("*."):
        return name.partition(".")[2] == shown[2:] != ""
    return shown == name


def _distinguished(names: Any) -> str:
    """A subject of `getpeercert` on one line, the most particular name first."""
    short = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}
    parts = [f"{short.get(key, key)}={value}" for group in names for key, value in group]
    return ", ".join(reversed(parts))
