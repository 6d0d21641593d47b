"""A function in another process: how it gets there, and what that process must know of this one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from .. import phi
from ..errors import InvalidRequest
from ..options import options
from .outcome import Outcome, outcome_of

Secret = tuple[bytes, int] | None  # as `phi.secret` gives it


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
    except InvalidRequest:
        raise
    except Exception as error:  # whatever the objects that it holds raise
        raise InvalidRequest(
            f"the function cannot go to another process ({error})",
            advice="Let it use no open file, connection or lock of this process; or use processes=False.",
        ) from None


@lru_cache(maxsize=4)
def _unpacked(function: bytes) -> Callable[[Any], Any]:
    return pickle.loads(function)  # type: ignore[no-any-return]  # of this call of apply, and of nobody else


def unpacked_outcome(function: bytes, paths: list[str], given: str, secret: Secret) -> Outcome:
    """As `outcome_of`, in another process, with names hidden where they are hidden in the one that asks."""
    with hidden(secret):
        return outcome_of(_unpacked(function), paths, given)


# -- names -------------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_hiding = 0  # tasks of this process that run with names hidden


@contextlib.contextmanager
def hidden(secret: Secret) -> Iterator[None]:
    """Hide names for a ``with`` block, by the same pseudonyms as the process that gave its secret."""
    global _hiding
    if secret is None:
        yield
        return
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was made before: nobody sees it here
        _hiding += 1
        phi.adopt(secret)
        options.phi = False
    try:
        yield
    finally:
        with _lock:
            _hiding -= 1
            if not _hiding:
                options.phi = True


# -- processes of ours -------------------------------------------------------------------------------------------

_function = b""


def begin(function: bytes) -> None:
    """What a process of ours does first: Ctrl-C is for the one that began it, and it does not outlive that one."""
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlived, name="dicomlab apply", daemon=True).start()


def _outlived() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def begun_outcome(paths: list[str], given: str, secret: Secret) -> Outcome:
    """`unpacked_outcome` of the function that this process began with."""
    return unpacked_outcome(_function, paths, given, secret)
