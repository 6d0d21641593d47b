"""What a type checker makes of a user's script: tables are tables, and what is misspelt is found before it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

pytest.importorskip("mypy", reason="mypy checks the script: pip install '.[dev]'")

SCRIPT = '''
# mypy: disallow-untyped-calls, disallow-any-generics, warn-return-any, check-untyped-defs, strict-equality
from pathlib import Path
from typing import Any, assert_type

import pandas as pd
import xarray as xr

import dicomlab as dl
from dicomlab.net.association.job import Job


def hottest(volume: xr.DataArray) -> dict[str, float]:
    return {"max": float(volume.max())}


def main(folder: Path, background: bool) -> pd.DataFrame:
    pacs = dl.connect("ARCHIVE@localhost:104", allow=["store"], timeout=5)
    studies = pacs.find("STUDY", StudyDate=("20240101", None), PatientName="DOE*")
    assert_type(studies, pd.DataFrame)
    assert_type(pacs.worklist(Modality="CT", limit=5), pd.DataFrame)
    series = pacs.find("SERIES", StudyInstanceUID=list(studies["StudyInstanceUID"]))
    ct = series[series["Modality"] == "CT"]
    try:
        instances = pacs.retrieve(ct.head(1), errors="report")
    except dl.errors.IncompleteRetrieve as error:
        instances = error.instances
        print(error.missing, error.peer, error.elapsed)
    assert_type(instances, pd.DataFrame)
    volume = dl.load(instances)
    assert_type(volume, xr.DataArray | Any)
    suv = volume.dicom.suv(PatientWeight=70)
    print(volume.sel(z=-35, method="nearest"), suv.dicom.affine.shape)
    for name, thing in dl.load_all(folder).items():
        print(name, thing)
    derived = dl.write(volume > 300, folder / "out", like=dl.scan(folder), SeriesDescription="bone")
    sent = pacs.store(derived)
    assert_type(sent, pd.DataFrame)
    dl.write(volume > 300, pacs, like=instances)
    job = pacs.retrieve(ct, background=True)
    assert_type(job, Job | Any)
    assert_type(dl.apply(hottest, ct, peer=pacs, results=folder / "r.jsonl"), pd.DataFrame)
    print(job.state, pacs.find("SERIES", PatientID="", background=background))
    with dl.options.set(phi=False, progress=False), dl.demo_pacs() as demo:
        demo.commit(sent, wait=5)
    viewer = dl.view(volume, masks={"bone": volume > 300})
    print(viewer, dl.pick(series).selected, dl.browse(pacs), dl.worklist(pacs))
    other = dl.connect(dl.Node("A", "h", 104), tls=dl.TLS(ca="x.pem"), user=dl.UserIdentity("anne"))
    with other.log_to(folder / "log.jsonl", reason="protocol 12"):
        other.echo()
    return pacs.store(derived)
'''

@pytest.mark.timeout(400)  # without the cache of `make test` mypy reads all that pandas has
def test_the_calls_of_a_users_script_have_types(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stdout + done.stderr
