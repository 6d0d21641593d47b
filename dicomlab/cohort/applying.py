"""`apply`: a function of a volume, over the series of a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd

from .. import phi
from ..amounts import counted
from ..errors import DicomlabError, Interrupted, InvalidRequest
from ..net.association.jobs import Jobs
from ..progress import Meter, Progress, reporter
from ..remarks import remark
from .cluster import Cluster, shared, threads_of
from .estimate import Rates, estimate
from .fingerprint import fingerprint
from .kept import Kept
from .members import Member, members
from .outcome import DONE, FAILED, GIVEN, NOT_RUN, OURS, VOLUME, Outcome, column, named_as, values
from .pools import Pool, Processes, Threads, cores
from .run import Run

if TYPE_CHECKING:
    from ..net.association.job import Job
    from ..net.peer import Peer

_jobs = Jobs()


@overload
def apply(
    function: Callable[[Any], Any],
    series: pd.DataFrame,
    *,
    peer: Peer | None = None,
    client: Any = None,
    workers: int | None = None,
    processes: bool = False,
    given: str = VOLUME,
    results: str | os.PathLike[str] | None = None,
    discard: bool = False,
    dry_run: bool = False,
    background: Literal[False] = False,
    progress: Any = None,
) -> pd.DataFrame: ...
@overload
def apply(
    function: Callable[[Any], Any],
    series: pd.DataFrame,
    *,
    peer: Peer | None = None,
    client: Any = None,
    workers: int | None = None,
    processes: bool = False,
    given: str = VOLUME,
    results: str | os.PathLike[str] | None = None,
    discard: bool = False,
    dry_run: bool = False,
    background: bool,
    progress: Any = None,
) -> Job | Any: ...
def apply(
    function: Callable[[Any], Any],
    series: pd.DataFrame,
    *,
    peer: Peer | None = None,
    client: Any = None,
    workers: int | None = None,
    processes: bool = False,
    given: str = VOLUME,
    results: str | os.PathLike[str] | None = None,
    discard: bool = False,
    dry_run: bool = False,
    background: bool = False,
    progress: Any = None,
) -> pd.DataFrame | Job:
    """Retrieve each series of a table, load it, and call a function with it: a row of results for each.

    The next series is retrieved while the function runs, and no more are here than are worked on. What fails costs its
    row, and says why there. What was stopped goes on where its table, or its file of `results`, is given again.

    Parameters
    ----------
    function
        Takes a volume, as `load` gives it; gives a number, a text, or a dict or pandas Series of them: columns.
    series
        Rows of ``peer.find("SERIES", ...)``; a table of instances, as `retrieve` and `scan` make it; or the table that
        this function gave, of which the rows that are "done" are kept.
    peer
        Who to retrieve from; not needed where the table has a column ``path``.
    client
        A ``distributed.Client``: the function runs on its workers. They read the files where they see the cache of
        this process, and retrieve for themselves where they do not; all together hold no more associations than the
        node allows. Where all workers have ended, others are waited for, for two minutes.
    workers
        Threads or processes here; default one for each processor.
    processes
        Run it in processes of this machine, for functions that hold the interpreter; a script needs
        ``if __name__ == "__main__":`` then.
    given
        "volume", or "instances": the function takes the table of instances of a series, as `scan` gives it.
    results
        A file that each result is written to as it comes (a line of JSON, mode 0600). Run again with it, only what is
        not there, or has failed, is done; and nothing of it where the function has changed since.
    discard
        Remove from the cache what was fetched for this call, series by series.
    dry_run
        Give a table of one row instead: ``series``, ``instances``, ``GB``, ``GB_to_fetch``, and ``minutes`` by the
        rates of earlier calls, NA before there are any.
    background
        Come back at once with a `Job`.
    progress
        False, True, or a function of (done, total).

    Returns
    -------
    pandas.DataFrame
        The table of series with the function's columns, ``status`` ("done", "failed", "not run"), ``error`` and
        ``seconds`` (to load and compute).

    Raises
    ------
    InvalidRequest
        It is no table of series, or an argument cannot be; nothing was done.
    Interrupted
        Ctrl-C; with the table so far in ``rows``.
    CacheError, ConnectError
        The file of results cannot be written, or the Dask cluster is gone or has had no worker for two minutes; with
        the table so far in ``rows``. The cache of the peer cannot be written; nothing was done.

    Warns
    -----
    ResultWarning
        Rows have failed, or the archive or the disk gave out: what is left is "not run" then.

    Examples
    --------
    >>> import dicomlab as dl
    >>> def brightest(volume):
    ...     return {"brightest": float(volume.max()), "unit": volume.attrs["units"]}
    >>> with dl.demo_pacs() as pacs:
    ...     ct = pacs.find("SERIES", Modality="CT", PatientID="DEMO*")
    ...     table = dl.apply(brightest, ct, peer=pacs)
    >>> set(table.status), set(table.unit)
    ({'done'}, {'HU'})
    """
    if not callable(function):
        raise InvalidRequest(f"function is an object of type {type(function).__name__}", advice="Give a function.")
    if given not in GIVEN:
        raise InvalidRequest(f"given={given!r}", advice=f"Give one of {', '.join(GIVEN)}.")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise InvalidRequest(f"workers={workers!r}", advice="Give a whole number of 1 or more.")
    if client is not None and (workers is not None or processes):
        raise InvalidRequest("a client has its own workers", advice="Leave workers= and processes= out.")
    name = fingerprint(function)
    bare, before = _before(series, name)
    table, found = members(bare, has_peer=peer is not None)
    known = {one.uid: before[one.at[0]] for one in found if one.at[0] in before}
    file = None if results is None else Kept(results, name)
    try:
        known |= {one.uid: file.before[one.uid] for one in found if file is not None and one.uid in file.before}
        call = _Call(table, found, known, name, file)
        due = [one for one in found if one.uid not in known]
        rates = Rates.of(peer, name)
        if dry_run:
            if file is not None:
                file.close()
            count = workers or (cores() if client is None else threads_of(client))
            return estimate(due, table, peer, rates, count)
        meter = Meter(also=progress if callable(progress) else None, unit="series") if background else None
        shown = meter or reporter(progress, "apply", len(due), "series")
        pool = _pool(function, given, due, peer, client, workers, processes)
    except BaseException:
        if file is not None:
            file.close()
        raise
    running = Run(pool, peer, table, discard=discard, progress=shown, told=call.told)
    if meter is None:
        return call.run(running, due, rates, shown, lambda stop: None)

    def work(job: Job) -> pd.DataFrame:
        meter.begin("apply", len(due))
        return call.run(running, due, rates, meter, job.stops)

    return _jobs.start(f"{name[0]} of {len(due):,} series", work, meter)


class _Call:
    """What is known of each series, and the table of it."""

    def __init__(
        self,
        table: pd.DataFrame,
        found: list[Member],
        known: dict[str, Outcome],
        name: tuple[str, str],
        file: Kept | None,
    ) -> None:
        self._table, self._found, self._known, self._name, self._file = table, found, known, name, file

        if clash := next((named for one in known.values() for named in one.values if named in table), ""):
            raise InvalidRequest(
                f"the results of before have a value {clash}, as a column of the table is",
                advice=f"Rename that column, or leave it out: series.drop(columns={clash!r}).",
            )

    def run(
        self,
        running: Run,
        due: list[Member],
        rates: Rates,
        shown: Progress,
        stops: Callable[[Callable[[], object]], object],
    ) -> pd.DataFrame:
        stops(running.stop.set)
        try:
            running.all(due)
        except KeyboardInterrupt:
            frame = self.frame(stopped=True)
            raise Interrupted(f"stopped: {_line(frame)}; {self._goes_on}", rows=frame) from None
        except DicomlabError as error:
            error.rows = self.frame(stopped=True)
            error.message += f"; {_line(error.rows)}"
            error.args = (error.message, *error.args[1:])
            raise
        finally:
            shown.close()
            if self._file is not None:
                self._file.close()
            outcomes = [self._known[one.uid] for one in due if one.uid in self._known]
            rates.learn(running.size, running.instances, running.seconds, outcomes)
        frame = self.frame(stopped=running.stop.is_set() or bool(running.ended))
        frame.attrs["remarks"] = list(dict.fromkeys(running.remarks))
        failed = frame[frame["status"] == FAILED]
        if running.ended:
            remark(f"{running.ended}; {_line(frame)}; {self._goes_on}", stacklevel=3)
        elif len(failed):
            remark(f"{_line(frame)}; the first: {failed['error'].iloc[0]}", stacklevel=3)
        if odd := running.reservations:
            loaded = counted(odd, "series was loaded", "series were loaded")
            remark(f"{loaded} with a reservation, see .attrs['remarks']", stacklevel=3)
        return frame

    @property
    def _goes_on(self) -> str:
        if self._file is not None:
            return f"the same call with {self._file.path.name} does the rest"
        if self._found[0].given:
            return "for the rest leave out what is done"
        return "give this table to apply again, and the rest is done"

    def told(self, member: Member, made: Outcome) -> None:
        """Keep what became of a series."""
        if taken := [name for name in made.values if name in self._table]:
            made = Outcome(FAILED, error=f"function: {named_as(taken[0], 'table')}", seconds=made.seconds)
        self._known[member.uid] = made
        if self._file is not None:
            self._file.keep(member.uid, made)

    def frame(self, *, stopped: bool) -> pd.DataFrame:
        """The table of series with what is known of each."""
        blank = Outcome(NOT_RUN)
        rows: list[Outcome] = [blank] * len(self._table)
        for member in self._found:
            for at in member.at:
                rows[at] = self._known.get(member.uid, blank)
        names = dict.fromkeys(name for one in rows for name in one.values)
        frame = self._table.copy()
        for name in names:
            frame[name] = column([one.values.get(name) for one in rows], frame.index)
        frame["status"] = pd.Series([one.status for one in rows], index=frame.index, dtype="string")
        frame["error"] = pd.Series([one.error for one in rows], index=frame.index, dtype="string")
        seconds = [round(one.seconds, 3) if one is not blank else None for one in rows]
        frame["seconds"] = pd.Series(seconds, index=frame.index, dtype="Float64")
        frame.attrs = {**self._table.attrs, "function": list(self._name), "values": list(names), "stopped": stopped}
        return phi.noted(frame)


def _line(frame: pd.DataFrame) -> str:
    counts = frame["status"].value_counts()
    words = [f"{counts[status]:,} {status}" for status in (DONE, FAILED, NOT_RUN) if status in counts]
    return f"{', '.join(words)} of {len(frame):,} series"


def _before(series: Any, name: tuple[str, str]) -> tuple[Any, dict[int, Outcome]]:
    """A table that this function gave before, without its columns, and by row what was done; any other as it is."""
    told = series.attrs.get("function") if isinstance(series, pd.DataFrame) else None
    if told is None or told[0] != name[0] or not all(column in series for column in OURS):
        return series, {}
    columns = [column for column in series.attrs.get("values", []) if column in series]
    bare = series.drop(columns=columns)
    if list(told) != list(name):  # it was changed since: all anew
        return bare, {}
    done = {}
    for at in np.flatnonzero((series["status"] == DONE).fillna(False)).tolist():
        row = values({column: series[column].iloc[at] for column in columns})
        seconds = pd.to_numeric(series["seconds"].iloc[at], errors="coerce")
        done[at] = Outcome(DONE, row, "", 0.0 if pd.isna(seconds) else float(seconds))
    return bare, done


def _pool(
    function: Callable[[Any], Any],
    given: str,
    due: list[Member],
    peer: Peer | None,
    client: Any,
    workers: int | None,
    processes: bool,
) -> Pool:
    fetched = peer is not None and any(not one.given for one in due)
    if peer is not None and fetched:
        peer.cache.open()  # what cannot be written is said before the first series, not of each
    if client is None:
        count = min(workers or cores(), max(1, len(due)))
        return Processes(function, given, count) if processes else Threads(function, given, count)
    threads_of(client)  # refuses what is none, before it is asked
    folders = {os.path.dirname(one.paths[0]) for one in due if one.given}
    if peer is not None and fetched:
        return Cluster(client, function, given, None if shared(client, peer.cache.root) else peer)
    pool = Cluster(client, function, given, None)
    if folders and not all(client.run(os.path.isdir, next(iter(folders))).values()):
        raise InvalidRequest(
            "not all workers of this cluster see the files of the table",
            advice="Give series of a peer, that they can retrieve, or a folder that all of them share.",
        )
    return pool
