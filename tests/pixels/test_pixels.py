"""Stored values to modality values: types, rescale, padding, codecs, limits."""

from __future__ import annotations

import os

import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from support import ROOT

from dicomlab import load, readers
from dicomlab.datasets import headers
from dicomlab.errors import BadFile, InvalidRequest
from dicomlab.pixels import pixels
from dicomlab.pixels.frames import Frame, read
from dicomlab.stacks.imageheader import format_of
from dicomlab.stacks.planes import describe, frames

CODECS = ROOT.parent / "shared" / "data" / "truth" / "_codecs.json"


def one(tmp_path, stored, **attributes):
    return load(
        slices.write(
            tmp_path, [slices.image(np.array(stored, getattr(stored, "dtype", np.int16)), (0, 0, 0), 1, **attributes)]
        )
    )


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "dtype"),
    [
        (np.array([[0, 4095]], np.uint16), 1, -1024, "int16"),
        (np.array([[-32768, 32767]], np.int16), 1, 0, "int16"),
        (np.array([[-100, 32767]], np.int16), 1, -1024, "int16"),
        (np.array([[-32768, 32767]], np.int16), 1, -1024, "int32"),
        (np.array([[0, 65535]], np.uint16), 1, 0, "uint16"),
        (np.array([[0, 65535]], np.uint16), 1, -1024, "int32"),
        (np.array([[0, 30000]], np.uint16), 2, -4096, "int32"),
        (np.array([[0, 255]], np.uint8), 1, -1024, "int16"),
        (np.array([[0, 255]], np.uint8), 1, 0, "int16"),
        (np.array([[1, 2]], np.uint16), 0.5, 0, "float32"),
        (np.array([[1, 2]], np.uint16), 1, 0.25, "float32"),
        (np.array([[1, 2**31]], np.uint32), 1, 0, "uint32"),
    ],
)
def test_values_take_int16_or_the_smallest_type_that_holds_them(tmp_path, stored, slope, intercept, dtype):  # R12.7
    volume = one(tmp_path, stored, RescaleSlope=slope, RescaleIntercept=intercept)
    assert volume.dtype == dtype
    assert volume.values[0].tolist() == (stored.astype(float) * slope + intercept).tolist()


def test_each_slice_has_its_own_slope(tmp_path):  # R12.7
    datasets = slices.stack([0, 1], RescaleIntercept=0, SOPClassUID=slices.PET, Modality="PT", Units="BQML")
    datasets[1].RescaleSlope = "0.5"
    volume = load(slices.write(tmp_path, datasets))
    assert volume.values[:, 0, 1].tolist() == [1, 50.5] and volume.dtype == np.float32
    assert volume.attrs["units"] == "BQML"


def test_units_are_hu_for_ct_else_the_rescale_type(tmp_path):
    assert one(tmp_path / "a", [[1]]).attrs["units"] == "HU"
    assert one(tmp_path / "b", [[1]], Modality="MR", RescaleType="HZ").attrs["units"] == "HZ"
    assert one(tmp_path / "c", [[1]], RescaleType="US").attrs["units"] == ""


def test_padding_is_a_mask_whatever_the_sign_of_its_vr(tmp_path):  # R12.7
    stored = np.array([[-2000, 5, 7]], np.int16)
    for value in (-2000, 65536 - 2000):
        dataset = slices.image(stored, (0, 0, 0), 1)
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
        volume = load(slices.write(tmp_path / str(value), [dataset]))
        assert volume.dicom.padding.values.tolist() == [[[True, False, False]]]
    dataset.PixelRepresentation = 1
    assert not one(tmp_path / "none", stored).dicom.padding.any()


def test_bits_above_the_high_bit_are_no_part_of_the_value(tmp_path):  # PS3.5 8.1.1
    stored = np.array([[0x8001, 0x0FFF]], np.uint16)
    assert one(tmp_path, stored, BitsStored=12, HighBit=11, RescaleIntercept=0).values.tolist() == [[[1, 4095]]]
    signed = np.array([[0x0FFF, 1]], np.int16)
    volume = one(tmp_path / "s", signed, BitsStored=12, HighBit=11, RescaleIntercept=0)
    assert volume.values.tolist() == [[[-1, 1]]]


def test_monochrome1_is_marked_and_not_inverted(tmp_path):  # R12.8
    volume = one(tmp_path, np.array([[1, 2]], np.int16), PhotometricInterpretation="MONOCHROME1", RescaleIntercept=0)
    assert volume.attrs["PhotometricInterpretation"] == "MONOCHROME1" and volume.values.tolist() == [[[1, 2]]]
    bright = np.asarray(volume.dicom.montage(window=(1.5, 1), width=2))
    assert bright[0, 0] > bright[0, -1]


def test_a_modality_lut_is_applied(tmp_path):
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [3, 0, 16], "OD"
    item.add_new("LUTData", "US", [10, 20, 40])
    stored = np.array([[0, 1, 2, 9]], np.uint16)
    volume = one(tmp_path, stored, ModalityLUTSequence=[item], RescaleSlope=None, RescaleIntercept=None)
    assert volume.values.tolist() == [[[10, 20, 40, 40]]]


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_has_a_channel_behind(tmp_path, planar):  # R12.8
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    laid = picture.transpose(2, 0, 1) if planar else picture
    dataset = slices.image(picture, (0, 0, 0), 1, SamplesPerPixel=3, PlanarConfiguration=planar)
    dataset.PhotometricInterpretation, dataset.PixelData = "RGB", np.ascontiguousarray(laid).tobytes()
    dataset.RescaleSlope = dataset.RescaleIntercept = None
    volume = load(slices.write(tmp_path, [dataset]))
    assert volume.dims == ("z", "y", "x", "channel") and (volume.values[0] == picture).all()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_every_encoding_gives_the_same_values(tmp_path, syntax):
    datasets = slices.stack([0, 2], rows=64, columns=64)
    plain = load(slices.write(tmp_path / "plain", datasets))
    other = slices.stack([0, 2], rows=64, columns=64)
    if syntax == RLELossless:
        for dataset in other:
            slices.write(tmp_path / "temporary", [dataset])
            dataset.compress(RLELossless, generate_instance_uid=False)
    if syntax == ExplicitVRBigEndian:
        for dataset in other:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    assert (load(slices.write(tmp_path / "other", other, syntax)).values == plain.values).all()


