"""A cohort takes the memory and the disk of what is worked on, however long it is: 5 MB a series, each discarded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, stop

PLANES, SIDE = 10, 512

#: Applies a function to that many series; MB that the process held, and series that were here, after each.
APPLY = """
import json, re, sys
from pathlib import Path
import dicomlab as dl
from dicomlab.cache.cache import Cache

def held():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6

def largest(volume):
    return int(volume.max())

steps, files = [], []
def progress(done, total):
    steps.append(held())
    files.append(len(list(cache.root.rglob("*.dcm"))))
    Path("/proc/self/clear_refs").write_text("5")  # the most of each step by itself

cache = Cache(sys.argv[2] + "/cache", index=sys.argv[2] + "/index.sqlite")
with dl.connect("MANY@127.0.0.1:" + sys.argv[1], cache=cache, timeout=60) as peer:
    series = peer.find("SERIES", StudyInstanceUID="2.25.771")
    table = dl.apply(largest, series, peer=peer, discard=True, workers=2, progress=progress)
said = {"steps": steps, "files": files, "left": len(list(cache.root.rglob("*.dcm")))}
print(json.dumps({**said, "status": sorted(set(table.status)), "result": sorted(set(table.result.tolist()))}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("count", [40, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(1500)])])
def test_memory_and_disk_of_a_cohort_do_not_grow_with_it(tmp_path: Path, count: int) -> None:
    words = [sys.executable, "-m", "benchmarks.many", str(count * PLANES), str(PLANES), str(SIDE)]
    server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", APPLY, port, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=1400 if count > 100 else 110,
        )
    finally:
        stop(server)
        server.stdout.close()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    steps, third = said["steps"], count // 4
    early, late = max(steps[:third]), max(steps[-third:])
    print(f"{count} series of 5 MB: {early:.0f} MB in the first quarter, {late:.0f} in the last")
    assert said["status"] == ["done"] and said["result"] == [999] and len(steps) == count
    assert late < early + 30  # MB; 150 and more came between
    assert max(said["files"]) <= 30 * PLANES and said["left"] == 0
