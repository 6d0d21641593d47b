"""Storage commitment: the request, the answer by every way, and what is remembered of both (SPEC 7)."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import slices
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from support import free_port

import dicomlab as dl
from dicomlab.demo.manners import Manners
from dicomlab.demo.move import Requestor
from dicomlab.errors import ConnectError, InvalidRequest, NoAcceptedContext, ResultWarning, StatusError
from dicomlab.net.store import commitment
from dicomlab.net.store.transactions import Transaction, Transactions, answer

PUSH, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
FILES = [get_testdata_file(name) for name in ("CT_small.dcm", "MR_small.dcm")]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the transactions, empty."""
    monkeypatch.setenv("DICOMLAB_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "commitment"


@pytest.mark.parametrize("way", ["new", "same"])
def test_what_is_kept_is_committed_by_either_way_of_answering(way, state):  # R7.1, R7.2, R7.3, R7.5
    with dl.demo_pacs(manners=Manners(commitment=way)) as pacs:
        found = pacs.commit(pacs.store(FILES), wait=20)
        assert found.committed.tolist() == [True, True] and found.commitment.tolist() == ["committed"] * 2
        assert found.attrs["pending"] == [] and found.attrs["retrieve_ae_title"] == "DEMO"
        (uid,) = found.attrs["transactions"]
        kept = Transactions().get(uid)
        assert kept is not None and set(kept.committed) == set(found.SOPInstanceUID) and kept.answers == 1
    assert oct(state.stat().st_mode)[-3:] == "700" and [path.name for path in state.iterdir()] == [f"{uid}.json"]
    assert not any(one.name.startswith("dicomlab") for one in threading.enumerate())


def test_what_a_hook_had_sent_under_another_uid_is_committed_under_that(state):  # R7.1, R6.8, R1.14
    def renamed(event: object) -> None:
        dataset, command = event.dataset(), event.command_set()
        dataset.SOPInstanceUID = command.AffectedSOPInstanceUID = f"{command.AffectedSOPInstanceUID}.9"
        event.change(command_set=command, dataset=dataset)

    with dl.demo_pacs() as pacs:
        pacs.hooks.add("before C-STORE-RQ", renamed)
        found = pacs.commit(pacs.store(FILES), wait=20)
        assert found.committed.tolist() == [True, True]
        (uid,) = found.attrs["transactions"]
        kept = Transactions().get(uid)
        assert kept is not None and set(kept.committed) == {f"{one}.9" for one in found.SOPInstanceUID}


def test_what_is_not_kept_is_said_with_its_reason_in_words():  # R7.5
    with dl.demo_pacs() as pacs:
        table = pacs.store(FILES)
        reasons = {table.SOPInstanceUID[1]: 0x0213}
        server_manners = Manners(commitment_reasons=reasons, commitment_silent=frozenset({"1.2.3.9"}))
    with dl.demo_pacs(manners=server_manners) as pacs:
        pacs.store(FILES)
        rows = pd.DataFrame(
            {"SOPInstanceUID": [*table.SOPInstanceUID, "1.2.3.4.5", "1.2.3.9"], "SOPClassUID": [*table.SOPClassUID] * 2}
        )
        with pytest.warns(ResultWarning, match="3 of 4 instances are not committed"):
            found = pacs.commit(rows, wait=20)
    assert found.committed.tolist() == [True, False, False, False]
    assert found.failure_reason.tolist()[1:3] == [0x0213, 0x0112] and pd.isna(found.failure_reason[3])
    assert "out of resources" in found.commitment[1] and "no such object" in found.commitment[2]
    assert found.commitment[3] == "not committed: the answer names it in neither list"


def test_rows_that_are_not_stored_are_not_asked_for(tmp_path):
    with dl.demo_pacs() as pacs:
        sent = pacs.store(FILES)
        sent.loc[0, "stored"] = False
        found = pacs.commit(sent, wait=20)
        assert found.commitment.tolist() == ["not asked for: it is not stored", "committed"]
        with pytest.raises(InvalidRequest, match="nothing is selected"):
            pacs.commit(sent[:1])
        with pytest.raises(InvalidRequest, match="nothing is selected"):
            pacs.commit(sent[:0])


def test_paths_and_data_sets_may_be_given(tmp_path):
    with dl.demo_pacs() as pacs:
        pacs.store(FILES)
        assert pacs.commit(FILES, wait=20).committed.all()


def test_an_answer_that_comes_later_is_collected(state):  # R7.4
    with dl.demo_pacs(manners=Manners(commitment_delay=1.5)) as pacs:
        with pytest.warns(ResultWarning, match=r"no answer has come yet"):
            found = pacs.commit(pacs.store(FILES), wait=0.2)
        assert found.commitment.tolist() == ["no answer yet"] * 2 and found.committed.isna().all()
        assert pacs.commitments().commitment.tolist() == ["no answer yet"] * 2
        assert pacs.commitments(wait=20).committed.tolist() == [True, True]
        assert pacs.commitments().committed.tolist() == [True, True]


def test_a_request_without_waiting_comes_back_at_once_and_stays_pending():  # R7.3, R7.4
    with dl.demo_pacs(manners=Manners(commitment="never")) as pacs:
        found = pacs.commit(pacs.store(FILES), wait=0)
        assert found.attrs["pending"] == found.attrs["transactions"] and found.committed.isna().all()


def test_an_answer_that_found_our_port_shut_comes_while_we_listen_again():  # R7.3, R7.4
    with dl.demo_pacs() as pacs:
        pacs.commit(pacs.store(FILES), wait=0)
        time.sleep(1)
        assert pacs.commitments(wait=20).committed.tolist() == [True, True]


def test_listening_again_in_vain_is_said():  # R7.4
    with dl.demo_pacs(manners=Manners(commitment="never")) as pacs:
        pacs.commit(pacs.store(FILES), wait=0)
        with pytest.warns(ResultWarning, match="no answer has come yet"):
            assert pacs.commitments(wait=0.3).committed.isna().all()


def test_an_answer_that_comes_twice_is_taken_twice_and_changes_nothing():  # R7.4
    with dl.demo_pacs(manners=Manners(commitment="same", commitment_events=2)) as pacs:
        found = pacs.commit(pacs.store(FILES), wait=20)
        assert found.committed.all()
    with dl.demo_pacs(manners=Manners(commitment="new", commitment_events=2, commitment_delay=0.3)) as pacs:
        assert pacs.commit(pacs.store(FILES), wait=20).committed.all()


def test_many_instances_are_several_transactions(monkeypatch):
    monkeypatch.setattr(commitment, "BATCH", 3)
    with dl.demo_pacs() as pacs:
        sent = pacs.store(slices.stack(range(8)))
        found = pacs.commit(sent, wait=30)
        assert found.committed.all() and len(found.attrs["transactions"]) == 3 == found.transaction.nunique()


def test_a_peer_without_commitment_leaves_nothing_pending(state):  # R7.6
    with dl.demo_pacs(manners=Manners(commitment="absent")) as pacs:
        with pytest.raises(NoAcceptedContext, match="Storage Commitment"):
            pacs.commit(pacs.store(FILES))
        assert len(pacs.commitments()) == 0
    assert not list(state.glob("*"))


def test_a_request_that_is_refused_leaves_nothing_pending(state):  # R7.6
    with dl.demo_pacs(manners=Manners(commitment_status=0x0213)) as pacs, pytest.raises(StatusError, match="0x0213"):
        pacs.commit(pacs.store(FILES))
    assert not list(state.glob("*"))


def test_a_peer_that_is_not_there_leaves_nothing_pending(state):  # R7.6
    with dl.connect("ARCHIVE@127.0.0.1:9", allow="commit") as peer, pytest.raises(ConnectError):
        peer.commit(FILES)
    assert not list(state.glob("*"))


def test_a_port_in_use_is_said_before_anything_is_asked(state):  # R7.6
    import socket

    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        peer = dl.connect("ARCHIVE@127.0.0.1:9", allow="commit", listen=port)
        with peer, pytest.raises(InvalidRequest, match=f"the port {port}"):
            peer.commit(FILES)
    assert not list(state.glob("*"))


def test_a_node_must_be_allowed_to_commit():  # R1.0
    with dl.connect("ARCHIVE@127.0.0.1:9", allow="store") as peer, pytest.raises(InvalidRequest, match="commit"):
        peer.commit(FILES)


@contextlib.contextmanager
def archive(does):
    """A peer that takes the request and then does as told with the association."""
    ae = AE("ARCHIVE")
    ae.add_supported_context(PUSH)
    done = threading.Event()

    def action(event):
        threading.Timer(0.1, lambda: (does(event), done.set())).start()
        return 0x0000, None

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, action)])
    try:
        yield f"ARCHIVE@127.0.0.1:{server.server_address[1]}"
        done.wait(5)
    finally:
        server.shutdown()


