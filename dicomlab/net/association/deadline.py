"""How long a call may take: one clock a call, read on `time.monotonic`."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from ...errors import AssociationTimeout, DicomlabError, DimseTimeout

if TYPE_CHECKING:
    from .hooks import CallHooks
    from .negotiated import Negotiated


class Cancelled(Exception):
    """The call was told to stop, by `Deadline.cancel` (internal: it never leaves the package)."""


class Deadline:
    """The deadlines of one call (no progress, total) and its abort flag.

    Progress means that data moved (R1.5): the operation says so by `progressed`; a response that changes nothing
    is not progress.

    Parameters
    ----------
    progress
        Seconds without progress after which `check` raises.
    total
        Seconds for the whole call, or None.
    """

    negotiated: Negotiated | None = None  # of the association of this call that was opened last
    hooks: CallHooks | None = None  # of this call; None: there are none

    def __init__(self, progress: float, total: float | None = None) -> None:
        self.progress, self.total = progress, total
        self.started = monotonic()
        self._last = self.started
        self._end = None if total is None else self.started + total
        self._stop = threading.Event()
        self._stopped_at = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds until the nearer of the two deadlines; may be negative."""
        now = monotonic()
        left = self._last + self.progress - now
        return left if self._end is None else min(left, self._end - now)

    @property
    def idle(self) -> float:
        """Seconds since data moved last."""
        return monotonic() - self._last

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for the call to stop."""
        return self._stop.is_set()

    def is_stopped(self) -> bool:
        """`stopped`, to be handed on."""
        return self._stop.is_set()

    def progressed(self) -> None:
        """Data moved: the no-progress deadline starts anew."""
        self._last = monotonic()

    def excuse(self, seconds: float) -> None:
        """Leave time that our own side took out of the no-progress deadline: no silence of the peer's.

        Other associations of the call may have moved data in that time: it counts once.
        """
        self._last = min(self._last + seconds, monotonic())

    def cancel(self) -> None:
        """Ask the call to stop; it looks at least every 0.25 s. May be called from any thread."""
        if not self._stop.is_set():
            self._stopped_at = monotonic()
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long; True, at once, where somebody asked for the call to stop."""
        return self._stop.wait(seconds)

    def grace(self, seconds: float) -> Deadline:
        """A fresh, short deadline for what is still to come after a cancel or an end.

        It ends half a second after this one's total at the latest, and with its cancel unless that was before.
        """
        left = seconds if self._end is None else min(seconds, max(0.0, self._end - monotonic()) + 0.5)
        fresh = Deadline(left, left)
        if not self.stopped:
            fresh._stop = self._stop
        return fresh

    def farewell(self, seconds: float) -> Deadline:
        """What is left of so many seconds since the call was told to stop: its associations end together."""
        left = max(0.0, seconds - (monotonic() - self._stopped_at))
        return Deadline(left, left)

    def check(self, fail: Callable[[str], DicomlabError]) -> None:
        """Raise what `fail` makes of a sentence if a deadline has passed, `Cancelled` if asked to stop."""
        if self._stop.is_set():
            raise Cancelled
        if self.remaining > 0:
            return
        if self._end is not None and monotonic() >= self._end:
            which = "" if self.total == self.progress else "the total deadline of "
            raise fail(f"not finished within {which}{self.total:.3g} s")
        raise fail(f"nothing moved for {self.progress:g} s")


def let_go(error: BaseException | None) -> None:
    """Drop the variables of the calls that an interrupt ended: who keeps its traceback keeps no socket or file open.

    Ctrl-C may come before what was just opened has an owner.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def no_answer(peer: str, phase: str, deadline: Deadline) -> Callable[[str], DicomlabError]:
    """The error of a deadline: AssociationTimeout until the association stands, DimseTimeout afterwards."""

    def fail(sentence: str) -> DicomlabError:
        if phase in ("connection", "association"):
            return AssociationTimeout(
                sentence,
                peer=peer,
                phase=phase,
                elapsed=deadline.elapsed,
                advice="Is host and port right, and is the archive running? A firewall may drop the packets.",
            )
        return DimseTimeout(
            sentence,
            peer=peer,
            phase=phase,
            elapsed=deadline.elapsed,
            advice="Try again, or allow more time with connect(..., timeout=seconds).",
        )

    return fail
