"""Very much of one kind: matches without end, a cache of very many, one instance of gigabytes, many interruptions.

Each long run has a short form here and its full form under the mark soak (L3, L5, L6, L7); what it measured is printed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slow_scp import serving
from support import free_port, stop

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache, Outcome
from dicomlab.net.association.node import Node

HERE = Path(__file__).resolve().parent
MIB = 1 << 20

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

MEMORY = """
import os
def now(what):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(what))
"""


def program(text: str, *arguments: object) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(HERE.parent), str(HERE), *sys.path])
    command = [sys.executable, "-W", "ignore", "-c", MEMORY + text, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def said(process: subprocess.Popen[str]) -> Any:
    """What a program printed last, as JSON."""
    out, trouble = process.communicate("\n", timeout=3600)
    assert process.returncode == 0, trouble
    return json.loads(out.splitlines()[-1])


@contextlib.contextmanager
def endless(matches: int, mebibytes: int, *, heeds: bool = True) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, str(HERE / "endless_scp.py"), str(matches), str(mebibytes), str(int(heeds))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        stop(process)
        process.stdout.close()


FIND = """
import json, sys, threading, time
import dicomlab as dl
port, limit = sys.argv[1], int(sys.argv[2])
first = []
def told(match):
    if not first:
        first.append(time.monotonic())
pacs = dl.connect(f"MUCH@127.0.0.1:{port}", timeout=30)
pacs.find("STUDY", PatientID="*", limit=1)
before, began = now("VmRSS"), time.monotonic()
found = pacs.find("STUDY", PatientID="*", limit=limit or None, on_match=told)
print(json.dumps({
    "rows": len(found), "cut": found.attrs["cut"], "grown": now("VmHWM") - before, "first": first[0] - began,
    "distinct": int(found.StudyInstanceUID.nunique()), "threads": threading.active_count(),
    "seconds": time.monotonic() - began,
}))
"""


@linux
@pytest.mark.parametrize(
    ("matches", "limit", "heeds"),
    [
        (200_000, 0, True),
        (0, 0, True),
        (0, 0, False),
        pytest.param(200_000, 200_000, True, marks=pytest.mark.soak),
    ],
    ids=["cut", "without end", "without end, deaf to C-CANCEL", "200,000"],
)
def test_matches_by_the_hundred_thousand_end_at_the_limit(matches, limit, heeds, capsys):  # L3, R3.14
    rows = limit or 10_000
    with endless(matches, 0, heeds=heeds) as (port, server):
        told = said(program(FIND, port, limit))
        server.stdout.readline()
        sent, _, heard = server.stdout.readline().strip().partition(" ")
    with capsys.disabled():
        print(
            f"\n{rows:,} of {matches or 'endless'} matches: {told['grown'] / rows:,.0f} bytes a row at the peak, "
            f"first after {told['first']:.3f} s, all after {told['seconds']:.1f} s; {int(sent):,} were sent"
        )
    assert told["rows"] == told["distinct"] == rows and told["threads"] == 1
    assert told["grown"] < 10 * MIB + 8_000 * rows
    if rows == matches:
        assert told["cut"] is None and heard == ""
    else:
        assert f"limit of {rows}" in told["cut"].replace(",", "")
        assert heard.startswith("cancel") and ("gone" in heard) is (not heeds)


CACHE = """
import json, sys, time
from dicomlab.cache.cache import Cache
from dicomlab.tables.tables import Address
root, studies = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
before, began = now("VmRSS"), time.monotonic()
with Cache(root + "/cache", index=root + "/index.sqlite") as cache:
    cache.open()
    here = cache.entries()
    opened = time.monotonic() - began
    began = time.monotonic()
    each = [len(cache.known("A@b:1", [Address(StudyInstanceUID=f"1.2.{number}")])) for number in range(studies)]
    listed = time.monotonic() - began
