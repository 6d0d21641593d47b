"""A peer as the reader of a notebook has it: made by connect, closed, and what it says then."""

from __future__ import annotations

import copy
import os
import pickle
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings
from dicomlab.net.association.node import Node, Timeouts

CALLS: dict[str, Callable[[dl.Peer], Any]] = {
    "echo": lambda peer: peer.echo(),
    "find": lambda peer: peer.find("STUDY", PatientID="*"),
    "each": lambda peer: list(peer.each("STUDY", PatientID="*")),
    "retrieve": lambda peer: peer.retrieve("1.2.3", progress=False),
    "worklist": lambda peer: peer.worklist(PatientID="*"),
    "store": lambda peer: peer.store("somewhere"),
    "commit": lambda peer: peer.commit("somewhere"),
    "log_to": lambda peer: peer.log_to(print),
    "dump_to": lambda peer: peer.dump_to(print),
    "with": lambda peer: peer.__enter__(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_closed_peer_says_so_and_what_to_do(call: Callable[[dl.Peer], Any]) -> None:  # R0.4, R0.7
    peer = dl.connect("ARCHIVE@127.0.0.1:4242", allow=("store", "commit"))
    peer.close()
    peer.close()
    with pytest.raises(errors.InvalidRequest, match=r'was closed.*connect\("ARCHIVE@127\.0\.0\.1:4242"\)'):
        call(peer)


def test_a_closed_embedded_pacs_is_made_anew_by_demo_pacs() -> None:  # R0.4
    with dl.demo_pacs(Holdings.t31()) as pacs:
        pacs.echo()
    assert pacs.negotiated is not None  # what it knew can still be read
    with pytest.raises(errors.InvalidRequest, match=r"demo_pacs\(\)"):
        pacs.echo()


def test_a_cache_that_cannot_be_is_refused_at_connect(tmp_path: Path) -> None:  # R0.4
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below" / "it"):
        with pytest.raises(errors.CacheError, match=r"is no folder.*cache="):
            dl.connect("ARCHIVE@127.0.0.1:4242", cache=folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_not_be_written_is_refused_at_connect(tmp_path: Path) -> None:  # R0.4
    tmp_path.chmod(0o500)
    with pytest.raises(errors.CacheError, match=r"cannot be written.*cache="):
        dl.connect("ARCHIVE@127.0.0.1:4242", cache=tmp_path / "cache")


@pytest.mark.parametrize("timeout", ["30", 0, -1, True, float("nan")])
def test_a_timeout_that_is_no_time_is_refused(timeout: Any) -> None:  # R0.4
    with pytest.raises(dl.errors.InvalidRequest, match=r"Give seconds above 0, such as timeout=60\."):
        dl.connect("A@localhost:104", timeout=timeout)


def test_a_timeout_keeps_what_the_node_says_of_the_whole_call():  # R1.4
    node = Node("A", "localhost", 104, timeouts=Timeouts(connect=2.0, progress=60.0, total=90.0))
    assert dl.connect(node, timeout=5).node.timeouts == Timeouts(connect=2.0, association=5, progress=5, total=90.0)


def test_connect_makes_no_folder(tmp_path: Path) -> None:  # DESIGN 1: it opens nothing yet
    dl.connect("ARCHIVE@127.0.0.1:4242", cache=tmp_path / "deep" / "cache")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "call", [dl.Peer.echo, lambda peer: list(peer.each("STUDY", PatientID=""))], ids=["echo", "each"]
)
@pytest.mark.parametrize("stop", [dl.Peer.cancel, dl.Peer.close])
def test_a_call_without_a_partial_result_that_is_stopped_says_so(call: Any, stop: Any) -> None:  # R0.4, R1.17
    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = dl.connect(f"SILENT@127.0.0.1:{silent.getsockname()[1]}")
        threading.Timer(0.2, stop, (peer,)).start()
        with pytest.raises(errors.ConnectError, match="stopped by cancel") as caught:
            call(peer)
        assert caught.value.elapsed is not None and caught.value.elapsed < 1.2


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_a_peer_that_is_handed_to_another_process_says_what_to_hand_over(copied: Callable[[Any], Any]) -> None:  # R0.4
    peer = dl.connect("ARCHIVE@127.0.0.1:4242")
    with pytest.raises(errors.InvalidRequest, match=r"Hand over peer\.node.*dicomlab\.connect\(node\)"):
        copied(peer)
    assert dl.connect(pickle.loads(pickle.dumps(peer.node))).node == peer.node
