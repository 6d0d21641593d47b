"""What is no image: one thing an instance, given as it is, never a crash."""

from __future__ import annotations

import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from support import shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, InvalidRequest, ResultWarning
from dicomlab.markup import shown
from dicomlab.readers.instance import Instance

PLAN, RAW = "1.2.840.10008.5.1.4.1.1.481.5", "1.2.840.10008.5.1.4.1.1.66"


def plan(number=1, **attributes):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = PLAN, f"1.2.8.{number}"
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P1", "1.2.1", f"1.2.2.{number}"
    dataset.Modality, dataset.SeriesNumber = "RTPLAN", 9
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_a_class_that_no_reader_knows_is_given_as_it_is_with_a_note(tmp_path):  # R12.2
    (path,) = slices.write(tmp_path, [plan(RTPlanLabel="boost")])
    found = load_all(path)
    assert found.report[["severity", "why"]].values.tolist() == [["note", "no volume, given as it is"]]
    instance = found["RTPLAN 9"]
    assert isinstance(instance, Instance) and instance.sop_instance == "1.2.8.1"
    assert instance.dataset.RTPlanLabel == "boost" and "RT Plan Storage" in repr(found)
    assert load(path) == instance


@pytest.mark.parametrize(
    ("end", "name"),
    [
        ("4.2", "MR Spectroscopy"), ("66", "Raw Data"), ("66.1", "Spatial Registration"),
        ("66.5", "Surface Segmentation"), ("66.6", "Tractography Results"), ("481.8", "RT Ion Plan"),
        ("67", "Real World Value Mapping"), ("91.1", "Microscopy Bulk Simple Annotations"),
    ],
)  # fmt: skip
def test_what_a_notebook_cannot_use_yet_says_what_it_is(tmp_path, end, name):  # SPEC 12, table
    instance = load(slices.write(tmp_path, [plan(SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{end}")]))
    assert type(instance) is Instance and instance.summary.startswith(f"Instance: {name} Storage")
    assert name in instance._repr_html_()


def test_a_class_of_no_standard_is_named_by_its_uid(tmp_path):
    instance = load(slices.write(tmp_path, [plan(SOPClassUID="1.3.12.2.1107.5.9.1")]))
    assert "1.3.12.2.1107.5.9.1" in instance.summary


def test_beside_a_volume_it_is_left_aside_and_said(tmp_path):  # R12.9
    paths = slices.write(tmp_path / "ct", slices.stack([0, 2])) + slices.write(tmp_path / "plan", [plan()])
    with pytest.warns(ResultWarning, match="RTPLAN 9: no part of the volume"):
        assert load(paths).sizes["z"] == 2
    assert list(load_all(paths)) == ["CT 4", "RTPLAN 9"]


def test_two_of_them_are_not_one(tmp_path):
    paths = slices.write(tmp_path, [plan(1), plan(2)])
    with pytest.raises(GeometryError, match="2 objects of 2 series, not one") as caught:
        load(paths)
    assert caught.value.stacks.SOPClass.tolist() == [f"RT Plan Storage ({PLAN})"] * 2


def test_its_text_is_never_markup_nor_a_control_sequence(tmp_path):
    (path,) = slices.write(tmp_path, [plan(SeriesDescription="<img src=x onerror=alert(1)>\x1b[2J")])
    instance = load(path)
    assert "<img" not in instance._repr_html_() and "&lt;img" in instance._repr_html_()
    assert "\x1b" not in repr(instance)
    assert len(shown("x" * 5000)) == 200


def test_images_that_no_reader_takes_are_refused_not_shown_as_something_else(tmp_path):  # R12.6
    slide = slices.image(np.zeros((2, 2), np.uint8), None, 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6")
    (whole,) = slices.write(tmp_path / "a", [slide])
    with pytest.raises(InvalidRequest, match=r"VL Whole Slide Microscopy.*tiles of a slide.*highdicom"):
        load(whole)
    del slide.PixelData
    (cut,) = slices.write(tmp_path / "b", [slide])
    with pytest.raises(InvalidRequest, match="without pixel data"):
        load(cut)


@pytest.mark.parametrize("end", ["77.1.1", "77.1.2", "77.1.4", "77.1.7"])
def test_photographs_are_pictures(tmp_path, end):
    stored = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    dataset = slices.image(
        stored, None, 1, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{end}", Modality="XC", SamplesPerPixel=3,
        PhotometricInterpretation="RGB", PlanarConfiguration=0, ImageOrientationPatient=None, RescaleSlope=None,
        RescaleIntercept=None,
    )  # fmt: skip
    picture = load(slices.write(tmp_path, [dataset]))
    assert picture.dims == ("y", "x", "channel") and (picture.values == stored).all()


def test_a_file_that_has_gone_is_said_when_its_data_set_is_asked_for(tmp_path):
    (path,) = slices.write(tmp_path, [plan()])
    instance = load(path)
    path.unlink()
    with pytest.raises(BadFile, match="cannot be read"):
        instance.dataset


def test_plans_maps_annotations_and_palettes_are_given_as_they_are():
    for name in (
        "rt_pydicom/rtplan.dcm", "seg_pm_sr_dcmqi/sr-example/rwvm.dcm", "seg_sm_highdicom/sm_annotations.dcm",
        "codecs_pydicom/palettes/hotiron.dcm",
    ):  # fmt: skip
        instance = load(shared(f"data/{name}"))
        assert type(instance) is Instance and instance.dataset.SOPInstanceUID == instance.sop_instance


def test_a_dicomdir_is_what_it_names():  # R12.1
    with pytest.raises(GeometryError, match=r"24 stacks of 13 series, not one volume"):
        load(shared("data/dicomdir_pydicom/dicomdirtests/DICOMDIR"))
