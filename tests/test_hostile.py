"""Folders and DICOMDIRs that mean harm: nothing outside is opened, nothing waits, each odd file has one line (B6)."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pydicom
import pytest
from fuzz.targets import directory
from support import ROOT

import dicomlab as dl
from dicomlab.errors import BadFile, DicomlabError, InvalidRequest, ResultWarning
from dicomlab.scanning.dicomdir import referenced

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"
RECORD = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"  # an empty item
SEQUENCE = b"\x04\x00\x20\x12SQ\x00\x00\xff\xff\xff\xff"  # (0004,1220) Directory Record Sequence
END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"

posix = pytest.mark.skipif(os.name != "posix", reason="there are no such files")


def scanned(*places):
    """The table, and the name and reason of each odd file; the scan must not take long."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        frame = dl.scan(*places)
    assert time.monotonic() - began < 10
    return frame, {os.path.basename(one["path"]): one["why"] for one in frame.attrs["problems"]}


def try_to(action, *arguments):
    """Whether this machine lets us."""
    try:
        action(*arguments)
    except (OSError, ValueError):
        return False
    return True


# -- folders ---------------------------------------------------------------------------------------------------


@posix
def test_fifos_devices_and_sockets_are_named_and_never_opened(tmp_path):  # B6: a FIFO would hold us for ever
    shutil.copy(CT, tmp_path / "good.dcm")
    os.mkfifo(tmp_path / "fifo.dcm")
    devices = [
        name
        for name, number in (("null.dcm", (1, 3)), ("zero.dcm", (1, 5)), ("tty.dcm", (5, 0)))
        if try_to(os.mknod, tmp_path / name, 0o020666, os.makedev(*number))
    ]
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        listener.bind("socket.dcm")
        frame, odd = scanned(tmp_path)
        assert len(frame) == 1 and set(odd) == {"fifo.dcm", "socket.dcm", *devices}
        assert set(odd.values()) == {"neither a file nor a folder, not opened"}
        for name in odd:
            with pytest.raises(DicomlabError, match=r"neither a file nor a folder|no regular file"):
                dl.scan(tmp_path / name)
            with pytest.raises(DicomlabError):
                dl.load(tmp_path / name)


@posix
def test_links_that_loop_lead_out_or_nowhere_are_named(tmp_path):  # B6
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    shutil.copy(CT, outside / "secret.dcm")
    shutil.copy(CT, root / "good.dcm")
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    (root / "self").symlink_to(root / "self")
    (root / "up").symlink_to(root)
    (root / "out").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret.dcm")
    (root / "relative").symlink_to("../outside/secret.dcm")
    (root / "nowhere").symlink_to(root / "nothing")
    (root / "device").symlink_to("/dev/zero")
    frame, odd = scanned(root)
    assert frame.path.tolist() == [str(root / "good.dcm")]
    assert set(odd) == {"a", "b", "self", "up", "out", "file", "relative", "nowhere", "device"}
    assert odd["up"] == "a link back to the folder itself, not followed"


