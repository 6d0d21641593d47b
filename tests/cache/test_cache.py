"""The cache: whole or not at all, under the node it came from."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import random
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import zlib
from contextlib import closing

import pydicom
import pytest
from received import (
    BIG,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    NODE,
    SIDE,
    Where,
    data_set,
    element,
    receive,
    temporary,
)
from support import ROOT

from dicomlab.cache.cache import Cache, Outcome
from dicomlab.cache.cachefolder import inspect, read_row
from dicomlab.datasets import filemeta
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import CacheError


def finals(cache):
    return sorted(path for path in cache.root.glob("?/*") if path.is_file())


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache", index=tmp_path / "index" / "index.sqlite") as opened:
        yield opened


def again(cache):
    return Cache(cache.root, index=cache._index.path)


def test_a_received_data_set_is_kept_bit_for_bit_with_our_own_file_meta(cache):  # R5.14
    data = data_set()
    receipt = receive(cache, data)
    assert receipt.outcome is Outcome.STORED and receipt.why == ""
    written = receipt.path.read_bytes()
    assert written.endswith(data) and len(written) - len(data) == filemeta.read_head(written).length
    read = pydicom.dcmread(receipt.path)
    assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID == "1.2.3.1"
    assert read.file_meta.TransferSyntaxUID == EXPLICIT
    assert read.file_meta.SendingApplicationEntityTitle == "ARCHIVE"
    assert receipt.elements.text("StudyInstanceUID") == "1.2.3"


def test_what_was_received_is_found_at_every_level(cache):
    for number in range(3):
        receive(cache, data_set(f"1.2.3.{number}", series=f"1.2.3.0.{number % 2}"), uid=f"1.2.3.{number}")
    assert len(cache.instances(NODE, [Where("P1")])) == 3
    assert len(cache.instances(NODE, [Where("P1", "1.2.3")])) == 3
    assert cache.known(NODE, [Where("", "1.2.3", "1.2.3.0.0")]) == {"1.2.3.0", "1.2.3.2"}
    assert cache.known(NODE, [Where("", "1.2.3", "1.2.3.0.0", "1.2.3.0"), Where(instance="9.9")]) == {"1.2.3.0"}
    assert cache.known(NODE, [Where("", "1.2.4", "", "1.2.3.0")]) == set()  # of another study than was said
    assert cache.known(NODE, [Where("P1"), Where("", "1.2.3")]) == {"1.2.3.0", "1.2.3.1", "1.2.3.2"}


def test_a_series_is_found_without_a_look_at_the_others_of_its_study(cache):  # P10: a study may have 100,000
    receive(cache)
    cache.close()
    study, series = "StudyInstanceUID = '1.2'", "SeriesInstanceUID = '1.3'"
    with closing(sqlite3.connect(cache._index.path)) as connection:
        begin = "EXPLAIN QUERY PLAN SELECT * FROM entry WHERE node = 'x' AND "
        plans = [str(connection.execute(begin + where).fetchall()) for where in (f"{series} AND {study}", study)]
    assert "(StudyInstanceUID=? AND SeriesInstanceUID=?)" in plans[0] and "(StudyInstanceUID=?)" in plans[1]


def test_entries_belong_to_the_node_they_came_from(cache):  # R14.6a
    receive(cache)
    assert cache.known("RESEARCH@localhost:104", [Where(study="1.2.3")]) == set()
    assert cache.known("RESEARCH@localhost:104", [Where(instance="1.2.3.1")]) == set()
    assert receive(cache, node="RESEARCH@localhost:104").outcome is Outcome.STORED


def test_no_text_of_a_peer_is_in_a_path_and_modes_are_private(cache):  # R14.5
    old = os.umask(0)
    try:
        receive(cache)
        receive(cache, data_set("9.8.7", study=".."), uid="9.8.7")
        receive(cache, data_set("9.8.6"), uid="9.8.6", accept=lambda elements: "PATIENTNAME")
    finally:
        os.umask(old)
    for path in cache.root.rglob("*"):
        relative = str(path.relative_to(cache.root))
        assert not any(text in relative for text in ("1.2.3", "9.8", "P1", "PATIENT", "ARCHIVE"))
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    assert cache.root.stat().st_mode & 0o777 == 0o700


def test_the_same_bytes_again_are_a_duplicate_and_counted_once(cache):  # R5.15
    first = receive(cache)
    second = receive(cache)
    assert second.outcome is Outcome.DUPLICATE and second.path == first.path
    assert len(finals(cache)) == 1 and not temporary(cache)


def test_other_bytes_under_the_same_uid_are_kept_aside_and_reported(cache):  # R5.15, R14.9
    first = receive(cache)
    other = data_set(pixels=b"\1" * (2 * SIDE * SIDE))
    second = receive(cache, other)
    assert second.outcome is Outcome.DIFFERS and "other bytes" in second.why
    assert second.path.parent == cache.root / "aside" and second.path.read_bytes().endswith(other)
    assert first.path.read_bytes().endswith(data_set())
    third = receive(cache, other, replace=True)
    assert third.outcome is Outcome.STORED and third.path.read_bytes().endswith(other)
    assert len(cache.instances(NODE, [Where(study="1.2.3")], digest=True)) == 1


def test_what_was_not_asked_for_is_set_aside(cache):  # R5.16
    receipt = receive(cache, accept=lambda elements: f"study {elements.text('StudyInstanceUID')} was not asked for")
    assert receipt.outcome is Outcome.FOREIGN and "not asked for" in receipt.why
    assert receipt.path.parent == cache.root / "aside" and not finals(cache)
    assert "not asked for" in receipt.path.with_name(receipt.path.stem + ".why.txt").read_text()
    assert cache.known(NODE, [Where(study="1.2.3")]) == set()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (data_set()[:-100], "pixel data"),
        (data_set(pixels=bytes(100)), "needs 512"),
        (data_set()[:64], ""),
        (b"", "no data set"),
        (data_set(uid=""), "no SOP Instance UID"),
        (data_set(uid="../escaped"), "no UID"),
        (data_set(uid=".."), "no UID"),
        (data_set(study=".."), "no UID"),
        (data_set() + b"\x04\x00\x10\x00garbage!", ""),
        (bytes(range(256)) * 4, ""),
    ],
    ids=["short", "few", "cut", "empty", "no-uid", "traversal", "dots", "study", "tail", "noise"],
)
def test_a_data_set_that_is_not_whole_goes_to_quarantine_with_a_note(cache, data, why):  # R14.10
    receipt = receive(cache, data)
    assert receipt.outcome is Outcome.BAD and why in receipt.why and receipt.why
    assert receipt.path.parent == cache.root / "quarantine" and receipt.path.read_bytes().endswith(data)
    assert receipt.path.with_name(receipt.path.stem + ".why.txt").exists()
    assert not finals(cache) and cache.known(NODE, [Where(study="1.2.3"), Where(instance="1.2.3.1")]) == set()


def test_every_cut_of_a_data_set_is_noticed(cache):  # B2
    data = data_set()
    elements_end = len(data) - 2 * SIDE * SIDE - 12  # without pixel data it is a data set of its own
    for end in range(0, len(data), 37):
        receipt = receive(cache, data[:end])
        assert receipt.outcome is Outcome.BAD or end == elements_end or receipt.why, end


def test_a_number_of_frames_that_is_none_does_not_make_an_instance_bad(cache):
    data = data_set()
    at = data.index(element(0x00280010, "US", SIDE))
    receipt = receive(cache, data[:at] + element(0x00280008, "IS", "1A") + data[at:])
    assert receipt.outcome is Outcome.STORED


def test_explicit_vr_where_implicit_was_agreed_is_bad(cache):
    assert receive(cache, syntax=IMPLICIT).outcome is Outcome.BAD


def test_encapsulated_pixel_data_must_be_closed_by_its_delimiter(cache):
    def items(*fragments, closed=True):
        text = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in fragments)
        return text + (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if closed else b"")

    start = data_set(pixels=b"")[:-4] + b"\xff\xff\xff\xff"
    assert receive(cache, start + items(b"", b"ab" * 9), syntax=JPEG).outcome is Outcome.STORED
    for uid, body in {
        "1.2.3.2": items(b"", b"ab" * 9, closed=False),
        "1.2.3.3": items(b"", b"ab" * 9)[:-12],
        "1.2.3.4": items(b"", b"ab") + b"\1\2\3\4",
        "1.2.3.5": b"\0" * 16,
    }.items():
        assert receive(cache, start + body, uid=uid, syntax=JPEG).outcome is Outcome.BAD, uid


def test_deflated_data_is_inflated_within_limits_and_kept_as_it_came(cache):  # R0.8
    def deflate(data):
        engine = zlib.compressobj(9, wbits=-15)
        return engine.compress(data) + engine.flush()

    kept = deflate(data_set())
    receipt = receive(cache, kept, syntax=DEFLATED)
    assert receipt.outcome is Outcome.STORED and receipt.path.read_bytes().endswith(kept)
    bomb = deflate(data_set("1.2.3.2", pixels=bytes(64 << 20)))
    assert "inflates to more" in receive(cache, bomb, uid="1.2.3.2", syntax=DEFLATED).why
    assert receive(cache, kept[:-20], uid="1.2.3.3", syntax=DEFLATED).outcome is Outcome.BAD


def test_what_is_taken_deflated_is_read_again_from_its_file(cache):  # R0.8: one limit for both
    engine, whole = zlib.compressobj(9, wbits=-15), data_set()
    long = whole[:-12 - 2 * SIDE * SIDE] + element(0x00420011, "OB", bytes(4 << 20)) + whole[-12 - 2 * SIDE * SIDE :]
    receipt = receive(cache, engine.compress(long) + engine.flush(), syntax=DEFLATED)
    assert receipt.outcome is Outcome.STORED
    assert parse_file(receipt.path)[1].text("PatientID") == "P1"
    assert read_row(receipt.path).PatientID == "P1"  # so that an index made anew has it


def test_big_endian_is_read_and_kept_as_it_came(cache):
    data = data_set(order=">")
    receipt = receive(cache, data, syntax=BIG)
    assert receipt.outcome is Outcome.STORED and receipt.elements.text("PatientID") == "P1"
    assert receive(cache, data_set("1.2.3.2", order=">")[:-10], uid="1.2.3.2", syntax=BIG).outcome is Outcome.BAD


def test_the_uid_of_the_data_set_decides_and_the_difference_is_flagged(cache):  # R5.16
    receipt = receive(cache, data_set("1.2.3.9"), uid="1.2.3.1")
    assert receipt.outcome is Outcome.STORED and receipt.SOPInstanceUID == "1.2.3.9"
    assert "1.2.3.1" in receipt.why and cache.known(NODE, [Where(study="1.2.3")]) == {"1.2.3.9"}


def test_a_uid_that_is_too_long_is_kept_under_its_digest_and_flagged(cache):
    uid = "1." + "2" * 68
    receipt = receive(cache, data_set(uid), uid=uid)
    assert receipt.outcome is Outcome.STORED and "70 characters" in receipt.why
    assert len(receipt.path.name) == 36 and cache.known(NODE, [Where(instance=uid)]) == {uid}


class Failing:
    """Lets the k-th call of the wrapped functions of `os` fail."""

    def __init__(self, monkeypatch, names, number, code):
        self.left, self.code = number, code
        for name in names:
            monkeypatch.setattr(os, name, self.wrap(getattr(os, name)))

    def wrap(self, function):
        def call(*arguments, **options):
            self.left -= 1
            if self.left == 0:
                raise OSError(self.code, os.strerror(self.code))
            return function(*arguments, **options)

        return call


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_at_any_call_loses_nothing_and_leaves_no_damaged_file(cache, code, monkeypatch):  # F1, R14.6
    receive(cache, data_set("1.2.3.99"), uid="1.2.3.99")
    for number in range(1, 40):
        uid = f"1.2.3.{number}"
        with monkeypatch.context() as patch:
            failing = Failing(patch, ["open", "writev", "write", "link", "replace", "fstat", "close"], number, code)
            receipt = receive(cache, data_set(uid), uid=uid)
        if receipt.outcome is not Outcome.STORED:
            assert receipt.outcome is Outcome.FULL and receipt.error.errno == code and receipt.path is None
        assert not temporary(cache)
        for path in finals(cache):
            assert pydicom.dcmread(path).SOPInstanceUID
        if failing.left > 0:
            break
    else:
        pytest.fail("the sweep did not end")
    assert {"1.2.3.99", uid} <= cache.known(NODE, [Where(study="1.2.3")])
    assert receive(cache, data_set("1.2.3.1"), uid="1.2.3.1").outcome in (Outcome.STORED, Outcome.DUPLICATE)


def test_a_write_that_comes_back_short_is_continued(cache, monkeypatch):
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda handle, parts: real(handle, [bytes(parts[0])[:50]]))
    receipt = receive(cache)
    assert receipt.outcome is Outcome.STORED and receipt.path.read_bytes().endswith(data_set())


def test_file_systems_without_hard_links_are_served(cache, monkeypatch):
    def no_link(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_link)
    assert receive(cache).outcome is Outcome.STORED
    assert receive(cache).outcome is Outcome.DUPLICATE
    assert not temporary(cache)


@pytest.mark.parametrize("edit", ["cut", "flip", "delete", "folder", "symlink", "longer"])
def test_a_file_edited_between_runs_is_noticed_and_received_again(cache, edit):  # F3
    path = receive(cache).path
    content = path.read_bytes()
    if edit == "cut":
        path.write_bytes(content[:-10])
    elif edit == "flip":
        path.write_bytes(content[:-10] + b"\xff" + content[-9:])
    elif edit == "longer":
        path.write_bytes(content + b"\0\0")
    else:
        path.unlink()
        if edit == "folder":
            path.mkdir()
        elif edit == "symlink":
            path.symlink_to("/etc/passwd")
    assert again(cache).known(NODE, [Where(study="1.2.3")]) == set()
    receipt = receive(cache)
    assert receipt.outcome is Outcome.STORED and receipt.path.read_bytes() == content
    assert cache.known(NODE, [Where(study="1.2.3")]) == {"1.2.3.1"}


def test_a_damaged_copy_that_was_not_looked_at_is_replaced_when_it_comes_again(cache):
    path = receive(cache).path
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.known(NODE, [Where(study="1.2.3")]) == {"1.2.3.1"}  # size and time are those it was written with
    receipt = receive(cache)
    assert receipt.outcome is Outcome.STORED and "quarantine" in receipt.why
    assert cache.verify() == []


def test_verify_reads_every_file(cache):
    path = receive(cache).path
    receive(cache, uid="1.2.3.2")
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.verify() == ["1.2.3.1"]
    assert cache.known(NODE, [Where(study="1.2.3")]) == {"1.2.3.2"}


@pytest.mark.parametrize("harm", ["delete", "truncate", "noise", "newer", "empty", "cut", "table"])
def test_a_missing_or_damaged_index_is_made_anew_from_the_files(cache, harm):  # F4, R14.5
    for number in range(20):
        receive(cache, uid=f"1.2.3.{number}")
    cache.close()
    path = cache._index.path
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(path.read_bytes()[:5000])
    elif harm == "noise":
        path.write_bytes(b"noise" * 1000)
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "cut":
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version=99" if harm == "newer" else "DROP TABLE entry")
        connection.commit()
        connection.close()
    other = again(cache)
    assert len(other.known(NODE, [Where("P1")])) == 20
    assert receive(other, uid="1.2.3.77").outcome is Outcome.STORED
    other.close()


def test_an_index_deleted_while_it_is_open_is_made_anew(cache):
    receive(cache)
    cache._index.path.unlink()
    assert cache.known(NODE, [Where(study="1.2.3")]) == {"1.2.3.1"}


def test_an_index_that_is_let_go_of_closes_its_file(tmp_path):  # from Python 3.13 on it is a warning if it does not
    cache = Cache(tmp_path / "let go")
    receive(cache)
    opened = cache._index._connection
    del cache
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened.execute("SELECT 1")


def test_a_file_the_index_does_not_know_is_found_by_its_uid(
    cache,
):  # another host, or a kill before the index
    receive(cache)
    receive(cache, uid="1.2.3.2").path.write_bytes(b"damaged")
    other = Cache(cache.root, index=cache._index.path.with_name("other.sqlite"))
    other.known(NODE, [Where("nobody")])
    other._index.drop([row.name for row in other._index.select()])
    assert other.known(NODE, [Where(instance="1.2.3.1"), Where(instance="1.2.3.2")]) == {"1.2.3.1"}
    assert other.known(NODE, [Where(study="1.2.3")]) == {"1.2.3.1"}
    other.close()


def test_leftovers_of_dead_processes_are_swept_and_those_of_living_ones_stay(cache):  # R14.6
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[3]); from dicomlab.cache.cache import Cache\n"
        "cache = Cache(sys.argv[1], index=sys.argv[2]); cache.open()\n"
        "draft = cache._folder.draft(4); draft.write(memoryview(b'data')); os._exit(9)"
    )
    root = str(ROOT)
    subprocess.run([sys.executable, "-c", code, str(cache.root), str(cache._index.path), root], check=False)
    assert len(temporary(cache)) == 1
    cache.open()
    assert temporary(cache) == []
    draft = cache._folder.draft(4)
    again(cache).open()
    assert len(temporary(cache)) == 1
    draft.discard()


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_asked_for(tmp_path):  # F2
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CacheError, match="cannot be written") as caught:
        Cache(tmp_path / "file" / "cache", index=tmp_path / "index.sqlite").open()
    assert "DICOMLAB_CACHE" in str(caught.value)
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o777)
    wide.chmod(0o777)
    Cache(wide, index=tmp_path / "index.sqlite").open()
    assert wide.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to give a folder away")
def test_a_cache_of_another_user_is_refused(tmp_path):  # S7
    root = tmp_path / "cache"
    root.mkdir()
    os.chown(root, 12345, -1)
    with pytest.raises(CacheError, match="another user"):
        Cache(root, index=tmp_path / "index.sqlite").open()


def test_making_a_cache_object_touches_nothing(tmp_path):
    Cache(tmp_path / "cache", index=tmp_path / "index" / "index.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DICOMLAB_CACHE", str(tmp_path / "elsewhere"))
    assert Cache(index=tmp_path / "index.sqlite").root == tmp_path / "elsewhere"
    monkeypatch.setenv("DICOMLAB_INDEX", str(tmp_path / "indexes"))
    one, other = Cache(tmp_path / "one"), Cache(tmp_path / "other")
    assert one._index.path.parent == tmp_path / "indexes" and one._index.path != other._index.path


def test_threads_receive_at_once(cache):
    def work(thread):
        for number in range(25):
            receipts.append(receive(cache, uid=f"1.2.3.{thread}.{number}").outcome)
            receipts.append(receive(cache, uid=f"1.2.3.{number}").outcome)

    receipts: list[Outcome] = []
    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert receipts.count(Outcome.STORED) == 125 and receipts.count(Outcome.DUPLICATE) == 75
    assert len(cache.known(NODE, [Where(study="1.2.3")])) == 125


def work_elsewhere(root, index, first, queue):
    with Cache(root, index=index) as cache:
        outcomes = [receive(cache, uid=f"1.2.3.{number}").outcome for number in range(first, first + 40)]
        queue.put([outcome.value for outcome in outcomes])


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_two_processes_share_one_cache(cache, start):  # F6, F12
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    receive(cache, uid="1.2.3.0")
    context = multiprocessing.get_context(start)
    queue = context.Queue()
    places = str(cache.root), str(cache._index.path)
    processes = [context.Process(target=work_elsewhere, args=(*places, first, queue)) for first in (0, 20)]
    for process in processes:
        process.start()
    outcomes = [outcome for _ in processes for outcome in queue.get(timeout=60)]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert outcomes.count("stored") == 59 and outcomes.count("duplicate") == 21
    assert len(cache.known(NODE, [Where(study="1.2.3")])) == 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_its_own_index(cache):  # F12
    receive(cache)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=lambda: queue.put((receive(cache, uid="1.2.3.2").outcome.value, len(finals(cache)))))
    child.start()
    assert queue.get(timeout=30) == ("stored", 2)
    child.join(30)
    assert cache.known(NODE, [Where(study="1.2.3")]) == {"1.2.3.1", "1.2.3.2"}


def test_what_is_removed_is_gone(cache):
    receive(cache)
    receive(cache, data_set("1.9.1", study="1.9"), uid="1.9.1")
    assert list(cache.remove("1.2.3", node=NODE).status) == ["removed"]
    assert cache.known(NODE, [Where("P1")]) == {"1.9.1"} and len(finals(cache)) == 1


def test_a_head_of_another_program_has_no_provenance():
    written = filemeta.head(CT, "1.2.3", IMPLICIT, filemeta.Provenance(NODE, "00", 8))
    assert filemeta.read_head(written).provenance == filemeta.Provenance(NODE, "00", 8)
    assert filemeta.read_head(written.replace(b"2.25.", b"2.26.")).provenance is None
    assert filemeta.read_head(written[:-1]) is None and filemeta.read_head(b"") is None


KILLED = """
import os, sys
sys.path[:0] = [sys.argv[3], os.path.join(sys.argv[3], "tests")]
from dicomlab.cache.cache import Cache
import received
with Cache(sys.argv[1], index=sys.argv[2]) as cache:
    for number in range(100000):
        uid = f"1.2.3.{number}"
        data = received.data_set(uid, pixels=bytes(20480))
        if received.receive(cache, data, uid=uid).outcome in ("stored", "duplicate"):
            print(uid, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "kill") or sys.platform == "win32", reason="no signals here")
@pytest.mark.parametrize("times", [8, pytest.param(200, marks=pytest.mark.soak)])
def test_a_kill_at_any_moment_leaves_whole_files_and_loses_no_answered_one(cache, times):  # F5, R14.6
    chance = random.Random(1)
    for _ in range(times):
        command = [sys.executable, "-c", KILLED, str(cache.root), str(cache._index.path), str(ROOT)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = [process.stdout.readline() for _ in range(3)]
        time.sleep(chance.random() / 20)
        process.kill()
        answered = {line.strip() for line in [*lines, *process.stdout] if line.endswith("\n")} - {""}
        process.stdout.close()
        process.wait(30)
        other = again(cache)
        other.open()
        assert temporary(other) == []
        assert answered and answered <= other.known(NODE, [Where(study="1.2.3")])
        assert other.verify() == []
        for path in finals(other):
            assert inspect(path) is not None
        other.close()
