"""Planes to sorted stacks, coordinates and direction: one rule keeps positions in the patient right.

**Position in the patient (LPS, mm) = M @ (x, y, z)**, where x, y, z are the coordinates of the array's own
dimensions and the columns of M are unit vectors along them. Nothing but numpy is needed here.

Tolerances, in mm, all stated here and nowhere else:

- ``REGULAR`` 0.01: a plane may lie this far from the regular grid of its stack and the spacing still
  counts as uniform. Positions are rounded decimal strings: a step of 2.3708 mm is written 2.370 and 2.371.
- ``STRAIGHT`` 0.1: planes may lie this far beside the line through the first and the last (above
  ``REGULAR`` it is said); beyond it they are no stack.
- ``SAME_PLACE`` 0.01: two planes nearer than this are at one position.
- ``SAME_DIRECTION`` 0.0002: components of two direction cosines that differ less are one direction
  (0.05 mm at 250 mm from the centre).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..amounts import counted
from ..errors import GeometryError

AXES = ("x", "y", "z")  # of a volume; the columns of M in this order
REGULAR = 0.01
STRAIGHT = 0.1
SAME_PLACE = 0.01
SAME_DIRECTION = 2e-4
STEP = 2.0**-12  # mm; coordinates are whole multiples of it, so that series on one grid have equal ones

Floats = NDArray[np.float64]


def on_lattice(values: ArrayLike) -> Floats:
    """`values` in mm, rounded to whole multiples of 2**-12 mm.

    Examples
    --------
    >>> on_lattice([0.78125, 0.1]).tolist()
    [0.78125, 0.10009765625]
    """
    return np.round(np.asarray(values, np.float64) / STEP) * STEP + 0.0


def canonical(columns: ArrayLike) -> Floats:
    """M from three vectors: unit columns, the largest component of each positive, rounded to 1e-6, no -0.0.

    Parameters
    ----------
    columns
        (3, 3), the vectors along x, y and z as columns.

    Raises
    ------
    GeometryError
        A vector is zero or not finite, or the three lie in a plane.

    Examples
    --------
    >>> canonical(np.diag([2.0, -3.0, 5.0])).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    matrix = np.array(columns, np.float64)
    length = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(matrix).all() or (length < 1e-9).any():
        raise GeometryError("the directions of the axes are not three vectors")
    matrix /= length
    # Of components equal but for rounding the first is taken, so that the choice does not flicker.
    for column in matrix.T:
        size = np.abs(column)
        largest = int(np.flatnonzero(size >= size.max() - 1e-6)[0])
        if column[largest] < 0:
            column *= -1
    if abs(np.linalg.det(matrix)) < 1e-3:
        raise GeometryError("the directions of the axes lie in one plane")
    return np.round(matrix, 6) + 0.0


def digest(matrix: ArrayLike, frame: str) -> str:
    """The value of the scalar coordinate `geometry`: 16 hex digits of M and the frame of reference.

    With equal values xarray keeps that coordinate through arithmetic, with different ones it drops it.

    Examples
    --------
    >>> digest(np.eye(3), "1.2") == digest(-0.0 + np.eye(3) * (1 + 1e-9), "1.2")
    True
    """
    numbers = (np.round(np.asarray(matrix, np.float64), 6) + 0.0).reshape(9)
    text = "\\".join(f"{number:.6f}" for number in numbers) + "|" + frame
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def normal(orientation: ArrayLike) -> Floats:
    """Unit normal of a plane: row direction x column direction of ImageOrientationPatient.

    Raises
    ------
    GeometryError
        The six numbers are not two perpendicular unit vectors (to 1e-2).

    Examples
    --------
    >>> normal([1, 0, 0, 0, 1, 0]).tolist()
    [0.0, 0.0, 1.0]
    """
    six = np.asarray(orientation, np.float64)
    if six.shape != (6,) or not np.isfinite(six).all():
        raise GeometryError("ImageOrientationPatient is not six numbers")
    row, column = six[:3], six[3:]
    lengths = np.array([row @ row, column @ column])
    if np.abs(lengths - 1).max() > 1e-2 or abs(row @ column) > 1e-2:
        raise GeometryError("ImageOrientationPatient is not two perpendicular unit vectors")
    across = np.cross(row, column)
    return across / np.linalg.norm(across)


@dataclass(frozen=True)
class Grid:
    """A stack of planes: M and the coordinates of its three axes, in mm."""

    matrix: Floats  # (3, 3), position = matrix @ (x, y, z)
    x: Floats  # (columns,)
    y: Floats  # (rows,)
    z: Floats  # (planes,)
    spacing: tuple[float, float, float]  # along x, y, z; of z the mean step, or the fallback for one plane
    problems: tuple[str, ...] = ()  # what is said aloud: tilt, gaps, planes beside the line

    @property
    def uniform(self) -> bool:
        """Whether the planes lie on a regular grid within ``REGULAR``."""
        return step_of(self.z) is not None or len(self.z) == 1


def step_of(values: ArrayLike) -> float | None:
    """The signed step of regular coordinates; None if there are fewer than two, or they are not regular.

    Examples
    --------
    >>> step_of([0.0, 2.371, 4.741]), step_of([0.0, 5.0, 15.0])
    (2.3705, None)
    """
    coordinates = np.asarray(values, np.float64)
    if len(coordinates) < 2:
        return None
    step = (coordinates[-1] - coordinates[0]) / (len(coordinates) - 1)
    regular = coordinates[0] + step * np.arange(len(coordinates))
    if abs(step) < STEP or np.abs(coordinates - regular).max() > REGULAR:
        return None
    return float(step)


