"""What a series of `dl.apply` costs as their number grows: ``python -m benchmarks.cohort [--series N] [--ways ...]``.

The function is empty, so that what is counted is all else. Each way of running it is measured in a process of its own,
which did the same with 8 other series before, with 50, 200 and 1,000 series: CPU of a series here and in the workers,
and the most memory that this process and the largest of the workers held.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import data, many, peers, table
from .growth import LIMIT, ROOT, forget, memory, served

if TYPE_CHECKING:
    import pandas as pd

PLANES, WARM = 12, 8  # instances of a series; series that are run before
PARTS = (0.05, 0.2, 1.0)


@dataclass(frozen=True)
class Way:
    """A way of running a cohort."""

    words: str
    source: str  # "files", or "archive"
    processes: bool = False
    workers: int = 0  # of a Dask cluster; 0 for none
    discard: bool = False
    apart: bool = False  # the workers are taken to see no files of this process, and retrieve for themselves


WAYS = {
    "threads": Way("files, 2 threads", "files"),
    "processes": Way("files, 2 processes", "files", processes=True),
    "dask2": Way("files, Dask with 2 workers", "files", workers=2),
    "dask4": Way("files, Dask with 4 workers", "files", workers=4),
    "archive": Way("archive, 2 threads", "archive"),
    "discard": Way("archive, 2 threads, `discard=True`", "archive", discard=True),
    "archive processes": Way("archive, 2 processes", "archive", processes=True),
    "archive dask2": Way("archive, Dask with 2 workers", "archive", workers=2),
    "archive dask4": Way("archive, Dask with 4 workers", "archive", workers=4),
    "apart": Way("archive, Dask with 2 workers that retrieve", "archive", workers=2, apart=True),
}


@dataclass
class Cost:
    """What a call took."""

    series: int
    here: float  # seconds of CPU of this process, all threads; with Dask its scheduler is in it
    there: float  # seconds of CPU of a series in a worker that has begun
    wall: float
    grown: int  # kB that this process held at most beyond what it held before
    largest: int  # kB that the largest of the workers held at most; 0 without workers

    @property
    def each(self) -> float:
        """Milliseconds of CPU of a series."""
        return (self.here / self.series + self.there) * 1e3


def nothing(volume: Any) -> dict[str, float]:
    """The empty function; says what its process took so far, so that its beginning can be left out."""
    return {"process": os.getpid(), "cpu": time.process_time()}


# -- one way, in a process of its own ----------------------------------------------------------------------------------


def measured(way: Way, counts: list[int], place: Path, port: int) -> Iterator[Cost]:
    """What each number of series takes; all of them are different ones."""
    import dicomlab as dl
    from benchmarks.cohort import nothing as function  # by its name, as the workers know it
    from dicomlab.cache.cache import Cache
    from dicomlab.cohort import applying

    if way.apart:
        applying.shared = lambda client, folder: False  # there is one machine here
    settings: dict[str, Any] = {"progress": False, "discard": way.discard}
    with clustered(way) as client:
        settings |= {"client": client} if client else {"workers": 2, "processes": way.processes}
        if way.source == "archive":
            cache = Cache(place / "cache", index=place / "index.sqlite")
            settings["peer"] = dl.connect(f"MANY@{peers.HOST}:{port}", cache=cache, timeout=60)
            rows = settings["peer"].find("SERIES", StudyInstanceUID=many.STUDY)
        else:
            files = data.folder("series")
            rows = dl.scan([many.write(files, number, PLANES) for number in range(WARM + sum(counts))])
        names = rows.SeriesInstanceUID.drop_duplicates().tolist()
        begun = 0
        for count in (WARM, *counts):
            chosen = rows[rows.SeriesInstanceUID.isin(names[begun : begun + count])]
            begun += count
            cost = once(dl.apply, function, chosen, count, settings)
            if begun > WARM:
                yield cost


def once(apply: Any, function: Any, rows: pd.DataFrame, count: int, settings: dict[str, Any]) -> Cost:
    largest, step = 0, max(1, count // 20)

    def told(done: int, total: int | None) -> None:
        nonlocal largest
        if done % step == 0:
            for child in children():
                with suppress(OSError, AssertionError):  # it has just ended
                    largest = max(largest, memory("VmHWM", child))

    for process in (*children(), "self"):
        forget(process)
    before, cpu, wall = memory("VmRSS"), time.process_time(), time.perf_counter()
    found = apply(function, rows, **{**settings, "progress": told})
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert (found.status == "done").all() and len(found) == count, set(found.error)
    elsewhere = found[found.process != os.getpid()].groupby("process").cpu.agg(["min", "max", "count"])
    most = memory("VmHWM")
    there = float((elsewhere["max"] - elsewhere["min"]).sum() / max(1, (elsewhere["count"] - 1).sum()))
    return Cost(count, cpu, there, wall, most - before, largest)


def children() -> list[str]:
    """Processes that those of this one began, and theirs."""
    found = [str(os.getpid())]
    for process in found:  # which gets longer meanwhile
        for one in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):
                found += one.read_text().split()
    return found[1:]


@contextmanager
def clustered(way: Way) -> Iterator[Any]:
    if not way.workers:
        yield None
        return
    import distributed

    host = {"host": peers.HOST, "dashboard_address": f"{peers.HOST}:0"}
    with (
        distributed.LocalCluster(n_workers=way.workers, threads_per_worker=1, processes=True, **host) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


# -- all of them -------------------------------------------------------------------------------------------------------


def measure(counts: list[int], names: list[str], say: Any) -> dict[str, list[dict[str, Any]]]:
    """The costs of each way, by its name."""
    found: dict[str, list[dict[str, Any]]] = {}
    whole = WARM + sum(counts)
    with served(whole * PLANES, PLANES) as port:
        for name in names:
            place = tempfile.mkdtemp(dir=data.folder("scratch"))
            own = {f"DICOMLAB_{word}": f"{place}/{word.lower()}" for word in ("CACHE", "INDEX", "STATE", "CONFIG")}
            own |= {"DICOMLAB_BENCHMARKS": str(data.folder()), "PYTHONPATH": str(ROOT), "TMPDIR": place}
            command = [sys.executable, "-m", "benchmarks.cohort", "--job", name, json.dumps(counts), place, str(port)]
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=LIMIT
                )
            finally:
                shutil.rmtree(place, ignore_errors=True)
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr}")
            found[name] = json.loads(done.stdout.splitlines()[-1])
            say(f"{WAYS[name].words}: " + "; ".join(line(Cost(**cost)) for cost in found[name]))
    return found


def line(cost: Cost) -> str:
    return (
        f"{cost.series:,} series {cost.each:.2f} ms ({cost.here / cost.series * 1e3:.2f} here), "
        f"{cost.grown / 1e3:+.0f} MB, workers {cost.largest / 1e3:.0f} MB, {cost.wall:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohort", description=__doc__.split("\n")[0])
    parser.add_argument("--series", type=int, default=1_000, help="default 1,000; a twentieth and a fifth of it too")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="default all")
    parser.add_argument("--json", type=Path, help="default: in results/ beside the data")
    parser.add_argument("--markdown", type=Path, help="page in which the part that was measured is written anew")
    parser.add_argument("--from", dest="known", type=Path, help="a JSON of before: only write the page")
    parser.add_argument("--job", nargs=4, metavar=("WAY", "COUNTS", "PLACE", "PORT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        name, counts, place, port = asked.job
        costs = list(measured(WAYS[name], json.loads(counts), Path(place), int(port)))
        print(json.dumps([asdict(cost) for cost in costs]))
        return
    if sys.platform != "linux":
        parser.error("memory is read from /proc, which Linux has")
    from . import cohortpage

    counts = [max(2, round(asked.series * part)) for part in PARTS]
    told = table.figures(
        "cohort", asked, lambda: {"ways": measure(counts, asked.ways, lambda text: print(text, flush=True))}
    )
    print(cohortpage.verdicts(told), table.busy(told), sep="\n")
    if asked.markdown:
        cohortpage.write(told, asked.markdown)


if __name__ == "__main__":
    main()
