"""What the demo PACS answers to an A-ASSOCIATE-RQ: contexts, roles, extended negotiation (PS3.7 annex D)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AssociationSocket

from .manners import EXPLICIT, IMPLICIT, Manners

QUERY = "1.2.840.10008.5.1.4.1.2."
MODELS = frozenset(f"{QUERY}{model}.{service}" for model in (1, 2, 3) for service in (1, 2, 3))
VERIFICATION = "1.2.840.10008.1.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
COMMITMENT = "1.2.840.10008.1.20.1"
#: Classes of printing: the two meta classes, and those beside them.
PRINTING = {
    "grayscale": "1.2.840.10008.5.1.1.9",
    "colour": "1.2.840.10008.5.1.1.18",
    "print job": "1.2.840.10008.5.1.1.14",
    "annotation": "1.2.840.10008.5.1.1.15",
    "presentation LUT": "1.2.840.10008.5.1.1.23",
    "printer configuration": "1.2.840.10008.5.1.1.16.376",
}
PERFORMED = ("1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4")  # MPPS, and its Retrieve class
MEDIA = "1.2.840.10008.5.1.1.33"
UPDATER = "1.2.840.114257.15.1.3"
STORAGE = ("1.2.840.10008.5.1.4.1.1.", "1.2.840.10008.5.1.4.34.7", "1.2.840.10008.5.1.4.43.1")


def opened(event: evt.Event) -> None:
    """Before the threads of an association start: small answers go out at once, and none outlives Python."""
    event.assoc.dul.daemon = True
    transport = event.assoc.dul.socket
    assert transport is not None
    settle(transport)


def settle(transport: AssociationSocket) -> None:
    """Small answers go out at once, and the socket is closed in the end."""
    closes(transport)
    with contextlib.suppress(OSError, AttributeError):
        assert transport.socket is not None
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def closes(transport: AssociationSocket) -> None:
    """Have its socket closed in the end: pynetdicom leaves one open that is not connected any more, or not yet."""

    def close() -> None:
        connection = transport.socket
        if connection is None:
            return
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    transport._shutdown_socket = close  # type: ignore[method-assign]


def is_storage(sop_class: str, held: set[str]) -> bool:
    """Is this taken for a storage class?"""
    return sop_class.startswith(STORAGE) or sop_class in held


def prepare(
    assoc: Association, manners: Manners, held: set[str], *, worklist: bool = False
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Set what this association is answered; gives the contexts that were proposed."""
    assert assoc.requestor.primitive is not None
    proposed = assoc.requestor.primitive.presentation_context_definition_list
    told = tuple((str(each.abstract_syntax), tuple(map(str, each.transfer_syntax))) for each in proposed)
    supported: dict[str, PresentationContext] = {}
    for context in proposed:
        if manners.preferred_syntax in context.transfer_syntax:
            context.transfer_syntax = [manners.preferred_syntax]  # pynetdicom takes the first that is proposed
        name = str(context.abstract_syntax)
        model = name in MODELS and (manners.patient_study_only or f"{QUERY}3." not in name)
        commits = name == COMMITMENT and manners.commitment != "absent"
        prints = any(name == PRINTING.get(known) for known in manners.print_classes)
        performs = name in PERFORMED[: manners.performed]
        media = name == MEDIA and manners.media
        more = commits or performs or media or prints
        if name == VERIFICATION or model or more or (name == WORKLIST and worklist):
            supported[name] = build_context(name, [EXPLICIT, IMPLICIT])
        elif name == UPDATER and manners.updater:
            supported[name] = build_context(name, [IMPLICIT])
        elif is_storage(name, held):
            syntaxes = manners.store_syntaxes or tuple(map(str, context.transfer_syntax))
            before = supported.get(name)
            if before is not None:
                syntaxes = tuple(dict.fromkeys((*map(str, before.transfer_syntax), *syntaxes)))
            supported[name] = build_context(name, list(syntaxes))
            if manners.role_answer:
                supported[name].scu_role = supported[name].scp_role = True
    assoc.acceptor._contexts = list(supported.values())
    if manners.reject_unfit and not supported:
        assoc.acse.send_reject(0x01, 0x01, 0x01)
        assoc.kill()  # once that has gone out
    if manners.read_only:
        _refuse_storage(assoc, held)
    return told


def _refuse_storage(assoc: Association, held: set[str]) -> None:
    """Storage contexts that would let the requestor store are answered 1, user rejection."""
    accept = assoc.acse.send_accept
    receives = {str(uid) for uid, role in assoc.requestor.role_selection.items() if role.scp_role}

    def send_accept() -> None:
        for number, context in list(assoc._accepted_cx.items()):
            name = str(context.abstract_syntax)
            if is_storage(name, held) and name not in receives:
                context.result = 0x01
                assoc._rejected_cx.append(assoc._accepted_cx.pop(number))
        accept()

    assoc.acse.send_accept = send_accept  # type: ignore[method-assign]


@dataclass(frozen=True)
class User:
    """The user identity of an association: a name, a name with its passcode, or a token (PS3.7 D.3.3.7)."""

    kind: int = 0  # 1 name, 2 name and passcode, 3 to 5 a token; 0 none
    primary: str = field(default="", repr=False)
    passcode: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The user name; "" of a token, which is nobody's to read."""
        return self.primary if self.kind in (1, 2) else ""

    def is_known(self, users: Mapping[str, str]) -> bool:
        """Whether it is one of those, with its passcode where it has one."""
        return self.kind > 0 and self.primary in users and (self.kind > 2 or users[self.primary] == self.passcode)


def user_of(assoc: Association) -> User:
    """Who asks for an association."""
    item = assoc.requestor.user_identity
    if item is None:
        return User()
    texts = [(one or b"").decode("utf-8", "replace") for one in (item.primary_field, item.secondary_field)]
    return User(int(item.user_identity_type or 0), *texts)


def agree(asked: Mapping[Any, bytes], manners: Manners) -> dict[Any, bytes]:
    """Extended negotiation: a byte is agreed where it was asked for and these manners have it."""
    if not manners.agree:
        return {}
    return {
        uid: bytes(want & have for want, have in zip(info, manners.agree, strict=False))
        for uid, info in asked.items()
        if str(uid) in MODELS
    }
