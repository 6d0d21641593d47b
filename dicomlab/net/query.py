"""Query, C-FIND (PS3.4 C.4.1): one question, a table of matches."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..elements import Elements, parse, tag_of
from ..errors import BadData, DicomlabError, InvalidRequest, ResultWarning, StatusError
from ..identifier import PATIENT_ROOT, RETURN_KEYS, STUDY_ROOT, describe_keys, encode, identifiers, split_keys
from ..level import QueryLevel
from ..matching import matches as matches_keys
from ..matching import mismatched
from ..status import Category, Status
from ..tables import table
from . import contexts
from .association import GRACE, Association, associate
from .contexts import IMPLICIT
from .deadline import Cancelled, Deadline
from .dimse import CommandField
from .node import Node

if TYPE_CHECKING:
    import pandas as pd
    from pydicom.dataset import Dataset

MANY_QUERIES = 200  # C-FINDs of one drill-down above which it is said beforehand
ROUND_NUMBERS = frozenset({100, 200, 500, 1000, 2000, 5000, 50_000})  # row counts where archives cut without a word
_CHARSET = 0x00080005  # SpecificCharacterSet
_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # VRs that it applies to
MODELS = {
    "patient": PATIENT_ROOT,
    "study": STUDY_ROOT,
    "patient-study-only": "1.2.840.10008.5.1.4.1.2.3.1",
}


@dataclass
class Course:
    """What happened while one find ran; becomes the provenance of its table (R3.20)."""

    limit: int
    queries: int = 0  # C-FINDs sent
    matches: int = 0
    cut: str = ""  # why the list is not whole, "" where it is
    cancelled: bool = False
    ended: bool = False  # the association is gone: the archive did not heed the C-CANCEL
    partial_keys: bool = False  # a 0xFF01 came
    unreadable: list[str] = field(default_factory=list)
    status: Status | None = None

    @property
    def full(self) -> bool:
        """Whether nothing more is to be asked: the limit is passed."""
        return bool(self.cut) and (self.ended or self.matches >= self.limit)


def model_for(model: str | None, level: QueryLevel | None) -> str:
    """UID of the information model: by name, by UID, or the one that has the level."""
    if model is None:
        return PATIENT_ROOT if level is QueryLevel.PATIENT else STUDY_ROOT
    if model in MODELS:
        return MODELS[model]
    if not model[:1].isdigit():
        raise InvalidRequest(f"{model!r} is no query model", advice=f"Use {', '.join(MODELS)} or a UID.")
    return model


def find(
    node: Node,
    level: QueryLevel | None,
    keys: Mapping[str, Any],
    deadline: Deadline,
    *,
    limit: int,
    model: str | None = None,
    template: Dataset | str | Path | None = None,
    on_match: Callable[[dict[str, Any]], None] | None = None,
    counts: bool = False,
    raw: bool = False,
) -> pd.DataFrame:
    """The matches of one question as a typed table; see `Peer.find`."""
    uid = model_for(model, level)
    plan = Plan(uid, level, dict(keys), template)
    course = Course(limit)
    records: list[Elements] = []
    try:
        with associate(node, contexts.query(uid), deadline, phase="C-FIND") as association:
            try:
                for record in plan.run(association, course):
                    records.append(record)
                    if on_match is not None:
                        on_match(_row(record, plan.columns))
                if level is QueryLevel.STUDY and not course.ended:
                    records = _decide_modalities(association, records, plan, uid)
                if counts and level is not None and not course.ended:
                    _count(association, level, records, uid)
            except (KeyboardInterrupt, Cancelled):
                course.cancelled = True
                association.abort()
    except Cancelled:
        course.cancelled = True
    except DicomlabError as error:
        error.rows = _frame(node, plan, records, course, deadline, quiet=True)
        if records:
            error.message += f"; {len(records)} matches came before, see .rows"
        raise
    return _frame(node, plan, records, course, deadline, raw=raw)


def each(
    node: Node,
    level: QueryLevel | None,
    keys: Mapping[str, Any],
    deadline: Deadline,
    *,
    limit: int,
    model: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The matches of one question one by one, as they come; closing the iterator ends the association."""
    uid = model_for(model, level)
    plan = Plan(uid, level, dict(keys), None)
    course = Course(limit)
    with associate(node, contexts.query(uid), deadline, phase="C-FIND") as association:
        for record in plan.run(association, course):
            yield _row(record, plan.columns)
    _say(course, node, stacklevel=4)


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
                    _inherit(record, parent)
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
            parents = _decide_modalities(association, parents, self, self.model)
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
        wrong = _wrong_rows(table(parents, list(keys)), keys) if keys and parents else {}
        drop = {
            row
            for name, rows in wrong.items()
            if len(rows) < len(parents) or any(parents[at].text(name) for at in rows)
            for row in rows
        }
        return [record for row, record in enumerate(parents) if row not in drop]