def test_an_association_lost_after_the_request_leaves_it_pending(state):  # R7.6
    with archive(lambda event: event.assoc.abort()) as address:
        with dl.connect(address, allow="commit") as peer, pytest.warns(ResultWarning, match="stays asked for"):
            found = peer.commit(FILES, wait=1)
        assert found.commitment.tolist() == ["no answer yet"] * 2 and len(list(state.glob("*.json"))) == 1


def report(port: int, uid: str, *, kind: int = 1, sop_class: str = PUSH, title: str = "ARCHIVE") -> int | None:
    """Send an event from outside; the status it is answered with."""
    ae = Requestor(title)
    ae.add_requested_context(PUSH)
    try:
        return _reported(ae, port, uid, kind, sop_class)
    finally:
        ae.close()


def _reported(ae: Requestor, port: int, uid: str, kind: int, sop_class: str) -> int | None:
    association = ae.associate("127.0.0.1", port, ae_title="DICOMLAB", ext_neg=[build_role(PUSH, scp_role=True)])
    if not association.is_established:
        return None
    event = Dataset()
    event.TransactionUID = uid
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2", "1.2.3"
    event.ReferencedSOPSequence = [item]
    status, _ = association.send_n_event_report(event, kind, sop_class, WELL_KNOWN)
    association.release()
    association.join(5)
    return status.Status


