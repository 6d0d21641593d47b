"""Procedure steps that we began: on disk, by SOP Instance UID, so that one that is lost can be gone on with (R8.8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...steps.stepattributes import PATIENT, SCHEDULED
from ...steps.stepvalues import missing
from ..association.remembered import Remembered

if TYPE_CHECKING:
    import pandas as pd
    from pydicom.dataset import Dataset

MPPS = "1.2.840.10008.3.1.2.3.3"
IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"


@dataclass(frozen=True)
class Performed:
    """One step, and how far it is; nothing that names its patient."""

    uid: str  # SOP Instance UID
    node: str  # identity of the peer, "AET@host:port"
    digest: str  # of what was scheduled: the same step given again is known by it
    at: float  # when it began, in seconds since the epoch
    studies: Sequence[str]  # Study Instance UIDs
    steps: Sequence[str]  # Scheduled Procedure Step IDs
    modality: str
    protocol: str  # Protocol Name of a series that says none
    created: Sequence[str]  # keywords of what it was created with
    changes: Mapping[str, Any] = field(default_factory=dict)  # what was set since, as DICOM JSON
    status: str = ""  # (0040,0252), as the peer has confirmed it; "" before it has
    asked: str = ""  # the status that was sent and not answered; "" where nothing is open
    ended: float | None = None

    @property
    def final(self) -> bool:
        """Whether nothing may change any more."""
        return self.status in (COMPLETED, DISCONTINUED)

    def data(self) -> Dataset:
        """The attributes that were set."""
        from pydicom.dataset import Dataset

        return Dataset.from_json(dict(self.changes))

    def count(self) -> tuple[int, int]:
        """Series and instances that were made so far."""
        series = self.data().get("PerformedSeriesSequence") or []
        names = "ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"
        return len(series), sum(len(one.get(name) or ()) for one in series for name in names)


class PerformedSteps(Remembered[Performed]):
    """A folder with a file for each step."""

    kind, name, what = Performed, "performed", "a procedure step"


def digest(steps: Sequence[Mapping[str, Any]]) -> str:
    """Of what is scheduled, so that its patient cannot be read from it."""
    names = (*PATIENT, *SCHEDULED, "Modality")
    said = [["" if missing(step.get(name)) else str(step[name]) for name in names] for step in steps]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def performed(node: str) -> pd.DataFrame:
    """The steps of a peer as a table; see `Peer.performed`."""
    import pandas as pd

    known = PerformedSteps().of(node)
    counts = [one.count() for one in known]

    def column(values: list[Any], kind: Any = "string") -> Any:
        return pd.array(values, dtype=kind)

    def moments(values: list[float | None]) -> Any:
        return pd.to_datetime(pd.Series(values, dtype="float64"), unit="s")

    frame = pd.DataFrame(
        {
            "SOPInstanceUID": column([one.uid for one in known]),
            "SOPClassUID": column([MPPS] * len(known)),
            "PerformedProcedureStepStatus": column([one.status or None for one in known]),
            "unanswered": column([one.asked or None for one in known]),
            "Modality": column([one.modality for one in known]),
            "StudyInstanceUID": column([one.studies[0] for one in known]),
            "ScheduledProcedureStepID": column(["\\".join(one.steps) or None for one in known]),
            "series": column([series for series, _ in counts], "Int64"),
            "instances": column([instances for _, instances in counts], "Int64"),
            "began": moments([one.at for one in known]),
            "ended": moments([one.ended for one in known]),
        }
    )
    frame.attrs = {"peer": node}
    return frame
