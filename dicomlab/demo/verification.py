"""C-ECHO (PS3.4 annex A)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom.dimse_primitives import C_ECHO

from . import wire

if TYPE_CHECKING:
    from .request import Call


def serve(call: Call) -> None:
    """Answer 0x0000."""
    response = C_ECHO()
    response.MessageIDBeingRespondedTo = call.message.MessageID
    response.AffectedSOPClassUID = call.message.AffectedSOPClassUID
    response.Status = 0x0000
    wire.send(call.assoc, response, call.context_id)
