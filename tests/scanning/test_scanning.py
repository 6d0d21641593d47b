"""A scan reads all headers at once and gives the table that the files give one by one."""

from __future__ import annotations

import math
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import slices
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from support import shared

from dicomlab.datasets import headers
from dicomlab.datasets.elements import tag_of
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadData, BadFile, ResultWarning
from dicomlab.outgoing.outgoing import outgoing
from dicomlab.outgoing.sendable import Reader
from dicomlab.scanning.instances import describe, instances
from dicomlab.scanning.places import Files
from dicomlab.scanning.scanning import scan
from dicomlab.volumes.series import load_all

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """A few files are read as many are."""
    monkeypatch.setattr(headers, "FEW", 0)


def numbers(elements, keyword):
    try:
        value = elements.get(keyword)
    except BadData:
        return ()
    values = value if isinstance(value, tuple) else (value,)
    return values if all(isinstance(v, int | float) and math.isfinite(v) for v in values) else ()


def place(elements):
    a, p = numbers(elements, "ImageOrientationPatient"), numbers(elements, "ImagePositionPatient")
    if len(a) != 6 or len(p) != 3:
        return ()
    normal = np.cross(a[:3], a[3:])
    return (*(np.round(normal, 2) + 0.0).tolist(), round(float(np.dot(normal, p)), 3))


def key(elements, path):
    """Study by date, series by number, planes along their normal, then by number."""
    series, number = numbers(elements, "SeriesNumber"), numbers(elements, "InstanceNumber")
    return (
        *(elements.text(word) for word in ("StudyDate", "StudyTime", "StudyInstanceUID")),
        series[0] if series else math.inf,
        elements.text("SeriesInstanceUID"),
        place(elements),
        number[0] if number else math.inf,
        path,
    )


def one_by_one(folder):
    """The table, files that are no DICOM, and problems: each header by `describe`, the table of Elements."""
    files, skipped, found = Files(), 0, []
    files.add(folder)
    for path in files.paths:
        try:
            elements = describe(path)
        except BadFile as error:
            with open(path, "rb") as file:
                if file.read(132)[128:] != b"DICM":
                    skipped += 1
                    continue
            files.problem(path, error.said)
        else:
            if elements.text("SOPClassUID") != "1.2.840.10008.1.3.10":
                found.append((key(elements, path), path, elements))
    for _, path, elements in found:
        meta, _ = parse_file(path, wanted=frozenset())
        for word, stated, keyword in (
            ("instance", meta.sop_instance, "SOPInstanceUID"),
            ("SOP class", meta.sop_class, "SOPClassUID"),
        ):
            held = elements.raw.get(tag_of(keyword), ("UI", b""))[1].decode("latin-1").strip(" \0")
            if stated and held and stated != held:
                why = f"its file meta names another {word}, {stated!r}, than its data set, {held!r}"
                files.problem(path, why, "note")
                break
    found.sort(key=lambda one: one[0])
    seen = {}
    for _, path, elements in found:
        uid = elements.text("SOPInstanceUID")
        if uid and seen.setdefault(uid, path) != path:
            files.problem(path, f"has the same SOPInstanceUID as {seen[uid]!r}", "note")
    frame = instances([path for _, path, _ in found], [elements for _, _, elements in found])
    for odd in frame.attrs.pop("problems", []):
        files.problem(frame.path[odd["row"]], f"{odd['column']} {odd['text']!r} cannot be read", "note")
    return frame, skipped, files.problems


