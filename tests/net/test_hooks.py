"""Hooks against the embedded PACS: what they see, change and cancel (SPEC 1, R1.14)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support import free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.datasets.uids import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.net.association.contexts import Context
from dicomlab.net.association.hooks import EVENTS, Hooks
from dicomlab.net.association.messages import dataset, encoded
from dicomlab.net.association.negotiation import Proposal

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Holdings.t31()) as server:
        yield server


@pytest.fixture
def peer(server: DemoServer, tmp_path: Path) -> Iterator[dl.Peer]:
    with dl.connect(server.address, cache=tmp_path / "cache", timeout=10) as peer:
        yield peer


def recorded(peer: dl.Peer) -> list[str]:
    """The names of all events of this peer, as they happen."""
    seen: list[str] = []
    for name in EVENTS:
        peer.hooks.add(name, lambda event: seen.append(event.event))
    return seen


def test_everything_that_happens_is_told_in_order(peer: dl.Peer) -> None:  # R1.14
    seen = recorded(peer)
    peer.echo()
    assert seen == [
        "association requested",
        "association accepted",
        *("before message", "before C-ECHO-RQ", "after C-ECHO-RQ", "after message"),
        *("before message", "before C-ECHO-RSP", "after C-ECHO-RSP", "after message"),
        "association released",
    ]


def test_each_match_and_each_instance_is_told(peer: dl.Peer) -> None:  # R1.14
    names: list[str] = []
    peer.hooks.add("after message", lambda event: names.append(f"{event.direction} {event.name}"))
    studies = peer.find("STUDY", PatientID="77654033")
    assert names == ["sent C-FIND-RQ", *["received C-FIND-RSP"] * (len(studies) + 1)]
    names.clear()
    count = len(peer.retrieve(studies.head(1), method="get", progress=False))
    stores = [name for name in names if "STORE" in name]
    assert stores == ["received C-STORE-RQ", "sent C-STORE-RSP"] * count or stores.count("received C-STORE-RQ") == count


def test_an_event_carries_the_message(peer: dl.Peer) -> None:  # R1.14: enough for a dump log
    events: list[Any] = []
    peer.hooks.add("after message", events.append)
    peer.find("STUDY", PatientID="77654033")
    asked, *_, match, final = events
    assert asked.peer == peer.node.identity and asked.calling == "DICOMLAB" and 0 <= asked.elapsed < 10
    assert asked.abstract_syntax == STUDY_ROOT_FIND and asked.transfer_syntax == EXPLICIT and asked.context_id == 1
    assert asked.command_set().Priority == 0 and asked.command_set().MessageID == asked.message_id
    assert asked.dataset().PatientID == "77654033" and asked.dataset() is asked.dataset()
    assert match.message_id == asked.message_id and match.command.number(0x0900) == 0xFF00
    assert match.dataset().StudyInstanceUID and bytes(match.data)
    assert final.data is None and final.dataset() is None
    assert "77654033" not in repr(asked)  # R0.6


def test_a_hook_changes_what_is_asked(server: DemoServer, peer: dl.Peer) -> None:  # R1.14
    def change(event: Any) -> None:
        identifier, command = event.dataset(), event.command_set()
        identifier.PatientID = "98890234"
        command.Priority = 1
        event.change(dataset=identifier, command_set=command)

    sent: list[Any] = []
    peer.hooks.add("before C-FIND-RQ", change)
    peer.hooks.add("after C-FIND-RQ", sent.append)
    assert set(peer.find("STUDY", PatientID="*").PatientID) == {"98890234"}
    (request,) = server.requests("C-FIND")
    assert request.identifier is not None and request.identifier.PatientID == "98890234"
    assert sent[0].command_set().Priority == 1 and sent[0].dataset().PatientID == "98890234"
    peer.hooks.remove("before C-FIND-RQ", change)
    assert set(peer.find("STUDY", PatientID="77654033").PatientID) == {"77654033"}


def test_a_hook_changes_what_was_received(peer: dl.Peer) -> None:  # R1.14
    def rename(event: Any) -> None:
        instance = event.dataset()
        instance.PatientName = "Someone^Else"
        event.change(dataset=instance)

    study = peer.find("STUDY", PatientID="77654033").head(1)
    peer.hooks.add("before C-STORE-RQ", rename)
    instances = peer.retrieve(study, method="get", progress=False)
    assert {str(pydicom.dcmread(path).PatientName) for path in instances.path} == {"Someone^Else"}


def test_what_a_hook_does_to_one_message_is_not_done_to_the_next(peer: dl.Peer) -> None:  # R1.14
    comments: list[bytes | None] = []

    def comment(event: Any) -> None:
        comments.append(event.command.raw.get(0x0902))
        event.command.raw[0x0902] = b"seen"

    peer.hooks.add("before C-FIND-RSP", comment)
    assert len(peer.find("STUDY", PatientID="*")) > 1
    assert set(comments) == {None}


def test_what_is_over_cannot_be_changed(peer: dl.Peer) -> None:  # R1.14
    peer.hooks.add("after C-FIND-RQ", lambda event: event.change(data=b""))
    with pytest.raises(errors.InvalidRequest, match=r"was sent already.*before C-FIND-RQ"):
        peer.find("STUDY", PatientID="*")


def test_a_message_without_a_data_set_gets_none(peer: dl.Peer) -> None:  # R1.14
    peer.hooks.add("before C-ECHO-RQ", lambda event: event.change(data=b"\0\0"))
    with pytest.raises(errors.InvalidRequest, match="C-ECHO-RQ carries no data set"):
        peer.echo()


def test_a_hook_cancels_a_message_before_it_is_sent(server: DemoServer, peer: dl.Peer) -> None:  # R1.14
    seen = recorded(peer)
    peer.hooks.add("before C-FIND-RQ", lambda event: event.cancel("not on a Monday"))
    with pytest.raises(errors.InvalidRequest, match="before C-FIND-RQ: cancelled by a hook: not on a Monday"):
        peer.find("STUDY", PatientID="*")
    assert seen[-1] == "association aborted" and server.requests("C-FIND") == []


def test_a_hook_keeps_an_association_from_being_asked_for(server: DemoServer, peer: dl.Peer) -> None:  # R1.14
    peer.hooks.add("association requested", lambda event: event.cancel("no"))
    with pytest.raises(errors.InvalidRequest, match="no"):
        peer.echo()
    assert server.transcript == []


def test_a_hook_changes_what_is_proposed(server: DemoServer, peer: dl.Peer) -> None:  # R1.6, R1.14
    def more(event: Any) -> None:
        event.proposal = Proposal([*event.proposal.contexts, Context("1.2.3", [IMPLICIT])])  # type: ignore[arg-type]

    peer.hooks.add("association requested", more)
    peer.echo()
    assert ("1.2.3", (IMPLICIT,)) in server.requests("A-ASSOCIATE")[0].contexts
    assert peer.negotiated is not None and peer.negotiated.contexts[-1].result == 3


class Mine(Exception):
    pass


def fail(event: Any) -> None:
    raise Mine(event.event)


@pytest.mark.parametrize(
    "name", ["association requested", "association accepted", "before C-FIND-RQ", "after C-FIND-RQ",
             "before C-FIND-RSP", "after C-FIND-RSP", "association released"],
)  # fmt: skip
def test_an_exception_of_a_hook_is_the_callers(server: DemoServer, peer: dl.Peer, name: str) -> None:  # R1.14
    peer.hooks.add(name, fail)
    ended: list[Any] = []
    peer.hooks.add("association aborted", ended.append)
    with pytest.raises(Mine, match=name):
        peer.find("STUDY", PatientID="77654033")
    assert len(ended) == (name not in ("association requested", "association released"))
    assert all(isinstance(event.error, Mine) for event in ended)
    peer.hooks.remove(name, fail)
    assert len(peer.find("STUDY", PatientID="77654033")) == 2


@pytest.mark.parametrize("name", ["before C-STORE-RQ", "after C-STORE-RQ", "before C-STORE-RSP", "before C-GET-RSP"])
def test_an_exception_in_the_middle_of_a_retrieve_is_the_callers(peer: dl.Peer, name: str) -> None:  # R1.14
    study = peer.find("STUDY", PatientID="77654033").head(1)
    peer.hooks.add(name, fail)
    with pytest.raises(Mine, match=name):
        peer.retrieve(study, method="get", progress=False)
    peer.hooks.remove(name, fail)
    assert len(peer.retrieve(study, method="get", progress=False))


@pytest.mark.parametrize("name", ["before C-STORE-RQ", "before C-STORE-RSP"])
def test_hooks_see_what_the_listener_receives_and_their_exceptions_are_the_callers(  # R1.14
    tmp_path: Path, name: str
) -> None:
    port = free_port()
    with DemoServer(Holdings.t31(), destinations={"DICOMLAB": ("127.0.0.1", port)}) as server:
        peer = dl.connect(server.address, cache=tmp_path / "cache", listen=port, timeout=10)
        study = peer.find("STUDY", PatientID="77654033").head(1)
        names: list[str] = []
        peer.hooks.add("after message", lambda event: names.append(event.name))
        count = len(peer.retrieve(study, method="move", progress=False))
        assert names.count("C-STORE-RQ") == names.count("C-STORE-RSP") == count > 0
        peer.hooks.add(name, fail)
        with pytest.raises(Mine, match=name):
            peer.retrieve(study, method="move", progress=False, refresh=True)


def test_a_cancelled_retrieve_is_raised_where_errors_are_reported_too(peer: dl.Peer) -> None:  # R1.14
    study = peer.find("STUDY", PatientID="77654033").head(1)
    peer.hooks.add("before C-STORE-RQ", lambda event: event.cancel("enough"))
    with pytest.raises(errors.InvalidRequest, match="enough"):
        peer.retrieve(study, method="get", progress=False, errors="report")


def test_a_cancel_is_a_message_too(tmp_path: Path) -> None:  # R1.14, R3.14
    with DemoServer(Holdings.t31(), manners=Manners(pace=0.05)) as server:
        peer = dl.connect(server.address, cache=tmp_path / "cache", timeout=10)
        seen: list[Any] = []
        peer.hooks.add("before C-CANCEL-RQ", seen.append)
        with pytest.warns(errors.ResultWarning, match="cut"):
            peer.find("STUDY", PatientID="*", limit=1)
        (event,) = seen
        assert (event.direction, event.message_id, event.data) == ("sent", 1, None)
        peer.hooks.add("before C-CANCEL-RQ", fail)
        with pytest.raises(Mine):
            peer.find("STUDY", PatientID="*", limit=1)
        peer.hooks.remove("before C-CANCEL-RQ", fail)
        peer.hooks.add("before C-CANCEL-RQ", lambda event: event.cancel("let it go on"))
        with pytest.raises(errors.InvalidRequest, match="let it go on"):
            peer.find("STUDY", PatientID="*", limit=1)


def test_a_rejected_and_a_failed_association_are_told_with_their_reason(server: DemoServer) -> None:  # R1.14, R1.18
    wrong = dl.connect(f"NOBODY@127.0.0.1:{server.port}")
    rejected: list[Any] = []
    wrong.hooks.add("association rejected", rejected.append)
    with pytest.raises(errors.AssociationRejected):
        wrong.echo()
    assert rejected[0].error.diagnostic == 7 and rejected[0].called == "NOBODY" and rejected[0].negotiated is None
    nowhere = dl.connect("A@no-such-host.invalid:104")
    failed: list[Any] = []
    nowhere.hooks.add("association failed", failed.append)
    with pytest.raises(errors.ConnectError):
        nowhere.echo()
    assert isinstance(failed[0].error, errors.ConnectError)


def test_hooks_of_other_peers_and_later_hooks_are_not_called(server: DemoServer, peer: dl.Peer) -> None:  # R1.14
    other = dl.connect(server.address, cache=peer.cache)
    other.hooks.add("before message", fail)
    late: list[Any] = []
    peer.hooks.add("association requested", lambda event: peer.hooks.add("before message", late.append))
    peer.echo()
    assert late == []
    peer.echo()
    assert len(late) == 2


def test_an_event_that_is_none_and_a_hook_that_is_no_function_are_refused() -> None:  # R1.14
    hooks = Hooks()
    with pytest.raises(errors.InvalidRequest, match=r"before C-FIND-RQ"):
        hooks.add("before C-FIND", print)
    with pytest.raises(errors.InvalidRequest, match="cannot be called"):
        hooks.add("before C-FIND-RQ", "print")  # type: ignore[arg-type]
    assert len(hooks) == 0 and repr(hooks) == "no hooks"
    hooks.add("before C-FIND-RQ", fail)
    assert repr(hooks) == "before C-FIND-RQ: fail"


def test_hooks_may_be_added_while_others_run(server: DemoServer, peer: dl.Peer) -> None:  # R1.14: off the main thread
    threads = [
        threading.Thread(target=lambda: [peer.hooks.add("after message", lambda event: None) for _ in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    peer.echo()
    for thread in threads:
        thread.join(30)
    assert len(peer.hooks) == 800


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED])
def test_a_data_set_is_encoded_as_its_context_has_it(syntax: str) -> None:  # R1.14
    plain = pydicom.Dataset()
    plain.PatientName, plain.Rows = "Doe^Jane", 5
    assert dataset(encoded(plain, syntax), syntax) == plain


def test_big_endian_is_read_and_not_written() -> None:  # R1.14
    data = b"\x00\x28\x00\x10US\x00\x02\x00\x05"
    assert dataset(data, BIG_ENDIAN).Rows == 5
    with pytest.raises(errors.InvalidRequest, match="Big Endian"):
        encoded(dataset(data, BIG_ENDIAN), BIG_ENDIAN)


def test_a_data_set_that_cannot_be_read_says_so() -> None:  # R0.4
    with pytest.raises(errors.BadData):
        dataset(b"\x01\x02\x03", DEFLATED)
