"""What the static pictures are drawn on: a figure without pyplot, the colours, what it is not for."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

BACK, INK, FAINT = "#101418", "#e8eef2", "#93a4b1"
FOOTER = "research use, not for diagnosis"


class Picture(Figure):
    """A figure made without pyplot that a notebook shows all the same."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", facecolor=self.get_facecolor())
        return buffer.getvalue()
