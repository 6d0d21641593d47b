"""The programs of others, found or left out with the reason; started here, ended by id."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
