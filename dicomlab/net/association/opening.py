"""TCP and A-ASSOCIATE, up to an association that stands; every failure becomes an error in words (PS3.8 7.1)."""

from __future__ import annotations

import contextlib
import socket
import ssl

from ...errors import (
    AssociationRejected,
    AssociationTimeout,
    ConnectError,
    ConnectionLost,
    DicomlabError,
    NoAcceptedContext,
    ProtocolError,
    TLSVerificationError,
)
from . import negotiation
from .deadline import Cancelled, Deadline
from .hooks import AssociationEvent
from .negotiated import Negotiated
from .negotiation import Accepted, Proposal
from .node import Node
from .pdu import PduType, Wire, abort_pdu
from .reaching import reached
from .sealed import Sealed, expects_tls
from .tlsreasons import EXPECTED

BACK_OFF = (0.3, 0.6, 1.2)  # seconds before each new try after a transient rejection

#: What a failure to connect means and what to do about it; the first that fits.
_FAILURES: tuple[tuple[type[Exception], type[ConnectError], str, str], ...] = (
    (
        TimeoutError,
        AssociationTimeout,
        "nothing answered at {host}:{port} within {patience:.3g} s",
        "Check host and port; a firewall may drop the packets, or the name server be silent.",
    ),
    (
        socket.gaierror,
        ConnectError,
        "the host name {host!r} is not known ({why})",
        "Check its spelling, or give the IP address.",
    ),
    (
        ConnectionRefusedError,
        ConnectError,
        "nothing listens at {host}:{port} (connection refused)",
        "Check the port, and that the archive is running.",
    ),
    (
        OSError,
        ConnectError,
        "{host}:{port} cannot be reached ({why})",
        "Check the network, VPN and host name.",
    ),
)


def opened(node: Node, proposal: Proposal, deadline: Deadline) -> tuple[Wire, Negotiated]:
    """A connection on which that was proposed, and what the peer accepted of it: perhaps no context at all.

    A transient rejection is tried again, with back-off (R1.20).

    Raises
    ------
    ConnectError, AssociationRejected, ProtocolError
    """
    if deadline.stopped:
        raise Cancelled
    patience = Deadline(node.timeouts.association, node.timeouts.association)
    if deadline.hooks is not None:
        event = AssociationEvent(node, deadline, proposal)
        deadline.hooks.run(event, "association requested")
        proposal = event.proposal or proposal
    for pause in (*BACK_OFF, None):
        try:
            wire, facts = _attempt(node, proposal, deadline)
        except AssociationRejected as error:
            if error.result != 2 or pause is None or patience.remaining < pause:
                raise
        else:
            deadline.negotiated = facts
            return wire, facts
        if deadline.wait(pause):
            raise Cancelled
    raise AssertionError("unreachable")


def _attempt(node: Node, proposal: Proposal, deadline: Deadline) -> tuple[Wire, Negotiated]:
    try:
        return _negotiated(node, proposal, deadline)
    except DicomlabError as error:
        if deadline.hooks is not None:
            rejected = isinstance(error, AssociationRejected)
            event = AssociationEvent(node, deadline, proposal, error=error)
            deadline.hooks.run(event, "association rejected" if rejected else "association failed")
        raise


def _negotiated(node: Node, proposal: Proposal, deadline: Deadline) -> tuple[Wire, Negotiated]:
    context = None if node.tls is None else node.tls.client()  # what is wrong there is said before anything is sent
    user = None if node.user is None else _Unseen(node.user.item(tls=context is not None))
    try:
        return _agreed(node, proposal, deadline, context, user)
    finally:
        if user is not None:  # who looks into the variables of a traceback finds nothing
            user.item = b""


def _agreed(
    node: Node, proposal: Proposal, deadline: Deadline, context: ssl.SSLContext | None, user: _Unseen | None
) -> tuple[Wire, Negotiated]:
    sock = _connected(node, deadline)
    patience = deadline.grace(node.timeouts.association)  # within the total, and with one abort flag
    sealed = wire = None
    try:
        if context is not None:
            sealed = _sealed(sock, context, node, patience)
            if deadline.hooks is not None:
                deadline.hooks.run(AssociationEvent(node, deadline, proposal, tls=sealed.link), "TLS ready")
        wire = Wire(sealed or sock, node.identity)
        wire.deadline = patience
        _ask(wire, node, proposal, user)
        accepted = _answer(wire, node, proposal, deadline)
        if node.user is not None and node.user.confirm and accepted.user_response is None:
            raise ProtocolError(
                f"the peer did not confirm the {node.user.words}",
                peer=node.identity,
                phase="association",
                elapsed=deadline.elapsed,
                advice="It may not know user identities: connect without confirm=True if it need not.",
            )
    except BaseException as error:
        if wire is not None and isinstance(error, ProtocolError):
            with contextlib.suppress(DicomlabError, Cancelled):
                wire.send(abort_pdu(2))
        (sealed or sock).close()
        if isinstance(error, ConnectionLost) and sealed is None and expects_tls(node.host, node.port, 1.0):
            raise TLSVerificationError(
                EXPECTED.words,
                peer=node.identity,
                phase="association",
                elapsed=deadline.elapsed,
                advice=EXPECTED.advice,
            ) from error
        raise
    deadline.progressed()
    link = None if sealed is None else sealed.link
    return wire, Negotiated(node.identity, node.calling, node.ae_title, proposal, accepted, link)


