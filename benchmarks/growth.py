"""P10: what an instance costs as their number grows: ``python -m benchmarks.growth [--instances N] [--markdown FILE]``.

Each job is done with a tenth, a quarter, half and all of the instances, each time in a process of its own, which did
the same with 200 others before. Within a retrieval seconds and memory are read a hundred times.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import data, many, peers, table

ROOT = Path(__file__).resolve().parents[1]
PARTS = (0.1, 0.25, 0.5, 1.0)
LENGTHS = (100, 200, 500, 1_000, 2_000, 5_000)  # slices of the series that are loaded
LIMIT = 3600.0  # seconds for one process


def memory(name: str, process: int | str = "self") -> int:
    """kB that a process, by default this one, holds now (VmRSS), or held at most (VmHWM)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1])


def forget(process: int | str = "self") -> None:
    """Let what a process held at most be what it holds now."""
    with suppress(OSError):
        Path(f"/proc/{process}/clear_refs").write_text("5")


@dataclass
class Steps:
    """Seconds and memory of one job, from its beginning on."""

    count: int  # instances
    #: Done, CPU s, wall s, kB held, and how much of the CPU s was the system's.
    steps: list[tuple[int, float, float, int, float]] = field(default_factory=list)
    cpu: float = 0.0  # seconds, of all of it
    wall: float = 0.0
    before: int = 0  # kB held before it
    after: int = 0
    most: int = 0  # kB held at most

    @contextmanager
    def measured(self) -> Iterator[Callable[..., None]]:
        """Give what is told how many are done."""
        forget()
        self.before, step = memory("VmRSS"), max(1, self.count // 100)
        cpu, wall, system = time.process_time(), time.perf_counter(), os.times().system

        def told(done: int, total: int | None = None) -> None:
            if done % step == 0:
                seconds = time.process_time() - cpu, time.perf_counter() - wall
                self.steps.append((done, *seconds, memory("VmRSS"), os.times().system - system))

        yield told
        self.cpu, self.wall = time.process_time() - cpu, time.perf_counter() - wall
        self.after, self.most = memory("VmRSS"), memory("VmHWM")


# -- the jobs, each in a process of its own ----------------------------------------------------------------------------


def retrieve(count: int, place: Path, port: int) -> Iterator[tuple[str, Steps]]:
    """C-GET of series by series in one call; the same again, of what is here; and the index made anew of the files."""
    import dicomlab as dl
    from dicomlab.cache.cache import Cache

    cache = Cache(place / "cache", index=place / "index.sqlite")
    with dl.connect(f"MANY@{peers.HOST}:{port}", cache=cache, timeout=60) as peer:
        series = peer.find("SERIES", StudyInstanceUID=many.STUDY)
        chosen, warm = series.iloc[: count // many.PLANES], series.iloc[[-1]]
        for _ in range(2):  # the second finds it here
            assert len(peer.retrieve(warm, progress=lambda done, total: None)) == many.PLANES
        for name in ("retrieve", "again"):
            steps = Steps(count)
            with steps.measured() as told:
                found = peer.retrieve(chosen, progress=told if name == "retrieve" else False, limit=count)
            assert len(found) == count and found.SOPInstanceUID.is_unique and found.attrs["complete"]
            uids, paths = found.SOPInstanceUID.tolist(), found.path.tolist()
            del found
            yield name, steps
    cache.close()
    for uid, path in zip(uids, paths, strict=True):
        sent = many.instance(*many.numbers(uid))[many.template()[1] :]
        assert Path(path).read_bytes().endswith(sent), f"{path} is not what was sent"


def index(count: int, place: Path, port: int) -> Iterator[tuple[str, Steps]]:
    """The index of a cache made anew of its files, as after a loss; they are those that `retrieve` left."""
    from dicomlab.cache.cache import Cache

    steps = Steps(count)
    with steps.measured():
        cache = Cache(place / "cache", index=place / "anew.sqlite")
        kept = cache.contents("SERIES")
    cache.close()
    assert len(kept) == count // many.PLANES + 1
    yield "index", steps


def scan(count: int, place: Path, port: int) -> Iterator[tuple[str, Steps]]:
    """Files that were never seen, and the same again."""
    import dicomlab as dl

    files = data.folder("many")
    folders = [many.write(files, series) for series in range(count // many.PLANES + 1)]
    dl.scan(folders[-1])
    for name in ("scan", "rescan"):
        steps = Steps(count)
        with steps.measured():
            found = dl.scan(folders[:-1])
        assert len(found) == count and found.SOPInstanceUID.is_unique
        del found
        yield name, steps


def load(count: int, place: Path, port: int) -> Iterator[tuple[str, Steps]]:
    """One series as a volume; the least of three."""
    import dicomlab as dl

    files = many.write(data.folder("long"), 0, max(LENGTHS))
    paths = sorted(files.iterdir())[:count]
    dl.load(paths[:100])
    tries = []
    for _ in range(3):
        steps = Steps(count)
        with steps.measured():
            volume = dl.load(paths)
        assert volume.shape == (count, many.SIDE, many.SIDE) and volume.z.diff("z").values.tolist() == [1] * (count - 1)
        del volume
        tries.append(steps)
    yield "load", min(tries, key=lambda one: one.cpu)


JOBS = {job.__name__: job for job in (retrieve, index, scan, load)}


# -- all of them -------------------------------------------------------------------------------------------------------


def measure(instances: int, say: Callable[[str], object]) -> dict[str, list[Steps]]:
    """The steps of each job, by its name, with ever more instances."""
    found: dict[str, list[Steps]] = {}
    for count in sizes(instances):
        place = Path(tempfile.mkdtemp(dir=data.folder("scratch")))
        try:
            with served(count + many.PLANES) as port:
                _add(found, "retrieve", count, place, port)
            _add(found, "index", count, place)
            shutil.rmtree(place)
            place.mkdir()
            _add(found, "scan", count, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        say(f"{count:,}: " + ", ".join(f"{name} {each(steps[-1]):.0f} µs" for name, steps in found.items()))
    for count in LENGTHS:
        with tempfile.TemporaryDirectory(dir=data.folder("scratch")) as folder:
            _add(found, "load", count, Path(folder))
    say("load: " + ", ".join(f"{one.count:,} {each(one):.0f} µs" for one in found["load"]))
    return found


def each(steps: Steps) -> float:
    """Microseconds of CPU for each instance, of all of a job."""
    return steps.cpu / steps.count * 1e6


def sizes(instances: int) -> list[int]:
    """How many instances each time: whole series."""
    return [max(1, round(instances * part / many.PLANES)) * many.PLANES for part in PARTS]


@contextmanager
def served(count: int, planes: int = many.PLANES) -> Iterator[int]:
    """A server with that many instances, so many a series; gives its port."""
    command = [sys.executable, "-m", "benchmarks.many", str(count), str(planes)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _add(found: dict[str, list[Steps]], job: str, count: int, place: Path, port: int = 0) -> None:
    """Do a job in a process of its own, with settings of its own."""
    own = {f"DICOMLAB_{name}": str(place / name.lower()) for name in ("CACHE", "INDEX", "STATE", "CONFIG")}
    command = [sys.executable, "-m", "benchmarks.growth", "--job", job, str(count), str(place), str(port)]
    environment = {**os.environ, **own, "DICOMLAB_BENCHMARKS": str(data.folder())}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise SystemExit(f"{job} of {count:,} failed:\n{done.stderr}")
    for name, said in json.loads(done.stdout.splitlines()[-1]).items():
        found.setdefault(name, []).append(Steps(**said))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--instances", type=int, default=100_000, help="default 100,000")
    parser.add_argument("--json", type=Path, help="default: in results/ beside the data")
    parser.add_argument("--markdown", type=Path, help="file to write the page to; its pictures go beside it")
    parser.add_argument("--from", dest="known", type=Path, help="a JSON of before: only write the page")
    parser.add_argument("--job", nargs=4, metavar=("JOB", "COUNT", "PLACE", "PORT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        job, count, place, port = asked.job
        print(json.dumps({name: asdict(steps) for name, steps in JOBS[job](int(count), Path(place), int(port))}))
        return
    if sys.platform != "linux":
        parser.error("memory is read from /proc, which Linux has")
    from . import growthpage

    if asked.instances < 2_000:
        parser.error("--instances is 2,000 or more")

    def jobs() -> dict[str, Any]:
        found = measure(asked.instances, lambda line: print(line, flush=True))
        return {"jobs": {name: [asdict(steps) for steps in all_of_them] for name, all_of_them in found.items()}}

    told = table.figures("growth", asked, jobs)
    print(growthpage.verdicts(told), table.busy(told), sep="\n")
    if asked.markdown:
        growthpage.write(told, asked.markdown)


if __name__ == "__main__":
    main()
