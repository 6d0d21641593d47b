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
from ..markup import seen
from ..remarks import noted
from ..scanning.instances import instances
from ..volumes.series import load

VOLUME, INSTANCES = "volume", "instances"
GIVEN = (VOLUME, INSTANCES)
DONE, FAILED, NOT_RUN = "done", "failed", "not run"
#: Columns of the answer beside those of the table and of the function.
OURS = ("status", "error", "seconds")
LONGEST = 1000  # characters of an error that its row keeps
Value = int | float | str | bool | None
_COLUMNS = {bool: "boolean", int: "Int64", float: "Float64", str: "string"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one series."""

    status: str  # DONE or FAILED
    values: dict[str, Value] = field(default_factory=dict)
    error: str = ""  # what failed and why, in words
    seconds: float = 0.0  # to load and to compute
    remarks: tuple[str, ...] = ()  # what its reader must not miss, as a slice that is not there


def outcome_of(function: Callable[[Any], Any], paths: Sequence[str], given: str) -> Outcome:
    """Load a series and call the function; whatever it raises is its row's error. Runs in any thread or process."""
    began, step = time.perf_counter(), "load"
    with noted() as notes:
        try:
            argument = load(list(paths)) if given == VOLUME else instances(list(paths))
            step = "function"
            made = values(function(argument))
        except BaseException as error:  # SystemExit too: it is meant for nobody who waits here
            return Outcome(FAILED, {}, said(step, error), time.perf_counter() - began, tuple(notes))
    return Outcome(DONE, made, "", time.perf_counter() - began, tuple(notes))


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
            raise InvalidRequest(named_as(name, "answer"))
        plain = _plain(value)
        if not isinstance(plain, int | float | str | None):
            what = f" as {name}" if name != "result" else ""
            raise InvalidRequest(
                f"the function gives an object of type {type(value).__name__}{what}",
                advice="Give a number, a text, or a dict of them; write arrays to a file, and give its path.",
            )
        found[name] = plain
    return found


def _plain(value: Any) -> Any:
    """What a scalar of numpy, xarray or pandas holds, as Python has it; anything else as it is."""
    if value is pd.NA or value is pd.NaT:
        return None
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind and kind in "biufU" and not np.ndim(value) and hasattr(value, "item"):
        return value.item()
    if isinstance(value, str):  # a UID of pydicom, a member of an Enum
        return str.__str__(value)
    return next((base(value) for base in (bool, int, float) if isinstance(value, base)), value)


def column(values: Sequence[Value], index: pd.Index) -> pd.Series:
    """Values of one name as a column: of one kind that all of them are, None and NaN as NA.

    Examples
    --------
    >>> [str(column(values, pd.RangeIndex(2)).dtype) for values in ([1.0, None], [1, 2], [True, None], ["a", "b"])]
    ['Float64', 'Int64', 'boolean', 'string']
    """
    kinds = {type(value) for value in values if value is not None}
    only = float if kinds == {int, float} else next(iter(kinds)) if len(kinds) == 1 else object
    kind = _COLUMNS.get(only, "object")
    if int in kinds and any(abs(value) >= 1 << 63 for value in values if isinstance(value, int)):
        kind = "object"
    return pd.Series(list(values), index, dtype=kind)


def named_as(name: str, whose: str) -> str:
    """That a value has the name of a column."""
    return f"the function names a value {name}, as a column of the {whose} is: rename one of them"


def said(step: str, error: BaseException) -> str:
    """An error as the text of its row; of a foreign one only the kind while names are hidden."""
    try:
        text = str(error)
    except Exception:  # of a class of the user's
        text = ""
    if not isinstance(error, DicomlabError):
        text = ": ".join([type(error).__name__, *([text] if text and not phi.masking() else [])])
    text = seen(text)
    return f"{step}: {text if len(text) <= LONGEST else text[:LONGEST] + '...'}"
