"""Colour by palette, modality LUTs, one bit a pixel, floating point: what a stored value means (R12.7, R12.8)."""

from __future__ import annotations

import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from support import shared

from dicomlab import load
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadFile
from dicomlab.pixels.frames import Frame, read
from dicomlab.pixels.lazyframes import lazy
from dicomlab.pixels.pixels import Rescale
from dicomlab.stacks.imageheader import format_of

CAPTURE, BITS = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.1"
RED, GREEN, BLUE = [0, 10, 255], [0, 20, 0], [5, 30, 7]


def picture(stored, **attributes):
    """A secondary capture without a position."""
    said = {"SOPClassUID": CAPTURE, "Modality": "OT"} | attributes
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        said.setdefault(keyword, None)
    return slices.image(np.array(stored), None, 1, **said)


def palette(stored, *, first=0, bits=8, columns=(RED, GREEN, BLUE), **attributes):
    dataset = picture(stored, PhotometricInterpretation="PALETTE COLOR", **attributes)
    for colour, entries in zip(("Red", "Green", "Blue"), columns, strict=True):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [len(entries), first, bits])
        data = np.array(entries, np.uint8 if bits == 8 else "<u2").tobytes()
        setattr(dataset, f"{colour}PaletteColorLookupTableData", data + b"\0" * (len(data) % 2))
    return dataset


COLOURS = [[0, 0, 5], [10, 20, 30], [255, 0, 7]]


def test_places_in_a_palette_are_its_colours(tmp_path):  # R12.8
    found = load(slices.write(tmp_path, [palette(np.array([[0, 1, 2, 9]], np.uint8))]))
    assert found.dims == ("y", "x", "channel") and found.channel.values.tolist() == ["red", "green", "blue"]
    assert found.dtype == np.uint8 and found.values.tolist() == [[*COLOURS, COLOURS[2]]]  # beyond the last: the last
    assert found.attrs["PhotometricInterpretation"] == "RGB"


def test_a_file_without_file_meta_may_have_a_palette_and_a_planar_configuration_of_no_meaning(tmp_path):
    dataset = palette(np.array([[0, 1, 2, 9]], np.uint8), PlanarConfiguration=1)
    path = tmp_path / "bare.dcm"
    dataset.save_as(path, implicit_vr=True, little_endian=True)
    assert path.read_bytes()[128:132] != b"DICM"
    assert load(path).values.tolist() == [[*COLOURS, COLOURS[2]]]


def test_a_palette_begins_at_the_first_value_it_maps(tmp_path):  # PS3.3 C.7.6.3.1.5
    found = load(slices.write(tmp_path, [palette(np.array([[0, 10, 11, 12]], np.uint16), first=10)]))
    assert found.values.tolist() == [[COLOURS[0], *COLOURS]]
    found = load(slices.write(tmp_path, [palette(np.array([[-3, -2, -1]], np.int16), first=-2)]))
    assert found.values.tolist() == [[COLOURS[0], *COLOURS[:2]]]


def test_a_palette_of_16_bits_keeps_them(tmp_path):
    wide = [[entry * 257 for entry in column] for column in (RED, GREEN, BLUE)]
    found = load(slices.write(tmp_path, [palette(np.array([[0, 1, 2]], np.uint8), bits=16, columns=wide)]))
    assert found.dtype == np.uint16 and (found.values // 257).tolist() == [COLOURS]


def test_a_segmented_palette_is_expanded(tmp_path):  # PS3.3 C.7.9.2
    dataset = palette(np.array([[0, 1, 4]], np.uint8))
    for colour in ("Red", "Green", "Blue"):
        delattr(dataset, f"{colour}PaletteColorLookupTableData")
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [5, 0, 16])
        # one discrete entry 0, then a line of four entries to 400
        segments = np.array([0, 1, 0, 1, 4, 400], "<u2").tobytes()
        setattr(dataset, f"Segmented{colour}PaletteColorLookupTableData", segments)
    assert load(slices.write(tmp_path, [dataset])).values[0, :, 1].tolist() == [0, 100, 400]


def test_a_segmented_palette_of_65536_entries_is_expanded(tmp_path):  # PS3.3 C.7.9.2: 0 stands for 2**16
    dataset = palette(np.array([[0, 1, 65535]], np.uint16))
    for colour in ("Red", "Green", "Blue"):
        delattr(dataset, f"{colour}PaletteColorLookupTableData")
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [0, 0, 16])
        segments = np.array([0, 1, 0, 1, 65535, 65535], "<u2").tobytes()
        setattr(dataset, f"Segmented{colour}PaletteColorLookupTableData", segments)
    assert load(slices.write(tmp_path, [dataset])).values[0, :, 1].tolist() == [0, 1, 65535]


def test_a_damaged_palette_is_a_bad_file(tmp_path):  # R12.9
    dataset = palette(np.array([[0, 1]], np.uint8))
    del dataset.GreenPaletteColorLookupTableData
    with pytest.raises(BadFile, match="a palette of 3 colours has 0 bytes"):
        load(slices.write(tmp_path, [dataset]))


def test_an_ultrasound_loop_by_palette_has_the_colours_pydicom_gives():
    import pydicom
    from pydicom.pixels import apply_color_lut

    path = shared("data/codecs_pydicom_data/OBXXXX1A_rle_2frame.dcm")
    dataset = pydicom.dcmread(path)
    found = load(path)
    assert found.dims == ("frame", "y", "x", "channel")
    np.testing.assert_array_equal(found.values, apply_color_lut(dataset.pixel_array, dataset))


