"""The cache as a tool: contents, limits, pins, removal, verification, export (SPEC 14: R14.6a, R14.8)."""

from __future__ import annotations

import datetime as dt
import doctest
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from received import NODE, data_set, receive
from support import ROOT

import dicomlab as dl
from dicomlab import amounts
from dicomlab.amounts import bytes_of, days_of
from dicomlab.cache import copying, upkeep
from dicomlab.cache.cache import Cache
from dicomlab.cache.index import Row
from dicomlab.demo import DemoServer, Holdings
from dicomlab.errors import CacheError, InvalidRequest, ResultWarning

OTHER = "RESEARCH@localhost:104"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "cache", index=tmp_path / "index.sqlite") as made:
        yield made


def fill(cache: Cache, series: int = 3, instances: int = 2, node: str = NODE) -> None:
    """Studies 1.1, 1.2, ... of one series each."""
    for number in range(1, series + 1):
        for instance in range(1, instances + 1):
            uid = f"1.{number}.0.{instance}"
            receive(cache, data_set(uid, f"1.{number}", f"1.{number}.0", f"P{number}"), uid, node=node)


def use(cache: Cache, *days: float) -> None:
    """Let series 1.1.0, 1.2.0, ... have been used so many days ago, and received long ago."""
    now = dt.datetime.now(dt.UTC).timestamp()
    with cache._index.using() as run:
        run("UPDATE entry SET received = ?", [now - 1000 * 86400])
    for number, ago in enumerate(days, 1):
        cache._index.note_used([(NODE, f"1.{number}.0")], now - ago * 86400)


def studies(cache: Cache) -> list[str]:
    return sorted(cache.contents("STUDY").StudyInstanceUID)


def test_the_contents_are_a_table_at_each_level(cache: Cache) -> None:  # R14.8
    fill(cache)
    fill(cache, series=1, node=OTHER)
    series = cache.contents()
    assert len(series) == 4 and set(series.node) == {NODE, OTHER} and set(series.instances) == {2}
    images = cache.contents("IMAGE", node=NODE)
    assert len(images) == 6 and all(Path(path).is_file() for path in images.path)
    assert images["size"].sum() == sum(os.stat(path).st_size for path in images.path)
    assert cache.size == series["size"].sum() == cache.contents("PATIENT")["size"].sum()
    assert (series.received <= pd.Timestamp.now("UTC")).all() and len(cache.contents("STUDY")) == 4


def test_an_empty_cache_has_an_empty_table(cache: Cache) -> None:
    assert len(cache.contents()) == 0 and cache.size == 0 and "node" in cache.contents("IMAGE")
    with pytest.raises(InvalidRequest, match="nothing is selected"):
        cache.remove()
    with pytest.raises(InvalidRequest, match="selected"):
        cache.remove(cache.contents())


@pytest.mark.filterwarnings("ignore:.*made before")  # by the tests before
def test_a_table_with_names_hidden_names_no_patient_and_removes_what_it_means(cache: Cache) -> None:  # R0.6
    fill(cache)
    with dl.options.set(phi=False):
        table = cache.contents("PATIENT")
        assert all(name.startswith("hidden-") for name in table.PatientID)
        assert len(cache.remove(table.head(1))) == 2
    assert len(studies(cache)) == 2


def test_what_is_removed_is_the_rows_the_study_or_all_of_a_node_and_of_no_other(cache: Cache) -> None:  # R14.6a, R14.8
    fill(cache)
    fill(cache, node=OTHER)
    dry = cache.remove("1.1", dry_run=True)
    assert set(dry.status) == {"would be removed"} and len(dry) == 4 and len(cache.contents("IMAGE")) == 12
    table = cache.contents()
    gone = cache.remove(table[(table.node == NODE) & (table.StudyInstanceUID == "1.1")])
    assert set(gone.status) == {"removed"} and set(gone.node) == {NODE} and len(gone) == 2
    assert not any(Path(path).exists() for path in gone.path)
    assert len(cache.remove("1.2")) == 4  # of both nodes
    assert len(cache.remove(node=OTHER)) == 4 and studies(cache) == ["1.3"]


def test_all_of_a_patient_can_be_removed(cache: Cache) -> None:  # R14.8
    fill(cache)
    receive(cache, data_set("1.9.0.1", "1.9", "1.9.0", "P1"), "1.9.0.1")  # another study
    patients = cache.contents("PATIENT")
    gone = cache.remove(patients[patients.PatientID == "P1"])
    assert set(gone.StudyInstanceUID) == {"1.1", "1.9"} and set(gone.status) == {"removed"}
    assert studies(cache) == ["1.2", "1.3"]


