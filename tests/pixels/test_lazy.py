"""``load(..., chunks=...)``: the values are read when they are asked for, a slice at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback

import coded
import numpy as np
import pytest
import slices
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, RLELossless
from support import ROOT

from dicomlab import load, options
from dicomlab.errors import BadFile, InvalidRequest, MissingCodec, ResultWarning
from dicomlab.pixels import frames, pixels


@pytest.fixture
def dask():
    return pytest.importorskip("dask", reason="the extra dask is not installed")


def encoded(folder, kind):
    """Six slices, stored in that way."""
    made = slices.stack(range(0, 12, 2), rows=40, columns=36)
    if kind == "compressed":
        for dataset in made:
            slices.write(folder / "plain", [dataset])
            dataset.compress(RLELossless, generate_instance_uid=False)
        return slices.write(folder, made, RLELossless)
    if kind == "big endian":
        for dataset in made:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        return slices.write(folder, made, ExplicitVRBigEndian)
    if kind == "fractions":
        for number, dataset in enumerate(made):
            dataset.RescaleSlope = 0.5 + number / 8
    if kind == "colour":
        for number, dataset in enumerate(made):
            picture = np.full((40, 36, 3), number, np.uint8)
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit, dataset.PixelRepresentation, dataset.PixelData = 7, 0, picture.tobytes()
            del dataset.RescaleSlope, dataset.RescaleIntercept
    return slices.write(folder, made)


@pytest.mark.parametrize("kind", ["native", "compressed", "big endian", "fractions", "colour"])
@pytest.mark.parametrize("chunks", [{}, {"z": 2}, {"z": -1, "y": 20}, 8, "auto"])
def test_a_lazy_volume_has_the_same_values_and_labels(dask, tmp_path, kind, chunks):
    paths = encoded(tmp_path, kind)
    lazy, now = load(paths, chunks=chunks), load(paths)
    assert lazy.chunks is not None and lazy.dtype == now.dtype and lazy.compute().identical(now)
    assert lazy.dicom.affine.tolist() == now.dicom.affine.tolist()
    assert (lazy.isel(z=slice(1, 4), x=3).values == now.values[1:4, :, 3]).all()


def test_one_slice_is_read_without_the_others(dask, tmp_path):
    paths = encoded(tmp_path, "native")
    now, lazy = load(paths), load(paths, chunks={})
    assert lazy.chunks is not None and lazy.chunks[0] == (1,) * 6
    for number, path in enumerate(paths):
        if number != 3:
            path.unlink()
    assert (lazy.isel(z=3).values == now.values[3]).all()
    assert (lazy.sel(z=6.0, x=slice(-9.9, 0)).values == now.sel(z=6.0, x=slice(-9.9, 0)).values).all()
    with pytest.raises(BadFile, match=r"0002\.dcm: cannot be read"):
        lazy.isel(z=2).compute()


def test_no_pixel_is_read_before_it_is_asked_for(dask, tmp_path, monkeypatch):
    made, read = slices.stack(range(0, 12, 2), rows=40, columns=36), []
    for dataset in made:
        dataset.BitsStored, dataset.HighBit = 12, 11  # so that the headers alone say the type
    paths, original = slices.write(tmp_path, made), frames.read_into
    monkeypatch.setattr(frames, "read_into", lambda path, *rest: read.append(path) or original(path, *rest))
    lazy = load(paths, chunks={"z": 2})
    assert read == []
    lazy.isel(z=0).compute()
    chunk = [str(path) for path in paths[:2]]  # of which Dask before 2025 takes no more than it needs
    assert sorted(read) in (chunk, chunk[:1])


@pytest.mark.parametrize(
    ("form", "values", "slope", "intercept", "dtype"),
    [
        (np.uint16, (0, 4095), 1, -1024, np.int16),  # would not fit by its bits, and does
        (np.uint16, (0, 65535), 1, -1024, np.int32),
        (np.uint16, (0, 32767), 1, 0, np.int16),
        (np.uint16, (0, 40000), 1, 0, np.uint16),
        (np.int16, (-32768, 32767), 1, -1024, np.int32),
        (np.int16, (-2000, 3000), -2, 7, np.int16),
        (np.int16, (-30000, 3000), -2, 7, np.int32),
        (np.uint32, (0, 70000), 1, 0, np.int32),
        (np.uint32, (0, 300), 1, 0, np.int16),
        (np.uint8, (0, 255), 1, 0, np.int16),
        (np.uint16, (0, 4095), 0.5, 0, np.float32),
    ],
)
def test_a_lazy_volume_has_the_type_of_one_read_now(dask, tmp_path, form, values, slope, intercept, dtype):  # R12.7
    made = []
    for number, dataset in enumerate(slices.stack([0, 2, 4], rows=3, columns=2, RescaleSlope=slope)):
        stored = np.full((3, 2), values[0], form)
        stored[1, number % 2] = values[1] if number == 1 else values[0]
        dataset.PixelData, dataset.RescaleIntercept = stored.tobytes(), intercept
        dataset.BitsAllocated = dataset.BitsStored = 8 * stored.itemsize
        dataset.HighBit, dataset.PixelRepresentation = 8 * stored.itemsize - 1, int(stored.dtype.kind == "i")
        made.append(dataset)
    paths = slices.write(tmp_path, made)
    now, lazy = load(paths), load(paths, chunks={})
    assert lazy.dtype == now.dtype == dtype and lazy.compute().identical(now)


def test_frames_of_one_file_are_decoded_for_themselves_and_in_any_thread(dask, tmp_path):
    values = np.stack([coded.picture(np.uint16, bits) for bits in (9, 10, 11, 12)])
    made = coded.dataset(values, 16, frames=4, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3", Modality="OT")
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        delattr(made, name)
    data = [coded.jpeg_2000(frame, 16) for frame in values]
    path = coded.encapsulated(tmp_path, made, coded.JPEG_2000, data)
    lazy = load(path, chunks={})
    found = {}

    def compute(number):
        found[number] = lazy[number].values

    threads = [threading.Thread(target=compute, args=(number,)) for number in (3, 0, 2, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all((found[number] == values[number]).all() for number in range(4))


def test_a_lazy_volume_may_be_larger_than_the_limit_a_chunk_may_not(dask, tmp_path, monkeypatch):  # R0.8
    paths = encoded(tmp_path, "native")
    monkeypatch.setattr(pixels, "PIXEL_LIMIT", 40 * 36 * 2)
    assert load(paths, chunks={}).shape == (6, 40, 36)
    with pytest.raises(InvalidRequest, match=r"the limit is .*chunks=\{\}"):
        load(paths)
    monkeypatch.setattr(pixels, "PIXEL_LIMIT", 40 * 36 * 2 - 1)
    with pytest.raises(InvalidRequest, match="the limit is"):
        load(paths, chunks={})


def test_a_lazy_volume_travels_to_other_processes(dask, tmp_path):
    pickle = pytest.importorskip("cloudpickle")
    paths = encoded(tmp_path, "compressed")
    assert pickle.loads(pickle.dumps(load(paths, chunks={}))).compute().identical(load(paths, chunks={}).compute())


PARTS = [np.s_[2], np.s_[1:4, 5], np.s_[:, -3], np.s_[:, 3:9, 2], np.s_[:, ::3], np.s_[:, ::-1], np.s_[:, 5:5]]


@pytest.mark.parametrize("kind", ["native", "compressed", "colour"])
@pytest.mark.parametrize("chunks", [{}, {"y": 7}, {"z": -1, "y": 1, "x": 30}])
def test_any_part_has_the_values_of_the_whole(dask, tmp_path, kind, chunks):
    paths = encoded(tmp_path, kind)
    now, lazy = load(paths).values, load(paths, chunks=chunks).data
    for part in [*PARTS, np.s_[::-1, 9:2:-2, ::-1], np.s_[:, [1, 3, 2]]]:
        found = lazy[part].compute()
        assert found.shape == now[part].shape and (found == now[part]).all(), part


@pytest.mark.parametrize(("kind", "frames_read", "bytes_each"), [("native", 12, 20 * 36 * 2), ("compressed", 6, None)])
def test_half_of_the_rows_is_read_alone_where_nothing_is_to_be_decoded(
    dask, tmp_path, monkeypatch, kind, frames_read, bytes_each
):
    paths, read, decoded = encoded(tmp_path, kind), [], []
    lazy = load(paths, chunks={"z": 3, "y": 20})
    into, decode = frames.read_into, frames.decode
    monkeypatch.setattr(frames, "read_into", lambda path, at, place: read.append(place.nbytes) or into(path, at, place))
    monkeypatch.setattr(frames, "decode", lambda *rest: decoded.append(rest[0]) or decode(*rest))
    lazy.compute(scheduler="sync")
    assert len(read) + len(decoded) == frames_read and set(read) <= {bytes_each}


def remove(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def replace(path):
    """Another file of the same length: its pixels would be taken for those of the first."""
    path.write_bytes(path.read_bytes()[:-2000] + bytes(2000))
    os.utime(path, (1e9, 1e9))


@pytest.mark.parametrize("kind", ["native", "compressed", "big endian"])
@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (remove, "cannot be read: No such file or directory. A lazy volume reads its files when it is computed"),
        (cut, r"has changed since it was loaded \(it had [\d,]+ bytes, and has [\d,]+\). Load it again"),
        (replace, "has changed since it was loaded. Load it again"),
    ],
)
def test_a_file_that_goes_or_changes_before_it_is_read_is_named(dask, tmp_path, kind, happens, said):  # R0.6
    paths = encoded(tmp_path / "Zimbelstern", kind)
    try:
        lazy, here = load(paths, chunks={"z": 2}), str(paths[2])
        happens(paths[2])
        with pytest.raises(BadFile, match=f"Zimbelstern/0002.dcm: {said}") as caught:
            lazy.compute()
        assert caught.value.path == here
        lazy.isel(z=slice(0, 2)).compute()  # the others are as they were
        with pytest.warns(ResultWarning, match="still hold"):
            options.phi = False
        with pytest.raises(BadFile, match=rf"hidden-[0-9a-f]{{8}}\.dcm: {said}") as caught:
            lazy.compute()
        shown = "".join(traceback.format_exception(caught.value))
        assert here not in shown and "Zimbelstern" not in repr(vars(caught.value))
    finally:
        options.phi = True


ELSEWHERE = """
import pickle, sys
from dicomlab.errors import BadFile
lazy = pickle.load(sys.stdin.buffer)
try:
    print(int(lazy.sum()))
