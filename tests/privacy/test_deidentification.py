"""A named profile of PS3.15, done by a library that is kept for it; what is left is said (SPEC 13)."""

from __future__ import annotations

import builtins
import warnings
from pathlib import Path

import derived
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.errors import InvalidRequest, MissingCodec, ResultWarning


def done(paths, to):
    pytest.importorskip("dicomanonymizer")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        return dl.deidentify(paths, to)


def test_the_profile_is_applied_at_every_depth_and_named(tmp_path):  # R13.13
    source = derived.series(tmp_path / "source", InstitutionName="Klinik Nord", PatientAddress="Klinik Nord",
                            ReferringPhysicianName="Dr^Klinik", StudyDescription="Klinik", SeriesTime="112233",
                            SpecificCharacterSet="ISO_IR 192")  # fmt: skip
    for path in source:
        dataset = pydicom.dcmread(path)
        item, deep = Dataset(), Dataset()
        deep.PatientID, deep.PersonName, deep.InstitutionName = "00123", "Müller^Jörg", "Klinik"
        item.DerivationDescription = "Klinik"
        item.SourceImageSequence = [deep]
        dataset.DerivationCodeSequence = [item]
        dataset.private_block(0x0009, "ROBOX", create=True).add_new(1, "LO", "00123")
        dataset.save_as(path)
    table = done(source, tmp_path / "out")
    for path, old in zip(table.path, source, strict=True):
        data, before, after = Path(path).read_bytes(), pydicom.dcmread(old), pydicom.dcmread(path)
        for word in ("Müller", "Jörg", "00123", "Klinik", "20240320", "19610203", "ROBOX", "nonym", "NONYM"):
            assert word.encode() not in data, word
        assert before.SOPInstanceUID.encode() not in data and before.StudyInstanceUID.encode() not in data
        assert after.PatientIdentityRemoved == "YES"
        assert after.DeidentificationMethod[0] == "Basic Application Confidentiality Profile"
        (code,) = after.DeidentificationMethodCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator) == ("113100", "DCM")
        assert after.PixelData == before.PixelData
        derived.dumped(path)
    assert table.attrs["remarks"] == ["4 private attributes of ROBOX were dropped"]
    assert table.StudyInstanceUID.nunique() == table.SeriesInstanceUID.nunique() == 1
    assert (dl.load(table).values == dl.load(source).values).all()


def test_references_within_a_call_stay_right_and_two_calls_have_nothing_in_common(tmp_path):  # R13.13
    pytest.importorskip("highdicom")
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    masks = dl.write(volume > -900, tmp_path / "mask", like=source)
    table = done([*source, *masks.path], tmp_path / "out")
    images, mask = table[table.Modality == "CT"], dl.load(table[table.Modality == "SEG"])
    assert sorted(mask.attrs["sources"]) == sorted(images.SOPInstanceUID)
    assert (mask.values[0] == (volume.values > -900)).all() and mask.dicom.same_grid(dl.load(images))
    for path in table.path:  # type 2 attributes are empty, and a dummy is no name
        said = [line for line in derived.verified(path) if "DICOMDIR" not in line and "dubious" not in line]
        assert not said
    again = done(source, tmp_path / "again")
    assert not set(again.SOPInstanceUID) & set(images.SOPInstanceUID)


def test_every_attribute_that_the_profile_removes_is_removed(tmp_path):  # R13.13
    table = pytest.importorskip("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    (path,) = derived.series(tmp_path / "source", count=1)
    dataset = pydicom.dcmread(path)
    tags = [tag for tag in table.X_TAGS if len(tag) == 2 and keyword_for_tag(tag) and tag[0] > 0x0008]
    tags = [tag for tag in tags if pydicom.datadict.dictionary_VR(tag) in ("LO", "SH", "ST", "LT", "UT", "PN")]
    for tag in tags:
        dataset.add_new(tag, pydicom.datadict.dictionary_VR(tag), "secret")
    dataset.save_as(path)
    (made,) = done(path, tmp_path / "out").path
    after = pydicom.dcmread(made)
    assert len(tags) > 80 and not [tag for tag in tags if tag in after] and b"secret" not in Path(made).read_bytes()


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "693_J2KI.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm"])
def test_every_transfer_syntax_keeps_its_pixels(tmp_path, name):
    source = get_testdata_file(name)
    table = done(source, tmp_path / "out")
    old, new = pydicom.dcmread(source), pydicom.dcmread(table.path[0])
    assert np.array_equal(new.pixel_array, old.pixel_array)
    assert new.file_meta.TransferSyntaxUID == old.file_meta.TransferSyntaxUID


def test_what_is_left_is_said_and_reports_are_refused(tmp_path):  # R13.13
    pytest.importorskip("dicomanonymizer")
    source = derived.series(tmp_path / "source", BurnedInAnnotation="YES")
    with pytest.warns(ResultWarning, match="4 images with burned-in text"):
        dl.deidentify(source, tmp_path / "out")
    with pytest.raises(InvalidRequest, match="a report or document"):
        dl.deidentify([*source, get_testdata_file("reportsi.dcm")], tmp_path / "no")
    with pytest.raises(InvalidRequest, match=r"no profile 'basic'.*There is 'Basic Application"):
        dl.deidentify(source, tmp_path / "no", profile="basic")
    assert not (tmp_path / "no").exists()


def test_without_the_package_the_error_holds_the_pip_line(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *more, **others):
        if name.startswith("dicomanonymizer"):
            raise ImportError(name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingCodec, match=r'pip install "dicomlab\[deidentify\]"'):
        dl.deidentify(get_testdata_file("CT_small.dcm"), tmp_path / "out")
