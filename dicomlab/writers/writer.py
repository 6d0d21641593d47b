"""What a writer is, what it is given, and what it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from pydicom.dataset import Dataset

from .source import Source


@dataclass
class Order:
    """What is to be written."""

    what: Any  # an array with its coordinates, the bytes of a document, ...
    source: Source
    units: str | None  # stated by the caller, or the array's own where they are still true; None: not known
    attributes: dict[str, Any]  # by keyword, of the caller
    choices: dict[str, Any] = field(default_factory=dict)  # lower-case keywords of the caller, such as `segments`


@dataclass
class Made:
    """Data sets that are not in files yet."""

    datasets: list[Dataset]
    step: float = 0.0  # the distance of two values that can be told apart; 0: nothing is lost
    error: float = 0.0  # how far the value farthest from what was given is
    remarks: list[str] = field(default_factory=list)  # what must not be missed
    notes: list[str] = field(default_factory=list)  # what is good to know


class Writer(Protocol):
    """Makes instances of some kind."""

    @property
    def kind(self) -> str:
        """What it is asked for by: "CT", "SEGMENTATION", ..."""
        ...

    @property
    def choices(self) -> frozenset[str]:
        """The lower-case keywords that it takes."""
        ...

    def writes(self, what: Any, source: Source) -> bool:
        """Whether it is the one for this, where nobody asked for another."""
        ...

    def make(self, order: Order) -> Made:
        """The data sets.

        Raises
        ------
        InvalidRequest
            It cannot be of that kind; the message says why.
        """
        ...
