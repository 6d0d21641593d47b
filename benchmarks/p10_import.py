"""P10: `import dicomlab` in a new Python that has imported pandas and xarray, as the first cell of a notebook has.

The mark is one of time, 0.15 s, since a person waits for it at the start of every session. What is imported beside it
is timed in the same way: above pandas and xarray, in a Python of its own for each.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from . import peers
from .harness import Row, Timed, Way

FIRST = "pandas, xarray"
TIMES = """
import time
{first}
wall, cpu = time.perf_counter(), time.process_time()
import {modules}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


@contextmanager
def prepare() -> Iterator[list[Way]]:
    yield [
        Way("dicomlab", lambda timed: imported(timed, "dicomlab"), most=0.15),
        Way("pydicom, pynetdicom", lambda timed: imported(timed, "pydicom, pynetdicom")),
        Way("SimpleITK", lambda timed: imported(timed, "SimpleITK")),
        Way("highdicom", lambda timed: imported(timed, "highdicom")),
        Way("pandas, xarray themselves", lambda timed: imported(timed, FIRST, first="")),
    ]


def imported(timed: Timed, modules: str, first: str = f"import {FIRST}") -> None:
    """What a Python of its own says of that import."""
    for name in modules.split(", "):
        peers.module(name)
    code = TIMES.format(first=first, modules=modules)
    said = subprocess.check_output([sys.executable, "-c", code], cwd=peers.ROOT, text=True)
    timed.wall, timed.cpu = map(float, said.split())


ROW = Row("P10", "import, in a new Python that has imported pandas and xarray", prepare)
