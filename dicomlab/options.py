"""What a user may set for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import InvalidRequest, did_you_mean


@dataclass
class Options:
    """Settings of this session; each can be assigned, or set for a while with ``options.set(...)``.

    Examples
    --------
    >>> with options.set(find_limit=50):
    ...     options.find_limit
    50
    """

    find_limit: int = 10_000  # rows after which a query is cut and cancelled
    retrieve_limit: int = 20_000  # instances above which retrieve wants limit=
    ihe_keys: bool = True  # ask at IMAGE level for what IHE wants of PR, SR and KO too
    progress: bool = True  # show a bar for calls that take longer than half a second

    def __setattr__(self, name: str, value: Any) -> None:
        known = {field.name: field.type for field in fields(self)}
        if name not in known:
            raise InvalidRequest(
                f"there is no option {name!r}{did_you_mean(name, list(known))}",
                advice=f"Options are {', '.join(known)}.",
            )
        kind = bool if known[name] == "bool" else int
        if type(value) is not kind or (kind is int and value < 1):
            wanted = "True or False" if kind is bool else "a whole number of 1 or more"
            raise InvalidRequest(f"option {name} takes {wanted}, not {value!r}")
        object.__setattr__(self, name, value)

    @contextmanager
    def set(self, **values: Any) -> Iterator[Options]:
        """Set options inside a ``with`` block."""
        before = replace(self)
        try:
            for name, value in values.items():
                setattr(self, name, value)
            yield self
        finally:
            for field in fields(self):
                setattr(self, field.name, getattr(before, field.name))


options = Options()
