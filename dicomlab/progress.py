"""How far a long call is: a Protocol, and the bar that is shown where nothing else is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol

from .errors import InvalidRequest, ResultWarning
from .options import options


class Progress(Protocol):
    """What a long call tells of itself."""

    def advance(self, count: int, size: int) -> None:
        """`count` more things are done, of `size` bytes together."""

    def close(self) -> None:
        """The call is over."""


class Silent:
    """Shows nothing."""

    def advance(self, count: int, size: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bar:
    """A tqdm bar, from half a second on."""

    def __init__(self, what: str, total: int | None) -> None:
        import sys

        from tqdm import tqdm  # the text bar: works in notebooks, terminals and logs without ipywidgets

        shown = sys.stderr is not None and ("ipykernel" in sys.modules or sys.stderr.isatty())
        self._bar = tqdm(total=total, desc=what, unit=" instances", delay=0.5, leave=False, disable=not shown)
        self._bytes = 0

    def advance(self, count: int, size: int) -> None:
        """Move the bar on."""
        self._bytes += size
        self._bar.set_postfix_str(f"{self._bytes / 1e6:,.0f} MB", refresh=False)
        self._bar.update(count)

    def close(self) -> None:
        """Take the bar away."""
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
            warnings.warn(
                f"the progress function raised {error!r}; it is not called again", ResultWarning, stacklevel=2
            )

    def close(self) -> None:
        """Nothing."""


def reporter(progress: Any, what: str, total: int | None) -> Progress:
    """The Progress for the value of a ``progress=`` argument: None, True, False, or a function of (done, total)."""
    if progress is False or (progress is None and not options.progress):
        return Silent()
    if progress is None or progress is True:
        return Bar(what, total)
    if callable(progress):
        return Told(progress, total)
    raise InvalidRequest(
        f"progress={progress!r} is no progress", advice="Give True, False or a function of (done, total)."
    )
