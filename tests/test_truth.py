"""Every series of single-frame images that other programs measured, loaded and compared with what they say.

The truth was computed by SimpleITK, dcm2niix and highdicom. Known to be wrong there, and not followed here:
SimpleITK's orthogonal affine for gantry tilt (the affine of the headers is taken instead), its slope of the
first image for a series with a slope per image, dcm2niix' resampled files (`_Tilt`, `_Eq`), and its rescaling
of fractions in float32 (SimpleITK and highdicom work in float64, as we do).
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from support import ROOT, shared

from dicomlab import load, load_all
from dicomlab.errors import GeometryError, ResultWarning

TRUTH = ROOT.parent / "shared" / "data" / "truth"
SERIES = sorted(path.stem for path in TRUTH.glob("[a-z]*.json"))
#: Enhanced images: tests/readers/test_enhanced.py.
SERIES = [name for name in SERIES if "enhanced" not in name and "multiframe" not in name and "hyperfine" not in name]
#: What is no volume of single-frame images: the error, and a word of its message.
REFUSED = {
    "ct_not_a_volume": (GeometryError, "4 images at 1 position"),
    "mr_slice_orientation_mixed": (GeometryError, "orientation"),
    "codecs_pydicom_data__.__992152438492": (GeometryError, "without ImagePositionPatient"),
}
#: Two echoes at one position: dcm2niix writes a file for each, here they are one volume (echo, z, y, x).
ECHOES = "60629636"


def files_of(truth: dict) -> list[Path]:
    """The files of the series, wherever they lie in its folder."""
    import pydicom

    found = []
    for path in sorted(shared(f"data/{truth['dir']}").rglob("*")):
        if path.is_file():
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
            except (pydicom.errors.InvalidDicomError, OSError):
                continue
            if header.get("SeriesInstanceUID") == truth["series_uid"]:
                found.append(path)
    return found


def arrays_of(truth: dict) -> list[dict]:
    """Every array the programs made of the series, in our own order of indices and without resampling."""
    found = [truth.get("simpleitk", {}).get("array")]
    whole = [one for one in truth.get("dcm2niix", []) if one.get("array", {}).get("all_integer")]  # else in float32
    found += [one["array"] for one in whole if "shape_differs_from_simpleitk" not in one]
    return [array for array in found if array and "sha256_float32_le" in array]


def digests(values: np.ndarray) -> tuple[str, str]:
    """SHA-256 of the values as float32 and, where whole, as int32, little endian."""
    plain = np.ascontiguousarray(values)
    return tuple(hashlib.sha256(plain.astype(kind).tobytes()).hexdigest() for kind in ("<f4", "<i4"))  # type: ignore


@pytest.mark.parametrize("name", SERIES or [pytest.param("", marks=pytest.mark.skip("no truth beside this project"))])
def test_a_series_has_the_geometry_and_the_voxels_other_programs_found(name):  # R12.4, R12.5, R12.6, R12.7
    truth = json.loads((TRUTH / f"{name}.json").read_text())
    paths = files_of(truth)
    if not paths:
        pytest.skip("no file of the series has a SeriesInstanceUID")
    for start, (error, word) in REFUSED.items():
        if name.startswith(start):
            with pytest.raises(error, match=word), warnings.catch_warnings():
                load(paths)
            return
    if name.startswith("codecs_pydicom_data"):  # ultrasound pictures: they lie nowhere in the patient
        pictures = load_all(paths)
        left = (pictures.report.severity == "error") | pictures.report.why.str.contains("left out")
        assert len(pictures) + left.sum() == len(paths)
        assert all(("y", "x") in (picture.dims[:2], picture.dims[1:3]) for picture in pictures.values())
        assert not any("geometry" in picture.coords for picture in pictures.values())
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        volume = load(paths)
    spatial = volume.isel({name: 0 for name in volume.dims if name not in ("z", "y", "x")})
    header = truth.get("header", {})
    if "header_affine_lps_ijk" in header and header["uniform"]:
        affine = np.array(header["header_affine_lps_ijk"])[:, [2, 1, 0, 3]]
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in spatial.shape], [1])).reshape(4, -1)
        assert np.abs(volume.dicom.affine @ corners - affine @ corners)[:3].max() < 0.01
    elif "header_affine_lps_ijk" in header:
        with pytest.raises(GeometryError, match="not uniform"):
            volume.dicom.affine
    if name.startswith(("mr_siemens_mosaic", "mr_uih_dti")):  # the corner of the mosaic, and the order of its tiles
        affine = np.array(truth["dcm2niix"][0]["affine_lps_ijk"])[:, [2, 1, 0, 3]]
        assert np.abs(volume.isel({volume.dims[0]: 0}).dicom.affine - affine).max() < 1e-3
    if ECHOES in name:
        assert volume.sizes["echo"] == 2 and volume.echo.values.tolist() == [2.46, 4.25]
        hashes = [digests(one.values)[1] for one in volume]
        assert sorted(hashes) == sorted(one["array"]["sha256_int32_le"] for one in truth["dcm2niix"])
        return
    arrays = arrays_of(truth)
    assert arrays or "simpleitk" in truth
    ours = digests(volume.values)
    for array in arrays:
        assert volume.shape == tuple(array["shape"])
        for *index, value in array["samples"]:
            assert volume.values[tuple(index)] == pytest.approx(value, rel=1e-6)
        if "sha256_int32_le" in array and volume.dtype.kind in "iu":
            assert ours[1] == array["sha256_int32_le"]
        assert ours[0] == array["sha256_float32_le"]
