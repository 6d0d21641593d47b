"""From a question to a picture with the mouse alone, and a notebook that is saved names nobody."""

from __future__ import annotations

import pytest

from dicomlab.demo import demo_pacs


@pytest.fixture(scope="module")
def notebook(open_notebook, pacs_of_module):
    return open_notebook(f"{pacs_of_module}\nbrowser = dl.browse(pacs)\nbrowser", height=2300)


@pytest.fixture(scope="module")
def pacs_of_module():
    with demo_pacs() as peer:
        yield f"import dicomlab as dl\npacs = dl.connect('DEMO@127.0.0.1:{peer.node.port}')"


def rows(notebook, level):
    """The rows of the table below a heading."""
    box = notebook.page.locator(".jp-OutputArea .widget-vbox", has=notebook.page.get_by_text(level, exact=True)).last
    return box.locator("table.dataTable tbody tr")


def test_a_series_is_found_chosen_retrieved_and_seen(notebook):  # R15.1, R15.3, R15.4
    page = notebook.page
    page.locator(".jp-OutputArea").get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("one may query and retrieve").wait_for()
    page.get_by_label("Patient's Name").fill("DOE^J*")
    page.locator(".jp-OutputArea").get_by_role("button", name="Query", exact=True).click()
    page.get_by_text("2 studies of 1 patient.").wait_for()
    rows(notebook, "Studies").nth(1).click()
    rows(notebook, "Series").first.click()
    page.get_by_text("1 series chosen, 48 instances as the archive says, 0 of them here.").wait_for()
    notebook.until("browser.selected.SeriesDescription.tolist()", ["thorax 3 mm"])
    page.locator(".jp-OutputArea").get_by_role("button", name="Retrieve", exact=True).click()
    page.get_by_text("48 instances are here.").wait_for()
    assert notebook.value("len(browser.instances)") == 48
    page.locator(".jp-OutputArea").get_by_role("button", name="View", exact=True).click()
    page.get_by_text("1 of 1 loaded can be looked at.").wait_for()
    page.locator("canvas").first.wait_for()
    assert notebook.value("browser.looking.viewer.index >= 0 and list(browser.looking.volumes)") == ["CT 2 thorax 3 mm"]
    assert notebook.value("len(browser.selected)") == 1  # still chosen

    page.get_by_label("Patient's Name").fill("NOBODY")
    page.get_by_label("Patient's Name").press("Enter")
    page.get_by_text("0 studies of 0 patients.").wait_for()
    page.locator(".jp-OutputArea").get_by_role("button", name="Clear", exact=True).click()
    page.locator(".jp-OutputArea").get_by_role("button", name="Query", exact=True).click()
    page.get_by_text("nothing was requested").wait_for()


def test_a_saved_notebook_names_nobody(notebook):  # R15.10
    page = notebook.page
    page.get_by_label("Patient's Name").fill("DOE^J*")
    page.locator(".jp-OutputArea").get_by_role("button", name="Query", exact=True).click()
    page.get_by_text("2 studies of 1 patient.").wait_for()
    rows(notebook, "Studies").nth(1).click()
    rows(notebook, "Series").first.wait_for()
    page.evaluate("window.jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')")
    page.wait_for_timeout(500)
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    saved = notebook.path.read_text()
    assert '"application/vnd.jupyter.widget-state+json"' in saved and "Browser of DEMO@" in saved
    for secret in ("DOE^J", "DEMO-001", "A24-0001", "A23-0007", "19600229", "1960-02-29", "thorax"):
        assert secret not in saved, secret
    assert not notebook.refused and not notebook.errors
