"""Copies under pseudonyms: consistent, with the map in the user's hands, and what is left is said (SPEC 13)."""

from __future__ import annotations

import datetime as dt
import doctest
import json
import os
import stat
import string
import tempfile
import warnings
from pathlib import Path

import derived
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.errors import BadFile, InvalidRequest, ResultWarning
from dicomlab.privacy import pseudonymisation
from dicomlab.privacy.pseudonymisation import moved

FREE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
WORD = st.text(string.ascii_letters, min_size=7, max_size=12)
DAYS = st.dates(min_value=dt.date(1911, 1, 1), max_value=dt.date(2099, 12, 31))


def changed(paths, to, who, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        return dl.pseudonymise(paths, to, map=who, **more)


@settings(max_examples=10, **FREE)
@given(words=st.lists(WORD, min_size=5, max_size=5, unique_by=str.lower), born=DAYS, studied=DAYS)
def test_nothing_that_names_the_patient_is_left_and_the_map_leads_back(tmp_path, words, born, studied):  # R13.12
    *name, number, doctor, place = words
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    source = derived.series(
        folder / "s", count=2, PatientName="^".join(name), PatientID=number, PatientBirthDate=born.strftime("%Y%m%d"),
        StudyDate=studied.strftime("%Y%m%d"), AcquisitionDateTime=studied.strftime("%Y%m%d101112.5+0100"),
        ReferringPhysicianName=doctor, InstitutionName=place, PatientAddress=place, StationName="S" + place,
        StudyDescription=f"CT of {name[0].upper()} ({number})", SpecificCharacterSet="ISO_IR 192",
    )  # fmt: skip
    for path in source:
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x0009, "ROBOX", create=True).add_new(1, "LO", number)
        item = Dataset()
        item.PatientID, item.RequestedProcedureDescription = number, f"{name[1]} again"
        item.private_block(0x0009, "ROBOX", create=True).add_new(1, "LO", number)
        dataset.RequestAttributesSequence = [item]
        dataset.OtherPatientIDsSequence = [item]
        dataset.OtherPatientIDsSequence[0].IssuerOfPatientID = place
        dataset.save_as(path)
    table = changed(source, folder / "out", folder / "map.json")
    here = json.loads((folder / "map.json").read_text())
    (patient,) = here["patients"].values()
    for path, old in zip(table.path, source, strict=True):
        data = Path(path).read_bytes().lower()
        for word in (*name, number, doctor, place, "robox"):
            assert word.lower().encode() not in data, word
        before, after = pydicom.dcmread(old), pydicom.dcmread(path)
        assert (after.PatientID, str(after.PatientName)) == (patient["PatientID"], patient["PatientName"])
        assert after.RequestAttributesSequence[0].PatientID == patient["PatientID"]
        assert here["names"][doctor] == str(after.ReferringPhysicianName)
        assert here["uids"][before.SOPInstanceUID] == after.SOPInstanceUID != before.SOPInstanceUID
        assert after.AcquisitionDateTime[8:] == "101112.5+0100"
        for keyword in ("StudyDate", "PatientBirthDate", "AcquisitionDate"):
            old_day, new_day = (dt.datetime.strptime(one[keyword].value, "%Y%m%d") for one in (before, after))
            assert (new_day - old_day).days == patient["days"] < 0, keyword
        assert after.PixelData == before.PixelData and after.LongitudinalTemporalInformationModified == "MODIFIED"
        assert after.SOPClassUID == before.SOPClassUID and after.PatientWeight == 70
    assert "2 private attributes of ROBOX" not in " ".join(table.attrs["remarks"])  # a sequence has some too
    assert f"{2 * 3} private attributes of ROBOX were dropped" in table.attrs["remarks"]


def test_references_between_instances_stay_right_and_a_later_study_belongs_to_the_same_patient(tmp_path):  # R13.12
    pytest.importorskip("highdicom")
    source = derived.series(tmp_path / "source")
    mask = dl.write(dl.load(source) > -900, tmp_path / "mask", like=source)
    who: dict = {}
    images = changed(source, tmp_path / "a", who)
    masks = changed(mask, tmp_path / "b", who)  # another day
    back = dl.load(masks)
    assert sorted(back.attrs["sources"]) == sorted(images.SOPInstanceUID)
    assert set(images.StudyInstanceUID) == set(masks.StudyInstanceUID) and set(images.PatientID) == set(masks.PatientID)
    volume = dl.load(images)
    assert back.dicom.same_grid(volume) and (back.values[0] == (volume.values > -900)).all()
    for path in (*images.path, *masks.path):
        assert not [line for line in derived.verified(path) if "AE" not in line]
    again = changed(source, tmp_path / "c", who)
    assert list(again.SOPInstanceUID) == list(images.SOPInstanceUID)
    other = changed(source, tmp_path / "d", {})
    assert not set(other.SOPInstanceUID) & set(images.SOPInstanceUID) and set(other.PatientID) != set(images.PatientID)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_RLE.dcm", "693_J2KI.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm",
             "reportsi.dcm", "rtplan.dcm", "test-SR.dcm"]
)  # fmt: skip
def test_every_transfer_syntax_keeps_its_pixels(tmp_path, name):
    source = get_testdata_file(name)
    table = changed(source, tmp_path / "out", tmp_path / "map.json")
    old, new = pydicom.dcmread(source), pydicom.dcmread(table.path[0])
    assert new.file_meta.TransferSyntaxUID == old.file_meta.TransferSyntaxUID
    assert new.get("PatientID") != old.get("PatientID") or not old.get("PatientID")
    if "PixelData" in old:
        assert np.array_equal(new.pixel_array, old.pixel_array)
    derived.dumped(table.path[0])


