"""`demo_pacs()`: the embedded PACS and the peer to ask it with, from one call (R16.1)."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from support import require_peer

from dicomlab.demo import Holdings, demo_pacs, phantom


def test_it_is_found_asked_and_fetched_from_by_get_and_by_move_and_leaves_nothing():
    with demo_pacs() as pacs:
        assert pacs.echo() < 5
        series = pacs.find("SERIES", PatientID="DEMO-00?", Modality="MR")
        assert set(series.SeriesInstanceUID) == {phantom.truth(name).SeriesInstanceUID for name in ("mr", "mr time")}
        one = series[series.SeriesInstanceUID == phantom.truth("mr").SeriesInstanceUID]
        assert len(pacs.retrieve(one, method="get")) == 24
        assert len(pacs.retrieve(one, method="move", refresh=True)) == 24
        server, folder = pacs._owner.server, pacs._owner.folder
        assert folder.is_dir() and len(server.requests("C-MOVE")) == 1
    assert not server.running and not folder.exists()
    pacs.close()


def test_python_ends_and_the_folder_goes_though_nobody_closed_it():
    code = (
        "from dicomlab.demo import demo_pacs\n"
        "pacs = demo_pacs(); pacs.echo(); print(pacs._owner.folder)\n"
        "import pathlib; assert pacs._owner.folder.is_dir()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    import pathlib

    assert not pathlib.Path(done.stdout.strip()).exists()


@pytest.mark.parametrize("name", ["", ".server", ".holdings", ".manners", ".phantom"])
def test_its_examples_run(name):
    module = importlib.import_module(f"dicomlab.demo{name}")
    failed, attempted = doctest.testmod(module)
    assert attempted and not failed


def test_the_embedded_pacs_speaks_tls_both_ways():  # R1.12, R1.13
    require_peer("openssl")
    with demo_pacs(Holdings.t31(), tls=True) as pacs:
        folder = Path(pacs.node.tls.key).parent
        studies = pacs.find("STUDY", PatientID="77654033")
        for method in ("get", "move"):
            assert len(pacs.retrieve(studies, method=method, refresh=True)) == 7
            assert pacs.negotiated.tls.version == "TLSv1.3"
    assert not folder.exists()
