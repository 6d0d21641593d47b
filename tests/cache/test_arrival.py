"""A data set on its way into the cache: to the disk while it arrives."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from received import CT, EXPLICIT, JPEG, NODE, data_set, element, temporary

from dicomlab.cache import arrival as arriving
from dicomlab.cache import cachefolder
from dicomlab.cache.cache import Cache, Outcome

PIXELS = os.urandom(5 << 16)  # more than one part
LARGE = data_set(pixels=PIXELS)
ENCAPSULATED = LARGE[: -len(PIXELS) - 4] + (
    b"\xff\xff\xff\xff\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0"
    + len(PIXELS).to_bytes(4, "little")
    + PIXELS
    + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
)


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache", index=tmp_path / "index.sqlite") as made:
        yield made


def arrival(cache, syntax=EXPLICIT, uid="1.2.3.1", **options):
    return cache.arrival(NODE, sop_class=CT, sop_instance=uid, transfer_syntax=syntax, **options)


def fill(coming, data, size):
    for at in range(0, len(data), size):
        part = data[at : at + size]
        coming.room(len(part))[:] = part


def test_a_large_data_set_is_on_disk_before_its_end_has_come(cache):  # memory does not grow with the instance
    coming = arrival(cache)
    fill(coming, LARGE[:-1000], 1 << 14)
    (file,) = temporary(cache)
    assert Path(file).stat().st_size >= cachefolder.PART
    assert not Path(file).read_bytes()[:200].strip(b"\0"), "what is not whole must not look like a DICOM file"
    fill(coming, LARGE[-1000:], 1000)
    receipt = coming.finish()
    assert receipt.outcome is Outcome.STORED and receipt.size == len(LARGE)
    assert receipt.path.read_bytes().endswith(LARGE) and cachefolder.inspect(receipt.path) is not None
    assert temporary(cache) == []


def test_memory_is_not_taken_for_the_whole_of_a_large_one(cache):  # L6
    coming = arrival(cache)
    head = data_set(pixels=b"")[:-4] + (64 << 20).to_bytes(4, "little")
    fill(coming, head, len(head))
    for _ in range(64):
        coming.room(1 << 20)[:] = bytes(1 << 20)
    assert len(coming._buffer) <= 4 << 20
    assert coming.finish().size == len(head) + (64 << 20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=40), st.booleans())
def test_the_sizes_of_the_parts_do_not_change_the_file(tmp_path_factory, sizes, packed):
    folder = tmp_path_factory.mktemp("parts")
    data = ENCAPSULATED if packed else LARGE
    with Cache(folder / "cache", index=folder / "index.sqlite") as cache:
        coming = arrival(cache, JPEG if packed else EXPLICIT)
        at = 0
        for size in sizes:
            coming.room(len(data[at : at + size]))[:] = data[at : at + size]
            at += size
        coming.room(len(data[at:]))[:] = data[at:]
        receipt = coming.finish()
        assert receipt.outcome is Outcome.STORED, receipt.why
        assert receipt.path.read_bytes()[-len(data) :] == data
        assert cachefolder.inspect(receipt.path)[0] == NODE


@pytest.mark.parametrize("more", [-2, 0, 2])
def test_what_may_come_before_pixel_data_has_a_limit(cache, monkeypatch, more):  # R0.8
    monkeypatch.setattr(arriving, "HELD", 3 << 18)
    start = data_set()
    data = start[: start.index(b"\xe0\x7f\x10\x00")]
    data += element(0x00420011, "OB", bytes(arriving.HELD + more - len(data) - 12))
    coming = arrival(cache)
    fill(coming, data, 1 << 14)
    assert len(coming._buffer) <= arriving.HELD
    receipt = coming.finish()
    assert receipt.size == len(data) == arriving.HELD + more
    if more > 0:
        assert receipt.outcome is Outcome.BAD and "more than 786,432 bytes of it would have to be held" in receipt.why
        assert receipt.path is None and not list(cache.root.rglob("quarantine/*"))
    else:
        assert receipt.outcome is Outcome.STORED
    assert temporary(cache) == []


@pytest.mark.parametrize("lost", [1, 1000, 1 << 16])
@pytest.mark.parametrize(("data", "syntax"), [(LARGE, EXPLICIT), (ENCAPSULATED, JPEG)], ids=["native", "encapsulated"])
def test_one_that_ends_early_goes_to_quarantine(cache, data, syntax, lost):
    coming = arrival(cache, syntax)
    fill(coming, data[:-lost], 1 << 15)
    receipt = coming.finish()
    assert receipt.outcome is Outcome.BAD and receipt.path.parent.name == "quarantine"
    assert receipt.path.read_bytes().endswith(data[:-lost])
    assert cache.entries() == [] and temporary(cache) == []


def test_a_header_larger_than_a_part_is_read_when_it_is_there(cache):
    long = element(0x00204000, "LT", "x" * 60_000)
    items = b"".join(b"\xfe\xff\x00\xe0" + len(long).to_bytes(4, "little") + long for _ in range(8))
    wide = element(0x00081140, "SQ", items)
    at = LARGE.index(b"\x08\x00\x60\x00")
    coming = arrival(cache)
    fill(coming, LARGE[:at] + LARGE[at : at + 10] + wide + LARGE[at + 10 :], 1 << 14)
    receipt = coming.finish()
    assert receipt.outcome is Outcome.STORED and len(wide) > cachefolder.PART
    assert receipt.elements.text("Modality") == "CT"


def test_a_discarded_or_forgotten_one_leaves_nothing(cache):
    for forget in (False, True):
        coming = arrival(cache)
        fill(coming, LARGE[:-10], 1 << 14)
        assert len(temporary(cache)) == 1
        if forget:
            del coming
            gc.collect()
        else:
            coming.discard()
            coming.discard()
        assert temporary(cache) == []


@pytest.mark.parametrize("call", ["open", "write", "close"])
def test_ctrl_c_in_a_call_of_the_system_leaves_no_file(cache, monkeypatch, call):  # R1.19
    coming = arrival(cache)
    real = getattr(os, call)

    def interrupted(*arguments):
        done = real(*arguments)
        monkeypatch.setattr(os, call, real)
        if call == "open":
            os.close(done)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        try:
            fill(coming, LARGE, 1 << 14)
        finally:
            coming.discard()
    gc.disable()
    try:
        assert temporary(cache) == []
    finally:
        gc.enable()


def test_a_disk_that_is_full_in_the_middle_is_told_at_the_end(cache, monkeypatch):  # 0xA700
    coming = arrival(cache)
    fill(coming, LARGE[: cachefolder.PART + 100_000], 1 << 14)

    write = os.write

    def full(handle, *_):
        write(handle, b"")  # the first failure is the one to tell, not that the file is closed since
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    fill(coming, LARGE[cachefolder.PART + 100_000 :] + bytes(1 << 20), 1 << 14)
    receipt = coming.finish()
    assert receipt.outcome is Outcome.FULL and receipt.error.errno == errno.ENOSPC
    assert receipt.path is None and temporary(cache) == [] and cache.entries() == []


def test_what_was_not_asked_for_is_put_aside_however_large(cache):  # R5.16
    coming = arrival(cache, accept=lambda elements: f"study {elements.text('StudyInstanceUID')} was not asked for")
    fill(coming, LARGE, 1 << 14)
    receipt = coming.finish()
    assert receipt.outcome is Outcome.FOREIGN and receipt.path.parent.name == "aside"
    assert "1.2.3 was not asked for" in receipt.why and cache.entries() == []
