"""Storage commitments that were asked for: on disk, by Transaction UID, until they are answered and after (R7.4)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..association.remembered import Remembered


@dataclass(frozen=True)
class Transaction:
    """One request for storage commitment, and what was answered."""

    uid: str
    node: str  # identity of the peer, "AET@host:port"
    asked: Mapping[str, str]  # SOP Instance UID: SOP Class UID
    at: float  # seconds since the epoch
    answered: float | None = None  # when the last answer came
    answers: int = 0
    committed: Sequence[str] = ()
    failed: Mapping[str, int] = field(default_factory=dict)  # SOP Instance UID: Failure Reason (0008,1197)
    retrieve_ae_title: str = ""  # (0008,0054)
    media: str = ""  # Storage Media File-Set ID (0088,0130) and UID (0088,0140)

    @property
    def pending(self) -> bool:
        """Whether nothing was answered yet."""
        return self.answered is None


class Transactions(Remembered[Transaction]):
    """A folder with a file for each transaction; UIDs only, no names."""

    kind, name, what = Transaction, "commitment", "a storage commitment"


def answer(
    before: Transaction, committed: Sequence[str], failed: Mapping[str, int], retrieve_ae_title: str, media: str
) -> Transaction:
    """With one more answer; one that came before is not forgotten, and what failed once and is committed now is so."""
    done = dict.fromkeys((*before.committed, *(uid for uid in committed if uid in before.asked)))
    wrong = {**before.failed, **{uid: why for uid, why in failed.items() if uid in before.asked}}
    for uid in committed:
        wrong.pop(uid, None)
    for uid in failed:
        done.pop(uid, None)
    return replace(
        before,
        answered=time.time(),
        answers=before.answers + 1,
        committed=tuple(done),
        failed=wrong,
        retrieve_ae_title=retrieve_ae_title or before.retrieve_ae_title,
        media=media or before.media,
    )
