"""Structure sets: the table of regions, contours in mm, and masks that other programs agree with."""

from __future__ import annotations

import doctest
import gzip
import json
import struct

import grouped
import numpy as np
import pytest
import slices
import xarray as xr
from grids import AXIAL, OBLIQUE, SAGITTAL, grid
from matplotlib.path import Path as Polygon
from pydicom.dataset import Dataset
from support import shared

import dicomlab.readers.structures
from dicomlab import load, load_all
from dicomlab.errors import BadFile, GeometryError, InvalidRequest, ResultWarning

FRAME = "1.2"


def structure_set(rois, frame=FRAME, **attributes):
    """A structure set of {name: [(kind, points, SOP Instance UID or "")]}."""
    dataset = slices.image(np.zeros((1, 1), np.uint8), None, 1, SOPClassUID=grouped.STRUCTURES, Modality="RTSTRUCT")
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "PixelData", "FrameOfReferenceUID", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.StructureSetLabel = "plan A"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    dataset.RTROIObservationsSequence = []
    for number, (name, contours) in enumerate(rois.items(), 1):
        roi = grouped.items(ROINumber=number, ROIName=name.rstrip("'"), ReferencedFrameOfReferenceUID=frame)
        dataset.StructureSetROISequence += roi
        drawn = Dataset()
        drawn.ReferencedROINumber, drawn.ROIDisplayColor = number, [255, 0, 16 * number]
        drawn.ContourSequence = []
        for kind, points, source in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{value:.6f}" for value in np.ravel(points)]
            if source:
                contour.ContourImageSequence = grouped.items(ReferencedSOPInstanceUID=source)
            drawn.ContourSequence.append(contour)
        dataset.ROIContourSequence.append(drawn)
        dataset.RTROIObservationsSequence += grouped.items(ReferencedROINumber=number, RTROIInterpretedType="ORGAN")
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def loaded(folder, rois, **attributes):
    return load(slices.write(folder, [structure_set(rois, **attributes)])[0])


def closed(*polygons, source=""):
    return [("CLOSED_PLANAR", np.array(points, float), source) for points in polygons]


def square(low, high, z=0.0):
    return [(low, low, z), (high, low, z), (high, high, z), (low, high, z)]


def test_the_table_and_the_contours_are_as_written(tmp_path):
    found = loaded(tmp_path, {"liver": closed(square(0, 4)), "iso": [("POINT", np.array([[1, 2, 3]]), "")]})
    table = found.rois
    assert table.ROINumber.tolist() == [1, 2] and table.ROIName.tolist() == ["liver", "iso"]
    assert table.colour.tolist() == ["#ff0010", "#ff0020"] and table.RTROIInterpretedType.tolist() == ["ORGAN"] * 2
    assert table.contours.tolist() == [1, 1] and table.points.tolist() == [4, 1]
    assert table.types.tolist() == [("CLOSED_PLANAR",), ("POINT",)] and set(table.FrameOfReferenceUID) == {FRAME}
    (point,) = found.contours("iso")
    assert point.kind == "POINT" and point.points.tolist() == [[1, 2, 3]] and not point.closed
    assert np.array_equal(found.contours(1)[0].points, square(0, 4))
    assert found.label == "plan A" and "2 regions of interest" in found.summary


def test_holes_nested_parts_and_keyholes_are_exclusive_or(tmp_path):  # SPEC 12: holes by XOR
    volume = grid(shape=(1, 41, 41), spacing=(3, 1, 1))  # centres at -20 ... 20
    outer, hole, inner = square(-15.5, 15.5), square(-10.5, 10.5), square(-5.5, 5.5)
    key = [*outer, outer[0], *hole[::-1], hole[-1]]
    found = loaded(tmp_path, {"nested": closed(outer, hole, inner), "key": closed(key)})
    nested = found.mask(volume, "nested").values[0]
    assert nested.sum() == 31**2 - 21**2 + 11**2 and nested[20, 20] and not nested[20, 12] and nested[20, 6]
    assert found.mask(volume, "key").values.sum() == 31**2 - 21**2
    everything = found.mask(volume)
    assert everything.dims == ("roi", "z", "y", "x") and everything.roi.values.tolist() == [1, 2]
    assert everything.ROIName.values.tolist() == ["nested", "key"] and everything.dicom.same_grid(volume)
    xr.testing.assert_identical(everything.sel(roi=2), found.mask(volume, "key"))
    assert found.mask(volume, ["key", 1]).roi.values.tolist() == [2, 1]
    alone = found.mask(volume, ["key"])  # a list stays a list, and `roi` can be squeezed away by its name
    xr.testing.assert_identical(alone.squeeze("roi"), found.mask(volume, "key"))
    assert "roi" not in found.mask(volume, 2).dims
    with pytest.raises(InvalidRequest, match="nothing is selected"):
        found.mask(volume, [])


