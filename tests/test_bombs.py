"""Files of a few bytes that claim gigabytes: each is refused at once, with a reason (R0.8, B5)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import slices
from bombs import BOMBS, EXPLICIT, body, head, nested_with_lengths, pixels
from support import ROOT

from dicomlab import load
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadData

ONE = """
import json, re, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from dicomlab import load, scan
from dicomlab.errors import DicomlabError

def peak():  # not getrusage's maximum: that is at least what the parent held when it forked
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

good, bomb = sys.argv[1:]
load(good), scan(good)
before, began = peak(), time.process_time()
try:
    load(bomb)
    said = "", "loaded"
except DicomlabError as error:
    said = type(error).__name__, str(error)
took = time.process_time() - began
began = time.process_time()
rows = len(scan(bomb))
print(json.dumps([*said, took, time.process_time() - began, rows, peak() - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_a_second_and_64_mib(name, tmp_path):  # B5
    (good,) = slices.write(tmp_path, slices.stack([0]))
    bomb = tmp_path / "bomb.dcm"
    bomb.write_bytes(BOMBS[name]())
    assert bomb.stat().st_size < 9 << 20
    command = [sys.executable, "-c", ONE, str(good), str(bomb)]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    kind, why, loading, scanning, rows, grown = json.loads(ran.stdout.splitlines()[-1])
    assert kind in ("BadFile", "InvalidRequest"), why
    assert str(bomb) in why
    assert rows <= 1
    assert loading < 1 and scanning < 1, (loading, scanning)  # seconds of the processor
    assert grown < 64 << 10, why  # KiB


@pytest.mark.parametrize("depth", [63, 64, 65, 10_000])
def test_sequences_with_lengths_are_stepped_over_and_none_deeper_than_64_is_handed_on(depth, tmp_path):  # R0.8, B5
    path = tmp_path / "deep.dcm"
    stored = np.arange(16, dtype="<u2").tobytes()
    path.write_bytes(head(EXPLICIT) + body() + nested_with_lengths(depth) + pixels(stored))
    assert (load(path).values == np.arange(16).reshape(1, 4, 4) - 1024).all()
    _, elements = parse_file(path)
    if depth <= 64:
        assert str(elements.dataset()).count("Content Sequence") == depth
    else:
        with pytest.raises(BadData, match="deeper than 64"):
            elements.dataset()
