"""Embedded archives that hold T31, one per manner; none of these tests changes what they hold."""

from __future__ import annotations

import pytest

from dicomlab.demo import DemoServer, Holdings, Manners


@pytest.fixture(scope="package")
def plain():
    with DemoServer(Holdings.t31()) as server:
        yield server


@pytest.fixture(scope="package")
def dcmqrscp():
    with DemoServer(Holdings.t31(), ae_title="ARCHIVE", manners=Manners.dcmqrscp()) as server:
        yield server


@pytest.fixture(scope="package")
def orthanc():
    with DemoServer(Holdings.t31(), ae_title="ORTHANC", manners=Manners.orthanc()) as server:
        yield server


@pytest.fixture(params=["plain", "dcmqrscp", "orthanc"])
def server(request):
    return request.getfixturevalue(request.param)
