"""Where the function runs: threads or processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Protocol

from .. import phi
from ..errors import InvalidRequest
from .elsewhere import begin, begun_outcome, packed
from .outcome import Outcome, outcome_of

STARTING = 120.0  # seconds that the first process may take to begin, on a machine that is busy
FAREWELL = 0.5  # seconds in which processes that are told to end have done so, before they are killed


class Pool(Protocol):
    """Runs tasks elsewhere."""

    room: int  # tasks that may be there at once
    waits: str  # why nothing runs now though nothing has failed; "" where it runs

    def submit(self, paths: list[str]) -> Future[Outcome]:
        """Load these and call the function."""

    def check(self) -> None:
        """Raise a DicomlabError where nothing that was given to it can end any more."""

    def renew(self) -> None:
        """Begin again, after a process has ended before its task."""

    def close(self) -> None:
        """Nothing more is wanted; what runs is ended where that can be done."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Threads:
    """Threads of this process: numpy and most of scipy run side by side in them."""

    waits = ""

    def __init__(self, function: Callable[[Any], Any], given: str, workers: int) -> None:
        self._function, self._given = function, given
        self.room = workers
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="dicomlab apply")

    def submit(self, paths: list[str]) -> Future[Outcome]:
        return self._executor.submit(outcome_of, self._function, paths, self._given)

    def check(self) -> None:
        """They are always there."""

    def renew(self) -> None:
        """Threads do not end before their task."""

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class Processes:
    """Processes of this machine, for functions that hold the interpreter."""

    waits = ""

    def __init__(self, function: Callable[[Any], Any], given: str, workers: int) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):  # a process of ours reads the script
            raise _unguarded()
        self._packed = packed(function)
        self._given = given
        self.room = workers
        self._stands = False
        self._executor = self._made()

    def _made(self) -> ProcessPoolExecutor:
        # A fork of a kernel with its threads could hang, so each begins anew.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.room, context, initializer=begin, initargs=(self._packed,))

    def submit(self, paths: list[str]) -> Future[Outcome]:
        return self._executor.submit(begun_outcome, paths, self._given, phi.secret())

    def check(self) -> None:
        """They are begun again where they end."""

    def renew(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._made()
        if not self._stands:  # it may be that none can begin
            try:
                self._executor.submit(os.getpid).result(STARTING)
            except BrokenExecutor:
                raise _unguarded() from None
            self._stands = True

    def close(self) -> None:
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            with contextlib.suppress(Exception):
                process.terminate()
        end = time.monotonic() + FAREWELL
        for process in processes:
            with contextlib.suppress(Exception):
                process.join(max(0.0, end - time.monotonic()))
                process.kill()
                process.join(FAREWELL)


def _unguarded() -> InvalidRequest:
    return InvalidRequest(
        "no process can begin, for each reads this script and begins processes again",
        advice='Put what it does below if __name__ == "__main__":, or use processes=False.',
    )
