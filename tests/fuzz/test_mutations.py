"""Ten thousand damaged inputs, and every cut of some: only documented errors come out, in little time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from fuzz.mutations import mutated
from fuzz.targets import TARGETS
from support import ROOT

MANY = 10_000 // len(TARGETS)


@pytest.mark.parametrize("count", [MANY, pytest.param(100 * MANY, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", TARGETS)
def test_of_many_mutations_none_raises_what_is_not_documented(name, count):  # B3: 10,000 here, 1,000,000 in a soak
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-m", "fuzz.mutations", name, str(count)]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert not told["found"], f"mutated(TARGETS[{name!r}].seeds(), number): {told['found']}"
    assert told["runs"] == count
    assert told["slowest"] < 1  # second of the processor; usually a few milliseconds
    assert told["grown"] < 64 << 10  # KiB, beyond twice the largest input of 1 MiB


@pytest.mark.parametrize("name", TARGETS)
def test_an_input_cut_at_any_byte_raises_what_is_documented(name):  # B2
    target = TARGETS[name]
    for seed in target.seeds():
        step = 1 if len(seed) < 5_000 else 131
        for length in (*range(min(len(seed), 1_000)), *range(1_000, len(seed), step)):
            target.run(seed[:length])


def test_a_mutation_is_the_same_each_time_and_most_are_refused():
    seeds = TARGETS["command"].seeds()
    made = [mutated(seeds, number) for number in range(300)]
    assert made == [mutated(seeds, number) for number in range(300)]
    assert len(set(made)) > 250 and not set(seeds) <= set(made)
