"""Which C-FINDs one question needs: level by level, and what is asked once more (PS3.4 C.4.1.3.1.1)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..elements import Elements, tag_of
from ..errors import InvalidRequest, ResultWarning
from ..identifier import identifiers
from ..level import QueryLevel
from ..matching import matches as matches_keys
from ..models import PATIENT_ROOT, PATIENT_STUDY_ONLY, RETURN_KEYS, STUDY_ROOT, split_keys
from ..tables import table
from .association import Association
from .inheritance import inherit
from .operation import Course, matches
from .provenance import wrong_rows

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANY_QUERIES = 200  # C-FINDs of one drill-down above which it is said beforehand
MODELS = {"patient": PATIENT_ROOT, "study": STUDY_ROOT, "patient-study-only": PATIENT_STUDY_ONLY}


def model_for(model: str | None, level: QueryLevel | None) -> str:
    """UID of the information model: by name, by UID, or the one that has the level."""
    if model is None:
        return PATIENT_ROOT if level is QueryLevel.PATIENT else STUDY_ROOT
    if model in MODELS:
        return MODELS[model]
    if not model[:1].isdigit():
        raise InvalidRequest(f"{model!r} is no query model", advice=f"Use {', '.join(MODELS)} or a UID.")
    return model


class Plan:
    """Which identifiers one question needs, level by level (hierarchical method, PS3.4 C.4.1.3.1.1).

    Above the level asked for, each match is a question of its own at the next level; what it says of patient and
    study goes into the rows below it, so that the table is the same whichever peer answered.
    """

    def __init__(self, model: str, level: QueryLevel | None, keys: dict[str, Any], template: Any) -> None:
        self.model, self.level, self.keys, self.template = model, level, keys, template
        if not keys and template is None:
            raise InvalidRequest(
                "nothing was requested",
                advice='Give a key, such as PatientName="DOE*", or PatientName="" for all.',
            )
        self.steps: list[tuple[QueryLevel | None, dict[str, Any]]]
        if level is None or template is not None:
            self.steps = [(level, keys)]
        else:
            shares = split_keys(level, keys, model)
            self.steps = [
                (step, shares.get(step, {}))
                for step in (*level.above, level)
                if step is not QueryLevel.PATIENT or model != STUDY_ROOT
            ]
        self.first = self._identifiers(0, {})  # refuses bad keys before anything is sent
        for number in range(1, len(self.steps)):
            above = {step.unique_key: "1" for step, _ in self.steps[:number] if step}
            self._identifiers(number, above)
        self.columns = self._columns()

    def _identifiers(self, number: int, above: dict[str, str]) -> list[Dataset]:
        level, keys = self.steps[number]
        wanted: dict[str, Any] = {**above, **keys}
        upper = number < len(self.steps) - 1
        if upper and level is not None and not wanted:
            wanted = {level.unique_key: None}
        return identifiers(level, wanted, model=self.model, template=self.template)

    def _columns(self) -> list[str]:
        names: dict[str, None] = {}
        for level, keys in reversed(self.steps):
            if level is not None:
                names.update(dict.fromkeys(RETURN_KEYS[level]))
            names.update(dict.fromkeys(str(key) for key in keys))
        if self.template is not None or self.level is None:
            for identifier in self.first:
                names.update(dict.fromkeys(element.keyword for element in identifier if element.keyword))
        uids = [step.unique_key for step in QueryLevel if step.unique_key in names]
        rest = [name for name in names if name not in uids and name.isidentifier()]
        hidden = {"SpecificCharacterSet", "QueryRetrieveLevel"}
        return [name for name in (*uids, *rest) if name not in hidden]

    def run(self, association: Association, course: Course) -> Iterator[Elements]:
        """The matches, from the first level down, until done, cut or cancelled."""
        yield from self._descend(association, course, 0, {}, None)

    def _descend(
        self, association: Association, course: Course, number: int, above: dict[str, str], parent: Elements | None
    ) -> Iterator[Elements]:
        last = number == len(self.steps) - 1
        level = self.steps[number][0]
        parents: list[Elements] = []
        seen: set[str] = set()
        questions = self.first if number == 0 else self._identifiers(number, above)
        for identifier in questions:
            answers = matches(association, self.model, identifier, course)
            for record in answers:
                if len(questions) > 1 or not last:  # a union has each match once (R3.6), and a drill-down each parent
                    uid = record.text(level.unique_key) if level is not None else repr(sorted(record.raw.items()))
                    if uid and uid in seen:
                        continue
                    seen.add(uid)
                if parent is not None:
                    inherit(record, parent)
                if not last:
                    parents.append(record)
                    continue
                if course.matches >= course.limit:
                    course.cut = f"cut at the limit of {course.limit:,} rows"
                    answers.close()
                    return
                course.matches += 1
                yield record
            if course.full:
                return
        if last:
            return
        assert level is not None
        if level is QueryLevel.STUDY:
            parents = decide_modalities(association, parents, self, self.model)
        parents = self._kept(level, parents)
        if len(parents) > MANY_QUERIES:
            warnings.warn(
                f"{association.node.identity}: this question needs a query for each of {len(parents):,} matches "
                f"at {level.value} level; narrow it by a key of that level",
                ResultWarning,
                stacklevel=5 + number,
            )
        for record in parents:
            uid = record.text(level.unique_key)
            if not uid:
                continue
            yield from self._descend(association, course, number + 1, {**above, level.unique_key: uid}, record)
            if course.full:
                return

    def _kept(self, level: QueryLevel, parents: list[Elements]) -> list[Elements]:
        """The matches above the level asked for that fit its keys, where the peer ignored one."""
        keys = next(keys for step, keys in self.steps if step == level)
        wrong = wrong_rows(table(parents, list(keys)), keys) if keys and parents else {}
        drop = {
            row
            for name, rows in wrong.items()
            if len(rows) < len(parents) or any(parents[at].text(name) for at in rows)
            for row in rows
        }
        return [record for row, record in enumerate(parents) if row not in drop]


def decide_modalities(
    association: Association, records: list[Elements], plan: Plan, model: str
) -> list[Elements]:
    """Where the archive says nothing of ModalitiesInStudy, the series of each study decide (R3.15)."""
    asked = plan.keys.get("ModalitiesInStudy")
    if not asked:
        return records
    for record in records:
        study = record.text("StudyInstanceUID")
        if record.text("ModalitiesInStudy") or not study:
            continue
        below = Plan(model, QueryLevel.SERIES, _named(record, model), None)
        found = {series.text("Modality") for series in below.run(association, Course(10**9))}
        value = "\\".join(sorted(found - {""})).encode()
        record.raw[tag_of("ModalitiesInStudy")] = ("CS", value)
    return [record for record in records if matches_keys(record, {"ModalitiesInStudy": asked})]


def count(association: Association, level: QueryLevel, records: Sequence[Elements], model: str) -> None:
    """Fill NumberOf...RelatedInstances where the peer does not give it, by counting at IMAGE level."""
    name = {
        QueryLevel.STUDY: "NumberOfStudyRelatedInstances",
        QueryLevel.SERIES: "NumberOfSeriesRelatedInstances",
    }.get(level)
    if name is None:
        return
    for record in records:
        if record.text(name) or not record.text("StudyInstanceUID"):
            continue
        above = _named(record, model)
        if level is QueryLevel.SERIES:
            above["SeriesInstanceUID"] = record.text("SeriesInstanceUID")
        plan = Plan(model, QueryLevel.IMAGE, above, None)
        number = sum(1 for _ in plan.run(association, Course(10**9)))
        record.raw[tag_of(name)] = ("IS", str(number).encode())


def _named(record: Elements, model: str) -> dict[str, Any]:
    """The unique keys of a study, as the model needs them."""
    patient = {"PatientID": record.text("PatientID")} if model == PATIENT_ROOT else {}
    return {**patient, "StudyInstanceUID": record.text("StudyInstanceUID")}
