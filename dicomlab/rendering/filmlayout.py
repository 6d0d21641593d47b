"""How a film is divided into image boxes, and how large it is: Image Display Format and Film Size ID (PS3.3 C.13)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidRequest

LARGEST = 100  # image boxes of one film
_GRID = re.compile(r"(?:STANDARD\\)?\s*(\d{1,3})\s*[,xX×]\s*(\d{1,3})")
_LINES = re.compile(r"(ROW|COL)\\(\d{1,3}(?:,\d{1,3})*)")
_SIZE = re.compile(r"(\d+(?:\.\d+|_\d)?)(IN|CM|MM)X(\d+(?:\.\d+|_\d)?)(IN|CM|MM)")
_PAPER = {"A4": (210.0, 297.0), "A3": (297.0, 420.0), "LETTER": (215.9, 279.4), "LEGAL": (215.9, 355.6)}
_MM = {"IN": 25.4, "CM": 10.0, "MM": 1.0}
#: Grids that printers usually have: the first that holds the images is taken where none is asked for.
_USUAL = ((1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4), (3, 5), (4, 4), (4, 5))
DEFAULT_SIZE = "14INX17IN"


@dataclass(frozen=True)
class Layout:
    """The image boxes of a film.

    Examples
    --------
    >>> Layout.of("3x4").display_format, len(Layout.of("3x4").boxes)
    ('STANDARD\\\\3,4', 12)
    """

    display_format: str  # ImageDisplayFormat (2010,0010): STANDARD\\columns,rows, ROW\\..., or COL\\...
    #: In the order of ImageBoxPosition: left, top, width and height, in fractions of the film.
    boxes: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def of(cls, layout: Any, images: int = 1) -> Layout:
        """A layout as it was asked for; None takes a usual one for so many images.

        Parameters
        ----------
        layout
            "3x4" for 3 columns and 4 rows, as in the standard's ``STANDARD\\3,4``; ``"ROW\\2,1"`` for rows of 2
            and of 1, ``"COL\\1,3"`` for columns; or a Layout.

        Raises
        ------
        InvalidRequest
            It is none of these.
        """
        if isinstance(layout, Layout):
            return layout
        if layout is None:
            columns, rows = next((one for one in _USUAL if one[0] * one[1] >= images), _USUAL[-1])
            return _grid(columns, rows)
        text = layout.strip() if isinstance(layout, str) else ""
        grid, lines = _GRID.fullmatch(text), _LINES.fullmatch(text.upper())
        if grid:
            columns, rows = int(grid[1]), int(grid[2])
            if 1 <= columns * rows <= LARGEST:
                return _grid(columns, rows)
        if lines:
            counts = [int(count) for count in lines[2].split(",")]
            if min(counts) and sum(counts) <= LARGEST:
                return _lines(lines[1], counts)
        raise InvalidRequest(
            f"layout={layout!r} is no layout of a film",
            advice=r'Write "3x4" for 3 columns and 4 rows, "ROW\2,1" for rows of 2 and 1 images, or "COL\1,3"; at most '
            f"{LARGEST} images.",
        )


def _grid(columns: int, rows: int) -> Layout:
    boxes = tuple(
        (column / columns, row / rows, 1 / columns, 1 / rows) for row in range(rows) for column in range(columns)
    )
    return Layout(f"STANDARD\\{columns},{rows}", boxes)


def _lines(kind: str, counts: list[int]) -> Layout:
    """Lines of different numbers of images: rows from the top, or columns from the left."""
    thick = 1 / len(counts)
    boxes = [
        (at / count, line * thick, 1 / count, thick) if kind == "ROW" else (line * thick, at / count, thick, 1 / count)
        for line, count in enumerate(counts)
        for at in range(count)
    ]
    return Layout(f"{kind}\\{','.join(map(str, counts))}", tuple(boxes))


def film_size(size: str = "", orientation: str = "") -> tuple[float, float]:
    """Width and height of a film in mm, by Film Size ID and Film Orientation; that of 14 x 17 inches where unknown.

    Examples
    --------
    >>> [round(side) for side in film_size("8INX10IN", "LANDSCAPE")]
    [254, 203]
    """
    wanted = size.upper().strip() or DEFAULT_SIZE
    match = _SIZE.fullmatch(wanted)
    if wanted in _PAPER:
        wide, high = _PAPER[wanted]
    elif match:
        wide, high = (float(match[at].replace("_", ".")) * _MM[match[at + 1]] for at in (1, 3))
    else:
        return film_size(DEFAULT_SIZE, orientation)
    return (high, wide) if orientation.upper() == "LANDSCAPE" else (wide, high)
