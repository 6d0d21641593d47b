"""What happens to a cache between two calls is noticed, and fetched or made again (F3, F4)."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slow_scp import SlowServer, serving

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache import database
from dicomlab.cache import index as indexes
from dicomlab.cache.cache import Cache
from dicomlab.net.association.node import Node

STUDY = "1.2.9"
INSTANCES = 20


@pytest.fixture
def server() -> Iterator[SlowServer]:
    with serving(0, INSTANCES) as made:
        yield made


def connected(server: SlowServer, folder: Path) -> dl.Peer:
    node = Node("SLOW", "127.0.0.1", server.server_address[1])
    return dl.connect(node, cache=Cache(folder / "cache", index=folder / "index.sqlite"), timeout=30)


def cut(path: Path, other: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def longer(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0\0")


def flip(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path, other: Path) -> None:
    path.unlink()


def another(path: Path, other: Path) -> None:
    shutil.copy2(other, path)  # whole, of this cache, and of the same size


def folder(path: Path, other: Path) -> None:
    path.unlink()
    path.mkdir()


def link(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


EDITS = [cut, longer, flip, empty, delete, another, folder, link]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_an_edited_file_is_noticed_told_and_fetched_again(
    edit: Callable[[Path, Path], None], server: SlowServer, tmp_path: Path
) -> None:  # F3, R5.13
    with connected(server, tmp_path) as slow:
        first = slow.retrieve(STUDY, progress=False)
        path, other, uid = Path(first.path[7]), Path(first.path[8]), first.SOPInstanceUID[7]
        content = path.read_bytes()
        edit(path, other)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            again = slow.retrieve(STUDY, progress=False)
        assert again.attrs["fetched"] == 1 and list(again.SOPInstanceUID) == list(first.SOPInstanceUID)
        assert server.asked[-1] == 1 and server.models[-1][1] == "IMAGE"
        assert path.read_bytes() == content and slow.cache.verify() == []
        told = [str(item.message) for item in caught]
        assert not told if edit is delete else f"the file of {uid} in the cache had been damaged" in told[0]
        assert slow.retrieve(STUDY, progress=False).attrs["fetched"] == 0
        slow.cache.close()


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(30_000))


def behind(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def missing(path: Path) -> None:
    path.unlink()


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def version(number: int, *statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            for statement in (*statements, f"PRAGMA user_version={number}"):
                connection.execute(statement)
        connection.close()

    return change


HARMS: dict[str, Callable[[Path], None]] = {
    "random bytes": noise,
    "random bytes behind its first page": behind,
    "zero length": nothing,
    "missing": missing,
    "a directory": directory,
    "older": version(indexes.VERSION - 1, "DROP TABLE answer", "DROP INDEX series"),
    "newer": version(indexes.VERSION + 1, "ALTER TABLE entry ADD COLUMN more TEXT"),
    "without a version": version(0),
    "without its table": version(indexes.VERSION, "DROP TABLE entry"),
    "without a column": version(indexes.VERSION, "ALTER TABLE entry DROP COLUMN received"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_an_index_that_is_damaged_or_of_another_version_is_made_anew(
    harm: str, server: SlowServer, tmp_path: Path
) -> None:  # F4
    with connected(server, tmp_path) as slow:
        first = slow.retrieve(STUDY, progress=False)
        slow.cache.close()
    for rest in ("-wal", "-shm"):
        assert not (tmp_path / f"index.sqlite{rest}").exists()
    HARMS[harm](tmp_path / "index.sqlite")
    with connected(server, tmp_path) as slow:
        again = slow.retrieve(STUDY, progress=False)
        assert again.attrs["fetched"] == 0 and list(again.SOPInstanceUID) == list(first.SOPInstanceUID)
        assert slow.cache.verify() == [] and len(slow.cache.entries()) == INSTANCES
        slow.cache.close()
    assert server.asked == [INSTANCES]


def test_whatever_byte_of_the_index_is_changed_the_whole_series_is_given(server: SlowServer, tmp_path: Path) -> None:
    with connected(server, tmp_path) as slow:  # F4
        first = slow.retrieve(STUDY, progress=False)
        slow.cache.close()
    whole, chance = (tmp_path / "index.sqlite").read_bytes(), random.Random(4)
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(8):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / "index.sqlite").write_bytes(content)
        with connected(server, tmp_path) as slow, warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.ResultWarning)
            again = slow.retrieve(STUDY, progress=False)
            assert list(again.SOPInstanceUID) == list(first.SOPInstanceUID) and again.attrs["complete"]
            assert len([*slow.cache.root.glob("?/*")]) == INSTANCES
            assert not [*slow.cache.root.glob("quarantine/*.dcm")]
            slow.cache.close()


def test_a_folder_with_files_where_the_index_should_be_is_told_and_left_alone(
    server: SlowServer, tmp_path: Path
) -> None:  # F4
    (tmp_path / "index.sqlite").mkdir()
    (tmp_path / "index.sqlite" / "mine.txt").write_text("mine")
    with connected(server, tmp_path) as slow, pytest.raises(errors.CacheError, match="another place as index="):
        slow.retrieve(STUDY, progress=False)
    assert (tmp_path / "index.sqlite" / "mine.txt").read_text() == "mine" and not server.asked


@pytest.mark.parametrize("released", [True, False])
def test_an_index_that_another_process_holds_is_waited_for_a_limited_time(
    released: bool, server: SlowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # F6
    monkeypatch.setattr(database, "BUSY", 30.0 if released else 0.1)
    with connected(server, tmp_path) as slow:
        slow.cache.known("", [])
        slow.cache.entries()
        holder: Any = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN EXCLUSIVE")
        if released:
            threading.Timer(0.7, lambda: holder.execute("ROLLBACK")).start()
            assert len(slow.retrieve(STUDY, progress=False)) == INSTANCES
        else:
            with pytest.raises(errors.DicomlabError, match="database is locked") as caught:
                slow.retrieve(STUDY, progress=False)
            assert "Another program holds it" in str(caught.value)
            holder.execute("ROLLBACK")
            got = slow.retrieve(STUDY, progress=False)  # nothing of what came was lost
            assert len(got) == INSTANCES and got.attrs["complete"]
        holder.close()
        slow.cache.close()
