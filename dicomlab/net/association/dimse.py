"""Command sets and messages (PS3.7 section 9 and annex E): implicit VR little endian, group 0000."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from ...errors import BadData
from ...status import Status

_ELEMENT = struct.Struct("<HHL")
_LENGTH = struct.Struct("<HHLL")  # the element that gives the length of the group
_US = struct.Struct("<H")
NO_DATA_SET = 0x0101


class CommandField(IntEnum):
    """Command Field (0000,0100) of the requests; a response has the high bit (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF


RESPONSE = 0x8000
_WORDED = {0x0901, 0x0902, 0x0903, 0x1005}  # what says more of a status than its code
# That name the class and instance that is asked, not one that is affected.
_OF_AN_INSTANCE = {
    CommandField.N_GET_RQ,
    CommandField.N_SET_RQ,
    CommandField.N_ACTION_RQ,
    CommandField.N_DELETE_RQ,
}
_WITH_PRIORITY = {
    CommandField.C_STORE_RQ,
    CommandField.C_FIND_RQ,
    CommandField.C_GET_RQ,
    CommandField.C_MOVE_RQ,
}
_SERVICES = {
    0x0001: "C-STORE",
    0x0010: "C-GET",
    0x0020: "C-FIND",
    0x0021: "C-MOVE",
    0x0030: "C-ECHO",
    0x0100: "N-EVENT-REPORT",
    0x0110: "N-GET",
    0x0120: "N-SET",
    0x0130: "N-ACTION",
    0x0140: "N-CREATE",
    0x0150: "N-DELETE",
}
#: The name of each message by its Command Field (PS3.7 E.1).
MESSAGES = {
    **{field: f"{name}-RQ" for field, name in _SERVICES.items()},
    **{field | RESPONSE: f"{name}-RSP" for field, name in _SERVICES.items()},
    0x0FFF: "C-CANCEL-RQ",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command set; ``raw`` maps each tag, of group 0000 the element number, to its bytes."""

    raw: dict[int, bytes] = field(default_factory=dict)

    def number(self, element: int, default: int | None = None) -> int | None:
        """The value of a US element, `default` where it is absent or not two bytes."""
        value = self.raw.get(element)
        return default if value is None or len(value) != 2 else _US.unpack(value)[0]

    def text(self, element: int) -> str:
        """The value of a UI, AE or LO element without padding; any byte is kept as Latin-1."""
        return self.raw.get(element, b"").decode("latin-1").strip("\0 ")

    @property
    def command_field(self) -> int:
        """(0000,0100), 0 where absent."""
        return self.number(0x0100, 0) or 0

    @property
    def message_id(self) -> int:
        """(0000,0110), 0 where absent."""
        return self.number(0x0110, 0) or 0

    @property
    def responded_to(self) -> int | None:
        """(0000,0120) Message ID Being Responded To."""
        return self.number(0x0120)

    @property
    def sop_class(self) -> str:
        """(0000,0002) Affected SOP Class UID."""
        return self.text(0x0002)

    @property
    def sop_instance(self) -> str:
        """(0000,1000) Affected SOP Instance UID."""
        return self.text(0x1000)

    @property
    def has_data(self) -> bool:
        """Whether a data set follows: (0000,0800) is not 0x0101."""
        return self.number(0x0800, NO_DATA_SET) != NO_DATA_SET

    def status(self, service: str) -> Status | None:
        """The status that a response carries; None where (0000,0900) is absent."""
        code = self.number(0x0900)
        if code is None:
            return None
        if not _WORDED & self.raw.keys():
            return _bare_status(code, service)
        tags = self.raw.get(0x0901, b"") or self.raw.get(0x1005, b"")
        offending = tuple(
            f"({group:04X},{element:04X})" for group, element in struct.iter_unpack("<HH", tags[: len(tags) // 4 * 4])
        )
        return Status(code, self.text(0x0902), offending, service, self.number(0x0903, 0) or 0)

    def encoded(self) -> bytes:
        """Its bytes again, of group 0000 alone and with the group length that is due."""
        return encode({element: value for element, value in self.raw.items() if 0 < element <= 0xFFFF})

    def counts(self) -> dict[str, int]:
        """Sub-operations remaining, completed, failed and warning, as far as the response gives them."""
        names = {0x1020: "remaining", 0x1021: "completed", 0x1022: "failed", 0x1023: "warning"}
        found = {name: self.number(element) for element, name in names.items()}
        return {name: value for name, value in found.items() if value is not None}


@lru_cache(maxsize=256)
def _bare_status(code: int, service: str) -> Status:
    """A status without words of the peer's: most are the same."""
    return Status(code, service=service)


def decode(data: bytes) -> Command:
    """The command set in those bytes.

    Elements of other groups are kept by their whole tag: Orthanc puts FailedSOPInstanceUIDList (0008,0058) there.

    Raises
    ------
    BadData
        It does not follow implicit VR little endian.
    """
    raw: dict[int, bytes] = {}
    at, end = 0, len(data)
    while at < end:
        if end - at < 8:
            raise BadData("a command set ends in the middle of an element", offset=at)
        group, element, length = _ELEMENT.unpack_from(data, at)
        at += 8
        if length > end - at:
            raise BadData("an element is longer than its command set", tag=f"{group:04X}{element:04X}", offset=at)
        raw[group << 16 | element] = data[at : at + length]
        at += length
    return Command(raw)


def encode(elements: dict[int, bytes]) -> bytes:
    """Those elements of group 0000 in order, with the group length before them; odd values are padded."""
    parts: list[bytes] = []
    for element in sorted(elements):
        value = elements[element]
        if len(value) & 1:
            value += b"\0"
        parts += _ELEMENT.pack(0, element, len(value)), value
    body = b"".join(parts)
    return _LENGTH.pack(0, 0, 4, len(body)) + body


def number(value: int) -> bytes:
    """A US value."""
    return _US.pack(value)


def request(
    command_field: CommandField,
    sop_class: str,
    message_id: int,
    *,
    data: bool,
    destination: str = "",
    priority: int = 0,
    sop_instance: str = "",
    originator: tuple[str, int] | None = None,
    action: int | None = None,
    attributes: Sequence[int] = (),
) -> bytes:
    """The command set of a request (PS3.7 9.3, 10.3), of all but C-CANCEL and N-EVENT-REPORT.

    `originator` is the AE title that asked for the C-MOVE of which a C-STORE is part, and its message id; `action` the
    Action Type ID of an N-ACTION; `attributes` the tags that an N-GET asks for.
    """
    asked = command_field in _OF_AN_INSTANCE
    elements = {
        0x0003 if asked else 0x0002: sop_class.encode(),
        0x0100: number(command_field),
        0x0110: number(message_id),
        0x0800: number(0x0001 if data else NO_DATA_SET),
    }
    if data and command_field in _WITH_PRIORITY:
        elements[0x0700] = number(priority)
    if destination:
        elements[0x0600] = _title(destination)
    if sop_instance:
        elements[0x1001 if asked else 0x1000] = sop_instance.encode()
    if action is not None:
        elements[0x1008] = number(action)
    if attributes:
        elements[0x1005] = b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in attributes)
    if originator is not None:
        elements[0x1030], elements[0x1031] = _title(originator[0]), number(originator[1])
    return encode(elements)


def _title(name: str) -> bytes:
    encoded = name.encode("ascii")
    return encoded + b" " * (len(encoded) & 1)


def cancel(message_id: int) -> bytes:
    """The command set of a C-CANCEL-RQ (PS3.7 9.3.2.3)."""
    elements = {
        0x0100: number(CommandField.C_CANCEL_RQ),
        0x0120: number(message_id),
        0x0800: number(NO_DATA_SET),
    }
    return encode(elements)


def response(command: Command, status: int) -> bytes:
    """The command set that answers a request without a data set."""
    elements = {
        0x0100: number(command.command_field | RESPONSE),
        0x0120: number(command.message_id),
        0x0800: number(NO_DATA_SET),
        0x0900: number(status),
    }
    for element in (0x0002, 0x1000, 0x1002):  # class, instance, Event Type ID
        if element in command.raw:
            elements[element] = command.raw[element]
    return encode(elements)
