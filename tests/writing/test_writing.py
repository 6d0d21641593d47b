"""Write: what is computed becomes proper DICOM, of its patient, at its place, with its values (SPEC 13)."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path

import derived
import numpy as np
import pandas as pd
import pydicom
import pytest
import xarray as xr
from derived import NEAR, UNITS, check_same_places, datasets, rotation
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.valuerep import format_number_as_ds

import dicomlab as dl
from dicomlab.errors import InvalidRequest, ResultWarning
from dicomlab.writers.required import REQUIRED
from dicomlab.writers.stored import rule_for

FREE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
SEEDS = st.integers(0, 2**31)


def written(volume, source, units=None, **more):
    """Written and read again; the folder is the system's to remove."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        table = dl.write(volume, folder, like=source, units=units, **more)
        return table, dl.load(table)


@pytest.mark.parametrize("kind", ["CT", "MR", "PET"])
def test_what_was_loaded_and_written_loads_equal(tmp_path, kind):  # R13.1, R13.3
    source = derived.series(tmp_path / "source", kind)
    volume = dl.load(source)
    table = dl.write(volume, tmp_path / "out", like=source)
    back = dl.load(table)
    assert back.dtype == volume.dtype and (back.values == volume.values).all()
    assert np.array_equal(back.dicom.affine, volume.dicom.affine) and back.dicom.same_grid(volume)
    assert back.dicom.units == volume.dicom.units == {"CT": "HU", "MR": "", "PET": "BQML"}[kind]
    assert table.attrs["max_error"] == table.attrs["step"] == 0
    assert table.SOPClassUID.unique().tolist() == [derived.KINDS[kind]["SOPClassUID"]]
    assert back.InstanceNumber.values.tolist() == [1, 2, 3, 4]


TYPES = st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"])


@settings(max_examples=15, **FREE)
@example(kind="CT", dtype="int64", seed=0, shape=(1, 1, 1), spacing=(1, 1), step=1.0, tilt=0.0, scale=0)  # one value
@example(kind="MR", dtype="float32", seed=0, shape=(1, 1, 1), spacing=(1, 1), step=1.0, tilt=0.0, scale=0)
@example(kind="CT", dtype="int8", seed=0, shape=(2, 1, 2), spacing=(1, 1), step=1.0, tilt=0.5, scale=0)
@given(
    kind=st.sampled_from(["CT", "MR", "PET"]),
    dtype=TYPES,
    seed=SEEDS,
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    spacing=st.tuples(st.floats(0.1, 4), st.floats(0.1, 4)),
    step=st.floats(0.3, 8),
    tilt=st.floats(-25, 25),
    scale=st.floats(-6, 6),
)
def test_any_array_comes_back_within_half_a_step_at_its_place(  # R13.3
    tmp_path, kind, dtype, seed, shape, spacing, step, tilt, scale
):
    chance, turn = np.random.default_rng(seed), rotation(seed)
    line = turn[:, 2] + np.tan(np.radians(tilt)) * turn[:, 1]
    folder = tempfile.mkdtemp(dir=tmp_path)
    source = derived.series(Path(folder), kind, shape[0], shape[1:], turn, line, spacing, step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)  # the tilt
        volume = dl.load(source)
    kinds = np.dtype(dtype)
    if kinds.kind == "f":
        values = (chance.normal(size=shape) * 10**scale).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        low, high = sorted(int(value) for value in chance.integers(limits.min, limits.max, 2, dtype=dtype))
        values = chance.integers(low, high, shape, dtype=dtype, endpoint=True)
    array = volume.copy(data=values)
    table, back = written(array, source, UNITS[kind])
    assert back.shape == array.shape and back.dicom.units == UNITS[kind]
    if 1 in shape[1:]:  # of one row nobody knows where a second would lie: the planes may come back the other way round
        back = back.sortby("z", ascending=bool(array.z[0] < array.z[-1]))
    check_same_places(array, back)
    error = np.abs(back.values.astype(np.float64) - values.astype(np.float64)).max()
    rounding = 1e-6 * max(float(np.abs(values.astype(np.float64)).max()), 1e-30)  # of float32
    assert error <= table.attrs["max_error"] + rounding
    assert table.attrs["max_error"] <= table.attrs["step"] / 2 * (1 + 1e-6) + rounding
    span = float(values.max()) - float(values.min())
    if kinds.kind != "f" and span < 2**15 and np.abs(values.astype(np.float64)).max() < 10**15:
        assert kind == "PET" or error == 0
    if kind != "PET":
        least = 1.0 if kinds.kind != "f" else 1.0001e-30
        assert table.attrs["step"] <= max(span / 65_000, least) + (kinds.kind != "f") * (span > 65_000)


