"""Values of generated data sets, exactly as pydicom reads them: all VRs, character sets, padding, nesting."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import warnings
from io import BytesIO
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from support import shared

from dicomlab.datasets.elements import Elements, parse, tag_of
from dicomlab.datasets.encoding import LONG
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadData, BadFile

from .test_elements import REFUSED_LATER, ours, plain

#: SpecificCharacterSet, and letters that it has.
REPERTOIRES: list[tuple[Any, str]] = [
    (None, "Az"), ("ISO_IR 100", "Äß"), ("ISO_IR 101", "Łż"), ("ISO_IR 109", "Ĥĝ"), ("ISO_IR 110", "Āß"),
    ("ISO_IR 144", "Жя"), ("ISO_IR 127", "عل"), ("ISO_IR 126", "Ωλ"), ("ISO_IR 138", "שם"), ("ISO_IR 148", "Çİ"),
    ("ISO_IR 203", "Œž"), ("ISO_IR 13", "ﾔﾏ"), ("ISO_IR 166", "นา"), ("ISO_IR 192", "Äß山田길동😀"),
    ("GB18030", "王小东"), ("GBK", "王小东"), (["", "ISO 2022 IR 87"], "山田太郎"), (["", "ISO 2022 IR 149"], "길동홍"),
    (["", "ISO 2022 IR 58"], "王小东"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏ山田"), (["", "ISO 2022 IR 13"], "ﾔﾏ"),
]  # fmt: skip
#: The attributes of PS3.6 whose name says their VR, most of them of any multiplicity.
VRS = [
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "OB",
    "OD",
    "OF",
    "OL",
    "OV",
    "OW",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "SV",
    "TM",
    "UC",
    "UI",
    "UL",
    "UN",
    "UR",
    "US",
    "UT",
    "UV",
]
SELECTOR = {vr: tag_of(f"Selector{vr}Value") for vr in VRS}
AMBIGUOUS = [tag_of(word) for word in ("SmallestImagePixelValue", "PixelPaddingValue", "GrayLookupTableDescriptor")]
ONE = {"LT", "ST", "UT", "UR", "UN", "OB", "OD", "OF", "OL", "OV", "OW"}
INTEGERS = {"US": (0, 16), "SS": (1, 16), "UL": (0, 32), "SL": (1, 32), "UV": (0, 64), "SV": (1, 64)}


def text(letters: str, size: int, more: str = "") -> st.SearchStrategy[str]:
    """Text that a character set holds, without the padding that pydicom takes off."""
    return st.text("abcXYZ 019" + letters + more, max_size=size).map(lambda one: one.strip(" "))


def values_of(vr: str, letters: str) -> st.SearchStrategy[Any]:
    """One value of a VR, as pydicom takes it."""
    if vr in INTEGERS:
        signed, bits = INTEGERS[vr]
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)
    if vr == "AT":
        return st.integers(0, 0xFFFFFFFF)
    if vr in ("FL", "FD"):
        return st.floats(allow_nan=False, width=32 if vr == "FL" else 64)
    if vr[0] == "O" or vr == "UN":
        return st.binary(max_size=40).map(lambda one: one[: len(one) // 8 * 8])
    if vr == "PN":
        group = st.lists(text(letters, 5), max_size=5).map("^".join)
        return st.lists(group, min_size=1, max_size=3).map("=".join)
    if vr in ("LO", "SH", "UC"):
        return text(letters, 16)
    if vr in ("LT", "ST", "UT"):
        return text(letters, 60, "\\\r\n\f\t^=")
    plain_text = {
        "AE": st.text("ABC_ 1", max_size=16).map(str.strip),
        "AS": st.from_regex(r"[0-9]{3}[DWMY]", fullmatch=True),
        "CS": st.text("ABC_ 1", max_size=16).map(str.strip),
        "DA": st.dates().map(lambda day: day.isoformat().replace("-", "")),
        "DS": st.floats(allow_nan=False, allow_infinity=False).map(lambda number: f"{number:.8g}"[:16]),
        "DT": st.datetimes(min_value=dt.datetime(1000, 1, 1)).map(lambda moment: f"{moment:%Y%m%d%H%M%S.%f}+0100"),
        "IS": st.integers(-(1 << 31), (1 << 31) - 1).map(str),
        "TM": st.times().map(lambda moment: f"{moment:%H%M%S.%f}"),
        "UI": st.lists(st.integers(0, 99999), min_size=1, max_size=8).map(lambda parts: ".".join(map(str, parts))),
        "UR": st.text("abc:/.?=&\\", max_size=20),
    }
    return plain_text[vr]


def many(vr: str, letters: str) -> st.SearchStrategy[Any]:
    """No value, one, or several."""
    one = values_of(vr, letters)
    nothing: Any = st.just(b"" if vr[0] == "O" or vr == "UN" else None if vr in (*INTEGERS, "FL", "FD", "AT") else "")
    return nothing | one if vr in ONE else nothing | one | st.lists(one, min_size=2, max_size=4)


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2, repertoire: tuple[Any, str] | None = None) -> Dataset:
    """A data set with values of all VRs, a private block, and sequences inside each other."""
    made = Dataset()
    if repertoire is None or draw(st.integers(0, 5)) == 5:  # an item may have its own
        repertoire = draw(st.sampled_from(REPERTOIRES))
        if repertoire[0] is not None:
            made.SpecificCharacterSet = repertoire[0]
    letters = repertoire[1]
    for vr in draw(st.lists(st.sampled_from(VRS), unique=True, max_size=8)):
        made.add_new(SELECTOR[vr], vr, draw(many(vr, letters)))
    if draw(st.booleans()):
        sign = draw(st.integers(0, 1))
        made.PixelRepresentation = sign
        for tag in AMBIGUOUS[: draw(st.integers(0, 2))]:
            made.add_new(tag, "SS" if sign else "US", draw(values_of("SS" if sign else "US", "")))
    if draw(st.booleans()):
        block = made.private_block(
            draw(st.sampled_from([0x0011, 0x0019])), draw(st.sampled_from(["NOBODY", "GEMS_ACQU_01"])), create=True
        )
        for vr in draw(st.lists(st.sampled_from(["LO", "PN", "US", "FD", "UT", "OB"]), unique=True, max_size=3)):
            block.add_new(0xF0 + VRS.index(vr) % 16, vr, draw(values_of(vr, letters)))
    if depth:
        for tag in draw(st.lists(st.sampled_from([0x0040A730, 0x00081140, 0x00191001]), unique=True, max_size=2)):
            if tag == 0x00191001 and 0x00190010 not in made:
                made.add_new(0x00190010, "LO", "NOBODY")
            items = draw(st.lists(data_sets(depth=depth - 1, repertoire=repertoire), max_size=3))
            for item in items:
                item.is_undefined_length_sequence_item = draw(st.booleans())
            made.add_new(tag, "SQ", Sequence(items))
            made[tag].is_undefined_length = draw(st.booleans())
    return made


def written(data_set: Dataset, implicit: bool) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, implicit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(out, data_set)
    return out.getvalue()


def pydicoms(data: bytes, implicit: bool) -> dict[int, Any]:
    """The values that pydicom reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = read_dataset(BytesIO(data), implicit, True)
        return {int(element.tag): plain(element.value) for element in read}