def test_reading_falls_back_where_preadv_is_missing(tmp_path, monkeypatch):
    paths = slices.write(tmp_path, slices.stack([0, 2]))
    plain = load(paths)
    monkeypatch.delattr(os, "preadv", raising=False)
    assert load(paths).identical(plain)


def test_many_slices_are_read_in_threads_and_stay_in_order(tmp_path):
    paths = slices.write(tmp_path, slices.stack(range(40), rows=256, columns=256, RescaleIntercept=0))
    volume = load(paths)
    assert volume.values[:, 0, 0].tolist() == list(range(0, 4000, 100))


def test_a_volume_above_the_limit_is_refused_before_it_is_allocated(tmp_path, monkeypatch):  # R0.8
    paths = slices.write(tmp_path, slices.stack([0, 2]))
    for limit, fits in ((47, False), (48, True), (49, True)):  # 2 planes of 4 x 3 values of 2 bytes
        monkeypatch.setattr(pixels, "PIXEL_LIMIT", limit)
        if fits:
            assert load(paths).size == 24
        else:
            with pytest.raises(InvalidRequest, match="limit"):
                load(paths)


def test_files_of_one_series_may_be_encoded_each_in_its_own_way(tmp_path):  # R12.12
    plain = load(slices.write(tmp_path / "plain", slices.stack([0, 2, 4])))
    mixed = []
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian):
        dataset = slices.stack([0, 2, 4])[len(mixed)]
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        mixed += slices.write(tmp_path / syntax, [dataset], syntax)
    other = load(mixed)
    assert other.drop_vars("path").identical(plain.drop_vars("path"))


def test_a_file_that_became_shorter_since_its_header_was_read_is_a_bad_file(tmp_path):
    paths = slices.write(tmp_path, slices.stack([0, 2]))
    planes, _ = describe(headers.read(list(map(str, paths)), readers.wanted()), [0, 1])
    paths[1].write_bytes(paths[1].read_bytes()[:-3])
    with pytest.raises(BadFile, match=r"0001.*ends after 21 of 24 bytes"):
        read(frames(planes))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_frames_of_one_file_are_values_each_by_its_number(tmp_path, syntax):
    stored = np.arange(3 * 64 * 64, dtype=np.int16).reshape(3, 64, 64)
    dataset = slices.image(stored[0], (0, 0, 0), 1, NumberOfFrames=3)
    dataset.PixelData = stored.tobytes()
    (path,) = slices.write(tmp_path, [dataset], ExplicitVRLittleEndian if syntax == RLELossless else syntax)
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
        (path,) = slices.write(tmp_path, [dataset], syntax)
    header = headers.read([str(path)], readers.wanted())
    place = int(header.pixel_at[0]), int(header.pixel_length[0])
    form = format_of(header[0])
    wanted = [Frame(str(path), syntax, form, place, pixels.Rescale(2, -5), index, 3) for index in (2, 0, 1)]
    assert (read(wanted) == stored[[2, 0, 1]].astype(np.int64) * 2 - 5).all()


def test_a_broken_compressed_frame_is_a_bad_file(tmp_path):
    (dataset,) = slices.stack([0], rows=64, columns=64)
    slices.write(tmp_path, [dataset])
    dataset.compress(RLELossless)
    (path,) = slices.write(tmp_path, [dataset], RLELossless)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\xe0\x7f\x10\x00")
    data[at + 28 : at + 60] = bytes(32)
    path.write_bytes(data)
    with pytest.raises(BadFile, match=r"0000\.dcm: the pixel data is not made of fragments"):
        load(path)


@pytest.mark.parametrize(("half", "frames"), [(True, 1), (True, 3), (False, 1)])
def test_chroma_of_half_the_columns_is_given_to_all(tmp_path, half, frames):  # PS3.3 C.7.6.3.1.2
    luma = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
    colours = [(90, 160), (128, 128), (200, 60)][:frames]
    data = b"".join(
        bytes(
            value
            for first, second in luma.reshape(-1, 2).tolist()
            for value in ((first, second, *chroma) if half else (first, *chroma, second, *chroma))
        )
        for chroma in colours
    )
    dataset = slices.image(np.zeros((4, 4, 3), np.uint8), None, 1, SamplesPerPixel=3, PlanarConfiguration=0)
    dataset.PhotometricInterpretation, dataset.PixelData = "YBR_FULL_422", data
    dataset.SOPClassUID, dataset.Modality, dataset.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.7.4", "OT", frames
    del dataset.ImageOrientationPatient, dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept
    values = load(slices.write(tmp_path, [dataset])).values.reshape(-1, 4, 4, 3)
    for frame, (blue, red) in zip(values, colours, strict=True):
        for at in ((0, 0), (2, 3)):
            y, cb, cr = float(luma[at]), blue - 128, red - 128
            rgb = y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb
            assert np.abs(frame[at].astype(float) - np.clip(rgb, 0, 255)).max() <= 1


def test_planar_configuration_says_nothing_of_one_sample(tmp_path):
    picture = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert (one(tmp_path, picture, PlanarConfiguration=1, RescaleIntercept=0).values[0] == picture).all()
