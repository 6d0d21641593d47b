"""A scan of very many files: time and memory for each are the same however many there are, and it can be ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from support import ROOT

from dicomlab.scanning.scanmemory import TICK
from dicomlab.scanning.scanning import scan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is asked of /proc")

#: A scan, and after it another that knows all: files, CPU seconds and peak memory of each, and the moves of a bar.
MEASURE = """
import json, re, sys, time, warnings
from pathlib import Path
import dicomlab as dl

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

place, warm, again = sys.argv[1], sys.argv[2], sys.argv[3] == "again"
dl.scan(warm)
before, began, moves = peak(), time.process_time(), []
dl.scan(place, refresh=not again, progress=lambda done, total: moves.append((done, total)))
print(json.dumps({"seconds": time.process_time() - began, "grown": peak() - before, "moves": len(moves),
                  "last": moves[-1]}))
"""


def many(folder: Path, count: int) -> Path:
    """A folder with that many CT instances of 200 a series, each with a header as scanners write it (5 KiB)."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.Rows = dataset.Columns = 8
    dataset.PixelData = bytes(128)
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3.10000000", "1.2.4.10000000"
    dataset.ImagePositionPatient, dataset.InstanceNumber = ["0", "0", "00000000"], 1
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    data = file.getvalue()
    for number in range(count):
        series, plane = divmod(number, 200)
        if plane == 0:
            (folder / f"{series:05d}").mkdir(parents=True)
        made = data.replace(b"1.2.3.10000000", b"1.2.3.1%07d" % number)
        made = made.replace(b"1.2.4.10000000", b"1.2.4.1%07d" % series)
        made = made.replace(b"0\\0\\00000000", b"0\\0\\%08d" % plane)
        (folder / f"{series:05d}" / f"{plane:03d}").write_bytes(made)
    return folder


def measured(place: Path, warm: Path, what: str = "all") -> dict[str, float]:
    said = subprocess.check_output([sys.executable, "-c", MEASURE, place, warm, what], cwd=ROOT, text=True)
    return json.loads(said)


@pytest.mark.parametrize("few, lots", [(1_000, 6_000), pytest.param(10_000, 100_000, marks=pytest.mark.soak)])
def test_time_and_memory_of_a_file_do_not_grow_with_their_number(few, lots, tmp_path):  # R14.1, R14.2
    warm = many(tmp_path / "warm", 200)
    found = {}
    for count in (few, lots):
        place = many(tmp_path / str(count), count)
        found[count] = [measured(place, warm), measured(place, warm, "again")]
        for how, one in zip(("all", "again"), found[count], strict=True):
            micros, kilobytes = one["seconds"] / count * 1e6, one["grown"] / count * 1024
            print(f"{count:,} files, {how}: {micros:.0f} us and {kilobytes:.1f} KiB each, {one['seconds']:.2f} s")
            assert one["last"] == [count, count]
        assert found[count][0]["moves"] == count and found[count][1]["moves"] == 1
    for small, large in zip(found[few], found[lots], strict=True):
        assert large["seconds"] / lots < 2 * small["seconds"] / few  # room for a machine that does other things too
    for one in found[lots]:
        assert one["grown"] < 55 + lots * 0.9 / 1024  # MiB with the table: 150 MB for 100,000 files


#: A scan that is told to be slow about each file, so that it can be ended in its midst.
SLOW = """
import sys, threading, time
import dicomlab as dl

def told(done, total):
    if done == 100:
        print("scanning", flush=True)
    if done >= 100:
        time.sleep(0.01)

try:
    dl.scan(sys.argv[1], progress=told)
except KeyboardInterrupt:
    print("ended", threading.active_count(), flush=True)
"""


def test_ctrl_c_ends_a_scan_at_once_and_the_next_one_is_whole(tmp_path, own_folders):  # R14.1
    place = many(tmp_path / "place", 3_000)  # more than one batch
    with subprocess.Popen([sys.executable, "-c", SLOW, place], cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "scanning\n"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.stdout.read() == "ended 1\n"
        assert process.wait() == 0 and time.monotonic() - began < 10  # 29 s were left
    kept = own_folders / "index" / "scans"
    assert not kept.exists() or not list(kept.iterdir())
    assert len(scan(place)) == 3_000


def test_a_kill_leaves_no_part_of_what_a_scan_remembers_under_its_name(tmp_path, own_folders):  # R14.6
    place, warm = many(tmp_path / "place", 3_000), many(tmp_path / "warm", 30)
    time.sleep(5 * TICK)  # a file that was written just now would not be kept
    scan(place)
    kept = own_folders / "index" / "scans"
    (path,) = kept.iterdir()
    code = (
        "import os, sys, dicomlab as dl\n"
        "def end(event, arguments):\n"
        "    if event == 'os.rename': os._exit(9)\n"  # what is written is all there, and has no name yet
        "sys.addaudithook(end); dl.scan(sys.argv[1], refresh=True)"
    )
    before = path.read_bytes()
    assert subprocess.run([sys.executable, "-c", code, place], cwd=ROOT, check=False).returncode == 9
    (left,) = set(kept.iterdir()) - {path}
    assert path.read_bytes() == before and left.stat().st_size == len(before)
    scan(warm)  # and the next one that keeps something sweeps it
    assert not left.exists() and len(list(kept.iterdir())) == 2
