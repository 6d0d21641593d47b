"""The static picture of a volume: no pyplot, sides of the patient, window, units, and what it is not for."""

from __future__ import annotations

import doctest
import io
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
import slices
from pydicom.data import get_testdata_file
from support import ROOT, words

import dicomlab.volumes.montage
import dicomlab.volumes.windows
from dicomlab import load, load_all
from dicomlab.errors import GeometryError, InvalidRequest
from dicomlab.volumes.montage import montage
from dicomlab.volumes.windows import PRESETS, checked_window
from dicomlab.widgets.figure import view


def test_a_figure_names_sides_window_units_and_its_use(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4, 6], SeriesDescription="thorax $5")))
    figure = view(volume, window=(40, 400))
    said = words(figure)
    assert {"A", "P", "R", "L"} <= set(said) and "window 40 / 400 HU" in said
    assert "research use, not for diagnosis" in said and "CT 4 thorax $5" in said
    assert len(figure.axes) == 4 and "z 6.0" in said
    target = io.BytesIO()
    figure.savefig(target)
    assert target.getvalue().startswith(b"\x89PNG")


def test_a_sagittal_series_has_other_sides(tmp_path):
    datasets = slices.stack([0, 2], ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    for number, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = [2 * number, 0, 0]
    assert {"A", "P", "S", "I"} <= set(words(view(load(slices.write(tmp_path, datasets)))))


def test_one_slice_a_gap_a_picture_and_another_axis_can_be_seen(tmp_path):
    volume = load(slices.write(tmp_path / "a", slices.stack([0, 2, 4])))
    assert len(view(volume.isel(z=1)).axes) == 1 and len(view(volume.isel(z=[0])).axes) == 1
    assert len(view(volume.isel(z=[0, 2]), axis="y").axes) == 4
    attributes = {"ImagePositionPatient": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"}
    picture = load(slices.write(tmp_path / "b", slices.stack([0], **attributes)))
    assert "A" not in words(view(picture))


@pytest.mark.parametrize(("gone", "sides"), [("x", "SIAP"), ("y", "SIRL"), ("z", "APRL")])
def test_any_single_plane_is_shown_with_its_sides(tmp_path, gone, sides):  # R15.5
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4, 6])))
    figure = view(volume.isel({gone: 1}))
    said = words(figure)
    assert len(figure.axes) == 1 and f"{gone} {float(volume[gone][1]):.1f}" in said
    top, bottom, left, right = (text.get_text() for text in figure.axes[0].texts[1:])
    assert top + bottom + left + right == sides
    alone = " × ".join(f"{length} {name}" for name, length in volume.isel({gone: 1}).sizes.items())
    assert any(word.startswith(alone) for word in said)
    assert view(volume.isel({gone: 1}).T).axes  # however its dimensions are ordered


def test_a_maximum_along_an_axis_lies_nowhere_on_it_and_has_its_sides(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4, 6])))
    said = words(view(volume.max("y")))
    assert {"S", "I", "R", "L"} <= set(said) and not any(re.fullmatch(r"y -?[\d.]+", word) for word in said)
    bare = volume.isel(x=1).drop_vars(["geometry", "x"])
    assert not {"S", "I", "A", "P"} & set(words(view(bare)))  # without a geometry there are no sides


def test_slices_across_x_and_y_have_the_head_up(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4, 6])))
    for axis in "xy":
        first = view(volume, axis=axis).axes[0]
        assert first.texts[1].get_text() == "S"
        picture = np.asarray(first.images[0].get_array())
        cut = volume.isel({axis: 0}).values
        assert np.array_equal(picture, dicomlab.volumes.montage.grey(cut[::-1], volume.dicom.window))


def test_what_is_no_volume_is_refused():
    with pytest.raises(InvalidRequest, match="takes a volume"):
        view([1, 2])


@pytest.mark.parametrize("window", ["lungs", (40,), (40, 0), (40, float("nan")), 400, ("a", "b"), b"lung"])
def test_a_window_that_is_none_is_refused_and_says_what_there_is(tmp_path, window):  # R0.4
    volume = load(slices.write(tmp_path, slices.stack([0, 2])))
    for look in (view, montage):
        with pytest.raises(InvalidRequest, match=r"window.* such as \(40, 400\).* lung, bone, soft tissue, brain"):
            look(volume, window=window)


