"""Time and memory of an instance do not depend on how many came before it (PERFORMANCE row P10)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from support import stop

HERE = Path(__file__).resolve().parent

RETRIEVE = """
import json, resource, sys, time, warnings
import dicomlab as dl
from dicomlab.cache import Cache
port, root, count = sys.argv[1:]
count = int(count)
steps = []
def progress(done, total):
    if done % (count // 10) == 0:
        with open("/proc/self/statm") as file:
            resident = int(file.read().split()[1]) * resource.getpagesize()
        steps.append((done, time.process_time(), resident))
cache = Cache(root + "/cache", index=root + "/index.sqlite")
with dl.connect(f"SLOW@127.0.0.1:{port}", cache=cache, timeout=60) as peer:
    found = peer.retrieve({"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"}, progress=progress, limit=count)
    assert len(found) == count and found.attrs["complete"]
    again = time.process_time()
    assert len(peer.retrieve({"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"}, limit=count)) == count
print(json.dumps({"steps": steps, "again": time.process_time() - again}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_time_and_memory_of_an_instance_stay_as_they_are(tmp_path, count, capsys):  # L1
    server = [sys.executable, str(HERE / "slow_scp.py"), "0", str(count), "0"]
    process = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip()
        path = os.pathsep.join([str(HERE.parent), *sys.path])
        command = [sys.executable, "-W", "ignore", "-c", RETRIEVE, port, str(tmp_path), str(count)]
        run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    finally:
        stop(process)
        process.stdout.close()
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    steps = told["steps"]
    assert [done for done, _, _ in steps] == [count // 10 * number for number in range(1, 11)]
    seconds = [later[1] - earlier[1] for earlier, later in pairwise(steps)]
    early, late = min(seconds[:4]), min(seconds[-4:])
    grown = steps[-1][2] - steps[1][2]
    with capsys.disabled():
        each = early / (count // 10) * 1e6
        print(
            f"\n{count:,} instances: {each:.0f} us of CPU each, late ones {late / early:.2f} times that; "
            f"{grown / (1 << 20):+.1f} MiB from a fifth to the end; asked again {told['again']:.2f} s"
        )
    assert late < 1.5 * early  # least of four: what the machine does beside it is left out
    assert grown < (10 << 20) + 1_500 * count  # 150 MB for 100,000 instances
