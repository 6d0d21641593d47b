"""Enhanced images: volumes from their functional groups, never by the number of a frame (R12, PS3.3 C.7.6.16)."""

from __future__ import annotations

import json
import warnings

import enhanced
import numpy as np
import pytest
import slices
from enhanced import at, instance
from support import shared

from dicomlab import load, load_all
from dicomlab.datasets.elements import tag_of
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadFile, GeometryError, ResultWarning
from dicomlab.stacks.functionalgroups import PER_FRAME, Groups, _quickly

RWV = tag_of("RealWorldValueMappingSequence")


def frame_of(volume):
    """The number (from 0) of the frame in each place, by its values."""
    return (volume.values[..., 0, 0] // 100).tolist()


def test_frames_are_ordered_by_their_position_not_by_their_number(tmp_path):  # R12.4, R12.5
    heights = [4, 0, 6, 2]
    volume = load(slices.write(tmp_path, [instance([at(h) for h in heights])]))
    assert volume.dims == ("z", "y", "x") and volume.shape == (4, 4, 3)
    assert frame_of(volume) == [1, 3, 0, 2] and volume.FrameNumber.values.tolist() == [2, 4, 1, 3]
    affine = [[0, 0, 0.25, -10], [0, 0.5, 0, -20], [2, 0, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.dicom.affine, affine, atol=1e-9)
    assert volume.dtype == np.int16 and volume.dicom.frame_of_reference == "1.2.4"
    assert volume.SOPInstanceUID.item() == "1.2.3.1"


def test_each_frame_has_its_own_slope(tmp_path):  # R12.7
    frames = [at(0, RescaleSlope=2, RescaleIntercept=-5), at(2, RescaleSlope=0.5, RescaleIntercept=1)]
    volume = load(slices.write(tmp_path, [instance(frames)]))
    assert volume.dtype == np.float32
    assert volume.values[0, 0].tolist() == [-5, -3, -1] and volume.values[1, 0].tolist() == [51, 51.5, 52]


def test_two_stacks_of_one_instance_are_two_volumes(tmp_path):  # R12.3
    tilted = {"StackID": "2", "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    frames = [at(0), at(2), at(4)] + [{**tilted, "ImagePositionPatient": [-10, y, 0]} for y in (0, 3)]
    paths = slices.write(tmp_path, [instance(frames)])
    found = load_all(paths)
    assert [volume.sizes["z"] for volume in found.values()] == [3, 2]
    assert [volume.dicom.spacing[0] for volume in found.values()] == [2, 3]
    assert "other orientation, StackID" in found.report.why.str.cat()
    with pytest.raises(GeometryError, match=r"2 stacks.*Use load_all, which gives each: one file") as caught:
        load(paths)
    assert caught.value.stacks.images.tolist() == [3, 2]


@pytest.mark.parametrize(
    ("keyword", "values", "axis", "coordinate", "units"),
    [
        ("EffectiveEchoTime", (2.5, 5.0), "echo", [2.5, 5.0], "ms"),
        ("TemporalPositionIndex", (1, 2), "time", [1, 2], None),
        ("NominalCardiacTriggerDelayTime", (0.0, 40.0), "cardiac_phase", [0, 40], "ms"),
        ("ComplexImageComponent", ("MAGNITUDE", "PHASE"), "type", ["magnitude", "phase"], None),
        ("DiffusionBValue", (0.0, 800.0), "b_value", [0, 800], "s/mm2"),
        ("TriggerTime", (10.0, 30.0), "time", [10, 30], "ms"),
        ("FrameAcquisitionNumber", (1, 2), "acquisition", [1, 2], None),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_what_tells_frames_at_one_position_apart_is_an_axis_with_its_values(
    tmp_path, keyword, values, axis, coordinate, units, indexed
):  # R12.11
    frames = [at(h, **{keyword: values[v]}) for h, v in ((2, 1), (0, 0), (0, 1), (2, 0))]
    said = {}
    if indexed:
        for frame, index in zip(frames, ([1, 2, 2], [1, 1, 1], [1, 1, 2], [1, 2, 1]), strict=True):
            frame["DimensionIndexValues"] = index
        said["dimensions"] = ["StackID", "InStackPositionNumber", keyword]
    volume = load(slices.write(tmp_path, [instance(frames, **said)]))
    assert volume.dims == (axis, "z", "y", "x") and volume[axis].values.tolist() == coordinate
    assert volume[axis].attrs.get("units") == units
    assert frame_of(volume) == [[1, 3], [2, 0]]


def test_seconds_of_acquisition_are_the_coordinate_of_time_where_they_are_known(tmp_path):
    frames = [
        at(h, TemporalPositionIndex=t + 1, FrameAcquisitionDateTime=f"2018102208363{2 * t}.{5 * h:d}")
        for t in range(3)
        for h in (0, 1)
    ]
    volume = load(slices.write(tmp_path, [instance(frames)]))
    assert volume.time.values.tolist() == [0, 2, 4] and volume.time.attrs["units"] == "s"


def test_repetitions_that_only_their_times_tell_apart_are_ordered_by_them(tmp_path):  # R12.11
    frames = [at(h, FrameAcquisitionDateTime=f"202001010000{10 * t + 3 * h:02d}.5") for t in (3, 1, 2) for h in (0, 1)]
    volume = load(slices.write(tmp_path, [instance(frames)]))
    assert volume.dims[0] == "time" and volume.time.values.tolist() == [0, 10, 20]
    assert frame_of(volume) == [[2, 3], [4, 5], [0, 1]]


def test_two_dimensions_that_fill_a_grid_are_two_axes_in_the_order_of_the_index(tmp_path):
    frames = [
        at(h, EffectiveEchoTime=te, TemporalPositionIndex=t, DimensionIndexValues=[1, h + 1, int(te // 5), t])
        for t in (1, 2, 3) for te in (10.0, 5.0) for h in (0, 1)
    ]  # fmt: skip
    dimensions = ["StackID", "InStackPositionNumber", "EffectiveEchoTime", "TemporalPositionIndex"]
    volume = load(slices.write(tmp_path, [instance(frames, dimensions=dimensions)]))
    assert volume.dims[:3] == ("echo", "time", "z") and volume.shape[:3] == (2, 3, 2)
    assert frame_of(volume)[0] == [[2, 3], [6, 7], [10, 11]]


def test_b_values_and_their_directions_are_one_axis(tmp_path):
    directions = {0.0: [None], 1000.0: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}
    frames = [
        at(h, DiffusionBValue=b, **({"DiffusionGradientOrientation": g} if g else {}))
        for h in (0, 2) for b in directions for g in directions[b]
    ]  # fmt: skip
    volume = load(slices.write(tmp_path, [instance(frames)]))
    assert volume.dims == ("b_value", "z", "y", "x") and volume.b_value.values.tolist() == [0, 1000, 1000, 1000]
    assert volume.gradient_y.dims == ("b_value",) and volume.gradient_y.values.tolist() == [0, 0, 1, 0]
    assert frame_of(volume) == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_dimensions_that_go_together_are_one_axis_and_the_other_is_a_coordinate_of_it(tmp_path):
    frames = [at(h, EffectiveEchoTime=te, TemporalPositionIndex=t) for t, te in ((1, 5.0), (2, 9.0)) for h in (0, 2)]
    volume = load(slices.write(tmp_path, [instance(frames)]))
    assert volume.dims == ("time", "z", "y", "x")
    assert volume.echo.dims == ("time",) and volume.echo.values.tolist() == [5, 9]


def test_one_volume_in_several_instances_is_put_together(tmp_path):  # a file a time point, as Siemens XA writes them
    datasets = [
        instance([at(h, TemporalPositionIndex=t, DimensionIndexValues=[1, h // 2 + 1, t]) for h in (0, 2)], number=t,
                 dimensions=["StackID", "InStackPositionNumber", "TemporalPositionIndex"])
        for t in (3, 1, 2)
    ]  # fmt: skip
    volume = load(slices.write(tmp_path, datasets))
    assert volume.shape == (3, 2, 4, 3) and volume.time.values.tolist() == [1, 2, 3]
    assert volume.InstanceNumber.values[:, 0].tolist() == [1, 2, 3]
    assert len(volume.dicom.instances.SOPInstanceUID.unique()) == 3


def test_a_missing_part_of_a_concatenation_is_said(tmp_path):
    part = instance([at(0), at(2)], ConcatenationUID="1.9", InConcatenationTotalNumber=2, InConcatenationNumber=1)
    with pytest.warns(ResultWarning, match="1 of 2 parts"):
        load(slices.write(tmp_path, [part]))


def test_what_all_frames_say_is_an_attribute(tmp_path):
    frames = [at(h, EffectiveEchoTime=2.5, TemporalPositionIndex=1, ComplexImageComponent="PHASE") for h in (0, 2)]
    volume = load(slices.write(tmp_path, [instance(frames)]))
    assert volume.attrs["EffectiveEchoTime"] == 2.5 and volume.attrs["ComplexImageComponent"] == "phase"
    assert "TemporalPositionIndex" not in volume.attrs and "since the first" not in volume.attrs


def test_one_frame_is_a_volume_of_one_plane(tmp_path):
    volume = load(slices.write(tmp_path, [instance([at(5)])]))
    assert volume.shape == (1, 4, 3) and volume.dicom.spacing == (2, 0.5, 0.25)


def test_frames_of_different_units_are_not_one_array(tmp_path):  # R12.7
    hertz = {
        "RescaleSlope": 0.5,
        "RescaleIntercept": -500,
        "RealWorldValueSlope": 0.5,
        "RealWorldValueIntercept": -500.0,
    }
    frames = [at(h) for h in (0, 2)] + [at(h, **hertz, CodeValue="Hz") for h in (0, 2)]
    found = load_all(slices.write(tmp_path, [instance(frames)]))
    assert [volume.dicom.units for volume in found.values()] == ["", "Hz"]
    _, field = found.values()
    assert field.real_world_units.item() == "Hz" and field.values[0, 0, 0] == 100 - 500


def test_an_incomplete_time_point_is_left_out_and_said(tmp_path):  # R12.11
    frames = [at(h, TemporalPositionIndex=t) for t in (1, 2, 3) for h in (0, 2)][:-1]
    with pytest.warns(ResultWarning, match="1 of 3 along time lack frames"):
        volume = load(slices.write(tmp_path, [instance(frames)]))
    assert volume.sizes["time"] == 2


def test_of_two_axes_the_incomplete_time_point_is_left_out(tmp_path):  # R12.11
    frames = [
        at(h, TemporalPositionIndex=t, EffectiveEchoTime=te) for t in (1, 2, 3) for te in (5.0, 9.0) for h in (0, 2)
    ]
    with pytest.warns(ResultWarning, match="1 of 3 along time lack frames"):
        volume = load(slices.write(tmp_path, [instance(frames[:-1])]))
    assert volume.dims == ("time", "echo", "z", "y", "x") and volume.shape[:3] == (2, 2, 2)


def test_a_dimension_that_numbers_the_frames_does_not_hide_what_orders_them(tmp_path):
    frames = [
        at(h, FrameAcquisitionNumber=n + 1, ComplexImageComponent=c, DimensionIndexValues=[n + 1, c > "N"])
        for n, (c, h) in enumerate((c, h) for c in ("PHASE", "MAGNITUDE") for h in (0, 2))
    ]
    dimensions = ["FrameAcquisitionNumber", "ComplexImageComponent"]
    volume = load(slices.write(tmp_path, [instance(frames, dimensions=dimensions)]))
    assert volume.dims == ("type", "z", "y", "x") and volume.type.values.tolist() == ["magnitude", "phase"]


def test_instances_that_are_volumes_by_themselves_are_not_interleaved(tmp_path):  # R12.6
    datasets = [instance([at(h + shift) for h in (0, 2, 4)], number=n) for n, shift in ((1, 0), (2, 0.3))]
    found = load_all(slices.write(tmp_path, datasets))
    assert [volume.z.values.tolist() for volume in found.values()] == [
        [0, 2, 4],
        pytest.approx([0.3, 2.3, 4.3], abs=1e-3),
    ]
    assert "an instance of its own" in found.report.why[0]


def test_frames_at_one_position_that_nothing_tells_apart_are_refused(tmp_path):  # R12.6
    with pytest.raises(GeometryError, match="4 frames at 2 positions, and nothing tells"):
        load(slices.write(tmp_path, [instance([at(h) for h in (0, 2, 0, 2)])]))


def test_frames_without_a_position_are_refused(tmp_path):  # R12.6
    with pytest.raises(GeometryError, match="2 frames without ImagePositionPatient"):
        load(slices.write(tmp_path, [instance([{"StackID": "1"}] * 2)]))


def test_a_gap_between_frames_is_said_and_there_is_no_affine(tmp_path):  # R12.6
    with pytest.warns(ResultWarning, match="1 plane missing"):
        volume = load(slices.write(tmp_path, [instance([at(h) for h in (0, 2, 6, 8)])]))
    with pytest.raises(GeometryError, match="not uniform"):
        volume.dicom.affine


def test_enhanced_ct_has_hounsfield_units_and_the_window_of_its_frames(tmp_path):
    said = {"RescaleIntercept": -1024, "RescaleType": "HU", "WindowCenter": 40, "WindowWidth": 400}
    ct = instance([at(0), at(2)], enhanced.SHARED | said, SOPClassUID=enhanced.ENHANCED_CT, Modality="CT")
    volume = load(slices.write(tmp_path, [ct]))
    assert volume.dicom.units == "HU" and volume.values[0, 0, 0] == -1024
    assert volume.dicom.window == (40, 400)


def test_padding_is_rescaled_with_each_frame(tmp_path):  # R12.7
    frames = [at(0, RescaleSlope=2), at(2, RescaleSlope=3)]
    volume = load(slices.write(tmp_path, [instance(frames, PixelPaddingValue=1)]))
    assert np.argwhere(volume.dicom.padding.values).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"NumberOfFrames": 3}, "header says 3 frames"),
        ({"NumberOfFrames": 1}, "functional groups of 2 frames, NumberOfFrames is 1"),
        ({"Rows": 0}, "Rows and Columns"),
    ],
)
def test_a_header_that_contradicts_itself_costs_its_file(tmp_path, change, word):  # R12.9
    good, bad = instance([at(0), at(2)]), instance([at(4), at(6)], number=2, **change)
    paths = slices.write(tmp_path, [good, bad])
    with pytest.raises(BadFile, match=word):
        load(paths[1])
    with pytest.warns(ResultWarning, match=f"0001.dcm: .*{word}"):
        assert load(paths).sizes["z"] == 2


def test_the_order_of_files_and_a_second_copy_do_not_matter(tmp_path):  # R12.12
    datasets = [instance([at(h, TemporalPositionIndex=t) for h in (0, 2)], number=t) for t in (1, 2)]
    paths = slices.write(tmp_path, [*datasets, datasets[0]])
    one, other = load_all(paths), load_all(paths[1::-1])
    (first,), (second,) = one.values(), other.values()
    assert first.identical(second)
    assert "same instance" in one.report.why.str.cat()


def test_chunks_give_the_same_values_later(tmp_path):
    pytest.importorskip("dask")
    paths = slices.write(tmp_path, [instance([at(h, TemporalPositionIndex=t) for t in (1, 2) for h in (0, 2)])])
    later = load(paths, chunks={})
    assert later.chunks is not None
    np.testing.assert_array_equal(later.values, load(paths).values)


TRUTH = {
    "mr_enhanced_multiframe__In_Siemens_XA10__232823.0.0.0": 0,
    "mr_enhanced_multiframe__In_Philips__615250908935": None,
    "mr_d2n_good__philips_enhanced_anatomical_001__729824825182": 1e-6,
    "mr_d2n_good__hyperfine_anatomical_001__310972975451": 0,
    "seg_pm_sr_dcmqi__segmentations_23x38x3_multiframe__.3.3456.3456": 0,
    "seg_pm_sr_dcmqi__segmentations_24x38x3_multiframe__.3.3456.3456": 0,
}


@pytest.mark.parametrize("name", TRUTH)
def test_enhanced_series_have_the_geometry_and_voxels_other_programs_found(name):  # R12.4, R12.5, R12.7
    """dcm2niix gives one file for the magnitude and one for the field map of the Philips file; so do we."""
    truth = json.loads(shared(f"data/truth/{name}.json").read_text())
    paths = [path for path in sorted(shared(f"data/{truth['dir']}").rglob("*")) if path.is_file()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_all(paths)
    assert len(found) == len(truth["dcm2niix"])
    affine = np.array(truth["multiframe_header"]["header_affine_lps_ijk"])[:, [2, 1, 0, 3]]
    for volume, program in zip(found.values(), truth["dcm2niix"], strict=True):
        array = program["array"]
        spatial = volume.shape[-3:]
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in spatial], [1])).reshape(4, -1)
        assert np.abs(volume.dicom.affine @ corners - affine @ corners)[:3].max() < 0.01  # mm
        assert volume.shape == tuple(array["shape"])
        for *index, value in array["samples"]:
            assert volume.values[tuple(index)] == pytest.approx(value, rel=2e-6, abs=1e-4)
        assert volume.values.sum(dtype=np.float64) == pytest.approx(array["sum"], rel=1e-6)
        if "sha256_int32_le" in array:
            from test_truth import digests

            assert digests(volume.values)[1] == array["sha256_int32_le"]


@pytest.mark.parametrize("undefined", ["", "items", "all"])
@pytest.mark.parametrize("inner", [False, True])
def test_many_frames_are_read_alike_whatever_the_lengths_of_their_sequences(tmp_path, undefined, inner):  # PS3.5 7.5
    frames = [at(2 * n, RescaleSlope=n + 1, RealWorldValueSlope=1.0, CodeValue=f"u{n}") for n in range(30)]
    dataset = instance(frames)
    items = dataset.PerFrameFunctionalGroupsSequence
    dataset["PerFrameFunctionalGroupsSequence"].is_undefined_length = undefined == "all"
    for item in items:
        item.is_undefined_length_sequence_item = bool(undefined)
        for element in item:  # items inside that follow each other look like the items of frames
            element.is_undefined_length = inner
            element.value.append(element.value[0])
            for one in element.value:
                one.is_undefined_length_sequence_item = inner
    paths = slices.write(tmp_path, [dataset])
    header = parse_file(paths[0])[1]
    assert _quickly(header.raw[PER_FRAME][1], [RWV], implicit=False)
    groups = Groups(header, 30, [tag_of("PixelValueTransformationSequence"), RWV])
    assert groups.column(tag_of("PixelValueTransformationSequence"), tag_of("RescaleSlope")) == [*range(1, 31)]
    names = groups.column(RWV, tag_of("MeasurementUnitsCodeSequence"), tag_of("CodeValue"))
    assert names == [f"u{n}" for n in range(30)]
