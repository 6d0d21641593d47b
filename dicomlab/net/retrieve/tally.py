"""What an archive says of a retrieval (PS3.7 9.1.3.1, 9.1.4.1): shown, never believed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...remarks import remark
from ...status import Category, Status
from ..association.association import Message


@dataclass
class Tally:
    """What the archive said of one retrieval; shown, never believed."""

    counts: dict[str, int] = field(default_factory=dict)  # of final responses, summed
    statuses: list[Status] = field(default_factory=list)  # final ones, one a request
    failed: list[str] = field(default_factory=list)  # FailedSOPInstanceUIDList (0008,0058)
    troubles: list[str] = field(default_factory=list)  # who was turned away by our listener, and what broke there
    associations: int = 0  # that worked at once, at most
    latest: list[Status] = field(default_factory=list)  # final ones since `begin`
    told: int = 0  # instances that these requests name, by their counts
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def satisfied(self, requests: int, arrived: int) -> bool:
        """Whether the archive has answered so many requests since `begin`, and says that no more is to come."""
        if len(self.latest) < requests:
            return False
        return all(status.category is Category.SUCCESS for status in self.latest) or 0 < self.told <= arrived

    def begin(self) -> None:
        """What was said before is of no account: it is asked for again."""
        self.latest, self.told = [], 0

    def add(self, message: Message, status: Status, implicit: bool) -> None:
        """Take a final response in; any thread may."""
        with self._lock:
            self.statuses.append(status)
            self.latest.append(status)
            counts = message.command.counts()
            self.told += sum(counts.values())
            for name, value in counts.items():
                self.counts[name] = self.counts.get(name, 0) + value
            self.failed += [uid for uid in message.command.text(0x00080058).split("\\") if uid]
        if message.data:
            from ...datasets.elements import parse
            from ...errors import BadData

            with contextlib.suppress(BadData):
                failed = parse(bytes(message.data), implicit=implicit).get("FailedSOPInstanceUIDList")
                self.failed += [str(uid) for uid in (failed if isinstance(failed, tuple) else (failed,)) if uid]


def say(remarks: Sequence[str], peer: str) -> None:
    """One ResultWarning for what is odd about a retrieval."""
    said = list(dict.fromkeys(remarks))
    if said:
        more = f"; and {len(said) - 5} more, in attrs['remarks']" if len(said) > 5 else ""
        remark(f"{peer}: {'; '.join(said[:5])}{more}", stacklevel=10)
