"""Widgets whose content goes to the browser as messages: it is no state of theirs, and so in no saved notebook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anywidget

HERE = Path(__file__).parent


def in_kernel() -> bool:
    """Whether what is shown may be saved in a notebook: then no repr says what a patient's name is."""
    return "ipykernel" in sys.modules


class Unsaved(anywidget.AnyWidget):
    """Tells every browser that opens it what to show; none of it is a synchronised trait.

    Patient names, what is typed into a form and text of a peer are shown by these alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(self._heard)

    def content(self) -> dict[str, Any]:
        """What a browser that opens it is told."""
        raise NotImplementedError

    def hear(self, message: dict[str, Any]) -> None:
        """What a browser says."""

    def tell(self, **message: Any) -> None:
        """Say something to every browser that shows it."""
        self.send(message)

    @property
    def summary(self) -> str:
        """One line for where no widget can be drawn, and for a saved notebook."""
        return type(self).__name__

    def _heard(self, _: Any, message: dict[str, Any], __: Any) -> None:
        if message.get("kind") == "ready":
            self.tell(kind="content", **self.content())
        else:
            self.hear(message)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/plain"] = repr(self)
        return bundle

    def __repr__(self) -> str:
        return self.summary if in_kernel() else str(self)

    def __str__(self) -> str:
        return self.summary


class Said(Unsaved):
    """One text, shown as it is."""

    _esm = """
    export default { render({ model, el }) {
      el.style.whiteSpace = "pre-wrap";
      el.setAttribute("role", "status");
      const hear = (message) => { el.textContent = message.text; };
      model.on("msg:custom", hear);
      model.send({ kind: "ready" });
      return () => model.off("msg:custom", hear);
    } };
    """

    def __init__(self, text: str = "") -> None:
        self.text = text
        super().__init__()

    def content(self) -> dict[str, Any]:
        """The text."""
        return {"text": self.text}

    def say(self, text: str) -> None:
        """Show another text."""
        self.text = text
        self.tell(kind="content", text=text)

    def __str__(self) -> str:
        return self.text
