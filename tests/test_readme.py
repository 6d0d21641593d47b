"""What the README shows runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support import ROOT

from dicomlab.readers.instance import Instance
from dicomlab.readers.structured import Report
from dicomlab.readers.structures import Structures
from dicomlab.readers.waveform import Waveform
from dicomlab.volume import DicomAccessor

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "DICOMLAB_CACHE": str(folder / "cache")}
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_python_runs_as_it_stands(tmp_path):
    found = blocks("python")
    assert found
    for code in found:
        assert len(code.strip().splitlines()) == 6  # the README says so
        told = "print(type(volume).__name__, volume.dims, volume.attrs['units'], len(series), len(ct))"
        shown = run(code + told, tmp_path)
        assert re.fullmatch(r"DataArray \('z', 'y', 'x'\) HU [1-9]\d* [1-9]\d*\n", shown)


def test_what_it_says_an_object_has_is_there():
    said = {
        DicomAccessor: [*re.findall(r"\.dicom\.(\w+)", README), "spacing", "orientation", "sel", "instances"],
        Structures: ["rois", "contours", "mask"],
        Report: ["measurements", "content", "text"],
        Waveform: ["annotations", "__getitem__"],
        Instance: ["dataset"],
    }
    for kind, names in said.items():
        assert {"suv", "like", "to_nifti"} <= set(names) or kind is not DicomAccessor
        for name in names:
            assert (name in README or name[0] == "_") and (hasattr(kind, name) or name in kind.__annotations__), name


def test_its_nodes_toml_is_read(tmp_path):
    (text,) = blocks("toml")
    assert list(tomllib.loads(text)) == ["archive"]
    folder = tmp_path / "configuration"
    folder.mkdir()
    (folder / "nodes.toml").write_text(text)
    code = f"import os; os.environ['DICOMLAB_CONFIG'] = {str(folder)!r}\n"
    code += "import dicomlab as dl; node = dl.connect('archive').node; print(node.ae_title, node.calling, *dl.nodes())"
    assert run(code, tmp_path).split()[:2] == ["ARCHIVE", "MYNOTEBOOK"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(make [a-z]+)", README))))
def test_a_command_it_names_is_in_the_makefile(name):
    assert re.search(rf"^{name.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links and all((ROOT / link).exists() for link in links)
    titles = [line.strip("# ").lower() for line in README.splitlines() if line.startswith("#")]
    headings = {re.sub(r"[^a-z0-9 -]", "", title).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings
