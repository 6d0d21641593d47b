"""load: order by position, stacks told apart, nothing stacked silently."""

from __future__ import annotations

import doctest
import random
import warnings

import numpy as np
import pandas as pd
import pytest
import slices
from pydicom.data import get_testdata_file

from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, InvalidRequest, ResultWarning
from dicomlab.geometry import geometry
from dicomlab.pixels import pixels
from dicomlab.volumes import series


def test_planes_are_ordered_by_position_whatever_the_order_of_files_and_numbers(tmp_path):  # R12.4, R12.12
    datasets = slices.stack([0, 2, 4, 6, 8])
    numbers = [3, 1, 5, 2, 4]
    for dataset, number in zip(datasets, numbers, strict=True):
        dataset.InstanceNumber = number
    paths = slices.write(tmp_path, datasets)
    first = load(paths)
    assert first.z.values.tolist() == [0, 2, 4, 6, 8] and first.InstanceNumber.values.tolist() == numbers
    for seed in range(3):
        shuffled = paths.copy()
        random.Random(seed).shuffle(shuffled)
        assert load(shuffled).identical(first)


def test_a_volume_has_named_axes_units_and_where_it_came_from(tmp_path):  # R12.5
    volume = load(slices.write(tmp_path, slices.stack([0, 2])))
    assert volume.dims == ("z", "y", "x") and volume.shape == (2, 4, 3) and volume.dtype == np.int16
    assert volume.values[1, 0, 1] == 101 - 1024 and volume.attrs["units"] == "HU"
    assert volume.x.values.tolist() == [-10, -9.75, -9.5] and volume.y.values.tolist() == [-20, -19.5, -19, -18.5]
    assert volume.SOPInstanceUID.values.tolist() == ["1.2.3.1", "1.2.3.2"]
    assert volume.dicom.frame_of_reference == "1.2.4"


def test_a_missing_slice_is_a_gap_in_z_said_aloud_and_no_affine(tmp_path):  # R12.6
    paths = slices.write(tmp_path, slices.stack([0, 2, 6, 8]))
    with pytest.warns(ResultWarning, match="1 plane missing"):
        volume = load(paths)
    assert volume.z.values.tolist() == [0, 2, 6, 8]
    with pytest.raises(GeometryError, match="not uniform"):
        volume.dicom.affine
    assert volume.dicom.position(2, 0, 0).tolist() == [-10, -20, 6]


@pytest.mark.parametrize(
    ("keyword", "value", "word"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 0, 0.8, -0.6], "orientation"),
        ("FrameOfReferenceUID", "1.9", "frame of reference"),
        ("PixelSpacing", [1, 1], "PixelSpacing"),
        ("PatientID", "P2", "PatientID"),
        ("StudyInstanceUID", "1.9", "StudyInstanceUID"),
        ("SOPClassUID", slices.MR, "SOP class"),
        ("PhotometricInterpretation", "MONOCHROME1", "pixel format"),
        ("PixelRepresentation", 0, "pixel format"),
    ],
)
def test_what_differs_is_not_stacked_and_the_stacks_are_listed(tmp_path, keyword, value, word):  # R12.3, R12.6
    datasets = slices.stack([0, 2, 4, 6, 8])
    for dataset in datasets[3:]:
        setattr(dataset, keyword, value)
    paths = slices.write(tmp_path, datasets)
    with pytest.raises(GeometryError, match=word) as caught:
        load(paths)
    assert caught.value.stacks.images.tolist() == [3, 2]
    found = load_all(paths)
    assert [volume.sizes["z"] for volume in found.values()] == [3, 2]
    assert word in found.report.why.str.cat()


def test_two_series_are_two_volumes_and_load_lists_them(tmp_path):
    paths = slices.write(tmp_path / "a", slices.stack([0, 2]))
    paths += slices.write(tmp_path / "b", [image_of_another_series(k) for k in range(3)])
    with pytest.raises(GeometryError, match="2 stacks") as caught:
        load(paths)
    assert caught.value.stacks.SeriesInstanceUID.nunique() == 2
    assert list(load_all(paths)) == ["CT 7 other", "CT 4"]


def image_of_another_series(k):
    (dataset,) = slices.stack([k])
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = f"1.3.{k}", "1.3.9"
    dataset.SeriesNumber, dataset.SeriesDescription = 7, "other"
    return dataset


def test_images_without_a_position_are_refused_where_the_class_has_one(tmp_path):  # R12.6
    paths = slices.write(tmp_path, slices.stack([0, 2], ImagePositionPatient=None))
    with pytest.raises(GeometryError, match="without ImagePositionPatient"):
        load(paths)
    assert load_all(paths).report.severity.tolist() == ["error"]


