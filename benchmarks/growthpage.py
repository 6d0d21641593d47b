"""What growth.py measured as a page and its pictures: seconds of an instance and memory, against their number."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import table

SYSTEM = 4  # in a step: seconds of CPU that were the system's
APART, ROOM, FULL = 0.20, 150.0, 100_000  # the mark: part of the median, MB of memory, and of how many instances
#: What is judged by the mark, and how it is called.
NAMES = {
    "retrieve": "retrieved by C-GET, kept and indexed",
    "again": "asked for again, all are here",
    "index": "index made anew of the files",
    "scan": "scanned",
    "rescan": "scanned again, nothing has changed",
}
Told = Mapping[str, Any]


def each(steps: Told) -> float:
    """Microseconds of CPU for each instance, of all of a job."""
    return steps["cpu"] / steps["count"] * 1e6


def more(steps: Told) -> float:
    """MB held at most beyond what was held before."""
    return (steps["most"] - steps["before"]) * 1024 / 1e6


def left(steps: Told) -> float:
    """MB held beyond what was held before, when the call was back: its table, and what the system did not get back."""
    return (steps["after"] - steps["before"]) * 1024 / 1e6


def tenths(steps: Told) -> list[float]:
    """Microseconds of CPU for each instance in every tenth of a job; the median of the steps in it."""
    known = steps["steps"]
    rates = [(later[1] - earlier[1]) / (later[0] - earlier[0]) * 1e6 for earlier, later in pairwise(known)]
    parts = [rates[len(rates) * part // 10 : len(rates) * (part + 1) // 10] for part in range(10)]
    return [statistics.median(part) for part in parts]


def systems(steps: Told) -> list[float]:
    """Microseconds of the system's CPU for each instance in every tenth, as a clock of 10 ms shows it."""
    known = steps["steps"]
    ends = [known[max(0, len(known) * part // 10 - 1)] for part in range(11)]
    return [(later[SYSTEM] - earlier[SYSTEM]) / (later[0] - earlier[0]) * 1e6 for earlier, later in pairwise(ends)]


def apart(values: Sequence[float]) -> float:
    """How far the one that is farthest from the median is, as a part of it.

    >>> apart([90, 100, 130])
    0.3
    """
    middle = statistics.median(values)
    return max(abs(value / middle - 1) for value in values)


def judged(told: Told) -> list[tuple[str, float, float]]:
    """Name, largest distance in time and memory of each job."""
    found = []
    for name in NAMES:
        jobs = told["jobs"][name]
        far = apart([each(one) for one in jobs])
        if name == "retrieve":
            far = max(far, apart(tenths(jobs[-1])))
        found.append((name, far, more(jobs[-1])))
    return found


def said(reached: bool) -> str:
    return "reached" if reached else "SHORT"


def room_said(room: float, told: Told) -> str:
    """The verdict on memory: fewer instances than the mark is for say nothing where they fit."""
    return said(room <= ROOM) if room > ROOM or told["jobs"]["retrieve"][-1]["count"] >= FULL else "too few to say"


def verdicts(told: Told) -> str:
    """A line for each job."""
    return "\n".join(
        f"{name}: time of an instance {far:.0%} from the median at most ({said(far <= APART)}), "
        f"memory {room:+.0f} MB ({room_said(room, told)})"
        for name, far, room in judged(told)
    )


def page(told: Told, name: str) -> str:
    """The text of the page; `name` is what those of its pictures begin with."""
    jobs = told["jobs"]
    sizes = [one["count"] for one in jobs["retrieve"]]
    last = jobs["retrieve"][-1]
    pictures = "\n".join(
        f"```{{image}} {name}-{theme}.png\n:class: only-{theme}\n:alt: {_ALT}\n```" for theme in ("light", "dark")
    )
    whole = [("microseconds of CPU each", *(f"{size:,}" for size in sizes), "apart", "mark 20 %")]
    held = [("MB of memory, at most", *(f"{size:,}" for size in sizes), "left of it", f"mark {ROOM:.0f} MB")]
    for job, far, room in judged(told):
        times = [f"{each(one):.0f}" for one in jobs[job]]
        whole.append((NAMES[job], *times, f"{far:.0%}", said(far <= APART)))
        rooms = [f"{max(0.0, more(one)):.0f}" for one in jobs[job]]
        held.append((NAMES[job], *rooms, f"{max(0.0, left(jobs[job][-1])):.0f}", room_said(room, told)))
    part = [("tenth of the retrieval", *(f"{number}." for number in range(1, 11)))]
    part.append(("microseconds of CPU each", *(f"{value:.0f}" for value in tenths(last))))
    apart = ""
    if len(last["steps"][0]) > SYSTEM:  # a file of before had it not
        part.append(("of these the system's", *(f"{value:.0f}" for value in systems(last))))
        own = [whole - its for whole, its in zip(tenths(last), systems(last), strict=True)]
        apart = f"Without the system's share a tenth took {min(own):.0f} to {max(own):.0f} here."
    part.append(("MB held at its end", *(f"{_held(last, tenth):.0f}" for tenth in range(1, 11))))
    loads = [("slices of a series", *(f"{one['count']:,}" for one in jobs["load"]))]
    loads.append(("microseconds of CPU each", *(f"{each(one):.0f}" for one in jobs["load"])))
    return f"""# Growth

What an instance costs as their number grows, to {sizes[-1]:,}. `make growth` writes this page and its pictures.

{pictures}

The instances are small (4 kB: a header as a scanner writes it, 32 x 32 pixels), so that what is counted is the work for
each and not its bytes; 200 make a series. A server that answers from memory gives them to one call of `retrieve`, which
keeps them in a cache on disk, each with its row in the index; what is on the disk afterwards is compared with what was
sent, byte by byte. Each job is done with a tenth, a quarter, half and all of them, each time in a process of its own,
which did the same with 200 others before. Seconds are those of the processor (those of a clock say how busy the machine
is), memory is VmRSS and VmHWM of the process, beyond what it held before the job; the tables that are given back are in
it. The mark: no time of an instance is further than 20 % from the median of its line, in a retrieval no tenth of it
either; memory grows by 150 MB at most with 100,000.

Measured {told["when"]}, {told["system"]}, {told["cpus"]} CPUs with a load of {told["load"]:.1f} at the end.
{table.busy(told)}

{_table(whole)}

{_table(held)}

The table itself is 0.7 kB a row with headers like these, the headers it is made of 0.2 kB, and what is known of an
instance that is due, or has come, 0.4 kB. What was let go of counts where Python has not given it back to the system.
A table of more rows than memory holds is made folder by folder, or series by series.

The retrieval of {sizes[-1]:,}, by its tenths:

{_table(part)}

All of it took {last["wall"]:.0f} s, {sizes[-1] / last["wall"]:,.0f} instances a second, with the server
on the same machine. What a tenth takes does not hang on how many came before it: with the cache of instances in memory
(/dev/shm) each tenth of 100,000 took 250 to 330 microseconds of the process and 100 to 130 of the system, in no order,
while other work went on; on the disk 30 to 50 more of the system. Where tenths differ by more, the machine does.
{apart}

A series as a volume, by its length ({jobs["load"][-1]["cpu"]:.2f} s of CPU for the longest):

{_table(loads)}

A short form of this is in `make test`, and one series of 100,000 instances by C-GET and by C-MOVE in `make soak`
(tests/test_growth.py, tests/scanning/test_scan_many.py).
"""


_ALT = "Time of an instance and memory against the number of instances"


def _held(steps: Told, tenth: int) -> float:
    """MB beyond what was held before, at the end of a tenth."""
    known = steps["steps"]
    return (known[len(known) * tenth // 10 - 1][3] - steps["before"]) * 1024 / 1e6


def _table(lines: Sequence[Sequence[str]]) -> str:
    heading, *rest = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([heading, "|---" + "|---:" * (len(lines[0]) - 1) + "|", *rest])


def write(told: Told, path: Path) -> None:
    """The page, and beside it a picture on light and one on dark ground."""
    path.write_text(page(told, path.stem), encoding="utf-8")
    for theme in ("light", "dark"):
        draw(told, path.with_name(f"{path.stem}-{theme}.png"), theme)


def draw(told: Told, path: Path, theme: str) -> None:
    """Time by the median of its line, with the band of the mark; memory in MB."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    ink = "#222832" if theme == "light" else "#ced6dd"  # of the pages' theme
    ground = "#ffffff" if theme == "light" else "#14181e"
    colours = ["#0a7d91", "#b3412d", "#6b8e23", "#8045e5", "#c08a00"]
    with rc_context({"text.color": ink, "axes.edgecolor": ink, "axes.labelcolor": ink}):
        figure = Figure(figsize=(9, 3.8), dpi=110, layout="constrained", facecolor=ground)
        times, room = figure.subplots(1, 2)
        jobs = told["jobs"]
        for (name, words), colour in zip(NAMES.items(), colours, strict=True):
            counts = [one["count"] for one in jobs[name]]
            values = [each(one) for one in jobs[name]]
            middle = statistics.median(values)
            label = f"{words.split(',')[0]}: {middle:.0f} µs"
            times.plot(counts, [value / middle for value in values], "o-", color=colour, label=label, markersize=4)
            room.plot(counts, [max(0.0, more(one)) for one in jobs[name]], "o-", color=colour, markersize=4)
        steps = jobs["retrieve"][-1]
        ends = [step[0] for step in steps["steps"]]
        room.plot(ends, [(step[3] - steps["before"]) * 1024 / 1e6 for step in steps["steps"]], color=colours[0], lw=1)
        times.axhspan(1 - APART, 1 + APART, color=ink, alpha=0.12, lw=0)
        times.set(ylim=(0, 2), title="CPU of an instance, as a part of its median", xlabel="instances")
        times.legend(loc="upper left", fontsize=7.5, frameon=False, labelcolor=ink)
        room.axhline(ROOM, color=ink, lw=1, ls="--")
        room.set(ylim=(0, None), title="memory beyond what was held, MB", xlabel="instances")
        for axes in (times, room):
            axes.set_facecolor(ground)
            axes.tick_params(colors=ink)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.set_xlim(0, None)
            axes.title.set_fontsize(10)
        figure.savefig(path, facecolor=ground)
