"""What the browser asks of a peer; these rooms do not know the network's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pandas as pd

from ..cache.cache import Cache
from .jobview import Job


class Work(Job, Protocol):
    """A call that runs in the background."""

    error: Exception | None
    partial: pd.DataFrame | None
    warnings: list[str]

    def then(self, function: Callable[[Any], None]) -> None:
        """Call it with the job when it has ended."""


class Asked(Protocol):
    """A peer that can be browsed."""

    node: Any
    cache: Cache

    def diagnose(self, *, progress: Any) -> pd.DataFrame:
        """What works and what does not, one row a check."""

    def find(self, level: str, *, background: bool, **keys: Any) -> Any:
        """A query as `Work`."""

    def retrieve(self, what: Any, *, background: bool) -> Any:
        """A retrieval as `Work`."""

    def store(self, what: Any, *, errors: str, background: bool) -> Any:
        """Sending as `Work`."""

    def nodes(self) -> Any:
        """The named nodes of the user, by name; `add` and `save` change them."""

    def at(self, node: str) -> Asked:
        """A peer at another node."""
