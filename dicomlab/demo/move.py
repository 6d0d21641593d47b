"""C-MOVE (PS3.4 C.4.2)."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from pynetdicom.ae import ApplicationEntity as AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_MOVE
from pynetdicom.presentation import build_context
from pynetdicom.transport import AssociationSocket

from . import wire
from .find import Refused
from .get import Counts, chosen, refuse, respond, run, store
from .holdings import Instance
from .manners import EXPLICIT, IMPLICIT
from .negotiation import closes, settle

if TYPE_CHECKING:
    from .request import Call


class Requestor(AE):
    """Knows its sockets: pynetdicom leaves one that never connected open."""

    sockets: tuple[socket.socket | None, ...] = ()

    def _create_socket(self, *args: Any) -> AssociationSocket:
        made = super()._create_socket(*args)
        closes(made)
        self.sockets += (made.socket,)
        return made

    def close(self) -> None:
        """Close what was opened."""
        for each in self.sockets:
            if each is not None:
                each.close()


def serve(call: Call) -> None:
    """Send what is asked for to the destination, on an association of its own."""
    server = call.server
    try:
        instances = chosen(call)
        if not instances:
            respond(call, C_MOVE, server.manners.no_match, Counts(0))
            return
        address = server.destinations.get(call.destination)
        if address is None:
            why = f"move destination {call.destination} unknown"
            raise Refused(server.manners.unknown_destination, why)
    except Refused as refused:
        refuse(call, C_MOVE, refused)
        return
    association = associate(call, address, instances)
    if association is None:
        status, counts = server.manners.dead_destination, Counts(0)
        if status == 0xA702:
            counts = Counts(0, failed=len(instances), failures=[each.uid for each in instances])
        respond(call, C_MOVE, status, counts, f"no association with {call.destination}")
        return
    originator = (call.calling, call.message.MessageID) if server.manners.originator else None

    def send(instance: Instance, number: int) -> int | None:
        if not association.is_established:
            return None
        try:
            return store(association, instance, number, originator)
        except wire.Gone:
            return None

    try:
        run(call, instances, send, C_MOVE)
    finally:
        association._reactor_checkpoint.set()
        if association.is_established:
            association.release()


def associate(call: Call, address: tuple[str, int], instances: list[Instance]) -> Association | None:
    """An association with the destination for what these instances need; None if it is refused.

    Where the destination takes none of their classes it has ended already, and each C-STORE fails.
    """
    pairs = {(each.sop_class, each.transfer_syntax): None for each in instances}
    both = (EXPLICIT, IMPLICIT)
    plain = {(name, syntax): None for name, held in pairs if held in both for syntax in both}
    contexts = [build_context(name, syntax) for name, syntax in {**pairs, **plain}][:128]
    requestor = Requestor(call.server.ae_title)
    requestor.connection_timeout = 5
    tls = call.server.tls_out
    association = requestor.associate(
        address[0],
        int(address[1]),
        contexts=contexts,
        ae_title=call.destination,
        max_pdu=1 << 17,
        tls_args=None if tls is None else (tls, address[0]),
    )
    held = association.dul.socket
    if not association.is_established:
        requestor.close()
        return association if association.rejected_contexts else None
    if held is not None and held.socket is not None:
        settle(held)
    association._reactor_checkpoint.clear()  # its reactor would take our responses
    while not association._is_paused:
        time.sleep(0.0001)
    return association
