"""DIMSE-N requests (PS3.7 section 10): which service answers for a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pynetdicom.dimse_primitives import N_ACTION, N_CREATE, N_DELETE, N_GET, N_SET

from . import commitment, media, mpps, patients, printer
from .answering import respond
from .negotiation import COMMITMENT, PRINTING

if TYPE_CHECKING:
    from .request import Call

REQUESTS = {N_ACTION: "N-ACTION", N_CREATE: "N-CREATE", N_DELETE: "N-DELETE", N_GET: "N-GET", N_SET: "N-SET"}
#: Who answers for an abstract syntax: that of the context the request came on, a Meta SOP Class among them.
ROUTES: dict[str, Callable[[Call], None]] = {
    COMMITMENT: commitment.serve,
    media.MEDIA: media.serve,
    **dict.fromkeys(PRINTING.values(), printer.serve),
    mpps.MPPS: mpps.serve,
    mpps.RETRIEVE: mpps.retrieve,
    patients.UPDATER: patients.serve,
}
NO_SUCH_CLASS = 0x0118


def serve(call: Call) -> None:
    """Hand the request to the service of its context."""
    context = call.assoc._accepted_cx[call.context_id]
    route = ROUTES.get(str(context.abstract_syntax))
    if route is None:
        respond(call, NO_SUCH_CLASS)
    else:
        route(call)
