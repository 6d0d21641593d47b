"""A table that was saved, read back with its identifiers still text."""

from __future__ import annotations

import os
import re
from typing import Any

import pandas as pd

from .columns import dtype_of
from .encoding import vr_of
from .errors import BadFile, InvalidRequest, MissingCodec
from .keys import key_of


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
