"""The bar of a job, driven and read without a browser (R15.4, R15.7, R15.11)."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from support import ROOT, until

from dicomlab import errors
from dicomlab.demo import Holdings, Manners, demo_pacs
from dicomlab.net.association.job import Job
from dicomlab.widgets.jobview import JobView

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


def ended() -> bool:
    return not [item.name for item in threading.enumerate() if item.name.startswith("dicomlab job")]


def test_the_bar_moves_and_its_button_stops_the_job() -> None:  # R15.4
    with demo_pacs(Holdings.t31(), manners=Manners(pause=0.1)) as pacs:
        job = pacs.retrieve(pacs.find("STUDY", PatientName=""), background=True)
        view = JobView(job)
        until(lambda: 0 < view.bar.value < 31 and view.bar.max == 31)
        assert "of 31 instances" in view.text.value and not view.button.disabled
        view.button.click()
        until(ended)
        assert job.state == "stopped" and view.button.disabled and view.bar.bar_style == "warning"
        assert 0 < view.bar.value == len(job.partial) < 31 and "missing" in view.text.value


def test_a_job_that_is_done_is_shown_so() -> None:
    view = JobView(Job("a job", lambda job: [1, 2]).start())
    until(ended)
    assert view.bar.value == view.bar.max and view.bar.bar_style == "success" and view.button.disabled
    again = JobView(view.job)  # shown anew, without a thread
    assert again.text.value == view.text.value and ended()


def test_an_error_stands_in_the_widget_as_text_and_nowhere_else(capfd: pytest.CaptureFixture[str]) -> None:
    hold = threading.Event()

    def fail(job: Job) -> None:
        hold.wait(5)
        raise errors.StatusError("<img src=x onerror=alert(1)>", advice="Ask.")

    view = JobView(Job("<b>a job</b>", fail).start())  # R15.9, R15.11
    hold.set()
    until(ended)
    assert "&lt;img src=x" in view.text.value and "<img" not in view.text.value and "Ask." in view.text.value
    assert "<b>a job" not in view.children[0].value and view.bar.bar_style == "danger"
    assert capfd.readouterr().err == ""


def test_closing_the_widget_ends_its_work() -> None:  # R15.11
    with demo_pacs(Holdings.t31(), manners=Manners(pause=0.1)) as pacs:
        job = pacs.retrieve(pacs.find("STUDY", PatientName=""), background=True)
        view = JobView(job)
        until(lambda: job.progress.done)
        view.close()
        until(ended)
        assert job.state == "stopped"


def test_a_retrieve_in_the_background_loads_no_widget_library() -> None:  # DESIGN 3
    code = """
import sys
import dicomlab as dl
with dl.demo_pacs() as pacs:
    job = pacs.retrieve(pacs.find("SERIES", Modality="PT"), background=True)
    repr(job), job._repr_html_(), job._repr_mimebundle_()
    job.result()
print("ipywidgets" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "False\n"
