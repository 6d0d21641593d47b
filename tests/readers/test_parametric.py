"""Parametric maps: floating point or integers, each frame by its own mapping, a volume of each quantity."""

from __future__ import annotations

import hashlib
import json

import grouped
import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from support import shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, InvalidRequest, ResultWarning

RANDOM = np.random.default_rng(11)
VALUES = RANDOM.normal(size=(3, 4, 5))


def mapping(slope=1.0, intercept=0.0, units="um2/s", quantity="Apparent Diffusion Coefficient", **more):
    """A RealWorldValueMappingSequence."""
    definition = grouped.items(
        ValueType="CODE",
        ConceptNameCodeSequence=grouped.code("246205007", "Quantity"),
        ConceptCodeSequence=grouped.code("113041", quantity, "DCM"),
    )
    said = grouped.items(
        LUTLabel="x",
        MeasurementUnitsCodeSequence=grouped.code(units, units, "UCUM"),
        QuantityDefinitionSequence=definition,
    )
    if slope is not None:
        said[0].RealWorldValueSlope, said[0].RealWorldValueIntercept = slope, intercept
    for keyword, value in more.items():
        setattr(said[0], keyword, value)
    return said


def parametric(stored, planes=(0, 1, 2), mappings=None, **attributes):
    dataset = slices.image(np.zeros(stored.shape[1:], np.uint16), None, 1, SOPClassUID=grouped.MAP, Modality="MR")
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, keyword)
    name = {"float32": "FloatPixelData", "float64": "DoubleFloatPixelData"}.get(str(stored.dtype), "PixelData")
    del dataset.PixelData
    setattr(dataset, name, stored.tobytes())
    dataset.BitsAllocated = 8 * stored.itemsize
    if name != "PixelData":
        del dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.NumberOfFrames = len(stored)
    more = {} if mappings is not None else {"RealWorldValueMappingSequence": mapping()}
    dataset.SharedFunctionalGroupsSequence = grouped.shared(slices.AXIAL, (0.5, 0.25), 2.5, **more)
    dataset.PerFrameFunctionalGroupsSequence = []
    for index, plane in enumerate(planes):
        group = Dataset()
        group.PlanePositionSequence = grouped.items(ImagePositionPatient=[-10, -20, 30 + 2.5 * plane])
        if mappings is not None and mappings[index] is not None:
            group.RealWorldValueMappingSequence = mappings[index]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def one(folder, dataset):
    return slices.write(folder, [dataset])[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floating_point_frames_in_any_order_keep_their_bits(tmp_path, dtype):
    stored = VALUES.astype(dtype)
    found = load(one(tmp_path, parametric(stored, (2, 0, 1))))
    assert found.dtype == dtype and np.array_equal(found.values, stored[[1, 2, 0]])
    assert found.attrs["units"] == "um2/s" and found.attrs["quantity"] == "Apparent Diffusion Coefficient"
    assert found.dicom.affine[:3].tolist() == [[0, 0, 0.25, -10], [0, 0.5, 0, -20], [2.5, 0, 0, 30]]


def test_integers_are_mapped_frame_by_frame(tmp_path):  # PS3.3 C.7.6.16.2.11
    stored = RANDOM.integers(0, 60000, (3, 4, 5)).astype(np.uint16)
    lines = [(0.5, 1.0), (0.25, -3.0), (2.0, 0.0)]
    found = load(one(tmp_path, parametric(stored, mappings=[mapping(*line) for line in lines])))
    slopes, intercepts = np.array(lines).T[:, :, None, None]
    assert found.dtype == np.float32
    assert np.array_equal(found.values, (stored * slopes + intercepts).astype(np.float32))


def test_a_table_maps_integers_and_what_lies_outside_is_said(tmp_path):
    stored = np.arange(60).reshape(3, 4, 5).astype(np.uint16)
    table = mapping(
        None,
        RealWorldValueLUTData=list(np.arange(60.0) ** 2),
        RealWorldValueFirstValueMapped=0,
        RealWorldValueLastValueMapped=59,
    )
    assert np.array_equal(load(one(tmp_path / "a", parametric(stored, mappings=[table] * 3))).values, stored**2.0)
    narrow = mapping(2.0, RealWorldValueFirstValueMapped=0, RealWorldValueLastValueMapped=49)
    with pytest.warns(ResultWarning, match="10 values lie outside"):
        found = load(one(tmp_path / "b", parametric(stored, mappings=[narrow] * 3)))
    assert np.array_equal(found.values, stored * 2.0)


def test_two_quantities_are_two_volumes(tmp_path):  # R12.3
    stored = RANDOM.normal(size=(4, 4, 5)).astype(np.float32)
    mappings = [mapping(units="s", quantity="Ktrans"), mapping(units="1", quantity="ve")] * 2
    path = one(tmp_path, parametric(stored, (0, 0, 1, 1), mappings))
    found = load_all(path)
    assert list(found) == ["MR 4 Ktrans", "MR 4 ve"]
    assert np.array_equal(found["MR 4 ve"].values, stored[1::2]) and found["MR 4 ve"].attrs["units"] == ""
    with pytest.raises(GeometryError, match="quantity Ktrans"):
        load(path)


def test_padding_is_told_and_a_map_without_a_mapping_says_so(tmp_path):
    stored = VALUES.astype(np.float32)
    stored[1, 2, 3] = -999.0
    found = load(one(tmp_path / "a", parametric(stored, FloatPixelPaddingValue=-999.0)))
    assert found.dicom.padding.values.sum() == 1 and found.dicom.padding.values[1, 2, 3]
    with pytest.warns(ResultWarning, match="no real world value mapping"):
        plain = load(one(tmp_path / "b", parametric(stored, mappings=[None] * 3)))
    assert np.array_equal(plain.values, stored) and plain.attrs["units"] == ""


@pytest.mark.parametrize(
    ("dataset", "error", "why"),
    [
        (parametric(VALUES.astype(np.float32), NumberOfFrames=2), BadFile, "functional groups of 3"),
        (parametric(VALUES.astype(np.float32), FloatPixelData=bytes(100)), BadFile, "pixel data has 100 bytes"),
        (parametric(VALUES.astype(np.float64), Rows=0), BadFile, "Rows and Columns"),
        (parametric(VALUES.astype(np.float32), (0, 1, 1)), GeometryError, "3 frames .* at 2 positions"),
    ],
    ids=["groups", "short", "no size", "one position"],
)
def test_a_broken_map_costs_one_file_and_says_why(tmp_path, dataset, error, why):  # R12.9
    broken = one(tmp_path / "a", dataset)
    with pytest.raises(error, match=why):
        load(broken)
    found = load_all([broken, *slices.write(tmp_path / "b", slices.stack([0, 2]))])
    assert list(found) == ["CT 4"] and found.report.severity.tolist() == ["error"]


def test_a_map_is_not_loaded_lazily(tmp_path):
    with pytest.raises(InvalidRequest, match="lazily"):
        load(one(tmp_path, parametric(VALUES.astype(np.float32))), chunks={})


@pytest.mark.parametrize("name", ["parametric_map_float", "parametric_map_double_float"])
def test_a_real_map_has_the_values_highdicom_finds(name):
    path = shared(f"data/codecs_pydicom_data/{name}.dcm")
    truth = json.loads(shared("data/truth/_objects.json").read_text())["PARAMETRIC_MAP"][
        f"codecs_pydicom_data/{name}.dcm"
    ]
    found = load(path)
    assert list(found.shape[1:]) == truth["shape"] and found.dtype == truth["dtype"]
    assert hashlib.sha256(found.values.tobytes()).hexdigest() == truth["sha256"]
    expected = [[0, 0, 0.661468, -158.135803], [0, 0.661468, 0, -179.035797], [5, 0, 0, -75.699997]]
    assert np.abs(found.dicom.affine[:3] - expected).max() < 2e-4  # mm


def test_of_several_mappings_the_first_is_applied_and_that_is_said(tmp_path):  # R12.7
    mappings = [mapping(2.0) + mapping(3.0, units="1")] * 3
    with pytest.warns(ResultWarning, match="the first of 2 real world value mappings is applied"):
        found = load(one(tmp_path, parametric(VALUES.astype(np.uint16), mappings=mappings)))
    assert found.attrs["units"] == "um2/s" and np.array_equal(found.values, 2.0 * VALUES.astype(np.uint16))