class _Unseen:
    """An encoded user identity that no traceback with local variables shows."""

    def __init__(self, item: bytes) -> None:
        self.item = item

    def __repr__(self) -> str:
        return "***"


def _ask(wire: Wire, node: Node, proposal: Proposal, user: _Unseen | None) -> None:
    """Send the A-ASSOCIATE-RQ; frames that hold its bytes are in no traceback, for a passcode may be among them."""
    asked = (node.calling, node.ae_title, proposal.contexts, proposal.scp_roles, proposal.extended)
    try:
        wire.send(negotiation.request(*asked, None if user is None else user.item))
    except BaseException as error:
        for one in (error, error.__cause__):
            if user is not None and one is not None:
                one.__traceback__ = None
        raise


def _sealed(sock: socket.socket, context: ssl.SSLContext, node: Node, patience: Deadline) -> Sealed:
    """TLS on that connection, within the association deadline."""
    assert node.tls is not None
    sealed = Sealed(sock, context, server_name=node.tls.server_name or node.host)

    def late(_: str) -> DicomlabError:
        return AssociationTimeout(
            f"the TLS handshake was not answered within {patience.elapsed:.2g} s",
            peer=node.identity,
            phase="TLS",
            elapsed=patience.elapsed,
            advice="It may speak no TLS at this port: ask the PACS administrator for its TLS port.",
        )

    try:
        sealed.shake_hands(lambda: patience.check(late))
    except OSError as error:
        words, advice = sealed.explained(error)
        raise TLSVerificationError(
            words, peer=node.identity, phase="TLS", elapsed=patience.elapsed, advice=advice
        ) from None
    return sealed


def _answer(wire: Wire, node: Node, proposal: Proposal, deadline: Deadline) -> Accepted:
    kind, body = wire.read_pdu()
    if kind == PduType.ASSOCIATE_RJ:
        words, advice, result, source, reason = negotiation.rejection(body, node.calling, node.ae_title)
        raise AssociationRejected(
            words,
            result=result,
            source=source,
            diagnostic=reason,
            peer=node.identity,
            phase="association",
            elapsed=deadline.elapsed,
            advice=advice,
        )
    if kind == PduType.ABORT:
        raise wire.aborted(body)
    if kind != PduType.ASSOCIATE_AC:
        raise wire.broken(f"a PDU of type {kind} answered the association request")
    try:
        return negotiation.accepted(body, proposal.contexts, proposal.extended)
    except ValueError as error:
        raise wire.broken(str(error)) from error


def _connected(node: Node, deadline: Deadline) -> socket.socket:
    """A TCP connection within the connect deadline; the reason of a failure comes from the socket."""
    seconds = max(0.1, min(node.timeouts.connect, deadline.remaining))
    try:
        return reached(node.host, node.port, deadline.grace(seconds))
    except OSError as error:
        kind, words, advice = next(row[1:] for row in _FAILURES if isinstance(error, row[0]))
        why = getattr(error, "strerror", None) or error
        raise kind(
            words.format(host=node.host, port=node.port, why=why, patience=seconds),
            peer=node.identity,
            phase="connection",
            elapsed=deadline.elapsed,
            advice=advice,
        ) from error


def refused(node: Node, abstract_syntax: str, result: int | None, deadline: Deadline) -> NoAcceptedContext:
    """The error of a service that the peer does not give."""
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    words = negotiation.RESULTS.get(result, f"result {result}") if result is not None else "it was not answered"
    return NoAcceptedContext(
        f"{UID(abstract_syntax, IGNORE).name} ({abstract_syntax}) was not accepted: {words}",
        abstract_syntax=abstract_syntax,
        result=result,
        peer=node.identity,
        phase="association",
        elapsed=deadline.elapsed,
        advice="This service is not supported by this peer, or not allowed for your AE title.",
    )
