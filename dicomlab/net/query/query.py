"""Query, C-FIND (PS3.4 C.4.1): one question, a table of matches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from ...amounts import counted
from ...datasets.elements import Elements
from ...errors import DicomlabError, Interrupted
from ...level import QueryLevel
from ..association.association import associate
from ..association.deadline import Cancelled, Deadline
from ..association.node import Node
from ..association.operation import Course
from .completion import Asked, complete, count, decide_modalities
from .plan import Plan
from .provenance import as_row, as_table, warn
from .steps import plan_of

if TYPE_CHECKING:
    import pandas as pd


def find(
    node: Node,
    plan: Plan,
    deadline: Deadline,
    *,
    limit: int,
    on_match: Callable[[dict[str, Any]], None] | None = None,
    counts: bool = False,
    raw: bool = False,
) -> pd.DataFrame:
    """The matches of one question as a typed table; see `Peer.find` and `Peer.worklist`."""
    level, keys = plan.level, plan.keys
    course = Course(limit)
    records: list[Elements] = []
    try:
        with associate(node, plan.contexts, deadline, phase="C-FIND", extended=plan.extended) as association:
            looked_at = on_match is not None or counts or bool(keys.get("ModalitiesInStudy"))
            for record in plan.run(association, course, later=not looked_at):
                records.append(record)
                if on_match is not None:
                    on_match(as_row(record, plan.keyed))
            if records and level is not None and not course.ended:
                ask = Asked(association, plan.model, course)
                if level is QueryLevel.STUDY:
                    records = decide_modalities(ask, records, keys)
                if course.relational:
                    complete(ask, level, records)
                if counts:
                    count(ask, level, records)
    except Cancelled:  # asked for by another part of the program, which wants the table
        course.cancelled = True
    except KeyboardInterrupt:  # asked for by the user, whose next cell must not run on a part of the list
        course.cancelled = True
        raise Interrupted(
            f"{node.identity}: stopped after {counted(len(records), 'match, which is', 'matches, which are')} "
            "in sys.last_value.rows",
            as_table(node, plan, records, course, deadline, quiet=True),
        ) from None
    except DicomlabError as error:
        error.rows = as_table(node, plan, records, course, deadline, quiet=True)
        if records:
            error.message += f"; {counted(len(records), 'match', 'matches')} came before, see .rows"
        raise
    return as_table(node, plan, records, course, deadline, raw=raw)


def each(
    node: Node,
    level: QueryLevel | None,
    keys: Mapping[str, Any],
    deadline: Deadline,
    *,
    limit: int,
    model: str | None = None,
) -> Generator[dict[str, Any], None, None]:
    """The matches of one question one by one, as they come; closing the iterator ends the association."""
    plan = plan_of(model, level, keys, None)
    course = Course(limit)
    with associate(node, plan.contexts, deadline, phase="C-FIND", extended=plan.extended) as association:
        for record in plan.run(association, course):
            yield as_row(record, plan.keyed)
    warn(course, node, stacklevel=4)
