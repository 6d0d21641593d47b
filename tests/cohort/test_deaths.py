"""A Dask cluster of which parts die: a worker that holds an association or waits for one, and the scheduler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cohort.clusters import ENVIRONMENT, talks, workers
from cohort.conftest import SERIES, Counted
from features import features, leases, slow
from support import stop, until

import dicomlab as dl
from dicomlab.cohort import cluster
from dicomlab.cohort.lease import LEASES, offered
from dicomlab.demo import Manners
from dicomlab.errors import ConnectError
from dicomlab.net.association.node import Node

dask = pytest.importorskip("dask", reason="pip install 'dicomlab[dask]'")
distributed = pytest.importorskip("distributed", reason="pip install 'dicomlab[dask]'")
LOCKS = "distributed.scheduler.locks"
LOCAL = {"n_workers": 0, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="who has a connection is read from /proc")


@pytest.fixture
def peer(archive: Counted, tmp_path: Path) -> Iterator[dl.Peer]:
    node = replace(Node.of(archive.server.address), associations=2)
    with dl.connect(node, cache=tmp_path / "cache") as made:
        yield made


@only_linux
def test_workers_that_are_killed_with_an_association_leave_their_places_to_the_others(
    archive: Counted, peer: dl.Peer, tmp_path: Path
) -> None:
    """Both places are those of dead workers then, and the third has one as soon as Dask misses them."""
    series = peer.find("SERIES", PatientName="COHORT*")
    archive.server.manners = Manners(pause=1.0)  # long enough to be found, also on a busy machine
    (tmp_path / "cache").mkdir(exist_ok=True)
    with (
        distributed.LocalCluster(**LOCAL) as local,
        workers(local.scheduler_address, tmp_path, 3, hidden=tmp_path / "cache", nanny=False) as children,
        distributed.Client(local) as client,
    ):
        client.wait_for_workers(3, timeout=60)

        def kill(done: int, total: int | None) -> None:
            if done != 2:
                return
            ports: set[int] = set()
            holders: list[subprocess.Popen[bytes]] = []

            def both() -> bool:
                nonlocal ports
                ports = archive.ports
                holders[:] = [child for child in children if any(talks(child.pid, port) for port in ports)]
                return len(holders) == 2

            until(both)
            archive.server.manners = Manners()  # of what the others will ask
            for child in holders:
                child.kill()
            for child in holders:
                child.wait(30)
            until(lambda: not archive.ports & ports)

        archive.most = 0
        began = time.monotonic()
        table = dl.apply(features, series, peer=peer, client=client, progress=kill)
        took = time.monotonic() - began
        left = sum(map(len, local.scheduler.plugins[LEASES].held.values()))
    assert set(table.status) == {"done"} and sorted(table.voxels) == [9 * (n + 1) for n in range(SERIES)]
    assert archive.most == 2 and left == 0
    assert took < 60


@only_linux
def test_a_worker_that_stands_still_keeps_its_place(archive: Counted, peer: dl.Peer, tmp_path: Path) -> None:
    """Its association stands as long as it does: another would be one more than the node allows."""
    series = peer.find("SERIES", PatientName="COHORT*")
    archive.server.manners = Manners(pause=0.2)
    (tmp_path / "cache").mkdir(exist_ok=True)
    stood: list[int] = []
    with (
        dask.config.set({f"{LOCKS}.lease-validation-interval": "500ms"}),
        distributed.LocalCluster(**LOCAL) as local,
        workers(
            local.scheduler_address,
            tmp_path,
            3,
            hidden=tmp_path / "cache",
            nanny=False,
            DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_TIMEOUT="1s",
        ) as children,
        distributed.Client(local) as client,
    ):
        client.wait_for_workers(3, timeout=60)

        def halt(done: int, total: int | None) -> None:
            if done == 2:
                sleeper = halted(archive, children)
                stood.append(done)
                threading.Timer(6.0, sleeper.send_signal, [signal.SIGCONT]).start()
            elif len(archive.ports) == 2:
                stood.append(done)

        archive.most = 0
        table = dl.apply(features, series, peer=peer, client=client, progress=halt)
        left = sum(map(len, local.scheduler.plugins[LEASES].held.values()))
    assert set(table.status) == {"done"} and len(stood) > 1
    assert archive.most == 2 and left == 0


@only_linux
def test_a_worker_that_is_given_up_ends_its_association_when_it_wakes(
    archive: Counted, peer: dl.Peer, tmp_path: Path
) -> None:
    """Dask gives up a worker that it has not heard of for its ``worker-ttl``: its place is another's then."""
    series = peer.find("SERIES", PatientName="COHORT*").head(1)
    archive.server.manners = Manners(pause=90.0)
    (tmp_path / "cache").mkdir(exist_ok=True)
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "3s"}),
        distributed.LocalCluster(**LOCAL) as local,
        workers(local.scheduler_address, tmp_path, 2, hidden=tmp_path / "cache", nanny=False) as children,
        distributed.Client(local) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        job = dl.apply(features, series, peer=peer, client=client, background=True)
        job.watched()
        sleeper = halted(archive, children)
        (port,) = (port for port in archive.ports if talks(sleeper.pid, port))
        archive.server.manners = Manners()  # of what the other one will ask
        until(lambda: len(local.scheduler.workers) == 1, 60)
        assert job.wait(60) and port in archive.ports
        assert set(job.result().status) == {"done"}
        sleeper.send_signal(signal.SIGCONT)
        until(lambda: port not in archive.ports, 45)  # and not after the pauses of the archive


