"""The headers of many files at once are those of `parse_file`, one by one: values, errors, places of the pixel data."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import slices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from support import shared

from dicomlab.datasets import headers
from dicomlab.datasets.elements import tag_of
from dicomlab.datasets.headerpack import without_rest
from dicomlab.datasets.part10 import parse_file
from dicomlab.errors import BadFile
from dicomlab.scanning.instances import WANTED

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
MORE = WANTED | {tag_of("ReferencedStudySequence"), tag_of("SharedFunctionalGroupsSequence"), 0x00651051, 0x00091001}


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """A few files are read as many are."""
    monkeypatch.setattr(headers, "FEW", 0)


def check(paths, wanted=WANTED):
    """Compare each header with `parse_file`; how many of them took the quick way."""
    found = headers.read(paths, wanted)
    assert len(found) == len(paths)
    for row, path in enumerate(paths):
        try:
            meta, exact = parse_file(path, wanted=wanted)
        except BadFile as error:
            assert str(found.errors[row]) == str(error)
            with pytest.raises(BadFile):
                found[row]
            with pytest.raises(BadFile):
                found.meta(row)
            continue
        assert row not in found.errors, path
        one = found[row]
        assert one.raw == exact.raw, path
        assert (one.implicit, one.end, one.pixels) == (exact.implicit, exact.end, exact.pixels), path
        assert found.meta(row) == meta
        assert one is found[row]
        place = exact.pixels[1:] if exact.pixels else (-1, -1)
        assert (found.pixel_at[row], found.pixel_length[row]) == place
        if row not in found.exact:
            assert found.sizes[row] == os.path.getsize(path)
    for tag in wanted:
        for row, value in enumerate(found.values(tag)):
            bad = row in found.errors
            assert value == (None if bad or tag not in found[row].raw else found[row].raw[tag][1])
    return len(paths) - len(found.exact) - len(found.errors)


def files_below(folder):
    return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("wanted", [WANTED, MORE], ids=["table", "sequences"])
def test_what_pydicom_ships_is_read_as_one_by_one(wanted):  # SPEC R14.2
    paths = files_below(FILES)
    assert check(paths, wanted) > 0.6 * len(paths)


def test_the_shared_data_is_read_as_one_by_one_and_most_of_it_the_quick_way(monkeypatch):
    monkeypatch.setattr(headers, "FEW", 24)
    paths = [path for path in files_below(shared("data")) if os.path.getsize(path) < 3_000_000]
    assert check(paths, MORE) > 0.8 * len(paths)


def test_a_few_files_are_read_one_by_one(monkeypatch):
    monkeypatch.setattr(headers, "FEW", 24)
    assert check([FILES / "CT_small.dcm", FILES / "nothing"]) == 0


@pytest.mark.parametrize("window", [16, 148, 200, 4096])
def test_a_header_longer_than_the_window_is_read_on(window, monkeypatch):
    monkeypatch.setattr(headers, "WINDOWS", (400, window, 2 * window, 4 * window, 64 * window))
    monkeypatch.setattr(headers, "BATCH", 7)
    monkeypatch.setattr(headers, "_ROOM", 3 * 64 * window)
    paths = [path for path in files_below(FILES) if os.path.getsize(path) < 300_000]
    assert check(paths, MORE) > 0


def test_what_is_no_regular_file_is_not_read(tmp_path):  # R14.3
    os.mkfifo(tmp_path / "fifo")
    paths = [tmp_path, tmp_path / "fifo", tmp_path / "nothing", "/dev/zero", "a\0b", FILES / "CT_small.dcm"]
    found = headers.read(paths, WANTED)
    assert sorted(found.errors) == [0, 1, 2, 3, 4]
    assert "regular" in found.errors[1].why and found[5].text("Modality") == "CT"
    assert len(headers.read([], WANTED)) == 0


def test_a_file_meta_with_a_long_ur_value_is_understood(tmp_path):  # PS3.10 7.1: (0002,0026) is UR
    ds = pydicom.dcmread(FILES / "CT_small.dcm")
    ds.file_meta.SourcePresentationAddress = "dicom://some.where:104"
    ds.save_as(tmp_path / "ct", enforce_file_format=True)
    assert check([tmp_path / "ct"]) == 1
    assert parse_file(tmp_path / "ct")[0].data_set > 132


def test_rows_can_be_taken_in_another_order():
    paths = [*files_below(FILES / "dicomdirtests" / "98892003"), str(FILES / "nope"), str(FILES / "image_dfl.dcm")]
    found = headers.read(paths, WANTED)
    order = list(range(len(paths)))
    random.Random(1).shuffle(order)
    taken = found.take(order)
    assert taken.paths == [paths[row] for row in order]
    for new, old in enumerate(order):
        assert (new in taken.errors) == (old in found.errors)
        if old not in found.errors:
            assert taken[new].raw == found[old].raw and taken.meta(new) == found.meta(old)
    assert taken.values(0x00200013) == [found.values(0x00200013)[row] for row in order]
    assert found[-2:0] == [] and len(found[:3]) == 3
    with pytest.raises(IndexError):
        found[len(paths)]


def test_what_files_side_by_side_have_in_common_is_in_memory_once(tmp_path):
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    for number in range(60):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 100}"
        dataset.SeriesDescription = "one" if number < 20 else "two"
        dataset.save_as(tmp_path / f"{number:02d}")
    paths = files_below(tmp_path)
    check(paths)
    found = headers.read(paths, WANTED)
    one = len(headers.read(paths[:1], WANTED).data)
    assert len(found.data) < one + 60 * 2 * 12 + 20  # two UIDs each, the rest once
    shuffled = found.take(random.Random(2).sample(range(60), 60))
    again = without_rest(shuffled)
    assert [one.raw for one in again] == [one.raw for one in shuffled]


def test_what_tells_the_progress_may_end_the_reading():
    seen = []
    paths = files_below(FILES / "dicomdirtests" / "98892003")
    headers.read(paths, WANTED, told=seen.append)
    assert seen == list(range(1, len(paths) + 1))

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        headers.read(paths, WANTED, told=stop)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Encoded files of both syntaxes."""
    rng, found = random.Random(3), []
    path = tmp_path_factory.mktemp("sound") / "file"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(24):
            syntax = ImplicitVRLittleEndian if number % 2 else ExplicitVRLittleEndian
            slices.with_a_sequence(rng, syntax).save_as(path, enforce_file_format=True)
            found.append(path.read_bytes())
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_cut_and_mutated_files_are_read_as_one_by_one(sound, tmp_path, seed):  # SPEC R0.8, R14.3
    rng = random.Random(seed)
    paths = []
    for number, one in enumerate(rng.sample(sound, 8)):
        data = bytearray(one)
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            data[rng.randrange(128, len(data))] = rng.choice([0, 1, 2, 16, 0xE0, 0xFE, 0xFF, 85, rng.randrange(256)])
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        if rng.random() < 0.2:
            data += bytes(rng.randrange(20))
        path = tmp_path / str(number)
        path.write_bytes(data)
        paths.append(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom, of what breaks its VR
        check(paths, MORE)


def test_sound_files_all_take_the_quick_way(sound, tmp_path):
    paths = []
    for number, one in enumerate(sound):
        (tmp_path / str(number)).write_bytes(one)
        paths.append(tmp_path / str(number))
    assert check(paths) == len(paths)
    found = headers.read(paths, WANTED)
    assert not found.exact and (found.pixel_length == 8).all() and found.pixel_at.dtype == np.int64
