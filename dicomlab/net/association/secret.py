"""A function that gives a secret, and does not show it itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Secret:
    """Calls a function that may hold the secret, as ``functools.partial(str, "...")`` does, and would show it.

    Examples
    --------
    >>> import functools
    >>> secret = Secret(functools.partial(str, "open sesame"))
    >>> secret
    ***
    >>> secret()
    'open sesame'
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function: Callable[[], Any] = function._function if isinstance(function, Secret) else function

    def __call__(self) -> Any:
        return self._function()

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return self._function == (other._function if isinstance(other, Secret) else other)

    def __hash__(self) -> int:
        return hash(self._function)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _gone, ()  # whoever pickles what holds it


def _gone() -> None:
    """In the place of a secret that was pickled: there is none."""
