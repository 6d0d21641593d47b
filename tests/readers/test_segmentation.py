"""Segmentations: a mask a segment, each bit in its place; tiles and broken ones refused by name."""

from __future__ import annotations

import hashlib
import json

import grouped
import numpy as np
import pytest
import slices
from support import ROOT, shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, InvalidRequest

RANDOM = np.random.default_rng(7)
MASKS = RANDOM.random((3, 4, 5, 3)) < 0.4  # 15 pixels a frame: no frame but the first begins where a byte does
MASKS[:, 2] = False
CELLS = [(3, 1), (1, 3), (2, 0), (1, 0), (3, 3), (2, 1), (1, 1), (3, 0), (2, 3)]  # plane 2 is absent


def one(folder, dataset, syntax="1.2.840.10008.1.2.1"):
    (path,) = slices.write(folder, [dataset], syntax)
    return path


def test_bits_are_unpacked_across_frame_borders_and_frames_in_any_order_find_their_places(tmp_path):  # SPEC 12, SEG
    masks = load(one(tmp_path, grouped.segmentation(MASKS, CELLS)))
    assert masks.dims == ("segment", "z", "y", "x") and masks.dtype == bool
    assert masks.segment.values.tolist() == [1, 2, 3]
    assert np.array_equal(masks.values, MASKS)  # overlapping segments, and a plane without frames
    assert masks.z.values.tolist() == [30.0, 32.5, 35.0, 37.5]
    assert masks.dicom.affine[:3].tolist() == [[0, 0, 0.25, -10], [0, 0.5, 0, -20], [2.5, 0, 0, 30]]
    assert masks.dicom.frame_of_reference == "1.2.4"


def test_the_segment_table_and_the_sources_are_there(tmp_path):
    masks = load(one(tmp_path, grouped.segmentation(MASKS, CELLS)))
    table = json.loads(masks.attrs["segments"])
    assert [line["number"] for line in table] == [1, 2, 3]
    assert table[0]["label"] == "part 1" and table[0]["algorithm"] == "MANUAL"
    assert table[0]["type"] == {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    assert masks.sel(segment=2).SegmentLabel.item() == "part 2"
    assert set(masks.attrs["sources"]) == {"1.2.9.0", "1.2.9.1", "1.2.9.3"}
    assert masks.ReferencedSOPInstanceUID.values.tolist() == ["1.2.9.0", "1.2.9.1", "", "1.2.9.3"]


def test_an_oblique_segmentation_lies_where_its_planes_do(tmp_path):  # R12.5
    path = one(tmp_path, grouped.segmentation(MASKS, CELLS, orientation=grouped.OBLIQUE))
    masks = load(path)
    six = np.array(grouped.OBLIQUE)
    across = np.cross(six[:3], six[3:])
    for k, j, i in ((0, 0, 0), (3, 4, 2), (1, 0, 2)):
        expected = np.array([-10, -20, 30]) + k * 2.5 * across + j * 0.5 * six[3:] + i * 0.25 * six[:3]
        # The array may run the other way along an axis; the voxel is found by its place.
        local = np.linalg.solve(masks.dicom.matrix, expected)
        found = masks.sel(x=local[0], y=local[1], z=local[2], method="nearest")
        assert np.abs(masks.dicom.matrix @ [found.x.item(), found.y.item(), found.z.item()] - expected).max() < 1e-3
        assert found.values.tolist() == MASKS[:, k, j, i].tolist()


def test_fractions_are_scaled_to_one(tmp_path):  # (0062,000E)
    stored = RANDOM.integers(0, 201, (2, 2, 5, 3))
    found = load(one(tmp_path, grouped.segmentation(stored, [(1, 0), (2, 0), (1, 1), (2, 1)], "FRACTIONAL")))
    assert found.dtype == np.float32
    assert np.array_equal(found.values, (stored / 200).astype(np.float32))


@pytest.mark.parametrize("padding", [None, 0, 9])
def test_a_label_map_gives_a_mask_for_each_number_but_that_of_the_background(tmp_path, padding):
    labels = RANDOM.integers(0, 4, (3, 5, 3))
    more = {} if padding is None else {"PixelPaddingValue": padding}
    dataset = grouped.segmentation(labels, [(0, 2), (0, 0)], "LABELMAP", **more)
    found = load(one(tmp_path, dataset))
    assert found.segment.values.tolist() == ([0, 1, 2, 3] if padding == 9 else [1, 2, 3])
    for number in found.segment.values:
        mask = found.sel(segment=number).values
        assert np.array_equal(mask[[0, 2]], labels[[0, 2]] == number) and not mask[1].any()


def test_without_a_spacing_that_fits_absent_planes_stay_a_gap(tmp_path):  # R12.6
    dataset = grouped.segmentation(MASKS, [(1, 0), (1, 1), (1, 3)])
    dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].ImagePositionPatient = [-10, -20, 36.1]
    with pytest.warns(UserWarning, match="unequal"):
        masks = load(one(tmp_path, dataset))
    assert masks.z.values.tolist() == [30.0, 32.5, pytest.approx(36.1, abs=3e-4)]
    with pytest.raises(GeometryError, match="not uniform"):
        masks.dicom.affine


def test_tiles_of_a_slide_are_refused_by_what_they_are(tmp_path):
    dataset = grouped.segmentation(MASKS, CELLS, TotalPixelMatrixColumns=50, TotalPixelMatrixRows=40)
    with pytest.raises(InvalidRequest, match="whole-slide image, 9 tiles of a matrix of 50 x 40"):
        load(one(tmp_path, dataset))


