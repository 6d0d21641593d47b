"""The table of matches, and what its reader must know of how it came about (R3.15, R3.20)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from ... import phi
from ...amounts import counted
from ...datasets.cells import objects
from ...datasets.elements import Elements
from ...datasets.encoding import vr_of
from ...errors import BadData
from ...level import QueryLevel
from ...queries.identifier import describe_keys
from ...queries.keys import Key, Wanted
from ...queries.matching import fits, misfits
from ...remarks import noted, remark
from ...tables.records import Records
from ...tables.tables import table
from ..association.deadline import Deadline
from ..association.node import Node
from ..association.operation import Course

if TYPE_CHECKING:
    import pandas as pd

    from .plan import Plan

ROUND_NUMBERS = frozenset({100, 200, 500, 1000, 2000, 5000, 50_000})  # row counts where archives cut without a word
_ORDER = (
    "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime",
    "StudyDate", "StudyTime", "PatientID", "StudyInstanceUID", "SeriesNumber", "SeriesInstanceUID",
    "InstanceNumber", "SOPInstanceUID",
)  # fmt: skip


def as_row(record: Elements, columns: Mapping[str, Key]) -> dict[str, Any]:
    """One match as a dict by the names of the columns; a value that is none of its VR stays text."""
    row: dict[str, Any] = {}
    for name, key in columns.items():
        holder = _inside(record, key)
        if holder is None:
            row[name] = None
            continue
        try:
            row[name] = holder.get(key.tag)
        except BadData:
            row[name] = holder.raw[key.tag][1].decode("latin-1").strip(" \0")
    return {name: phi.named(name, value) for name, value in row.items()} if phi.masking() else row


def _inside(record: Elements, key: Key) -> Elements | None:
    """The item that a path leads to."""
    for tag, number in key.path[:-1]:
        try:
            record = record.items(tag)[number]
        except (BadData, IndexError):
            return None
    return record


def wrong_rows(
    frame: pd.DataFrame,
    records: Sequence[Elements],
    asked: Iterable[Wanted],
    label: Callable[[str], str] = str,
) -> dict[str, list[int]]:
    """For each key that not all rows match, by the name of its column: the positions of those that cannot.

    A column of a path shows one item; any item of the sequence may have matched, so that the match itself is asked.
    """
    wrong = {
        name: misfits(frame[name].tolist(), one)
        if "[" not in name
        else [row for row, record in enumerate(records) if not fits(record, one)]
        for one in asked
        for name in [label(one.key.name)]
    }
    return {name: rows for name, rows in wrong.items() if rows}


def as_table(
    node: Node,
    plan: Plan,
    records: list[Elements],
    course: Course,
    deadline: Deadline,
    *,
    raw: bool = False,
    quiet: bool = False,
) -> pd.DataFrame:

    with noted() if quiet else nullcontext():
        columns = plan.keyed
        abreast = Records(records, columns)
        if abreast.unreadable:
            course.unread(abreast.unreadable)
            records = [record for row, record in enumerate(records) if row not in abreast.unreadable]
            abreast = Records(records, columns)
        frame = table(abreast, list(columns))
    problems = frame.attrs.get("problems", [])
    wrong = wrong_rows(frame, records, plan.asked(), plan.label) if len(frame) and plan.template is None else {}
    unknown = sorted(name for name, rows in wrong.items() if len(rows) == len(frame) and frame[name].isna().all())
    ignored = sorted(name for name in wrong if name not in unknown)
    drop = sorted({row for name in ignored for row in wrong[name]})
    if raw:
        frame = frame.assign(dataset=objects([record.dataset() for record in records]))
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
        "keys": {plan.label(name): value for name, value in describe_keys(plan.keys).items()},
        "queries": course.queries,
        "relational": course.relational,
        "status": course.status.code if course.status else None,
        "elapsed": round(deadline.elapsed, 3),
        "cut": course.cut or None,
        "cancelled": course.cancelled,
        "ignored": sorted({*ignored, *course.ignored}),
        "refiltered": len(drop),
        "unverified": unknown,
        "absent": [name for name in columns if len(frame) and frame[name].isna().all()],
    }
    frame.attrs.update(plan.told)
    frame = phi.frame(frame.reset_index(drop=True))
    if not quiet:
        warn(course, node)
        for name in sorted({*ignored, *course.ignored}):
            left_out = len(wrong.get(name, ())) + course.ignored.get(name, 0)
            remark(f"{node.identity} ignored the key {name}: {_left_out(left_out)}", stacklevel=4)
        if not len(frame) and not course.ended:
            for hint in hints(plan.asked()):
                remark(f"{node.identity}: {hint}", stacklevel=4)
        for name in unknown:
            remark(
                f"{node.identity} gave no {name} back, so that it may have ignored this key: rows that do not fit "
                f"may be among these{_INSTEAD.get((plan.level, name), '')}",
                stacklevel=4,
            )
    return frame


def hints(asked: Iterable[Wanted]) -> list[str]:
    """What may be meant where nothing matches: a name as people write it (PS3.5 6.2.1), a modality by another name."""
    said = []
    for one in asked:
        for value in (value for value in one.values if isinstance(value, str)):
            if vr_of(one.key.tag) == "PN":
                said.append(_name_hint(one.key.name, value.strip()))
            elif one.key.name in ("Modality", "ModalitiesInStudy"):
                said.append(_modality_hint(one.key.name, value))
    return [text for text in dict.fromkeys(said) if text]


def _name_hint(key: str, value: str) -> str:
    if "^" in value or not value:
        return ""
    family, comma, given = value.partition(",")
    if not comma:
        given, _, family = value.rpartition(" ")
    if family.strip() and given.strip():
        hidden, name = "FAMILY^GIVEN", f"{family.strip()}^{given.strip()}"
    elif "*" not in value and "?" not in value:  # a name without its other parts is another name
        hidden, name = "FAMILY*", f"{value.strip(' ,')}*"
    else:
        return ""
    example = hidden if phi.masking() else '" or "'.join(dict.fromkeys((name, name.upper())))
    return f'no {key} matches; names are written Family^Given, as in "{example}"'


_CALLED: Final = {
    "PET": "PT", "MRI": "MR", "SPECT": "NM", "ULTRASOUND": "US", "MAMMOGRAPHY": "MG", "X-RAY": "CR, DX or RF",
    "XRAY": "CR, DX or RF", "DR": "DX", "RTSS": "RTSTRUCT", "CAT": "CT",
}  # fmt: skip


def _modality_hint(key: str, value: str) -> str:
    term = _CALLED.get(value.strip().upper())
    return f"no {key} is {value}; DICOM's term for it is {term}" if term else ""


_INSTEAD: dict[tuple[QueryLevel | None, str], str] = {
    (QueryLevel.STUDY, "Modality"): "; of studies ask ModalitiesInStudy"
}
_MORE = {True: "limit= gives more", False: "narrow the question to get the rest"}


def _left_out(rows: int) -> str:
    return f"{rows:,} matches that do not fit were left out" if rows > 1 else "one match that does not fit was left out"


def warn(course: Course, node: Node, stacklevel: int = 5) -> None:
    """Warn, once, of what its reader must not miss."""
    known = node.quirks.result_limit
    said = [f"{course.cut}; {_MORE[course.full]}"] if course.cut else []
    if course.cancelled:
        said.append(f"cancelled after {counted(course.matches, 'match', 'matches')}")
    if not said and course.matches and (course.matches in ROUND_NUMBERS or course.matches == known):
        said.append(f"exactly {counted(course.matches, 'match', 'matches')} came: the archive may have cut the list")
    if course.unfit:
        said.append(f"a relational query was not enough ({course.unfit}), so it was asked level by level")
    if course.partial_keys:
        said.append("it says that it does not support some of the keys, so it may not have filtered by them (0xFF01)")
    said += course.unreadable[:5]
    if len(course.unreadable) > 5:
        said.append(f"and {counted(len(course.unreadable) - 5, 'more match', 'more matches')} cannot be read")
    if said:
        remark(f"{node.identity}: {'; '.join(said)}", stacklevel=stacklevel)
