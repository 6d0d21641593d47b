"""Diagnosis: each kind of failure says its own sentence, at the step where it is, in bounded time (SPEC 2)."""

from __future__ import annotations

import contextlib
import doctest
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates
from support import free_port

import dicomlab as dl
import dicomlab.net.connecting
from dicomlab import errors
from dicomlab.demo import DemoServer, Holdings, Manners, negotiation
from dicomlab.net.association.node import Node
from dicomlab.net.diagnosis.services import SERVICES

STEPS = ["host name", "TCP", "TLS", "association", "C-ECHO"]
ALL = [*STEPS, *(service.name for service in SERVICES), "extended negotiation", "our port", "C-MOVE to us"]


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:  # R0.7
    yield
    end = time.monotonic() + 3
    while time.monotonic() < end and any(item.name.startswith("dicomlab") for item in threading.enumerate()):
        time.sleep(0.02)
    assert not [item.name for item in threading.enumerate() if item.name.startswith("dicomlab")]


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Holdings.t31()) as server:
        yield server


def row(table: Any, check: str) -> Any:
    found = table[table.check == check]
    assert len(found) == 1, f"{len(found)} rows {check!r}"
    return found.iloc[0]


def failure(table: Any, check: str, *words: str) -> str:
    """The sentence of the one step that failed; what comes before it is ok, and what after it is skipped."""
    at = STEPS.index(check)
    results = [row(table, name).result for name in STEPS]
    assert results[at] == "failed" and "failed" not in results[:at] and set(results[at + 1 :]) <= {"skipped"}
    assert table.attrs["failed"] == [check] and not table.attrs["ok"]
    said = row(table, check)
    assert said.means and said.do, "what it means, and what to do"
    for word in words:
        assert word in f"{said.means} {said.do}"
    assert said.means in table.attrs["letter"]
    return str(said.means)


# -- what works ----------------------------------------------------------------------------------------------------


def test_a_row_for_each_step_and_service_in_order(server: DemoServer) -> None:  # R2.2
    table = dl.diagnose(server.address, timeout=5)
    assert list(table.check) == ALL and list(table.columns) == ["check", "result", "means", "do", "seconds"]
    assert set(table.result) <= {"ok", "failed", "skipped"} and (table.means.str.len() > 0).all()
    assert (table.do[table.result == "failed"].str.len() > 0).all()
    offered = {name: row(table, name).result for name in ALL}
    assert offered["C-ECHO"] == offered["C-FIND Study Root"] == offered["C-GET Study Root"] == "ok"
    assert offered["print, grayscale"] == offered["print, colour"] == "ok"
    assert offered["unified procedure step"] == "failed" and "unified procedure step" not in table.attrs["failed"]
    assert table.attrs["ok"] and table.attrs["failed"] == [] and table.attrs["peer"] == server.address
    assert table.attrs["elapsed"] < table.attrs["limit"] == 30 and row(table, "C-ECHO").seconds < 5


def test_diagnosis_negotiates_and_sends_c_echo_and_nothing_else(server: DemoServer) -> None:  # R2.4
    dl.diagnose(server.address, listen=free_port())
    assert {request.service for request in server.transcript} == {"A-ASSOCIATE", "C-ECHO"}


def test_extended_negotiation_is_told(server: DemoServer) -> None:  # R1.10
    assert "baseline" in row(dl.diagnose(server.address), "extended negotiation").means
    with DemoServer(Holdings.t31(), manners=Manners(agree=(1, 0, 1))) as agreeing:
        said = row(dl.diagnose(agreeing.address), "extended negotiation").means
    assert "relational queries (1)" in said and "fuzzy matching of names (3)" in said and "time" not in said


