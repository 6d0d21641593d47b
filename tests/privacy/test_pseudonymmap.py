"""One map of pseudonyms that several calls, threads and processes use at once: none of them loses a name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from slices import stack, write
from support import ROOT

from dicomlab.disk.locking import alone
from dicomlab.errors import InvalidRequest
from dicomlab.privacy.pseudonymisation import pseudonymise
from dicomlab.privacy.pseudonymmap import held


def test_calls_on_one_map_take_turns_and_lose_no_name(tmp_path: Path) -> None:
    place, inside, go, second = tmp_path / "map.json", threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with held(place) as known:
            known.patient("A")
            inside.set()
            assert go.wait(60)
            known.save()

    def other() -> None:
        with held(place) as known:
            second.set()
            assert "A" in known.content["patients"]
            known.patient("B")
            known.save()

    threads = [threading.Thread(target=first, daemon=True), threading.Thread(target=other, daemon=True)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    assert not second.wait(0.3)
    go.set()
    for thread in threads:
        thread.join(60)
    assert sorted(json.loads(place.read_text())["patients"]) == ["A", "B"]
    assert os.listdir(tmp_path) == ["map.json"]


def test_folders_may_be_pseudonymised_side_by_side(tmp_path: Path) -> None:
    wrong: list[Exception] = []

    def work(n: int) -> None:
        try:
            pseudonymise(tmp_path / "in" / str(n), tmp_path / "out" / str(n), map=tmp_path / "map.json", progress=False)
        except Exception as error:
            wrong.append(error)

    for n in range(4):
        images = stack([0, 1], PatientID=f"P{n}", StudyInstanceUID=f"1.2.{n}", SeriesInstanceUID=f"1.2.{n}.1")
        for number, image in enumerate(images):
            image.SOPInstanceUID = f"1.2.{n}.1.{number}"
        write(tmp_path / "in" / str(n), images)
    threads = [threading.Thread(target=work, args=[n], daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong
    found = json.loads((tmp_path / "map.json").read_text())
    assert sorted(found["patients"]) == ["P0", "P1", "P2", "P3"] and len(found["uids"]) >= 4 * 4


def test_a_process_that_is_killed_holds_no_map(tmp_path: Path) -> None:
    place = str(tmp_path / "map.json")
    program = (
        "import sys, time\nfrom dicomlab.disk.locking import alone\n"
        "with alone(sys.argv[1]):\n    print(1, flush=True)\n    time.sleep(300)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, place],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "1\n"
    finally:
        child.kill()
        child.communicate(timeout=60)
    with held(place) as known:
        known.patient("A")
        known.save()
    assert os.listdir(tmp_path) == ["map.json"]


def test_what_goes_wrong_inside_lets_the_next_in(tmp_path: Path) -> None:
    place = tmp_path / "map.json"
    with pytest.raises(ZeroDivisionError), alone(str(place)):
        raise ZeroDivisionError
    place.write_text("no map")
    with pytest.raises(InvalidRequest, match="is no map of pseudonyms"), held(place):
        pass
    assert place.read_text() == "no map" and os.listdir(tmp_path) == ["map.json"]
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match="cannot be written"), held(tmp_path / "file" / "map.json"):
        pass
