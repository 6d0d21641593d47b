"""What a kernel is and does besides: its event loop, its end, its forks, its clock and its ports (F8 to F12)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slow_scp import serving
from support import ROOT, free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings, Manners

STUDY_HERE = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"


@pytest.fixture
def pacs() -> Iterator[dl.Peer]:
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pause=0.05), timeout=10) as peer:
        yield peer


@pytest.mark.parametrize("method", ["get", "move"])
def test_plain_calls_work_in_a_running_event_loop(pacs: dl.Peer, method: str) -> None:  # F8
    async def cell() -> tuple[int, int]:
        series = pacs.find("SERIES", Modality="CT")
        return len(series), len(pacs.retrieve(series.head(1), method=method, progress=False))

    series, instances = asyncio.run(cell())
    assert series and instances and "nest_asyncio" not in sys.modules


def test_the_loop_of_the_kernel_goes_on_while_a_job_is_awaited(pacs: dl.Peer) -> None:  # F8: widgets stay alive
    ticks: list[int] = []

    async def cell() -> int:
        job = pacs.retrieve(pacs.find("STUDY", PatientID="77654033"), background=True)

        async def tick() -> None:
            while True:
                ticks.append(job.progress.done)
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        found = await job
        ticking.cancel()
        return len(found)

    assert asyncio.run(cell()) == 7
    assert len({*ticks}) > 2  # the loop ran between the instances


KERNEL = """
import json, os, sys, time, warnings
import dicomlab as dl
from dicomlab.cache.cache import Cache
from dicomlab.net.association.node import Node
port, listen, folder, how = sys.argv[1:]
warnings.simplefilter("ignore")
node = Node("SLOW", "127.0.0.1", int(port), listen=int(listen))
slow = dl.connect(node, cache=Cache(folder + "/cache", index=folder + "/index.sqlite"), timeout=30)
"""
LEAVES = """
job = slow.retrieve("1.2.9", method="move", background=True)
while not job.progress.done:
    time.sleep(0.01)
print(time.monotonic(), flush=True)
if how == "killed":
    os._exit(0)
"""
FORKS = """
children = []
def told(done, total):
    if done == 10:
        child = os.fork()
        if child:
            children.append(child)
            return
        links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if
                 os.path.lexists(f"/proc/self/fd/{fd}")]
        with open(folder + "/child.json", "w") as file:
            json.dump(sum(link.startswith("socket:") for link in links), file)
        sys.stdin.readline()
        os._exit(0)
found = slow.retrieve("1.2.9", method=how, progress=told)
print(json.dumps({"rows": len(found), "complete": found.attrs["complete"], "forked": len(children)}), flush=True)
import socket
socket.create_server(("127.0.0.1", int(listen))).close()
print("free", flush=True)
own = slow.retrieve("1.2.9", method="move", refresh=True)
print(len(own), flush=True)
sys.stdin.readline()
for child in children:
    os.waitpid(child, 0)
"""


def kernel(text: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KERNEL + text, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=os.environ)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs one monotonic clock for all processes")
@pytest.mark.parametrize("how", ["killed", "by itself"])
def test_a_kernel_that_ends_in_a_retrieve_ends_at_once_and_its_port_is_free(how: str, tmp_path: Path) -> None:  # F9
    listen = free_port()
    with serving(0.2, 200, move_port=listen) as server:  # 40 seconds
        process = kernel(LEAVES, server.server_address[1], listen, tmp_path, how)
        assert process.stdout is not None
        left = float(process.stdout.readline())
        assert process.wait(30) == 0
        seconds = time.monotonic() - left
        socket.create_server(("127.0.0.1", listen)).close()
        out, trouble = process.communicate(timeout=100)
        assert (out, trouble) == ("", "")
        server.seconds = 0
    assert seconds < 2 + 4, seconds  # 2, and room for a machine that is busy


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork and /proc")
@pytest.mark.parametrize("method", ["get", "move"])
def test_a_forked_child_owns_no_socket_and_keeps_no_port(method: str, tmp_path: Path) -> None:  # F12
    listen = free_port()
    with serving(0.005, 40, move_port=listen) as server:
        process = kernel(FORKS, server.server_address[1], listen, tmp_path, method)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        _, trouble = process.communicate("\n\n", timeout=30)
        assert process.returncode == 0, trouble
    told: dict[str, Any] = json.loads(lines[0])
    assert told == {"rows": 40, "complete": True, "forked": 1}
    assert lines[1:] == ["free\n", "40\n"]  # while the child lives
    assert json.loads((tmp_path / "child.json").read_text()) == 0


def test_a_clock_that_is_set_back_moves_no_deadline(monkeypatch: pytest.MonkeyPatch, pacs: dl.Peer) -> None:  # F11
    real = time.time
    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = dl.connect(f"SILENT@127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)
        back = lambda event: monkeypatch.setattr(time, "time", lambda: real() - 3600)  # noqa: E731
        peer.hooks.add("association requested", back)
        began = time.monotonic()
        with pytest.raises(errors.AssociationTimeout):
            peer.find("STUDY", PatientID="*")
        assert time.monotonic() - began < 60  # not an hour
    assert time.time() < real() - 3000
    assert len(pacs.retrieve(pacs.find("STUDY", PatientID="77654033"), progress=False)) == 7


def test_a_port_in_use_is_named_and_a_free_one_offered(pacs: dl.Peer) -> None:  # F10
    with socket.create_server(("127.0.0.1", pacs.node.listen)):
        with pytest.raises(errors.InvalidRequest, match=f"the port {pacs.node.listen} ") as caught:
            pacs.retrieve(pacs.find("STUDY", PatientID="77654033"), method="move", progress=False)
        assert "another notebook, holds it" in caught.value.advice
        offered = int(re.search(r"listen=(\d+)\), which is free", caught.value.advice)[1])  # type: ignore[index]
        socket.create_server(("127.0.0.1", offered)).close()


def test_an_address_that_this_machine_has_no_longer_is_said(pacs: dl.Peer) -> None:  # F10
    there = replace(pacs.node, listen_host="192.0.2.1")
    with pytest.raises(errors.InvalidRequest, match=r"of 192\.0\.2\.1 cannot be used") as caught:
        dl.connect(there, cache=pacs.cache).retrieve(STUDY_HERE, method="move", progress=False)
    assert "no such address" in caught.value.advice and "listen_host" in caught.value.advice


LOW = """
import os, sys
import dicomlab as dl
from dicomlab.errors import InvalidRequest
from dicomlab.net.retrieve import retrieve, transfer
from dicomlab.net.retrieve.doorway import Doorway, remedy
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Doorway("127.0.0.1", 104, bool, print)
except OSError as error:
    print(remedy(error, "127.0.0.1", 104))
"""


def test_a_port_below_1024_is_told_from_one_in_use() -> None:  # F10
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not first.exists() or int(first.read_text()) <= 104:
        pytest.skip("everybody may use port 104 here")
    done = subprocess.run([sys.executable, "-c", LOW], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The system gives low ports to the administrator alone. Choose another port with")


def test_without_ipv6_the_address_that_is_there_is_used(pacs: dl.Peer) -> None:  # F10
    named = replace(pacs.node, host="localhost")  # ::1 too, where the archive does not listen
    with dl.connect(named, cache=pacs.cache) as local:
        assert local.echo()
