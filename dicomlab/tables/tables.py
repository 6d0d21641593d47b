"""Data sets to typed columns, and rows back to addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

from .. import phi
from ..amounts import counted
from ..datasets.elements import Elements
from ..errors import InvalidRequest
from ..level import UNIQUE_KEYS, QueryLevel
from ..remarks import remark
from .columns import united
from .records import Records

IDENTIFYING = tuple(UNIQUE_KEYS.values())
#: Attributes that only rows of a level describe: with one of them and without the level's UID more would be meant.
_DESCRIBES = {
    QueryLevel.STUDY: ("StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber"),
    QueryLevel.SERIES: (
        "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription", "NumberOfSeriesRelatedInstances",
    ),
    QueryLevel.IMAGE: ("InstanceNumber",),
}  # fmt: skip
_PLURAL = {
    QueryLevel.PATIENT: "patients",
    QueryLevel.STUDY: "studies",
    QueryLevel.SERIES: "series",
    QueryLevel.IMAGE: "instances",
}
_UID = re.compile(r"(0|[1-9]\d*)(\.\d+)*$")  # leading zeros within are met in practice, and kept


def table(
    records: Sequence[Elements] | Records,
    keywords: Sequence[str],
    *,
    extra: Mapping[str, Sequence[Any]] | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """One row for each data set, one typed column for each attribute.

    Parameters
    ----------
    records
        Data sets; the text of each is decoded by its own SpecificCharacterSet.
    keywords
        PS3.6 keywords, or paths into sequences; each is the name of its column.
    extra
        Further columns, put behind.
    quiet
        Warn of nothing; who asks for that looks at ``attrs["problems"]``.

    Returns
    -------
    frame
        DA and DT datetime64[ns], TM timedelta64[ns], IS and binary integers Int64, DS and binary floats float64,
        text "string"; several values are a tuple, and the column is then object. Absent and empty are NA. What
        cannot be read is NA, and text that cannot be decoded holds replacement characters; both stand in
        ``attrs["problems"]`` (row, column, text).

    Raises
    ------
    BadData
        A data set that nobody has looked at cannot be parsed.

    Warns
    -----
    ResultWarning
        Once, if there are problems.
    """
    problems: list[dict[str, Any]] = []
    columns: dict[str, Any] = {}
    abreast = records if isinstance(records, Records) else Records(records, keywords)
    for error in abreast.unreadable.values():
        raise error
    for word in keywords:
        if word in columns:
            continue

        def report(row: int, text: str, word: str = word) -> None:
            problems.append({"row": row, "column": word, "text": text})

        columns[word] = abreast.column(word, report)
    for name, values in (extra or {}).items():
        columns[name] = values
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(records)))
    if problems:
        frame.attrs["problems"] = problems
    if not quiet:
        tell(frame, stacklevel=3)
    return frame


def tell(frame: pd.DataFrame, *, stacklevel: int) -> None:
    """Warn of the problems of a table, if there are any."""
    problems = frame.attrs.get("problems")
    if problems:
        where = ", ".join(dict.fromkeys(problem["column"] for problem in problems))
        they = counted(len(problems), "value could not be read as it", "values could not be read as they")
        remark(f'{they} should ({where}); see attrs["problems"]', stacklevel=stacklevel)


def below(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The table of all rows of several tables of the same columns, as if it had been made at once.

    Parameters
    ----------
    parts
        One or more tables. They are empty afterwards: each column is let go when it was taken over, so that very many
        rows are not in memory twice.
    """
    first, *others = parts
    if not others:
        return first
    problems, rows = [], 0
    for part in parts:
        problems += [{**one, "row": one["row"] + rows} for one in part.attrs.get("problems", ())]
        rows += len(part)
    names = list(first.columns)
    columns = {name: united([part.pop(name) for part in parts]) for name in names}
    frame = pd.DataFrame(columns, index=pd.RangeIndex(rows), copy=False)
    if problems:
        frame.attrs["problems"] = sorted(problems, key=lambda one: names.index(one["column"]))
    return frame


@dataclass(frozen=True)
class Address:
    """What a row names: a patient, study, series or instance, with the unique keys above it, or ""."""

    PatientID: str = ""
    StudyInstanceUID: str = ""
    SeriesInstanceUID: str = ""
    SOPInstanceUID: str = ""

    @property
    def level(self) -> QueryLevel:
        """The level of what is named.

        Examples
        --------
        >>> Address(StudyInstanceUID="1.2").level
        <QueryLevel.STUDY: 'STUDY'>
        """
        for level in reversed(QueryLevel):
            if getattr(self, level.unique_key):
                return level
        raise InvalidRequest("nothing is selected: the address is empty")


def addresses(what: Any) -> list[Address]:
    """What the rows name, without duplicates, in their order.

    Parameters
    ----------
    what
        A table, one of its rows, a mapping, a Study Instance UID, or several of these.

    Raises
    ------
    InvalidRequest
        Nothing is selected; a row does not say what it names; or it describes a series (or study, or instance) whose
        UID is not there, so that it would name more than it shows.

    Examples
    --------
    >>> addresses("1.2.3")
    [Address(PatientID='', StudyInstanceUID='1.2.3', SeriesInstanceUID='', SOPInstanceUID='')]
    """
    return list(dict.fromkeys(_addresses(what)))


