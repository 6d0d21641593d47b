"""What a function may give and raise, what it is known by, and the file that keeps its results."""

from __future__ import annotations

import enum
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydicom.uid import UID
from slices import stack, write

import dicomlab as dl
from dicomlab.cohort.estimate import Rates
from dicomlab.cohort.fingerprint import fingerprint
from dicomlab.cohort.kept import Kept
from dicomlab.cohort.outcome import DONE, Outcome, column, outcome_of, values
from dicomlab.errors import CacheError, InvalidRequest, ResultWarning

KIND = enum.Enum("KIND", {"BONE": "bone"}, type=str)


# -- what it gives -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (xr.DataArray(2.5), 2.5),  # as volume.mean() gives it
        (np.array(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (UID("1.2"), "1.2"),
        (KIND.BONE, "bone"),
        (pd.NA, None),
        (None, None),
    ],
)
def test_a_scalar_of_any_library_is_a_value(given: Any, kept: Any) -> None:
    (value,) = values(given).values()
    assert value == kept and type(value) is type(kept)
    assert values({"a": given}) == {"a": kept}
    assert values(xr.Dataset({"m": 1.5})) == {"m": 1.5}


@pytest.mark.parametrize("given", [np.datetime64("2020-01-01", "ns"), pd.DataFrame({"a": [1]}), 1j, b"x", len])
def test_what_a_column_would_hold_as_something_else_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequest, match="the function gives an object of type"):
        values(given)


def test_a_column_has_the_kind_of_its_values_whatever_they_are() -> None:
    index = pd.Index(["a", "b"])
    cases: list[tuple[list[Any], str]] = [
        ([1.0, 2.0], "Float64"),  # not Int64 because they happen to be whole
        ([1, 2.5], "Float64"),
        ([1, None], "Int64"),
        ([True, None], "boolean"),
        (["x", None], "string"),
        ([2**70, 1], "object"),
        ([2**70, 1.5], "object"),
        (["x", 1], "object"),
        ([None, None], "object"),
    ]
    for found, kind in cases:
        made = column(found, index)
        assert str(made.dtype) == kind and list(made.index) == ["a", "b"], found
        assert [None if pd.isna(one) else one for one in made] == found
    assert column([float("nan"), 1.0], index).isna().tolist() == [True, False]


# -- what it raises ------------------------------------------------------------------------------------------------


class Mute(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def endless(volume: Any) -> Any:
    return endless(volume)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(3), "function: SystemExit: 3"),
        (KeyboardInterrupt(), "function: KeyboardInterrupt"),
        (Mute(), "function: Mute"),
        (ValueError("x" * 5000), "function: ValueError: xxx"),
        (ValueError("red \x1b[31m"), r"function: ValueError: red \x1b[31m"),
    ],
)
def test_whatever_is_raised_is_the_error_of_a_row(tmp_path: Path, error: BaseException, said: str) -> None:
    paths = [str(path) for path in write(tmp_path, stack([0, 1]))]

    def fails(volume: Any) -> Any:
        raise error

    made = outcome_of(fails, paths, "volume")
    assert made.status == "failed" and made.error.startswith(said) and len(made.error) < 1100 and made.seconds > 0
    assert outcome_of(endless, paths, "volume").error.startswith("function: RecursionError")


def test_a_reservation_of_load_is_told_with_its_series(tmp_path: Path) -> None:
    write(tmp_path, [image for image in stack([0, 1, 2, 3, 4, 5]) if image.InstanceNumber != 3])
    with pytest.warns(ResultWarning, match="1 series was loaded with a reservation") as caught:
        table = dl.apply(lambda volume: volume.size, dl.scan(tmp_path))
    (remark,) = table.attrs["remarks"]
    assert remark.startswith(table.SeriesInstanceUID[0]) and len(caught) == 1


# -- what it is known by -------------------------------------------------------------------------------------------

threshold, calls = 300, 0


def helper(value: float) -> bool:
    return value > threshold


def above(volume: Any, least: int = 1) -> bool:
    global calls
    calls += 1
    return helper(volume) and volume > least


