"""Send what was retrieved to a node, see how each instance fared, and send the failed ones again (R15.6)."""

from __future__ import annotations

from typing import Any

import ipywidgets
import pandas as pd

from ..amounts import are
from ..errors import InvalidRequest
from ..markup import tag
from .form import words_of
from .jobview import JobView
from .nodepicker import NodePicker
from .peers import Work
from .picker import Picker
from .unsaved import Said

_SERIES = (
    "PatientName", "PatientID", "StudyDate", "Modality", "SeriesNumber", "SeriesDescription", "SeriesInstanceUID",
)  # fmt: skip
_SHOWN = ("PatientName", "Modality", "SeriesDescription", "InstanceNumber", "stored", "meaning", "comment")


class SendPanel(ipywidgets.VBox):
    """Series to choose of the instances that are offered, a node to send them to, and what became of each.

    Attributes
    ----------
    series
        Picker of the series that are offered; nothing of it is chosen at first.
    results
        The table of `Peer.store` for what was sent last, or None.
    """

    def __init__(self, node: NodePicker) -> None:
        self._node = node
        self._instances = pd.DataFrame()
        self._job: Work | None = None
        self.results: pd.DataFrame | None = None
        self.series, self.rows = Picker(pd.DataFrame()), Picker(pd.DataFrame())
        self.target = ipywidgets.Dropdown(description="Send to", layout={"width": "30em"})
        self.send_button = ipywidgets.Button(description="Send", button_style="warning", disabled=True)
        self.retry_button = ipywidgets.Button(description="Send failed again", disabled=True)
        self.said = Said()
        self._place = ipywidgets.VBox()
        buttons = ipywidgets.HBox([self.target, self.send_button, self.retry_button])
        parts = [ipywidgets.HTML(tag("b", "Send")), self.series, buttons, self.said, self._place, self.rows]
        super().__init__(parts, layout={"display": "none"})
        self.rows.layout.display = "none"
        self.series.on_select(lambda rows: setattr(self.send_button, "disabled", rows.empty))
        self.send_button.on_click(lambda _: self._guarded(self.selected))
        self.retry_button.on_click(lambda _: self._guarded(self.results))

    def offer(self, instances: pd.DataFrame | None) -> None:
        """Offer the series of these instances; None or none hides the panel."""
        self._stop()
        self._instances = pd.DataFrame() if instances is None else instances
        words = [word for word in _SERIES if word in self._instances.columns]
        table = pd.DataFrame()
        if len(self._instances):
            table = self._instances.groupby(words, dropna=False, sort=False).size().rename("instances").reset_index()
            table = table.astype({word: self._instances[word].dtype for word in words})
        self.series.update(table)
        self.target.options = self._node.choice.options
        self.target.value = None  # nothing is sent anywhere unless somebody says where
        self.results, self._place.children, self.retry_button.disabled = None, (), True
        self.rows.layout.display = "none"
        self.layout.display = "" if len(table) else "none"
        self.said.say("Choose the series to send, and the node.")

    @property
    def selected(self) -> pd.DataFrame:
        """The instances of the series that are chosen."""
        if self.series.selected.empty:
            return self._instances.head(0)
        return self._instances[self._instances.SeriesInstanceUID.isin(self.series.selected.SeriesInstanceUID)]

    def send(self, instances: pd.DataFrame | None = None) -> Work:
        """Send what is chosen, or these instances, to the chosen node, as a job.

        Of a table of results only what was not stored is sent.

        Raises
        ------
        InvalidRequest
            Nothing is chosen, or the node is read-only; nothing was sent.
        """
        rows = self.selected if instances is None else instances
        if rows.empty:
            raise InvalidRequest("nothing is selected", advice="Choose the series to send.")
        if self.target.value is None:
            raise InvalidRequest("no node is chosen", advice="Choose the one to send to.")
        job: Work = self._node.at(self.target.value).store(rows, errors="report", background=True)
        self._stop()
        self._job = job
        self.send_button.disabled = self.retry_button.disabled = True
        self.said.say("")
        self._place.children = (JobView(job),)
        job.then(self._sent)
        return job

    def close(self) -> None:
        """Take it away, and stop what is sent (R15.11)."""
        self._stop()
        self.series.close()
        self.rows.close()
        super().close()

    def _guarded(self, rows: Any) -> None:
        try:
            self.send(rows)
        except Exception as error:
            self.said.say(words_of(error))

    def _stop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _sent(self, job: Work) -> None:
        if job is not self._job:
            return
        said = [words_of(job.error)] if job.error is not None else []
        if job.partial is not None and len(job.partial):
            self.results = job.partial
            stored = int(self.results.stored.sum())
            said = [f"{stored:,} of {len(self.results):,} instances {are(stored)} stored.", *said]
            self.rows.update(self.results, [name for name in _SHOWN if name in self.results])
            self.rows.layout.display = ""
            self.retry_button.disabled = stored == len(self.results)
        self.send_button.disabled = self.series.selected.empty
        self.said.say("\n".join(said))
