"""A film session step by step (PS3.4 annex H): session, film boxes, image boxes, print, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ...datasets.elements import tag_of
from ...errors import DicomlabError, InvalidRequest, StatusError
from ...rendering.filming import BOX, SESSION
from ...rendering.filmlayout import Layout
from ...status import Status
from ..association.association import Association, associate
from ..association.deadline import Cancelled
from ..association.normalized import Normalized, Reply
from ..association.opening import refused
from ..association.pdu import Released, ReleaseRequested
from . import printer as prn
from .filmbox import FilmBox, dataset_of, only, printed, reference
from .printer import Event, Printer, Reports

if TYPE_CHECKING:
    from ..association.call import Call
    from ..association.node import Node

PRINT = 1  # Action Type ID
_CUT = (Cancelled, KeyboardInterrupt, Released, ReleaseRequested)  # after these nothing can be asked any more


class PrintSession:
    """A film session at a printer, for the length of a ``with`` block; made by `Peer.print_session`.

    What is left of it at the end, after an error too, is deleted at the printer. Events that the printer reports are
    answered while something is asked or waited for; see `events`.
    """

    def __init__(
        self,
        node: Node,
        call: Call,
        colour: bool | None,
        attributes: dict[str, Any],
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        only(attributes, SESSION, "film session")
        self._node, self._call, self._colour = node, call, colour
        self._attributes = attributes
        self.reports = Reports(on_event)
        self.uid = ""  #: SOP Instance UID of the film session.
        self.meta = ""  #: UID of the meta class that all of it goes by.
        self.printer: Printer | None = None  #: as it was when the session began
        self.remarks = self.reports.remarks  #: what is not to be missed of the session
        self._lost = False
        self._boxes: list[FilmBox] = []
        self._luts: list[str] = []

    # -- its length ----------------------------------------------------------------------------------------------

    def __enter__(self) -> PrintSession:
        self._call.__enter__()
        self._link: Any = associate(self._node, prn.PROPOSED, self._call.clock, phase="print")
        try:
            self._association: Association = self._link.__enter__()
            try:
                self.meta = prn.meta_of(self._association, self._colour)
                self.printer = prn.ask(self._association, self.meta, self.reports)
                reply = self._ask("N-CREATE", prn.SESSION, "", dataset_of(self._attributes))
                self.uid = reply.sop_instance
                if not self.uid:
                    raise self._association.broken("a film session was created without a UID")
            except BaseException as error:
                if not self._link.__exit__(type(error), error, error.__traceback__):
                    raise
        except BaseException as error:
            self._call.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._clear(error):
                self._link.__exit__(None, None, None)  # released, whatever became of what was asked
            else:
                self._link.__exit__(kind, error, trace)
        finally:
            self._call.__exit__(kind, error, trace)

    def _clear(self, error: BaseException | None) -> bool:
        """Delete what is left (R9.7); False where the association is of no use any more."""
        if self._lost or isinstance(error, _CUT) or (isinstance(error, DicomlabError) and not _goes_on(error)):
            return False
        left: list[Callable[[], Any]] = [box.delete for box in reversed(self._boxes)]
        left += [partial(self._ask, "N-DELETE", prn.LUT, uid) for uid in self._luts]
        return all(self.tidy(delete) is None for delete in (*left, self.delete))

    def tidy(self, delete: Callable[[], Any]) -> BaseException | None:
        """Delete something that is needed no more; where that fails it is noted, and the print stands.

        Gives why the association is lost with it, None where it is not.
        """
        try:
            delete()
        except StatusError as failed:
            self.remarks.append(f"what was made for the print could not be deleted: {failed.status}")
        except (DicomlabError, Released, ReleaseRequested) as lost:
            why = lost.message if isinstance(lost, DicomlabError) else "the peer asked for release"
            self.remarks.append(f"the association was lost before all that was made for the print was deleted ({why})")
            self._lost = True
            self._association.abort(lost)
            return lost
        return None

    # -- steps -----------------------------------------------------------------------------------------------------

    @property
    def classes(self) -> dict[str, bool]:
        """Which classes of printing the printer takes, by name."""
        return prn.taken(self._association)

    @property
    def events(self) -> list[Event]:
        """What the printer and its print jobs have reported."""
        return self.reports.events

    @property
    def colour(self) -> bool:
        """Whether this is a session of the colour meta class."""
        return self.meta == prn.COLOR_META

    def update(self, **attributes: Any) -> Status:
        """N-SET of attributes of the film session."""
        only(attributes, SESSION, "film session")
        return self._ask("N-SET", prn.SESSION, self.uid, dataset_of(attributes)).status

    def film_box(self, layout: Any = None, *, lut: str = "", **attributes: Any) -> FilmBox:
        """Make a film box, which is a page: its image boxes are made by the printer.

        Parameters
        ----------
        layout
            As `film` takes it.
        lut
            SOP Instance UID of a presentation LUT, see `presentation_lut`.
        **attributes
            Of the film box, by keyword.
        """
        only(attributes, BOX, "film box")
        form = Layout.of(layout)
        made = dataset_of(attributes)
        made.ImageDisplayFormat = form.display_format
        made.ReferencedFilmSessionSequence = [reference(prn.SESSION, self.uid)]
        if lut:
            made.ReferencedPresentationLUTSequence = [reference(prn.LUT, lut)]
        reply = self._ask("N-CREATE", prn.FILM_BOX, "", made)
        box = FilmBox(self, reply, form)
        if not box.uid:
            raise self._association.broken("a film box was created without a UID")
        self._boxes.append(box)
        if not box.image_boxes:
            raise self._association.broken("a film box was created without image boxes")
        return box

    def presentation_lut(self, shape: str | None = "IDENTITY", *, table: Sequence[int] | None = None) -> str:
        """Make a presentation LUT; gives its UID.

        Parameters
        ----------
        shape
            "IDENTITY" or "LIN OD".
        table
            Values of a table instead, as many as there are stored values (256, or 4096 for 12 bits), below 65,536.
        """
        made = Dataset()
        if table is not None:
            values = np.asarray(table)
            if values.ndim != 1 or not 2 <= len(values) <= 65_535 or values.dtype.kind not in "iu":
                raise InvalidRequest("a presentation LUT is a list of whole numbers", advice="Give 256 or 4096.")
            if values.min() < 0 or values.max() > 65_535:
                raise InvalidRequest("a presentation LUT has values from 0 to 65,535")
            bits = max(10, int(values.max()).bit_length())
            item = Dataset()
            item.add_new(0x00283002, "US", [len(values), 0, bits])
            item.add_new(0x00283006, "OW", values.astype("<u2").tobytes())
            made.PresentationLUTSequence = [item]
        elif shape in ("IDENTITY", "LIN OD"):
            made.PresentationLUTShape = shape
        else:
            raise InvalidRequest(f"a presentation LUT of shape {shape!r}", advice='It is "IDENTITY" or "LIN OD".')
        reply = self._ask("N-CREATE", prn.LUT, "", made)
        if not reply.sop_instance:
            raise self._association.broken("a presentation LUT was created without a UID")
        self._luts.append(reply.sop_instance)
        return reply.sop_instance

    def print(self) -> tuple[Status, str]:
        """Print all film boxes of the session; the status, and the UID of the print job or ""."""
        return printed(self._ask("N-ACTION", prn.SESSION, self.uid))

    def printer_status(self, *keywords: str) -> Printer:
        """Ask the printer how it is doing (N-GET), and for further attributes one by one."""
        return prn.ask(self._association, self.meta, self.reports, keywords)

    def job_status(self, job: str) -> str:
        """What is known of a print job: PENDING, PRINTING, DONE or FAILURE, "" where nothing is; asked by N-GET."""
        try:
            reply = self._ask("N-GET", prn.JOB, job, tags=[tag_of("ExecutionStatus")])
        except StatusError as error:
            self.remarks.append(f"a print job could not be asked for: {error.status}")
            return ""
        return "" if reply.data is None else prn._text(reply.data, "ExecutionStatus")

    def wait(self, seconds: float, jobs: Sequence[str] = ()) -> bool:
        """Take events for so long; with `jobs`, until each has ended, and whether it has (R9.6)."""

        def ended() -> bool:
            return bool(jobs) and all(self.reports.state(job) in ("DONE", "FAILURE") for job in jobs)

        return self.reports.wait(self._association, seconds, ended)

    def delete(self) -> None:
        """Delete the film session and what is in it."""
        if self.uid:
            uid, self.uid = self.uid, ""
            self._boxes.clear()
            self._ask("N-DELETE", prn.SESSION, uid)

    def require(self, name: str) -> None:
        """Refuse to go on without a class of `prn.OPTIONAL`.

        Raises
        ------
        NoAcceptedContext
        """
        if not self.classes[name]:
            uid = prn.OPTIONAL[name]
            raise refused(self._node, uid, self._association.accepted.results.get(uid), self._call.clock)

    # -- how it is asked -------------------------------------------------------------------------------------------

    def _ask(
        self, what: str, sop_class: str, instance: str, data: Dataset | None = None, tags: Sequence[int] = ()
    ) -> Reply:
        """One request: on the context of the meta class, or on its own where the class is beside it (R9.2)."""
        if what != "N-CREATE" and not instance:
            raise InvalidRequest(f"{UID(sop_class).name} is deleted already", peer=self._node.identity, phase=what)
        own = sop_class in prn.OPTIONAL.values()
        self._call.clock.progressed()  # what its caller did in the meantime is no silence of the peer's
        request = Normalized(
            self._association, "PRINT", context="" if own else self.meta, on_event=self.reports.take
        )
        data = data if data is not None and len(data) else None
        try:
            reply = self._reply(request, what, sop_class, instance, data, tags)
        except StatusError as error:
            raise self._worded(error, what, sop_class, data) from None
        if reply.status.code:
            self.remarks.append(f"{what} of the {_NAMES.get(sop_class, 'print')}: {reply.status}")
        return reply

    def _worded(self, error: StatusError, what: str, sop_class: str, data: Dataset | None) -> StatusError:
        """The error of a request that was refused, with what it was about."""
        status = error.status
        code = status.code if status is not None else 0
        advice = _ADVICE.get(code, "")
        if code in (0x0105, 0x0106, 0x0107, 0x0115, 0x0116, 0x0120) and data is not None and sop_class == prn.FILM_BOX:
            asked = ", ".join(
                f"{element.keyword} {element.value}" for element in data if element.keyword and element.VR != "SQ"
            )
            advice = f"It was asked for {asked}: the printer's conformance statement lists what it takes."
        return StatusError(
            f"{what} of the {_NAMES.get(sop_class, 'print')} was refused: {status}",
            peer=error.peer,
            phase=what,
            elapsed=error.elapsed,
            status=status,
            advice=advice or "The printer's log says why.",
        )

    @staticmethod
    def _reply(
        request: Normalized, what: str, sop_class: str, instance: str, data: Dataset | None, tags: Sequence[int]
    ) -> Reply:
        if what == "N-CREATE":
            return request.create(sop_class, data)
        if what == "N-SET":
            return request.set(sop_class, instance, Dataset() if data is None else data)
        if what == "N-GET":
            return request.get(sop_class, instance, tags)
        if what == "N-ACTION":
            return request.action(sop_class, instance, PRINT)
        return request.delete(sop_class, instance)


#: What to do about a failure of section 9.
_ADVICE = {
    0xC601: "Try again once the printer has worked through its queue.",
    0xC602: "Try again once the printer has worked through its queue.",
    0xC603: "Have the images made smaller before, such as largest=1024, or choose a layout with larger boxes.",
    0xC605: "Print fewer images on a film, or smaller ones (largest=).",
    0xC613: "Have the images made smaller before, such as largest=1024.",
    0xC616: "Print and delete each film box before the next is made.",
}
_NAMES = {
    prn.SESSION: "film session",
    prn.FILM_BOX: "film box",
    prn.GRAYSCALE_BOX: "image box",
    prn.COLOR_BOX: "image box",
    prn.ANNOTATION: "annotation box",
    prn.LUT: "presentation LUT",
    prn.JOB: "print job",
}


def _goes_on(error: DicomlabError) -> bool:
    """Whether the association still stands after an error: one of the request, not one of the line."""
    return isinstance(error, StatusError | InvalidRequest) or error.phase in ("", "association")
