"""The accessor .dicom: what it says stays right through slicing, flipping, arithmetic, concat and netCDF."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import slices
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomlab import load
from dicomlab.errors import GeometryError, InvalidRequest
from dicomlab.geometry import geometry
from dicomlab.geometry.positions import coordinates_of

ORDERS = list(itertools.product(itertools.permutations("zyx"), itertools.product((1, -1), repeat=3)))


def oblique(shape=(4, 5, 6), tilt=0.0, frame="1.2") -> xr.DataArray:
    six = np.array([0.94, 0.34, 0.02, -0.34, 0.939, 0.05])
    row = six[:3] / np.linalg.norm(six[:3])
    column = six[3:] - (six[3:] @ row) * row
    column /= np.linalg.norm(column)
    step = np.cross(row, column) * 3 + np.array([0, tilt, 0])
    positions = np.array([10.0, -20, 33]) + np.arange(shape[0])[:, None] * step
    grid = geometry.stack(positions, [*row, *column], (0.8, 0.6), shape[1:], 3.0)
    values = np.arange(np.prod(shape)).reshape(shape).astype(np.int16)
    return xr.DataArray(values, coordinates_of(grid, frame), ("z", "y", "x"), attrs={"units": "HU", "Modality": "CT"})


def places(volume: xr.DataArray) -> dict[int, tuple[float, ...]]:
    """Value of each voxel (all differ) to its position, by .dicom.position."""
    index = np.meshgrid(*[np.arange(n) for n in volume.shape], indexing="ij")
    points = volume.dicom.position(*index).reshape(-1, 3)
    return {int(value): tuple(point) for value, point in zip(volume.values.ravel(), points, strict=True)}


def same(one: dict, other: dict) -> bool:
    return set(one) >= set(other) and all(np.abs(np.subtract(one[v], other[v])).max() < 1e-9 for v in other)


@pytest.mark.parametrize(("order", "signs"), ORDERS)
@pytest.mark.parametrize("tilt", [0.0, 1.0])
def test_each_voxel_keeps_its_place_in_all_48_axis_orders(order, signs, tilt):
    volume = oblique(tilt=tilt)
    flips = {name: slice(None, None, sign) for name, sign in zip("zyx", signs, strict=True)}
    turned = volume.isel(flips).transpose(*order)
    assert same(places(volume), places(turned))
    index = np.array(np.meshgrid(*[np.arange(n) for n in turned.shape], [1], indexing="ij")).reshape(4, -1)
    by_affine = (turned.dicom.affine @ index)[:3].T
    assert np.abs(by_affine - turned.dicom.position(*index[:3])).max() < 0.005


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slicing_keeps_the_place_of_every_voxel_that_is_left(data):
    volume = oblique()
    for _ in range(2):
        name = data.draw(st.sampled_from("zyx"))
        size = volume.sizes[name]
        start = data.draw(st.integers(0, size - 1))
        step = data.draw(st.sampled_from([1, 2, -1, -2]))
        volume = volume.isel({name: slice(start, None, step)})
    assert same(places(oblique()), places(volume))


def test_a_slice_without_its_dimension_still_knows_its_place():
    volume = oblique()
    assert np.allclose(volume.isel(z=2).dicom.position(1, 3), volume.dicom.position(2, 1, 3))
    for outside in (99, -99, 0.5, [0, 99]):
        with pytest.raises(InvalidRequest, match="along z"):
            volume.dicom.position(outside, 0, 0)
    with pytest.raises(GeometryError, match="x, y and z"):
        volume.isel(z=2).dicom.affine


def test_an_axis_of_length_one_takes_its_spacing_from_the_geometry():
    volume = oblique().isel(z=[1], x=[0])
    assert volume.dicom.spacing == pytest.approx((3.0, 0.8, 0.6), abs=1e-3)


def test_arithmetic_keeps_a_shared_geometry_and_drops_unlike_ones():
    volume = oblique()
    assert np.array_equal((volume * 2 + volume).dicom.affine, volume.dicom.affine)
    other = oblique(frame="1.3")
    with pytest.raises(GeometryError, match="no geometry"):
        (volume + other).dicom.affine
    assert volume.dicom.same_grid(volume + 1) and not volume.dicom.same_grid(other)
    assert not volume.dicom.same_grid(volume.isel(z=slice(0, 2)))


def test_a_concat_of_unlike_geometries_is_refused_and_of_one_is_not():
    volume = oblique()
    both = xr.concat([volume.isel(z=slice(0, 2)), volume.isel(z=slice(2, 4))], "z", coords="minimal", compat="equals")
    assert np.array_equal(both.dicom.affine, volume.dicom.affine)
    mixed = xr.concat([volume, oblique(frame="1.3")], "time", coords="different", compat="equals", join="outer")
    with pytest.raises(GeometryError, match="several geometries"):
        mixed.dicom.affine


def test_coarsening_moves_the_voxel_centres():
    volume = oblique()
    half = volume.coarsen(y=5, x=2).mean()
    middle = (volume.dicom.position(0, 2, 0) + volume.dicom.position(0, 2, 1)) / 2
    assert np.allclose(half.dicom.position(0, 0, 0), middle)


def test_netcdf_keeps_the_geometry(tmp_path):
    pytest.importorskip("h5py")
    volume = oblique()
    volume.to_netcdf(tmp_path / "volume.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "volume.nc", engine="h5netcdf") as back:
        assert back.dicom.same_grid(volume) and np.array_equal(back.dicom.affine, volume.dicom.affine)
        assert (volume + back).dicom.spacing == volume.dicom.spacing


def test_no_geometry_lies_in_attrs(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4])))
    assert not {"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "affine"} & set(volume.attrs)
    assert volume.attrs["units"] == "HU" and volume.attrs["SeriesNumber"] == 4
    pytest.importorskip("h5py")
    volume.to_netcdf(tmp_path / "loaded.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "loaded.nc", engine="h5netcdf") as back:
        assert (
            back.dicom.same_grid(volume)
            and back.SOPInstanceUID.values.tolist() == volume.SOPInstanceUID.values.tolist()
        )


def test_sel_takes_the_sides_of_the_patient(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4, 6])))
    assert float(volume.dicom.sel(S=4.2).z) == 4 and float(volume.dicom.sel(I=-2).z) == 2
    assert float(volume.dicom.sel(R=10).x) == -10 and float(volume.dicom.sel(A=19).y) == -19
    assert volume.dicom.sel(S=slice(2, 5)).z.values.tolist() == [2, 4]
    assert volume.dicom.sel(I=slice(None, -4)).z.values.tolist() == [4, 6]
    assert volume.dicom.sel(S=slice(None, 2)).z.values.tolist() == [0, 2]
    with pytest.raises(GeometryError, match="outside"):
        volume.dicom.sel(S=40)
    with pytest.raises(InvalidRequest, match="no side"):
        volume.dicom.sel(Q=1)
    for place in ("a", None, float("nan"), slice("a", 3), [1, 2]):
        with pytest.raises(InvalidRequest, match=r"is no place\. Give mm"):
            volume.dicom.sel(S=place)
    with pytest.raises(InvalidRequest, match="one axis"):
        volume.dicom.sel(S=1, I=2)


def test_the_repr_names_each_axis_and_its_sides():
    text = repr(oblique().dicom)
    assert "z I to S, y A to P, x R to L" in text and oblique().dicom.orientation == "SPL"


def test_instances_are_the_rows_that_are_left(tmp_path):
    paths = slices.write(tmp_path, slices.stack([6, 4, 2, 0]))
    volume = load(paths)
    table = volume.isel(z=slice(1, 3)).dicom.instances
    assert table.SOPInstanceUID.tolist() == ["1.2.3.3", "1.2.3.2"] and table.z.tolist() == [2, 4]
    assert table.path.tolist() == [str(paths[2]), str(paths[1])]


def test_a_montage_is_a_grey_picture_with_the_aspect_of_the_patient(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 2, 4, 6], rows=8, columns=16)))
    picture = volume.dicom.montage(columns=2, width=200, window=(-800, 800))
    assert picture.mode == "L" and picture.size == (200, 200)  # 16 x 0.25 mm by 8 x 0.5 mm is a square
    assert np.asarray(picture).std() > 0
    assert volume.dicom.montage("y").size[0] > 0
    with pytest.raises(InvalidRequest, match="no dimension"):
        volume.dicom.montage("t")


def test_the_window_is_that_of_the_images_or_fits_the_values(tmp_path):
    given_ = load(slices.write(tmp_path / "a", slices.stack([0, 1], WindowCenter=[50, 1], WindowWidth=[350, 2])))
    assert given_.dicom.window == (50, 350)
    assert load(slices.write(tmp_path / "b", slices.stack([0, 1], Modality="MR"))).dicom.window[1] > 10


def test_what_is_rare_among_equal_values_is_seen_in_the_window(tmp_path):
    volume = load(slices.write(tmp_path, slices.stack([0, 1], rows=40, columns=40, Modality="MR")))
    lesion = volume.copy(data=np.zeros(volume.shape, np.float32))
    lesion[0, 3, 3:6] = [4, np.nan, np.inf]
    assert lesion.dicom.window == (2, 4)
    body = volume.copy(data=np.ones(volume.shape, np.float32)).assign_attrs(Modality="PT", units="GML")
    body[0, :, :20], body[0, 3, 3] = 0, 3
    assert body.dicom.window == (1.5, 3)  # what is hot is not as white as the body
    body[0, 3, 4] = 90
    assert body.dicom.window == (2, 4)  # nor is the body black because of a bladder
    assert (lesion > 0).dicom.window == (0.5, 1)  # a mask is black and white however little it holds


def test_three_sides_name_the_nearest_voxel_of_an_oblique_volume():
    volume = oblique()
    left, back, up = volume.dicom.position(2, 3, 4)
    assert volume.dicom.sel(R=-left, P=back, S=up).item() == volume.values[2, 3, 4]
    assert volume.dicom.sel(L=left, A=-back, I=-up).item() == volume.values[2, 3, 4]
