"""Widgets in JupyterLab and a real browser: Debian's Chromium, driven by Playwright's Python package."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from lab import FLAGS, Notebook, Server, Voila
from support import require_peer

from dicomlab import demo_pacs

_NUMBERS = itertools.count(1)


def _needed(server: str = "jupyterlab") -> str:
    """Path of Chromium; the test is skipped where it, Playwright or the server is absent."""
    path = require_peer("chromium")
    for library in ("playwright", server):
        if find_spec(library) is None:
            reason = f"{library} is not installed (pip install 'dicomlab[dev]')"
            if os.environ.get("DICOMLAB_REQUIRE_PEERS") == "1":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One JupyterLab for all tests of this folder."""
    _needed()
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def voila(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voila]:
    """A Voila, ``voila.write(name, cells)`` and ``{voila.url}/voila/render/{name}``."""
    _needed("voila")
    server = Voila(tmp_path_factory.mktemp("voila"))
    yield server
    server.stop()


@pytest.fixture(scope="module")  # no longer: Playwright's event loop would be in the way of other tests
def chromium() -> Iterator[Any]:
    """Debian's Chromium."""
    path = _needed()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), headless=True)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_notebook(lab: Server, chromium: Any) -> Iterator[Callable[..., Notebook]]:
    """``open_notebook(*cells, run=True, dark=False)``: a notebook of those cells, open and run."""
    contexts = []

    def opened(
        *cells: str, run: bool = True, dark: bool = False, width: int = 1300, height: int = 1000, **choices: Any
    ) -> Notebook:
        path = lab.write(f"test{next(_NUMBERS)}.ipynb", cells)
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **choices))
        notebook = Notebook(contexts[-1].new_page(), lab, path)
        if dark:
            notebook.dark()
        if run:
            notebook.run_all()
        return notebook

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def pacs() -> Iterator[Any]:
    """A demo PACS that a kernel reaches too: ``dl.connect({pacs_address!r}, ...)``; see `pacs_line`."""
    with demo_pacs() as peer:
        yield peer


@pytest.fixture
def pacs_line(pacs: Any) -> str:
    """The line of a notebook that connects to it, all services allowed: ``pacs = dl.connect(...)``."""
    node = pacs.node
    allowed = ("store", "commit", "perform", "print", "create_media", "update_patient")
    address = f"{node.ae_title}@{node.host}:{node.port}"
    return f"import dicomlab as dl\npacs = dl.connect({address!r}, allow={allowed!r})"
