"""The temporary Storage SCP of a C-MOVE to ourselves; it is there only while a retrieval needs it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from time import monotonic
from types import TracebackType
from typing import Protocol

from ...datasets.uids import IMPLICIT
from ...errors import AssociationTimeout, DicomlabError, InvalidRequest
from ..association import negotiation
from ..association.association import Association
from ..association.contexts import preferred, storage_classes
from ..association.deadline import Cancelled, Deadline
from ..association.dimse import CommandField
from ..association.incoming import Message, Sinks
from ..association.node import Node
from ..association.pdu import RELEASE_RP, PduType, Released, ReleaseRequested, Wire, abort_pdu
from ..association.reaching import Found, resolve
from ..association.sealed import Sealed
from ..association.tls import warn_of_plain
from ..association.verification import VERIFICATION
from .doorway import Doorway, remedy
from .receiver import Receiver

REMEMBERED = 1_000  # of those who were turned away, and of associations that ended badly
CONNECTIONS = 64  # associations at once; more are rejected as "local limit exceeded"


class _Moving(Deadline):
    """The deadline of an inbound association: bytes that move there are progress of the whole call (R1.5)."""

    def __init__(self, call: Deadline) -> None:
        super().__init__(call.progress)
        self._call, self.hooks = call, call.hooks

    def progressed(self) -> None:
        super().progressed()
        self._call.progressed()


class Inbound(Protocol):
    """What a listener is there for."""

    @property
    def phase(self) -> str:
        """For messages."""

    @property
    def classes(self) -> frozenset[str]:
        """SOP classes of it."""

    @property
    def sink(self) -> Sinks | None:
        """Where the data sets of C-STORE requests go."""

    def serve(self, association: Association, message: Message) -> int | None:
        """Deal with a request; the status to answer with, None where it is none of its own."""


class Storage:
    """What a C-MOVE to ourselves needs: C-STORE into a receiver."""

    phase = "C-STORE"

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.sink: Sinks | None = receiver.sink

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(storage_classes())

    def serve(self, association: Association, message: Message) -> int | None:
        if message.command.command_field != CommandField.C_STORE_RQ:
            return None
        _, syntax = association.accepted.contexts.get(message.context_id, ("", IMPLICIT))
        status = self._receiver.receive(syntax, message)
        association.deadline.progressed()  # what the disk took is no silence of the archive's
        return status


class Listener:
    """Accepts the archive's requests of one service while its ``with`` block runs.

    Binds to the local address of the route to the peer, admits the peer's AE title and address alone, and hands every
    request to the service. One thread for each association, one for all connections that ask for none.

    Raises
    ------
    InvalidRequest
        The port is in use or may not be bound.
    """

    def __init__(self, node: Node, service: Inbound, deadline: Deadline) -> None:
        self._node, self._service, self._deadline = node, service, deadline
        found = _resolve(node, deadline)
        self._addresses = frozenset(str(item[4][0]) for item in found)
        self._stopped = False
        self._serving: dict[threading.Thread, Wire] = {}
        self._lock = threading.Lock()
        self.rejected: list[str] = []  # who was turned away and why
        self.troubles: list[str] = []  # associations that ended badly, in words
        self.busy = 0  # associations that stand now
        host = node.listen_host or local_address(node, found)
        check_route(node, host, self._addresses)
        tls = node.inbound_tls
        if tls is None and node.tls is not None:
            warn_of_plain(node.identity)
        context, whom = (None, "") if tls is None else (tls.server(), tls.server_name if tls.ask_certificate else "")
        try:
            self._door = Doorway(host, node.listen, self._admits, self._came, context, self._no_tls, whom)
        except OSError as error:
            raise InvalidRequest(
                f"the port {node.listen} of {host} cannot be used for receiving ({error.strerror})",
                peer=node.identity,
                phase=service.phase,
                advice=remedy(error, host, node.listen),
            ) from error
        self.address = self._door.address

    def __enter__(self) -> Listener:
        try:
            self._door.open()
            return self
        except BaseException:  # Ctrl-C while its thread was started
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, end what still comes and free the port; may be called twice."""
        try:
            self._door.close()
        finally:
            with self._lock:
                self._stopped = True
                serving = list(self._serving.items())
            for _, wire in serving:
                wire.deadline.cancel()
                wire.wake()  # it aborts
        self._join(serving, 0.6)
        for _, wire in serving:
            wire.shutdown()
        self._join(serving, 1.0)

    @staticmethod
    def _join(serving: list[tuple[threading.Thread, Wire]], seconds: float) -> None:
        end = monotonic() + seconds
        for thread, _ in serving:
            thread.join(max(0.0, end - monotonic()))

    def settle(self, seconds: float, done: threading.Event) -> None:
        """Wait for late instances: until `done`, or until nothing moved for `seconds` (R5.12)."""
        began = monotonic()
        while not done.is_set() and self._deadline.remaining > 0:
            if self._deadline.stopped:
                raise Cancelled
            if min(monotonic() - began, self._deadline.idle) >= seconds:
                return
            done.wait(0.05)

    # -- threads ---------------------------------------------------------------------------------------------------

    def _admits(self, host: str) -> bool:
        if host in self._addresses:
            return True
        self._turned_away(f"{host}: not the address of the archive")
        return False

    def _turned_away(self, why: str) -> None:
        if len(self.rejected) < REMEMBERED:  # who knocks all the time takes no memory
            self.rejected.append(why)

    def _trouble(self, what: str) -> None:
        if len(self.troubles) < REMEMBERED:
            self.troubles.append(what)

    def _no_tls(self, why: str) -> None:
        self._turned_away(f"a connection was not made safe by TLS: {why}")

    def _came(self, connection: socket.socket | Sealed, first: bytes) -> None:
        """Give a connection that has spoken a thread of its own."""
        try:
            wire = Wire(connection, self._node.identity)
        except OSError:  # it is gone already
            connection.close()
            return
        wire.deadline = _Moving(self._deadline)
        thread = threading.Thread(target=self._serve, args=(wire, first), name="dicomlab store", daemon=True)
        with self._lock:
            crowded = self._stopped or len(self._serving) >= CONNECTIONS
            if not crowded:
                try:
                    thread.start()
                    self._serving[thread] = wire
                except RuntimeError:  # the system gives no more threads; who listens goes on
                    crowded = True
        if crowded:
            with contextlib.suppress(DicomlabError, Cancelled):
                wire.send(negotiation.reject_pdu(2, 3, 2))
            wire.close()
            self._turned_away("an association beyond the limit of what we take at once")

    def _serve(self, wire: Wire, first: bytes) -> None:
        try:
            association = self._admit(wire, first)
            if association is not None:
                with self._lock:
                    self.busy += 1
                try:
                    self._requests(association)
                finally:
                    with self._lock:
                        self.busy -= 1
        except ReleaseRequested:
            with contextlib.suppress(DicomlabError, Cancelled):
                wire.send(RELEASE_RP)
        except (Cancelled, Released):
            self._abort(wire)
        except DicomlabError as error:
            self._abort(wire)
            self._trouble(str(error))
        except Exception as error:  # kept for the caller: an exception in a thread is seen by nobody
            self._abort(wire)
            self._trouble(f"{type(error).__name__}: {error}")
        finally:
            wire.close()
            with self._lock:
                self._serving.pop(threading.current_thread(), None)

    @staticmethod
    def _abort(wire: Wire) -> None:
        wire.deadline = Deadline(0.1, 0.1)
        with contextlib.suppress(DicomlabError, Cancelled):
            wire.send(abort_pdu(2))

    def _admit(self, wire: Wire, first: bytes) -> Association | None:
        body = first[6:]
        if first[0] != PduType.ASSOCIATE_RQ or len(body) != int.from_bytes(first[2:6], "big"):
            wire.send(abort_pdu(2, 2))
            sealed = first[:1] == b"\x16"  # a TLS handshake
            why = "began with TLS, which listen_tls= switches on" if sealed else "did not begin with an A-ASSOCIATE-RQ"
            self._turned_away(f"a connection that {why}")
            return None
        try:
            asked = negotiation.requested(body)
        except ValueError as error:
            wire.send(abort_pdu(2, 6))
            self._turned_away(str(error))
            return None
        titles = {self._node.ae_title, *self._node.quirks.stores_from}
        reason = 3 if asked.calling not in titles else 7 if asked.called != self._node.move_ae else 0
        if reason:
            wire.send(negotiation.reject_pdu(1, 1, reason))
            wrong = f"calling AE title {asked.calling!r}" if reason == 3 else f"called AE title {asked.called!r}"
            self._turned_away(f"{wrong} was not expected")
            wire.deadline = Deadline(1.0, 1.0)  # who asked closes the connection, PS3.8 9.2
            with contextlib.suppress(DicomlabError, Cancelled):
                wire.read_pdu()
            return None
        wanted = self._service.classes | {VERIFICATION}
        answer, accepted = negotiation.acceptance(asked, wanted, preferred(self._node.quirks.syntaxes))
        wire.send(answer)
        wire.phase = self._service.phase
        return Association(wire, self._node, accepted, wire.deadline)

    def _requests(self, association: Association) -> None:
        while True:
            message = association.read(self._service.sink)
            if message.command.command_field == CommandField.C_CANCEL_RQ:
                continue
            status = self._service.serve(association, message)
            if status is None:  # Unrecognized Operation, PS3.7 C.4.1
                status = 0x0000 if message.command.command_field == CommandField.C_ECHO_RQ else 0x0211
            association.answer(message, status)


