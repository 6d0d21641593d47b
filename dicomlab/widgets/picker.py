"""Choose rows of a table with the mouse or the keyboard; what is chosen is a table again."""

from __future__ import annotations

import json
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import traitlets
from itables.widget import ITable

from .. import phi
from ..amounts import counted
from ..cache.cache import Cache
from ..errors import DicomlabError, InvalidRequest
from ..level import UNIQUE_KEYS, QueryLevel
from ..markup import tag
from ..tables.tables import addresses
from .code import Code
from .pages import as_text, columns_shown, page
from .pictures import Pictures
from .unsaved import in_kernel

_HERE = Path(__file__).parent
HINT = "A click chooses a row, Ctrl adds one, Shift takes all between; by keyboard the arrows and Space."
_NOUNS = {
    QueryLevel.PATIENT: ("patient", "patients"),
    QueryLevel.STUDY: ("study", "studies"),
    QueryLevel.SERIES: ("series", "series"),
    QueryLevel.IMAGE: ("instance", "instances"),
}
_LOOK: dict[str, Any] = {
    "maxBytes": 0,  # with limits itables would leave rows and columns out
    "maxRows": 0,
    "maxColumns": 0,
    "allow_html": True,  # the cells are HTML already, and hold no markup but ours
    "showIndex": False,
    "select": True,
    "text_in_header_can_be_selected": False,
    "columnControl": ["order", ["search"]],
    "ordering": {"indicators": False, "handler": True},
    "pageLength": 10,
    "language": {
        "lengthMenu": "_MENU_ a page",
        "info": "_START_ to _END_ of _TOTAL_ rows",
        "infoEmpty": "no rows",
        "infoFiltered": "(of _MAX_)",
        "emptyTable": "no rows",
        "zeroRecords": "nothing found",
    },
    "layout": {
        "topStart": {
            "buttons": [
                {"extend": "selectAll", "text": "add all found", "selectorModifier": {"search": "applied"}},
                {"extend": "selectNone", "text": "choose none"},
            ]
        },
        "topEnd": "search",
        "bottomStart": ["pageLength", "info"],
        "bottomEnd": "paging",
    },
}


def _look(count: int) -> dict[str, Any]:
    """How a table of so many rows is shown: one page needs no pages."""
    if count > _LOOK["pageLength"]:
        return _LOOK
    return {**_LOOK, "layout": {**_LOOK["layout"], "bottomStart": "info", "bottomEnd": None}}


def _source(module: Any) -> str:
    """The source of itables' own module as a constant of ours."""
    return f"const ITABLES = {json.dumps(str(module))};\n"


