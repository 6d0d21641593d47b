"""RT Dose: Gy, planes at the offsets the header names, relative or absolute, in either direction."""

from __future__ import annotations

import hashlib
import json

import grouped
import numpy as np
import pytest
import slices
from support import ROOT, shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, ResultWarning

STORED = np.random.default_rng(3).integers(0, 2**31, (4, 3, 5)).astype(np.uint32)


def dose(offsets=(0, 2.5, 5, 7.5), stored=STORED, position=(-10, -20, 30), **attributes):
    dataset = slices.image(stored[0], position, 1, SOPClassUID=grouped.DOSE, Modality="RTDOSE")
    dataset.PixelData, dataset.NumberOfFrames = stored.tobytes(), len(stored)
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.DoseGridScaling = "1.25e-8"
    dataset.RescaleSlope = dataset.RescaleIntercept = None
    dataset.ReferencedRTPlanSequence = grouped.items(ReferencedSOPInstanceUID="1.2.77")
    if offsets is not None:
        dataset.GridFrameOffsetVector = list(offsets)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def one(folder, dataset):
    return slices.write(folder, [dataset])[0]


@pytest.mark.parametrize("offsets", [(0, 2.5, 5, 7.5), (30, 32.5, 35, 37.5)])
def test_a_dose_is_in_gray_at_relative_and_absolute_offsets(tmp_path, offsets):  # PS3.3 C.8.8.3.2
    found = load(one(tmp_path, dose(offsets)))
    assert found.dims == ("z", "y", "x") and found.dtype == np.float32
    assert np.array_equal(found.values, (STORED * 1.25e-8).astype(np.float32))
    assert found.z.values.tolist() == [30, 32.5, 35, 37.5]
    assert found.attrs["units"] == "Gy" and found.attrs["DoseType"] == "PHYSICAL"
    assert found.attrs["sources"] == ["1.2.77"]
    assert found.dicom.affine[:3].tolist() == [[0, 0, 0.25, -10], [0, 0.5, 0, -20], [2.5, 0, 0, 30]]


def test_offsets_that_fall_and_planes_upside_down_keep_each_plane_in_its_place(tmp_path):
    falling = load(one(tmp_path / "a", dose((0, -2.5, -5, -7.5))))
    assert falling.z.values.tolist() == [22.5, 25, 27.5, 30]
    assert np.array_equal(falling.values, (STORED[::-1] * 1.25e-8).astype(np.float32))
    turned = load(one(tmp_path / "b", dose(ImageOrientationPatient=[1, 0, 0, 0, -1, 0])))  # normal to the feet
    assert turned.sel(z=27.5).values[0, 0] == np.float32(STORED[1, 0, 0] * 1.25e-8)
    with pytest.raises(GeometryError, match=r"begins with 30.*nothing says where"):
        load(one(tmp_path / "c", dose((30, 32.5, 35, 37.5), ImageOrientationPatient=[1, 0, 0, 0, -1, 0])))


def test_whole_scaling_and_unequal_planes_and_relative_units(tmp_path):
    found = load(one(tmp_path / "a", dose(DoseGridScaling="2", DoseUnits="RELATIVE")))
    assert found.dtype == np.float32 and found.attrs["units"] == "relative"
    assert found.values[0, 0, 0] == np.float32(2 * int(STORED[0, 0, 0]))
    with pytest.warns(ResultWarning, match="unequal"):
        gap = load(one(tmp_path / "b", dose((0, 2.5, 5, 9))))
    assert gap.z.values.tolist() == [30, 32.5, 35, 39]


