"""The transaction log and the message dump against the embedded PACS (SPEC 1: R1.15, R1.16; 0.1: R0.6)."""

from __future__ import annotations

import contextlib
import doctest
import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support import free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import DemoServer, Holdings
from dicomlab.net.association import dump
from dicomlab.net.association.logfile import LogFile


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Holdings.t31()) as server:
        yield server


@pytest.fixture
def peer(server: DemoServer, tmp_path: Path) -> Iterator[dl.Peer]:
    with dl.connect(server.address, cache=tmp_path / "cache", timeout=10) as peer:
        yield peer


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_asked_whom_for_what_when_and_what_came_of_it(peer: dl.Peer, tmp_path: Path) -> None:  # R1.16
    path = tmp_path / "audit.jsonl"
    with peer.log_to(path, user="A. Reader", reason="protocol 12") as log:
        studies = peer.find("STUDY", PatientID="77654033")
    lines = lines_of(path)
    assert [line["kind"] for line in lines] == ["association", "operation", "association"]
    assert (lines[0]["state"], lines[2]["state"]) == ("accepted", "released")
    found = lines[1]
    assert (found["user"], found["calling"], found["peer"]) == ("A. Reader", "DICOMLAB", peer.node.identity)
    assert (found["service"], found["level"], found["status"]) == ("C-FIND", "STUDY", "0x0000")
    assert found["responses"] == len(studies) + 1 and found["reason"] == "protocol 12"
    began, ended = (datetime.fromisoformat(found[name]) for name in ("began", "ended"))
    assert began <= ended and began.utcoffset() is not None
    assert len({line["association"] for line in lines}) == 1 and log.entries == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_instance_of_a_retrieval_is_an_operation_of_its_own(peer: dl.Peer) -> None:  # R1.16
    lines: list[dict[str, Any]] = []
    studies = peer.find("STUDY", PatientID="77654033")
    with peer.log_to(lines.append):
        got = peer.retrieve(studies)
    stored = [line for line in lines if line.get("service") == "C-STORE"]
    assert {line["sop_instance"] for line in stored} == set(got.SOPInstanceUID)
    assert {(line["direction"], line["status"]) for line in stored} == {("received", "0x0000")}
    gets = [line for line in lines if line.get("service") == "C-GET"]
    assert sum(line["counts"]["completed"] for line in gets) == len(got)
    assert {uid for line in gets for uids in line["uids"].values() for uid in uids} & set(studies.StudyInstanceUID)


def test_instances_that_a_move_sends_us_are_logged_too(server: DemoServer, tmp_path: Path) -> None:  # R1.16
    port = free_port()
    server.destinations = {"DICOMLAB": ("127.0.0.1", port)}
    lines: list[dict[str, Any]] = []
    with dl.connect(server.address, cache=tmp_path / "cache", timeout=10, listen=port) as peer:
        series = peer.find("SERIES", PatientID="77654033").head(1)
        with peer.log_to(lines.append):
            got = peer.retrieve(series, method="move")
    services = [line["service"] for line in lines if line["kind"] == "operation"]
    assert services.count("C-STORE") == len(got) and "C-MOVE" in services
    assert len({line["association"] for line in lines if line.get("service") in ("C-STORE", "C-MOVE")}) > 1


def test_no_name_is_logged_unless_asked_for(peer: dl.Peer) -> None:  # R0.6, R1.16
    asked = {"PatientName": "Doe^Peter", "PatientID": "77654033", "StudyDate": "20010101-20301231"}
    plain: list[Any] = []
    with peer.log_to(plain.append):
        peer.find("STUDY", **asked)
    assert not any(value in json.dumps(plain) for value in asked.values())
    assert {"PatientName", "StudyDate"} <= set(plain[1]["keys"])
    named: list[Any] = []
    with peer.log_to(named.append, names=True):
        peer.find("STUDY", **asked)
    assert named[1]["identifier"]["PatientName"] == "Doe^Peter"
    hidden: list[Any] = []
    with dl.options.set(phi=False), peer.log_to(hidden.append, names=True):
        peer.find("STUDY", **asked)
    assert hidden[1]["identifier"]["PatientName"].startswith("hidden-")  # the switch of the session goes over it


def test_what_failed_is_logged_by_its_kind(tmp_path: Path) -> None:  # R1.16
    lines: list[dict[str, Any]] = []
    peer = dl.connect(f"NOBODY@127.0.0.1:{free_port()}", cache=tmp_path / "cache", timeout=2)
    with peer, peer.log_to(lines.append), pytest.raises(errors.ConnectError):
        peer.echo()
    (line,) = lines
    assert (line["state"], line["error"], line["association"]) == ("failed", "ConnectError", 0)


def test_an_operation_that_was_cut_is_logged_with_its_association(peer: dl.Peer) -> None:  # R1.16
    def ends(event: Any) -> None:
        event.cancel("enough")

    lines: list[dict[str, Any]] = []
    with peer.log_to(lines.append):
        peer.hooks.add("before C-FIND-RSP", ends)
        with pytest.raises(errors.InvalidRequest):
            peer.find("STUDY", PatientID="77654033")
    operation = next(line for line in lines if line["kind"] == "operation")
    assert operation["status"] == "0xFF00" and operation["responses"] == 1 and operation["category"] == "pending"
    assert lines[-1]["state"] == "aborted" and lines[-1]["error"] == "InvalidRequest"


