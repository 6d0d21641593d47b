"""The index of a cache: which instance lies under which name. SQLite; the files are the truth."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..disk.indexplace import made
from ..errors import CacheError

VERSION = 5
BUSY = 60.0  # seconds to wait for another process that writes, or makes the index anew,
LOOK = 0.2  # and seconds of one wait in SQLite, which hears no Ctrl-C

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


Stopped = Callable[[], bool]  # whether the call was told to stop


def never() -> bool:
    """A call that nobody stops."""
    return False


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


#: Primary result codes of SQLite that say nothing of the file; what is no result of SQLite (text that is none) does.
_SURROUNDINGS = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_TROUBLE = (sqlite3.DatabaseError, UnicodeDecodeError)
COLUMNS = Row._fields
_FORGET = """
DELETE FROM used WHERE node = ? AND SeriesInstanceUID = ? AND NOT EXISTS
(SELECT 1 FROM entry WHERE node = ? AND SeriesInstanceUID = ? AND StudyInstanceUID = ?)
"""
_INSERT = f"INSERT OR REPLACE INTO entry VALUES ({','.join('?' * len(COLUMNS))})"


class Index:
    """Rows by name and by UID; makes itself anew from the files when absent, damaged or of another version.

    One connection per process, behind a lock: threads take turns, a forked child opens its own. Another
    process may use the same file.

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
        self.path = path
        self._rebuild = rebuild
        self._spare, self.root = spare, root
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._end: Callable[[], object] = lambda: None
        self._inode = -1

    def add(self, row: Row, stopped: Stopped = never) -> None:
        """Enter a row; one of the same name is replaced. No other process is waited for once `stopped`."""
        with self._using(stopped) as run:
            run(_INSERT, row)

    def drop(self, names: Iterable[str]) -> None:
        """Remove the rows of these names, and when a series was used of which nothing is left."""
        for batch in _batches(names):
            these = f"WHERE name IN ({','.join('?' * len(batch))})"
            with self._using() as run:
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
        with self._using(stopped) as run:
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
        with self._using() as run:
            return int(run("SELECT coalesce(sum(size), 0) FROM entry")[0][0])

    def sizes(self) -> dict[tuple[str, str], tuple[int, float]]:
        """Of each series (node and UID) its bytes, and when something of it was received last."""
        with self._using() as run:
            rows = run(
                "SELECT node, SeriesInstanceUID, sum(size), max(received) FROM entry "
                "GROUP BY node, SeriesInstanceUID ORDER BY min(name)"
            )
        return {(node, uid): (size, received) for node, uid, size, received in rows}

    def of_series(self, series: Iterable[tuple[str, str]]) -> list[Row]:
        """The rows of these series (node and UID)."""
        found: list[Row] = []
        for batch in _some(series):
            found += self.select(f"(node, SeriesInstanceUID) IN ({_pairs(len(batch))})", _flat(batch))
        return found

    def answer(self, node: str, series: str) -> tuple[int, int] | None:
        """Instances that a node stated of a series and that came when all were asked for, as `note_answer` noted."""
        with self._using() as run:
            found = run("SELECT stated, came FROM answer WHERE node = ? AND SeriesInstanceUID = ?", (node, series))
        return found[0] if found else None

    def note_answer(self, node: str, series: str, stated: int, came: int) -> None:
        """Note that; it is lost with the index, and asked again then."""
        with self._using() as run:
            run("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", (node, series, stated, came))

    def used(self, series: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """When a call found these series (node and UID) here last, in seconds of the epoch, as `note_used` noted."""
        found: dict[tuple[str, str], float] = {}
        for batch in _some(series):
            which = f"(node, SeriesInstanceUID) IN ({_pairs(len(batch))})"
            with self._using() as run:
                rows = run(f"SELECT node, SeriesInstanceUID, at FROM used WHERE {which}", _flat(batch))
            found |= {(node, uid): at for node, uid, at in rows}
        return found

    def note_used(self, series: Iterable[tuple[str, str]], at: float, stopped: Stopped = never) -> None:
        """Note that; it is lost with the index, and the time of receiving counts then."""
        for batch in _some(series):
            with self._using(stopped) as run:
                values = [value for one in batch for value in (*one, at)]
                run(f"INSERT OR REPLACE INTO used VALUES {','.join(['(?, ?, ?)'] * len(batch))}", values)

    def close(self) -> None:
        """Close the connection of this process; the next call opens it again."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._connection = None
            self._end()

    @contextmanager
    def _using(self, stopped: Stopped = never) -> Iterator[Callable[..., list[Any]]]:
        """Give a function that runs a statement and gives its rows; it does so again where the index was damaged."""
        if os.getpid() != self._process:
            self._inherited = self._connection  # of the parent: kept, for closing it would drop the parent's locks
            self._forget()

        def once(statement: str, values: Sequence[Any]) -> list[Any]:
            try:
                return self._open().execute(statement, values).fetchall()
            except _TROUBLE as error:
                if not _damaged(error):
                    raise
                self._discard()
                return self._open().execute(statement, values).fetchall()

        def run(statement: str, values: Sequence[Any] = ()) -> list[Any]:
            return _patiently(lambda: once(statement, values), stopped)

        with self._turn(stopped):
            try:
                yield run
            except (sqlite3.Error, OSError) as error:
                raise CacheError(
                    f"the index {self.path} cannot be used ({error})",
                    advice="Another program holds it: stop that, or wait."
                    if _busy(error)
                    else f"Free space there. {self._elsewhere}",
                ) from error

    @property
    def _elsewhere(self) -> str:
        """What to do where it cannot be here."""
        if self.root is None:
            return "Give another place as index=."
        variable = "DICOMLAB_INDEX" if self._spare is None else "DICOMLAB_CACHE"
        return f"Name another folder in the environment variable {variable}, or give one as cache=."

    @contextmanager
    def _turn(self, stopped: Stopped) -> Iterator[None]:
        """Wait for the other threads; a thread of a call that was told to stop waits a moment at most."""
        while not self._lock.acquire(timeout=2 * LOOK):
            if stopped():
                raise CacheError(f"the index {self.path} is in use", advice="Call again.")
        try:
            yield
        finally:
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        """The connection; opened again when the file was deleted or replaced meanwhile."""
        if self._connection is not None:
            try:
                if os.stat(self.path).st_ino == self._inode:
                    return self._connection
            except OSError:
                pass
            self.close()
        try:
            self.path = made(self.path, self._spare, self.root)
        except OSError as error:
            raise CacheError(
                f"the index {error.filename or self.path} cannot be written ({error.strerror})",
                advice=self._elsewhere,
            ) from error
        try:
            self._connection = self._connect()
        except _TROUBLE as error:
            if not _damaged(error):
                raise
            self._discard()
            self._connection = self._connect()
        # an index that is let go of closes it; at the end of Python a job may still be at it
        end = weakref.finalize(self, _close, self._connection, self._process)
        end.atexit, self._end = False, end
        self._inode = os.stat(self.path).st_ino
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=LOOK, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError("file is not a database: another version")
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:  # a network file system without shared memory
                connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA secure_delete=ON")  # what is removed is in no free page of the file
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=4000")
            if version == 0:
                self._fill(connection)
            connection.execute("SELECT count(*) FROM (SELECT * FROM entry LIMIT 1)").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _fill(self, connection: sqlite3.Connection) -> None:
        """Make schema and rows in one transaction; another process waits for it and finds the work done."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.executemany(_INSERT, self._rebuild())
                connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _discard(self) -> None:
        """Remove a damaged index and what belongs to it."""
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                os.unlink(f"{self.path}{suffix}")


def _close(connection: sqlite3.Connection, process: int) -> None:
    """Close it, unless it is a parent's, who would lose its locks."""
    if os.getpid() == process:
        with suppress(sqlite3.Error):
            connection.close()


def _damaged(error: Exception) -> bool:
    """Whether the file itself is wrong, and not its surroundings (locked, disk full, read-only)."""
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    return getattr(error, "sqlite_errorcode", 0) & 0xFF not in _SURROUNDINGS


def _busy(error: Exception) -> bool:
    """Whether another process is at it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _patiently(step: Callable[[], list[Any]], stopped: Stopped) -> list[Any]:
    """Do that again while another process is at it."""
    end = time.monotonic() + BUSY
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if not _busy(error) or stopped() or time.monotonic() > end:
                raise


def _batches(names: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    names = list(names)
    for at in range(0, len(names), size):
        yield names[at : at + size]


def _some(series: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """As many series at a time as one statement takes."""
    many = list(series)
    for first in range(0, len(many), 200):
        yield many[first : first + 200]


def _pairs(count: int) -> str:
    return f"VALUES {','.join(['(?, ?)'] * count)}"


def _flat(series: Iterable[tuple[str, str]]) -> list[str]:
    return [value for one in series for value in one]
