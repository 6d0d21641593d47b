"""What cohort.py measured, as the part of docs/scale.md between two marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import table
from .cohort import PLANES, WARM, WAYS, Cost

BEGIN, END = "<!-- written by make cohort -->", "<!-- until here -->"
MORE = 0.20  # the mark: part by which a series of the most may cost more than one of the fewer before
Told = Mapping[str, Any]


def costs(told: Told, name: str) -> list[Cost]:
    return [Cost(**one) for one in told["ways"][name]]


def more(found: Sequence[Cost]) -> float:
    """By how much a series of the last call costs more than one of the call before, as a part of that."""
    return found[-1].each / found[-2].each - 1


def verdicts(told: Told) -> str:
    """A line for each way."""
    return "\n".join(
        f"{WAYS[name].words}: a series of {found[-1].series:,} costs {more(found):+.0%} beside one of "
        f"{found[-2].series:,} ({'reached' if more(found) <= MORE else 'SHORT'})"
        for name in told["ways"]
        if (found := costs(told, name))
    )


def dask(told: Told) -> str:
    """What Dask adds to a series, where it was measured."""
    if not {"threads", "dask2", "dask4"} <= told["ways"].keys():
        return ""
    plain, two, four = (costs(told, name)[-1].each for name in ("threads", "dask2", "dask4"))
    return (
        f"Dask adds {two - plain:.1f} ms of CPU to a series with two workers and {four - plain:.1f} ms with four, its "
        "scheduler and the beat of\nits workers included: nothing beside a function that takes a second.\n\n"
    )


def part(told: Told) -> str:
    """The text between the marks."""
    ways = {name: costs(told, name) for name in told["ways"]}
    counts = [f"{one.series:,}" for one in next(iter(ways.values()))]
    times = [("ms of CPU a series", *counts, "of that here", f"{counts[-1]} beside {counts[-2]}", f"mark +{MORE:.0%}")]
    rooms = [("MB at most", *(f"here, {count}" for count in counts), *(f"a worker, {count}" for count in counts))]
    for name, found in ways.items():
        words, last = WAYS[name].words, found[-1]
        here = f"{last.here / last.series * 1e3:.1f}"
        verdict = "reached" if more(found) <= MORE else "SHORT"
        times.append((words, *(f"{one.each:.1f}" for one in found), here, f"{more(found):+.0%}", verdict))
        held = [f"{one.largest / 1e3:.0f}" if one.largest else "" for one in found]
        rooms.append((words, *(f"{one.grown / 1e3:+.0f}" for one in found), *held))
    return f"""{BEGIN}
{PLANES} small CT images a series, an empty function; archive: a server that answers from memory, one association. Each
way ran {WARM} other series before. CPU of this process and of the workers, without their beginning; "here" is this
process, with Dask its scheduler too; memory here is what came on top of what was held before. `make cohort` measures
again. Measured {told["when"]}, {told["system"]}, {told["cpus"]} CPUs with a load of {told["load"]:.1f} at the end.
{table.busy(told)}

{_table(times)}

{dask(told)}{_table(rooms)}

What grows with Dask is its own. Here it is a log of the last 1,000 tasks: 25 MB, and hardly more with 1,500. In a
worker it is a profile of its threads, kept for an hour: 284 MB were held after 600 series that it retrieved. With
`distributed.worker.profile.enabled: false` in the workers it was 216 MB, 213 after 150, and a sixth less of the CPU.
{END}"""


def _table(lines: Sequence[Sequence[str]]) -> str:
    first, *others = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([first, "|---" + "|---:" * (len(lines[0]) - 1) + "|", *others])


def write(told: Told, page: Path) -> None:
    """Put it in its place on a page."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{page} has no {BEGIN} and {END}")
    page.write_text(before + part(told) + after)
