"""``python -m benchmarks [ROW ...]``: the table, what falls short, and with ``--check`` what fell since the last."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from . import check, data, peers, plot, table
from .harness import LeftOut, Measured, Row, Way, measure

ROWS = data.words("""
    p1_get p1v_volume p1c_canned p1k_kernel p1t_tls p2_move p3_store p3m_small p3t_tls p4_find p4o_orthanc p5_echo
    p6_scan p7_load p8_decode p8r_rle p8j_jpeg2000 p9_view p9w_window p10_import p11_lost""")


def main(words: Sequence[str] | None = None, rows: Mapping[str, Row] | None = None) -> int:
    """Measure what the words of the command ask for; the exit code, 1 where a check found that something fell."""
    known = rows or {row.name: row for row in (import_module(f"{__package__}.{name}").ROW for name in ROWS)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="dicomlab and its peers side by side")
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(known)}; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, default 3")
    parser.add_argument("--against", nargs="+", default=[""], help="only the peers whose names begin with one of these")
    parser.add_argument("--json", type=Path, help="default: in results/ beside the data")
    parser.add_argument(
        "--markdown", type=Path, help="also write the table to this file, and its ratios and plots beside it"
    )
    fell = "exit code 1 where a row fell below what FILE keeps, by default docs/benchmarks.json"
    parser.add_argument("--check", type=Path, nargs="?", const=check.PUBLISHED, metavar="FILE", help=fell)
    parser.add_argument("--noise", type=float, default=check.NOISE, help="what two runs may differ by, default 0.1")
    asked = parser.parse_args(words)
    unknown = [name for name in asked.rows if name not in known]
    if unknown or asked.rounds < 1:
        parser.error(f"rows are {', '.join(known)}, not {unknown}" if unknown else "--rounds is 1 or more")

    before = check.kept(asked.check) if asked.check else {}
    results: list[tuple[Row, list[Measured]]] = []
    findings: list[check.Finding] = []
    for row in [known[name] for name in asked.rows] or known.values():
        print(f"\n{row.name}: {row.job}", flush=True)
        found = shown(row, asked.rounds, asked.against)
        if asked.check:
            judged = check.judge(row, found, before, asked.noise)
            if any(finding.fell for finding in judged):
                print(f"{row.name} fell; measured again", flush=True)
                found = shown(row, asked.rounds, asked.against)
                judged = check.judge(row, found, before, asked.noise)
            findings += judged
        results.append((row, found))
    machine = table.machine(peers.versions())
    kept = asked.json or data.folder("results") / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    measured = [table.as_json(row, found) for row, found in results]
    kept.write_text(json.dumps({**machine, "rounds": asked.rounds, "rows": measured}, indent=1))
    if asked.check:
        print("", *(finding.text for finding in findings), sep="\n")
    else:
        short = [f"  {line}" for row, found in results for line in table.short(row, found)]
        said = ["Short of the mark:", *short] if short else ["Every mark that was measured is reached."]
        print("", *said, sep="\n")
    print(f"Each round's seconds: {kept}", table.busy(machine), sep="\n")
    if asked.markdown:
        lines = [line for row, found in results for line in table.lines(row, found)]
        page = table.page([row for row, _ in results], lines, machine, asked.rounds)
        asked.markdown.write_text(page, encoding="utf-8")
        ratios = asked.markdown.with_suffix(".json")
        ratios.write_text(check.published(machine, asked.rounds, results), encoding="utf-8")
        plot.write(ratios)
    return int(any(finding.fell for finding in findings))


def shown(row: Row, rounds: int, against: Sequence[str]) -> list[Measured]:
    """What a row took, and its part of the table."""
    found = run(row, rounds, against)
    print(table.markdown(table.lines(row, found)), flush=True)
    return found


def run(row: Row, rounds: int, against: Sequence[str] = ("",)) -> list[Measured]:
    """Measure one row; one that cannot be is one line with the reason."""
    try:
        with row.prepare() as ways, tempfile.TemporaryDirectory(dir=row.scratch or data.folder("scratch")) as scratch:
            chosen = [way for way in ways if way is ways[0] or way.name.startswith(tuple(against))]
            return measure(chosen, rounds, Path(scratch), row.memory)
    except LeftOut as reason:
        return [Measured(Way("dicomlab", lambda timed: None), trouble=f"left out: {reason}")]


if __name__ == "__main__":
    sys.exit(main())
