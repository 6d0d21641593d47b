"""A page made of a notebook by Voila: who opens it asks, chooses, retrieves and looks, and sees no code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.demo.holdings import of_dataset

NAME = "<i>Planted</i>^Name"
MARKUP = "<img src=x onerror=document.title='broken'>"
CELLS = (
    "import dicomlab as dl, ipywidgets\npacs = dl.connect({address!r})\nbrowser = dl.browse(pacs)\nbrowser",
    "told = ipywidgets.Label('nothing chosen')\n"  # the page has no console: the kernel's selection is told in it
    "browser.series.on_select(lambda rows: setattr(told, 'value', f'{{len(rows)}} chosen: '\n"
    "                         + ', '.join(browser.selected.SeriesDescription if len(rows) else [])))\n"
    "told",
)
LOOK = """() => {  // what is on the canvas: its sum, how much of it is white, and the slice that is said
    const viewer = document.querySelector(".dlv").dicomlab, {canvas, root} = viewer.active;
    viewer.draw();
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0, white = 0;
    for (let at = 0; at < data.length; at += 4) {
        sum = (sum * 31 + data[at]) % 1000003;
        white += data[at] > 250;
    }
    return {sum, white: white / data.length * 4, says: root.getAttribute("aria-label")};
}"""


@pytest.fixture(scope="module")
def planted() -> Iterator[str]:
    """Address of the demo PACS, where one more patient's name is markup."""
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.1.1.1"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.PatientID = "1.2.3.1", "1.2.3.1.1", "PLANTED"
    one.PatientName, one.StudyDescription, one.StudyDate, one.Modality = NAME, MARKUP, "20200101", "US"
    with dl.demo_pacs() as pacs:
        pacs._owner.server.holdings.add(of_dataset(one))
        yield pacs.node.identity


@pytest.mark.timeout(300)  # a quarter of it on a machine that is free
def test_a_page_of_voila_asks_chooses_retrieves_and_looks(voila: Any, chromium: Any, planted: str) -> None:
    voila.write("page.ipynb", [cell.format(address=planted) for cell in CELLS])
    page = chromium.new_page(viewport={"width": 1300, "height": 2300})
    refused: list[str] = []
    errors: list[str] = []
    page.route(
        lambda url: url.startswith("http") and not url.startswith(voila.url),
        lambda route: (refused.append(route.request.url), route.abort()),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{voila.url}/voila/render/page.ipynb")
    query = page.get_by_role("button", name="Query", exact=True)
    query.wait_for(timeout=60_000)
    assert page.get_by_text("nothing chosen", exact=True).is_visible() and "dl.connect" not in page.content()

    def rows(level: str) -> Any:
        box = page.locator(".widget-vbox", has=page.get_by_text(level, exact=True)).last
        return box.locator("table.dataTable tbody tr")

    name = page.get_by_label("Patient's Name")  # markup of the archive is text
    name.fill("<i>*")
    query.click()
    page.get_by_text("1 study of 1 patient.").wait_for()
    rows("Studies").get_by_text(MARKUP, exact=True).first.wait_for()
    rows("Patients").get_by_text(NAME, exact=True).wait_for()
    assert not page.locator("img[src=x], tbody i").count() and page.title() != "broken"

    name.fill("DOE^J*")
    name.press("Enter")
    page.get_by_text("2 studies of 1 patient.").wait_for()
    rows("Studies").nth(1).click()
    rows("Series").first.click()
    page.get_by_text("1 chosen: thorax 3 mm", exact=True).wait_for()  # as the kernel has it
    assert "selected" in (rows("Series").first.get_attribute("class") or "")
    page.get_by_role("button", name="Retrieve", exact=True).click()
    page.get_by_text("48 instances are here.").wait_for(timeout=20_000)
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_text("1 of 1 loaded can be looked at.").wait_for(timeout=20_000)
    page.wait_for_function("() => document.querySelector('.dlv')?.dicomlab?.voxels?.progress === 1", timeout=30_000)

    pane = page.locator(".dlv-pane:visible").first
    pane.scroll_into_view_if_needed()
    pane.hover()
    first = page.evaluate(LOOK)
    page.mouse.wheel(0, 120)
    page.wait_for_function(
        "said => document.querySelector('.dlv').dicomlab.active.root.getAttribute('aria-label') !== said",
        arg=first["says"],
    )
    second = page.evaluate(LOOK)
    assert second["sum"] != first["sum"]
    window = page.locator(".dlv").get_by_label("Window", exact=True)
    window.select_option(index=[text.split()[-1] for text in window.locator("option").all_inner_texts()].index("lung"))
    lung = page.evaluate(LOOK)
    assert lung["sum"] != second["sum"] and lung["white"] > second["white"]  # soft tissue is white in it
    pane.focus()
    page.keyboard.press("1")
    page.mouse.wheel(0, -120)
    page.wait_for_function(
        "said => document.querySelector('.dlv').dicomlab.active.root.getAttribute('aria-label') === said",
        arg=first["says"],
    )
    assert page.evaluate(LOOK) == first
    page.close()
    assert not errors
    assert not [url for url in refused if "font" not in url.lower()]  # Voila's own template asks for an icon font
