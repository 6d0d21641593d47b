"""A peer and what can be asked of it: one line for each service."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from .. import phi
from ..cache import Cache
from ..errors import InvalidRequest
from ..level import QueryLevel
from ..markup import Html, rows
from ..options import options
from ..progress import Meter
from ..tables import addresses
from . import diagnosis, query, verification
from .addressbook import Nodes, nodes
from .call import Call
from .deadline import Deadline
from .hooks import Hooks
from .job import Job
from .jobs import Jobs
from .logfile import LIMIT
from .negotiated import Negotiated
from .node import Node
from .retrieve import check, retrieve
from .whereabouts import whereabouts

if TYPE_CHECKING:
    import pandas as pd
    from pydicom.dataset import Dataset

    from .audit import TransactionLog
    from .dump import MessageDump
    from .filmprint import PrintResult
    from .mediacreation import MediaCreation, MediaCreations
    from .patients import PatientUpdater
    from .performedstep import PerformedStep
    from .printer import Event, Printer
    from .printing import PrintSession


class Owner(Protocol):
    """Something that ends with its peer: the embedded PACS."""

    def stop(self) -> None:
        """End it; may be called twice."""


class Peer:
    """A PACS, or any DICOM application, as seen from here; made by `connect`.

    Nothing is open between two calls: each opens its own association and ends it.
    """

    def __init__(self, node: Node, cache: Cache, owner: Owner | None = None) -> None:
        self.node, self.cache = node, cache
        self._owner = owner
        self._running: set[Deadline] = set()
        self._jobs = Jobs()
        self._closed = False
        self._negotiated: Negotiated | None = None
        self._updater: PatientUpdater | None = None
        #: Functions to call as messages are sent and received; see `Hooks`.
        self.hooks = Hooks()

    def __repr__(self) -> str:
        rights = f"may {', '.join(sorted(self.node.allow))}" if self.node.allow else "read-only"
        back = f", listens on port {self.node.listen} for C-MOVE" if self.node.listen else ""
        tls, inbound = self.node.tls, self.node.inbound_tls
        sealed = ", TLS" if tls else ""
        if self.node.listen and bool(tls) != bool(inbound):
            back += " with TLS" if inbound else " without TLS"
        return f"Peer {self.node.identity} as {self.node.calling} ({rights}{sealed}{back})"

    def _repr_html_(self) -> Html:
        agreed = self._negotiated
        state = "closed" if self._closed else f"{len(self.jobs)} jobs run" if self.jobs else "nothing runs"
        more = [
            ("implementation", f"{agreed.implementation_version} {agreed.implementation_class}" if agreed else
             "not known: nothing was asked yet"),
            ("received instances", f"in {phi.path(str(self.cache.root))}"),
            ("now", state),
        ]  # fmt: skip
        return rows([*self.node.facts(), *more], f"Peer {self.node.name or self.node.identity}")

    def __enter__(self) -> Peer:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, and the embedded PACS where this is one; may be called twice.

        Every call afterwards is InvalidRequest.
        """
        self._closed = True
        self.cancel()
        self._jobs.close()
        self.cache.close()
        if self._owner is not None:
            self._owner.stop()

    def cancel(self) -> None:
        """Ask every call of this peer that runs in another thread to stop and give back what it has."""
        for job in self.jobs:
            job.cancel()
        for deadline in list(self._running):
            deadline.cancel()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The calls of this peer that run in the background."""
        return self._jobs.running

    @property
    def negotiated(self) -> Negotiated | None:
        """What was agreed for the association of the last call: contexts, roles, options, lengths; None before any.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     _ = pacs.echo()
        ...     print([context.result for context in pacs.negotiated.contexts])
        [0]
        """
        return self._negotiated

    # -- other nodes -----------------------------------------------------------------------------------------------

    def at(self, node: str | Node) -> Peer:
        """The peer at another node, by name, address or `Node`, that keeps what it receives in the same cache.

        Examples
        --------
        >>> import dicomlab as dl
        >>> dl.connect("ARCHIVE@localhost:11112").at("RESEARCH@localhost:104")
        Peer RESEARCH@localhost:104 as DICOMLAB (read-only)
        """
        from .connecting import connect  # which makes peers

        return connect(node, cache=self.cache)

    def nodes(self) -> Nodes:
        """The named nodes of this user, as `dicomlab.nodes` gives them."""
        return nodes()

    # -- logs ------------------------------------------------------------------------------------------------------

    def log_to(
        self,
        where: str | os.PathLike[str] | Callable[[dict[str, Any]], object],
        *,
        user: str | None = None,
        reason: str = "",
        names: bool = False,
        strict: bool = False,
        limit: int = LIMIT,
    ) -> TransactionLog:
        """Log who asks this peer for what, when, and what comes of it: a line for each association and operation.

        It begins with the next call and ends with ``close()`` of what is given back, or at the end of its ``with``
        block. Of no patient more than UIDs is written, unless `names` asks for it; see `TransactionLog` for the lines.

        Parameters
        ----------
        where
            A file, which is appended to (mode 0600); or a function of a dict, called in the thread that works.
        user
            Who works here; default the user of this computer.
        reason
            Why, such as the number of a study protocol; in every line.
        names
            Write the values that were asked for, and what errors say; pseudonyms while ``options.phi`` is off.
        strict
            End a call whose line cannot be written, with LogError. Otherwise it is warned of once and counted.
        limit
            Bytes after which the file gets its time as an ending, and a new one is begun. None is deleted.

        Raises
        ------
        InvalidRequest
            The file cannot be written, or it is no place for a log.

        Examples
        --------
        >>> import dicomlab as dl
        >>> lines = []
        >>> with dl.demo_pacs() as pacs, pacs.log_to(lines.append, reason="protocol 12"):
        ...     _ = pacs.find("STUDY", PatientName="DEMO*")
        >>> [line.get("state") or line["service"] for line in lines]
        ['accepted', 'C-FIND', 'released']
        >>> lines[1]["status"], lines[1]["level"], "PatientName" in lines[1]["keys"], lines[1]["reason"]
        ('0x0000', 'STUDY', True, 'protocol 12')
        """
        from .audit import TransactionLog

        self._check_open()
        return TransactionLog(
            self.hooks, where, user=user, reason=reason, names=names, strict=strict, limit=limit
        )

    def dump_to(
        self,
        where: str | os.PathLike[str] | Callable[[str], object],
        *,
        names: bool = False,
        strict: bool = False,
        limit: int = LIMIT,
    ) -> MessageDump:
        """Write every message to and from this peer as text: negotiation, command sets, data sets but for their pixels.

        For finding out why two systems do not understand each other; it slows retrievals down. The arguments are those
        of `log_to`. Values that name a patient are pseudonyms, unless `names` asks for them.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs, pacs.dump_to(lambda text: print(text.split()[1:4])):
        ...     _ = pacs.echo()
        ['==', 'association', 'requested,']
        ['==', 'association', 'accepted,']
        ['->', 'C-ECHO-RQ', '1,']
        ['<-', 'C-ECHO-RSP', '1,']
        ['==', 'association', 'released,']
        """
        from .dump import MessageDump

        self._check_open()
        return MessageDump(self.hooks, where, names=names, strict=strict, limit=limit)

    # -- services --------------------------------------------------------------------------------------------------

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
    ) -> Any:
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
    ) -> Any:
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
    ) -> Any:
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

    def store(
        self,
        what: Any,
        *,
        originator: str | tuple[str, int] | None = None,
        priority: str = "medium",
        prefer: str | None = None,
        lossy: float | None = None,
        errors: str | None = None,
        background: bool = False,
        progress: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Send instances: C-STORE (PS3.4 annex B).

        Each goes as it is where the peer takes its transfer syntax; else it is changed to one that the peer takes,
        without loss, and its pixels are compared before it is sent.

        Parameters
        ----------
        what
            A table with a column ``path``, as `retrieve` and `scan` make it, or rows of one; a path of a file, folder,
            zip archive or DICOMDIR; a pydicom data set; or several of these. Of a table that this method made for this
            peer only the rows that are not ``stored`` are sent, so that giving it back goes on. What is given twice is
            sent once; of two that share a SOP Instance UID and differ, the first.
        originator
            AE title that asked for the C-MOVE of which this is part, or a pair of it and its message id.
        priority
            "low", "medium" or "high".
        prefer
            UID of a transfer syntax to change to where the peer takes it, before an instance's own.
        lossy
            How many to one images are compressed with loss, as JPEG 2000; default: never. What is sent is a copy that
            says so, under a SOP Instance UID of its own; what is no image, or has lost already, goes as it is.
        errors
            "raise" an IncompleteStore where an instance is not stored, or "report": a warning, and the rows say why.
            Default: "raise" for one data set or file, "report" for more.
        background
            Come back at once with a `Job`.
        progress
            False, True, or a function of (done, total).
        timeout
            Seconds without progress, for this call.

        Returns
        -------
        pandas.DataFrame
            The rows that were given, or one an instance, with ``stored``, ``status`` (0xB000 to 0xBFFF are warnings)
            and its ``meaning``, ``comment`` (the peer's, or why it was not sent), ``sent_as`` (the UID of the transfer
            syntax), ``AffectedSOPInstanceUID`` (that it was sent under, where that is another), ``context`` and
            ``seconds``.

        Raises
        ------
        InvalidRequest
            Nothing is selected, or the node is read-only; nothing was sent.
        NoAcceptedContext
            The peer takes none of the classes.
        IncompleteStore
            With ``rows``.
        Interrupted
            Ctrl-C; with ``rows``.

        Examples
        --------
        >>> import dicomlab as dl
        >>> from pydicom.data import get_testdata_file
        >>> with dl.demo_pacs() as pacs:
        ...     sent = pacs.store([get_testdata_file("CT_small.dcm"), get_testdata_file("MR_small_RLE.dcm")])
        ...     sent.stored.tolist(), sent.meaning.tolist()
        ([True, True], ['stored', 'stored'])
        """
        from . import delivery  # what it needs of files is not due before

        self.node.require("store")
        how = delivery.manner(originator, priority, prefer, lossy)
        delivery.check(errors)

        def run(call: Call, shown: Any) -> pd.DataFrame:
            return call.run(
                self.node,
                lambda: delivery.store(self.node, what, call.clock, how=how, progress=shown, errors=errors),
            )

        if not background:
            return run(self._call(timeout), progress)
        return self._job(f"store to {self.node.identity}", run, timeout, progress)

    def commit(self, what: Any, *, wait: float = 30.0, timeout: float | None = None) -> pd.DataFrame:
        """Ask the archive to say that it keeps instances: Storage Commitment Push Model (PS3.4 annex J).

        The answer comes on the same association or to our listener (``listen=``), at once or after days; what was asked
        is kept on disk, and `commitments` has it in a later session too.

        Parameters
        ----------
        what
            A table with SOPClassUID and SOPInstanceUID, such as `store` gives (rows that are not ``stored`` are left
            out), or what `store` takes.
        wait
            Seconds to wait for the answer; 0 comes back once the archive has taken the request.

        Returns
        -------
        pandas.DataFrame
            The rows, with ``committed`` (True, False, or NA where there is no answer yet), ``failure_reason``,
            ``commitment`` in words and the ``transaction``.

        Raises
        ------
        InvalidRequest
            Nothing is selected, or the node may not ``commit``; nothing was sent.
        NoAcceptedContext, StatusError
            The peer does not take the request; nothing stays asked for.

        Examples
        --------
        >>> import dicomlab as dl
        >>> from pydicom.data import get_testdata_file
        >>> with dl.demo_pacs() as pacs:
        ...     pacs.commit(pacs.store(dl.scan(get_testdata_file("CT_small.dcm")))).commitment.tolist()
        ['committed']
        """
        from . import commitment

        self.node.require("commit")
        with self._call(timeout) as call:
            return commitment.commit(self.node, what, call.clock, wait=_seconds(wait))

    def commitments(self, *, wait: float = 0.0, timeout: float | None = None) -> pd.DataFrame:
        """What `commit` has asked of this peer, in this session and before, and what it has answered by now.

        An archive can answer only while somebody listens, and many try once: where "no answer yet" stays, call
        `commit` again and let it wait.

        Parameters
        ----------
        wait
            Seconds to listen for answers that have not come yet.

        Returns
        -------
        pandas.DataFrame
            One row an instance, as `commit` gives.
        """
        from . import commitment

        with self._call(timeout) as call:
            return commitment.collect(self.node, call.clock, wait=_seconds(wait))

    # -- print -----------------------------------------------------------------------------------------------------

    def printer(self, *keywords: str, configuration: bool = False, timeout: float | None = None) -> Printer:
        """Ask a printer what it takes and how it is doing: N-GET (PS3.4 annex H).

        Parameters
        ----------
        *keywords
            Attributes of the printer that are wanted beside its status and its names; each is asked for alone, for
            one that it does not know would fail all of them.
        configuration
            Ask for its configuration too, which few have.

        Returns
        -------
        Printer
            ``status``, ``info``, ``attributes``, ``classes``, ``configuration`` and ``unknown``.

        Raises
        ------
        NoAcceptedContext
            The peer is no printer.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     pacs.printer().status
        'NORMAL'
        """
        from . import printer

        with self._call(timeout) as call:
            return printer.examine(self.node, call.clock, keywords=keywords, configuration=configuration)

    def print(
        self,
        what: Any,
        layout: Any = None,
        *,
        presentation_lut: Any = None,
        unavailable: str = "raise",
        wait: float = 60.0,
        on_event: Callable[[Event], object] | None = None,
        timeout: float | None = None,
        **choices: Any,
    ) -> PrintResult:
        """Print images on film: Basic Grayscale or Color Print Management (PS3.4 annex H).

        What is made at the printer is deleted afterwards, after an error too; the films that were printed stay.

        Parameters
        ----------
        what
            A `Film`, or what `film` makes one of: a volume, an array, instances, paths, data sets.
        layout
            As for `film`: "3x4" is 3 columns and 4 rows.
        presentation_lut
            "IDENTITY", "LIN OD", or the values of a table.
        unavailable
            "raise" NoAcceptedContext where annotation or a presentation LUT is wanted and the printer has none, or
            "skip" them.
        wait
            Seconds in which the print jobs may end, where the printer reports on them.
        on_event
            Called with each event that the printer reports.
        timeout
            Seconds without progress, for this call.
        **choices
            As for `film`: ``every``, ``window``, ``bits``, ``colour``, ``text``, ``annotation``, and attributes by
            keyword such as FilmSizeID, MediumType and NumberOfCopies.

        Returns
        -------
        PrintResult
            ``pages`` (one row a film, with ``status`` and ``printed``), ``images``, ``events``, ``printer`` and
            ``unavailable``.

        Raises
        ------
        InvalidRequest
            Nothing is selected, or the node may not ``print``; nothing was sent.
        NoAcceptedContext
            The peer is no printer, or takes no colour; the message says what it takes.
        StatusError
            The printer refused something; ``rows`` has the pages as far as they came.

        Warns
        -----
        ResultWarning
            The printer warned (0xB600 to 0xB6FF), or a film was not printed.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     volume = dl.load(pacs.retrieve(pacs.find("SERIES", SeriesDescription="thorax 4 mm")))
        ...     pacs.print(volume, "3x4", every=3, window="lung").pages.printed.tolist()
        [True]
        """
        from . import filmprint

        self.node.require("print")
        filmprint.check(unavailable)
        seconds, pages = _seconds(wait), filmprint.to_print(what, layout, choices)
        return filmprint.print_film(
            self.node,
            self._call(timeout),
            pages,
            presentation_lut=presentation_lut,
            unavailable=unavailable,
            wait=seconds,
            on_event=on_event,
        )

    def print_session(
        self,
        *,
        colour: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
        timeout: float | None = None,
        **attributes: Any,
    ) -> PrintSession:
        """A film session to be gone through step by step, for the length of a ``with`` block.

        Parameters
        ----------
        colour
            True for colour, False for grey; None for grey where the printer takes it.
        on_event
            Called with each event that the printer reports.
        **attributes
            Of the film session: NumberOfCopies, PrintPriority, MediumType, FilmDestination, FilmSessionLabel, ...

        Examples
        --------
        >>> import dicomlab as dl, numpy as np
        >>> with dl.demo_pacs() as pacs, pacs.print_session(NumberOfCopies=2) as session:
        ...     page = session.film_box("1x1", FilmSizeID="8INX10IN")
        ...     _ = page.set(1, np.eye(64))
        ...     status, job = page.print()
        >>> str(status)
        '0x0000 success'
        """
        from .printing import PrintSession

        self.node.require("print")
        return PrintSession(self.node, self._call(timeout), colour, attributes, on_event)

    # -- media -----------------------------------------------------------------------------------------------------

    def perform(self, step: Any, *, timeout: float | None = None, **attributes: Any) -> PerformedStep:
        """A procedure step to perform: Modality Performed Procedure Step (PS3.4 annex F).

        As a ``with`` block it is IN PROGRESS at the beginning and COMPLETED at the end; an exception in it makes it
        DISCONTINUED. Nothing is sent before.

        Parameters
        ----------
        step
            A row of `worklist`, or several of one patient; for a step that nobody scheduled a dict by keyword, such as
            ``{"PatientID": "1", "PatientName": "DOE^JANE", "Modality": "CT"}``, or a data set. To go on with a step
            that was begun: its UID, or a row of `performed`.
        timeout
            Seconds without progress, for each of its messages.
        **attributes
            What else is said as it begins, by keyword; None makes an attribute that may be `set` later.

        Returns
        -------
        PerformedStep
            With `add` (series and instances), `set`, `update`, `complete`, `discontinue` and `get`.

        Raises
        ------
        InvalidRequest
            Nothing is selected, something that must be said is not, or the node may not ``perform``.
        NoAcceptedContext, StatusError
            As the block begins: the peer takes no steps, or not this one.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     today = pacs.worklist(Modality="CT")
        ...     with pacs.perform(today.head(1)) as mpps:
        ...         mpps.add({"SeriesInstanceUID": "1.2.3.4", "ProtocolName": "thorax"})
        ...     print(mpps.status, pacs.performed().PerformedProcedureStepStatus.iloc[-1])
        COMPLETED COMPLETED
        """
        from . import procedure

        self.node.require("perform")
        self._check_open()
        return procedure.perform(self.node, step, attributes, partial(self._call, timeout))

    def performed(self) -> pd.DataFrame:
        """The procedure steps that were begun with this peer from here, in this session and before; asks nobody.

        Returns
        -------
        pandas.DataFrame
            One row a step, oldest first: SOPInstanceUID, PerformedProcedureStepStatus as the peer has confirmed it,
            ``unanswered`` (a status that was sent and not answered), ``series`` and ``instances`` made so far, and when
            it ``began`` and ``ended`` (UTC). `perform` goes on with a row.
        """
        from .performed import performed

        return performed(self.node.identity)

    def create_media(
        self,
        what: Any,
        *,
        copies: int = 1,
        priority: str = "medium",
        profile: str = "STD-GEN-CD",
        store: bool = False,
        initiate: bool = True,
        wait: float = 300.0,
        timeout: float | None = None,
        **attributes: Any,
    ) -> MediaCreation:
        """Have a device write instances on CDs, DVDs or the like: Media Creation Management (PS3.4 annex S).

        The request is made, initiated, and asked for until it is final. It is kept on disk: `media` finds it in a later
        session too. The instances must be at the device; local media are made by `dicomlab.write` without any device.

        Parameters
        ----------
        what
            A table with SOPClassUID and SOPInstanceUID, such as `store` gives; what `store` takes; or rows of studies
            or series, or UIDs of studies, as `retrieve` takes them. A column RequestedMediaApplicationProfile goes
            before `profile`.
        copies
            How many of each.
        priority
            "low", "medium" or "high".
        profile
            Media application profile of the instances (PS3.11).
        store
            Store first what the device does not have.
        initiate
            False only makes the request: `MediaCreation.initiate` has the device begin.
        wait
            Seconds to wait for the end; 0 comes back once the device has taken the request.
        **attributes
            What the media are to be: StorageMediaFileSetID, LabelText, AllowMediaSplitting, ...; yes and no are True
            and False.

        Returns
        -------
        MediaCreation
            With ``status``, ``info``, ``pieces``, ``failures`` and ``file_sets``.

        Raises
        ------
        InvalidRequest
            Nothing is selected, something cannot be, or the node may not ``create_media``; nothing was sent.
        NoAcceptedContext, StatusError
            The peer does not take the request.
        IncompleteStore
            What the device lacks could not be stored; no media were asked for.
        MediaFailed
            The device says FAILURE, with ``rows`` of the instances that failed.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     made = pacs.create_media(pacs.find("SERIES", Modality="PT").head(1), StorageMediaFileSetID="PET_1")
        >>> made.status, made.pieces, made.file_sets[0][0]
        ('DONE', 1, 'PET_1')
        """
        from . import media

        self.node.require("create_media")
        if store:
            self.node.require("store")
        patience = _seconds(wait)
        settings: dict[str, Any] = {"copies": copies, "priority": priority, "profile": profile}
        with self._call(timeout) as call:
            made = media.create(self, what, call.clock, **settings, send=store, timeout=timeout, attributes=attributes)
        if initiate:
            made.initiate()
            if patience:
                made.wait(patience)
        return made

    @property
    def media(self) -> MediaCreations:
        """The requests for media that were made at this peer, in this session and before, by UID.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     uid = pacs.create_media(pacs.find("SERIES", Modality="PT").head(1), wait=0).uid
        ...     pacs.media[uid].wait(60).status
        'DONE'
        """
        from .mediacreation import MediaCreations

        return MediaCreations(self)

    @property
    def patients(self) -> PatientUpdater:
        """Updates of patients, studies and series: the private service of LEAD Technologies' servers.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     update = pacs.patients.delete_patient("DEMO-002", reason="sent by mistake", dry_run=True)
        >>> len(update.found), update.status, update.lacks
        (1, None, ('confirm="DEMO-002"',))
        """
        from .patients import PatientUpdater

        if self._updater is None:
            self._updater = PatientUpdater(self)
        return self._updater

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

    def _job(self, title: str, run: Callable[[Call, Meter], Any], timeout: float | None, progress: Any) -> Job:
        """A call in the background; `run` is given its clock and the meter that it moves."""
        self._check_open()
        if self.node.tls is not None:
            self.node.tls.client()  # a password is asked for here: nobody could type it in a thread

        def work(job: Job) -> Any:
            call = self._call(timeout)
            call.waits = partial(setattr, job, "waiting")
            job.stops(call.clock.cancel)
            return run(call, job.progress)

        return self._jobs.start(title, work, Meter(also=progress if callable(progress) else None))

    def _check_open(self) -> None:
        if self._closed:
            again = "demo_pacs()" if self._owner is not None else f'connect("{self.node.name or self.node.identity}")'
            raise InvalidRequest(
                "this peer was closed, by close() or at the end of its with block",
                peer=self.node.identity,
                advice=f"Make another: dicomlab.{again}.",
            )

    def _call(self, timeout: float | None) -> Call:
        self._check_open()
        times = self.node.timeouts
        if timeout is not None:
            times = replace(times, progress=timeout)
        clock = Deadline(times.progress, times.total)
        clock.hooks = self.hooks.of_call(clock)
        return Call(self, clock)


def _limit(limit: int | None) -> int:
    if limit is None:
        return options.find_limit
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidRequest(f"limit={limit!r}", advice="A limit is a whole number of 1 or more.")
    return limit


def _seconds(wait: float) -> float:
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait < 1e7:
        raise InvalidRequest(f"wait={wait!r}", advice="Give seconds, 0 or more.")
    return float(wait)
