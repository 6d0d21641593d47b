"""A-ASSOCIATE-RQ and -AC, item by item, both ways (PS3.8 9.3, PS3.7 D.3.3).

Ours, not pynetdicom's codec: that slices past the end of a short item without a word, and warns of, or raises on, a UID
of the peer's that breaks the rules, as the settings of pydicom and of `warnings` happen to be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ...datasets.filemeta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_FIXED = struct.Struct(">HH16s16s32x")  # protocol version, reserved, called, calling, reserved
_LARGEST = 0xFFFF  # bytes of the value of an item


@dataclass(frozen=True)
class ContextItem:
    """One presentation context of a request (0x20) or of an answer (0x21)."""

    context_id: int  # odd, 1 to 255
    result: int  # of an answer, 0 accepted
    abstract_syntax: str  # of a request
    transfer_syntaxes: tuple[str, ...]  # of an answer the one accepted


@dataclass(frozen=True)
class UserInformation:
    """The item 0x50, as far as it is understood."""

    maximum_length: int = 0  # bytes of a PDU that the peer takes, 0 for any
    implementation_class: str = ""
    implementation_version: str = ""
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)  # class -> (SCU, SCP)
    extended: Mapping[str, bytes] = field(default_factory=dict)  # class -> application information
    user_response: bytes | None = field(default=None, repr=False)  # to a user identity; None where there is none


@dataclass(frozen=True)
class Associate:
    """What an A-ASSOCIATE-RQ or -AC says."""

    called: str
    calling: str
    contexts: Sequence[ContextItem]
    user: UserInformation


# -- to bytes ----------------------------------------------------------------------------------------------------


def item(kind: int, value: bytes | str) -> bytes:
    """One item."""
    data = value.encode("latin-1") if isinstance(value, str) else value
    assert len(data) <= _LARGEST
    return struct.pack(">BxH", kind, len(data)) + data


def offered(context_id: int, abstract_syntax: str, transfer_syntaxes: Iterable[str]) -> bytes:
    """A presentation context of a request."""
    syntaxes = b"".join(item(0x40, uid) for uid in transfer_syntaxes)
    return item(0x20, struct.pack("B3x", context_id) + item(0x30, abstract_syntax) + syntaxes)


def answered(context_id: int, result: int, transfer_syntax: str) -> bytes:
    """A presentation context of an answer."""
    return item(0x21, struct.pack("BxBx", context_id, result) + item(0x40, transfer_syntax))


def user_information(
    maximum_length: int,
    roles: Mapping[str, tuple[bool, bool]] = MappingProxyType({}),
    extended: Mapping[str, bytes] = MappingProxyType({}),
    user: bytes = b"",
) -> bytes:
    """Maximum length, implementation, roles, extended negotiation and an encoded user identity."""
    made = item(0x51, struct.pack(">L", maximum_length)) + item(0x52, IMPLEMENTATION_CLASS_UID)
    for uid, (scu, scp) in roles.items():
        made += item(0x54, _sized(uid.encode()) + bytes([scu, scp]))
    made += item(0x55, IMPLEMENTATION_VERSION_NAME)
    for uid, information in extended.items():
        made += item(0x56, _sized(uid.encode()) + information)
    return item(0x50, made + user)


def user_identity(kind: int, confirm: bool, primary: bytes, secondary: bytes) -> bytes:
    """The item 0x58: who asks (PS3.7 D.3.3.7)."""
    return item(0x58, bytes([kind, confirm]) + _sized(primary) + _sized(secondary))


def associate(kind: int, called: str, calling: str, contexts: Iterable[bytes], user: bytes) -> bytes:
    """A whole A-ASSOCIATE-RQ (1) or -AC (2) of encoded items."""
    titles = (title.encode("latin-1", "replace").ljust(16) for title in (called, calling))
    body = _FIXED.pack(1, 0, *titles) + item(0x10, APPLICATION_CONTEXT) + b"".join(contexts) + user
    return struct.pack(">BxL", kind, len(body)) + body


def _sized(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


# -- from bytes --------------------------------------------------------------------------------------------------


def read(body: bytes) -> Associate:
    """What an A-ASSOCIATE-RQ or -AC with that body (without its six bytes of header) says.

    Raises
    ------
    ValueError
        It breaks the protocol; the message says how.
    """
    if len(body) < _FIXED.size:
        raise ValueError(f"an association PDU of {len(body)} bytes is too short")
    _, _, called, calling = _FIXED.unpack_from(body)
    contexts = []
    user = UserInformation()
    for kind, value in _items(body, _FIXED.size):
        if kind in (0x20, 0x21):
            contexts.append(_context(kind, value))
        elif kind == 0x50:
            user = _user(value)
    if 0 < user.maximum_length < 7:
        raise ValueError(f"a maximum PDU length of {user.maximum_length} is useless: nothing fits into it")
    return Associate(_text(called), _text(calling), contexts, user)


def _items(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item from that offset to the end."""
    end = len(data)
    while at < end:
        if end - at < 4:
            raise ValueError("an item ends in its header")
        kind, length = data[at], int.from_bytes(data[at + 2 : at + 4], "big")
        if length > end - at - 4:
            raise ValueError(f"item 0x{kind:02X} claims {length} bytes, more than its PDU holds")
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _context(kind: int, value: bytes) -> ContextItem:
    if len(value) < 4:
        raise ValueError(f"item 0x{kind:02X} of {len(value)} bytes is too short")
    context_id, result = value[0], value[2] if kind == 0x21 else 0
    abstract, syntaxes = "", []
    for inner, uid in _items(value, 4):
        if inner == 0x30:
            abstract = _text(uid)
        elif inner == 0x40:
            syntaxes.append(_text(uid))
    return ContextItem(context_id, result, abstract, tuple(syntaxes))


def _user(value: bytes) -> UserInformation:
    said = {}
    roles, extended = {}, {}
    for kind, inner in _items(value):
        if kind == 0x51:
            if len(inner) != 4:
                raise ValueError(f"a maximum PDU length of {len(inner)} bytes, not 4")
            said["length"] = inner
        elif kind in (0x54, 0x56):
            uid, rest = _divided(kind, inner)
            if kind == 0x56:
                extended[_text(uid)] = rest
            elif len(rest) < 2:
                raise ValueError(f"item 0x{kind:02X} of {len(inner)} bytes is too short")
            else:
                roles[_text(uid)] = bool(rest[0]), bool(rest[1])
        elif kind == 0x59:
            said["response"] = _divided(kind, inner)[0]
        elif kind in (0x52, 0x55):
            said["class" if kind == 0x52 else "version"] = inner
    return UserInformation(
        int.from_bytes(said.get("length", b""), "big"),
        _text(said.get("class", b"")),
        _text(said.get("version", b"")),
        roles,
        extended,
        said.get("response"),
    )


def _divided(kind: int, value: bytes) -> tuple[bytes, bytes]:
    """What follows a length of two bytes, and the rest."""
    length = int.from_bytes(value[:2], "big")
    if len(value) < 2 or length > len(value) - 2:
        raise ValueError(f"item 0x{kind:02X} claims {length} bytes, more than it holds")
    return value[2 : 2 + length], value[2 + length :]


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("\0 ")
