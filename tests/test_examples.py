"""The examples of docstrings run, and say what comes out; those of a peer run on the embedded PACS."""

from __future__ import annotations

import ast
import doctest
from importlib import import_module
from pathlib import Path

import pytest
from support import ROOT


def told(path: Path) -> bool:
    """Whether a docstring of that module has an example."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return any(">>>" in (ast.get_docstring(node) or "") for node in nodes if isinstance(node, kinds))


MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "dicomlab").rglob("*.py"))
    if told(path)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("HOME", "DICOMLAB_CACHE", "DICOMLAB_INDEX", "DICOMLAB_STATE", "DICOMLAB_CONFIG"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.chdir(tmp_path)
    failed, attempted = doctest.testmod(import_module(name))
    assert attempted > 0 and failed == 0, capsys.readouterr().out
