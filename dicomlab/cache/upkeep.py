"""The cache as a tool: what is in it, limits, pins, removal, verification and export (R14.8)."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from .. import phi
from ..amounts import bytes_of, days_of
from ..errors import CacheError, InvalidRequest
from ..level import QueryLevel
from ..progress import reporter
from ..remarks import remark
from .index import Row
from .inventory import Inventory

if TYPE_CHECKING:
    import pandas as pd

    from ..tables.tables import Address

_LEVELS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_REMOVED, _WOULD_BE = "removed", "would be removed"


class Upkeep(Inventory):
    """What `Cache` offers to those who keep house; the arguments `what` and `node` name instances in all of it.

    ``what`` is a table with UIDs, a row of one, or UIDs, as for `Peer.retrieve`; the node of a row is taken where the
    table has that column, as that of `contents` does. ``node`` alone is all that came from it.
    """

    max_size: int | None
    max_age: float | None

    if TYPE_CHECKING:

        def open(self) -> None: ...

    @property
    def size(self) -> int:
        """Bytes of all instances."""
        return self._index.size()

    def contents(self, level: str = "SERIES", *, node: str | None = None) -> pd.DataFrame:
        """What is here, as a table.

        Parameters
        ----------
        level
            "PATIENT", "STUDY", "SERIES" or "IMAGE": what a row is.
        node
            Only what came from there, ``"AET@host:port"``.

        Returns
        -------
        pandas.DataFrame
            ``node``, the UIDs down to that level, ``instances``, ``size`` (bytes), ``received`` and ``used`` (UTC; the
            last time that a call received it or found it here), ``pinned``; at IMAGE level ``path`` too. Of what was
            not used for longest first.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     _ = pacs.retrieve(pacs.find("SERIES", PatientID="DEMO-001", Modality="CT").head(1))
        ...     table, size = pacs.cache.contents(), pacs.cache.size
        >>> len(table), list(table.columns[:2]), int(table["size"].sum()) == size
        (1, ['node', 'PatientID'], True)
        """
        asked = QueryLevel.of(level)
        rows = self._index.select() if node is None else self._index.select("node = ?", [node])
        return self._table([row for each in rows if (row := self._checked(each)) is not None], asked)

    def pin(self, what: Any = None, *, node: str | None = None) -> int:
        """Keep these series whatever the limits are and whoever removes them; gives how many there are."""
        series = _series(self._chosen(what, node))
        for one in series:
            self._folder.pin(*one)
        return len(series)

    def unpin(self, what: Any = None, *, node: str | None = None) -> int:
        """Take that back."""
        series = _series(self._chosen(what, node))
        for one in series:
            self._folder.unpin(*one)
        return len(series)

    def remove(self, what: Any = None, *, node: str | None = None, dry_run: bool = False) -> pd.DataFrame:
        """Delete instances: those of some rows, of a study, or all that came from a node.

        What was set aside of them goes too, so that nothing of a patient stays who is removed.

        Parameters
        ----------
        dry_run
            Only say what would be deleted.

        Returns
        -------
        pandas.DataFrame
            A row for each instance, with ``status``: "removed" ("would be removed"), or why it stays: "in use" by a
            retrieval that runs, here or in another process, or "pinned". ``attrs["set_aside"]`` is the number of
            files that were set aside of them.

        Raises
        ------
        InvalidRequest
            Nothing is selected.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     _ = pacs.retrieve(pacs.find("SERIES", PatientID="DEMO-001", Modality="CT").head(1))
        ...     print(set(pacs.cache.remove(pacs.cache.contents(), dry_run=True).status), pacs.cache.size > 0)
        ...     print(set(pacs.cache.remove(node=pacs.node.identity).status), pacs.cache.size)
        {'would be removed'} True
        {'removed'} 0
        """
        rows, status, aside = self._without(what, node, dry_run)
        table = self._table(rows, QueryLevel.IMAGE, status)
        table.attrs["set_aside"] = aside
        return table

    def drop(self, what: Any = None, *, node: str | None = None) -> int:
        """`remove` without its table, which takes longer than what it tells of; gives how many instances are gone."""
        return self._without(what, node, False)[1].count(_REMOVED)

    def _without(self, what: Any, node: str | None, dry_run: bool) -> tuple[list[Row], list[str], int]:
        """The rows that are named, what became of each, and how many files of them went that were set aside."""
        from .setaside import discard, empty, of

        rows = self._chosen(what, node)
        status = self._removed(rows, dry_run)
        if empty(self.root):
            return rows, status, 0
        stays = {
            (row.node, row.SeriesInstanceUID)
            for row, why in zip(rows, status, strict=True)
            if why not in (_REMOVED, _WOULD_BE)
        }
        paths = of(self.set_aside(), self._named(what, node), stays)
        if not dry_run:
            discard(paths)
        return rows, status, len(paths)

    def set_aside(self) -> pd.DataFrame:
        """What came and is no result: kept, for nothing that was received is thrown away, and never handed out.

        Returns
        -------
        pandas.DataFrame
            A row for each: ``node``, PatientID and the UIDs (as far as they can be read), ``kind`` ("aside": other
            bytes of an instance that is here, or one that nobody asked for; "quarantine": damaged), ``why``, ``size``
            (bytes), ``since`` (UTC) and ``path``.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     len(pacs.cache.set_aside())
        0
        """
        from .setaside import listed

        return listed(self.root)

    def discard(self, rows: pd.DataFrame | None = None) -> int:
        """Delete what was set aside, or some rows of that table; gives how many there were.

        Raises
        ------
        InvalidRequest
            A row is none of `set_aside`.
        """
        from .setaside import discard

        here = self.set_aside().path.tolist()
        paths = here if rows is None else [str(path) for path in rows["path"]]
        if strange := sorted(set(paths) - set(here)):
            raise InvalidRequest(
                f"{phi.path(strange[0])!r} was not set aside here", advice="Give rows of set_aside(), or none for all."
            )
        discard(paths)
        return len(paths)

    def trim(
        self,
        max_size: int | str | None = None,
        max_age: float | dt.timedelta | None = None,
        *,
        dry_run: bool = False,
    ) -> pd.DataFrame:
        """Delete whole series, those that were not used for longest first, until the limits are kept.

        Series that a running retrieval needs, and pinned ones, stay; so does what was set aside, which is not counted
        (`discard`). A cache that was made with limits is trimmed after each retrieval.

        Parameters
        ----------
        max_size
            Bytes, or text such as ``"50 GB"``; default that of the cache.
        max_age
            Days since a series was used last; default that of the cache.
        dry_run
            Only say what would be deleted.

        Returns
        -------
        pandas.DataFrame
            As `remove` gives it.

        Raises
        ------
        InvalidRequest
            There is no limit, or it is none.
        """
        size = self.max_size if max_size is None else bytes_of(max_size)
        age = self.max_age if max_age is None else days_of(max_age)
        if size is None and age is None:
            raise InvalidRequest("there is no limit", advice='Say max_size="50 GB", or max_age=30 (days).')
        total, chosen = self._index.size(), list[tuple[str, str]]()
        if age is not None or (size is not None and total > size):
            sizes = self._index.sizes()
            known = self._index.used(sizes)
            used = {one: max(received, known.get(one, 0.0)) for one, (_, received) in sizes.items()}
            oldest = None if age is None else time.time() - age * 86400
            stays = self._kept()
            for one in sorted(sizes, key=lambda one: used[one]):
                if not ((oldest is not None and used[one] < oldest) or (size is not None and total > size)):
                    continue
                if not stays(one, used[one]):
                    chosen.append(one)
                    total -= sizes[one][0]
        if size is not None and total > size:
            remark(
                f"the cache {self.root} is {total - size:,} bytes over its limit: what is left is pinned or in use",
                stacklevel=3,
            )
        place = {one: number for number, one in enumerate(chosen)}
        rows = self._index.of_series(chosen)
        rows.sort(key=lambda row: (place[row.node, row.SeriesInstanceUID], row.name))
        return self._table(rows, QueryLevel.IMAGE, self._removed(rows, dry_run))

    def verify(self, what: Any = None, *, node: str | None = None, progress: Any = None) -> list[str]:
        """Read every file, or those of `what`, and compare its digest; damaged ones go to quarantine.

        Returns
        -------
        list of str
            The SOP Instance UIDs that are lost: they are not here any more, and the next retrieval fetches them.
        """
        rows = self._index.select() if what is None and node is None else self._chosen(what, node)
        bar, lost = reporter(progress, "verify", len(rows) or None), []
        try:
            for row in rows:
                if self._checked(row, True) is None:
                    lost.append(row.SOPInstanceUID)
                bar.advance(1, row.size)
        finally:
            bar.close()
        return lost

    def export(
        self,
        what: Any,
        to: str | os.PathLike[str],
        *,
        node: str | None = None,
        layout: str = "tree",
        link: bool = False,
        dry_run: bool = False,
        progress: Any = None,
    ) -> pd.DataFrame:
        """Copy instances to a folder of their own, under plain names, in the order of their planes.

        The files are those of the cache: the data set bit for bit as it came, and a file meta of ours that names the
        node that it came from. **They hold patient data**: nothing is changed in them. Their mode is 0600.

        Parameters
        ----------
        what
            A table with UIDs, or UIDs; None with `node` for all that came from it.
        to
            A folder that is not there yet, or is empty.
        layout
            "tree" (``PAT00001/STU00001/SER00001/IMG00001``, names that a DICOMDIR may have) or "flat"
            (``00000001.dcm``).
        link
            Hard links instead of copies: they take no room, and who edits one damages the cache.
        dry_run
            Write nothing; the paths are those that would be written.

        Returns
        -------
        pandas.DataFrame
            The instances table of the copies.

        Raises
        ------
        InvalidRequest
            Nothing is selected or here, or the folder has something in it.
        CacheError
            The disk has no room, or does not take it.

        Examples
        --------
        >>> import dicomlab as dl, tempfile, pathlib
        >>> with dl.demo_pacs() as pacs, tempfile.TemporaryDirectory() as folder:
        ...     series = pacs.find("SERIES", PatientID="DEMO-001", Modality="CT").head(1)
        ...     _ = pacs.retrieve(series)
        ...     table = pacs.cache.export(series, pathlib.Path(folder) / "copies")
        ...     print(pathlib.Path(table.path[0]).relative_to(folder).as_posix())
        copies/PAT00001/STU00001/SER00001/IMG00001
        """
        from .copying import copied

        rows = [row for each in self._chosen(what, node) if (row := self._checked(each)) is not None]
        if not rows:
            raise InvalidRequest("nothing of that is here", advice="Retrieve it first.")
        here = {str(self._folder.path(row.name)): row for row in rows}
        return copied(here, to, layout=layout, link=link, dry_run=dry_run, progress=progress)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Nothing that is received or found here inside this ``with`` block is removed meanwhile, by any process.

        At its end the cache is trimmed where it has limits.
        """
        lease = None
        with suppress(OSError, CacheError):
            self.open()
            lease = self._folder.lease()
        try:
            yield
            if lease is not None and (self.max_size is not None or self.max_age is not None):
                with suppress(OSError, CacheError):  # what was received stands
                    self.trim()
        finally:
            if lease is not None:
                with suppress(OSError):
                    os.unlink(lease)

    def _chosen(self, what: Any, node: str | None) -> list[Row]:
        """The rows that are named."""
        found: dict[str, Row] = {}
        for one, asked in self._named(what, node):
            if asked is None:
                rows = self._index.select("node = ?", [one])
            elif one:
                rows = self._rows(one, asked)
            else:
                nodes = sorted({row.node for row in self._index.select()})
                rows = [row for each in nodes for row in self._rows(each, asked)]
            found |= {row.name: row for row in rows}
        return list(found.values())

    @staticmethod
    def _named(what: Any, node: str | None) -> list[tuple[str, list[Address] | None]]:
        """What is named of each node, "" for any; None is all of it."""
        from ..tables.tables import addresses

        if what is None:
            if node is None:
                raise InvalidRequest("nothing is selected", advice='Name rows, a UID, or node="AET@host:port".')
            return [(node, None)]
        named = _nodes_of(what) if node is None else None
        return [(node or "", addresses(what))] if named is None else [(one, addresses(rows)) for one, rows in named]

    def _removed(self, rows: Sequence[Row], dry_run: bool) -> list[str]:
        """Delete them where they may go; gives of each "removed" or why it stays."""
        stays, used = self._kept(), self._used(rows)
        status, gone = [], []
        for row in rows:
            series = (row.node, row.SeriesInstanceUID)
            why = stays(series, used[series])
            status.append(why or (_WOULD_BE if dry_run else _REMOVED))
            if not why and not dry_run:
                with suppress(FileNotFoundError):
                    os.unlink(self._folder.path(row.name))
                gone.append(row.name)
        self._index.drop(gone)
        return status

    def _kept(self) -> Any:
        """A function of a series and of when it was used, that gives "" or why it stays."""
        began = min(self._folder.leases(), default=None)
        pinned = self._folder.pinned()

        def stays(series: tuple[str, str], used: float) -> str:
            if self._folder.pin_name(*series) in pinned:
                return "pinned"
            return "in use" if began is not None and used >= began else ""

        return stays

    def _used(self, rows: Sequence[Row]) -> dict[tuple[str, str], float]:
        """When each series was received or found here last, in seconds of the epoch."""
        known = self._index.used({(row.node, row.SeriesInstanceUID) for row in rows})
        times: dict[tuple[str, str], float] = {}
        for row in rows:
            series = (row.node, row.SeriesInstanceUID)
            times[series] = max(times.get(series, 0.0), row.received, known.get(series, 0.0))
        return times

    def _table(self, rows: Sequence[Row], level: QueryLevel, status: Sequence[str] | None = None) -> pd.DataFrame:
        import pandas as pd

        used, pinned = self._used(rows), self._folder.pinned()
        words = list(_LEVELS[: _LEVELS.index(level.unique_key) + 1])
        frame = pd.DataFrame(
            [
                (row.node, row.PatientID, row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID)
                for row in rows
            ],
            columns=["node", *_LEVELS],
            dtype="string",
        )
        series = [(row.node, row.SeriesInstanceUID) for row in rows]
        frame["instances"] = 1
        frame["size"] = pd.Series([row.size for row in rows], dtype="int64")
        for name, times in (("received", [row.received for row in rows]), ("used", [used[one] for one in series])):
            frame[name] = pd.to_datetime(pd.Series(times, dtype="float64"), unit="s", utc=True)
        frame["pinned"] = pd.Series([self._folder.pin_name(*one) in pinned for one in series], dtype="bool")
        if level is QueryLevel.IMAGE:
            frame["path"] = pd.Series([str(self._folder.path(row.name)) for row in rows], dtype="string")
            frame["status"] = pd.Series(status if status is not None else ["here"] * len(rows), dtype="string")
        else:
            frame = frame.groupby(["node", *words], as_index=False, sort=False, dropna=False).agg(
                {"instances": "sum", "size": "sum", "received": "max", "used": "max", "pinned": "any"}
            )
        frame = frame.sort_values(["used", "node", *words], kind="stable").reset_index(drop=True)
        frame.attrs = {"cache": str(self.root)}
        return phi.frame(frame)


def _series(rows: Iterable[Row]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row.node, row.SeriesInstanceUID) for row in rows))


def _nodes_of(what: Any) -> list[tuple[str, Any]] | None:
    """The rows of a table by their column ``node``; None where it has none."""
    import pandas as pd

    if isinstance(what, pd.Series) and "node" in what.index:
        return [(str(what["node"]), what)]
    if not isinstance(what, pd.DataFrame) or "node" not in what.columns or not len(what):
        return None
    return [(str(node), rows) for node, rows in what.groupby("node", sort=False)]
