"""The fuzzer on each reader for a stated time, and what it once found."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.targets import TARGETS
from support import ROOT

SECONDS = int(os.environ.get("DICOMLAB_FUZZ_SECONDS", "300"))  # of a soak, for each reader
FINDINGS = Path(__file__).parent / "findings"  # TARGET-YYYYMMDD-what: inputs that once raised what they must not


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason='atheris is not installed ("dicomlab[fuzz]")')
@pytest.mark.parametrize("seconds", [2, pytest.param(SECONDS, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_finds_nothing(name, seconds, tmp_path, capsys):  # B8
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-m", "fuzz", name, "--seconds", str(seconds), "--findings", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    made = tmp_path / f"{name}.json"
    assert ran.returncode == 0 and made.exists(), ran.stderr[-3000:]
    told = json.loads(made.read_text())
    with capsys.disabled():
        print(f"\nfuzzed {name} for {told['seconds']} s: {told['runs']:,} runs, {len(told['findings'])} findings")
    assert not told["findings"], ran.stderr[-3000:]
    assert told["runs"] > 100


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_fuzzer_once_found_is_read_or_refused(name):  # B8
    for path in sorted(FINDINGS.glob(f"{name}-*")):
        TARGETS[name].run(path.read_bytes())
