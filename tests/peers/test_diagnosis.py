"""What dcmqrscp, storescp and Orthanc make of a diagnosis: their services, and each way to turn us away (SPEC 2)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import real_peers
from certificates import Certificates
from real_peers import RealPeer
from support import free_port, require_peer, stop, wait_for_port

import dicomlab as dl

QR = {"C-FIND Study Root", "C-FIND Patient Root", "C-FIND Patient/Study Only", "C-STORE CT images"}
RETRIEVE = {f"C-{way} {root} Root" for way in ("GET", "MOVE") for root in ("Study", "Patient")}
MISSING = {"MPPS", "print, grayscale", "print, colour", "media creation"}
MISSING |= {"unified procedure step", "patient updater"}


def results(table: Any) -> dict[str, str]:
    return dict(zip(table.check, table.result, strict=True))


def row(table: Any, check: str) -> Any:
    return table[table.check == check].iloc[0]


def test_the_services_of_dcmqrscp_and_the_way_back(qr: RealPeer) -> None:  # SPEC 0.5, R2.2
    table = dl.diagnose(qr.address, listen=qr.move_port, move=True)
    said = results(table)
    assert {name for name, result in said.items() if result == "ok"} >= QR | RETRIEVE | {"C-ECHO", "our port"}
    assert {said[name] for name in {*MISSING, "modality worklist", "storage commitment"}} == {"failed"}
    assert said["C-MOVE to us"] == "ok" and table.attrs["ok"] and "OFFIS_DCMTK" in row(table, "association").means


def test_the_services_of_orthanc_and_the_way_back(orthanc: RealPeer) -> None:
    table = dl.diagnose(orthanc.address, listen=orthanc.move_port, move=True)
    said = results(table)
    assert said["C-FIND Patient/Study Only"] == "failed" and said["storage commitment"] == "ok"
    assert {said[name] for name in (QR - {"C-FIND Patient/Study Only"}) | RETRIEVE} == {"ok"}
    assert {said[name] for name in MISSING} == {"failed"}
    assert said["C-MOVE to us"] == "ok" and table.attrs["ok"]


def test_a_storage_server_has_no_query_and_says_so(store3: RealPeer) -> None:
    table = dl.diagnose(store3.address)
    said = results(table)
    assert said["C-ECHO"] == said["C-STORE CT images"] == "ok" and said["C-FIND Study Root"] == "failed"
    assert "C-FIND Study Root" in table.attrs["failed"] and not table.attrs["ok"]
    assert "Please allow C-FIND Study Root for our AE title DICOMLAB." in table.attrs["letter"]


@pytest.mark.parametrize("name", ["qr", "orthanc"])
def test_a_wrong_called_ae_title_is_said(name: str, request: pytest.FixtureRequest) -> None:  # R2.3
    real: Any = request.getfixturevalue(name)
    table = dl.diagnose(f"WRONG@{real.host}:{real.port}")
    assert table.attrs["failed"] == ["association"]
    assert "called AE title not recognised" in row(table, "association").means


@pytest.mark.parametrize("name", ["qr", "orthanc"])
def test_a_destination_that_the_archive_does_not_know_is_said(name: str, request: pytest.FixtureRequest) -> None:
    real: Any = request.getfixturevalue(name)  # R5.20
    table = dl.diagnose(real.address, calling="DICOMLAB", listen=free_port(), move=True)
    assert row(table, "C-MOVE to us").result == "failed"  # the archive has another port for DICOMLAB
    assert "the port" in table.attrs["letter"] and table.attrs["failed"] == ["C-MOVE to us"]
    node = dl.Node(real.ae_title, real.host, real.port, listen=free_port(), move_ae="UNKNOWN")
    table = dl.diagnose(node, move=True)
    said = row(table, "C-MOVE to us")
    assert said.result == "failed" and "Please enter AE title UNKNOWN" in table.attrs["letter"]
    if name == "qr":  # Orthanc says 0xC000 for all that does not work
        assert "does not know the move destination 'UNKNOWN'" in said.means


def test_plain_dicom_to_a_tls_port_and_tls_to_a_plain_one(  # R2.3
    tmp_path: Path, made: Certificates, store3: RealPeer
) -> None:
    with real_peers.storescp(tmp_path, made) as sealed:
        plain = dl.diagnose(sealed.address)
        assert plain.attrs["failed"] == ["TLS"] and "expects TLS" in row(plain, "TLS").means
        without = dl.diagnose(sealed.address, tls=dl.TLS(ca=made.ca))
        assert without.attrs["failed"] == ["TLS"] and "certificate" in row(without, "TLS").means
        right = dl.TLS(ca=made.ca, certificate=made.client, key=made.client_key)
        table = dl.diagnose(sealed.address, tls=right)
        assert row(table, "TLS").result == row(table, "C-ECHO").result == "ok"
        assert made.client_key not in table.attrs["letter"]
    table = dl.diagnose(store3.address, tls=dl.TLS(ca=made.ca), timeout=2)
    assert table.attrs["failed"] == ["TLS"]


@pytest.fixture
def strict_qr(tmp_path: Path) -> Iterator[str]:
    """dcmqrscp that lets in AE SOMEBODY alone."""
    port = free_port()
    (tmp_path / "ARCHIVE").mkdir()
    (tmp_path / "qr.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nsomebody = (SOMEBODY, localhost, 104)\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {tmp_path}/ARCHIVE RW (200, 1024mb) somebody\nAETable END\n"
    )
    program = [require_peer("dcmqrscp"), "-c", str(tmp_path / "qr.cfg")]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(program, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_for_port(process, port)
        yield f"ARCHIVE@127.0.0.1:{port}"
    finally:
        stop(process)


@pytest.fixture
def strict_orthanc(tmp_path: Path) -> Iterator[str]:
    """Orthanc that lets in AE SOMEBODY alone, and not even echoes of others."""
    port = free_port()
    settings = {
        "StorageDirectory": str(tmp_path / "db"), "IndexDirectory": str(tmp_path / "db"), "Plugins": [],
        "DicomAet": "ORTHANC", "DicomPort": port, "HttpServerEnabled": False,
        "DicomAlwaysAllowEcho": False, "DicomAlwaysAllowStore": False, "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False, "DicomModalities": {"somebody": ["SOMEBODY", "127.0.0.1", 104]},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "log").open("w") as log:
        program = [require_peer("Orthanc"), str(tmp_path / "orthanc.json")]
        process = subprocess.Popen(program, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_for_port(process, port, 60)
        yield f"ORTHANC@127.0.0.1:{port}"
    finally:
        stop(process)


@pytest.mark.parametrize("name", ["strict_qr", "strict_orthanc"])
def test_a_calling_ae_title_that_is_not_known_is_said(name: str, request: pytest.FixtureRequest) -> None:  # R2.3
    address = request.getfixturevalue(name)
    known = dl.diagnose(address, calling="SOMEBODY")
    assert row(known, "C-ECHO").result == "ok"
    table = dl.diagnose(address, calling="NOBODY")
    assert not table.attrs["ok"] and table.attrs["failed"] == ["association"]
    assert "not recognised" in row(table, "association").means and "NOBODY" in table.attrs["letter"]