@pytest.mark.parametrize("value", [2**62 + 1, -(2**62), -(2**53) + 1, 2**53 - 1, -40_000])
def test_one_whole_number_throughout_is_stored_with_a_slope_and_an_intercept_that_a_file_can_hold(value):
    """A decimal string has 16 characters, and a slope of 0 no level."""
    values = np.full((1, 2, 2), value)
    rule = rule_for(values)
    levels, error = rule.stored(values)
    assert rule.slope >= 1 and float(format_number_as_ds(rule.intercept)) == rule.intercept
    assert np.abs(levels * rule.slope + rule.intercept - values).max() == error <= 1e-10 * abs(value)
    assert error == 0 or not rule.exact


@pytest.mark.parametrize("order", [("z", "y", "x"), ("y", "z", "x"), ("x", "y", "z"), ("x", "z", "y")])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_a_turned_or_flipped_array_is_at_the_same_place_in_the_patient(tmp_path, order, flips):  # R13.2
    source = derived.series(tmp_path / "source", turn=rotation(5))
    volume = dl.load(source)
    turned = volume.isel(dict(zip("zyx", [slice(None, None, flip) for flip in flips], strict=True))).transpose(*order)
    _, back = written(turned, source, "HU")
    places, values = (
        {
            tuple(np.round(one.dicom.position(*index), 2) + 0.0): int(one.values[index])
            for index in np.ndindex(one.shape)
        }
        for one in (volume, back)
    )
    near = {tuple(np.round(np.array(place), 1) + 0.0): value for place, value in places.items()}
    assert near == {tuple(np.round(np.array(place), 1) + 0.0): value for place, value in values.items()}


def test_a_gap_between_planes_stays_a_gap(tmp_path):
    source = derived.series(tmp_path / "source", count=6)
    volume = dl.load(source).isel(z=[0, 1, 4, 5])
    with pytest.warns(ResultWarning, match="gap"):
        back = dl.load(dl.write(volume, tmp_path / "out", like=source))
    assert np.allclose(back.z.values, volume.z.values, atol=NEAR)


def test_one_plane_keeps_its_thickness_and_place(tmp_path):
    source = derived.series(tmp_path / "source", step=4.0)
    volume = dl.load(source)
    for one in (volume.isel(z=2), volume.isel(z=[2])):
        _, back = written(one, source)
        assert back.shape == (1, 6, 5) and (back.values[0] == volume.values[2]).all()
        assert np.allclose(back.dicom.affine, volume.isel(z=[2]).dicom.affine, atol=NEAR)


# ------------------------------------------------------------------ whose it is


def test_without_like_nothing_is_written(tmp_path):  # R13.10a
    volume = dl.load(get_testdata_file("CT_small.dcm"))
    with pytest.raises(InvalidRequest, match="Give like="):
        dl.write(volume, tmp_path / "out")
    with pytest.raises(InvalidRequest, match="nothing is selected"):
        dl.write(volume, tmp_path / "out", like=[])
    assert not (tmp_path / "out").exists()


def test_patient_and_study_come_from_like_and_never_from_attrs(tmp_path):  # R13.2, R13.10a
    source = derived.series(tmp_path / "source")
    volume = dl.load(source).assign_attrs(
        PatientID="666", PatientName="Wrong^Man", StudyInstanceUID="6.6.6", SeriesDescription="stale", StudyDate="1"
    )
    table = dl.write(volume, tmp_path / "out", like=source)
    old = pydicom.dcmread(source[0])
    for dataset in datasets(table):
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyID"):
            assert str(dataset[keyword].value) == str(old[keyword].value), keyword
        assert dataset.SeriesDescription == "portal venous (derived)"
        assert dataset.SeriesInstanceUID != old.SeriesInstanceUID and dataset.ImageType[:2] == ["DERIVED", "SECONDARY"]
        assert dataset.FrameOfReferenceUID == old.FrameOfReferenceUID


