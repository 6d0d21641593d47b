"""TCP and A-ASSOCIATE, up to an association that stands; every failure becomes an error in words (PS3.8 7.1)."""

from __future__ import annotations

import contextlib
import socket

from ..errors import (
    AssociationRejected,
    AssociationTimeout,
    ConnectError,
    DicomlabError,
    NoAcceptedContext,
    ProtocolError,
)
from . import negotiation
from .deadline import Cancelled, Deadline
from .hooks import AssociationEvent
from .negotiated import Negotiated
from .negotiation import Accepted, Proposal
from .node import Node
from .pdu import PduType, Wire, abort_pdu

BACK_OFF = (0.3, 0.6, 1.2)  # seconds before each new try after a transient rejection

#: What a failure to connect means and what to do about it; the first that fits.
_FAILURES: tuple[tuple[type[Exception], type[ConnectError], str, str], ...] = (
    (
        TimeoutError,
        AssociationTimeout,
        "nothing answered at {host}:{port} within {patience:g} s",
        "Check host and port; a firewall may drop the packets.",
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
        UnicodeError,  # of the codec idna: an empty or endless label
        ConnectError,
        "{host!r} is no host name",
        "Check its spelling, or give the IP address.",
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
    patience = Deadline(node.timeouts.association, node.timeouts.association)
    if deadline.hooks is not None:
        event = AssociationEvent(node, deadline, proposal)
        deadline.hooks.run(event, "association requested")
        proposal = event.proposal or proposal
    for pause in (*BACK_OFF, None):
        try:
            wire, accepted = _attempt(node, proposal, deadline)
        except AssociationRejected as error:
            if error.result != 2 or pause is None or patience.remaining < pause:
                raise
        else:
            facts = Negotiated(node.identity, node.calling, node.ae_title, proposal, accepted)
            deadline.negotiated = facts
            return wire, facts
        if deadline.wait(pause):
            raise Cancelled
    raise AssertionError("unreachable")


def _attempt(node: Node, proposal: Proposal, deadline: Deadline) -> tuple[Wire, Accepted]:
    try:
        return _negotiated(node, proposal, deadline)
    except DicomlabError as error:
        if deadline.hooks is not None:
            rejected = isinstance(error, AssociationRejected)
            event = AssociationEvent(node, deadline, proposal, error=error)
            deadline.hooks.run(event, "association rejected" if rejected else "association failed")
        raise


def _negotiated(node: Node, proposal: Proposal, deadline: Deadline) -> tuple[Wire, Accepted]:
    wire = Wire(_connected(node, deadline), node.identity)
    wire.deadline = deadline.grace(node.timeouts.association)  # within the total, and with one abort flag
    try:
        wire.send(
            negotiation.request(node.calling, node.ae_title, proposal.contexts, proposal.scp_roles, proposal.extended)
        )
        accepted = _answer(wire, node, proposal, deadline)
    except BaseException as error:
        if isinstance(error, ProtocolError):
            with contextlib.suppress(DicomlabError, Cancelled):
                wire.send(abort_pdu(2))
        wire.close()
        raise
    deadline.progressed()
    return wire, accepted


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
    patience = max(0.1, min(node.timeouts.connect, deadline.remaining))
    try:
        return socket.create_connection((node.host, node.port), patience)
    except (OSError, UnicodeError) as error:
        kind, words, advice = next(row[1:] for row in _FAILURES if isinstance(error, row[0]))
        why = getattr(error, "strerror", None) or error
        raise kind(
            words.format(host=node.host, port=node.port, why=why, patience=patience),
            peer=node.identity,
            phase="connection",
            elapsed=deadline.elapsed,
            advice=advice,
        ) from error


def refused(node: Node, abstract_syntax: str, result: int | None, deadline: Deadline) -> NoAcceptedContext:
    """The error of a service that the peer does not give."""
    from pydicom.uid import UID

    words = negotiation.RESULTS.get(result, f"result {result}") if result is not None else "it was not answered"
    return NoAcceptedContext(
        f"{UID(abstract_syntax).name} ({abstract_syntax}) was not accepted: {words}",
        abstract_syntax=abstract_syntax,
        result=result,
        peer=node.identity,
        phase="association",
        elapsed=deadline.elapsed,
        advice="This service is not supported by this peer, or not allowed for your AE title.",
    )
