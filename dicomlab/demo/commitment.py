"""Storage commitment (PS3.4 annex J): what is kept is said later, on the same association or on one of our own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import build_role
from pynetdicom.presentation import build_context

from .answering import report, respond
from .manners import EXPLICIT, IMPLICIT
from .move import Requestor
from .negotiation import COMMITMENT

if TYPE_CHECKING:
    from .request import Call
    from .server import DemoServer

WELL_KNOWN = "1.2.840.10008.1.20.1.1"
NO_SUCH_ACTION, INVALID_ARGUMENT, NO_SUCH_OBJECT = 0x0123, 0x0115, 0x0112


def serve(call: Call) -> None:
    """Take the request, and answer it as the manners say."""
    message, manners, asked = call.message, call.server.manners, call.identifier
    status = manners.commitment_status
    if message.RequestedSOPClassUID != COMMITMENT or message.ActionTypeID != 1:
        status = NO_SUCH_ACTION
    elif asked is None or "TransactionUID" not in asked or not asked.get("ReferencedSOPSequence"):
        status = INVALID_ARGUMENT
    respond(call, status)
    if status or asked is None or manners.commitment == "never":
        return
    event = answer(call.server, asked)
    for _ in range(manners.commitment_events):
        if manners.commitment == "same":
            time.sleep(manners.commitment_delay)
            report(call, COMMITMENT, WELL_KNOWN, _kind(event), event)
        else:
            address = call.server.destinations.get(call.calling)
            thread = threading.Thread(
                target=_on_a_new, args=(call.server, call.calling, address, event), name="demo commitment", daemon=True
            )
            thread.start()


def answer(server: DemoServer, asked: Dataset) -> Dataset:
    """The Event Information: what is here is committed, the rest has failed."""
    manners = server.manners
    event = Dataset()
    event.TransactionUID = manners.commitment_uid or asked.TransactionUID
    event.RetrieveAETitle = server.ae_title
    kept: list[Dataset] = []
    failed: list[Dataset] = []
    for one in asked.ReferencedSOPSequence:
        uid = one.ReferencedSOPInstanceUID
        reason = manners.commitment_reasons.get(uid, 0 if uid in server.holdings else NO_SUCH_OBJECT)
        if uid in manners.commitment_silent:
            continue
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.ReferencedSOPClassUID, uid
        if reason:
            item.FailureReason = reason
        (failed if reason else kept).append(item)
    if kept:
        event.ReferencedSOPSequence = kept
    if failed:
        event.FailedSOPSequence = failed
    return event


def _kind(event: Dataset) -> int:
    return 2 if "FailedSOPSequence" in event else 1


def _on_a_new(server: DemoServer, title: str, address: tuple[str, int] | None, event: Dataset) -> None:
    """Tell it on an association of our own; again, for half a minute, while nobody answers there."""
    time.sleep(server.manners.commitment_delay)
    until = time.monotonic() + 30
    while address is not None and server.running and not _told(server, title, address, event):
        if time.monotonic() > until:
            return
        time.sleep(0.5)


def _told(server: DemoServer, title: str, address: tuple[str, int], event: Dataset) -> bool:
    requestor = Requestor(server.ae_title)
    requestor.connection_timeout = requestor.acse_timeout = requestor.dimse_timeout = 5
    tls = server.tls_out
    try:
        association = requestor.associate(
            address[0],
            int(address[1]),
            contexts=[build_context(COMMITMENT, [EXPLICIT, IMPLICIT])],
            ae_title=title,
            ext_neg=[build_role(COMMITMENT, scp_role=True)],
            tls_args=None if tls is None else (tls, address[0]),
        )
        if not association.is_established:
            return False
        status, _ = association.send_n_event_report(event, _kind(event), COMMITMENT, WELL_KNOWN)
        answered = bool(status and "Status" in status)
        server.events.append(int(status.Status) if answered else None)
        association.release()
        association.join(5)
        return answered
    finally:
        requestor.close()
