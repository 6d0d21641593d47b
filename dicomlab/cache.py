"""Received instances on disk: whole or not at all, and each under the node that it came from."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arrival import Arrival
from .cachefolder import ASIDE, PART, QUARANTINE, CacheFolder, inspect, name_of, read_row, unread
from .errors import CacheError
from .index import VERSION, Index, Row, Stopped, never
from .upkeep import Upkeep, bytes_of, days_of

if TYPE_CHECKING:
    from datetime import timedelta

    from .elements import Elements
    from .tables import Address


class Outcome(StrEnum):
    """What became of a received data set."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the same bytes are here already
    DIFFERS = "differs"  # other bytes are here under this SOP Instance UID; the new ones were kept aside
    FOREIGN = "foreign"  # not what was asked for; kept aside
    BAD = "bad"  # damaged; kept in quarantine
    FULL = "full"  # the disk did not take it; nothing is left of it


@dataclass(frozen=True)
class Receipt:
    """What `Cache.receive` did."""

    outcome: Outcome
    path: Path | None  # of the instance that is here; of the copy for DIFFERS, FOREIGN, BAD; None if not kept
    elements: Elements | None  # its header; None if that could not be read
    why: str  # "" or what is odd, in words
    size: int  # bytes of the data set
    SOPInstanceUID: str = ""  # of the data set, else of the command
    error: OSError | CacheError | None = None  # for FULL


@dataclass(frozen=True)
class Entry:
    """One instance that is here."""

    path: Path
    SOPInstanceUID: str
    SOPClassUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    PatientID: str
    transfer_syntax: str
    size: int  # bytes of the file


