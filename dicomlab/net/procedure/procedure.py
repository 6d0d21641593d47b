"""What is to be performed: a step that was scheduled, one that nobody scheduled, or one that was begun (SPEC 8)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from ...remarks import remark
from ...steps.stepattributes import creation, scheduled
from ...writers.modules import new_uid
from ..association.node import Node
from .performed import IN_PROGRESS, MPPS, Performed, PerformedSteps, digest
from .performedstep import Begin, PerformedStep

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def perform(node: Node, step: Any, given: Mapping[str, Any], begin: Begin) -> PerformedStep:
    """A step to be begun, or one that was; see `Peer.perform`."""
    steps = PerformedSteps()
    uid = _begun(step)
    if uid:
        state = steps.get(uid)
        if state is None or state.node != node.identity:
            raise InvalidRequest(
                f"no step {uid} was begun from here with this peer",
                peer=node.identity,
                advice="peer.performed() lists those that were.",
            )
        if given:
            raise InvalidRequest("the step is begun already", advice="Say what changes by set(...).")
        return PerformedStep(node, begin, state, None, steps)
    plan, now = scheduled(step), dt.datetime.now()
    first = creation(plan, given, node.calling, now)
    key = digest(plan)
    before = [one for one in steps.of(node.identity) if one.digest == key]
    open_ = next((one for one in before if not one.status), None)  # it was sent, and no answer came
    running = next((one for one in before if one.status == IN_PROGRESS), None)
    if running is not None:
        remark(
            f"{node.identity}: this step is IN PROGRESS already: peer.perform({running.uid!r}) goes on with it, "
            "and this begins another",
            stacklevel=3,
        )
    items = first.ScheduledStepAttributesSequence
    named = first.PerformedProcedureStepDescription or items[0].RequestedProcedureDescription or first.Modality
    state = Performed(
        uid=new_uid() if open_ is None else open_.uid,
        node=node.identity,
        digest=key,
        at=now.timestamp(),
        studies=[str(item.StudyInstanceUID) for item in items],
        steps=[str(item.ScheduledProcedureStepID) for item in items if item.ScheduledProcedureStepID],
        modality=str(first.Modality),
        protocol=_protocol(first) or str(named),
        created=[part.keyword for part in first],
        asked="" if open_ is None else IN_PROGRESS,
    )
    return PerformedStep(node, begin, state, first, steps)


def _begun(step: Any) -> str:
    """SOP Instance UID where a UID is given, or one row of `Peer.performed`; "" where it is none."""
    import pandas as pd

    if isinstance(step, str):
        return step
    if isinstance(step, pd.DataFrame) and len(step) == 1:
        step = step.iloc[0]
    if isinstance(step, pd.Series | Mapping) and step.get("SOPClassUID") == MPPS:
        return str(step.get("SOPInstanceUID"))
    if isinstance(step, pd.DataFrame) and "SOPClassUID" in step and (step["SOPClassUID"] == MPPS).any():
        raise InvalidRequest("one step is gone on with at a time", advice="Choose one row.")
    return ""


def _protocol(first: Dataset) -> str:
    """What the scheduled protocol is called."""
    codes: Sequence[Any] = first.PerformedProtocolCodeSequence or ()
    with suppress(AttributeError):
        return ", ".join(str(one.CodeMeaning) for one in codes)[:64]
    return ""
