"""The fixture itself: a notebook runs in a real browser, and the kernel says what it has."""

from __future__ import annotations


def test_a_button_reaches_the_kernel_and_nothing_reaches_another_host(open_notebook, pacs_line):
    notebook = open_notebook(
        f"{pacs_line}\nfound = pacs.find('PATIENT', PatientName='')",
        "import ipywidgets\nseen = []\nbutton = ipywidgets.Button(description='Query')\n"
        "button.on_click(lambda _: seen.append(1))\nbutton",
    )
    assert notebook.value("len(found)") == 6
    with notebook.messages() as sent:
        notebook.page.get_by_role("button", name="Query").click()
        notebook.until("len(seen)", 1)
    assert "comm_msg" in sent
    number = notebook.add("import time; time.sleep(0.2); done = True")
    notebook.wait(number)
    assert notebook.run("print(done)") == "True\n"
    assert not notebook.refused and not notebook.errors