def _wrong_rows(frame: pd.DataFrame, keys: Mapping[str, Any]) -> dict[str, list[int]]:
    given = {name: value for name, value in keys.items() if name in frame and value is not None}
    return mismatched(frame, given)


def matches(
    association: Association, model: str, identifier: Dataset, course: Course
) -> Generator[Elements, None, None]:
    """The matches of one C-FIND; closing the iterator once the list is cut ends it by C-CANCEL."""
    _, syntax = association.context(model)
    implicit = syntax == IMPLICIT
    message_id = association.send(CommandField.C_FIND_RQ, model, encode(identifier, implicit=implicit))
    course.queries += 1
    number = 0
    charset = association.node.quirks.charset or "iso8859"
    for message in association.responses(message_id, CommandField.C_FIND_RQ, "C-FIND"):
        status = message.command.status("C-FIND")
        assert status is not None
        if status.category is not Category.PENDING:
            _final(association, status, course)
            return
        number += 1
        course.partial_keys |= status.code == 0xFF01
        if message.data is None:
            course.unreadable.append(f"match {number} came without an identifier")
            continue
        try:
            record = parse(bytes(message.data), implicit=implicit, fallback_charset=charset)
        except BadData as error:
            course.unreadable.append(f"match {number} cannot be read ({error.why})")
            continue
        try:
            yield record
        except GeneratorExit:  # one more than the limit came, so that the list is cut for certain
            if course.cut:
                _stop(association, message_id, model, course)
            raise


def _final(association: Association, status: Status, course: Course) -> None:
    course.status = status
    if status.code == 0xB001:
        course.cut = "cut by the archive, which reached its limit (0xB001)"
    elif status.category is Category.CANCEL:
        course.cancelled = True
    elif status.category is Category.FAILURE:
        comment = f", {status.comment!r}" if status.comment else ""
        raise StatusError(
            f"the archive ended the query with {status}{comment}",
            peer=association.node.identity,
            phase="C-FIND",
            elapsed=association.deadline.elapsed,
            status=status,
            advice="Check the keys; peer.identifier(...) shows what is sent.",
        )


def _stop(association: Association, message_id: int, model: str, course: Course) -> None:
    """Past the limit: C-CANCEL, then the final response for a grace time, then abort (R3.14)."""
    association.cancel(model, message_id)
    deadline = association.wire.deadline
    association.wire.deadline = grace = deadline.grace(GRACE)
    try:
        for message in association.responses(message_id, CommandField.C_FIND_RQ, "C-FIND"):
            status = message.command.status("C-FIND")
            if status is not None and status.category is not Category.PENDING:
                course.status = status
            elif grace.elapsed > GRACE:
                raise Cancelled
    except (DicomlabError, Cancelled):
        association.abort()
        course.ended = True
    association.wire.deadline = deadline


