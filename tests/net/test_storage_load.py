"""Many stores: none is lost, and what one took is given back (PERFORMANCE row P11; the full form is `make soak`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stores import Sender, store_that

STORE = """
import json, re, sys
from pathlib import Path
import slices
import dicomlab as dl

address, folder, count, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
(one,) = slices.stack([0], rows=size // 256, columns=128)
one.SOPInstanceUID = "1.2.3.10000000"
(path,) = slices.write(folder / "one", [one])
whole = path.read_bytes()
for number in range(count):
    (folder / str(number)).write_bytes(whole.replace(b"1.2.3.10000000", b"1.2.3.%d" % (10_000_000 + number)))

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

with dl.connect(address, allow="store", timeout=30) as peer:
    paths = [folder / str(number) for number in range(count)]
    peer.store(paths[:50])
    before = peak()
    sent = peer.store(paths)
    grown = peak() - before
print(json.dumps({"stored": int(sent.stored.sum()), "statuses": sorted(set(sent.status.tolist())), "grown": grown}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(("count", "size"), [(500, 1 << 16), pytest.param(50_000, 1 << 12, marks=pytest.mark.soak)])
def test_no_store_is_lost_and_memory_stays_flat(tmp_path, count, size, capsys):  # P11
    came: list[str] = []

    def does(sender: Sender) -> None:
        while (asked := sender.request()) is not None:
            came.append(asked[1].sop_instance)
            sender.answer(*asked)

    with store_that(does, length=1 << 17) as address:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[1:3]))}
        words = [sys.executable, "-c", STORE, address, str(tmp_path), str(count), str(size)]
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    with capsys.disabled():
        print(f" {count:,} stores: +{said['grown'] / 1024:.1f} MiB")
    assert said["stored"] == count and said["statuses"] == [0]
    assert came[50:] == [f"1.2.3.{10_000_000 + number}" for number in range(count)]  # each once, in order
    assert said["grown"] < 12 * 1024 + 1.5 * count  # KiB: the rows of the table; the data sets are many times that
