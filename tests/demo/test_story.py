"""`python -m dicomlab.demo`: the main job told step by step, and its ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support import ROOT

COMMAND = [sys.executable, "-u", "-m", "dicomlab.demo"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def start(folder, **choices):
    return subprocess.Popen(
        COMMAND, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **choices
    )


def test_the_story_is_told_to_its_end_and_leaves_a_picture(tmp_path):
    told, said = start(tmp_path).communicate(timeout=90)
    assert said == "" and (tmp_path / "demo-output" / "volume.png").read_bytes().startswith(b"\x89PNG")
    assert "not a medical device" in told
    for line in ('pacs.find("SERIES"', "pacs.retrieve(", "dl.load(instances)", "dl.view(volume)", "Look at "):
        assert line in told


def test_a_reader_that_leaves_ends_it_quietly(tmp_path):
    story = start(tmp_path)
    assert story.stdout.readline().startswith("dicomlab:")
    story.stdout.close()
    assert story.stderr.read() == ""
    assert story.wait(60) == 0
    story.stderr.close()


@pytest.mark.parametrize("after", ["dicomlab:", "pacs = ", "series = ", "ct = ", "instances = ", "volume = "])
def test_ctrl_c_ends_it_with_one_line_wherever_it_comes(tmp_path, after):
    story = start(tmp_path)
    assert any(line.startswith(after) for line in story.stdout)
    story.send_signal(signal.SIGINT)
    _, said = story.communicate(timeout=30)
    assert said.strip().splitlines() == ["stopped; the embedded PACS has ended, and what it had received is gone"], said
    assert story.returncode == 130
