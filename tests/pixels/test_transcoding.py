"""Another transfer syntax: the same pixels and the same words, or an error (R6.4)."""

from __future__ import annotations

import warnings
import zlib
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, RLELossless

from dicomlab.datasets.uids import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG_2000, JPEG_2000_LOSSY, JPEG_LS
from dicomlab.errors import BadData
from dicomlab.pixels.transcoding import LOSSLESS, transcode, with_loss

NAMES = (
    "CT_small.dcm", "rtdose.dcm", "rtdose_expb.dcm", "SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm",
    "examples_ybr_color.dcm", "examples_palette.dcm", "examples_overlay.dcm", "liver_1frame.dcm",
    "liver_expb_1frame.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle_2frame.dcm", "SC_ybr_full_422_uncompressed.dcm",
    "image_dfl.dcm", "GDCMJ2K_TextGBR.dcm",
)  # fmt: skip


def parsed(data: bytes, syntax: str) -> Dataset:
    """By pydicom, which is told nothing but the syntax."""
    if syntax == DEFLATED:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    found = read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG_ENDIAN)
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = UID(syntax)
    return found


@pytest.mark.parametrize("target", LOSSLESS, ids=lambda uid: UID(uid).name)
@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_the_same_or_it_is_refused(name, target):  # R6.4
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip("not in this pydicom")
    there = pydicom.dcmread(path)
    try:
        data = transcode(there, str(there.file_meta.TransferSyntaxUID), target)
    except BadData:
        assert target in (JPEG_2000, RLELossless, JPEG_LS)  # what the codecs do not take; the plain ones take all
        return
    back = parsed(data, target)
    np.testing.assert_array_equal(back.pixel_array, there.pixel_array)
    if name == "examples_overlay.dcm" and target != BIG_ENDIAN:  # of which pydicom turns no overlay
        np.testing.assert_array_equal(back.overlay_array(0x6000), there.overlay_array(0x6000))


def test_words_of_16_bits_are_turned_wherever_they_are():  # PS3.5 7.3: overlays and look-up tables
    there = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    there.add_new(0x60003000, "OW", bytes(range(64)))
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [16, 0, 16], bytes(range(32))
    table["LUTData"].VR = "OW"
    there.ModalityLUTSequence = [table]
    implicit = transcode(there, EXPLICIT, IMPLICIT)
    big = parsed(transcode(parsed(implicit, IMPLICIT), IMPLICIT, BIG_ENDIAN), BIG_ENDIAN)
    assert np.frombuffer(big[0x60003000].value, ">u2").tolist() == np.frombuffer(bytes(range(64)), "<u2").tolist()
    words = big.ModalityLUTSequence[0]["LUTData"]
    found = words.value if words.VR == "US" else np.frombuffer(words.value, ">u2").tolist()
    assert list(found) == np.frombuffer(bytes(range(32)), "<u2").tolist()
    again = parsed(transcode(big, BIG_ENDIAN, EXPLICIT), EXPLICIT)
    assert again[0x60003000].value == bytes(range(64))


def test_real_numbers_are_kept_and_never_compressed():
    there = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    values = np.linspace(-1, 1, there.Rows * there.Columns).astype("<f4")
    del there.PixelData
    there.add_new(0x7FE00008, "OF", values.tobytes())
    there.BitsAllocated = 32
    back = parsed(transcode(there, EXPLICIT, BIG_ENDIAN), BIG_ENDIAN)
    assert np.array_equal(np.frombuffer(back[0x7FE00008].value, ">f4"), values)
    with pytest.raises(BadData, match="real numbers"):
        transcode(there, EXPLICIT, JPEG_2000)


@pytest.mark.parametrize("charset", ["ISO_IR 100", None, "ISO_IR 13"])
def test_letters_that_the_character_set_has_not_are_an_error_and_no_question_marks(charset):
    there = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    there.SpecificCharacterSet, there.PatientName = charset, "\u5c71\u7530^\u592a\u90ce"
    with pytest.raises(BadData, match=r"Failed to encode") as caught:
        transcode(there, EXPLICIT, EXPLICIT)
    assert "Traceback" not in str(caught.value)


def test_bytes_that_are_no_text_are_sent_as_they_are_or_not_at_all():
    there = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    there.SpecificCharacterSet, there.PatientName = "ISO_IR 192", "name^one"
    broken = transcode(there, EXPLICIT, EXPLICIT).replace(b"name^one", b"na\xffe^one")
    assert b"na\xffe^one" in transcode(parsed(broken, EXPLICIT), EXPLICIT, EXPLICIT)
    with pytest.raises(BadData, match="Failed to decode"):
        transcode(parsed(broken, EXPLICIT), EXPLICIT, IMPLICIT)


