"""The worklist with the mouse: a form of its keys, the scheduled steps, and the earlier studies of their patients."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import ipywidgets
import pandas as pd

from ..amounts import counted
from ..errors import DicomlabError, InvalidRequest
from ..queries.worklistkeys import COLUMNS
from ..tables.tables import table
from .code import Code
from .form import Form
from .picker import Picker
from .priors import earlier, patients
from .unsaved import Said

#: The fields of the form: the keys of both query forms of IHE.
KEYS = (
    "ScheduledProcedureStepStartDate", "Modality", "ScheduledStationAETitle", "PatientName", "PatientID",
    "AccessionNumber", "RequestedProcedureID",
)  # fmt: skip
LABELS = {
    "ScheduledProcedureStepStartDate": "Scheduled for",
    "ScheduledStationAETitle": "Station AE Title",
    "PatientName": "Patient's Name",
}
STEPS = (
    "ScheduledProcedureStepStartTime", "PatientName", "PatientID", "Modality", "RequestedProcedureDescription",
    "PatientBirthDate", "PatientSex", "ScheduledProcedureStepStartDate", "ScheduledStationAETitle", "AccessionNumber",
)  # fmt: skip
STUDIES = (
    "StudyDate", "StudyDescription", "ModalitiesInStudy", "PatientName", "PatientID", "PatientBirthDate",
    "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
)  # fmt: skip


class Scheduler(Protocol):
    """What this asks of the peer that has the worklist."""

    def worklist(self, *, background: bool, **keys: Any) -> Any:
        """A job whose result is the table of scheduled steps."""


class Archive(Protocol):
    """What this asks of the peer that has the studies."""

    def find(self, level: str, *, background: bool, **keys: Any) -> Any:
        """A job whose result is the table of matches."""


class WorklistPicker(ipywidgets.VBox):
    """Form, steps and earlier studies; made by `worklist`.

    A question is asked in the background: the kernel stays free, and Stop keeps the steps that came. Nothing of the
    answers, and nothing that is typed in, is kept in a notebook.

    Attributes
    ----------
    form
        The keys; ``form.set(Modality="CT")`` fills them in from Python.
    steps, priors
        The pickers of scheduled steps and of earlier studies.
    """

    _job: Any = None  # the question that was asked last

    def __init__(self, peer: Scheduler, archive: Archive | None = None, **keys: Any) -> None:
        self._peer = peer
        self._archive: Any = peer if archive is None else archive
        self._answered = threading.Event()
        self._answered.set()
        self.form = Form(KEYS, call="pacs.worklist(", button="Query", labels=LABELS)
        self.form.set(**(keys or {"ScheduledProcedureStepStartDate": dt.date.today()}))
        self.form.on_submit(lambda _: self.query())
        self.steps = Picker(_empty(COLUMNS), columns=STEPS)
        self.steps.on_select(lambda _: self._chosen())
        self.priors = Picker(_empty(("PatientID", "StudyInstanceUID", *STUDIES)), columns=STUDIES)
        self._stop = _button("Stop", "stop", "Stop the question, and keep what has come", self.stop)
        self._look = _button("Earlier studies", "search", "Of the patients of the chosen steps", self.look)
        self._said = Said()
        super().__init__([self.form])

    # -- what is chosen ----------------------------------------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """All steps that came."""
        return self.steps.table

    @property
    def selected(self) -> pd.DataFrame:
        """The steps that are chosen, as a worklist gives them; of the earlier studies `priors.selected`."""
        return self.steps.selected

    def code(self) -> Code:
        """The lines that give the same without the mouse."""
        lines = [f"steps = {self.form.code()}", str(self.steps.code("steps"))]
        if len(self.selected):
            asked = "pacs" if self._archive is self._peer else "archive"
            lines.append(f'studies = {asked}.find("STUDY", PatientID=selected.PatientID)')
        return Code("\n".join(lines))

    @property
    def summary(self) -> str:
        """One line, without anything of the answers: how many steps and studies there are, and how many are chosen."""
        priors = f"; {self.priors.summary}" if len(self.priors.table) else ""
        return f"Worklist: {self.steps.summary}{priors}"

    def __repr__(self) -> str:
        """With the rows, for where no widget can be drawn; a notebook keeps the summary alone."""
        tables = [self.steps, *([self.priors] if len(self.priors.table) else [])]
        return "\n".join([repr(self.form), *map(repr, tables)])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None and "ipykernel" in sys.modules:
            bundle["text/plain"] = self.summary
        return bundle

    # -- what its buttons do -----------------------------------------------------------------------------------------

    def query(self) -> None:
        """Ask for the steps that the form says, in the background; `steps` then holds them."""
        self._ask(self._question, self._stepped, self.form.say)

    def _question(self) -> Any:
        keys = self.form.keywords
        if not keys:
            raise InvalidRequest("nothing was requested", advice="Fill in a day, a modality, a station or a patient.")
        return self._peer.worklist(background=True, **keys)

    def look(self) -> None:
        """Ask for the earlier studies of the chosen steps, in the background; `priors` then holds them."""
        steps = self.selected
        self._ask(
            lambda: self._archive.find("STUDY", background=True, PatientID=patients(steps)),
            lambda studies: self._looked(studies, steps),
            self._said.say,
        )

    def stop(self) -> None:
        """Stop the question that runs; the rows that came are shown."""
        if self._job is not None:
            self._job.cancel()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the question that was asked last is answered; whether it is."""
        return self._answered.wait(seconds)

    def close(self) -> None:
        """End it, and the question that runs."""
        self.stop()
        for mine in vars(self).values():
            if isinstance(mine, ipywidgets.Widget):
                mine.close()
        super().close()

    # -- what comes back, in the thread of the job -------------------------------------------------------------------

    def _ask(
        self, question: Callable[[], Any], answered: Callable[[Any], str], say: Callable[[str], None]
    ) -> None:
        self.stop()
        try:
            job = question()
        except DicomlabError as error:
            say(str(error))
            return
        self._job = job
        self._answered.clear()
        job.watched()
        say("asking ...")
        self._show(self._stop)
        job.then(lambda job: self._ended(job, answered, say))

    def _ended(self, job: Any, answered: Callable[[Any], str], say: Callable[[str], None]) -> None:
        if job is not self._job:
            return  # another question was asked meanwhile
        try:
            said = answered(job.partial) if job.partial is not None else ""
            told = [text for text in (said, str(job.error or ""), *job.warnings) if text]
        except Exception as error:
            told = [f"{type(error).__name__}: {error}"]
        say("; ".join(told))
        self._show()
        self._answered.set()

    def _show(self, *running: ipywidgets.Widget) -> None:
        """The form, and what there is: steps, a way to the earlier studies of those that are chosen, and these."""
        steps = (self.steps, self._look, self._said) if len(self.steps.table) else ()
        priors = (self.priors,) if len(self.priors.table) else ()
        self.children = (self.form, *running, *steps, *priors)

    def _stepped(self, steps: pd.DataFrame) -> str:
        self.steps.update(steps)
        self._chosen()
        return _count(len(steps), "scheduled step", "scheduled steps")

    def _looked(self, studies: pd.DataFrame, steps: pd.DataFrame) -> str:
        mine, remarks = earlier(studies, steps)
        self.priors.update(mine)
        return "; ".join([_count(len(mine), "earlier study", "earlier studies"), *remarks])

    def _chosen(self) -> None:
        """Another choice: the earlier studies shown are no longer those of it."""
        self._look.disabled = not len(self.selected)
        if len(self.priors.table):
            self.priors.update(_empty(self.priors.table.columns))
            self._show()
        self._said.say("" if len(self.selected) else "Choose a step to see the earlier studies of its patient.")


