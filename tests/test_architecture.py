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
#: The rooms, from the ground up. A room imports from itself and from the floors below, not from its neighbours;
#: "words" are the modules beside __init__, and the rooms of the ground floor, which are words too, know each other.
FLOORS = (
    {"words", "datasets", "queries"},
    {"tables", "pixels", "disk"},
    {"scanning", "geometry"},
    {"cache", "outgoing", "stacks"},
    {"readers", "writers"},
    {"volumes", "steps"},
    {"writing", "rendering"},
    {"privacy", "net", "widgets"},
    {"cohort", "demo"},
)
ROOMS = {name: floor for floor, names in enumerate(FLOORS) for name in names}
#: The rooms within net/, in the same way; what stands beside its __init__ is a peer, and what it can be asked.
NET_FLOORS = (
    {"association"},
    {"query", "retrieve", "procedure", "printing"},
    {"store", "patients"},
    {"media", "diagnosis"},
    {"peer"},
)
NET_ROOMS = {name: floor for floor, names in enumerate(NET_FLOORS) for name in names}
ONLY_IN = {
    "pynetdicom": {"net", "demo"},
    **{library: {"widgets"} for library in ("matplotlib", "ipywidgets", "anywidget", "itables")},
}
# The embedded PACS is a test peer: what it shares with the client cannot be tested with it.
FOR_DEMO = {"words", "net", "demo"}


def room(module: str) -> str:
    """The room of a module: the folder it lies in, or "words" beside __init__."""
    first = module.split(".")[1]
    return first if first in ROOMS else "words"


def may_import(room: str) -> set[str]:
    """The rooms that one may import from."""
    below = {name for name, floor in ROOMS.items() if floor < ROOMS[room]}
    return FOR_DEMO if room == "demo" else {room} | below | (FLOORS[0] if room in FLOORS[0] else set())


def net_room(module: str) -> str:
    """The room of a module of net/: the folder it lies in, or "peer" beside its __init__."""
    second = module.split(".")[2]
    return second if second in NET_ROOMS and len(module.split(".")) > 3 else "peer"


def imports(module: str, typing: bool = True) -> set[str]:
    """Full names of all modules a module imports, inside functions and, unless told otherwise, for typing too."""
    path, found = MODULES[module], set()
    parts = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not typing:
        guards = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
        tree.body = [node for node in tree.body if node not in guards]
    for node in ast.walk(tree):
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
            assert room(name) in may_import(room(module)), f"{module} imports {name}"
        else:
            library = name.split(".")[0]
            assert room(module) in ONLY_IN.get(library, {room(module)}), f"{module} imports {library}"


@pytest.mark.parametrize("module", [name for name in INSIDE if name.startswith("dicomlab.net.")])
def test_services_know_the_association_and_not_each_other_in_circles(module):
    here = net_room(module)
    for name in imports(module, typing=False):
        if name.startswith("dicomlab.net."):
            there = net_room(name)
            assert there == here or NET_ROOMS[there] < NET_ROOMS[here], f"{module} imports {name}"


def test_every_folder_is_a_room_that_says_what_it_is_for():
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    assert {folder.name for folder in folders if folder.parent == PACKAGE} | {"words"} == set(ROOMS)
    assert {folder.name for folder in folders if folder.parent == PACKAGE / "net"} | {"peer"} == set(NET_ROOMS)
    for folder in folders:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), folder.name


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
