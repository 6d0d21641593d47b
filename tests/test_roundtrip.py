"""Geometry to files and back: each voxel is where the headers put it in the patient (DESIGN 6)."""

from __future__ import annotations

import itertools
import random
import warnings

import numpy as np
import pydicom
import pytest
import slices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.valuerep import format_number_as_ds

from dicomlab import load, load_all
from dicomlab.errors import DicomlabError, GeometryError, ResultWarning
from dicomlab.geometry.geometry import SAME_DIRECTION

NEAR = 1e-3  # mm
POSITIONS = ("HFS", "HFP", "FFS", "FFP", "HFDL", "HFDR", "FFDL", "FFDR")
AXES = np.eye(3)
#: Row and column direction along the axes of the patient, and the files numbered up or down: all 48 orders.
ORDERS = [
    (sign * AXES[row], other * AXES[column], up)
    for row, column in itertools.permutations(range(3), 2)
    for sign, other in itertools.product((1, -1), repeat=2)
    for up in (1, -1)
]


def rotation(seed: int) -> np.ndarray:
    """A random rotation."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def ds(values) -> list[float]:
    """Numbers as a decimal string holds them (16 characters)."""
    return [float(format_number_as_ds(float(value))) for value in values]


def files(folder, first, turn, steps, spacing, shape=(3, 4), jitter=None, **attributes):
    """A series with planes at first + steps, in random order; the position of each voxel by its stored value."""
    datasets, truth = [], {}
    rows, columns = shape
    for plane, step in enumerate(steps):
        stored = (plane * rows * columns + np.arange(rows * columns)).reshape(shape).astype(np.uint16)
        six = np.concatenate([turn[:, 0], turn[:, 1]]) + (0 if jitter is None else jitter[plane])
        six, start = ds(six), ds(first + step)
        dataset = slices.image(stored, None, plane + 1, RescaleIntercept=0, **attributes)
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing = start, six, ds(spacing)
        datasets.append(dataset)
        for row in range(rows):
            for column in range(columns):
                along = dataset.PixelSpacing[1] * column * np.array(six[:3])
                down = dataset.PixelSpacing[0] * row * np.array(six[3:])
                truth[int(stored[row, column])] = np.array(start) + along + down
    random.Random(len(truth)).shuffle(datasets)
    return slices.write(folder, datasets), truth


def check(volume, truth, near=NEAR):
    """Every voxel is at its place."""
    index = np.meshgrid(*[np.arange(n) for n in volume.shape], indexing="ij")
    places = volume.dicom.position(*index).reshape(-1, 3)
    assert sorted(volume.values.ravel().tolist()) == sorted(truth)
    expected = np.array([truth[int(value)] for value in volume.values.ravel()])
    assert np.abs(places - expected).max() < near


def quietly(paths):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        return load(paths)


FREE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
SEEDS = st.integers(0, 2**31)
SPACING = st.tuples(st.floats(0.1, 3), st.floats(0.1, 3))


@pytest.mark.parametrize(("row", "column", "up"), ORDERS)
def test_all_48_axis_orders_come_back(tmp_path, row, column, up):
    turn = np.stack([row, column, np.cross(row, column)], axis=1)
    first = np.array([-11.5, 7.25, 130.0])
    paths, truth = files(tmp_path, first, turn, [2.5 * up * k * turn[:, 2] for k in range(4)], (0.7, 0.4))
    volume = load(paths)
    check(volume, truth)
    index = np.array([[3, 2, 3, 1], [0, 0, 0, 1]]).T
    corners = (volume.dicom.affine @ index)[:3].T
    assert np.abs(corners - [truth[int(volume.values[3, 2, 3])], truth[int(volume.values[0, 0, 0])]]).max() < NEAR


@settings(max_examples=30, **FREE)
@given(SEEDS, SPACING, st.floats(0.3, 8), st.integers(1, 7))
def test_oblique_series_come_back(tmp_path, seed, spacing, step, count):
    turn = rotation(seed)
    first = np.random.default_rng(seed).uniform(-400, 400, 3)
    steps = [step * k * turn[:, 2] for k in range(count)]
    paths, truth = files(tmp_path, first, turn, steps, spacing, SliceThickness=step)
    volume = load(paths)  # no warning: nothing is wrong with it
    check(volume, truth)
    assert volume.dicom.spacing == pytest.approx((step, *spacing), abs=NEAR)


@settings(max_examples=20, **FREE)
@given(SEEDS, st.floats(1, 30), st.booleans())
def test_sheared_series_come_back_and_the_tilt_is_said(tmp_path, seed, degrees, across):  # R12.6
    turn = rotation(seed)
    beside = np.tan(np.radians(degrees)) * turn[:, 0 if across else 1]
    paths, truth = files(tmp_path, np.zeros(3), turn, [3.0 * k * (turn[:, 2] + beside) for k in range(5)], (0.5, 0.6))
    with pytest.warns(ResultWarning, match="tilted by"):
        volume = load(paths)
    check(volume, truth)
    assert volume.dicom.affine.shape == (4, 4)


@settings(max_examples=20, **FREE)
@given(SEEDS, st.sets(st.integers(0, 9), min_size=3, max_size=8))
def test_series_with_gaps_come_back_without_an_affine(tmp_path, seed, kept):  # R12.6
    turn = rotation(seed)
    paths, truth = files(tmp_path, np.full(3, 50.0), turn, [2.0 * k * turn[:, 2] for k in kept], (0.5, 0.6))
    volume = quietly(paths)
    check(volume, truth)
    even = len(set(np.diff(sorted(kept)))) == 1
    if even:
        assert volume.dicom.affine.shape == (4, 4)
    else:
        assert load_all(paths).report.severity.tolist() == ["warning"]
        with pytest.raises(GeometryError, match="not uniform"):
            volume.dicom.affine


@settings(max_examples=20, **FREE)
@given(SEEDS)
def test_orientations_that_jitter_within_the_tolerance_are_one_series(tmp_path, seed):
    chance = np.random.default_rng(seed)
    turn, count = rotation(seed), 5
    jitter = chance.uniform(-SAME_DIRECTION / 2, SAME_DIRECTION / 2, (count, 6)) * 0.99
    steps = [3.0 * k * turn[:, 2] for k in range(count)]
    paths, truth = files(tmp_path, np.zeros(3), turn, steps, (1, 1), jitter=jitter)
    volume = quietly(paths)
    check(volume, truth, NEAR + 6 * SAME_DIRECTION)  # the mean is taken: a voxel 6 mm away is off by so much at most
    again = load_all(paths[::-1])
    (other,) = again.values()
    assert other.identical(volume)


def test_orientations_beyond_the_tolerance_are_series_of_their_own_whatever_the_order_of_files(tmp_path):
    jitter = np.zeros((6, 6))
    jitter[:, 0] = [0, 0, 1.5e-4, 1.5e-4, 3e-4, 3e-4]  # neighbours are near each other, the ends are not
    paths, _ = files(tmp_path, np.zeros(3), np.eye(3), [3.0 * k * AXES[2] for k in range(6)], (1, 1), jitter=jitter)
    with pytest.raises(GeometryError, match="orientation"):
        load(paths)
    several = [sorted(map(len, load_all(order).values())) for order in itertools.permutations(paths, 6)][::120]
    assert len(several) == 6 and all(one == several[0] for one in several)


@pytest.mark.parametrize("position", POSITIONS)
def test_feet_first_and_decubitus_change_no_place(tmp_path, position):  # ImagePositionPatient is the patient's already
    turn = rotation(3)
    steps = [3.0 * k * turn[:, 2] for k in range(3)]
    paths, truth = files(tmp_path, np.zeros(3), turn, steps, (1, 1))
    more, _ = files(tmp_path / "lying", np.zeros(3), turn, steps, (1, 1), PatientPosition=position)
    volume = load(more)
    check(volume, truth)
    assert volume.attrs["PatientPosition"] == position and volume.dicom.same_grid(load(paths))


@settings(max_examples=12, **FREE)
@given(SEEDS, st.integers(0, 4))
def test_a_second_copy_of_a_file_changes_nothing_and_another_image_at_its_place_is_refused(tmp_path, seed, twice):
    turn = rotation(seed)
    paths, truth = files(tmp_path, np.zeros(3), turn, [3.0 * k * turn[:, 2] for k in range(5)], (1, 1))
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(paths[twice].read_bytes())
    check(load([*paths, copy]), truth)
    assert load_all([*paths, copy]).report.severity.tolist() == ["note"]
    dataset = pydicom.dcmread(copy)
    dataset.SOPInstanceUID += ".9"
    dataset.save_as(copy)
    with pytest.raises(GeometryError, match="6 images at 5 positions"):
        load([*paths, copy])


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@settings(max_examples=8, **FREE)
@given(lost=st.sets(st.integers(0, 4), min_size=1))
def test_images_that_do_not_say_where_they_lie_are_never_stacked(tmp_path, keyword, lost):  # R12.6
    paths, truth = files(tmp_path, np.zeros(3), np.eye(3), [3.0 * k * AXES[2] for k in range(5)], (1, 1))
    for index in lost:
        dataset = pydicom.dcmread(paths[index])
        del dataset[keyword]
        dataset.save_as(paths[index])
    with pytest.raises(DicomlabError, match=f"{keyword}|position"):
        load(paths)
    found = load_all(paths)
    kept = [dataset for dataset in found.values() if "z" in dataset.dims]
    assert sum(volume.sizes["z"] for volume in kept) == 5 - len(lost)
    for volume in kept:
        check(volume, {value: truth[value] for value in volume.values.ravel().tolist()})
    assert (found.report.severity == "error").any()


@settings(max_examples=12, **FREE)
@given(SEEDS, st.integers(2, 4))
def test_every_volume_of_a_time_series_comes_back(tmp_path, seed, times):
    turn = rotation(seed)
    every = []
    for time in range(times):
        folder = tmp_path / str(time)
        paths, truth = files(folder, np.ones(3), turn, [3.0 * k * turn[:, 2] for k in range(3)], (1, 2))
        every += paths
        for path in paths:
            dataset = pydicom.dcmread(path)
            dataset.SOPInstanceUID += f".{time}"
            dataset.TemporalPositionIdentifier = time + 1
            dataset.save_as(path)
    volume = load(every)
    assert volume.sizes["time"] == times
    for one in volume:
        check(one, truth)
