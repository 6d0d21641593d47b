"""What a cache received and is no result: other bytes of an instance that is here, strangers, damaged ones."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import phi
from .cachefolder import ASIDE, QUARANTINE, note_of, note_path, read_row

if TYPE_CHECKING:
    import pandas as pd

    from ..tables.tables import Address

_UIDS: Final = ("node", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def listed(root: Path) -> pd.DataFrame:
    """A row for each file that lies aside or in quarantine; see `Upkeep.set_aside`."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for kind in (ASIDE, QUARANTINE):
        for path in sorted((root / kind).glob("*.dcm")):
            with suppress(OSError):
                about, row = os.lstat(path), read_row(path)
                uids = {word: getattr(row, word, None) or None for word in _UIDS}
                why = phi.said(note_of(path))
                rows.append({**uids, "kind": kind, "why": why, "size": about.st_size, "since": about.st_mtime})
                rows[-1]["path"] = str(path)
    frame = pd.DataFrame(rows, columns=[*_UIDS, "kind", "why", "size", "since", "path"])
    frame = frame.astype({**dict.fromkeys((*_UIDS, "kind", "why", "path"), "string"), "size": "int64"})
    frame["since"] = pd.to_datetime(frame["since"].astype("float64"), unit="s", utc=True)
    frame.attrs = {"cache": str(root)}
    return phi.frame(frame)


def empty(root: Path) -> bool:
    """Whether nothing lies there: `listed` takes longer to say so."""
    return not any(next((root / kind).glob("*.dcm"), None) for kind in (ASIDE, QUARANTINE))


def of(
    table: pd.DataFrame, named: Iterable[tuple[str, list[Address] | None]], stays: Container[tuple[str, str]]
) -> list[str]:
    """The paths of what was set aside of some addresses of a node, "" for any; None for all of it.

    Parameters
    ----------
    table
        As `listed` gives it.
    stays
        Nodes and series of which nothing is to go.
    """
    words = (*_UIDS, "path")
    rows: list[dict[str, str]] = [
        {word: phi.real(value) if isinstance(value, str) else "" for word, value in zip(words, row, strict=True)}
        for row in table[list(words)].itertuples(index=False, name=None)
    ]

    def meant(row: dict[str, str]) -> bool:
        for node, addresses in named:
            if node in ("", row["node"]) and (
                addresses is None
                or any(all(row[word] == uid for word, uid in vars(one).items() if uid) for one in addresses)
            ):
                return (row["node"], row["SeriesInstanceUID"]) not in stays
        return False

    return [row["path"] for row in rows if meant(row)]


def discard(paths: Iterable[str]) -> None:
    """Delete such files, and the notes beside them."""
    for path in paths:
        for one in (path, note_path(Path(path))):
            with suppress(FileNotFoundError):
                os.unlink(one)
