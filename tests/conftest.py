"""Every test has a cache and settings of its own, so that none reads or fills those of whoever runs it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import certificates
import pytest
import running
from hypothesis import Phase, settings

# Without the phase that explains a failure: it traces lines, and the smallest example that fails says enough.
settings.register_profile("dicomlab", phases=[phase for phase in Phase if phase is not Phase.explain])
settings.load_profile("dicomlab")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("dicomlab")
    monkeypatch.setenv("DICOMLAB_CACHE", str(home / "cache"))
    monkeypatch.setenv("DICOMLAB_INDEX", str(home / "index"))
    monkeypatch.setenv("DICOMLAB_STATE", str(home / "state"))
    monkeypatch.setenv("DICOMLAB_CONFIG", str(home / "nodes.toml"))
    return home


@pytest.fixture(autouse=True)
def no_widget_left() -> Iterator[None]:
    """ipywidgets keeps every widget, and a viewer its volume, till it is closed."""
    yield
    if "ipywidgets" in sys.modules:
        sys.modules["ipywidgets"].Widget.close_all()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The full form of a long run is asked for: `make soak`."""
    if "soak" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_configure(config: pytest.Config) -> None:
    """Whoever reads along sees a failure when it happens, and a test that does not end while it does not."""
    config.pluginmanager.register(running.Limit(config), "limit")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(running.Running(config), "running")


@pytest.fixture(autouse=True)
def no_table_of_before() -> None:
    """The tables of other tests are none that were made before this one hides names."""
    if "dicomlab.phi" in sys.modules:
        sys.modules["dicomlab.phi"]._open.clear()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificates:
    """Certificates for TLS, of two CAs."""
    return certificates.made(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is no notebook, whatever a test before has imported."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
