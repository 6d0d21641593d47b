"""Messages of the acceptor, written to the socket by the thread that serves the association.

pynetdicom queues each PDU for another thread; written directly, a slow requestor slows the sender down, so that
a C-CANCEL is seen in time, and an instance of many PDUs goes out in few system calls.
"""

from __future__ import annotations

import struct
import threading
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pynetdicom.association import Association
from pynetdicom.dimse_messages import _COMMAND_SET_KEYWORDS

FIELDS = {
    "C_STORE": 0x0001, "C_GET": 0x0010, "C_FIND": 0x0020, "C_MOVE": 0x0021, "C_ECHO": 0x0030, "N_EVENT_REPORT": 0x0100,
    "N_GET": 0x0110, "N_SET": 0x0120, "N_ACTION": 0x0130, "N_CREATE": 0x0140, "N_DELETE": 0x0150,
}  # fmt: skip
TAGS = {word: int(tag_for_keyword(word) or 0) for words in _COMMAND_SET_KEYWORDS.values() for word in words}
VRS = {word: dictionary_VR(tag) for word, tag in TAGS.items()}


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
    """The encoded command set of a message, which has a data set or not (PS3.7 annex E).

    pynetdicom makes a data set of it on the way, which takes longer than all else that an instance costs.
    """
    name, response = type(primitive).__name__, primitive.MessageIDBeingRespondedTo is not None
    made = {"CommandField": FIELDS[name] | 0x8000 * response, "CommandDataSetType": 0x0001 if data else 0x0101}
    elements = {}
    for keyword in _COMMAND_SET_KEYWORDS[f"{name.replace('_', '-')}-{'RSP' if response else 'RQ'}"]:
        value = made.get(keyword, getattr(primitive, keyword, None))
        if value is not None:
            tag, body = TAGS[keyword], _value(VRS[keyword], value)
            elements[tag] = struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(body)) + body
    body = b"".join(elements[tag] for tag in sorted(elements))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _value(vr: str, value: Any) -> bytes:
    many = [value] if isinstance(value, (str, int)) else list(value)
    if vr == "US":
        return struct.pack(f"<{len(many)}H", *many)
    if vr == "AT":
        return b"".join(struct.pack("<HH", int(tag) >> 16, int(tag) & 0xFFFF) for tag in many)
    text = "\\".join(map(str, many)).encode("iso8859-1", "replace")
    return text + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)


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
