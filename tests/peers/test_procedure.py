"""Procedure steps at peers of others: none of those at hand takes any, and each says so (SPEC 0.5, 8)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import real_peers

import dicomlab as dl
from dicomlab.errors import NoAcceptedContext

STEP = {"PatientID": "1", "PatientName": "DOE^JANE", "Modality": "CT"}


@pytest.mark.parametrize("name", ["qr", "store3", "orthanc"])
def test_a_peer_without_steps_says_so_at_once(name: str, request: pytest.FixtureRequest) -> None:  # R1.8, SPEC 0.5
    refused(request.getfixturevalue(name).address)


def test_a_worklist_without_steps_says_so_at_once(tmp_path: Path) -> None:  # SPEC 0.5: it rejects what fits nothing
    (tmp_path / "entries").mkdir()
    with real_peers.wlmscpfs(tmp_path, tmp_path / "entries") as peer:
        refused(peer.address)


def refused(address: str) -> Any:
    with dl.connect(address, allow="perform") as peer:
        began = time.monotonic()
        with pytest.raises(NoAcceptedContext, match="not supported by this peer") as caught, peer.perform(STEP):
            raise AssertionError("it was begun")
        assert time.monotonic() - began < 2
        assert caught.value.result == 3 and not len(peer.performed())
