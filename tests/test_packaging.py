"""What is handed out: wheel and sdist hold what they should, and what is installed from them works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from support import ROOT

import dicomlab

pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install '.[dev]'")


def built(source: Path, to: Path, *what: str) -> Path:
    """What hatchling makes of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(to), *what]
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True, timeout=100)
    (made,) = to.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that the sdist unpacks to."""
    made = built(ROOT, tmp_path_factory.mktemp("sdist"), "-t", "sdist")
    where = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(made) as archive:
        archive.extractall(where, filter="data")
    (tree,) = where.iterdir()
    return tree


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"), "-t", "wheel")


def held(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    files = {name for name in held(wheel) if ".dist-info/" not in name}
    ours = (path for path in (ROOT / "dicomlab").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert files == {path.relative_to(ROOT).as_posix() for path in ours}
    assert {"dicomlab/py.typed", "dicomlab/widgets/js/viewer.js"} <= files


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_source(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    assert held(built(sdist, tmp_path, "-t", "wheel")) == held(wheel)
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci/run", "notebooks", "tests/conftest.py"):
        assert (sdist / name).exists(), name
    assert not list(sdist.rglob("*.pyc")) and not (sdist / ".venv").exists()


def test_the_version_is_in_one_place(wheel: Path) -> None:
    metadata = held(wheel)[f"{wheel.name.rsplit('-', 3)[0]}.dist-info/METADATA"].decode()
    said = re.search(r"^Version: (.+)$", metadata, re.M)
    assert said is not None and said[1] == dicomlab.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project and "version" in project["dynamic"]
    elsewhere = re.escape(dicomlab.__version__)
    for path in (ROOT / "README.md", ROOT / "Makefile", ROOT / "docs/conf.py", *(ROOT / "dicomlab").rglob("*.py")):
        if path != ROOT / "dicomlab" / "__init__.py":
            assert not re.search(elsewhere, path.read_text(encoding="utf-8")), path


def test_the_changelog_begins_with_the_release_that_this_version_leads_to() -> None:
    release = re.match(r"\d+\.\d+\.\d+", dicomlab.__version__)
    assert release is not None
    first = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert first is not None and first[1] == release[0]


def test_what_is_installed_does_the_main_job(wheel: Path, tmp_path: Path) -> None:
    where = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(where)
    job = (
        "import dicomlab as dl; print(dl.__file__, dl.__version__);"
        "pacs = dl.demo_pacs(); series = pacs.find('SERIES', Modality='CT');"
        "print(dl.load(pacs.retrieve(series.head(1))).dims); pacs.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", job],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(where)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{where / 'dicomlab' / '__init__.py'} {dicomlab.__version__}",
        "('z', 'y', 'x')",
    ]
