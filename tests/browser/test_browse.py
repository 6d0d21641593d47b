"""From a question to a picture with the mouse alone, and a notebook that is saved names nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomlab.demo import demo_pacs


@pytest.fixture(scope="module")
def notebook(open_notebook, pacs_of_module):
    return open_notebook(f"{pacs_of_module}\nbrowser = dl.browse(pacs)\nbrowser", height=2300)


@pytest.fixture(scope="module")
def archive():
    with demo_pacs() as peer:
        yield peer


@pytest.fixture(scope="module")
def pacs_of_module(archive):
    yield f"import dicomlab as dl\npacs = dl.connect('DEMO@127.0.0.1:{archive.node.port}')"


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


def test_stop_ends_a_query_and_a_retrieval_and_keeps_what_came(notebook, archive):  # R15.4
    page, server = notebook.page, archive._owner.server
    usual = server.manners
    area = page.locator(".jp-OutputArea")
    stop = area.locator("button:enabled", has_text="Stop")  # that of a job that has ended is grey
    try:
        server.manners = replace(usual, pace=0.5, pause=0.25)
        area.get_by_role("button", name="Clear", exact=True).click()
        notebook.until("browser.form.keywords", {})
        page.get_by_label("Patient ID").fill("*")
        area.get_by_role("button", name="Query", exact=True).click()
        stop.click()
        page.get_by_text("cancelled after").wait_for()
        notebook.until("browser._jobs['query'].done", True)
        assert notebook.value("len(browser.studies.table) == len(browser._jobs['query'].partial) < 11")

        server.manners = replace(usual, pause=0.25)
        page.get_by_label("Patient ID").fill("DEMO-001")
        area.get_by_role("button", name="Query", exact=True).click()
        page.get_by_text("2 studies of 1 patient.").wait_for()
        rows(notebook, "Studies").filter(has_text="2023-01-10").click()  # 32 images; the others are here
        notebook.until("browser.selected.NumberOfStudyRelatedInstances.tolist()", [32])
        area.get_by_role("button", name="Retrieve", exact=True).click()
        notebook.until("browser._jobs['retrieval'].progress.done >= 2", True)
        stop.click()
        notebook.until("browser._jobs['retrieval'].state", "stopped")
        page.get_by_text("stopped after").wait_for()
        notebook.until("browser.instances is browser._jobs['retrieval'].partial", True)
        assert notebook.value("2 <= len(browser.instances) < 32")
    finally:
        server.manners = usual


def test_a_saved_notebook_names_nobody(notebook):  # R15.10
    page = notebook.page
    before = notebook.value("id(browser._jobs['query'])")
    page.get_by_label("Patient's Name").fill("DOE^J*")
    page.locator(".jp-OutputArea").get_by_role("button", name="Query", exact=True).click()
    notebook.until(f"id(browser._jobs['query']) != {before} and browser._jobs['query'].done", True)
    page.get_by_text("2 studies of 1 patient.").wait_for()
    for _ in range(10):  # the table of the question before may still be there for a moment
        rows(notebook, "Studies").nth(1).click()
        page.wait_for_timeout(500)
        if rows(notebook, "Series").first.is_visible():
            break
    rows(notebook, "Series").first.wait_for()
    saved = notebook.saved_with_widgets()
    assert '"application/vnd.jupyter.widget-state+json"' in saved and "Browser of DEMO@" in saved
    for secret in ("DOE^J", "DEMO-001", "A24-0001", "A23-0007", "19600229", "1960-02-29", "thorax"):
        assert secret not in saved, secret
    assert not notebook.refused and not notebook.errors
