"""A run of the tests on several workers ends, whatever one of them dies of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("xdist")

CONFTEST = """
import running
def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(running.Running(config), "running")
"""
DIES = """
import os, pathlib, time
def test_first(): pass
def test_that_ends_its_process_once():
    time.sleep({pause})
    if not (mark := pathlib.Path(__file__).with_suffix(".died")).exists():
        mark.touch()
        os._exit(1)
def test_last(): pass
"""


@pytest.mark.parametrize(("many", "pause"), [(2, 0), (12, 0.5)])
def test_what_a_dead_worker_leaves_is_run_by_the_others_and_a_new_one(tmp_path: Path, many: int, pause: float) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for number in range(many):
        (tmp_path / f"test_{number:02d}.py").write_text("import time\ndef test_one(): time.sleep(0.05)\n")
    (tmp_path / "test_00_dies.py").write_text(DIES.format(pause=pause))
    (tmp_path / "test_99_dies.py").write_text(DIES.format(pause=pause))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, env=environment, timeout=100, check=False,
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    assert f"2 failed, {many + 6} passed" in last, done.stdout


STANDS = """
import time
def test_that_swallows_its_time_limit():
    end = time.monotonic() + 80
    while time.monotonic() < end:
        try:
            time.sleep(80)
        except BaseException:
            pass
"""
LIMITED = """
import running
running.MORE = 2
def pytest_configure(config):
    config.pluginmanager.register(running.Limit(config), "limit")
"""


def test_a_test_that_its_time_limit_does_not_end_ends_with_all_stacks(tmp_path: Path) -> None:
    pytest.importorskip("pytest_timeout")
    (tmp_path / "conftest.py").write_text(LIMITED)
    (tmp_path / "test_stands.py").write_text(STANDS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "1", "--max-worker-restart", "0", "--timeout", "2",
         "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, env=environment, timeout=70, check=False,
    )  # fmt: skip
    assert "1 failed" in done.stdout, done.stdout
    assert "in test_that_swallows_its_time_limit" in done.stderr, done.stderr
