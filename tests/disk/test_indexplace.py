"""Where the index of a cache lies, and that it does not outlive its cache."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import sys
import time
from pathlib import Path

import pytest

import dicomlab as dl
from dicomlab.cache.cache import Cache
from dicomlab.disk import indexplace
from dicomlab.errors import CacheError

NOWHERE = "/dev/null/home"  # also root can make nothing there


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own, with the caches and indexes where they lie for everybody."""
    for variable in ("DICOMLAB_CACHE", "DICOMLAB_INDEX", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    indexplace._sweep.cache_clear()
    return tmp_path / "home"


def used(root: Path | None) -> Cache:
    """A cache that something was received into."""
    with dl.demo_pacs() as pacs:
        cache = Cache(root)
        peer = dl.connect(pacs.node, cache=cache)
        peer.retrieve(peer.find("SERIES", PatientID="DEMO-003"))
        peer.close()
    return cache


def indexes(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.sqlite*"))


def test_the_demo_pacs_leaves_no_index_behind(home: Path) -> None:
    with dl.demo_pacs() as pacs:
        assert len(pacs.retrieve(pacs.find("SERIES", PatientID="DEMO-003"))) == 32
    assert not home.exists() or not indexes(home)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/null to be no home")
def test_with_a_home_that_cannot_be_written_a_named_folder_is_enough(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", NOWHERE)
    cache = used(tmp_path / "cache")
    assert len(indexes(tmp_path / "cache")) == 1 and cache.contents()["instances"].tolist() == [32]
    again = pickle.loads(pickle.dumps(Cache(tmp_path / "cache")))  # not opened yet
    assert again.contents()["instances"].tolist() == [32]
    assert stat.S_IMODE((tmp_path / "cache" / "index").stat().st_mode) == 0o700
    with pytest.raises(CacheError, match="DICOMLAB_CACHE"):
        used(None)
    with pytest.raises(CacheError, match=r"the index .* cannot be written .* DICOMLAB_CACHE"):
        Cache().contents()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/null to be no home")
def test_an_index_whose_place_was_named_lies_nowhere_else(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMLAB_INDEX", NOWHERE)
    with pytest.raises(CacheError, match="DICOMLAB_INDEX"):
        Cache(tmp_path / "cache").contents()
    assert not indexes(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="~/.cache is the folder of Linux")
def test_the_folder_of_the_user_is_for_him_alone(home: Path) -> None:  # R14.5
    old = os.umask(0)
    try:
        used(None)
    finally:
        os.umask(old)
    for path in (home / ".cache/dicomlab", *(home / ".cache/dicomlab").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.skipif(sys.platform != "linux", reason="~/.cache is the folder of Linux")
def test_the_index_of_a_cache_that_was_deleted_goes_and_others_stay(home: Path, tmp_path: Path) -> None:
    gone, stays = used(tmp_path / "gone"), used(tmp_path / "stays")
    folder = home / ".cache/dicomlab/index"
    assert len(indexes(folder)) == 2
    shutil.rmtree(gone.root)
    unknown, old = folder / f"{'0' * 16}-1.sqlite", folder / f"{'1' * 16}-1.sqlite"
    for path, age in ((unknown, 3600), (old, 100 * 86400), (gone._index.path, 3600), (stays._index.path, 3600)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    indexplace._sweep.cache_clear()  # as in the next session
    Cache(tmp_path / "another").contents()
    left = indexes(folder)
    assert {unknown.name, stays._index.path.name} < set(left) and not {old.name, gone._index.path.name} & set(left)
    assert not gone._index.path.with_suffix(".root").exists()
    assert stays.contents()["instances"].tolist() == [32]


def test_an_identifier_that_was_removed_is_in_no_index(home: Path, tmp_path: Path) -> None:
    cache = used(tmp_path / "cache")
    path = cache._index.path
    assert b"DEMO-003" in path.read_bytes()
    cache.remove(cache.contents())
    cache.close()
    left = [one for one in path.parent.iterdir() if one.name.startswith(path.stem)]
    assert left and not any(b"DEMO-003" in one.read_bytes() for one in left)