grown = now("VmHWM") - before
print(json.dumps({"here": len(here), "each": sorted(set(each)), "opened": opened, "listed": listed, "grown": grown}))
"""


@linux
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_two_processes_open_a_large_cache_at_once_and_both_see_all(count, tmp_path, capsys):  # L5
    studies = count // 100
    with Cache(tmp_path / "cache", index=tmp_path / "index.sqlite") as cache:
        for number in range(count):
            name, study = f"1.2.{number % studies}.{number}", f"1.2.{number % studies}"
            data = small(name, study)
            options = {"sop_class": "1.2.840.10008.5.1.4.1.1.2", "transfer_syntax": "1.2.840.10008.1.2.1"}
            assert cache.receive("A@b:1", data, sop_instance=name, **options).outcome is Outcome.STORED
    kernels = [program(CACHE, tmp_path, studies) for _ in range(2)]
    for kernel in kernels:
        assert kernel.stdout.readline() == "ready\n"
    for kernel in kernels:
        kernel.stdin.write("\n")
        kernel.stdin.flush()
    both = [said(kernel) for kernel in kernels]
    with capsys.disabled():
        slower = max(both, key=lambda one: one["opened"])
        print(
            f"\na cache of {count:,} opened by two: {slower['opened']:.1f} s to check every file, "
            f"{slower['listed']:.1f} s to look {studies:,} studies up, {slower['grown'] / MIB:.0f} MiB"
        )
    for one in both:
        assert one["here"] == count and one["each"] == [100]
        assert one["grown"] < 32 * MIB + 3_000 * count


def small(name: str, study: str) -> bytes:
    """A data set without pixels."""
    from benchmarks.canned import encode

    return encode(
        [
            (0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.2"),
            (0x00080018, b"UI", name.encode()),
            (0x00100020, b"LO", b"P1"),
            (0x0020000D, b"UI", study.encode()),
            (0x0020000E, b"UI", study.encode() + b".1"),
        ]
    )


LARGE = """
import json, os, sys, time
import dicomlab as dl
port, root = sys.argv[1:]
pacs = dl.connect(f"MUCH@127.0.0.1:{port}", cache=root + "/cache", timeout=60)
assert pacs.retrieve({"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"}, dry_run=True) is not None
before, began = now("VmRSS"), time.monotonic()
found = pacs.retrieve({"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"})
print(json.dumps({
    "grown": now("VmHWM") - before, "peak": now("VmHWM"), "size": os.path.getsize(found.path[0]), "rows": len(found),
    "seconds": time.monotonic() - began, "complete": found.attrs["complete"],
}))
"""


@linux
@pytest.mark.parametrize("mebibytes", [256, pytest.param(2_048, marks=pytest.mark.soak)])
def test_one_instance_of_gigabytes_goes_to_the_disk_as_it_comes(mebibytes, tmp_path, capsys):  # L6
    room = os.statvfs(tmp_path)
    if room.f_bavail * room.f_frsize < 2 * mebibytes * MIB:
        pytest.skip(f"there is no room for {mebibytes} MiB twice")
    with endless(0, mebibytes) as (port, _):
        told = said(program(LARGE, port, tmp_path))
    for path in (tmp_path / "cache").rglob("*.dcm"):
        path.unlink()
    with capsys.disabled():
        print(
            f"\none instance of {mebibytes:,} MiB: peak {told['peak'] / MIB:.0f} MiB, {told['grown'] / MIB:+.1f} MiB "
            f"by it ({told['grown'] / told['size']:.2%} of its size), {mebibytes / told['seconds']:.0f} MiB/s"
        )
    assert told["rows"] == 1 and told["complete"] and 0 < told["size"] - (mebibytes << 20) < 4_096
    assert told["grown"] < 48 * MIB


@pytest.mark.parametrize("method", ["get", "move"])
@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_what_was_interrupted_at_random_is_resumed_and_hardly_anything_comes_twice(
    method, times, tmp_path, capsys
):  # L7
    chance = random.Random(times)
    count, again, missing = 120, 0, 0
    with serving(0.01, count, move_port=free_port()) as server:
        node = Node("SLOW", "127.0.0.1", server.server_address[1], listen=server.move_port)
        for turn in range(times):
            folder = tmp_path / str(turn)
            cache = Cache(folder / "cache", index=folder / "index.sqlite")
            with dl.connect(node, cache=cache, timeout=30) as slow, warnings.catch_warnings():
                warnings.simplefilter("ignore", errors.ResultWarning)
                point = chance.randrange(1, count // 2)

                def told(done: int, total: int, slow: dl.Peer = slow, point: int = point) -> None:
                    if done == point:
                        slow.cancel()

                part = slow.retrieve("1.2.9", method=method, progress=told, errors="report")
                assert point <= len(part) < count
                server.answers.clear()
                server.seconds = 0
                whole = slow.retrieve("1.2.9", method=method, progress=False)
                assert len(whole) == count and whole.attrs["complete"] and cache.verify() == []
            server.seconds = 0.01
            here = set(part.SOPInstanceUID)
            again += sum(name in here for name, _ in server.answers)
            missing += count - len(here)
            assert len(server.answers) >= count - len(here)
    with capsys.disabled():
        print(
            f"\n{times} times C-{method.upper()} interrupted: {missing:,} missing, {again:,} of the others sent again"
        )
    assert missing and again <= 0.02 * missing  # all are of one size
