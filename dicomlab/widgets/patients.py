"""The patients of a table of studies."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

PATIENT: Final = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")


def patients_of(studies: pd.DataFrame) -> pd.DataFrame:
    """A row a patient, with the number of ``studies``.

    One PatientID with two names, issuers or birth dates is two rows: none of them is picked.

    Examples
    --------
    >>> studies = pd.DataFrame({"PatientID": ["1", "1", "2"], "PatientName": ["A", "B", None]})
    >>> patients_of(studies).studies.tolist()
    [1, 1, 1]
    """
    words = [word for word in PATIENT if word in studies.columns]
    if studies.empty or not words:
        return pd.DataFrame()
    found = studies.groupby(words, dropna=False, sort=False).size().rename("studies").reset_index()
    return found.astype({word: studies[word].dtype for word in words})


def studies_of(studies: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """The studies of those patients, by all that says who they are."""
    words = [word for word in PATIENT if word in studies.columns]
    wanted = {_same(row) for row in patients[words].itertuples(index=False)}
    return studies[[_same(row) in wanted for row in studies[words].itertuples(index=False)]]


def _same(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row that can be compared: what is missing is None."""
    return tuple(None if pd.isna(value) else value for value in row)