def check(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = scan(folder)
        exact, skipped, problems = one_by_one(folder)
    pd.testing.assert_frame_equal(frame, exact, check_exact=True, check_flags=False, obj="scan")
    assert frame.attrs == {"skipped": skipped, "problems": problems}
    return frame


@pytest.mark.parametrize("batch", [2048, 13])
def test_a_scan_of_what_pydicom_ships_is_that_of_its_files_one_by_one(batch, monkeypatch):  # R14.1, R3.19a
    monkeypatch.setattr(headers, "BATCH", batch)
    assert len(check(FILES)) > 100


@pytest.mark.parametrize(
    "name", ["malformed", "charsets_pydicom", "mr_slice_orientation_mixed", "petctmr_sts002", "codecs_pydicom_data"]
)
def test_a_scan_of_the_shared_data_is_that_of_its_files_one_by_one(name):
    check(shared("data") / name)


class Sound(list):
    def __repr__(self):
        return "sound files"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Encoded files of several series, and how they vary."""
    rng, found = random.Random(4), Sound()
    path = tmp_path_factory.mktemp("sound") / "file"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(40):
            ds = slices.with_a_sequence(rng, rng.choice([ImplicitVRLittleEndian, ExplicitVRLittleEndian]))
            ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.2.{rng.randrange(2)}", f"1.3.{rng.randrange(3)}"
            ds.StudyDate, ds.StudyTime = rng.choice(["20240101", "20230506", ""]), rng.choice(["1011", "101112.5"])
            ds.SeriesNumber = rng.choice([1, 2, None])
            if rng.random() < 0.8:
                ds.ImageOrientationPatient = rng.choice(["1 0 0 0 1 0", "0 1 0 0 0 -1", "0.6 0.8 0 0 0 1"]).split()
            if rng.random() < 0.1:
                ds.SliceThickness, ds.NumberOfFrames = "", 1
            if rng.random() < 0.1:
                ds.StudyDate, ds.BodyPartExamined = "2024", ["HEAD", "NECK"]
            if rng.random() < 0.1:
                del ds.SOPClassUID
                ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
            if rng.random() < 0.1:
                ds.PixelData = bytes(6)
            if rng.random() < 0.1:
                ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
                ds.PixelData = pydicom.encaps.encapsulate([bytes(10)])
                ds["PixelData"].is_undefined_length = True
            ds.preamble = bytes(128)
            ds.save_as(path, enforce_file_format=False, implicit_vr=ds.file_meta.TransferSyntaxUID.is_implicit_VR,
                       little_endian=True)  # fmt: skip
            found.append(path.read_bytes())
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.integers(0, 2**32))
@example(69)  # a file meta and a data set that differ in one byte beyond ASCII
@example(2062)
def test_a_scan_of_mutated_files_is_that_of_its_files_one_by_one(sound, tmp_path_factory, seed):  # SPEC R0.8, R14.3
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("mutated")
    for number, one in enumerate(rng.sample(sound, 25)):
        data = bytearray(one)
        for _ in range(rng.choice([0, 0, 0, 1, 1, 3])):
            byte = rng.choice([0, 1, 2, 16, 0x2E, 0x31, 0x5C, 0xE0, 0xFE, 0xFF, 85, rng.randrange(256)])
            data[rng.randrange(128, len(data))] = byte
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        path = folder / f"{number % 3}" / f"{rng.randrange(100)} {number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    check(folder)


def test_sound_files_are_not_read_one_by_one(sound, tmp_path, monkeypatch):
    plain = [one for one in sound if b"\xfe\xff\x00\xe0" not in one[-40:]]
    for number, one in enumerate(plain):
        (tmp_path / str(number)).write_bytes(one)
    monkeypatch.setattr(headers, "parse_file", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(scan(tmp_path)) > 30


def test_one_file_is_one_row_by_whatever_name_it_is_found(tmp_path):  # R14.3
    data = (FILES / "CT_small.dcm").read_bytes()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "ct").write_bytes(data)
    os.link(tmp_path / "below" / "ct", tmp_path / "other")
    (tmp_path / "link").symlink_to(tmp_path / "below" / "ct")
    (tmp_path / "copy").write_bytes(data)
    with pytest.warns(ResultWarning, match="same SOPInstanceUID"):
        frame = scan(tmp_path, tmp_path / "below", tmp_path / "below" / "ct", tmp_path / "link", [tmp_path])
    assert len(frame) == 2


def test_a_file_meta_that_names_another_instance_or_class_is_told_and_the_data_set_believed(tmp_path):  # R6.9, R14.1
    for number in range(4):
        one = pydicom.dcmread(FILES / "CT_small.dcm")
        one.SOPInstanceUID, one.InstanceNumber = f"1.2.3.{number}", number
        one.file_meta.MediaStorageSOPInstanceUID = "1.2.3.9" if number == 1 else f"1.2.3.{number}"
        if number == 2:
            one.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        one.save_as(tmp_path / f"{number}.jpg", enforce_file_format=False)  # a suffix says nothing
    frame = scan(tmp_path)  # and it does not warn: anonymised archives are all like that
    assert sorted(frame.SOPInstanceUID) == ["1.2.3.0", "1.2.3.1", "1.2.3.2", "1.2.3.3"]
    said = {Path(one["path"]).name: (one["severity"], one["why"]) for one in frame.attrs["problems"]}
    assert said == {
        "1.jpg": ("note", "its file meta names another instance, '1.2.3.9', than its data set, '1.2.3.1'"),
        "2.jpg": (
            "note",
            "its file meta names another SOP class, '1.2.840.10008.5.1.4.1.1.7', than its data set, "
            "'1.2.840.10008.5.1.4.1.1.2'",
        ),
    }
    report = load_all(frame).report  # and a load tells it
    (told,) = report[report.why.str.contains("file meta")].itertuples()
    assert told.severity == "note" and "'1.2.3.9'" in told.why and "another file" in told.why
    assert sorted(told.instances) == ["1.2.3.1", "1.2.3.2"]
    troubled = [Path(row.path).name for row in outgoing(frame) if troubles(row)]  # and a store sends neither
    assert sorted(troubled) == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize("few", [0, 24])
def test_a_file_that_ends_where_its_data_set_would_begin_is_cut_and_no_row(tmp_path, few, monkeypatch):  # R14.10
    monkeypatch.setattr(headers, "FEW", few)
    data = (FILES / "CT_small.dcm").read_bytes()
    meta, _ = parse_file(FILES / "CT_small.dcm", wanted=frozenset())
    for number, cut in enumerate((132, meta.data_set)):
        (tmp_path / str(number)).write_bytes(data[:cut])
    (tmp_path / "whole").write_bytes(data)
    with pytest.warns(ResultWarning, match="2 files cannot be used"):
        frame = scan(tmp_path)
    assert [Path(path).name for path in frame.path] == ["whole"]
    assert {one["why"] for one in frame.attrs["problems"]} == {"it ends where its data set would begin"}


def troubles(row):
    try:
        Reader().data_set(row)
    except BadFile as error:
        return "file meta names the SOP" in error.said
    return False
