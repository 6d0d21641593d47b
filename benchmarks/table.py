"""The measured rows as a table to read, and as JSON to keep."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from . import data
from .harness import Measured, Row, Verdict, Way, verdict

HEADING = ("row", "way", "median s", "min-max", "CPU s", "times ours", "mark", "")


def lines(row: Row, found: Sequence[Measured]) -> list[tuple[str, ...]]:
    """One line a way, ours first."""
    ours = found[0]
    table: list[tuple[str, ...]] = []
    for one in found:
        name = row.name if one is ours else ""
        if not one.walls:
            table.append((name, one.way.name, "", "", "", "", "", one.trouble))
            continue
        seen = verdict(ours, one)
        ratio = "" if one is ours or seen.ratio is None else times(seen.ratio)
        said = {True: "reached", False: "SHORT", None: ""}[seen.reached]
        note = said + (" (one round)" if one.way.once else "")
        if one.asked:
            note = f"{note}, {one.lost} of {one.asked:,} lost".removeprefix(", ")
        span = f"{min(one.walls):.3g}-{max(one.walls):.3g}"
        cpu = f"{one.cpu:.3g}" if one.cpu else ""
        table.append((name, one.way.name, f"{one.wall:.3g}", span, cpu, ratio, mark(one.way, seen), note.strip()))
    return table


def mark(way: Way, seen: Verdict) -> str:
    """What is asked: a ratio, a time, or that nothing is lost."""
    if way.lossless:
        return "0 lost"
    return seconds(way.most) if way.most else "" if seen.asked is None else times(seen.asked)


def markdown(table: Sequence[tuple[str, ...]], *, heading: bool = True) -> str:
    """The lines as a Markdown table whose columns stand under one another."""
    shown = [HEADING, *table]
    widths = [max(len(line[column]) for line in shown) for column in range(len(HEADING))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in shown
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text if heading else text[2:])


def short(row: Row, found: Sequence[Measured]) -> list[str]:
    """The marks of a row that are not reached, one sentence each, and what failed."""
    ours = found[0]
    said = [f"{row.name}: {one.way.name} {one.trouble}" for one in found if one.failed]
    for one in found:
        seen = verdict(ours, one)
        if seen.reached is False:
            said.append(f"{row.name}: {figure(one, seen)}, the mark is {mark(one.way, seen)}")
    return said


def figure(one: Measured, seen: Verdict) -> str:
    """What is compared with the mark, to read."""
    if one.way.lossless:
        return f"{one.lost} of {one.asked:,} lost"
    if one.way.most:
        return seconds(one.wall)
    assert seen.ratio is not None
    return f"{times(seen.ratio)} times as fast as {one.way.name}"


def times(ratio: float) -> str:
    """A ratio to read: 2.4, or 1/2.4 where ours is the slower."""
    return f"{ratio:.2g}" if ratio >= 0.995 else f"1/{1 / ratio:.2g}"


def seconds(time: float) -> str:
    """A mark of time to read: 5 ms."""
    return f"{1000 * time:.3g} ms"


def page(rows: Sequence[Row], table: Sequence[tuple[str, ...]], machine: Mapping[str, Any], rounds: int) -> str:
    """docs/benchmarks.md: what was measured, on what, and the table."""
    versions = ", ".join(f"{name} {number}" for name, number in {**machine["programs"], **machine["packages"]}.items())
    jobs = "\n".join(f"- **{row.name}**: {row.job}" for row in rows)
    return f"""{_ABOUT}
{jobs}

Measured {machine["when"]}, {rounds} rounds, {machine["system"]}, {machine["cpus"]} CPUs with a load of
{machine["load"]:.1f} at the end; {versions}. {busy(machine)}

