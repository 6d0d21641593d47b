"""Extensions: a user's functions, called once for each volume after it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import xarray as xr

from .errors import InvalidRequest

Extension = Callable[[xr.DataArray], xr.DataArray | None]


def name_of(extension: Extension) -> str:
    """The name of a function, or of the class of a callable object."""
    return str(getattr(extension, "__qualname__", type(extension).__qualname__))


def copies(extensions: Iterable[Extension]) -> list[Extension]:
    """A copy of each, so that no two loads share what it keeps.

    Raises
    ------
    InvalidRequest
        One is no function, or cannot be copied.
    """
    found: list[Extension] = []
    for extension in [extensions] if callable(extensions) else extensions:
        if not callable(extension):
            raise InvalidRequest(f"{extension!r} is no extension", advice="Give functions of one argument, the volume.")
        try:
            found.append(deepcopy(extension))
        except Exception as error:  # whatever its parts raise
            raise InvalidRequest(
                f"the extension {name_of(extension)} cannot be copied: {error}",
                advice="Let it open files and connections when it is called, not before.",
            ) from error
    return found


def extended(volume: xr.DataArray, extensions: Sequence[Extension]) -> tuple[xr.DataArray, list[str]]:
    """The volume after all extensions, in their order; and for each that failed, what happened, in words.

    One that fails leaves the volume as it was given to it, unless it changed the values in place.
    """
    failures = []
    for extension in extensions:
        given = volume.copy(deep=False)
        try:
            made = extension(given)
        except Exception as error:
            failures.append(f"the extension {name_of(extension)} failed: {type(error).__name__}: {error}")
            continue
        if made is None or isinstance(made, xr.DataArray):
            volume = given if made is None else made
        else:
            failures.append(f"the extension {name_of(extension)} gave a {type(made).__name__}, not a volume")
    return volume, failures