def test_when_a_series_was_used_goes_with_its_last_instance(cache: Cache) -> None:  # R14.8
    """Else a cohort of which each series goes again would leave a row of the index each, and each would be read."""
    fill(cache)
    use(cache, 3, 2, 1)
    series = [(NODE, f"1.{number}.0") for number in (1, 2, 3)]
    assert set(cache._index.used(series[:2])) == set(series[:2])
    instance = {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.0", "SOPInstanceUID": "1.1.0.1"}
    assert cache.drop(instance, node=NODE) == 1 and cache.drop("1.2", node=NODE) == 2
    assert set(cache._index.used(series)) == {series[0], series[2]}
    with cache._index.using() as run:
        assert run("SELECT count(*) FROM used") == [(2,)]
    cache.pin("1.3", node=NODE)
    assert cache.drop("1.3", node=NODE) == 0 and studies(cache) == ["1.1", "1.3"]


def test_what_was_set_aside_of_what_is_removed_goes_with_it(cache: Cache) -> None:  # R14.8
    fill(cache, series=2, instances=1)
    for patient, study in (("P1", "1.1"), ("P2", "1.2")):
        receive(cache, data_set(f"{study}.0.1", study, f"{study}.0", patient, pixels=b"\1" * 512), f"{study}.0.1")
    assert len(cache.set_aside()) == 2
    rows = cache.contents("STUDY", node=NODE)
    first = rows[rows.StudyInstanceUID == "1.1"]
    assert cache.remove(first, dry_run=True).attrs["set_aside"] == 1 and len(cache.set_aside()) == 2
    cache.pin(first)
    assert cache.remove(first).attrs["set_aside"] == 0 and len(cache.set_aside()) == 2
    cache.unpin(first)
    assert cache.drop(first) == 1  # as `remove` does
    assert cache.set_aside().StudyInstanceUID.tolist() == ["1.2"]
    del rows, first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)  # of tables that may not be collected yet
        dl.options.phi = False
    try:
        patients = cache.contents("PATIENT", node=NODE)
        assert cache.remove(patients).attrs["set_aside"] == 1
    finally:
        dl.options.phi = True
    assert cache.set_aside().empty and not list((cache.root / "aside").iterdir())


def test_two_contents_of_one_uid_are_both_kept_listed_and_can_be_discarded(cache: Cache) -> None:  # R14.9, R14.10
    assert cache.set_aside().empty and cache.discard() == 0
    fill(cache, series=1, instances=1)
    other = data_set("1.1.0.1", "1.1", "1.1.0", "P1", pixels=b"\1" * 512)
    receive(cache, other, "1.1.0.1")
    receive(cache, data_set("1.1.0.2", "1.1", "1.1.0", "P1")[:-9], "1.1.0.2")
    found = cache.set_aside().set_index("kind")
    assert sorted(found.index) == ["aside", "quarantine"] and len(cache.contents("IMAGE")) == 1
    assert found.why["aside"] == "other bytes are here under the same SOP Instance UID"
    assert found.SOPInstanceUID["aside"] == "1.1.0.1" and found.node["aside"] == NODE
    assert Path(found.path["aside"]).read_bytes().endswith(other) and "pixel data" in found.why["quarantine"]
    with pytest.raises(InvalidRequest, match="was not set aside here"):
        cache.discard(cache.contents("IMAGE"))
    table = cache.set_aside()
    assert cache.discard(table[table.kind == "aside"]) == 1
    assert cache.set_aside().kind.tolist() == ["quarantine"]
    assert cache.discard() == 1 and not list((cache.root / "aside").iterdir())
    assert len(cache.contents("IMAGE")) == 1 and cache.verify() == []


def test_what_was_not_used_for_longest_goes_first(cache: Cache) -> None:  # R14.8
    fill(cache, series=4)
    use(cache, 5, 40, 3, 20)
    each = cache.size // 4
    dry = cache.trim(max_size=2 * each, dry_run=True)
    assert list(dict.fromkeys(dry.StudyInstanceUID)) == ["1.2", "1.4"] and len(studies(cache)) == 4
    assert set(cache.trim(max_size=2 * each).status) == {"removed"}
    assert studies(cache) == ["1.1", "1.3"] and cache.size == 2 * each
    assert len(cache.trim(max_age=dt.timedelta(days=4))) == 2 and studies(cache) == ["1.3"]
    assert len(cache.trim(max_age=4)) == 0


