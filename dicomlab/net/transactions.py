"""Storage commitments that were asked for: on disk, by Transaction UID, until they are answered and after (R7.4)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..errors import CacheError

_LETTERS = frozenset("0123456789.")


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


class Transactions:
    """A folder with a file for each transaction; UIDs only, no names.

    Parameters
    ----------
    folder
        Default: environment variable ``DICOMLAB_STATE``, else the user's folder for such.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            from platformdirs import user_state_path

            chosen = os.environ.get("DICOMLAB_STATE")
            folder = Path(chosen).expanduser() if chosen else user_state_path("dicomlab", appauthor=False)
        self.folder = folder / "commitment"

    def keep(self, transaction: Transaction) -> None:
        """Write it, whole or not at all.

        Raises
        ------
        CacheError
            It cannot be written.
        """
        path = self._path(transaction.uid)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(asdict(transaction), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise CacheError(
                f"a storage commitment cannot be remembered in {self.folder} ({error.strerror})",
                advice="Make room there, or name another folder in the environment variable DICOMLAB_STATE.",
            ) from error

    def get(self, uid: str) -> Transaction | None:
        """That transaction; None where it is not known or its file is damaged."""
        found = _read(self._path(uid))
        return found if found is not None and found.uid == uid else None

    def forget(self, uid: str) -> None:
        """It was never asked for."""
        with suppress(OSError):
            self._path(uid).unlink()

    def of(self, node: str) -> list[Transaction]:
        """Those of a peer, oldest first."""
        found = [one for path in self._paths() if (one := _read(path)) is not None and one.node == node]
        return sorted(found, key=lambda one: one.at)

    def _paths(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from self.folder.glob("*.json")

    def _path(self, uid: str) -> Path:
        return self.folder / f"{''.join(one for one in uid[:64] if one in _LETTERS).strip('.') or 'none'}.json"


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


def _read(path: Path) -> Transaction | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Transaction(**said)
    except (OSError, ValueError, TypeError):
        return None
