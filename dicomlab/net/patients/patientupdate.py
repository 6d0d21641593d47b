"""What became of an update of a patient, or what a dry run shows of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from ... import phi
from ...markup import Html, printable, tag
from ...markup import rows as html_rows
from ...status import Status
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

    @property
    def result(self) -> str:
        """What came of it, in words."""
        return "dry run, nothing was sent" if self.status is None else str(self.status)

    def __repr__(self) -> str:
        lines = [f"PatientUpdate: {self.name} ({self.action}) at {self.peer}, {self.result}"]
        if self.found is not None:
            seen = _seen(self.found)
            lines += [
                "  found there:",
                *_indented(seen.to_string(index=False).splitlines() if len(seen) else ["nothing"]),
            ]
        lines += ["  would be sent:" if self.status is None else "  was sent:", *_indented(_shown(self.dataset))]
        if self.lacks:
            lines += ["  still needed:", *_indented(self.lacks)]
        return "\n".join(lines)

    def _repr_html_(self) -> Html:
        facts: list[tuple[str, object]] = [("peer", self.peer), ("result", self.result)]
        if self.found is not None:
            facts.append(("found there", _table(_seen(self.found)) if len(self.found) else "nothing"))
        sent = [
            tag("div", line.strip(), style=f"margin-left:{(len(line) - len(line.lstrip())) / 2:g}em")
            for line in _shown(self.dataset)
        ]
        facts.append(("would be sent" if self.status is None else "was sent", sent))
        facts += [("still needed", tag("code", one)) for one in self.lacks]
        return html_rows(facts, f"{self.name} ({self.action})")


def _seen(found: pd.DataFrame) -> pd.DataFrame:
    """The columns that a person tells studies and series by."""
    wanted = ("PatientID", "PatientName", "StudyDate", "StudyDescription", "Modality", "SeriesDescription")
    return found[[name for name in wanted if name in found]]


def _table(found: pd.DataFrame) -> Html:
    text = found.astype("string").fillna("")
    lines = [tag("tr", [tag("td", value) for value in row]) for row in text.itertuples(index=False)]
    return tag("table", tag("tr", [tag("th", name) for name in text.columns]), lines)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


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
