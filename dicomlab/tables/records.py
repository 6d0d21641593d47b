"""Many data sets, and one attribute of all of them as a column: those that nobody has looked at stay unparsed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from ..datasets import charset
from ..datasets.cells import Cells, Joined, Offsets
from ..datasets.elements import Elements
from ..datasets.encoding import vr_of
from ..datasets.headers import Headers
from ..datasets.lockstep import walk_all
from ..errors import BadData
from ..queries.keys import Key, key_of
from .columns import OBJECTS, PACKED, Report, build, one_by_one

_CHARSET: Final = 0x00080005


class Records:
    """Data sets side by side.

    Parameters
    ----------
    records
        The data sets, one for each row.
    names
        The keys whose columns are asked for: keywords, tags, or paths into sequences; or names of columns with the
        key of each.

    Attributes
    ----------
    unreadable
        Row to the error of a data set that nobody has looked at, and that cannot be parsed; it has no values.
    """

    def __init__(self, records: Sequence[Elements], names: Iterable[str] | Mapping[str, Key]) -> None:
        self.records = records
        self.keys = dict(names) if isinstance(names, Mapping) else {name: key_of(name) for name in names}
        self._inner: dict[tuple[tuple[int, int], ...], Records] = {}
        tags = sorted({_CHARSET, *(key.tag for key in self.keys.values() if len(key.path) == 1)})
        self._cells: dict[int, Cells] = {}
        self.unreadable: dict[int, BadData] = {}
        self._joined = Joined(bytes(records.data)) if isinstance(records, Headers) else None
        if self._joined is None and any(record.encoded is not None for record in records):
            self._lay(tags)

    def __len__(self) -> int:
        return len(self.records)

    def column(self, name: str, report: Report) -> Any:
        """A typed array of the values of one key; `report` is told the row and text of what cannot be read."""
        key = self.keys[name]
        within = key.path[:-1]
        if not within:
            return self._column(key.tag, report)
        if within not in self._inner:
            there = {name: Key(key.path[-1:]) for name, key in self.keys.items() if key.path[:-1] == within}
            self._inner[within] = Records([_inside(record, key) for record in self.records], there)
        return self._inner[within]._column(key.tag, report)

    def _column(self, tag: int, report: Report) -> Any:
        vr = vr_of(tag)
        if vr == "UN":
            vr = next((record.vr(tag) for record in self.records if tag in record), "UN")
        if vr in OBJECTS or " or " in vr:
            kind = "US" if vr.startswith("US") else "OW" if " or " in vr else vr
            return one_by_one(kind, len(self.records), lambda row: self.records[row].get(tag), self._raw(tag), report)
        return build(vr, self.cells(tag), report, self._codecs.__getitem__, lambda row: self.records[row].get(tag))

    def _laid(self, tag: int) -> Cells | None:
        """The values of an attribute of data sets that lie in one piece."""
        if self._joined is not None and isinstance(self.records, Headers) and tag in self.records.tags:
            return Cells(self._joined, *self.records.cells(tag)[1:])  # not kept: of all rows and tags that is much
        return self._cells.get(tag)

    def _raw(self, tag: int) -> Any:
        return lambda row: self.records[row].raw[tag][1]

    def cells(self, tag: int) -> Cells:
        """The values of one attribute, as encoded."""
        if (laid := self._laid(tag)) is not None:
            return laid
        found = [raw.get(tag) for raw in self._raws]
        cells = Cells.of([cell and cell[1] for cell in found])
        if vr_of(tag) not in (*PACKED, "UN"):
            return cells
        vrs = [_code(record, cell) if cell else 0 for record, cell in zip(self.records, found, strict=True)]
        return replace(cells, vrs=np.array(vrs, np.uint16))

    @cached_property
    def _raws(self) -> list[dict[int, tuple[str, bytes]]]:
        return [record.raw for record in self.records]

    @cached_property
    def _codecs(self) -> list[tuple[tuple[str, ...], bool]]:
        """Python codecs of the text of each row, see `charset.codecs_of`."""
        laid = self._laid(_CHARSET)
        if laid is None:
            return [record.codecs for record in self.records]
        names = [text.encode("latin-1") for text in laid.texts()]
        if isinstance(self.records, Headers):
            return list(map(charset.codecs_of, names))
        return [
            record.codecs if record.encoded is None else charset.codecs_of(name, record.fallback_charset)
            for record, name in zip(self.records, names, strict=True)
        ]

    def _lay(self, tags: list[int]) -> None:
        """All data sets in one piece, each as it came or, where it was parsed, as the values that are asked for."""
        implicit = next(record.implicit for record in self.records if record.encoded is not None)
        unparsed = np.array(
            [record.encoded is not None and record.implicit == implicit for record in self.records], bool
        )
        while True:
            parts = [
                (record.encoded or b"") if here else self._values(row, tags)
                for row, (record, here) in enumerate(zip(self.records, unparsed.tolist(), strict=True))
            ]
            ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
            begins = np.concatenate(([0], ends[:-1]))
            data = b"".join(parts)
            places = walk_all(data, begins[unparsed], ends[unparsed], tags, implicit=implicit)
            if places.sure.all():
                break
            unparsed[np.flatnonzero(unparsed)[~places.sure]] = False
        shape = (len(tags), len(parts))
        starts, lengths, vrs = np.zeros(shape, np.int64), np.full(shape, -1), np.zeros(shape, np.uint16)
        starts[:, unparsed], lengths[:, unparsed], vrs[:, unparsed] = places.starts, places.lengths, places.vrs
        for row in np.flatnonzero(~unparsed).tolist():
            if row not in self.unreadable:
                self._lay_parsed(row, tags, int(begins[row]), (starts, lengths, vrs))
        joined = Joined(data)
        for slot, tag in enumerate(tags):
            self._cells[tag] = Cells(joined, starts[slot], lengths[slot], vrs[slot])

    def _values(self, row: int, tags: list[int]) -> bytes:
        """The values of one data set that are asked for, joined; none where it cannot be parsed."""
        try:
            raw = self.records[row].raw
        except BadData as error:
            self.unreadable[row] = error
            return b""
        return b"".join(raw[tag][1] for tag in tags if tag in raw)

    def _lay_parsed(self, row: int, tags: list[int], at: int, where: tuple[Offsets, Offsets, Any]) -> None:
        record = self.records[row]
        for slot, tag in enumerate(tags):
            if tag in record.raw:
                length = len(record.raw[tag][1])
                for table, value in zip(where, (at, length, _code(record, record.raw[tag])), strict=True):
                    table[slot, row] = value
                at += length


def _code(record: Elements, cell: tuple[str, bytes]) -> int:
    """The letters of a VR as a little-endian number, 0 where it was not encoded."""
    return 0 if record.implicit else ord(cell[0][0]) | ord(cell[0][1]) << 8


def _inside(record: Elements, key: Key) -> Elements:
    """The item that a path leads to; an empty one where it is not there."""
    for tag, item in key.path[:-1]:
        try:
            items = record.items(tag)
        except BadData:
            items = []
        if item >= len(items):
            return Elements({}, record.implicit)
        record = items[item]
    return record
