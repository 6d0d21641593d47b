"""What a peer is asked: is it there, what does it hold, and to send it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from ..errors import InvalidRequest
from ..level import QueryLevel
from ..options import options
from ..progress import Meter
from ..tables.tables import addresses
from .association import verification
from .association.call import Call
from .association.deadline import Deadline
from .association.job import Job
from .calling import Calling
from .diagnosis import diagnosis
from .query import query
from .query.whereabouts import whereabouts
from .retrieve.retrieve import check, retrieve

if TYPE_CHECKING:
    import pandas as pd
    from pydicom.dataset import Dataset


class Asking(Calling):
    """Verification, query and retrieve."""

    def echo(self, *, timeout: float | None = None) -> float:
        """Verify that the peer is there: C-ECHO (PS3.4 annex A).

        Returns
        -------
        float
            Round-trip time of request and response in seconds.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     pacs.echo() < 5
        True
        """
        with self._call(timeout) as call:
            return verification.echo(self.node, call.clock)

    def diagnose(self, *, timeout: float = 5.0, move: Any = False, progress: Any = None) -> pd.DataFrame:
        """Look step by step what works: host name, TCP, TLS, association, C-ECHO, each service, the way back.

        It negotiates and sends C-ECHO, nothing else, and changes nothing at the peer.

        Parameters
        ----------
        timeout
            Seconds for each step; after six times that all is over.
        move
            True, or rows of a find, to have one image sent to us by C-MOVE, which is thrown away: whether the archive
            knows our AE title, address and port is known by that alone. It takes a few C-FINDs to name one.
        progress
            False, True (a line for each check; so in a notebook), or a function of a dict.

        Returns
        -------
        pandas.DataFrame
            One row a check: ``check``, ``result`` ("ok", "failed", "skipped"), ``means``, ``do``, ``seconds``. In
            ``attrs``: ``ok`` (one may query and retrieve), ``failed``, ``limit`` (seconds it could have taken), and
            ``letter``, a text to send to the PACS administrator.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     table = pacs.diagnose(move=True)
        >>> table.attrs["ok"], list(table.check[table.result == "ok"])[:5]
        (True, ['host name', 'TCP', 'association', 'C-ECHO', 'C-FIND Study Root'])
        """
        seconds = diagnosis.check_timeout(timeout)
        self._check_open()
        call = Call(self, Deadline(diagnosis.STEPS * seconds, diagnosis.STEPS * seconds))
        call.clock.hooks = self.hooks.of_call(call.clock)
        with call:
            return diagnosis.examine(self.node, call.clock, timeout=seconds, move=move, progress=progress)

    @overload
    def find(
        self,
        level: str | None = "STUDY",
        *,
        limit: int | None = None,
        template: Dataset | str | Path | None = None,
        on_match: Callable[[dict[str, Any]], None] | None = None,
        model: str | None = None,
        counts: bool = False,
        raw: bool = False,
        background: Literal[False] = False,
        timeout: float | None = None,
        **keys: Any,
    ) -> pd.DataFrame: ...
    @overload
    def find(
        self,
        level: str | None = "STUDY",
        *,
        limit: int | None = None,
        template: Dataset | str | Path | None = None,
        on_match: Callable[[dict[str, Any]], None] | None = None,
        model: str | None = None,
        counts: bool = False,
        raw: bool = False,
        background: bool,
        timeout: float | None = None,
        **keys: Any,
    ) -> Job | Any: ...
    def find(
        self,
        level: str | None = "STUDY",
        *,
        limit: int | None = None,
        template: Dataset | str | Path | None = None,
        on_match: Callable[[dict[str, Any]], None] | None = None,
        model: str | None = None,
        counts: bool = False,
        raw: bool = False,
        background: bool = False,
        timeout: float | None = None,
        **keys: Any,
    ) -> pd.DataFrame | Job:
        """Ask what the archive holds: C-FIND (PS3.4 C.4.1).

        Parameters
        ----------
        level
            "PATIENT", "STUDY", "SERIES" or "IMAGE"; None for a model without levels.
        limit
            Rows after which the query is cancelled and the table marked as cut; default ``options.find_limit``.
        template
            A data set, or the path of one, whose elements are keys too; ``keys`` go over it.
        on_match
            Called with a dict for each match, as it comes.
        model
            "study", "patient", "patient-study-only", "worklist", or the UID of any FIND SOP class; default by level.
        counts
            Count instances at IMAGE level where the archive gives no numbers.
        raw
            Add a column ``dataset`` with each match as a pydicom Dataset.
        background
            Come back at once with a `Job`; stopped, its ``partial`` is the matches so far.
        timeout
            Seconds without progress, for this call.
        **keys
            Keywords of PS3.6. A value matches (``*`` and ``?`` are wild cards, ``"20240101-20240331"`` a range, a list
            any of its values; a name is family first, ``"DOE^JANE"``); ``None`` or ``""`` only asks for the attribute.

        Returns
        -------
        pandas.DataFrame
            One row a match, one column an attribute; provenance in ``attrs``. Times of day are timedelta64, so that
            ``StudyDate + StudyTime`` is a moment; pandas shows them as "0 days 08:30:00", and
            ``(pd.Timestamp(0) + table.StudyTime).dt.time`` as 08:30:00. In the background a Job, of which
            ``job.result()`` gives this table.

        Raises
        ------
        InvalidRequest
            The keys cannot be asked; nothing was sent.
        StatusError, ConnectError, DimseTimeout, ProtocolError
            With the matches so far in ``rows``.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     sorted(pacs.find("SERIES", Modality="PT").Modality.unique())
        ['PT']
        """
        wanted = None if level is None else QueryLevel.of(level)
        plan = query.plan_of(model, wanted, keys, template)
        asked: dict[str, Any] = {"limit": _limit(limit), "on_match": on_match, "counts": counts, "raw": raw}
        if background:
            return self._query_job("query", plan, timeout, asked)
        with self._call(timeout) as call:
            return query.find(self.node, plan, call.clock, **asked)

    @overload
    def worklist(
        self,
        *,
        form: str | None = None,
        limit: int | None = None,
        template: Dataset | str | Path | None = None,
        on_match: Callable[[dict[str, Any]], None] | None = None,
        raw: bool = False,
        background: Literal[False] = False,
        timeout: float | None = None,
        **keys: Any,
    ) -> pd.DataFrame: ...
    @overload
    def worklist(
        self,
        *,
        form: str | None = None,
        limit: int | None = None,
        template: Dataset | str | Path | None = None,
        on_match: Callable[[dict[str, Any]], None] | None = None,
        raw: bool = False,
        background: bool,
        timeout: float | None = None,
        **keys: Any,
    ) -> Job | Any: ...
    def worklist(
        self,
        *,
        form: str | None = None,
        limit: int | None = None,
        template: Dataset | str | Path | None = None,
        on_match: Callable[[dict[str, Any]], None] | None = None,
        raw: bool = False,
        background: bool = False,
        timeout: float | None = None,
        **keys: Any,
    ) -> pd.DataFrame | Job:
        """Ask which procedure steps are scheduled: C-FIND of the Modality Worklist (PS3.4 annex K).

        Every attribute that a worklist must know comes back, whatever the keys.

        Parameters
        ----------
        form
            "patient" or "broad": refuse keys that are not of that query form of IHE; None takes any.
        limit, template, on_match, raw, background, timeout
            As for `find`.
        **keys
            Keywords of PS3.6, matched as by `find`. Those of the scheduled step, such as Modality,
            ScheduledProcedureStepStartDate and ScheduledStationAETitle, are asked for in its sequence.

        Returns
        -------
        pandas.DataFrame
            One row a scheduled step, those of its sequence among the columns; earliest first. StudyInstanceUID is that
            of the study to come. ``attrs["form"]`` says which query form the keys are of.

        Raises
        ------
        InvalidRequest
            The keys cannot be asked, or there are none; nothing was sent.
        NoAcceptedContext
            The peer has no worklist.
        StatusError, ConnectError, DimseTimeout, ProtocolError
            With the matches so far in ``rows``.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     steps = pacs.worklist(Modality="CT", PatientID="DEMO-001")
        ...     steps.ScheduledStationAETitle[0], pacs.find("STUDY", PatientID=steps.PatientID).shape[0]
        ('DEMOCT1', 2)
        """
        plan = query.plan_of("worklist", None, keys, template, form)
        asked: dict[str, Any] = {"limit": _limit(limit), "on_match": on_match, "raw": raw}
        if background:
            return self._query_job("worklist", plan, timeout, asked)
        with self._call(timeout) as call:
            return query.find(self.node, plan, call.clock, **asked)

    def each(
        self, level: str | None = "STUDY", *, limit: int | None = None, model: str | None = None, **keys: Any
    ) -> Iterator[dict[str, Any]]:
        """The matches of `find` one by one as they come, as dicts; stop early by leaving the loop."""
        wanted = None if level is None else QueryLevel.of(level)
        with self._call(None) as call:
            yield from query.each(self.node, wanted, keys, call.clock, limit=_limit(limit), model=model)

    def identifier(
        self,
        level: str | None = "STUDY",
        *,
        template: Dataset | str | Path | None = None,
        model: str | None = None,
        **keys: Any,
    ) -> list[Dataset]:
        """The identifiers that `find` would send first, without sending them; of `worklist` with model="worklist".

        Examples
        --------
        >>> import dicomlab as dl
        >>> identifier, = dl.connect("RIS@localhost:104").identifier(None, model="worklist", Modality="CT")
        >>> identifier.ScheduledProcedureStepSequence[0].Modality
        'CT'
        """
        wanted = None if level is None else QueryLevel.of(level)
        return query.plan_of(model, wanted, keys, template).first

    @overload
    def retrieve(
        self,
        what: Any,
        *,
        method: str | None = None,
        destination: str | None = None,
        dry_run: bool = False,
        background: Literal[False] = False,
        progress: Any = None,
        errors: str = "raise",
        refresh: bool = False,
        limit: int | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> pd.DataFrame: ...
    @overload
    def retrieve(
        self,
        what: Any,
        *,
        method: str | None = None,
        destination: str | None = None,
        dry_run: bool = False,
        background: bool,
        progress: Any = None,
        errors: str = "raise",
        refresh: bool = False,
        limit: int | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> Job | Any: ...
    def retrieve(
        self,
        what: Any,
        *,
        method: str | None = None,
        destination: str | None = None,
        dry_run: bool = False,
        background: bool = False,
        progress: Any = None,
        errors: str = "raise",
        refresh: bool = False,
        limit: int | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> pd.DataFrame | Job:
        """Fetch instances into the cache: C-GET or C-MOVE (PS3.4 C.4.2, C.4.3).

        Only what is not here from this node is fetched, so that calling it again resumes.

        Parameters
        ----------
        what
            Rows of a table with UIDs (matches of `find`, in any order, filtered or merged), or Study Instance UIDs.
        method
            "get", "move", or None: C-GET, and C-MOVE where the archive has no C-GET and ``listen`` was given.
        destination
            AE title of a third party to send to, by C-MOVE.
        dry_run
            Fetch nothing; give a row for each series with instances, how many are here, and bytes where known;
            ``attrs["free"]`` is what the disk of the cache has left.
        background
            Come back at once with a `Job` that runs while the next cell does; several may run at once.
        progress
            False, True, or a function of (done, total).
        errors
            "raise", or "report": give back what is here, with ``attrs["missing"]`` and a warning.
        refresh
            Fetch again what is here already.
        limit
            Instances that may be fetched; needed above ``options.retrieve_limit``.
        force
            Ask for what the rows say is OFFLINE or UNAVAILABLE too.
        timeout
            Seconds without progress, for this call.

        Returns
        -------
        pandas.DataFrame
            The instances table: ``path`` and one column an attribute, one row an instance that is here. In the
            background a Job, of which ``job.result()`` gives this table.

        Raises
        ------
        InvalidRequest
            Nothing is selected, rows name nothing, or what they name is offline; nothing was sent.
        IncompleteRetrieve
            With ``instances``, ``missing`` and ``failed``.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     series = pacs.find("SERIES", Modality="PT")
        ...     set(pacs.retrieve(series.head(1)).Modality)
        {'PT'}
        """
        check(method, destination, errors)
        chosen = addresses(what)
        node, named = whereabouts(self.node, what, force=force or dry_run)

        def work(call: Call, shown: Any) -> pd.DataFrame:
            return retrieve(
                node,
                self.cache,
                chosen,
                call.clock,
                method=method,
                destination=destination,
                dry_run=dry_run,
                progress=shown,
                errors=errors,
                refresh=refresh,
                limit=limit,
                named=named,
            )

        def run(call: Call, shown: Any) -> pd.DataFrame:
            with nullcontext() if dry_run else self.cache.in_use():
                return call.run(node, lambda: work(call, shown))

        if not background:
            return run(self._call(timeout), progress)
        return self._job(f"retrieve from {self.node.identity}", run, timeout, progress)

    def _query_job(self, what: str, plan: query.Plan, timeout: float | None, asked: dict[str, Any]) -> Job:
        """A question in the background, whose progress is the number of matches."""
        also = asked["on_match"]

        def run(call: Call, meter: Meter) -> pd.DataFrame:
            def count(match: dict[str, Any]) -> None:
                meter.advance(1, 0)
                if also is not None:
                    also(match)

            meter.unit = "matches"
            meter.begin(what, None)
            try:
                told = {**asked, "on_match": count}
                return call.run(self.node, lambda: query.find(self.node, plan, call.clock, **told))
            finally:
                meter.close()

        return self._job(f"{what} of {self.node.identity}", run, timeout, None)


def _limit(limit: int | None) -> int:
    if limit is None:
        return options.find_limit
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidRequest(f"limit={limit!r}", advice="A limit is a whole number of 1 or more.")
    return limit