def test_an_event_for_an_unknown_transaction_changes_nothing_and_is_answered(state):  # R7.7
    port = free_port()
    node = dl.Node("ARCHIVE", "127.0.0.1", 9, listen=port, allow=frozenset({"commit"}))
    known = Transactions()
    mine = Transaction("1.2.3.100", node.identity, {"1.2.3": "1.2"}, 1.0)
    others = Transaction("1.2.3.200", "OTHER@127.0.0.1:9", {"1.2.3": "1.2"}, 1.0)
    known.keep(mine)
    known.keep(others)
    statuses = []

    def events():
        statuses.append(report(port, "9.9.9"))
        statuses.append(report(port, others.uid))
        statuses.append(report(port, mine.uid, kind=7))
        statuses.append(report(port, mine.uid, title="STRANGER"))
        statuses.append(report(port, mine.uid))

    with dl.connect(node) as peer:
        thread = threading.Timer(0.3, events)
        thread.start()
        found = peer.commitments(wait=20)
        thread.join(30)
    assert statuses == [0x0110, 0x0110, 0x0113, None, 0x0000]
    assert found.committed.tolist() == [True] and known.get(others.uid).pending
    assert any("never asked for" in one for one in found.attrs["remarks"])


def test_an_event_that_cannot_be_kept_is_answered_so(state, monkeypatch):  # R7.2
    port = free_port()
    node = dl.Node("ARCHIVE", "127.0.0.1", 9, listen=port)
    Transactions().keep(Transaction("1.2.3.100", node.identity, {"1.2.3": "1.2"}, 1.0))
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    statuses = []
    with dl.connect(node) as peer:
        thread = threading.Timer(0.3, lambda: statuses.append(report(port, "1.2.3.100")))
        thread.start()
        with pytest.warns(ResultWarning, match="no answer has come yet"):
            found = peer.commitments(wait=2)
        thread.join(30)
    assert statuses == [0x0110] and found.committed.isna().all() and "No space left" in found.attrs["remarks"][0]


def test_what_is_on_disk_holds_no_name_and_survives_damage(state):  # R7.4, R0.6
    with dl.demo_pacs() as pacs:
        pacs.commit(pacs.store(FILES), wait=20)
        (path,) = state.glob("*.json")
        said = json.loads(path.read_text())
        assert set(said) == set(Transaction.__dataclass_fields__) and "CompressedSamples" not in path.read_text()
        (state / "1.2.json").write_text("{broken")
        (state / "1.3.json").write_text('{"uid": "1.3"}')
        assert len(pacs.commitments()) == 2


def test_a_later_answer_may_mend_an_earlier_one():
    before = Transaction("1.2", "A@h:1", {"1": "9", "2": "9", "3": "9"}, 1.0)
    first = answer(before, ["1"], {"2": 0x0110}, "A", "")
    second = answer(first, ["2", "77"], {"1": 0x0112, "88": 1}, "", "CD1")
    assert (tuple(second.committed), dict(second.failed), second.answers) == (("2",), {"1": 0x0112}, 2)
    assert second.retrieve_ae_title == "A" and second.media == "CD1"


@pytest.mark.parametrize("wait", [-1, "soon", True, float("nan"), 1e9])
def test_a_time_to_wait_that_is_none_is_refused(wait):
    with dl.connect("ARCHIVE@127.0.0.1:9", allow="commit") as peer, pytest.raises(InvalidRequest, match="wait="):
        peer.commit(FILES, wait=wait)


def test_a_uid_that_only_looks_like_a_known_one_is_unknown(tmp_path):  # R7.7
    known = Transactions(tmp_path)
    known.keep(Transaction("1.2.3", "ARCHIVE@host:104", {"1.9": "1.8"}, 0.0))
    assert known.get("1.2.3") is not None and known.get("1.2.x3") is None