def halted(archive: Counted, children: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """A worker that was halted with an association."""
    found: list[subprocess.Popen[bytes]] = []

    def halted() -> bool:
        for child in children:
            if any(talks(child.pid, port) for port in archive.ports):
                child.send_signal(signal.SIGSTOP)
                if any(talks(child.pid, port) for port in archive.ports):
                    found.append(child)
                    return True
                child.send_signal(signal.SIGCONT)
        return False

    until(halted)
    return found[0]


def test_a_worker_that_is_killed_as_it_waits_is_given_no_place(tmp_path: Path) -> None:
    """Else each of them would keep the others waiting for the length of a lease."""
    with (
        distributed.LocalCluster(**LOCAL) as local,
        workers(local.scheduler_address, tmp_path, 2, nanny=False) as children,
        distributed.Client(local) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        addresses = {process: address for address, process in client.run(os.getpid).items()}
        here, there = (addresses[child.pid] for child in children)
        offered(client)
        plugin = local.scheduler.plugins[LEASES]
        first = client.submit(leases, str(tmp_path), workers=[here], pure=False)
        until(lambda: (tmp_path / str(children[0].pid)).exists())
        client.submit(leases, str(tmp_path), workers=[there], pure=False)
        until(lambda: plugin.waiting["test"] == 1)
        children[1].kill()
        until(lambda: plugin.waiting["test"] == 0)
        (tmp_path / "go").touch()
        began = time.monotonic()
        assert first.result(timeout=60) == children[0].pid
        assert client.submit(leases, str(tmp_path), workers=[here], pure=False).result(timeout=60) == children[0].pid
        assert time.monotonic() - began < 25 and not plugin.held["test"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "closed"])
def test_a_scheduler_that_goes_away_ends_the_call_with_what_is_done(
    peer: dl.Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    monkeypatch.setattr(cluster, "BREAK", 2.0)
    series = peer.find("SERIES", PatientName="COHORT*")
    scheduler, address = scheduled(tmp_path)
    try:
        with (
            workers(address, tmp_path, 2, nanny=False),
            distributed.Client(address, timeout=10, set_as_default=False) as client,
        ):
            client.wait_for_workers(2, timeout=60)
            ended: list[float] = []

            def leave(done: int, total: int | None) -> None:
                if done == 2:
                    scheduler.send_signal(end)
                    ended.append(time.monotonic())

            with pytest.raises(ConnectError, match="the Dask cluster is gone") as caught:
                dl.apply(slow, series, peer=peer, client=client, progress=leave)
            took = time.monotonic() - ended[0]
    finally:
        stop(scheduler)
    rows = caught.value.rows
    assert rows is not None and set(rows.status) == {"done", "not run"}, rows[["status", "error"]].to_string()
    assert (rows.status == "done").sum() >= 2
    assert rows.result[rows.status == "done"].notna().all()
    assert took < 30
    assert set(dl.apply(slow, rows, peer=peer).status) == {"done"}


def scheduled(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A scheduler of its own process, and its address."""
    told = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(told)],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found: list[Any] = []

    def there() -> bool:
        try:
            found.append(json.loads(told.read_text())["address"])
        except (OSError, ValueError):  # it is being written
            return False
        return True

    try:
        until(there, 60)
    except BaseException:
        stop(process)
        raise
    return process, str(found[0])
