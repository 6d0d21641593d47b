"""The ratios of docs/benchmarks.json as pictures beside it: ``python -m benchmarks.plot`` draws them again."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from . import check

MARKED = {True: "reaches its mark", False: "short of its mark", None: "without a mark"}
#: Page, text, lines between rows; then bars in the order of `MARKED`.
THEMES = {
    "light": ("#ffffff", "#1f2328", "#d0d4d8", "#2a78b5", "#d9822b", "#a9b3bd"),
    "dark": ("#14181e", "#e6e8ea", "#3a4048", "#4f9ed9", "#e8963f", "#6b7580"),
}


def write(ratios: Path = check.PUBLISHED) -> None:
    """One for each theme, beside the file of the ratios."""
    rows = json.loads(ratios.read_text(encoding="utf-8"))["rows"]
    for theme in THEMES:
        draw(rows, theme, ratios.with_name(f"{ratios.stem}-{theme}.svg"))


def draw(rows: list[dict[str, Any]], theme: str, path: Path) -> None:
    """A bar for each peer, to how many times as long as ours it takes; a line over its rounds, a tick at its mark."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    page, text, line, *colours = THEMES[theme]
    colour = dict(zip(MARKED, colours, strict=True))
    peers = [(row["row"], way) for row in rows for way in row["ways"][1:] if way["ratio"]]
    style = {"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "text.color": text, "axes.labelcolor": text}
    with rc_context({**style, "xtick.color": text, "ytick.color": text, "font.size": 8}):
        figure = Figure(figsize=(8.5, 1.2 + 0.2 * len(peers)), facecolor=page, layout="constrained")
        axes = figure.add_subplot(facecolor=page)
        axes.set_xscale("log")
        for at, (name, way) in enumerate(peers):
            axes.barh(at, way["ratio"] - 1, left=1, height=0.6, color=colour[way["reached"]])
            axes.plot([way["worst"], way["best"]], [at, at], color=text, linewidth=0.8)
            if way["mark"]:
                axes.plot([way["mark"]] * 2, [at - 0.4, at + 0.4], color=text, linewidth=2.2)
            if at and peers[at - 1][0] != name:
                axes.axhline(at - 0.5, color=line, linewidth=0.6)
        axes.axvline(1, color=text, linewidth=0.8)
        axes.set_yticks(range(len(peers)), [f"{name}: {way['way']}" for name, way in peers])
        axes.set_ylim(len(peers) - 0.5, -0.5)
        ticks = [tick for tick in TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
        axes.set_xticks(ticks, [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(axis="x", color=line, linewidth=0.4)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.tick_params(axis="x", labeltop=True)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("times as long as dicomlab: median, worst and best round (thin), mark (thick)")
        for reached, said in MARKED.items():
            axes.barh(0, 0, color=colour[reached], label=said)
        figure.legend(loc="outside upper center", ncols=len(MARKED), frameon=False)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", facecolor=page, metadata={"Date": None})
    lines = [line.rstrip() for line in drawn.getvalue().splitlines()]  # it ends each part of a path with a space
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


TICKS = [1 / 20, 1 / 10, 1 / 5, 1 / 2, 1, 2, 5, 10, 20, 50, 100, 200, 500]

if __name__ == "__main__":
    write()
