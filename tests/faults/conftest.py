"""The scripted faulty server, where it is beside the project."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from support import shared


@pytest.fixture(scope="session")
def faulty_scp() -> ModuleType:
    folder = Path(shared("faults"))
    sys.path.insert(0, str(folder))
    try:
        import faulty_scp
    finally:
        sys.path.remove(str(folder))
    return faulty_scp
