"""JupyterLab and Voila in a real browser: a server of its own, a notebook of given cells, what its kernel says."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from support import ROOT, free_port, stop, wait_for_port

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
QUIET = {"fetchNews": "false", "checkForUpdates": False}  # else a pop-up asks and covers the page
_RUN = """async ([code, expression]) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const said = [];
    const future = kernel.requestExecute({code, store_history: false, stop_on_error: false,
        user_expressions: expression ? {value: expression} : {}});
    future.onIOPub = message => {
        const {content, header} = message;
        if (header.msg_type === "stream") said.push(content.text);
        if (header.msg_type === "error") said.push(content.traceback.join("\\n"));
    };
    const reply = (await future.done).content;
    return [reply.status, said.join(""), reply.user_expressions && reply.user_expressions.value || null];
}"""
_RUN_ALL = """async () => {
    const app = window.jupyterapp, content = app.shell.currentWidget.content;
    await app.commands.execute("notebook:run-all-cells");
    const outputs = content.widgets.flatMap(cell => cell.model.outputs ? cell.model.outputs.toJSON() : []);
    return outputs.filter(each => each.output_type === "error").flatMap(each => each.traceback);
}"""
_ADD = """async source => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.length - 1;
    await window.jupyterapp.commands.execute("notebook:insert-cell-below");
    notebook.activeCell.model.sharedModel.setSource(source);
    window.jupyterapp.commands.execute("notebook:run-cell");
    return notebook.activeCellIndex;
}"""
_COUNT = """index => {
    const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
    const state = cell.model.executionState ?? "idle";  // JupyterLab 4.2 has none, and no count before the end
    return state === "idle" && cell.model.executionCount !== null;
}"""


def plain(text: str) -> str:
    """Text without the colours of a terminal."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


