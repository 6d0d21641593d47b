"""SUV of Enhanced PET images, by the attributes of their own modules; every precondition is asked for."""

from __future__ import annotations

import enhanced
import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset

from dicomlab import load
from dicomlab.errors import InvalidRequest

SLOPE = 0.5
#: Bq/ml to SUVbw: 70 kg, 350 MBq of F-18 two hours before.
FACTOR = 70_000 / (350e6 * 2 ** (-7200 / 6586.2))


def tracer(**attributes):
    item = Dataset()
    known = {
        "RadiopharmaceuticalAgentNumber": 1, "RadionuclideTotalDose": 350, "RadionuclideHalfLife": 6586.2,
        "RadiopharmaceuticalStartDateTime": "20240320230000",
    }  # fmt: skip
    for keyword, value in (known | attributes).items():
        if value is not None:
            setattr(item, keyword, value)
    return item


def pet(folder, tracers=None, code="Bq/ml", slopes=(SLOPE, SLOPE), **attributes):
    frames = [
        enhanced.at(4.0 * n, RescaleSlope=by, RealWorldValueSlope=by, RealWorldValueIntercept=0.0, CodeValue=code)
        for n, by in enumerate(slopes)
    ]
    known = {
        "SOPClassUID": enhanced.ENHANCED_PET, "Modality": "PT", "PatientWeight": 70, "PatientSize": 1.75,
        "PatientSex": "M", "AttenuationCorrected": "YES", "DecayCorrected": "YES",
        "DecayCorrectionDateTime": "20240321010000", "SOPInstanceUID": "1.2.3.9",
    }  # fmt: skip
    dataset = enhanced.instance(frames)
    dataset.RadiopharmaceuticalInformationSequence = [tracer()] if tracers is None else tracers
    for keyword, value in (known | attributes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return load(slices.write(folder, [dataset]))


def test_activity_is_divided_by_what_is_left_of_the_dose_per_weight(tmp_path):  # R12.7, PS3.3 C.8.22.4: MBq
    volume = pet(tmp_path)
    found = volume.dicom.suv()
    assert volume.dicom.units == "BQML" and found.dicom.units == "GML" and found.dtype == np.float32
    np.testing.assert_allclose(found.values, volume.values * FACTOR, rtol=1e-6)
    np.testing.assert_allclose(found.values[1, 0, 1], 101 * SLOPE * FACTOR, rtol=1e-6)
    assert "after 7200 s" in found.attrs["SUV"] and "DecayCorrectionDateTime" in found.attrs["SUV"]


def test_the_slope_of_each_frame_is_in_it_and_one_plane_or_other_kinds_work_too(tmp_path):
    volume = pet(tmp_path, slopes=(1.0, 2.0))
    np.testing.assert_allclose(volume.dicom.suv().values[:, 0, 1], [FACTOR, 202 * FACTOR], rtol=1e-6)
    np.testing.assert_allclose(volume.isel(z=1).dicom.suv().values[0, 1], 202 * FACTOR, rtol=1e-6)
    mass = 1000 * 9270 * 70 / (6680 + 216 * 70 / 1.75**2)
    np.testing.assert_allclose(volume.dicom.suv("lbm").values[1, 0, 1], 202 * FACTOR * mass / 70_000, rtol=1e-6)


def test_what_the_caller_knows_is_taken_and_the_dose_is_in_becquerels_then(tmp_path):
    volume = pet(tmp_path, [tracer(RadionuclideTotalDose=None)], PatientWeight=None)
    found = volume.dicom.suv(PatientWeight=70, RadionuclideTotalDose=350e6)
    np.testing.assert_allclose(found.values, volume.values * FACTOR, rtol=1e-6)


def test_both_times_on_the_clock_of_the_series(tmp_path):
    volume = pet(
        tmp_path,
        [tracer(RadiopharmaceuticalStartDateTime="20240320210000+0000")],
        DecayCorrectionDateTime="20240321000000+0100",
        TimezoneOffsetFromUTC="+0100",
    )
    np.testing.assert_allclose(volume.dicom.suv().values, volume.values * FACTOR, rtol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "change", "why"),
    [
        ({"AttenuationCorrected": "NO"}, {}, r"AttenuationCorrected \(0018,9759\) is NO, and must be YES"),
        ({"AttenuationCorrected": None}, {}, r"AttenuationCorrected \(0018,9759\) is missing"),
        ({"DecayCorrected": "NO"}, {}, r"DecayCorrected \(0018,9758\) is NO"),
        ({"DecayCorrectionDateTime": None}, {}, r"DecayCorrectionDateTime \(0018,9701\) is missing"),
        ({"DecayCorrectionDateTime": "20240321"}, {}, "'20240321' is no date and time"),
        ({"DecayCorrectionDateTime": "20240331010000"}, {}, "cannot be with a half life"),
        ({"PatientWeight": None}, {}, r"PatientWeight \(0010,1030\) is missing"),
        ({}, {"RadionuclideTotalDose": 350e6}, "is 3.5e\\+08, too much for MBq; Bq perhaps"),
        ({}, {"RadionuclideTotalDose": None}, r"RadionuclideTotalDose \(0018,1074\) is missing"),
        ({}, {"RadionuclideHalfLife": None}, r"RadionuclideHalfLife \(0018,1075\) is missing"),
        ({}, {"RadiopharmaceuticalStartDateTime": None}, "RadiopharmaceuticalStartDateTime"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, attributes, change, why):  # R12.7: never a default
    with pytest.raises(InvalidRequest, match=f"no SUV: .*{why}"):
        pet(tmp_path, [tracer(**change)], **attributes).dicom.suv()


def test_several_injections_other_units_and_changed_values_are_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="2 items: several injections"):
        pet(tmp_path / "two", [tracer(), tracer()]).dicom.suv()
    for code, units in (("{counts}", "CNTS"), ("", "no known units"), ("{propcounts}", "PROPCNTS")):
        with pytest.raises(InvalidRequest, match=f"the values are in {units}"):
            pet(tmp_path / (units or "none"), code=code).dicom.suv()
    volume = pet(tmp_path / "changed")
    with pytest.raises(InvalidRequest, match="the values are in no known units"):
        (volume / 2).assign_attrs(units="").dicom.suv()


def test_values_that_are_suv_stay_if_the_mapping_says_of_which_kind(tmp_path):
    volume = pet(tmp_path, code="{SUVbw}g/ml")
    assert volume.dicom.units == "GML" and volume.dicom.suv().values.tolist() == volume.values.tolist()
    lean = pet(tmp_path / "lean", code="{SUVlbm}g/ml")
    with pytest.raises(InvalidRequest, match=r"SUV of SUVType \(0054,1006\) LBM already"):
        lean.dicom.suv()
    with pytest.raises(InvalidRequest, match="does not say of which kind"):
        pet(tmp_path / "plain", code="g/ml").dicom.suv()


def test_a_legacy_converted_image_is_refused_by_its_name(tmp_path):
    volume = pet(tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.128.1")
    with pytest.raises(InvalidRequest, match=r"Enhanced PET Image Storage.*this is Legacy Converted Enhanced PET"):
        volume.dicom.suv()
