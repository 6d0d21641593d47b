"""Position in the patient = M @ (x, y, z): the rule, its rounding and its tolerances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomlab.errors import GeometryError
from dicomlab.geometry import geometry

ANGLES = st.floats(-180, 180)


def rotation(a: float, b: float, c: float) -> np.ndarray:
    a, b, c = np.radians([a, b, c])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    return about_z @ about_y @ about_x


@settings(max_examples=150, deadline=None)
@given(ANGLES, ANGLES, ANGLES, st.floats(0.2, 5), st.integers(1, 6), st.integers(0, 2**16))
def test_every_voxel_of_an_oblique_stack_keeps_its_position(a, b, c, step, count, seed):  # R12.5
    turn = rotation(a, b, c)
    first = np.random.default_rng(seed).uniform(-400, 400, 3)
    positions = first + step * np.arange(count)[:, None] * turn[:, 2]
    grid = geometry.stack(positions, [*turn[:, 0], *turn[:, 1]], (0.7, 0.3), (5, 4), step)
    k, j, i = np.meshgrid(np.arange(count), np.arange(5), np.arange(4), indexing="ij")
    ours = np.stack([grid.x[i], grid.y[j], grid.z[k]], axis=-1) @ grid.matrix.T
    true = positions[k] + 0.3 * i[..., None] * turn[:, 0] + 0.7 * j[..., None] * turn[:, 1]
    assert np.abs(ours - true).max() < 0.005
    assert not grid.problems and grid.uniform


@settings(max_examples=100, deadline=None)
@given(ANGLES, ANGLES, ANGLES)
def test_the_largest_component_of_each_column_of_m_is_positive(a, b, c):
    matrix = geometry.canonical(rotation(a, b, c) @ np.diag([2.0, -1.0, 0.5]))
    assert np.abs(np.linalg.norm(matrix, axis=0) - 1).max() < 2e-6
    for column in matrix.T:
        assert column.max() >= np.abs(column).max() - 2e-6


def test_all_48_axis_orders_have_the_identity_as_m():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = geometry.canonical(np.eye(3)[:, order] * signs)
            assert (matrix == np.eye(3)[:, order]).all() and not np.signbit(matrix).any()


def test_coordinates_are_multiples_of_a_power_of_two_and_equal_for_one_grid():
    a = geometry.stack([[-200, -200, 0.1], [-200, -200, 0.4]], [1, 0, 0, 0, 1, 0], (0.78125, 0.78125), (512, 512))
    b = geometry.stack([[-200, -200, 0.1], [-200, -200, 0.4]], [1, 0, 0, 0, 1, 0], (0.781250, 0.78125), (512, 512))
    assert np.array_equal(a.x * 4096, np.round(a.x * 4096)) and np.array_equal(a.z * 4096, np.round(a.z * 4096))
    assert np.array_equal(a.x, b.x) and np.abs(a.x - (-200 + 0.78125 * np.arange(512))).max() <= 2**-13


def test_a_tilted_gantry_is_a_sheared_direction_and_every_position_stays():  # R12.6
    tilt = np.radians(18.5)
    six = [1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)]
    positions = np.array([[-10.0, -20, 2.5 * k] for k in range(7)])
    grid = geometry.stack(positions, six, (0.5, 0.5), (4, 4))
    assert "tilted by 18.50 degrees" in grid.problems[0] and grid.spacing[2] == 2.5
    local = np.stack([np.full(7, grid.x[0]), np.full(7, grid.y[0]), grid.z])
    assert np.abs(grid.matrix @ local - positions.T).max() < 0.001
    assert grid.matrix[:, 2].tolist() == [0, 0, 1]


def test_decimal_rounding_of_positions_counts_as_regular_and_more_does_not():
    positions = [[0, 0, round(2.3708 * k, 3)] for k in range(54)]
    assert geometry.stack(positions, [1, 0, 0, 0, 1, 0], (1, 1), (2, 2)).uniform
    positions[20][2] += 0.03
    grid = geometry.stack(positions, [1, 0, 0, 0, 1, 0], (1, 1), (2, 2))
    assert not grid.uniform and "unequal" in grid.problems[0]


def test_a_gap_is_said_with_its_place():
    grid = geometry.stack([[0, 0, z] for z in (0, 5, 15, 20)], [1, 0, 0, 0, 1, 0], (1, 1), (2, 2))
    assert grid.problems == ("gap between z = 5 and 15 mm: 1 plane missing (steps of 5 mm)",)
    assert grid.z.tolist() == [0, 5, 15, 20]


@pytest.mark.parametrize(
    ("positions", "orientation", "spacing", "word"),
    [
        ([[0, 0, 0], [0, 0, 0]], [1, 0, 0, 0, 1, 0], (1, 1), "one position"),
        ([[0, 0, 0], [0, 3, 5], [0, 0, 10]], [1, 0, 0, 0, 1, 0], (1, 1), "straight line"),
        ([[0, 0, 0], [0, 500, 5]], [1, 0, 0, 0, 1, 0], (1, 1), "away from their normal"),
        ([[0, 0, np.nan]], [1, 0, 0, 0, 1, 0], (1, 1), "three numbers"),
        ([[0, 0, 0]], [1, 0, 0, 1, 0, 0], (1, 1), "perpendicular"),
        ([[0, 0, 0]], [0, 0, 0, 0, 0, 0], (1, 1), "perpendicular"),
        ([[0, 0, 0]], [1, 0, 0, 0, 1], (1, 1), "six numbers"),
        ([[0, 0, 0]], [1, 0, 0, 0, 1, 0], (0, 1), "PixelSpacing"),
    ],
)
def test_what_is_no_stack_is_refused_with_the_reason(positions, orientation, spacing, word):  # R12.6
    with pytest.raises(GeometryError, match=word):
        geometry.stack(positions, orientation, spacing, (2, 2))
