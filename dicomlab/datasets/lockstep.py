"""Many data sets walked at once with numpy: each step takes the next element of every one of them (PS3.5 7).

A walk with `encoding.walk` costs some 100 us a header, this one a few. It decides only what is plainly so, and says
of the rest that it is not sure; `encoding.walk` decides that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .encoding import ITEM, ITEM_END, LONG, NESTING, PIXELS, SEQUENCE_END, SHORT, UNDEFINED

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_NO_VR, _SHORT, _LONG = 0, 1, 2
_UN: Final = int.from_bytes(b"UN", "little")
#: About what a step costs at least, and what an exact walk costs, in us. Only their ratio matters.
_STEP: Final = 80.0
_EXACT: Final = 200.0
_FIRST_PIXELS: Final = min(PIXELS)
#: By the two letters of a VR as a little-endian number: none, one with a length of 16 bits, one with 32.
_FORM: Final = np.full(65536, _NO_VR, np.uint8)
for _vrs, _form in ((SHORT, _SHORT), (LONG, _LONG)):
    _FORM[[int.from_bytes(vr.encode(), "little") for vr in _vrs]] = _form


@dataclass(frozen=True)
class Places:
    """Where the values of some attributes lie in many data sets: one row a tag, one column a data set.

    Offsets count from the beginning of the buffer that holds all data sets.
    """

    tags: tuple[int, ...]
    starts: Integers  # (tags, data sets) offset of the value, -1 where absent
    lengths: Integers  # (tags, data sets) bytes, -1 where absent; of a sequence without its delimiter
    vrs: NDArray[np.uint16]  # (tags, data sets) the two letters as a little-endian number; 0 where implicit
    sure: Mask  # (data sets,) `encoding.walk` gives the same
    more: Mask  # (data sets,) not sure because the window is too short: walk on from `stops` with a further one
    stops: Integers  # (data sets,) where the walk ended: the header of the pixel data or of what it lost, or the end
    pixel_starts: Integers  # (data sets,) offset of the value of the pixel data the walk stopped at, or -1
    pixel_lengths: Integers  # (data sets,) its length, 0xFFFFFFFF where encapsulated, or -1
    pixel_tags: Integers  # (data sets,) its tag, or -1
    pixel_vrs: NDArray[np.uint16]  # (data sets,) its VR as in `vrs`


def walk_all(
    data: Any,
    starts: Integers,
    ends: Integers,
    tags: Sequence[int],
    *,
    implicit: bool,
    totals: Integers | None = None,
    group: int | None = None,
    leave_few: bool = False,
) -> Places:
    """Walk the top level of many little-endian data sets, each up to its pixel data.

    Parameters
    ----------
    data
        Buffer of bytes (or uint8 array) that holds all of them.
    starts, ends
        int64 (data sets,). Offsets of what is there of each data set, its window.
    tags
        Of the attributes whose values are looked for.
    implicit
        Whether they are in Implicit VR Little Endian.
    totals
        int64 (data sets,). Offsets where the data sets end, were they there as a whole; `ends` if None.
    group
        Only elements of this group are walked; each stops at the first one of another.
    leave_few
        Whether to leave undecided the few data sets whose elements go on when most are at their end: one by one
        they are quicker.

    Examples
    --------
    >>> one = bytes.fromhex("10002000 04000000 31323320")
    >>> found = walk_all(one * 2, np.array([0, 12]), np.array([12, 24]), [0x00100020], implicit=True)
    >>> found.starts.tolist(), found.lengths.tolist(), found.sure.tolist()
    ([[8, 20]], [[4, 4]], [True, True])
    """
    walk = _Walk(data, starts, ends, ends if totals is None else totals, tags, implicit, group)
    lost = 0.0  # by steps for so few data sets that each costs more than it saves
    while walk.going() and not (leave_few and lost > _EXACT * len(walk.rows)):
        walk.step()
        lost += max(_STEP - len(walk.rows) * _EXACT / 100, 0.0)
    return walk.found


def _tags(head: NDArray[np.uint64]) -> Integers:
    return ((head & 0xFFFF) << 16 | head >> 16 & 0xFFFF).view(np.int64)


class _Walk:
    """The state of a walk: arrays with one entry for each data set that is not at its end yet."""

    def __init__(
        self,
        data: Any,
        starts: Integers,
        ends: Integers,
        totals: Integers,
        tags: Sequence[int],
        implicit: bool,
        group: int | None,
    ) -> None:
        many = len(starts)
        self.implicit, self.group = implicit, group
        flat = np.frombuffer(data, np.uint8)
        self.words = np.ndarray((max(len(flat) - 7, 0),), "<u8", flat, 0, (1,))  # the 8 bytes from each offset on
        self.wanted = np.array(sorted(set(tags)), np.int64)
        self.slots = {int(tag): slot for slot, tag in enumerate(self.wanted)}
        shape = (len(self.wanted), many)
        self.found = Places(
            tags=tuple(self.slots),
            starts=np.full(shape, -1, np.int64),
            lengths=np.full(shape, -1, np.int64),
            vrs=np.zeros(shape, np.uint16),
            sure=np.zeros(many, bool),
            more=np.zeros(many, bool),
            stops=np.array(starts, np.int64),
            pixel_tags=np.full(many, -1, np.int64),
            pixel_vrs=np.zeros(many, np.uint16),
            pixel_starts=np.full(many, -1, np.int64),
            pixel_lengths=np.full(many, -1, np.int64),
        )
        self.rows = np.arange(many)
        self.at, self.end, self.total = (np.array(one, np.int64) for one in (starts, ends, totals))
        self.depth = np.zeros(many, np.int64)  # odd: in a sequence, even: in an item, of undefined length
        self.nested = False  # is any of them?
        self.first = True
        # of each nested one, the element of the top level that it is in: its header, tag, VR and value
        self.top, self.tag, self.inside = (np.zeros(many, np.int64) for _ in range(3))
        self.vr = np.zeros(many, np.uint16)

    def going(self) -> bool:
        """Whether an element is left anywhere; what is at the end of its window leaves."""
        out = self.at + 8 > self.end
        if out.any():
            whole = out & (self.depth == 0) & (self.at == self.total)
            self._leave(whole, out & ~whole, np.zeros(len(out), bool))
        return bool(len(self.rows))

    def step(self) -> None:
        """Take the next element of each."""
        head = self.words[self.at]
        if self._plain(head):
            return
        tag = _tags(head)
        items = tag >> 16 == 0xFFFE
        vr, value, length, lost, short = self._header(head, items)
        done = np.zeros(len(tag), bool)
        if (tag >= _FIRST_PIXELS).any():
            done = np.isin(tag, list(PIXELS)) & (self.depth == 0) & ~lost & ~short
            lost |= done & (length != UNDEFINED) & (value + length > self.total)
            done &= ~lost
            self._pixels(done, tag, vr, value, length)
        if self.group is not None:
            done = tag >> 16 != self.group
            lost = (lost | (length == UNDEFINED)) & ~done
            short &= ~done
        after = value + length
        plain = ~done  # elements of the top level whose length is known
        undefined = length == UNDEFINED
        if self.nested or items.any() or undefined.any():
            plain &= (self.depth == 0) & ~items & ~undefined
            self._nest(tag, vr, value, after, undefined, items, done, lost)
        lost |= (after > self.total) & ~done
        short |= self._keep(tag, vr, value, length, plain & ~lost & ~short)
        self.at = np.where(done | short | lost, self.at, after)
        self._leave(done, short & ~lost, lost)
        self.first = False

    def _plain(self, head: NDArray[np.uint64]) -> bool:
        """Take the next elements if all are plain, their values in the windows; False where one is not."""
        if self.nested or (self.implicit and self.first):
            return False
        alike = not ((head ^ head[0]) << (32 if self.implicit else 16)).any()  # tag and VR, as in a series mostly
        one = head[:1] if alike else head
        tag = _tags(one)
        vr = (one >> 32 & (0 if self.implicit else 0xFFFF)).astype(np.uint16)
        form = _FORM[vr]
        if (tag >= _FIRST_PIXELS).any() or (self.group is not None and (tag >> 16 != self.group).any()):
            return False
        value = self.at + 8
        if self.implicit:
            length = (head >> 32).view(np.int64)
        elif (form == _SHORT).all():
            length = (head >> 48).view(np.int64)
        elif alike and form[0] == _LONG:
            value += 4
            if (value > self.end).any():
                return False
            length = (self.words[self.at + 4] >> 32).view(np.int64)
        elif (form == _NO_VR).any():
            return False
        else:
            length, wide = (head >> 48).view(np.int64), np.flatnonzero(form == _LONG)
            value[wide] += 4
            if (value > self.end).any():
                return False
            length[wide] = (self.words[self.at[wide] + 4] >> 32).view(np.int64)
        after = value + length
        if (after > self.end).any():  # an undefined length too
            return False
        self._store_plain(alike, tag, vr, value, length)
        self.at, self.first = after, False
        return True

    def _store_plain(
        self, alike: bool, tag: Integers, vr: NDArray[np.uint16], value: Integers, length: Integers
    ) -> None:
        if not alike:
            self._store(np.ones(len(tag), bool), tag, vr, value, length)
        elif int(tag[0]) in self.slots:
            rows = self.rows if len(self.rows) < self.found.starts.shape[1] else slice(None)
            where = self.slots[int(tag[0])], rows
            self.found.starts[where], self.found.lengths[where], self.found.vrs[where] = value, length, vr[0]

    def _header(
        self, head: NDArray[np.uint64], items: Mask
    ) -> tuple[NDArray[np.uint16], Integers, Integers, Mask, Mask]:
        """VR, offset and length of the values; which headers cannot be, and which are cut by the window."""
        high = head >> 32
        vr = (high & 0xFFFF).astype(np.uint16)
        form = _FORM[vr]
        value = self.at + 8
        short = np.zeros(len(head), bool)
        if self.implicit:
            lost = np.zeros(len(head), bool)
            if self.first or self.nested:  # a VR in an implicit data set or item: `encoding.really_implicit`
                lost = (form != _NO_VR) & (self.first | (self.depth > 0)) & ~items
            return np.zeros_like(vr), value, high.astype(np.int64), lost, short
        length = (head >> 48).astype(np.int64)
        wide = np.flatnonzero(form == _LONG)
        if len(wide):
            short[wide] = self.at[wide] + 12 > self.end[wide]
            wide = wide[~short[wide]]
            length[wide] = (self.words[self.at[wide] + 4] >> 32).astype(np.int64)
            value[wide] += 4
        if items.any():
            length[items], value[items] = high[items].astype(np.int64), self.at[items] + 8
        return vr, value, length, (form == _NO_VR) & ~items, short

    def _pixels(self, done: Mask, tag: Integers, vr: NDArray[np.uint16], value: Integers, length: Integers) -> None:
        rows, found = self.rows[done], self.found
        found.pixel_tags[rows], found.pixel_vrs[rows] = tag[done], vr[done]
        found.pixel_starts[rows], found.pixel_lengths[rows] = value[done], length[done]

    def _nest(
        self,
        tag: Integers,
        vr: NDArray[np.uint16],
        value: Integers,
        after: Integers,
        undefined: Mask,
        items: Mask,
        done: Mask,
        lost: Mask,
    ) -> None:
        """Go into and out of sequences and items of undefined length (PS3.5 7.5); changes `after` and `lost`."""
        depth = self.depth
        sequence = depth & 1 == 1
        opens = items & sequence & (tag == ITEM)
        closes = items & np.where(sequence, tag == SEQUENCE_END, (tag == ITEM_END) & (depth > 0))
        element = ~items & ~sequence & ~done
        lost |= ~(opens | closes | element | done)
        begins = undefined & (opens | element)
        lost |= begins & ((depth >= 2 * NESTING) | element & (vr == _UN))  # implicit in explicit: not here
        after[:] = np.where(begins | closes, value, after)
        here = begins & (depth == 0)
        if here.any():
            self.top[here], self.inside[here] = self.at[here], value[here]
            self.tag[here], self.vr[here] = tag[here], vr[here]
        ended = closes & (depth == 1) & ~lost
        if ended.any():
            self._store(ended, self.tag, self.vr, self.inside, self.at - self.inside)
        self.depth = depth + begins - closes
        self.nested = bool(self.depth.any())

    def _keep(
        self, tag: Integers, vr: NDArray[np.uint16], value: Integers, length: Integers, plain: Mask
    ) -> Mask | bool:
        """Keep what is wanted; which of it the window cuts."""
        if not self.slots:
            return False
        slots = np.minimum(np.searchsorted(self.wanted, tag), len(self.wanted) - 1)
        wanted = plain & (self.wanted[slots] == tag)
        if not wanted.any():
            return False
        cut = wanted & (value + length > self.end)
        self._store(wanted & ~cut, tag, vr, value, length)
        return cut

    def _store(
        self, which: Mask, tag: Integers, vr: NDArray[np.uint16], value: Integers, length: Integers
    ) -> None:
        if not self.slots:
            return
        slots = np.minimum(np.searchsorted(self.wanted, tag), len(self.wanted) - 1)
        chosen = np.flatnonzero(which & (self.wanted[slots] == tag))
        slots = slots[chosen]
        where = slots, self.rows[chosen]
        self.found.starts[where], self.found.lengths[where] = value[chosen], length[chosen]
        self.found.vrs[where] = vr[chosen]

    def _leave(self, done: Mask, short: Mask, lost: Mask) -> None:
        """Those of these masks leave the walk: at the end, at the end of their window, or not to be decided here."""
        out = done | short | lost
        if not out.any():
            return
        rows, found = self.rows[out], self.found
        found.sure[rows] = done[out]
        found.more[rows] = (short & (self.end < self.total))[out]
        found.stops[rows] = np.where(self.depth > 0, self.top, self.at)[out]
        for name in ("rows", "at", "end", "total", "depth", "top", "tag", "inside", "vr"):
            setattr(self, name, getattr(self, name)[~out])
        self.nested = self.nested and bool(self.depth.any())