{_PLOT}
{markdown(table)}
"""


def busy(machine: Mapping[str, Any]) -> str:
    """A warning where others worked on the machine: what waits for a processor is timed too."""
    if machine["load"] <= machine["cpus"]:
        return ""
    load = f"a load of {machine['load']:.1f} on {machine['cpus']} CPUs"
    return f"The machine was busy: {load}. Measure again on a quiet one."


_ABOUT = """# Benchmarks

`make benchmarks` writes this table; [performance.md](performance.md) says where the time goes.
`make benchmarks ROWS="P1 P6" ROUNDS=5` measures some rows longer. Peers that are
not installed are left out with the reason (`make peers`, `pip install -e '.[bench]'`). The data, 1 GB, is made
once, in the cache folder or in the one that the environment variable `DICOMLAB_BENCHMARKS` names.

Every round runs each way of a row once, in rotating order, after a round that warms up; each way checks its own
result. *Times ours* is the median of a way over our median, of the same run: only these ratios can be compared
between machines. *Mark* is what the ratio is to be. CPU seconds are those of the process and of the children it
waited for; servers that every way of a row shares are not counted. Where a row has a limit of the machine, its
ratio and mark are fractions: 1/9 means that ours takes nine times as long. Some marks are no ratios: 5 ms for what
is to follow the hand (P9), 150 ms for an import (P10), for which a person waits; and no store without its answer (P11).

DCMTK 3.6.7 leaves Nagle's algorithm on and stalls 40 ms an instance; it is measured with `TCP_NODELAY=1`, and once
as it comes. Orthanc runs with `TCP_NODELAY=1`. The servers of others listen on every address of the machine, which
no setting of theirs prevents, on ports that the system gives, for as long as a row takes.

`make benchmarks CHECK=1` writes nothing, and ends with an error where a row fell. Each round has a ratio of its own;
what the rounds differ by is the noise of a row, and a tenth comes on top of it, since two runs differ too.

- A mark that this page calls reached has fallen when the best round, times 1.1, is below the mark.
- A ratio that is SHORT here has fallen when the best round, times 1.1, is below the worst round of this page
  (benchmarks.json keeps them). Marks of time are not compared in this way: that was another machine.
- A store that gets no answer, and a wrong result of ours, are no noise.
- A row that fell is measured again, and fails only if it fell both times.

`make test` does this with a tenth of the data for P4, P5 and P7, where a quarter of a mark is enough.
"""


#: A file of each theme; the pages show the one that suits.
_PLOT = """![Each peer's time over ours, with the mark, light](benchmarks-light.svg){.only-light}
![Each peer's time over ours, with the mark, dark](benchmarks-dark.svg){.only-dark}
"""


def as_json(row: Row, found: Sequence[Measured]) -> dict[str, Any]:
    """All of it, each round's seconds too."""
    ways = []
    for one in found:
        seen = verdict(found[0], one)
        ways.append(
            {
                "way": one.way.name,
                "wall": one.walls,
                "cpu": one.cpus,
                "ratio": seen.ratio,
                "mark": seen.asked,
                "reached": seen.reached,
                "lost": one.lost,
                "trouble": one.trouble,
            }
        )
    return {"row": row.name, "job": row.job, "ways": ways}


def machine(programs: Mapping[str, str]) -> dict[str, Any]:
    """What it was measured on, and with which versions."""
    return {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": dict(_versions(("dicomlab", "pynetdicom", "pydicom", "pandas", "numpy", *_PEERS))),
        "programs": dict(programs),
    }


_PEERS = ("SimpleITK", "python-gdcm", "dcm2niix", "nibabel", "highdicom", "matplotlib", "ipympl")


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def figures(name: str, asked: argparse.Namespace, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured before, where it is given (``asked.known``); else now, and kept (``asked.json``)."""
    if asked.known:
        before: dict[str, Any] = json.loads(asked.known.read_text())
        return before
    told = {**measure(), **machine({})}
    kept = asked.json or data.folder("results") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    kept.write_text(json.dumps(told))
    print(f"All figures: {kept}")
    return told
