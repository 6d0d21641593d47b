"""What was asked of peers and goes on without us: on disk, by UID, until it is over and after."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ...errors import CacheError

_LETTERS = frozenset("0123456789.")
Thing = TypeVar("Thing", bound=Any)


def state_folder() -> Path:
    """Where it is: environment variable ``DICOMLAB_STATE``, else the user's folder for such."""
    chosen = os.environ.get("DICOMLAB_STATE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_state_path

    return user_state_path("dicomlab", appauthor=False)


class Remembered(Generic[Thing]):
    """A folder with a file of JSON for each thing of one kind: a dataclass with ``uid``, ``node`` and ``at``.

    Parameters
    ----------
    folder
        Default: that of `state_folder`.
    """

    kind: ClassVar[type[Any]]  # the dataclass
    name: ClassVar[str]  # of the folder below
    what: ClassVar[str]  # in words, for errors

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (state_folder() if folder is None else folder) / self.name

    def keep(self, thing: Thing) -> None:
        """Write it, whole or not at all.

        Raises
        ------
        CacheError
            It cannot be written.
        """
        path = self._path(thing.uid)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(asdict(thing), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise CacheError(
                f"{self.what} cannot be remembered in {self.folder} ({error.strerror})",
                advice="Make room there, or name another folder in the environment variable DICOMLAB_STATE.",
            ) from error

    def get(self, uid: str) -> Thing | None:
        """That one; None where it is not known or its file is damaged."""
        found = self._read(self._path(uid))
        return found if found is not None and found.uid == uid else None

    def forget(self, uid: str) -> None:
        """It was never asked for."""
        with suppress(OSError):
            self._path(uid).unlink()

    def of(self, node: str) -> list[Thing]:
        """Those of a peer, oldest first."""
        found = [one for path in self._paths() if (one := self._read(path)) is not None and one.node == node]
        return sorted(found, key=lambda one: float(one.at))

    def _paths(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from self.folder.glob("*.json")

    def _path(self, uid: str) -> Path:
        return self.folder / f"{''.join(one for one in uid[:64] if one in _LETTERS).strip('.') or 'none'}.json"

    def _read(self, path: Path) -> Thing | None:
        try:
            return self.kind(**json.loads(path.read_text(encoding="utf-8")))  # type: ignore[no-any-return]
        except (OSError, ValueError, TypeError):
            return None
