"""Structured reports and key object selections: the content tree and the measurements as tables (PS3.3 C.17)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from ..amounts import counted
from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..markup import shown
from .codes import code_of
from .content import BY_REFERENCE, COLUMNS, content
from .instance import WANTED, Instance, blamed, thing, whole
from .reader import Found

_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
MEASUREMENTS = (
    "name", "code", "value", "unit", "modifiers", "finding", "finding_site", "tracking", "references", "path",
)  # fmt: skip
REFERENCES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "evidence")
#: A number said of an image or of another item, and not found in it.
_CONTEXT = frozenset({"HAS ACQ CONTEXT", "HAS OBS CONTEXT", "HAS CONCEPT MOD"})
_FINDING = frozenset({("121071", "DCM")})
_SITE = frozenset({("363698007", "SCT"), ("G-C0E3", "SRT")})
#: None stays None, and nothing becomes a number.
_KINDS: dict[str, Any] = dict.fromkeys(("value", "references", "frames", "points"), object)
_TRACKING = frozenset({("112039", "DCM")})


@dataclass(frozen=True, repr=False, eq=False)
class Report(Instance):
    """A structured report, or a selection of key objects.

    Attributes
    ----------
    heading
        Title of the document.
    status
        Completion and verification, as "COMPLETE, VERIFIED".
    content
        One row for each content item: path ("1.2.3"), relationship, value_type, concept with its code and scheme,
        value (text, number, type of a graphic, or the path a relationship by reference points to), value_code,
        unit (code), references (SOP Instance UIDs), frames, points.
    measurements
        One row for each number that was found: name, code, value, unit, modifiers (derivation, method, ...), finding,
        finding_site, tracking, references (SOP Instance UIDs), path in `content`.
    references
        The instances it was made from, with their UIDs: a table that can be retrieved and loaded.
    """

    heading: str
    status: str
    content: pd.DataFrame
    measurements: pd.DataFrame
    references: pd.DataFrame

    @property
    def text(self) -> str:
        """The tree as indented lines."""
        lines = []
        for row in self.content.itertuples():
            what = ": ".join(part for part in (str(row.concept), _said(row)) if part)
            lines.append("  " * str(row.path).count(".") + shown(what or str(row.value_type).lower()))
        return "\n".join(lines)

    def facts(self) -> Iterable[tuple[str, str]]:
        """Heading, status, and how much there is of what."""
        yield "heading", self.heading or self.title
        yield "title", self.title
        yield "status", self.status
        yield "content", counted(len(self.content), "item")
        yield "measurements", str(len(self.measurements))
        yield "references", counted(len(self.references), "instance")


class Reports:
    """Every class with a content tree, key object selections among them."""

    wanted = WANTED

    def reads(self, sop_class: str, header: Elements) -> bool:
        """A class of structured reports."""
        return sop_class.startswith(_REPORTS)

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Each instance alone."""

        def make(known: dict[str, Any], _: list[str]) -> Report:
            with blamed(known["path"]):
                return _report(known)

        return Found([thing(headers, row, make) for row in rows])


def _report(known: dict[str, Any]) -> Report:
    root = whole(
        known["path"], "ValueType", "ConceptNameCodeSequence", "ContentSequence", "CompletionFlag", "VerificationFlag",
        "CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence",
    )  # fmt: skip
    rows = list(content(root))
    columns = {name: pd.Series([row[name] for row in rows], dtype=_KINDS.get(name)) for name in COLUMNS}
    return Report(
        **known,
        heading=str(code_of(root, "ConceptNameCodeSequence")),
        status=", ".join(text for name in ("CompletionFlag", "VerificationFlag") if (text := root.text(name))),
        content=pd.DataFrame(columns),
        measurements=pd.DataFrame(_measurements(rows), columns=list(MEASUREMENTS)),
        references=pd.DataFrame(_references(root), columns=list(REFERENCES)),
    )


def _references(root: Elements) -> Iterator[dict[str, str]]:
    for name, evidence in (
        ("CurrentRequestedProcedureEvidenceSequence", "current"),
        ("PertinentOtherEvidenceSequence", "pertinent"),
    ):
        for study in root.items(name):
            for series in study.items("ReferencedSeriesSequence"):
                for instance in series.items("ReferencedSOPSequence"):
                    yield {
                        "StudyInstanceUID": study.text("StudyInstanceUID"),
                        "SeriesInstanceUID": series.text("SeriesInstanceUID"),
                        "SOPInstanceUID": instance.text("ReferencedSOPInstanceUID"),
                        "SOPClassUID": instance.text("ReferencedSOPClassUID"),
                        "evidence": evidence,
                    }


class _Tree:
    """The rows of a tree by their paths."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = {row["path"]: row for row in rows}
        self.below: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            self.below.setdefault(above(row["path"]), []).append(row)

    def children(self, path: str) -> list[Mapping[str, Any]]:
        return self.below.get(path, [])

    def uids(self, path: str, *, all_below: bool = True) -> list[str]:
        """SOP Instance UIDs that are referred to below an item, directly or by its references to other items.

        Without `all_below` those of other numbers and groups are left out.
        """
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = self.children(path)[::-1]  # the first is taken first
        while waiting:
            item = waiting.pop()
            if item["path"] in seen:
                continue
            seen.add(item["path"])
            found |= dict.fromkeys(item["references"])
            if item["value_type"] == BY_REFERENCE:
                target = self.rows.get(item["value"])
                waiting += [target] if target and target["value_type"] != "CONTAINER" else []
            elif all_below or item["value_type"] not in ("NUM", "CONTAINER"):
                waiting += self.children(item["path"])[::-1]
        return list(found)


def above(path: str) -> str:
    """The path of the parent."""
    return path.rpartition(".")[0]


def _measurements(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    tree = _Tree(rows)
    said = {"finding": _FINDING, "finding_site": _SITE, "tracking": _TRACKING}

    @cache
    def of_group(path: str) -> dict[str, Any]:
        children = tree.children(path)
        found = {name: _among(children, codes) for name, codes in said.items()}
        return found | {"references": tree.uids(path, all_below=False)}

    for row in rows:
        if row["value_type"] != "NUM" or row["relationship"] in _CONTEXT:
            continue
        path = row["path"]
        children, group = tree.children(path), of_group(above(path))
        modifiers = [
            f"{child['concept']}: {child['value']}"
            for child in children
            if child["relationship"] == "HAS CONCEPT MOD" and (child["code"], child["scheme"]) not in _SITE
        ]
        yield {
            "name": row["concept"],
            "code": f"{row['code']} {row['scheme']}".strip(),
            "value": row["value"] if isinstance(row["value"], float) else np.nan,
            "unit": row["unit"],
            "modifiers": "; ".join(modifiers),
            **{name: _among(children, codes) or group[name] for name, codes in said.items()},
            "references": tree.uids(path) or list(group["references"]),
            "path": path,
        }


def _among(items: Sequence[Mapping[str, Any]], codes: frozenset[tuple[str, str]]) -> str:
    """The value of the first item of such a concept."""
    return next((str(item["value"] or "") for item in items if (item["code"], item["scheme"]) in codes), "")


def _said(row: Any) -> str:
    value = "" if row.value is None else f"{row.value:g}" if isinstance(row.value, float) else str(row.value)
    return f"{value} {row.unit}".strip()
