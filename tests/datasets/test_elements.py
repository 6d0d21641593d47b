"""Headers from bytes: the same values as pydicom, and a named error for whatever is no DICOM."""

from __future__ import annotations

import contextlib
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from support import shared

from dicomlab.datasets.charset import codecs_of, decode
from dicomlab.datasets.elements import Elements, parse
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadData, BadFile, InvalidRequest
from dicomlab.markup import pictured

DATA = Path(pydicom.__file__).parent / "data"
FILES = sorted(
    path
    for folder in ("test_files", "charset_files")
    for path in (DATA / folder).rglob("*")
    if path.is_file() and path.suffix not in (".py", ".json", ".txt", ".dump", ".gz", ".icc", ".md5")
)
REFUSED = {
    "MR_truncated.dcm": "8,130 of 8,192 bytes of pixel data are there",
    "rtplan_truncated.dcm": "a value of 976 bytes, and 711 are left",
    "no_meta.dcm": "no DICOM",  # its first byte is missing
    "README": "no DICOM",
}
#: Refused when the value is asked for, not before: NumberOfFrames "1A", which pydicom gives as text; and a sequence
#: whose last item is longer than the sequence, which pydicom cuts without a word.
REFUSED_LATER = {"badVR.dcm": "no value of VR IS", "DICOMDIR-nooffset": "an item of 248 bytes"}


def encoded(data_set: Dataset, implicit: bool = False) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, implicit
    write_dataset(out, data_set)
    return out.getvalue()


def plain(value: Any) -> Any:
    """A value of pydicom as `Elements.get` would give it."""
    from pydicom.multival import MultiValue
    from pydicom.sequence import Sequence

    if isinstance(value, Sequence):
        return [{int(e.tag): plain(e.value) for e in item} for item in value]
    if isinstance(value, (MultiValue, list, tuple)):
        many = tuple(plain(one) for one in value)
        return tuple("" if one is None and any(isinstance(x, str) for x in many) else one for one in many) or None
    if value is None or value == "" or value == b"":
        return None
    if isinstance(value, (float, int)):
        return float(value) if isinstance(value, float) else int(value)
    return value if isinstance(value, bytes) else pictured(str(value).rstrip(" "))


def ours(elements: Elements) -> dict[int, Any]:
    found = {}
    for tag in elements.raw:
        value = elements.get(tag)
        if elements.vr(tag) == "SQ":
            value = [ours(item) for item in value]
        found[tag] = value
    return found


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_value_of_a_header_is_pydicoms(path: Path) -> None:
    if path.name in REFUSED:
        with pytest.raises(BadFile, match=REFUSED[path.name]) as caught:
            parse_file(path)
        assert str(path) in str(caught.value)
        return
    meta, elements = parse_file(path)
    try:
        mine = ours(elements)
    except BadData as error:
        assert REFUSED_LATER.get(path.name, "nothing") in str(error)
        return
    assert path.name not in REFUSED_LATER
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        wanted = {int(e.tag): plain(e.value) for e in theirs if e.tag < 0x7FE00000}
    big_endian = meta.transfer_syntax == "1.2.840.10008.1.2.2"
    if big_endian:  # pydicom's writer leaves group lengths out
        wanted = {tag: value for tag, value in wanted.items() if tag & 0xFFFF}
        mine = {tag: value for tag, value in mine.items() if tag & 0xFFFF}
    assert {tag: value for tag, value in mine.items() if tag < 0x7FE00000} == wanted
    syntax = theirs.file_meta.get("TransferSyntaxUID")
    assert syntax is None or syntax == meta.transfer_syntax


def test_all_of_pydicoms_files_are_looked_at() -> None:
    assert len(FILES) > 150
    assert set(REFUSED) <= {path.name for path in FILES}


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_give_elements_or_bad_data(data: bytes, implicit: bool) -> None:  # R0.4
    _exhaust(data, implicit)


def _exhaust(data: bytes, implicit: bool) -> None:
    for buffer in (data, bytearray(data)):
        try:
            elements = parse(buffer, implicit=implicit)
        except BadData:
            continue
        for tag in elements.raw:
            elements.text(tag)
            with contextlib.suppress(BadData):
                elements.get(tag)


SOME = sorted(p for p in FILES if p.name in {"CT_small.dcm", "nested_priv_SQ.dcm", "chrH31.dcm", "rtplan.dcm"})


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SOME), st.data())
def test_a_header_with_bytes_changed_or_cut_gives_elements_or_bad_data(path: Path, data: Any) -> None:
    meta, _ = parse_file(path)
    body = bytearray(path.read_bytes()[meta.data_set :][:3000])
    for _ in range(data.draw(st.integers(0, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.sampled_from([0, 1, 8, 65, 92, 254, 255]))
    cut = data.draw(st.integers(0, len(body)))
    _exhaust(bytes(body[:cut]), meta.transfer_syntax == "1.2.840.10008.1.2")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SOME), st.data())
