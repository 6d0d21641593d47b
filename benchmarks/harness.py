"""How a row is measured: each way of doing the job once a round, in rotating order, and the medians compared.

Only ratios of one run say anything: the ways of a row share the machine, its load and its caches.
"""

from __future__ import annotations

import gc
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


class LeftOut(Exception):
    """A way, or a whole row, that cannot be measured here; the reason is its message."""


class Timed:
    """What one call took: the part of it inside ``with timed:`` and, outside, what `children` adds.

    Making ready and checking the result are done outside, in the same function.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # empty, and removed after the call
        self.wall = 0.0  # seconds
        self.cpu = 0.0  # seconds of user and system time, of this process and of children it waited for
        self.asked = self.lost = 0  # requests, and those that got no answer, where a row counts them

    def __enter__(self) -> None:
        self._cpu, self._wall = cpu_seconds(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._wall
        self.cpu += cpu_seconds() - self._cpu

    @contextmanager
    def children(self) -> Iterator[None]:
        """Count the CPU time of children that are waited for in here: a server that belongs to the way."""
        before = cpu_seconds(resource.RUSAGE_CHILDREN)
        yield
        self.cpu += cpu_seconds(resource.RUSAGE_CHILDREN) - before


@dataclass(frozen=True)
class Way:
    """One way of doing the job of a row; the first of a row is ours."""

    name: str
    run: Callable[[Timed], None]  # raises where the result is wrong, `LeftOut` where it cannot run here
    mark: float | None = None  # times as fast as this way that ours is to be
    within: float | None = None  # times as long as this way, a limit of the machine, that ours may take
    most: float | None = None  # seconds that it may take itself, of ours: a mark of time and not of a ratio
    lossless: bool = False  # no request may go without an answer, of ours
    once: bool = False  # so slow that one round has to do


@dataclass(frozen=True)
class Row:
    """One job."""

    name: str  # P1, as in docs/benchmarks.md
    job: str
    prepare: Callable[[], AbstractContextManager[list[Way]]]  # makes the data, starts the peers
    memory: int = 0  # MB to touch before each call, where the job takes much
    scratch: Path | None = None  # where folders of single calls are made; default beside the data


@dataclass
class Measured:
    """What the calls of one way took."""

    way: Way
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    asked: int = 0  # requests of all rounds, the first too
    lost: int = 0  # those that got no answer
    trouble: str = ""  # why there is nothing

    @property
    def failed(self) -> bool:
        return self.trouble.startswith("failed")

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpus)


@dataclass(frozen=True)
class Verdict:
    """Ours against one way, or against a mark that is no ratio."""

    ratio: float | None  # times as long as ours; None where one of the two was not measured
    asked: float | None  # the mark in the same measure; 1 for a mark of time
    reached: bool | None  # None where there is no mark, or no ratio


def verdict(ours: Measured, other: Measured) -> Verdict:
    """How ours compares; a limit of the machine is turned round, so that more is always better.

    `ours` for both compares it with the seconds that it may take, if there is such a mark.
    """
    way = other.way
    asked = 1.0 if way.most else 1 / way.within if way.within else way.mark
    if not ours.walls or not other.walls:
        return Verdict(None, asked, None)
    ratio = (way.most or other.wall) / ours.wall
    if way.lossless:
        return Verdict(ratio, None, not other.lost)
    return Verdict(ratio, asked, None if asked is None else ratio >= asked)


def ratios(ours: Measured, other: Measured) -> list[float]:
    """Those of each round; the ratio of the medians lies among them."""
    way = other.way
    if way.most:
        return [way.most / wall for wall in ours.walls]
    if way.once:
        return [other.wall / wall for wall in ours.walls if other.walls]
    return [theirs / wall for theirs, wall in zip(other.walls, ours.walls, strict=False)]


def measure(ways: Sequence[Way], rounds: int, scratch: Path, memory: int = 0) -> list[Measured]:
    """Medians come of `rounds` rounds; one before them warms up and is not counted.

    A way that raises is not called again; its trouble says why.
    """
    found = [Measured(way) for way in ways]
    for turn in range(rounds + 1):
        first = turn % len(found)
        for one in found[first:] + found[:first]:
            if one.trouble or (one.way.once and turn != 1):
                continue
            try:
                timed = _call(one.way, scratch, memory)
            except LeftOut as reason:
                one.trouble = f"left out: {reason}"
            except Exception as error:
                one.trouble = f"failed: {type(error).__name__}: {error}"
                one.walls.clear()
                one.cpus.clear()
            else:
                one.asked += timed.asked
                one.lost += timed.lost
                if turn:
                    one.walls.append(timed.wall)
                    one.cpus.append(timed.cpu)
    return found


def _call(way: Way, scratch: Path, memory: int) -> Timed:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        gc.collect()
        warm(memory)
        timed = Timed(folder)
        way.run(timed)
        return timed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def warm(megabytes: int) -> None:
    """Touch memory: a virtual machine gives freed pages back to its host, and the next to use them pays for it."""
    np.empty(megabytes << 20, np.uint8)[::4096] = 1


def cpu_seconds(*whose: int) -> float:
    """User and system time so far, by default of this process and of children it has waited for."""
    usages = [resource.getrusage(one) for one in whose or (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
