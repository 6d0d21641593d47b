"""What became of what was sent: the rows with their status, and the error that a delivery ends with (R6.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ... import phi
from ...amounts import are, counted
from ...errors import DicomlabError, IncompleteStore, Interrupted, InvalidRequest
from ...outgoing.outgoing import outgoing, twins
from ...outgoing.sendable import Outgoing
from ...pixels.transcoding import LOSSLESS
from ...progress import reporter
from ..association.address import ae_title
from ..association.deadline import Cancelled, Deadline
from ..association.node import Node
from ..retrieve.tally import say
from .sender import Manner, Sent
from .storage import NOT_SENT, Sending

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "path", "SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID",
    "stored", "status", "meaning", "comment", "sent_as", "AffectedSOPInstanceUID", "context", "seconds",
)  # fmt: skip
PRIORITIES = {"low": 2, "medium": 0, "high": 1}  # (0000,0700)


def manner(originator: Any, priority: str, prefer: str | None, lossy: float | None) -> Manner:
    """How to send, of the arguments of `Peer.store`; refuses what makes no sense before anything is sent."""
    if originator is not None:
        title, message_id = originator if isinstance(originator, tuple) and len(originator) == 2 else (originator, 1)
        if isinstance(message_id, bool) or not isinstance(message_id, int) or not 0 <= message_id <= 0xFFFF:
            raise InvalidRequest(
                f"originator={originator!r}", advice='Give an AE title, or ("AET", message id from 0 to 65535).'
            )
        originator = (ae_title(title, "originator"), message_id)
    if priority not in PRIORITIES:
        raise InvalidRequest(f"priority={priority!r}: use {', '.join(map(repr, PRIORITIES))}")
    if prefer is not None and prefer not in LOSSLESS:
        raise InvalidRequest(
            f"prefer={prefer!r} is no transfer syntax that can be written without loss",
            advice=f"Those are {', '.join(LOSSLESS)}.",
        )
    if lossy is not None and (isinstance(lossy, bool) or not isinstance(lossy, int | float) or not 1 < lossy <= 1000):
        raise InvalidRequest(f"lossy={lossy!r}", advice="Give how many to one, such as 10; None loses nothing.")
    if lossy is not None and prefer is not None:
        raise InvalidRequest("prefer= is for syntaxes without loss, and lossy= was given", advice="Give one of them.")
    return Manner(originator, PRIORITIES[priority], () if prefer is None else (prefer,), lossy)


def check(errors: str | None) -> None:
    """Refuse what cannot be asked, before anything is sent."""
    if errors not in (None, "raise", "report"):
        raise InvalidRequest(f"errors={errors!r}: use 'raise' or 'report'")


def store(
    node: Node,
    what: Any,
    deadline: Deadline,
    *,
    how: Manner,
    progress: Any = None,
    errors: str | None = None,
) -> pd.DataFrame:
    """Send instances; see `Peer.store`."""
    import pandas as pd

    items = outgoing(what)
    if errors is None:
        errors = "raise" if len(items) == 1 and not isinstance(what, pd.DataFrame) else "report"
    same = twins(items)
    before = _before(node, what)
    waiting = [row for row in range(len(items)) if row not in before and same.get(row) in (None, *before)]
    bar = reporter(progress, "store", len(waiting))
    sending = Sending(node, [items[row] for row in waiting], deadline, how, bar)
    try:
        sending.run()
    finally:
        bar.close()
    outcome = dict(zip(waiting, sending.sent, strict=True))
    for row in range(len(items)):
        if row not in before and row not in outcome:
            outcome[row] = _as(outcome[same[row]], items[row], same[row] + 1)
    frame = _frame(what, items, outcome)
    frame.attrs = {
        "peer": node.identity,
        "stored": int(frame["stored"].sum()),
        "skipped": len(before),
        "associations": sending.associations,
        "lost": sending.lost,
        "cancelled": isinstance(sending.cause, KeyboardInterrupt | Cancelled),
        "elapsed": round(deadline.elapsed, 3),
    }
    return _end(node, phi.frame(frame), sending, list(outcome.values()), errors)


def _as(first: Sent, item: Outgoing, place: int) -> Sent:
    """What became of an instance that was given before, and that is sent once."""
    comment = "; ".join(filter(None, (first.comment, f"the same as instance {place} of these, and sent once")))
    return replace(first, item=item, comment=comment if first.comment != NOT_SENT else NOT_SENT)


def _before(node: Node, what: Any) -> set[int]:
    """Rows of a table that `store` made for this peer, and that it has stored by then: they are not sent again."""
    import pandas as pd

    if not isinstance(what, pd.DataFrame) or what.attrs.get("peer") != node.identity or "stored" not in what:
        return set()
    return {row for row, stored in enumerate(what["stored"].tolist()) if stored is True}


def _frame(what: Any, items: list[Outgoing], sent: dict[int, Sent]) -> pd.DataFrame:
    """The rows that were given, or one an instance, with the columns that say how it went."""
    import pandas as pd

    table = isinstance(what, pd.DataFrame)
    frame = what.copy() if table else pd.DataFrame(index=pd.RangeIndex(len(items)))
    names: dict[str, list[Any]] = {
        "path": [phi.path(item.path) if item.path else None for item in items],
        "SOPInstanceUID": [item.sop_instance or None for item in items],
        "SOPClassUID": [item.sop_class or None for item in items],
        "TransferSyntaxUID": [item.transfer_syntax or None for item in items],
    }
    for name, values in names.items():
        if not (table and name in frame):
            frame[name] = pd.array(values, dtype="string") if name != "path" else _paths(values)
    came: dict[str, tuple[str, list[Any]]] = {
        "stored": ("boolean", [one.stored for one in sent.values()]),
        "status": ("Int64", [one.status.code if one.status else None for one in sent.values()]),
        "meaning": ("string", [one.status.meaning if one.status else None for one in sent.values()]),
        "comment": ("string", [phi.said(one.comment) or None for one in sent.values()]),
        "sent_as": ("string", [one.syntax or None for one in sent.values()]),
        "AffectedSOPInstanceUID": ("string", [one.instance or None for one in sent.values()]),
        "context": ("Int64", [one.context for one in sent.values()]),
        "seconds": ("Float64", [one.seconds for one in sent.values()]),
    }
    for name, (kind, values) in came.items():
        cells = frame[name].tolist() if name in frame else [None] * len(frame)
        for row, value in zip(sent, values, strict=True):
            cells[row] = value
        frame[name] = pd.Series(cells, index=frame.index, dtype=cast(Any, kind))
    return frame


def _paths(values: list[Any]) -> Any:
    import pandas as pd

    try:
        return pd.array(values, dtype="string")
    except UnicodeEncodeError:  # a name that is not UTF-8
        return pd.Series(values, dtype="object").array


def _end(node: Node, frame: pd.DataFrame, sending: Sending, outcome: list[Sent], errors: str) -> pd.DataFrame:
    failed = [one for one in outcome if not one.stored]
    warned = [one for one in outcome if one.stored and one.status and one.status.code]
    remarks = [f"an association was lost, and the rest was sent over another ({why})" for why in sending.lost[:3]]
    if warned:
        remarks.append(f"{len(warned)} stored with a warning, the first {warned[0].status}")
    cause = sending.cause
    if isinstance(cause, KeyboardInterrupt):
        text = f"{node.identity}: stopped after {frame.attrs['stored']:,} of {len(frame):,} instances were stored"
        raise Interrupted(f"{text}, see sys.last_value.rows; give these to store() to go on", frame) from None
    if not failed:
        say(remarks, node.identity)
        return frame
    answered = any(one.status is not None for one in sending.sent)
    if isinstance(cause, DicomlabError) and not answered and not any(one.tried for one in sending.sent):
        raise cause  # nothing was sent: the reason is all there is to say
    if cause is None and sending.refused is not None and all(one.status is None for one in sending.sent):
        raise sending.refused
    trouble = _incomplete(node, frame, sending, failed)
    if errors == "raise":
        raise trouble from cause
    say([trouble.message, *remarks], node.identity)
    return frame


def _incomplete(node: Node, frame: pd.DataFrame, sending: Sending, failed: list[Sent]) -> IncompleteStore:
    first = failed[0]
    total = len(frame)
    untried = sum(one.comment == NOT_SENT for one in failed)
    unsent = counted(untried, "was not sent", "were not sent")
    why = str(first.status) if first.status else first.comment
    name = first.item.path or first.item.sop_instance or "the data set"
    if total == 1:
        text = f"{name} is not stored: {why}"
    else:
        text = f"{total - len(failed):,} of {total:,} instances {are(total - len(failed))} stored; "
        text += f"the first that is not, {name}: {why}" if first.comment != NOT_SENT else unsent
    if untried and first.comment != NOT_SENT:
        text += f"; {unsent}"
    ours = all(one.seconds is None and one.comment != NOT_SENT for one in failed)  # never asked of the peer
    if isinstance(sending.cause, DicomlabError) and sending.cause.message not in why:
        text += f" ({sending.cause.message})"
    return IncompleteStore(
        text,
        rows=frame,
        peer=node.identity,
        phase="C-STORE",
        elapsed=sending.deadline.elapsed,
        status=first.status,
        advice="The rows say what is wrong with each: mend it, or leave it out."
        if ours
        else "The rows say how each went; give them to store() again, and only what is not stored is sent.",
    )