except BadFile as error:
    print(error, error.path)
"""


def test_another_process_tells_no_name_that_is_hidden_here(dask, tmp_path):  # R0.6
    pickle = pytest.importorskip("cloudpickle")
    paths = encoded(tmp_path / "Zimbelstern", "native")
    options.phi = False
    try:
        lazy = pickle.dumps(load(paths, chunks={}))
        paths[2].unlink()
        done = subprocess.run(
            [sys.executable, "-c", ELSEWHERE], input=lazy, capture_output=True, cwd=ROOT, timeout=60, check=True
        )
    finally:
        options.phi = True
    assert done.stdout.startswith(b"hidden-") and b"cannot be read" in done.stdout
    assert b"Zimbelstern" not in done.stdout + done.stderr


def test_a_lookup_table_travels_to_other_processes(dask, tmp_path):
    pickle = pytest.importorskip("cloudpickle")
    made = slices.stack(range(0, 6, 2), rows=4, columns=3, RescaleSlope=None, RescaleIntercept=None)
    for number, dataset in enumerate(made):
        dataset.PixelData = np.arange(12, dtype="<i2").tobytes()
        table = Dataset()
        table.LUTDescriptor, table.ModalityLUTType = [12, 0, 16], "US"
        table.LUTData = np.arange(100 * number, 100 * number + 24, 2, "<u2").tobytes()
        dataset.ModalityLUTSequence = [table]
    paths = slices.write(tmp_path, made)
    now, lazy = load(paths), load(paths, chunks={"z": 2})
    assert now.values[2].ravel().tolist() == [200 + 2 * entry for entry in range(12)]
    assert pickle.loads(pickle.dumps(lazy)).compute().identical(now)


def test_chunks_that_do_not_fit_are_refused_in_words(dask, tmp_path):
    with pytest.raises(InvalidRequest, match=r"chunks=\{'depth': 2\} does not fit CT 4: .*depth"):
        load(encoded(tmp_path, "native"), chunks={"depth": 2})


def test_what_chunks_without_dask_say(tmp_path, monkeypatch):
    paths = encoded(tmp_path, "native")
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(MissingCodec, match=r"chunks= needs dask\. pip install \"dicomlab\[dask\]\""):
        load(paths, chunks={})
