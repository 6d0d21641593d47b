"""Frames that lie nowhere: (frame, y, x) with the time of each (SPEC 12, "What comes back")."""

from __future__ import annotations

import enhanced
import numpy as np
import pytest
import slices
from pydicom.tag import Tag
from support import shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, ResultWarning

ULTRASOUND, CAPTURE, XA, TRUE_COLOUR, ENHANCED_XA = (
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("3.1", "7.2", "12.1", "7.4", "12.1.1")
)


def cine(count=3, sop_class=ULTRASOUND, colour=False, **attributes):
    """Frames of 4 x 3 pixels; the first value of each is 10 times its number from 0."""
    shape = (count, 4, 3, 3) if colour else (count, 4, 3)
    stored = (10 * np.arange(count).reshape(-1, *[1] * (len(shape) - 1)) + np.zeros(shape)).astype(np.uint8)
    dataset = slices.image(stored.reshape(count * 4, 3, *shape[3:]), None, 1, SOPClassUID=sop_class, Modality="US")
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)
    dataset.Rows, dataset.NumberOfFrames = 4, count
    if colour:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "RGB"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("said", "times", "by"),
    [
        ({"FrameTime": 40.0, "FrameIncrementPointer": Tag("FrameTime")}, [0, 40, 80], "FrameTime"),
        ({"FrameTimeVector": [0, 30, 50], "FrameTime": 1}, [0, 30, 80], "FrameTimeVector"),
        ({"CineRate": 25}, [0, 40, 80], "CineRate"),
        ({"RecommendedDisplayFrameRate": 50}, [0, 20, 40], "RecommendedDisplayFrameRate"),
    ],
)
@pytest.mark.parametrize("sop_class", [ULTRASOUND, CAPTURE, XA])
def test_frames_have_their_times_in_milliseconds(tmp_path, sop_class, said, times, by):
    found = load(slices.write(tmp_path, [cine(sop_class=sop_class, **said)]))
    assert found.dims == ("frame", "y", "x") and found.frame.values.tolist() == [1, 2, 3]
    assert found.time.values.tolist() == times and found.time.attrs == {"units": "ms", "long_name": by}
    assert found.values[:, 0, 0].tolist() == [0, 10, 20]
    with pytest.raises(GeometryError, match="no geometry"):
        found.dicom.affine


def test_frames_without_times_have_none_and_a_vector_of_another_length_is_said(tmp_path):
    paths = slices.write(tmp_path, [cine()])
    assert "time" not in load(paths).coords
    with pytest.warns(ResultWarning, match="FrameTimeVector has 2 values for 3 frames"):
        load(slices.write(tmp_path, [cine(FrameTimeVector=[0, 30], CineRate=10)]))


def test_colour_frames_have_a_channel_behind(tmp_path):  # R12.8
    found = load(slices.write(tmp_path, [cine(colour=True, sop_class=TRUE_COLOUR)]))
    assert found.dims == ("frame", "y", "x", "channel") and found.shape == (3, 4, 3, 3)


def test_one_frame_of_a_multi_frame_class_has_an_axis_of_one(tmp_path):
    assert load(slices.write(tmp_path, [cine(1)])).shape == (1, 4, 3)


def test_rescaling_and_the_spacing_at_the_imager_are_kept(tmp_path):
    rescaled = {"RescaleSlope": 2, "RescaleIntercept": -5, "RescaleType": "OD", "ImagerPixelSpacing": [0.3, 0.2]}
    found = load(slices.write(tmp_path, [cine(sop_class=XA, **rescaled)]))
    assert found.values[:, 0, 0].tolist() == [-5, 15, 35] and found.dicom.units == "OD"
    assert found.attrs["ImagerPixelSpacing"] == [0.3, 0.2]


def test_frames_that_say_where_they_lie_are_a_volume_in_any_class(tmp_path):
    volume = load(slices.write(tmp_path, [enhanced.instance([enhanced.at(h) for h in (4, 0, 2)], SOPClassUID=CAPTURE)]))
    assert volume.dims == ("z", "y", "x") and volume.z.values.tolist() == [0, 2, 4]


def test_frames_of_enhanced_angiography_have_the_times_of_their_groups(tmp_path):
    frames = [{"FrameAcquisitionDateTime": f"20200101235959.{n}"} for n in (1, 3, 6)]
    found = load(slices.write(tmp_path, [enhanced.instance(frames, {}, SOPClassUID=ENHANCED_XA)]))
    assert found.dims == ("frame", "y", "x") and found.time.values.tolist() == [0, 200, 500]


def test_each_file_is_a_thing_of_its_own_and_a_bad_one_costs_itself(tmp_path):  # R12.9
    second, short = cine(2), cine(2)
    second.SOPInstanceUID, short.SOPInstanceUID = "1.2.3.8", "1.2.3.9"
    short.NumberOfFrames = 5
    paths = slices.write(tmp_path, [cine(), second, short, cine()])
    found = load_all(paths)
    assert sorted(volume.sizes["frame"] for volume in found.values()) == [2, 3]
    said = found.report.set_index("what").why
    assert "the header says 5 frames" in said[str(paths[2])] and "same instance" in said[str(paths[3])]
    with pytest.raises(BadFile, match="5 frames"):
        load(paths[2])


def test_a_number_of_frames_that_no_file_holds_is_refused_before_anything_is_made_of_them(tmp_path):  # R0.8
    from pydicom.uid import RLELossless

    dataset = cine(2)
    (path,) = slices.write(tmp_path, [dataset])
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.NumberOfFrames = 2_000_000_000
    dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(BadFile, match="NumberOfFrames is 2000000000 in a file of"):
        load(path)


def test_an_ultrasound_loop_of_another_vendor_is_frames_of_colour_with_times():
    """30 frames of JPEG in YBR_FULL_422, whose decoded pixels other programs give as RGB."""
    found = load(shared("data/codecs_pydicom/test_files/examples_ybr_color.dcm"))
    assert found.shape == (30, 240, 320, 3) and found.time.values[-1] == pytest.approx(29 * 33.333)