def test_a_damaged_file_gives_elements_or_bad_file(tmp_path_factory: Any, path: Path, data: Any) -> None:
    body = bytearray(path.read_bytes()[:3000])
    for _ in range(data.draw(st.integers(0, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("damaged") / "file"
    file.write_bytes(body)
    with contextlib.suppress(BadFile):
        parse_file(file)


def test_a_window_gives_what_the_whole_gives() -> None:  # the head is read piece by piece
    data_set = Dataset()
    data_set.PatientID = "1"
    data_set.TextValue = "x" * 20_000
    data_set.add_new(0x7FE00010, "OW", b"\1\2" * 50_000)
    body = encoded(data_set)
    whole, pieces = parse(body, implicit=False), parse(memoryview(body), implicit=False)
    assert whole.raw == pieces.raw
    assert whole.pixels == pieces.pixels == ("OW", len(body) - 100_000, 100_000)


def test_pixel_data_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pydicom.dcmread(DATA / "test_files" / "CT_small.dcm")
    source.PixelData = bytes(2_000_000)
    source.save_as(tmp_path / "ct.dcm")
    read = 0
    true_read = os.read

    def counted(file: int, size: int) -> bytes:
        nonlocal read
        read += size
        return true_read(file, size)

    monkeypatch.setattr(os, "read", counted)
    _, elements = parse_file(tmp_path / "ct.dcm")
    assert elements.pixels is not None and elements.pixels[2] == 2_000_000
    assert read < 100_000


def test_only_wanted_values_are_kept() -> None:
    data_set = Dataset()
    data_set.PatientID, data_set.PatientName = "1", "A"
    assert set(parse(encoded(data_set), implicit=False, wanted=frozenset({0x00100020})).raw) == {0x00100020}


def nested(depth: int) -> bytes:
    """Sequences of undefined length inside each other, implicit VR."""
    opening = struct.pack("<HHIHHI", 0x0040, 0xA730, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return opening * depth + closing * depth


def test_sequences_may_nest_64_deep_and_no_deeper() -> None:  # R0.8
    for depth in (63, 64):
        assert parse(nested(depth), implicit=True).raw.keys() == {0x0040A730}
    with pytest.raises(BadData, match="deeper than 64"):
        parse(nested(65), implicit=True)
    with pytest.raises(BadData, match="deeper than 64"):
        parse(nested(100_000), implicit=True)


def deflated_file(tmp_path: Path, body: bytes) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, meta)
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path = tmp_path / "deflated.dcm"
    path.write_bytes(bytes(128) + b"DICM" + out.getvalue() + engine.compress(body) + engine.flush())
    return path


@pytest.mark.parametrize(("size", "refused"), [(8 << 20, False), ((8 << 20) + 2, True), (50 << 20, True)])
def test_a_deflated_header_may_be_200_times_the_file_or_8_mebibytes(  # R0.8
    tmp_path: Path, size: int, refused: bool
) -> None:
    data_set = Dataset()
    data_set.PatientID = "12"
    data_set.add_new(0x00420011, "OB", bytes(size - 22))
    path = deflated_file(tmp_path, encoded(data_set))
    if refused:
        with pytest.raises(BadFile, match="inflates to more than"):
            parse_file(path)
    else:
        assert parse_file(path)[1].text("PatientID") == "12"


def test_a_deflated_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    data_set = Dataset()
    data_set.PatientComments = "".join(map(str, range(2000)))
    path = deflated_file(tmp_path, encoded(data_set))
    assert parse_file(path)[1].get("PatientComments") == data_set.PatientComments
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadFile, match="is cut"):
        parse_file(path)


def test_overruns_bad_vrs_and_stray_items_are_named() -> None:  # R14.10
    with pytest.raises(BadData, match="are left") as caught:
        parse(bytes.fromhex("10002000 4c4f0900") + b"12", implicit=False)
    assert caught.value.tag == "00100020" and caught.value.offset == 0
    with pytest.raises(BadData, match="no VR"):
        parse(bytes.fromhex("10001000 504e0000 10002000 5a5a0200") + b"12", implicit=False)
    with pytest.raises(BadData, match="item or delimiter"):
        parse(bytes.fromhex("feff00e0 00000000"), implicit=False)
    with pytest.raises(BadData, match="without its end"):
        parse(bytes.fromhex("400030a7 ffffffff feff00e0 ffffffff"), implicit=True)


def test_a_data_set_in_the_other_vr_than_announced_is_read_as_what_it_is() -> None:
    data_set = Dataset()
    data_set.PatientID = "1"
    for implicit in (True, False):
        elements = parse(encoded(data_set, implicit), implicit=not implicit)
        assert elements.implicit is implicit and elements.text("PatientID") == "1"


def test_a_fifo_a_folder_and_a_missing_file_are_bad_files(tmp_path: Path) -> None:  # R14.3
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", ".", "absent"):
        with pytest.raises(BadFile):
            parse_file(tmp_path / name)


def test_an_unknown_keyword_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'PatientName'"):
        parse(b"", implicit=True).get("PatientNmae")


def test_empty_and_absent_give_the_default() -> None:
    data_set = Dataset()
    data_set.PatientWeight = None
    data_set.PatientName = ""
    elements = parse(encoded(data_set), implicit=False)
    assert elements.get("PatientWeight") is None and elements.get("PatientID") is None
    assert elements.get("PatientName", "-") == "-" and elements.text("PatientName") == ""
    assert "PatientName" in elements and "PatientID" not in elements


def test_the_slow_path_gives_the_data_set(tmp_path: Path) -> None:
    for name in (
        "CT_small.dcm",
        "nested_priv_SQ.dcm",
        "rtplan.dcm",
        "JPEG2000.dcm",
        "MR_small_bigendian.dcm",
    ):
        path = DATA / "test_files" / name
        _, elements = parse_file(path)
        theirs = pydicom.dcmread(path, stop_before_pixels=True)
        theirs = Dataset({e.tag: e for e in theirs if e.tag.element and e.tag < 0x7FE00000})
        mine = Dataset({e.tag: e for e in elements.dataset() if e.tag.element and e.tag < 0x7FE00000})
        assert mine == theirs


def test_undecodable_text_is_replaced_and_flagged() -> None:  # R3.18
    assert decode(b"M\xfcller", *codecs_of(b"ISO_IR 192")) == ("M\ufffdller", False)
    assert decode(b"M\xfcller", *codecs_of(b"")) == ("Müller", False)
    assert decode(b"M\xfcller", *codecs_of(b"ISO_IR 100")) == ("Müller", True)
    assert decode(b"M\xfcller", *codecs_of(b"ISO-IR 100")) == ("Müller", True)
    assert decode(b"Muller", *codecs_of(b"NO SUCH SET")) == ("Muller", True)
    assert decode(b"M\xfcller", *codecs_of(b"NO SUCH SET")) == ("Müller", False)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"\x1b$B", b"\x1b(B", b"\x1b(J", b"\x1b)I", b"\x1b$)C", b"A^", b"\xb1", b";3ED"])),
    st.sampled_from([b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"ISO 2022 IR 13\\ISO 2022 IR 87", b"ISO_IR 100"]),
)
def test_code_extensions_are_decoded_as_pydicom_does(parts: list[bytes], charset: bytes) -> None:
    from pydicom.charset import convert_encodings, decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encodings = convert_encodings(charset.decode().split("\\"))
        for vr, delimiters in (("PN", b"\r\n\f\t\\^="), ("LO", b"\r\n\f\t\\"), ("LT", b"\r\n\f\t")):
            theirs = decode_bytes(b"".join(parts), encodings, set(delimiters))
            assert decode(b"".join(parts), *codecs_of(charset), vr)[0] == theirs


def test_behind_a_delimiter_the_first_character_set_holds_again() -> None:  # PS3.5 6.1.2.5.3
    codecs = codecs_of(b"ISO 2022 IR 100\\ISO 2022 IR 144")
    cyrillic = b"\x1b-L\xef"
    assert decode(cyrillic + b"^\xef=\xef", *codecs, "PN") == ("я^ï=ï", True)
    assert decode(cyrillic + b"^\xef\\\xef", *codecs, "LO") == ("я^я\\ï", True)
    assert decode(cyrillic + b"^\xef\\\xef\n\xef", *codecs, "LT") == ("я^я\\я\nï", True)


def test_names_in_many_scripts_are_those_of_the_shared_truth() -> None:
    folder = shared("data/charsets_pydicom")
    seen = 0
    for path in sorted(folder.rglob("*.dcm")):
        _, elements = parse_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = pydicom.dcmread(path, force=True)
            if "PatientName" in theirs:
                assert elements.get("PatientName") == str(theirs.PatientName).rstrip("=")
                seen += 1
    assert seen > 10
