"""Services that no open peer has: they say so, with their type and within two seconds (SPEC 0.5, 10, 11)."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import pytest
import real_peers

import dicomlab as dl
from dicomlab.errors import NoAcceptedContext

ROWS = pd.DataFrame({"SOPInstanceUID": ["1.2.3.4"], "SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2"]})
CALLS = {
    "create_media": (lambda peer: peer.create_media(ROWS), "1.2.840.10008.5.1.1.33"),  # SPEC 10
    "update_patient": (  # R11.7
        lambda peer: peer.patients.delete_study("1.2.3.4", reason="test", confirm="1.2.3.4"),
        "1.2.840.114257.15.1.3",
    ),
}


@pytest.fixture(scope="module")
def wlm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with real_peers.wlmscpfs(tmp_path_factory.mktemp("wlm"), tmp_path_factory.mktemp("entries")) as peer:
        yield peer


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("name", ["orthanc", "qr", "store3", "wlm"])
def test_a_service_that_a_peer_does_not_have_is_said_to_be_absent(name, service, request):
    call, uid = CALLS[service]
    with dl.connect(request.getfixturevalue(name).address, allow=service) as peer:
        peer.echo()  # it is there
        began = time.monotonic()
        with pytest.raises(NoAcceptedContext, match="not supported by this peer") as caught:
            call(peer)
        assert time.monotonic() - began < 2
        assert caught.value.abstract_syntax == uid and caught.value.result in (3, None)
        assert not peer.media  # nothing is left to wait for
