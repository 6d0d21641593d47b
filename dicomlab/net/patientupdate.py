"""What became of an update of a patient, or what a dry run shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from .. import phi
from ..markup import Html, printable
from ..markup import rows as html_rows
from ..status import Status
from .updates import words_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class PatientUpdate:
    """One action of `Peer.patients`."""

    action: int  # Action Type ID
    peer: str  # "AET@host:port"
    transaction: str  # Transaction UID
    dataset: Dataset  # what was or would be sent
    status: Status | None = None  # None: a dry run, nothing was sent
    found: pd.DataFrame | None = None  # of a dry run: studies, or series, at the peer that it is about
    lacks: tuple[str, ...] = ()  # of a dry run: what must be said before it is sent
    reply: Dataset | None = None  # what the peer sent back, None where that was nothing

    @property
    def name(self) -> str:
        """The name of the action, in words."""
        return words_of(self.action)

    def _facts(self) -> list[tuple[str, str]]:
        said = "dry run, nothing was sent" if self.status is None else str(self.status)
        facts = [("peer", self.peer), ("action", f"{self.name} ({self.action})"), ("result", said)]
        if self.found is not None:
            facts += [("found there", _lines(self.found))]
        facts += [("was sent" if self.status is not None else "would be sent", "\n".join(_shown(self.dataset)))]
        return facts + [("still needed", one) for one in self.lacks]

    def __repr__(self) -> str:
        facts = self._facts()
        lines = [f"PatientUpdate: {facts[1][1]} at {self.peer}, {facts[2][1]}"]
        for name, text in facts[3:]:
            lines += [f"  {name}:", *(f"    {line}" for line in text.splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> Html:
        return html_rows(self._facts(), f"PatientUpdate {self.transaction}")


def _lines(found: pd.DataFrame) -> str:
    if not len(found):
        return "nothing"
    wanted = ("PatientID", "PatientName", "StudyDate", "StudyDescription", "Modality", "SeriesDescription")
    return str(found[[name for name in wanted if name in found]].to_string(index=False))


def _shown(dataset: Dataset, space: str = "") -> list[str]:
    """The elements as lines, with pseudonyms while names are hidden."""
    lines: list[str] = []
    for one in dataset:
        label = f"{space}{one.keyword} ({int(one.tag) >> 16:04X},{int(one.tag) & 0xFFFF:04X})"
        if one.VR == "SQ":
            lines.append(f"{label}:")
            for item in one.value:
                lines += _shown(item, f"{space}  ")
        else:
            text = "" if one.value is None else str(one.value)
            lines.append(f"{label}: {printable(str(phi.named(one.keyword, text)))}")
    return lines
