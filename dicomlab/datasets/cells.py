"""The values of one attribute of many data sets, side by side as they are encoded: looked at all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..markup import pictured

Offsets = npt.NDArray[np.int64]
Rows = npt.NDArray[np.bool_]
ROUNDS: Final = 32  # padding bytes that are looked for in all values at once; what has more is stripped alone


class Joined:
    """The bytes in which many values lie, and what is known of them as a whole."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(data, np.uint8)

    @cached_property
    def text(self) -> str:
        """One character for each byte."""
        return self.data.decode("latin-1")

    @cached_property
    def beyond(self) -> Offsets:
        """Offsets of the bytes beyond ASCII."""
        return np.flatnonzero(self.bytes > 0x7F) if not self.data.isascii() else np.zeros(0, np.int64)

    @cached_property
    def breaks(self) -> Offsets:
        """Offsets of the backslashes and escapes."""
        found = [np.flatnonzero(self.bytes == byte) for byte in b"\\\x1b" if byte in self.data]
        return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Cells:
    """One attribute of many data sets, values as encoded."""

    joined: Joined
    starts: Offsets  # (n,), offset in bytes of each value
    lengths: Offsets  # (n,), in bytes; 0 empty, -1 absent
    vrs: npt.NDArray[np.uint16] | None = None  # (n,), letters of the encoded VR as a little-endian number, 0 without

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Cells:
        """The cells of values that lie apart.

        Examples
        --------
        >>> Cells.of([b"CT", None, b""]).lengths.tolist()
        [2, -1, 0]
        """
        lengths = np.array([-1 if value is None else len(value) for value in values], np.int64)
        data = b"".join(value for value in values if value)
        return cls(Joined(data), np.cumsum(np.maximum(lengths, 0)) - np.maximum(lengths, 0), lengths)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def ends(self) -> Offsets:
        """(n,), offset in bytes of what follows each value."""
        return self.starts + np.maximum(self.lengths, 0)

    def value(self, row: int) -> bytes:
        """The bytes of one value; b"" where it is absent."""
        start = int(self.starts[row])
        return self.joined.data[start : start + max(0, int(self.lengths[row]))]

    def values(self, rows: Offsets) -> list[bytes]:
        """The bytes of the values of these rows."""
        data, starts, ends = self.joined.data, self.starts[rows].tolist(), self.ends[rows].tolist()
        return [data[start:end] for start, end in zip(starts, ends, strict=True)]

    def texts(self) -> list[str]:
        """One character for each byte of each value; "" where it is absent."""
        starts, ends, data = self.starts, self.ends, self.joined.data
        there = self.lengths > 0
        low, high = (int(starts[there].min()), int(ends[there].max())) if there.any() else (0, 0)
        if 4 * (high - low) < len(data):  # the column lies by itself
            starts, ends = np.where(there, starts - low, 0), np.where(there, ends - low, 0)
            text = data[low:high].decode("latin-1")
        else:
            text = self.joined.text
        return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def hold(self, places: Offsets) -> Rows:
        """(n,), whether a value holds one of these offsets, which are `beyond` or `breaks` of what is joined."""
        if len(places) and len(self):  # of a column that lies by itself, mostly none
            low, high = np.searchsorted(places, (self.starts.min(), self.ends.max()))
            places = places[low:high]
        if not len(places):
            return np.zeros(len(self), bool)
        first = np.searchsorted(places, self.starts)  # of those behind the beginning of each value
        return (first < len(places)) & (places[np.minimum(first, len(places) - 1)] < self.ends)

    def stripped(self, padding: bytes, *, left: bool) -> Cells:
        """The same values without padding behind them, and before them where `left`."""
        starts, ends = self.starts.copy(), self.ends
        pads = np.zeros(256, bool)
        pads[list(padding)] = True
        for side in ("right", "left") if left else ("right",):
            open_ = np.flatnonzero(ends > starts)
            for _ in range(ROUNDS):
                open_ = open_[pads[self.joined.bytes[ends[open_] - 1 if side == "right" else starts[open_]]]]
                if not len(open_):
                    break
                if side == "right":
                    ends[open_] -= 1
                else:
                    starts[open_] += 1
                open_ = open_[ends[open_] > starts[open_]]
            for row in open_.tolist():
                value = self.joined.data[starts[row] : ends[row]]
                if side == "right":
                    ends[row] -= len(value) - len(value.rstrip(padding))
                else:
                    starts[row] += len(value) - len(value.lstrip(padding))
        return replace(self, starts=starts, lengths=np.where(self.lengths < 0, -1, ends - starts))

    def block(self, width: int) -> npt.NDArray[np.uint8]:
        """(n, width) first bytes of each value, zeros behind its end."""
        columns = np.arange(width)
        inside = columns < np.maximum(self.lengths, 0)[:, None]
        if not len(self.joined.bytes):
            return np.zeros((len(self), width), np.uint8)
        taken = self.joined.bytes.take(self.starts[:, None] + columns, mode="clip")
        return np.where(inside, taken, 0).astype(np.uint8)


def objects(values: Sequence[Any]) -> Any:
    """A column of objects as they are: older pandas makes arrays of data sets, as they offer to be one."""
    import pandas as pd

    made = np.empty(len(values), object)
    for at, value in enumerate(values):
        made[at] = value
    return pd.Series(made)


def strings(cells: Cells) -> Any:
    """A "string" array of values that are ASCII; NA where one is absent or empty."""
    import pandas as pd

    made = utf8_strings(cells)
    if made is None:
        made = pd.array([pictured(text) or None for text in cells.texts()], dtype="string")
    return made


def utf8_strings(cells: Cells) -> Any:
    """A "string" array of values in UTF-8, or None: where one is not, or some overlap, or text is not Arrow's here.

    The values and the gaps between them are one Arrow array over the bytes as they lie; every second one is taken, as
    often as rows one below the other have it.
    """
    import pandas as pd

    if pd.StringDtype().storage != "pyarrow" or not len(cells):
        return None
    import pyarrow as pa
    from pyarrow import compute

    pool = pa.system_memory_pool()  # so that what one column leaves is room for the next, as other arrays have it
    missing = cells.lengths <= 0
    starts, ends = cells.starts[~missing], cells.ends[~missing]
    new = np.ones(len(starts), bool)  # and not the value of the row before
    new[1:] = (starts[1:] != starts[:-1]) | (ends[1:] != ends[:-1])
    number = np.cumsum(new) - 1
    starts, ends = starts[new], ends[new]
    if (starts[1:] < ends[:-1]).any():  # not in the order of the rows
        whole = ends
        starts, first, place = np.unique(starts, return_index=True, return_inverse=True)
        ends = ends[first]
        if (ends[place] != whole).any() or (starts[1:] < ends[:-1]).any():
            return None
        number = place[number]
    which = np.zeros(len(cells), np.int64)
    which[~missing] = 2 * number
    offsets = np.column_stack((starts, ends)).ravel()
    length = max(len(offsets) - 1, 0)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(cells.joined.data)]
    both = pa.Array.from_buffers(pa.large_binary(), length, buffers)
    try:
        rows = pa.array(which, mask=missing, memory_pool=pool)
        taken = compute.take(both, rows, memory_pool=pool).cast(pa.large_string(), memory_pool=pool)
    except pa.ArrowInvalid:
        return None
    letters = np.frombuffer(taken.buffers()[2] or b"", np.uint8)
    if ((letters < 0x20) | (letters > 0x7E)).any():  # maybe some that no attribute may hold
        return pd.array([text and pictured(text) for text in taken.to_pylist()], dtype="string")
    return pd.arrays.ArrowStringArray(taken)
