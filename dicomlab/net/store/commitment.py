"""Storage commitment (PS3.4 annex J): the archive is asked to say that it keeps what was sent, and says so."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from ...amounts import are
from ...datasets.elements import Elements, parse
from ...datasets.uids import EXPLICIT, IMPLICIT
from ...errors import BadData, CacheError, DicomlabError, DimseTimeout, Interrupted, InvalidRequest, StatusError
from ...remarks import remark
from ..association.association import Association, associate
from ..association.contexts import Context
from ..association.deadline import Cancelled, Deadline
from ..association.dimse import CommandField
from ..association.incoming import Message
from ..association.jobs import turn
from ..association.node import Node
from ..association.normalized import Normalized
from ..retrieve.listener import Listener
from .referenced import referenced
from .transactions import Transaction, Transactions, answer

if TYPE_CHECKING:
    import pandas as pd

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"  # the one instance of it
REQUEST, ALL, SOME_FAILED = 1, 1, 2  # Action Type ID; Event Type IDs
BATCH = 2_000  # instances of one transaction: an answer that names all of them is no larger than we take
STILL = 2.0  # seconds in which the answer may come on the association of the request
NOT_YET = "no answer has come yet: commitments(wait=seconds) listens again"
PROCESSING_FAILURE, NO_SUCH_EVENT = 0x0110, 0x0113
#: Failure Reason (0008,1197), PS3.4 J.3.3.
REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object: the archive does not have it",
    0x0213: "out of resources",
    0x0122: "SOP class not supported",
    0x0119: "class and instance do not fit",
    0x0131: "the transaction UID was used before",
}


class Ledger:
    """Takes the answers, whichever way they come.

    As the service of a listener it takes N-EVENT-REPORTs of a peer that opens an association of its own.
    """

    phase = "N-EVENT-REPORT"
    classes = frozenset((PUSH_MODEL,))
    sink = None

    def __init__(self, node: Node, transactions: Transactions, waiting: Sequence[str]) -> None:
        self._node, self._transactions = node, transactions
        self._waiting = set(waiting)
        self._lock = threading.Lock()
        self.done = threading.Event()  # every transaction that is waited for has an answer
        self.remarks: list[str] = []

    def serve(self, association: Association, message: Message) -> int | None:
        """The status of an N-EVENT-REPORT: 0x0000 once it is on disk (R7.2)."""
        if message.command.command_field != CommandField.N_EVENT_REPORT_RQ:
            return None
        event = message.command.number(0x1002)
        if message.command.sop_class != PUSH_MODEL or event not in (ALL, SOME_FAILED):
            return NO_SUCH_EVENT
        _, syntax = association.accepted.contexts[message.context_id]
        try:
            said = parse(bytes(message.data or b""), implicit=syntax == IMPLICIT)
            with self._lock:
                return self._enter(said)
        except BadData as error:
            self.remarks.append(f"an answer cannot be read ({error.message})")
        except CacheError as error:
            self.remarks.append(error.message)
        return PROCESSING_FAILURE

    def take(self, association: Association, message: Message) -> int:
        """The same where nothing but an N-EVENT-REPORT can come."""
        return self.serve(association, message) or 0x0000

    def _enter(self, said: Elements) -> int:
        uid = said.text("TransactionUID")
        before = self._transactions.get(uid)
        if before is None or before.node != self._node.identity:
            self.remarks.append(f"an answer to a transaction that was never asked for came ({uid[:80] or 'no UID'})")
            return PROCESSING_FAILURE  # R7.7
        committed = [item.text("ReferencedSOPInstanceUID") for item in _items(said, "ReferencedSOPSequence")]
        failed = {
            item.text("ReferencedSOPInstanceUID"): _number(item, "FailureReason")
            for item in _items(said, "FailedSOPSequence")
        }
        media = " ".join(filter(None, (said.text("StorageMediaFileSetID"), said.text("StorageMediaFileSetUID"))))
        self._transactions.keep(answer(before, committed, failed, said.text("RetrieveAETitle"), media))
        self._waiting.discard(uid)
        if not self._waiting:
            self.done.set()
        return 0x0000


def _items(said: Elements, name: str) -> list[Elements]:
    from ...datasets.elements import tag_of

    return said.items(tag_of(name)) if tag_of(name) in said.raw else []


def _number(item: Elements, name: str) -> int:
    found = item.get(name)
    return found if isinstance(found, int) else PROCESSING_FAILURE


def commit(
    node: Node, what: Any, deadline: Deadline, *, wait: float, transactions: Transactions | None = None
) -> pd.DataFrame:
    """Ask for the commitment of instances and wait for the answer; see `Peer.commit`."""
    known = transactions or Transactions()
    rows, names = referenced(what)
    asked = {uid: sop_class for uid, sop_class in names if uid}
    if not asked:
        raise InvalidRequest("nothing is selected: none of these is stored", advice="Store them first.")
    uids = list(asked)
    made: list[Transaction] = []
    ledger = Ledger(node, known, [])
    with contextlib.ExitStack() as stack:
        try:
            listener = _listening(stack, node, ledger, deadline)  # before the request (R7.3)
            for at in range(0, len(uids), BATCH):
                part = {uid: asked[uid] for uid in uids[at : at + BATCH]}
                one = Transaction(str(generate_uid(prefix=None)), node.identity, part, time.time())
                ledger._waiting.add(one.uid)
                ledger.done.clear()
                made.append(_request(node, one, ledger, known, deadline, wait))
            if wait and not ledger.done.is_set():
                _await(listener, ledger, deadline, wait)
        except (Cancelled, KeyboardInterrupt) as error:
            frame = _table(node, rows, names, known, made, ledger, deadline)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(
                    f"{node.identity}: stopped; what was asked for stays asked for, see commitments()", frame
                ) from None
            return frame
    frame = _table(node, rows, names, known, made, ledger, deadline)
    _say(node, frame, ledger, wait)
    return frame


def collect(node: Node, deadline: Deadline, *, wait: float, transactions: Transactions | None = None) -> pd.DataFrame:
    """What was asked of a peer and what it answered, after listening so long; see `Peer.commitments`."""
    known = transactions or Transactions()
    ledger = Ledger(node, known, [one.uid for one in known.of(node.identity) if one.pending])
    if wait and ledger._waiting:
        if not node.listen:
            raise _no_port(node)
        with contextlib.ExitStack() as stack:
            listener = _listening(stack, node, ledger, deadline)
            _await(listener, ledger, deadline, wait)
    every = known.of(node.identity)
    names = [(uid, sop_class) for one in every for uid, sop_class in one.asked.items()]
    frame = _table(node, None, names, known, every, ledger, deadline)
    if wait and frame.attrs["pending"]:
        remark(f"{node.identity}: {NOT_YET}", stacklevel=3)
    return frame


def _no_port(node: Node) -> InvalidRequest:
    return InvalidRequest(
        "the answer of a storage commitment comes to a port of ours, and there is none",
        peer=node.identity,
        phase=Ledger.phase,
        advice="Give connect(..., listen=port) and have the PACS administrator enter your AE title "
        f"({node.move_ae}), this machine's address and that port.",
    )


def _listening(stack: contextlib.ExitStack, node: Node, ledger: Ledger, deadline: Deadline) -> Listener | None:
    if not node.listen:
        return None
    stack.enter_context(turn(node.listen_host, node.listen, deadline, node.identity))
    return stack.enter_context(Listener(node, ledger, deadline))


def _request(
    node: Node, one: Transaction, ledger: Ledger, known: Transactions, deadline: Deadline, wait: float
) -> Transaction:
    """Send one N-ACTION; it is remembered before, and forgotten where the peer does not take it (R7.6)."""
    known.keep(one)
    sent = False
    try:
        with associate(node, [Context(PUSH_MODEL, (EXPLICIT, IMPLICIT))], deadline, phase="N-ACTION") as association:
            request, data = Normalized(association, "COMMITMENT", on_event=ledger.take), _identifier(one)
            sent = True  # from now on it may have been taken
            request.action(PUSH_MODEL, WELL_KNOWN, REQUEST, data)
            if not ledger.done.is_set():
                _linger(association, ledger, min(wait, STILL))
    except StatusError as error:
        known.forget(one.uid)
        error.advice = "Nothing is asked for; the archive's log says why."
        raise
    except (Cancelled, KeyboardInterrupt):
        if not sent:
            known.forget(one.uid)
        raise
    except DicomlabError:
        if not sent:
            known.forget(one.uid)
            raise
        ledger.remarks.append("the association was lost after the request was sent; it stays asked for")
    return one


def _identifier(one: Transaction) -> Dataset:
    made = Dataset()
    made.TransactionUID = one.uid
    made.ReferencedSOPSequence = []
    for uid, sop_class in one.asked.items():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        made.ReferencedSOPSequence.append(item)
    return made


def _linger(association: Association, ledger: Ledger, seconds: float) -> None:
    """The answer may come on this association while it stands (R7.2)."""
    until = time.monotonic() + seconds
    kept = association.wire.deadline
    try:
        while not ledger.done.is_set() and time.monotonic() < until:
            if kept.stopped:
                raise Cancelled
            association.wire.deadline = Deadline(0.25, 0.25)
            with contextlib.suppress(DimseTimeout):
                message = association.read()
                association.wire.deadline = kept
                association.answer(message, ledger.take(association, message))
    finally:
        association.wire.deadline = kept


def _await(listener: Listener | None, ledger: Ledger, deadline: Deadline, seconds: float) -> None:
    if listener is None:
        ledger.remarks.append("there is no port of ours that an answer could come to: give connect(..., listen=port)")
        return
    until = time.monotonic() + seconds
    while not ledger.done.wait(min(0.25, max(0.0, until - time.monotonic()))) and time.monotonic() < until:
        if deadline.stopped:
            raise Cancelled
        deadline.progressed()  # to wait is no silence of the peer's
    ledger.remarks += [f"turned away: {who}" for who in listener.rejected] + listener.troubles


def _table(
    node: Node,
    rows: Any,
    names: Sequence[tuple[str, str]],
    known: Transactions,
    made: Sequence[Transaction],
    ledger: Ledger,
    deadline: Deadline,
) -> pd.DataFrame:
    import pandas as pd

    now = {uid: one for before in made if (one := known.get(before.uid)) is not None for uid in one.asked}
    frame = pd.DataFrame(index=pd.RangeIndex(len(names))) if rows is None else rows.copy()
    if rows is None:
        frame["SOPInstanceUID"] = pd.array([uid or None for uid, _ in names], dtype="string")
        frame["SOPClassUID"] = pd.array([sop_class or None for _, sop_class in names], dtype="string")
    states = [_state(now.get(uid), uid) for uid, _ in names]
    for column, kind, values in (
        ("committed", "boolean", [state[0] for state in states]),
        ("failure_reason", "Int64", [state[1] for state in states]),
        ("commitment", "string", [state[2] for state in states]),
        ("transaction", "string", [now[uid].uid if uid in now else None for uid, _ in names]),
    ):
        frame[column] = pd.Series(values, index=frame.index, dtype=kind)  # type: ignore[call-overload]
    frame.attrs = {
        **frame.attrs,
        "peer": node.identity,
        "transactions": [one.uid for one in made],
        "pending": [
            one.uid for uid in {one.uid for one in made} if (one := known.get(uid)) is not None and one.pending
        ],
        "retrieve_ae_title": next((one.retrieve_ae_title for one in now.values() if one.retrieve_ae_title), None),
        "media": next((one.media for one in now.values() if one.media), None),
        "remarks": ledger.remarks,
        "elapsed": round(deadline.elapsed, 3),
    }
    return frame


def _state(one: Transaction | None, uid: str) -> tuple[bool | None, int | None, str]:
    """Whether it is committed (None: not known), the failure reason, and both in words (R7.5)."""
    if one is None:
        return None, None, "not asked for: it is not stored" if not uid else "not asked for"
    if uid in one.failed:
        code = one.failed[uid]
        return False, code, f"failed: {REASONS.get(code, f'reason 0x{code:04X}')}"
    if uid in one.committed:
        return True, None, "committed"
    if one.pending:
        return None, None, "no answer yet"
    return False, None, "not committed: the answer names it in neither list"


def _say(node: Node, frame: pd.DataFrame, ledger: Ledger, wait: float) -> None:
    said = list(ledger.remarks)
    failed = frame[frame["committed"].eq(False).fillna(False)]
    if len(failed):
        said.append(
            f"{len(failed):,} of {len(frame):,} instances {are(len(failed))} not committed, "
            f"the first {failed.commitment.iloc[0]}"
        )
    if wait and frame.attrs["pending"]:
        said.append(NOT_YET)
    if said:
        remark(f"{node.identity}: {'; '.join(dict.fromkeys(said))}", stacklevel=4)
