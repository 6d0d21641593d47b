"""The walk of many data sets at once: where it is sure, it gives what the exact walk of one gives."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomlab.datasets.encoding import walk
from dicomlab.datasets.lockstep import walk_all
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadFile

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
TAGS = [0x00080005, 0x00080016, 0x00080018, 0x00081140, 0x00100010, 0x00200032, 0x00280010, 0x00400275]


def joined(sets):
    """Data sets in one buffer, odd bytes between them."""
    data, starts = b"\7", []
    for one in sets:
        starts.append(len(data))
        data += one + b"\7\7\7"
    starts = np.array(starts, np.int64)
    return data, starts, starts + [len(one) for one in sets]


def same(sets, implicit, tags=TAGS):
    """Check every data set that the walk is sure of; how many these are."""
    data, starts, ends = joined(sets)
    found = walk_all(data, starts, ends, tags, implicit=implicit)
    assert not found.more.any()
    for row, one in enumerate(sets):
        if found.sure[row]:
            raw, really, end, pixels = walk(one, 0, len(one), implicit, frozenset(tags))
            assert really == implicit
            assert found.stops[row] - starts[row] == end
            at = found.pixel_starts[row]
            assert (at < 0) == (pixels is None)
            if pixels:
                assert (at - starts[row], found.pixel_lengths[row]) == pixels[1:]
            for slot, tag in enumerate(found.tags):
                at, length = found.starts[slot, row], found.lengths[slot, row]
                assert (length < 0) == (tag not in raw)
                if tag in raw:
                    assert data[at : at + length] == raw[tag][1]
                    if not implicit:
                        assert int(found.vrs[slot, row]).to_bytes(2, "little").decode() == raw[tag][0]
    return int(found.sure.sum())


def data_sets():
    """The little-endian data sets that pydicom ships: (bytes, implicit)."""
    found = []
    for path in sorted(FILES.rglob("*")):
        if path.is_file() and path.stat().st_size < 400_000:
            try:
                meta, elements = parse_file(path, wanted=frozenset())
            except BadFile:
                continue
            if meta.transfer_syntax not in ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"):
                found.append((path.read_bytes()[meta.data_set :], elements.implicit))
    return found


SETS = data_sets()


@pytest.mark.parametrize("implicit", [False, True])
def test_what_pydicom_ships_is_walked_as_one_by_one(implicit):  # PS3.5 7
    sets = [one for one, kind in SETS if kind is implicit]
    assert same(sets, implicit) >= 0.9 * len(sets) > 5


@pytest.mark.parametrize("implicit", [False, True])
def test_data_sets_of_the_other_kind_are_not_decided(implicit):  # SPEC R0.8
    sets = [one for one, kind in SETS if kind is not implicit]
    data, starts, ends = joined(sets)
    assert not walk_all(data, starts, ends, TAGS, implicit=implicit).sure.any()


def element(tag, vr, value, implicit, undefined=False):
    size = 0xFFFFFFFF if undefined else len(value)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<I", size) + value
    if vr in (b"SQ", b"OB", b"UN", b"OW"):
        return head + vr + struct.pack("<HI", 0, size) + value
    return head + vr + struct.pack("<H", size & 0xFFFF) + value


def item(value, undefined):
    if undefined:
        return struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + value + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value


END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
TEXTS = st.sampled_from([0x00080005, 0x00080018, 0x00100010, 0x00200032, 0x00091001, 0x7FE00001, 0xFFFCFFFC])
SEQUENCES = st.sampled_from([0x00081140, 0x00400275, 0x00091010, 0x52009229])


@st.composite
def encoded(draw, implicit, depth=0):
    """A data set, with sequences and items of defined and undefined length."""
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.integers(0, 5))
        if kind == 0 and depth < 3:
            items = draw(st.lists(encoded(implicit, depth + 1), max_size=2))
            body = b"".join(item(one, draw(st.booleans())) for one in items)
            undefined = draw(st.booleans())
            parts.append(
                element(draw(SEQUENCES), b"SQ", body + END if undefined else body, implicit, undefined)
            )
        elif kind == 1:
            parts.append(element(draw(TEXTS), b"UN", draw(st.binary(max_size=6)), implicit))
        else:
            parts.append(element(draw(TEXTS), b"LO", draw(st.binary(max_size=9)), implicit))
    if draw(st.integers(0, 3)) == 0:
        parts.append(element(0x7FE00010, b"OW", b"12345678", implicit))
    return b"".join(parts)


@settings(deadline=None)
@given(st.data(), st.booleans())
def test_any_data_set_is_walked_as_one_by_one_whole_cut_or_with_flipped_bytes(data, implicit):  # SPEC R0.8
    sound = data.draw(st.lists(encoded(implicit), min_size=1, max_size=6))
    assert same(sound, implicit) == len(sound)
    sets = []
    for one in sound:
        sets.append(one)
        if one:
            sets.append(one[: data.draw(st.integers(0, len(one)))])
            flipped = bytearray(one)
            for _ in range(data.draw(st.integers(1, 2))):
                flipped[data.draw(st.integers(0, len(one) - 1))] = data.draw(
                    st.sampled_from([0, 1, 2, 8, 0x10, 0xFF, 0xFE, 0xE0, 0x0D, 0xDD, 85, 78])
                )
            sets.append(bytes(flipped))
    same(sets, implicit)


@settings(deadline=None)
@given(st.data(), st.booleans(), st.integers(0, 80))
def test_a_window_that_is_too_short_is_said_and_may_be_walked_on_from_the_stop(data, implicit, size):
    one = data.draw(encoded(implicit))
    total = len(one)
    raw, at, sure = {}, 0, False
    for _ in range(60):  # as `headers` does: from the stop on, with a larger window where that is of no use
        end = min(at + size, total)
        found = walk_all(
            one, np.array([at]), np.array([end]), TAGS, implicit=implicit, totals=np.array([total])
        )
        for slot, tag in enumerate(found.tags):
            start, length = int(found.starts[slot, 0]), int(found.lengths[slot, 0])
            if length >= 0:
                assert at <= start and start + length <= end
                raw[tag] = one[start : start + length]
        if not found.more[0]:
            sure = bool(found.sure[0])
            break
        if found.stops[0] == at:
            size = 2 * size + 8
        assert found.stops[0] >= at
        at = int(found.stops[0])
    else:
        raise AssertionError("no end")
    if sure:
        exact, _, end, _ = walk(one, 0, total, implicit, frozenset(TAGS))
        assert {tag: value for tag, (_, value) in exact.items()} == raw and found.stops[0] == end
    else:
        alone = walk_all(one, np.array([0]), np.array([total]), TAGS, implicit=implicit)
        if alone.sure[0]:  # only a VR that an implicit length looks like
            assert implicit
