"""What a run of the tests says before it ends: each failure, and each test that takes long."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

LONG = 180  # seconds; the time limit of most tests is 120
EVERY = 120  # seconds from one word of the time to the next
MORE = 45  # seconds that a test has beyond its time limit


class Limit:
    """A test that its time limit does not end, as it waits for a thread, say, ends its process, with all stacks.

    The time limit raises an exception, once, and what the test then does on its way out may wait for ever. Where there
    are workers, the others go on, and a new one takes the rest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.usual = float(config.getoption("timeout") or config.getini("timeout") or 0)
        self.errors = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)  # what is captured is lost with it

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        mark = item.get_closest_marker("timeout")
        limit = float(mark.args[0]) if mark and mark.args else self.usual
        if limit:
            faulthandler.dump_traceback_later(limit + MORE, file=self.errors, exit=True)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()


class Running:
    """A plugin of the process that reports, which hears of the tests of every worker."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.since: dict[str, float] = {}
        self.ended = threading.Event()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        if config.getvalue("dist") != "loadfile":
            return None
        from scheduling import Files

        return Files(config, log)

    def pytest_sessionstart(self) -> None:
        threading.Thread(target=self._watch, name="running", daemon=True).start()

    def pytest_sessionfinish(self) -> None:
        self.ended.set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.since[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.since.pop(nodeid, None)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "???":  # xdist's, of a worker that died: it has ended, and nobody says so
            self.since.pop(report.nodeid, None)
        if report.failed:
            last = report.longreprtext.strip().splitlines()[-1:]
            self._say(f"{report.nodeid} failed in {report.when}: {''.join(last)[:300]}")

    def _watch(self) -> None:
        start = time.monotonic()
        while not self.ended.wait(EVERY):
            now = time.monotonic()
            self._say(f"{(now - start) / 60:.0f} minutes")
            for nodeid, began in list(self.since.items()):
                if now - began > LONG:
                    self._say(f"{nodeid} has been running for {now - began:.0f} s")

    def _say(self, text: str) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(text)
