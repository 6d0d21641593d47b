"""What dcmqrscp and Orthanc agree to when an association is asked for (SPEC 1)."""

from __future__ import annotations

from typing import Any

import pytest

from dicomlab.net import contexts
from dicomlab.net.association import associate
from dicomlab.net.deadline import Deadline
from dicomlab.net.node import Node

FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.mark.parametrize("name", ["qr", "orthanc"])
def test_neither_archive_answers_extended_negotiation(name: str, request: pytest.FixtureRequest) -> None:  # R1.10
    peer: Any = request.getfixturevalue(name)
    proposed = contexts.query(FIND)
    extended = {FIND: b"\1\1\1\1\1\1\1"}
    with associate(Node.of(peer.address), proposed, Deadline(15), phase="C-FIND", extended=extended) as association:
        assert association.context(FIND)
        assert association.accepted.extended == {}
        assert not any(association.accepted.agreed(FIND, byte) for byte in range(1, 8))
