"""A scan of a place that was scanned before opens what changed, and gives what a scan of all gives (R14.2)."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import slices
from support import ROOT, shared

import dicomlab as dl
from dicomlab.cache.folder import open_folder
from dicomlab.scanning import scanmemory
from dicomlab.scanning.instances import WANTED
from dicomlab.scanning.scanning import scan

from .test_unpacking import packed

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
opened: list[str] = []
below: list[str] = []  # folders whose files are counted


def note(event, arguments):
    if event == "open" and below and isinstance(arguments[0], str) and arguments[0].startswith(below[0]):
        opened.append(arguments[0])


sys.addaudithook(note)  # of every open() and os.open(); it stays, and is quiet without a folder


@pytest.fixture
def place(tmp_path):
    """A folder with 30 instances in three folders, and with two files that are no DICOM."""
    for number, folder in enumerate(("a", "b", "c")):
        made = slices.stack(range(10), SeriesInstanceUID=f"1.2.{number}")
        for one in made:
            one.SOPInstanceUID = f"{one.SOPInstanceUID}.{number}"
        slices.write(tmp_path / "place" / folder, made)
    (tmp_path / "place" / "notes.txt").write_text("no image")
    (tmp_path / "place" / "empty").touch()
    settle()
    below[:] = [str(tmp_path / "place")]
    yield tmp_path / "place"
    below.clear()


def settle():
    """Wait till a change gives a file another time."""
    time.sleep(3 * scanmemory.TICK)


def scanned(*places, **how):
    """The table of a scan, and the names of the files that it opened."""
    opened.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = scan(*places, **how)
    return frame, sorted(os.path.relpath(path, below[0]) for path in set(opened))


@contextmanager
def hidden():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tables made before
        dl.options.phi = False
    try:
        yield
    finally:
        dl.options.phi = True


def alike(frame, *places):
    """Whether a table is that of a scan that reads all."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(dl.options, "remember", False)
        patch.setenv("DICOMLAB_INDEX", "/nowhere")
        fresh = scan(*places)
    pd.testing.assert_frame_equal(frame, fresh, check_flags=False)
    return frame.attrs == fresh.attrs


def test_a_second_scan_opens_nothing_and_gives_the_same_table(place):
    first, names = scanned(place)
    assert len(first) == 30 and len(names) == 32
    second, names = scanned(place)
    assert names == [] and alike(second, place) and second.attrs["skipped"] == 2


def test_only_the_files_that_changed_are_opened_and_rows_of_those_that_went_go(place):
    scanned(place)
    changed = pydicom.dcmread(place / "a" / "0003.dcm")
    changed.PatientID = "P2"
    changed.save_as(place / "a" / "0003.dcm")
    settle()
    frame, names = scanned(place)
    assert names == ["a/0003.dcm"] and alike(frame, place) and "P2" in set(frame.PatientID)
    (place / "b" / "0000.dcm").unlink()
    (place / "b" / "0001.dcm").rename(place / "b" / "other")
    shutil.rmtree(place / "c")
    shutil.copy(place / "a" / "0005.dcm", place / "new")
    settle()
    frame, names = scanned(place)
    assert names == ["b/other", "new"] and alike(frame, place) and len(frame) == 20
    assert scanned(place)[1] == []
    (kept,) = scanmemory.folder().iterdir()
    assert b"0000.dcm\0" not in kept.read_bytes().partition(b"/b/")[2] and b"1.2.3.1.2" not in kept.read_bytes()


def test_a_file_of_the_same_size_and_time_is_known_by_its_inode_and_the_time_of_its_change(place):
    scanned(place)
    for name, other in (("a/0001.dcm", "P8"), ("a/0002.dcm", "P9")):
        path = place / name
        about = path.stat()
        data = path.read_bytes().replace(b"LO\x02\x00P1", b"LO\x02\x00" + other.encode())
        if other == "P8":
            path.unlink()  # another file of that name
        path.write_bytes(data)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        assert path.stat().st_size == about.st_size and path.stat().st_mtime_ns == about.st_mtime_ns
    settle()
    frame, names = scanned(place)
    assert names == ["a/0001.dcm", "a/0002.dcm"] and {"P8", "P9"} < set(frame.PatientID)


def test_a_file_that_was_changed_a_moment_before_is_read_again(place, monkeypatch):
    monkeypatch.setattr(scanmemory, "TICK", 3600.0)
    assert len(scanned(place)[1]) == len(scanned(place)[1]) == 32
    looks = np.array([[1, 1, 5 * 10**9 + 1, 5 * 10**9 + 1], [1, 1, 5 * 10**9, 5 * 10**9], [0, 0, 0, 0]])
    monkeypatch.undo()
    assert scanmemory.settled(looks, 6.0).tolist() == [True, False, False]  # whole seconds: a coarse clock
    assert scanmemory.settled(looks, 5.01).tolist() == [False, False, False]
    assert scanmemory.settled(looks, 9.0).tolist() == [True, True, False]


@pytest.mark.parametrize("time_ns", [-(10**18), 10**19, 2 * 10**9])
def test_a_file_of_any_time_is_scanned(place, time_ns):
    try:
        os.utime(place / "a" / "0000.dcm", ns=(time_ns, time_ns))
    except OverflowError:
        pytest.skip("this system knows no such time")
    assert len(scanned(place)[0]) == len(scanned(place)[0]) == 30


def test_another_session_knows_it_too_and_refresh_reads_all(place):
    code = "import sys, dicomlab as dl; print(len(dl.scan(sys.argv[1])))"
    said = subprocess.check_output([sys.executable, "-W", "ignore", "-c", code, place], cwd=ROOT, text=True)
    assert said.strip() == "30"
    assert scanned(place)[1] == []
    assert len(scanned(place, refresh=True)[1]) == 32
    assert scanned(place / "a", place / "b")[1] != []  # other places, another memory


