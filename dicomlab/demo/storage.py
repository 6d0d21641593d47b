"""C-STORE (PS3.4 annex B): what is received joins the holdings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom.dimse_primitives import C_STORE

from . import wire
from .holdings import of_bytes

if TYPE_CHECKING:
    from .request import Call


def serve(call: Call) -> None:
    """Keep the instance and answer with the status of the manners, or say why not."""
    message, status = call.message, call.server.manners.store_status
    try:
        instance = of_bytes(message.DataSet.getvalue() if message.DataSet else b"", call.transfer_syntax)
    except Exception:  # whatever a data set may hold, PS3.4 B.2.3: cannot understand
        status = 0xC000
    else:
        if instance.sop_class != message.AffectedSOPClassUID or instance.uid != message.AffectedSOPInstanceUID:
            status = 0xA900  # data set does not match SOP class
        elif instance.uid in call.server.holdings and call.server.holdings[instance.uid].data != instance.data:
            status = 0x0111 if call.server.refuse_other_content else status
        if status == 0x0000 or status >> 12 == 0xB:
            call.server.keep(instance)
    response = C_STORE()
    response.MessageIDBeingRespondedTo = message.MessageID
    response.AffectedSOPClassUID = message.AffectedSOPClassUID
    response.AffectedSOPInstanceUID = message.AffectedSOPInstanceUID
    response.Status = status
    wire.send(call.assoc, response, call.context_id)
