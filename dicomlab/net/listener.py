"""The temporary Storage SCP of a C-MOVE to ourselves; it is there only while a retrieval needs it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from time import monotonic, sleep
from types import TracebackType

from ..errors import DicomlabError, InvalidRequest
from . import negotiation
from .association import DATA_LIMIT, Association
from .contexts import IMPLICIT, STORABLE, storage_classes
from .deadline import Cancelled, Deadline
from .dimse import CommandField
from .node import Node
from .pdu import RELEASE_RP, PduType, Released, ReleaseRequested, Wire, abort_pdu
from .receiver import Receiver
from .verification import VERIFICATION

HALF_OPEN = 5.0  # seconds for a connection to send its A-ASSOCIATE-RQ
CONNECTIONS = 64  # at once; more are closed as they come


class Listener:
    """Accepts the archive's C-STOREs while its ``with`` block runs.

    Binds to the local address of the route to the peer, admits the peer's AE title and address alone, and hands every
    data set to the receiver. One thread for each accepted association.

    Raises
    ------
    InvalidRequest
        The port is in use or may not be bound.
    """

    def __init__(self, node: Node, receiver: Receiver, deadline: Deadline) -> None:
        self._node, self._receiver, self._deadline = node, receiver, deadline
        self._addresses = _addresses(node.host)
        self._stop = threading.Event()
        self._wires: set[Wire] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self.rejected: list[str] = []  # who was turned away and why
        self.troubles: list[str] = []  # associations that ended badly, in words
        self.busy = 0  # associations that stand now
        host = node.listen_host or local_address(node)
        check_route(node, host)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, node.listen))
            self._socket.listen(128)
        except OSError as error:
            self._socket.close()
            raise InvalidRequest(
                f"the port {node.listen} of {host} cannot be used for receiving ({error.strerror})",
                peer=node.identity,
                phase="C-MOVE",
                advice="Another program, perhaps another notebook, holds it. Stop that, or choose another port with "
                "connect(..., listen=port) and tell the PACS administrator.",
            ) from error
        self.address = self._socket.getsockname()[:2]

    def __enter__(self) -> Listener:
        self._socket.settimeout(0.25)
        self._acceptor = threading.Thread(target=self._accept, name="dicomlab listener", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, end what still comes and free the port; may be called twice."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._socket.close()
        with self._lock:
            wires, threads = list(self._wires), list(self._threads)
        for wire in wires:
            wire.deadline.cancel()
            wire.shutdown()
        for thread in (*threads, self._acceptor):
            thread.join(2.0)

    def settle(self, seconds: float, done: threading.Event) -> None:
        """Wait for late instances: until `done`, or until nothing came for `seconds` (R5.12)."""
        last, end = -1, monotonic() + seconds
        while not done.is_set() and monotonic() < end:
            count = len(self._receiver.kept) + len(self._receiver.refused)
            if count != last:
                last, end = count, monotonic() + seconds
            if self._deadline.stopped:
                raise Cancelled
            done.wait(0.05)

    # -- threads ---------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, address = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._stop.is_set():
                    return
                sleep(0.05)
                continue
            with self._lock:
                crowded = len(self._threads) >= CONNECTIONS
            if address[0] not in self._addresses or crowded:
                why = "too many connections" if crowded else "not the address of the archive"
                self.rejected.append(f"{address[0]}: {why}")
                connection.close()
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="dicomlab store", daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        wire = Wire(connection, self._node.identity)
        wire.deadline = Deadline(HALF_OPEN, HALF_OPEN)
        with self._lock:
            self._wires.add(wire)
        try:
            association = self._admit(wire)
            if association is not None:
                with self._lock:
                    self.busy += 1
                try:
                    self._store(association)
                finally:
                    with self._lock:
                        self.busy -= 1
        except ReleaseRequested:
            with contextlib.suppress(DicomlabError, Cancelled):
                wire.send(RELEASE_RP)
        except (Cancelled, Released):
            pass
        except DicomlabError as error:
            self.troubles.append(str(error))
        except Exception as error:  # kept for the caller: an exception in a thread is seen by nobody
            self.troubles.append(f"{type(error).__name__}: {error}")
        finally:
            wire.close()
            with self._lock:
                self._wires.discard(wire)
                self._threads.discard(threading.current_thread())

    def _admit(self, wire: Wire) -> Association | None:
        kind, body = wire.read_pdu()
        if kind != PduType.ASSOCIATE_RQ:
            wire.send(abort_pdu(2, 2))
            return None
        try:
            asked = negotiation.requested(body)
        except ValueError as error:
            wire.send(abort_pdu(2, 6))
            self.rejected.append(str(error))
            return None
        titles = {self._node.ae_title, *self._node.quirks.stores_from}
        reason = 3 if asked.calling not in titles else 7 if asked.called != self._node.move_ae else 0
        if reason:
            wire.send(negotiation.reject_pdu(1, 1, reason))
            wrong = f"calling AE title {asked.calling!r}" if reason == 3 else f"called AE title {asked.called!r}"
            self.rejected.append(f"{wrong} was not expected")
            return None
        wanted = frozenset((*storage_classes(), VERIFICATION))
        answer, accepted = negotiation.acceptance(asked, wanted, STORABLE)
        wire.send(answer)
        wire.deadline = Deadline(self._node.timeouts.progress)
        wire.phase = "C-STORE"
        return Association(wire, self._node, accepted, wire.deadline)

    def _store(self, association: Association) -> None:
        while True:
            message = association.read(DATA_LIMIT)
            if message.command.command_field == CommandField.C_STORE_RQ:
                _, syntax = association.accepted.contexts.get(message.context_id, ("", IMPLICIT))
                status = self._receiver.receive(syntax, message)
                self._deadline.progressed()
            elif message.command.command_field == CommandField.C_ECHO_RQ:
                status = 0x0000
            elif message.command.command_field == CommandField.C_CANCEL_RQ:
                continue
            else:
                status = 0x0211  # Unrecognized Operation, PS3.7 C.4.1
            association.answer(message, status)


def local_address(node: Node) -> str:
    """The address of this machine on the route to the peer; no packet is sent."""
    for family, _, _, _, address in _resolve(node.host, node.port):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    raise InvalidRequest(f"no route leads to {node.host!r}", advice="Check the network, VPN and host name.")


def check_route(node: Node, host: str) -> None:
    """Refuse a loopback address for a peer that is elsewhere: it could never reach us."""
    with contextlib.suppress(ValueError):
        loopback = ipaddress.ip_address(host).is_loopback
        if loopback and not any(ipaddress.ip_address(item).is_loopback for item in _addresses(node.host)):
            raise InvalidRequest(
                f"listen_host={host!r} cannot be reached from {node.host}",
                peer=node.identity,
                advice="Leave listen_host out: the address of the route to the peer is used then.",
            )


def _addresses(host: str) -> frozenset[str]:
    return frozenset(str(item[4][0]) for item in _resolve(host, 0))


def _resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]
    except OSError as error:
        raise InvalidRequest(f"the host name {host!r} is not known", advice="Check its spelling.") from error
