"""What the browser asks of a peer; these rooms do not know the network's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pandas as pd

from ..cache import Cache
from .jobview import Job


class Address(Protocol):
    """A node: who it is, and what we may do there."""

    name: str
    identity: str
    allow: frozenset[str]


class Book(Protocol):
    """The named nodes of the user."""

    def __iter__(self) -> Iterator[str]:
        """Their names."""

    def add(self, name: str, node: Any) -> None:
        """Add one."""

    def save(self) -> None:
        """Keep them."""


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

    def echo(self) -> float:
        """Round-trip time in seconds."""

    def find(self, level: str, *, background: bool, **keys: Any) -> Any:
        """A query as `Work`."""

    def retrieve(self, what: Any, *, background: bool) -> Any:
        """A retrieval as `Work`."""

    def nodes(self) -> Any:
        """The `Book` of named nodes."""

    def at(self, node: str) -> Asked:
        """A peer at another node."""
