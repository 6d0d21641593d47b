"""Broken files: each is named with the reason, its neighbours load, nothing hangs, memory stays bounded (R12.9)."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import slices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from support import ROOT, shared

from dicomlab import load, load_all
from dicomlab.errors import BadFile, DicomlabError, InvalidRequest, ResultWarning

#: Of the shared malformed files, those that are broken; the others are odd, and load or are refused by their class.
BROKEN = {
    "3gb-bulk-data-truncated",
    "no_preamble_dicm_in_data",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "MR_truncated.dcm",
    "badVR.dcm",
    "no_meta.dcm",
    "rtplan_truncated.dcm",
}
LIMIT = 3 << 30  # bytes of address space

ONE = """
import json, re, resource, sys, time, warnings
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
warnings.simplefilter("ignore")
from dicomlab import load, load_all
from dicomlab.errors import DicomlabError
for path in sys.argv[2:]:
    start = time.process_time()
    try:
        load(path)
        said = "ok", ""
    except DicomlabError as error:
        said = type(error).__name__, error.message
    found = load_all([path, sys.argv[1]])
    took = time.process_time() - start
    names = [path in line.instances or path in line.why for line in found.report.itertuples()]
    # not getrusage's maximum: that is at least what the parent held when it forked
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
    print(json.dumps([path, *said, took, len(found), any(names), peak]))
