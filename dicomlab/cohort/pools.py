"""Where the function runs: threads or processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Protocol

from ..errors import InvalidRequest
from .outcome import Outcome, outcome_of

Task = Callable[[], Outcome]


class Pool(Protocol):
    """Runs tasks elsewhere."""

    room: int  # tasks that may be there at once

    def submit(self, paths: list[str]) -> Future[Outcome]:
        """Load these and call the function."""

    def renew(self) -> None:
        """Begin again, after a process has ended before its task."""

    def close(self) -> None:
        """Nothing more is wanted; what runs is ended where that can be done."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Threads:
    """Threads of this process: numpy and most of scipy run side by side in them."""

    def __init__(self, function: Callable[[Any], Any], given: str, workers: int) -> None:
        self._function, self._given = function, given
        self.room = workers
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="dicomlab apply")

    def submit(self, paths: list[str]) -> Future[Outcome]:
        return self._executor.submit(outcome_of, self._function, paths, self._given)

    def renew(self) -> None:
        """Threads do not end before their task."""

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class Processes:
    """Processes of this machine, for functions that hold the interpreter."""

    def __init__(self, function: Callable[[Any], Any], given: str, workers: int) -> None:
        self._packed = packed(function)
        self._given = given
        self.room = workers
        self._executor = self._made()

    def _made(self) -> ProcessPoolExecutor:
        import multiprocessing

        # A fork of a kernel with its threads could hang, so each begins anew.
        return ProcessPoolExecutor(self.room, mp_context=multiprocessing.get_context("spawn"))

    def submit(self, paths: list[str]) -> Future[Outcome]:
        return self._executor.submit(unpacked_outcome, self._packed, paths, self._given)

    def renew(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._made()

    def close(self) -> None:
        processes = dict(getattr(self._executor, "_processes", None) or {})
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes.values():
            with contextlib.suppress(Exception):
                process.terminate()
                process.join(2)


def packed(function: Callable[[Any], Any]) -> bytes:
    """A function as bytes, also one of a notebook where cloudpickle is there.

    Raises
    ------
    InvalidRequest
        It cannot travel.
    """
    try:
        try:
            import cloudpickle  # type: ignore[import-untyped]

            return bytes(cloudpickle.dumps(function))
        except ImportError:
            made = pickle.dumps(function)
            if getattr(function, "__module__", "") == "__main__":
                raise InvalidRequest(
                    "a function of a notebook or script goes to other processes by cloudpickle, which is not here",
                    advice="pip install 'dicomlab[dask]', or put the function into a module, or use processes=False.",
                ) from None
            return made
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InvalidRequest(
            f"the function cannot go to another process ({error})",
            advice="Let it use no open file, connection or lock of this process; or use processes=False.",
        ) from None


@lru_cache(maxsize=4)
def _unpacked(function: bytes) -> Callable[[Any], Any]:
    return pickle.loads(function)  # of this call of apply, and of nobody else


def unpacked_outcome(function: bytes, paths: list[str], given: str) -> Outcome:
    """As `outcome_of`, in another process."""
    return outcome_of(_unpacked(function), paths, given)
