"""The series of a cohort: a row of the table each, and what is needed to have its instances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from types import CodeType
from typing import Any

import pandas as pd

from .. import phi
from ..errors import InvalidRequest
from ..tables import addresses
from .outcome import OURS

#: Of an instances table, what its rows share where they are one series.
SHARED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyDescription",
    "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate", "Modality", "BodyPartExamined",
    "ProtocolName",
)  # fmt: skip
GUESS = 100  # instances of a series whose number is not known


@dataclass(slots=True)
class Member:
    """One series."""

    uid: str
    at: list[int]  # rows of the table that name it
    row: pd.DataFrame | None  # that it is retrieved by; None where its files are known
    paths: list[str]  # its files, once they are here
    images: int = 0  # as the archive counts them; a guess where it does not
    alone: bool = False  # is to be retrieved in a request of its own


def members(series: Any, *, has_peer: bool) -> tuple[pd.DataFrame, list[Member]]:
    """The table of series, one row each, and what it names.

    Raises
    ------
    InvalidRequest
        It is no table of series or instances, or nobody is there to retrieve from.
    """
    if not isinstance(series, pd.DataFrame) or "SeriesInstanceUID" not in series:
        raise InvalidRequest(
            "this is no table of series",
            advice='Give rows of peer.find("SERIES", ...), or a table of instances as retrieve and scan make it.',
        )
    if not len(series):
        raise InvalidRequest("nothing is selected", advice="Choose at least one series.")
    if "path" in series:
        return _of_instances(series)
    if not has_peer:
        raise InvalidRequest(
            "the table has no column path, and no peer is given to retrieve from",
            advice="Give peer=, as connect makes it.",
        )
    addresses(series)  # refuses rows without what they are found by
    found: dict[str, Member] = {}
    counted = series.get("NumberOfSeriesRelatedInstances", pd.Series(pd.NA, index=series.index, dtype="Int64"))
    counts = pd.to_numeric(counted, errors="coerce").fillna(GUESS).astype(int).tolist()
    for at, uid in enumerate(series["SeriesInstanceUID"].tolist()):
        if uid in found:
            found[uid].at.append(at)
        else:
            found[uid] = Member(uid, [at], series.iloc[[at]], [], counts[at])
    return series.drop(columns=[name for name in OURS if name in series]), list(found.values())


def _of_instances(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Member]]:
    found = [
        Member(str(uid), [at], None, [phi.real(path) for path in part["path"].tolist()])
        for at, (uid, part) in enumerate(table.groupby("SeriesInstanceUID", sort=False))
    ]
    if not found:
        raise InvalidRequest("no row has a SeriesInstanceUID", advice="Choose instances of at least one series.")
    first = table[table["SeriesInstanceUID"].notna()].drop_duplicates("SeriesInstanceUID").reset_index(drop=True)
    shared = first[[name for name in SHARED if name in first]].copy()
    shared["instances"] = pd.array([len(one.paths) for one in found], dtype="Int64")
    return shared, found


def fingerprint(function: Callable[..., Any]) -> tuple[str, str]:
    """The name of a function, and a digest of its code, "" where that cannot be had; the same in another kernel."""
    inner = getattr(function, "func", function)  # of functools.partial
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = getattr(inner, "__code__", None) or getattr(vars(type(inner)).get("__call__"), "__code__", None)
    if code is None:
        return name, ""
    digest = blake2b(digest_size=8)
    _digest(code, digest)
    return name, digest.hexdigest()


def _digest(code: CodeType, digest: Any) -> None:
    digest.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _digest(constant, digest)
        elif isinstance(constant, frozenset):
            digest.update(repr(sorted(map(repr, constant))).encode())
        else:
            digest.update(repr(constant).encode())
