"""What a visitor of Binder meets: the steps of repo2docker, and JupyterLab as it opens. See binder/README.md.

repo2docker copies the repository into the home of a user who is not root, installs binder/requirements.txt there, runs
binder/postBuild, and JupyterLab is started below ``/user/NAME/`` with a token. So do these tests, without a container.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import Notebook, Server
from support import ROOT

FIRST = "notebooks/01_query_retrieve_view.ipynb"
BASE = ("jupyterlab==4.4.9", "notebook==7.4.7", "ipywidgets==8.1.7", "ipykernel==7.0.1")  # of repo2docker 2026.4.0
REACH = ("SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class Binder(Server):
    """JupyterLab in a home that is the repository, with the environment of these tests."""

    programs = Path(sys.executable).parent
    more: dict[str, str] = {"PYTHONPATH": str(ROOT)}

    def arrange(self) -> None:
        """The repository as its home, and the steps that come after pip's."""
        ignored = shutil.ignore_patterns("__pycache__", "_build", "stories")
        for name in ("binder", "notebooks", "docs"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        shutil.copy(ROOT / "README.md", self.root)
        self.step("./binder/postBuild", seconds=60)

    def environment(self) -> dict[str, str]:
        """Nothing of whoever runs the tests but what `more` names."""
        path = os.pathsep.join([str(self.programs), "/usr/local/bin", "/usr/bin", "/bin"])
        home = str(self.root)
        return {"HOME": home, "REPO_DIR": home, "USER": "jovyan", "PATH": path, "LANG": "C.UTF-8", **self.more}

    def step(self, *command: str, seconds: float) -> None:
        """Run a step of the build in the repository's root.

        Raises
        ------
        AssertionError
            It fails, with what it said.
        """
        how = {"cwd": self.root, "env": self.environment(), **self.account}
        done = subprocess.run(command, timeout=seconds, capture_output=True, text=True, **how)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def command(self) -> list[str]:
        """As BinderHub has it started, and ``expose_app`` for `Notebook`."""
        return [
            str(self.programs / "jupyter-lab"), "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0",
            "--no-browser", "--ServerApp.base_url=/user/visitor/", "--IdentityProvider.token=visitor",
            "--LabApp.expose_app_in_browser=True", *(["--allow-root"] if self.account == {} else []),
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/user/visitor"


class Built(Binder):
    """The same in an environment of its own, from a clean clone, as somebody who is not root."""

    account = {"user": 1000, "group": 1000, "extra_groups": []} if os.geteuid() == 0 else {}
    more = {name: value for name, value in os.environ.items() if name in REACH or name.startswith("PIP_")}

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "environment/bin"
        super().__init__(folder)

    def arrange(self) -> None:
        """All steps of the build, in repo2docker's order."""
        python = self._python((ROOT / "binder/runtime.txt").read_text().strip().replace("-", ""))
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.root)], check=True, timeout=60)
        if self.account:
            for path in (self.folder, self.root, *self.root.rglob("*")):
                os.chown(path, self.account["user"], self.account["group"])
        pip = str(self.programs / "pip")
        self.step(python, "-m", "venv", str(self.programs.parent), seconds=120)
        self.step(pip, "install", "--no-cache-dir", *BASE, seconds=900)  # conda's part
        self.step(pip, "install", "--no-cache-dir", "-r", "binder/requirements.txt", seconds=1800)
        self.step("./binder/postBuild", seconds=120)

    def _python(self, name: str) -> str:
        """An interpreter of that name that its account may use."""
        for place in ("/usr/bin", "/usr/local/bin", *os.environ["PATH"].split(os.pathsep)):
            try:
                tried = subprocess.run(
                    [f"{place}/{name}", "-c", "import ensurepip, venv"], timeout=20, capture_output=True, **self.account
                )
            except OSError:
                continue
            if tried.returncode == 0:
                return f"{place}/{name}"
        pytest.skip(f"no {name} that makes a virtual environment")


@pytest.fixture
def visited(chromium: Any) -> Iterator[Any]:
    """``visited(server)``: what opens without any path in the address, as a `Notebook`."""
    context = chromium.new_context(viewport={"width": 1300, "height": 1000})
    yield lambda server: Notebook(context.new_page(), server, server.root / FIRST, f"{server.url}/?token=visitor")
    context.close()


def is_arranged(page: Any) -> None:
    """The first notebook is in front of the README, the six are at the left, and nothing covers them."""
    tabs = page.locator("#jp-main-dock-panel .lm-TabBar-tab")
    assert tabs.all_inner_texts() == ["README.md", "01_query_retrieve_view.ipynb"]
    assert "lm-mod-current" in str(tabs.nth(1).get_attribute("class"))
    notebooks = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    files = page.locator(".jp-DirListing-item:visible")
    files.nth(len(notebooks) - 1).wait_for(timeout=30_000)  # they are listed after the tabs
    assert [text.split("\n")[0] for text in files.all_inner_texts()] == notebooks
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0


@pytest.mark.timeout(300)
def test_binder_opens_the_first_notebook_and_its_cells_run(visited: Any, tmp_path: Path) -> None:
    server = Binder(tmp_path / "binder")
    try:
        notebook = visited(server)
        is_arranged(notebook.page)
        notebook.cell(0).click()
        for _ in range(4):  # two texts and two cells of code: the demo PACS starts, and answers an echo
            notebook.page.keyboard.press("Shift+Enter")
        notebook.page.locator(".jp-OutputArea-output", has_text=" ms'").wait_for(timeout=30_000)
        notebook.page.get_by_role("tab", name="README.md").click()
        notebook.page.get_by_role("heading", name="Two commands").wait_for(timeout=10_000)
        assert not notebook.refused and not notebook.errors
    finally:
        server.stop()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_what_repo2docker_does_ends_in_a_jupyterlab_where_each_notebook_runs(visited: Any) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git clone")
    folder = Path(tempfile.mkdtemp())  # pytest's own can be entered by nobody else
    server = None
    try:
        server = Built(folder)
        notebook = visited(server)
        is_arranged(notebook.page)
        page = notebook.page
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            page.locator(".jp-DirListing-item", has_text=path.name).dblclick()
            page.wait_for_function(
                "path => window.jupyterapp.shell.currentWidget?.context?.path === path", arg=f"notebooks/{path.name}"
            )
            notebook.wait_idle()
            notebook.run_all()
        assert not notebook.refused and not notebook.errors
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)
