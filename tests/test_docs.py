"""The documentation builds without a warning, its code runs, and all that can be reached is in its reference."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support import ROOT

import dicomlab

DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not {"_build", "stories"} & set(page.parts)]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
IMAGE = re.compile(r"<img [^>]*src=\"([^\"]+)\"")
LINK = re.compile(r"<a [^>]*href=\"([^\"]+)\"")

#: Public for the package itself, and not for who uses it.
INSIDE = {
    "Cache": "answer arrival entries in_use instances known note_answer open receive sync",
    "DemoServer": "keep",
    "Facts": "facts summary",
    "Film": "of",
    "Form": "content hear tell",
    "Holdings": "among group groups sop_classes",
    "Hooks": "of_call",
    "Job": "start stopped stops watched",
    "MediaCreation": "keep place",
    "Meter": "advance begin close wait",
    "Node": "facts require",
    "Picker": "close_pictures",
    "PrintSession": "require tidy",
    "Quirks": "codec",
    "TLS": "client server",
    "UserIdentity": "item secret",
    "Viewer": "scene set_state",
}
#: Given back by something public, and not described: a peer or job by another name, text, pictures of other libraries.
UNTOLD = {"Asked", "Code", "Image", "Picture", "Work"}


def classes() -> dict[str, Any]:
    """The classes that a page of the reference describes, by the path that it gives."""
    text = "".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "reference").glob("*.md")))
    found = {}
    for path in re.findall(r"^\.\. autoclass:: ([\w.]+)", text, re.MULTILINE):
        module, _, name = path.rpartition(".")
        found[path] = getattr(importlib.import_module(module), name)
    return found


def members(kind: Any) -> set[str]:
    """Public methods and properties that this package gives a class."""
    ours = [one for one in kind.__mro__ if one.__module__.startswith("dicomlab")]
    told = (inspect.isroutine, inspect.isdatadescriptor, lambda value: isinstance(value, classmethod | staticmethod))
    return {
        name
        for one in ours
        for name, value in vars(one).items()
        if name[0] != "_" and any(test(value) for test in told) and "traitlets" not in type(value).__module__
    }


def inside(kind: Any) -> set[str]:
    return {name for one in kind.__mro__ for name in INSIDE.get(one.__name__, "").split()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, without the notebooks being run, which test_notebooks.py does; `make docs` runs them."""
    for library in ("sphinx", "pydata_sphinx_theme", "myst_nb", "numpydoc"):
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed (pip install 'dicomlab[docs]')")
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(made)]
    environment = {**os.environ, "DICOMLAB_DOCS_NOTEBOOKS": "off"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.timeout(300)
def test_the_pages_build_and_a_warning_is_an_error(site: Path) -> None:
    for page in PAGES:
        assert (site / page.relative_to(DOCS)).with_suffix(".html").exists(), page


@pytest.mark.timeout(300)
def test_every_public_name_is_in_the_reference(site: Path) -> None:
    made = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    ids = set(re.findall(r'id="(dicomlab[^"]*)"', made))
    absent = [name for name in dicomlab.__all__ if f"dicomlab.{name}" not in ids]
    assert absent == ["errors", "options"]  # which stand there by their classes
    for name, value in vars(dicomlab.errors).items():
        if isinstance(value, type) and value.__module__ == "dicomlab.errors":
            assert f"dicomlab.errors.{name}" in ids
    for path, kind in classes().items():
        assert inside(kind) <= members(kind), f"{path} has no {inside(kind) - members(kind)}"
        above = [one for one, other in classes().items() if other in kind.__mro__]
        lacking = [name for name in members(kind) - inside(kind) if not {f"{one}.{name}" for one in above} & ids]
        assert not lacking, f"{path}: {sorted(lacking)}"


def test_what_a_public_call_gives_back_is_in_the_reference() -> None:
    told = {kind.__name__ for kind in classes().values()}
    paths = [path for path in sorted((ROOT / "dicomlab").rglob("*.py")) if path.parent.name != "demo"]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    ours = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    for kind in classes().values():
        for name in members(kind) - inside(kind):
            value = inspect.getattr_static(kind, name)
            call = getattr(value, "fget", None) or getattr(value, "__func__", value)
            given = str(getattr(call, "__annotations__", {}).get("return", ""))
            unknown = set(re.findall(r"\w+", given)) & ours - told - UNTOLD
            assert not unknown, f"{kind.__name__}.{name} gives {unknown}"


@pytest.mark.timeout(300)
def test_no_link_or_picture_of_the_pages_leads_nowhere(site: Path) -> None:
    known: dict[Path, set[str]] = {}

    def anchors(page: Path) -> set[str]:
        if page not in known:
            known[page] = set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8")))
        return known[page]

    wrong = []
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        for where in LINK.findall(text) + IMAGE.findall(text):
            path, _, anchor = where.partition("#")
            if re.match(r"(https?|mailto|data):", where):
                continue
            other = (page.parent / path.partition("?")[0]).resolve() if path else page
            there = other.exists() and (not anchor or other.suffix != ".html" or anchor in anchors(other))
            if not there:
                wrong.append(f"{page.relative_to(site)}: {where}")
    assert not wrong


@pytest.mark.timeout(300)
def test_a_story_with_widgets_is_a_page_without_their_state(tmp_path: Path) -> None:
    """Text of a script within it ended the page: it was empty in a browser."""
    for library in ("sphinx", "pydata_sphinx_theme", "myst_nb", "numpydoc", "nbformat", "ipykernel"):
        pytest.importorskip(library, reason=f"{library} is not installed (pip install 'dicomlab[dev]')")
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    docs, notebooks = tmp_path / "docs", tmp_path / "notebooks"
    shutil.copytree(DOCS / "_static", docs / "_static")
    shutil.copy(DOCS / "conf.py", docs)
    (docs / "index.md").write_text("# Stories\n\n```{toctree}\n:glob:\nstories/*\n```\n")
    notebooks.mkdir()
    cells = [new_markdown_cell("# Widgets"), new_code_cell("import ipywidgets\nipywidgets.HTML('<!--<script>seen')")]
    nbformat.write(new_notebook(cells=cells), notebooks / "widgets.ipynb")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(docs), str(tmp_path / "site")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DICOMLAB_DOCS_NOTEBOOKS": "force"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/stories/widgets.html").read_text(encoding="utf-8")
    assert "ipywidgets" in page and "widget-state" not in page and "<!--<script>" not in page


