"""HTML has one door, and nothing that a peer or a file says is more than text in a page or a terminal: S1, R15.9."""

from __future__ import annotations

import ast
import dataclasses
import pickle
import re
import warnings
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from payloads import PAYLOADS, check_page, check_text, plant
from pydicom.data import get_testdata_file
from support import ROOT

import dicomlab as dl
from dicomlab.errors import BadFile, DicomlabError, ResultWarning
from dicomlab.facts import Facts
from dicomlab.markup import Html, joined, page_text, pictured, rows, shown, tag
from dicomlab.net.association.job import Job
from dicomlab.net.association.negotiated import Negotiated
from dicomlab.net.association.negotiation import Accepted, Context, Proposal
from dicomlab.status import Status
from dicomlab.widgets.figure import FOOTER
from dicomlab.widgets.pages import page

MODULES = sorted((ROOT / "dicomlab").rglob("*.py"))
each_payload = pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
_ELEMENT = re.compile(
    r"</?(a|b|body|br|button|code|details|div|em|form|h[1-6]|head|html|i|iframe|img|input|label|li|link|ol|p|pre|"
    r"progress|script|span|strong|style|sub|summary|sup|svg|table|tbody|td|th|thead|tr|ul)(?=[\s>/])", re.IGNORECASE,
)  # fmt: skip


def texts_of(tree: ast.AST) -> list[tuple[int, str]]:
    """The strings of a module that are no docstrings, and their lines."""
    doc = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in doc]
    return [(node.lineno, node.value) for node in nodes if isinstance(node.value, str)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_but_the_door_writes_html(path: Path):
    if path.name == "markup.py":
        assert any(_ELEMENT.search(text) for _, text in texts_of(ast.parse("x = '<td>'")))  # it would be seen
        return
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert not [line for line, text in texts_of(tree) if _ELEMENT.search(text)]
    assert not re.search(r"^\s*(from html |import html)", source, re.MULTILINE), "escape is the door's"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "HTML" and node.args:
            first = node.args[0]
            made = isinstance(first, ast.Call) and ast.unparse(first.func).split(".")[-1] in _DOOR
            assert made or (isinstance(first, ast.Constant) and first.value == ""), f"line {node.lineno}"
        if isinstance(node, ast.FunctionDef) and node.name == "_repr_html_":
            assert node.returns is not None and ast.unparse(node.returns) in ("Html", "Html | None"), node.lineno
        assert not (isinstance(node, ast.Call) and ast.unparse(node.func) == "Html")


_DOOR = {"tag", "rows", "joined", "page_text"}


def test_no_script_of_ours_makes_markup_of_text():
    for path in (ROOT / "dicomlab").rglob("*.js"):
        said = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", said), (
            path
        )


def test_only_the_door_makes_html():
    with pytest.raises(TypeError, match="markup"):
        Html("<b>")
    made = tag("b", "x")
    assert type(pickle.loads(pickle.dumps(made))) is str and page_text(made) is made
    assert page_text(pickle.loads(pickle.dumps(made))) == "&lt;b&gt;x&lt;/b&gt;"
    assert type(made + "<img>") is str  # joined by hand it is text again
    for name, attributes in (("script", {}), ("td", {"onclick": "x"}), ("td", {"style": "background:url(x)"})):
        with pytest.raises(ValueError):
            tag(name, **attributes)
    with pytest.raises(ValueError):
        tag("td", style='x" onload="')


@each_payload
def test_a_payload_is_text_inside_an_element_and_an_attribute(payload):
    html = joined(tag("td", payload, title=payload), rows([(payload, payload)], payload), [payload, [payload]])
    check_page(html)
    bare = re.sub(r'<span class="tex2jax_ignore mathjax_ignore">[$\\]</span>|title="[^"]*"', "", html)
    assert not re.search(r"\$|\\[(\[]|\\[a-z]+\{", bare)  # no formula begins
    check_text(shown(payload))
    check_text(pictured(payload))


@pytest.fixture(scope="module")
def samples():
    names = ("CT_small.dcm", "rtstruct.dcm", "reportsi.dcm", "waveform_ecg.dcm", "rtplan.dcm", "rtdose.dcm")
    return {name: get_testdata_file(name) for name in names}


@pytest.mark.filterwarnings("ignore::UserWarning")
@each_payload
def test_a_payload_in_a_file_is_text_wherever_it_is_shown(payload, samples, tmp_path):
    odd = re.sub(r"[/\x00]", "_", payload)[:100]
    folder = tmp_path / odd
    folder.mkdir()
    for name, sample in samples.items():
        dataset = plant(pydicom.dcmread(sample, force=True), payload)
        dataset.save_as(folder / f"{odd[:80]}{name}", enforce_file_format=False)
    table = dl.scan(folder)
    assert len(table) == len(samples)
    show(table.drop(columns="path"))  # a path is a name of the user's own disk, and must stay one
    check_page(table._repr_html_())
    found = dl.load_all(table)
    assert len(found) == len(samples), found.report.to_string()
    check_text(repr(found))
    show(found.report, found.stacks)
    for name in found:
        check_text(repr(name))
        thing = found[name]
        if isinstance(thing, Facts):
            check_page(thing._repr_html_())
            check_text(repr(thing))
            show(*[part for part in vars(thing).values() if isinstance(part, pd.DataFrame)])
            if hasattr(thing, "text"):
                check_text(thing.text)
        else:
            check_page(thing.drop_vars("path", errors="ignore")._repr_html_())
            check_text(repr(thing.drop_vars("path", errors="ignore")))
    viewer = dl.view(dl.load(table[table.Modality == "CT"]))
    check_text(repr(viewer))
    figure = viewer.figure()
    for text in figure.texts:
        check_text(text.get_text())
        assert text.get_text() == FOOTER or not text.get_parse_math()
    figure._repr_png_()  # drawn, and no formula in it failed


def show(*tables: pd.DataFrame) -> None:
    for table in tables:
        check_page(table._repr_html_())
        check_text(table.to_string())
        cells = page(table, list(table.columns))
        check_page(" ".join(text for column in cells.values() for text in column))


@each_payload
def test_a_payload_of_a_peer_is_text_in_what_we_say_of_it(payload):
    status = Status(0xC001, payload, service="C-FIND")
    accepted = Accepted({}, {}, 0, payload, payload, {}, {}, {})
    facts = Negotiated(payload, payload, payload, Proposal((Context("1.2", ("1.2",)),)), accepted)
    check_page(facts._repr_html_())
    check_text(str(status))
    for error in (DicomlabError(payload, peer="A@h:1", advice=payload), BadFile(payload, payload)):
        check_text(str(error))
        check_text(str(error.args))
    check_text(str(ResultWarning(payload)))
    job = Job(payload, lambda job: None)
    job.error = ValueError(payload)
    check_page(job._repr_html_())
    assert dataclasses.is_dataclass(status)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_payloads_in_the_answers_of_an_archive_are_text(samples):
    from dicomlab.demo import Holdings

    datasets = []
    for number, payload in enumerate(PAYLOADS):
        dataset = plant(pydicom.dcmread(samples["CT_small.dcm"]), payload[:200])
        dataset.SOPInstanceUID = dataset.StudyInstanceUID = dataset.SeriesInstanceUID = f"1.2.3.{number}"
        datasets.append(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with dl.demo_pacs(Holdings.of(datasets)) as pacs:
            found = pacs.find("SERIES", PatientName="", StudyDescription="", SeriesDescription="")
            assert len(found) == len(PAYLOADS)
            show(found)
            show(pacs.retrieve(found))
            check_page(pacs.negotiated._repr_html_())
