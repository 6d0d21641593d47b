"""What happens to a data set that is sent to us: into the cache, then the answer (PS3.4 B.2.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...cache.arrival import Arrival
from ...cache.cache import Cache, Outcome
from ...cache.cachefolder import PART
from ...cache.database import Stopped, never
from ...datasets.elements import Elements
from ...errors import CacheError
from ...level import QueryLevel
from ...tables.tables import Address
from ..association.dimse import Command
from ..association.incoming import Message
from ..association.node import Node
from .holdings import Held

_STATUS = {
    Outcome.STORED: 0x0000,
    Outcome.DUPLICATE: 0x0000,
    Outcome.DIFFERS: 0x0111,  # Duplicate SOP Instance, with other content
    Outcome.FOREIGN: 0xC000,
    Outcome.BAD: 0xC000,  # Cannot Understand
    Outcome.FULL: 0xA700,  # Out of Resources
}
DATA_SET_DOES_NOT_MATCH = 0xA900
NAMED = 10_000  # data sets that are refused, or remarked on, by name
LONGEST = 64  # characters of a UID (PS3.5 9.1)
HEADERS = 2_000  # instances of one retrieval up to which their headers stay in memory; more are read again, all at once


@dataclass(frozen=True)
class Refused:
    """One data set that came and was not kept as part of the result."""

    SOPInstanceUID: str
    why: str


class Receiver:
    """Takes the data sets of one retrieval, over however many associations they come.

    Parameters
    ----------
    addresses
        What was asked for; anything else is set aside (R5.16).
    on_instance
        Called after each instance that is kept, with its size in bytes.
    due
        What is due by SOP Instance UID, as far as it is known: of very many each UID is in memory once.
    """

    def __init__(
        self,
        cache: Cache,
        node: Node,
        addresses: Sequence[Address],
        on_instance: Callable[[int], None],
        *,
        due: Mapping[str, Held] = {},
        replace: bool = False,
        stopped: Stopped = never,
    ) -> None:
        self._due = due
        self._cache, self._node, self._on_instance, self._replace = cache, node, on_instance, replace
        self._stopped = stopped
        self._wanted = {
            level: {getattr(item, level.unique_key) for item in addresses if item.level is level}
            for level in QueryLevel
        }
        self._lock = threading.Lock()
        #: SOP Instance UIDs of what is here now because of this retrieval; with the header of each while they are few.
        self.kept: dict[str, Elements | None] = {}
        self.refused: list[Refused] = []
        self.remarks: list[str] = []
        self.full: OSError | CacheError | None = None
        self.bytes = 0

    def over(self) -> None:
        """Nobody is told any more of what comes; who was told may know this receiver, and both would stay in memory."""
        self._on_instance = lambda size: None

    def sink(self, command: Command, transfer_syntax: str) -> Arrival:
        """Where the data set of that C-STORE request goes as it arrives."""
        return self._cache.arrival(
            self._node.identity,
            sop_class=command.sop_class,
            sop_instance=command.sop_instance,
            transfer_syntax=transfer_syntax,
            accept=self._accept,
            replace=self._replace,
            stopped=self._stopped,
        )

    def receive(self, transfer_syntax: str, message: Message) -> int:
        """Keep the data set of a C-STORE request; gives the status to answer with."""
        command = message.command
        arrival = message.sink
        if not isinstance(arrival, Arrival):  # it is in memory: a hook wanted to see it
            arrival = self.sink(command, transfer_syntax)
            data = message.data or b""
            for at in range(0, len(data), PART):
                part = data[at : at + PART]
                arrival.room(len(part))[:] = part
        receipt = arrival.finish()
        if not receipt.size:
            self._refuse(command.sop_instance, "it came without a data set")
            return DATA_SET_DOES_NOT_MATCH
        uid = receipt.SOPInstanceUID or command.sop_instance
        with self._lock:
            if receipt.outcome in (Outcome.STORED, Outcome.DUPLICATE):
                if uid in self._due:
                    uid = self._due[uid].SOPInstanceUID
                if uid in self.kept:
                    self._remark(f"{uid} came twice, with the same bytes")
                self.kept[uid] = receipt.elements if len(self.kept) < HEADERS else None
                if len(self.kept) == HEADERS:
                    self.kept = dict.fromkeys(self.kept)
                self.bytes += receipt.size
                if receipt.why:
                    self._remark(f"{uid}: {receipt.why}")
            else:
                self._note(uid, receipt.why)
                if receipt.outcome is Outcome.FULL:
                    self.full = receipt.error
        if receipt.outcome in (Outcome.STORED, Outcome.DUPLICATE):
            self._on_instance(receipt.size)
        return _STATUS[receipt.outcome]

    def _accept(self, elements: Elements) -> str:
        for level, wanted in self._wanted.items():
            if wanted and elements.text(level.unique_key) in wanted:
                return ""
        return f"it belongs to study {elements.text('StudyInstanceUID')!r} or a part of it that was not asked for"

    def _refuse(self, uid: str, why: str) -> None:
        with self._lock:
            self._note(uid, why)

    def _note(self, uid: str, why: str) -> None:
        """Remember what was refused; an archive that sends without end what nobody asked for takes no memory."""
        if len(self.refused) < NAMED:
            self.refused.append(Refused(uid[:LONGEST], why))

    def _remark(self, text: str) -> None:
        if len(self.remarks) < NAMED:
            self.remarks.append(text)
