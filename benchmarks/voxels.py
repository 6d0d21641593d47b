"""``python -m benchmarks.voxels TRUTH``: each series of a folder of truth, ours beside what other programs make of it.

The folder holds a JSON file a series: what dcm2niix, SimpleITK, highdicom and nibabel gave, computed once; the series
themselves lie beside it. The table is docs/voxels.md. What is compared:

- *mm*: the largest distance of a corner of any slice from where its own header puts it (from the affine of the
  headers for other programs, mosaics and enhanced images);
- *voxels*: SHA-256 of all modality values, ours and theirs, slices in the order of the normal.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import xarray as xr

import dicomlab
from dicomlab import load, load_all
from dicomlab.errors import DicomlabError, GeometryError

PROGRAMS = ("dcm2niix", "SimpleITK", "highdicom", "nibabel")


@dataclass
class Theirs:
    """What a program made of a series."""

    said: str = ""  # why nothing, or what is odd
    shape: tuple[int, ...] = ()
    mm: float | None = None  # by its affine, from that of the headers
    voxels: float | None = None  # 0.0: all equal to ours; else the largest difference seen among samples

    def __str__(self) -> str:
        if not self.shape:
            return self.said
        mm = "" if self.mm is None else f", {_length(self.mm)}"
        voxels = "" if self.voxels is None else ", equal" if self.voxels == 0 else f", differ by {self.voxels:.2g}"
        return f"{_shape(self.shape)}{mm}{voxels}" + (f" ({self.said})" if self.said else "")


@dataclass
class Line:
    """One series."""

    name: str
    files: int
    volumes: list[xr.DataArray] = field(default_factory=list)
    refusal: DicomlabError | None = None
    warnings: list[str] = field(default_factory=list)
    mm: float | None = None
    affine: bool = True  # whether there is one; else positions only
    theirs: dict[str, list[Theirs]] = field(default_factory=dict)

    @property
    def ours(self) -> str:
        """What we made of it, in words."""
        why = self.refusal.message.partition(". ")[0] if self.refusal else ""
        if not self.volumes:
            return f"refused: {why}"
        parts = []
        for volume in self.volumes:
            front = [str(name) for name in volume.dims if name not in ("z", "y", "x", "channel")]
            parts.append(_shape(volume.shape) + (f" by {', '.join(front)}" if front else ""))
        text = "; ".join(parts)
        if self.mm is not None:
            text += f", {_length(self.mm)}"
        if not self.affine:
            text += ", no affine"
        if why and self.mm is not None:
            text += f"; load refuses: {why}"
        return text + (f" ({'; '.join(self.warnings)})" if self.warnings else "")

    def agree(self) -> set[str]:
        """Programs that have voxels equal to ours in all that they give."""
        return {name for name, all_ in self.theirs.items() if all_ and all(one.voxels == 0 for one in all_)}


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _length(mm: float) -> str:
    return "0 mm" if mm < 1e-6 else f"{mm:.2g} mm" if mm >= 1e-3 else "< 0.001 mm"


def files_of(truth: dict[str, Any], data: Path) -> list[Path]:
    """The files of a series, wherever they lie in its folder."""
    found = []
    for path in sorted((data / truth["dir"]).rglob("*")):
        if path.is_file():
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
            except (pydicom.errors.InvalidDicomError, OSError):
                continue
            if header.get("SeriesInstanceUID") == truth["series_uid"]:
                found.append(path)
    return found


def compare(truth: dict[str, Any], data: Path) -> Line:
    """One series loaded, and set beside what the truth says of it."""
    paths = files_of(truth, data)
    line = Line(truth["dir"], len(paths))
    if not paths:
        return line
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            line.volumes = [load(paths)]
        except DicomlabError as error:
            line.refusal = error
            line.volumes = [one for one in load_all(paths).values() if isinstance(one, xr.DataArray)]
    placed = [volume for volume in line.volumes if "geometry" in volume.coords]
    line.warnings = [str(one.message).partition(": ")[2] for one in caught if issubclass(one.category, UserWarning)]
    header = truth.get("header") or truth.get("multiframe_header") or {}
    affine = header.get("header_affine_lps_ijk") if header.get("uniform", True) else None
    for name in ("nibabel_mosaic", "dcm2niix"):  # for mosaics and grids, whose corner is no voxel's place
        if affine is None and placed and header.get("n_positions") in (None, 1):
            one = truth.get(name)
            one = one[0] if isinstance(one, list) and one else one
            affine = one.get("affine_lps_ijk") if isinstance(one, dict) else None
    line.mm = max((_misplaced(volume, affine) for volume in placed), default=None)
    line.affine = _uniform(placed)
    line.theirs = dict(_programs(truth, line, affine))
    return line


def _uniform(volumes: list[xr.DataArray]) -> bool:
    try:
        return all(volume.isel(_first(volume)).dicom.affine is not None for volume in volumes)
    except GeometryError:
        return False


def _first(volume: xr.DataArray) -> dict[Any, Any]:
    return {name: 0 for name in volume.dims if name not in ("z", "y", "x")}


def _misplaced(volume: xr.DataArray, affine: Any) -> float:
    """Largest distance of a corner of a slice from where its header, else the affine, puts it."""
    rows, columns = volume.sizes["y"], volume.sizes["x"]
    corners = list(product((0, rows - 1), (0, columns - 1)))
    if "path" in volume.coords and "z" in volume.coords["path"].dims:
        worst = 0.0
        flat = volume.coords["path"]
        for index in np.ndindex(flat.shape):
            header = pydicom.dcmread(str(flat.values[index]), stop_before_pixels=True)
            if "ImagePositionPatient" not in header or "NumberOfFrames" in header:
                break
            six, spacing = np.array(header.ImageOrientationPatient, float), header.PixelSpacing
            for row, column in corners:
                place = np.array(header.ImagePositionPatient, float)
                place += six[:3] * float(spacing[1]) * column + six[3:] * float(spacing[0]) * row
                mine = volume.dicom.position(index[-1], row, column)
                worst = max(worst, float(np.linalg.norm(mine - place)))
        else:
            return worst
    if affine is None:
        return float("nan")
    matrix = np.array(affine, float)
    worst = 0.0
    for plane, (row, column) in product((0, volume.sizes["z"] - 1), corners):
        place = (matrix @ [column, row, plane, 1])[:3]
        worst = max(worst, float(np.linalg.norm(volume.dicom.position(plane, row, column) - place)))
    return worst


def _programs(truth: dict[str, Any], line: Line, affine: Any) -> Iterator[tuple[str, list[Theirs]]]:
    for name in PROGRAMS:
        key = {"nibabel": "nibabel_mosaic"}.get(name, name.lower())
        given = truth.get(key)
        parts = given if isinstance(given, list) else [given] if given else []
        yield name, [_one(part, line, affine) for part in parts]


def _one(part: dict[str, Any], line: Line, affine: Any) -> Theirs:
    array = part.get("array") or {}
    if "refused" in part or not array.get("shape"):
        said = str(part.get("refused") or part.get("note") or part.get("error") or "nothing")
        return Theirs(f"refused: {said.partition(': ')[2] or said}" if "refused" in part else said)
    found = Theirs(shape=tuple(array["shape"]))
    if any(mark in part.get("file", "") for mark in ("_Tilt", "_Eq")):
        found.said = "resampled"
    if affine is not None and "affine_lps_ijk" in part and not found.said:
        *_, planes, rows, columns = found.shape[:3] if found.shape[-1] == 3 and len(found.shape) == 4 else found.shape
        ends = np.array([[*corner, 1] for corner in product((0, columns - 1), (0, rows - 1), (0, planes - 1))]).T
        apart = (np.array(part["affine_lps_ijk"]) - np.array(affine)) @ ends
        found.mm = float(np.linalg.norm(apart[:3], axis=0).max())
    mine = [one for volume in line.volumes for one in _parts(volume) if one.shape == found.shape]
    if mine:
        found.voxels = min(_apart(one, array) for one in mine)
    return found


def _parts(volume: xr.DataArray) -> Iterator[np.ndarray]:
    """The values as other programs may have them: whole, the axes in front as one, each volume by itself."""
    values = np.asarray(volume.values)
    yield values
    front = [size for name, size in volume.sizes.items() if name not in ("z", "y", "x", "channel")]
    if front and "z" in volume.dims:
        flat = values.reshape(-1, *values.shape[len(front) :])
        if len(front) > 1:
            yield flat
        yield from flat


def _apart(values: np.ndarray, array: dict[str, Any]) -> float:
    """0.0 where all voxels are equal; else the largest difference among the samples."""
    if hashlib.sha256(np.ascontiguousarray(values).astype("<f4").tobytes()).hexdigest() == array["sha256_float32_le"]:
        return 0.0
    found = max(abs(float(values[tuple(index)]) - value) for *index, value in array["samples"])
    return max(found, float(np.finfo(np.float32).tiny))


def markdown(lines: list[Line]) -> str:
    """The table of docs/voxels.md."""
    rows = [("Series", "Files", "dicomlab", *PROGRAMS[:3])]
    for line in lines:
        theirs = []
        for name in PROGRAMS[:3]:
            parts = line.theirs.get(name, [])
            if name == "SimpleITK" and not parts:
                parts = line.theirs.get("nibabel", [])
                theirs.append("; ".join(f"nibabel: {one}" for one in parts) or "-")
            else:
                theirs.append("; ".join(str(one) for one in parts) or "-")
        rows.append((line.name, str(line.files), line.ours, *theirs))
    text = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([text[0], "|" + " --- |" * len(rows[0]), *text[1:]]) + "\n"


HEAD = """# Every voxel in its place

