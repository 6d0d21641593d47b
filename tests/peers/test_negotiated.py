"""What dcmqrscp and Orthanc agree to when an association is asked for (SPEC 1)."""

from __future__ import annotations

from typing import Any

import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.net.association import contexts
from dicomlab.net.association.association import associate
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.node import Node

FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.mark.parametrize(
    ("name", "length", "software"), [("qr", 16384, "OFFIS_DCMTK"), ("orthanc", 16384, "OFFIS_DCMTK")]
)
def test_the_facts_are_those_of_the_archive(  # R1.22
    name: str, length: int, software: str, request: pytest.FixtureRequest
) -> None:
    real: Any = request.getfixturevalue(name)
    peer = dl.connect(real.address, timeout=15)
    peer.find("STUDY", PatientID="NOBODY")
    facts = peer.negotiated
    assert facts is not None and (facts.peer, facts.called) == (real.address, real.ae_title)
    assert facts.maximum_length == length and facts.implementation_version.startswith(software)
    assert [context.result for context in facts.contexts if context.abstract_syntax == FIND] == [0]
    with pytest.raises(errors.NoAcceptedContext):
        peer.find(None, model="1.2.840.10008.5.1.4.31", PatientID="NOBODY")
    assert peer.negotiated is not None and {context.result for context in peer.negotiated.contexts} == {3}


@pytest.mark.parametrize("name", ["qr", "orthanc"])
def test_neither_archive_answers_extended_negotiation(name: str, request: pytest.FixtureRequest) -> None:  # R1.10
    peer: Any = request.getfixturevalue(name)
    proposed = contexts.query(FIND)
    extended = {FIND: b"\1\1\1\1\1\1\1"}
    with associate(Node.of(peer.address), proposed, Deadline(15), phase="C-FIND", extended=extended) as association:
        assert association.context(FIND)
        assert association.accepted.extended == {}
        assert not any(association.accepted.agreed(FIND, byte) for byte in range(1, 8))
