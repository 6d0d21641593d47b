"""What a user must not miss and is no error: a ResultWarning, or where the call runs in the background a note of it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

from .errors import ResultWarning

_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def remark(text: str, *, stacklevel: int) -> None:
    """Warn of something about a result; `stacklevel` as for ``warnings.warn``, counted from the caller of this."""
    notes = _notes.get()
    if notes is None:
        warnings.warn(text, ResultWarning, stacklevel=stacklevel + 1)
    elif text not in notes:
        notes.append(text)


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
    """A list that takes the remarks of this thread while a ``with`` block runs.

    In a thread nobody sees a warning, and ``warnings.catch_warnings`` would take those of the others too.

    Examples
    --------
    >>> with noted() as notes:
    ...     remark("it was cut", stacklevel=1)
    >>> notes
    ['it was cut']
    """
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