def test_contours_through_the_centres_of_pixels_take_one_edge_and_leave_the_other(tmp_path):
    volume = grid(shape=(1, 21, 21), spacing=(3, 1, 1))
    noise = np.random.default_rng(1).uniform(-5e-4, 5e-4, (8, 3)) * [1, 1, 0]  # as few decimals leave it
    both = np.array([*square(-5, 0), *square(0, 5)]) + noise
    found = loaded(tmp_path, {"a": closed(both[:4]), "b": closed(both[4:])}).mask(volume).values
    assert found.sum(axis=(1, 2, 3)).tolist() == [25, 25] and not found.all(axis=0).any()


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE, SAGITTAL])
def test_any_polygon_in_the_planes_of_a_volume_is_filled_as_a_point_in_polygon_test_says(tmp_path, orientation):
    random = np.random.default_rng(5)
    volume = grid(orientation, (4, 40, 50), (3, 0.9, 0.7), (11, -7, 30))
    centre = np.array([values.mean() for values in (volume.x.values, volume.y.values)])
    rois, expected = {}, np.zeros((6, *volume.shape), bool)
    y, x = np.meshgrid(volume.y.values, volume.x.values, indexing="ij")
    for roi in range(6):
        contours = []
        for k in (0, 1, 3):
            points = centre + random.uniform(-18, 18, (9, 2))  # crosses itself, and the border
            local = np.column_stack([points, np.full(9, volume.z.values[k])])
            contours.append(local @ volume.dicom.matrix.T)
            winding = np.zeros(x.shape, bool)
            for triangle in range(1, 8):  # even-odd: a fan of triangles, added by XOR
                corners = Polygon(points[[0, triangle, triangle + 1]])
                winding ^= corners.contains_points(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
            expected[roi, k] = winding
        rois[f"roi {roi}"] = closed(*contours)
    found = loaded(tmp_path, rois)
    masks = found.mask(volume.assign_coords(SOPInstanceUID=("z", list("abcd"))))
    steps = np.diff([0, 1, 3])  # planes 0, 1 and 3 at 3 mm: plane 2 lies farther than half a step from them
    assert steps.max() == 2 and not masks.values[:, 2].any()
    assert (masks.values != expected).sum() <= 6  # of 3600 inside: centres within 1/512 pixel of an edge


def test_contours_across_the_planes_of_a_volume_are_filled_too(tmp_path):
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    heights = np.arange(-18.0, 19.0, 2.0)
    rings = [
        np.stack([np.cos(angles) * r, np.sin(angles) * r, angles * 0 + h], 1)
        for h in heights
        if (r := np.sqrt(20.0**2 - h**2))
    ]
    found = loaded(tmp_path, {"ball": closed(*rings)})
    for orientation in (AXIAL, SAGITTAL, OBLIQUE):
        volume = grid(orientation, (50, 55, 60), (1.1, 1, 0.9))
        mask = found.mask(volume, "ball")
        places = volume.dicom.position(*np.meshgrid(*map(np.arange, volume.shape), indexing="ij"))
        ball = (np.linalg.norm(places, axis=-1) < 20) & (np.abs(places[..., 2]) < 19)
        dice = 2 * (mask.values & ball).sum() / (mask.values.sum() + ball.sum())
        assert dice > 0.97, orientation  # steps of 2 mm are no ball
        assert mask.dims == volume.dims and mask.dicom.same_grid(volume)


def test_a_plane_of_contours_reaches_half_way_to_the_next_and_parts_far_apart_stay_apart(tmp_path):
    volume = grid(shape=(81, 5, 5), spacing=(1, 1, 1))  # z = -40 ... 40
    far = [square(-1.5, 1.5, z) for z in (-30, -27, -24, 20, 23)]
    mask = loaded(tmp_path / "a", {"two": closed(*far)}).mask(volume, "two")
    assert mask.z.values[mask.values.any(axis=(1, 2))].tolist() == [*range(-31, -22), *range(19, 25)]
    two = loaded(tmp_path / "b", {"two": closed(square(-1.5, 1.5, -30), square(-1.5, 1.5, 20))}).mask(volume, "two")
    assert two.z.values[two.values.any(axis=(1, 2))].tolist() == [-30, 20]


def test_contours_drawn_on_images_of_the_volume_are_planes_of_it(tmp_path):
    volume = grid(shape=(9, 5, 5), spacing=(1, 1, 1)).assign_coords(
        SOPInstanceUID=("z", [f"1.7.{k}" for k in range(9)])
    )
    every_third = [square(-1.5, 1.5, z) for z in (-3, 0, 3)]
    found = loaded(
        tmp_path, {"drawn": closed(*every_third, source="1.7.1"), "other": closed(*every_third, source="1.9")}
    )
    assert found.mask(volume, "drawn").values.any(axis=(1, 2)).tolist() == [z in (1, 4, 7) for z in range(9)]
    assert found.mask(volume[:4], "drawn").values.any(axis=(1, 2)).tolist() == [False, True, False, False]
    assert found.mask(volume, "other").values.any(axis=(1, 2)).all()


def test_planes_of_a_very_fine_volume_are_told_apart(tmp_path):
    volume = grid(shape=(9, 9, 9), spacing=(0.05, 0.05, 0.05))
    found = loaded(tmp_path, {"wedge": closed(*(square(-0.21, 0.05 * k + 0.01, 0.05 * k) for k in (-2, -1, 0, 1, 2)))})
    mask = found.mask(volume, "wedge").values
    assert mask.any(axis=1).sum(axis=1).tolist() == [0, 0, 3, 4, 5, 6, 7, 0, 0]


def test_another_frame_of_reference_is_refused_by_both_names(tmp_path):
    found = loaded(tmp_path, {"liver": closed(square(0, 4))}, frame="7.7.7")
    with pytest.raises(GeometryError, match=r"liver.*7\.7\.7 and 1\.2"):
        found.mask(grid())


def test_what_has_no_inside_and_what_is_not_there_is_refused(tmp_path):
    point, line = np.array([[1.0, 2, 3]]), np.array([[1.0, 2, 3], [4, 5, 6]])
    rois = {"iso": [("POINT", point, "")], "path": [("OPEN_PLANAR", line, "")], "GTV": closed(square(0, 3)), "GTV'": []}
    found = loaded(tmp_path, rois)
    with pytest.raises(InvalidRequest, match="POINT"):
        found.mask(grid(), "iso")
    assert found.mask(grid()).roi.values.tolist() == [3]
    with pytest.raises(InvalidRequest, match=r"several.*3, 4"):
        found.mask(grid(), "GTV")
    with pytest.raises(InvalidRequest, match="did you mean 'path'"):
        found.mask(grid(), "paht")
    with pytest.raises(InvalidRequest, match=r"no region of interest 'heart'\. There are 'iso', 'path'.*: see \.rois"):
        found.mask(grid(), "heart")
    with pytest.raises(InvalidRequest, match="a volume is needed, not ndarray"):
        found.mask(grid().values)
    with pytest.raises(InvalidRequest, match="no region of interest 9"):
        found.contours(9)
    with pytest.raises(InvalidRequest, match="no region of interest has closed contours"):
        loaded(tmp_path / "b", {"iso": rois["iso"]}).mask(grid())
    with pytest.raises(GeometryError, match="isel"):
        found.mask(grid().isel(z=0), 3)


def test_a_contour_that_is_not_flat_is_refused(tmp_path):
    twisted = [(0, 0, 0), (10, 0, 5), (10, 10, 0), (0, 10, 5)]
    with pytest.raises(GeometryError, match="parallel planes"):
        loaded(tmp_path, {"a": closed(twisted)}).mask(grid(), "a")


@pytest.mark.parametrize(
    ("value", "why"), [(["1", "2"], "2 numbers"), (["1", "2", "3"] * 5, "NumberOfContourPoints says 4"), ([], "says 4")]
)
def test_a_broken_contour_costs_its_region_and_is_said(tmp_path, value, why):  # R12.9
    dataset = structure_set({"good": closed(square(0, 4)), "bad": closed(square(0, 4))})
    dataset.ROIContourSequence[1].ContourSequence[0].ContourData = value
    (path,) = slices.write(tmp_path, [dataset])
    with pytest.warns(ResultWarning, match=f"'bad' cannot be used: .*{why}"):
        found = load(path)
    with pytest.raises(BadFile, match=why):
        found.mask(grid(), "bad")
    assert found.mask(grid()).ROIName.values.tolist() == ["good"]


def test_letters_among_the_numbers_and_a_region_without_a_number_are_said(tmp_path):  # R12.9
    (path,) = slices.write(tmp_path / "a", [structure_set({"one": closed(square(1, 4))})])
    path.write_bytes(path.read_bytes().replace(b"4.000000", b"4.0000x0", 1))
    with pytest.warns(ResultWarning, match="contour 1 holds what is no number"):
        load(path)
    dataset = structure_set({"one": closed(square(1, 4))})
    del dataset.StructureSetROISequence[0].ROINumber
    (broken,) = slices.write(tmp_path / "b", [dataset])
    with pytest.raises(BadFile, match="without ROINumber"):
        load(broken)
    found = load_all([broken, path])
    assert list(found) == ["RTSTRUCT 4 (2)"] or len(found) == 1
    assert sorted(found.report.severity) == ["error", "warning"]


def test_load_of_a_volume_and_its_structure_set_gives_the_volume_and_load_all_both(tmp_path):
    (one,) = slices.write(tmp_path / "a", [structure_set({"one": closed(square(1, 4))})])
    paths = [one, *slices.write(tmp_path / "b", slices.stack([0, 2]))]
    assert sorted(load_all(paths)) == ["CT 4", "RTSTRUCT 4"]


def nifti(path):
    """The array of a NIfTI file, (z, y, x)."""
    data = gzip.decompress(path.read_bytes())
    shape, kind = struct.unpack("<8h", data[40:56])[1:4], struct.unpack("<h", data[70:72])[0]
    dtype = {2: "<u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8"}[kind]
    start = int(struct.unpack("<f", data[108:112])[0])
    return np.frombuffer(data, dtype, int(np.prod(shape)), start).reshape(shape, order="F").transpose(2, 1, 0)


@pytest.mark.parametrize(("name", "least"), [("CT", 1.0), ("MR_T1", 1.0), ("PET", 0.99)])
def test_masks_of_three_modalities_are_those_of_another_program(name, least):
    folder = shared("data/petctmr_sts002/dicom/STS_002") / name
    volume = load(sorted((folder / "image").glob("*.dcm")))
    mask = load(folder / "mask" / "RS.dcm").mask(volume, 1)
    other = nifti(shared(f"data/petctmr_sts002/nifti/STS_002/{name}_mask.nii.gz")) > 0
    truth = json.loads(shared("data/truth/_rtstruct_masks.json").read_text())["files"]
    assert other.sum() == truth[f"petctmr_sts002/nifti/STS_002/{name}_mask.nii.gz"]["nonzero"]
    assert 2 * (mask.values & other).sum() / (mask.values.sum() + other.sum()) >= least


def test_a_mask_of_real_contours_is_what_a_point_in_polygon_test_gives():
    folder = shared("data/rt_ct_rtstruct/mock_data")
    volume = load([folder / "ct_1.dcm", folder / "ct_2.dcm"])
    found = load(folder / "invalid_reference_rt.dcm")  # of images that are not there
    y, x = np.meshgrid(volume.y.values, volume.x.values, indexing="ij")
    for number in (1, 2, 3, 4):
        mask = found.mask(volume, number).values
        for k, z in enumerate(volume.z.values):
            inside = np.zeros(x.shape, bool)
            for contour in found.contours(number):
                if abs(contour.points[0, 2] - z) < 1:
                    polygon = Polygon(contour.points[:, :2])
                    inside ^= polygon.contains_points(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
            if inside.any():
                assert 2 * (mask[k] & inside).sum() / (mask[k].sum() + inside.sum()) > 0.95
    with pytest.raises(GeometryError, match="frame of reference"):
        load(folder / "rt.dcm").mask(volume)


def test_the_examples_run():
    failed, tried = doctest.testmod(dicomlab.readers.structures)
    assert tried > 3 and not failed
