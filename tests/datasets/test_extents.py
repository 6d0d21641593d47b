"""Where the values of many headers lie is told as it was, however it is held: for groups of rows, or row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomlab.datasets.extents import Extents, narrow

SIZES = st.tuples(st.integers(1, 5), st.integers(0, 40))


def tables(attributes, rows, seed, largest=1000):
    """A table whose attributes change never, seldom, or with each row."""
    chooser = np.random.default_rng(seed)
    table = np.zeros((3, attributes, rows), np.int64)
    for attribute in range(attributes):
        often = chooser.choice([0.0, 0.05, 1.0])
        change = np.cumsum(chooser.random(rows) < often) if rows else np.zeros(0, int)
        values = chooser.integers(0, largest, (3, rows + 1))
        table[:, attribute] = values[:, change]
        table[1, attribute, chooser.random(rows) < 0.1 * often] = -1
    return table


def whole(extents):
    """The table of all rows, column by column; `row`, `rows` and `cell` say the same."""
    attributes, rows = len(extents.varies), len(extents)
    table = np.stack([extents.column(attribute) for attribute in range(attributes)], axis=1)
    assert table.shape == (3, attributes, rows)
    assert extents.rows(slice(None)) == [extents.row(row) for row in range(rows)] == table.transpose(2, 0, 1).tolist()
    for row in {0, rows // 2, rows - 1} if rows else ():
        assert [extents.cell(one, row) for one in range(attributes)] == table[:, :, row].T.tolist()
    return table


@settings(deadline=None)
@given(SIZES, st.integers(0, 2**32))
def test_what_is_held_is_what_was_given(size, seed):
    table = tables(*size, seed)
    extents = Extents.of(table)
    assert (whole(extents) == table).all()
    order = np.random.default_rng(seed).permutation(size[1])[: size[1] // 2 + 1]
    assert (whole(extents.take(order)) == table[:, :, order]).all()
    assert (whole(extents.moved(np.arange(size[0])))[0] == table[0] + np.arange(size[0])[:, None]).all()
    assert (whole(Extents.absent(*size))[1] == -1).all()


@settings(deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(0, 2**32))
def test_several_one_behind_the_other_are_as_if_they_had_come_at_once(attributes, lengths, seed):
    parts = [tables(attributes, rows, seed + number) for number, rows in enumerate(lengths)]
    assert (whole(Extents.joined([Extents.of(part) for part in parts])) == np.concatenate(parts, axis=2)).all()


@settings(deadline=None)
@given(SIZES, st.integers(0, 2**32), st.data())
def test_values_that_are_put_in_change_nothing_else(size, seed, data):
    table = tables(*size, seed)
    extents = Extents.of(table)
    attribute = data.draw(st.integers(0, size[0] - 1))
    rows = data.draw(st.lists(st.integers(0, size[1] - 1), unique=True)) if size[1] else []
    changed = table.copy()
    changed[0, attribute, rows], changed[1, attribute, rows] = 7, 8
    assert (whole(extents.put(attribute, rows, [7] * len(rows), [8] * len(rows))) == changed).all()
    assert (whole(extents) == table).all()


@settings(deadline=None)
@given(SIZES, st.integers(0, 2**32))
def test_the_values_of_some_rows_are_gathered_in_their_order_and_no_others(size, seed):
    table = tables(*size, seed, largest=50)
    data = bytes(np.random.default_rng(seed).integers(0, 256, 200, np.uint8))
    order = np.random.default_rng(seed).permutation(size[1])[: size[1] // 2 + 1]
    extents, values = Extents.of(table).take(order).gathered(data)
    found, expected = whole(extents), table[:, :, order]
    assert (found[1] == expected[1]).all() and (found[2] == expected[2]).all()
    for attribute in range(size[0]):
        starts = found[0, attribute].tolist()
        assert starts == sorted(starts)  # so that text is taken as it lies
        for row, (start, length, _) in enumerate(found[:, attribute].T.tolist()):
            begin = int(expected[0, attribute, row])
            assert values[start : start + max(length, 0)] == data[begin : begin + max(length, 0)]
    assert len(values) <= np.maximum(expected[1], 0).sum()


def test_what_a_series_has_in_common_is_held_once_for_it():
    rows, attributes = 10_000, 40
    table = np.zeros((3, attributes, rows), np.int64)
    table[0] = np.arange(rows) // 200  # of 200 files
    table[0, :4] = np.arange(rows)
    odd = tables(attributes, 20, 1)
    odd[0] = np.arange(20)
    for extents in (Extents.of(table), Extents.joined([Extents.of(table), Extents.of(odd)])):
        held = extents.steady.nbytes + extents.varying.nbytes + extents.group.nbytes
        assert held / rows < 4 + 4 * 12 + 10  # bytes; 480 row by row, and a few odd files change nothing of that


def test_a_table_takes_half_the_memory_until_it_counts_further_than_that():
    small = np.ones((3, 2, 2), np.int32)
    assert narrow(small) is small and narrow(small + np.int64(1 << 31)).dtype == np.int64
    table = tables(2, 9, 3, largest=1 << 40)
    assert (whole(Extents.of(table)) == table).all()


@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_or_one_is_held_too(rows):
    table = tables(3, rows, 1)
    assert (whole(Extents.of(table)) == table).all()
