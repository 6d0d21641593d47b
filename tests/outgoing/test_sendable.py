"""Files to be sent: looked at together, read one by one, and never what they are not (R6.3, R6.9, P3)."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
import pytest
import slices
from pydicom.data import get_testdata_file

from dicomlab.errors import BadFile
from dicomlab.outgoing.sendable import CHUNK, Lookout, Outgoing, Reader, look


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return slices.write(tmp_path / "series", slices.stack(range(5)))


def looked(paths: list[Path]) -> list[Outgoing]:
    rows = [Outgoing(str(path)) for path in paths]
    look(rows)
    return rows


def test_whatever_is_let_through_together_is_let_through_alone_and_is_the_same(tmp_path):  # R6.9
    paths = sorted(Path(get_testdata_file("CT_small.dcm")).parent.rglob("*.dcm"))
    for number, path in enumerate(paths[:60]):  # and their like, cut
        whole = path.read_bytes()
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(whole[: len(whole) * 2 // 3])
    seen = 0
    for row in looked(paths):
        alone = Outgoing(row.path, None, row.sop_class, row.sop_instance, row.transfer_syntax)
        if row.seen is None:
            continue
        seen += 1
        try:
            expected = bytes(Reader().data_set(alone))
        except BadFile as error:
            with pytest.raises(BadFile) as caught:
                Reader().data_set(row)
            assert caught.value.said == error.said
        else:
            assert bytes(Reader().data_set(row)) == expected
    assert seen > 60  # most are not looked at twice


def test_a_file_that_was_changed_since_it_was_looked_at_is_looked_at_again(series):  # R6.9
    rows, reader = looked(series), Reader()
    assert all(row.seen is not None for row in rows)
    whole = series[1].read_bytes()
    series[0].write_bytes(whole)  # of the same size
    series[1].write_bytes(whole[:-100])
    os.replace(series[3], series[2])
    series[4].unlink()
    for number, words in ((0, "another instance"), (1, "bytes"), (2, "another instance"), (3, "read"), (4, "read")):
        with pytest.raises(BadFile, match=words):
            reader.data_set(rows[number])


@pytest.mark.parametrize(
    ("name", "value"),
    [("sop_class", "1.2.840.10008.5.1.4.1.1.4"), ("sop_instance", "1.2"), ("transfer_syntax", "1.2.3")],
)
def test_a_file_that_is_not_what_its_row_says_is_not_let_through(series, name, value):  # R6.9
    dataset = pydicom.dcmread(series[0])
    row = Outgoing(str(series[0]), None, dataset.SOPClassUID, dataset.SOPInstanceUID, "1.2.840.10008.1.2.1")
    setattr(row, name, value)
    look([row])
    assert row.seen is None and getattr(row, name) == value
    with pytest.raises(BadFile):
        Reader().data_set(row)


def test_rows_are_looked_at_in_their_turn_and_no_further_than_the_next_many(tmp_path):
    (path,) = slices.write(tmp_path / "one", slices.stack([0]))
    rows = [Outgoing(str(path)) for _ in range(2 * CHUNK + 1)]
    lookout = Lookout(rows)
    for at, until in ((0, CHUNK), (CHUNK - 1, CHUNK), (CHUNK, 2 * CHUNK), (2 * CHUNK, 2 * CHUNK + 1)):
        lookout.reached(rows[at])
        assert [row.looked for row in rows] == [True] * until + [False] * (len(rows) - until)
