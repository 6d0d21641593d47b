"""Attribute matching of the embedded PACS, PS3.4 C.2.2.2, and its phantoms."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from pydicom import Dataset

from dicomlab.demo import Holdings, phantom
from dicomlab.demo.holdings import encode
from dicomlab.demo.matching import Rules, matches


@pytest.mark.parametrize(
    "keyword, wanted, held, expected",
    [
        ("PatientID", "A1", "A1", True),  # C.2.2.2.1 single value
        ("PatientID", "a1", "A1", False),
        ("PatientID", "A1", "", False),
        ("PatientID", "", "A1", True),  # C.2.2.2.3 universal
        ("PatientID", "*", "", False),
        ("PatientID", "A*", "A1", True),  # C.2.2.2.4 wild card
        ("PatientID", "A?", "A12", False),
        ("PatientID", "A.", "A1", False),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.3", True),  # C.2.2.2.2 list of UIDs
        ("StudyInstanceUID", ["1.2", "1.3"], "1.4", False),
        ("StudyDate", "20240101-20240331", "20240331", True),  # C.2.2.2.5 range
        ("StudyDate", "20240101-20240331", "20240401", False),
        ("StudyDate", "-20240331", "19990101", True),
        ("StudyDate", "20240101-", "20231231", False),
        ("StudyDate", "20240101-", "", False),
        ("StudyTime", "10-12", "105959.5", True),
        ("StudyTime", "1000-1200", "095959", False),
        ("StudyTime", "10", "1030", True),
        ("AcquisitionDateTime", "20240101-20240102", "20240102235959", True),
        ("AcquisitionDateTime", "20240101-20240102", "20240103", False),
        ("SeriesNumber", "2", "02", True),
        ("SeriesNumber", "2", "20", False),
        ("ModalitiesInStudy", "MR", ["CT", "MR"], True),
        ("PatientName", "Doe", "Doe^", True),
        ("PatientName", "doe*", "Doe^Jane", False),
        ("PatientName", "Doe", "Doe^Jane", False),
    ],
)
def test_a_key_matches_by_its_vr(keyword, wanted, held, expected):
    record, key = Dataset(), Dataset()
    setattr(record, keyword, held)
    setattr(key, keyword, wanted)
    assert matches(record, key[keyword]) is (True if wanted == "*" else expected)


def test_names_fold_case_where_the_archive_does():
    record, key = Dataset(), Dataset()
    record.PatientName, key.PatientName = "Doe^Jane", "dOE*"
    assert matches(record, key["PatientName"], Rules(fold=True))


def test_an_item_of_a_sequence_matches_by_its_own_keys():
    record, key, item, wanted = Dataset(), Dataset(), Dataset(), Dataset()
    item.ScheduledProcedureStepID, wanted.ScheduledProcedureStepID = "S1", "S*"
    record.RequestAttributesSequence, key.RequestAttributesSequence = [item], [wanted]
    assert matches(record, key["RequestAttributesSequence"])
    wanted.ScheduledProcedureStepID = "T*"
    assert not matches(record, key["RequestAttributesSequence"])


@pytest.fixture(scope="module")
def phantoms():
    return Holdings.phantoms()


def series(holdings, name):
    uid = phantom.truth(name).SeriesInstanceUID
    found = [each.dataset() for each in holdings if each.header.SeriesInstanceUID == uid]
    return sorted(found, key=lambda each: each.InstanceNumber)


@pytest.mark.parametrize("name", ["ct", "ct prior", "mr", "pet", "mr time"])
def test_every_voxel_of_every_insert_has_its_value_where_its_plane_says_it_lies(phantoms, name):
    truth = phantom.truth(name)
    for plane in series(phantoms, name):
        row, column = np.reshape(np.array(plane.ImageOrientationPatient, dtype=float), (2, 3))
        j, i = np.indices((plane.Rows, plane.Columns))
        spacing = [float(each) for each in plane.PixelSpacing]
        points = np.array(plane.ImagePositionPatient, dtype=float) + (
            j[..., None] * spacing[0] * column + i[..., None] * spacing[1] * row
        )
        values = plane.pixel_array * float(plane.get("RescaleSlope", 1)) + float(plane.get("RescaleIntercept", 0))
        factor = truth.factors[int(plane.get("TemporalPositionIdentifier", 1)) - 1] * truth.bqml_per_suv
        for insert in truth.inserts:
            inside = np.linalg.norm(points - insert.centre, axis=-1) <= insert.radius - 1e-6
            step = float(plane.get("RescaleSlope", 1))
            assert np.abs(values[inside] - insert.value * factor).max(initial=0.0) <= 0.5 * step


def test_suv_of_the_pet_follows_from_its_attributes(phantoms):
    for plane in series(phantoms, "pet")[12:20]:
        tracer = plane.RadiopharmaceuticalInformationSequence[0]
        elapsed = (float(plane.SeriesTime[:2]) - float(tracer.RadiopharmaceuticalStartTime[:2])) * 3600
        dose = tracer.RadionuclideTotalDose * 0.5 ** (elapsed / tracer.RadionuclideHalfLife)
        suv = plane.pixel_array * plane.RescaleSlope * plane.PatientWeight * 1000 / dose
        assert suv.max() == pytest.approx(5.0, rel=1e-3)


def test_one_seed_gives_one_phantom_and_another_seed_another():
    def checksums(seed):
        return [zlib.crc32(each.values().tobytes()) for each in phantom.truths(seed).values()]

    assert checksums(1) == checksums(1) != checksums(2)
    assert [each.uid for each in Holdings.phantoms(1)] == [each.uid for each in Holdings.phantoms(1)]
    assert not {each.uid for each in Holdings.phantoms(1)} & {each.uid for each in Holdings.phantoms(2)}


def test_names_are_in_five_scripts_and_one_patient_has_a_prior(phantoms):
    names = {str(each.header.PatientName) for each in phantoms}
    assert any("山田" in name for name in names) and any("Müller" in name for name in names)
    dates = {each.header.StudyDate for each in phantoms if each.header.PatientID == "DEMO-001"}
    assert dates == {"20230110", "20240215"}


def test_what_is_encoded_is_read_back_the_same(phantoms):
    for each in list(phantoms)[::15]:
        again = each.dataset()
        assert all(again[element.tag] == element for element in each.header)
        assert len(again) == len(each.header) + 1
        assert len(again.PixelData) == again.Rows * again.Columns * 2
        assert encode(again, each.transfer_syntax) == each.data


def test_implicit_vr_is_made_on_demand(phantoms):
    each = next(iter(phantoms))
    assert each.encoded("1.2.840.10008.1.2") != each.data
    assert each.encoded("1.2.840.10008.1.2.4.90") is None
