"""The checks of a diagnosis: one row each, told as it is known, each step within its deadline (R2.2)."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, TypeVar, cast

from ...errors import AssociationTimeout, DicomlabError, InvalidRequest
from ...markup import printable
from ...options import options
from ...remarks import noted
from ..association.deadline import Deadline
from ..association.node import Node, Timeouts

T = TypeVar("T")
OK, FAILED, SKIPPED = "ok", "failed", "skipped"
BEFORE = "not tried, for what comes before it failed"
#: What is asked of the administrator about a failure of these steps.
_ASK = {
    "host name": "Please tell us the host name or IP address of the archive.",
    "TCP": "Please check this address and port, and that a firewall lets us through to it.",
    "TLS": "Please tell us which port speaks TLS or plain DICOM, which CA to trust, and whether we need a certificate.",
    "association": "Please look for our AE title in the log of the archive at this time, and tell us what it says.",
    "C-ECHO": "Please allow C-ECHO (Verification) for our AE title.",
}


@dataclass(frozen=True)
class Check:
    """One row: what was looked at, and how it stands."""

    check: str
    result: str  # "ok", "failed" or "skipped"
    means: str
    do: str = ""
    ask: str = ""  # of the administrator, "" where nothing is
    seconds: float | None = None
    matters: bool = False  # it failed, and stands in the way of query and retrieve


class Checks:
    """The checks made so far.

    Parameters
    ----------
    node
        Who is asked.
    clock
        Ends all of it; told to cancel, it ends early.
    timeout
        Seconds for each step.
    tell
        Called with each check as it is known.
    """

    def __init__(self, node: Node, clock: Deadline, timeout: float, tell: Callable[[Check], object]) -> None:
        self.node = replace(node, timeouts=Timeouts(timeout, timeout, timeout))
        self.clock, self.timeout, self._tell = clock, timeout, tell
        self.made: list[Check] = []
        self.results: dict[str, int] = {}  # SOP class -> result of its context, 0 accepted

    def ok(self, check: str, means: str, do: str = "", seconds: float | None = None) -> None:
        """It works."""
        self._add(Check(check, OK, means, do, "", seconds))

    def failed(self, check: str, error: DicomlabError | str, do: str = "", ask: str = "") -> None:
        """It does not."""
        means, advice = (error.message, error.advice) if isinstance(error, DicomlabError) else (error, "")
        self._add(Check(check, FAILED, means, do or advice, ask or _ASK.get(check, ""), matters=True))

    def absent(self, check: str, means: str, do: str) -> None:
        """It does not, and nobody misses it."""
        self._add(Check(check, FAILED, means, do))

    def skipped(self, check: str, means: str, do: str = "") -> None:
        """It was not tried."""
        self._add(Check(check, SKIPPED, means, do))

    def _add(self, check: Check) -> None:
        said = replace(check, means=printable(check.means), do=printable(check.do), ask=printable(check.ask))
        self.made.append(said)
        self._tell(said)

    def within(self, seconds: float, step: Callable[[Deadline], T]) -> T:
        """Run a step in a thread, for at most so long: a host name may be looked up for minutes, by nobody's leave.

        Raises
        ------
        AssociationTimeout
            It has not ended.
        """
        limit = min(seconds, self.clock.remaining)
        deadline = self.clock.grace(max(limit, 0.1))
        deadline.progress = min(deadline.progress, self.timeout)
        deadline.hooks = self.clock.hooks
        ended: list[tuple[bool, Any]] = []

        def run() -> None:
            try:
                with noted():
                    ended.append((True, step(deadline)))
            except BaseException as error:  # raised to the caller: an exception in a thread is seen by nobody
                ended.append((False, error))

        thread = threading.Thread(target=run, name="dicomlab diagnosis", daemon=True)
        thread.start()
        end = monotonic() + limit + 0.5
        try:
            while thread.is_alive() and monotonic() < end:
                thread.join(0.1)
        except KeyboardInterrupt:
            deadline.cancel()
            thread.join(1.0)
            raise
        self.clock.negotiated = deadline.negotiated or self.clock.negotiated
        if not ended:
            deadline.cancel()
            raise AssociationTimeout(f"it was not over within {limit:.3g} s", advice="Check the network.")
        fine, value = ended[0]
        if not fine:
            raise value
        return cast(T, value)


def teller(progress: Any) -> Callable[[Check], object]:
    """What shows a row as it is known: a function of the user's, lines where somebody looks, or nothing."""
    if callable(progress):
        return lambda one: progress({"check": one.check, "result": one.result, "means": one.means, "do": one.do})
    if progress not in (None, True, False):
        raise InvalidRequest(f"progress={progress!r} is no progress", advice="Give True, False or a function of a row.")
    looked_at = sys.stdout is not None and ("ipykernel" in sys.modules or sys.stdout.isatty())
    if progress is True or (progress is None and options.progress and looked_at):
        return _print
    return lambda one: None


def _print(one: Check) -> None:
    if one.means == BEFORE:  # a screenful of them says no more than the failure above
        return
    do = "" if one.do.startswith("Nothing") else one.do
    line = f"{one.result:<8}{one.check:<26}{one.means}{'. ' if do else ''}{do}"
    print(textwrap.fill(line, 98, subsequent_indent=" " * 34, break_long_words=False, break_on_hyphens=False))