def test_uids_are_new_each_time_and_say_nothing(tmp_path):  # R13.9
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    tables = [dl.write(volume, tmp_path / name, like=source) for name in "ab"]
    uids = [uid for table in tables for uid in (*table.SOPInstanceUID, table.SeriesInstanceUID[0])]
    assert len(set(uids)) == 10 and all(uid.startswith("2.25.") and len(uid) <= 44 for uid in uids)


def test_each_image_names_the_image_it_was_made_from(tmp_path):  # R13.2
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    for dataset, path in zip(datasets(dl.write(volume, tmp_path / "out", like=source)), source, strict=True):
        (item,) = dataset.SourceImageSequence
        assert item.ReferencedSOPInstanceUID == pydicom.dcmread(path).SOPInstanceUID
    between = volume.isel(z=slice(0, 2)).assign_coords(z=volume.z.values[:2] + 1.5).drop_vars("SOPInstanceUID")
    table = dl.write(between, tmp_path / "between", like=source, units="HU")
    assert [len(one.SourceImageSequence) for one in datasets(table)] == [2, 2]
    across = volume.transpose("x", "y", "z").drop_vars("SOPInstanceUID")
    table = dl.write(across, tmp_path / "across", like=source, units="HU")
    assert {len(one.SourceImageSequence) for one in datasets(table)} == {4}


def test_like_of_several_studies_is_narrowed_by_what_the_array_was_made_from_or_refused(tmp_path):
    mine = derived.series(tmp_path / "mine")
    other = derived.series(tmp_path / "other", PatientID="999", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.10")
    for number, path in enumerate(other):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.11.{number}"
        dataset.save_as(path)
    volume = dl.load(mine)
    table = dl.write(volume, tmp_path / "out", like=[*other, *mine])
    assert table.PatientID.unique().tolist() == ["00123"]
    with pytest.raises(InvalidRequest, match="2 studies of 2 patients"):
        dl.write(volume.drop_vars("SOPInstanceUID"), tmp_path / "no", like=[*other, *mine])
    both = xr.concat([volume, dl.load(other)], "time", join="override", coords="different", compat="equals")
    with pytest.raises(InvalidRequest, match="2 studies of 2 patients"):
        dl.write(both, tmp_path / "no", like=[*other, *mine])
    assert not (tmp_path / "no").exists()


def test_an_array_of_another_frame_of_reference_is_refused(tmp_path):  # R13.2
    mine = derived.series(tmp_path / "mine")
    other = derived.series(tmp_path / "other", FrameOfReferenceUID="1.2.99", PatientID="999")
    with pytest.raises(InvalidRequest, match="another frame of reference"):
        dl.write(dl.load(other), tmp_path / "out", like=mine)


def test_a_whole_study_may_be_named_and_the_series_is_found(tmp_path):  # DESIGN 1, story 3
    first = derived.series(tmp_path / "first")
    second = derived.series(tmp_path / "second", "MR", SeriesInstanceUID="1.2.20", SeriesNumber=9)
    for path in second:
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID += ".7"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path)
    instances = dl.scan(tmp_path)
    table = dl.write(dl.load(first), tmp_path / "out", like=instances)
    assert table.Modality.unique().tolist() == ["CT"] and table.SeriesNumber.unique().tolist() == [1004]
    with pytest.raises(InvalidRequest, match="2 series"):
        dl.write(dl.load(first).drop_vars("SOPInstanceUID"), tmp_path / "no", like=instances)


# ------------------------------------------------------------------ values, units, looks