def test_a_log_that_fails_breaks_no_call_and_says_so_once(peer: dl.Peer) -> None:
    def broken(line: object) -> None:
        raise OSError(28, "No space left on device")

    log = peer.log_to(broken)
    with pytest.warns(errors.ResultWarning, match="No space left on device") as said:
        assert len(peer.find("STUDY", PatientID="77654033")) == 2
        peer.echo()
    assert len(said) == 1 and log.failed == 6 and log.entries == 0
    assert "6 NOT WRITTEN" in repr(log)
    log.close()
    peer.echo()
    assert log.failed == 6


def test_a_strict_log_ends_the_call_that_it_cannot_log(peer: dl.Peer) -> None:
    def broken(line: object) -> None:
        raise OSError(28, "No space left on device")

    with peer.log_to(broken, strict=True), pytest.raises(errors.LogError, match="No space left"):
        peer.echo()
    assert peer.echo() > 0


def test_a_log_that_cannot_be_opened_is_refused_at_once(peer: dl.Peer, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidRequest, match="cannot be written"):
        peer.log_to(tmp_path / "nowhere" / "audit.jsonl")
    with pytest.raises(errors.InvalidRequest, match="no place for a log"):
        peer.log_to(12)  # type: ignore[arg-type]
    assert len(peer.hooks) == 0


def test_a_full_file_gets_its_time_as_an_ending_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = LogFile(path, 1000)
    texts = [f"{number:099d}\n" for number in range(35)]
    for text in texts:
        log.write(text)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4 and max(file.stat().st_size for file in files) == 1000 and log.size == 500
    assert sorted("".join(file.read_text() for file in files).splitlines(True)) == texts


def test_threads_and_a_rotation_from_outside_mix_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = LogFile(path, 20_000)

    def write(letter: str) -> None:
        for _ in range(200):
            log.write(letter * 99 + "\n")

    threads = [threading.Thread(target=write, args=[letter]) for letter in "abcd"]
    for thread in threads:
        thread.start()
    moved = False
    while not moved:
        with contextlib.suppress(FileNotFoundError):  # the log itself put it aside just now, and opens the next
            path.rename(tmp_path / "moved.jsonl")
            moved = True
    for thread in threads:
        thread.join(60)
    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert len(lines) == 800 and all(len(line) == 99 and len(set(line)) == 1 for line in lines)


def test_a_file_that_is_moved_as_it_is_full_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    log = LogFile(path, 150)
    log.write("a" * 99 + "\n")
    rename = os.rename

    def late(source: Path, target: str) -> None:
        rename(source, tmp_path / "moved.jsonl")  # by somebody else, after the log had looked
        rename(source, target)

    monkeypatch.setattr("dicomlab.net.association.logfile.os.rename", late)
    log.write("b" * 99 + "\n")
    log.close()
    assert path.read_text() == "b" * 99 + "\n" and (tmp_path / "moved.jsonl").read_text() == "a" * 99 + "\n"


def test_two_peers_may_share_one_file(server: DemoServer, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    peers = [dl.connect(server.address, cache=tmp_path / "cache", calling=title) for title in ("ONE", "TWO")]
    logs = [peer.log_to(path) for peer in peers]
    threads = [threading.Thread(target=peer.echo) for peer in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log, peer in zip(logs, peers, strict=True):
        log.close()
        peer.close()
    lines = lines_of(path)
    assert sorted(line["calling"] for line in lines) == ["ONE"] * 3 + ["TWO"] * 3


def test_the_dump_has_command_sets_and_headers_without_pixels(peer: dl.Peer, tmp_path: Path) -> None:  # R1.15
    path = tmp_path / "dump.txt"
    series = peer.find("SERIES", PatientID="77654033").head(1)
    with peer.dump_to(path, names=True) as dump:
        dump.note("the first series")
        got = peer.retrieve(series)
    text = path.read_text()
    assert text.count("<- C-STORE-RQ") == len(got) == text.count("-> C-STORE-RSP")
    assert "note: the first series" in text and "== association requested" in text
    assert "(0000,0100) US CommandField: 1" in text and "accepted" in text
    assert got.PatientName[0] in text and str(got.SOPInstanceUID[0]) in text
    assert "PixelData" not in text and "(7fe0,0010)" not in text


def test_the_dump_hides_names_unless_asked_for(peer: dl.Peer) -> None:  # R0.6, R1.15
    texts: list[str] = []
    with peer.dump_to(texts.append):
        found = peer.find("STUDY", PatientID="77654033")
    text = "".join(texts)
    assert found.PatientName[0] not in text and "77654033" not in text and "hidden-" in text
    assert found.StudyInstanceUID[0] in text and "PatientName" in text
    assert f"{found.StudyDate[0]:%Y%m%d}" not in text


def test_the_dump_says_of_a_data_set_that_it_cannot_be_read(peer: dl.Peer) -> None:  # R1.15
    def damaged(event: Any) -> None:
        if event.name == "C-FIND-RSP" and event.data is not None:
            event.change(data=b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\x01\x02\x03\x04\x05\x06\x07\x08\x09")

    texts: list[str] = []
    peer.hooks.add("before message", damaged)
    with peer.dump_to(texts.append), pytest.warns(errors.ResultWarning, match="cannot be read"):
        peer.find("STUDY", PatientID="77654033")
    assert "cannot be read: BadData" in "".join(texts)


def test_the_examples_of_the_docstrings_run() -> None:
    failed, attempted = doctest.testmod(dump)
    assert attempted and not failed
