"""The instances table: what a scan finds, and what it must not touch."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import warnings
from pathlib import Path

import pydicom
import pytest
from support import shared

from dicomlab.errors import BadFile, DicomlabError, InvalidRequest, ResultWarning
from dicomlab.options import options
from dicomlab.scanning.instances import COLUMNS, describe, instances
from dicomlab.scanning.scanning import scan
from dicomlab.volumes.series import load

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
T31 = FILES / "dicomdirtests"
FOLDERS = [T31 / "77654033", T31 / "98892001", T31 / "98892003"]


def counts(frame):
    words = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return tuple(frame[word].nunique() for word in words)


def test_a_scan_of_t31_gives_31_instances_2_patients_6_studies_13_series():  # SPEC 14
    frame = scan(FOLDERS)
    assert len(frame) == 31 and counts(frame) == (2, 6, 13, 31)
    assert list(frame.columns) == ["path", *COLUMNS]
    assert frame.attrs == {"skipped": 0, "problems": []}
    assert {os.path.basename(path) for path in frame.path} >= {"4919", "15970"}
    assert frame.TransferSyntaxUID.eq("1.2.840.10008.1.2.1").all()


def test_a_pattern_is_answered_by_the_name_of_its_folder(tmp_path: Path) -> None:  # R0.4
    with pytest.raises(InvalidRequest, match="Name the folder: scan takes no wild cards"):
        scan(tmp_path / "*.dcm")


def test_paths_in_the_index_are_loaded_as_those_in_a_column() -> None:  # DESIGN 1: a row is its own address
    rows = scan(pydicom.data.get_testdata_file("CT_small.dcm"))
    assert load(rows.set_index("path")).equals(load(rows))


def test_a_scan_of_the_dicomdir_gives_the_same_rows():  # SPEC 14
    folders, directory = scan(*FOLDERS), scan(T31 / "DICOMDIR")
    assert folders.equals(directory)


@pytest.mark.parametrize("name", ["DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-reordered"])
def test_other_encodings_of_the_dicomdir_give_the_same_files(name):
    assert len(scan(T31 / name)) == 31


def test_rows_are_sorted_and_the_order_of_the_places_does_not_matter():  # R12.12
    assert scan(FOLDERS).equals(scan(list(reversed(FOLDERS))))
    frame = scan(FOLDERS)
    dates = frame.StudyDate.tolist()
    assert dates == sorted(dates)
    for _, series in frame.groupby("SeriesInstanceUID"):
        assert series.index.tolist() == list(range(series.index[0], series.index[0] + len(series)))


def test_a_file_given_twice_is_one_row():
    path = FILES / "CT_small.dcm"
    assert len(scan(path, str(path), [path], path.parent / "." / "CT_small.dcm")) == 1


def test_columns_are_typed():  # R3.19a
    frame = scan(FILES / "CT_small.dcm")
    assert str(frame.Rows.dtype) == "Int64" and str(frame.StudyDate.dtype) == "datetime64[ns]"
    assert frame.ImagePositionPatient[0] == (-158.135803, -179.035797, -75.699997)
    assert json.loads(json.dumps(frame.attrs)) == frame.attrs


def test_what_is_no_dicom_is_counted_and_damaged_files_are_named_with_one_warning(tmp_path):  # R14.1, R14.3
    for name in ("CT_small.dcm", "MR_small.dcm"):
        shutil.copy(FILES / name, tmp_path / name.partition(".")[0])
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" * 50)
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "x.dcm").mkdir()
    (tmp_path / "x.dcm" / "cut.dcm").write_bytes((FILES / "CT_small.dcm").read_bytes()[:-1000])
    with pytest.warns(ResultWarning, match="cut") as caught:
        frame = scan(tmp_path)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert len(frame) == 2 and frame.attrs["skipped"] == 3
    (problem,) = frame.attrs["problems"]
    assert problem["path"].endswith("cut.dcm") and problem["severity"] == "error"
    assert re.fullmatch(
        r"it ends too early: [\d,]+ of [\d,]+ bytes of pixel data are there, in PixelData \(7FE0,0010\) at byte [\d,]+",
        problem["why"],
    )


@pytest.mark.parametrize(
    ("begin", "why"),
    [
        (b"", "the file is empty"),
        ("Größe: 3\nx\ty\r\n".encode(), "a text file, no DICOM"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG image, no DICOM"),
        (bytes(range(40)), "no DICOM: neither a preamble nor a data set"),
    ],
)
def test_what_is_no_dicom_is_named_in_plain_words(begin, why, tmp_path):  # STYLE: messages
    path = tmp_path / "file"
    path.write_bytes(begin)
    for call in (describe, load):
        with pytest.raises(BadFile) as caught:
            call(path)
        assert caught.value.why == why and caught.value.path == str(path)
    with pytest.warns(ResultWarning, match=f"1 file cannot be used: .*{why}") as warned:
        assert scan(path).attrs["problems"] == [{"severity": "error", "path": str(path), "why": why}]
    assert len(warned) == 1


def test_a_folder_without_any_dicom_warns_once_with_the_count_of_files_looked_at(tmp_path):
    with pytest.warns(ResultWarning, match="No DICOM instance was found; 0 files looked at"):
        scan(tmp_path)
    for number in range(3):
        (tmp_path / f"notes{number}.txt").write_text("notes")
    with pytest.warns(ResultWarning, match="No DICOM instance was found; 3 files looked at") as warned:
        frame = scan(tmp_path)
    assert len(warned) == 1 and warned[0].filename == __file__
    assert len(frame) == 0 and frame.attrs == {"skipped": 3, "problems": []}


def test_files_without_preamble_are_found(tmp_path):  # R14.1
    for name in ("ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm"):
        shutil.copy(FILES / name, tmp_path / "bare")
        assert len(scan(tmp_path)) == 1


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"])
def test_every_transfer_syntax_is_described_and_a_cut_one_is_bad(name, tmp_path):
    assert describe(FILES / name).text("SOPInstanceUID")
    cut = tmp_path / name
    cut.write_bytes((FILES / name).read_bytes()[:-300])
    if name != "image_dfl.dcm":  # of a deflated file only the header is inflated
        with pytest.raises(BadFile) as caught:
            describe(cut)
        assert caught.value.path == str(cut)


def test_the_table_of_known_headers_reads_no_file():
    paths = [FILES / "CT_small.dcm", FILES / "MR_small.dcm"]
    frame = instances(["a", "b"], [describe(path) for path in paths])
    assert frame.path.tolist() == ["a", "b"] and frame.Modality.tolist() == ["CT", "MR"]
    empty = instances([])
    assert list(empty.columns) == list(frame.columns) and str(empty.Rows.dtype) == "Int64"


def test_fifos_sockets_and_links_out_are_named_and_never_opened(tmp_path):  # R14.3, B6
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(FILES / "CT_small.dcm", outside / "secret.dcm")
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(FILES / "MR_small.dcm", root / "a.dcm")
    os.mkfifo(root / "fifo.dcm")
    (root / "link.dcm").symlink_to(outside / "secret.dcm")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "dangling").symlink_to(root / "nothing")
    (root / "inside.dcm").symlink_to(root / "a.dcm")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root)
        listener.bind("sock")
        with pytest.warns(ResultWarning):
            frame = scan(root)
    assert len(frame) == 1 and frame.attrs["skipped"] == 0
    odd = {os.path.basename(problem["path"]): problem["why"] for problem in frame.attrs["problems"]}
    assert set(odd) == {"fifo.dcm", "sock", "link.dcm", "folder", "loop", "dangling"}
    with pytest.raises(InvalidRequest, match="neither a file nor a folder"):
        scan(root / "fifo.dcm")


def directory(folder, *components):
    """A DICOMDIR with one IMAGE record for each Referenced File ID."""
    found = pydicom.Dataset()
    found.DirectoryRecordSequence = []
    for file_id in components:
        record = pydicom.Dataset()
        record.OffsetOfTheNextDirectoryRecord = record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
        record.RecordInUseFlag = 0xFFFF
        record.DirectoryRecordType = "IMAGE"
        record.add(pydicom.DataElement(0x00041500, "CS", file_id, validation_mode=0))
        found.DirectoryRecordSequence.append(record)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.1.3.10", "1.2.3"
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    found.file_meta = meta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


def test_a_dicomdir_never_leads_out_of_its_folder(tmp_path):  # R14.3, B6
    shutil.copy(FILES / "CT_small.dcm", tmp_path / "SECRET")
    disc = tmp_path / "disc"
    (disc / "im").mkdir(parents=True)
    shutil.copy(FILES / "CT_small.dcm", disc / "im" / "im1")
    (disc / "LINK").symlink_to(tmp_path / "SECRET")
    os.mkfifo(disc / "FIFO")
    path = directory(disc, ["IM", "IM1"], ["..", "SECRET"], str(tmp_path / "SECRET"), "LINK", "GONE", "FIFO", "IM")
    with pytest.warns(ResultWarning):
        frame = scan(path)
    assert frame.path.tolist() == [str(disc / "im" / "im1")]
    assert len(frame.attrs["problems"]) == 6


def test_a_dicomdir_in_a_folder_is_no_instance(tmp_path):
    shutil.copy(FILES / "CT_small.dcm", tmp_path / "CT")
    directory(tmp_path, "CT")
    frame = scan(tmp_path)
    assert len(frame) == 1 and frame.attrs == {"skipped": 0, "problems": []}


def test_a_dicomdir_that_cannot_be_read_is_a_bad_file(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes((T31 / "DICOMDIR").read_bytes()[:3000])
    with pytest.raises(BadFile, match="DICOMDIR"):
        scan(tmp_path / "DICOMDIR")


def test_names_that_are_not_utf8_survive(tmp_path):  # B6
    name = os.fsencode(tmp_path) + b"/caf\xe9.dcm"
    try:
        shutil.copy(os.fsencode(FILES / "CT_small.dcm"), name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    frame = scan(tmp_path)
    assert os.fsencode(frame.path[0]) == name


def test_the_same_instance_in_two_files_is_reported(tmp_path):  # R14.9
    for name in ("a", "b"):
        shutil.copy(FILES / "CT_small.dcm", tmp_path / name)
    with pytest.warns(ResultWarning, match="^1 file is a duplicate: .*b', has the same SOPInstanceUID as '.*a'"):
        frame = scan(tmp_path)
    assert len(frame) == 2 and [problem["severity"] for problem in frame.attrs["problems"]] == ["note"]


@pytest.mark.parametrize("places", [(), ([],), ("/nowhere/at/all",), (3,)])
def test_what_is_no_place_is_refused(places):
    with pytest.raises(InvalidRequest):
        scan(*places)


@pytest.mark.parametrize("read", [scan, load])
def test_what_is_not_there_is_told_how_far_its_path_is_right(tmp_path, monkeypatch, read):  # R0.4
    (tmp_path / "Scans").mkdir()
    with pytest.raises(DicomlabError) as caught:
        read(tmp_path / "Scans" / "thorax" / "one")
    assert f"Of this path {str(tmp_path / 'Scans')!r} is there: check what follows" in str(caught.value)
    monkeypatch.chdir(tmp_path)  # a notebook begins where it lies
    with pytest.raises(DicomlabError, match=re.escape(repr(str(tmp_path)))):
        read("scans")
    with options.set(phi=False), pytest.raises(DicomlabError) as caught:
        read(tmp_path / "DOE" / "thorax")
    assert "DOE" not in str(caught.value) and "Check the name" in str(caught.value)


def test_progress_is_told_and_may_end_the_scan():
    seen = []
    scan(FOLDERS, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (1, 31) and seen[-1] == (31, 31)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(FOLDERS, progress=stop)


def test_damaged_files_are_named_and_their_neighbours_load(tmp_path):  # B1
    folder = shared("data/malformed")
    with pytest.warns(ResultWarning):
        frame = scan(folder, FILES / "CT_small.dcm")
    assert len(frame) >= 8 and all(problem["why"] for problem in frame.attrs["problems"])
    named = {os.path.basename(problem["path"]) for problem in frame.attrs["problems"]}
    assert {"MR_truncated.dcm", "rtplan_truncated.dcm"} <= named
