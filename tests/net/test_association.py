"""The association's own rules, against the embedded PACS and silent sockets (SPEC 1)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from support import Stopwatch

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.net.association import contexts
from dicomlab.net.association.association import associate
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.node import Node, Timeouts

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        yield door.getsockname()[1]


def test_time_that_the_reader_takes_is_no_silence_of_the_peer() -> None:  # R1.5
    with dl.demo_pacs(Holdings.t31(), timeout=1.0) as pacs:
        seen = []
        for row in pacs.each("STUDY", PatientID="77654033"):
            seen.append(row["StudyInstanceUID"])
            time.sleep(1.3)
    assert len(seen) == 2


def test_leaving_the_loop_early_ends_the_association() -> None:  # R3.2, R0.7
    with dl.demo_pacs(Holdings.t31(), timeout=5) as pacs:
        for _ in pacs.each("STUDY", PatientID="*"):
            break
        assert pacs.echo() < 5


def test_the_total_deadline_holds_while_the_association_is_asked_for(silent: int) -> None:  # R1.4
    node = Node("SILENT", "127.0.0.1", silent, timeouts=Timeouts(5, 5, 5, total=0.5))
    clock = Stopwatch()
    with pytest.raises(errors.AssociationTimeout, match=r"SILENT@127\.0\.0\.1"):
        dl.connect(node).echo()
    assert clock.seconds < 1.6


def test_a_closed_port_and_an_unknown_host_have_their_own_words() -> None:  # R2.3
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(errors.ConnectError, match="nothing listens"):
        dl.connect(f"A@127.0.0.1:{port}").echo()
    with pytest.raises(errors.ConnectError, match="not known"):
        dl.connect("A@no-such-host.invalid:104").echo()


@pytest.mark.parametrize(("manners", "agreed"), [((), []), ((1,), [1]), ((1, 0, 1), [1, 3]), ((0, 1), [])])
def test_extended_options_are_agreed_as_far_as_the_archive_answers(  # R1.10
    manners: tuple[int, ...], agreed: list[int]
) -> None:
    with DemoServer(Holdings.t31(), manners=Manners(agree=manners)) as server:
        extended = {STUDY_ROOT_FIND: b"\1\0\1\0"}
        node = Node.of(server.address)
        proposed = contexts.query(STUDY_ROOT_FIND)
        with associate(node, proposed, Deadline(5), phase="C-FIND", extended=extended) as association:
            found = association.accepted
    assert [byte for byte in range(1, 8) if found.agreed(STUDY_ROOT_FIND, byte)] == agreed
    assert (STUDY_ROOT_FIND in found.extended) == bool(manners)


def test_an_error_survives_being_pickled() -> None:  # R0.4: results travel between processes
    import pickle

    with pytest.raises(errors.ConnectError) as caught:
        dl.connect("A@no-such-host.invalid:104").echo()
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.peer == "A@no-such-host.invalid:104"
