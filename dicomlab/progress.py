"""How far a long call is: a Protocol, the bar that is shown where nothing else is asked for, and a meter to read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Any, Protocol

from .errors import InvalidRequest
from .options import options
from .remarks import remark

#: Makes the widget of a job. The root package sets it, so that no widget library is loaded before one is shown.
widget_of: Callable[[Any], Any] | None = None

WINDOW = 5.0  # seconds over which a meter takes its rates


class Progress(Protocol):
    """What a long call tells of itself."""

    def advance(self, count: int, size: int) -> None:
        """`count` more things are done, of `size` bytes together."""

    def wait(self, why: str) -> None:
        """Nothing can be done now, for that reason; "" once it goes on."""

    def close(self) -> None:
        """The call is over."""


class Silent:
    """Shows nothing."""

    def advance(self, count: int, size: int) -> None:
        """Nothing."""

    def wait(self, why: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bar:
    """A tqdm bar, from half a second on: gone at the end in a terminal, and left as one plain line in a notebook."""

    def __init__(self, what: str, total: int | None, unit: str = "instances") -> None:
        import sys

        from tqdm import tqdm  # the text bar: works in notebooks, terminals and logs without ipywidgets

        notebook = "ipykernel" in sys.modules
        # JupyterLab paints what goes to stderr red, and a bar that was taken away stays there as an empty red strip.
        file = sys.stdout if notebook else sys.stderr
        shown = file is not None and (notebook or file.isatty())
        self._bar = tqdm(
            total=total, desc=what, unit=f" {unit}", delay=0.5, leave=notebook, disable=not shown, file=file
        )
        self._bytes = 0

    def advance(self, count: int, size: int) -> None:
        """Move the bar on."""
        self._bytes += size
        if self._bytes:
            self._bar.set_postfix_str(self._came, refresh=False)
        self._bar.update(count)

    @property
    def _came(self) -> str:
        return f"{self._bytes / 1e6:,.0f} MB" if self._bytes else ""

    def wait(self, why: str) -> None:
        """Say so behind the bar."""
        self._bar.set_postfix_str(why or self._came)

    def close(self) -> None:
        """The bar is at its end."""
        self._bar.close()


class Told:
    """Calls a function of the user's with (done, total); what it raises is shown once and stops nothing."""

    def __init__(self, function: Callable[[int, int | None], Any], total: int | None) -> None:
        self._function, self._total = function, total
        self._done = 0
        self._broken = False

    def advance(self, count: int, size: int) -> None:
        """Tell the function."""
        self._done += count
        if self._broken:
            return
        try:
            self._function(self._done, self._total)
        except Exception as error:
            self._broken = True
            remark(f"the progress function raised {error!r}; it is not called again", stacklevel=3)

    def wait(self, why: str) -> None:
        """Nothing: it takes numbers."""

    def close(self) -> None:
        """Nothing."""


