"""The array on another grid: by place in the patient, linear functions exactly, nothing outside invented."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest
import xarray as xr
from grids import AXIAL, BACKWARDS, OBLIQUE, SAGITTAL, expected, grid

import dicomlab.volumes.volume
from dicomlab.errors import GeometryError, InvalidRequest, ResultWarning


@pytest.mark.parametrize(
    ("one", "other"), list(itertools.product([AXIAL, OBLIQUE, SAGITTAL, BACKWARDS], repeat=2))
)
def test_a_linear_function_is_carried_exactly_between_any_two_grids(one, other):  # DESIGN 6
    large, small = grid(one, (30, 31, 32), (2, 1.7, 1.9)), grid(other, (5, 6, 4), (2.3, 1, 3), (1.1, -2.2, 3.3))
    found = large.dicom.like(small)
    assert found.dims == ("z", "y", "x") and found.dtype == np.float64 and found.attrs["units"] == "Gy"
    assert np.abs(found.values - expected(small)).max() < 0.01  # coordinates are multiples of 2^-12 mm
    assert found.dicom.same_grid(small)
    mask = (large > 0).dicom.like(small)
    assert mask.dtype == bool
    sure = np.abs(expected(small)) > 25  # half a voxel each way changes the value by less
    assert sure.any() and np.array_equal(mask.values[sure], expected(small)[sure] > 0)


@pytest.mark.parametrize("orientation", [AXIAL, BACKWARDS, SAGITTAL, OBLIQUE])
def test_outside_is_nan_false_or_zero_and_a_voxel_reaches_half_a_step_beyond_its_centre(orientation):
    small = grid(orientation, (3, 3, 3), (2, 2, 2))
    large = grid(orientation, (21, 21, 21), (0.75, 0.75, 0.75))
    inside = np.abs(np.arange(21) - 10) * 0.75 <= 3
    cube = inside[:, None, None] & inside[:, None] & inside
    assert np.array_equal(~np.isnan(small.dicom.like(large).values), cube)
    assert np.array_equal((small == small).dicom.like(large).values, cube)
    whole = xr.ones_like(small, dtype=np.int16)
    assert np.array_equal(whole.dicom.like(large, "nearest").values, cube.astype(np.int16))
    assert np.array_equal(whole.dicom.like(large, fill=-1).values == -1, ~cube)


def test_a_plane_alone_is_as_thick_as_its_spacing_says():
    plane = grid(shape=(1, 4, 4), spacing=(5, 1, 1))
    target = grid(shape=(9, 4, 4), spacing=(1, 1, 1))
    assert (~np.isnan(plane.dicom.like(target).values[:, 0, 0])).tolist() == [False, False, *[True] * 5, False, False]


def test_dimensions_without_place_stay_and_coordinates_of_planes_go():
    volume = grid().astype(np.float32).assign_coords(SOPInstanceUID=("z", list("abcdef")), path="p")
    times = xr.concat([volume, volume + 1], xr.DataArray([0.0, 2.0], dims="time", name="time"))
    colour = times.expand_dims(channel=["red", "green"], axis=-1)
    target = grid(shape=(3, 3, 3), spacing=(1, 1, 1))
    found = colour.dicom.like(target)
    assert found.dims == ("time", "z", "y", "x", "channel") and found.dtype == np.float32
    assert "SOPInstanceUID" not in found.coords and found.path.item() == "p" and found.time.values.tolist() == [0, 2]
    assert np.abs(found.isel(time=1, channel=0).values - expected(target) - 1).max() < 0.01


def test_unequal_steps_are_interpolated_by_place_and_said():  # R12.6
    gap = grid(heights=[0, 2, 4, 10, 12])
    target = grid(shape=(9, 3, 3), spacing=(1, 1, 1))
    with pytest.warns(ResultWarning, match="2 planes missing") as caught:
        found = gap.dicom.like(target)
    assert caught[0].filename == __file__
    assert np.abs(found.values - expected(target)).max() < 0.01


def test_two_frames_of_reference_are_refused_by_both_their_names():
    with pytest.raises(GeometryError, match=r"1\.2 and 9\.9"):
        grid().dicom.like(grid(shape=(3, 3, 3), frame="9.9"))
    with pytest.raises(GeometryError, match="none"):
        grid(frame="").dicom.like(grid(shape=(3, 3, 3), frame=""))


def test_what_is_no_volume_or_method_is_refused_and_an_equal_grid_copied():
    volume = grid()
    with pytest.raises(GeometryError, match="isel"):
        volume.isel(z=2).dicom.like(grid(OBLIQUE))
    with pytest.raises(InvalidRequest, match="cubic"):
        volume.dicom.like(grid(OBLIQUE), "cubic")
    for other in (None, volume.values):
        with pytest.raises(InvalidRequest, match="a volume is needed, not"):
            volume.dicom.like(other)
    with pytest.raises(InvalidRequest, match="cubic"):
        volume.dicom.like(volume, "cubic")
    same = volume.dicom.like(volume)
    assert same.identical(volume) and same is not volume


def test_the_example_of_like_runs():
    failed, tried = doctest.testmod(dicomlab.volumes.volume)
    assert tried > 3 and not failed
