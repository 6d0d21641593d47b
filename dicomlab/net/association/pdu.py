"""PDUs on a transport connection: framing and size limit (PS3.8 9.3)."""

from __future__ import annotations

import socket
import struct
from enum import IntEnum
from typing import NamedTuple

from ...errors import (
    AssociationAborted,
    ConnectionLost,
    DicomlabError,
    DimseTimeout,
    ProtocolError,
    TLSVerificationError,
)
from .deadline import Cancelled, Deadline
from .sealed import Sealed
from .tlsreasons import EXPECTED
from .transport import Transport

MAXIMUM_LENGTH = 1 << 20  # what we announce, and the limit of what we take, in bytes
COMMAND_LIMIT = 1 << 16  # bytes of a command set (R0.8)

_HEAD = struct.Struct(">BxLLBB")  # PDU type, PDU length, PDV length, context id, control
_PDV = struct.Struct(">LBB")  # PDV length, context id, control

RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"


class PduType(IntEnum):
    """PDU types (PS3.8 9.3.1)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class ReleaseRequested(Exception):
    """The peer sent A-RELEASE-RQ (internal; the association decides what it means)."""


class Released(Exception):
    """The peer sent A-RELEASE-RP (internal)."""


class Fragment(NamedTuple):
    """The header of one presentation data value."""

    context_id: int
    command: bool  # part of a command set, not of a data set
    last: bool
    length: int  # bytes


def abort_pdu(source: int = 0, reason: int = 0) -> bytes:
    """A-ABORT (PS3.8 9.3.8)."""
    return bytes([7, 0, 0, 0, 0, 4, 0, 0, source, reason])


def p_data(context_id: int, control: int, data: bytes) -> bytes:
    """One P-DATA-TF that holds one PDV; control: 1 command, 2 last (PS3.8 annex E)."""
    return p_data_head(context_id, control, len(data)) + data


def p_data_head(context_id: int, control: int, length: int) -> bytes:
    """What comes before the `length` bytes of the one PDV of a P-DATA-TF."""
    return _HEAD.pack(4, length + 6, length + 2, context_id, control)


class Wire(Transport):
    """The PDUs of one connection.

    Reads belong to one thread; `send` may be called by any.

    Parameters
    ----------
    sock
        Connected socket, plain or sealed by TLS; the Wire owns it from now on.
    peer
        Name for messages.
    """

    def __init__(self, sock: socket.socket | Sealed, peer: str) -> None:
        super().__init__(sock, peer)
        self._left = 0  # bytes of the present P-DATA-TF after the present PDV

    def read_pdu(self, limit: int = MAXIMUM_LENGTH) -> tuple[int, bytes]:
        """Type and body of the next PDU, whole; for negotiation and release.

        Raises
        ------
        ProtocolError
            The peer does not speak DICOM, or announces more than `limit` bytes.
        """
        if self._left:  # values that nobody took, of the P-DATA-TF before
            self._torn, rest = True, bytearray(self._left)
            self._fill(memoryview(rest), 0)
            self._torn, self._left = False, 0
        self._need(6)
        kind = self._buffer[self._start]
        length = int.from_bytes(self._view[self._start + 2 : self._start + 6], "big")
        if not 1 <= kind <= 7:
            raise self._strange(bytes(self._view[self._start : self._start + 6]))
        if length > limit:
            raise self.broken(f"a PDU of {length:,} bytes was announced, at most {limit:,} are taken")
        self._torn = True
        self._start += 6
        body = bytearray(length)
        self._fill(memoryview(body), 0)
        self._torn = False
        return kind, bytes(body)

    def arrives(self, seconds: float) -> bool:
        """Whether the beginning of a PDU is here, or comes within so many seconds."""
        kept = self.deadline
        self.deadline = kept.grace(seconds)
        try:
            self._need(6)
        except DimseTimeout:
            return False
        finally:
            self.deadline = kept
        return True

    def fragment(self) -> Fragment:
        """Header of the next PDV; `take` or `take_into` is to follow, nothing of its bytes was read for certain yet.

        Raises
        ------
        ProtocolError, ConnectionLost, AssociationAborted, DimseTimeout
        ReleaseRequested, Released
            Those PDUs came instead.
        """
        if self._left:
            if self._stop - self._start < 6 or self._torn:
                self._need(6)
            length, context_id, control = _PDV.unpack_from(self._buffer, self._start)
            self._start += 6
            self._left -= 6
        else:
            if self._stop - self._start < 12 or self._torn:
                self._need(6)
                if self._buffer[self._start] != PduType.P_DATA_TF:
                    self._no_data()
                self._check_length(int.from_bytes(self._view[self._start + 2 : self._start + 6], "big"))
                self._need(12)
            kind, announced, length, context_id, control = _HEAD.unpack_from(self._buffer, self._start)
            if kind != PduType.P_DATA_TF:
                self._no_data()
            self._check_length(announced)
            self._start += 12
            self._left = announced - 6
        self._torn = True
        size = length - 2
        if size < 0 or size > self._left:
            raise self.broken(f"a PDV of {length:,} bytes does not fit the rest of its PDU")
        self._left -= size
        if 0 < self._left < 6:
            raise self.broken("the rest of a P-DATA-TF is too short for a PDV")
        return Fragment(context_id, bool(control & 1), bool(control & 2), size)

    def _check_length(self, announced: int) -> None:
        if announced > MAXIMUM_LENGTH:
            raise self.broken(
                f"a PDU of {announced:,} bytes was announced, larger than the maximum of {MAXIMUM_LENGTH:,} "
                "that we gave"
            )
        if announced < 6:
            raise self.broken(f"a P-DATA-TF of {announced} bytes holds no value")

    def take(self, fragment: Fragment) -> bytes:
        """The bytes of the fragment whose header was read last."""
        start = self._start
        end = start + fragment.length
        if end <= self._stop:  # small ones lie in the buffer already
            data = bytes(self._view[start:end])
            self._start = end
            self._taken(fragment)
            return data
        memory = bytearray(fragment.length)
        self.take_into(fragment, memoryview(memory))
        return bytes(memory)

    def take_into(self, fragment: Fragment, target: memoryview) -> None:
        """Read the bytes of the fragment whose header was read last into memory of its length."""
        # The next header is read with this body only where one is due; else the read would wait for it.
        follows = 12 if not self._left and not fragment.last and not fragment.command else 0
        self._fill(target, follows)
        self._taken(fragment)

    def _taken(self, fragment: Fragment) -> None:
        self._torn = False
        if fragment.length and not fragment.command:
            self.deadline.progressed()

    def _no_data(self) -> None:
        """Raise what a PDU other than P-DATA-TF means in the middle of an operation."""
        head = bytes(self._view[self._start : self._start + 6])
        if head[0] in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ):
            raise self.broken(f"PDU {PduType(head[0]).name} came in the middle of an association")
        kind, body = self.read_pdu(limit=64)
        if kind == PduType.RELEASE_RQ:
            raise ReleaseRequested
        if kind == PduType.RELEASE_RP:
            raise Released
        raise self.aborted(body)

    def aborted(self, body: bytes) -> AssociationAborted:
        """The error of an A-ABORT with that body."""
        source, reason = (body[2], body[3]) if len(body) >= 4 else (0, 0)
        who = {0: "by its service user", 2: "by its service provider"}.get(source, f"source {source}")
        return AssociationAborted(
            f"the peer aborted the association ({who}, reason {reason})",
            source=source,
            reason=reason,
            advice="Its log says why; try again, or ask the PACS administrator.",
            **self._context(),
        )

    def last_word(self, lost: ConnectionLost) -> DicomlabError:
        """The error of an A-ABORT that came before the connection broke while we sent; else `lost`."""
        kept, self.deadline = self.deadline, Deadline(0.2, 0.2)
        try:
            kind, body = self.read_pdu(64)
        except (DicomlabError, Cancelled):
            return lost
        finally:
            self.deadline = kept
        return self.aborted(body) if kind == PduType.ABORT else lost

    # -- words of failure ------------------------------------------------------------------------------------

    def broken(self, what: str) -> ProtocolError:
        return ProtocolError(what, advice="The peer breaks the protocol; report it to its vendor.", **self._context())

    def _strange(self, head: bytes) -> DicomlabError:
        if head[:1] in (b"\x15", b"\x16") and head[1:2] == b"\x03":  # a TLS record: alert or handshake
            return TLSVerificationError(EXPECTED.words, advice=EXPECTED.advice, **self._context())
        if head[:1].isalpha() or head[:1] in b"<{":
            return self.broken(f"not a DICOM peer: it answered {head!r}")
        return self.broken(f"a PDU of unknown type 0x{head[0]:02X} came")
