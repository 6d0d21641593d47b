"""Lines of Python that a widget gives for what was done in it."""

from __future__ import annotations


class Code(str):
    """Lines of Python that a notebook shows as they are."""

    def __repr__(self) -> str:
        return str(self)
