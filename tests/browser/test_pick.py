"""The picker and the form in a browser: clicks and keys become rows and keywords in the kernel, and text stays text."""

from __future__ import annotations

import json

import numpy as np
import pytest
import slices

from dicomlab.demo import Holdings, demo_pacs

MARKUP = "<img src onerror=window.ran=1>"
ROWS = ".dicomlab-picker table.dataTable tbody tr"


@pytest.fixture(scope="module")
def planted():
    """An archive of twelve series of as many patients; the name of the fourth is markup."""
    made = []
    for number in range(12):
        name = MARKUP if number == 3 else f"SECRET^{number:02d}"
        picture = np.arange(64, dtype=np.int16).reshape(8, 8) * (number + 1)
        attributes = {
            "SOPInstanceUID": f"1.2.9.{number}",
            "PatientID": f"HIDDEN{number:02d}",
            "PatientName": name,
            "StudyInstanceUID": f"1.2.7.{number}",
            "SeriesInstanceUID": f"1.2.8.{number}",
            "StudyDate": f"202401{30 - number:02d}",
            "Modality": "MR" if number % 2 else "CT",
            "SeriesDescription": f"series {number}",
        }
        made.append(slices.image(picture, (0, 0, 0), number + 1, **attributes))
    with demo_pacs(Holdings.of(made)) as peer:
        yield f"import dicomlab as dl\npacs = dl.connect('DEMO@127.0.0.1:{peer.node.port}')"


@pytest.fixture(scope="module")
def notebook(open_notebook, planted):
    return open_notebook(
        f"{planted}\nseries = pacs.find('SERIES', StudyDate='')\ninstances = pacs.retrieve(series.head(2))",
        "picker = dl.pick(series, cache=pacs.cache)\npicker",
        "other = dl.Form('PATIENT')\nother",
        "asked = []\nform = dl.Form('STUDY')\nform.on_submit(lambda form: asked.append(form.keywords))\nform",
        height=1500,
    )


def chosen(notebook, numbers):
    notebook.until("picker.selected.SeriesDescription.tolist()", [f"series {number}" for number in numbers])


def test_clicks_keys_search_and_sorting_choose_the_rows_that_were_meant(notebook):  # R15.3, R15.7
    rows, page = notebook.page.locator(ROWS), notebook.page
    notebook.run("picker.update(series.sort_values('SeriesDescription', key=lambda s: s.str[7:].astype(int)))")
    page.wait_for_function(f"() => document.querySelector('{ROWS}')?.textContent.includes('SECRET^00')")
    rows.nth(2).click()
    chosen(notebook, [2])
    rows.nth(5).click(modifiers=["Control"])
    chosen(notebook, [2, 5])
    rows.nth(8).click(modifiers=["Shift"])
    chosen(notebook, [2, 5, 6, 7, 8])
    rows.nth(6).click(modifiers=["Control"])
    chosen(notebook, [2, 5, 7, 8])
    page.get_by_role("button", name="choose none").click()
    chosen(notebook, [])

    count = page.locator(".jp-Notebook .jp-Cell").count()
    rows.nth(4).focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    for command in "a", "b", "d", "d", "x":  # would insert, delete and cut cells
        page.keyboard.press(command)
    chosen(notebook, [4, 5])
    assert page.locator(".jp-Notebook .jp-Cell").count() == count

    head = page.locator(".dicomlab-picker thead th", has_text="StudyDate").first
    head.locator(".dt-column-title").click()  # the last series is the oldest
    page.wait_for_function(f"() => document.querySelector('{ROWS}').textContent.includes('SECRET^11')")
    rows.first.click()
    chosen(notebook, [11])
    page.locator(".dicomlab-picker input[type=search]").first.fill("CT")
    page.wait_for_function(f"() => document.querySelectorAll('{ROWS}').length === 6")
    page.get_by_role("button", name="add all found").click()
    chosen(notebook, [0, 2, 4, 6, 8, 10, 11])  # what was chosen before stays so, as the line below the table says
    page.locator(".dt-info", has_text="7 rows selected").wait_for()
    notebook.run("exec(picker.code('series'))")
    assert notebook.value("set(selected.SeriesInstanceUID) == set(picker.selected.SeriesInstanceUID)")
    assert notebook.value("picker.selected.attrs['peer']").startswith("DEMO@")


def test_a_name_with_markup_is_text_and_series_that_are_here_have_a_picture(notebook):  # R15.9
    page = notebook.page
    notebook.run("picker.update(series)")
    page.locator(ROWS, has_text=MARKUP).first.wait_for()
    assert page.evaluate("[window.ran, document.querySelectorAll('img[src=\"\"]').length]") == [None, 0]
    page.locator(f"{ROWS} img").nth(1).wait_for(timeout=20_000)
    assert page.locator(f"{ROWS} img").count() == 2
    notebook.run("picker.choose([0])")  # from the kernel to the browser
    page.locator(f"{ROWS}.selected").wait_for()
    assert page.locator(f"{ROWS}.selected").count() == 1


def test_what_is_typed_into_the_form_is_asked(notebook):
    page = notebook.page
    form = page.locator(".dicomlab-form").last  # its labels are not those of the form before
    form.get_by_label("Patient's Name").fill("SECRET*")
    form.get_by_label("Study Date, from").fill("2024-01-20")
    form.get_by_label("Study Date, to").fill("2024-01-31")
    form.get_by_label("CT", exact=True).check()
    form.get_by_label("MR", exact=True).check()
    form.locator("code", has_text="ModalitiesInStudy=['CT', 'MR']").wait_for()
    form.get_by_role("button", name="Query").click()
    keywords = {"PatientName": "SECRET*", "StudyDate": "20240120-20240131", "ModalitiesInStudy": ["CT", "MR"]}
    notebook.until("asked", [keywords])
    assert notebook.value("len(pacs.find('STUDY', **asked[0]))") == 10

    form.get_by_label("Study Date, from").fill("2024-02-20")  # after the end
    form.locator(".dicomlab-problem", has_text="inverted").wait_for()
    assert form.get_by_role("button", name="Query").is_disabled()
    form.get_by_role("button", name="Clear").click()
    notebook.until("form.keywords", {})
    form.get_by_label("Patient ID").fill("HIDDEN03")
    form.get_by_label("Patient ID").press("Enter")
    notebook.until("asked[-1]", {"PatientID": "HIDDEN03"})
    notebook.run("form.say('<b>3</b> studies')")
    form.locator(".dicomlab-status", has_text="<b>3</b> studies").wait_for()


def test_a_notebook_that_is_saved_with_its_widgets_names_nobody(notebook):  # R15.10
    saved = notebook.saved_with_widgets()
    states = json.loads(saved)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert {"AnyModel"} <= {state["model_name"] for state in states.values()}
    assert "Picker of 12 series" in saved
    for secret in ("SECRET", "HIDDEN", "window.ran", "1.2.8.", "20240130", "2024-01-30"):
        assert secret not in saved, secret


def test_the_page_asked_no_other_host_and_no_script_failed(notebook):
    assert not notebook.refused and not notebook.errors
