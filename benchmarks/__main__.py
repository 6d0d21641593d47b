"""``python -m benchmarks [ROW ...] [--rounds N] [--json FILE] [--markdown FILE]``: the table, and what falls short."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib import import_module
from pathlib import Path

from . import data, peers, table
from .harness import LeftOut, Measured, Row, Way, measure

ROWS = data.words("""
    p1_get p1v_volume p1c_canned p1k_kernel p1t_tls p2_move p3_store p3m_small p3t_tls p4_find p4o_orthanc p5_echo
    p6_scan p7_load p8_decode p8r_rle p8j_jpeg2000 p9_view p9w_window p10_import
    p11_lost""")


def main() -> None:
    rows = {row.name: row for row in (import_module(f"{__package__}.{name}").ROW for name in ROWS)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="dicomlab and its peers side by side")
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(rows)}; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, default 3")
    parser.add_argument("--json", type=Path, help="default: in results/ beside the data")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    asked = parser.parse_args()
    unknown = [name for name in asked.rows if name not in rows]
    if unknown or asked.rounds < 1:
        parser.error(f"rows are {', '.join(rows)}, not {unknown}" if unknown else "--rounds is 1 or more")
    chosen = [rows[name] for name in asked.rows] or list(rows.values())

    lines: list[tuple[str, ...]] = []
    short: list[str] = []
    results = []
    for row in chosen:
        print(f"\n{row.name}: {row.job}", flush=True)
        found = run(row, asked.rounds)
        print(table.markdown(table.lines(row, found)), flush=True)
        lines += table.lines(row, found)
        short += table.short(row, found)
        results.append(table.as_json(row, found))
    kept = asked.json or data.folder("results") / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = table.machine(peers.versions())
    kept.write_text(json.dumps({**machine, "rounds": asked.rounds, "rows": results}, indent=1))
    print(
        "\n" + ("Short of the mark:\n  " + "\n  ".join(short) if short else "Every mark that was measured is reached.")
    )
    print(f"Each round's seconds: {kept}", table.busy(machine), sep="\n")
    if asked.markdown:
        asked.markdown.write_text(table.page(chosen, lines, machine, asked.rounds))


def run(row: Row, rounds: int) -> list[Measured]:
    """Measure one row; one that cannot be is one line with the reason."""
    try:
        with row.prepare() as ways, tempfile.TemporaryDirectory(dir=row.scratch or data.folder("scratch")) as scratch:
            return measure(ways, rounds, Path(scratch), row.memory)
    except LeftOut as reason:
        return [Measured(Way("dicomlab", lambda timed: None), trouble=f"left out: {reason}")]


if __name__ == "__main__":
    main()