class Meter:
    """How far a call is, to be read while it runs, by any thread.

    Parameters
    ----------
    also
        A function of (done, total) to tell as well.
    unit
        What is counted.
    clock
        Seconds, ever growing.

    Examples
    --------
    >>> seconds = [0.0]
    >>> meter = Meter(clock=lambda: seconds[0])
    >>> meter.begin("retrieve", 8)
    >>> seconds[0] = 2.0
    >>> meter.advance(2, 3_000_000)
    >>> print(meter)
    2 of 8 instances (25 %), 3.0 MB, 1 instances/s, 1.5 MB/s, 6 s left
    """

    def __init__(
        self,
        also: Callable[[int, int | None], Any] | None = None,
        unit: str = "instances",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._also, self._clock = also, clock
        self._told: Progress = Silent()
        self._lock = threading.Lock()
        self._marks: deque[tuple[float, int, int]] = deque()  # (second, done, bytes) of the last WINDOW seconds
        self._began = self._ended = self._moved = -1.0
        self.unit = unit
        self.total: int | None = None  # how many there are to do; None where that is not known
        self.done = 0
        self.size = 0  # bytes
        self.waits = ""  # why nothing can be done now

    def begin(self, what: str, total: int | None) -> None:
        """The work begins, perhaps anew."""
        with self._lock:
            self.total, self.done, self.size = total, 0, 0
            self._began, self._ended = self._clock(), -1.0
            self._moved = self._began
            self._marks = deque([(self._began, 0, 0)])
            self._told = Silent() if self._also is None else Told(self._also, total)

    def advance(self, count: int, size: int) -> None:
        """`count` more are done, of `size` bytes together."""
        with self._lock:
            self.done += count
            self.size += size
            self._moved = now = self._clock()
            if now - self._marks[-1][0] >= WINDOW / 50:
                self._marks.append((now, self.done, self.size))
                while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW:
                    self._marks.popleft()
        self._told.advance(count, size)

    def wait(self, why: str) -> None:
        """To be read in the sentence."""
        self.waits = why

    def close(self) -> None:
        """The work is over: from now on the rates are those of all of it."""
        self.waits = ""
        self._ended = self._clock()
        self._marks = deque([(self._began, 0, 0)])

    @property
    def begun(self) -> bool:
        """Whether it is known what is to be done."""
        return self._began >= 0

    @property
    def rates(self) -> tuple[float, float]:
        """Things and bytes a second, of late; of the whole once it is over."""
        if not self.begun:
            return 0.0, 0.0
        with self._lock:
            now = self._ended if self._ended >= 0 else self._clock()
            if self._ended < 0 and now - self._moved >= WINDOW:
                return 0.0, 0.0
            second, done, size = next(
                (mark for mark in reversed(self._marks) if mark[0] <= now - WINDOW), self._marks[0]
            )
            took = max(now - second, 1e-6)
            return (self.done - done) / took, (self.size - size) / took

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at this rate; None where that cannot be said."""
        rate, _ = self.rates
        if self.total is None or not rate or self._ended >= 0:
            return None
        return max(0, self.total - self.done) / rate

    def __str__(self) -> str:
        if not self.begun:
            return "asking what there is"
        whole = f" of {self.total:,}" if self.total else ""
        share = f" ({100 * self.done / self.total:.0f} %)" if self.total else ""
        parts = [f"{self.done:,}{whole} {self.unit}{share}"]
        rate, speed = self.rates
        if self.size:
            parts.append(_bytes(self.size))
        if self.waits:
            return ", ".join([*parts, self.waits])
        if rate:
            parts.append(f"{rate:,.0f} {self.unit}/s" if rate >= 1 else f"{60 * rate:,.0f} {self.unit}/min")
            parts += [f"{_bytes(speed)}/s"] if self.size else []
        elif self._ended < 0 and self.done:
            parts.append(f"nothing came for {WINDOW:.0f} s")
        left = self.left
        if left is not None and self.done < (self.total or 0):
            parts.append(f"{duration(ceil(round(left, 3)))} left")
        return ", ".join(parts)


def _bytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:.3g} kB"


def duration(seconds: float) -> str:
    """Seconds in words.

    Examples
    --------
    >>> duration(0.2), duration(59.6), duration(200), duration(5000)
    ('0.2 s', '1 min', '3 min 20 s', '1 h 23 min')
    """
    if seconds < 9.95:
        return f"{seconds:.0f} s" if seconds == int(seconds) else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def reporter(progress: Any, what: str, total: int | None, unit: str = "instances") -> Progress:
    """The Progress for a ``progress=`` argument: None, True, False, a function of (done, total), or a Meter."""
    if isinstance(progress, Meter):
        progress.begin(what, total)
        return progress
    if progress is False or (progress is None and not options.progress):
        return Silent()
    if progress is None or progress is True:
        return Bar(what, total, unit)
    if callable(progress):
        return Told(progress, total)
    raise InvalidRequest(
        f"progress={progress!r} is no progress", advice="Give True, False or a function of (done, total)."
    )
