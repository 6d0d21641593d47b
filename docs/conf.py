"""The documentation: `make docs`, warnings are errors. DICOMLAB_DOCS_NOTEBOOKS=off leaves the notebooks unrun."""

import inspect
import os
import re
import shutil
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

FIELD = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from docutils import nodes  # noqa: E402
from myst_nb.sphinx_ import NbMetadataCollector  # noqa: E402

import dicomlab  # noqa: E402

project = "dicomlab"
author = "the dicomlab developers"
copyright = "the dicomlab developers; MIT license"
version = release = dicomlab.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
]
exclude_patterns = ["_build"]

# Pages of this folder itself are listed under "In depth": others write them, such as `make benchmarks`.
pages = sorted({path.stem for path in HERE.glob("*.md")} - {"index"})


def list_pages(app, docname, source):
    if docname == "guide/depth":
        source[0] = source[0].replace("\nPAGES\n", "\n" + "".join(f"/{name}\n" for name in pages))


def describe_fields(app, what, name, obj, options, lines):
    """The fields of a dataclass have the comments beside them; numbers of requirements are not for users."""
    lines[:] = [re.sub(r" \((R\d+\.\w+(, )?)+\)", "", line) for line in lines]
    if not is_dataclass(obj) or not isinstance(obj, type) or "Attributes" in lines:
        return
    told = dict(FIELD.findall(inspect.getsource(obj)))
    found = [line for one in fields(obj) if one.name in told for line in (one.name, f"    {told[one.name]}")]
    if found:
        at = lines.index("Examples") if "Examples" in lines else len(lines)
        lines[at:at] = ["", "Attributes", "----------", *found, ""]


def drop_widget_state(app, pagename, templatename, context, doctree):
    """A page has no kernel: the state of its widgets, megabytes of their scripts in JSON, would be of no use in it."""
    NbMetadataCollector.get_js_files(app.env, pagename).pop("ipywidgets_state", None)


def end_of_bars(app, doctree, docname):
    """A bar that moved is many lines on a page: its last one stays."""
    for block in doctree.findall(nodes.literal_block):
        lines = block.astext().splitlines()
        bars = [line for line in lines if "%|" in line]
        if len(bars) > 1:
            text = "\n".join(line for line in lines if line not in bars[:-1])
            block.replace_self(nodes.literal_block(text, text, language="none", classes=block["classes"]))


def setup(app):
    app.connect("source-read", list_pages)
    app.connect("autodoc-process-docstring", describe_fields, priority=400)  # before numpydoc, which is at 500
    app.connect("doctree-resolved", end_of_bars)
    app.connect("html-page-context", drop_widget_state, priority=400)  # before myst_nb, which is at 500


# The stories are the notebooks themselves, run while the pages are built; a cell that fails is an error.
stories = HERE / "stories"
shutil.rmtree(stories, ignore_errors=True)
stories.mkdir()
for notebook in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
    shutil.copy(notebook, stories)

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = os.environ.get("DICOMLAB_DOCS_NOTEBOOKS", "force")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
# A page has no kernel: widgets show the still picture or text that stands in their place.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

nb_ipywidgets_js = {}  # and so a page asks no other host for scripts

smartquotes = False  # "STUDY" is to be copied as it stands
default_role = "py:obj"
autosummary_generate = False
autodoc_typehints = "none"  # the docstrings say what each is
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"dicomlab {release}"
html_static_path = ["_static"]
html_css_files = ["dicomlab.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_depth": 3,
}
