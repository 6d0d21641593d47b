"""A call in the background: how far it is, how it ended, and a way to stop it (R5.23).

The association itself stays synchronous: it runs in the thread of the job, and ends with it.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any

from ... import phi, progress
from ...errors import DicomlabError, IncompleteRetrieve, Interrupted, ResultWarning
from ...markup import Html, printable, tag
from ...progress import Meter, duration
from ...remarks import noted
from .deadline import Cancelled

STOPPING = 5.0  # seconds in which a call that is told to stop has ended, at the latest
FAREWELL = 1.5  # ... when Python ends
UNSEEN = 0.5  # seconds in which a cell may show a job that failed, or ask for its result, before it is printed

_running: weakref.WeakSet[Job] = weakref.WeakSet()


class Job:
    """A call that runs in a thread of its own; made by ``peer.retrieve(..., background=True)``.

    The next cell runs meanwhile. In a notebook a job shows itself as a bar with a Stop button. What it came to is
    asked for by `result`, which raises what the plain call would have raised; a failure that nobody asks for and no
    bar shows is printed, once and in words.

    Parameters
    ----------
    title
        What it does, without patient data.
    work
        Does it; is given this job, whose `progress` it moves and to which it says by `stops` how it is stopped.

    Examples
    --------
    >>> import dicomlab as dl
    >>> with dl.demo_pacs() as pacs:
    ...     job = pacs.retrieve(pacs.find("SERIES", Modality="PT"), background=True)
    ...     instances = job.result()
    >>> job.state, len(instances) == job.progress.done
    ('done', True)
    """

    def __init__(self, title: str, work: Callable[[Job], Any], meter: Meter | None = None) -> None:
        self.title = title
        #: How far it is: ``done``, ``total``, ``size``, ``rates``, ``left``; a sentence as text.
        self.progress = Meter() if meter is None else meter
        #: What the plain call would have warned of; `result` does so, once.
        self.warnings: list[str] = []
        #: What it ended with instead of a result; also the IncompleteRetrieve of one that was stopped.
        self.error: BaseException | None = None
        self.waiting = ""  # what it waits for, before it can begin
        self._work = work
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._seen = threading.Event()  # somebody shows how it ends, or asks for it
        self._asked = self._warned = False
        self._cancel: Callable[[], object] | None = None
        self._then: list[Callable[[Job], object]] = []
        self._value: Any = None
        self._began, self._took = monotonic(), 0.0
        self._thread = threading.Thread(target=self._run, name="dicomlab job", daemon=True)

    def start(self) -> Job:
        """Begin; gives the job itself."""
        _running.add(self)
        self._thread.start()
        return self

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """ "waiting", "running", "stopping", "done", "stopped" or "failed"."""
        if not self.done:
            return "stopping" if self._asked else "waiting" if self.waiting else "running"
        if self.error is None:  # a table of a cohort says itself that it was stopped before its end
            return "stopped" if self._asked and getattr(self._value, "attrs", {}).get("stopped") else "done"
        told = self._asked or isinstance(self.error.__cause__, Cancelled)
        return "stopped" if told and isinstance(self.error, DicomlabError) else "failed"

    @property
    def done(self) -> bool:
        """Whether it has ended, however."""
        return self._over.is_set()

    @property
    def failed(self) -> bool:
        """Whether it has ended with an error, and not because it was told to stop; the error is in `error`."""
        return self.state == "failed"

    @property
    def partial(self) -> Any:
        """The table of what is here: the result, or what an error carries; None while it runs."""
        if self.error is None:
            return self._value
        table = getattr(self.error, "instances", None)
        return getattr(self.error, "rows", None) if table is None else table

    @property
    def elapsed(self) -> float:
        """Seconds since it began, or that it took."""
        return self._took if self.done else monotonic() - self._began

    def describe(self) -> str:
        """How far it is, or how it ended, as a sentence."""
        state = self.state
        if state == "waiting":
            return f"waiting: {self.waiting}"
        if state in ("running", "stopping"):
            return f"{state}, {self.progress}"
        took = duration(self.elapsed)
        if self.error is None:
            told = "".join(f"; {text}" for text in self.warnings)
            ended = "stopped after" if state == "stopped" else "done in"
            return printable(f"{ended} {took}, {self._came()}{told}")
        if state == "stopped" and not isinstance(self.error, IncompleteRetrieve):
            return f"stopped after {took}"
        if isinstance(self.error, DicomlabError):
            message = self.error.message.removeprefix("stopped on request: ")
            advice = f". {self.error.advice}" if self.error.advice else ""
            return printable(f"{state} after {took}: {message}{advice}")
        return printable(f"{state} after {took}: {type(self.error).__name__}: {phi.said(str(self.error))}")

    def _came(self) -> str:
        if self.progress.begun:
            return str(self.progress)
        try:
            return f"{len(self._value):,} {self.progress.unit}, all of them were here"
        except TypeError:
            return "nothing to show"

    def __repr__(self) -> str:
        return f"Job {self.title}: {self.describe()}"

    def _repr_html_(self) -> Html:
        meter = self.progress
        bar = tag("progress", max=meter.total, value=meter.done) if meter.total else ()
        return tag("div", bar, " ", tag("b", self.title), ": ", self.describe())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """In a notebook the bar with the button; text and HTML for where no widget can run."""
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if progress.widget_of is not None and _in_notebook():
            with contextlib.suppress(ImportError):
                bundle = {**progress.widget_of(self)._repr_mimebundle_(), **bundle}
        return bundle

    # -- what it came to -------------------------------------------------------------------------------------------

    def result(self) -> Any:
        """Wait for what it comes to; Ctrl-C, or the interrupt button, stops the job.

        Raises
        ------
        DicomlabError
            What the plain call would have raised: IncompleteRetrieve with ``instances`` and ``missing``, ...
        """
        self.watched()
        try:
            self.wait()
        except KeyboardInterrupt:
            self.cancel()
            if not self._over.wait(STOPPING) or self.error is None:
                raise Interrupted(f"{self.title} was interrupted", rows=self.partial) from None
        return self._outcome(3)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        import asyncio

        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def tell(job: Job) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(over.set)

        self.watched()
        self.then(tell)
        try:
            await over.wait()
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._outcome(3)

    def _outcome(self, stacklevel: int) -> Any:
        if self.error is not None:
            if isinstance(self.error.__cause__, Cancelled):
                self.error.__cause__ = None
            raise self.error.with_traceback(None if isinstance(self.error, DicomlabError) else self.error.__traceback__)
        if not self._warned:
            self._warned = True
            for text in self.warnings:
                warnings.warn(text, ResultWarning, stacklevel=stacklevel)
        return self._value

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most so many seconds; whether it has. Ctrl-C ends the waiting, not the job."""
        end = None if timeout is None else monotonic() + timeout
        while not self._over.wait(0.25 if end is None else max(0.0, min(0.25, end - monotonic()))):
            if end is not None and monotonic() >= end:
                return False
        return True

    def cancel(self) -> None:
        """Ask it to stop, by C-CANCEL, and come back at once; from any thread, and as often as one likes."""
        with self._lock:
            if self.done:
                return
            self._asked = True
            cancel = self._cancel
        if cancel is not None:
            cancel()

    def stop(self) -> Any:
        """Stop it, wait until it has ended, which takes a second or two, and give back what came (`partial`)."""
        self.cancel()
        self.wait(STOPPING)
        return self.partial

    def then(self, function: Callable[[Job], object]) -> None:
        """Have a function called with this job when it has ended: in its thread, or at once where it has."""
        with self._lock:
            if not self.done:
                self._then.append(function)
                return
        function(self)

    def watched(self) -> None:
        """Somebody shows how it ends: a failure need not be printed."""
        self._seen.set()

    # -- the thread ------------------------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._asked

    def stops(self, cancel: Callable[[], object]) -> None:
        """To be called by the work: what stops it from now on."""
        with self._lock:
            self._cancel = cancel
            asked = self._asked
        if asked:
            cancel()

    def _run(self) -> None:
        with noted() as self.warnings:
            try:
                self._value = self._work(self)
            except BaseException as error:  # kept for `result`: an exception in a thread is seen by nobody
                self.error = error
        with self._lock:
            self._took = monotonic() - self._began
            self._over.set()
            calls, self._then = self._then, []
        _running.discard(self)
        for function in calls:
            try:
                function(self)
            except Exception as error:
                print(f"after {self.title}: {type(error).__name__}: {error}", file=sys.stderr)
        if self.failed and not self._seen.wait(UNSEEN) and sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):
                print(repr(self), file=sys.stderr, flush=True)


def _in_notebook() -> bool:
    if "ipykernel" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


@atexit.register
def _farewell() -> None:
    """Python ends: what runs is told to stop, so that the archive hears an abort and the port is free."""
    jobs = list(_running)
    for job in jobs:
        job.watched()
        job.cancel()
    end = monotonic() + FAREWELL
    for job in jobs:
        job.wait(max(0.0, end - monotonic()))
