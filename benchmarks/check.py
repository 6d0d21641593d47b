"""Whether the speed that was reached is still there: a run beside the ratios that docs/benchmarks.json keeps.

The ways of a row are called in turn, so each round has a ratio of its own, and what the rounds differ by is the noise
of the row. A run is judged by its best round: a mark that the published run reached is lost when even that round, with
an allowance on top for what two runs differ by (a tenth, ``--noise 0.1``), is below the mark. A mark that it did not
reach is SHORT and fails nothing, unless the best round is, with the same allowance, below the worst published one. A
row that fell is measured a second time, and has fallen only if it fell twice.

A mark of time is judged in the same way, but never against a published time: that was another machine. A request that
got no answer where none may be lost, and ours failing, are no noise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import table
from .harness import Measured, Row, Way, ratios, verdict

NOISE = 0.1
PUBLISHED = Path(__file__).resolve().parents[1] / "docs/benchmarks.json"


@dataclass(frozen=True)
class Kept:
    """What the published run says of one way."""

    worst: float | None  # the ratio of its worst round
    reached: bool | None  # whether the ratio of the medians reached the mark


@dataclass(frozen=True)
class Finding:
    """One mark, judged."""

    fell: bool
    text: str


def kept(path: Path = PUBLISHED) -> dict[tuple[str, str], Kept]:
    """What was published, by row and way; nothing where there is no such file."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {(row["row"], way["way"]): Kept(way["worst"], way["reached"]) for row in rows for way in row["ways"]}


def published(machine: Mapping[str, Any], rounds: int, results: Sequence[tuple[Row, Sequence[Measured]]]) -> str:
    """The text of docs/benchmarks.json: ratios, and nothing of the machine that they come from."""
    rows = []
    for row, found in results:
        ways = []
        for one in found:
            seen, compared = verdict(found[0], one), one is not found[0] or one.way.most
            each = [round(ratio, 4) for ratio in ratios(found[0], one)] if compared else []
            told = {"ratio": round(seen.ratio, 4) if seen.ratio and compared else None, "mark": seen.asked}
            span = {"worst": min(each, default=None), "best": max(each, default=None)}
            ways.append({"way": one.way.name, **told, **span, "reached": seen.reached})
        rows.append({"row": row.name, "job": row.job, "ways": ways})
    return json.dumps({"when": machine["when"], "rounds": rounds, "rows": rows}, indent=1) + "\n"


def judge(
    row: Row, found: Sequence[Measured], known: Mapping[tuple[str, str], Kept], noise: float = NOISE
) -> list[Finding]:
    """A finding for every mark of a row."""
    ours = found[0]
    if ours.failed or not ours.walls:
        return [Finding(ours.failed, f"{'FELL' if ours.failed else 'not measured'}: {row.name}: {ours.trouble}")]
    return [_one(row, ours, one, known.get((row.name, one.way.name)), noise) for one in found if _marked(one.way)]


def _marked(way: Way) -> bool:
    return bool(way.mark or way.within or way.most or way.lossless)


def _one(row: Row, ours: Measured, other: Measured, before: Kept | None, noise: float) -> Finding:
    seen = verdict(ours, other)
    if seen.ratio is None:
        return Finding(False, f"not measured: {row.name}: {other.way.name} {other.trouble}")
    said = f"{row.name}: {table.figure(other, seen)}, the mark is {table.mark(other.way, seen)}"
    was_reached = before is not None and before.reached is True
    if other.way.lossless:
        return Finding(not seen.reached, f"{'held' if seen.reached else 'FELL'}: {said}")
    assert seen.asked is not None
    best = max(ratios(ours, other))
    if was_reached:
        floor, why = seen.asked, "which the published run reached"
    else:
        floor = 0.0 if before is None or before.worst is None or other.way.most else before.worst
        why = f"{table.times(floor)} was the worst round published" if floor else ""
    if best * (1 + noise) < floor:
        of_best = f"{table.times(best)} in the best round" + (" of the time allowed" if other.way.most else "")
        return Finding(True, f"FELL: {said}, {why}; it is {of_best} now")
    if seen.reached:
        return Finding(False, f"held: {said}")
    return Finding(False, f"{'within noise' if was_reached else 'SHORT'}: {said}")
