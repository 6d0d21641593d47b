"""DIMSE-N requests against a peer that does one thing wrong (PS3.7 section 10, R16.12)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from normalizedfaults import FAULTS, Answer, Asked, Scripted, honest, meet
from pydicom import Dataset

import dicomlab as dl
from dicomlab.datasets.elements import parse
from dicomlab.errors import NoAcceptedContext, ProtocolError, StatusError
from dicomlab.net.association.association import Association, associate
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.incoming import Message
from dicomlab.net.association.normalized import Normalized, Reply, proposed

MPPS, META, BOX = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.5.1.1.9", "1.2.840.10008.5.1.1.2"
INSTANCE = "1.2.3.4"
REQUESTS = ("N-CREATE", "N-SET", "N-GET", "N-ACTION", "N-DELETE")


def attributes() -> Dataset:
    made = Dataset()
    made.PatientName, made.PatientID = "Δοκιμή^Ἄλφα", "1"
    made.SpecificCharacterSet = "ISO_IR 192"
    return made


@contextlib.contextmanager
def service(peer: dl.Peer, sop_class: str = MPPS, name: str = "MPPS", **more: Any) -> Iterator[Normalized]:
    """One association with a peer."""
    deadline = Deadline(peer.node.timeouts.progress)
    with associate(peer.node, proposed(sop_class), deadline, phase="N-CREATE") as association:
        yield Normalized(association, name, **more)


def ask(peer: dl.Peer, *names: str, **more: Any) -> list[Reply]:
    """Those requests, on one association."""
    with service(peer, **more) as one:
        calls = {
            "N-CREATE": lambda: one.create(MPPS, attributes(), sop_instance=INSTANCE),
            "N-SET": lambda: one.set(MPPS, INSTANCE, attributes()),
            "N-GET": lambda: one.get(MPPS, INSTANCE, [0x00100010]),
            "N-ACTION": lambda: one.action(MPPS, INSTANCE, 3, attributes()),
            "N-DELETE": lambda: one.delete(MPPS, INSTANCE),
        }
        return [calls[name]() for name in names]


def with_list(asked: Asked) -> Answer:
    """What was sent comes back."""
    return Answer(asked.data or attributes() if asked.name != "N-DELETE" else None)


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in REQUESTS for fault in FAULTS if (name, fault) != ("N-DELETE", "truncated")],
)  # the response to an N-DELETE has no attribute list
def test_each_request_survives_what_a_peer_does_wrong(name: str, fault: str) -> None:  # R0.4, R1.4, R1.18, R1.21
    outcome, scp = meet(
        fault, lambda peer: ask(peer, name, name), sop_classes=[MPPS], allow="perform", at=name, answer=with_list
    )
    if outcome.error is not None:
        assert scp.names() == [name] and outcome.error.phase == name  # type: ignore[attr-defined]
        return
    assert scp.names() == [name, name] and scp.ended == ["released"]
    first, second = outcome.result
    assert second.status.code == 0 and first.status.code == (0x0001 if fault == "warning" else 0)
    assert scp.event_statuses == [0x0113] * {"event": 1, "late event": 1, "events at once": 3}.get(fault, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_request_of_an_association_survives_the_same(fault: str) -> None:  # R1.21
    outcome, scp = meet(
        fault, lambda peer: ask(peer, *REQUESTS), sop_classes=[MPPS], allow="perform", at=2, answer=with_list
    )
    expected = list(REQUESTS) if outcome.error is None else list(REQUESTS[:2])
    assert scp.names() == expected


def test_a_request_arrives_as_it_was_meant_and_its_answer_is_read() -> None:
    with Scripted([MPPS], answer=with_list) as scp, scp.peer() as peer:
        replies = ask(peer, *REQUESTS)
    assert [one.name for one in scp.transcript] == list(REQUESTS)
    assert {one.sop_class for one in scp.transcript} == {MPPS}
    assert {one.sop_instance for one in scp.transcript} == {INSTANCE} == {one.sop_instance for one in replies}
    assert [one.data is not None for one in scp.transcript] == [True, True, False, True, False]
    assert [one.action for one in scp.transcript] == [None, None, None, 3, None]
    assert scp.transcript[2].attributes == (0x00100010,)
    assert [one.message_id for one in scp.transcript] == [1, 2, 3, 4, 5]
    assert [None if one.data is None else one.data.text("PatientName") for one in replies] == [
        *["Δοκιμή^Ἄλφα"] * 4,
        None,
    ]


def test_the_peer_may_name_what_is_created() -> None:
    with Scripted([MPPS]) as scp, scp.peer() as peer, service(peer) as one:
        made = one.create(MPPS, attributes())
    assert scp.transcript[0].sop_instance == "" and made.sop_instance.startswith("2.25.")


def test_a_request_without_attributes_may_be_sent() -> None:
    with Scripted([MPPS]) as scp, scp.peer() as peer, service(peer) as one:
        one.create(MPPS, sop_instance=INSTANCE)
    assert scp.transcript[0].data is None


def test_a_meta_class_is_the_context_of_its_classes() -> None:
    with Scripted([META]) as scp, scp.peer() as peer, service(peer, META, "PRINT", context=META) as one:
        one.create(BOX, attributes())
    assert scp.transcript[0].sop_class == BOX


def test_events_that_come_between_are_taken_with_their_data() -> None:
    told: list[tuple[int | None, str]] = []

    def take(association: Association, message: Message) -> int:
        said = parse(bytes(message.data or b""), implicit=False).text("PatientID")
        told.append((message.command.number(0x1002), said))
        return 0x0000

    script = {"event": (MPPS, INSTANCE, 2), "event_data": attributes()}
    with Scripted([MPPS], "events at once", **script) as scp, scp.peer() as peer:  # type: ignore[arg-type]
        ask(peer, "N-SET", "N-SET", on_event=take)
    assert told == [(2, "1")] * 3 and scp.event_statuses == [0, 0, 0]


def test_a_status_that_is_a_warning_here_is_a_failure_there() -> None:  # SPEC 0.2, R8.7
    with Scripted([MPPS], "warning", warning=0x0116) as scp, scp.peer() as peer, service(peer) as one:
        assert one.set(MPPS, INSTANCE, attributes()).status.code == 0x0116
    refused = pytest.raises(StatusError, match="0x0116")
    again = Scripted([MPPS], "warning", warning=0x0116)
    with again as scp, scp.peer() as peer, refused, service(peer, name="PATIENT") as one:
        one.set(MPPS, INSTANCE, attributes())


def test_a_class_that_is_refused_is_told_from_an_association_that_is() -> None:  # R1.8
    with Scripted([META]) as scp, scp.peer() as peer, pytest.raises(NoAcceptedContext) as caught:
        ask(peer, "N-SET")
    assert caught.value.result == 3 and caught.value.abstract_syntax == MPPS
    assert scp.transcript == []


def test_no_thread_is_left() -> None:  # R0.7
    with Scripted([MPPS], answer=honest) as scp, scp.peer() as peer:
        ask(peer, "N-SET")
    assert not [one for one in threading.enumerate() if one.name.startswith("dicomlab")]


def test_a_response_of_another_instance_is_told_where_there_are_hooks_too() -> None:  # R1.21
    with Scripted([MPPS], "other instance") as scp, scp.peer() as peer:
        peer.hooks.add("after message", lambda event: None)
        with (
            pytest.raises(ProtocolError, match=r"1\.2\.3\.4242"),
            peer._call(None) as call,
            associate(peer.node, proposed(MPPS), call.clock, phase="N-GET") as association,
        ):
            Normalized(association, "MPPS").get(MPPS, INSTANCE)