def worklist(peer: Scheduler, archive: Archive | None = None, **keys: Any) -> WorklistPicker:
    """Scheduled procedure steps to choose of, with a form of their keys, and the earlier studies of their patients.

    Parameters
    ----------
    peer
        Has the worklist; made by `connect`.
    archive
        Has the studies; default the same peer.
    **keys
        What is in the form at first, as `Peer.worklist` takes it; default the steps of today.

    Returns
    -------
    WorklistPicker
        ``selected`` are the chosen steps, ``priors.selected`` the chosen earlier studies: tables, for the next cell.

    Raises
    ------
    InvalidRequest
        A key is no field of the form, or its value is none.

    Examples
    --------
    >>> import dicomlab as dl
    >>> with dl.demo_pacs() as pacs:
    ...     today = dl.worklist(pacs, Modality="CT", PatientID="DEMO-001")
    ...     today.query(); _ = today.wait()
    ...     today.steps.choose([0])
    ...     today.look(); _ = today.wait()
    >>> today.selected.Modality.tolist(), today.priors.table.StudyDate.dt.year.tolist()
    (['CT'], [2024, 2023])
    """
    return WorklistPicker(peer, archive, **keys)


def _button(text: str, icon: str, tooltip: str, press: Callable[[], Any]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip, layout={"width": "12em"})
    button.on_click(lambda _: press())
    return button


def _empty(columns: Any) -> pd.DataFrame:
    return table([], list(dict.fromkeys(columns)))


def _count(count: int, one: str, many: str) -> str:
    return counted(count, one, many) if count else f"no {one}"
