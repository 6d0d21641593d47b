"""Verification, C-ECHO (PS3.4 annex A)."""

from __future__ import annotations

from time import perf_counter

from ...datasets.uids import EXPLICIT, IMPLICIT
from ...errors import StatusError
from ...status import Category
from .association import associate
from .contexts import Context
from .deadline import Deadline
from .dimse import CommandField
from .node import Node

VERIFICATION = "1.2.840.10008.1.1"


def echo(node: Node, deadline: Deadline) -> float:
    """Send a C-ECHO; gives the round-trip time in seconds, of request and response alone.

    Raises
    ------
    StatusError
        The answer was not 0x0000.
    """
    context = Context(VERIFICATION, (IMPLICIT, EXPLICIT))
    with associate(node, [context], deadline, phase="C-ECHO") as association:
        began = perf_counter()
        message_id = association.send(CommandField.C_ECHO_RQ, VERIFICATION)
        for message in association.responses(message_id, CommandField.C_ECHO_RQ, "C-ECHO"):
            status = message.command.status("C-ECHO")
        seconds = perf_counter() - began
    assert status is not None
    if status.category is not Category.SUCCESS:
        raise StatusError(
            f"the answer was {status}",
            peer=node.identity,
            phase="C-ECHO",
            elapsed=deadline.elapsed,
            status=status,
            advice="The archive's log says why.",
        )
    return seconds