@pytest.mark.parametrize("kind", ["CT", "MR"])
def test_units_are_the_arrays_own_only_while_its_values_are(tmp_path, kind):  # DESIGN 1
    more = {"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "ms"} if kind == "MR" else {}
    source = derived.series(tmp_path / "source", kind, **more)
    volume = dl.load(source)
    own = {"CT": "HU", "MR": "ms"}[kind]
    with xr.set_options(keep_attrs=True):
        masked, twice = volume.where(volume > volume.min(), 0).astype("int16"), volume * 2
    assert twice.attrs["units"] == own
    _, back = written(masked, source)
    assert back.dicom.units == own
    _, back = written(twice, source)
    assert back.dicom.units in ("", "US")
    _, back = written(twice, source, own)
    assert back.dicom.units == own


def test_a_ct_image_of_unknown_units_is_said(tmp_path):
    source = derived.series(tmp_path / "source")
    with pytest.warns(ResultWarning, match='give units="HU"'):
        table = dl.write(dl.load(source) * 2, tmp_path / "out", like=source)
    assert {one.RescaleType for one in datasets(table)} == {"US"}


def test_a_pet_image_needs_units(tmp_path):
    source = derived.series(tmp_path / "source", "PET")
    volume = dl.load(source)
    with pytest.raises(InvalidRequest, match="units="):
        dl.write(volume * 0.5, tmp_path / "out", like=source)
    with pytest.raises(InvalidRequest, match=r"a mask, write it as one: volume\.astype\(bool\)"):
        dl.write((volume > 2).astype("uint8"), tmp_path / "out", like=source)
    suv = volume.dicom.suv()
    with pytest.raises(InvalidRequest, match='what the array says, give units="GML"'):
        dl.write(suv, tmp_path / "out", like=source)
    table = dl.write(suv, tmp_path / "out", like=source, units="GML")
    back = dl.load(table)
    assert back.dicom.units == "GML" and np.abs(back.values - suv.values).max() <= table.attrs["max_error"] * 1.01
    assert all(one.RescaleIntercept == 0 for one in datasets(table))  # PS3.3 C.8.9.4


def test_suv_can_be_worked_out_from_a_written_pet_series(tmp_path):
    source = derived.series(tmp_path / "source", "PET")
    volume = dl.load(source)
    table = dl.write(volume, tmp_path / "out", like=source)
    assert np.allclose(dl.load(table).dicom.suv().values, volume.dicom.suv().values, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_cannot_be_stored_are_refused(tmp_path, bad):
    source = derived.series(tmp_path / "source")
    volume = dl.load(source).astype(float)
    volume[1, 2, 3] = bad
    with pytest.raises(InvalidRequest, match="NaN or infinite"):
        dl.write(volume, tmp_path / "out", like=source, units="HU")
    with pytest.raises(InvalidRequest, match="complex"):
        dl.write(dl.load(source).astype(complex), tmp_path / "out", like=source)


def test_the_window_is_that_of_the_source_while_the_values_are(tmp_path):
    source = derived.series(tmp_path / "source", WindowCenter=40, WindowWidth=400)
    volume = dl.load(source)
    same, half = (datasets(dl.write(one, tmp_path / str(n), like=source, units="HU"))[0]
                  for n, one in enumerate((volume, volume * 0.5)))  # fmt: skip
    assert (same.WindowCenter, same.WindowWidth) == (40, 400)
    assert half.WindowWidth > 0


def test_what_is_written_says_how_exact_it_is(tmp_path):
    source = derived.series(tmp_path / "source")
    table = dl.write(dl.load(source) * 0.123, tmp_path / "out", like=source, units="HU")
    assert 0 < table.attrs["max_error"] <= table.attrs["step"] / 2 * 1.001
    assert "steps of" in datasets(table)[0].DerivationDescription


# ------------------------------------------------------------------ attributes


def test_attributes_are_given_by_keyword(tmp_path):
    source = derived.series(tmp_path / "source")
    table = dl.write(dl.load(source), tmp_path / "out", like=source, SeriesDescription="Größe 骨", SeriesNumber=77,
                     WindowCenter=1.5)  # fmt: skip
    first = datasets(table)[0]
    assert first.SeriesDescription == "Größe 骨" and first.SpecificCharacterSet == "ISO_IR 192"  # R13.4
    assert first.SeriesNumber == 77 and first.PatientName == "Müller^Jörg" and first.WindowCenter == 1.5
    assert table.PatientName[0] == "Müller^Jörg"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PatientName": "X"}, "like= alone"),
        ({"StudyInstanceUID": "1.2"}, "like= alone"),
        ({"SeriesDescripton": "x"}, "did you mean 'SeriesDescription'"),
        ({"Rows": 3}, "alone"),
        ({"SeriesNumber": "many"}, "SeriesNumber"),
        ({"SeriesDescription": "x" * 65}, "SeriesDescription"),
        ({"unit": "HU"}, "did you mean 'units'"),
        ({"kind": "CTT"}, "did you mean 'CT'"),
        ({"transfer_syntax": "1.2.840.10008.1.2.4.50"}, "1.2.840.10008.1.2.4.50"),
    ],
)
def test_what_cannot_be_given_is_refused_before_anything_is_written(tmp_path, given, said):
    source = derived.series(tmp_path / "source")
    with pytest.raises(InvalidRequest, match=said):
        dl.write(dl.load(source), tmp_path / "out", like=source, **given)
    assert not (tmp_path / "out").exists()


