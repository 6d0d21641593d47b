"""Numbers written as text, IS and DS: one, or the plain ones of a whole column (PS3.5 6.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import Cells, Offsets, Rows

_DECIMAL = np.zeros(256, bool)
_DECIMAL[list(b"0123456789+-.eE\0")] = True


def wholes(cells: Cells) -> tuple[Offsets, Rows]:
    """What `whole` gives for each value, and whether that is known here: for 1 to 12 digits it is."""
    width = int(np.clip(cells.lengths.max(initial=1), 1, 12))
    digits = cells.block(width) - 48
    inside = np.arange(width) < cells.lengths[:, None]
    found = np.zeros(len(cells), np.int64)
    for place in range(width):
        found = np.where(inside[:, place], 10 * found + digits[:, place], found)
    done = (cells.lengths >= 1) & (cells.lengths <= width) & ((digits <= 9) | ~inside).all(axis=1)
    return np.where(done, found, 0), done


def decimals(cells: Cells) -> tuple[Any, Rows]:
    """What `decimal` gives for each value, and whether that is known here: for at most 16 plain characters it is."""
    width = int(np.clip(cells.lengths.max(initial=1), 1, 16))
    block = cells.block(width)
    done = (cells.lengths >= 1) & (cells.lengths <= width) & _DECIMAL[block].all(axis=1)
    block[~done] = 0
    block[~done, 0] = ord("0")
    try:
        found = np.ascontiguousarray(block).view(f"S{width}")[:, 0].astype(np.float64)
    except ValueError:  # "1e", "1-2"
        return np.zeros(len(cells)), np.zeros(len(cells), bool)
    return found, done & np.isfinite(found)


def decimal(text: str) -> float:
    """The number of a DS; one that is not finite is none."""
    if "_" in text or not text.isascii():
        raise ValueError(text)
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def whole(text: str) -> int:
    """The number of an IS, of 64 bits at most; "3.0" is taken."""
    value = decimal(text)
    try:
        exact = int(text)
    except ValueError:
        exact = int(value)
        if value != exact:
            raise
    if not -(2**63) <= exact < 2**63:
        raise ValueError(text)
    return exact