@posix
def test_names_of_any_bytes_are_read_and_shown_on_one_line(tmp_path):  # B6, S2
    names = [b"new\nline.dcm", b"tab\t.dcm", b"caf\xe9.dcm", b"\x1b[31mred.dcm", b"quote'\".dcm", b"<b>.dcm", b" .dcm",
             "\u202egnp.dcm".encode(), b"-rf", b"CON", b"%s.dcm", b"x" * 255]  # fmt: skip
    for name in names:
        if not try_to(shutil.copy, os.fsencode(CT), os.fsencode(tmp_path) + b"/" + name):
            pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / "folder.dcm").mkdir()
    broken = os.fsencode(tmp_path) + b"/brok\xe9\nen.dcm"
    Path(os.fsdecode(broken)).write_bytes(CT.read_bytes()[:1000])
    frame, _ = scanned(tmp_path)
    assert {os.fsencode(path).rpartition(b"/")[2] for path in frame.path} == set(names)
    with pytest.raises(BadFile) as caught:
        dl.load(os.fsdecode(broken))
    assert "\udce9" not in caught.value.path.replace(os.fsdecode(broken), "")
    str(caught.value).encode("utf-8", "replace")


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="the superuser reads everything")
def test_what_may_not_be_read_is_named(tmp_path):  # B6
    for name in ("good.dcm", "locked.dcm"):
        shutil.copy(CT, tmp_path / name)
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked.dcm").chmod(0)
    (tmp_path / "locked").chmod(0)
    try:
        frame, odd = scanned(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert len(frame) == 1 and set(odd) == {"locked.dcm", "locked"}


@posix
def test_what_cannot_be_read_for_any_reason_is_named_and_its_neighbours_load(tmp_path, monkeypatch):  # B6: as anybody
    for name in ("good.dcm", "locked.dcm"):
        shutil.copy(CT, tmp_path / name)
    (tmp_path / "below").mkdir()
    opened, listed = os.open, os.scandir

    def refuse(path, *more, **most):
        if os.fspath(path).endswith("locked.dcm"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more, **most)

    def refuse_folder(path):
        if os.fspath(path).endswith("below"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse_folder)
    frame, odd = scanned(tmp_path)
    assert len(frame) == 1
    assert "cannot be opened" in odd["locked.dcm"] and "folder cannot be read" in odd["below"]


def test_folders_in_one_another_beyond_what_a_path_may_hold_are_named(tmp_path):  # B6
    top = tmp_path / "top"
    top.mkdir()
    shutil.copy(CT, top / "good.dcm")
    before = os.getcwd()
    os.chdir(top)
    depth = 0
    try:
        for _ in range(100):  # 100 names of 60 bytes: a path may have 4,096
            os.mkdir("d" * 60)
            os.chdir("d" * 60)
            depth += 1
        shutil.copy(CT, "deep.dcm")
    finally:
        os.chdir(before)
    try:
        frame, odd = scanned(top)
        assert str(top / "good.dcm") in frame.path.tolist()
        assert len(frame) == 2 or any("cannot be read" in why for why in odd.values())
    finally:
        subprocess.run(["rm", "-rf", str(top)], check=True)


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_a_folder_of_very_many_files_that_are_no_dicom_is_looked_through(tmp_path, count):  # B6
    shutil.copy(CT, tmp_path / "good.dcm")
    for number in range(count):
        (tmp_path / f"{number}.txt").write_bytes(b"no DICOM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        frame = dl.scan(tmp_path)
    assert len(frame) == 1 and frame.attrs["skipped"] == count


# -- DICOMDIRs -------------------------------------------------------------------------------------------------


@pytest.fixture
def disc(tmp_path):
    """A folder with a file beside it that nobody may reach."""
    (tmp_path / "disc" / "A").mkdir(parents=True)
    for name in ("SECRET", "disc/GOOD", "disc/A/ONE"):
        shutil.copy(CT, tmp_path / name)
    return tmp_path / "disc"


@pytest.mark.parametrize(
    "file_id",
    [["..", "SECRET"], ["A", "..", "..", "SECRET"], ["/SECRET"], ["..\\SECRET"], ["../SECRET"], ["/etc/passwd"],
     ["C:", "SECRET"], ["."], [".."], ["A", ".", "ONE"], ["A\0B"], ["GONE"], ["A"], ["X" * 5000],
     ["A"] * 3000, ["~", "SECRET"], ["$HOME"], ["LINK"], ["OUT", "SECRET"]],
    ids=lambda one: "-".join(one)[:20],
)  # fmt: skip
def test_a_file_id_never_leads_out_of_the_folder_and_is_named(disc, file_id):  # B6, S2
    if os.name == "posix":
        (disc / "LINK").symlink_to(disc.parent / "SECRET")
        (disc / "OUT").symlink_to(disc.parent)
    (disc / "DICOMDIR").write_bytes(directory(["GOOD"], file_id, ["A", "ONE"]))
    paths, problems = referenced(str(disc / "DICOMDIR"))
    assert paths == [str(disc / "GOOD"), str(disc / "A" / "ONE")]
    assert len(problems) == 1 and len(problems[0]) < 1_000


def with_offsets(data, value):
    """Every offset of a DICOMDIR (0004,1200), (0004,1202), (0004,1400), (0004,1420) set to that."""
    changed = bytearray(data)
    for tag in (b"\x04\0\0\x12UL", b"\x04\0\x02\x12UL", b"\x04\0\0\x14UL", b"\x04\0\x20\x14UL"):
        for match in re.finditer(re.escape(tag) + b"\x04\0", data):
            changed[match.end() : match.end() + 4] = value.to_bytes(4, "little")
    assert changed != data
    return bytes(changed)


@pytest.mark.parametrize("where", [1, 360, 400, 0x7FFFFFFF, 0xFFFFFFFF], ids="all to {}".format)
def test_offsets_that_go_in_circles_or_beyond_the_end_do_no_harm(disc, where):  # B6: they are not followed
    (disc / "DICOMDIR").write_bytes(with_offsets(directory(["GOOD"], ["A", "ONE"]), where))
    frame, odd = scanned(disc / "DICOMDIR")
    assert len(frame) == 2 and all("has the same SOPInstanceUID" in why for why in odd.values())


MANY = """
import re, sys, time
from pathlib import Path
from dicomlab.scanning.dicomdir import referenced
from dicomlab.errors import DicomlabError
path, small = sys.argv[1:]
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
referenced(small)
before, began = peak(), time.process_time()
paths, problems = referenced(path)
print(len(paths), len(problems), time.process_time() - began, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_million_empty_records_take_little_memory(disc):  # B5, B6: twice the file and 64 MiB
    good = directory(["GOOD"])
    (disc / "DICOMDIR").write_bytes(good)
    at = good.index(b"\x04\0\x20\x12SQ")
    (disc / "MANY").write_bytes(good[:at] + SEQUENCE + RECORD * 1_000_000 + END)
    command = [sys.executable, "-c", MANY, str(disc / "MANY"), str(disc / "DICOMDIR")]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ran.returncode == 0, ran.stderr[-1000:]
    found, problems, seconds, grown = map(float, ran.stdout.split())
    assert (found, problems) == (0, 0)
    assert seconds < 10  # B: per file
    assert grown < (64 << 10) + 2 * 8_000  # KiB


def test_a_dicomdir_that_names_itself_is_no_instance(disc):  # B6
    (disc / "DICOMDIR").write_bytes(directory(["DICOMDIR"], ["GOOD"]))
    frame, _ = scanned(disc / "DICOMDIR")
    assert frame.path.tolist() == [str(disc / "GOOD")]


def test_a_dicomdir_without_its_files_says_which_and_a_cut_one_where(disc):  # B6, R14.10
    (disc / "DICOMDIR").write_bytes(directory(["A", "GONE"], ["A", "ONE\n2"]))
    with pytest.warns(ResultWarning, match=r"DICOMDIR', it lists A\\GONE, which is not there\. All are in"):
        assert [one["why"] for one in dl.scan(disc / "DICOMDIR").attrs["problems"]] == [
            "it lists A\\GONE, which is not there",
            "it lists A\\ONE\\n2, which is not there",
        ]
    (disc / "DICOMDIR").write_bytes((FILES / "dicomdirtests" / "DICOMDIR").read_bytes()[:1000])
    with pytest.raises(BadFile, match="cannot be read: it ends too early: a value of 10,720 bytes"):
        dl.scan(disc / "DICOMDIR")


@posix
def test_a_place_is_named_as_it_was_given_whatever_kind_of_path_it_is(tmp_path):
    (tmp_path / "self").symlink_to(tmp_path / "self")
    for place in (tmp_path / "self", str(tmp_path / "self")):
        with pytest.raises(InvalidRequest, match=r"^'/.*/self' cannot be read"):
            dl.scan(place)


@pytest.mark.parametrize("length", [*range(0, 1200, 61)])
def test_a_cut_dicomdir_is_read_or_a_bad_file(disc, length):  # B2
    (disc / "DICOMDIR").write_bytes(directory(["GOOD"], ["A", "ONE"])[:length])
    try:
        scanned(disc / "DICOMDIR")
    except (BadFile, InvalidRequest) as error:
        assert str(disc / "DICOMDIR") in str(error)
