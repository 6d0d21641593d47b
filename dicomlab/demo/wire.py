"""Messages of the acceptor, written to the socket by the thread that serves the association.

pynetdicom queues each PDU for another thread; written directly, a slow requestor slows the sender down, so that
a C-CANCEL is seen in time, and an instance of many PDUs goes out in few system calls.
"""

from __future__ import annotations

import struct
import threading
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import _RQ_TO_MESSAGE, _RSP_TO_MESSAGE
from pynetdicom.dsutils import encode


class Gone(Exception):
    """The other side is no longer there."""


def send(assoc: Association, primitive: Any, context_id: int, data: bytes | None = None) -> None:
    """Send one DIMSE message, its data set as encoded in `data`.

    Raises
    ------
    Gone
        The connection is closed or the association has ended.
    """
    put(assoc, context_id, command(primitive, data=data is not None), data)


def command(primitive: Any, *, data: bool) -> bytes:
    """The encoded command set of a message, which has a data set or not."""
    response = primitive.MessageIDBeingRespondedTo is not None
    message = (_RSP_TO_MESSAGE if response else _RQ_TO_MESSAGE)[type(primitive)]()  # type: ignore[index]
    if data:
        holders = ("DataSet", "EventInformation", "AttributeList", "ActionReply", "Identifier")
        setattr(primitive, next(one for one in holders if hasattr(primitive, one)), BytesIO(b"\0\0"))
    message.primitive_to_message(primitive)
    return encode(message.command_set, True, True) or b""


def put(assoc: Association, context_id: int, command_set: bytes, data: bytes | None) -> None:
    """Send a message of a command set and a data set that are encoded; raises as `send` does."""
    limit = assoc.dimse.maximum_pdu_size or 1 << 20
    out = b"".join(_pdus(context_id, 1, command_set, limit))
    if data is not None:
        out += b"".join(_pdus(context_id, 0, data, limit))
    lock = assoc.__dict__.setdefault("demo_sending", threading.Lock())  # events come from a thread of their own
    try:
        with lock:
            assert assoc.dul.socket is not None and assoc.dul.socket.socket is not None
            assoc.dul.socket.socket.sendall(out)
    except (OSError, AssertionError) as error:
        raise Gone(str(error)) from error


def _pdus(context_id: int, command: int, body: bytes, limit: int) -> list[bytes]:
    """P-DATA-TF PDUs, each with one fragment (PS3.8 9.3.5, E.2)."""
    room = min(limit, 1 << 20) - 6
    found: list[bytes] = []
    for at in range(0, max(len(body), 1), room):
        piece = body[at : at + room]
        last = 2 if at + room >= len(body) else 0
        found.append(struct.pack(">BBLLBB", 4, 0, len(piece) + 6, len(piece) + 2, context_id, command | last))
        found.append(piece)
    return found


def receive(assoc: Association) -> Any:
    """The next message of the association.

    Raises
    ------
    Gone
        It ended, or nothing came in time.
    """
    _, message = assoc.dimse.get_msg(block=True)
    if message is None:
        raise Gone("no answer")
    return message
