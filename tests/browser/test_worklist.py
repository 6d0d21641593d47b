"""The worklist with the mouse, in JupyterLab: ask, choose, stop, look at the earlier studies (R15.2, R15.9)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import nbformat
import pytest
from pydicom.dataset import Dataset
from support import ROOT

import dicomlab as dl
from dicomlab.demo.holdings import of_dataset
from dicomlab.demo.schedule import schedule

NAME = "<i>Planted</i>^Name"
TEXT = "<img src=x onerror=document.title='broken'>"


@pytest.fixture(scope="module")
def planted() -> Iterator[dl.Peer]:
    """The demo PACS with one more step, and an earlier study of its patient, both named by markup."""
    entry = schedule()[0]
    entry.PatientName, entry.PatientID, entry.StudyInstanceUID = NAME, "PLANTED", "1.2.3.99"
    entry.RequestedProcedureDescription = TEXT
    entry.ScheduledProcedureStepSequence[0].Modality = "US"
    entry.AccessionNumber = "$\\mathbf{x}$"
    prior = Dataset()
    prior.SOPClassUID, prior.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.1.1.1"
    prior.StudyInstanceUID, prior.SeriesInstanceUID = "1.2.3.1", "1.2.3.1.1"
    prior.PatientName, prior.PatientID, prior.PatientBirthDate = NAME, "PLANTED", "19600229"
    prior.StudyDate, prior.Modality, prior.StudyDescription = "20200101", "US", entry.RequestedProcedureDescription
    with dl.demo_pacs(schedule=[*schedule(), entry]) as pacs:
        pacs._owner.server.holdings.add(of_dataset(prior))
        yield pacs


def test_a_radiographer_asks_chooses_and_sees_the_earlier_studies(open_notebook: Any, planted: dl.Peer) -> None:
    notebook = open_notebook(
        f"import dicomlab as dl\npacs = dl.connect({planted.node.identity!r})", "today = dl.worklist(pacs)\ntoday"
    )
    page = notebook.page
    assert notebook.value("today.form.keywords['ScheduledProcedureStepStartDate']").isdigit()

    page.get_by_role("button", name="Query").click()  # the steps of today
    notebook.until("len(today.table)", 6)
    page.get_by_text("6 scheduled steps").wait_for()
    row = page.locator("tbody tr", has_text="DEMO-001")
    row.click()
    notebook.until("today.selected.PatientID.tolist()", ["DEMO-001"])
    page.get_by_role("button", name="Earlier studies").click()
    notebook.until("today.priors.table.StudyDate.dt.year.tolist()", [2024, 2023])
    page.locator("tbody tr", has_text="CT thorax, prior").click()
    notebook.until("today.priors.selected.StudyDate.dt.year.tolist()", [2023])
    assert notebook.value("len(pacs.retrieve(today.priors.selected))") == 32  # a row is its own address

    page.get_by_label("Patient's Name").fill("<i>*")  # markup, typed and in the answers, is text
    page.get_by_label("Patient's Name").press("Enter")
    notebook.until("today.table.PatientID.tolist()", ["PLANTED"])
    page.get_by_text(NAME, exact=True).wait_for()
    page.get_by_text(TEXT, exact=True).wait_for()
    page.locator("tbody tr", has_text="PLANTED").click()
    notebook.until("len(today.selected)", 1)
    page.get_by_role("button", name="Earlier studies").click()
    notebook.until("len(today.priors.table)", 1)
    page.locator("tbody td", has_text="mathbf").first.wait_for()
    page.locator("tbody tr", has_text="2020-01-01").wait_for()
    made = [page.locator(one).count() for one in ("mjx-container", "tbody img[src=x]", "tbody i")]
    assert made == [0, 0, 0]
    assert page.title() != "broken"

    server = planted._owner.server  # a slow one: the kernel stays free, and Stop keeps the steps that came
    server.manners = replace(server.manners, pace=0.5)
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Patient ID").fill("*")
    page.get_by_role("button", name="Query").click()
    stop = page.get_by_role("button", name="Stop")
    stop.wait_for()
    assert not notebook.value("today.wait(0)")
    stop.click()
    page.get_by_text("cancelled after").wait_for()
    assert notebook.value("0 <= len(today.table) < 9 and today.wait(0)")
    server.manners = replace(server.manners, pace=0.0)

    kept = json.dumps(notebook.value("__import__('ipywidgets').Widget.get_manager_state()"))
    assert not [text for text in ("PLANTED", "DEMO-001", "Planted", "document.title='broken'") if text in kept]
    assert not notebook.refused and not notebook.errors


@pytest.mark.timeout(300)
def test_the_notebook_of_the_worklist_runs_and_goes_on_with_the_mouse(open_notebook: Any) -> None:
    stored = nbformat.read(ROOT / "notebooks/02_worklist.ipynb", as_version=4)
    cells = [cell.source for cell in stored.cells if cell.cell_type == "code"]
    notebook = open_notebook(*cells, height=1400)  # no cell fails, or that is an error
    page = notebook.page
    chosen = "picker.priors.selected.StudyDate.dt.year.tolist()"
    assert notebook.value(chosen) == [2023]
    row = page.locator(".dicomlab-picker tbody tr", has_text="2024-02-15")  # the other of the two earlier studies
    row.click()
    notebook.until(chosen, [2024])
    last = notebook.add("newer = dl.load(pacs.retrieve(picker.priors.selected))\nlooked = dl.view(newer)\nlooked")
    notebook.wait(last, 60)
    pane = notebook.cell(last).locator(".dlv-pane:visible").first
    pane.wait_for(timeout=20_000)
    before = notebook.value("looked.index")
    pane.focus()
    page.keyboard.press("ArrowUp")
    notebook.until("looked.index != " + str(before), True)
    assert notebook.value("newer.sizes['z']") == 48
    assert not notebook.refused and not notebook.errors
