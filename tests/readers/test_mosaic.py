"""Mosaics: a volume as tiles of one image, cut and laid where its planes were."""

from __future__ import annotations

import doctest
import struct
from contextlib import suppress

import numpy as np
import pydicom
import pytest
import slices
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support import shared

from dicomlab import load, load_all
from dicomlab.datasets import csa, vendor
from dicomlab.errors import BadData, BadFile, DicomlabError, ResultWarning

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


def csa_header(attributes, *, old=False):
    """A CSA header of version 2 (1 where old): name to the texts of its values."""
    body = b""
    for name, values in attributes.items():
        items = [value.encode() + b"\0" for value in values] + [b""] * (6 - len(values))
        body += struct.pack("<64si4s3i", name.encode(), len(values), b"FD\0\0", 4, len(items), 77)
        for item in items:
            body += struct.pack("<4i", len(item), len(item), 77, len(item)) + item + bytes(-len(item) % 4)
    return (b"" if old else b"SV10\4\3\2\1") + struct.pack("<2I", len(attributes), 77) + body


def mosaic(
    count, number=1, *, orientation=OBLIQUE, spacing=(2.0, 3.0), sense=1, tag=True, old=False, block=0x10, **attributes
):
    """A mosaic of tiles of 4 x 5; voxel value 1000 * number + 100 * tile + row-major index."""
    side = int(np.ceil(np.sqrt(count)))
    stored = np.full((4 * side, 5 * side), -1, np.int16)
    for tile in range(count):
        row, column = divmod(tile, side)
        values = 1000 * number + 100 * tile + np.arange(20).reshape(4, 5)
        stored[4 * row : 4 * row + 4, 5 * column : 5 * column + 5] = values
    six = np.array(orientation)
    across = np.cross(six[:3], six[3:])
    corner = np.array([7.0, 8.0, 9.0])  # of the first tile; that of the mosaic is further out, by the pixel spacing
    corner -= six[:3] * spacing[1] * 5 * (side - 1) / 2 + six[3:] * spacing[0] * 4 * (side - 1) / 2
    dataset = slices.image(stored, corner, number, SOPClassUID=slices.MR, Modality="MR", RescaleIntercept=0)
    dataset.ImageOrientationPatient, dataset.PixelSpacing = list(orientation), list(spacing)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.SpacingBetweenSlices = 4
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20240101", f"2359{50 + 2 * number}.5"
    if tag:
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
    header = {
        "NumberOfImagesInMosaic": [str(count)],
        "SliceNormalVector": [f"{sense * part:.8f}" for part in across],
        "MosaicRefAcqTimes": [f"{10.0 * tile:.3f}" for tile in range(count)],
    }
    header |= attributes.pop("header", {})
    if header["SliceNormalVector"] is not None:
        dataset.add_new(0x00290000 | block, "LO", "SIEMENS CSA HEADER")
        dataset.add_new(0x00290000 | block << 8 | 0x10, "OB", csa_header(header, old=old))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 9, 10])
def test_each_tile_lies_where_its_plane_was(tmp_path, count, sense):  # SPEC 12, mosaics
    volume = load(slices.write(tmp_path, [mosaic(count, sense=sense)]))
    assert volume.dims == ("z", "y", "x") and volume.shape == (count, 4, 5)
    six = np.array(OBLIQUE)
    across = np.cross(six[:3], six[3:]) * sense
    for tile in range(count):
        k = tile if sense > 0 else count - 1 - tile
        for row, column in ((0, 0), (3, 1), (2, 4)):
            place = np.array([7, 8, 9]) + tile * 4 * across + column * 3.0 * six[:3] + row * 2.0 * six[3:]
            assert np.abs(volume.dicom.position(k, row, column) - place).max() < 1e-3
            assert volume.values[k, row, column] == 1000 + 100 * tile + 5 * row + column
        assert volume.slice_time.values[k] == 10 * tile
    assert volume.slice_time.attrs["units"] == "ms"


