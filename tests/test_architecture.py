"""Who imports whom: the drawing of the design, held by the syntax trees of the package."""

from __future__ import annotations

import ast
import importlib
import inspect
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

PACKAGE = ROOT / "dicomlab"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"  # `python -m` uses the package as a notebook does; nothing imports it
}
FILES = {"arrival", "assemble", "cache", "cachefolder", "dicomdir", "draft", "folder", "geometry", "index", "volume"}
FILES |= {"indexplace"}
FILES |= {"codecs", "instances", "encapsulated", "exports", "extensions", "glance", "montage"}
FILES |= {"decoding", "frames", "pixels", "places", "planes", "readers", "readtable", "report", "scanning", "series"}
FILES |= {"paths", "repeats", "stacks"}
FILES |= {"compression", "contours", "outgoing", "sendable", "upkeep", "regular", "resample", "transcoding"}
FILES |= {"arranging", "functionalgroups", "imageheader", "lookup", "positions", "realworld", "sides"}
FILES |= {"filming", "filmlayout", "rendered", "rendering"}
FILES |= {"copying", "headerpack", "inventory", "lazyframes", "scanmemory", "setaside", "unpacking"}
FILES |= {"suv", "suvdecay", "suvenhanced", "suvfacts"}
FILES |= {"fileset", "mediaset", "modification", "originals", "placing", "writers", "writing"}
FILES |= {"deidentification", "pseudonymisation", "pseudonymmap", "remains"}
FILES |= {"performedseries", "stepattributes", "stepvalues"}
MAY_IMPORT = {  # room: the rooms it may import
    "words": {"words"},
    "files": {"words", "files"},
    "net": {"words", "files", "net"},
    "widgets": {"words", "files", "widgets"},
    "demo": {"words", "net", "demo"},
    "cohort": {"words", "files", "net", "cohort"},
}
ONLY_IN = {
    "pynetdicom": {"net", "demo"},
    **{library: {"widgets"} for library in ("matplotlib", "ipywidgets", "anywidget", "itables")},
}
# The embedded PACS is a test peer: what it shares with the client cannot be tested with it.
NOT_FOR_DEMO = {"identifier", "matching", "elements", "tables"}


def room(module: str) -> str:
    """The room of a module; one that is new beside __init__ is of the words, which may import least."""
    first = module.split(".")[1]
    if first in MAY_IMPORT:
        return first
    return "files" if first in FILES else "words"


def imports(module: str) -> set[str]:
    """Full names of all modules a module imports, inside functions and for typing too."""
    path, found = MODULES[module], set()
    parts = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found.update({name if name in MODULES else base for name in names})
    return found


INSIDE = sorted(set(MODULES) - {"dicomlab"})


@pytest.mark.parametrize("module", INSIDE)
def test_imports_go_one_way(module):
    for name in imports(module):
        assert name != "dicomlab", f"{module} imports the root package"
        if name.startswith("dicomlab."):
            assert room(name) in MAY_IMPORT[room(module)], f"{module} imports {name}"
            if room(module) == "demo":
                assert name.split(".")[1] not in NOT_FOR_DEMO, f"{module} shares {name} with the client"
        else:
            library = name.split(".")[0]
            assert room(module) in ONLY_IN.get(library, {room(module)}), f"{module} imports {library}"


def test_the_public_names_are_complete_sorted_and_importable():
    package = importlib.import_module("dicomlab")
    assert list(package.__all__) == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    tree = ast.parse(MODULES["dicomlab"].read_text(encoding="utf-8"))
    brought = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    names = {alias.asname or alias.name for node in brought for alias in node.names}
    assert {name for name in names if not name.startswith("_")} == set(package.__all__)


def test_no_module_bears_a_public_functions_name():
    package = importlib.import_module("dicomlab")
    functions = {name for name in package.__all__ if inspect.isroutine(getattr(package, name))}
    assert not functions & {Path(path).stem for path in MODULES.values()}


def test_importing_the_package_is_quick_and_loads_no_drawing_library():
    code = (
        "import time, pandas, xarray, sys; start = time.process_time(); import dicomlab; "
        "print(time.process_time() - start, *{'ipywidgets', 'matplotlib', 'dask'} & set(sys.modules))"
    )
    seconds = []
    for _ in range(7):
        took, *loaded = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
        assert not loaded
        seconds.append(float(took))
    assert statistics.median(seconds) <= 0.15, f"{seconds} CPU seconds above import pandas, xarray"
