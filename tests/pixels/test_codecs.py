"""Compressed pixel data: bit exact, checked before it is decoded, refused in words."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace

import coded
import numpy as np
import pydicom
import pytest
import slices
from coded import JPEG, JPEG_2000, JPEG_LS, RLE
from support import ROOT, shared

from dicomlab import load, load_all, readers
from dicomlab.datasets import headers
from dicomlab.datasets.uids import DEFLATED_FRAMES
from dicomlab.errors import BadData, BadFile, InvalidRequest, MissingCodec
from dicomlab.pixels import codecs, codestream, decoding, encapsulated
from dicomlab.pixels.pixels import Format
from dicomlab.stacks.imageheader import format_of


@pytest.fixture(params=["fast", "core"], autouse=True)
def decoders(request, monkeypatch):
    """Every test with imagecodecs (skipped where it is absent) and without."""
    if request.param == "core":
        monkeypatch.setattr(codecs, "_imagecodecs", lambda: None)
    else:
        coded.imagecodecs()
    return request.param


def decoded(path):
    """Stored values of all frames, (frames, rows, columns[, 3])."""
    found = headers.read([str(path)], readers.wanted())
    assert not found.errors
    header, form = found[0], format_of(found[0])
    if form.allocated == 1:
        form = replace(form, allocated=8, stored=8, high=7)  # decoders give a byte a pixel
    place, count = (int(found.pixel_at[0]), int(found.pixel_length[0])), int(header.get("NumberOfFrames", 1) or 1)
    syntax = found.meta(0).transfer_syntax
    return np.stack([decoding.decode(str(path), syntax, form, place, index, count) for index in range(count)])


DEPTHS = [(np.uint8, 8, 1), (np.uint16, 12, 1), (np.int16, 12, 1), (np.int16, 16, 1), (np.uint16, 16, 1)]
COLOUR = (np.uint8, 8, 3)


@pytest.mark.parametrize("syntax", [coded.LOSSLESS, coded.LOSSLESS_SV1, JPEG_LS, RLE])
@pytest.mark.parametrize(("dtype", "bits", "samples"), [*DEPTHS, COLOUR])
def test_what_dcmtk_codes_without_loss_is_bit_exact(tmp_path, syntax, dtype, bits, samples):  # R12.13
    values = coded.picture(dtype, bits, samples=samples)
    path = coded.by_dcmtk(tmp_path, coded.dataset(values, bits), syntax)
    (found,) = decoded(path)
    assert found.dtype == values.dtype and (found == values).all()


@pytest.mark.parametrize(("dtype", "bits", "samples"), [*DEPTHS, COLOUR])
def test_jpeg_2000_without_loss_is_bit_exact(tmp_path, dtype, bits, samples):  # R12.13
    values = coded.picture(dtype, bits, samples=samples)
    path = coded.encapsulated(
        tmp_path, coded.dataset(values, bits), JPEG_2000, [coded.jpeg_2000(values, bits)]
    )  # fmt: skip
    (found,) = decoded(path)
    assert found.dtype == values.dtype and (found == values).all()


@pytest.mark.parametrize("syntax", [coded.HTJ2K, coded.JPEG_XL])
@pytest.mark.parametrize(("dtype", "bits", "samples"), [DEPTHS[0], DEPTHS[1], DEPTHS[4], COLOUR])
def test_high_throughput_and_xl_are_bit_exact_or_name_what_they_need(
    tmp_path, decoders, syntax, dtype, bits, samples
):  # R12.13
    library, values = coded.imagecodecs(), coded.picture(dtype, bits, samples=samples)
    if syntax == coded.HTJ2K and not hasattr(library, "htj2k_encode"):
        pytest.skip("this imagecodecs encodes no HTJ2K")
    data = library.jpegxl_encode(values, lossless=True) if syntax == coded.JPEG_XL else library.htj2k_encode(values)
    path = coded.encapsulated(tmp_path, coded.dataset(values, bits), syntax, [data])
    if syntax == coded.JPEG_XL and decoders == "core":
        with pytest.raises(MissingCodec, match=r"JPEG XL .*pip install \"dicomlab\[fast\]\""):
            load(path)
        assert "pip install" in load_all(path).report.why[0]
    else:
        assert (decoded(path)[0] == values).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32])
def test_deflated_frames_are_inflated_each_to_its_size_and_no_further(tmp_path, dtype):  # PS3.5 A.4.13
    values = np.stack([coded.picture(dtype, 8, 5, 7), coded.picture(dtype, 7, 5, 7)])

    def deflated(data: bytes) -> bytes:
        work = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        made = work.compress(data) + work.flush()
        return made + b"\0" * (len(made) % 2)

    made = coded.dataset(values, 8 * values.itemsize, frames=2)
    path = coded.encapsulated(tmp_path, made, coded.DEFLATED_FRAMES, [deflated(frame.tobytes()) for frame in values])
    assert (decoded(path) == values).all()
    bomb = [deflated(values[0].tobytes()), deflated(bytes(10**7))]
    path = coded.encapsulated(tmp_path / "bomb", made, coded.DEFLATED_FRAMES, bomb)
    with pytest.raises(BadFile, match=r"frame 2 of 2: .*does not have the"):
        decoded(path)


@pytest.mark.parametrize(("syntax", "error"), [(coded.BASELINE, 12), (coded.NEAR_LOSSLESS, 2)])
def test_what_is_coded_with_loss_is_near(tmp_path, syntax, error):
    values = coded.picture(np.uint8, 8)
    (found,) = decoded(coded.by_dcmtk(tmp_path, coded.dataset(values, 8), syntax))
    assert np.abs(found.astype(int) - values).max() <= error


def test_jpeg_of_twelve_bits_needs_imagecodecs(tmp_path, decoders):  # R12.13
    values = coded.picture(np.uint16, 12)
    path = coded.by_dcmtk(tmp_path, coded.dataset(values, 12), coded.EXTENDED)
    if decoders == "fast":
        assert np.abs(decoded(path)[0].astype(int) - values).max() <= 200
    else:
        with pytest.raises(MissingCodec, match=r"JPEG Extended .* of 12 bits\. pip install \"dicomlab\[fast\]\""):
            load(path)


HOW: list[Callable[[list[bytes]], dict]] = [
    lambda frames: {"has_bot": True},
    lambda frames: {"has_bot": False},
    lambda frames: {"has_bot": True, "fragments_per_frame": 3},
    lambda frames: {"has_bot": False, "fragments_per_frame": 3},
]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("count", [1, 4])
def test_a_frame_is_found_whatever_its_fragments_and_offset_tables(tmp_path, how, count):  # PS3.5 A.4
    values = np.stack([coded.picture(np.uint16, bits) for bits in range(9, 9 + count)])
    made = coded.dataset(values if count > 1 else values[0], 16, frames=count)
    frames = [coded.jpeg_2000(frame, 16) for frame in values]
    assert (decoded(coded.encapsulated(tmp_path, made, JPEG_2000, frames, **how(frames))) == values).all()


def test_an_extended_offset_table_means_one_fragment_a_frame(tmp_path):  # PS3.3 C.7.6.3.1.8
    from pydicom.encaps import encapsulate_extended

    values = np.stack([coded.picture(np.uint16, bits) for bits in (9, 10, 11)])
    made = coded.dataset(values, 16, frames=3)
    frames = [coded.jpeg_2000(frame, 16) for frame in values]
    data, made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    made.PixelData = data
    made["PixelData"].VR = "OB"
    (path,) = slices.write(tmp_path, [made], JPEG_2000)
    assert (decoded(path) == values).all()


def test_an_offset_table_that_does_not_fit_its_fragments_is_not_believed(tmp_path):  # PS3.5 A.4
    values = np.stack([coded.picture(np.uint16, bits) for bits in (9, 10, 11)])
    path = coded.encapsulated(
        tmp_path, coded.dataset(values, 16, frames=3), JPEG_2000, [coded.jpeg_2000(frame, 16) for frame in values]
    )
    data = path.read_bytes()
    at = data.rindex(b"\xfe\xff\x00\xe0\x0c\x00\x00\x00") + 8
    for table in ((0, 2, 4), (0, 0, 0), (8, 100, 200)):
        path.write_bytes(data[:at] + struct.pack("<3I", *table) + data[at + 12 :])
        assert (decoded(path) == values).all()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00", "no fragments"),
        (b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\xff\x00\x00\x00ab", "runs over its end"),
        (b"\x01\x02\x03\x04\x00\x00\x00\x00", "not made of fragments"),
        (b"", "no fragments"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_damaged_fragments_are_a_bad_file(tmp_path, data, why, count):
    path = tmp_path / "fragments"
    path.write_bytes(b"before" + data)
    with pytest.raises(BadFile, match=f"fragments: .*{why}"):
        encapsulated.frame(str(path), (6, 0xFFFFFFFF), 0, count)


def test_fragments_that_may_be_of_any_frame_are_a_bad_file(tmp_path):
    items = b"".join(b"\xfe\xff\x00\xe0\x02\x00\x00\x00ab" for _ in range(3))
    path = tmp_path / "fragments"
    path.write_bytes(b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + items + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00")
    with pytest.raises(BadFile, match=r"3 fragments for 2 frames"):
        encapsulated.frame(str(path), (0, 0xFFFFFFFF), 1, 2)
    assert encapsulated.frame(str(path), (0, 0xFFFFFFFF), 1, 3) == b"ab"


def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(tmp_path, monkeypatch):  # R0.8
    values = coded.picture(np.uint16, 16, 40, 38)
    made = coded.dataset(values, 16)
    made.Rows = 41
    path = coded.encapsulated(tmp_path, made, JPEG_2000, [coded.jpeg_2000(values, 16)])

    def refused(*_: object) -> object:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(codecs, "decoders", lambda *_: [("none", refused)])
    with pytest.raises(BadFile, match=r"of 40 rows, 38 columns, 1 sample, the header says 41 rows, 38 columns"):
        decoded(path)


@pytest.mark.parametrize("syntax", [JPEG_LS, coded.LOSSLESS_SV1, coded.BASELINE, RLE, JPEG_2000])
def test_a_frame_that_is_cut_off_is_a_bad_file_that_names_it(tmp_path, syntax):  # R12.9
    values = np.stack([coded.picture(np.uint8, 8), coded.picture(np.uint8, 7)])
    if syntax == JPEG_2000:
        frames = [coded.jpeg_2000(frame, 8) for frame in values]
    else:
        source = coded.by_dcmtk(tmp_path, coded.dataset(values, 8, frames=2), syntax)
        found = headers.read([str(source)], readers.wanted())
        place = int(found.pixel_at[0]), int(found.pixel_length[0])
        frames = [encapsulated.frame(str(source), place, index, 2) for index in (0, 1)]
    half = frames[1][: len(frames[1]) // 2 // 2 * 2]
    made = coded.dataset(values, 8, frames=2)
    path = coded.encapsulated(tmp_path / "cut", made, syntax, [frames[0], half])
    with pytest.raises(BadFile, match=r"cut.0000\.dcm: frame 2 of 2: "):
        decoded(path)
    assert decoded(coded.encapsulated(tmp_path / "whole", made, syntax, frames)).shape == values.shape


def test_noise_in_a_codestream_is_a_bad_file_or_other_values_and_never_a_crash(tmp_path):
    values, random = coded.picture(np.uint16, 12), np.random.default_rng(5)
    data = coded.jpeg_2000(values, 12)
    refused = 0
    for _ in range(60):
        noisy = bytearray(data)
        for at in random.integers(0, len(data), 6):
            noisy[at] = random.integers(256)
        path = coded.encapsulated(tmp_path, coded.dataset(values, 12), JPEG_2000, [bytes(noisy)])
        try:
            assert decoded(path)[0].shape == values.shape
        except BadFile:
            refused += 1
    assert refused > 5


def test_a_codestream_of_more_bits_than_are_allocated_is_refused_before_it_is_decoded(tmp_path):
    values = coded.picture(np.uint16, 16)
    made = coded.dataset((values // 256).astype(np.uint8), 8)
    path = coded.encapsulated(tmp_path, made, JPEG_2000, [coded.jpeg_2000(values, 16)])
    with pytest.raises(BadFile, match="the codestream is of 16 bits, the header says 8"):
        decoded(path)


@pytest.mark.parametrize("syntax", [coded.LOSSLESS_SV1, coded.BASELINE])
def test_damaged_markers_do_not_reach_gdcm_which_would_end_the_process(tmp_path, syntax, decoders):  # R12.9
    values = coded.picture(np.uint8, 8)
    source = coded.by_dcmtk(tmp_path, coded.dataset(values, 8), syntax)
    found = headers.read([str(source)], readers.wanted())
    data = encapsulated.frame(str(source), (int(found.pixel_at[0]), int(found.pixel_length[0])))
    codestream.sound(data)
    start, jfif, huffman = (data.index(mark) for mark in (b"\xff\xda", b"JFIF\0", b"\xff\xc4"))
    frame = min(data.find(bytes([0xFF, kind])) % len(data) for kind in (0xC0, 0xC3))
    for at, byte in ((3, 0), (jfif + 5, 0), (huffman, 0), (huffman + 1, 0), (start + 1, 0xFF), (frame + 4, 0)):
        damaged = data[:at] + bytes([byte]) + data[at + 1 :]
        with pytest.raises(BadData, match="markers of the JPEG codestream are damaged"):
            codestream.sound(damaged)
        path = coded.encapsulated(tmp_path / str(at), coded.dataset(values, 8), syntax, [damaged])
        if decoders == "core" and syntax == coded.LOSSLESS_SV1:
            with pytest.raises(BadFile):
                decoded(path)


def test_what_a_missing_codec_says(tmp_path, decoders, monkeypatch):  # R12.13
    monkeypatch.setattr(codecs, "_imagecodecs", lambda: None)
    monkeypatch.setattr(codecs, "_can", lambda *_: False)
    form = Format(1, 1, 1, 8, 8, 7, False, "MONOCHROME2")
    for syntax in codecs.CODECS:
        if syntax == DEFLATED_FRAMES:
            continue
        with pytest.raises(MissingCodec, match=rf"^x: nothing installed decodes .*\({re.escape(syntax)}\)") as caught:
            list(codecs.decoders("x", syntax, form))
        assert caught.value.advice.startswith("pip install ")
    with pytest.raises(MissingCodec, match=r"no decoder is known for transfer syntax 1\.2\.3"):
        codecs.refuse("x", "1.2.3")


def test_each_syntax_is_decoded_by_the_first_that_is_here(decoders):  # R12.13
    found = codecs.available()
    fast = [names[:1] == ["imagecodecs"] for syntax, names in found.items() if syntax != DEFLATED_FRAMES]
    assert all(fast) if decoders == "fast" else not any(fast)
    assert found[RLE][-1] == "pydicom" and found[JPEG_2000][-1] == "pillow"
    assert ("gdcm" in found[coded.LOSSLESS]) is (decoders == "core")


def test_no_package_under_the_gpl_is_asked():
    baseline = [JPEG + end for end in ("50", "51", "57", "70", "80", "81")]  # pylibjpeg decodes these with libjpeg
    assert all("pylibjpeg" not in codecs.CODECS[syntax].plugins for syntax in baseline)


@pytest.mark.parametrize("end", ["100", "100.1", "103", "104.1", "106", "107", "108"])
def test_a_video_is_refused_as_what_it_is(tmp_path, end):
    made = coded.dataset(coded.picture(np.uint8, 8, samples=3), 8)
    path = coded.encapsulated(tmp_path, made, JPEG + end, [b"\0\0\1\xb3video"])
    with pytest.raises(InvalidRequest, match=rf"0000.dcm: its pixel data is a video, .*\({JPEG}{end}\)"):
        load(path)


def test_pixel_data_with_a_server_is_refused_as_what_it_is():
    with pytest.raises(InvalidRequest, match=r"not in the file but with a server, JPIP Referenced"):
        codecs.refuse("x", JPEG + "94")


def test_colours_of_jpeg_come_as_they_are_coded():  # R12.8
    path = shared("data/codecs_pydicom/test_files/SC_rgb_dcmtk_+eb+cy+np.dcm")
    (stored,) = decoded(path)
    ybr = np.array([76, 85, 255])  # red, by PS3.3 C.7.6.3.1.2
    assert np.abs(stored[5, 5].astype(int) - ybr).max() <= 1
    volume = load(path)
    assert np.abs(volume.values.reshape(100, 100, 3)[5, 5].astype(int) - (255, 0, 0)).max() <= 3


def beyond_the_core(path, syntax):
    """Whether nothing that the core installs decodes it: 12 bits of JPEG, and 6 or 7 of JPEG-LS without pyjpegls."""
    if syntax == coded.EXTENDED:
        return True
    few = syntax in (JPEG + "80", JPEG + "81") and pydicom.dcmread(path, stop_before_pixels=True).BitsStored in (6, 7)
    return few and importlib.util.find_spec("jpeg_ls") is None


def test_stored_values_equal_those_of_independent_decoders(decoders):  # R12.13
    truth = json.loads(shared("data/truth/_codecs.json").read_text())["files"]
    checked: dict[str, int] = {}
    for name, facts in truth.items():
        wanted = {decoder.get("sha256") for decoder in facts["decoders"].values()} - {None}
        path = shared("data") / name
        if not wanted or not path.exists():
            continue
        if decoders == "core" and beyond_the_core(path, facts["transfer_syntax"]):
            with pytest.raises(MissingCodec):
                decoded(path)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks about odd files
            values = decoded(path)
        values = values if facts["frames"] > 1 else values[0]
        assert hashlib.sha256(values.tobytes()).hexdigest() in wanted, name
        checked[facts["transfer_syntax"]] = checked.get(facts["transfer_syntax"], 0) + 1
    assert len(checked) == (12 if decoders == "fast" else 11) and sum(checked.values()) > 140


def test_the_page_of_transfer_syntaxes_names_each_that_is_decoded():
    page = (ROOT / "docs/codecs.md").read_text(encoding="utf-8")
    for syntax in codecs.CODECS:
        assert re.search(rf"(?<=[ ]){re.escape(syntax.removeprefix('1.2.840.10008.1.2'))}(?=[, ])", page), syntax
