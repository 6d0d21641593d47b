"""Worklist queries: which steps are scheduled, a row each (PS3.4 annex K)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...datasets.elements import Elements, item_bodies, tag_of
from ...errors import BadData, InvalidRequest
from ...level import QueryLevel
from ...queries.identifier import attributes_of, identifiers
from ...queries.matching import fits
from ...queries.models import WORKLIST
from ...queries.worklistkeys import COLUMNS, STEP, check_moment, label, placed, query_form, return_keys
from ..association import contexts
from ..association.association import Association
from ..association.contexts import Context
from ..association.operation import Course
from .plan import Plan, model_for

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_STEP = tag_of(STEP)
_ITEM = b"\xfe\xff\x00\xe0"


def plan_of(
    model: str | None, level: QueryLevel | None, keys: Mapping[str, Any], template: Any, form: str | None = None
) -> Plan:
    """The plan of a question: of a worklist where the model is "worklist", else of that model.

    Raises
    ------
    InvalidRequest
        The question cannot be asked; nothing is sent.
    """
    if model != "worklist":
        return Plan(model_for(model, level), level, dict(keys), template)
    if level is not None:
        raise InvalidRequest(
            "a worklist has no levels", advice="Ask by peer.worklist(...), or leave the level out: (None, ...)."
        )
    return Worklist(keys, template, form)


class Worklist(Plan):
    """One question for scheduled steps: every attribute an archive must know comes back, those of the step flat."""

    label = staticmethod(label)

    def __init__(self, keys: Mapping[str, Any], template: Any, form: str | None = None) -> None:
        if not keys and template is None:
            raise InvalidRequest(
                "nothing was requested of the worklist",
                advice='Give a key, such as ScheduledProcedureStepStartDate="20240131" or Modality="CT"; '
                'PatientName="" asks for the whole list.',
            )
        asked = placed(keys)
        self.form = query_form(asked, form)
        check_moment(asked)
        if template is not None:
            identifiers(None, asked, model=WORKLIST, template=template)  # refuses one that asks for nothing
        super().__init__(WORKLIST, None, asked, template)

    def _identifiers(self, number: int, above: dict[str, str], modality: str = "") -> list[Dataset]:
        return identifiers(None, self.keys, model=self.model, template=self.template, return_keys=return_keys())

    def _columns(self) -> list[str]:
        """The columns of a worklist, then what the keys name beside."""
        known = [f"{STEP}[0].{name}" if label(f"{STEP}[0].{name}") == name else name for name in COLUMNS]
        asked = [name for one in self.asked() for name in [one.key.name]]
        named = [name for identifier in self.first for name in attributes_of(identifier)] if self.template else []
        whole = tuple(f"{name}[0]." for name in known)
        beside = [name for name in (*super()._columns(), *named) if name in asked or not name.startswith(whole)]
        return list(dict.fromkeys((*known, *beside)))

    @property
    def contexts(self) -> list[Context]:
        """With Verification beside it: some peers reject an association in which no context fits (R4.8)."""
        return [*contexts.query(self.model), *contexts.query(contexts.VERIFICATION)]

    @property
    def told(self) -> dict[str, Any]:
        return {"form": self.form}

    def run(self, association: Association, course: Course, *, later: bool = False) -> Iterator[Elements]:
        """The scheduled steps until done, cut or cancelled, each with its own item."""
        for record in super().run(association, course):
            try:
                yield from self._steps(record)
            except BadData as error:
                course.unreadable.append(f"the step of match {course.matches} cannot be read ({error.why})")
                yield record

    def _steps(self, record: Elements) -> list[Elements]:
        """One record a step: a match of several is several, without those that do not fit the keys."""
        vr, value = record.raw.get(_STEP, ("SQ", b""))
        bodies = list(item_bodies(value, implicit=record.implicit))
        record.items(_STEP)  # reads them all
        if len(bodies) < 2:
            return [record]
        steps = []
        for body in bodies:
            item = _ITEM + len(body).to_bytes(4, "little") + body
            raw = {**record.raw, _STEP: (vr, item)}
            steps.append(Elements(raw, record.implicit, fallback_charset=record.fallback_charset))
        asked = [one for one in self.asked() if one.key.path[0][0] == _STEP]
        return [step for step in steps if all(fits(step, one) for one in asked)] or steps