def local_address(node: Node, found: list[Found] | None = None) -> str:
    """The address of this machine on the route to the peer; no packet is sent."""
    for family, _, _, _, address in found or _resolve(node):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    raise InvalidRequest(f"no route leads to {node.host!r}", advice="Check the network, VPN and host name.")


def check_route(node: Node, host: str, addresses: frozenset[str]) -> None:
    """Refuse a loopback address for a peer that is elsewhere: it could never reach us."""
    if _loopback(host) and not any(_loopback(item) for item in addresses):
        raise InvalidRequest(
            f"listen_host={host!r} cannot be reached from {node.host}",
            peer=node.identity,
            advice="Leave listen_host out: the address of the route to the peer is used then.",
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _resolve(node: Node, deadline: Deadline | None = None) -> list[Found]:
    seconds = node.timeouts.connect
    try:
        return resolve(node.host, node.port, Deadline(seconds) if deadline is None else deadline.grace(seconds))
    except TimeoutError as error:
        raise AssociationTimeout(
            f"the name server did not say within {seconds:.3g} s who {node.host!r} is",
            peer=node.identity,
            phase="connection",
            advice="Check the network and VPN, or give the IP address.",
        ) from error
    except OSError as error:
        raise InvalidRequest(f"the host name {node.host!r} is not known", advice="Check its spelling.") from error
