"""Real world value mapping: at hand with its units, and never in the place of the modality values (R12.7)."""

from __future__ import annotations

import enhanced
import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset

from dicomlab import load
from dicomlab.errors import InvalidRequest


def mapping(slope, intercept, code="Hz"):
    item, unit = Dataset(), Dataset()
    item.RealWorldValueSlope, item.RealWorldValueIntercept = float(slope), float(intercept)
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = code, "UCUM", code
    item.MeasurementUnitsCodeSequence = [unit]
    return [item]


def plane(number, slope, *mapped):
    (found,) = slices.stack([2.0 * number], rows=1, columns=3, SOPClassUID=slices.MR, Modality="MR")
    found.SOPInstanceUID, found.RescaleSlope, found.RescaleIntercept = f"1.2.3.{number}", slope, -10
    if mapped:
        found.RealWorldValueMappingSequence = mapping(*mapped)
    return found


def test_real_world_values_are_made_on_request_plane_by_plane(tmp_path):
    volume = load(slices.write(tmp_path, [plane(0, 2, 0.5, -3), plane(1, 4, 0.25, 7)]))
    assert volume.values[:, 0].tolist() == [[-10, -8, -6], [-10, -6, -2]] and volume.dicom.units == ""
    real = volume.dicom.real_world
    assert real.values[:, 0].tolist() == [[-3, -2.5, -2], [7, 7.25, 7.5]] and real.dicom.units == "Hz"
    assert real.dtype == np.float32 and real.dicom.same_grid(volume) and real.dims == volume.dims
    part = volume.isel(z=1).dicom.real_world
    assert part.values.tolist() == [[7, 7.25, 7.5]]


def test_units_are_those_of_real_world_values_that_are_the_modality_values(tmp_path):
    volume = load(slices.write(tmp_path, [plane(0, 0.5, 0.5, -10), plane(1, 0.5, 0.5, -10)]))
    assert volume.dicom.units == "Hz"
    np.testing.assert_array_equal(volume.dicom.real_world.values, volume.values)


def test_frames_of_enhanced_images_have_their_own_mapping(tmp_path):
    said = [{"RealWorldValueSlope": 0.5 * n, "RealWorldValueIntercept": 1.0, "CodeValue": "ms"} for n in (1, 2)]
    frames = [enhanced.at(2 * n, RescaleSlope=3, **one) for n, one in enumerate(said)]
    real = load(slices.write(tmp_path, [enhanced.instance(frames)])).dicom.real_world
    assert real.values[:, 0, :2].tolist() == [[1, 1.5], [101, 102]] and real.dicom.units == "ms"


def test_without_a_mapping_or_with_several_units_there_is_none(tmp_path):
    one, other = plane(0, 1, 1, 0), plane(1, 1, 1, 0, "ms")
    with pytest.raises(InvalidRequest, match="several units"):
        load(slices.write(tmp_path / "several", [one, other])).dicom.real_world
    with pytest.raises(InvalidRequest, match="no real world value mapping"):
        load(slices.write(tmp_path / "none", [plane(0, 1), plane(1, 1)])).dicom.real_world
