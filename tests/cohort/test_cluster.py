"""The same on a Dask cluster: workers that see the cache and workers that do not, one that is killed, and never more
associations than the node allows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cohort.clusters import ENVIRONMENT, workers
from cohort.conftest import SERIES, Counted
from features import Deadly, features, named, process_of, slow

import dicomlab as dl
from dicomlab.cohort.cluster import shared
from dicomlab.demo import Manners
from dicomlab.errors import ConnectError, InvalidRequest, ResultWarning
from dicomlab.net.association.node import Node

dask = pytest.importorskip("dask", reason="pip install 'dicomlab[dask]'")
distributed = pytest.importorskip("distributed", reason="pip install 'dicomlab[dask]'")
#: After so long a LocalCluster ends the nanny of a worker that died, should that be just beginning again, for ever.
LOST = "distributed.deploy.lost-worker-timeout"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers, each a process of this machine, that see what this one sees."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        with (
            dask.config.set({LOST: "30 minutes"}),  # tests kill them again and again
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
            ) as cluster,
            distributed.Client(cluster) as made,
        ):
            yield made
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Any]:
    """Three workers to whom the folder of this process's cache is another one, as on other machines."""
    hidden = tmp_path / "cache"
    hidden.mkdir()
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster,
        workers(cluster.scheduler_address, tmp_path, 3, hidden=hidden),
        distributed.Client(cluster) as made,
    ):
        made.wait_for_workers(3, timeout=60)
        yield made


@pytest.fixture
def peer(archive: Counted, tmp_path: Path) -> Iterator[dl.Peer]:
    node = replace(Node.of(archive.server.address), associations=2)
    with dl.connect(node, cache=tmp_path / "cache") as made:
        yield made


def test_paths_travel_where_the_workers_see_the_cache(client: Any, peer: dl.Peer, archive: Counted) -> None:
    series = peer.find("SERIES", PatientName="COHORT*")
    peer.cache.open()
    assert shared(client, peer.cache.root)
    table = dl.apply(features, series, peer=peer, client=client)
    assert sorted(table.voxels) == [9 * (n + 1) for n in range(SERIES)] and set(table.status) == {"done"}
    pids = dl.apply(process_of, series, peer=peer, client=client).result
    assert os.getpid() not in set(pids) and pids.nunique() == 2
    assert {each.calling for each in archive.server.transcript} == {"DICOMLAB"} and archive.most <= 2


def test_functions_of_a_notebook_travel_too(client: Any, peer: dl.Peer) -> None:
    offset = 1
    series = peer.find("SERIES", PatientID="C000")
    assert dl.apply(lambda volume: volume.size + offset, series, peer=peer, client=client).result.tolist() == [10]