def test_a_required_attribute_that_like_does_not_have_is_asked_for(tmp_path):  # R13.4
    source = derived.series(tmp_path / "source", "MR", ScanningSequence=None, EchoTrainLength=None)
    volume = dl.load(source)
    with pytest.raises(InvalidRequest, match=r"ScanningSequence.*write\(\.\.\., ScanningSequence=\.\.\.\)"):
        dl.write(volume, tmp_path / "out", like=source)
    table = dl.write(volume, tmp_path / "out", like=source, ScanningSequence="RM")
    first = datasets(table)[0]
    assert first.ScanningSequence == "RM" and "EchoTrainLength" in first and first.EchoTrainLength is None


def test_the_table_of_required_attributes_is_that_of_the_standard():  # R13.4
    highdicom = pytest.importorskip("highdicom")
    tables = Path(highdicom.__file__).parent / "_standard"
    if not tables.is_dir():
        pytest.skip("this highdicom has no tables")
    read = {name: json.loads((tables / f"{name}.json").read_text()) for name in
            ("sop_class_iod_map", "iod_module_map", "module_attribute_map")}  # fmt: skip
    for sop_class, ours in REQUIRED.items():
        known = {1: {name for one, _ in ours for name in one}, 2: {name for _, two in ours for name in two}}
        for module in read["iod_module_map"][read["sop_class_iod_map"][sop_class]]:
            if module["key"] == "sr-document-content":  # it lists what each type of value needs, which is not the root
                continue
            for attribute in read["module_attribute_map"][module["key"]] if module["usage"] == "M" else ():
                if not attribute["path"] and attribute["type"] in ("1", "2"):
                    mine = known[1] | (known[2] if attribute["type"] == "2" else set())
                    assert attribute["keyword"] in mine, (sop_class, module["key"], attribute["keyword"])


def test_private_attributes_and_group_lengths_are_not_taken_along(tmp_path):  # R13.4
    source = derived.series(tmp_path / "source")
    for path in source:
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "secret")
        dataset.OtherPatientIDsSequence = [pydicom.Dataset()]
        dataset.OtherPatientIDsSequence[0].PatientID = "77"
        dataset.OtherPatientIDsSequence[0].private_block(0x0009, "ACME", create=True).add_new(1, "LO", "secret")
        dataset.save_as(path)
    for dataset in datasets(dl.write(dl.load(source), tmp_path / "out", like=source)):
        assert not any(part.tag.is_private or part.tag.element == 0 for part in dataset.iterall())
        assert dataset.OtherPatientIDsSequence[0].PatientID == "77"


# ------------------------------------------------------------------ axes in front


