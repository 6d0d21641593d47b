"""The index of a cache: which instance lies under which name. SQLite; the files are the truth."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from .database import Database, Stopped, never

VERSION = 5

_SCHEMA = """
CREATE TABLE entry (
    name TEXT PRIMARY KEY, node TEXT NOT NULL, SOPInstanceUID TEXT NOT NULL, SOPClassUID TEXT NOT NULL,
    StudyInstanceUID TEXT NOT NULL, SeriesInstanceUID TEXT NOT NULL, PatientID TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, digest TEXT NOT NULL,
    received REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX series ON entry (StudyInstanceUID, SeriesInstanceUID);
CREATE TABLE answer (
    node TEXT NOT NULL, SeriesInstanceUID TEXT NOT NULL, stated INTEGER NOT NULL, came INTEGER NOT NULL,
    PRIMARY KEY (node, SeriesInstanceUID)
) WITHOUT ROWID;
CREATE TABLE used (
    node TEXT NOT NULL, SeriesInstanceUID TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (node, SeriesInstanceUID)
) WITHOUT ROWID;
"""


T = TypeVar("T")


class Row(NamedTuple):
    """One instance, as the index knows it."""

    name: str  # of the file, without folder and suffix
    node: str
    SOPInstanceUID: str
    SOPClassUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    PatientID: str
    transfer_syntax: str
    size: int  # bytes of the file
    modified: int  # st_mtime_ns of the file
    digest: str  # xxh3_128 of the data set
    received: float  # seconds since the epoch


COLUMNS = Row._fields
_FORGET = """
DELETE FROM used WHERE node = ? AND SeriesInstanceUID = ? AND NOT EXISTS
(SELECT 1 FROM entry WHERE node = ? AND SeriesInstanceUID = ? AND StudyInstanceUID = ?)
"""
_PROBE = "SELECT count(*) FROM (SELECT * FROM entry LIMIT 1)"  # which an index answers whose table is there
_BATCH = 200
_INSERT = f"INSERT OR REPLACE INTO entry VALUES ({','.join('?' * len(COLUMNS))})"


class Index(Database):
    """Rows by name and by UID, in a `Database` that is made of the files.

    Parameters
    ----------
    path
        Of the SQLite file; folders above it are made.
    rebuild
        Gives the rows of all files that are there.
    spare, root
        As `indexplace.made` takes them.
    """

    def __init__(
        self, path: Path, rebuild: Callable[[], Iterable[Row]], spare: Path | None = None, root: Path | None = None
    ) -> None:
        def fill(connection: sqlite3.Connection) -> None:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.executemany(_INSERT, rebuild())

        super().__init__(path, VERSION, fill, _PROBE, spare, root)

    def add(self, row: Row, stopped: Stopped = never) -> None:
        """Enter a row; one of the same name is replaced. No other process is waited for once `stopped`."""
        with self.using(stopped) as run:
            run(_INSERT, row)

    def drop(self, names: Iterable[str]) -> None:
        """Remove the rows of these names, and when a series was used of which nothing is left."""
        for batch in _batches(names):
            these = f"WHERE name IN ({','.join('?' * len(batch))})"
            with self.using() as run:
                series = run(f"SELECT DISTINCT node, SeriesInstanceUID, StudyInstanceUID FROM entry {these}", batch)
                run(f"DELETE FROM entry {these}", batch)
                for one in series:
                    run(_FORGET, [*one[:2], *one])

    def named(self, names: Iterable[str], stopped: Stopped = never) -> list[Row]:
        """The rows of these names."""
        found: list[Row] = []
        for batch in _batches(names):
            found += self.select(f"name IN ({','.join('?' * len(batch))})", batch, stopped)
        return found

    def select(self, where: str = "1", values: Sequence[Any] = (), stopped: Stopped = never) -> list[Row]:
        """The rows for which an SQL condition holds."""
        with self.using(stopped) as run:
            rows = run(f"SELECT {','.join(COLUMNS)} FROM entry WHERE {where}", values)
        shared: dict[str, str] = {}  # what many rows say is in memory once
        one = shared.setdefault
        for at, row in enumerate(rows):
            name, node, instance, kind, study, series, patient, syntax, *rest = row
            alike = one(kind, kind), one(study, study), one(series, series), one(patient, patient), one(syntax, syntax)
            rows[at] = Row(name, one(node, node), instance, *alike, *rest)
        return rows

    def size(self) -> int:
        """Bytes of all instances."""
        with self.using() as run:
            return int(run("SELECT coalesce(sum(size), 0) FROM entry")[0][0])

    def sizes(self) -> dict[tuple[str, str], tuple[int, float]]:
        """Of each series (node and UID) its bytes, and when something of it was received last."""
        with self.using() as run:
            rows = run(
                "SELECT node, SeriesInstanceUID, sum(size), max(received) FROM entry "
                "GROUP BY node, SeriesInstanceUID ORDER BY min(name)"
            )
        return {(node, uid): (size, received) for node, uid, size, received in rows}

    def of_series(self, series: Iterable[tuple[str, str]]) -> list[Row]:
        """The rows of these series (node and UID)."""
        found: list[Row] = []
        for batch in _batches(series):
            found += self.select(f"(node, SeriesInstanceUID) IN ({_pairs(len(batch))})", _flat(batch))
        return found

    def answer(self, node: str, series: str) -> tuple[int, int] | None:
        """Instances that a node stated of a series and that came when all were asked for, as `note_answer` noted."""
        with self.using() as run:
            found = run("SELECT stated, came FROM answer WHERE node = ? AND SeriesInstanceUID = ?", (node, series))
        return found[0] if found else None

    def note_answer(self, node: str, series: str, stated: int, came: int) -> None:
        """Note that; it is lost with the index, and asked again then."""
        with self.using() as run:
            run("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", (node, series, stated, came))

    def used(self, series: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """When a call found these series (node and UID) here last, in seconds of the epoch, as `note_used` noted."""
        found: dict[tuple[str, str], float] = {}
        for batch in _batches(series):
            which = f"(node, SeriesInstanceUID) IN ({_pairs(len(batch))})"
            with self.using() as run:
                rows = run(f"SELECT node, SeriesInstanceUID, at FROM used WHERE {which}", _flat(batch))
            found |= {(node, uid): at for node, uid, at in rows}
        return found

    def note_used(self, series: Iterable[tuple[str, str]], at: float, stopped: Stopped = never) -> None:
        """Note that; it is lost with the index, and the time of receiving counts then."""
        for batch in _batches(series):
            with self.using(stopped) as run:
                values = [value for one in batch for value in (*one, at)]
                run(f"INSERT OR REPLACE INTO used VALUES {','.join(['(?, ?, ?)'] * len(batch))}", values)

def _batches(many: Iterable[T]) -> Iterator[list[T]]:
    """As many at a time as one statement takes."""
    these = list(many)
    for first in range(0, len(these), _BATCH):
        yield these[first : first + _BATCH]


def _pairs(count: int) -> str:
    return f"VALUES {','.join(['(?, ?)'] * count)}"


def _flat(series: Iterable[tuple[str, str]]) -> list[str]:
    return [value for one in series for value in one]
