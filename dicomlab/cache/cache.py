"""Received instances on disk: whole or not at all, and each under the node that it came from."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..amounts import bytes_of, days_of
from ..disk.leftovers import host
from ..errors import CacheError
from .arrival import Arrival
from .cachefolder import ASIDE, PART, QUARANTINE, CacheFolder, inspect, name_of, unread
from .database import Stopped, never
from .index import VERSION, Index, Row
from .upkeep import Upkeep

if TYPE_CHECKING:
    from datetime import timedelta

    from ..datasets.elements import Elements


class Outcome(StrEnum):
    """What became of a received data set."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the same bytes are here already
    DIFFERS = "differs"  # other bytes are here under this SOP Instance UID; the new ones were kept aside
    FOREIGN = "foreign"  # not what was asked for; kept aside
    BAD = "bad"  # damaged; kept in quarantine
    FULL = "full"  # the disk did not take it; nothing is left of it


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `Cache.receive` did."""

    outcome: Outcome
    file: str | None  # of the instance that is here; of the copy for DIFFERS, FOREIGN, BAD; None if not kept
    elements: Elements | None  # its header; None if that could not be read
    why: str  # "" or what is odd, in words
    size: int  # bytes of the data set
    SOPInstanceUID: str = ""  # of the data set, else of the command
    error: OSError | CacheError | None = None  # for FULL

    @property
    def path(self) -> Path | None:
        """The same file; of very many that takes more memory than all else."""
        return None if self.file is None else Path(self.file)


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
        variable ``DICOMLAB_INDEX``, else in the user's cache folder; in the root itself where that cannot be written.
        It holds identifiers of patients and studies, and goes when the folder of its cache is found to be gone.
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
        spare, ours = None, None
        if index is None:
            name, named = blake2b(os.fsencode(self.root), digest_size=8).hexdigest(), os.environ.get("DICOMLAB_INDEX")
            index = Path(named or home / "index") / f"{name}-{VERSION}.sqlite"
            ours = self.root
            if not named:  # one for each host: they may share the folder of a cache
                spare = self.root / "index" / f"{host()}-{VERSION}.sqlite"
        self._index = Index(Path(index).expanduser().resolve(), self._folder.rows, spare, ours)
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
        index = None if self._index.root else str(self._index.path)
        return _again, (type(self), str(self.root), index, self.max_size, self.max_age)

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


def _receipt(arrival: Arrival, outcome: Outcome, path: Path | None, why: str) -> Receipt:
    words = "; ".join((*([why] if why else []), *arrival.remarks))
    file = None if path is None else str(path)
    return Receipt(outcome, file, arrival.elements, words, arrival.size, arrival.uid, arrival.error)


def _again(kind: type[Cache], root: str, index: str | None, max_size: int | None, max_age: float | None) -> Cache:
    return kind(root, index=index, max_size=max_size, max_age=max_age)


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
