"""What the matches do not say themselves is asked for once more: modalities and numbers (R3.10a, R3.15)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...datasets.elements import Elements, tag_of
from ...level import QueryLevel
from ...queries.identifier import identifiers
from ...queries.matching import matches as matches_keys
from ...queries.models import COMPUTED, RETURN_KEYS, levels_of
from ..association.association import Association
from ..association.operation import Course, matches
from .inheritance import inherit

UIDS_AT_ONCE = 200  # in one key: below 16 KiB, the smallest limit of an identifier that is met


class Asked:
    """Questions beside the main one, on its association; they count as its C-FINDs."""

    def __init__(self, association: Association, model: str, course: Course) -> None:
        self.association, self.model, self.main = association, model, course
        self.whole = True  # whether the answer to the last question was whole

    def __call__(
        self, level: QueryLevel, keys: Mapping[str, Any], returned: Sequence[str], *, hierarchical: bool = True
    ) -> Iterator[Elements]:
        course = Course(limit=0)
        asked = identifiers(level, keys, model=self.model, return_keys=returned, hierarchical=hierarchical)
        for identifier in asked:
            yield from matches(self.association, self.model, identifier, course)
        self.main.queries += course.queries
        self.whole = not (course.cut or course.cancelled or course.unreadable)

    def names(self, record: Elements, level: QueryLevel) -> dict[str, str]:
        """The unique keys of a match, down to that level; {} where it lacks one."""
        known = levels_of(self.model)
        if level not in known:
            return {}
        found = {one.unique_key: record.text(one.unique_key) for one in known[: known.index(level) + 1]}
        return found if all(found.values()) else {}


def decide_modalities(ask: Asked, records: list[Elements], keys: Mapping[str, Any]) -> list[Elements]:
    """Where the archive says nothing of ModalitiesInStudy, the series of each study decide (R3.15)."""
    asked = keys.get("ModalitiesInStudy")
    if not asked or QueryLevel.SERIES not in levels_of(ask.model):
        return records
    kept: list[Elements] = []
    for record in records:
        names = ask.names(record, QueryLevel.STUDY)
        if not record.text("ModalitiesInStudy") and names:
            found = {series.text("Modality") for series in ask(QueryLevel.SERIES, names, ["Modality"])}
            record.raw[tag_of("ModalitiesInStudy")] = ("CS", "\\".join(sorted(found - {""})).encode())
        if not names or matches_keys(record, {"ModalitiesInStudy": asked}):
            kept.append(record)
    return kept


def count(ask: Asked, level: QueryLevel, records: Sequence[Elements]) -> None:
    """Fill NumberOf...RelatedInstances where the archive does not give it, by counting at IMAGE level (R3.10a)."""
    name = {
        QueryLevel.STUDY: "NumberOfStudyRelatedInstances",
        QueryLevel.SERIES: "NumberOfSeriesRelatedInstances",
    }.get(level)
    if name is None or QueryLevel.IMAGE not in levels_of(ask.model):
        return
    for record in records:
        names = ask.names(record, level)
        if record.text(name) or not names:
            continue
        below, whole = [names], True
        if level is QueryLevel.STUDY:
            series = [one.text("SeriesInstanceUID") for one in ask(QueryLevel.SERIES, names, ["SeriesInstanceUID"])]
            below, whole = [{**names, "SeriesInstanceUID": uid} for uid in series if uid], ask.whole
        images = 0
        for one in below:
            images += len({image.text("SOPInstanceUID") for image in ask(QueryLevel.IMAGE, one, ["SOPInstanceUID"])})
            whole &= ask.whole
        if whole:  # of a list that was cut the length says nothing
            record.raw[tag_of(name)] = ("IS", str(images).encode())


def complete(ask: Asked, level: QueryLevel, records: Sequence[Elements]) -> None:
    """What a relational answer leaves out of the levels above, most often numbers, by a C-FIND a level."""
    known = levels_of(ask.model)
    for upper in reversed(known[: known.index(level)]):
        asked = [name for name in RETURN_KEYS[upper] if name != upper.unique_key]
        absent = [name for name in asked if not all(_says(record, name) for record in records)]
        if not absent:
            continue
        uids = list(dict.fromkeys(record.text(upper.unique_key) for record in records))
        parents: dict[str, Elements] = {}
        for at in range(0, len(uids), UIDS_AT_ONCE):
            some = uids[at : at + UIDS_AT_ONCE]
            for parent in ask(upper, {upper.unique_key: some}, absent, hierarchical=False):
                parents[parent.text(upper.unique_key)] = parent
        for record in records:
            if found := parents.get(record.text(upper.unique_key)):
                inherit(record, found)


def _says(record: Elements, name: str) -> bool:
    """Whether a match holds an attribute; one that the archive computes, with a value."""
    cell = record.raw.get(tag_of(name))
    return cell is not None and bool(cell[1] or name not in COMPUTED)