class Cache(Upkeep):
    """A folder of received instances.

    Entries belong to the node they were received from: one archive's copy is never handed out for another.
    Names of files are digests, no text of a peer. Threads and processes may share one cache.

    Parameters
    ----------
    root
        The folder; made when first needed, mode 0700. Default: environment variable ``DICOMLAB_CACHE``, else
        the user's cache folder.
    index
        The SQLite file that says what lies where. Default: one for each root in the folder of the environment
        variable ``DICOMLAB_INDEX``, else in the user's cache folder.
    max_size, max_age
        Limits, as `trim` takes them: after each retrieval the series that were not used for longest go until they are
        kept. Default none: nothing is ever deleted unasked.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Cache(folder / "cache", index=folder / "index.sqlite") as cache:
    ...     cache.instances("ARCHIVE@localhost:11112", [])
    []
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        index: str | Path | None = None,
        max_size: int | str | None = None,
        max_age: float | timedelta | None = None,
    ) -> None:
        import platformdirs

        self.max_size = None if max_size is None else bytes_of(max_size)
        self.max_age = None if max_age is None else days_of(max_age)

        home = Path(platformdirs.user_cache_dir("dicomlab", appauthor=False))
        chosen = root or os.environ.get("DICOMLAB_CACHE") or home / "instances"
        self.root = Path(chosen).expanduser().resolve()
        self._folder = CacheFolder(self.root)
        if index is None:
            digest = blake2b(os.fsencode(self.root), digest_size=8).hexdigest()
            folder = os.environ.get("DICOMLAB_INDEX") or home / "index"
            index = Path(folder) / f"{digest}-{VERSION}.sqlite"
        self._index = Index(Path(index).expanduser().resolve(), self._folder.rows)
        self._process = 0
        self._opening = threading.Lock()
        self._touched: set[str] = set()

    def __repr__(self) -> str:
        return f"Cache({str(self.root)!r})"

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), str(self.root), str(self._index.path), self.max_size, self.max_age)

    def close(self) -> None:
        """Close the index. The cache may be used again and opens it then."""
        self._index.close()

    def open(self) -> None:
        """Make the folder, check that it is ours and can be written, sweep what dead processes left.

        Called by the first `receive`; call it before a retrieval, so that nothing is asked for in vain.

        Raises
        ------
        CacheError
            The folder cannot be made, belongs to another user or cannot be written.
        """
        if self._process == os.getpid():
            return
        with self._opening:
            self._folder.open()
            self._process = os.getpid()

    def receive(
        self,
        node: str,
        data: bytes | bytearray | memoryview,
        *,
        sop_class: str,
        sop_instance: str,
        transfer_syntax: str,
        accept: Callable[[Elements], str] | None = None,
        replace: bool = False,
    ) -> Receipt:
        """Keep a data set that is in memory, if it is whole; the arguments are those of `arrival`.

        Returns
        -------
        Receipt
            The instance is here after STORED and DUPLICATE only.
        """
        arrival = self.arrival(
            node,
            sop_class=sop_class,
            sop_instance=sop_instance,
            transfer_syntax=transfer_syntax,
            accept=accept,
            replace=replace,
        )
        with memoryview(data) as view, view.cast("B") as flat:
            for at in range(0, len(flat), PART):
                part = flat[at : at + PART]
                arrival.room(len(part))[:] = part
        return arrival.finish()

    def arrival(
        self,
        node: str,
        *,
        sop_class: str,
        sop_instance: str,
        transfer_syntax: str,
        accept: Callable[[Elements], str] | None = None,
        replace: bool = False,
        stopped: Stopped = never,
    ) -> Arrival:
        """Take a data set as it arrives: into `room` after `room`, then `finish` gives the `Receipt`.

        Parameters
        ----------
        node
            Identity of the peer, ``"AET@host:port"``.
        sop_class, sop_instance
            Affected SOP Class UID and Affected SOP Instance UID of the C-STORE request.
        transfer_syntax
            UID of the transfer syntax of the presentation context.
        accept
            Called with the header; gives "" or the reason why the data set is not wanted.
        replace
            Where other bytes are here under the same UID: keep the new ones and put the old ones aside.
        stopped
            Whether the call was told to stop: no other process is waited for then.
        """

        def settle(arrival: Arrival) -> Receipt:
            return self._settle(arrival, accept, replace, stopped)

        trouble: CacheError | None = None
        try:
            self.open()
        except CacheError as error:
            trouble = error
        arrival = Arrival(self._folder, node, sop_class, sop_instance, transfer_syntax, settle)
        if trouble is not None:
            arrival.fail(trouble)
        return arrival

    def _settle(
        self, arrival: Arrival, accept: Callable[[Elements], str] | None, replace: bool, stopped: Stopped
    ) -> Receipt:
        """Where an arrival that is all there belongs."""
        if arrival.error is not None:
            return _receipt(arrival, Outcome.FULL, None, f"it could not be kept: {_words(arrival.error)}")
        if arrival.bad:
            why = f"{arrival.sop_instance!r}: {arrival.bad}"
            return _receipt(arrival, Outcome.BAD, self._stash(QUARANTINE, arrival, why), arrival.bad)
        assert arrival.elements is not None
        why = accept(arrival.elements) if accept is not None else ""
        if why:
            return _receipt(arrival, Outcome.FOREIGN, self._stash(ASIDE, arrival, why), why)
        try:
            return self._keep(arrival, arrival.elements, replace, stopped)
        except (OSError, CacheError) as error:
            arrival.error = error
            return _receipt(arrival, Outcome.FULL, None, f"it could not be kept: {_words(error)}")

    def _keep(self, arrival: Arrival, elements: Elements, replace: bool, stopped: Stopped) -> Receipt:
        name = name_of(arrival.node, arrival.uid)
        final = self._folder.path(name)
        outcome = Outcome.STORED
        draft = arrival.seal()
        modified, size = draft.modified, draft.size
        for _ in range(3):
            if self._folder.settle(draft.path, final):
                break
            try:
                here = inspect(final)
            except OSError as error:
                if not unread(error):
                    raise
                here = None
            if here is None:
                self._expel(name, "damaged, and received again")
                arrival.remarks.append("the copy that was here is damaged and was put into quarantine")
            elif here == (arrival.node, arrival.digest, arrival.transfer_syntax):
                status = os.lstat(final)
                outcome, modified, size = Outcome.DUPLICATE, status.st_mtime_ns, status.st_size
                break
            elif replace:
                self._folder.replace(draft.path, final)
                arrival.remarks.append("the copy that was here differs and was put aside")
                break
            else:
                why = "other bytes are here under the same SOP Instance UID"
                return _receipt(arrival, Outcome.DIFFERS, self._stash(ASIDE, arrival, why), why)
        else:
            raise OSError(17, "another process keeps making this file", str(final))
        self._index.add(
            Row(
                name,
                arrival.node,
                arrival.uid,
                arrival.sop_class,
                arrival.study,
                arrival.series,
                elements.text("PatientID"),
                arrival.transfer_syntax,
                size,
                modified,
                arrival.digest,
                time.time(),
            ),
            stopped,
        )
        self._touched.add(name[:1])
        return _receipt(arrival, outcome, final, "")

    def _stash(self, folder: str, arrival: Arrival, why: str) -> Path | None:
        if arrival.gone:
            return None
        try:
            draft = arrival.seal()
        except OSError:
            return None
        return self._folder.stash(folder, draft, arrival.node, arrival.digest, why)

    def instances(
        self,
        node: str,
        addresses: Iterable[Address],
        *,
        digest: bool = False,
        stopped: Stopped = never,
        lost: list[str] | None = None,
    ) -> list[Entry]:
        """What is here, whole, for these addresses.

        A file that was lost, cut or edited since is dropped from the index and reported absent; a damaged one
        goes to quarantine.

        Parameters
        ----------
        node
            Identity of the peer that they came from.
        addresses
            Of patients, studies, series or instances.
        digest
            Read every file and compare its digest too; else size and time of change are compared.
        stopped
            Whether the call was told to stop: no other process is waited for then.
        lost
            Takes the SOP Instance UIDs of damaged files.
        """
        found = self._entries(self._rows(node, addresses, stopped), digest, lost)
        if found:
            with suppress(CacheError):
                self._index.note_used({(node, one.SeriesInstanceUID) for one in found}, time.time(), stopped)
        return found

    def _rows(self, node: str, addresses: Iterable[Address], stopped: Stopped = never) -> list[Row]:
        """What the index has for these addresses, or a file by its name."""
        rows: dict[str, Row] = {}
        named: dict[str, Address] = {}
        for address in addresses:
            if address.SOPInstanceUID:
                named[name_of(node, address.SOPInstanceUID)] = address
            else:
                where, values = _condition(address)
                found = self._index.select(f"node = ? AND {where}", [node, *values], stopped)
                rows |= {row.name: row for row in found}
        if named:
            listed = {row.name: row for row in self._index.named(named, stopped)}
            for name, address in named.items():
                row = listed.get(name) or self._adopt(name, node)
                if row is not None and _belongs(row, address):
                    rows[name] = row
        return list(rows.values())

    def known(self, node: str, addresses: Iterable[Address]) -> set[str]:
        """SOP Instance UIDs that are here, whole, for these addresses."""
        return {entry.SOPInstanceUID for entry in self.instances(node, addresses)}

    def entries(self, node: str | None = None) -> list[Entry]:
        """All that is here, or all from one node; checked as `instances` does."""
        rows = self._index.select() if node is None else self._index.select("node = ?", [node])
        return self._entries(rows)

    def answer(self, node: str, series: str) -> tuple[int, int] | None:
        """How many instances that node stated of a series, and how many came when all were asked for; or None."""
        return self._index.answer(node, series)

    def note_answer(self, node: str, series: str, stated: int, came: int) -> None:
        """Remember what `answer` gives."""
        self._index.note_answer(node, series, stated, came)

    def sync(self) -> None:
        """Ask the system to put the folders that were written to on the disk; once, after a retrieval."""
        touched, self._touched = self._touched, set()
        if not touched or sys.platform == "win32":
            return
        for name in sorted(touched):
            with suppress(OSError):
                handle = os.open(self.root / name, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def _entry(self, row: Row) -> Entry:
        return Entry(
            self._folder.path(row.name),
            row.SOPInstanceUID,
            row.SOPClassUID,
            row.StudyInstanceUID,
            row.SeriesInstanceUID,
            row.PatientID,
            row.transfer_syntax,
            row.size,
        )

    def _expel(self, name: str, why: str) -> None:
        """Move what stands under a final name, and is not the instance, to quarantine."""
        with suppress(FileNotFoundError):
            self._folder.expel(self._folder.path(name), why)
        self._index.drop([name])

    def _checked(self, row: Row, digest: bool = False, lost: list[str] | None = None) -> Row | None:
        """The row, where its file is what was received; a file that is not goes to quarantine, and its UID to `lost`.

        Where another process has replaced the file since by another whole copy, that one's row: files are the truth.
        """
        path = self._folder.path(row.name)
        try:
            status = os.lstat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                self._index.drop([row.name])
            return None
        sound = stat.S_ISREG(status.st_mode) and status.st_size == row.size
        if sound and not digest and status.st_mtime_ns == row.modified:
            return row
        try:
            here = inspect(path)
        except OSError:  # it cannot be read now; a copy that comes takes its place
            return None
        if sound and here is not None and here[1] == row.digest:
            return row
        found = read_row(path) if here is not None else None
        if found is not None and found.name == row.name:
            self._index.add(found)
            return found
        with suppress(OSError):
            self._expel(row.name, "it is not what was received")
            if lost is not None:
                lost.append(row.SOPInstanceUID)
        return None

    def _entries(self, rows: Iterable[Row], digest: bool = False, lost: list[str] | None = None) -> list[Entry]:
        return [self._entry(row) for each in rows if (row := self._checked(each, digest, lost)) is not None]

    def _adopt(self, name: str, node: str) -> Row | None:
        """Enter a file that the index does not know: of another host, or of a process that was killed."""
        path = self._folder.path(name)
        if not os.path.lexists(path):
            return None
        try:
            row = read_row(path) if inspect(path) is not None else None
        except OSError:
            return None
        if row is None or row.node != node or row.name != name:
            with suppress(OSError):
                self._expel(name, "not the instance that its name says")
            return None
        self._index.add(row)
        return row


def _receipt(arrival: Arrival, outcome: Outcome, path: Path | None, why: str) -> Receipt:
    words = "; ".join((*([why] if why else []), *arrival.remarks))
    return Receipt(outcome, path, arrival.elements, words, arrival.size, arrival.uid, arrival.error)


def _again(kind: type[Cache], root: str, index: str, max_size: int | None, max_age: float | None) -> Cache:
    return kind(root, index=index, max_size=max_size, max_age=max_age)


def _condition(address: Address) -> tuple[str, Sequence[str]]:
    """The SQL condition of an address above IMAGE level; with a study there, PatientID is not needed."""
    if address.SeriesInstanceUID:
        if address.StudyInstanceUID:
            return "SeriesInstanceUID = ? AND StudyInstanceUID = ?", (
                address.SeriesInstanceUID,
                address.StudyInstanceUID,
            )
        return "SeriesInstanceUID = ?", (address.SeriesInstanceUID,)
    if address.StudyInstanceUID:
        return "StudyInstanceUID = ?", (address.StudyInstanceUID,)
    return "PatientID = ?", (address.PatientID,)


def _belongs(row: Row, address: Address) -> bool:
    return address.StudyInstanceUID in ("", row.StudyInstanceUID) and address.SeriesInstanceUID in (
        "",
        row.SeriesInstanceUID,
    )


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
