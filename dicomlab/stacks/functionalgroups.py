"""Functional groups of a multi-frame instance: what frames share, or have each for itself (PS3.3 C.7.6.16)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..datasets.elements import Elements, parse_items, tag_of
from ..datasets.encoding import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, really_implicit, tag_at
from ..datasets.lockstep import Integers, walk_all
from ..errors import BadData

SHARED, PER_FRAME = (
    tag_of(keyword) for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
)
_FEW = 24  # frames that are walked one by one
_NEXT = re.compile(re.escape(bytes.fromhex("feff0de0 00000000 feff00e0 ffffffff")))  # an item ends, another begins


class Groups:
    """The functional groups of one instance, read a column at a time.

    Parameters
    ----------
    header
        Of the instance, with both sequences of functional groups.
    frames
        NumberOfFrames.
    groups
        Tags of the sequences of the groups that are asked for.

    Raises
    ------
    BadData
        The sequences are no items, or not one for each frame.
    """

    def __init__(self, header: Elements, frames: int, groups: Sequence[int]) -> None:
        self.frames, self._header = frames, header
        shared = header.items(SHARED)
        own = _split(header, groups)
        for group, values in own.items():
            if values and len(values) != frames:
                raise BadData(
                    f"functional groups of {len(values)} frames, NumberOfFrames is {frames}", tag=f"{PER_FRAME:08X}"
                )
            common = shared[0].raw.get(group, ("", None))[1] if shared else None
            own[group] = [common if value is None else value for value in values] or [common] * frames
        self._groups = {group: _Group(values, header) for group, values in own.items()}

    def column(self, group: int, tag: int, inside: int = 0) -> list[Any]:
        """The value of an attribute for each frame; None where it is absent or empty.

        Parameters
        ----------
        group
            Tag of the sequence of the group; its first item counts.
        tag
            Of the attribute, or of a sequence in that item.
        inside
            The attribute in the first item of that sequence.

        Raises
        ------
        BadData
            A value is none of its VR.
        """
        return self._groups[group].column(tag, inside)


    def each(self, group: int, what: Callable[[list[Elements]], Any]) -> list[Any]:
        """For each frame what `what` makes of all items of a group; asked once for what is said several times."""
        return self._groups[group].each(what)


class _Group:
    """One functional group of all frames; what is said several times is read once."""

    def __init__(self, values: Sequence[bytes | None], header: Elements) -> None:
        numbers: dict[bytes | None, int] = {}
        self._codes = [numbers.setdefault(value, len(numbers)) for value in values]
        self._different, self._header = list(numbers), header
        self._items: list[Elements | None] | None = None

    def column(self, tag: int, inside: int) -> list[Any]:
        if self._items is None:
            self._items = [self._first(value) for value in self._different]
        known: dict[Any, Any] = {}
        said = [None if item is None else _value(item, tag, inside, known) for item in self._items]
        return said * len(self._codes) if len(said) == 1 else [said[code] for code in self._codes]

    def each(self, what: Callable[[list[Elements]], Any]) -> list[Any]:
        made = [what(self._parsed(value)) for value in self._different]
        return [made[code] for code in self._codes]

    def _first(self, value: bytes | None) -> Elements | None:
        return next(iter(self._parsed(value)), None)

    def _parsed(self, value: bytes | None) -> list[Elements]:
        return parse_items(value, implicit=self._header.implicit, parent=self._header) if value else []


def _value(item: Elements, tag: int, inside: int, known: dict[Any, Any]) -> Any:
    raw = item.raw.get(tag)
    if raw not in known:
        if inside:
            nested = item.items(tag)
            known[raw] = nested[0].get(inside) if nested else None
        else:
            known[raw] = item.get(tag)
    return known[raw]


def _split(header: Elements, groups: Sequence[int]) -> dict[int, list[bytes | None]]:
    """The bytes of each of those groups, for each frame that has an item."""
    data = header.raw.get(PER_FRAME, ("SQ", b""))[1]
    found = _quickly(data, groups, header.implicit) if len(data) > 16 else None
    if found is None or len(found[groups[0]]) <= _FEW:
        items = header.items(PER_FRAME)
        return {group: [item.raw.get(group, ("", None))[1] for item in items] for group in groups}
    return found


def _quickly(data: bytes, groups: Sequence[int], implicit: bool) -> dict[int, list[bytes | None]] | None:
    """The same by a walk of all items at once; None where that cannot tell."""
    implicit = really_implicit(data, 8, implicit)
    undefined = int.from_bytes(data[4:8], "little") == UNDEFINED
    if undefined:
        # Where an item may begin; those inside of groups are found out below.
        starts = np.array([8, *(match.end() for match in _NEXT.finditer(data))], np.int64)
        ends = np.full(len(starts), len(data), np.int64)
    else:
        bounds = _bounds(data)
        if bounds is None:
            return None
        starts, ends = bounds
    places = walk_all(data, starts, ends, groups, implicit=implicit)
    order = np.arange(len(starts))
    if undefined:
        chain = _chain(data, starts, places.stops)
        if chain is None:
            return None
        order = chain
    elif not places.sure.all():
        return None
    found = {}
    for slot, group in enumerate(places.tags):
        begin, size = places.starts[slot, order].tolist(), places.lengths[slot, order].tolist()
        found[group] = [data[at : at + n] if n >= 0 else None for at, n in zip(begin, size, strict=True)]
    return found


def _bounds(data: bytes) -> tuple[Integers, Integers] | None:
    """Where the items begin and end, all of defined length."""
    at, total = 0, len(data)
    starts, ends = [], []
    while at + 8 <= total and tag_at(data, at) != SEQUENCE_END:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if tag_at(data, at) != ITEM or length == UNDEFINED or at + 8 + length > total:
            return None
        starts.append(at + 8)
        at += 8 + length
        ends.append(at)
    return np.array(starts, np.int64), np.array(ends, np.int64)


def _chain(data: bytes, starts: Integers, stops: Integers) -> Integers | None:
    """Which of the walks went through an item each, one behind the other from the first to the end of the sequence.

    A walk stops where it meets the end of its item outside of any sequence.
    """
    number = {start: row for row, start in enumerate(starts.tolist())}
    ends, row = stops.tolist(), 0
    rows = []
    while True:
        at = ends[row]
        if at + 8 > len(data) or tag_at(data, at) != ITEM_END:
            return None
        rows.append(row)
        if at + 8 == len(data) or tag_at(data, at + 8) == SEQUENCE_END:
            return np.array(rows, np.intp)
        following = number.get(at + 16)
        if following is None:
            return None
        row = following