def _addresses(what: Any) -> Iterable[Address]:
    if isinstance(what, Address):
        return [what]
    if isinstance(what, pd.DataFrame):
        return _of_frame(what)
    if isinstance(what, pd.Series) and set(what.index) & set(IDENTIFYING):
        _whole(what.index)
        return [_of_row({word: what[word] for word in IDENTIFYING if word in what.index}, "the row")]
    if isinstance(what, Mapping):
        known = {word: what[word] for word in IDENTIFYING if word in what}
        if not known:
            raise _no_column(what)
        _whole(what)
        return [_of_row(known, "the mapping")]
    if isinstance(what, str):
        return [Address(StudyInstanceUID=_uid(what, "StudyInstanceUID"))]
    if isinstance(what, tuple) and hasattr(what, "_asdict"):  # a row of itertuples
        return _addresses(what._asdict())
    if isinstance(what, pd.Series | np.ndarray) and pd.api.types.is_bool_dtype(what):
        raise InvalidRequest(
            "a column of True and False names nothing",
            advice='Take the rows by it: series[series.Modality == "CT"].',
        )
    if isinstance(what, pd.Series) and what.name in IDENTIFYING:
        _not_empty(what)
        return _of_frame(what.to_frame())
    if what is None or isinstance(what, (Number, bytes)) or not hasattr(what, "__iter__"):
        raise InvalidRequest(
            f"{what!r} names nothing",
            advice="Give rows of a table, or Study Instance UIDs as text; read_table keeps them as text.",
        )
    many = list(what)
    _not_empty(many)
    found: list[Address] = []
    for one in many:
        if isinstance(one, (str, Mapping, pd.Series, pd.DataFrame, Address)):
            found.extend(_addresses(one))
        else:
            found.append(Address(StudyInstanceUID=_uid(one, "StudyInstanceUID")))
    return found


def _not_empty(many: Any) -> None:
    if not len(many):
        raise InvalidRequest("nothing is selected", advice="Choose at least one row.")


def _no_column(names: Iterable[Any]) -> InvalidRequest:
    listed = ", ".join(map(str, list(names)[:8])) or "none"
    return InvalidRequest(
        f"nothing says what is meant: the columns are {listed}",
        advice=f"Keep {', '.join(IDENTIFYING[1:])} of the level you mean in the table.",
    )


def _whole(words: Iterable[Any]) -> None:
    """Refuse rows that describe a level whose UID was renamed or dropped: they would name all of what is above it."""
    there = {str(word) for word in words}
    named = [level for level in QueryLevel if level.unique_key in there][-1]
    for level, telling in _DESCRIBES.items():
        said = [word for word in telling if word in there]
        if named in level.above and said:
            above = ", ".join(f'"{word}"' for word in IDENTIFYING if word in there)
            raise InvalidRequest(
                f"the rows describe {_PLURAL[level]} by {said[0]} and have no {level.unique_key}, so that they would "
                f"name whole {_PLURAL[named]}",
                advice=f"Keep the column {level.unique_key} under its name, or say that all is meant: rows[[{above}]].",
            )


def _of_frame(frame: pd.DataFrame) -> list[Address]:
    _not_empty(frame)
    indexed = [word for word in frame.index.names if word in IDENTIFYING and word not in frame.columns]
    if indexed:  # set_index and groupby put a UID there, and the row still means what it did
        frame = frame.reset_index(level=indexed)
    words = [word for word in IDENTIFYING if word in frame.columns]
    if not words:
        raise _no_column(frame.columns)
    for word in words:
        if isinstance(frame[word], pd.DataFrame):
            raise InvalidRequest(f"the table has two columns {word}", advice="Keep one of them.")
    _whole(frame.columns)
    columns = [frame[word].tolist() for word in words]
    seen: dict[tuple[Any, ...], Address] = {}
    for row, values in enumerate(zip(*columns, strict=True)):
        try:
            if values in seen:
                continue
        except TypeError:  # a list in a cell
            pass
        address = _of_row(dict(zip(words, values, strict=True)), f"row {row}")
        seen[tuple(map(str, values))] = address
    return list(seen.values())


def _of_row(values: Mapping[str, Any], where: str) -> Address:
    """The address of one row, from the identifying columns it has."""
    words = [word for word in IDENTIFYING if word in values]
    lowest = words[-1]
    if lowest in ("SeriesInstanceUID", "SOPInstanceUID"):
        needed = IDENTIFYING[1 : IDENTIFYING.index(lowest)]
        absent = [word for word in needed if word not in values]
        if absent:
            raise InvalidRequest(
                f"{lowest} alone does not say what is meant in {where}",
                advice=f"Add the column {' and '.join(absent)}; a merge of two tables that both have it renames it "
                f"to {absent[0]}_x, unless it is merged on.",
            )
    found: dict[str, str] = {}
    for word in words:
        if word == "PatientID":
            if lowest != word and not (isinstance(values[word], str) and values[word].strip()):
                continue  # a study needs no patient
            found[word] = _text(values[word], word, where)
        else:
            found[word] = _uid(values[word], word, where)
    return Address(**found)


def _text(value: Any, word: str, where: str) -> str:
    if isinstance(value, str):
        if not value.strip():
            raise InvalidRequest(f"nothing is selected: {word} is empty in {where}")
        return str(phi.real(value.strip()))
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        raise InvalidRequest(f"nothing is selected: {word} is missing in {where}")
    if isinstance(value, Number):
        raise InvalidRequest(
            f"{word} is the number {value!r} in {where}, and identifiers are text",
            advice="Read a saved table with dicomlab.read_table, which keeps 00123 and NA as they are.",
        )
    raise InvalidRequest(f"{word} is {type(value).__name__} {value!r} in {where}, not text")


def _uid(value: Any, word: str, where: str = "the list") -> str:
    """A UID by PS3.5 9.1."""
    text = _text(value, word, where).strip(" \0")
    if len(text) > 64 or not _UID.match(text) or not text.isascii():
        raise InvalidRequest(
            f"{text[:80]!r} is no {word} in {where}: digits and dots, at most 64 (PS3.5 9.1)"
        )
    return text
