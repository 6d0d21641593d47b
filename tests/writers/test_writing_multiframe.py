"""Write: what is derived from multi-frame sources, by every writer (SPEC 13)."""

from __future__ import annotations

import derived
import enhanced
import numpy as np
import pandas as pd
import pydicom
import pytest
import slices
from derived import NEAR, UNITS, check_same_places, plan, rotation

import dicomlab as dl
from dicomlab.errors import InvalidRequest

pytest.importorskip("highdicom")
CLASSES = {"CT": enhanced.ENHANCED_CT, "MR": enhanced.ENHANCED_MR, "PET": enhanced.ENHANCED_PET}


def source_of(folder, kind="CT", count=4, seed=6):
    """An enhanced image of oblique planes; its path."""
    turn = rotation(seed)
    frames = [
        {"StackID": "1", "InStackPositionNumber": number + 1,
         "ImagePositionPatient": derived.numbers(np.array([-20.0, 11.5, -300.25]) + number * 3.0 * turn[:, 2])}
        for number in range(count)
    ]  # fmt: skip
    shared = {
        "ImageOrientationPatient": derived.numbers([*turn[:, 0], *turn[:, 1]]), "PixelSpacing": [0.7, 0.9],
        "SliceThickness": 3.0, "RescaleSlope": 1, "RescaleIntercept": 0,
        "RescaleType": {"CT": "HU", "MR": "US", "PET": "US"}[kind],
    }  # fmt: skip
    known = {name: value for name, value in derived.STUDY.items() if name not in ("SliceThickness", "ImageType")}
    whole = {name: value for name, value in derived.KINDS[kind].items() if not name.startswith("Rescale")}
    more = known | whole | {"SOPClassUID": CLASSES[kind], "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]}
    dataset = enhanced.instance(frames, shared, **more)
    if kind == "PET":
        dataset.RadiopharmaceuticalInformationSequence = [derived.tracer()]
    (path,) = slices.write(folder, [dataset])
    return path


def check(back, volume, values):
    assert back.shape[-3:] == volume.shape and np.allclose(np.squeeze(back.values), values, atol=1e-5)
    check_same_places(volume, back[0] if back.ndim == 4 else back)


@pytest.mark.parametrize("kind", ["CT", "MR", "PET"])
def test_images_of_one_frame_are_derived_from_a_multi_frame_one(tmp_path, kind):  # R13.1, R13.2, R13.3
    source = source_of(tmp_path / "source", kind)
    volume = dl.load(source)
    table = dl.write(volume, tmp_path / "out", like=source, units=UNITS[kind])
    check(dl.load(table), volume, volume.values)
    assert set(table.SOPClassUID) == {derived.KINDS[kind]["SOPClassUID"]} and len(table) == 4
    uid = pydicom.dcmread(source).SOPInstanceUID
    for number, path in enumerate(table.path, 1):
        dataset = pydicom.dcmread(path)
        (item,) = dataset.SourceImageSequence
        assert item.ReferencedSOPInstanceUID == uid and dataset.InstanceNumber == number
        assert dataset.PatientID == "00123" and not derived.verified(path)
        assert item.ReferencedFrameNumber == number
    with pytest.raises(InvalidRequest, match="another frame of reference"):
        dl.write(volume, tmp_path / "no", like=derived.series(tmp_path / "other", FrameOfReferenceUID="1.2.9"))


@pytest.mark.parametrize("form", ["SEGMENTATION", "PARAMETRIC MAP", "DOSE", "SECONDARY CAPTURE", "LABELS"])
def test_other_kinds_are_derived_from_a_multi_frame_one(tmp_path, form):  # R13.2, R13.3, R13.5
    source = source_of(tmp_path / "source")
    volume = dl.load(source)
    array, more = {
        "SEGMENTATION": (volume > 150, {}),
        "LABELS": ((volume > 150).astype("uint8") + (volume > 250).astype("uint8"), {"kind": "SEG"}),
        "PARAMETRIC MAP": (volume * 0.37, {"kind": "PM", "units": "mm2/s"}),
        "DOSE": (volume * 0.25, {"kind": "DOSE", "units": "Gy", "plan": plan(tmp_path / "plan")}),
        "SECONDARY CAPTURE": ((volume // 2).astype("uint8"), {"kind": "SC"}),
    }[form]
    table = dl.write(array, tmp_path / "out", like=source, **more)
    back = dl.load(table)
    if form == "LABELS":
        assert [(back.values[n - 1] == (array.values == n)).all() for n in (1, 2)] == [True, True]
    else:
        check(back, volume, array.values)
    uid = pydicom.dcmread(source).SOPInstanceUID
    for path in table.path:
        said = derived.dumped(path)
        assert uid in said and "00123" in said
        assert not [line for line in derived.verified(path) if "QUANTITY" not in line]


def test_a_part_of_a_multi_frame_image_and_a_grid_of_its_own_keep_their_places(tmp_path):  # R13.3
    source = source_of(tmp_path / "source", count=6)
    volume = dl.load(source)
    for name, part in (("part", volume.isel(z=slice(1, 4), x=slice(1, None))), ("own", volume.dicom.regular(1.5))):
        mask = part > 200
        back = dl.load(dl.write(mask, tmp_path / name, like=source))
        assert (back.values[0] == mask.values).all()
        assert np.allclose(back.dicom.affine, mask.dicom.affine, atol=NEAR)


def test_measurements_of_a_multi_frame_image_refer_to_it(tmp_path):
    source = source_of(tmp_path / "source")
    uid = pydicom.dcmread(source).SOPInstanceUID
    table = pd.DataFrame({"name": ["Volume"], "value": [3.5], "unit": ["ml"], "references": [[uid]]})
    back = dl.load(dl.write(table, tmp_path / "out", like=source))
    assert back.measurements.value.tolist() == [3.5] and back.measurements.references[0] == [uid]


def test_what_is_derived_from_a_segmentation_or_a_map_refers_to_it(tmp_path):  # R13.2
    images = derived.series(tmp_path / "source", turn=rotation(6))
    volume = dl.load(images)
    masks = dl.write(volume > -900, tmp_path / "mask", like=images)
    mask = dl.load(masks)
    again = dl.write(~mask[0], tmp_path / "again", like=masks, SeriesDescription="the rest")
    back = dl.load(again)
    assert (back.values[0] == ~mask.values[0]).all() and back.dicom.same_grid(volume)
    assert back.attrs["sources"] == [masks.SOPInstanceUID[0]] and not derived.verified(again.path[0])
    values = (volume * 0.5).astype("float32")
    maps = dl.write(values, tmp_path / "map", like=images, kind="PM", units="1")
    twice = dl.write(values * 2, tmp_path / "twice", like=maps, units="1")
    assert twice.SOPClassUID[0] == maps.SOPClassUID[0] and (dl.load(twice).values == values.values * 2).all()
