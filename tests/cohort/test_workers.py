"""A Dask cluster whose workers all go away while its scheduler stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from features import slow
from support import until

import dicomlab as dl
from dicomlab.cohort import cluster
from dicomlab.errors import ConnectError

distributed = pytest.importorskip("distributed", reason="pip install 'dicomlab[dask]'")
ALONE = "no worker is there, waiting since"


@pytest.fixture
def local() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as made:
        yield made


def leaving(local: Any) -> Callable[[int, int | None], None]:
    """All workers go after the second series."""
    return lambda done, total: local.scale(0) if done == 2 else None


def test_a_cluster_that_stays_without_workers_ends_the_call_with_what_is_done(
    local: Any, peer: dl.Peer, series: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ALONE", 4.0)
    with distributed.Client(local) as client:
        began = time.monotonic()
        job = dl.apply(slow, series, peer=peer, client=client, background=True, progress=leaving(local))
        until(lambda: ALONE in str(job), 60)
        assert "of 12 series" in str(job.progress) and job.wait(60)
        said = r"no worker for .* s; \d+ done, \d+ not run of 12 series.*is kept"
        with pytest.raises(ConnectError, match=said) as told:
            job.result()
        assert time.monotonic() - began < 60
        rows = told.value.rows
        assert rows is not None and (rows.status == "done").sum() >= 2
        assert rows.result[rows.status == "done"].notna().all() and set(rows.status) == {"done", "not run"}
        local.scale(1)
        client.wait_for_workers(1, timeout=60)
        done = rows[rows.status == "done"]
        table = dl.apply(slow, rows, peer=peer, client=client)
    assert set(table.status) == {"done"}
    assert table.seconds[done.index].tolist() == done.seconds.tolist()  # kept, not done again


def test_workers_that_come_back_in_time_go_on(local: Any, peer: dl.Peer, series: pd.DataFrame) -> None:
    with distributed.Client(local) as client:
        job = dl.apply(slow, series, peer=peer, client=client, background=True, progress=leaving(local))
        until(lambda: ALONE in str(job), 60)
        local.scale(2)
        assert job.wait(90)
        assert set(job.result().status) == {"done"}
    assert ALONE not in str(job)


def test_a_call_that_waits_for_workers_can_be_stopped(local: Any, peer: dl.Peer, series: pd.DataFrame) -> None:
    with distributed.Client(local) as client:
        job = dl.apply(slow, series, peer=peer, client=client, background=True, progress=leaving(local))
        until(lambda: ALONE in str(job), 60)
        rows = job.stop()
    assert job.state == "stopped" and (rows.status == "done").sum() >= 2


def test_a_cluster_that_adapts_itself_is_given_something_to_do(local: Any, peer: dl.Peer, series: pd.DataFrame) -> None:
    local.scale(0)
    until(lambda: not local.scheduler.workers, 60)
    local.adapt(minimum=0, maximum=1, interval="200ms")
    with distributed.Client(local) as client:
        assert set(dl.apply(slow, series.head(2), peer=peer, client=client).status) == {"done"}