def test_a_time_series_comes_back(tmp_path):
    every = []
    for time in range(3):
        paths = derived.series(tmp_path / str(time), "MR")
        for path in paths:
            dataset = pydicom.dcmread(path)
            dataset.SOPInstanceUID += f".{time}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.TemporalPositionIdentifier, dataset.NumberOfTemporalPositions = time + 1, 3
            dataset.InstanceNumber += 4 * time
            dataset.PixelData = (dataset.pixel_array + 1000 * time).tobytes()
            dataset.save_as(path)
        every += paths
    volume = dl.load(every)
    back = dl.load(dl.write(volume, tmp_path / "out", like=every))
    assert back.dims == volume.dims == ("time", "z", "y", "x") and (back.values == volume.values).all()
    assert back.time.values.tolist() == [1, 2, 3]
    mean = volume.mean("time")
    assert dl.load(dl.write(mean, tmp_path / "mean", like=every)).dims == ("z", "y", "x")
    with pytest.raises(InvalidRequest, match="'bolus'"):
        dl.write(volume.rename(time="bolus"), tmp_path / "no", like=every)


# ------------------------------------------------------------------ secondary captures


def test_a_picture_becomes_a_secondary_capture(tmp_path):
    source = derived.series(tmp_path / "source")
    picture = xr.DataArray(np.random.default_rng(1).integers(0, 256, (20, 31, 3), np.uint8), dims=("y", "x", "channel"))
    table = dl.write(picture, tmp_path / "out", like=source, SeriesDescription="plot")
    assert table.SOPClassUID.tolist() == ["1.2.840.10008.5.1.4.1.1.7"] and table.PatientID[0] == "00123"
    assert (dl.load(table).values == picture.values).all()
    assert len(datasets(table)[0].SourceImageSequence) == 4


def test_colour_at_a_place_comes_back_at_its_place(tmp_path):
    source = derived.series(tmp_path / "source", turn=rotation(8))
    volume = dl.load(source)
    colour = xr.concat([volume % 256] * 3, "channel").transpose("z", "y", "x", "channel").astype(np.uint8)
    table = dl.write(colour, tmp_path / "out", like=source)
    back = dl.load(table)
    assert back.dims == ("z", "y", "x", "channel") and (back.values == colour.values).all()
    assert np.allclose(back.dicom.affine, volume.dicom.affine, atol=NEAR)


# ------------------------------------------------------------------ where to


def test_files_are_whole_or_absent_and_never_overwritten(tmp_path, monkeypatch):  # R13.7
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    table = dl.write(volume, tmp_path / "out", like=source)
    before = {path: Path(path).read_bytes() for path in table.path}
    more = dl.write(volume, tmp_path / "out", like=source)
    assert not set(more.path) & set(table.path) and all(
        Path(path).read_bytes() == data for path, data in before.items()
    )
    assert len(os.listdir(tmp_path / "out")) == 8
    from dicomlab.disk import placing

    count = iter(range(10))

    def full(path, data, mode):
        if next(count) == 2:
            raise OSError(28, "No space left on device", path)
        Path(path).write_bytes(data)

    monkeypatch.setattr(placing, "_write", full)
    with pytest.raises(InvalidRequest, match="No space left"):
        dl.write(volume, tmp_path / "out", like=source)
    assert len(os.listdir(tmp_path / "out")) == 8
    with pytest.raises(InvalidRequest, match="is a file"):
        dl.write(volume, source[0], like=source)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"])
def test_another_transfer_syntax_loses_nothing(tmp_path, syntax):  # R13.6
    source = derived.series(tmp_path / "source", shape=(64, 48))
    volume = dl.load(source)
    table = dl.write(volume, tmp_path / "out", like=source, transfer_syntax=syntax)
    assert set(table.TransferSyntaxUID) == {syntax} and (dl.load(table).values == volume.values).all()


