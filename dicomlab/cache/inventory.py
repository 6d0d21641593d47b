"""What a cache holds: the rows of its index, as far as the files bear them out."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CacheError
from .cachefolder import CacheFolder, inspect, name_of, read_row
from .database import Stopped, never
from .index import Index, Row

if TYPE_CHECKING:
    from ..tables.tables import Address


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance that is here."""

    file: str
    SOPInstanceUID: str
    SOPClassUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    PatientID: str
    transfer_syntax: str
    size: int  # bytes of the file

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.file)


class Inventory:
    """What is here, checked when it is asked for: the files are the truth, the index only finds them."""

    root: Path
    _folder: CacheFolder
    _index: Index

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

    def file(self, node: str, uid: str) -> str:
        """Where an instance is, by its SOP Instance UID, if it is here."""
        return self._folder.place(name_of(node, uid))

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

    def _entry(self, row: Row) -> Entry:
        return Entry(
            self._folder.place(row.name),
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
        path = self._folder.place(row.name)
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
            here = inspect(Path(path))
        except OSError:  # it cannot be read now; a copy that comes takes its place
            return None
        if sound and here is not None and here[1] == row.digest:
            return row
        found = read_row(Path(path)) if here is not None else None
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