def test_a_window_of_ct_has_a_name_and_is_for_hu_alone(tmp_path):  # R15.5
    volume = load(slices.write(tmp_path, slices.stack([0, 2])))
    assert "window -600 / 1500 HU" in words(view(volume, window="lung"))
    assert "window 40 / 400 HU" in words(view(volume, window="Soft_Tissue"))
    assert montage(volume, window="bone").tobytes() == montage(volume, window=(400, 1800)).tobytes()
    volume.attrs["units"] = ""
    with pytest.raises(InvalidRequest, match="'brain' is for CT in HU, and these values are in no known unit"):
        view(volume, window="brain")


def test_a_name_that_is_nearly_a_window_is_named():
    with pytest.raises(InvalidRequest, match="did you mean 'bone'"):
        checked_window("bonn", "HU")
    assert {name: checked_window(name, "HU") for name in PRESETS} == PRESETS


@pytest.mark.parametrize(("most", "shown"), [(1, 1), (3, 3), (4, 4), (5, 4), (6, 4), (7, 7), (20, 7)])
def test_the_slices_shown_are_the_same_step_apart_and_centred(tmp_path, most, shown):
    volume = load(slices.write(tmp_path, slices.stack(range(0, 14, 2))))
    said = [word for word in words(view(volume, slices=most)) if re.fullmatch(r"z -?[\d.]+", word)]
    places = [float(word[2:]) for word in said]
    assert len(places) == shown and len({b - a for a, b in itertools.pairwise(places)}) <= 1
    assert abs((places[0] - 0) - (12 - places[-1])) <= 2  # what is left over is shared between both ends


def test_an_image_without_a_position_says_so(tmp_path):
    alone = slices.image(np.zeros((4, 3), np.int16), None, 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    assert "4 y × 3 x   ·   no position in the patient" in words(view(load(slices.write(tmp_path, [alone]))))


def test_three_slices_lie_side_by_side(tmp_path):
    figure = view(load(slices.write(tmp_path, slices.stack([0, 2, 4], rows=8, columns=8))))
    assert len({round(axes.get_position().y0, 3) for axes in figure.axes}) == 1


def test_what_cannot_be_shown_is_refused_with_what_to_do_instead(tmp_path):  # R0.4
    paths = slices.write(tmp_path, slices.stack([0, 2]))
    volume = load(paths)
    with pytest.raises(InvalidRequest, match=r"nothing is selected.*z 0"):
        view(volume.sel(z=slice(9000, 9001)))
    with pytest.raises(GeometryError, match=r"and x and y are gone.*volume\.plot\(\)"):
        view(volume.isel(x=0, y=1))
    with pytest.raises(InvalidRequest, match=r"not time.*isel\(time=0\)"):
        view(volume.expand_dims("time"), axis="time")
    with pytest.raises(InvalidRequest, match=r"not Volumes\. Take one of them by its name, such as 'CT 4'"):
        view(load_all(paths))
    with pytest.raises(InvalidRequest, match=r"not Structures\. It is no image; print it"):
        view(load(get_testdata_file("rtstruct.dcm")))


@pytest.mark.parametrize("choice", [{"slices": 0}, {"slices": 2.5}, {"slices": "4"}, {"width": 0}, {"width": "10"}])
def test_a_number_that_is_none_is_refused(tmp_path, choice):  # R0.4
    volume = load(slices.write(tmp_path, slices.stack([0, 2])))
    with pytest.raises(InvalidRequest, match="Give "):
        view(volume, **choice)


def test_the_examples_run():
    for module in (dicomlab.volumes.windows, dicomlab.volumes.montage):
        failed, attempted = doctest.testmod(module)
        assert attempted and not failed


def test_a_figure_needs_no_pyplot():
    code = "import sys, dicomlab.widgets.figure as f, matplotlib.figure; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "False"


@pytest.mark.parametrize("choice", [{"columns": 0}, {"columns": 2.5}, {"columns": "3"}, {"width": 0}, {"slices": True}])
def test_a_montage_of_no_columns_is_refused(tmp_path, choice):  # R0.4
    volume = load(slices.write(tmp_path, slices.stack([0, 2])))
    with pytest.raises(InvalidRequest, match="Give a whole number from 1 upwards"):
        volume.dicom.montage(**choice)
    assert volume.isel(x=1).dicom.montage().size[0] > 0  # a single plane too
