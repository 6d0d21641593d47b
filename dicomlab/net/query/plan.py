"""Which C-FINDs one question needs: level by level, and what is asked once more (PS3.4 C.4.1.3.1.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...datasets.elements import Elements, tag_of
from ...errors import InvalidRequest, StatusError
from ...level import QueryLevel
from ...queries.identifier import attributes_of, columns_of, identifiers, ihe_keys
from ...queries.keys import ZONE, Key, Wanted, key_of, wanted
from ...queries.models import COMPUTED, IHE_KEYS, PATIENT_ROOT, PATIENT_STUDY_ONLY, RETURN_KEYS, STUDY_ROOT, split_keys
from ...remarks import remark
from ...tables.tables import table
from ..association import contexts
from ..association.association import Association
from ..association.contexts import Context
from ..association.operation import Course, matches
from .completion import Asked, decide_modalities
from .inheritance import inherit
from .provenance import wrong_rows

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANY_QUERIES = 200  # C-FINDs of one drill-down above which it is said beforehand
_NOT_UNDERSTOOD = frozenset({0xA900, *range(0xC000, 0xD000)})  # statuses that say it of an identifier
_NONE = ("", b"")
MODELS = {"patient": PATIENT_ROOT, "study": STUDY_ROOT, "patient-study-only": PATIENT_STUDY_ONLY}


def model_for(model: str | None, level: QueryLevel | None) -> str:
    """UID of the information model: by name, by UID, or the one that has the level."""
    if model is None:
        return PATIENT_ROOT if level is QueryLevel.PATIENT else STUDY_ROOT
    if model in MODELS:
        return MODELS[model]
    if not model[:1].isdigit():
        raise InvalidRequest(f"{model!r} is no query model", advice=f"Use {', '.join(MODELS)}, worklist or a UID.")
    return model


Name = tuple[bytes, ...]


class Plan:
    """Which identifiers one question needs, level by level (hierarchical method, PS3.4 C.4.1.3.1.1).

    Above the level asked for, each match is a question of its own at the next level; what it says of patient and
    study goes into the rows below it, so that the table is the same whichever peer answered.
    """

    def __init__(self, model: str, level: QueryLevel | None, keys: dict[str, Any], template: Any) -> None:
        self.model, self.level, self.keys, self.template = model, level, keys, template
        self._keys: dict[str, Key] = {}
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
            zone = {name: value for name, value in keys.items() if key_of(name).tag == ZONE}  # R3.25
            self.steps = [
                (step, shares.get(step, {}) | zone)
                for step in (*level.above, level)
                if step is not QueryLevel.PATIENT or model != STUDY_ROOT
            ]
        self.first = self._identifiers(0, {})  # refuses bad keys before anything is sent
        for number in range(1, len(self.steps)):
            above = {step.unique_key: "1" for step, _ in self.steps[:number] if step}
            self._identifiers(number, above)
        self.columns = self._columns()

    def _identifiers(self, number: int, above: dict[str, str], modality: str = "") -> list[Dataset]:
        level, keys = self.steps[number]
        extra = ihe_keys(level, [modality])
        asked: dict[str, Any] = {**above, **keys}
        upper = number < len(self.steps) - 1
        if upper and level is not None and not asked:
            asked = {level.unique_key: None}
        returned = None if level is None or not extra else (*RETURN_KEYS[level], *extra)
        return identifiers(level, asked, model=self.model, template=self.template, return_keys=returned)

    def _columns(self) -> list[str]:
        names = columns_of(self.steps)
        if self.template is not None or self.level is None:
            names += [name for identifier in self.first for name in attributes_of(identifier)]
        names += ihe_keys(self.level, self.modalities)
        return list(dict.fromkeys(names))

    @staticmethod
    def label(name: str) -> str:
        """The name of the column of a key."""
        return name

    @property
    def keyed(self) -> dict[str, Key]:
        """The names of the columns, and the key of each."""
        for name in self.columns:
            if name not in self._keys:
                self._keys[name] = key_of(name)
        return {self.label(name): self._keys[name] for name in self.columns}

    @property
    def contexts(self) -> list[Context]:
        """What is proposed for the association."""
        return contexts.query(self.model)

    @property
    def told(self) -> dict[str, Any]:
        """What the provenance of the table says beside what it says of every question; JSON."""
        return {}

    @property
    def modalities(self) -> list[str]:
        """The values that Modality may have, [] where no key says so."""
        values = [str(value) for one in self.asked() if one.key.name == "Modality" for value in one.values]
        return [] if any(char in value for value in values for char in "*?") else values

    def _show(self, modality: str) -> None:
        """Give the table the columns of a modality that was met."""
        self.columns += [name for name in ihe_keys(self.level, [modality]) if name not in self.columns]

    def asked(self, level: QueryLevel | None = None) -> list[Wanted]:
        """The keys that have a value: those of one level, or all."""
        steps = [keys for step, keys in self.steps if level is None or step is level]
        return [one for keys in steps for one in wanted(keys) if one.filters]

    @property
    def extended(self) -> dict[str, bytes]:
        """What is proposed for the association: relational queries, where they spare some (PS3.4 C.5.1).

        A key that the archive has to compute is asked at its level: Orthanc finds nothing by it at one below.
        Combined date-time matching, byte 2, never: the same keys would find other studies where it is agreed.
        """
        computed = {one.key.name for level, _ in self.steps[:-1] for one in self.asked(level)} & COMPUTED
        return {self.model: b"\1"} if len(self.steps) > 1 and not computed else {}

    def run(self, association: Association, course: Course, *, later: bool = False) -> Iterator[Elements]:
        """The matches until done, cut or cancelled: by one relational C-FIND where that was agreed, else by levels.

        With `later`, those that nothing has to be seen of are given unparsed, see `matches`.
        """
        known: set[Name] = set()
        agreed = association.accepted.agreed(self.model, 1) or association.node.quirks.relational
        if agreed and self.extended:
            course.relational = True
            course.unfit = yield from self._at_once(association, course, known)
            if not course.unfit:
                return
            course.relational = course.cancelled = False
            course.cut = ""
        if later and len(self.steps) == len(self.first) == 1:
            yield from self._plain(association, course)
        else:
            yield from self._descend(association, course, 0, {}, None, known)

    def _plain(self, association: Association, course: Course) -> Iterator[Elements]:
        """The matches of a question of one identifier, as they come."""
        answers = matches(association, self.model, self.first[0], course, later=True)
        for record in answers:
            if not self._give(course):
                answers.close()
                return
            yield record

    def _at_once(
        self, association: Association, course: Course, known: set[Name]
    ) -> Generator[Elements, None, str]:
        """The matches by keys of all levels at once (PS3.4 C.4.1.3.2.1); gives why that will not do, or "".

        Parameters
        ----------
        known
            Takes the names of the matches that were given, which a drill-down then leaves out.
        """
        level = self.steps[-1][0]
        assert level is not None
        returned = dict.fromkeys(name for step, _ in self.steps if step for name in RETURN_KEYS[step])
        returned |= dict.fromkeys(ihe_keys(level, self.modalities or IHE_KEYS))
        upper = [step.unique_key for step, _ in self.steps[:-1] if step]
        upper += [one.key.name for step, _ in self.steps[:-1] for one in self.asked(step) if decides(one)]
        needed = [(name, key_of(name).path[0][0]) for name in upper]
        for identifier in identifiers(
            level, self.keys, model=self.model, hierarchical=False, return_keys=list(returned)
        ):
            answers = matches(association, self.model, identifier, course)
            try:
                for record in answers:
                    absent = next((name for name, tag in needed if not record.raw.get(tag, _NONE)[1]), "")
                    if absent:  # the rest is of no use; but not every archive heeds a C-CANCEL
                        deque(islice(answers, course.limit), maxlen=0)
                        course.enough = True
                        return f"matches came without {absent}"
                    name = self._name(record, len(self.steps) - 1)
                    if name in known:
                        continue
                    if not self._give(course):
                        return ""
                    known.add(name)
                    if level is QueryLevel.IMAGE:
                        self._show(record.text("Modality"))
                    yield record
            except StatusError as error:
                if known or error.status is None or error.status.code not in _NOT_UNDERSTOOD:
                    raise
                return f"it ended with {error.status}"
            finally:
                answers.close()
        return ""

    def _name(self, record: Elements, number: int) -> Name:
        """What names a match: its unique keys down to that step; without its own, all that it says."""
        tags = [tag_of(level.unique_key) for level, _ in self.steps[: number + 1] if level is not None]
        name = tuple(record.raw.get(tag, _NONE)[1].rstrip(b"\0 ") for tag in tags)
        return name if name and name[-1] else (*name, *(cell[1] for _, cell in sorted(record.raw.items())))

    def _give(self, course: Course) -> bool:
        """Count one more match; False, and the list is cut, where the limit is passed."""
        if course.matches >= course.limit:
            course.cut = f"cut at the limit of {course.limit:,} rows"
            course.enough = True
            return False
        course.matches += 1
        return True

    def _descend(
        self,
        association: Association,
        course: Course,
        number: int,
        above: dict[str, str],
        parent: Elements | None,
        known: set[Name],
    ) -> Iterator[Elements]:
        last = number == len(self.steps) - 1
        level = self.steps[number][0]
        parents: list[Elements] = []
        seen: set[Name] = set(known) if last else set()
        modality = parent.text("Modality") if parent is not None else ""
        self._show(modality)
        questions = self.first if number == 0 else self._identifiers(number, above, modality)
        for identifier in questions:
            answers = matches(association, self.model, identifier, course)
            for record in answers:
                if parent is not None:
                    inherit(record, parent)
                if len(questions) > 1 or not last or known:  # each match once, and each parent (R3.6)
                    name = self._name(record, number)
                    if name in seen:
                        continue
                    seen.add(name)
                if not last:
                    parents.append(record)
                    continue
                if not self._give(course):
                    answers.close()
                    return
                yield record
            if course.full:
                return
        if last:
            return
        assert level is not None
        if level is QueryLevel.STUDY:
            parents = decide_modalities(Asked(association, self.model, course), parents, self.keys)
        parents = self._kept(level, parents, course)
        if len(parents) > MANY_QUERIES:
            remark(
                f"{association.node.identity}: this question needs a query for each of {len(parents):,} matches "
                f"at {level.value} level; narrow it by a key of that level",
                stacklevel=5 + number,
            )
        for record in parents:
            uid = record.text(level.unique_key)
            if not uid:
                continue
            below = {**above, level.unique_key: uid}
            yield from self._descend(association, course, number + 1, below, record, known)
            if course.full:
                return

    def _kept(self, level: QueryLevel, parents: list[Elements], course: Course) -> list[Elements]:
        """The matches above the level asked for that fit its keys, where the peer ignored one."""
        asked = self.asked(level)
        if not asked or not parents:
            return parents
        wrong = wrong_rows(table(parents, [one.key.name for one in asked]), parents, asked)
        drop: set[int] = set()
        for name, rows in wrong.items():
            if len(rows) < len(parents) or any(_says(parents[at], name) for at in rows):
                course.ignored[name] = course.ignored.get(name, 0) + len(rows)
                drop |= set(rows)
        return [record for row, record in enumerate(parents) if row not in drop]


def _says(record: Elements, name: str) -> bool:
    """Whether a match holds a value for a key; for one in a sequence, whether it holds any item."""
    return bool(record.raw.get(key_of(name).path[0][0], _NONE)[1].strip(b"\0 "))


def decides(one: Wanted) -> bool:
    """Whether a key leaves out what has no value: it asks for one, and not for any."""
    return any(str(value).strip("*") for value in one.values)