def lut(entries, first=0, bits=16):
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [len(entries), first, bits], "US"
    item.add_new("LUTData", "OW", np.array(entries, "<u2" if bits == 16 else np.uint8).tobytes())
    return [item]


def test_a_modality_lut_gives_int16_where_its_entries_fit_and_begins_at_its_first_value(tmp_path):  # R12.7
    found = load(
        slices.write(tmp_path, [picture(np.array([[4, 5, 6]], np.uint8), ModalityLUTSequence=lut([7, 900], 5))])
    )
    assert found.dtype == np.int16 and found.values.tolist() == [[7, 7, 900]]


def test_planes_with_and_without_a_modality_lut_make_one_volume(tmp_path):
    planes = slices.stack([0, 2], rows=1, columns=2, RescaleIntercept=0)
    planes[1].ModalityLUTSequence = lut([1, 40000], first=100)
    del planes[1].RescaleSlope, planes[1].RescaleIntercept
    volume = load(slices.write(tmp_path, planes))
    assert volume.values[:, 0].tolist() == [[0, 1], [1, 40000]]


@pytest.mark.parametrize("syntax", ["native", RLELossless])
def test_a_modality_lut_goes_for_every_frame(tmp_path, syntax):
    dataset = picture(np.array([[0, 1], [1, 2]], np.uint8), SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2")
    dataset.Rows, dataset.NumberOfFrames, dataset.ModalityLUTSequence = 1, 2, lut([0, 50, 100])
    paths = slices.write(tmp_path, [dataset])
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(paths[0], enforce_file_format=True)
    assert load(paths).values.tolist() == [[[0, 50]], [[50, 100]]]


def test_one_bit_a_pixel_is_unpacked_across_the_borders_of_frames(tmp_path):  # PS3.5 8.1.1
    rng = np.random.default_rng(3)
    stored = rng.integers(0, 2, (5, 3, 7), np.uint8)  # 21 bits a frame
    dataset = picture(stored[0], SOPClassUID=BITS, NumberOfFrames=5, BitsAllocated=1, BitsStored=1, HighBit=0)
    packed = np.packbits(stored.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    paths = slices.write(tmp_path, [dataset])
    np.testing.assert_array_equal(load(paths).values, stored)
    dataset.PixelData = packed[:-4]
    with pytest.raises(BadFile, match="pixel data of 10 bytes"):
        load(slices.write(tmp_path, [dataset]))


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", np.float32), ("DoubleFloatPixelData", np.float64)])
def test_floating_point_pixels_are_read_as_such(tmp_path, keyword, dtype):
    stored = np.array([[0.1, -1e30], [np.pi, 2.0]], dtype)
    dataset = picture(np.zeros((2, 2), np.uint16), BitsAllocated=8 * stored.itemsize)
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    setattr(dataset, keyword, stored.tobytes())
    found = load(slices.write(tmp_path, [dataset]))
    assert found.dtype == dtype and found.values.tolist() == stored.tolist()


def test_chunks_of_a_palette_and_of_a_modality_lut_give_the_same_values_later(tmp_path):
    pytest.importorskip("dask")
    for dataset in (palette(np.array([[0, 1]], np.uint8)), picture(np.uint8([[1]]), ModalityLUTSequence=lut([0, 9]))):
        (path,) = slices.write(tmp_path, [dataset])
        header = parse_file(path)[1]
        frame = Frame(path, "1.2.840.10008.1.2.1", format_of(header), header.pixels[1:], Rescale(), lut=header)
        np.testing.assert_array_equal(lazy([frame]).compute(), read([frame]))


@pytest.mark.parametrize("frames", [1, 2])
def test_fragments_under_a_native_transfer_syntax_are_not_read_as_pixels(tmp_path, frames):  # R12.6
    dataset = picture(np.zeros((2, 200), np.uint8), SOPClassUID=CAPTURE, NumberOfFrames=frames)
    dataset.Rows = 2 // frames
    (path,) = slices.write(tmp_path, [dataset])
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    data = path.read_bytes().replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.1\0")
    path.write_bytes(data)
    with pytest.raises(BadFile, match="encapsulated pixel data, but the transfer syntax is Explicit VR Little Endian"):
        load(path)


def test_colour_that_two_pixels_share_is_undone_in_native_pixels_too(tmp_path):  # PS3.3 C.7.6.3.1.2
    from pydicom.pixels import convert_color_space

    dataset = picture(np.zeros((2, 4, 3), np.uint8), SOPClassUID="1.2.840.10008.5.1.4.1.1.7.4", NumberOfFrames=2)
    dataset.Rows, dataset.SamplesPerPixel, dataset.PlanarConfiguration = 1, 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    # Y1 Y2 Cb Cr for each two pixels
    dataset.PixelData = bytes([10, 20, 130, 140, 30, 40, 120, 110, 50, 60, 100, 128, 70, 80, 128, 128])
    whole = [[[10, 130, 140], [20, 130, 140], [30, 120, 110], [40, 120, 110]]]
    whole += [[[50, 100, 128], [60, 100, 128], [70, 128, 128], [80, 128, 128]]]
    found = load(slices.write(tmp_path, [dataset]))
    expected = convert_color_space(np.array(whole, np.uint8), "YBR_FULL", "RGB")
    np.testing.assert_array_equal(found.values[:, 0], expected)
    dataset.PixelData = dataset.PixelData[:-2]
    with pytest.raises(BadFile, match="pixel data of 14 bytes"):
        load(slices.write(tmp_path, [dataset]))
