"""Attributes changed before sending, the old values kept (R13.11)."""

from __future__ import annotations

import derived
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

import dicomlab as dl
from dicomlab.errors import BadFile, InvalidRequest
from dicomlab.outgoing.fileset import file_name

NAMES = ["CT_small.dcm", "MR_small_RLE.dcm", "693_J2KI.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm", "reportsi.dcm"]


@pytest.mark.parametrize("name", NAMES)
def test_new_values_stand_and_old_ones_are_kept(tmp_path, name):  # R13.11
    source = get_testdata_file(name)
    table = dl.modify(source, tmp_path, PatientID="0042", PatientName="Öz^José", StudyDescription=None)
    old, new = pydicom.dcmread(source), pydicom.dcmread(table.path[0])
    assert (new.PatientID, str(new.PatientName), new.StudyDescription) == ("0042", "Öz^José", "")
    assert new.SOPInstanceUID == old.SOPInstanceUID and table.TransferSyntaxUID[0] == old.file_meta.TransferSyntaxUID
    item = new.OriginalAttributesSequence[-1]
    assert item.ModifiedAttributesSequence[0].PatientID == old.PatientID
    assert item.ModifiedAttributesSequence[0].PatientName == old.PatientName
    assert (item.ReasonForTheAttributeModification, item.ModifyingSystem) == ("CORRECT", "dicomlab")
    if "PixelData" in old:
        assert np.array_equal(new.pixel_array, old.pixel_array)
    derived.dumped(table.path[0])
    again = pydicom.dcmread(dl.modify(table, tmp_path / "again", PatientID="7").path[0])
    assert [one.ModifiedAttributesSequence[0].PatientID for one in again.OriginalAttributesSequence][-1] == "0042"
    assert len(again.OriginalAttributesSequence) == len(new.OriginalAttributesSequence) + 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing is to be changed"),
        ({"PatientNmae": "x"}, "did you mean 'PatientName'"),
        ({"SOPInstanceUID": "1.2"}, "not changed by modify"),
        ({"StudyDate": "yesterday"}, "StudyDate"),
        ({"PatientID": "1", "reason": "WHIM"}, "WHIM"),
    ],
)
def test_what_cannot_be_changed_is_refused_before_anything_is_written(tmp_path, given, said):
    with pytest.raises(InvalidRequest, match=said):
        dl.modify(get_testdata_file("CT_small.dcm"), tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("uid", ["../../up", "1.2/3", "", "1" * 65])
def test_a_uid_that_is_a_path_is_no_name(uid):
    with pytest.raises(InvalidRequest, match="is no UID"):
        file_name(uid)


def test_one_bad_file_and_none_is_written(tmp_path):  # R13.11
    (tmp_path / "bad.dcm").write_bytes(b"no DICOM")
    with pytest.raises(BadFile, match=r"bad\.dcm"):
        dl.modify([get_testdata_file("CT_small.dcm"), tmp_path / "bad.dcm"], tmp_path / "out", PatientID="1")
    assert not (tmp_path / "out").exists()
