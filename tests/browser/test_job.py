"""A retrieval in the background, in JupyterLab: its bar moves, Stop stops it, and the kernel has what came (R15.4)."""

from __future__ import annotations

from typing import Any

from support import free_port

from dicomlab.demo import Holdings, Manners, demo_pacs

BAR = ".widget-progress .progress-bar, .widget-hprogress .progress-bar"


def test_a_retrieval_is_watched_and_stopped_and_its_part_is_read_in_the_kernel(open_notebook: Any) -> None:
    with demo_pacs(Holdings.t31(), manners=Manners(pause=0.25)) as slow:
        notebook = open_notebook(
            f"import dicomlab as dl\npacs = dl.connect({slow.node.identity!r})",
            'rows = pacs.find("STUDY", PatientName="")\njob = pacs.retrieve(rows, background=True)\njob',
            "meanwhile = len(rows)",  # runs while the job does
        )
        page = notebook.page
        said = page.get_by_role("status").filter(has_text="instances")
        said.wait_for(timeout=20_000)
        assert notebook.value("[meanwhile, job.done]") == [6, False]
        notebook.until("job.progress.done >= 4", True)
        page.get_by_text("left").first.wait_for()  # rate and time left
        text = said.inner_text()
        assert "of 31 instances" in text and "instances/s" in text and "B/s" in text
        wide = page.locator(BAR).first.bounding_box()
        assert wide is not None and wide["width"] > 0
        page.get_by_role("button", name="Stop").click()
        notebook.until("job.state", "stopped")
        page.get_by_text("stopped after").wait_for()
        assert page.get_by_role("button", name="Stop").is_disabled()
        here, missing, known = notebook.value(
            "[len(job.partial), len(job.partial.attrs['missing']), job.partial.SOPInstanceUID.nunique()]"
        )
        assert 4 <= here == known < 31 and here + missing == 31
        assert f"{here} of 31 instances are here" in page.get_by_role("status").first.inner_text()
        assert not notebook.value("[t.name for t in __import__('threading').enumerate() if 'dicomlab' in t.name]")

        # an error is shown once, in words, and not as a traceback of a thread
        notebook.add(f"gone = dl.connect('GONE@127.0.0.1:{free_port()}').retrieve('1.2.3', background=True)\ngone")
        page.get_by_text("nothing listens at").first.wait_for()
        notebook.until("gone.state", "failed")
        assert page.get_by_text("nothing listens at").count() == 1
        assert page.get_by_text("Traceback").count() == 0 and page.get_by_text("Exception in thread").count() == 0

        # one that no cell shows is printed, once
        notebook.add(f"dl.connect('LOST@127.0.0.1:{free_port()}').retrieve('1.2.3', background=True);")
        page.get_by_text("Job retrieve from LOST@").wait_for()
        assert page.get_by_text("Job retrieve from LOST@").count() == 1
        assert page.get_by_text("Traceback").count() == 0
        assert not notebook.refused and not notebook.errors