def test_several_mosaics_are_volumes_in_time(tmp_path):
    paths = slices.write(tmp_path, [mosaic(5, number) for number in (3, 1, 2)])
    volume = load(paths)
    assert volume.dims == ("time", "z", "y", "x") and volume.shape == (3, 5, 4, 5)
    assert volume.time.values.tolist() == [0, 2, 4] and volume.time.attrs["units"] == "s"
    assert volume.values[:, 0, 0, 0].tolist() == [1000, 2000, 3000] and volume.slice_time.dims == ("time", "z")
    assert volume.InstanceNumber.values.tolist() == [1, 2, 3]


def test_a_lazy_mosaic_is_the_same(tmp_path):
    pytest.importorskip("dask", reason="the extra dask is not installed")
    paths = slices.write(tmp_path, [mosaic(5, number) for number in (1, 2)])
    lazy = load(paths, chunks={})
    assert lazy.chunks is not None and (lazy.compute() == load(paths)).all()


def test_mosaics_across_midnight_stay_in_order(tmp_path):
    first, second = mosaic(4, 1), mosaic(4, 2)
    second.AcquisitionDate, second.AcquisitionTime = "20240102", "000000.5"
    assert load(slices.write(tmp_path, [second, first])).time.values.tolist() == [0, 8]


def test_a_mosaic_that_does_not_say_how_many_tiles_is_refused_and_its_neighbour_is_loaded(tmp_path):
    bad = mosaic(5, 2, tag=False, header={"NumberOfImagesInMosaic": []})
    paths = slices.write(tmp_path, [mosaic(5, 1), bad])
    with pytest.raises(BadFile, match="does not say how many tiles"):
        load(paths[1])
    found = load_all(paths)
    assert [volume.shape for volume in found.values()] == [(5, 4, 5)] and found.report.severity.tolist() == ["error"]


@pytest.mark.parametrize("old", [False, True])
def test_the_number_may_stand_in_a_csa_header_of_either_version_in_any_block(tmp_path, old):
    volume = load(slices.write(tmp_path, [mosaic(5, tag=False, old=old, block=0x11)]))
    assert volume.shape == (5, 4, 5)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"header": {"SliceNormalVector": None}}, "order of its slices"),
        ({"header": {"SliceNormalVector": ["1", "0", "0"]}}, "is not the normal"),
        ({"SpacingBetweenSlices": None}, "SpacingBetweenSlices"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"ImageOrientationPatient": None}, "ImageOrientationPatient"),
        ({"Rows": 11}, "cannot be cut"),
    ],
)
def test_a_mosaic_whose_planes_cannot_be_placed_is_refused_with_the_reason(tmp_path, changed, word):  # R12.6
    with pytest.raises(DicomlabError, match=word):
        load(slices.write(tmp_path, [mosaic(5, **changed)]))


def test_slices_numbered_from_the_other_end_follow_the_normal_and_a_contradiction_is_said(tmp_path):
    plain = load(slices.write(tmp_path, [mosaic(5, sense=-1, header={"ProtocolSliceNumber": ["4"]})]))
    with pytest.warns(ResultWarning, match="numbered from the other end"):
        volume = load(slices.write(tmp_path, [mosaic(5, header={"ProtocolSliceNumber": ["4"]})]))
    assert volume.values[:, 0, 0].tolist() == plain.values[::-1, 0, 0].tolist() == [1000, 1100, 1200, 1300, 1400]


def test_mosaics_at_other_places_are_volumes_of_their_own(tmp_path):
    moved = mosaic(4, 2)
    moved.ImagePositionPatient = [value + 1 for value in moved.ImagePositionPatient]
    found = load_all(slices.write(tmp_path, [mosaic(4, 1), moved]))
    assert len(found) == 2 and found.report.why.str.contains("other tiles").any()