class Server:
    """JupyterLab on a free loopback port, with folders of its own; ended by its own process id."""

    account: dict[str, Any] = {}  # whom it runs as, for subprocess, where that is not whoever runs the tests

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.port = folder, folder / "root", free_port()
        self.arrange()
        self.log = folder / "lab.log"
        with self.log.open("wb") as log:
            how = {"cwd": self.root, "env": self.environment(), **self.account}
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT, **how)
        self._wait()

    def arrange(self) -> None:
        """What lies in its folders before it starts."""
        settings = self.folder / "settings/@jupyterlab/apputils-extension"
        for made in (self.root, settings):
            made.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))

    def environment(self) -> dict[str, str]:
        """Its variables."""
        folder = self.folder
        own = {
            "HOME": folder, "JUPYTER_CONFIG_DIR": folder / "config", "JUPYTER_DATA_DIR": folder / "data",
            "JUPYTER_RUNTIME_DIR": folder / "runtime", "IPYTHONDIR": folder / "ipython",
            "DICOMLAB_CACHE": folder / "cache", "DICOMLAB_INDEX": folder / "index",
            "DICOMLAB_CONFIG": folder / "nodes.toml",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        }  # fmt: skip
        return {**os.environ, **{name: str(value) for name, value in own.items()}}

    def command(self) -> list[str]:
        """What starts it."""
        return [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.root}",
            "--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.expose_app_in_browser=True",
            f"--LabApp.workspaces_dir={self.folder / 'workspaces'}",
            f"--LabApp.user_settings_dir={self.folder / 'settings'}",
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _wait(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/api", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"JupyterLab does not answer:\n{self.log.read_text()[-2000:]}")

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """A notebook of those cells in the folder it serves."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernel}
        )
        nbformat.write(made, self.root / name)
        return self.root / name

    def stop(self) -> None:
        """End it; its kernels end with it."""
        stop(self.process)


class Voila(Server):
    """Voila, which shows what the cells of a notebook show, and lets nobody write in them."""

    def command(self) -> list[str]:
        """What starts it."""
        return [
            sys.executable, "-m", "voila", str(self.root), "--no-browser", "--Voila.ip=127.0.0.1",
            f"--port={self.port}", "--Voila.port_retries=0", "--show_tracebacks=True",
        ]  # fmt: skip

    def _wait(self, seconds: float = 60) -> None:
        wait_for_port(self.process, self.port, seconds)


class Notebook:
    """A notebook that is open in the browser, with a kernel that runs.

    Attributes
    ----------
    page
        Playwright's page; locators and waits are its own.
    path
        The file; `address`, where one is given, shows it.
    refused
        Addresses of other hosts that the page asked for; none were answered.
    errors
        What scripts of the page threw and did not catch.
    """

    def __init__(self, page: Any, server: Server, path: Path, address: str = "") -> None:
        self.page, self.path = page, path
        self.refused: list[str] = []
        self.errors: list[str] = []
        self._sent: list[bytes] = []
        page.route(lambda url: not url.startswith(server.url) and url.startswith("http"), self._refuse)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("websocket", lambda socket: socket.on("framesent", self._frame))
        page.goto(address or f"{server.url}/lab/tree/{path.name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.wait_idle()

    def _refuse(self, route: Any) -> None:
        self.refused.append(route.request.url)
        route.abort()

    def _frame(self, payload: str | bytes) -> None:
        self._sent.append(payload.encode() if isinstance(payload, str) else payload)

    def wait_idle(self) -> None:
        """Until the kernel has nothing to do."""
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=60_000,
        )

    def run_all(self) -> None:
        """Run every cell as a hand would, and wait for the last; a cell that fails is an error here.

        Raises
        ------
        AssertionError
            A cell shows a traceback.
        """
        failed = self.page.evaluate(_RUN_ALL)
        assert not failed, plain("\n".join(failed))

    def add(self, source: str) -> int:
        """Add a cell at the end and start it, without waiting; its number, for ``wait(number)``."""
        return int(self.page.evaluate(_ADD, source))

    def wait(self, cell: int, seconds: float = 30) -> None:
        """Until that cell has run."""
        self.page.wait_for_function(_COUNT, arg=cell, timeout=seconds * 1000)

    def cell(self, number: int) -> Any:
        """The locator of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def run(self, source: str) -> str:
        """Run code in the kernel without a cell; what it prints. It waits behind a cell that runs.

        Raises
        ------
        AssertionError
            It raises an error.
        """
        status, said, _ = self.page.evaluate(_RUN, [source, ""])
        assert status == "ok", plain(said)
        return str(said)

    def value(self, expression: str) -> Any:
        """The value of an expression in the kernel, by way of JSON (a tuple comes as a list).

        Raises
        ------
        AssertionError
            It raises an error.
        """
        code = f"__import__('json').dumps({expression})"
        _, _, found = self.page.evaluate(_RUN, ["", code])
        assert found["status"] == "ok", plain("\n".join(found["traceback"]))
        return json.loads(ast.literal_eval(found["data"]["text/plain"]))

    def until(self, expression: str, wanted: Any, seconds: float = 30) -> None:
        """Until the expression has that value in the kernel.

        Raises
        ------
        AssertionError
            It has another at the end of that time.
        """
        end = time.monotonic() + seconds
        while (found := self.value(expression)) != wanted and time.monotonic() < end:
            self.page.wait_for_timeout(50)
        assert found == wanted, f"{expression} is {found!r}, not {wanted!r}"

    def saved_with_widgets(self, seconds: float = 20) -> str:
        """The text of the file, saved with the state of its widgets, which the page takes its time to put there."""
        end = time.monotonic() + seconds
        while True:
            self.page.evaluate(
                "window.jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')"
            )
            self.page.wait_for_timeout(500)
            self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
            self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
            text = self.path.read_text()
            if "widgets" in json.loads(text)["metadata"]:
                return text
            assert time.monotonic() < end, "the state of the widgets was not saved"

    @contextmanager
    def messages(self) -> Iterator[list[str]]:
        """The types of the messages that the page sends to the kernel inside the block, such as "comm_msg"."""
        self.page.wait_for_timeout(0)  # takes what is still on its way
        before, found = len(self._sent), []  # type: int, list[str]
        yield found
        self.page.wait_for_timeout(0)
        for frame in self._sent[before:]:
            kinds = re.findall(rb'"msg_type": ?"(\w+)"', frame)
            found += [kinds[0].decode()] if kinds else []

    def dark(self, on: bool = True) -> None:
        """JupyterLab's dark theme, or its light one."""
        name = "JupyterLab Dark" if on else "JupyterLab Light"
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light", arg="false" if on else "true", timeout=10_000
        )
