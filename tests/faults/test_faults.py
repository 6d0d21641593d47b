"""Every fault of the scripted server, survived as its table says (R0.2-R0.5, R1.4, R1.18, R1.21, R5.9-R5.20)."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.datasets.uids import DEFLATED, IMPLICIT
from dicomlab.net.association.node import Node, Quirks, Timeouts

TIMEOUT = 3.0


@dataclass
class Outcome:
    """What a call came to."""

    result: Any = None
    error: BaseException | None = None
    warned: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rows(self) -> Any:
        """The table: of the result, or what the error carries."""
        if self.error is None:
            return self.result
        if isinstance(self.error, errors.IncompleteRetrieve):
            return self.error.instances
        return getattr(self.error, "rows", None)


def failed(kind: type[BaseException], *words: str, rows: int | None = None) -> Callable[[Outcome], None]:
    """The call raised that error, with those words in it, and so many rows came before."""

    def check(outcome: Outcome) -> None:
        assert type(outcome.error) is kind, outcome
        text = str(outcome.error)
        assert "FAULTY@127.0.0.1:" in text, text
        for word in words:
            assert word in text, text
        if rows is not None:
            assert len(outcome.rows) == rows

    return check


def whole(rows: int, *warned: str) -> Callable[[Outcome], None]:
    """The call gave so many rows, and warned with those words if any."""

    def check(outcome: Outcome) -> None:
        assert outcome.error is None, repr(outcome.error)
        assert len(outcome.result) == rows, outcome
        assert bool(outcome.warned) == bool(warned), outcome.warned
        for word in warned:
            assert any(word in text for text in outcome.warned), outcome.warned

    return check


def missing(here: int, due: int = 5, *words: str) -> Callable[[Outcome], None]:
    """IncompleteRetrieve: so many are here, and every other one is named."""

    def check(outcome: Outcome) -> None:
        assert type(outcome.error) is errors.IncompleteRetrieve, repr(outcome)
        assert len(outcome.error.instances) == here, outcome.error
        assert len(outcome.error.missing) == due - here, outcome.error
        for word in ("FAULTY@127.0.0.1:", *words):
            assert word in str(outcome.error), outcome.error

    return check


def done(outcome: Outcome) -> None:
    """An echo that went well."""
    assert outcome.error is None and not outcome.warned, outcome
    assert 0 < outcome.result < TIMEOUT


# fault -> (operation, what a good client does)
EXPECTED: dict[str, tuple[str, Callable[[Outcome], None]]] = {
    "none": ("get", whole(5)),
    # tcp
    "close_on_accept": ("find", failed(errors.ConnectionLost, "association", "closed")),
    "accept_silent": ("find", failed(errors.AssociationTimeout)),
    "idle_close": ("echo", done),
    # assoc
    "assoc_silent": ("find", failed(errors.AssociationTimeout)),
    "reject_permanent": ("find", failed(errors.AssociationRejected, "permanent", "called AE title not recognised")),
    "reject_transient": ("find", failed(errors.AssociationRejected, "transient", "local limit exceeded")),
    "no_accepted_contexts": ("find", failed(errors.NoAcceptedContext, "FIND", "not support")),
    "ac_ts_not_proposed": ("find", failed(errors.ProtocolError, "1.2.3.4", "not proposed")),
    "ac_item_overrun": ("find", failed(errors.ProtocolError, "item")),
    "ac_http": ("find", failed(errors.ProtocolError, "not a DICOM peer")),
    "abort_on_assoc": ("find", failed(errors.AssociationAborted, "reason")),
    "ac_tiny_max_pdu": ("find", failed(errors.ProtocolError, "maximum PDU")),
    "get_no_role": ("get", whole(5)),
    # pdu
    "close_mid_pdu": ("find", failed(errors.ConnectionLost, "C-FIND", "closed")),
    "stall_mid_pdu": ("find", failed(errors.DimseTimeout, "C-FIND")),
    "slowloris_pdu": ("find", failed(errors.DimseTimeout, "C-FIND")),
    "pdu_len_short": ("find", failed(errors.ProtocolError)),
    "pdu_len_4gib": ("find", failed(errors.ProtocolError, "4,294,967,295", "1,048,576")),
    "pdv_len_overrun": ("find", failed(errors.ProtocolError, "PDV")),
    "unknown_pdu_type": ("find", failed(errors.ProtocolError, "0x99")),
    "wrong_context_id": ("find", failed(errors.ProtocolError, "context 253")),
    "fragments_out_of_order": ("get", missing(2)),
    # dimse
    "dimse_silent": ("find", failed(errors.DimseTimeout, "C-FIND")),
    "abort_mid_find": ("find", failed(errors.AssociationAborted, "2 matches", rows=2)),
    "wrong_message_id": ("find", failed(errors.ProtocolError, "4242")),
    "missing_status": ("find", failed(errors.ProtocolError, "status")),
    "unknown_status": ("find", failed(errors.StatusError, "0x1234")),
    "status_c001": ("find", failed(errors.StatusError, "0xC001")),
    "pending_no_identifier": ("find", whole(1, "without an identifier")),
    "pending_forever": ("find", whole(100, "cut at the limit")),  # L3
    # data
    "garbage_identifier": ("find", whole(1, "match 1")),
    "latin1_no_charset": ("find", whole(1, "")),
    "xss_identifier": ("find", whole(1)),
    "bad_vr_identifier": ("find", whole(1, "")),
    "dataset_truncated": ("get", missing(4)),
    "dataset_empty": ("get", missing(4, 5, "without a data set")),
    "ts_mismatch": ("get", missing(4)),
    "deep_nesting": ("get", missing(4)),
    "deflate_bomb": ("get", missing(4)),
    "uid_traversal": ("get", missing(4)),
    "uid_dotdot": ("get", missing(4)),
    "uid_too_long": ("get", whole(5, "70")),
    "uid_mismatch": ("get", whole(5, "")),
    # subop
    "abort_mid_get": ("get", missing(2)),
    "rst_mid_dataset": ("get", missing(2)),
    "release_mid_get": ("get", missing(2)),
    "no_final_response": ("get", whole(5, "all instances are here")),
    "count_lies": ("get", missing(3)),
    "b000_with_list": ("get", missing(3)),
    "other_study": ("get", missing(4)),
    "duplicate_differs": ("get", whole(5, "other bytes")),
    "move_dest_unknown": ("move", failed(errors.StatusError, "0xA801", "DICOMLAB", "administrator")),
    "move_success_nothing": ("move", missing(0, 5, "says it sent 5 to DICOMLAB, none arrived")),
    "move_success_early": ("move", whole(5)),
    "move_store_abort": ("move", missing(2)),
    "move_pending_forever": ("move", missing(0, 5, "nothing moved")),
    "move_no_pending": ("move", whole(5)),
    "move_assoc_per_instance": ("move", whole(5)),
    # release
    "release_silent": ("echo", done),
    "release_collision": ("echo", done),
}


def syntaxes(fault: str) -> Quirks:
    """The server sends on the first context that it accepted for CT, in Implicit VR or, once, deflated."""
    return Quirks(syntaxes=(DEFLATED if fault == "deflate_bomb" else IMPLICIT,))


def run(operation: str, peer: Any, study: str) -> Outcome:
    outcome = Outcome()
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if operation == "echo":
                outcome.result = peer.echo()
            elif operation == "find":
                outcome.result = peer.find("STUDY", PatientID="*", limit=100)
            elif operation == "worklist":
                outcome.result = peer.worklist(PatientID="*", limit=100)
            else:
                outcome.result = peer.retrieve(study, method=operation, progress=False)
        except errors.DicomlabError as error:
            outcome.error = error
    outcome.seconds = time.monotonic() - began
    outcome.warned = [str(item.message) for item in caught if issubclass(item.category, errors.ResultWarning)]
    strangers = [item for item in caught if not issubclass(item.category, errors.ResultWarning)]
    assert not strangers, [str(item.message) for item in strangers]
    return outcome


@pytest.fixture
def threads_end() -> Any:
    """No thread of ours is left, and none died of an exception."""
    died: list[Any] = []
    before, threading.excepthook = threading.excepthook, died.append
    yield
    threading.excepthook = before
    end = time.monotonic() + 2
    while time.monotonic() < end and any(item.name.startswith("dicomlab") for item in threading.enumerate()):
        time.sleep(0.02)
    assert not [item for item in threading.enumerate() if item.name.startswith("dicomlab")]
    assert not died


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", EXPECTED)
def test_the_fault_is_survived_as_its_table_says(
    fault: str, faulty_scp: ModuleType, tmp_path: Path, threads_end: None
) -> None:
    operation, check = EXPECTED[fault]
    listen = free_port()
    with faulty_scp.FaultySCP(fault, hold=20, move_port=listen) as scp:
        times = Timeouts(TIMEOUT, TIMEOUT, TIMEOUT)
        node = Node("FAULTY", "127.0.0.1", scp.port, timeouts=times, listen=listen, quirks=syntaxes(fault))
        cache = Cache(tmp_path / "cache", index=tmp_path / "index.sqlite")
        with dl.connect(node, cache=cache) as peer:
            outcome = run(operation, peer, faulty_scp.STUDY)
            check(outcome)
            assert outcome.seconds < 4 * TIMEOUT + 1  # R1.4: connect, association, progress and grace, plus one
            promised = set(scp.acknowledged)
            if operation != "echo" and outcome.rows is not None and "SOPInstanceUID" in outcome.rows:
                assert promised <= set(outcome.rows.SOPInstanceUID) | KEPT_ASIDE.get(fault, set())
    outside = [item for item in tmp_path.iterdir() if item.name not in ("cache",) and "index.sqlite" not in item.name]
    assert not outside
    with socket.socket() as again:  # the listener's port is free
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", listen))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", [name for name, (operation, _) in EXPECTED.items() if operation == "find"])
def test_a_worklist_survives_what_a_query_survives(  # R4.2, R0.3
    fault: str, faulty_scp: ModuleType, tmp_path: Path, threads_end: None
) -> None:
    with faulty_scp.FaultySCP(fault, hold=20) as scp:
        node = Node("FAULTY", "127.0.0.1", scp.port, timeouts=Timeouts(TIMEOUT, TIMEOUT, TIMEOUT))
        with dl.connect(node, cache=Cache(tmp_path / "cache", index=tmp_path / "index.sqlite")) as peer:
            outcome = run("worklist", peer, faulty_scp.STUDY)
            has_none_of_its_dates = fault == "bad_vr_identifier"
            check = whole(1) if has_none_of_its_dates else EXPECTED[fault][1]
            check(outcome)
            assert outcome.seconds < 4 * TIMEOUT + 1
            if outcome.rows is not None and len(outcome.rows):
                assert "ScheduledProcedureStepStartDate" in outcome.rows and "PatientName" in outcome.rows


#: UIDs that a C-STORE command named otherwise than its data set: the instance is filed under the data set's.
KEPT_ASIDE = {"uid_mismatch": {"1.2.3.4.5.6.7"}}


def test_every_fault_of_the_server_is_in_the_table(faulty_scp: ModuleType) -> None:
    assert set(faulty_scp.FAULTS) == set(EXPECTED)


@pytest.mark.parametrize("fault", ["abort_mid_get", "rst_mid_dataset", "release_mid_get", "dataset_truncated"])
def test_calling_again_fetches_only_what_is_missing(  # R5.13
    fault: str, faulty_scp: ModuleType, tmp_path: Path, threads_end: None
) -> None:
    with faulty_scp.FaultySCP(fault, hold=20, times=1) as scp:
        times = Timeouts(TIMEOUT, TIMEOUT, TIMEOUT)
        node = Node("FAULTY", "127.0.0.1", scp.port, timeouts=times, quirks=syntaxes(fault))
        cache = Cache(tmp_path / "cache", index=tmp_path / "index.sqlite")
        with dl.connect(node, cache=cache) as peer:
            with pytest.raises(errors.IncompleteRetrieve) as caught:
                peer.retrieve(faulty_scp.STUDY, method="get", progress=False)
            here = set(caught.value.instances.SOPInstanceUID)
            again = peer.retrieve(faulty_scp.STUDY, method="get", progress=False)
    assert 0 < len(here) < 5
    assert set(again.SOPInstanceUID) - here == set(caught.value.missing)
    assert again.attrs["fetched"] == 5 - len(here)