def test_a_diffusion_series_of_mosaics_has_its_b_values_and_directions(tmp_path):
    ways = {0: None, 1000: (1.0, 0.0, 0.0), 1001: (0.0, 0.6, 0.8)}
    datasets = []
    for number, (b, way) in enumerate(ways.items(), 1):
        dataset = mosaic(4, number)
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER")
        block.add_new(0x0C, "IS", b // 1000 * 1000)
        if way:
            block.add_new(0x0E, "FD", list(way))
        datasets.append(dataset)
    volume = load(slices.write(tmp_path, datasets[::-1]))
    assert volume.b_value.values.tolist() == [0, 1000, 1000] and volume.b_value.attrs["units"] == "s/mm2"
    assert volume.gradient_z.values.tolist() == [0, 0, 0.8] and volume.values[2, 0, 0, 0] == 3000


def uih(number=1, count=3, said=3):
    """UIH's grid of 2 x 2 tiles: a sequence says where each lies."""
    dataset = mosaic(4, number, ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"])
    for tag in [element.tag for element in dataset if element.tag.is_private]:
        del dataset[tag]
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(said))
    items = []
    for tile in range(count):
        item = Dataset()
        across = np.cross(OBLIQUE[:3], OBLIQUE[3:])
        item.ImagePositionPatient = [round(float(part), 6) for part in np.array([1, 2, 3]) - 2.5 * tile * across]
        item.AcquisitionTime = f"12000{tile}.25"
        items.append(item)
    block.add_new(0x51, "SQ", Sequence(items))
    return dataset


def test_a_grid_of_uih_has_the_positions_its_sequence_gives(tmp_path):
    volume = load(slices.write(tmp_path, [uih()]))
    with pytest.raises(DicomlabError, match="describes 3"):
        load(slices.write(tmp_path / "bad", [uih(said=4)]))
    assert volume.shape == (3, 4, 5) and np.abs(volume.dicom.position(0, 0, 0) - [4, -2, 3]).max() < 1e-3
    assert volume.values[:, 0, 0].tolist() == [1200, 1100, 1000]
    assert volume.slice_time.values.tolist() == [2000, 1000, 0]


def test_each_tile_of_a_real_grid_lies_where_its_item_says():
    paths = sorted(shared("data/mr_uih_dti").rglob("*.dcm"))
    volume = load(paths)
    items = pydicom.dcmread(paths[0], stop_before_pixels=True)[0x0065, 0x1051].value
    places = np.array([item.ImagePositionPatient for item in items], float)
    assert np.abs(volume.dicom.position(np.arange(20), 0, 0) - places).max() < 1e-3
    pixels = pydicom.dcmread(paths[0]).pixel_array
    for tile in range(20):  # five in a row
        row, column = 64 * (tile // 5), 64 * (tile % 5)
        assert (volume.values[0, tile] == pixels[row : row + 64, column : column + 64]).all()


def test_numbers_alone_order_mosaics_only_with_a_warning(tmp_path):
    datasets = [mosaic(4, number) for number in (1, 2)]
    for dataset in datasets:
        del dataset.AcquisitionTime
    with pytest.warns(ResultWarning, match="only InstanceNumber"):
        assert load(slices.write(tmp_path, datasets)).dims[0] == "frame"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_broken_csa_header_is_bad_data_or_a_dictionary(data):
    whole = csa_header({"NumberOfImagesInMosaic": ["5"], "SliceNormalVector": ["0", "0", "1"]})
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(changed) - 1)), max_size=8)) if changed else []:
        changed[place] = data.draw(st.integers(0, 255))
    with suppress(BadData):
        assert isinstance(csa.parse(bytes(changed)), dict)


def test_the_directions_of_uih_are_those_dcm2niix_gives_along_the_image():
    paths = sorted(shared("data/mr_uih_dti").rglob("*.dcm"))
    volume = load(paths)
    ways = np.stack([volume[f"gradient_{name}"].values for name in "xyz"])
    along = volume.isel(b_value=0).dicom.direction.T @ ways  # z, y, x of the image
    # dcm2niix' third row of .bvec, the second with the sign of its flipped rows, the first
    assert along[:, 2] == pytest.approx([-0.581272, -0.304648, 0.754528], abs=1e-4)
    assert volume.b_value.values[:2] == pytest.approx([1.25194, 928.289], abs=1e-3)


@pytest.mark.parametrize("module", [csa, vendor])
def test_the_examples_of_the_docstrings_run(module):
    assert doctest.testmod(module).failed == 0