def test_dose_volume_histograms_come_along(tmp_path):  # PS3.3 C.8.8.4
    histogram = grouped.items(
        DVHType="CUMULATIVE", DoseUnits="GY", DVHVolumeUnits="CM3", DVHDoseScaling=2.0, DVHNumberOfBins=3
    )
    histogram[0].DVHData = [0.5, 90.0, 0.5, 80.0, 0.25, 10.0]
    histogram[0].DVHReferencedROISequence = grouped.items(ReferencedROINumber=7)
    (found,) = json.loads(load(one(tmp_path / "a", dose(DVHSequence=histogram))).attrs["dvh"])
    assert found["dose"] == [1.0, 2.0, 2.5] and found["volume"] == [90.0, 80.0, 10.0]
    assert found["rois"] == [7] and (found["units"], found["volume_units"]) == ("Gy", "CM3")
    histogram[0].DVHData = [0.5, 90.0, 0.5]
    with pytest.raises(BadFile, match="no pairs"):
        load(one(tmp_path / "b", dose(DVHSequence=histogram)))


def test_sixteen_bits_and_chunks(tmp_path):
    pytest.importorskip("dask")
    path = one(tmp_path, dose(stored=(STORED >> 16).astype(np.uint16), DoseGridScaling="0.001"))
    eager, lazy = load(path), load(path, chunks={"z": 2})
    assert lazy.chunks is not None and np.array_equal(eager.values, lazy.values) and lazy.dtype == eager.dtype


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        ({"offsets": (0, 1)}, GeometryError, "2 values for 4 frames"),
        ({"offsets": None}, GeometryError, "0 values for 4 frames"),
        ({"offsets": (0, 1, 1, 2)}, GeometryError, "one position"),
        ({"offsets": (5, 6, 7, 8)}, GeometryError, "begins with 5"),
        ({"DoseGridScaling": None}, BadFile, "without DoseGridScaling"),
        ({"ImagePositionPatient": None}, GeometryError, "without ImagePositionPatient"),
        ({"PixelData": STORED.tobytes()[:-4]}, BadFile, "bytes"),
        ({"BitsStored": 40}, BadFile, "BitsStored"),
        ({"NumberOfFrames": 40, "offsets": tuple(range(40))}, BadFile, "bytes"),
    ],
)
def test_a_dose_that_cannot_be_placed_or_scaled_costs_one_file_and_says_why(tmp_path, change, error, why):  # R12.9
    broken = one(tmp_path / "a", dose(**change))
    with pytest.raises(error, match=why):
        load(broken)
    found = load_all([broken, *slices.write(tmp_path / "b", slices.stack([0, 2]))])
    assert list(found) == ["CT 4"] and why in found.report.why[0]


def test_a_dose_is_resampled_onto_an_image_on_request(tmp_path):
    ramp = np.broadcast_to(np.arange(4)[:, None, None] * 100, (4, 9, 9)).astype(np.uint16)
    found = load(one(tmp_path / "a", dose(stored=ramp, DoseGridScaling="0.01")))
    ct = load(slices.write(tmp_path / "b", slices.stack([30, 31, 32, 33])))
    on_ct = found.dicom.like(ct)
    assert np.allclose(on_ct.values[:, 0, 0], [0, 0.4, 0.8, 1.2]) and on_ct.attrs["units"] == "Gy"


TRUTH = ROOT.parent / "shared" / "data" / "truth" / "_objects.json"
DOSES = json.loads(TRUTH.read_text())["RTDOSE"] if TRUTH.exists() else {}


@pytest.mark.parametrize("name", DOSES or [pytest.param("", marks=pytest.mark.skip("no truth beside this project"))])
@pytest.mark.filterwarnings("ignore:.*values for 1 frame")
def test_a_real_dose_has_the_values_others_find(name):
    truth = DOSES[name]
    found = load(shared(f"data/{name}"))
    assert list(found.shape) == truth["shape_kji"] and found.attrs["units"] == truth["dose_units"].lower()
    assert hashlib.sha256(found.values.astype("<f4").tobytes()).hexdigest() == truth["sha256_float32"]
    expected = [[0, 0, 10, 189.43125], [0, 10, 0, 199.43125], [5, 0, 0, -761.87]]
    if len(found) > 1:
        assert np.abs(found.dicom.affine[:3] - expected).max() < 2e-4  # mm
