"""Write: masks, maps and documents; and a whole way from a folder to a peer (SPEC 13)."""

from __future__ import annotations

import builtins
import json
import tempfile
import warnings
from pathlib import Path

import derived
import numpy as np
import pydicom
import pytest
import real_peers
import xarray as xr
from derived import NEAR, check_same_places, datasets, rotation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dicomlab as dl
from dicomlab.errors import InvalidRequest, MissingCodec, ResultWarning

pytest.importorskip("highdicom")
FREE = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
LIVER = {"label": "liver", "category": ("123037004", "SCT", "Anatomical Structure"),
         "type": ("10200004", "SCT", "Liver"), "algorithm": "MANUAL"}  # fmt: skip


def test_a_boolean_array_becomes_a_segmentation(tmp_path):  # DESIGN 1; R13.5
    source = derived.series(tmp_path / "source", turn=rotation(2))
    volume = dl.load(source)
    table = dl.write(volume > -900, tmp_path / "out", like=source, SeriesDescription="über -900")
    back = dl.load(table)
    assert back.dims == ("segment", "z", "y", "x") and back.dtype == bool
    assert (back.values[0] == (volume.values > -900)).all() and back.dicom.same_grid(volume)
    assert back.SegmentLabel.values.tolist() == ["über -900"]
    old, (new,) = pydicom.dcmread(source[0]), datasets(table)
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert new[keyword].value == old[keyword].value, keyword
    assert new.SeriesInstanceUID != old.SeriesInstanceUID and new.SeriesDescription == "über -900"
    assert sorted(back.attrs["sources"]) == sorted(pydicom.dcmread(path).SOPInstanceUID for path in source)
    assert not derived.verified(table.path[0]) and "Müller^Jörg" in derived.dumped(table.path[0])


@settings(max_examples=8, **FREE)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    segments=st.integers(1, 3),
    tilt=st.floats(-20, 20),
)
def test_any_masks_come_back_at_their_place(tmp_path, seed, shape, segments, tilt):  # R13.3
    chance, turn = np.random.default_rng(seed), rotation(seed)
    line = turn[:, 2] + np.tan(np.radians(tilt)) * turn[:, 1]
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    source = derived.series(folder / "s", "CT", shape[0], shape[1:], turn, line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)  # the tilt
        volume = dl.load(source)
        masks = xr.concat([volume.copy(data=chance.random(shape) > 0.6) for _ in range(segments)], "segment")
        back = dl.load(dl.write(masks, folder / "o", like=source))
    assert back.shape == masks.shape and (back.values == masks.values).all()
    check_same_places(volume, back[0])


def test_masks_on_a_grid_of_their_own_come_back(tmp_path):  # R13.3
    source = derived.series(tmp_path / "source", turn=rotation(4), shape=(8, 8))
    volume = dl.load(source)
    other = volume.dicom.regular(2.5)
    mask = other > 50
    back = dl.load(dl.write(mask, tmp_path / "out", like=source))
    assert (back.values[0] == mask.values).all() and back.sizes["z"] == mask.sizes["z"]
    assert np.allclose(back.dicom.affine, mask.dicom.affine, atol=NEAR)
    part = (volume > -900).isel(z=slice(1, 3), y=slice(2, 6), x=slice(3, 7))
    back = dl.load(dl.write(part, tmp_path / "part", like=source))
    assert (back.values[0] == part.values).all() and np.allclose(back.dicom.affine, part.dicom.affine, atol=NEAR)


