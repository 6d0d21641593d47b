"""Real peers for the session. `qr` and `orthanc` hold T31, the 31 instances of pydicom's own test files:
2 patients, 6 studies, 13 series. Both send to AE DICOMLAB at `move_port` of this machine, and to AE STORE3.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import real_peers
from real_peers import RealPeer
from support import free_port


@pytest.fixture(scope="session")
def move_port() -> int:
    """The port the peers send to for AE DICOMLAB."""
    return free_port()


@pytest.fixture(scope="session")
def store3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPeer]:
    """storescp as AE STORE3; what it received lies in `folder / "received"`."""
    with real_peers.storescp(tmp_path_factory.mktemp("store3")) as peer:
        yield peer


@pytest.fixture(scope="session")
def qr(tmp_path_factory: pytest.TempPathFactory, move_port: int, store3: RealPeer) -> Iterator[RealPeer]:
    """dcmqrscp as AE ARCHIVE, with T31, and as AE READONLY, empty."""
    with real_peers.dcmqrscp(tmp_path_factory.mktemp("qr"), move_port, store3.port) as peer:
        real_peers.fill(peer, *real_peers.T31)
        yield peer


@pytest.fixture(scope="session")
def prn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPeer]:
    """dcmprscp as AE IHEFULL; what it printed lies in `folder / "database"`."""
    with real_peers.dcmprscp(tmp_path_factory.mktemp("prn")) as peer:
        yield peer


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory, move_port: int, store3: RealPeer) -> Iterator[RealPeer]:
    """Orthanc as AE ORTHANC, with T31; no worklists."""
    with real_peers.orthanc(tmp_path_factory.mktemp("orthanc"), move_port, store3.port) as peer:
        real_peers.fill(peer, *real_peers.T31)
        yield peer


@pytest.fixture(scope="session")
def writable(tmp_path_factory: pytest.TempPathFactory, store3: RealPeer) -> Iterator[dict[str, RealPeer]]:
    """dcmqrscp and Orthanc of their own for tests that store, so that T31 stays what it is; by fixture name."""
    back = free_port()
    with (
        real_peers.dcmqrscp(tmp_path_factory.mktemp("writable-qr"), back, store3.port) as qr,
        real_peers.orthanc(tmp_path_factory.mktemp("writable-orthanc"), back, store3.port) as orthanc,
    ):
        yield {"qr": qr, "orthanc": orthanc}