def test_a_folder_that_is_asked_like_a_peer_uses_it_too(place):  # R14.4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_folder(place)
        opened.clear()
        again = open_folder(place)
    assert not opened and len(again.find("SERIES", SeriesInstanceUID="1.2.1")) == 1
    assert len(again.find("IMAGE", StudyInstanceUID="1.2.1")) == 30


@pytest.mark.parametrize("name", ["pydicom", "malformed", "codecs_pydicom_data"])
def test_what_is_remembered_of_odd_files_is_what_is_read_of_them(name, tmp_path):
    source = FILES if name == "pydicom" else shared("data") / name
    shutil.copytree(source, tmp_path / "place")
    settle()
    below[:] = [str(tmp_path)]
    try:
        scanned(tmp_path / "place")
        frame, names = scanned(tmp_path / "place")
        assert names == [] and alike(frame, tmp_path / "place") and len(frame) > 10
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = []
            for remember in (True, True, False):
                with dl.options.set(remember=remember):
                    tables.append(open_folder(tmp_path / "place").find("IMAGE"))
            pd.testing.assert_frame_equal(tables[1], tables[2])
    finally:
        below.clear()


def test_it_is_private_and_its_name_says_nothing(place):  # R14.5
    scanned(place)
    kept = scanmemory.folder()
    (path,) = kept.iterdir()
    assert len(path.name) == 32 and not set(path.name) - set("0123456789abcdef")
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_nothing_is_kept_where_that_is_not_wanted_or_names_are_hidden(place, tmp_path):  # R0.6
    scanned(place)
    with dl.options.set(remember=False):
        scanned(place)
    with hidden():
        scanned(place)
    archive = packed(tmp_path / "a.zip", {path.name: path for path in (place / "a").iterdir()})
    assert len(scanned(archive)[0]) == 10  # unpacked for this process alone
    assert len(scanned(place / "a" / "0000.dcm")[0]) == 1  # a file that is named
    assert not scanmemory.folder().exists() or not list(scanmemory.folder().iterdir())
    scanned(place)
    with hidden():
        frame, names = scanned(place)
        assert names == [] and frame.PatientID.str.startswith("hidden-").all()


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "of another version", "a folder"])
def test_a_damaged_memory_is_forgotten(place, harm):
    scanned(place)
    (path,) = scanmemory.folder().iterdir()
    data = path.read_bytes()
    if harm == "a folder":
        path.unlink()
        path.mkdir()
    else:
        change = {"cut": data[:-99], "changed": data[:700] + b"\1" + data[701:], "empty": b""}
        path.write_bytes(change.get(harm, data.replace(b"headers 2", b"headers 1")))
    frame, names = scanned(place)
    assert len(names) == 32 and alike(frame, place)
    if harm != "a folder":
        assert scanned(place)[1] == []


def test_any_change_of_a_memory_is_noticed_or_says_the_same(place):
    scanned(place)
    (path,) = scanmemory.folder().iterdir()
    data, rng = path.read_bytes(), random.Random(3)
    for _ in range(60):
        harmed = bytearray(data)
        harmed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(harmed)
        assert len(scanned(place)[1]) == 32


def test_a_full_disk_or_a_folder_that_cannot_be_written_costs_the_memory_only(place, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DICOMLAB_INDEX", str(tmp_path / "file"))
    assert len(scanned(place)[0]) == len(scanned(place)[0]) == 30


def test_what_was_not_used_for_long_and_what_has_no_room_goes(place, monkeypatch):
    for folder in ("a", "b", "c"):
        scanned(place / folder)
    kept = scanmemory.folder()
    names = {folder: scanmemory.Memory([place / folder], WANTED).path for folder in ("a", "b", "c")}
    assert sorted(kept.iterdir()) == sorted(names.values())
    size = names["a"].stat().st_size
    now = time.time()
    os.utime(names["a"], (now - 91 * 86400,) * 2)
    os.utime(names["b"], (now - 60,) * 2)
    (kept / "00000000-999999999-0").touch()  # of a process that was killed, on another host
    os.utime(kept / "00000000-999999999-0", (now - 8 * 86400,) * 2)
    scanned(place)
    assert not names["a"].exists() and names["b"].exists() and len(list(kept.iterdir())) == 3
    (whole,) = set(kept.iterdir()) - set(names.values())
    monkeypatch.setattr(scanmemory, "ROOM", whole.stat().st_size + size * 3 // 2)
    shutil.copy(place / "a" / "0000.dcm", place / "one more")
    settle()
    scanned(place)
    assert names["c"].exists() and not names["b"].exists()
    monkeypatch.setattr(scanmemory, "ROOM", 100)
    assert len(scanned(place, refresh=True)[0]) == 31


def test_a_file_that_could_not_be_read_is_tried_again(place, monkeypatch):
    real = os.open

    def failing(path, *rest, **words):  # as a share does that is away for a moment
        if str(path).endswith("a/0000.dcm"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *rest, **words)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        frame, _ = scanned(place)
    assert len(frame) == 29 and "Input/output error" in frame.attrs["problems"][0]["why"]
    frame, names = scanned(place)
    assert len(frame) == 30 and names == ["a/0000.dcm"]


def test_a_scan_that_is_ended_keeps_nothing_and_progress_counts_what_was_known(place):  # R14.1
    def end(done, total):
        if done == 20:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        scanned(place, progress=end)
    seen = []
    scanned(place, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (32, 32) and len(seen) == 32
    seen.clear()
    scanned(place, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(32, 32)]
