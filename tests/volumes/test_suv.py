"""PET in SUV: from the headers of its instances, or a refusal that names the attribute."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import slices
import xarray as xr
from pydicom.dataset import Dataset
from support import shared

from dicomlab import demo_pacs, load, scan
from dicomlab.demo.phantom import truth
from dicomlab.errors import BadFile, InvalidRequest, ResultWarning

HALF_LIFE = 6586.2
#: Bq/ml to SUVbw one hour after 350 MBq of F-18, 70 kg.
FACTOR = 70_000 / (350e6 * 2 ** (-3600 / HALF_LIFE))


def tracer(**attributes):
    item = Dataset()
    known = {
        "RadionuclideTotalDose": 350e6,
        "RadionuclideHalfLife": HALF_LIFE,
        "RadiopharmaceuticalStartDateTime": "20240320100000",
        "RadiopharmaceuticalStartTime": "100000",
    }
    for keyword, value in (known | attributes).items():
        if value is not None:
            setattr(item, keyword, value)
    return item


def pet(folder, tracers=None, private=None, change=None, **attributes):
    """Three planes of 100, 200 and 300; `change` is called with each data set and its number."""
    return load(slices.write(folder, pet_datasets(tracers, private, change, **attributes)))


def pet_datasets(tracers=None, private=None, change=None, **attributes):
    known = {
        "SOPClassUID": slices.PET, "Modality": "PT", "Units": "BQML", "DecayCorrection": "START",
        "CorrectedImage": ["NORM", "DECY", "ATTN", "SCAT"], "PatientWeight": 70, "PatientSize": 1.75,
        "PatientSex": "M", "SeriesDate": "20240320", "SeriesTime": "110000", "AcquisitionDate": "20240320",
        "AcquisitionTime": "110000", "RescaleIntercept": 0, "NumberOfSlices": 3,
    }  # fmt: skip
    datasets = slices.stack([0, 4, 8], **(known | attributes))
    for number, dataset in enumerate(datasets):
        dataset.PixelData = np.full((4, 3), 100 * (number + 1), np.int16).tobytes()
        dataset.RadiopharmaceuticalInformationSequence = [tracer()] if tracers is None else tracers
        if private:
            group, creator, element, vr, value = private
            dataset.private_block(group, creator, create=True).add_new(element, vr, value)
        if change:
            change(dataset, number)
    return datasets


def values(volume):
    return volume.values[:, 0, 0].tolist()


def test_suv_by_body_weight_with_the_decay_from_injection_to_the_start_of_the_scan(tmp_path):  # R12.7, SPEC 12 SUV
    volume = pet(tmp_path)
    found = volume.dicom.suv()
    assert values(found) == pytest.approx([100 * FACTOR, 200 * FACTOR, 300 * FACTOR], rel=1e-6)
    assert found.dtype == np.float32 and found.attrs["units"] == "GML" and found.dicom.same_grid(volume)
    assert "70 kg" in found.attrs["SUV"] and "3600 s" in found.attrs["SUV"]
    assert volume.attrs["units"] == "BQML" and values(volume) == [100, 200, 300]


def test_the_rescale_of_each_slice_is_in_it(tmp_path):
    def change(dataset, number):
        dataset.RescaleSlope = [1.5, 0.25, 2.125][number]

    found = pet(tmp_path, change=change).dicom.suv()
    assert values(found) == pytest.approx([150 * FACTOR, 50 * FACTOR, 637.5 * FACTOR], rel=1e-6)


@pytest.mark.parametrize(
    ("attributes", "items", "seconds"),
    [
        ({"DecayCorrection": "ADMIN"}, {}, 0),
        ({"DecayCorrection": "ADMIN", "SeriesTime": None}, {"RadiopharmaceuticalStartTime": None}, 0),
        ({}, {"RadiopharmaceuticalStartDateTime": None}, 3600),
        ({"SeriesTime": "110030.5", "AcquisitionTime": "110031"}, {}, 3630.5),
        # midnight: the time alone is of the day before, and with a date there is no question
        ({"SeriesTime": "003000", "AcquisitionTime": "003000"},
         {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": "233000"}, 3600),
        ({"SeriesTime": "003000", "AcquisitionTime": "003000"},
         {"RadiopharmaceuticalStartDateTime": "20240319233000", "RadiopharmaceuticalStartTime": None}, 3600),
        # a date without a clock is no moment
        ({}, {"RadiopharmaceuticalStartDateTime": "20240320"}, 3600),
        # post-processed: the series is later than its acquisition
        ({"SeriesTime": "150000"}, {}, 3600),
        ({"SeriesDate": "20240402"}, {}, 3600),
        # clocks of two zones, of one where the series does not say its own
        ({"TimezoneOffsetFromUTC": "+0100"}, {"RadiopharmaceuticalStartDateTime": "20240320090000.00+0000"}, 3600),
        ({}, {"RadiopharmaceuticalStartDateTime": "20240320100000+0200"}, 3600),
    ],
)  # fmt: skip
def test_the_dose_decays_until_the_time_the_image_is_corrected_to(tmp_path, attributes, items, seconds):  # SPEC 12 SUV
    found = pet(tmp_path, [tracer(**items)], **attributes).dicom.suv()
    assert found.values[0, 0, 0] == pytest.approx(100 * 70_000 / (350e6 * 2 ** (-seconds / HALF_LIFE)), rel=1e-6)


def test_a_post_processed_series_of_ge_says_when_it_was_scanned(tmp_path):
    private = (0x0009, "GEMS_PETD_01", 0x0D, "DT", "20240320110000.00")
    volume = pet(tmp_path, private=private, SeriesTime="150000", AcquisitionTime="113000")
    assert volume.dicom.suv().values[0, 0, 0] == pytest.approx(100 * FACTOR, rel=1e-6)


def test_the_earliest_acquisition_is_that_of_the_whole_series(tmp_path):
    def change(dataset, number):
        dataset.AcquisitionTime = f"11{5 * number:02d}00"

    volume = pet(tmp_path, change=change, SeriesTime="150000")
    assert volume.dicom.suv().values[0, 0, 0] == pytest.approx(100 * FACTOR, rel=1e-6)
    with pytest.raises(InvalidRequest, match="earliest of 3 slices, and the array holds 2"):
        volume[1:].dicom.suv()


@pytest.mark.parametrize(
    ("attributes", "items", "name"),
    [
        ({"PatientWeight": None}, {}, "PatientWeight (0010,1030) is missing"),
        ({"PatientWeight": 0}, {}, "PatientWeight (0010,1030) is 0"),
        ({"PatientWeight": 70000}, {}, "PatientWeight (0010,1030) is 70000 kg"),
        ({}, {"RadionuclideTotalDose": None}, "RadionuclideTotalDose (0018,1074) is missing"),
        ({}, {"RadionuclideTotalDose": 350}, "RadionuclideTotalDose (0018,1074) is 350, too little"),
        ({}, {"RadionuclideHalfLife": None}, "RadionuclideHalfLife (0018,1075) is missing"),
        ({}, {"RadionuclideHalfLife": 0}, "RadionuclideHalfLife (0018,1075) is 0"),
        ({}, {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": None},
         "RadiopharmaceuticalStartTime (0018,1072) are missing"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20240319100000"}, "cannot be with a half life"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20240320123000"}, "cannot be with a half life"),
        ({"Units": None}, {}, "Units (0054,1001) is missing"),
        ({"Units": "CNTS"}, {}, "neither (7053,1000) nor (7053,1009)"),
        ({"Units": "PROPCPS"}, {}, "Units (0054,1001) is PROPCPS"),
        ({"DecayCorrection": "NONE"}, {}, "DecayCorrection (0054,1102) is NONE"),
        ({"DecayCorrection": None}, {}, "DecayCorrection (0054,1102) is missing"),
        ({"CorrectedImage": ["ATTN"]}, {}, "has no DECY"),
        ({"CorrectedImage": "DECY"}, {}, "has no ATTN"),
        ({"CorrectedImage": None}, {}, "CorrectedImage (0028,0051)"),
        ({"SeriesTime": None}, {}, "SeriesTime (0008,0031) is missing"),
        ({"AcquisitionDate": None}, {}, "AcquisitionDate (0008,0022) is missing"),
        ({"Units": "GML", "SUVType": "LBM"}, {}, "SUVType (0054,1006) LBM already"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.20"}, {}, "Nuclear Medicine"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_named_and_nothing_assumed(tmp_path, attributes, items, name):  # SPEC 12 SUV
    volume = pet(tmp_path, [tracer(**items)], **attributes)
    with pytest.raises(InvalidRequest) as caught:
        volume.dicom.suv()
    assert name in str(caught.value)


def test_two_injections_or_none_are_no_dose(tmp_path):
    with pytest.raises(InvalidRequest, match="2 items: several injections"):
        pet(tmp_path / "a", [tracer(), tracer()]).dicom.suv()
    with pytest.raises(InvalidRequest, match=r"RadionuclideTotalDose .* is missing"):
        pet(tmp_path / "b", []).dicom.suv()


def test_what_the_caller_knows_is_taken_for_what_the_headers_lack(tmp_path):
    volume = pet(tmp_path, [tracer(RadionuclideTotalDose=None)], PatientWeight=None)
    found = volume.dicom.suv(PatientWeight=70, RadionuclideTotalDose=350e6)
    assert values(found)[0] == pytest.approx(100 * FACTOR, rel=1e-6)
    assert found.attrs["SUV"].endswith("given by the caller: PatientWeight, RadionuclideTotalDose")
    with pytest.raises(InvalidRequest, match="did you mean 'PatientWeight'"):
        volume.dicom.suv(PatientWieght=70)
    with pytest.raises(InvalidRequest, match=r"PatientWeight .* '70'"):
        volume.dicom.suv(PatientWeight="70", RadionuclideTotalDose=350e6)


def test_instances_that_disagree_have_no_common_factor(tmp_path):
    def change(dataset, number):
        dataset.PatientWeight = 70 + number

    with pytest.raises(InvalidRequest, match="PatientWeight differs"):
        pet(tmp_path, change=change).dicom.suv()


@pytest.mark.parametrize(("element", "factor"), [(0x00, 0.005), (0x09, 0.005 * FACTOR)])
def test_counts_of_philips_have_a_factor_to_suv_or_to_activity(tmp_path, element, factor):  # (7053,1000), (7053,1009)
    private = (0x7053, "Philips PET Private Group", element, "DS", "0.005")
    volume = pet(tmp_path, private=private, Units="CNTS")
    assert values(volume.dicom.suv()) == pytest.approx([n * factor for n in (100, 200, 300)], rel=1e-6)


def test_suv_of_another_maker_in_that_group_is_none(tmp_path):
    with pytest.raises(InvalidRequest, match="neither"):
        pet(tmp_path, private=(0x7053, "OTHER", 0x00, "DS", "0.005"), Units="CNTS").dicom.suv()


@pytest.mark.parametrize(
    ("kind", "sex", "measure", "units"),
    [
        ("lbm", "M", 1000 * 9270 * 70 / (6680 + 216 * 70 / 1.75**2), "GML"),
        ("lbm", "F", 1000 * 9270 * 70 / (8780 + 244 * 70 / 1.75**2), "GML"),
        ("lbmjames128", "M", 1000 * (1.1 * 70 - 128 * (70 / 175) ** 2), "GML"),
        ("lbmjames128", "F", 1000 * (1.07 * 70 - 148 * (70 / 175) ** 2), "GML"),
        ("bsa", "O", 71.84 * 70**0.425 * 175**0.725, "CM2ML"),
    ],
)
def test_lean_body_mass_and_surface_where_the_header_allows(tmp_path, kind, sex, measure, units):
    volume = pet(tmp_path, PatientSex=sex)
    found = volume.dicom.suv(kind)
    assert values(found)[0] == pytest.approx(100 * FACTOR * measure / 70_000, rel=1e-6)
    assert found.attrs["units"] == units and found.dicom.units == units


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"PatientSex": "O"}, "PatientSex (0010,0040) is 'O'"),
        ({"PatientSex": None}, "PatientSex (0010,0040) is missing"),
        ({"PatientSize": None}, "PatientSize (0010,1020) is missing"),
        ({"PatientSize": 175}, "PatientSize (0010,1020) is 175 m"),
    ],
)
def test_lean_body_mass_is_refused_where_the_header_does_not(tmp_path, attributes, name):
    with pytest.raises(InvalidRequest) as caught:
        pet(tmp_path, **attributes).dicom.suv("lbm")
    assert name in str(caught.value)


def test_there_is_no_other_kind(tmp_path):
    with pytest.raises(InvalidRequest, match="no SUV of kind 'peak'"):
        pet(tmp_path).dicom.suv("peak")


def test_values_that_are_suv_already_stay_as_they_are_and_are_not_taken_twice(tmp_path):  # GML
    volume = pet(tmp_path, Units="GML")
    found = volume.dicom.suv()
    assert values(found) == [100, 200, 300] and found.attrs["units"] == "GML"
    with pytest.raises(InvalidRequest, match="values are SUV already"):
        found.dicom.suv()


def test_values_without_their_units_are_no_activity_any_more(tmp_path):
    volume = pet(tmp_path)
    halves = volume / 2
    halves.attrs = {}
    with pytest.raises(InvalidRequest, match="no known units"):
        halves.dicom.suv()


def test_an_array_that_names_no_instances_or_changed_ones_is_refused(tmp_path):
    volume = pet(tmp_path)
    with pytest.raises(InvalidRequest, match="no longer names the instances"):
        volume.mean("z", keep_attrs=True).dicom.suv()
    with pytest.raises(InvalidRequest, match="another instance"):
        volume.assign_coords(SOPInstanceUID=("z", volume.SOPInstanceUID.values[::-1])).dicom.suv()
    next(tmp_path.glob("*.dcm")).unlink()
    with pytest.raises(BadFile):
        volume.dicom.suv()


def test_what_was_cut_out_or_flipped_or_smoothed_has_its_suv(tmp_path):
    volume = pet(tmp_path)
    part = volume[::-1].isel(z=slice(0, 2), x=[1])
    assert values(part.dicom.suv()) == pytest.approx([300 * FACTOR, 200 * FACTOR], rel=1e-6)
    assert volume.isel(z=1).dicom.suv().values[0, 0] == pytest.approx(200 * FACTOR, rel=1e-6)


def test_all_frames_of_a_dynamic_scan_are_corrected_to_its_start(tmp_path):
    datasets = []
    for time, clock in enumerate(["110000", "111000"]):
        for dataset in pet_datasets(AcquisitionTime=clock, FrameReferenceTime=600_000.0 * time + 1):
            dataset.SOPInstanceUID += f".{time}"
            dataset.InstanceNumber += 3 * time
            datasets.append(dataset)
    volume = load(slices.write(tmp_path, datasets))
    found = volume.dicom.suv()
    assert found.dims == ("time", "z", "y", "x")
    known = pytest.approx([100 * FACTOR, 200 * FACTOR, 300 * FACTOR], rel=1e-6)
    assert values(found.isel(time=0)) == known and values(found.isel(time=1)) == known
    assert values(volume.isel(time=1).dicom.suv()) == known


def test_padding_and_window_go_with_the_values(tmp_path):
    volume = pet(tmp_path, PixelPaddingValue=200, WindowCenter=200, WindowWidth=400, RescaleSlope=0.7)
    found = volume.dicom.suv()
    assert (found.dicom.padding == volume.dicom.padding).all() and int(found.dicom.padding.sum()) == 12
    assert found.dicom.window == pytest.approx((200 * FACTOR, 400 * FACTOR))


def test_a_scan_that_began_just_before_the_injection_is_said(tmp_path):
    item = tracer(RadiopharmaceuticalStartDateTime="20240320110010", RadiopharmaceuticalStartTime=None)
    volume = pet(tmp_path, [item])
    with pytest.warns(ResultWarning, match="began 10 s before"):
        assert values(volume.dicom.suv())[0] == pytest.approx(100 * 7e4 / (350e6 * 2 ** (10 / HALF_LIFE)), rel=1e-6)


def test_two_times_of_injection_that_differ_are_said(tmp_path):
    volume = pet(tmp_path, [tracer(RadiopharmaceuticalStartTime="101500")])
    with pytest.warns(ResultWarning, match="the latter is taken"):
        assert values(volume.dicom.suv())[0] == pytest.approx(100 * FACTOR, rel=1e-6)


def test_the_phantom_of_the_demo_has_its_known_suv():
    known = truth("pet")
    with demo_pacs() as pacs:
        found = load(pacs.retrieve(pacs.find("SERIES", Modality="PT"))).dicom.suv()
    for insert in known.inserts:
        inside = found.values[known.inside(insert.name)]
        assert abs(inside - insert.value).max() < 1e-3 and inside.size > 50


@pytest.mark.parametrize("name", ["DRO_0_0", "DRO_3_3"])
def test_the_reference_objects_have_their_published_suv(name):  # min 0.20, median 1.00, max 4.00 in the mask
    nibabel = pytest.importorskip("nibabel")
    folder = shared("data/pet_suv_dro/DRO")
    mask = nibabel.load(folder / "DRO_0_0/mask/DRO_mask.nii.gz").get_fdata().T > 0
    found = load(scan(folder / name / "PT")).dicom.suv()
    inside = found.values[mask]
    assert [inside.min(), np.median(inside), inside.max()] == pytest.approx([0.2, 1.0, 4.0], abs=1e-4)


def test_a_published_pet_that_holds_suv_keeps_its_values():
    volume = load(scan(shared("data/petctmr_sts002/dicom/STS_002/PET/image")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xr.testing.assert_equal(volume.dicom.suv(), volume)
