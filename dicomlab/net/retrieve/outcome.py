"""One retrieval as it goes on, and what it came to: the table, its remarks, or the error (SPEC 5)."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import phi
from ...amounts import are, counted
from ...cache.cache import Cache
from ...cache.inventory import Entry
from ...datasets.elements import Elements
from ...datasets.headers import read
from ...errors import (
    AssociationRejected,
    CacheError,
    ConnectError,
    DicomlabError,
    IncompleteRetrieve,
    InvalidRequest,
    NoAcceptedContext,
    StatusError,
)
from ...scanning.instances import WANTED, check_whole, in_parts
from ...status import Category
from ...tables.tables import Address, tell
from ..association.deadline import Cancelled, Deadline
from ..association.node import Node
from .holdings import Held, Holdings
from .receiver import Receiver
from .tally import Tally, say

if TYPE_CHECKING:
    import pandas as pd

_NAMED = {0x00080016, 0x00080018}  # SOP Class and Instance UID: a file's meta group has them where a data set has not
REFUSED_BEFORE = (ConnectError, AssociationRejected, NoAcceptedContext, InvalidRequest)


QUICK = 2_000  # files that are looked at again after a stop, when the table is due within a second (R1.19)


@dataclass
class Retrieval:
    """One retrieval: what is due, what is here, what came, and why not all of it."""

    node: Node
    cache: Cache
    addresses: list[Address]
    deadline: Deadline
    refresh: bool = False
    named: str = ""  # RetrieveAETitle where the rows name another node than the one that answered
    holdings: Holdings = field(default_factory=Holdings)
    here: dict[str, None] = field(default_factory=dict)  # SOP Instance UIDs of what is asked and here, in their order
    tally: Tally = field(default_factory=Tally)
    receiver: Receiver | None = None
    method: str = ""
    reason: str = ""
    cause: BaseException | None = None
    remarks: list[str] = field(default_factory=list)

    def look(self) -> None:
        """See what is here."""
        self.here = dict.fromkeys(entry.SOPInstanceUID for entry in self._entries(self.addresses))

    def _entries(self, addresses: Sequence[Address]) -> list[Entry]:
        lost: list[str] = []
        stopped = self.deadline.is_stopped
        entries = self.cache.instances(self.node.identity, addresses, stopped=stopped, lost=lost)
        if lost:
            these = counted(len(lost), "file") if len(lost) > 1 else f"the file of {lost[0]}"
            self.remarks.append(f"{these} in the cache had been damaged, and went to quarantine")
        return entries

    def weigh(self, remembered: bool) -> None:
        """Believe the list of a series that is said to have more, where all of it was asked for and no more came."""
        for series, short in self.holdings.short.items():
            answer = self.cache.answer(self.node.identity, series) if remembered and not self.refresh else None
            entries = self._of_series(short.study, series) if answer is not None else {}
            if answer is None or answer[0] != short.stated or len(short.listed | entries.keys()) < answer[1]:
                self.holdings.doubt(str(short))
                continue
            for uid, sop_class in entries.items():
                self.holdings.instances.setdefault(uid, Held(uid, short.study, series, sop_class))
            came = f"when it was asked for all of them {answer[1]} came"
            self.remarks.append(f"{short}; {came} (refresh=True asks again)")

    def remember(self, requests: int) -> None:
        """Note how many came of each series whose list was doubted, where all requests ended well."""
        receiver, said = self.receiver, self.tally.latest
        well = self.cause is None and receiver is not None and not receiver.refused and len(said) >= requests
        sent = self.tally.counts.get("completed", 0)
        if not well or sent > len(self.kept) or any(item.category is not Category.SUCCESS for item in said):
            return
        with contextlib.suppress(CacheError):  # it is asked again, then
            for series, short in self.holdings.short.items():
                came = len(self._of_series(short.study, series))
                self.cache.note_answer(self.node.identity, series, short.stated, came)

    def _of_series(self, study: str, series: str) -> dict[str, str]:
        """What is here of a series: SOP Class UIDs by SOP Instance UID."""
        address = Address(StudyInstanceUID=study, SeriesInstanceUID=series)
        return {entry.SOPInstanceUID: entry.SOPClassUID for entry in self._entries([address])}

    def due(self) -> list[Held]:
        """What the archive says it holds and is not here, or is to be fetched again."""
        here = {} if self.refresh else self.here
        return [held for uid, held in self.holdings.instances.items() if uid not in here]

    @property
    def kept(self) -> dict[str, Elements | None]:
        """What is here now because of this retrieval: see `Receiver.kept`."""
        return self.receiver.kept if self.receiver else {}

    def lacking(self) -> list[str]:
        """SOP Instance UIDs that are due and did not come; what came is added to what is here."""
        kept = dict(self.kept)  # after a second Ctrl-C an association may still be ending, and keep one more
        self.here |= dict.fromkeys(kept)
        return [uid for uid in self.holdings.instances if uid not in (self.kept if self.refresh else self.here)]

    def table(self, order: Sequence[str]) -> pd.DataFrame:
        """The instances table of these that are here; headers are in memory for a part of it at a time."""

        def part(rows: slice) -> tuple[list[str], Sequence[Elements]]:
            files = [self.cache.file(self.node.identity, uid) for uid in order[rows]]
            return files, self._headers(order[rows], files)

        frame = in_parts(len(order), part)
        tell(frame, stacklevel=11)
        return frame

    def _headers(self, order: Sequence[str], files: Sequence[str]) -> Sequence[Elements]:
        """The headers of instances that are here; of what just came, as they were read then."""
        known = {uid: found for uid in order if (found := self._came(uid)) is not None}
        read_now = read([file for uid, file in zip(order, files, strict=True) if uid not in known], WANTED).described()
        check_whole(read_now)
        for error in read_now.errors.values():
            raise error
        if not known:
            return read_now
        others = iter(read_now)
        return [known[uid] if uid in known else next(others) for uid in order]

    def _came(self, uid: str) -> Elements | None:
        elements = self.kept.get(uid)
        return elements if elements is not None and elements.raw.keys() >= _NAMED else None


def estimate(run: Retrieval) -> pd.DataFrame:
    """One row a series: how many instances and bytes there are, are here and would be fetched."""
    import pandas as pd

    due = {held.SOPInstanceUID for held in run.due()}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for held in run.holdings.instances.values():
        row = rows.setdefault(
            (held.StudyInstanceUID, held.SeriesInstanceUID),
            {"classes": set(), "instances": 0, "here": 0, "to_fetch": 0, "bytes": 0, "unknown": 0},
        )
        row["classes"].add(held.SOPClassUID)
        row["instances"] += 1
        if held.SOPInstanceUID not in due:
            row["here"] += 1
            continue
        row["to_fetch"] += 1
        row["bytes"] += held.size or 0
        row["unknown"] += held.size is None
    frame = pd.DataFrame(
        [
            (study, series, row["instances"], row["here"], row["to_fetch"], None if row["unknown"] else row["bytes"])
            for (study, series), row in rows.items()
        ],
        columns=["StudyInstanceUID", "SeriesInstanceUID", "instances", "here", "to_fetch", "bytes_to_fetch"],
    ).astype(
        {
            "StudyInstanceUID": "string", "SeriesInstanceUID": "string", "instances": "Int64", "here": "Int64",
            "to_fetch": "Int64", "bytes_to_fetch": "Int64",
        }
    )  # fmt: skip
    known = bool(len(frame)) and not frame["bytes_to_fetch"].isna().any()
    frame.attrs = {
        "peer": run.node.identity,
        "instances": int(frame["instances"].sum()),
        "to_fetch": int(frame["to_fetch"].sum()),
        "bytes_to_fetch": int(frame["bytes_to_fetch"].sum()) if known else None,
        "known": run.holdings.known,
        "why": run.holdings.why,
        "cache": str(run.cache.root),
        "free": free(run.cache.root),
    }
    remarks = [_nothing(run)] if not run.holdings.instances and run.holdings.known else []
    if known and frame.attrs["bytes_to_fetch"] > frame.attrs["free"]:
        remarks.append(
            f"{frame.attrs['bytes_to_fetch']:,} bytes would be fetched, uncompressed, and the disk of the cache has "
            f"{frame.attrs['free']:,} free"
        )
    say(remarks, run.node.identity)
    return frame


def free(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def result(run: Retrieval, errors: str) -> pd.DataFrame:
    """The table of a retrieval that has ended, or the error that it ends with."""
    missing = run.lacking()
    stopped = isinstance(run.cause, KeyboardInterrupt | Cancelled)
    if missing and (not stopped or len(run.here) <= QUICK):  # another process may have fetched it meanwhile
        with contextlib.suppress(CacheError):
            run.look()
        missing = run.lacking()
    due, kept = run.holdings.instances, run.kept
    order = [uid for uid in due if uid in run.here]
    order += [uid for uid in run.here if uid not in due and (uid in kept or not run.holdings.known)]
    frame = run.table(order)
    remarks = _remarks(run, missing)
    frame.attrs.update(
        {
            "peer": run.node.identity,
            "retrieve_ae_title": run.named or run.node.ae_title,
            "method": run.method or None,
            "reason": run.reason or None,
            "missing": missing,
            "fetched": len(kept),
            "bytes": run.receiver.bytes if run.receiver else 0,
            "cancelled": stopped,
            "peer_status": [status.code for status in run.tally.statuses],
            "peer_counts": run.tally.counts,
            "associations": run.tally.associations,
            "remarks": remarks,
            "complete": run.holdings.known and not missing,
            "elapsed": round(run.deadline.elapsed, 3),
            "cache": str(run.cache.root),
        }
    )
    frame.attrs = phi.attributes(frame.attrs)
    trouble = _trouble(run, frame, missing)
    if trouble is None:
        say(remarks, run.node.identity)
        return frame
    if errors == "report" and isinstance(trouble, IncompleteRetrieve):
        say([trouble.message, *remarks], run.node.identity)
        return frame
    raise trouble from (run.cause or (run.receiver.full if run.receiver else None))


def _remarks(run: Retrieval, missing: list[str]) -> list[str]:
    remarks: list[str] = []
    if run.receiver is not None:
        remarks += [f"{item.SOPInstanceUID} was not kept: {item.why}" for item in run.receiver.refused]
        remarks += run.receiver.remarks
    if not run.holdings.instances and run.holdings.known:
        remarks.append(_nothing(run))
    if not run.holdings.known:
        remarks.append(f"it is not known what the archive holds ({run.holdings.why}); what came may not be all")
    if run.cause is not None and not missing:
        remarks.append(f"all instances are here, yet it ended badly: {run.cause or type(run.cause).__name__}")
    return remarks + run.remarks


def _nothing(run: Retrieval) -> str:
    text = "the archive holds nothing of what was asked for"
    if all(address == Address(StudyInstanceUID=address.StudyInstanceUID) for address in run.addresses):
        text += "; a UID alone is taken for a Study Instance UID, and a series needs a row of a table"
    return text


def _trouble(run: Retrieval, frame: pd.DataFrame, missing: list[str]) -> DicomlabError | None:
    """The error that this retrieval ends with, None where all is here."""
    cause = run.cause
    arrived = len(run.kept)
    said = run.tally.statuses if run.holdings.known else run.tally.latest
    failures = [item for item in said if item.category in (Category.FAILURE, Category.CANCEL)]
    if run.holdings.known and not missing:
        return None
    full = run.receiver is not None and run.receiver.full is not None  # that comes first
    if isinstance(cause, (*REFUSED_BEFORE, StatusError)) and not arrived and not full:
        return cause
    answered = not failures or run.tally.satisfied(len(failures), arrived)
    if not run.holdings.known and cause is None and answered and not (run.receiver and run.receiver.refused):
        return None
    return _incomplete(run, frame, missing, failures[0] if failures else None)


def _incomplete(run: Retrieval, frame: pd.DataFrame, missing: list[str], status: Any) -> IncompleteRetrieve:
    import pandas as pd

    cause = run.cause
    receiver = run.receiver
    refused = receiver.refused if receiver else []
    total = len(run.holdings.instances)
    if run.holdings.known:
        here = total - len(missing)
        text = f"{here} of {total} instances {are(here)} here, {len(missing)} {are(len(missing))} missing"
    else:
        text = f"{counted(len(frame), 'instance')} {are(len(frame))} here; how many there should be is not known"
    sent = run.tally.counts.get("completed", 0)
    if run.method == "move" and sent and not run.kept:
        text += f"; the archive says it sent {sent} to {run.node.move_ae}, none arrived here"
    elif sent > len(run.kept):
        text += f"; the archive says it sent {sent}, {len(run.kept)} arrived whole"
    if status is not None:
        text += f"; it ended with {status}"
    full = receiver.full if receiver else None
    if refused and full is None:
        text += f"; {len(refused)} came and {'was' if len(refused) == 1 else 'were'} not kept: {refused[0].why}"
    if run.remarks:
        text += f"; {run.remarks[0]}"
    advice = "Call retrieve again: only what is missing is fetched."
    stopped = isinstance(cause, KeyboardInterrupt | Cancelled)
    if isinstance(full, CacheError):
        text += f"; they could not be kept: {full.message}"
        advice = f"{full.advice} Then call retrieve again: only what is missing is fetched."
    elif full is not None:
        text += f"; the disk did not take them: {full.strerror or full}"
        room = full.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        todo = f"Make room in {run.cache.root}" if room else f"Look at the disk and the rights of {run.cache.root}"
        advice = f"{todo}, then call retrieve again: only what is missing is fetched."
    if stopped:
        text = f"stopped on request: {text}"
    elif cause is not None and full is None:
        text += f"; {cause.message if isinstance(cause, DicomlabError) else cause}"
    elif run.method == "move" and not run.kept and full is None:
        advice = (
            f"Ask the PACS administrator whether {run.node.move_ae} is entered with this machine's address "
            f"and port {run.node.listen}."
        )
    error = IncompleteRetrieve(
        text,
        peer=run.node.identity,
        phase=f"C-{run.method.upper()}" if run.method else "C-FIND",
        elapsed=run.deadline.elapsed,
        status=status,
        advice=advice,
    )
    error.instances, error.missing = frame, missing
    error.failed = pd.DataFrame(
        [(item.SOPInstanceUID, item.why) for item in refused]
        + [(uid, "the archive reports it failed") for uid in run.tally.failed],
        columns=["SOPInstanceUID", "why"],
        dtype="string",
    )
    return error