def test_a_look_at_the_limits_reads_no_instance_and_a_trim_those_that_go(tmp_path: Path) -> None:  # R14.8, L1
    read: list[int] = []
    for instances in (2, 20):
        folder = tmp_path / str(instances)
        with Cache(folder / "cache", index=folder / "index.sqlite", max_size="1 GB") as cache:
            fill(cache, series=4, instances=instances)
            use(cache, 5, 40, 3, 20)
            rows: list[object] = []
            cache._index._open().row_factory = lambda cursor, row, rows=rows: rows.append(row) or row
            with cache.in_use():
                pass
            assert len(rows) == 1  # the sum
            assert not len(cache.trim(max_age=50)) and len(rows) == 1 + 1 + 4 + 4  # each series, and when it was used
            del rows[:]
            gone = cache.trim(max_size=cache.size // 2)
            assert studies(cache) == ["1.1", "1.3"] and len(gone) == 2 * instances
            assert list(dict.fromkeys(gone.StudyInstanceUID)) == ["1.2", "1.4"]  # that of longest ago first
            read.append(sum(len(row) == len(Row._fields) for row in rows) - 2 * instances)
    assert read == [2 * 2, 2 * 20]  # those that stay were read by `studies`


def test_series_that_were_used_at_the_same_time_go_in_the_order_of_their_files(cache: Cache) -> None:  # R14.8
    fill(cache, series=6)
    use(cache, *[7] * 6)
    with cache._index.using() as run:
        run("UPDATE used SET at = 1000")
        run("UPDATE entry SET received = 1")
    names = {row.name: row.StudyInstanceUID for row in cache._index.select()}
    expected = list(dict.fromkeys(names[name] for name in sorted(names)))
    assert set(cache.trim(max_size=cache.size // 2, dry_run=True).StudyInstanceUID) == set(expected[:3])


def test_what_is_asked_for_counts_as_used(cache: Cache) -> None:  # R14.8
    fill(cache, series=2)
    use(cache, 30, 20)
    cache.instances(NODE, [_address("1.1")])
    assert cache.contents().StudyInstanceUID.tolist() == ["1.2", "1.1"]
    cache.trim(max_size=cache.size // 2)
    assert studies(cache) == ["1.1"]


def _address(study: str) -> object:
    from dicomlab.tables.tables import Address

    return Address(StudyInstanceUID=study)


def test_a_pinned_series_stays_whoever_removes_it_also_with_a_new_index(cache: Cache) -> None:  # R14.5, R14.8
    fill(cache)
    assert cache.pin("1.1") == 1
    cache.close()
    cache._index.path.unlink()
    with pytest.warns(ResultWarning, match="over its limit"):
        cache.trim(max_size=0)
    assert studies(cache) == ["1.1"] and cache.contents().pinned.all()
    assert set(cache.remove("1.1").status) == {"pinned"}
    cache.unpin("1.1")
    assert set(cache.remove("1.1").status) == {"removed"}


def test_nothing_is_removed_that_a_running_call_needs_here_or_in_another_process(cache: Cache) -> None:  # R14.8
    fill(cache)
    use(cache, 10, 10, 10)
    program = (
        "import sys; from dicomlab.cache.cache import Cache; from dicomlab.tables.tables import Address\n"
        "cache = Cache(sys.argv[1], index=sys.argv[2])\n"
        "with cache.in_use():\n"
        f"    cache.instances({NODE!r}, [Address(StudyInstanceUID='1.1')])\n"
        "    print('here', flush=True); sys.stdin.readline()\n"
    )
    arguments = [sys.executable, "-c", program, str(cache.root), str(cache._index.path)]
    other = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert other.stdout is not None and other.stdout.readline() == "here\n"
        with cache.in_use():
            cache.instances(NODE, [_address("1.2")])  # type: ignore[list-item]
            with pytest.warns(ResultWarning, match="over its limit"):
                gone = cache.trim(max_size=0)
            assert set(gone.StudyInstanceUID) == {"1.3"}
            assert set(cache.remove("1.1").status) == set(cache.remove("1.2").status) == {"in use"}
    finally:
        other.kill()
        other.communicate()
    assert len(cache.trim(max_size=0)) == 4 and cache.size == 0  # its lease is that of a dead process


def test_a_cache_with_limits_keeps_them_after_each_retrieval_and_never_loses_that_one(tmp_path: Path) -> None:  # R14.8
    place = {"index": tmp_path / "index.sqlite"}
    with DemoServer(Holdings.t31()) as server:
        cache = Cache(tmp_path / "cache", **place, max_size=1)
        with dl.connect(server.address, cache=cache, timeout=10) as peer:
            first, second = (peer.find("STUDY", PatientID="98890234").iloc[[row]] for row in (0, 1))
            with pytest.warns(ResultWarning, match="over its limit"):
                got = peer.retrieve(first)
            assert all(Path(path).is_file() for path in got.path)
            with pytest.warns(ResultWarning, match="over its limit"):
                again = peer.retrieve(second)
            assert all(Path(path).is_file() for path in again.path)
            assert not any(Path(path).exists() for path in got.path)


def test_damaged_files_are_told_and_no_result_any_more(cache: Cache) -> None:  # R14.8, R14.10
    fill(cache)
    path = Path(cache.contents("IMAGE").set_index("SOPInstanceUID").path["1.2.0.1"])
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    told: list[int] = []
    assert cache.verify("1.1") == []
    assert cache.verify(progress=lambda done, total: told.append(done)) == ["1.2.0.1"]
    assert told[-1] == 6 and "1.2.0.1" not in set(cache.contents("IMAGE").SOPInstanceUID)
    assert len(list((cache.root / "quarantine").glob("*.dcm"))) == 1


@pytest.mark.parametrize("link", [False, True])
def test_an_export_has_plain_names_and_the_same_bytes(cache: Cache, tmp_path: Path, link: bool) -> None:  # R13.10
    fill(cache)
    dry = cache.export(None, tmp_path / "out", node=NODE, dry_run=True)
    assert not (tmp_path / "out").exists() and len(dry) == 6
    table = cache.export(None, tmp_path / "out", node=NODE, link=link)
    assert list(table.path) == list(dry.path)
    names = sorted(Path(path).relative_to(tmp_path / "out").as_posix() for path in table.path)
    assert names[0] == "PAT00001/STU00001/SER00001/IMG00001" and len(set(names)) == 6
    here = cache.contents("IMAGE").set_index("SOPInstanceUID").path
    for path, uid in zip(table.path, table.SOPInstanceUID, strict=True):
        assert Path(path).read_bytes() == Path(here[uid]).read_bytes()
        assert os.path.samefile(path, here[uid]) is link
        assert pydicom.dcmread(path).SOPInstanceUID == uid
    assert list(dl.scan(tmp_path / "out").SOPInstanceUID) == list(table.SOPInstanceUID)


def test_an_export_overwrites_nothing_and_says_what_it_lacks(cache: Cache, tmp_path: Path, monkeypatch: object) -> None:
    fill(cache)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match="has something in it"):
        cache.export("1.1", tmp_path / "full")
    with pytest.raises(InvalidRequest, match="nothing of that is here"):
        cache.export("1.99", tmp_path / "out")
    with pytest.raises(InvalidRequest, match="no layout"):
        cache.export("1.1", tmp_path / "out", layout="zip")
    flat = cache.export("1.1", tmp_path / "out" / "deep", layout="flat")
    assert [Path(path).name for path in flat.path] == ["00000001.dcm", "00000002.dcm"]


def test_an_export_without_room_writes_nothing(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(cache)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(copying.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CacheError, match="10 free"):
        cache.export("1.1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sizes_and_ages_are_read_as_they_are_said() -> None:
    assert [bytes_of(text) for text in (7, "7", "7 B", "2k", "50 GB")] == [7, 7, 7, 2000, 50_000_000_000]
    assert days_of(dt.timedelta(hours=12)) == 0.5 and days_of(30) == 30
    for wrong in (-1, "many", True, 1.5, "5 parsecs"):
        with pytest.raises(InvalidRequest, match="no size"):
            bytes_of(wrong)  # type: ignore[arg-type]
    for age in (-1, float("nan"), "old"):
        with pytest.raises(InvalidRequest, match="no age"):
            days_of(age)  # type: ignore[arg-type]


def test_two_threads_may_trim_at_once(cache: Cache) -> None:  # R14.5
    fill(cache)
    threads = [threading.Thread(target=cache.trim, args=[0]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert cache.size == 0


def test_the_examples_of_the_docstrings_run() -> None:
    for module, least in ((upkeep, 5), (amounts, 1)):
        failed, attempted = doctest.testmod(module)
        assert attempted >= least and not failed