class Picker(ITable):
    """A table whose rows can be chosen; made by `pick`.

    The rows go to the browser as messages: they are no state of the widget, so that a notebook that is saved with its
    widgets holds none of them.
    """

    _esm = _source(ITable._esm) + (_HERE / "picker.js").read_text("utf-8")  # type: ignore[assignment]
    _css = str(ITable._css) + (_HERE / "picker.css").read_text("utf-8")  # type: ignore[assignment]
    _dt_args = traitlets.Dict()  # of ITable, there synchronised and so saved
    selected_rows = traitlets.List(traitlets.Int())  # likewise

    def __init__(
        self,
        table: pd.DataFrame,
        rows: Any = None,
        *,
        columns: Sequence[str] | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._number, self._note = 0, HINT
        self._rows: list[int] = []  # positions that are chosen
        self._columns, self.cache = columns, cache
        self._callbacks: list[Callable[[pd.DataFrame], Any]] = []
        self._pictures: Pictures | None = None
        self._turn = threading.RLock()  # a choice is of the table that is shown, whichever thread changes that
        _check_table(table)
        super().__init__()
        self.update(table)
        self.on_msg(self._hear)
        self.observe(lambda change: self.choose(change["new"]), "selected_rows")
        if rows is not None:
            self.choose(rows)

    # -- what is chosen ----------------------------------------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """All rows, as they were given."""
        return self._table

    @property
    def selected(self) -> pd.DataFrame:
        """The rows that are chosen, in the order of the table, with its columns, dtypes, index and ``attrs``."""
        with self._turn:
            return self._table.iloc[self._rows]

    def choose(self, rows: Any) -> None:
        """Choose rows from Python, as a click does.

        Parameters
        ----------
        rows
            Positions, a slice of them, one position, or a boolean for each row; [] for none.

        Raises
        ------
        InvalidRequest
            There is no such row.
        """
        self._choose(rows)

    def _choose(self, rows: Any, number: int | None = None, view: str | None = None) -> None:
        """Choose rows of that table, or of the one that is shown; of one that is gone, none."""
        with self._turn:
            if number not in (None, self._number):
                return
            positions = _positions(rows, len(self._table))
            if positions == self._rows:
                return
            self._rows = positions
            self.selected_rows = positions
            self.send({"kind": "select", "rows": positions, "number": self._number, "view": view})
        for function in self._callbacks:
            try:
                function(self.selected)
            except Exception as error:
                said = str(error) if isinstance(error, DicomlabError) else f"{type(error).__name__}: {error}"
                self._tell_note(said)

    def on_select(self, function: Callable[[pd.DataFrame], Any]) -> None:
        """Call a function with `selected` whenever it changes; what it raises is shown below the table."""
        self._callbacks.append(function)

    def code(self, name: str | None = None) -> Code:
        """The line that gives the same rows without the mouse.

        Parameters
        ----------
        name
            Of the variable that holds the table; default the one in the notebook that does, else ``table``.

        Examples
        --------
        >>> Picker(pd.DataFrame({"StudyInstanceUID": ["1.2", "1.3"]}), [1]).code("studies")
        selected = studies[studies["StudyInstanceUID"].isin(['1.3'])]
        """
        frame = sys._getframe(1)
        named = name or self._named({**frame.f_globals, **frame.f_locals})
        for word in ("path", *reversed(UNIQUE_KEYS.values())):
            if word in self._table.columns and self._table[word].is_unique and self._table[word].notna().all():
                values = [str(value) for value in self.selected[word]]
                return Code(f'selected = {named}[{named}["{word}"].isin({values!r})]')
        return Code(f"selected = {named}.iloc[{self._rows!r}]")

    def _named(self, names: dict[str, Any]) -> str:
        given = self._given()
        found = [name for name, value in names.items() if value is given and not name.startswith("_")]
        return found[0] if given is not None and found else "table"

    # -- what is shown -----------------------------------------------------------------------------------------------

    def update(  # type: ignore[override]
        self, table: pd.DataFrame, columns: Sequence[str] | None = None, **_: Any
    ) -> None:
        """Show another table, by these columns or those shown before; nothing of it is chosen."""
        _check_table(table)
        names = columns_shown(table, self._columns if columns is None else columns)
        self._columns = self._columns if columns is None else columns
        cells = page(table, names)
        node = str(table.attrs.get("peer") or "")
        here = self.cache is not None and node and "SeriesInstanceUID" in table.columns
        pictured = bool(here) or "path" in table.columns
        first: list[dict[str, Any]] = []
        if pictured:
            spans = [str(tag("span", class_=f"dicomlab-picture row-{row}")) for row in range(len(table))]
            cells = {"": spans, **cells}
            first = [{"targets": 0, "orderable": False, "columnControl": []}]
        look = _look(len(table))
        with self._turn:
            self._given, self._table, self._node = weakref.ref(table), table.copy(), node
            self.close_pictures()
            self._pictures = Pictures(self._files, self._tell_picture) if pictured else None
            self._number += 1
            self._rows = []
            self._dt_args = {}  # what was said of another table would stay
            super().update(pd.DataFrame(columns=list(cells), dtype=object), selected_rows=[], columnDefs=first, **look)
            rows = list(zip(*cells.values(), strict=True))  # as they are: itables would format each text once more
            self._dt_args = {**self._dt_args, "data_json": json.dumps(rows)}
            self._tell_rows()

    @property
    def summary(self) -> str:
        """One line: how many of what are here, and how many of them are chosen."""
        words = [word for word in UNIQUE_KEYS.values() if word in self._table.columns]
        level = next((level for level, word in UNIQUE_KEYS.items() if words and word == words[-1]), None)
        one, many = ("row", "rows") if level is None or not self._table[words[-1]].is_unique else _NOUNS[level]
        if any(str(name).startswith("ScheduledProcedureStep") for name in self._table.columns):
            one, many = "scheduled procedure step", "scheduled procedure steps"
        count = len(self._table)
        return f"Picker of {counted(count, one, many)}, {len(self._rows):,} chosen"

    def __repr__(self) -> str:
        """With the rows where no widget can be drawn; a notebook, which keeps it, gets the summary alone."""
        return self.summary if in_kernel() else str(self)

    def __str__(self) -> str:
        rows = as_text(self._table, columns_shown(self._table, self._columns))
        chosen = set(self._rows)
        rows.insert(0, "chosen", ["*" if row in chosen else "" for row in range(len(rows))])
        return f"{self.summary}\n{rows.to_string(max_rows=20, max_cols=12, max_colwidth=40)}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/plain"] = repr(self)
        return bundle

    def close(self) -> None:
        """End it, and the thread that makes its pictures."""
        self.close_pictures()
        super().close()

    def close_pictures(self) -> None:
        """Make no more pictures."""
        if self._pictures is not None:
            self._pictures.close()

    # -- messages ----------------------------------------------------------------------------------------------------

    def _hear(self, _: Any, message: dict[str, Any], __: Any) -> None:
        kind, number = message.get("kind"), message.get("number")
        if kind == "ready":
            self._tell_rows()
        elif kind == "selected" and isinstance(number, int):
            try:
                self._choose(message.get("rows", []), number, message.get("view"))
            except InvalidRequest as error:
                self._tell_note(str(error))
        elif kind == "pictures" and number == self._number and self._pictures is not None:
            self._pictures.ask([row for row in message.get("rows", []) if 0 <= row < len(self._table)])

    def _tell_rows(self) -> None:
        self.send(
            {
                "kind": "rows",
                "args": self._dt_args,
                "rows": self._rows,
                "number": self._number,
                "note": self._note,
            }
        )

    def _tell_note(self, note: str) -> None:
        self._note = note
        self.send({"kind": "note", "note": note})

    def _tell_picture(self, row: int, picture: bytes) -> None:
        self.send({"kind": "picture", "row": row, "number": self._number}, [picture])

    def _files(self, row: int) -> Sequence[str | Path]:
        if "path" in self._table.columns:
            return [str(phi.real(self._table["path"].iloc[row]))]
        assert self.cache is not None
        return [entry.path for entry in self.cache.instances(self._node, addresses(self._table.iloc[row]))]


