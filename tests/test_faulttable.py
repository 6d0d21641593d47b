"""The table of faults beside other clients: its rules find what is wrong, and nothing where nothing is."""

from __future__ import annotations

import pytest
from support import require_peer, shared

from benchmarks import faults


@pytest.mark.parametrize(
    ("fault", "client", "verdict"),
    [
        ("none", "dicomlab", "ok"),
        ("none", "pynetdicom", "ok"),
        ("none", "DCMTK", "ok"),
        ("count_lies", "dicomlab", "ok"),
        ("count_lies", "pynetdicom", "LOST"),
        ("uid_mismatch", "DCMTK", "MUTE"),
        ("garbage_identifier", "dicomlab", "ok"),
    ],
)
def test_each_client_is_judged_by_what_it_left(fault: str, client: str, verdict: str) -> None:
    shared("faults/faulty_scp.py")
    if client == "DCMTK":
        require_peer("getscu")
    assert faults.meet(faults.server(), fault, client)[0] == verdict


def test_every_fault_has_something_due() -> None:
    shared("faults/faulty_scp.py")
    assert set(faults.DUE) <= set(faults.server().FAULTS)