def test_a_radiograph_without_a_position_is_a_picture(tmp_path):
    (dataset,) = slices.stack([0], ImagePositionPatient=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR")
    picture = load(slices.write(tmp_path, [dataset]))
    assert picture.dims == ("y", "x")
    with pytest.raises(GeometryError, match="no geometry"):
        picture.dicom.affine


def times(keyword, values, heights=(0, 2, 4), **attributes):
    found = []
    for turn, value in enumerate(values):
        for plane, dataset in enumerate(slices.stack(heights, SOPClassUID=slices.MR, Modality="MR", **attributes)):
            dataset.InstanceNumber = 100 - len(found)  # backwards: numbers do not decide
            dataset.SOPInstanceUID = f"1.2.3.{turn}.{plane}"
            dataset.PixelData = np.full((4, 3), 10 * turn + plane, np.int16).tobytes()
            dataset.RescaleIntercept = 0
            if keyword:
                setattr(dataset, keyword, value)
            found.append(dataset)
    return found


@pytest.mark.parametrize(
    ("keyword", "axis", "values"),
    [
        ("TemporalPositionIdentifier", "time", [1, 2, 3]),
        ("TriggerTime", "time", [0.0, 40.0, 80.0]),
        ("FrameReferenceTime", "time", [100.0, 200.0]),
        ("EchoTime", "echo", [2.3, 4.6]),
        ("DiffusionBValue", "b_value", [0.0, 500.0, 1000.0]),
        ("AcquisitionNumber", "acquisition", [4, 5]),
    ],
)
def test_several_images_at_one_position_make_a_named_axis(tmp_path, keyword, axis, values):  # R12.11
    volume = load(slices.write(tmp_path, times(keyword, values)))
    assert volume.dims == (axis, "z", "y", "x") and volume[axis].values.tolist() == values
    assert volume.values[:, :, 0, 0].tolist() == [[10 * t + z for z in range(3)] for t in range(len(values))]
    assert volume.SOPInstanceUID.dims == (axis, "z")
    assert volume.isel({axis: 1}).dicom.affine[2, 0] == 2


def test_two_keys_make_two_axes(tmp_path):
    datasets = times("EchoTime", [2.0, 4.0])
    more = times("EchoTime", [2.0, 4.0])
    for turn, part in enumerate((datasets, more)):
        for dataset in part:
            dataset.TemporalPositionIdentifier = turn + 1
            dataset.SOPInstanceUID += f".{turn}"
            dataset.InstanceNumber += 200 * turn
    volume = load(slices.write(tmp_path, datasets + more))
    assert volume.dims == ("time", "echo", "z", "y", "x") and volume.shape[:3] == (2, 2, 3)


def test_an_incomplete_time_point_is_reported_and_left_out(tmp_path):  # R12.11
    paths = slices.write(tmp_path, times("TemporalPositionIdentifier", [1, 2, 3])[:-1])
    with pytest.warns(ResultWarning, match="1 of 3 along time lack planes"):
        volume = load(paths)
    assert volume.sizes["time"] == 2
    report = load_all(paths).report
    assert report.severity.tolist() == ["warning"] and len(report.instances[0]) == 2


def test_image_types_at_one_position_are_stacks_of_their_own(tmp_path):
    datasets = times("ImageType", [["DERIVED", "PRIMARY", "W"], ["DERIVED", "PRIMARY", "F"]])
    paths = slices.write(tmp_path, datasets)
    with pytest.raises(GeometryError, match="ImageType"):
        load(paths)
    assert len(load_all(paths)) == 2


def test_images_at_one_position_that_nothing_tells_apart_are_refused(tmp_path):  # R12.6
    datasets = times(None, [1, 2], heights=(0, 2, 4))
    for index, dataset in enumerate(datasets):
        dataset.InstanceNumber = [1, 2, 3, 6, 4, 5][index]
    datasets[0].InstanceNumber = 40
    paths = slices.write(tmp_path, datasets)
    with pytest.raises(GeometryError, match="nothing tells those at one position apart") as caught:
        load(paths)
    assert caught.value.stacks.images.tolist() == [6]


def test_repetitions_that_only_their_regular_number_tells_apart_are_given_with_a_warning(tmp_path):
    datasets = times(None, [1, 2])
    for index, dataset in enumerate(datasets):
        dataset.InstanceNumber = index + 1
    with pytest.warns(ResultWarning, match="only InstanceNumber tells them apart"):
        volume = load(slices.write(tmp_path, datasets))
    assert volume.dims == ("frame", "z", "y", "x") and volume.values[:, 0, 0, 0].tolist() == [0, 10]


def test_one_bad_file_costs_one_file(tmp_path):  # R12.9
    paths = slices.write(tmp_path, slices.stack([0, 2, 4]))
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[:-5])
    with pytest.warns(ResultWarning, match="0002.dcm"):
        assert load(paths).sizes["z"] == 2
    report = load_all([*paths, tmp_path / "absent"]).report
    assert report.severity.tolist() == ["error", "error"]
    with pytest.raises(BadFile):
        load(paths[2])


def test_the_same_instance_twice_is_noted_and_taken_once(tmp_path):
    paths = slices.write(tmp_path / "a", slices.stack([0, 2])) + slices.write(tmp_path / "b", slices.stack([0, 2]))
    assert load(paths).sizes["z"] == 2
    assert load_all(paths).report.severity.tolist() == ["note", "note"]