def test_what_is_given_is_not_changed():
    there = pydicom.dcmread(get_testdata_file("rtdose_expb.dcm"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = there.to_json()
        for target in (EXPLICIT, IMPLICIT, BIG_ENDIAN):
            transcode(there, BIG_ENDIAN, target)
        assert there.to_json() == before


def test_a_codestream_without_the_sign_of_its_header_gives_the_values_of_the_header():  # R6.4
    there = pydicom.dcmread(get_testdata_file("J2K_pixelrep_mismatch.dcm"))
    back = parsed(transcode(there, JPEG_2000, EXPLICIT), EXPLICIT)
    assert back.pixel_array.min() < 0 and back.BitsStored == 13
    found = np.frombuffer(back.PixelData, "<i2")
    assert found.min() == back.pixel_array.min() and found.max() < 1 << 12


def test_an_overlay_in_the_bits_that_are_not_used_is_kept_by_rle():  # PS3.5 8.1.1
    there = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    values = np.frombuffer(there.PixelData, "<i2") & 0x0FFF | np.int16(0x1000)
    there.PixelRepresentation, there.BitsStored, there.HighBit, there.PixelData = 0, 12, 11, values.tobytes()
    packed = parsed(transcode(there, EXPLICIT, RLELossless), RLELossless)
    assert parsed(transcode(packed, RLELossless, EXPLICIT), EXPLICIT).PixelData == values.tobytes()


@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_small_odd.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm"])
def test_imagecodecs_alone_is_enough_for_jpeg_2000(name, monkeypatch):  # R6.4: the extra "fast" and nothing else
    pytest.importorskip("imagecodecs")
    from pydicom.pixels.encoders.base import Encoder

    from dicomlab.pixels import codecs

    monkeypatch.setattr(codecs, "_can", lambda *arguments: False)
    monkeypatch.setattr(Encoder, "available_plugins", property(lambda self: ()))
    there = pydicom.dcmread(get_testdata_file(name))
    data = transcode(there, str(there.file_meta.TransferSyntaxUID), JPEG_2000)
    monkeypatch.undo()
    np.testing.assert_array_equal(parsed(data, JPEG_2000).pixel_array, there.pixel_array)
    monkeypatch.setattr(codecs, "_can", lambda *arguments: False)
    back = parsed(transcode(parsed(data, JPEG_2000), JPEG_2000, EXPLICIT), EXPLICIT)
    np.testing.assert_array_equal(back.pixel_array, there.pixel_array)


def test_what_no_package_encodes_is_said_with_the_one_that_would(monkeypatch):  # R6.4
    from pydicom.pixels.encoders.base import Encoder

    from dicomlab.errors import MissingCodec

    monkeypatch.setattr(Encoder, "available_plugins", property(lambda self: ("gdcm",)))
    there = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    with pytest.raises(MissingCodec, match="JPEG-LS Lossless Image Compression: nothing installed encodes") as caught:
        transcode(there, EXPLICIT, JPEG_LS)
    assert "pip install pyjpegls" in str(caught.value)


@pytest.mark.parametrize("ratio", [5, 20])
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"])
def test_a_copy_with_loss_is_another_instance_and_says_so(name, ratio):  # R6.4
    there = pydicom.dcmread(get_testdata_file(name))
    kept = there.SOPInstanceUID
    data, uid = with_loss(there, str(there.file_meta.TransferSyntaxUID), ratio)
    back = parsed(data, JPEG_2000_LOSSY)
    assert there.SOPInstanceUID == kept and "LossyImageCompressionRatio" not in there
    assert back.SOPInstanceUID == uid != kept and len(uid) <= 64
    assert back.LossyImageCompression == "01" and back.LossyImageCompressionMethod == "ISO_15444_1"
    assert 0.7 * ratio < float(back.LossyImageCompressionRatio) < 3 * ratio  # little is in some of them
    assert back.ImageType[0] == "DERIVED" and back.SourceImageSequence[0].ReferencedSOPInstanceUID == kept
    error = np.abs(back.pixel_array.astype(float) - there.pixel_array)
    assert error.mean() < 0.2 * np.ptp(there.pixel_array)
    assert uid == with_loss(there, str(there.file_meta.TransferSyntaxUID), ratio)[1]  # sent again it is the same one


def test_loss_is_added_to_the_loss_there_was():  # R6.4
    there = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    there.LossyImageCompression = "01"
    there.LossyImageCompressionRatio, there.LossyImageCompressionMethod = "4", "ISO_10918_1"
    back = parsed(with_loss(there, EXPLICIT, 5)[0], JPEG_2000_LOSSY)
    first, second = map(float, back.LossyImageCompressionRatio)
    assert first == 4 and second > 3
    assert list(back.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_15444_1"]


def test_bits_and_palettes_are_not_compressed_with_loss():
    there = pydicom.dcmread(get_testdata_file("examples_palette.dcm"))
    with pytest.raises(BadData, match="places in a palette"):
        with_loss(there, str(there.file_meta.TransferSyntaxUID), 10)
