"""The programs of others, found or left out with the reason; started here, ended by id."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from . import data
from .harness import LeftOut

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]
#: DCMTK as it comes leaves Nagle's algorithm on, which costs it 40 ms for each instance.
AS_IT_COMES = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
NO_DELAY = {**AS_IT_COMES, "TCP_NODELAY": "1"}


@dataclass(frozen=True)
class Pem:
    """A certificate that both sides show and trust, and its key."""

    certificate: Path
    key: Path

    @property
    def options(self) -> list[str]:
        """DCMTK's of a client."""
        return ["+tls", str(self.key), str(self.certificate), "+cf", str(self.certificate)]


@contextmanager
def certificate() -> Iterator[Pem]:
    """One for this machine, good for a day."""
    with tempfile.TemporaryDirectory() as place:
        made = Pem(Path(place, "certificate.pem"), Path(place, "key.pem"))
        names = ("-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}")
        into = ("-nodes", "-keyout", made.key, "-out", made.certificate)
        call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "1", *into, *names)
        yield made


def module(name: str, package: str = "") -> ModuleType:
    """Import an optional peer."""
    try:
        return import_module(name)
    except ImportError:
        raise LeftOut(f"{package or name} is not installed (pip install -e '.[bench]')") from None


def program(name: str) -> str:
    """The path of a peer's program."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        raise LeftOut(f"{name} is not installed (make peers)")
    return found


def call(*command: str | Path, env: Mapping[str, str] = NO_DELAY, cwd: Path | None = None) -> None:
    """Run a peer's program to its end.

    Raises
    ------
    RuntimeError
        It ended with an error; what it said is the message.
    """
    words = [program(str(command[0])), *map(str, command[1:])]
    done = subprocess.run(words, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:].decode(errors='replace')}")


def versions() -> dict[str, str]:
    """Of the programs that are here."""
    found = {}
    for name in ("getscu", "Orthanc"):
        try:
            done = subprocess.run([program(name), "--version"], capture_output=True, text=True)
        except LeftOut:
            continue
        number = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        found[{"getscu": "DCMTK"}.get(name, name)] = number[0] if number else ""
    return found


@contextmanager
def orthanc(
    name: str, instances: Path, count: int, destinations: Mapping[str, int] = {}, tls: Pem | None = None
) -> Iterator[int]:
    """Orthanc with TCP_NODELAY=1 as AE ORTHANC, holding the files of that folder; gives its port.

    It is filled once and keeps what it holds beside the data. AE DICOMLAB may ask; it moves to the ports of
    `destinations`, by AE title, and refuses callers from other machines. With `tls` it takes nothing else.
    """
    server = program("Orthanc")
    filled = data.made(f"orthanc-{name}", lambda folder: _fill(server, folder, instances, count))
    with _orthanc(server, filled, destinations, tls) as port:
        yield port


def _fill(server: str, folder: Path, instances: Path, count: int) -> None:
    with _orthanc(server, folder, {}) as port:
        options = ("--no-halt", "--scan-directories", "--recurse", "--no-uid-checks", "--max-pdu", "131072")
        call("dcmsend", "-aet", "DICOMLAB", "-aec", "ORTHANC", HOST, str(port), *options, instances)
    held = sum(len(names) for _, _, names in os.walk(folder))
    assert held >= count, f"Orthanc holds {held} files of {count}"


@contextmanager
def _orthanc(server: str, folder: Path, destinations: Mapping[str, int], tls: Pem | None = None) -> Iterator[int]:
    port = free_port()
    known = {"DICOMLAB": free_port(), **destinations}
    configuration = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [],
        "HttpServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomAlwaysAllowEcho": True,
        "DicomCheckModalityHost": True,  # its port is open on every address, and no setting closes it
        "DicomModalities": {title: {"AET": title, "Host": HOST, "Port": where} for title, where in known.items()},
        "MaximumPduLength": 131072,
        "StorageAccessOnFind": "Never",
        "OverwriteInstances": True,
    }
    if tls is not None:
        configuration |= {
            "DicomTlsEnabled": True,
            "DicomTlsPrivateKey": str(tls.key),
            "DicomTlsCertificate": str(tls.certificate),
            "DicomTlsTrustedCertificates": str(tls.certificate),
        }
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "orthanc.json")
        path.write_text(json.dumps(configuration))
        with running("ORTHANC", port, server, path, tls=tls):
            yield port


@contextmanager
def running(
    ae_title: str, port: int, *command: str | Path, env: Mapping[str, str] = NO_DELAY, tls: Pem | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A DICOM server of others, from the moment it answers C-ECHO."""
    words = [program(str(command[0])), *map(str, command[1:])]
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        options = [] if tls is None else tls.options
        echo = [program("echoscu"), *options, "-aet", "DICOMLAB", "-aec", ae_title, HOST, str(port)]
        until = time.monotonic() + 60
        while subprocess.run(echo, env=NO_DELAY, capture_output=True).returncode:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} does not answer on port {port}")
            time.sleep(0.05)
        yield process
    finally:
        end(process)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@contextmanager
def canned() -> Iterator[int]:
    """The server of canned.py; gives its port."""
    data.ct()
    command = [sys.executable, "-m", f"{__package__}.canned"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        end(process)


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a process that was started here, and wait for it."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
