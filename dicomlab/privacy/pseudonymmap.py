"""The map of pseudonyms: who is who, drawn at random once and kept by the user (R13.12)."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

from .. import phi
from ..disk.locking import alone
from ..disk.placing import replace
from ..errors import InvalidRequest
from ..writers.modules import new_uid

_PARTS = ("patients", "names", "identifiers", "uids")
_ABOUT = "The real names behind pseudonyms. Keep it apart from the data, and from everybody who must not know."
_EARLIEST, _LATEST = 365, 3650  # days that dates are moved back by


class PseudonymMap:
    """What stands for what: a file of JSON, or a dictionary of the user's.

    ``patients`` has for each PatientID (with its issuer behind a backslash, where there is one) the PatientID and
    PatientName that stand for it, and the ``days`` that dates are moved by; ``names``, ``identifiers`` and ``uids``
    what stands for each of the others. Entries may be made by hand before: they are used as they are.
    """

    def __init__(self, place: Any) -> None:
        self.path = map_path(place)
        self.content: MutableMapping[str, Any] = _read(self.path) if self.path else place
        for part in _PARTS:
            if not isinstance(self.content.setdefault(part, {}), MutableMapping):
                raise self._wrong(f"{part} is no mapping")
        self._taken = {
            part: {str(one) for one in self.content[part].values()} for part in ("names", "identifiers", "uids")
        }
        for number, one in enumerate(self.content["patients"].values(), 1):
            if not isinstance(one, MutableMapping) or not isinstance(one.get("days", 0), int):
                raise self._wrong(f"entry {number} of patients has no whole number of days")

    def _wrong(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"the map is none: {why}", advice="Mend it, or name a file that is not there yet.")

    def patient(self, key: str) -> dict[str, Any]:
        """PatientID, PatientName and days of a patient."""
        known = self.content["patients"].setdefault(key, {})
        word = self._drawn("patients", "P-")
        known.setdefault("PatientID", word)
        known.setdefault("PatientName", f"Pseudonym^{known['PatientID']}")
        if "days" not in known:
            known["days"] = -_EARLIEST - secrets.randbelow(_LATEST - _EARLIEST)
        return dict(known)

    def name(self, real: str) -> str:
        """What stands for the name of somebody else."""
        return self._stand_in("names", real, "Pseudonym^N-")

    def identifier(self, real: str) -> str:
        """What stands for an identifier."""
        return self._stand_in("identifiers", real, "I-")

    def uid(self, real: str) -> str:
        """What stands for a UID."""
        uids = self.content["uids"]
        if real not in uids:
            uids[real] = new_uid()
        return str(uids[real])

    def _stand_in(self, part: str, real: str, start: str) -> str:
        known = self.content[part]
        if real not in known:
            known[real] = self._drawn(part, start)
        return str(known[real])

    def _drawn(self, part: str, start: str) -> str:
        taken = self._taken.setdefault(part, {str(one.get("PatientID")) for one in self.content["patients"].values()})
        while True:
            word = start + secrets.token_hex(4).upper()
            if word not in taken:
                taken.add(word)
                return word

    def save(self) -> None:
        """Write the file, readable by its owner alone.

        Raises
        ------
        InvalidRequest
            It cannot be written.
        """
        if not self.path:
            return
        text = json.dumps({"about": _ABOUT, **self.content}, ensure_ascii=False, indent=1)
        try:
            replace(self.path, text.encode(), 0o600)
        except OSError as error:
            raise _unwritten(self.path, error) from None


@contextmanager
def held(place: Any) -> Iterator[PseudonymMap]:
    """The map of a file or dictionary; while the ``with`` block runs no other call reads or writes that file.

    Raises
    ------
    InvalidRequest
        It is no map, or cannot be written.
    """
    path = map_path(place)
    if not path:
        yield PseudonymMap(place)
        return
    with ExitStack() as stack:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            stack.enter_context(alone(path))
        except OSError as error:
            raise _unwritten(path, error) from None
        yield PseudonymMap(place)


def map_path(place: Any) -> str:
    """The file that is named; "" for a dictionary."""
    if isinstance(place, MutableMapping):
        return ""
    if isinstance(place, str | os.PathLike) and os.fspath(place):
        return os.path.abspath(os.path.expanduser(os.fspath(phi.real(place))))
    raise InvalidRequest(
        f"map={place!r} keeps no pseudonyms", advice='Name a file, map="~/study7.json", or give a dictionary.'
    )


def _unwritten(path: str, error: OSError) -> InvalidRequest:
    return InvalidRequest(
        f"the map {phi.path(path)!r} cannot be written: {error.strerror}", advice="Name another file."
    )


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{phi.path(path)!r} is no map of pseudonyms: {error}", advice="Name one, or a file that is not there yet."
        ) from None
    if not isinstance(found, dict) or not all(part in found for part in _PARTS):
        raise InvalidRequest(
            f"{phi.path(path)!r} is no map of pseudonyms", advice="Name one, or a file that is not there yet."
        )
    return found
