"""From scheduled steps to the earlier studies of their patients: whose, and whether it is surely the same patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..errors import InvalidRequest


def patients(steps: pd.DataFrame) -> list[str]:
    """The PatientIDs of the steps, each once.

    Raises
    ------
    InvalidRequest
        No step is chosen, or one names no PatientID.
    """
    if not len(steps):
        raise InvalidRequest("nothing is selected", advice="Choose at least one step.")
    if steps["PatientID"].isna().any():
        raise InvalidRequest(
            "a chosen step names no PatientID", advice="Look for the patient by name: the archive's find does."
        )
    return [str(one) for one in steps["PatientID"].unique()]


def earlier(studies: pd.DataFrame, steps: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The studies that are of the patients of the steps and not the scheduled ones, newest first; and remarks.

    A study of another issuer of PatientIDs is another patient's and left out; an archive that names none is believed.

    Parameters
    ----------
    studies
        Matches at STUDY level by the PatientIDs of the steps.
    steps
        Rows of a worklist.

    Examples
    --------
    >>> steps = pd.DataFrame({"PatientID": ["1"], "StudyInstanceUID": ["1.9"], "IssuerOfPatientID": ["HERE"]})
    >>> found = pd.DataFrame({"PatientID": ["1", "1"], "StudyInstanceUID": ["1.1", "1.2"],
    ...                       "IssuerOfPatientID": [None, "THERE"]})
    >>> rows, said = earlier(found, steps)
    >>> list(rows.StudyInstanceUID), said
    (['1.1'], ['one study is of that PatientID by another issuer, and left out'])
    """
    known = patients(steps)
    mine = studies[studies["PatientID"].isin(known) & ~studies["StudyInstanceUID"].isin(steps["StudyInstanceUID"])]
    issuers = {identity: _values(steps, identity, "IssuerOfPatientID") for identity in known}
    stranger = [
        bool(issuers[identity]) and _text(issuer) not in {"", *issuers[identity]}
        for identity, issuer in zip(mine["PatientID"], _column(mine, "IssuerOfPatientID"), strict=True)
    ]
    remarks = _said(sum(stranger), "of that PatientID by another issuer, and left out")
    mine = mine[~np.array(stranger, bool)]
    births = {identity: _values(steps, identity, "PatientBirthDate") for identity in known}
    doubtful = [
        bool(births[identity]) and _text(birth) not in {"", *births[identity]}
        for identity, birth in zip(mine["PatientID"], _column(mine, "PatientBirthDate"), strict=True)
    ]
    remarks += _said(sum(doubtful), "of another birth date than the step: see whether it is the same patient")
    by = [name for name in ("StudyDate", "StudyTime") if name in mine]
    found = mine.sort_values(by, ascending=False, kind="stable") if by else mine
    return found.reset_index(drop=True), remarks


def _said(count: int, what: str) -> list[str]:
    return [] if not count else [f"{'one study is' if count == 1 else f'{count:,} studies are'} {what}"]


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    return frame[name].tolist() if name in frame else [None] * len(frame)


def _values(frame: pd.DataFrame, identity: str, name: str) -> set[str]:
    """What the rows of one patient say, without what is empty."""
    return {_text(one) for one in _column(frame[frame["PatientID"] == identity], name)} - {""}


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NA or value is pd.NaT or value != value else str(value)
