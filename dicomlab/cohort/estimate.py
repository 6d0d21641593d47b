"""What a cohort would take, before it is begun: counted by the archive, timed by what ran before."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from .members import Member
from .outcome import DONE, Outcome

if TYPE_CHECKING:
    from ..net.peer import Peer

_lock = threading.Lock()
_archives: dict[str, tuple[float, float, float]] = {}  # by node: bytes, instances and seconds of retrieval
_functions: dict[tuple[str, str], tuple[float, float]] = {}  # series and seconds


@dataclass(frozen=True)
class Rates:
    """What was measured in this process: of a node, and of a function."""

    node: str
    function: tuple[str, str]

    @classmethod
    def of(cls, peer: Peer | None, function: tuple[str, str]) -> Rates:
        return cls("" if peer is None else peer.node.identity, function)

    def learn(self, size: int, instances: int, seconds: float, outcomes: Sequence[Outcome]) -> None:
        """Add what was measured."""
        took = [one.seconds for one in outcomes if one.status == DONE]
        with _lock:
            if size and instances:
                before = _archives.get(self.node, (0.0, 0.0, 0.0))
                _archives[self.node] = before[0] + size, before[1] + instances, before[2] + seconds
            if took:
                done = _functions.get(self.function, (0.0, 0.0))
                _functions[self.function] = done[0] + len(took), done[1] + sum(took)

    def minutes(self, size: int, instances: int, series: int, workers: int) -> float | None:
        """Retrieval and function run side by side: the longer of both.

        A retrieval takes its time for each instance and for each byte: where what was measured was smaller than what is
        to come, either alone would say too much, so the less counts.
        """
        with _lock:
            archive, function = _archives.get(self.node), _functions.get(self.function)
        if not series:
            return 0.0
        if function is None or (size and archive is None):
            return None
        fetching = 0.0 if archive is None else min(size / archive[0], instances / archive[1]) * archive[2]
        return max(fetching, series * function[1] / function[0] / workers) / 60


def estimate(
    due: Sequence[Member], series: pd.DataFrame, peer: Peer | None, rates: Rates, workers: int
) -> pd.DataFrame:
    """One row: series, instances, GB, GB to fetch, minutes."""
    paths = [path for one in due for path in one.paths]
    rows = [one.at[0] for one in due if not one.given]
    instances, here = len(paths), sum(os.path.getsize(path) for path in paths if os.path.exists(path))
    size: int | None = 0
    due_instances = 0
    if rows and peer is not None:
        table = peer.retrieve(series.iloc[rows], dry_run=True, progress=False)
        instances += int(table["instances"].sum())
        size = None if table["bytes_to_fetch"].isna().any() else int(table["bytes_to_fetch"].sum())
        due_instances = int(table["to_fetch"].sum())
        cached = peer.cache.contents("SERIES", node=peer.node.identity)
        here += int(cached["size"][cached["SeriesInstanceUID"].isin([one.uid for one in due])].sum())
    minutes = None if size is None else rates.minutes(size, due_instances, len(due), workers)
    fetched, whole = (None, None) if size is None else (size / 1e9, (here + size) / 1e9)
    frame = pd.DataFrame(
        {
            "series": pd.array([len(due)], dtype="Int64"),
            "instances": pd.array([instances], dtype="Int64"),
            "GB": pd.array([whole], dtype="Float64"),
            "GB_to_fetch": pd.array([fetched], dtype="Float64"),
            "minutes": pd.array([minutes], dtype="Float64"),
        }
    )
    if size is None:
        frame.attrs["why"] = "the archive does not say how large all of its images are"
    elif minutes is None:
        frame.attrs["why"] = "minutes are known once this function has run on a few series: apply it to series.head(3)"
    return frame
