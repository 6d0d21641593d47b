"""Time and memory of an instance do not depend on how many came before it (PERFORMANCE row P10, L1)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from support import free_port, stop

HERE = Path(__file__).resolve().parent

RETRIEVE = """
import json, os, re, sys, threading, time
from pathlib import Path
import dicomlab as dl
from dicomlab.cache.cache import Cache
from dicomlab.net.association.node import Node
from slow_scp import data_set
port, root, count, method, listen = sys.argv[1:]
count = int(count)
steps = []
def memory(name):
    return int(re.search(rf"{name}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
def progress(done, total):
    if done % (count // 40) == 0:
        with open("/proc/self/statm") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        held = threading.active_count(), len(os.listdir("/proc/self/fd"))
        steps.append((done, time.process_time(), resident, *held))
cache = Cache(root + "/cache", index=root + "/index.sqlite")
asked = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"}
node = Node("SLOW", "127.0.0.1", int(port), listen=int(listen))
with dl.connect(node, cache=cache, timeout=60) as peer:
    peer.find("SERIES", StudyInstanceUID="1.2.9")
    idle = threading.active_count(), len(os.listdir("/proc/self/fd"))
    Path("/proc/self/clear_refs").write_text("5")  # the most that is held from now on
    began, before = time.monotonic(), memory("VmRSS")
    found = peer.retrieve(asked, method=method, progress=progress, limit=count)
    seconds, most = time.monotonic() - began, memory("VmHWM") - before
    assert len(found) == count and found.attrs["complete"]
    again = time.process_time()
    assert len(peer.retrieve(asked, limit=count)) == count
    again = time.process_time() - again
cache.close()
left = threading.active_count(), len(os.listdir("/proc/self/fd"))
wrong = 0
for path, number in zip(found.path, found.InstanceNumber):
    with open(path, "rb") as file:
        wrong += not file.read().endswith(data_set(int(number)))
said = {"steps": steps, "again": again, "seconds": seconds, "idle": idle, "left": left, "wrong": wrong,
        "most": most}
print(json.dumps(said))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("method", ["get", "move"])
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_time_and_memory_of_an_instance_stay_as_they_are(tmp_path, method, count, capsys):  # L1
    listen = str(free_port())
    server = [sys.executable, str(HERE / "slow_scp.py"), "0", str(count), listen]
    process = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip()
        path = os.pathsep.join([str(HERE.parent), str(HERE), *sys.path])
        command = [sys.executable, "-W", "ignore", "-c", RETRIEVE, port, str(tmp_path), str(count), method, listen]
        run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    finally:
        stop(process)
        process.stdout.close()
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    steps = told["steps"]
    assert [step[0] for step in steps] == [count // 40 * number for number in range(1, 41)]
    seconds = [later[1] - earlier[1] for earlier, later in pairwise(steps)]
    early, late = min(seconds[:16]), min(seconds[-16:])
    grown = steps[-1][2] - steps[7][2]
    threads, files = (max(step[at] for step in steps) - told["idle"][at - 3] for at in (3, 4))
    with capsys.disabled():
        each = early / (count // 40) * 1e6
        print(
            f"\n{count:,} instances by C-{method.upper()}: {each:.0f} us of CPU each, late ones {late / early:.2f} "
            f"times that, {count / told['seconds']:,.0f} instances/s; {grown / (1 << 20):+.1f} MiB from a fifth to the "
            f"end, {told['most'] / (1 << 20):.0f} MiB at most with the table; at most {threads} threads and {files} "
            f"files more; asked again {told['again']:.2f} s"
        )
    assert late < 2 * early  # least of 16: what the machine does beside it is left out
    assert grown < (10 << 20) + 400 * count  # bytes: what is due, and what of it has come
    assert told["most"] < 40_000_000 + 1_100 * count  # with the table: 150 MB for 100,000 instances
    assert told["wrong"] == 0  # every file holds the bytes that were sent
    assert threads <= 4 and files <= 16
    assert told["left"][0] <= told["idle"][0] and told["left"][1] <= told["idle"][1]
