"""The series of a cohort: a row of the table each, and what is needed to have its instances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from .. import phi
from ..amounts import are, counted
from ..errors import InvalidRequest
from ..remarks import remark
from ..tables.tables import Address, addresses
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
    address: Address | None  # None where its files are given
    at: list[int]  # rows of the table that name it
    paths: list[str] = field(default_factory=list)  # its files, once they are here
    given: bool = False  # its files are those of the table: nothing is retrieved
    images: int = 0  # as the archive counts them; a guess where it does not
    alone: bool = False  # is to be retrieved in a request of its own
    cut: bool = False  # the connection was cut as it came alone
    unsaid: bool = False  # the connection to the cluster broke as its outcome was to come


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
    if "SOPInstanceUID" in series:
        raise InvalidRequest(
            "the rows name instances, and a result is one of a series",
            advice='Give rows of peer.find("SERIES", ...), or the table that retrieve gives for these.',
        )
    named: dict[str, Address] = {}
    for one in addresses(series):
        before = named.setdefault(one.SeriesInstanceUID, one)
        if before.StudyInstanceUID != one.StudyInstanceUID:
            raise InvalidRequest(
                f"the series {one.SeriesInstanceUID} is there in two studies, and its results could not be told apart",
                advice="Keep one of its rows, and apply to the other alone.",
            )
    found: dict[str, Member] = {}
    counted = series.get("NumberOfSeriesRelatedInstances", pd.Series(pd.NA, index=series.index, dtype="Int64"))
    counts = pd.to_numeric(counted, errors="coerce").fillna(GUESS).astype(int).tolist()
    for at, given in enumerate(series["SeriesInstanceUID"].tolist()):
        uid = phi.real(given).strip(" \0")
        found.setdefault(uid, Member(uid, named[uid], [], images=counts[at])).at.append(at)
    return series.drop(columns=[name for name in OURS if name in series]), list(found.values())


def _of_instances(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Member]]:
    found = [
        Member(str(uid), None, [at], [phi.real(path) for path in part["path"].tolist()], given=True)
        for at, (uid, part) in enumerate(table.groupby("SeriesInstanceUID", sort=False))
    ]
    if not found:
        raise InvalidRequest("no row has a SeriesInstanceUID", advice="Choose instances of at least one series.")
    if nameless := int(table["SeriesInstanceUID"].isna().sum()):
        lost = counted(nameless, "instance has", "instances have")
        remark(f"{lost} no SeriesInstanceUID and {are(nameless)} left out", stacklevel=4)
    first = table[table["SeriesInstanceUID"].notna()].drop_duplicates("SeriesInstanceUID").reset_index(drop=True)
    shared = first[[name for name in SHARED if name in first]].copy()
    shared["instances"] = pd.array([len(one.paths) for one in found], dtype="Int64")
    return shared, found
