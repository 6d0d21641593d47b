"""Dask workers, and a scheduler, that are processes which a test may kill; and who of them has an association."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT, stop

ENVIRONMENT = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "PYTHONWARNINGS": "ignore"}
UNSHARE = (shutil.which("unshare") or "unshare", "--mount", "--propagation", "private", "sh", "-c")


@contextlib.contextmanager
def workers(
    address: str, folder: Path, count: int, *, hidden: Path | None = None, nanny: bool = True, **settings: str
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many workers of a scheduler, of one thread each; a folder may be another one to them, as on other machines."""
    hide = f"mount -t tmpfs none {hidden}"
    if hidden is not None and subprocess.run([*UNSHARE, hide], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount: no worker can be kept from the files")
    words = f"{sys.executable} -m distributed.cli.dask_worker {address} --nthreads 1 --no-dashboard --host 127.0.0.1"
    children = []
    for number in range(count):
        command = f"exec {words} {'' if nanny else '--no-nanny'} --local-directory {folder / f'worker{number}'}"
        children.append(
            subprocess.Popen(
                [*UNSHARE, f"{hide} && {command}"] if hidden else ["sh", "-c", command],
                env={**os.environ, **ENVIRONMENT, **settings},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            stop(child, 30)


def talks(process: int, port: int) -> bool:
    """Whether that process has a connection from that port of 127.0.0.1."""
    local = f"0100007F:{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{line[9]}]" for line in lines if line[1] == local}
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(descriptor) in sockets:
                return True
    return False
