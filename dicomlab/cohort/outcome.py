"""What a function comes to for one series: values for the columns of its row, or why there are none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .. import phi
from ..errors import DicomlabError, InvalidRequest
from ..instances import instances
from ..series import load

VOLUME, INSTANCES = "volume", "instances"
GIVEN = (VOLUME, INSTANCES)
DONE, FAILED, NOT_RUN = "done", "failed", "not run"
#: Columns of the answer beside those of the table and of the function.
OURS = ("status", "error", "seconds")
Value = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one series."""

    status: str  # DONE or FAILED
    values: dict[str, Value] = field(default_factory=dict)
    error: str = ""  # what failed and why, in words
    seconds: float = 0.0  # to load and to compute


def outcome_of(function: Callable[[Any], Any], paths: Sequence[str], given: str) -> Outcome:
    """Load a series and call the function; whatever it raises is its row's error. Runs in any thread or process."""
    began, step = time.perf_counter(), "load"
    try:
        argument = load(list(paths)) if given == VOLUME else instances(list(paths))
        step = "function"
        made = values(function(argument))
    except Exception as error:
        return Outcome(FAILED, error=said(step, error), seconds=time.perf_counter() - began)
    return Outcome(DONE, made, seconds=time.perf_counter() - began)


def values(result: Any) -> dict[str, Value]:
    """The columns that a result fills: a mapping's or Series' by name, any other value's is ``result``.

    Raises
    ------
    InvalidRequest
        A value is none that a table keeps.

    Examples
    --------
    >>> values(3.5), values({"mean": np.float32(2), "name": "a"})
    ({'result': 3.5}, {'mean': 2.0, 'name': 'a'})
    """
    named = result.to_dict() if isinstance(result, pd.Series) else result
    pairs = named.items() if isinstance(named, Mapping) else [("result", named)]
    found: dict[str, Value] = {}
    for name, value in pairs:
        if not isinstance(name, str) or not name:
            raise InvalidRequest(f"the function names a value {name!r}", advice="Names are texts.")
        if name in OURS:
            raise InvalidRequest(named_as(name, "answer"), advice="Rename it.")
        plain = value.item() if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0 else value
        if plain is pd.NA or plain is pd.NaT:
            plain = None
        if not isinstance(plain, int | float | str | None):
            what = f" as {name}" if name != "result" else ""
            raise InvalidRequest(
                f"the function gives an object of type {type(value).__name__}{what}",
                advice="Give a number, a text, or a dict of them; write arrays to a file, and give its path.",
            )
        found[name] = plain
    return found


def named_as(name: str, whose: str) -> str:
    """That a value has the name of a column."""
    return f"the function names a value {name}, as a column of the {whose} is"


def said(step: str, error: BaseException) -> str:
    """An error as the text of its row; of a foreign one only the kind while names are hidden."""
    if isinstance(error, DicomlabError):
        return f"{step}: {error}"
    text = "" if phi.masking() else f": {error}"
    return f"{step}: {type(error).__name__}{text if str(error) else ''}"
