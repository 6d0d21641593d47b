"""Zip archives as places of instances, and those that mean harm (SPEC R12.1, R14.1, R14.3, R0.8)."""

from __future__ import annotations

import doctest
import os
import shutil
import stat
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import slices
from support import ROOT

import dicomlab as dl
from dicomlab.disk import leftovers
from dicomlab.errors import BadFile, CacheError, GeometryError, InvalidRequest, ResultWarning
from dicomlab.scanning import unpacking

DIRECTORY = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests" / "DICOMDIR"


def packed(path, files, method=zipfile.ZIP_DEFLATED):
    """A zip archive of files, or of bytes, by their names in it."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, source in files.items():
            archive.writestr(name, source if isinstance(source, bytes) else Path(source).read_bytes())
    return path


def series(folder, name="a", positions=(0, 2, 4), **attributes):
    """Files of one series."""
    return slices.write(folder / name, slices.stack(list(positions), **attributes))


def reasons(table):
    return {os.path.basename(one["path"]): one["why"] for one in table.attrs["problems"]}


def scanned(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        return dl.scan(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_folder_and_a_zip_archive_give_the_volume_of_their_files(tmp_path, method):  # R12.1, R14.1
    paths = series(tmp_path)
    volume = dl.load(paths)
    archive = packed(tmp_path / "a.zip", {f"deep/er/{path.name}": path for path in reversed(paths)}, method)
    for place in (tmp_path / "a", str(tmp_path / "a"), archive, [archive], [tmp_path / "a", archive]):
        found = dl.load(place)
        assert np.array_equal(found, volume) and np.array_equal(found.dicom.affine, volume.dicom.affine)
    assert dl.scan(archive).SOPInstanceUID.tolist() == dl.scan(paths).SOPInstanceUID.tolist()
    assert len(dl.load_all(archive)) == 1


def test_a_dicomdir_gives_what_it_lists_also_in_an_archive(tmp_path):  # R12.1
    listed = dl.scan(DIRECTORY)
    with pytest.raises(GeometryError, match=r"of 13 series, not one volume.*scan.*load_all") as raised:
        dl.load(DIRECTORY)
    assert raised.value.stacks.SeriesInstanceUID.nunique() == listed.SeriesInstanceUID.nunique() == 13
    assert len(dl.load_all(DIRECTORY)) == len(dl.load_all(listed)) == 24
    files = {str(path.relative_to(DIRECTORY.parent)): path for path in DIRECTORY.parent.rglob("*") if path.is_file()}
    archive = packed(tmp_path / "disc.zip", files)
    assert set(listed.SOPInstanceUID) <= set(scanned(archive).SOPInstanceUID)
    one = listed[listed.SeriesInstanceUID == listed.SeriesInstanceUID[0]]
    assert dl.load_all(one).keys() <= dl.load_all(archive).keys()


def test_several_series_in_a_folder_are_listed(tmp_path):  # R12.1, R12.6
    series(tmp_path)
    other = slices.stack([0, 2, 4], SeriesInstanceUID="1.2.99", SeriesNumber=9)
    for number, dataset in enumerate(other):
        dataset.SOPInstanceUID = f"1.2.99.{number}"
    slices.write(tmp_path / "b", other)
    with pytest.raises(GeometryError, match="2 stacks of 2 series") as raised:
        dl.load(tmp_path)
    assert "1.2.99" in set(raised.value.stacks.SeriesInstanceUID)
    assert len(dl.load_all(tmp_path)) == 2


def test_what_is_no_instance_in_a_folder_costs_a_line_and_nothing_else(tmp_path):  # R12.9
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("none of it")
    with pytest.raises(InvalidRequest, match="holds no DICOM instance; 1 file looked at"):
        dl.load(tmp_path / "a")
    paths = series(tmp_path)
    (tmp_path / "a" / "bad.dcm").write_bytes(paths[0].read_bytes()[:300])
    with pytest.warns(ResultWarning, match=r"bad\.dcm.*left out by the scan"):
        assert dl.load(tmp_path / "a").sizes["z"] == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        report = dl.load_all(tmp_path).report
    assert list(report.severity).count("error") == 1 and "no DICOM and passed over" in " ".join(report.why)


def test_an_archive_is_unpacked_once_for_this_user_alone_and_goes_with_the_process(tmp_path):  # R14.5
    paths = series(tmp_path)
    packed(tmp_path / "a.zip", {path.name: path for path in paths})
    code = (
        "import sys, os, dicomlab as dl; table = dl.scan(sys.argv[1]); again = dl.scan(sys.argv[1]); "
        "assert table.path.tolist() == again.path.tolist(); dl.load(table); "
        "folder = os.path.dirname(table.path[0]); print(folder, oct(os.stat(folder).st_mode), "
        "oct(os.stat(table.path[0]).st_mode)); "
        "child = os.fork() if hasattr(os, 'fork') else 1\n"
        "if not child: sys.exit()\n"
        "if hasattr(os, 'fork'): os.waitpid(child, 0)\n"
        "assert os.path.exists(table.path[0])"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    said = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path / "a.zip"], cwd=ROOT, text=True, env=environment
    )
    folder, mode, of_file = said.split()
    assert Path(folder).parent == tmp_path and not Path(folder).exists()
    if os.name == "posix":
        assert stat.S_IMODE(int(mode, 8)) == 0o700 and stat.S_IMODE(int(of_file, 8)) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="a process is asked by a signal")
def test_what_a_killed_process_unpacked_goes_when_the_next_one_unpacks(tmp_path):  # R14.6
    paths = series(tmp_path)
    packed(tmp_path / "a.zip", {path.name: path for path in paths})
    folder = tmp_path / "temporary"
    (folder / "dicomlab-of someone else").mkdir(parents=True)
    (folder / f"dicomlab-0000beef-{os.getpid()}-00000000-x").mkdir()  # of another host, young
    environment = os.environ | {"TMPDIR": str(folder)}
    code = "import sys, dicomlab as dl; dl.scan(sys.argv[1]); print('scanned', flush=True); sys.stdin.read()"
    command = [sys.executable, "-W", "ignore", "-c", code, tmp_path / "a.zip"]

    def unpacking():
        process = subprocess.Popen(
            command, cwd=ROOT, text=True, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == "scanned\n"
        return process

    with unpacking() as killed, unpacking() as running:
        assert len(list(folder.iterdir())) == 4
        killed.kill()
        killed.wait()
        with unpacking() as following:
            left = [path.name for path in folder.iterdir()]
            assert len(left) == 4 and not [name for name in left if f"-{killed.pid}-" in name]
            assert [name for name in left if f"-{running.pid}-" in name]
            following.communicate()
        running.communicate()
    assert len(list(folder.iterdir())) == 2


def test_another_archive_of_the_same_name_is_unpacked_anew(tmp_path):
    paths = series(tmp_path)
    archive = packed(tmp_path / "a.zip", {path.name: path for path in paths})
    assert len(dl.scan(archive)) == 3
    packed(archive, {path.name: path for path in paths[:2]})
    table = dl.scan(archive)
    assert len(table) == 2
    shutil.rmtree(os.path.dirname(table.path[0]))  # by a cleaner of temporary files
    assert len(dl.scan(archive)) == 2


def test_members_that_lead_out_are_named_and_written_nowhere(tmp_path):  # R14.3
    good = series(tmp_path)[0]
    names = ["../out.dcm", "/abs.dcm", "a/../../up.dcm", "\\\\host\\share.dcm", "..\\win.dcm"]
    archive = packed(tmp_path / "a.zip", {"good.dcm": good, **dict.fromkeys(names, good)})
    with zipfile.ZipFile(archive, "a") as file:
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    table = scanned(archive)
    assert len(table) == 1
    assert [one["severity"] for one in table.attrs["problems"]] == ["warning"] * 6
    folder = Path(table.path[0]).parent
    assert [path.name for path in folder.rglob("*")] == ["good.dcm"]
    assert not (folder.parent / "out.dcm").exists() and not Path("/abs.dcm").exists()


def test_a_bad_member_costs_itself(tmp_path):  # R14.3, R12.9
    paths = series(tmp_path)
    names = {f"{number}.dcm": path for number, path in enumerate(paths)}
    archive = packed(tmp_path / "a.zip", names, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[data.index(b"1.dcm") + 200] ^= 1  # its sum is wrong now
    at = data.rindex(b"PK\1\2", 0, data.rindex(b"2.dcm"))
    data[at + 8] |= 1  # encrypted
    archive.write_bytes(data)
    table = scanned(archive)
    assert len(table) == 1
    odd = reasons(table)
    assert "CRC" in odd["1.dcm"] and "encrypted" in odd["2.dcm"]
    with zipfile.ZipFile(archive, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.write(paths[0], "same.dcm")
        file.write(paths[1], "same.dcm")
        file.write(paths[2], "same.dcm/inside.dcm")
        file.write(paths[2], "x" * 300)
    assert len(scanned(archive)) == 1 and len(reasons(scanned(archive))) == 3


@pytest.mark.parametrize("cut", ["end", "middle", "noise"])
def test_a_damaged_archive_is_a_bad_file(tmp_path, cut):  # R14.10
    archive = packed(tmp_path / "a.zip", {"a": b"x" * 5000, "b": b"y" * 5000}, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    at = data.rindex(b"PK\5\6")
    if cut == "noise":
        data[at - 60 : at - 40] = bytes(20)
    archive.write_bytes(data[: {"end": at, "middle": 3000, "noise": len(data)}[cut]])
    for call in (dl.scan, dl.load, dl.load_all, dl.open_folder):
        with pytest.raises(BadFile, match=r"a\.zip.*zip archive"):
            call(archive)


def overlapping(path, count):
    """One member of 1 MiB of zeros, listed `count` times."""
    archive = packed(path, {"a": bytes(1 << 20)})
    data = archive.read_bytes()
    at = data.index(b"PK\1\2")
    entry, end = data[at:-22], data[-22:]
    listed = entry * count
    fields = struct.pack("<HHLL", min(count, 0xFFFF), min(count, 0xFFFF), len(listed), at)
    path.write_bytes(data[:at] + listed + end[:8] + fields + end[20:])
    return path


def bombs(path):
    """A bomb of each kind, with what is said of it."""
    yield packed(path / "member.zip", {"a": bytes(8 << 20)}), "unpacks to"
    yield overlapping(path / "overlap.zip", 60_000), "unpacks to .* at most"
    empty = {f"{number}": b"" for number in range(3)}
    yield packed(path / "members.zip", empty), "more than 2 members"
    yield overlapping(path / "list.zip", 30_000), "list of members is too long"


def test_bombs_are_refused_at_once_and_nothing_is_written(tmp_path, monkeypatch):  # R0.8: before memory is taken
    made = list(bombs(tmp_path))
    monkeypatch.setattr(unpacking.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(unpacking.zipfile, "ZipFile", None)  # which would make an object of each member
    for archive, why in made:
        monkeypatch.setattr(unpacking, "MEMBERS", 2 if archive.name == "members.zip" else 100_000)
        monkeypatch.setattr(unpacking, "LISTED", 1 << 20 if archive.name == "list.zip" else 64 << 20)
        began = time.process_time()
        with pytest.raises(BadFile, match=why):
            dl.scan(archive)
        assert time.process_time() - began < 1, archive
    assert not list(tmp_path.glob("dicomlab-*"))


def test_a_single_member_may_not_inflate_beyond_its_ratio(tmp_path):  # R0.8
    good = series(tmp_path)[0]
    noise = os.urandom(1 << 20)  # so that the archive as a whole is below the ratio
    archive = packed(tmp_path / "a.zip", {"good.dcm": good, "noise": noise, "bomb": bytes(8 << 20)})
    table = scanned(archive)
    assert len(table) == 1 and "200 times" in reasons(table)["bomb"]


def test_limits_hold_at_below_and_above(tmp_path, monkeypatch):  # R0.8
    paths = series(tmp_path)
    archive = packed(tmp_path / "a.zip", {path.name: path for path in paths}, zipfile.ZIP_STORED)
    monkeypatch.setattr(unpacking, "MEMBERS", 3)
    assert len(dl.scan(archive)) == 3
    monkeypatch.setattr(unpacking, "MEMBERS", 2)
    monkeypatch.setattr(unpacking, "_known", {})
    with pytest.raises(BadFile, match="more than 2 members"):
        dl.scan(archive)
    monkeypatch.setattr(unpacking, "MEMBERS", 3)
    total = sum(path.stat().st_size for path in paths)
    monkeypatch.setattr(unpacking, "INFLATED", total)
    assert len(dl.scan(archive)) == 3
    monkeypatch.setattr(unpacking, "_known", {})
    monkeypatch.setattr(unpacking, "INFLATED", total - 1)
    with pytest.raises(BadFile, match="unpacks to"):
        dl.scan(archive)


def test_no_room_to_unpack_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    archive = packed(tmp_path / "a.zip", {path.name: path for path in series(tmp_path)})
    monkeypatch.setattr(unpacking.tempfile, "tempdir", str(tmp_path))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacking.shutil, "copyfileobj", full)
    with pytest.raises(CacheError, match=r"No space left on device.*TMPDIR"):
        dl.load(archive)
    assert not list(tmp_path.glob("dicomlab-*"))


@pytest.mark.skipif(os.name != "posix", reason="there are no FIFOs")
def test_a_fifo_is_no_place_and_is_not_waited_for(tmp_path):  # R14.3
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BadFile, match="no regular file"):
        dl.load(tmp_path / "fifo")


def test_names_of_members_are_hidden_with_the_rest(tmp_path):  # R0.6
    good = series(tmp_path)[0]
    archive = packed(tmp_path / "DOE_JANE.zip", {"DOE_JANE/1.dcm": good, "../DOE_JANE/2.dcm": good})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with dl.options.set(phi=False):
            table = dl.scan(archive)
            volumes = dl.load_all(archive)
            text = table.to_csv() + str(table.attrs) + repr(volumes) + volumes.report.to_csv() + str([*map(str, said)])
            assert len(volumes) == 1 and "DOE" not in text
            assert len(dl.load_all(table)) == 1


def test_the_examples_of_leftovers_run():
    assert doctest.testmod(leftovers).failed == 0