def test_a_module_that_a_page_names_is_there() -> None:
    for page in PAGES:
        for name in re.findall(r"\w[\w/]*\.py\b", page.read_text(encoding="utf-8")):
            places = (ROOT, ROOT / "dicomlab", ROOT / "tests", ROOT / "tests/peers")
            assert any((place / name).exists() for place in places), f"{page.name}: {name}"


def test_every_extra_for_users_is_named_where_one_starts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    start = (DOCS / "guide/start.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", start.split("| extra |")[1].split("## ")[0])) | {"lab"}
    assert set(project["optional-dependencies"]) - named == {"bench", "dev", "docs", "fuzz", "view3d"}


WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_code_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    code = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    for word, library, extra in (("segments=", "highdicom", "derived"), ("chunks=", "dask", "dask")):
        if word in code:
            pytest.importorskip(library, reason=f"the extra {extra} is not installed")
    folders = {name: str(tmp_path / name) for name in ("HOME", "DICOMLAB_CACHE", "DICOMLAB_STATE", "DICOMLAB_INDEX")}
    environment = {**os.environ, **folders, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error::UserWarning:__main__", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr


def test_the_comparison_has_the_figures_of_the_table_of_faults() -> None:
    faults = (DOCS / "faults.md").read_text(encoding="utf-8")
    figures = re.search(r"survived of (\d+)\*\* \| \*\*(\d+)\*\* \| \*\*(\d+)\*\* \| \*\*(\d+)", faults)
    assert figures is not None
    page = " ".join((DOCS / "guide/comparison.md").read_text(encoding="utf-8").split())
    all_of_them, ours, pynetdicom, dcmtk = figures.groups()
    assert f"Of {all_of_them} scripted faults" in page and f"dicomlab survives {ours}" in page
    assert f"DCMTK's tools {dcmtk}" in page and f"it is commonly used {pynetdicom}" in page
