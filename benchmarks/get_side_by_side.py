"""C-GET of one CT series onto disk: dicomlab, DCMTK's getscu and pynetdicom, from the same peers, in one run.

    python benchmarks/get_side_by_side.py [slices] [rounds]

Every round runs each competitor once, in rotating order, into an empty folder; a first round warms up and is
not counted. What is compared are the medians. getscu runs with TCP_NODELAY=1 and +B (bytes as received), its
fastest way; pynetdicom's handler writes the encoded data set without decoding it. dicomlab's time holds its
IMAGE-level query, its checks of each instance and its cache. A peer that is not installed is left out.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests")]
import real_peers  # noqa: E402
from support import free_port  # noqa: E402

import dicomlab as dl  # noqa: E402

STUDY, SERIES = "2.25.111111111111111111", "2.25.222222222222222222"


def make_series(folder: Path, slices: int) -> int:
    """A CT of 512 x 512 with noise in it, Explicit VR Little Endian; gives the bytes of its files."""
    noise = np.random.default_rng(1).integers(-1000, 2000, (512, 512), dtype=np.int16)
    for number in range(1, slices + 1):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{SERIES}.{number}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
        ds.PatientName, ds.PatientID, ds.StudyDate, ds.StudyTime = "BENCH^CT", "BENCH1", "20240101", "120000"
        ds.PatientBirthDate = ds.PatientSex = ds.AccessionNumber = ds.ReferringPhysicianName = ""
        ds.StudyID, ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "1", "CT", 1, number
        ds.FrameOfReferenceUID = "2.25.333333333333333333"
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [-250, -250, number], [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = [0.9765625, 0.9765625], 1
        ds.Rows = ds.Columns = 512
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.RescaleIntercept, ds.RescaleSlope = 0, 1
        ds.PixelData = np.roll(noise, number, 0).tobytes()
        ds.save_as(folder / f"{number:04}.dcm", enforce_file_format=True)
    return sum(path.stat().st_size for path in folder.iterdir())


def by_dicomlab(peer: real_peers.RealPeer, folder: Path) -> int:
    node = dl.connect(peer.address, cache=folder)
    instances = node.retrieve({"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}, method="get")
    return len(instances)


def by_getscu(peer: real_peers.RealPeer, folder: Path) -> int:
    keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}", f"SeriesInstanceUID={SERIES}"]
    command = ["getscu", "-S", "+B", "-aet", "DICOMLAB", "-aec", peer.ae_title, "-od", str(folder)]
    command += [part for key in keys for part in ("-k", key)]
    command += [peer.host, str(peer.port)]
    subprocess.run(command, check=True, capture_output=True, env=real_peers.ENVIRONMENT)
    return len(list(folder.iterdir()))


def by_pynetdicom(peer: real_peers.RealPeer, folder: Path) -> int:
    from pynetdicom import AE, build_role, evt
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GET

    def store(event: evt.Event) -> int:
        (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    ae = AE("DICOMLAB")
    ae.add_requested_context(GET)
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    roles, handlers = [build_role(CTImageStorage, scp_role=True)], [(evt.EVT_C_STORE, store)]
    association = ae.associate(
        peer.host, peer.port, ae_title=peer.ae_title, ext_neg=roles, evt_handlers=handlers, max_pdu=0
    )
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = STUDY, SERIES
    for _ in association.send_c_get(identifier, GET):
        pass
    association.release()
    return len(list(folder.iterdir()))


def measure(peer: real_peers.RealPeer, scratch: Path, slices: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each counted round, by competitor."""
    ways: dict[str, Callable[[real_peers.RealPeer, Path], int]] = {"dicomlab": by_dicomlab}
    if shutil.which("getscu"):
        ways["DCMTK getscu"] = by_getscu
    ways["pynetdicom"] = by_pynetdicom
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            folder = scratch / f"{turn} {name}"
            folder.mkdir()
            began = time.perf_counter()
            count = ways[name](peer, folder)
            took = time.perf_counter() - began
            assert count == slices, f"{name} brought {count} of {slices} instances"
            if turn == 0 and name == "dicomlab":
                same_pixels(folder, scratch / "series")
            shutil.rmtree(folder)
            if turn:
                seconds[name].append(took)
    return seconds


def same_pixels(cache: Path, source: Path) -> None:
    """What lies in the cache is what was stored."""
    for path in dl.scan(cache).path:
        got = pydicom.dcmread(path)
        number = int(got.InstanceNumber)
        assert got.PixelData == pydicom.dcmread(source / f"{number:04}.dcm").PixelData


def main(slices: int = 200, rounds: int = 5) -> None:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (scratch / "series").mkdir()
        size = make_series(scratch / "series", slices)
        machine = f"{os.cpu_count()} CPUs, {platform.system()}"
        print(f"C-GET, {slices} CT slices, {size / 1e6:.0f} MB, {rounds} rounds, {machine}")
        for program, start in (("Orthanc", real_peers.orthanc), ("dcmqrscp", real_peers.dcmqrscp)):
            places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
            if not (shutil.which(program, path=places) and shutil.which("dcmsend")):
                print(f"\n{program}, or dcmsend to fill it, is not installed: left out (make peers)")
                continue
            (scratch / program).mkdir()
            peer = stack.enter_context(start(scratch / program, free_port(), free_port()))
            real_peers.fill(peer, scratch / "series")
            seconds = measure(peer, scratch, slices, rounds)
            ours = statistics.median(seconds["dicomlab"])
            print(f"\nfrom {program} {peer.version}")
            print(f"{'':14}{'median':>9}{'fastest':>9}{'slowest':>9}{'MB/s':>7}  times ours")
            for name, taken in seconds.items():
                middle = statistics.median(taken)
                row = f"{name:14}{middle:8.3f}s{min(taken):8.3f}s{max(taken):8.3f}s{size / 1e6 / middle:7.0f}"
                print(f"{row}{middle / ours:8.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
