"""Data sets to typed columns, and rows back to addresses."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import pandas as pd

from .columns import column, dtype_of
from .elements import Elements
from .encoding import vr_of
from .errors import BadFile, InvalidRequest, MissingCodec, ResultWarning
from .keys import key_of
from .level import UNIQUE_KEYS, QueryLevel

IDENTIFYING = tuple(UNIQUE_KEYS.values())
_UID = re.compile(r"(0|[1-9]\d*)(\.\d+)*$")  # leading zeros within are met in practice, and kept


def table(
    records: Sequence[Elements], keywords: Sequence[str], *, extra: Mapping[str, Sequence[Any]] | None = None
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

    Returns
    -------
    frame
        DA and DT datetime64[ns], TM timedelta64[ns], IS and binary integers Int64, DS and binary floats float64,
        text "string"; several values are a tuple, and the column is then object. Absent and empty are NA. What
        cannot be read is NA, and text that cannot be decoded holds replacement characters; both stand in
        ``attrs["problems"]`` (row, column, text).

    Warns
    -----
    ResultWarning
        Once, if there are problems.
    """
    problems: list[dict[str, Any]] = []
    columns: dict[str, Any] = {}
    for word in keywords:
        if word in columns:
            continue

        def report(row: int, text: str, word: str = word) -> None:
            problems.append({"row": row, "column": word, "text": text})

        columns[word] = column(records, word, report)
    for name, values in (extra or {}).items():
        columns[name] = values
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(records)))
    if problems:
        frame.attrs["problems"] = problems
        where = ", ".join(dict.fromkeys(problem["column"] for problem in problems))
        warnings.warn(
            f"{len(problems)} values could not be read as they should ({where}); "
            'they are listed in attrs["problems"]',
            ResultWarning,
            stacklevel=2,
        )
    return frame


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table saved as CSV or Parquet, with identifiers still text ("00123", "NA") and typed columns.

    Raises
    ------
    BadFile
        It is not there, or no such table.
    MissingCodec
        Parquet needs pyarrow.
    """
    name = os.fspath(path)
    try:
        if name.lower().endswith((".parquet", ".pq")):
            return pd.read_parquet(name)
        frame = pd.read_csv(name, dtype="string", keep_default_na=False, na_filter=False)
    except ImportError:
        raise MissingCodec("Parquet needs pyarrow", advice='Run: pip install "dicomlab[parquet]"') from None
    except OSError as error:
        raise BadFile(name, error.strerror or "cannot be read") from None
    except Exception as error:  # pandas and pyarrow raise many kinds on a broken file
        raise BadFile(name, f"no table: {str(error).splitlines()[0] if str(error) else error!r}") from None
    for index in [one for one in frame.columns if re.match(r"Unnamed: \d+$", str(one))]:
        if frame[index].str.fullmatch(r"\d+").all():
            frame = frame.drop(columns=index)  # the index that to_csv writes
    for word in frame.columns:
        frame[word] = _typed(frame[word], str(word))
    return frame


def _typed(values: Any, word: str) -> Any:
    """A column of text in the dtype its name says; as text where that cannot be."""
    values = values.mask(values == "")
    try:
        kind = dtype_of(vr_of(key_of(word).tag))
    except InvalidRequest:
        kind = "string"
        if word != "path" and values.notna().any():
            if values.dropna().isin(["True", "False"]).all():
                return values.map({"True": True, "False": False}).astype("boolean")
            if values.dropna().str.fullmatch(r"-?(0|[1-9]\d{0,17})").all():
                return values.astype("Int64")
    several = values.str.fullmatch(r"\(.*,.*\)", flags=re.DOTALL).fillna(False).astype(bool)
    if several.any():
        from ast import literal_eval

        try:
            made = values.astype(object)
            made[several] = [literal_eval(text) for text in values[several]]
            if all(isinstance(one, tuple) for one in made[several]):
                return made
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return values
    try:
        if kind in ("Int64", "float64"):
            return pd.to_numeric(values).astype(kind)
        if kind.startswith("datetime64"):
            return pd.to_datetime(values, format="ISO8601").astype(kind)
        if kind.startswith("timedelta64"):
            return pd.to_timedelta(values).astype(kind)
    except (ValueError, TypeError, OverflowError):
        return values
    return values


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
        Nothing is selected, or a row does not say what it names.

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
        return [_of_row({word: what[word] for word in IDENTIFYING if word in what.index}, "the row")]
    if isinstance(what, Mapping):
        known = {word: what[word] for word in IDENTIFYING if word in what}
        if not known:
            raise _no_column(what)
        return [_of_row(known, "the mapping")]
    if isinstance(what, str):
        return [Address(StudyInstanceUID=_uid(what, "StudyInstanceUID"))]
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


def _of_frame(frame: pd.DataFrame) -> list[Address]:
    _not_empty(frame)
    words = [word for word in IDENTIFYING if word in frame.columns]
    if not words:
        raise _no_column(frame.columns)
    for word in words:
        if isinstance(frame[word], pd.DataFrame):
            raise InvalidRequest(f"the table has two columns {word}", advice="Keep one of them.")
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
                advice=f"Add the column {' and '.join(absent)}.",
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
        return value.strip()
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