def distinct(values: ArrayLike, tolerance: float = SAME_PLACE) -> NDArray[np.intp]:
    """For each value the number of its place from the smallest; values nearer than `tolerance` share one.

    Examples
    --------
    >>> distinct([5.0, 0.0, 5.001, 10.0]).tolist()
    [1, 0, 1, 2]
    """
    numbers = np.asarray(values, np.float64)
    order = np.argsort(numbers, kind="stable")
    place = np.empty(len(numbers), np.intp)
    place[order] = np.concatenate([[0], np.cumsum(np.diff(numbers[order]) > tolerance)])[: len(numbers)]
    return place


def stack(
    positions: ArrayLike,
    orientation: ArrayLike,
    pixel_spacing: tuple[float, float],
    shape: tuple[int, int],
    thickness: float | None = None,
) -> Grid:
    """The grid of planes that are already sorted along their normal.

    Parameters
    ----------
    positions
        (planes, 3), ImagePositionPatient of each: the centre of its first voxel, mm, LPS.
    orientation
        (6,), the ImageOrientationPatient they share.
    pixel_spacing
        PixelSpacing: between rows, between columns, mm.
    shape
        Rows, columns.
    thickness
        Spacing along z where there is one plane only; 1 mm if None.

    Returns
    -------
    Grid
        Sheared where the planes are stacked along another line than their normal (gantry tilt).

    Raises
    ------
    GeometryError
        A number is missing, two planes are at one position, or they do not lie on a line.

    Examples
    --------
    >>> grid = stack([[-10, -20, 0], [-10, -20, 2.5]], [1, 0, 0, 0, 1, 0], (0.5, 0.5), (4, 3))
    >>> grid.x.tolist(), grid.z.tolist()
    ([-10.0, -9.5, -9.0], [0.0, 2.5])
    """
    points = np.atleast_2d(np.asarray(positions, np.float64))
    across = normal(orientation)
    between_rows, between_columns = (float(value) for value in pixel_spacing)
    if points.shape[1:] != (3,) or not np.isfinite(points).all():
        raise GeometryError("ImagePositionPatient is not three numbers")
    if not (np.isfinite([between_rows, between_columns]).all() and min(between_rows, between_columns) > 0):
        raise GeometryError("PixelSpacing is not two positive numbers")
    six = np.asarray(orientation, np.float64)
    along = points[-1] - points[0]
    problems: list[str] = []
    heights = points @ across
    if (np.diff(heights) <= SAME_PLACE).any():
        raise GeometryError("several images lie at one position")
    line = across
    if len(points) > 1:
        beside = along - (along @ across) * across
        if np.linalg.norm(beside) > REGULAR:
            line = along / np.linalg.norm(along)
            angle = np.degrees(np.arccos(min(1.0, float(line @ across))))
            problems.append(f"planes are tilted by {angle:.2f} degrees against their stack (sheared direction)")
            if angle > 60:
                raise GeometryError(f"the planes are stacked {angle:.0f} degrees away from their normal")
    matrix = canonical(np.stack([six[:3], six[3:], line], axis=1))
    local = np.linalg.solve(matrix, points.T)  # (3, planes): x, y of the first voxel and z of each plane
    off = points.T - matrix @ np.stack([np.full(len(points), local[0, 0]), np.full(len(points), local[1, 0]), local[2]])
    worst = float(np.linalg.norm(off, axis=0).max())
    if worst > STRAIGHT:
        raise GeometryError(f"the planes do not lie on a straight line (one is {worst:.2f} mm beside it)")
    if worst > REGULAR:
        problems.append(f"planes lie up to {worst:.3f} mm beside a straight line")
    z = on_lattice(local[2])
    right = np.sign(matrix[:, 0] @ six[:3]) * between_columns
    down = np.sign(matrix[:, 1] @ six[3:]) * between_rows
    x = on_lattice(local[0, 0] + right * np.arange(shape[1]))
    y = on_lattice(local[1, 0] + down * np.arange(shape[0]))
    if len(z) > 1:
        step = abs(z[-1] - z[0]) / (len(z) - 1)
        if step_of(z) is None:
            problems.append(unequal(z))
    else:
        step = thickness if thickness and thickness > 0 else 1.0
    return Grid(matrix, x, y, z, (between_columns, between_rows, float(step)), tuple(problems))


def unequal(z: ArrayLike) -> str:
    """What is wrong with the steps between planes, in words.

    Examples
    --------
    >>> unequal([0.0, 5.0, 15.0, 20.0])
    'gap between z = 5 and 15 mm: 1 plane missing (steps of 5 mm)'
    """
    heights = np.asarray(z, np.float64)
    steps = np.abs(np.diff(heights))
    usual = float(np.median(steps)) if len(steps) > 2 else float(steps.min())
    wide = np.flatnonzero(steps > 1.5 * usual)
    whole = np.abs(steps / usual - np.round(steps / usual)) * usual <= 2 * REGULAR
    if len(wide) and whole.all():
        first = wide[0]
        missing = int(np.round(steps[wide] / usual - 1).sum())
        place = f"gap between z = {heights[first]:g} and {heights[first + 1]:g} mm"
        more = f" and {len(wide) - 1} more" if len(wide) > 1 else ""
        return f"{place}{more}: {counted(missing, 'plane')} missing (steps of {usual:g} mm)"
    return f"steps between planes are unequal: {steps.min():.3f} to {steps.max():.3f} mm"


def axis_letters(direction: ArrayLike) -> str:
    """The letter the vector mostly points to: L or R, P or A, S or I.

    Examples
    --------
    >>> axis_letters([0.1, -0.9, 0.2])
    'A'
    """
    vector = np.asarray(direction, np.float64)
    largest = int(np.argmax(np.abs(vector)))
    return ("LPS" if vector[largest] > 0 else "RAI")[largest]
