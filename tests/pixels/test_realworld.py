"""Real world value mapping: at hand with its units, and never in the place of the modality values (R12.7)."""

from __future__ import annotations

import enhanced
import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset

from dicomlab import load
from dicomlab.errors import InvalidRequest
from dicomlab.pixels.realworld import pet_units


def mapping(slope, intercept, code="Hz", label=None, ends=None):
    item, unit = Dataset(), Dataset()
    if label is not None:
        item.LUTLabel = label
    if ends is not None:
        item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = ends
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
    real = volume.dicom.real_world()
    assert real.values[:, 0].tolist() == [[-3, -2.5, -2], [7, 7.25, 7.5]] and real.dicom.units == "Hz"
    assert real.dtype == np.float32 and real.dicom.same_grid(volume) and real.dims == volume.dims
    part = volume.isel(z=1).dicom.real_world()
    assert part.values.tolist() == [[7, 7.25, 7.5]]


def test_units_are_those_of_real_world_values_that_are_the_modality_values(tmp_path):
    volume = load(slices.write(tmp_path, [plane(0, 0.5, 0.5, -10), plane(1, 0.5, 0.5, -10)]))
    assert volume.dicom.units == "Hz"
    np.testing.assert_array_equal(volume.dicom.real_world().values, volume.values)


def test_frames_of_enhanced_images_have_their_own_mapping(tmp_path):
    said = [{"RealWorldValueSlope": 0.5 * n, "RealWorldValueIntercept": 1.0, "CodeValue": "ms"} for n in (1, 2)]
    frames = [enhanced.at(2 * n, RescaleSlope=3, **one) for n, one in enumerate(said)]
    real = load(slices.write(tmp_path, [enhanced.instance(frames)])).dicom.real_world()
    assert real.values[:, 0, :2].tolist() == [[1, 1.5], [101, 102]] and real.dicom.units == "ms"


def test_without_a_mapping_or_with_several_units_there_is_none(tmp_path):
    one, other = plane(0, 1, 1, 0), plane(1, 1, 1, 0, "ms")
    with pytest.raises(InvalidRequest, match="several units"):
        load(slices.write(tmp_path / "several", [one, other])).dicom.real_world()
    with pytest.raises(InvalidRequest, match="no real world value mapping"):
        load(slices.write(tmp_path / "none", [plane(0, 1), plane(1, 1)])).dicom.real_world()


def several(number, *mappings):
    made = plane(number, 2)
    made.RealWorldValueMappingSequence = [item for one in mappings for item in mapping(*one)]
    return made


def test_another_mapping_is_chosen_by_number_label_or_units(tmp_path):  # R12.7
    pair = ((0.5, -3, "Hz", "FIELD"), (0.25, 1, "ms", "DELAY"))
    volume = load(slices.write(tmp_path, [several(0, *pair), several(1, *pair)]))
    assert volume.dicom.real_world().dicom.units == "Hz"  # the default is the first
    for which in (2, "DELAY", "ms"):
        found = volume.dicom.real_world(which)
        assert found.values[0, 0].tolist() == [1, 1.25, 1.5] and found.dicom.units == "ms"
    for which in (3, 0, "ADC", True, 1.5):
        with pytest.raises(InvalidRequest, match=r"no real .* mapping .*Mappings are: 1 FIELD in Hz; 2 DELAY in ms"):
            volume.dicom.real_world(which)
    alike = ((0.5, -3, "Hz", "A"), (0.25, 1, "Hz", "B"))
    volume = load(slices.write(tmp_path / "alike", [several(0, *alike), several(1, *alike)]))
    with pytest.raises(InvalidRequest, match="2 real world value mappings are 'Hz'"):
        volume.dicom.real_world("Hz")


def test_a_table_is_passed_over_and_a_value_the_mapping_is_not_stated_for_is_no_number(tmp_path):  # C.7.6.16.2.11
    datasets = [several(0, (0.5, -3, "Hz", "PART", (1, 2))), several(1, (0.5, -3, "Hz", "PART", (1, 2)))]
    for dataset in datasets:
        item = Dataset()
        item.LUTLabel, item.RealWorldValueLUTData = "TABLE", [1.0, 2.0, 3.0]
        dataset.RealWorldValueMappingSequence.insert(0, item)
    paths = slices.write(tmp_path, datasets)
    real = load(paths).dicom.real_world()
    np.testing.assert_array_equal(real.values[0, 0], [np.nan, -2.5, -2])
    np.testing.assert_array_equal(load(paths, chunks={}).dicom.real_world().values, real.values)


def test_frames_of_enhanced_images_have_several_mappings_too(tmp_path):
    frames = [enhanced.at(2.0 * n, RescaleSlope=3) for n in range(2)]
    shared = enhanced.groups(enhanced.SHARED)
    shared.RealWorldValueMappingSequence = mapping(0.5, 1, "ms", "T1") + mapping(2, 0, "1", "COUNT")
    dataset = enhanced.instance(frames)
    dataset.SharedFunctionalGroupsSequence = [shared]
    volume = load(slices.write(tmp_path, [dataset]))
    assert volume.dicom.real_world("T1").values[:, 0, :2].tolist() == [[1, 1.5], [51, 51.5]]
    assert volume.dicom.real_world(2).values[:, 0, :2].tolist() == [[0, 2], [200, 202]]


def test_units_of_pet_are_terms_of_the_standard_wherever_they_are_said():  # R12.7, (0054,1001)
    assert [pet_units(code) for code in ("Bq/ml", "g/ml{SUVbw}", "{counts}", "CNTS", "")] == [
        "BQML", "GML", "CNTS", "CNTS", "",
    ]  # fmt: skip


def test_an_enhanced_pet_in_becquerels_has_the_units_of_a_classic_one(tmp_path):
    said = {"RescaleSlope": 0.5, "RealWorldValueSlope": 0.5, "RealWorldValueIntercept": 0.0, "CodeValue": "Bq/ml"}
    dataset = enhanced.instance([enhanced.at(2.0 * n, **said) for n in range(2)])
    dataset.SOPClassUID, dataset.Modality = enhanced.ENHANCED_PET, "PT"
    volume = load(slices.write(tmp_path, [dataset]))
    assert volume.dicom.units == "BQML" == volume.dicom.real_world().dicom.units
