"""Real peers, started for the session on free ports: dcmqrscp, Orthanc and storescp.

`qr` and `orthanc` hold T31, the 31 instances of pydicom's own test files: 2 patients, 6 studies, 13 series.
Both send to AE DICOMLAB at `move_port` of this machine, and to AE STORE3 at `store3`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import free_port, require_peer, stop, wait_for_port

# Without it DCMTK leaves Nagle's algorithm on: 40 ms for each instance
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
T31 = ("77654033", "98892001", "98892003")
ST = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"  # the study of 3 series and 11 instances


@dataclass(frozen=True)
class RealPeer:
    """A peer's process and where it listens."""

    host: str
    port: int
    ae_title: str
    move_port: int  # where it sends for AE DICOMLAB; 0 where it moves nothing
    process: subprocess.Popen[Any]
    folder: Path  # its configuration, storage and log
    version: str = ""

    @property
    def address(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def start(stack: ExitStack, folder: Path, port: int, *command: str) -> subprocess.Popen[Any]:
    """A process with its log in `folder`, which holds `port` and ends with the stack."""
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT)
    stack.callback(stop, process)
    try:
        wait_for_port(process, port, 60)
    except RuntimeError as error:
        raise RuntimeError(f"{error}\n{(folder / 'log.txt').read_text()[-2000:]}") from None
    return process


def answers(ae_title: str, port: int, seconds: float = 30) -> None:
    """Return once the peer answers C-ECHO; it may hold its port before it does."""
    command = [require_peer("echoscu"), "-aet", "DICOMLAB", "-aec", ae_title, "127.0.0.1", str(port)]
    end = time.monotonic() + seconds
    while subprocess.run(command, capture_output=True, env=ENVIRONMENT).returncode:
        assert time.monotonic() < end, f"{ae_title} does not answer C-ECHO"
        time.sleep(0.1)


def fill(ae_title: str, port: int, *places: Path) -> None:
    """Store every file below `places` by dcmsend."""
    command = [require_peer("dcmsend"), "-aet", "DICOMLAB", "-aec", ae_title, "127.0.0.1", str(port)]
    command += ["--no-halt", "--scan-directories", "--recurse", "--no-uid-checks", *map(str, places)]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def t31() -> list[Path]:
    """The folders of T31 in pydicom's wheel."""
    import pydicom

    below = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
    return [below / name for name in T31]


def version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    return (done.stdout or done.stderr).splitlines()[0]


@pytest.fixture(scope="session")
def move_port() -> int:
    """The port the peers send to for AE DICOMLAB."""
    return free_port()


@pytest.fixture(scope="session")
def store3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPeer]:
    """storescp as AE STORE3; what it received lies in `folder / "received"`."""
    program, folder, port = require_peer("storescp"), tmp_path_factory.mktemp("store3"), free_port()
    received = folder / "received"
    received.mkdir()
    with ExitStack() as stack:
        options = ("-aet", "STORE3", "+xa", "-od", str(received))
        process = start(stack, folder, port, program, *options, str(port))
        answers("STORE3", port)
        yield RealPeer("127.0.0.1", port, "STORE3", 0, process, folder, version(program))


@pytest.fixture(scope="session")
def qr(tmp_path_factory: pytest.TempPathFactory, move_port: int, store3: RealPeer) -> Iterator[RealPeer]:
    """dcmqrscp as AE ARCHIVE, with T31, and as AE READONLY, empty."""
    program, folder, port = require_peer("dcmqrscp"), tmp_path_factory.mktemp("qr"), free_port()
    for name in ("ARCHIVE", "READONLY"):
        (folder / name).mkdir()
    (folder / "qr.cfg").write_text(
        f"""NetworkTCPPort  = {port}
MaxPDUSize      = 16384
MaxAssociations = 16
HostTable BEGIN
dicomlab = (DICOMLAB, 127.0.0.1, {move_port})
third    = (STORE3, 127.0.0.1, {store3.port})
dead     = (DEADEND, 127.0.0.1, {free_port()})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE  {folder}/ARCHIVE  RW (200, 1024mb) ANY
READONLY {folder}/READONLY R  (200, 1024mb) ANY
AETable END
"""
    )
    with ExitStack() as stack:
        process = start(stack, folder, port, program, "-c", str(folder / "qr.cfg"))
        answers("ARCHIVE", port)
        fill("ARCHIVE", port, *t31())
        yield RealPeer("127.0.0.1", port, "ARCHIVE", move_port, process, folder, version(program))


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory, move_port: int, store3: RealPeer) -> Iterator[RealPeer]:
    """Orthanc as AE ORTHANC, with T31; no worklists."""
    program, folder, port = require_peer("Orthanc"), tmp_path_factory.mktemp("orthanc"), free_port()
    allowed = ("Echo", "Find", "FindWorklist", "Get", "Move", "Store", "StorageCommitment")
    dicomlab = {"AET": "DICOMLAB", "Host": "127.0.0.1", "Port": move_port}
    configuration = {
        "Name": "ORTH",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [],
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "DicomPort": port,
        "HttpServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {
            "dicomlab": {**dicomlab, **{f"Allow{service}": True for service in allowed}},
            "third": ["STORE3", "127.0.0.1", store3.port],
        },
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration, indent=1))
    with ExitStack() as stack:
        process = start(stack, folder, port, program, str(folder / "orthanc.json"))
        answers("ORTHANC", port)
        fill("ORTHANC", port, *t31())
        yield RealPeer("127.0.0.1", port, "ORTHANC", move_port, process, folder, version(program))
