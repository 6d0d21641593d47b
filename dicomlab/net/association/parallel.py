"""Several associations at once, where the node allows them: they share one queue of requests (R1.20).

The rule is simple: as many as `Node.associations` says, and no more than there are requests; `transfer.split` makes
requests of at least `transfer.PIECE` instances. Nothing is measured: with a peer that is near, one is the fastest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Generic, TypeVar

from ...errors import DicomlabError
from .deadline import Cancelled, Deadline

Request = TypeVar("Request")

OPENING = 1.0  # seconds that one more association may still take when all work is done


class _Spare(Deadline):
    """The deadline of the call, for an association that the call can do without: a rejected one is not tried again."""

    def __init__(self, call: Deadline) -> None:
        self.__dict__ = call.__dict__  # one clock, one abort flag

    def wait(self, seconds: float) -> bool:
        """Never wait; True: give up."""
        return True


class Parallel(Generic[Request]):
    """Works through requests on several associations; the first is the caller's thread's.

    The others are opened once the first stands, each in a thread that ends with `run`. One that cannot be opened
    (local limit exceeded, congestion) is done without. One that fails later leaves its request unfinished, and the
    others go on.

    Parameters
    ----------
    requests
        What is to be done.
    associations
        How many there may be.
    job
        Opens an association, says so by calling its third argument, and does the requests that its first gives until
        there are none; its second argument is its deadline.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        associations: int,
        deadline: Deadline,
        job: Callable[[Iterator[Request], Deadline, Callable[[], None]], None],
    ) -> None:
        self._waiting = deque(requests)
        self._associations = min(associations, len(requests))
        self._deadline, self._job = deadline, job
        self._threads: list[threading.Thread] = []
        self._over = False
        self._stand: set[threading.Thread] = set()
        self._door = threading.Lock()  # of `_stand` for the others: either it is waited for, or it is turned away
        self.errors: list[BaseException] = []

    @property
    def stood(self) -> int:
        """How many associations there were."""
        return len(self._stand)

    def run(self) -> None:
        """Do all requests.

        Raises
        ------
        DicomlabError
            The first of what went wrong, once all associations have ended.
        """
        try:
            try:
                self._job(self._requests(), self._deadline, self._first_stands)
            except DicomlabError as error:
                self.errors.append(error)
            self._wait()
        except BaseException:  # Ctrl-C and cancel stop all
            self._deadline.cancel()
            self._wait()
            raise
        if self.errors:
            raise self.errors[0]

    def _requests(self) -> Iterator[Request]:
        while self._waiting:
            try:
                request = self._waiting.popleft()
            except IndexError:  # another was quicker
                return
            yield request

    def _first_stands(self) -> None:
        self._stand.add(threading.current_thread())
        for _ in range(1, self._associations):
            thread = threading.Thread(target=self._other, name="dicomlab association", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _other_stands(self) -> None:
        with self._door:
            if self._over:
                raise Cancelled
            self._stand.add(threading.current_thread())

    def _other(self) -> None:
        try:
            if self._waiting:
                self._job(self._requests(), _Spare(self._deadline), self._other_stands)
        except (DicomlabError, Cancelled) as error:
            if threading.current_thread() in self._stand:
                self.errors.append(error)
        except BaseException as error:  # raised to the caller: an exception in a thread is seen by nobody
            self.errors.append(error)

    def _wait(self) -> None:
        """Wait for the associations that stand, and a moment for those that are being opened."""
        for thread in self._threads:
            begun = monotonic()
            while thread.is_alive() and (thread in self._stand or monotonic() - begun < OPENING):
                thread.join(0.1)
        with self._door:
            self._over = True
        for thread in self._threads:  # one may have come in at the last moment
            if thread in self._stand:
                thread.join()
