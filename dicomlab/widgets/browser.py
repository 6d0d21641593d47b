"""Query, choose, retrieve and look in one: node, form, patients, studies, series, job and viewer (R15.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import pandas as pd

from ..amounts import counted
from ..errors import InvalidRequest
from ..markup import tag
from ..tables.tables import addresses
from .code import Code
from .form import Form, words_of
from .jobview import JobView
from .looking import Looking
from .nodepicker import NodePicker
from .patients import PATIENT, patients_of, studies_of
from .peers import Asked, Work
from .picker import Picker
from .sending import SendPanel
from .unsaved import Said

MOST_LISTED = 50  # studies whose series are asked for because they are chosen
_STUDY_SHOWN = (
    "StudyDate", "StudyTime", "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances", "AccessionNumber", "PatientName", "PatientID", "InstanceAvailability",
)  # fmt: skip
_SERIES_SHOWN = (
    "SeriesNumber", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances", "here", "SeriesDate",
    "SeriesTime", "BodyPartExamined", "ProtocolName", "PatientName", "InstanceAvailability",
)  # fmt: skip


class Browser(ipywidgets.VBox):
    """A peer to browse; made by `browse`.

    Everything it shows of patients goes to the page as messages and is no state of a widget, so that a saved notebook
    holds none of it.

    Attributes
    ----------
    peer
        The node that is asked.
    form, patients, studies, series
        The form, and a picker for each level; what is chosen in one narrows the next.
    instances
        Table of what the last retrieval brought, or None.
    sending
        Sends it to another node; ``sending.results`` says what became of each instance.
    looking
        What was loaded of it (``looking.volumes``) and the viewer.
    """

    def __init__(self, peer: Asked) -> None:
        self._studies = pd.DataFrame()  # all that the form found
        self._listed: dict[str, pd.DataFrame] = {}  # series by study
        self._turn = threading.RLock()  # clicks come in the kernel's threads, ends of jobs in theirs
        self._jobs: dict[str, Work] = {}  # that run or ran last, a query and a retrieval
        self.instances: pd.DataFrame | None = None
        self.node = NodePicker(peer)
        self.form = Form("STUDY", call='pacs.find("STUDY"')
        self.patients, self.studies = Picker(pd.DataFrame()), Picker(pd.DataFrame())
        self.series = Picker(pd.DataFrame(), cache=peer.cache)
        self.said = Said()
        self.retrieve_button = ipywidgets.Button(description="Retrieve", button_style="primary", disabled=True)
        self.view_button = ipywidgets.Button(description="View", disabled=True)
        self.sending = SendPanel(self.node)
        self._places = {what: ipywidgets.VBox() for what in ("query", "retrieval")}
        self.looking = Looking(self.said)
        self._levels = {
            name: ipywidgets.VBox([ipywidgets.HTML(tag("b", name)), picker], layout={"display": "none"})
            for name, picker in (("Patients", self.patients), ("Studies", self.studies), ("Series", self.series))
        }
        buttons = ipywidgets.HBox([self.retrieve_button, self.view_button])
        super().__init__(
            [
                self.node, self.form, self._places["query"], *self._levels.values(), buttons, self.said,
                self._places["retrieval"], self.looking, self.sending,
            ]
        )  # fmt: skip
        self.node.on_change(lambda _: self._guarded(self._forget))
        self.form.on_submit(lambda _: self._ask())
        self.patients.on_select(lambda _: self._guarded(self._narrow))
        self.studies.on_select(lambda _: self._guarded(self._list))
        self.series.on_select(lambda _: self._guarded(self._count))
        self.retrieve_button.on_click(lambda _: self._guarded(self.retrieve))
        self.view_button.on_click(lambda _: self._guarded(self.view))

    # -- from Python, as by hand -------------------------------------------------------------------------------------

    @property
    def peer(self) -> Asked:
        """The node that is asked."""
        return self.node.peer

    @property
    def selected(self) -> pd.DataFrame:
        """The rows chosen at the lowest level where any is: series, else studies, else the studies of patients."""
        if len(self.series.selected):
            return self.series.selected.drop(columns="here")
        if len(self.studies.selected):
            return self.studies.selected
        return self._studies.head(0) if self.patients.selected.empty else self._of_patients()

    def retrieve(self) -> Work:
        """Retrieve what is chosen, as a job; called again, only what is missing is fetched.

        Raises
        ------
        InvalidRequest
            Nothing is chosen.
        """
        job = self.peer.retrieve(self.selected, background=True)
        self.retrieve_button.disabled = True
        return self._watch("retrieval", job, self._arrived)

    def view(self) -> threading.Thread:
        """Load what was retrieved, and show it; the kernel stays free, and the thread is given back.

        Raises
        ------
        InvalidRequest
            Nothing was retrieved.
        """
        if self.instances is None or self.instances.empty:
            raise InvalidRequest("nothing was retrieved", advice="Choose rows and press Retrieve.")
        return self.looking.load(self.instances)

    def code(self) -> Code:
        """The lines that do the same without the mouse."""
        found = "series" if len(self.series.selected) else "studies"
        lines = [f"studies = {self.form.code()}"]
        if found == "series":
            uids = _uids(self.studies.selected)
            lines.append(f'series = pacs.find("SERIES", StudyInstanceUID={uids!r})')
        rows = self.selected
        word = "SeriesInstanceUID" if found == "series" else "StudyInstanceUID"
        chosen = rows[word].tolist() if len(rows) else []
        lines.append(f'selected = {found}[{found}["{word}"].isin({chosen!r})]')
        return Code("\n".join([*lines, "instances = pacs.retrieve(selected)"]))

    def close(self) -> None:
        """Take it away, and end what it runs (R15.11)."""
        self._drop(*self._places)
        for widget in (self.patients, self.studies, self.series, self.form, self.sending):
            widget.close()
        super().close()

    def __repr__(self) -> str:
        """With no patient in it: a notebook keeps this."""
        studies, chosen = counted(len(self._studies), "study", "studies"), counted(len(self.selected), "row")
        return f"Browser of {self.peer.node.identity}: {studies}, {chosen} chosen"

    # -- what happens ------------------------------------------------------------------------------------------------

    def _guarded(self, function: Callable[..., Any], *given: Any) -> None:
        """Call it in its turn; what it raises is shown (R15.11)."""
        with self._turn:
            try:
                function(*given)
            except Exception as error:
                self.said.say(words_of(error))

    def _watch(self, what: str, job: Work, then: Callable[[Work], None]) -> Work:
        """Show a job instead of the one before of its kind, which ends, and go on when it has ended."""
        self._drop(what)
        self._jobs[what] = job
        self._places[what].children = (JobView(job),)

        def ended(job: Work) -> None:
            if job is not self._jobs.get(what):
                return  # it was stopped for another
            if what == "query":
                self._places[what].children = ()
            self._guarded(then, job)

        job.then(ended)
        return job

    def _drop(self, *kinds: str) -> None:
        """Stop the jobs of these kinds."""
        for what in kinds:
            job = self._jobs.pop(what, None)
            if job is not None:
                job.cancel()

    def _forget(self) -> None:
        """Another node: nothing of the one before is shown any more."""
        self._drop(*self._places)
        self._studies, self._listed, self.instances = pd.DataFrame(), {}, None
        self.series.cache = self.peer.cache
        for picker in (self.patients, self.studies, self.series):
            _put(picker, pd.DataFrame(), ())
        self.looking.clear()
        self.sending.offer(None)
        for box in self._places.values():
            box.children = ()
        self.retrieve_button.disabled = self.view_button.disabled = True
        for box in self._levels.values():
            box.layout.display = "none"
        self.form.say("")
        self.said.say("")

    def _ask(self) -> None:
        job = self.peer.find("STUDY", background=True, **self.form.keywords)
        with self._turn:
            self.form.say("asking ...", busy=True)
            self._watch("query", job, self._answered)

    def _answered(self, job: Work) -> None:
        found = job.partial if job.partial is not None else pd.DataFrame()
        self._studies, self._listed = found, {}
        patients = patients_of(found)
        _put(self.patients, patients, (*PATIENT, "studies"))
        _put(self.studies, found, _STUDY_SHOWN)
        _put(self.series, pd.DataFrame(), ())
        for name, rows in (("Patients", patients), ("Studies", found), ("Series", ())):
            self._levels[name].layout.display = "" if len(rows) else "none"
        said = [f"{counted(len(found), 'study', 'studies')} of {counted(len(patients), 'patient')}."]
        said += job.warnings
        self.form.say("\n".join([*said, words_of(job.error)] if job.error else said), busy=False)
        self._count()

    def _of_patients(self) -> pd.DataFrame:
        """The studies of the patients that are chosen; all, where none is."""
        chosen = self.patients.selected
        return self._studies if chosen.empty else studies_of(self._studies, chosen)

    def _narrow(self) -> None:
        _put(self.studies, self._of_patients(), _STUDY_SHOWN)
        self._list()

    def _list(self) -> None:
        """Show the series of the studies that are chosen; ask for those that are not known yet."""
        uids = _uids(self.studies.selected)
        missing = [uid for uid in uids if uid not in self._listed]
        if len(uids) > MOST_LISTED:
            self._show_series([])
            self.said.say(f"Series are listed for at most {MOST_LISTED} studies; Retrieve takes all of these studies.")
        elif missing:
            job = self.peer.find("SERIES", background=True, StudyInstanceUID=missing)
            self._watch("query", job, lambda job: self._series_came(job, missing))
        else:
            self._show_series(uids)

    def _series_came(self, job: Work, asked: list[str]) -> None:
        if job.error is not None:
            raise job.error
        found = job.partial
        assert found is not None
        for uid in asked:
            self._listed[uid] = found[found.StudyInstanceUID == uid]
        self._show_series(_uids(self.studies.selected))

    def _show_series(self, uids: list[str]) -> None:
        found = [self._listed[uid] for uid in uids if len(self._listed.get(uid, ()))]
        table = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
        if found:
            table.attrs = dict(found[0].attrs)
            table.insert(0, "here", self._here(table))
        _put(self.series, table, _SERIES_SHOWN)
        self._levels["Series"].layout.display = "" if found else "none"
        self._count()

    def _here(self, table: pd.DataFrame) -> list[int]:
        """Instances of each series that are in the cache, from this node."""
        node = self.peer.node.identity
        return [len(self.peer.cache.instances(node, addresses(row))) for _, row in table.iterrows()]

    def _count(self) -> None:
        """Say what is chosen and how much of it is here (R15.4)."""
        rows = self.selected
        retrieving = self._jobs.get("retrieval")
        self.retrieve_button.disabled = rows.empty or (retrieving is not None and not retrieving.done)
        if rows.empty:
            self.said.say("Choose patients, studies or series." if len(self._studies) else "")
            return
        level = "Series" if len(self.series.selected) else "Study"
        word = f"NumberOf{level}RelatedInstances"
        counts = rows[word] if word in rows else pd.Series(dtype="Int64")
        many = f", {counted(int(counts.sum()), 'instance')} as the archive says" if counts.notna().any() else ""
        here = f", {int(self.series.selected['here'].sum()):,} of them here" if level == "Series" and many else ""
        name = "series" if level == "Series" else "studies"
        self.said.say(f"{counted(len(rows), 'series' if name == 'series' else 'study', name)} chosen{many}{here}.")

    def _arrived(self, job: Work) -> None:
        came = 0 if job.partial is None else len(job.partial)
        if "here" in self.series.table:
            positions = self.series.selected_rows
            self._show_series(_uids(self.studies.selected))
            self.series.choose(positions)
        self.sending.offer(job.partial)
        self.instances = job.partial
        self.retrieve_button.disabled, self.view_button.disabled = self.selected.empty, not came
        said = [f"{counted(came, 'instance is', 'instances are')} here.", *job.warnings]
        self.said.say("\n".join([*said, words_of(job.error)] if job.error else said))


def _put(picker: Picker, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Show a table by those of the columns that hold anything."""
    picker.update(table, [name for name in names if name in table and table[name].notna().any()] or list(table.columns))


def _uids(studies: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(studies["StudyInstanceUID"])) if len(studies) else []


def browse(peer: Asked) -> Browser:
    """Ask, choose, retrieve and look, with the mouse.

    Parameters
    ----------
    peer
        Of `connect` or `demo_pacs`; other nodes of nodes.toml can be chosen then.

    Returns
    -------
    Browser
        Its ``selected`` and ``instances`` are tables, ``looking.volumes`` what was loaded.

    Examples
    --------
    >>> import dicomlab as dl
    >>> with dl.demo_pacs() as pacs:
    ...     browser = dl.browse(pacs)
    """
    if not all(callable(getattr(peer, name, None)) for name in ("find", "retrieve", "store", "diagnose", "at")):
        raise InvalidRequest(
            f"browse takes a peer, not {type(peer).__name__}", advice="Write dl.browse(dl.connect(...))."
        )
    return Browser(peer)
