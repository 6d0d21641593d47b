"""Items of an A-ASSOCIATE-RQ and -AC: the user information, and whether their lengths fit (PS3.8 9.3, PS3.7 D.3.3)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..filemeta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def user_information(
    maximum_length: int,
    roles: Mapping[str, tuple[bool, bool]] = MappingProxyType({}),
    extended: Mapping[str, bytes] = MappingProxyType({}),
) -> list[Any]:
    """Maximum length, implementation, roles and extended negotiation, as pynetdicom's primitives."""
    from pynetdicom.pdu_primitives import (
        ImplementationClassUIDNotification,
        ImplementationVersionNameNotification,
        MaximumLengthNotification,
        SCP_SCU_RoleSelectionNegotiation,
        SOPClassExtendedNegotiation,
    )

    length = MaximumLengthNotification()
    length.maximum_length_received = maximum_length
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    items: list[Any] = [length, implementation, version]
    for uid, (scu, scp) in roles.items():
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = uid, scu, scp
        items.append(role)
    for uid, information in extended.items():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = uid, information
        items.append(item)
    return items


def check_items(body: bytes) -> str:
    """What is wrong with the lengths of the items of an A-ASSOCIATE-RQ or -AC, "" where they fit.

    pynetdicom's codec slices past the end without a word; so the frame is checked before it is used.
    """
    if len(body) < 68:
        return f"an association PDU of {len(body)} bytes is too short"
    return _check(body, 68, len(body), {0x20: 4, 0x21: 4, 0x50: 0})


def _check(body: bytes, at: int, end: int, nested: dict[int, int]) -> str:
    while at < end:
        if end - at < 4:
            return "an item ends in its header"
        kind, length = body[at], struct.unpack_from(">H", body, at + 2)[0]
        if length > end - at - 4:
            return f"item 0x{kind:02X} claims {length} bytes, more than its PDU holds"
        if kind in nested:
            if length < nested[kind]:
                return f"item 0x{kind:02X} of {length} bytes is too short"
            wrong = _check(body, at + 4 + nested[kind], at + 4 + length, {})
            if wrong:
                return wrong
        at += 4 + length
    return ""


def check_length(length: int | None) -> None:
    """Refuse a maximum PDU length that lets nothing through (R1.22)."""
    if length is not None and 0 < length < 7:
        raise ValueError(f"a maximum PDU length of {length} is useless: nothing fits into it")
