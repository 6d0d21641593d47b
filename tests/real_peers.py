"""Programs of others as peers, started here and ended by id: Orthanc, and DCMTK's dcmqrscp, storescp and others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from certificates import Certificates
from support import free_port, require_file, require_peer, stop, wait_for_port

# Without it DCMTK leaves Nagle's algorithm on: 40 ms for each instance
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
HOST = "127.0.0.1"
PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")
PRINTERS = Path("/etc/dcmtk/dcmpstat.cfg")
T31 = [
    Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests" / name
    for name in ("77654033", "98892001", "98892003")
]


@dataclass(frozen=True)
class RealPeer:
    """A peer's process and where it listens."""

    host: str
    port: int
    ae_title: str
    move_port: int  # where it sends for AE DICOMLAB; 0 where it moves nothing
    process: subprocess.Popen[Any]
    folder: Path  # its configuration, storage and log
    version: str
    tls: Certificates | None = None  # it speaks TLS, with these

    @property
    def address(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


@contextmanager
def storescp(folder: Path, tls: Certificates | None = None, takes: str = "+xa") -> Iterator[RealPeer]:
    """AE STORE3; what it received lies in `folder / "received"`. With `tls` it asks for a client certificate.

    `takes` is the option that says which transfer syntaxes it takes.
    """
    received = folder / "received"
    received.mkdir()
    options = ["-aet", "STORE3", takes, "-od", str(received)]
    if tls is not None:
        options += ["+tls", tls.server_key, tls.server, "+cf", tls.ca]
    port = free_port()
    with _running("STORE3", folder, port, 0, require_peer("storescp"), *options, str(port), tls=tls) as peer:
        yield peer


@contextmanager
def dcmqrscp(folder: Path, move_port: int, third_port: int) -> Iterator[RealPeer]:
    """AE ARCHIVE and, without writing, AE READONLY, both empty; knows DICOMLAB, STORE3 and, dead, DEADEND."""
    port = free_port()
    for name in ("ARCHIVE", "READONLY"):
        (folder / name).mkdir()
    (folder / "qr.cfg").write_text(
        f"""NetworkTCPPort  = {port}
MaxPDUSize      = 16384
MaxAssociations = 16
HostTable BEGIN
dicomlab = (DICOMLAB, {HOST}, {move_port})
third    = (STORE3, {HOST}, {third_port})
dead     = (DEADEND, {HOST}, {free_port()})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE  {folder}/ARCHIVE  RW (400, 4096mb) ANY
READONLY {folder}/READONLY R  (200, 1024mb) ANY
AETable END
"""
    )
    program = require_peer("dcmqrscp")
    with _running("ARCHIVE", folder, port, move_port, program, "-c", str(folder / "qr.cfg")) as peer:
        yield peer


@contextmanager
def wlmscpfs(folder: Path, entries: Path, *options: str) -> Iterator[RealPeer]:
    """AE OFFIS, with the worklist files of a folder; the requests it got lie in `folder / "requests"`."""
    (folder / "requests").mkdir()
    (folder / "database").mkdir()
    shutil.copytree(entries, folder / "database" / "OFFIS")
    (folder / "database" / "OFFIS" / "lockfile").touch()
    places = ["-dfp", str(folder / "database"), "-rfp", str(folder / "requests")]
    port, program = free_port(), require_peer("wlmscpfs")
    with _running("OFFIS", folder, port, 0, program, *options, *places, str(port)) as peer:
        yield peer


@contextmanager
def orthanc(
    folder: Path,
    move_port: int,
    third_port: int,
    tls: Certificates | None = None,
    worklists: Path | None = None,
) -> Iterator[RealPeer]:
    """AE ORTHANC, empty; knows DICOMLAB and STORE3. With `tls` it speaks nothing else.

    `worklists` is a folder of worklist files; without it there is no worklist.
    """
    port = free_port()
    services = ("Echo", "Find", "FindWorklist", "Get", "Move", "Store", "StorageCommitment")
    dicomlab = {"AET": "DICOMLAB", "Host": HOST, "Port": move_port}
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
            "dicomlab": {**dicomlab, **{f"Allow{service}": True for service in services}},
            "third": ["STORE3", HOST, third_port],
        },
    }
    if worklists is not None:
        configuration |= {
            "Plugins": [str(require_file(PLUGIN))],
            "Worklists": {"Enable": True, "Database": str(worklists)},
            "DefaultEncoding": "Utf8",  # else it answers in ISO 8859-1 and leaves out what that has not
        }
    if tls is not None:
        configuration |= {
            "DicomTlsEnabled": True,
            "DicomTlsPrivateKey": tls.server_key,
            "DicomTlsCertificate": tls.server,
            "DicomTlsTrustedCertificates": tls.ca,
        }
        configuration["DicomModalities"]["dicomlab"]["UseDicomTls"] = True
    (folder / "orthanc.json").write_text(json.dumps(configuration, indent=1))
    program = require_peer("Orthanc")
    with _running("ORTHANC", folder, port, move_port, program, str(folder / "orthanc.json"), tls=tls) as peer:
        yield peer


@contextmanager
def dcmprscp(folder: Path) -> Iterator[RealPeer]:
    """AE IHEFULL, a printer in grey; what it prints lies in `folder / "database"`, as SP_* and HG_* files."""
    port = free_port()
    for name in ("spool", "database", "log"):
        (folder / name).mkdir()
    before, name, after = require_file(PRINTERS).read_text().partition("[IHEFULL]")
    (folder / "dcmpstat.cfg").write_text(before + name + re.sub(r"(?m)^Port = .*$", f"Port = {port}", after, count=1))
    program = require_peer("dcmprscp")
    with _running("IHEFULL", folder, port, 0, program, "-c", "dcmpstat.cfg", "-p", "IHEFULL") as peer:
        yield peer


def fill(peer: RealPeer, *places: Path) -> None:
    """Store every file below `places` by dcmsend, or by storescu where TLS is due."""
    program, options = "dcmsend", ["--no-halt", "--scan-directories", "--recurse", "--no-uid-checks"]
    if peer.tls is not None:
        program, options = "storescu", ["--no-halt", "+sd", "+r", *_through(peer.tls)]
    command = [require_peer(program), "-aet", "DICOMLAB", "-aec", peer.ae_title, peer.host, str(peer.port)]
    command += [*options, *map(str, places)]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


@contextmanager
def _running(
    ae_title: str, folder: Path, port: int, move_port: int, *command: str, tls: Certificates | None = None
) -> Iterator[RealPeer]:
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=output, stderr=output)
    try:
        try:
            wait_for_port(process, port, 60)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{log.read_text()[-2000:]}") from None
        _answers(ae_title, port, tls)
        yield RealPeer(HOST, port, ae_title, move_port, process, folder, _version(command[0]), tls)
    finally:
        stop(process)


def _through(tls: Certificates) -> list[str]:
    """DCMTK's options of a client."""
    return ["+tls", tls.client_key, tls.client, "+cf", tls.ca]


def _answers(ae_title: str, port: int, tls: Certificates | None, seconds: float = 30) -> None:
    """Return once the peer answers C-ECHO; it may hold its port before it does."""
    command = [require_peer("echoscu"), "-aet", "DICOMLAB", "-aec", ae_title, HOST, str(port)]
    command += [] if tls is None else _through(tls)
    end = time.monotonic() + seconds
    while subprocess.run(command, capture_output=True, env=ENVIRONMENT).returncode:
        assert time.monotonic() < end, f"{ae_title} does not answer C-ECHO"
        time.sleep(0.1)


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else ""
