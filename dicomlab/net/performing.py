"""What a peer is told or made to do: procedure steps, films, media, corrections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from .calling import Calling, waiting

if TYPE_CHECKING:
    import pandas as pd

    from .media.mediacreation import MediaCreation, MediaCreations
    from .patients.patients import PatientUpdater
    from .peer import Peer
    from .printing.filmprint import PrintResult
    from .printing.printer import Event, Printer
    from .printing.printing import PrintSession
    from .procedure.performedstep import PerformedStep


class Performing(Calling):
    """The services of DIMSE-N."""

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
        from .printing import printer

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
        from .printing import filmprint

        self.node.require("print")
        filmprint.check(unavailable)
        seconds, pages = waiting(wait), filmprint.to_print(what, layout, choices)
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
        from .printing.printing import PrintSession

        self.node.require("print")
        return PrintSession(self.node, self._call(timeout), colour, attributes, on_event)

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
        from .procedure import procedure

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
        from .procedure.performed import performed

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
        from .media import media

        self.node.require("create_media")
        if store:
            self.node.require("store")
        patience = waiting(wait)
        settings: dict[str, Any] = {"copies": copies, "priority": priority, "profile": profile}
        with self._call(timeout) as call:
            whole = cast("Peer", self)
            made = media.create(whole, what, call.clock, **settings, send=store, timeout=timeout, attributes=attributes)
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
        from .media.mediacreation import MediaCreations

        return MediaCreations(cast("Peer", self))

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
        from .patients.patients import PatientUpdater

        if self._updater is None:
            self._updater = PatientUpdater(cast("Peer", self))
        return self._updater
