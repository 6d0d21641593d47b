"""Each notebook runs from its first cell to its last, and is stored without outputs."""

from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from support import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

# The kernel's own libraries warn about what is none of ours (ports, event loops)
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]


@cache
def outputs(path: Path) -> list[nbformat.NotebookNode]:
    """What the cells of a notebook show, run once from first to last; an error in a cell is raised here."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@each_notebook
def test_a_notebook_is_stored_without_outputs(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@each_notebook
def test_a_notebook_runs_to_its_end_without_a_warning(path: Path):
    said = [output.text for output in outputs(path) if output.output_type == "stream" and output.name == "stderr"]
    assert not [text for text in said if not text.startswith("\r")]  # a bar that a slow machine shows is no warning


@each_notebook
def test_a_notebook_shows_a_picture(path: Path):
    assert any("image/png" in output.get("data", {}) for output in outputs(path))