Published series, loaded with `load` (`load_all` where they are several volumes), beside what other programs make of
them. `python -m benchmarks.voxels TRUTH > docs/voxels.md` writes this page; `tests/test_truth.py` holds every line.

- **mm**: for dicomlab the largest distance of a corner of any slice from where its own header puts it; for the
  others, of a corner of their volume from the affine of the headers. For mosaics that affine is nibabel's, for UIH's
  grid dcm2niix' own: theirs is 0 by definition. Coordinates here are multiples of 2^-12 mm.
- **equal**: SHA-256 of all modality values is ours, slices in the order of the normal, flips undone. *Differ by* is
  the largest difference among samples: dcm2niix rescales fractions in float32, the others in float64.
- *resampled*: dcm2niix interpolates tilted and unevenly spaced series to a new grid, beside the plain one.
- *-*: no volume was computed with that program.

What is odd about a series is in brackets, as `load` says it in a warning; what is no volume is refused with the reason.
"""


def main(truth: Path) -> None:
    """Print the page."""
    lines = [compare(json.loads(path.read_text()), truth.parent) for path in sorted(truth.glob("[a-z]*.json"))]
    known = json.loads(next(iter(sorted(truth.glob("[a-z]*.json")))).read_text())["versions"]
    programs = ", ".join(f"{name} {known[name]}" for name in (*PROGRAMS, "pydicom") if name in known)
    print(HEAD)
    print(f"dicomlab {dicomlab.__version__}; {programs}.\n")
    print(markdown([line for line in lines if line.files]), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
