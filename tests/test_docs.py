"""The documentation builds without a warning, its code runs, and the messages it explains are ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*(set((DOCS / "howto").glob("*.md")) - {DOCS / "howto/index.md"}), DOCS / "guide/safety.md"])


@pytest.mark.timeout(300)
def test_the_pages_build_and_a_warning_is_an_error(tmp_path: Path) -> None:
    """Without running the notebooks, which test_notebooks.py does; `make docs` runs them."""
    for library in ("sphinx", "pydata_sphinx_theme", "myst_nb", "numpydoc"):
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed (pip install 'dicomlab[docs]')")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    environment = {**os.environ, "DICOMLAB_DOCS_NOTEBOOKS": "off"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    made = "".join(page.read_text(encoding="utf-8") for page in (tmp_path / "reference").glob("*.html"))
    import dicomlab

    absent = [name for name in dicomlab.__all__ if f'id="dicomlab.{name}"' not in made]
    assert absent == ["errors", "options"]  # which stand there by their module and class
    assert 'id="dicomlab.errors.IncompleteRetrieve"' in made and 'id="dicomlab.Peer.retrieve"' in made


@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    code = "".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    assert code
    if "segments=" in code:
        pytest.importorskip("highdicom", reason="the extra derived is not installed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "DICOMLAB_CACHE": str(tmp_path / "c")}
    command = [sys.executable, "-W", "error::UserWarning:__main__", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr


def test_a_message_that_is_explained_is_one_of_ours() -> None:
    text = (DOCS / "guide/troubleshooting.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    parts = [part for row in rows for part in re.findall(r"`([^`]+)`", row)]
    assert len(parts) > 25
    source = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "dicomlab").rglob("*.py")))
    source = " ".join(re.sub(r'"\s*\n\s*f?"', "", source).split())  # messages written over two lines
    assert [part for part in parts if part not in source] == []
