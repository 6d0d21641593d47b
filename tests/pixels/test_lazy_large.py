"""A 4-D series that is larger than the memory that its reduction takes, from files to the known mean (R12.7)."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import slices
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from support import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

SIDE, PLANES = 512, 4
BETWEEN = 3  # by which the values of one moment are greater than those of the one before

#: The mean of all moments in a process of its own: MB it grew by, how far the mean is off, and what it is of.
REDUCE = """
import json, re, sys, warnings
from pathlib import Path
import numpy as np
import dask.array, scipy.ndimage
import dicomlab as dl

warnings.simplefilter("error")
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6

paths, axis, chunks = sorted(Path(sys.argv[1]).iterdir()), sys.argv[2], json.loads(sys.argv[3])
small = dl.load(paths[:8], chunks={})
small.mean(small.dims[0]).compute()  # what is imported for it is no growth
before = peak()
volume = dl.load(paths, chunks=chunks)
made = volume.mean(axis).compute()
grown = peak() - before
moments, planes, rows, columns = volume.shape
z, y, x = np.ogrid[:planes, :rows, :columns]
true = 7 * z + y % 97 + x // 64 + 3 * (moments - 1) / 2
off = float(np.abs(made.transpose("z", "y", "x").values - true).max())
print(json.dumps({"grown": grown, "off": off, "dims": volume.dims, "MB": volume.nbytes / 1e6,
                  "dtype": str(volume.dtype)}))
"""


def series(folder: Path, moments: int, axis: str, *, compressed: bool) -> None:
    """Of each of so many moments (or echoes) PLANES planes of SIDE x SIDE; `REDUCE` knows their mean."""
    folder.mkdir()
    y, x = np.ogrid[:SIDE, :SIDE]
    picture = (y % 97 + x // 64).astype(np.uint16)
    dataset = slices.image(picture, (0, 0, 0), 1, BitsStored=12, HighBit=11, RescaleIntercept=0)
    for number in range(moments * PLANES):
        moment, plane = divmod(number, PLANES)
        dataset.SOPInstanceUID, dataset.InstanceNumber = f"1.2.3.{number + 1}", number + 1
        dataset.ImagePositionPatient = [0, 0, 2 * plane]
        if axis == "time":
            dataset.TemporalPositionIdentifier, dataset.NumberOfTemporalPositions = moment + 1, moments
        else:
            dataset.EchoTime = moment + 1
        values = picture + np.uint16(7 * plane + BETWEEN * moment)
        dataset.PixelData = values.tobytes()
        made = deepcopy(dataset)
        if compressed:
            made.file_meta = FileMetaDataset()
            made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            made.compress(RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        (written,) = slices.write(folder / "one", [made], RLELossless if compressed else ExplicitVRLittleEndian)
        written.rename(folder / f"{number:05d}.dcm")
    (folder / "one").rmdir()


@pytest.mark.parametrize(
    ("axis", "chunks", "compressed"),
    [("time", {}, False), ("echo", {"echo": 16, "y": 128}, False), ("time", {}, True)],
    ids=["dynamic", "echoes in slabs", "RLE"],
)
@pytest.mark.parametrize(
    ("moments", "room"), [(80, 0.5), pytest.param(1024, 0.14, marks=[pytest.mark.soak, pytest.mark.timeout(3000)])]
)
def test_a_4d_series_larger_than_the_memory_it_takes_is_reduced_to_its_mean(
    tmp_path: Path, moments: int, room: float, axis: str, chunks: dict[str, int], compressed: bool
) -> None:
    pytest.importorskip("dask", reason="the extra dask is not installed")
    series(tmp_path / "series", moments, axis, compressed=compressed)
    words = [sys.executable, "-c", REDUCE, str(tmp_path / "series"), axis, json.dumps(chunks)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=2900 if moments > 100 else 110)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    print(said)
    assert said["dims"] == [axis, "z", "y", "x"] and said["dtype"] == "int16"
    assert said["off"] < 1e-9
    assert said["MB"] == moments * PLANES * SIDE * SIDE * 2 / 1e6  # 168, or 2,147
    assert said["grown"] < room * said["MB"]  # 84, or 300 MB