def test_each_manner_of_the_embedded_pacs_is_told_apart() -> None:
    with DemoServer(Holdings.t31(), manners=Manners.orthanc()) as server:
        table = dl.diagnose(server.address)
    assert row(table, "C-FIND Patient/Study Only").result == "failed" and table.attrs["ok"]
    with DemoServer(Holdings.t31(), manners=replace(Manners(), read_only=True)) as server:
        table = dl.diagnose(server.address)
    assert row(table, "C-STORE CT images").result == "failed" and "rejected by the user" in table.means.str.cat()
    with DemoServer(Holdings.t31(), manners=replace(Manners(), role_answer=False)) as server:
        assert "did not answer the role" in row(dl.diagnose(server.address), "C-GET Study Root").means


def test_the_private_class_of_patient_updates_is_listed() -> None:  # SPEC 11
    for there in (True, False):
        with DemoServer(Holdings.t31(), manners=replace(Manners(), updater=there)) as server:
            said = row(dl.diagnose(server.address), "patient updater")
        assert said.result == ("ok" if there else "failed") and "LEAD" in said.means


def test_the_rows_are_told_as_they_come_and_printed_where_asked(
    server: DemoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[dict[str, str]] = []
    table = dl.connect(server.address).diagnose(progress=told.append)
    assert [one["check"] for one in told] == list(table.check) and set(told[0]) == {"check", "result", "means", "do"}
    assert capsys.readouterr().out == ""  # nobody looks
    dl.diagnose(server.address, progress=True)
    out = capsys.readouterr().out
    assert "ok      C-ECHO" in out and "Nothing, unless" not in out and max(map(len, out.splitlines())) <= 98
    dl.diagnose(f"GONE@127.0.0.1:{free_port()}", progress=True)
    out = capsys.readouterr().out
    assert "failed  TCP" in out and "print, grayscale" not in out  # no screenful of what was not tried


# -- what fails ----------------------------------------------------------------------------------------------------


def test_a_host_name_that_nobody_knows() -> None:  # R2.2
    table = dl.diagnose("ARCHIVE@no-such-host.invalid:104")
    failure(table, "host name", "'no-such-host.invalid' is not known", "Check its spelling")
    assert "host name or IP address of the archive" in table.attrs["letter"]


def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:  # R1.4
    release = threading.Event()
    real = socket.getaddrinfo

    def stuck(host: Any, *more: Any, **others: Any) -> Any:
        if host != "stuck.example":
            return real(host, *more, **others)
        release.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    threading.Timer(3, release.set).start()  # what a resolver does in the end
    began = time.monotonic()
    table = dl.diagnose("ARCHIVE@stuck.example:104", timeout=0.3)
    release.set()
    assert time.monotonic() - began < 20
    failure(table, "host name", "the name server did not say within 0.3 s")


def test_a_closed_port() -> None:  # R2.3: nothing listening
    failure(dl.diagnose(f"GONE@127.0.0.1:{free_port()}"), "TCP", "nothing listens", "refused", "Check the port")


def test_a_firewall_that_drops_the_packets() -> None:  # R2.3: no answer
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = []
        for _ in range(4):  # the queue of connections is full: further SYNs are dropped, as a firewall does
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(address)
            waiting.append(one)
        time.sleep(0.1)
        began = time.monotonic()
        table = dl.diagnose(f"SILENT@127.0.0.1:{address[1]}", timeout=1)
        assert time.monotonic() - began < table.attrs["limit"] + 1
        for one in waiting:
            one.close()
    failure(table, "TCP", "nothing answered", "firewall")
    assert "firewall lets us through" in table.attrs["letter"]


def test_a_port_that_accepts_and_never_answers() -> None:  # R2.3
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        table = dl.diagnose(f"SILENT@127.0.0.1:{silent.getsockname()[1]}", timeout=0.7)
        assert time.monotonic() - began < 6 * 0.7 + 1
    failure(table, "association", "accepted, and then nothing came for 0.7 s", "firewall or proxy")


def test_a_port_that_speaks_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:

        def serve() -> None:
            connection, _ = web.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        table = dl.diagnose(f"WEB@127.0.0.1:{web.getsockname()[1]}", timeout=2)
        thread.join()
    failure(table, "association")


def test_a_wrong_called_ae_title(server: DemoServer) -> None:  # R2.3
    table = dl.diagnose(f"WRONG@127.0.0.1:{server.port}")
    failure(table, "association", "called AE title not recognised", "does not call itself WRONG")
    assert "tell us the AE title of the archive" in table.attrs["letter"]


def test_a_calling_ae_title_that_is_not_known() -> None:  # R2.3
    with DemoServer(Holdings.t31(), known_callers=["SOMEBODY"]) as server:
        table = dl.diagnose(server.address, calling="NOBODY")
    failure(table, "association", "calling AE title not recognised", "NOBODY")
    assert "Please enter our AE title NOBODY" in table.attrs["letter"]


def test_too_many_associations() -> None:  # R2.3
    with DemoServer(Holdings.t31(), max_associations=1) as server, dl.connect(server.address) as other:
        held = other.each("STUDY", PatientID="")
        next(held)
        table = dl.diagnose(server.address, timeout=1)
        held.close()
    failure(table, "association", "local limit exceeded")
    assert "how many associations we may open" in table.attrs["letter"]


def test_an_archive_without_a_context_in_common(monkeypatch: pytest.MonkeyPatch, server: DemoServer) -> None:  # R2.3
    monkeypatch.setattr("dicomlab.demo.negotiation.COMMITMENT", "1.2.3")
    for others in ("MODELS", "PERFORMED", "UPDATER", "MEDIA", "PRINTING"):
        kind = type(getattr(negotiation, others))
        monkeypatch.setattr(negotiation, others, kind() if kind is not str else "1.2.3")
    monkeypatch.setattr("dicomlab.demo.negotiation.VERIFICATION", "1.2.3")
    monkeypatch.setattr("dicomlab.demo.negotiation.is_storage", lambda *_: False)
    table = dl.diagnose(server.address)
    assert row(table, "association").result == "ok"
    assert "Verification SOP Class (1.2.840.10008.1.1) was not accepted" in row(table, "C-ECHO").means
    assert {row(table, service.name).result for service in SERVICES} == {"failed"}
    assert not table.attrs["ok"]
    assert set(table.attrs["failed"]) >= {"C-ECHO", "C-FIND Study Root", "C-GET Study Root", "C-MOVE Study Root"}
    assert "Please allow C-FIND Study Root for our AE title DICOMLAB." in table.attrs["letter"]


def test_an_archive_that_does_not_answer_c_echo(  # R2.3: association accepted but C-ECHO unanswered
    monkeypatch: pytest.MonkeyPatch, server: DemoServer
) -> None:
    release = threading.Event()
    from pynetdicom.dimse_primitives import C_ECHO

    from dicomlab.demo import server as module

    monkeypatch.setitem(module.SERVICES, C_ECHO, ("C-ECHO", lambda call: release.wait(10)))
    table = dl.diagnose(server.address, timeout=0.7)
    release.set()
    assert row(table, "association").result == "ok" and row(table, "C-FIND Study Root").result == "ok"
    said = row(table, "C-ECHO")
    assert said.result == "failed" and "the association stands, and C-ECHO fails: nothing moved" in said.means
    assert table.attrs["failed"] == ["C-ECHO"]


def test_an_archive_that_has_c_move_alone_wants_a_port(monkeypatch: pytest.MonkeyPatch, server: DemoServer) -> None:
    from dicomlab.demo import negotiation

    without = frozenset(name for name in negotiation.MODELS if not name.endswith(".3"))
    monkeypatch.setattr(negotiation, "MODELS", without)
    table = dl.diagnose(server.address)
    assert row(table, "C-GET Study Root").result == "failed" and table.attrs["failed"] == ["our port"]
    assert "listen=port" in row(table, "our port").do
    table = dl.diagnose(server.address, listen=free_port())
    assert table.attrs["ok"] and row(table, "our port").result == "ok"


def test_plain_dicom_where_tls_is_expected_and_the_other_way_round(made: Certificates) -> None:  # R2.3
    with dl.demo_pacs(Holdings.t31(), tls=True) as sealed:
        plain = dl.diagnose(replace(sealed.node, tls=None, listen=0, allow=frozenset()))
        failure(plain, "TLS", "the peer expects TLS at this port", "tls=")
        through = sealed.diagnose(move=True)
        assert row(through, "TLS").result == "ok" and "TLSv1." in row(through, "TLS").means
        assert row(through, "C-MOVE to us").result == "ok" and "through TLS" in row(through, "our port").means
        stranger = dl.diagnose(replace(sealed.node, tls=dl.TLS(ca=made.ca), listen=0), timeout=3)
        failure(stranger, "TLS", "CA that is not trusted here")
    with DemoServer(Holdings.t31()) as server:
        table = dl.diagnose(server.address, tls=dl.TLS(ca=made.ca), timeout=2)
        failure(table, "TLS", "TLS")
        assert "which port speaks TLS or plain DICOM" in table.attrs["letter"]


# -- the way back --------------------------------------------------------------------------------------------------


def test_without_being_asked_the_way_back_is_explained_and_not_tried(server: DemoServer) -> None:  # R2.4, R2.6
    port = free_port()
    table = dl.diagnose(server.address, listen=port, calling="MINE")
    said = row(table, "C-MOVE to us")
    assert said.result == "skipped" and f"AE title MINE with the address 127.0.0.1 and the port {port}" in said.means
    assert "diagnose(move=True)" in said.do and row(table, "our port").result == "ok"


def test_an_image_that_comes_back_proves_the_way_back_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with dl.demo_pacs(Holdings.t31(), cache=tmp_path / "cache") as pacs:
        assert row(pacs.diagnose(move=True), "C-MOVE to us").result == "ok"
        rows = pacs.find("SERIES", Modality="MR")
        assert row(pacs.diagnose(move=rows), "C-MOVE to us").result == "ok"
        assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert not list(temporary.iterdir())
        with pytest.raises(errors.InvalidRequest, match="nothing is selected"):
            pacs.diagnose(move=rows.head(0))


@pytest.mark.parametrize("manners", [Manners(), Manners.dcmqrscp(), Manners.orthanc()], ids=lambda one: one.name)
def test_an_archive_that_does_not_know_our_destination(manners: Manners) -> None:  # R5.20
    with DemoServer(Holdings.t31(), manners=manners) as server:
        table = dl.diagnose(server.address, listen=free_port(), move=True, timeout=3)
    said = row(table, "C-MOVE to us")
    assert said.result == "failed" and said.do and table.attrs["failed"] == ["C-MOVE to us"]
    if manners.name != "orthanc":  # which says 0xC000 for all that does not work
        assert "does not know the move destination 'DICOMLAB'" in said.means
    assert "Please enter AE title DICOMLAB with the address 127.0.0.1 and the port" in table.attrs["letter"]


def test_an_archive_that_has_another_port_for_us(server: DemoServer) -> None:  # R5.20
    server.destinations["DICOMLAB"] = ("127.0.0.1", free_port())
    table = dl.diagnose(server.address, listen=free_port(), move=True, timeout=3)
    said = row(table, "C-MOVE to us")
    assert said.result == "failed" and "another address or port for us" in said.means


def test_our_port_that_is_in_use(server: DemoServer) -> None:  # R2.6
    with socket.create_server(("127.0.0.1", 0)) as taken:
        table = dl.diagnose(server.address, listen=taken.getsockname()[1], move=True)
    said = row(table, "our port")
    assert said.result == "failed" and "cannot be used for receiving" in said.means and "Another program" in said.do
    assert row(table, "C-MOVE to us").result == "skipped"


def test_an_empty_archive_has_nothing_to_send() -> None:
    with DemoServer(Holdings()) as server:
        table = dl.diagnose(server.address, listen=free_port(), move=True)
    assert row(table, "C-MOVE to us").result == "skipped" and "move=rows" in row(table, "C-MOVE to us").do


# -- the letter, limits, and unfriendly input ----------------------------------------------------------------------


def test_the_letter_says_who_we_are_what_is_needed_and_nothing_secret(server: DemoServer) -> None:
    node = Node.of(server.address)
    secret = dl.UserIdentity("anne", passcode=lambda: "PASSWORD-OF-ANNE", without_tls=True)
    node = replace(node, user=secret, listen=free_port(), calling="MINE", move_ae="MINEMOVE")
    table = dl.diagnose(node)
    letter = table.attrs["letter"]
    ours = ("MINE", "MINEMOVE", f"{node.listen}", "127.0.0.1")
    assert all(word in letter for word in (*ours, "DEMO", f"{node.port}", "C-FIND", "C-GET", "C-MOVE"))
    assert "PASSWORD" not in letter + table.to_string() + str(table.attrs)
    assert max(map(len, letter.splitlines())) <= 130 and letter.endswith("records.\n")


def test_text_of_the_peer_has_no_control_characters() -> None:  # R15.9
    with DemoServer(Holdings.t31()) as server:
        server.ae._implementation_version = "EVIL\x1b[2J"
        table = dl.diagnose(server.address)
    assert "\x1b" not in table.to_string() + table.attrs["letter"]


def test_the_whole_is_bounded_and_says_by_what() -> None:  # R1.4
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        table = dl.diagnose(f"SILENT@127.0.0.1:{silent.getsockname()[1]}", timeout=0.2, listen=free_port(), move=True)
        assert time.monotonic() - began < 6 * 0.2 + 2
    assert table.attrs["limit"] == pytest.approx(1.2)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_the_interrupt_button_ends_it_with_the_rows_so_far() -> None:  # R1.19
    main = threading.main_thread().ident
    assert main is not None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = dl.connect(f"SILENT@127.0.0.1:{silent.getsockname()[1]}")
        threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(errors.Interrupted) as caught:
            peer.diagnose(timeout=20)
        assert time.monotonic() - began < 5
    assert caught.value.rows is not None and list(caught.value.rows.check) == ["host name"]


def test_cancel_ends_it_with_the_rows_so_far() -> None:  # R1.17
    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = dl.connect(f"SILENT@127.0.0.1:{silent.getsockname()[1]}")
        threading.Timer(0.3, peer.cancel).start()
        table = peer.diagnose(timeout=20)
    assert list(table.check) == ["host name", "the rest"] and not table.attrs["ok"]


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"timeout": "5"}, {"timeout": 1000}, {"progress": "yes"}, {"move": "all"}, {"colour": 1}]
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(wrong: dict[str, Any]) -> None:
    with pytest.raises((errors.InvalidRequest, TypeError)):
        dl.diagnose(f"GONE@127.0.0.1:{free_port()}", **wrong)


def test_a_peer_has_its_settings_already(server: DemoServer) -> None:
    with dl.connect(server.address) as peer:
        assert dl.diagnose(peer).attrs["ok"]
        with pytest.raises(errors.InvalidRequest, match="has its calling already"):
            dl.diagnose(peer, calling="OTHER")
    with pytest.raises(errors.InvalidRequest, match="was closed"):
        dl.diagnose(peer)


def test_the_examples_run() -> None:
    found = doctest.DocTestFinder().find(dicomlab.net.connecting.diagnose, globs={})
    found += doctest.DocTestFinder().find(dl.Peer.diagnose, globs={})
    assert sum(len(test.examples) for test in found) >= 4
    assert all(doctest.DocTestRunner().run(test).failed == 0 for test in found)
