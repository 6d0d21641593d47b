"""Killed processes, processes that share a cache, and full disks: nothing is lost, nothing damaged (F1, F5, F6)."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slow_scp import SlowServer, serving
from support import free_port
from workers import Worker

import dicomlab as dl
from dicomlab import errors
from dicomlab.amounts import are
from dicomlab.cache.cache import Cache
from dicomlab.cache.cachefolder import inspect
from dicomlab.net.association.node import Node
from dicomlab.tables.tables import Address

STUDY = "1.2.9"
INSTANCES = 60
OUT_OF_RESOURCES = 0xA700

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill")


def cache_in(folder: Path) -> Cache:
    return Cache(folder / "cache", index=folder / "index.sqlite")


def node_of(server: SlowServer) -> Node:
    return Node("SLOW", "127.0.0.1", server.server_address[1], listen=server.move_port)


def answered(server: SlowServer) -> set[str]:
    """The instances answered with 0x0000, once the server has seen that its clients are gone."""
    end = time.monotonic() + 10
    while server.standing and time.monotonic() < end:
        time.sleep(0.005)
    return {uid for uid, status in server.answers if status == 0}


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(process, signal.SIGKILL)


def look(cache: Cache, identity: str) -> set[str]:
    """What is here, after a start that sweeps: whole files under final names and nothing else."""
    cache.open()
    assert not list(cache.root.rglob("incoming/*"))
    finals = [path for path in cache.root.glob("?/*") if path.is_file()]
    assert all(inspect(path) is not None for path in finals)
    here = cache.known(identity, [Address(StudyInstanceUID=STUDY)])
    assert cache.verify() == []
    return here


@forks
@pytest.mark.parametrize("times", [8, pytest.param(200, marks=pytest.mark.soak)])
def test_kill_at_any_moment_of_a_retrieve_loses_nothing_that_was_answered(times: int, tmp_path: Path) -> None:  # F5
    chance = random.Random(5)
    killed, among = 0, 0
    with serving(0.002, INSTANCES, move_port=free_port()) as server, Worker() as worker:
        node = node_of(server)
        for turn in range(times):
            folder = tmp_path / str(turn)
            method = ("get", "move")[turn % 2]
            server.answers.clear()
            process = worker.start(server.server_address[1], server.move_port, folder, method, 0, 0)
            end = time.monotonic() + 20  # from the connection to the table; every fourth time before anything came
            while turn % 4 and not server.answers and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(chance.random() * 0.3)
            kill(process)
            killed += worker.result() is None
            promised = answered(server)
            among += 0 < len(promised) < INSTANCES
            with dl.connect(node, cache=cache_in(folder), timeout=30) as slow:
                here = look(slow.cache, node.identity)
                assert promised <= here
                rest = slow.retrieve(STUDY, method=method, progress=False)
                assert len(rest) == INSTANCES and rest.attrs["fetched"] <= INSTANCES - len(promised)
                assert look(slow.cache, node.identity) == set(rest.SOPInstanceUID)
                slow.cache.close()
    print(f"{times} kills: {killed} before the retrieve had ended, {among} among its instances")
    assert among >= times // 8


@forks
@pytest.mark.parametrize("times", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_two_processes_that_retrieve_into_one_cache_share_the_work_and_lose_nothing(
    times: int, tmp_path: Path
) -> None:  # F6
    chance = random.Random(6)
    killed = both = 0
    with serving(0.001, INSTANCES, move_port=free_port()) as server, Worker() as one, Worker() as other:
        port, listen = server.server_address[1], server.move_port
        for turn in range(times):
            folder = tmp_path / str(turn)
            server.answers.clear()
            ranges = [((0, 0), (0, 0)), ((0, 40), (20, 60)), ((0, 0), (20, 60))][turn % 3]
            process = one.start(port, listen, folder, ("get", "move")[turn % 2], *ranges[0])
            other.start(port, listen, folder, "get", *ranges[1])
            if turn % 4 == 3:  # one of them dies: no lock of it stands in the way of the other
                time.sleep(chance.random() * 0.3)
                kill(process)
                killed += 1
            ended, whole = one.result(), other.result()
            lengths = [stop - first or INSTANCES for first, stop in ranges]
            assert whole is not None and whole["complete"] and whole["rows"] == lengths[1]
            if turn % 4 != 3:
                assert ended is not None and ended["complete"] and ended["rows"] == lengths[0]
                both += ended["fetched"] + whole["fetched"] > INSTANCES
            with cache_in(folder) as cache:
                here = look(cache, node_of(server).identity)
                assert answered(server) <= here
                assert ended is None or len(here) == INSTANCES
                assert len([*cache.root.glob("?/*")]) == len(here)
                assert not [*cache.root.glob("aside/*"), *cache.root.glob("quarantine/*")]
    print(f"{times} pairs: {killed} of them with a kill, in {both} both fetched the same instances")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a tmpfs, which only Linux has")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no tmpfs can be mounted here ({getattr(error, 'stderr', '') or error})".strip())
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("method", ["get", "move"])
@pytest.mark.parametrize("index", ["elsewhere", "on it"])
def test_a_full_disk_is_answered_and_told_and_the_next_call_goes_on(  # F1, SPEC 5
    method: str, index: str, disk: Path, tmp_path: Path
) -> None:
    place = (disk if index == "on it" else tmp_path) / "index.sqlite"
    with serving(0, INSTANCES, move_port=free_port()) as server:
        cache = Cache(disk / "cache", index=place)
        with dl.connect(node_of(server), cache=cache, timeout=30) as slow:
            with pytest.raises(errors.IncompleteRetrieve) as caught:
                slow.retrieve(STUDY, method=method, progress=False)
            error, text = caught.value, str(caught.value)
            here = set(error.instances.SOPInstanceUID)
            assert OUT_OF_RESOURCES in {status for _, status in server.answers}
            assert {uid for uid, status in server.answers if status == 0} <= here
            assert 0 < len(here) < INSTANCES and len(error.missing) == INSTANCES - len(here)
            lost = len(error.missing)
            assert f"{len(here)} of {INSTANCES} instances {are(len(here))} here, {lost} {are(lost)} missing" in text
            assert "No space left on device" in text or "disk is full" in text
            assert str(disk) in text and "call retrieve again" in text
            assert not list(cache.root.glob("incoming/*"))
            assert all(inspect(path) is not None for path in cache.root.glob("?/*"))
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            rest = slow.retrieve(STUDY, method=method, progress=False)
            assert len(rest) == INSTANCES and rest.attrs["complete"]
            assert rest.attrs["fetched"] == len(error.missing)
            assert slow.cache.verify() == []
        cache.close()
