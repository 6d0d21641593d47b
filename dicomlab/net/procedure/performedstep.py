"""Modality performed procedure steps (PS3.4 annex F): what is done of what was scheduled is told while it is done."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ... import phi
from ...amounts import counted
from ...errors import (
    AssociationRejected,
    ConnectError,
    DicomlabError,
    DimseTimeout,
    InvalidRequest,
    ProtocolError,
    StatusError,
)
from ...markup import Html, rows
from ...remarks import remark
from ...status import Category
from ...steps.performedseries import OF_SERIES, merged, performed_series
from ...steps.stepattributes import UNSPECIFIED, changeable, reason_code
from ...steps.stepvalues import declare, filled, missing
from ...writers.modules import new_uid
from ..association.association import associate
from ..association.call import Call
from ..association.deadline import Deadline
from ..association.node import Node
from ..association.normalized import Normalized, Reply, proposed
from .performed import COMPLETED, DISCONTINUED, IN_PROGRESS, MPPS, Performed, PerformedSteps

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

RETRIEVE = "1.2.840.10008.3.1.2.3.4"
DUPLICATE, NO_LONGER = 0x0111, 0xA710  # status; Error ID of an N-SET after a final state (PS3.4 F.7.2.2.4)
HURRY = 1.0  # seconds in which the peer is told that Ctrl-C ended a step
_LOST = (ConnectError, DimseTimeout, ProtocolError, AssociationRejected)

#: Begins a call of the peer that so many seconds without progress end.
Begin = Callable[[], Call]


class PerformedStep:
    """A procedure step that is performed; made by `Peer.perform`.

    As a ``with`` block it is IN PROGRESS from its beginning, and COMPLETED at its end; an exception, Ctrl-C among them,
    makes it DISCONTINUED. Where the block cannot be one, in a notebook of several cells, `create` begins it, and
    `complete` or `discontinue` ends it.

    `add` and `set` say what was made and done: it is remembered at once, and told to the peer by `update` and at the
    end. What is final stays final.
    """

    def __init__(
        self, node: Node, begin: Begin, state: Performed, first: Dataset | None, steps: PerformedSteps
    ) -> None:
        self._node, self._begin, self._steps, self._first = node, begin, steps, first
        self._state = state
        self._failed: BaseException | None = None  # what ended our last message to the peer
        #: What the peer took with a warning: dicts of message, status, meaning and attributes (R8.7).
        self.warnings: list[dict[str, Any]] = []

    @property
    def uid(self) -> str:
        """SOP Instance UID: ``peer.perform(uid)`` goes on with this step, in a later session too."""
        return self._state.uid

    @property
    def status(self) -> str:
        """ "IN PROGRESS", "COMPLETED" or "DISCONTINUED", as the peer has confirmed it; "" before it is begun."""
        return self._state.status

    @property
    def dataset(self) -> Dataset:
        """What is to be told, or was: the attributes of the N-SET."""
        return phi.dataset(self._state.data())

    def __repr__(self) -> str:
        series, instances = self._state.count()
        said = self.status or "not begun"
        if self._state.asked:
            said += f", {self._state.asked} was sent and not answered"
        return f"PerformedStep {self.uid} ({said}; {series} series, {counted(instances, 'instance')})"

    def _repr_html_(self) -> Html:
        series, instances = self._state.count()
        said = [
            ("SOPInstanceUID", self.uid),
            ("status", self.status or "not begun"),
            ("Modality", self._state.modality),
            ("made", f"{series} series, {counted(instances, 'instance')}"),
            ("peer", self._node.identity),
        ]
        return rows(said, "procedure step")

    # -- the block -------------------------------------------------------------------------------------------------

    def __enter__(self) -> PerformedStep:
        if self.status:
            self._open("begin it again")
        self.create()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._state.final:
            return
        if error is None:
            self.complete()
            return
        if error is self._failed and isinstance(error, _LOST):  # of the line, not of the examination (R8.8)
            error.add_note(f'The step stays IN PROGRESS: peer.perform("{self.uid}") goes on with it.')
            return
        try:
            self._end(DISCONTINUED, UNSPECIFIED, hurry=isinstance(error, KeyboardInterrupt))
        except (DicomlabError, KeyboardInterrupt) as trouble:
            why = trouble.message if isinstance(trouble, DicomlabError) else "Ctrl-C"
            error.add_note(
                f"The peer could not be told that the step is discontinued ({why}): "
                f'peer.perform("{self.uid}").discontinue() tells it.'
            )

    # -- what is told ----------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Begin it: N-CREATE with the status IN PROGRESS. Does nothing where it is begun already.

        Raises
        ------
        NoAcceptedContext
            The peer takes no procedure steps.
        StatusError
            It does not take this one; nothing stays begun.
        """
        if self.status:
            return
        if self._first is None:
            raise InvalidRequest(
                "whether the peer has this step is not known, and what it was to be created with neither",
                peer=self._node.identity,
                advice="Give perform the same row of the worklist again: it goes on with this step.",
            )
        again, data = self._state.asked == IN_PROGRESS, self._first
        try:
            reply = self._tell(lambda to: to.create(MPPS, data, sop_instance=self.uid), asked=IN_PROGRESS)
        except StatusError as error:
            if not (again and error.status is not None and error.status.code == DUPLICATE):
                self._steps.forget(self.uid)
                error.advice = "Nothing is begun; the log of the peer says why."
                raise
            reply = None  # it came the first time
        except DicomlabError as error:
            if not self._state.asked:
                self._steps.forget(self.uid)
            else:
                error.advice = "Whether the peer has begun the step is not known: perform the same step again."
            raise
        self._keep(status=IN_PROGRESS, asked="")
        self._heed(reply, "N-CREATE")

    def add(self, what: Any, **series: Any) -> None:
        """Say what was made: series and instances; those that are known already count once.

        Parameters
        ----------
        what
            What `store` or `scan` gave; paths, a folder or data sets; or, by hand, a dict of one series by keyword:
            SeriesInstanceUID, with SOPClassUID and SOPInstanceUID of one instance, or ReferencedImageSequence. A series
            without images is one too.
        **series
            ProtocolName, SeriesDescription, PerformingPhysicianName, OperatorsName or RetrieveAETitle of each series,
            where the instances do not say it.

        Raises
        ------
        InvalidRequest
            Nothing is selected, it is of another study, or the step is over.
        """
        self._open("add to it")
        for keyword in series:
            if keyword not in OF_SERIES:
                raise InvalidRequest(f"{keyword} says nothing of a series here", advice=f"Give {', '.join(OF_SERIES)}.")
        made, data = performed_series(what, series, self._state.studies), self._state.data()
        data.PerformedSeriesSequence = merged(data.get("PerformedSeriesSequence") or [], made)
        for item in data.PerformedSeriesSequence:
            item.ProtocolName = item.ProtocolName or self._state.protocol  # it must have one
        self._change(data)

    def set(self, **attributes: Any) -> None:
        """Say what else there is to say, by keyword: description, comments, codes of procedure and protocol, dose.

        Raises
        ------
        InvalidRequest
            The attribute may not change, or is one that the step was created without; or the step is over.
        """
        self._open("change it")
        data = self._state.data()
        for keyword, value in attributes.items():
            changeable(keyword, self._state.created)
            data.add(filled(keyword, value, strict=True))
        self._change(data)

    def update(self) -> None:
        """Tell the peer what was added and set so far, by N-SET; the end tells it anyway."""
        self._open("update it")
        data = self._state.data()
        if len(data):
            self._heed(self._set(data), "N-SET")

    def complete(self, **attributes: Any) -> None:
        """End it as COMPLETED.

        Parameters
        ----------
        **attributes
            As `set` takes them.

        Raises
        ------
        InvalidRequest
            No series was added, or the step is over.
        """
        self._open("complete it")
        if attributes:
            self.set(**attributes)
        if not self._state.count()[0]:
            raise InvalidRequest(
                "the step cannot be completed: no series was added",
                peer=self._node.identity,
                advice='Say what was made by add(instances), or end it by discontinue("reason"). '
                f'It stays in progress: peer.perform("{self.uid}") goes on with it.',
            )
        self._end(COMPLETED)

    def discontinue(self, reason: Any = UNSPECIFIED, *, comment: str = "") -> None:
        """End it as DISCONTINUED.

        Parameters
        ----------
        reason
            A meaning or value of CID 9300 of PS3.16, such as "Equipment failure" or "110505", or a code as (value,
            scheme, meaning).
        comment
            Words of your own, as CommentsOnThePerformedProcedureStep.
        """
        self._open("discontinue it")
        if comment:
            self.set(CommentsOnThePerformedProcedureStep=comment)
        self._end(DISCONTINUED, reason)

    def get(self) -> Dataset:
        """What the peer has of this step: N-GET of the Modality Performed Procedure Step Retrieve class.

        Raises
        ------
        NoAcceptedContext
            The peer tells nobody.
        """
        reply = self._tell(lambda to: to.get(RETRIEVE, self.uid), sop_class=RETRIEVE)
        if reply.data is None:
            raise ProtocolError(
                "the answer holds no attributes",
                peer=self._node.identity,
                phase="N-GET",
                advice="The peer breaks the protocol; report it to its vendor.",
            )
        return phi.dataset(reply.data.dataset())

    # -- the work --------------------------------------------------------------------------------------------------

    def _end(self, status: str, reason: Any = None, *, hurry: bool = False) -> None:
        """Set what is due at the end, and the status (R8.5)."""
        data, now, before = self._state.data(), dt.datetime.now(), self._state.asked
        if reason is not None:
            data.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason_code(reason)]
        if not data.get("PerformedSeriesSequence"):  # it must not be empty: one without images says so
            data.PerformedSeriesSequence = performed_series(
                {"SeriesInstanceUID": new_uid(), "ProtocolName": self._state.protocol}, {}, self._state.studies
            )
        if missing(data.get("PerformedProcedureStepEndDate")):
            data.PerformedProcedureStepEndDate = f"{now:%Y%m%d}"
            data.PerformedProcedureStepEndTime = f"{now:%H%M%S}"
        if missing(data.get("PerformedProcedureStepEndTime")):
            raise InvalidRequest(
                "an end needs PerformedProcedureStepEndTime beside its date", advice="Set both, or none."
            )
        data.PerformedProcedureStepStatus = status
        try:
            reply = self._set(data, asked=status, hurry=hurry)
        except StatusError as error:
            if before and error.status is not None and error.status.error_id == NO_LONGER:
                self._keep(status=before, asked="", ended=time.time())  # the message before had come
                if before == status:
                    return
                error.advice = f"It was {before} already: the message that was not answered had come."
            else:
                self._keep(asked="")
                error.advice = f"The step stays IN PROGRESS. {error.advice}"
            raise
        except DicomlabError as error:
            if self._state.asked:
                error.advice = (
                    f"Whether the step is {status} there is not known: peer.perform({self.uid!r}) goes on with it."
                )
            raise
        del data.PerformedProcedureStepStatus
        self._keep(status=status, asked="", ended=time.time(), changes=data.to_json_dict())
        self._heed(reply, "N-SET")

    def _set(self, data: Dataset, *, asked: str = "", hurry: bool = False) -> Reply:
        declare(data)
        return self._tell(lambda to: to.set(MPPS, self.uid, data), asked=asked, hurry=hurry)

    def _tell(
        self, message: Callable[[Normalized], Reply], *, asked: str = "", sop_class: str = MPPS, hurry: bool = False
    ) -> Reply:
        """One message on an association of its own; that a new status is asked for is remembered before it goes out."""

        def exchange(clock: Deadline) -> Reply:
            with associate(self._node, proposed(sop_class), clock, phase="association") as association:
                association.context(sop_class)
                if asked:
                    self._keep(asked=asked)
                return message(Normalized(association, "MPPS"))

        self._failed = None
        try:
            with self._begin() as call:
                clock = call.clock
                if hurry:
                    clock = clock.grace(HURRY)
                    clock.hooks = call.clock.hooks
                    return exchange(clock)
                return call.run(self._node, lambda: exchange(clock))  # type: ignore[no-any-return]
        except DicomlabError as error:
            self._failed = error
            raise

    def _heed(self, reply: Reply | None, message: str) -> None:
        """Say what was taken with a warning (R8.7)."""
        if reply is None or reply.status.category is not Category.WARNING:
            return
        from pydicom.datadict import keyword_for_tag

        tags = [int(text[1:5] + text[6:10], 16) for text in reply.status.offending]
        tags += [tag for tag in (reply.data.raw if reply.data else ()) if tag not in tags]
        names = [keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in tags]
        status = replace(reply.status, offending=())
        self.warnings.append(
            {"message": message, "status": status.code, "meaning": status.meaning, "attributes": names}
        )
        which = f", for {', '.join(names)}" if names else ""
        remark(f"{self._node.identity}: the {message} was taken with the warning {status}{which}", stacklevel=4)

    def _open(self, what: str) -> None:
        """Refuse what is to be done before the step is begun, or once its state is final (R8.6)."""
        if not self.status:
            raise InvalidRequest(
                "the step is not begun",
                peer=self._node.identity,
                advice="Begin it by a block, with peer.perform(step) as mpps:, or by create().",
            )
        if self._state.final:
            raise InvalidRequest(
                f"the step is {self.status}, which is final: nobody can {what}",
                peer=self._node.identity,
                advice="Begin another by peer.perform(step).",
            )

    def _change(self, data: Dataset) -> None:
        self._keep(changes=data.to_json_dict())

    def _keep(self, **changes: Any) -> None:
        state = replace(self._state, **changes)
        self._steps.keep(state)
        self._state = state
