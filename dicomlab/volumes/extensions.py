"""Extensions: a user's functions, called once for each loaded volume, and once for each frame that is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy, deepcopy
from typing import Any

import xarray as xr
from pydicom.dataset import Dataset

from ..errors import InvalidRequest

Extension = Callable[[xr.DataArray], xr.DataArray | None]
_WHOSE = ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")


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


def changed(datasets: list[Dataset], extensions: Sequence[Callable[..., Any]]) -> list[str]:
    """Call all extensions with each data set and the number of each of its frames, from 1; what failed, in words.

    The list is changed in place. One that fails leaves the data set with the elements it had, unless it changed values
    in place. None may change whose or which instance it is.
    """
    failures: dict[str, str] = {}
    for index, dataset in enumerate(datasets):
        for frame in range(1, int(dataset.get("NumberOfFrames") or 1) + 1):
            for extension in extensions:
                given = copy(dataset)
                given._dict = {tag: copy(part) for tag, part in dataset._dict.items()}
                given.file_meta = dataset.file_meta
                name = f"the extension {name_of(extension)}"
                try:
                    made = extension(given, frame)
                except Exception as error:
                    failures.setdefault(name, f"{name} failed: {type(error).__name__}: {error}")
                    continue
                made = given if made is None else made
                if not isinstance(made, Dataset):
                    failures.setdefault(name, f"{name} gave a {type(made).__name__}, not a data set")
                    continue
                for keyword in _WHOSE:
                    if made.get(keyword) != dataset.get(keyword):
                        failures.setdefault(name, f"{name} changed {keyword}, which is not kept")
                        break
                else:
                    made.file_meta = dataset.file_meta
                    datasets[index] = dataset = made
    return list(failures.values())
