"""A job as a widget: a bar, a Stop button and a sentence."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import ipywidgets

from ..markup import tag

EVERY = 0.25  # seconds between two looks at the job
STYLES = {"running": "info", "waiting": "", "stopping": "warning", "done": "success", "stopped": "warning"}


class Meter(Protocol):
    """How far a job is."""

    total: int | None
    done: int


class Job(Protocol):
    """What this asks of a job."""

    title: str

    @property
    def progress(self) -> Meter:
        """How far it is."""

    @property
    def state(self) -> str:
        """ "waiting", "running", "stopping", "done", "stopped" or "failed"."""

    @property
    def done(self) -> bool:
        """Whether it has ended, however."""

    def describe(self) -> str:
        """How far it is, or how it ended; may hold text of the peer."""

    def cancel(self) -> None:
        """Ask it to stop, and come back at once."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended."""

    def watched(self) -> None:
        """Its end is shown here."""


class JobView(ipywidgets.VBox):
    """Bar, button and sentence of a job, kept up to date until it ends; closing it stops the job.

    The kernel stays free: a thread looks at the job four times a second and ends with it.

    Attributes
    ----------
    job
        What is shown.
    bar, button, text
        The widgets: FloatProgress, Button, HTML.
    """

    def __init__(self, job: Job, **more: Any) -> None:
        self.job = job
        self.bar = ipywidgets.FloatProgress(min=0, max=1, value=0, layout={"flex": "1 1 auto", "width": "auto"})
        self.button = ipywidgets.Button(
            description="Stop", icon="stop", tooltip="Stop, and keep what has come", layout={"width": "6em"}
        )
        self.text = ipywidgets.HTML()
        self.button.on_click(lambda _: job.cancel())
        heading = ipywidgets.HTML(tag("b", job.title))
        super().__init__(
            [heading, ipywidgets.HBox([self.bar, self.button]), self.text],
            layout={"max_width": "48em"},
            **more,
        )
        job.watched()
        self.update()
        if not job.done:
            threading.Thread(target=self._follow, name="dicomlab job view", daemon=True).start()

    def update(self) -> None:
        """Show how far the job is now; any thread may."""
        job = self.job
        state, meter = job.state, job.progress
        over = state in ("done", "stopped", "failed")
        with self.bar.hold_sync():
            self.bar.max = max(1, meter.total or 1)
            self.bar.value = self.bar.max if state == "done" else min(meter.done, self.bar.max)
            self.bar.bar_style = STYLES.get(state, "danger")
        self.button.disabled = over or state == "stopping"
        self.text.value = tag("span", job.describe(), role="status")

    def _follow(self) -> None:
        over = False
        while not over:
            over = self.job.wait(EVERY)
            try:
                self.update()
            except Exception:  # nobody is there to be shown anything: the kernel ends
                return

    def close(self) -> None:
        """Take the widget away and stop the job (R15.11)."""
        self.job.cancel()
        super().close()
