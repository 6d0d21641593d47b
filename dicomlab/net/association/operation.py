"""One C-FIND: an identifier goes out, the matches come in (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...datasets.elements import Elements
from ...datasets.uids import IMPLICIT
from ...errors import BadData, DicomlabError, StatusError
from ...queries.identifier import encode
from ...status import Category, Status
from .association import GRACE, Association
from .deadline import Cancelled
from .dimse import CommandField

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass
class Course:
    """What happened while one find ran; becomes the provenance of its table (R3.20)."""

    limit: int
    queries: int = 0  # C-FINDs sent
    matches: int = 0
    cut: str = ""  # why the list is not whole, "" where it is
    cancelled: bool = False
    enough: bool = False  # the C-FIND that runs is to end by C-CANCEL, and the association goes on
    relational: bool = False  # one C-FIND with the keys of all levels
    unfit: str = ""  # why the answer to a relational C-FIND would not do, so that it was asked level by level
    ended: bool = False  # the association is gone: the archive did not heed the C-CANCEL
    ignored: dict[str, int] = field(default_factory=dict)  # key -> matches above the level that did not fit it
    partial_keys: bool = False  # a 0xFF01 came
    unreadable: list[str] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)  # numbers of the matches that came without an identifier
    status: Status | None = None

    @property
    def full(self) -> bool:
        """Whether nothing more is to be asked: the limit is passed."""
        return bool(self.cut) and (self.ended or self.matches >= self.limit)

    def unread(self, rows: Mapping[int, BadData]) -> None:
        """Note the matches of one C-FIND that turned out to be no data sets, by their position among the others."""
        for row, error in rows.items():
            number = row + 1
            for bare in self.bare:
                number += bare <= number
            self.unreadable.append(f"match {number} cannot be read ({error.why})")
        self.matches -= len(rows)


def matches(
    association: Association, model: str, identifier: Dataset, course: Course, *, later: bool = False
) -> Generator[Elements, None, None]:
    """The matches of one C-FIND; closing the iterator ends it by C-CANCEL where the course says `enough`.

    With `later` they are not parsed: what cannot be read shows when they are looked at.
    """
    _, syntax = association.context(model)
    implicit = syntax == IMPLICIT
    message_id = association.send(CommandField.C_FIND_RQ, model, encode(identifier, implicit=implicit))
    course.queries += 1
    course.enough = False
    number = 0
    pending: Status | None = None
    codec = association.node.quirks.codec
    for message in association.responses(message_id, CommandField.C_FIND_RQ, "C-FIND"):
        status = message.status
        assert status is not None
        if status is not pending:  # of most matches it is the same
            if status.category is not Category.PENDING:
                _final(association, status, course)
                return
            course.partial_keys |= status.code == 0xFF01
            pending = status
        number += 1
        if message.data is None:
            course.bare.append(number)
            course.unreadable.append(f"match {number} came without an identifier")
            continue
        record = Elements.later(bytes(message.data), implicit, codec)
        if not later:
            try:
                record.raw  # noqa: B018 -- parses it
            except BadData as error:
                course.unreadable.append(f"match {number} cannot be read ({error.why})")
                continue
        try:
            yield record
        except GeneratorExit:
            if course.enough:
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