class Above:
    """A function that is an object."""

    def __init__(self, least: int) -> None:
        self.least = least

    def __call__(self, volume: Any) -> bool:
        """More than that."""
        return bool(volume > self.least)

    def also(self, volume: Any) -> bool:
        """The same by a method."""
        return bool(volume > self.least)


def test_a_function_with_other_values_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(above)
    assert before[0] == "above" and before[1]
    monkeypatch.setitem(globals(), "threshold", 200)  # of a function that it calls
    assert fingerprint(above) != before
    monkeypatch.undo()
    assert fingerprint(above) == before
    monkeypatch.setitem(globals(), "calls", 7)  # what it counts itself is no value of it
    assert fingerprint(above) == before
    monkeypatch.setattr(above, "__defaults__", (2,))
    assert fingerprint(above) != before
    assert fingerprint(partial(above, least=1)) != fingerprint(partial(above, least=2))
    assert fingerprint(Above(1)) == fingerprint(Above(1)) != fingerprint(Above(2))
    assert fingerprint(Above(1).also) == fingerprint(Above(1).also) != fingerprint(Above(2).also)
    made = [lambda volume, least=least: volume > least for least in (1, 1, 2)]
    assert fingerprint(made[0]) == fingerprint(made[1]) != fingerprint(made[2])
    assert fingerprint(len) == ("len", "")


# -- the file of results -------------------------------------------------------------------------------------------

WHO = ("mean", "abc")


def kept(path: Path, *series: str) -> None:
    file = Kept(path, WHO)
    for uid in series:
        file.keep(uid, Outcome(DONE, {"result": 1.5}, "", 0.1))
    file.close()


def test_a_damaged_line_costs_its_series_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results"
    kept(path, "1", "2", "3", "4")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * 40 + b"\n"  # as a power cut leaves it
    lines[3] = b'{"series": "3", "values": 7}\n'
    path.write_bytes(b"".join(lines))
    with pytest.warns(ResultWarning, match="2 of 4 lines of results are damaged, and those series run again"):
        file = Kept(path, WHO)
    file.close()
    assert sorted(file.before) == ["1", "4"] and path.read_bytes() == b"".join(lines)


def test_a_file_whose_first_line_was_not_finished_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "results"
    kept(path, "1")
    whole = path.read_bytes()
    for size in (0, 1, whole.index(b"\n")):
        path.write_bytes(whole[:size])
        kept(path, "1")
        assert path.read_bytes() == whole


def test_a_file_of_another_version_is_left(tmp_path: Path) -> None:
    path = tmp_path / "results"
    content = b'{"kind": "dicomlab results 2"}\n'
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="results is a file of results of another version"):
        Kept(path, WHO)
    assert path.read_bytes() == content


def test_a_disk_that_is_full_is_an_error_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results"
    kept(path, "1")
    before = path.read_bytes()
    file = Kept(path, WHO)
    inner = file._file

    class Full:
        """Takes ten bytes, then none, as a disk with little room does."""

        room = 10

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def write(self, data: Any) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            size, self.room = self.room, 0
            return int(inner.write(data[:size]))

    monkeypatch.setattr(file, "_file", Full())
    with pytest.raises(CacheError, match="No space left on device"):
        file.keep("2", Outcome(DONE, {"result": 2.5}, "", 0.1))
    file.close()
    assert path.read_bytes() == before
    kept(path, "3")
    assert [json.loads(line).get("series") for line in path.read_text().splitlines()] == [None, "1", "3"]


def test_minutes_are_not_overstated_by_a_small_sample() -> None:
    """Two single images of 10 kB took 0.2 s, each for itself: 100 of 5 MB take no 25 hours."""
    rates = Rates("A@b:1", ("sample", ""))
    assert rates.minutes(1, 1, 1, 1) is None and rates.minutes(0, 0, 0, 1) == 0
    rates.learn(20_000, 2, 0.2, [Outcome(DONE, {}, "", 0.01)])
    assert rates.minutes(500_000_000, 100, 100, 1) == pytest.approx(100 * 0.1 / 60)
    assert rates.minutes(0, 0, 600, 2) == pytest.approx(600 * 0.01 / 2 / 60)
