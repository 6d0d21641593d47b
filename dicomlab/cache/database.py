"""A SQLite file of ours that makes itself anew when it is absent, damaged or of another version."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..disk.indexplace import made
from ..errors import CacheError

BUSY = 60.0  # seconds to wait for another process that writes, or makes the index anew,
LOOK = 0.2  # and seconds of one wait in SQLite, which hears no Ctrl-C

Stopped = Callable[[], bool]  # whether the call was told to stop


def never() -> bool:
    """A call that nobody stops."""
    return False


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


class Database:
    """Runs statements, and again where the file was damaged.

    One connection per process, behind a lock: threads take turns, a forked child opens its own. Another
    process may use the same file.

    Parameters
    ----------
    path
        Of the SQLite file; folders above it are made.
    version
        Of what is in it; one of another version is made anew.
    fill
        Makes what is in it, in a transaction of that connection.
    probe
        A statement that runs where what is in it is whole.
    spare, root
        As `indexplace.made` takes them.
    """

    def __init__(
        self,
        path: Path,
        version: int,
        fill: Callable[[sqlite3.Connection], None],
        probe: str,
        spare: Path | None = None,
        root: Path | None = None,
    ) -> None:
        self.path = path
        self._version, self._make, self._probe = version, fill, probe
        self._spare, self.root = spare, root
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._end: Callable[[], object] = lambda: None
        self._inode = -1

    def close(self) -> None:
        """Close the connection of this process; the next call opens it again."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._connection = None
            self._end()

    @contextmanager
    def using(self, stopped: Stopped = never) -> Iterator[Callable[..., list[Any]]]:
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
            if version not in (0, self._version):
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
            connection.execute(self._probe).fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _fill(self, connection: sqlite3.Connection) -> None:
        """Make what is in it in one transaction; another process waits for it and finds the work done."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._make(connection)
                connection.execute(f"PRAGMA user_version={self._version}")
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