def changed(name):
    dataset = grouped.segmentation(MASKS, CELLS)
    groups = dataset.PerFrameFunctionalGroupsSequence
    if name == "short":
        dataset.PixelData = dataset.PixelData[:-2]
    elif name == "unknown segment":
        groups[4].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 8
    elif name == "one group less":
        del groups[4]
    elif name == "no segments":
        dataset.SegmentSequence = []
    elif name == "one number twice":
        dataset.SegmentSequence[1].SegmentNumber = 1
    elif name == "no size":
        dataset.Rows = 0
    elif name == "no type":
        del dataset.SegmentationType
    elif name == "no maximum":
        dataset = grouped.segmentation(MASKS, CELLS, "FRACTIONAL")
        del dataset.MaximumFractionalValue
    elif name == "no pixels":
        del dataset.PixelData
    return dataset


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("short", "16 bytes, its frames need 17"),
        ("unknown segment", "frame 5 is of segment 8"),
        ("one group less", "functional groups of 8 frames, NumberOfFrames is 9"),
        ("no segments", "SegmentSequence is missing"),
        ("one number twice", "one SegmentNumber"),
        ("no size", "no size"),
        ("no type", "SegmentationType is ''"),
        ("no maximum", "MaximumFractionalValue"),
        ("no pixels", "no pixel data"),
    ],
)
def test_a_broken_segmentation_costs_one_file_and_says_why(tmp_path, name, why):  # R12.9
    broken = one(tmp_path / "a", changed(name))
    with pytest.raises(BadFile, match=why):
        load(broken)
    found = load_all([broken, *slices.write(tmp_path / "b", slices.stack([0, 2]))])
    assert list(found) == ["CT 4"]
    (line,) = found.report.itertuples()
    assert line.severity == "error" and why in line.why


def test_two_frames_of_a_segment_at_one_position_are_no_mask(tmp_path):  # R12.6
    with pytest.raises(GeometryError, match="segment 1 lie at one position"):
        load(one(tmp_path, grouped.segmentation(MASKS, [(1, 0), (1, 0)])))


def test_frames_beside_each_other_are_no_volume(tmp_path):
    dataset = grouped.segmentation(MASKS, [(1, 0), (2, 0)])
    dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient = [0, -20, 30]
    with pytest.raises(GeometryError, match="beside each other"):
        load(one(tmp_path, dataset))


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_lazy_segmentation_is_the_same_a_chunk_a_segment(tmp_path, kind):
    pytest.importorskip("dask")
    masks = {"BINARY": MASKS, "FRACTIONAL": MASKS * 150, "LABELMAP": RANDOM.integers(0, 4, (4, 5, 3))}[kind]
    path = one(tmp_path, grouped.segmentation(masks, CELLS if kind != "LABELMAP" else [(0, 0), (0, 3)], kind))
    lazy = load(path, chunks={})
    assert lazy.chunks is not None and lazy.chunks[0] == (1, 1, 1)
    assert lazy.compute().identical(load(path))


def test_masks_above_the_limit_are_refused_with_the_way_round_it(tmp_path, monkeypatch):  # R0.8
    monkeypatch.setattr("dicomlab.readers.segmentation.PIXEL_LIMIT", MASKS.size - 1)
    with pytest.raises(InvalidRequest, match=r"3 segments take .*chunks=\{\}"):
        load(one(tmp_path, grouped.segmentation(MASKS, CELLS)))


TRUTH = ROOT.parent / "shared" / "data" / "truth" / "_objects.json"
SEGS = json.loads(TRUTH.read_text())["SEG"] if TRUTH.exists() else {}


@pytest.mark.parametrize("name", SEGS or [pytest.param("", marks=pytest.mark.skip("no truth beside this project"))])
def test_a_real_segmentation_has_the_bits_highdicom_finds_and_the_places_its_frames_name(name):
    import pydicom

    truth, path = SEGS[name], shared(f"data/{name}")
    if "image_sm_" in name:
        with pytest.raises(InvalidRequest, match="whole-slide image"):
            load(path)
        return
    masks = load(path)
    counts = {int(number): int((masks.sel(segment=number) > 0).sum()) for number in masks.segment}
    told = truth.get("voxels_per_segment_highdicom") or {"1": 107098}  # of the liver, whatever it is compressed by
    assert counts == {int(number): count for number, count in told.items() if int(number) in counts}
    header = pydicom.dcmread(path)
    frames = []
    for group in header.PerFrameFunctionalGroupsSequence:
        found = masks
        if "PlanePositionSequence" in group:
            position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
            local = np.linalg.solve(masks.dicom.matrix, position)
            found = masks.sel(z=local[2], method="nearest")
            here = masks.dicom.matrix @ [found.x[0].item(), found.y[0].item(), found.z.item()]
            assert np.abs(here - position).max() < 1e-3  # mm
        if truth["type"] == "LABELMAP":
            frames.append((found * found.segment).sum("segment").values)
        else:
            number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            frames.append(np.rint(found.sel(segment=number).values * header.get("MaximumFractionalValue", 1)))
    digest = hashlib.sha256(np.array(frames).astype(np.uint8).tobytes()).hexdigest()
    alike = SEGS[
        "codecs_pydicom_data/liver_nonbyte_aligned.dcm" if "nonbyte" in name else "codecs_pydicom_data/liver.dcm"
    ]
    told_digest = truth.get("highdicom_pixel_sha256_uint8_frame_row_col")
    assert digest == (told_digest or alike["highdicom_pixel_sha256_uint8_frame_row_col"])