def _decide_modalities(
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


def _named(record: Elements, model: str) -> dict[str, Any]:
    """The unique keys of a study, as the model needs them."""
    patient = {"PatientID": record.text("PatientID")} if model == PATIENT_ROOT else {}
    return {**patient, "StudyInstanceUID": record.text("StudyInstanceUID")}


def _inherit(record: Elements, parent: Elements) -> None:
    """Give a match what its study and patient say, where it says nothing itself."""
    own = record.raw.get(_CHARSET)
    foreign = (own or ("CS", b""))[1] != parent.raw.get(_CHARSET, ("CS", b""))[1]
    if foreign and any(_beyond_ascii(value) for _, value in parent.raw.values()):
        for one in (record, parent):  # both in one repertoire, so that each text keeps its meaning
            _recode(one)
    for tag, value in parent.raw.items():
        if tag != _CHARSET and not record.raw.get(tag, ("", b""))[1]:
            record.raw[tag] = value


def _beyond_ascii(value: bytes) -> bool:
    return not value.isascii() or b"\x1b" in value


def _recode(record: Elements) -> None:
    """Turn the texts of a match into UTF-8."""
    for tag, (vr, value) in list(record.raw.items()):
        if record.vr(tag) in _TEXT and _beyond_ascii(value):
            with contextlib.suppress(BadData):
                found = record.get(tag, "")
                text = "\\".join(map(str, found)) if isinstance(found, tuple) else str(found)
                record.raw[tag] = (vr, text.encode())
    record.raw[_CHARSET] = ("CS", b"ISO_IR 192")
    record._codecs = None


def _row(record: Elements, columns: Sequence[str]) -> dict[str, Any]:
    """One match as a dict; a value that is none of its VR stays text."""
    row: dict[str, Any] = {}
    for name in columns:
        try:
            row[name] = record.get(name)
        except BadData:
            row[name] = record.raw[tag_of(name)][1].decode("latin-1").strip(" \0")
    return row


def _count(association: Association, level: QueryLevel, records: Sequence[Elements], model: str) -> None:
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


# -- the table -----------------------------------------------------------------------------------------------

_ORDER = (
    "StudyDate", "StudyTime", "PatientID", "StudyInstanceUID", "SeriesNumber", "SeriesInstanceUID",
    "InstanceNumber", "SOPInstanceUID",
)  # fmt: skip


def _frame(
    node: Node,
    plan: Plan,
    records: list[Elements],
    course: Course,
    deadline: Deadline,
    *,
    raw: bool = False,
    quiet: bool = False,
) -> pd.DataFrame:
    import pandas as pd

    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore", ResultWarning)
        frame = table(records, plan.columns)
    problems = frame.attrs.get("problems", [])
    keys = {name: value for _, part in plan.steps for name, value in part.items()}
    wrong = _wrong_rows(frame, keys) if len(frame) and plan.template is None else {}
    unknown = sorted(name for name, rows in wrong.items() if len(rows) == len(frame) and frame[name].isna().all())
    ignored = sorted(name for name in wrong if name not in unknown)
    drop = sorted({row for name in ignored for row in wrong[name]})
    if raw:
        frame = frame.assign(dataset=pd.Series([record.dataset() for record in records], dtype=object))
    by = [name for name in _ORDER if name in frame]
    if drop:
        frame = frame.drop(index=frame.index[drop])
    if by and len(frame):
        frame = frame.sort_values(by, kind="stable", na_position="last")
    frame.attrs = {
        "problems": problems,
        "peer": node.identity,
        "level": plan.level.value if plan.level else None,
        "model": plan.model,
        "keys": describe_keys(plan.keys),
        "queries": course.queries,
        "status": course.status.code if course.status else None,
        "elapsed": round(deadline.elapsed, 3),
        "cut": course.cut or None,
        "cancelled": course.cancelled,
        "ignored": ignored,
        "refiltered": len(drop),
        "unverified": unknown,
        "absent": [name for name in plan.columns if len(frame) and frame[name].isna().all()],
    }
    frame = frame.reset_index(drop=True)
    if not quiet:
        _say(course, node)
        for name in ignored:
            warnings.warn(
                f"{node.identity} ignored the key {name}: {len(wrong[name])} rows that do not fit were left out",
                ResultWarning,
                stacklevel=4,
            )
        for name in unknown:
            warnings.warn(
                f"{node.identity} gave no {name} back, so the key {name} may have been ignored",
                ResultWarning,
                stacklevel=4,
            )
    return frame


def _say(course: Course, node: Node, stacklevel: int = 5) -> None:
    """Warn, once, of what its reader must not miss."""
    known = node.quirks.result_limit
    said = [course.cut] if course.cut else []
    if course.cancelled:
        said.append(f"cancelled after {course.matches:,} matches")
    if not said and course.matches and (course.matches in ROUND_NUMBERS or course.matches == known):
        said.append(f"exactly {course.matches:,} matches came: the archive may have cut the list")
    if course.partial_keys:
        said.append("the archive does not support some of the optional keys (0xFF01)")
    said += course.unreadable[:5]
    if len(course.unreadable) > 5:
        said.append(f"and {len(course.unreadable) - 5} more matches cannot be read")
    if said:
        warnings.warn(f"{node.identity}: {'; '.join(said)}", ResultWarning, stacklevel=stacklevel)
