"""A request to the embedded PACS: what its service needs to answer it, and what the transcript keeps of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom import Dataset
from pynetdicom.association import Association

from .answering import tags
from .manners import BIG_ENDIAN, IMPLICIT

if TYPE_CHECKING:
    from .server import DemoServer

IDENTIFIERS = ("Identifier", "ActionInformation", "AttributeList", "ModificationList")


@dataclass(frozen=True)
class Request:
    """One request as it was received.

    `service` is "A-ASSOCIATE", or the name of a message such as "C-FIND"; `time` is seconds since 1970.
    """

    service: str
    calling: str
    called: str
    sop_class: str = ""
    message_id: int = 0
    identifier: Dataset | None = field(default=None, repr=False)  # None where there is none, or where it cannot be read
    transfer_syntax: str = ""
    destination: str = ""  # of a C-MOVE
    sop_instance: str = ""  # of a C-STORE, and of DIMSE-N
    originator: tuple[str, int] | None = None  # of a C-STORE
    action: int | None = None  # of an N-ACTION
    attributes: tuple[int, ...] = ()  # tags that an N-GET asks for
    contexts: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of an A-ASSOCIATE: class and syntaxes proposed
    user: str = ""  # of an A-ASSOCIATE: the user name of its user identity
    time: float = field(default_factory=time.time)


@dataclass
class Call:
    """What a service needs to answer one request."""

    server: DemoServer
    assoc: Association
    message: Any
    context_id: int
    transfer_syntax: str

    @property
    def calling(self) -> str:
        return str(self.assoc.requestor.ae_title).strip()

    @property
    def destination(self) -> str:
        return str(getattr(self.message, "MoveDestination", "") or "").strip()

    @cached_property
    def sop_class(self) -> str:
        return str(self._either("AffectedSOPClassUID", "RequestedSOPClassUID"))

    @cached_property
    def sop_instance(self) -> str:
        return str(self._either("AffectedSOPInstanceUID", "RequestedSOPInstanceUID"))

    @cached_property
    def relational(self) -> bool:
        """Whether relational queries were agreed on for this SOP class (PS3.4 C.5.1)."""
        agreed: dict[Any, bytes] = getattr(self.assoc, "demo_agreed", {})
        return agreed.get(self.sop_class, b"")[:1] == b"\1"

    @cached_property
    def identifier(self) -> Dataset | None:
        """The data set of the request; None where there is none, or where it cannot be read."""
        raw = next(filter(None, (getattr(self.message, name, None) for name in IDENTIFIERS)), None)
        return None if raw is None else _read(raw, self.transfer_syntax)

    def request(self, service: str) -> Request:
        """As the transcript keeps it."""
        message = self.message
        origin = getattr(message, "MoveOriginatorApplicationEntityTitle", None)
        return Request(
            service,
            self.calling,
            self.server.ae_title,
            self.sop_class,
            int(message.MessageID),
            self.identifier,
            self.transfer_syntax,
            self.destination,
            self.sop_instance,
            (str(origin).strip(), int(message.MoveOriginatorMessageID or 0)) if origin else None,
            getattr(message, "ActionTypeID", None),
            tags(message),
        )

    def _either(self, *names: str) -> Any:
        return next(filter(None, (getattr(self.message, name, None) for name in names)), "")


def _read(raw: BytesIO, transfer_syntax: str) -> Dataset | None:
    """The Identifier; None if it cannot be read."""
    try:
        found = pydicom.filereader.read_dataset(
            BytesIO(raw.getvalue()), transfer_syntax == IMPLICIT, transfer_syntax != BIG_ENDIAN
        )
        list(found)  # decode every element now
    except Exception:
        return None
    return found
