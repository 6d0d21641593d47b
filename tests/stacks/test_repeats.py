"""Several images at one position: what tells them apart, its axis, its coordinates and their units (R12.11)."""

from __future__ import annotations

import numpy as np
import pytest
import slices
from support import shared

from dicomlab import load, load_all
from dicomlab.errors import GeometryError, ResultWarning


def repeated(turns, heights=(0, 2, 4), **attributes):
    """An MR series with `turns` images at each height; `turns` are functions that change the image (plane, turn)."""
    found = []
    for turn, change in enumerate(turns):
        for plane, dataset in enumerate(slices.stack(heights, SOPClassUID=slices.MR, Modality="MR", **attributes)):
            dataset.InstanceNumber, dataset.SOPInstanceUID = 1000 - len(found), f"1.2.3.{turn}.{plane}"
            dataset.PixelData = np.full((4, 3), 10 * turn + plane, np.int16).tobytes()
            dataset.RescaleIntercept = 0
            change(dataset)
            found.append(dataset)
    return found


def private(group, creator, element, vr, value):
    def change(dataset):
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)

    return change


def setting(**attributes):
    def change(dataset):
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)

    return change


VENDORS = {
    "standard": [setting(DiffusionBValue=float(b)) for b in (0, 500, 1000)],
    "Siemens": [private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", b) for b in (0, 500, 1000)],
    "GE": [private(0x0043, "GEMS_PARM_01", 0x39, "IS", [1_000_000_000 + b, 8, 0, 0]) for b in (0, 500, 1000)],
    "Philips": [private(0x2001, "Philips Imaging DD 001", 0x03, "FL", float(b)) for b in (0, 500, 1000)],
    "UIH": [private(0x0065, "Image Private Header", 0x09, "FD", float(b)) for b in (0, 500, 1000)],
}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_b_values_are_found_where_each_vendor_writes_them(tmp_path, vendor, syntax):
    volume = load(slices.write(tmp_path, repeated(VENDORS[vendor]), syntax))
    assert volume.dims == ("b_value", "z", "y", "x") and volume.b_value.values.tolist() == [0, 500, 1000]
    assert volume.b_value.attrs["units"] == "s/mm2" and volume.values[:, 0, 0, 0].tolist() == [0, 10, 20]


def test_a_private_attribute_of_another_creator_is_no_b_value(tmp_path):
    turns = [private(0x0019, "SOMEBODY ELSE", 0x0C, "IS", b) for b in (0, 500)]
    with pytest.raises(GeometryError, match="nothing tells"):
        load(slices.write(tmp_path, [*repeated(turns)[:-1], repeated(turns, heights=(4, 6))[-1]]))


DIRECTIONS = ((0.0, 0.6, 0.8), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def gradients(vendor):
    turns = [setting(DiffusionBValue=0.0)]
    for way in DIRECTIONS:

        def change(dataset, way=way):
            dataset.DiffusionBValue = 1000.0
            if vendor == "standard":
                dataset.DiffusionGradientOrientation = list(way)
            elif vendor == "Siemens":
                private(0x0019, "SIEMENS MR HEADER", 0x0E, "FD", list(way))(dataset)
            elif vendor == "Philips":
                for axis, part in enumerate(way):
                    private(0x2005, "Philips MR Imaging DD 001", 0xB0 + axis, "FL", part)(dataset)

        turns.append(change)
    return turns


@pytest.mark.parametrize("vendor", ["standard", "Siemens", "Philips"])
def test_the_directions_of_one_b_value_tell_its_images_apart(tmp_path, vendor):
    datasets = repeated(gradients(vendor))
    for number, dataset in enumerate(datasets):
        dataset.InstanceNumber = number + 1
    volume = load(slices.write(tmp_path, datasets[::-1]))
    assert volume.b_value.values.tolist() == [0, 1000, 1000, 1000]
    found = np.stack([volume[f"gradient_{name}"].values for name in "xyz"], axis=1)
    assert found == pytest.approx(np.array([(0, 0, 0), *DIRECTIONS]), abs=1e-6)
    assert volume.values[:, 0, 0, 0].tolist() == [0, 10, 20, 30]


def test_an_incomplete_direction_is_left_out_and_said(tmp_path):
    with pytest.warns(ResultWarning, match="1 of 4 along b_value lack planes"):
        volume = load(slices.write(tmp_path, repeated(gradients("standard"))[:-1]))
    assert volume.sizes["b_value"] == 3





def typed(letters, **other):
    return [setting(ImageType=["ORIGINAL", "PRIMARY", letter, "ND"], **other) for letter in letters]


def test_magnitude_and_phase_make_an_axis_type(tmp_path):
    volume = load(slices.write(tmp_path, repeated(typed("PM"))))
    assert volume.dims == ("type", "z", "y", "x") and volume.type.values.tolist() == ["magnitude", "phase"]
    assert volume.sel(type="phase").values[:, 0, 0].tolist() == [0, 1, 2]


def test_each_type_has_its_own_rescale_and_units_only_where_they_share_them(tmp_path):
    datasets = repeated(typed("MP"))
    for dataset in datasets[3:]:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 2, -4096, "mrad"
    volume = load(slices.write(tmp_path, datasets))
    assert volume.values[:, 0, 0, 0].tolist() == [0, 2 * 10 - 4096] and volume.attrs["units"] == ""


def test_types_of_several_echoes_have_both_axes(tmp_path):
    turns = [turn for echo in (2.5, 5.0) for turn in typed("RI", EchoTime=echo)]
    volume = load(slices.write(tmp_path, repeated(turns)))
    assert volume.dims == ("type", "echo", "z", "y", "x") and volume.type.values.tolist() == ["real", "imaginary"]
    assert volume.echo.attrs["units"] == "ms" and volume.values[:, :, 0, 0, 0].tolist() == [[0, 20], [10, 30]]


def test_types_that_do_not_match_stay_volumes_of_their_own(tmp_path):
    turns = [*typed("M", EchoTime=2.5), *typed("M", EchoTime=5.0), *typed("P", EchoTime=5.0)]
    found = load_all(slices.write(tmp_path, repeated(turns)))
    assert sorted(volume.dims[0] for volume in found.values()) == ["echo", "z"]
    assert found.report.why.str.contains("ImageType").all()


def test_ge_tells_the_type_in_an_attribute_of_its_own(tmp_path):
    turns = [private(0x0043, "GEMS_PARM_01", 0x2F, "SS", kind) for kind in (0, 3, 2)]
    volume = load(slices.write(tmp_path, repeated(turns)))
    assert volume.type.values.tolist() == ["magnitude", "real", "imaginary"]
    assert volume.values[:, 0, 0, 0].tolist() == [0, 20, 10]


@pytest.mark.parametrize(
    ("keyword", "axis", "units"),
    [
        ("TriggerTime", "time", "ms"),
        ("FrameReferenceTime", "time", "ms"),
        ("EchoTime", "echo", "ms"),
        ("InversionTime", "inversion_time", "ms"),
        ("FlipAngle", "flip_angle", "deg"),
    ],
)
def test_an_axis_has_the_units_of_its_attribute(tmp_path, keyword, axis, units):
    volume = load(slices.write(tmp_path, repeated([setting(**{keyword: value}) for value in (10.0, 20.0)])))
    assert volume[axis].attrs == {"units": units, "long_name": keyword} and volume[axis].values.tolist() == [10, 20]


def test_cardiac_phases_whose_trigger_times_differ_from_plane_to_plane_are_phases_all_the_same(tmp_path):
    datasets = repeated([setting(), setting(), setting()])
    for index, dataset in enumerate(datasets):
        dataset.TriggerTime = 40 * (index // 3) + index % 3
    volume = load(slices.write(tmp_path, datasets))
    assert volume.dims[0] == "time" and volume.time.values.tolist() == [1, 41, 81]


def test_volumes_say_when_they_were_acquired_in_seconds(tmp_path):
    turns = [setting(TemporalPositionIdentifier=n + 1, AcquisitionTime=f"1200{2 * n:02}.5") for n in range(3)]
    volume = load(slices.write(tmp_path, repeated(turns)))
    assert volume.time.values.tolist() == [1, 2, 3] and volume.acquisition_time.values.tolist() == [0, 2, 4]
    assert volume.acquisition_time.attrs["units"] == "s" and volume.acquisition_time.dims == ("time",)


def test_of_two_axes_the_incomplete_step_of_the_first_is_left_out(tmp_path):
    turns = [setting(TemporalPositionIdentifier=t, EchoTime=e) for t in (1, 2, 3) for e in (2.0, 4.0)]
    paths = slices.write(tmp_path, repeated(turns)[:-1])
    with pytest.warns(ResultWarning, match="1 of 3 along time lack planes"):
        volume = load(paths)
    assert volume.sizes["time"] == 2 and volume.sizes["echo"] == 2
    left = load_all(paths).report
    assert len(left.instances[0]) == 5 and left.severity.tolist() == ["warning"]


def test_the_number_of_temporal_positions_names_what_only_the_numbers_tell_apart(tmp_path):
    datasets = repeated([setting(NumberOfTemporalPositions=2)] * 2)
    for number, dataset in enumerate(datasets):
        dataset.InstanceNumber = number + 1
    with pytest.warns(ResultWarning, match="only InstanceNumber"):
        assert load(slices.write(tmp_path, datasets)).dims[0] == "time"


@pytest.mark.parametrize(
    ("folder", "axis", "length", "values"),
    [("mr_canon_dti_oblique_4d", "b_value", 13, [0, 1500]), ("mr_ge_fmri_4d", "time", 10, [0, 1])],
)
def test_real_series_have_their_axis(folder, axis, length, values):
    paths = [path for path in sorted((shared(f"data/{folder}") / "In").rglob("*")) if path.is_file()]
    found = [volume for volume in load_all(paths).values() if volume.ndim == 4]
    assert [volume.dims[0] for volume in found] == [axis] and found[0].sizes[axis] == length
    assert found[0][axis].values[:2].tolist() == values


def test_the_directions_of_canon_are_those_dcm2niix_gives():
    folder = shared("data/mr_canon_dti_oblique_4d")
    volume = load([path for path in sorted((folder / "In").rglob("*")) if path.is_file()])  # and nothing is warned of
    (told,) = (folder / "Ref").glob("*.bvec")
    theirs = np.loadtxt(told)  # along the rows of the image, against the columns (NIfTI turns them), and the normal
    ways = np.stack([volume[f"gradient_{name}"].values for name in "xyz"])
    z, y, x = volume.isel(b_value=0).dicom.direction.T @ ways
    assert np.abs(np.stack([x, -y, z]) - theirs).max() < 1e-6
    assert np.abs(np.linalg.norm(ways, axis=0)[1:] - 1).max() < 1e-3


@pytest.mark.parametrize("comment", ["b=1500", "b=1500(0.1,0.2)", "a note (1.0,0.0,0.0)", "b=1500(x,y,z)"])
def test_a_comment_that_is_no_direction_is_none(tmp_path, comment):
    turns = [setting(DiffusionBValue=b, ImageComments=comment, Manufacturer="CANON") for b in (0.0, 1e3)]
    volume = load(slices.write(tmp_path, repeated(turns)))
    assert volume.dims[0] == "b_value" and "gradient_x" not in volume.coords
