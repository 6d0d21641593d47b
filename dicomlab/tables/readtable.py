"""A table that was saved, read back with its identifiers still text."""

from __future__ import annotations

import os
import re
from typing import Any

import pandas as pd

from ..datasets.cells import objects
from ..datasets.encoding import vr_of
from ..errors import BadFile, InvalidRequest, MissingCodec
from ..queries.keys import key_of
from .columns import dtype_of


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table saved as CSV or Parquet, with identifiers still text ("00123", "NA") and typed columns.

    A table of results without any identifying column is one too; what it cannot do is be retrieved.

    Parameters
    ----------
    path
        A file that ``to_csv`` or ``to_parquet`` of a table wrote; which of them, its first bytes say.

    Raises
    ------
    BadFile
        It is not there, or no such table.
    MissingCodec
        Parquet needs pyarrow.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            start = file.read(4096)
        if start.startswith(b"PAR1"):
            return pd.read_parquet(name)
        _refuse_other_files(name, start)
        frame = pd.read_csv(name, dtype="string", keep_default_na=False, na_filter=False)
    except ImportError:
        raise MissingCodec("Parquet needs pyarrow", advice='Run: pip install "dicomlab[parquet]"') from None
    except OSError as error:
        raise BadFile(name, error.strerror or "cannot be read") from None
    except BadFile:
        raise
    except UnicodeDecodeError:
        raise BadFile(name, "the text is not UTF-8", advice="Save it as CSV in UTF-8.") from None
    except Exception as error:  # pandas and pyarrow raise many kinds on a broken file
        why = f"no table: {str(error).splitlines()[0] if str(error) else error!r}"
        raise BadFile(name, why, advice="Save it once more by to_csv or to_parquet.") from None
    if len(frame.columns) == 1 and not re.fullmatch(r"[A-Za-z_]\w*", str(frame.columns[0])):
        raise BadFile(
            name,
            f"no table: its first line, {str(frame.columns[0])[:40]!r}, does not name columns separated by commas",
            advice="Save it once more by to_csv, or as CSV with commas.",
        )
    names = [str(word) for word in frame.columns]
    if any(word != word.strip() for word in names) and not any(map(_is_attribute, names)):  # prose has its commas too
        raise BadFile(
            name,
            f"no table of ours: its first line is {','.join(names)[:60]!r}, and none of this is an attribute of DICOM",
            advice="Read other tables with pandas.read_csv.",
        )
    for index in [one for one in frame.columns if re.match(r"Unnamed: \d+$", str(one))]:
        if frame[index].str.fullmatch(r"\d+").all():
            frame = frame.drop(columns=index)  # the index that to_csv writes
    for word in frame.columns:
        frame[word] = _typed(frame[word], str(word))
    return frame


def _refuse_other_files(name: str, start: bytes) -> None:
    """What is often taken for a table, by its first bytes."""
    if not start.strip():
        raise BadFile(name, "the file is empty", advice="Save the table once more.")
    if start[128:132] == b"DICM":
        raise BadFile(name, "this is a DICOM file, no table", advice="Read it with dicomlab.scan.")
    if start.startswith(b"PK\3\4"):
        raise BadFile(name, "this is a workbook or an archive, no CSV", advice="Save its sheet as CSV in UTF-8.")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadFile(name, "the text is not UTF-8", advice="Save it as CSV in UTF-8.")
    if b"\0" in start or name.lower().endswith((".parquet", ".pq")):
        raise BadFile(name, "this is neither CSV nor Parquet", advice="Give what to_csv or to_parquet wrote.")


def _is_attribute(word: str) -> bool:
    try:
        return bool(key_of(word))
    except InvalidRequest:
        return False


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
            read = [literal_eval(text) if one else text for text, one in zip(values, several, strict=True)]
            if all(isinstance(value, tuple) for value, one in zip(read, several, strict=True) if one):
                return objects(read).set_axis(values.index)
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
