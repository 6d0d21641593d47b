"""Choose the node to ask, test it, and name another (R15.1)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import ipywidgets
import pandas as pd

from ..errors import InvalidRequest
from .form import words_of
from .peers import Asked
from .unsaved import Said


class NodePicker(ipywidgets.VBox):
    """The nodes of nodes.toml and the one that is asked now, with what the last test of each said (R2.2).

    Attributes
    ----------
    peer
        That is chosen.
    results
        What the last test of each node said, by the name shown.
    """

    def __init__(self, peer: Asked) -> None:
        self.peer = peer
        self.results: dict[str, str] = {}
        self._listing = False
        self._first, self._callbacks = peer, []  # type: Asked, list[Callable[[Asked], None]]
        self.choice = ipywidgets.Dropdown(description="Node", layout={"width": "30em"})
        self.test_button = ipywidgets.Button(description="Test", tooltip="Ask the node whether it answers")
        self.add_button = ipywidgets.Button(description="Add ...", tooltip="Name another node")
        self.said = Said()
        self.name = ipywidgets.Text(placeholder="name", layout={"width": "10em"})
        self.address = ipywidgets.Text(placeholder="AET@host:port", layout={"width": "20em"})
        self.save_button = ipywidgets.Button(description="Save")
        self._new = ipywidgets.HBox([self.name, self.address, self.save_button], layout={"display": "none"})
        super().__init__([ipywidgets.HBox([self.choice, self.test_button, self.add_button]), self._new, self.said])
        self._list(self.title)
        self.choice.observe(lambda _: self.choose(self.choice.value), "value")
        self.test_button.on_click(lambda _: self.test())
        self.add_button.on_click(lambda _: self._toggle())
        self.save_button.on_click(lambda _: self._add())

    @property
    def title(self) -> str:
        """The chosen node as it is listed."""
        return self._title(self.peer)

    @staticmethod
    def _title(peer: Asked) -> str:
        return str(peer.node.name or peer.node.identity)

    def on_change(self, function: Callable[[Asked], None]) -> None:
        """Call a function with the peer when another node is chosen."""
        self._callbacks.append(function)

    def choose(self, name: str) -> None:
        """Ask another node from now on; one that cannot be used is said, and the one before stays."""
        if name == self.title or self._listing:
            return
        try:
            self.peer = self.at(name)
        except InvalidRequest as error:
            self.said.say(words_of(error))
            self.choice.value = self.title
            return
        self.choice.value = self.title
        self.said.say(self.results.get(self.title, ""))
        for function in self._callbacks:
            function(self.peer)

    def at(self, name: str) -> Asked:
        """The peer at a node that is listed.

        Raises
        ------
        InvalidRequest
            There is no such node.
        """
        return self._first if name == self._title(self._first) else self._first.at(name)

    def test(self) -> threading.Thread:
        """Look what works with the chosen node; the kernel stays free, and the thread is given back."""
        peer, title = self.peer, self.title
        self.said.say(f"{title}: asking ...")
        thread = threading.Thread(target=self._look, args=(peer, title), name="dicomlab node test", daemon=True)
        thread.start()
        return thread

    def _look(self, peer: Asked, title: str) -> None:
        try:
            said = _result(peer.diagnose(progress=False))
        except Exception as error:
            said = words_of(error)
        self.results[title] = f"{title} ({time.strftime('%H:%M:%S')}): {said}"
        if title == self.title:
            self.said.say(self.results[title])

    def add(self, name: str, address: str) -> None:
        """Name a node, keep it in nodes.toml, and choose it.

        Raises
        ------
        InvalidRequest
            It is no name or no address, or the name is taken.
        """
        book = self._first.nodes()
        if name in list(book):
            raise InvalidRequest(f"there is a node {name!r} already", advice="Give another name.")
        book.add(name, self._first.at(address).node)
        book.save()
        self._list(self.title)
        self.choose(name)

    def _add(self) -> None:
        try:
            self.add(self.name.value.strip(), self.address.value.strip())
        except Exception as error:
            self.said.say(words_of(error))
            return
        self.name.value = self.address.value = ""
        self._toggle()

    def _toggle(self) -> None:
        hidden = self._new.layout.display == "none"
        self._new.layout.display = "" if hidden else "none"

    def _list(self, chosen: str) -> None:
        try:
            named = list(self._first.nodes())
        except InvalidRequest as error:  # nodes.toml cannot be read
            named = []
            self.said.say(words_of(error))
        self._listing = True  # new options choose the first of them for a moment
        self.choice.options = list(dict.fromkeys([self._title(self._first), *named]))
        self.choice.value = chosen
        self._listing = False


def _result(table: pd.DataFrame) -> str:
    """What a diagnosis comes to; what is in the way, with what to do, where one cannot query and retrieve."""
    echo = table.seconds[(table.check == "C-ECHO") & (table.result == "ok")]
    answers = f"answers in {1000 * echo.iloc[0]:.0f} ms, " if len(echo) else ""
    failed = table[table.result == "failed"]
    if not table.attrs["ok"]:
        lines = [f"{row.check}: {row.means}. {row.do}" for row in failed.itertuples()]
        return "\n".join([f"{answers}one cannot query and retrieve.", *lines])
    rest = f" It does not offer: {'; '.join(failed.check)}." if len(failed) else ""
    return f"{answers}one may query and retrieve.{rest}"