def test_labels_become_segments_with_their_codes_and_come_back_as_they_were(tmp_path):  # R13.5
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    labels = volume.copy(data=np.random.default_rng(3).integers(0, 3, volume.shape).astype(np.uint8))
    table = dl.write(labels, tmp_path / "out", like=source, kind="SEG", segments=[LIVER, "rest"])
    back = dl.load(table)
    assert [(back.values[n - 1] == (labels.values == n)).all() for n in (1, 2)] == [True, True]
    first, second = json.loads(back.attrs["segments"])
    assert first["type"] == {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    assert (first["algorithm"], second["label"]) == ("MANUAL", "rest")
    again = dl.load(dl.write(back, tmp_path / "again", like=source))
    assert (again.values == back.values).all() and again.attrs["segments"] == back.attrs["segments"]
    assert not derived.verified(table.path[0])


def test_fractions_come_back_to_one_part_in_510(tmp_path):
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    part = volume.copy(data=np.random.default_rng(3).random(volume.shape).astype(np.float32))
    table = dl.write(part, tmp_path / "out", like=source, kind="SEG")
    assert np.abs(dl.load(table).values[0] - part.values).max() <= table.attrs["max_error"] + 1e-6 <= 1 / 510 + 2e-6


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (lambda volume: volume - 5000, {}, "above 0"),
        (lambda volume: volume * 1.0, {}, "0 to 1"),
        (lambda volume: volume > 0, {"segments": ["a", "b"]}, "describes 2 segments"),
        (lambda volume: volume > 0, {"segments": [{"name": "a"}]}, "knows no 'name'"),
        (lambda volume: volume > 0, {"segments": [{"label": "a", "type": "Liver"}]}, "no code"),
        (lambda volume: (volume > 0).expand_dims("time"), {}, "no dimensions time"),
        (lambda volume: (volume > 0).drop_vars("geometry"), {}, "no geometry"),
    ],
)
def test_masks_that_are_none_are_refused(tmp_path, change, more, said):
    source = derived.series(tmp_path / "source")
    with pytest.raises(InvalidRequest, match=said):
        dl.write(change(dl.load(source)), tmp_path / "out", like=source, kind="SEG", **more)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_parametric_map_keeps_every_bit(tmp_path, dtype):  # R13.5
    source = derived.series(tmp_path / "source", "MR", turn=rotation(7))
    volume = dl.load(source)
    values = np.random.default_rng(5).normal(size=volume.shape).astype(dtype)
    values[0, 0, 0] = np.nan
    table = dl.write(volume.copy(data=values), tmp_path / "out", like=source, kind="PM", units="mm2/s")
    back = dl.load(table)
    assert back.dtype == dtype and np.array_equal(back.values, values, equal_nan=True)
    assert back.dicom.same_grid(volume) and back.dicom.units == "mm2/s"
    assert not [line for line in derived.verified(table.path[0]) if "QUANTITY" not in line]  # newer than it


def test_a_pdf_becomes_a_document_of_the_patient(tmp_path):
    source = derived.series(tmp_path / "source")
    pdf = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF"
    table = dl.write(pdf, tmp_path / "out", like=source, SeriesDescription="report")
    back = dl.load(table)
    (dataset,) = datasets(table)
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == pdf and "report" in repr(back)
    assert dataset.PatientID == "00123" and len(dataset.SourceInstanceSequence) == 4
    assert not derived.verified(table.path[0])
    with pytest.raises(InvalidRequest, match="no PDF"):
        dl.write(b"hello", tmp_path / "no", like=source)


def test_without_highdicom_the_error_holds_the_pip_line(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *more, **others):
        if name == "highdicom":
            raise ImportError(name)
        return real(name, *more, **others)

    source = derived.series(tmp_path / "source")
    mask = dl.load(source) > 0
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingCodec, match=r'pip install "dicomlab\[derived\]"'):
        dl.write(mask, tmp_path / "out", like=source)


def test_the_third_story_runs(tmp_path):  # DESIGN 1
    derived.series(tmp_path / "thorax" / "a", SeriesNumber=2)
    instances = dl.scan(tmp_path / "thorax")
    volume = dl.load(instances.query("SeriesNumber == 2"))
    bone = dl.write(volume > -800, tmp_path / "bone", like=instances, SeriesDescription="bone")
    (tmp_path / "peer").mkdir()
    with real_peers.storescp(tmp_path / "peer") as peer, dl.connect(peer.address, allow="store") as pacs:
        sent = pacs.store(bone)
        assert sent.stored.all() and len(sent) == 1
        (got,) = (peer.folder / "received").iterdir()
        assert (dl.load(got).values[0] == (volume.values > -800)).all()


def test_to_a_peer_at_once(tmp_path):  # R13.8
    source = derived.series(tmp_path / "source")
    volume = dl.load(source)
    (tmp_path / "peer").mkdir()
    with real_peers.storescp(tmp_path / "peer") as peer:
        with dl.connect(peer.address, allow="store") as pacs:
            sent = dl.write(volume, pacs, like=source)
        assert sent.stored.all() and sent.path.isna().all() and sent.attrs["max_error"] == 0
        assert (dl.load(list((peer.folder / "received").iterdir())).values == volume.values).all()
        with dl.connect(peer.address) as pacs, pytest.raises(InvalidRequest, match="store"):
            dl.write(volume, pacs, like=source)
    assert not list(Path(tempfile.gettempdir()).glob("dicomlab-written-*"))


class Refusing:
    """Takes the first of what it is given."""

    def store(self, what, *, errors=None):
        return what.assign(stored=[True] + [False] * (len(what) - 1))


def test_what_a_peer_does_not_take_stays_as_files(tmp_path, monkeypatch):  # R13.8
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = derived.series(tmp_path / "source")
    sent = dl.write(dl.load(source), Refusing(), like=source)
    assert sent.path.isna().tolist() == [True, False, False, False]
    assert all(pydicom.dcmread(path).PatientID == "00123" for path in sent.path[1:])
