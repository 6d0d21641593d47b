"""The notebooks of the way back run in JupyterLab as they stand, and what they show can be used."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from support import ROOT


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["03_folder_to_derived_series", "04_store_and_commit"])
def test_a_notebook_runs_in_the_browser_and_its_viewer_scrolls(open_notebook: Any, name: str) -> None:
    stored = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)
    cells = [cell.source for cell in stored.cells if cell.cell_type == "code"]
    at = next(number for number, cell in enumerate(cells) if "dl.view(" in cell)
    cells[at] = cells[at].replace("dl.view(", "looked = dl.view(") + "\nlooked"
    notebook = open_notebook(*cells, height=1400)  # no cell fails, or that is an error
    pane = notebook.cell(at).locator(".dlv-pane:visible").first
    pane.scroll_into_view_if_needed()
    pane.wait_for(timeout=20_000)
    before = notebook.value("looked.index")
    pane.focus()
    notebook.page.keyboard.press("ArrowUp")
    notebook.until("looked.index != " + str(before), True)
    assert not notebook.refused and not notebook.errors
