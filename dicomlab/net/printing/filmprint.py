"""A print in one call: films to a printer, and what became of each (PS3.4 annex H)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import DicomlabError, Interrupted, InvalidRequest
from ...facts import Facts
from ...remarks import remark
from ...rendering.filming import BOX, IMAGE, SESSION, Film, film
from ...status import Status
from .filmbox import FilmBox
from .printer import OPTIONAL, Event, Printer
from .printing import PrintSession

if TYPE_CHECKING:
    import pandas as pd

    from ..association.call import Call
    from ..association.node import Node

_EMPTY = (0xB602, 0xB603)  # warnings by which nothing was printed (R9.9)


@dataclass(frozen=True, repr=False, eq=False)
class PrintResult(Facts):
    """What became of a print.

    Attributes
    ----------
    pages
        One row a film: page, images, status and its meaning, printed (NA where it is not known), job (the UID of the
        print job) and job_status.
    images
        `Film.table`, with the status of each image box and its meaning.
    events
        What the printer and its jobs reported: source, event, info, instance, elapsed.
    printer
        The printer as it was before.
    unavailable
        Classes of printing that it does not take.
    remarks
        What is not to be missed of it.
    film
        What was to be printed.
    """

    pages: pd.DataFrame
    images: pd.DataFrame
    events: pd.DataFrame
    printer: Printer | None
    unavailable: tuple[str, ...]
    remarks: tuple[str, ...]
    film: Film

    def facts(self) -> Iterable[tuple[str, str]]:
        """How many films were printed, and what the printer said."""
        printed = int(self.pages.printed.fillna(False).sum())
        open_ = int(self.pages.printed.isna().sum())
        more = f", of {open_} it is not known" if open_ else ""
        yield "printed", f"{printed} of {len(self.pages)} film{'s' * (len(self.pages) != 1)}{more}"
        yield "images", str(len(self.images))
        for name, text in self.film.facts():
            if name in ("clipped", "changed"):
                yield name, text
        if self.printer is not None:
            yield "printer", f"{self.printer.status}{f', {self.printer.info}' if self.printer.info else ''}"
        told = Counter(f"{source} {event}" for source, event in self.events[["source", "event"]].values)
        yield "events", ", ".join(f"{count} x {what}" if count > 1 else what for what, count in told.items())
        yield "unavailable", ", ".join(self.unavailable)
        yield "remarks", "; ".join(self.remarks)


@dataclass
class _Row:
    page: int
    images: int
    status: Status | None = None
    printed: bool | None = False
    job: str = ""
    job_status: str = ""


def print_film(
    node: Node,
    call: Call,
    pages: Film,
    *,
    presentation_lut: Any,
    unavailable: str,
    wait: float,
    on_event: Callable[[Event], object] | None,
) -> PrintResult:
    """Print every page of a film; see `Peer.print`."""
    rows = [_Row(number, len(images)) for number, images in enumerate(pages.pages, 1)]
    session = PrintSession(node, call, pages.colour, pages.of(SESSION), on_event)
    work = _Work(session, pages, rows, presentation_lut, unavailable == "skip", wait)
    try:
        with session:
            work.run()
    except DicomlabError as error:
        error.rows = work.table()
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"{node.identity}: stopped; rows say what was printed", work.table()) from None
    result = work.result()
    said = work.said()
    if said:
        remark(f"{node.identity}: {'; '.join(said)}", stacklevel=3)
    return result


def to_print(what: Any, layout: Any, choices: dict[str, Any]) -> Film:
    """The film that is to be printed: the one that is given, or one made of images.

    Raises
    ------
    InvalidRequest
        A film is given, and how to make one too.
    """
    if not isinstance(what, Film):
        return film(what, layout, **choices)
    given = [*(["layout"] if layout is not None else []), *choices]
    if given:
        raise InvalidRequest(f"the film is made already, without {', '.join(given)}", advice="Give them to film(...).")
    return what


def check(unavailable: str) -> None:
    """Refuse what is neither "raise" nor "skip"."""
    if unavailable not in ("raise", "skip"):
        raise InvalidRequest(f"unavailable={unavailable!r}", advice='It is "raise" or "skip".')


class _Work:
    """The course of one print."""

    def __init__(
        self, session: PrintSession, pages: Film, rows: list[_Row], lut: Any, skip: bool, wait: float
    ) -> None:
        self.session, self.film, self.rows, self.lut, self.skip, self.wait = session, pages, rows, lut, skip, wait
        self.statuses: list[Status] = []  # of the image boxes
        self.classes: Mapping[str, bool] = {}

    def run(self) -> None:
        session, made = self.session, self.film
        self.classes = session.classes
        printer = session.printer
        if printer is not None and printer.status in ("WARNING", "FAILURE"):
            session.remarks.append(f"the printer says {printer.status}, {printer.info or 'and not why'}")
        attributes, texts = made.of(BOX), made.annotation
        if texts and not self._has("annotation"):
            attributes.pop("AnnotationDisplayFormatID", None)
            texts = ()
        lut, lost = "", None
        if self.lut is not None and self._has("presentation LUT"):
            lut = (
                session.presentation_lut(self.lut)
                if isinstance(self.lut, str)
                else session.presentation_lut(None, table=self.lut)
            )
        for row, images in zip(self.rows, made.pages, strict=True):
            box = session.film_box(made.layout, lut=lut, **attributes)
            self._check(box, len(images), len(texts))
            for position, image in enumerate(images, 1):
                self.statuses.append(box.set(position, image, **made.of(IMAGE)))
            for position, text in enumerate(texts, 1):
                box.annotate(position, text)
            row.printed = None  # until it is answered
            row.status, row.job = box.print()
            row.printed = row.status.code not in _EMPTY
            lost = session.tidy(box.delete)
            if lost is not None and row is not self.rows[-1]:
                raise lost
        self._follow(lost is None)

    def _has(self, name: str) -> bool:
        """Whether there is an optional class that is wanted (R9.8)."""
        if not self.classes[name] and not self.skip:
            self.session.require(name)
        if not self.classes[name]:
            self.session.remarks.append(f"printed without {name}: this printer has none")
        return self.classes[name]

    def _check(self, box: FilmBox, images: int, texts: int) -> None:
        for what, wanted, boxes in (("image", images, box.image_boxes), ("annotation", texts, box.annotation_boxes)):
            if wanted > len(boxes):
                raise InvalidRequest(
                    f"the printer made {len(boxes)} {what} boxes for {box.layout.display_format}, {wanted} are needed",
                    peer=self.session._node.identity,
                    phase="N-CREATE",
                    advice="Choose another layout." if what == "image" else "Choose another AnnotationDisplayFormatID.",
                )

    def _follow(self, there: bool) -> None:
        """Wait till the print jobs have ended; one that nothing is heard of is asked for once (R9.6)."""
        jobs = {row.job: row for row in self.rows if row.job}
        if not jobs or not self.classes["print job"]:
            return
        if there:
            self.session.wait(self.wait, list(jobs))
        for job, row in jobs.items():
            state = self.session.reports.state(job)
            if there and state not in ("DONE", "FAILURE"):
                state = self.session.job_status(job) or state
            row.job_status = state
            if row.printed:
                row.printed = {"DONE": True, "FAILURE": False}.get(state)

    def said(self) -> list[str]:
        """What its caller must not miss."""
        found = list(self.session.remarks)
        for row in self.rows:
            if row.status is not None and row.status.code in _EMPTY:
                found.append(f"nothing was printed of film {row.page}")
            elif row.job_status == "FAILURE":
                found.append(f"film {row.page} was not printed: its print job failed")
            elif row.printed is None and row.job:
                last = f", the last that is known is {row.job_status}" if row.job_status else ""
                found.append(f"whether film {row.page} was printed is not known: its print job has not ended{last}")
            elif row.status is None:
                found.append(f"film {row.page} was not printed")
        return list(dict.fromkeys(found))

    def table(self) -> pd.DataFrame:
        """One row a film, as far as it came."""
        import pandas as pd

        columns: dict[str, tuple[str, list[Any]]] = {
            "page": ("Int64", [row.page for row in self.rows]),
            "images": ("Int64", [row.images for row in self.rows]),
            "status": ("Int64", [None if row.status is None else row.status.code for row in self.rows]),
            "meaning": ("string", [_words(row.status, "not asked for") for row in self.rows]),
            "printed": ("boolean", [row.printed for row in self.rows]),
            "job": ("string", [row.job for row in self.rows]),
            "job_status": ("string", [row.job_status for row in self.rows]),
        }
        return pd.DataFrame({name: pd.array(values, dtype=kind) for name, (kind, values) in columns.items()})  # type: ignore[call-overload]

    def result(self) -> PrintResult:
        """What became of it."""
        import pandas as pd

        images = self.film.table
        told: list[Status | None] = [*self.statuses, *[None] * (len(images) - len(self.statuses))]
        images["status"] = pd.array([None if one is None else one.code for one in told], dtype="Int64")
        images["meaning"] = pd.array([_words(one, "not sent") for one in told], dtype="string")
        return PrintResult(
            self.table(),
            images,
            self.session.reports.table(),
            self.session.printer,
            tuple(name for name in OPTIONAL if self.classes and not self.classes[name]),
            tuple(self.said()),
            self.film,
        )


def _words(status: Status | None, none: str) -> str:
    if status is None:
        return none
    return "nothing was printed: " + status.meaning if status.code in _EMPTY else status.meaning