"""


def files() -> list[Path]:
    folder = shared("data/malformed")
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SOURCE.txt")


def test_each_broken_file_is_named_with_the_reason_and_its_neighbour_loads(tmp_path):
    paths = files()
    known = json.loads(shared("data/truth/_malformed.json").read_text())["files"]
    assert {str(path.relative_to(shared("data/malformed"))) for path in paths} == set(known)
    (good,) = slices.write(tmp_path, slices.stack([0]))
    command = [sys.executable, "-c", ONE.format(limit=LIMIT), str(good), *map(str, paths)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [line[0] for line in lines] == list(map(str, paths))
    for path, kind, why, seconds, volumes, named, _ in lines:
        assert seconds < 2, path  # two loads, and imports in the first
        if Path(path).name in BROKEN:
            assert kind == "BadFile" and path in why and named and volumes == 1, (path, kind, why)
        else:
            assert kind in ("ok", "InvalidRequest", "BadFile", "GeometryError"), (path, kind, why)
            assert volumes == (2 if kind == "ok" else 1) and (named or kind in ("ok", "GeometryError"))
    assert lines[-1][-1] < 300 << 10  # KiB; 180 MiB of them are the imports


@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_header_that_promises_gigabytes_is_refused_before_they_are_allocated(tmp_path, syntax):  # R0.8
    (dataset,) = slices.stack([0], rows=64, columns=64)
    (path,) = slices.write(tmp_path, [dataset], ExplicitVRLittleEndian if syntax == RLELossless else syntax)
    dataset = pydicom.dcmread(path)
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    dataset.Rows = dataset.Columns = 60000
    dataset.save_as(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFile, match=r"bytes"):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def compressed(folder, heights):
    datasets = slices.stack(heights, rows=64, columns=64)
    slices.write(folder, datasets)
    for dataset in datasets:
        dataset.compress(RLELossless, generate_instance_uid=False)
    return slices.write(folder, datasets, RLELossless)


def spoil(path):
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\xe0\x7f\x10\x00")
    data[at + 28 : at + 60] = bytes(32)
    path.write_bytes(data)


def test_a_slice_that_cannot_be_decoded_costs_that_slice(tmp_path):
    paths = compressed(tmp_path, [0, 2, 4, 6])
    spoil(paths[1])
    with pytest.warns(ResultWarning) as said:
        volume = load(paths)
    assert volume.z.values.tolist() == [0, 4, 6] and any("0001.dcm" in str(one.message) for one in said)
    found = load_all(paths)
    errors = found.report[found.report.severity == "error"]
    assert errors.what.tolist() == [str(paths[1])] and found.report.why.str.contains("gap").any()
    for path in paths:
        spoil(path)
    with pytest.raises(BadFile, match="not made of fragments"):
        load(paths)


def test_a_decoder_that_panics_costs_its_file(tmp_path):
    (path,) = compressed(tmp_path, [0])
    dataset = pydicom.dcmread(path)
    dataset.Rows = 32  # the segments of RLE hold twice as much: pylibjpeg-rle, written in Rust, panics
    dataset.save_as(path)
    with pytest.raises(BadFile, match="cannot be decoded"):
        load(path)


class Files(list[tuple[str, bytes]]):
    """Name and bytes of each; a test that fails shows the names only."""

    def __repr__(self) -> str:
        return str([name for name, _ in self])


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> Files:
    """Files of several encodings and kinds, and a good neighbour last."""
    folder = tmp_path_factory.mktemp("valid")
    found = Files()
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        datasets = slices.stack([0], rows=16, columns=16, SOPClassUID=slices.MR, Modality="MR")
        datasets[0].ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        datasets[0].DiffusionBValue = 1000.0
        datasets[0].private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", 1000)
        (path,) = slices.write(folder / syntax, datasets, syntax)
        found.append((syntax.name, path.read_bytes()))
    (path,) = compressed(folder / "rle", [0])
    found.append(("RLE", path.read_bytes()))
    for name in ("JPEG2000.dcm", "JPEG-lossy.dcm", "rtdose.dcm", "color3d_jpeg_baseline.dcm", "liver_1frame.dcm"):
        path = Path(pydicom.__file__).parent / "data" / "test_files" / name
        if path.exists():
            found.append((name, path.read_bytes()))
    from readers.test_mosaic import mosaic

    (path,) = slices.write(folder / "mosaic", [mosaic(4)])
    found.append(("mosaic", path.read_bytes()))
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_mutated_file_gives_a_volume_or_a_typed_error_within_a_second(seed, valid, tmp_path):
    chance = random.Random(seed)
    name, whole = chance.choice(valid)
    changed = bytearray(whole)
    header = min(len(changed), 2500)
    for _ in range(chance.randrange(13)):
        place = chance.randrange(128, header) if chance.random() < 0.7 else chance.randrange(len(changed))
        changed[place] = chance.choice([0, 255, 0x80, chance.randrange(256), changed[place] ^ 1 << chance.randrange(8)])
    if chance.random() < 0.3:
        del changed[chance.randrange(len(changed)) :]
    path = tmp_path / "mutated.dcm"
    path.write_bytes(changed)
    (good,) = slices.write(tmp_path / "good", slices.stack([0], SeriesInstanceUID="1.2.99", SOPInstanceUID="1.2.98"))
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says what it thinks of the values
        try:
            load(path)
        except DicomlabError as error:
            assert str(path) in error.message or not isinstance(error, BadFile | InvalidRequest), name
        took = time.process_time() - start
        found = load_all([path, good])
    assert took < 1, name
    assert any((volume.values == np.arange(12).reshape(4, 3) - 1024).all() for volume in same(found)), name


@pytest.mark.parametrize("number", range(6))
def test_a_file_cut_at_any_byte_is_never_taken_for_a_volume(number, valid, tmp_path):  # B2
    name, whole = valid[number]
    path = tmp_path / "cut.dcm"
    step = 1 if number == 0 else 7 if len(whole) < 5_000 else 131
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(whole)
        assert load(path).size, name
        end = len(whole) - (8 if number > 3 else 0)  # the delimiter of encapsulated pixel data is no part of the image
        end -= number == 3  # nor is what pads a deflated stream
        for length in (*range(0, end - 40, step), *range(end - 40, end)):
            path.write_bytes(whole[:length])
            with pytest.raises(DicomlabError) as caught:
                load(path)
            assert str(path) in str(caught.value), (name, length)


def same(found):
    return [one for one in found.values() if getattr(one, "shape", ()) == (1, 4, 3)]
