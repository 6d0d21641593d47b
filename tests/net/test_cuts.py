"""An archive that ends the connection at any byte of what it says, by FIN or by RST: told at once, and nothing made up.

What an answer is worth is known from its tape: up to the last byte that is needed there is an error, with what came
whole; from there on the result stands.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from slow_scp import Slow, SlowServer, serving
from support import free_port
from taped import RESET, Tape, playing, taped

import dicomlab as dl
from benchmarks.canned import SUCCESS, Association, message, response, word
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.net.association.node import Node, Quirks, Timeouts

STUDY = "1.2.9"
CT = str(get_testdata_file("CT_small.dcm"))
TIMES = Timeouts(connect=20, association=20, progress=20)
PROMPT = 10.0  # seconds, half of any deadline; usually some milliseconds


@contextlib.contextmanager
def peer(node: Node) -> Iterator[dl.Peer]:
    """A peer with an empty cache."""
    folder = Path(tempfile.mkdtemp(prefix="cuts"))
    try:
        with dl.connect(node, cache=Cache(folder / "cache", index=folder / "index.sqlite")) as found:
            yield found
    finally:
        shutil.rmtree(folder)


def came(error: errors.DicomlabError) -> int:
    """Rows that came whole before it."""
    rows = getattr(error, "instances", None) if isinstance(error, errors.IncompleteRetrieve) else None
    rows = getattr(error, "rows", None) if rows is None else rows
    return 0 if rows is None else len(rows)


def echo(pacs: dl.Peer) -> int:
    pacs.echo()
    return 0


def find(pacs: dl.Peer) -> int:
    return len(pacs.find("SERIES", StudyInstanceUID=STUDY))


def worklist(pacs: dl.Peer) -> int:
    return len(pacs.worklist(Modality="MR", ScheduledProcedureStepID=""))


def get(pacs: dl.Peer) -> int:
    return len(pacs.retrieve(STUDY, method="get", progress=False))


def move(pacs: dl.Peer) -> int:
    return len(pacs.retrieve(STUDY, method="move", progress=False))


def store(pacs: dl.Peer) -> int:
    return int(pacs.store([CT]).stored.sum())


def commit(pacs: dl.Peer) -> int:
    return int(pacs.commit([CT], wait=0).commitment.str.contains("committed").sum())


@contextlib.contextmanager
def archive(work: Callable[[dl.Peer], int], listen: int) -> Iterator[Node]:
    """Who answers that."""
    if work in (echo, worklist, store, commit):
        with dl.demo_pacs() as pacs:
            yield replace(pacs.node, timeouts=TIMES, listen=0)  # nobody comes back
    else:
        with serving(0, 2, move_port=listen) as server:
            yield Node("SLOW", "127.0.0.1", server.server_address[1], listen=listen, timeouts=TIMES)


def places(ends: list[int], step: int) -> list[int]:
    """The first and last bytes of each PDU, and every so many between them."""
    near = {max(0, min(end + by, ends[-1])) for end in (0, *ends) for by in (-1, 0, 1, 6, 12)}
    return sorted(near | set(range(0, ends[-1], step)))


def needed(work: Callable[[dl.Peer], int], tape: Tape) -> int:
    """Bytes of the last association after which there is no error any more."""
    if work is get:
        return tape.ends[-3]  # what counts is what came (R5.9): the last instance
    if work is commit:
        return tape.ends[0]  # it may be asked for as soon as there is an association, and stays so
    return tape.ends[-2]  # the final response; the release follows it


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMLAB_STATE", str(tmp_path / "state"))


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("work", [echo, find, worklist, get, move, store, commit], ids=lambda one: one.__name__)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["some", "all"])
def test_an_answer_that_ends_at_any_byte_is_told_at_once_and_never_taken_for_whole(
    work: Callable[[dl.Peer], int], how: str, every: bool
) -> None:  # R0.3, R1.4, R1.18
    listen = free_port() if work is move else 0
    with archive(work, listen) as node:
        whole: list[int] = []

        def once(port: int) -> None:
            with peer(replace(node, port=port)) as pacs:
                whole.append(work(pacs))

        tapes = taped(node.port, once)
    if work is move:  # nothing comes to us here: what counts is what the C-MOVE responses are worth
        node, whole = replace(node, quirks=Quirks(move_grace=0.01)), [0]
    told: list[str] = []
    with playing(tapes) as player, warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ResultWarning)
        for number, tape in enumerate(tapes):
            enough = needed(work, tape)
            for at in places(tape.ends, 1 if every else 499):
                player.to_cut(number, at, how)
                began = time.monotonic()
                error: Any = None
                rows = 0
                try:
                    with peer(replace(node, port=player.port)) as pacs:
                        rows = work(pacs)
                except errors.DicomlabError as one:
                    error, rows = one, came(one)
                assert time.monotonic() - began < PROMPT, (number, at, error)
                last = number == len(tapes) - 1
                assert not isinstance(error, errors.DimseTimeout | errors.AssociationTimeout), (at, error)
                if last and at < enough:
                    assert error is not None, at
                elif last and how == "FIN" and work is not move:
                    assert error is None, (at, error)
                assert rows <= whole[0] and (error is not None or rows == whole[0]), at
                if error is not None:
                    assert f"127.0.0.1:{player.port}" in str(error)
                    told.append(type(error).__name__)
    assert set(told) <= {"ConnectionLost", "IncompleteRetrieve", "IncompleteStore"}, set(told)
    assert "ConnectionLost" in told




class Cutting(Slow):
    """Ends its association with our listener after so many bytes of instances, and answers the C-MOVE all the same."""

    server: CuttingServer

    def transfer(self, context: Any, command: Any, identifier: bytes) -> None:
        with contextlib.suppress(EOFError):
            return super().transfer(context, command, identifier)
        counts = {0x1021: word(self.server.instances), 0x1022: word(0), 0x1023: word(0)}
        self.finish(message(context, response(command, SUCCESS) | counts))

    def give(self, sink: Association, parts: bytes, number: int) -> None:
        room, self.server.room = self.server.room, self.server.room - len(parts)
        if room >= len(parts):
            return super().give(sink, parts, number)
        sink.request.sendall(parts[:room])
        if self.server.how == "RST":
            sink.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sink.rfile.close()
        sink.request.close()
        raise EOFError


class CuttingServer(SlowServer):
    """How much, and how it ends."""

    def __init__(self, move_port: int) -> None:
        super().__init__(0, 2, move_port=move_port)
        self.RequestHandlerClass = Cutting
        self.room, self.how = 0, "FIN"


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["some", "all"])
def test_what_is_sent_to_us_may_end_at_any_byte_and_only_whole_instances_count(how: str, every: bool) -> None:  # R5.9
    listen = free_port()
    size = 8_541  # bytes of an instance with its C-STORE request, 119 of them that request
    with CuttingServer(listen) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ResultWarning)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            port = server.server_address[1]
            node = Node("SLOW", "127.0.0.1", port, listen=listen, timeouts=TIMES, quirks=Quirks(move_grace=0.01))
            for at in places([119, size, size + 119, 2 * size], 1 if every else 1_499):
                server.room, server.how = at, how
                began = time.monotonic()
                with peer(node) as pacs:
                    if at >= 2 * size:
                        assert move(pacs) == 2
                        continue
                    with pytest.raises(errors.IncompleteRetrieve, match=f"127.0.0.1:{port}") as caught:
                        move(pacs)
                assert time.monotonic() - began < PROMPT
                assert (len(caught.value.instances), len(caught.value.missing)) == (at // size, 2 - at // size), at
        finally:
            server.shutdown()
            thread.join(30)