def test_a_file_set_has_a_dicomdir_and_keeps_what_is_there(tmp_path):  # R13.7
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    place = tmp_path / "cd" / "DICOMDIR"
    first = dl.write(volume, place, like=source)
    second = dl.write(volume, place, like=source)
    assert len(dl.scan(place)) == 8 and len(set(first.path) | set(second.path)) == 8
    assert (dl.load(first).values == volume.values).all()
    for path in (*first.path, *second.path):
        parts = Path(path).relative_to(tmp_path / "cd").parts
        assert len(parts) <= 8 and all(0 < len(part) <= 8 for part in parts)
        assert all(sign in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_" for part in parts for sign in part)
    assert derived.dumped(place).count("(0004,1430)") == 3 + 1 + 2 + 8 - 2


# ------------------------------------------------------------------ extensions


def test_an_extension_is_called_for_each_frame_and_one_that_fails_is_named(tmp_path):  # R12.10
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)

    def comments(dataset, frame):
        dataset.ImageComments = f"frame {frame} of image {dataset.InstanceNumber}"

    def fails(dataset, frame):
        dataset.ImageComments = "lost"
        raise RuntimeError("no")

    def steals(dataset, frame):
        dataset.PatientID = "666"

    with pytest.warns(ResultWarning) as said:
        table = dl.write(volume, tmp_path / "out", like=source, extensions=[comments, fails, steals])
    words = " ".join(str(one.message) for one in said)
    assert "fails failed: RuntimeError: no" in words and "steals changed PatientID" in words
    assert [one.ImageComments for one in datasets(table)] == [f"frame 1 of image {n}" for n in (1, 2, 3, 4)]
    assert table.PatientID.unique().tolist() == ["00123"]


# ------------------------------------------------------------------ other programs


@pytest.mark.parametrize("kind", ["CT", "MR", "PET"])
@pytest.mark.parametrize("factor", [1, 0.37])
def test_other_programs_read_the_same(tmp_path, kind, factor):
    import SimpleITK as sitk

    source = derived.series(tmp_path / "source", kind, turn=rotation(3))
    volume = dl.load(source) * factor
    table = dl.write(volume, tmp_path / "out", like=source, units=UNITS[kind])
    for path in table.path:
        assert not derived.verified(path)
        assert "Müller^Jörg" in derived.dumped(path)
    image = sitk.ReadImage(list(table.path))
    expected = dl.load(table).dicom.to_sitk()
    assert np.allclose(sitk.GetArrayFromImage(image), volume.values, atol=max(table.attrs["max_error"] * 1.01, 1e-4))
    assert np.allclose(image.GetOrigin(), expected.GetOrigin(), atol=NEAR)
    assert np.allclose(image.GetDirection(), expected.GetDirection(), atol=1e-5)
    assert np.allclose(image.GetSpacing(), expected.GetSpacing(), atol=NEAR)


def test_secondary_captures_are_read_by_other_programs(tmp_path):
    source = derived.series(tmp_path / "source")
    table = dl.write(dl.load(source), tmp_path / "out", like=source, kind="SC")
    for path in table.path:
        assert not derived.verified(path)


@pytest.mark.parametrize(
    ("kind", "units", "said"),
    [("CT", "Hounsfield", "Give units='HU'"), ("CT", "hu", "Give units='HU'"), ("PET", "BQ/ML", "did you mean 'BQML'")],
)
def test_units_that_are_none_are_refused_and_the_term_is_said(tmp_path, kind, units, said):
    source = derived.series(tmp_path / "source", kind)
    with pytest.raises(InvalidRequest, match=said):
        dl.write(dl.load(source) * 2, tmp_path / "out", like=source, units=units)
    assert not (tmp_path / "out").exists()


def test_a_mask_of_numbers_is_told_what_makes_a_segmentation(tmp_path):
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    with pytest.warns(ResultWarning, match=r'all values are 0 and 1.*kind="SEG"'):
        dl.write((volume > -900).astype(float), tmp_path / "out", like=source)
    with pytest.raises(InvalidRequest, match=r"volume\.copy\(data=array\)"):
        dl.write(volume.values > 0, tmp_path / "no", like=source)
    with pytest.raises(InvalidRequest, match="columns name, value and unit"):
        dl.write(pd.DataFrame({"a": [1]}), tmp_path / "no", like=source)


def test_a_disk_that_is_full_is_said_and_nothing_is_left(tmp_path):  # R13.7
    resource = pytest.importorskip("resource")
    source = derived.series(tmp_path / "source", shape=(64, 64))
    volume = dl.load(source)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # a file may not grow beyond, as on a disk without room
    try:
        with pytest.raises(InvalidRequest, match=r"nothing was written to .*File too large"):
            dl.write(volume, tmp_path / "out", like=source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out").exists()
