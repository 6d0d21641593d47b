"""Write: RT Dose, from an array on any regular grid (SPEC 13)."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import derived
import numpy as np
import pydicom
import pytest
from derived import NEAR, check_same_places, plan, rotation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dicomlab as dl
from dicomlab.errors import InvalidRequest, ResultWarning

FREE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def dose_of(volume, seed=1):
    return volume.copy(data=np.random.default_rng(seed).random(volume.shape) * 70).drop_vars("SOPInstanceUID")


def voxels(volume):
    """Position and value of each voxel."""
    index = np.meshgrid(*map(np.arange, volume.shape), indexing="ij")
    return volume.dicom.position(*index).reshape(-1, 3), volume.values.astype(np.float64).ravel()


def test_a_dose_comes_back_equal_and_other_programs_read_the_same(tmp_path):  # R13.1, R13.3
    import SimpleITK as sitk

    source, named = derived.series(tmp_path / "source", turn=rotation(3)), plan(tmp_path / "plan")
    volume = dl.load(source)
    dose = dose_of(volume)
    table = dl.write(dose, tmp_path / "out", like=source, kind="DOSE", units="Gy", plan=named)
    back = dl.load(table)
    assert back.dtype == np.float32 and np.abs(back.values - dose.values).max() < 1e-5
    assert np.allclose(back.dicom.affine, volume.dicom.affine, atol=NEAR) and back.dicom.units == "Gy"
    assert back.attrs["sources"] == ["1.2.826.0.1.3680043.8.498.9"]
    assert 0 < table.attrs["max_error"] <= table.attrs["step"] / 2 * 1.001 < 1e-8
    (dataset,) = (pydicom.dcmread(path) for path in table.path)
    assert (dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType) == ("GY", "PHYSICAL", "PLAN")
    assert dataset.GridFrameOffsetVector[0] == 0 and dataset.FrameIncrementPointer == 0x3004000C
    old = pydicom.dcmread(source[0])
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert dataset[keyword].value == old[keyword].value, keyword
    assert len(dataset.SourceImageSequence) == 4
    assert not derived.verified(table.path[0]) and "Müller^Jörg" in derived.dumped(table.path[0])
    reader = sitk.ImageFileReader()
    reader.SetFileName(table.path[0])
    image = reader.Execute()
    scaling = float(reader.GetMetaData("3004|000e"))  # which ITK does not apply by itself
    assert np.allclose(sitk.GetArrayFromImage(image) * scaling, dose.values, atol=1e-5)
    expected = back.dicom.to_sitk()
    for name in ("GetOrigin", "GetDirection", "GetSpacing"):
        assert np.allclose(getattr(image, name)(), getattr(expected, name)(), atol=NEAR), name


@settings(max_examples=12, **FREE)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    dtype=st.sampled_from(["uint8", "uint16", "int32", "float32", "float64"]),
    scale=st.floats(-8, 8),
    order=st.permutations("zyx"),
    flips=st.tuples(*[st.sampled_from([1, -1])] * 3),
)
def test_any_dose_comes_back_within_half_a_step_at_its_place(  # R13.3
    tmp_path, seed, shape, dtype, scale, order, flips
):
    chance = np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    source = derived.series(folder / "s", "CT", shape[0], shape[1:], rotation(seed))
    volume = dl.load(source)
    if np.dtype(dtype).kind == "f":
        values = (chance.random(shape) * 10**scale).astype(dtype)
    else:
        values = chance.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    dose = volume.copy(data=values).isel(dict(zip("zyx", [slice(None, None, one) for one in flips], strict=True)))
    dose = dose.transpose(*order)
    with pytest.warns(ResultWarning, match="plan="):
        table = dl.write(dose, folder / "o", like=source, kind="RT Dose", units="relative")
    back = dl.load(table)
    there, values_there = voxels(dose)
    places, found = voxels(back)
    near = np.linalg.norm(there[:, None] - places[None], axis=2).argmin(axis=1)
    assert sorted(near) == list(range(dose.size)) and np.abs(there - places[near]).max() < NEAR
    assert back.dicom.units == "relative"
    largest = max(float(np.abs(values.astype(np.float64)).max()), 1e-30)
    error = np.abs(values_there - found[near]).max()
    assert error <= table.attrs["max_error"] + 1.2e-7 * largest
    assert table.attrs["max_error"] <= table.attrs["step"] / 2 * 1.001 and table.attrs["step"] <= largest / 4e9
    if np.dtype(dtype).kind != "f" and np.dtype(dtype).itemsize < 4:
        assert error == 0 and table.attrs["step"] == 0


def test_a_dose_of_a_dose_keeps_plan_kind_and_every_bit(tmp_path):  # R13.3
    source, named = derived.series(tmp_path / "source"), plan(tmp_path / "plan")
    dose = dose_of(dl.load(source))
    first = dl.write(dose, tmp_path / "first", like=source, kind="DOSE", units="Gy", plan=named, DoseType="EFFECTIVE")
    before = dl.load(first)
    again = dl.write(before, tmp_path / "again", like=first, DoseComment="the same")
    back = dl.load(again)
    assert (back.values == before.values).all() and again.attrs["max_error"] == 0 and back.dicom.same_grid(before)
    assert (back.attrs["DoseType"], back.attrs["DoseComment"], back.attrs["sources"]) == (
        "EFFECTIVE", "the same", before.attrs["sources"])  # fmt: skip
    with pytest.raises(InvalidRequest, match="units of the dose are not known"):
        dl.write(before * 2, tmp_path / "no", like=first)


@pytest.mark.parametrize("frame", [derived.STUDY["FrameOfReferenceUID"], None])
def test_like_a_plan_a_dose_is_of_that_plan(tmp_path, frame):
    source, named = derived.series(tmp_path / "source"), plan(tmp_path / "plan", FrameOfReferenceUID=frame)
    dose = dose_of(dl.load(source))
    table = dl.write(dose, tmp_path / "out", like=named, units="Gy")
    dataset = pydicom.dcmread(table.path[0])
    assert [one.ReferencedSOPInstanceUID for one in dataset.ReferencedRTPlanSequence] == ["1.2.826.0.1.3680043.8.498.9"]
    assert dataset.FrameOfReferenceUID == derived.STUDY["FrameOfReferenceUID"]
    assert not derived.verified(table.path[0]) and np.allclose(dl.load(table).values, dose.values, atol=1e-5)


def test_a_gap_between_the_planes_of_a_dose_stays(tmp_path):
    source = derived.series(tmp_path / "source", count=6)
    dose = dose_of(dl.load(source)).isel(z=[0, 1, 4, 5])
    with pytest.warns(ResultWarning, match="gap"):
        table = dl.write(dose, tmp_path / "out", like=source, kind="DOSE", units="Gy", plan=plan(tmp_path / "plan"))
        back = dl.load(table)
    assert np.allclose(back.z.values, dose.z.values, atol=NEAR)
    check_same_places(dose, back)


def test_a_difference_of_doses_may_be_below_0(tmp_path):
    source = derived.series(tmp_path / "source")
    change = dose_of(dl.load(source)) - 35
    more = {"like": source, "kind": "DOSE", "units": "Gy", "plan": plan(tmp_path / "plan")}
    with pytest.raises(InvalidRequest, match=r'not below 0.*DoseType="ERROR"'):
        dl.write(change, tmp_path / "no", **more)
    table = dl.write(change, tmp_path / "out", DoseType="ERROR", **more)
    assert np.allclose(dl.load(table).values, change.values, atol=1e-5) and not derived.verified(table.path[0])


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (lambda dose: dose, {"units": None}, 'Give units="Gy"'),
        (lambda dose: dose, {"units": "cGy"}, "1 Gy is 100 cGy"),
        (lambda dose: dose, {"DoseType": "MENTAL"}, "PHYSICAL, EFFECTIVE"),
        (lambda dose: dose, {"DoseGridScaling": 1e-9}, "beyond what 32 bits hold.*Give one of at least"),
        (lambda dose: dose, {"DoseGridScaling": -1}, "above 0"),
        (lambda dose: dose * np.nan, {}, "NaN"),
        (lambda dose: dose.expand_dims("time"), {}, "no dimension 'time'"),
        (lambda dose: dose, {"plan": "source"}, "no RT Plan"),
    ],
)
def test_what_is_no_dose_is_refused_before_anything_is_written(tmp_path, change, more, said):
    source = derived.series(tmp_path / "source")
    more = {"units": "Gy", "kind": "DOSE"} | more
    if more.get("plan") == "source":
        more["plan"] = source[0]
    with pytest.raises(InvalidRequest, match=said):
        dl.write(change(dose_of(dl.load(source))), tmp_path / "out", like=source, **more)
    assert not (tmp_path / "out").exists()


def test_the_scaling_that_is_given_is_kept_and_its_step_is_said(tmp_path):
    source = derived.series(tmp_path / "source")
    dose = dose_of(dl.load(source))
    table = dl.write(dose, tmp_path / "out", like=source, kind="DOSE", units="Gy", DoseGridScaling=0.01,
                     plan=plan(tmp_path / "plan"))  # fmt: skip
    assert table.attrs["step"] == 0.01 and 0 < table.attrs["max_error"] <= 0.005
    assert np.abs(dl.load(table).values - dose.values).max() <= 0.005 + 1e-5


def test_a_sheared_dose_is_refused(tmp_path):
    source = derived.series(tmp_path / "source", line=np.array([0, 0.2, 1.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)
        volume = dl.load(source)
    with pytest.raises(InvalidRequest, match=r"sheared.*regular\(\)"):
        dl.write(dose_of(volume), tmp_path / "out", like=source, kind="DOSE", units="Gy")
