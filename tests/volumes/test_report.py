"""What came of a load, as a person reads it: what is there, what is wrong in full, what a scan had left out."""

from __future__ import annotations

import shutil
import socket
import threading

import numpy as np
import pytest
import slices
from pydicom.uid import ExplicitVRLittleEndian

from dicomlab import load, load_all
from dicomlab.errors import BadFile, InvalidRequest, ResultWarning, UnknownName
from dicomlab.scanning.scanning import scan
from dicomlab.volumes.report import SHOWN

PRIVATE = "1.3.46.670589.11.0.0.12.1"


def cut(folder, count, size=-10):
    """A series with some files cut off."""
    paths = slices.write(folder, slices.stack([2.0 * number for number in range(count + 2)]))
    for path in paths[2:]:
        path.write_bytes(path.read_bytes()[:size])
    return paths


def test_what_went_wrong_is_told_in_full_and_counted_by_severity(tmp_path):  # R12.9
    found = load_all(cut(tmp_path, 2) + slices.write(tmp_path / "b", slices.stack([0, 2])))
    for text in (repr(found), found._repr_html_()):
        assert "2 errors, 2 notes: all are in .report" in text
        for why in found.report[found.report.severity == "error"].why:
            assert len(why) > 60 and why in text  # pandas would cut it at 50
    assert repr(found).startswith("1 volume\n  'CT 4': 2 x 4 x 3 (z, y, x), int16, HU\n")


def test_of_many_errors_the_first_are_told(tmp_path):
    found = load_all(cut(tmp_path, SHOWN + 3))
    assert repr(found).count("\n  error: ") == SHOWN and f"{SHOWN + 3} errors: all are in .report" in repr(found)
    assert "<tr><td>error</td>" in found._repr_html_()


def test_text_of_a_file_is_no_markup_and_no_control_sequence(tmp_path):  # R0.6, R15.11
    datasets = slices.stack([0, 2], SeriesDescription="<b>\x1b[2J")
    found = load_all(slices.write(tmp_path, datasets))
    assert "<b>" not in found._repr_html_() and "\x1b" not in repr(found)


def test_nothing_wrong_is_nothing_told(tmp_path):
    assert "report" not in repr(load_all(slices.write(tmp_path, slices.stack([0, 2]))))


def test_what_a_scan_left_out_is_in_the_report(tmp_path):  # R12.9
    paths = cut(tmp_path / "a", 1)
    (tmp_path / "a" / "notes.txt").write_text("notes")
    shutil.copy(paths[0], tmp_path / "a" / "copy.dcm")
    (tmp_path / "a" / "elsewhere").symlink_to(tmp_path)
    with pytest.warns(ResultWarning, match="1 file cannot be used: .*1 file or link was not opened: .*1 file is a dup"):
        table = scan(tmp_path / "a")
    said = {(line.severity, line.what.rpartition("/")[2]): line.why for line in load_all(table).report.itertuples()}
    assert said["error", "0002.dcm"].startswith("left out by the scan: it ends too early")
    assert said["warning", "elsewhere"].startswith("left out by the scan: a link that leads out")
    assert said["note", "scan"] == "1 file is no DICOM and passed over"
    assert "the same instance" in said["note", "copy.dcm"] or "the same instance" in said["note", "0000.dcm"]
    assert len(said) == 4  # the duplicate is told once, by load_all
    chosen = load_all(table[table.InstanceNumber == 1]).report
    assert "0002.dcm" in " ".join(chosen.what)  # a choice of rows is still of that scan
    assert load(table).sizes["z"] == 2  # load has the choice of its rows, and the scan has warned


def test_a_wrong_name_says_what_there_is(tmp_path):
    found = load_all(slices.write(tmp_path, slices.stack([0, 2])))
    with pytest.raises(UnknownName, match=r"^there is no thing named 'CT 5', did you mean 'CT 4'\? There is 'CT 4'\.$"):
        found["CT 5"]
    with pytest.raises(KeyError):
        found[0]
    assert "CT 5" not in found and found.get("CT 5") is None and issubclass(UnknownName, InvalidRequest)


def test_a_private_class_is_named_as_such_with_its_maker(tmp_path):  # R12.2
    alike = {"PixelData": None, "Modality": None, "SeriesNumber": None, "SeriesInstanceUID": None}
    kinds = (PRIVATE, "1.2.3.4", "1.2.840.10008.5.1.4.39.1")
    datasets = [slices.image(np.zeros((4, 3), np.int16), None, 1 + n, SOPClassUID=uid, **alike)
                for n, uid in enumerate(kinds)]  # fmt: skip
    found = load_all(slices.write(tmp_path, datasets))
    names = [f"private SOP class of Philips {PRIVATE}", "private SOP class 1.2.3.4", "Color Palette Storage"]
    assert sorted(found) == sorted(names)
    assert f"private SOP class of Philips ({PRIVATE})" in repr(found)


def test_a_place_in_a_file_is_said_as_a_person_would(tmp_path):
    (path,) = slices.write(tmp_path, slices.stack([0]), ExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(
        BadFile, match=r"21 of 24 bytes of pixel data are there, in PixelData \(7FE0,0010\) at byte \d+$"
    ):
        load(path)


def test_a_socket_in_a_folder_is_a_warning_no_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        with pytest.warns(ResultWarning, match="1 file or link was not opened: .*neither a file nor a folder"):
            assert scan(tmp_path).attrs["problems"][0]["severity"] == "warning"


def test_a_load_in_a_thread_gives_the_same_report(tmp_path):
    paths, found = cut(tmp_path, 1), []
    worker = threading.Thread(target=lambda: found.append(load_all(paths).report))
    worker.start()
    worker.join()
    assert found[0].equals(load_all(paths).report)
