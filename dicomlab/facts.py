"""What an object shows of itself in a notebook: a few facts, as text and as HTML in which nothing is markup."""

from __future__ import annotations

from collections.abc import Iterable

from .markup import Html, rows, shown


class Facts:
    """Text and HTML of an object, from its ``facts()``."""

    def facts(self) -> Iterable[tuple[str, str]]:
        """Name and text of what is worth showing; the first is in the one-line summary."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """One line: the type, and the first fact."""
        first = next(iter(self.facts()), ("", ""))[1]
        return f"{type(self).__name__}: {shown(first)}" if first else type(self).__name__

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        lines += [f"  {name:<14} {shown(text)}" for name, text in self.facts() if text]
        return "\n".join(lines)

    def _repr_html_(self) -> Html:
        return rows(((name, shown(text)) for name, text in self.facts() if text), type(self).__name__)
