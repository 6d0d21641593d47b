"""What the pages of docs/ show runs as it stands, block after block."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page.name for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))])
def test_the_python_of_a_page_runs_as_it_stands(page: str, tmp_path: Path) -> None:
    code = "\n".join(BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")))
    folders = {name: str(tmp_path / name) for name in ("HOME", "DICOMLAB_CACHE", "DICOMLAB_STATE", "DICOMLAB_INDEX")}
    environment = {**os.environ, **folders, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error::UserWarning:__main__", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr


def test_the_pages_link_to_what_is_there() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