def test_a_worker_that_is_killed_loses_no_row(client: Any, peer: dl.Peer, tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    lives.mkdir()
    (lives / "one").touch()
    series = peer.find("SERIES", PatientName="COHORT*")
    table = dl.apply(Deadly(27, lives), series, peer=peer, client=client)
    assert not list(lives.iterdir()) and set(table.status) == {"done"}
    assert sorted(table.result) == [9 * (n + 1) for n in range(SERIES)]


def test_a_series_that_kills_every_worker_costs_its_row_alone(client: Any, peer: dl.Peer, tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    lives.mkdir()
    for life in range(20):
        (lives / str(life)).touch()
    series = peer.find("SERIES", PatientName="COHORT*").head(4)
    with pytest.warns(ResultWarning, match="3 done, 1 failed of 4 series"):
        table = dl.apply(Deadly(27, lives), series, peer=peer, client=client)
    (failed,) = table[table.status == "failed"].itertuples()
    assert failed.PatientID == "C002" and "the process that ran it ended" in failed.error


def test_a_client_that_is_closed_ends_the_call_with_what_is_done(client: Any, peer: dl.Peer) -> None:
    series = peer.find("SERIES", PatientName="COHORT*").sort_values("PatientID")
    client.wait_for_workers(2, timeout=60)  # the test before killed them
    other = distributed.Client(client.scheduler.address, set_as_default=False)

    def close(done: int, total: int | None) -> None:
        if done == 2:
            other.close()

    with other, pytest.raises(ConnectError, match="the Dask cluster is gone") as caught:
        dl.apply(slow, series, peer=peer, client=other, progress=close)
    rows = caught.value.rows
    assert rows is not None and set(rows.status) == {"done", "not run"}
    with pytest.raises(InvalidRequest, match="the client is closed"):
        dl.apply(slow, rows, peer=peer, client=other)
    assert set(dl.apply(slow, rows, peer=peer, client=client).status) == {"done"}


def test_a_cluster_that_is_begun_again_is_given_what_it_had(client: Any, peer: dl.Peer) -> None:
    series = peer.find("SERIES", PatientName="COHORT*").head(4)
    begun: list[int] = []

    def restart(done: int, total: int | None) -> None:
        begun.append(done)
        if done == 1:
            client.restart(wait_for_workers=False)  # a busy machine takes its time to begin both

    table = dl.apply(slow, series, peer=peer, client=client, progress=restart)
    assert set(table.status) == {"done"} and begun == [1, 2, 3, 4]


def leaves(volume: Any) -> Any:
    raise SystemExit(3)


def test_a_function_that_leaves_python_costs_its_rows_and_no_worker(client: Any, peer: dl.Peer) -> None:
    series = peer.find("SERIES", PatientName="COHORT*").head(2)
    client.wait_for_workers(1, timeout=90)
    before = client.run(os.getpid)
    with pytest.warns(ResultWarning, match="2 failed of 2 series; the first: function: SystemExit: 3"):
        dl.apply(leaves, series, peer=peer, client=client)
    assert before.items() <= client.run(os.getpid).items()


def test_names_that_are_hidden_here_are_hidden_on_the_workers(apart: Any, peer: dl.Peer) -> None:
    """Rows with pseudonyms are found, and workers make the same pseudonyms of the same names."""
    with dl.options.set(phi=False):
        rows = peer.find("SERIES", PatientName="COHORT*").sort_values("SeriesInstanceUID").head(3)
        here = dl.apply(named, rows, peer=peer)
        peer.cache.remove(rows)
        with pytest.warns(ResultWarning, match="2 done, 1 failed of 3 series"):
            there = dl.apply(named, rows, peer=peer, client=apart)
    done = there[there.status == "done"]
    assert list(done.who) == list(here.who[done.index]) and done.who.str.startswith("hidden-").all()
    assert set(there.error[there.status == "failed"]) == {"function: ValueError"}


def test_workers_without_the_files_retrieve_under_the_limit_of_the_node(
    apart: Any, peer: dl.Peer, archive: Counted, tmp_path: Path
) -> None:
    assert not shared(apart, peer.cache.root)
    series = peer.find("SERIES", PatientName="COHORT*")
    archive.server.manners = Manners(pause=0.05)
    archive.most = 0
    table = dl.apply(slow, series, peer=peer, client=apart)
    assert set(table.status) == {"done"} and len(table) == SERIES
    assert archive.most == 2  # of three workers: what the node allows
    assert len(peer.cache.contents()) == 0  # nothing came here
    assert not list(tmp_path.glob("worker*/**/*.dcm"))  # nor stays there


def test_files_that_the_workers_do_not_see_are_refused(apart: Any, peer: dl.Peer) -> None:
    instances = peer.retrieve(peer.find("SERIES", PatientID="C000"))
    with pytest.raises(InvalidRequest, match="not all workers of this cluster see the files"):
        dl.apply(features, instances, client=apart)


def test_a_cluster_without_workers_is_refused(peer: dl.Peer) -> None:
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(InvalidRequest, match="has no workers"),
    ):
        dl.apply(features, peer.find("SERIES", PatientID="C000"), peer=peer, client=client)