def known(value: Any) -> Any:
    """The same value whichever way nothing is said: pydicom gives None, "" or [] by VR and encoding."""
    if isinstance(value, dict):
        return {tag: known(one) for tag, one in value.items()}
    if isinstance(value, list):
        return [known(one) for one in value] or None
    if isinstance(value, tuple) and all(one in (None, "") for one in value):
        return (None,) * len(value)
    return None if isinstance(value, str) and not value else value


@settings(max_examples=60, deadline=None)
@given(data_sets(), st.booleans())
def test_every_value_of_a_generated_data_set_is_pydicoms(data_set: Dataset, implicit: bool) -> None:
    data = written(data_set, implicit)
    wanted = known(pydicoms(data, implicit))
    for elements in (
        parse(data, implicit=implicit),
        Elements.later(data, implicit),
        parse(bytearray(data), implicit=implicit),
    ):
        assert known(ours(elements)) == wanted


PIECES = st.sampled_from(
    [b"", b" ", b"A", b"7", b"-1.5", b"\\", b"^", b"=", b"  ", b"\xc4", b"\x1b$B;3\x1b(B", b"20240131", b"\r\n"]
)
NUMBERS = re.compile(rb"( *([-+]?[0-9]+)? *(\\\\|$))+")
PADDED = ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]


def element(tag: int, vr: str, value: bytes, implicit: bool) -> bytes:
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    if implicit:
        return head + len(value).to_bytes(4, "little") + value
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + len(value).to_bytes(4, "little") + value
    return head + vr.encode() + len(value).to_bytes(2, "little") + value


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(PADDED), st.lists(PIECES, max_size=6).map(b"".join), max_size=6),
    st.sampled_from([b"", b" ", b"\0"]),
    st.sampled_from([b"", b"ISO_IR 100", b"ISO_IR 192", b"\\ISO 2022 IR 87"]),
    st.booleans(),
)
@example({"PN": b" \\"}, b"", b"", False)
@example({"PN": b"A \\B"}, b" ", b"", True)
@example({"PN": b"= \\"}, b"", b"", False)
@example({"PN": b" ="}, b"", b"", False)
def test_padding_and_empty_values_are_taken_as_pydicom_takes_them(
    values: dict[str, bytes], padding: bytes, charset: bytes, implicit: bool
) -> None:
    data = element(0x00080005, "CS", charset, implicit)
    for vr in sorted(values, key=SELECTOR.__getitem__):
        value = values[vr] + (padding if vr not in ("AE", "UR") else b"")  # there, pydicom takes no NUL off
        data += element(SELECTOR[vr], vr, value, implicit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = read_dataset(BytesIO(data), implicit, True)
        elements = parse(data, implicit=implicit)
        for vr in values:
            if vr in ("DS", "IS") and not NUMBERS.fullmatch(values[vr]):  # pydicom gives it as text, or raises
                with contextlib.suppress(BadData):
                    elements.get(SELECTOR[vr])
                continue
            wanted = known(plain(read[SELECTOR[vr]].value))
            assert known(elements.get(SELECTOR[vr])) == wanted, vr


def compared(tag: int) -> bool:
    """Not the file meta, nor pixel data, nor private group lengths: UL (PS3.5 7.2), to pydicom bytes."""
    return 0x00030000 <= tag < 0x7FE00000 and (tag & 0xFFFF != 0 or not tag >> 16 & 1)


def test_every_value_of_the_shared_data_is_pydicoms() -> None:
    seen = 0
    for path in sorted(shared("data").rglob("*")):
        if not path.is_file():
            continue
        try:
            meta, elements = parse_file(path)
        except BadFile:
            continue
        if meta.transfer_syntax == "1.2.840.10008.1.2.2":  # by pydicom itself, see part10
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = dcmread(path, stop_before_pixels=True, force=True)
            wanted = {int(one.tag): plain(one.value) for one in theirs if compared(int(one.tag))}
        try:
            mine = {tag: value for tag, value in ours(elements).items() if compared(tag)}
        except BadData as error:
            assert REFUSED_LATER.get(path.name, "nothing") in str(error), path
            continue
        assert known(mine) == known(wanted), path
        seen += 1
    assert seen > 50