def test_the_map_is_readable_by_its_owner_alone_and_not_among_the_data(tmp_path):  # R13.12
    source = derived.series(tmp_path / "source")
    place = tmp_path / "maps" / "study.json"
    changed(source, tmp_path / "out", place)
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o600 and "00123" in place.read_text()
    with pytest.raises(InvalidRequest, match="would lie among the pseudonyms"):
        changed(source, tmp_path / "other", tmp_path / "other" / "map.json")
    place.chmod(0o644)
    changed(source, tmp_path / "more", place)
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o600


def test_pseudonyms_of_the_user_are_used_as_they_are(tmp_path):  # R13.12
    source = derived.series(tmp_path / "source")
    who = {"patients": {"00123": {"PatientID": "S01", "PatientName": "Subject^One", "days": -7}}}
    table = changed(source, tmp_path / "out", who)
    first = pydicom.dcmread(table.path[0])
    assert (first.PatientID, str(first.PatientName), first.StudyDate) == ("S01", "Subject^One", "20240313")
    assert len(who["uids"]) > 4


def test_what_is_left_is_said(tmp_path):  # R13.13
    source = derived.series(tmp_path / "source", BurnedInAnnotation="YES")
    dataset = pydicom.dcmread(source[0])
    dataset.add_new(0x60003000, "OW", b"\0" * 4)
    dataset.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "x")
    dataset.add_new(0x00180004, "UN", b"what")
    dataset.save_as(source[0])
    with pytest.warns(ResultWarning) as warned:
        table = dl.pseudonymise(source, tmp_path / "out", map={}, private="keep")
    words = [str(one.message) for one in warned]
    assert "4 images with burned-in text (BurnedInAnnotation YES): the pixels are as they were" in words
    assert "1 image with an overlay: it is as it was" in words
    assert "1 private attribute of ACME was kept and may name somebody" in words
    assert table.attrs["remarks"][-len(words) :] == words
    assert "x" in [one.value for one in pydicom.dcmread(table.path[0]) if one.tag.is_private]
    for path in table.path:
        assert b"anonym" not in Path(path).read_bytes().lower()


def test_old_values_that_were_kept_elsewhere_go(tmp_path):
    source = derived.series(tmp_path / "source", count=1)
    corrected = dl.modify(source, tmp_path / "m", PatientID="00124")
    table = changed(corrected, tmp_path / "out", {})
    assert "OriginalAttributesSequence" not in pydicom.dcmread(table.path[0])
    assert b"00123" not in Path(table.path[0]).read_bytes()


def test_patients_of_one_number_and_two_issuers_are_two(tmp_path):
    paths = [derived.series(tmp_path / issuer, count=1, IssuerOfPatientID=issuer)[0] for issuer in "AB"]
    who: dict = {}
    tables = [changed(path, tmp_path / str(number), who) for number, path in enumerate(paths)]
    assert tables[0].PatientID[0] != tables[1].PatientID[0] and len(who["patients"]) == 2


@pytest.mark.parametrize("bad", ["", 7, {"patients": []}, {"patients": {"1": {"days": "many"}}}, "broken.json"])
def test_what_is_no_map_is_refused_and_nothing_is_written(tmp_path, bad):
    (tmp_path / "broken.json").write_text('{"patients": 1')
    place = tmp_path / bad if bad == "broken.json" else bad
    with pytest.raises(InvalidRequest, match="map"):
        changed(derived.series(tmp_path / "s"), tmp_path / "out", place)
    assert not (tmp_path / "out").exists()


def test_one_bad_file_and_nothing_is_written_nor_is_the_map(tmp_path):
    source = derived.series(tmp_path / "s")
    (tmp_path / "bad.dcm").write_bytes(b"nothing")
    with pytest.raises(BadFile, match=r"bad\.dcm"):
        changed([*source, tmp_path / "bad.dcm"], tmp_path / "out", tmp_path / "map.json")
    assert not (tmp_path / "out").exists() and not (tmp_path / "map.json").exists()
    with pytest.raises(InvalidRequest, match="no choice"):
        changed(source, tmp_path / "out", {}, private="some")


@pytest.mark.parametrize(
    ("text", "days", "there"),
    [("20240301", -1, "20240229"), ("2024.03.01", -1, "20240229"),
     ("20240301120000.5-0500", 1, "20240302120000.5-0500"),
     ("2024", -400, "2023"), ("202403", -31, "202402"), ("never", -1, ""), ("00010101", -400, ""), ("", 3, "")],
)  # fmt: skip
def test_dates_are_moved(text, days, there):
    assert moved(text, days) == there


def test_the_examples_of_the_docstrings_run():
    failed, attempted = doctest.testmod(pseudonymisation)
    assert attempted and not failed
