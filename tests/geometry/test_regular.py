"""A regular grid for tilted, gapped and uneven volumes: values as scipy and SimpleITK compute them, affine exact."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from grids import AXIAL, BACKWARDS, OBLIQUE, SAGITTAL, expected, grid
from scipy.interpolate import RegularGridInterpolator
from support import shared

from dicomlab import load, scan
from dicomlab.errors import GeometryError, InvalidRequest, ResultWarning
from dicomlab.geometry import geometry
from dicomlab.geometry.positions import coordinates_of

STEP = 2.0**-12


def tilted(degrees=20.0, shape=(6, 9, 7), spacing=(3.0, 1.0, 1.25), heights=None, frame="1.2"):
    """Planes tilted about x by a gantry, stacked along the table (patient z), with values that are no line."""
    angle = np.radians(degrees)
    six = np.array([1, 0, 0, 0, np.cos(angle), -np.sin(angle)])
    heights = np.arange(shape[0]) * spacing[0] if heights is None else np.array(heights, float)
    corner = np.array([-4.0, -5.0, -6.0])
    found = geometry.stack(corner + heights[:, None] * [0, 0, 1.0], six, spacing[1:], shape[1:], spacing[0])
    values = np.random.default_rng(3).normal(size=(len(heights), *shape[1:]))
    return xr.DataArray(values, coordinates_of(found, frame), ("z", "y", "x"), attrs={"units": "HU"})


def by_scipy(volume, target):
    """Trilinear values at the voxels of a grid, NaN outside the voxel centres."""
    at = [np.asarray(volume[name].values, float) for name in "zyx"]
    work = RegularGridInterpolator(at, volume.transpose("z", "y", "x").values, bounds_error=False)
    places = target.dicom.position(*np.meshgrid(*map(np.arange, target.shape), indexing="ij"))
    local = places @ np.linalg.inv(volume.dicom.matrix).T
    return work(local[..., ::-1])


def same_where_known(found, wanted):
    known = np.isfinite(wanted)
    assert known.mean() > 0.5 and np.isfinite(found.values[known]).all()
    assert np.abs(found.values[known] - wanted[known]).max() < 2e-3  # coordinates are multiples of 2^-12 mm


def test_a_tilted_stack_gets_axes_at_right_angles_and_the_values_scipy_computes():  # R12.6
    volume = tilted()
    found = volume.dicom.regular()
    matrix = found.dicom.matrix
    assert np.abs(matrix.T @ matrix - np.eye(3)).max() < 1e-5
    same_where_known(found, by_scipy(volume, found))
    # every plane stays a plane: as many as before, the distance along their normal
    assert found.sizes["z"] == 6 and found.sizes["x"] == 7 and found.sizes["y"] > 9
    np.testing.assert_allclose(found.dicom.spacing, (3 * np.cos(np.radians(20)), 1.0, 1.25), atol=1e-4)
    assert found.attrs["units"] == "HU" and found.dicom.frame_of_reference == "1.2"


def test_the_affine_of_the_grid_is_exactly_that_of_its_voxels():
    for volume in (tilted(), tilted(-14.0), grid(OBLIQUE, heights=[0, 2, 4, 10])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = volume.dicom.regular()
        corners = np.array([[0, 0, 0, 1], [n - 1 for n in found.shape] + [1]]).T
        by_affine = (found.dicom.affine @ corners)[:3].T
        by_position = [found.dicom.position(0, 0, 0), found.dicom.position(*(n - 1 for n in found.shape))]
        assert np.abs(by_affine - by_position).max() < STEP
        first = volume.dicom.position(0, 0, 0)  # every voxel centre lies inside, within half a step
        last = volume.dicom.position(*(n - 1 for n in volume.shape))
        for place in (first, last):
            index = np.linalg.solve(found.dicom.affine, [*place, 1])[:3]
            assert (index > -0.5).all() and (index < np.array(found.shape) - 0.5).all()


def test_simpleitk_computes_the_same_from_the_sheared_volume():
    itk = pytest.importorskip("SimpleITK", reason="the extra itk is not installed")
    volume = tilted()
    found = volume.dicom.regular(1.0)
    # SimpleITK has no sheared images: the volume as bare voxels, and the whole geometry in an affine transform
    bare = itk.GetImageFromArray(volume.values)
    image = found.dicom.to_sitk()
    matrix = volume.dicom.affine[:, [2, 1, 0, 3]]
    inverse = np.linalg.inv(matrix)
    transform = itk.AffineTransform(inverse[:3, :3].ravel().tolist(), inverse[:3, 3].tolist())
    theirs = itk.GetArrayFromImage(itk.Resample(bare, image, transform, itk.sitkLinear, -99.0))
    inside = np.isfinite(by_scipy(volume, found))
    assert inside.mean() > 0.4 and np.abs(theirs - found.values)[inside].max() < 2e-3


def test_missing_planes_are_worked_out_from_those_beside_them_and_said():  # R12.6
    volume = grid(heights=[0, 2, 4, 10, 12])
    with pytest.warns(ResultWarning, match="2 planes missing") as caught:
        found = volume.dicom.regular()
    assert caught[0].filename == __file__ and found.sizes["z"] == 7
    assert np.diff(found.z.values).tolist() == [2.0] * 6
    assert np.abs(found.values - expected(found)).max() < 0.01
    same_where_known(found, by_scipy(volume, found))
    there = found.sel(z=volume.z.values)  # planes that are there are what they were
    assert np.array_equal(there.values, volume.values)


def test_unequal_steps_become_the_least_of_them():
    volume = tilted(0.0, (5, 4, 4), heights=[0, 1, 2.5, 4, 8])
    with pytest.warns(ResultWarning, match="unequal"):
        found = volume.dicom.regular()
    assert found.dicom.spacing[0] == 1.0 and found.sizes["z"] == 9
    same_where_known(found, by_scipy(volume, found))


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE, SAGITTAL, BACKWARDS])
def test_the_axes_of_the_patient_and_one_spacing(orientation):
    volume = grid(orientation, (12, 13, 14), (3, 2, 1.5))
    found = volume.dicom.regular(1.5, axes="patient")
    assert found.dicom.matrix.tolist() == np.eye(3).tolist() and found.dicom.spacing == (1.5, 1.5, 1.5)
    inside = np.isfinite(by_scipy(volume, found))
    assert np.abs(found.values - expected(found))[inside].max() < 0.01
    kept = volume.dicom.regular(axes="patient").dicom.spacing
    assert sorted(kept) == [1.5, 2, 3] or orientation is OBLIQUE


def test_what_is_regular_stays_as_it_is_and_directions_are_kept():
    volume = grid(OBLIQUE)
    assert volume.dicom.regular().identical(volume)
    flipped = tilted().isel(z=slice(None, None, -1), x=slice(None, None, -1))
    found = flipped.dicom.regular()
    assert found.dicom.orientation == flipped.dicom.orientation
    same_where_known(found, by_scipy(tilted(), found))
    turned = tilted().transpose("x", "z", "y").dicom.regular()
    assert turned.dims == ("x", "z", "y")
    same_where_known(turned.transpose("z", "y", "x"), by_scipy(tilted(), turned.transpose("z", "y", "x")))


def test_masks_and_dimensions_in_front_go_along():
    mask = tilted() > 0
    assert mask.dicom.regular().dtype == bool and not mask.dicom.regular().values[0, -1].any()
    times = xr.concat([tilted(), tilted() + 1], xr.DataArray([0.0, 2.0], dims="time", name="time"))
    found = times.dicom.regular(fill=-1000)
    assert found.dims == ("time", "z", "y", "x") and (found == -1000).any()
    alone = tilted(frame="")  # a frame of reference without a name is its own all the same
    assert alone.dicom.regular().dicom.frame_of_reference == ""


@pytest.mark.parametrize("spacing", [0, -1, (1, 2), "2", (1, 2, 0), float("nan"), True, [1, 1, "1"]])
def test_a_spacing_that_is_none_is_refused(spacing):  # R0.4
    with pytest.raises(InvalidRequest, match="Give a number of mm, or three of them for z, y, x"):
        tilted().dicom.regular(spacing)


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidRequest, match='"planes" or "patient"'):
        tilted().dicom.regular(axes="scanner")
    with pytest.raises(InvalidRequest, match="cubic"):
        tilted().dicom.regular(method="cubic")
    with pytest.raises(GeometryError, match="isel"):
        tilted().isel(z=1).dicom.regular()
    with pytest.raises(GeometryError, match=r"no geometry\. A picture without a position has none"):
        tilted().drop_vars("geometry").isel(z=0).dicom.regular()


def test_a_tilted_series_goes_to_every_library_afterwards():
    folder = shared("data/ct_tilt_siemens_4slices")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume = load(scan(folder))
    with pytest.raises(GeometryError, match=r"volume\.dicom\.regular\(\)"):
        volume.dicom.to_sitk()
    found = volume.dicom.regular(fill=-1024)
    same_where_known(found, by_scipy(volume, found))
    itk = pytest.importorskip("SimpleITK", reason="the extra itk is not installed")
    image = found.dicom.to_sitk()
    index = [30, 200, 2]
    assert image[index] == found.values[2, 200, 30] and isinstance(image, itk.Image)
    place = image.TransformIndexToPhysicalPoint(index)
    np.testing.assert_allclose(place, found.dicom.position(2, 200, 30), atol=1e-3)