def pick(
    table: pd.DataFrame,
    rows: Any = None,
    *,
    columns: Sequence[str] | None = None,
    cache: Cache | None = None,
) -> Picker:
    """A table to choose rows of: search by column, sort, and click with Shift and Ctrl.

    Parameters
    ----------
    table
        Any table, such as the matches of `find`, a worklist, instances.
    rows
        What is chosen at first: positions, a slice of them, one position, or a boolean for each row.
    columns
        What is shown; default all but UIDs and columns without any value.
    cache
        Where received instances lie, such as ``pacs.cache``: series of which some are here have a picture.

    Returns
    -------
    Picker
        Its ``selected`` is a table like the one given; ``code()`` is the line that gives it without the mouse.

    Raises
    ------
    InvalidRequest
        It is no table, or there is no such row or column.

    Examples
    --------
    >>> import dicomlab as dl
    >>> with dl.demo_pacs() as pacs:
    ...     picker = dl.pick(pacs.find("SERIES", Modality="PT"), [0])
    >>> picker.selected.Modality.tolist()
    ['PT']
    """
    return Picker(table, rows, columns=columns, cache=cache)


def _check_table(table: Any) -> None:
    if not isinstance(table, pd.DataFrame):
        raise InvalidRequest(
            f"pick takes a table, not {type(table).__name__}",
            advice="Give what find, worklist, retrieve or scan gives, or rows of it.",
        )
    if isinstance(table.columns, pd.MultiIndex) or not table.columns.is_unique:
        twice = [str(name) for name in table.columns[table.columns.duplicated()]]
        why = f"two columns {twice[0]}" if twice else "columns of several levels"
        raise InvalidRequest(f"the table has {why}", advice="Give each column one name of its own.")


def _positions(rows: Any, count: int) -> list[int]:
    """Positions of rows, in their order, each once."""
    try:
        if isinstance(rows, slice):
            return list(range(*rows.indices(count)))
        chosen = np.atleast_1d(np.asarray(rows))
        if chosen.dtype == bool and chosen.shape == (count,):
            return [int(row) for row in np.flatnonzero(chosen)]
        if chosen.size and (chosen.dtype.kind not in "iu" or chosen.ndim != 1):
            raise ValueError
        found = sorted({int(row) for row in chosen})
    except (TypeError, ValueError):
        raise InvalidRequest(
            f"{rows!r} chooses no rows", advice="Give positions from 0, a slice, or a boolean for each row."
        ) from None
    beyond = [row for row in found if not 0 <= row < count]
    if beyond:
        raise InvalidRequest(f"there is no row {beyond[0]}, the table has {count}", advice="Rows count from 0.")
    return found
