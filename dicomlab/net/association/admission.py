"""Calls that a peer has no association for wait until another of this process has ended (R1.20)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ...errors import AssociationRejected, DicomlabError
from .deadline import Deadline
from .forking import in_child
from .node import Node

TRANSIENT = 2  # result of an A-ASSOCIATE-RJ, PS3.8 9.3.4
TICK = 0.25  # seconds in which a call that waits hears that it is to stop

Result = TypeVar("Result")


class Admission:
    """The calls of this process at one address, whatever peer, thread or job they belong to.

    One that is rejected for the time being (local limit exceeded, congestion), after its back-off, waits until another
    has ended, and is then tried again. Where no other runs, or all of them are rejected too, the peer is full of
    others' associations, and the rejection is raised.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: list[int] = []  # of each call that has or asks for an association, the thread
        self._ended = 0  # those that were not rejected, and have ended

    def patiently(self, work: Callable[[], Result], deadline: Deadline, waits: Callable[[str], object] = str) -> Result:
        """What `work` comes to; `waits` is told why it waits, and "" when it does no more."""
        while True:
            with self._changed:
                self._running.append(threading.get_ident())
                before = self._ended
            rejected: DicomlabError | None = None
            try:
                return work()
            except DicomlabError as error:
                if not _busy(error):
                    raise
                rejected = error
            finally:
                with self._changed:
                    self._running.remove(threading.get_ident())
                    self._ended += rejected is None
                    self._changed.notify_all()
            try:
                again = self._wait(before, deadline, waits)
            except KeyboardInterrupt:  # what a call that was stopped gives back is its own affair
                deadline.cancel()
            else:
                if not again:
                    raise rejected

    def _wait(self, before: int, deadline: Deadline, waits: Callable[[str], object]) -> bool:
        """Wait until another call has ended; whether it is to be tried again."""
        ours = threading.get_ident()  # one that runs in this thread too cannot end before this one
        with self._changed:
            while self._ended == before and not deadline.stopped:
                others = sum(thread != ours for thread in self._running)
                if not others:
                    break
                waits(f"the archive takes no more associations than the {others} that run")
                self._changed.wait(TICK)
                deadline.progressed()  # it is no silence of the peer's
                if deadline.remaining <= 0:
                    break
            waits("")
            return self._ended != before or deadline.stopped


_admissions: dict[tuple[str, int], Admission] = {}
in_child(_admissions.clear)


def admission(node: Node) -> Admission:
    """The one of that node's address."""
    return _admissions.setdefault((node.host, node.port), Admission())


def _busy(error: DicomlabError) -> bool:
    """Whether the peer said to come again."""
    return any(isinstance(one, AssociationRejected) and one.result == TRANSIENT for one in (error, error.__cause__))