@pytest.mark.parametrize(
    ("uid", "extra", "word"),
    [
        ("1.2.840.10008.5.1.4.1.1.66", {}, "Raw Data Storage"),
        (slices.CT, {"NumberOfFrames": 2}, "multi-frame"),
        (slices.CT, {"PixelData": None}, "without pixel data"),
    ],
)
def test_what_is_no_single_frame_image_is_refused_by_its_class(tmp_path, uid, extra, word):  # R12.2, R12.6
    paths = slices.write(tmp_path, slices.stack([0], SOPClassUID=uid, **extra))
    with pytest.raises(InvalidRequest, match=word):
        load(paths)
    found = load_all(paths)
    assert not found and word in found.report.why[0] and found.report.instances[0] == [str(paths[0])]


def test_a_name_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    found = load_all(slices.write(tmp_path, slices.stack([0, 2])))
    with pytest.raises(KeyError, match=r"there is no thing named 'CT'.*There is 'CT 4'"):
        found["CT"]
    assert found.get("CT") is None and "CT 4" in found


def test_an_instance_without_a_class_is_refused_for_that():
    with pytest.raises(InvalidRequest, match="it lacks SOPClassUID, which says what it is"):
        load(get_testdata_file("nested_priv_SQ.dcm"))


def test_of_two_series_with_the_same_instance_uids_both_are_kept(tmp_path):  # R12.3, R14.9
    paths = slices.write(tmp_path / "a", slices.stack([0, 2, 4]))
    paths += slices.write(tmp_path / "b", slices.stack([0, 2, 4], SeriesInstanceUID="1.2.99", SeriesNumber=9))
    with pytest.raises(GeometryError, match="2 stacks of 2 series"):
        load(paths)
    assert len(load_all(paths)) == 2


def test_another_file_with_the_uid_of_an_instance_is_left_out_and_told(tmp_path):  # R12.6, R14.9
    paths = slices.write(tmp_path / "a", slices.stack([0, 2]))
    same, other = tmp_path / "same.dcm", tmp_path / "other.dcm"
    same.write_bytes(paths[0].read_bytes())
    other.write_bytes(paths[0].read_bytes()[:-2] + b"\1\1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load([*paths, same])
    with pytest.warns(ResultWarning, match=r"other\.dcm: has the SOPInstanceUID of .*0000\.dcm, but is another file"):
        assert load([*paths, same, other]).sizes["z"] == 2
    assert load_all([*paths, same, other]).report.severity.tolist() == ["warning", "note"]


def test_an_empty_choice_is_an_error_and_a_table_needs_only_its_paths(tmp_path, monkeypatch):
    paths = slices.write(tmp_path, slices.stack([0, 2]))
    for nothing in ([], pd.DataFrame({"path": []}), pd.DataFrame({"path": [None]}), pd.DataFrame({"PatientID": ["1"]})):
        with pytest.raises(InvalidRequest):
            load(nothing)
    with pytest.raises(InvalidRequest, match="an object of type DataFrame in a list is no path"):  # an item of groupby
        load(("1.2.3", pd.DataFrame({"path": ["a"]}))[1:])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(f"~/{paths[0].name}").sizes["z"] == 1  # as scan takes it
    table = pd.DataFrame({"path": [str(path) for path in paths]})
    assert load(table).sizes["z"] == 2 and load(table.iloc[0]).sizes["z"] == 1


def test_the_dictionary_of_volumes_says_what_it_holds(tmp_path):
    text = repr(load_all(slices.write(tmp_path, slices.stack([0, 2]))))
    assert "'CT 4': 2 x 4 x 3 (z, y, x), int16, HU" in text


def test_a_clean_series_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(slices.write(tmp_path, slices.stack([0, 2])))


@pytest.mark.parametrize("module", [geometry, pixels, series])
def test_the_examples_of_the_docstrings_run(module):
    failed, tried = doctest.testmod(module)
    assert tried and not failed


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (None, "None is no table"), (3, "3 is no table"), (b"a.dcm", "type bytes is no table"),
        ({"path": "a.dcm"}, "type dict is no table"), (np.zeros((2, 3)), "type ndarray is no table"),
        (slices.stack([0])[0], "type Dataset is no table"), ([1], "1 in a list is no path"),
        ([b"a.dcm"], "type bytes in a list is no path"), (slices.stack([0]), "type Dataset in a list is no path"),
    ],
)  # fmt: skip
def test_what_is_no_table_and_no_path_is_named_by_its_type(thing, said):  # R0.4
    with pytest.raises(InvalidRequest, match=f"{said}.*load takes a table of instances, or paths of files"):
        load(thing)


def test_paths_may_come_as_a_generator_a_set_or_an_array(tmp_path):
    paths = slices.write(tmp_path, slices.stack([0, 2]))
    for given in ((path for path in paths), set(paths), np.array([str(path) for path in paths])):
        assert load(given).shape == (2, 4, 3)
