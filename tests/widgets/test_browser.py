"""Browsing a peer, driven from Python: each choice narrows the next, jobs run beside, nothing stays in a notebook."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
import slices
from support import until

import dicomlab as dl
from dicomlab.demo import Holdings
from dicomlab.errors import InvalidRequest
from dicomlab.widgets.patients import patients_of, studies_of


@pytest.fixture(scope="module")
def pacs():
    with dl.demo_pacs() as peer:
        yield peer


@pytest.fixture
def browser(pacs):
    made = dl.browse(pacs)
    yield made
    made.close()


def ask(browser, **keys):
    browser.form.clear()
    browser.form.set(**keys)
    browser.form.submit()
    until(lambda: " patient" in browser.form._status)


def shown(browser) -> set[str]:
    return {name for name, box in browser._levels.items() if box.layout.display != "none"}


def test_a_question_is_narrowed_from_patient_to_series_retrieved_and_looked_at(browser, pacs):  # R15.3, R15.4, R15.7
    assert shown(browser) == set() and browser.retrieve_button.disabled
    ask(browser, StudyDate="19900101-")
    assert shown(browser) == {"Patients", "Studies"} and len(browser.patients.table) == 6
    browser.patients.choose(browser.patients.table.PatientID == "98890234")
    assert set(browser.studies.table.PatientID) == {"98890234"} and len(browser.selected) == 4
    browser.studies.choose(browser.studies.table.StudyDate == "2001-01-01")
    until(lambda: len(browser.series.table))
    assert set(browser.series.table.StudyInstanceUID) == set(browser.selected.StudyInstanceUID)
    browser.series.choose(browser.series.table.SeriesDescription == "Scout")
    assert browser.said.text == "1 series chosen, 2 instances as the archive says, 0 of them here."
    expected = pacs.find("SERIES", SeriesInstanceUID=browser.selected.SeriesInstanceUID.tolist(), PatientID="98890234")
    assert browser.selected.SeriesInstanceUID.tolist() == expected.SeriesInstanceUID.tolist()

    names = {"pacs": pacs}
    exec(browser.code(), names)
    browser.retrieve_button.click()
    until(lambda: browser.instances is not None)
    assert set(browser.instances.SOPInstanceUID) == set(names["instances"].SOPInstanceUID)
    until(lambda: "instances are here" in browser.said.text)
    assert browser.series.selected.here.tolist() == [2]
    browser.view_button.click()
    until(lambda: "loaded can be looked at" in browser.said.text and browser.looking.children)
    assert list(browser.looking.volumes) == ["CT 4 Scout", "CT 4 Scout (2)"]
    choice, viewer = browser.looking.children
    choice.choose([1])
    assert browser.looking.children[1] is not viewer and viewer.comm is None  # what is not shown any more is closed


def test_another_choice_asks_for_what_is_not_known_and_keeps_a_retrieval_that_runs(browser):
    ask(browser, PatientID="98890234")
    retrieval = browser._watch("retrieval", browser.peer.retrieve(browser._studies.tail(1), background=True), print)
    browser.studies.choose([0])
    until(lambda: len(browser.series.table))
    first = browser.series.table.StudyInstanceUID.unique().tolist()
    browser.studies.choose([0, 1])
    until(lambda: browser.series.table.StudyInstanceUID.nunique() == 2)
    browser.studies.choose([1])
    assert browser.series.table.StudyInstanceUID.nunique() == 1  # known already
    assert browser.series.table.StudyInstanceUID[0] not in first
    assert retrieval.wait(30) and retrieval.state == "done"


def test_nothing_asked_and_nothing_chosen_are_said_in_words(browser):  # R15.11
    browser.form.submit()
    assert browser.form._status.startswith("nothing was requested")
    for press in (browser.retrieve, browser.view):
        with pytest.raises(InvalidRequest, match="nothing"):
            press()
    browser.retrieve_button.click()
    assert browser.said.text.startswith("nothing is selected")
    ask(browser, PatientName="NOBODY*")
    assert "0 studies of 0 patients." in browser.form._status and shown(browser) == set()


def test_a_list_that_was_cut_and_a_key_that_was_ignored_are_said(own_folders):  # R15.3
    with dl.options.set(find_limit=3), dl.demo_pacs() as pacs:
        browser = dl.browse(pacs)
        ask(browser, StudyDate="19900101-")
        assert "3 studies" in browser.form._status and "limit= gives more" in browser.form._status
        browser.close()


def test_no_patient_is_in_the_state_of_any_widget(browser):  # R15.10
    ask(browser, PatientName="DOE^JANE")
    browser.patients.choose([0])
    browser.studies.choose([0, 1])
    until(lambda: len(browser.series.table))
    browser.series.choose([0])
    browser.retrieve().wait(60)
    until(lambda: browser.instances is not None)
    said, waiting = "", [browser]
    while waiting:
        widget = waiting.pop()
        said += json.dumps(widget.get_state(), default=lambda value: "") + repr(widget if widget is browser else "")
        waiting += getattr(widget, "children", ())
    for secret in ("DOE^JANE", "DEMO-001", "A24-0001", "thorax", browser.selected.SeriesInstanceUID[0]):
        assert secret not in said
    assert "Browser of DEMO@" in said


def test_the_studies_of_one_number_with_two_names_are_two_patients():
    studies = pd.DataFrame(
        {
            "PatientID": ["1", "1", "1", "2"],
            "PatientName": ["A", "B", "A", pd.NA],
            "StudyInstanceUID": ["1.1", "1.2", "1.3", "1.4"],
        }
    ).astype("string")
    patients = patients_of(studies)
    assert patients.PatientName.fillna("").tolist() == ["A", "B", ""] and patients.studies.tolist() == [2, 1, 1]
    assert studies_of(studies, patients.iloc[[0]]).StudyInstanceUID.tolist() == ["1.1", "1.3"]
    assert studies_of(studies, patients.iloc[[2]]).StudyInstanceUID.tolist() == ["1.4"]
    assert patients_of(studies.head(0)).empty


def test_a_node_is_tested_chosen_and_added(pacs, own_folders):  # R15.1, R1.3
    with dl.demo_pacs(Holdings.of([slices.image(np.zeros((2, 2), np.int16), None, 1)])) as other:
        dl_nodes = dl.nodes()
        dl_nodes.add("other", other.node)
        dl_nodes.save()
        browser = dl.browse(pacs)
        node = browser.node
        assert list(node.choice.options) == [pacs.node.identity, "other"]
        node.test().join(30)
        assert "answers in" in node.said.text and "one may query and retrieve" in node.said.text
        assert node.results[pacs.node.identity] == node.said.text
        ask(browser, StudyDate="19900101-")

        node.choice.value = "other"
        assert browser.peer.node.port == other.node.port and shown(browser) == set() and browser._studies.empty
        assert node.said.text == ""
        ask(browser, PatientID="P1")
        assert browser.studies.table.StudyInstanceUID.tolist() == ["1.2.1"]
        node.choice.value = pacs.node.identity
        assert browser.peer is pacs and "answers in" in node.said.text  # the last result stays to be seen

        node.name.value, node.address.value = "third", "THIRD@localhost"
        node.save_button.click()
        assert "lacks the port" in node.said.text and "third" not in dl.nodes()
        node.address.value = "THIRD@localhost:1"
        node.save_button.click()
        assert node.choice.value == "third" and dl.nodes()["third"].port == 1
        node.test().join(60)
        assert node.said.text.startswith("third (") and "answers" not in node.said.text
        assert "cannot query" in node.said.text and "TCP: " in node.said.text
        with pytest.raises(InvalidRequest, match="a node 'third' already"):
            node.add("third", "THIRD@localhost:1")
        browser.close()


def test_closing_ends_what_runs():  # R15.11
    with dl.demo_pacs() as pacs:
        browser = dl.browse(pacs)
        ask(browser, StudyDate="19900101-")
        browser.studies.choose(slice(None))
        job = browser.retrieve()
        browser.close()
        assert job.wait(30) and job.state in ("stopped", "done")
        assert pacs.jobs == ()


def test_what_was_retrieved_is_sent_to_a_named_node_and_what_failed_is_sent_again(pacs, tmp_path):  # R15.6
    with dl.demo_pacs(Holdings.of([slices.image(np.zeros((2, 2), np.int16), None, 1)])) as other:
        book = dl.nodes()
        book.add("other", other.node)
        book.add("read only", dl.connect(f"DEMO@127.0.0.1:{other.node.port}").node)
        book.save()
        browser = dl.browse(pacs)
        ask(browser, PatientID="DEMO-001")
        browser.studies.choose([0, 1])
        browser.retrieve()
        until(lambda: browser.instances is not None)
        panel = browser.sending
        assert panel.layout.display == "" and panel.series.table.instances.tolist() == [32, 48]
        panel.send_button.click()
        assert panel.said.text.startswith("nothing is selected")  # an empty choice is never everything

        panel.series.choose([0])
        panel.send_button.click()
        assert panel.said.text.startswith("no node is chosen")
        panel.target.value = "read only"
        panel.send_button.click()
        assert "read-only" in panel.said.text and panel.results is None
        panel.target.value = "other"
        lost = panel.selected.path.iloc[3]
        os.rename(lost, tmp_path / "aside")
        panel.send_button.click()
        until(lambda: panel.said.text.startswith("31 of 32 instances are stored."))
        assert not panel.retry_button.disabled
        assert "comment" in panel.rows._dt_args["table_html"] and len(panel.rows.table) == 32
        os.rename(tmp_path / "aside", lost)
        panel.retry_button.click()
        until(lambda: panel.said.text.startswith("32 of 32 instances are stored."))
        assert len(other.find("SERIES", PatientID="DEMO-001", SeriesInstanceUID="")) == 1
        assert panel.retry_button.disabled
        browser.close()


def test_what_is_no_peer_is_refused():  # R0.4
    with pytest.raises(InvalidRequest, match=r"browse takes a peer, not str\. Write dl\.browse\(dl\.connect"):
        dl.browse("ARCHIVE@localhost:104")
