"""Actions of the patient updater, the private class of LEAD Technologies' servers: what each sends, and checks."""

from __future__ import annotations

import datetime as dt
import getpass
import re
import socket
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, TypedDict

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import PersonName

from ... import phi
from ...errors import InvalidRequest, did_you_mean
from ...writers.modules import element

UPDATER = "1.2.840.114257.15.1.3"
INSTANCE = "1.2.840.114257.15.1.3.100.1"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, which references to studies name
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
PATIENT = ("PatientName", "PatientSex", "PatientBirthDate")
SERIES = ("Modality", "SeriesDescription", "SeriesDate", "SeriesTime")
STUDY = (
    "StudyDate", "StudyDescription", "StudyID", "AccessionNumber", "PatientAge", "PatientSize", "PatientWeight",
)  # fmt: skip
#: The common block, by what `How` calls its parts (R11.4).
COMMON = {
    "description": "RequestedProcedureDescription",
    "reason": "ReasonForTheRequestedProcedure",
    "operator": "OperatorsName",
    "station": "StationName",
    "transaction": "TransactionUID",
}


class Action(IntEnum):
    """Action Type ID of the N-ACTION."""

    CHANGE_PATIENT = 100
    DELETE_PATIENT = 101
    MERGE_PATIENT = 102
    CHANGE_SERIES = 103
    DELETE_SERIES = 104
    MERGE_STUDY = 105
    MOVE_STUDY_TO_NEW_PATIENT = 106
    COPY_PATIENT = 107
    COPY_STUDY = 108
    MOVE_SERIES = 109
    CHANGE_STUDY = 110
    DELETE_STUDY = 111


def words_of(action: int) -> str:
    """As a person would say it: "change patient"."""
    return Action(action).name.replace("_", " ").lower() if action in list(Action) else f"action {action}"


#: How these are encoded was never seen on a wire (R11.0).
UNCONFIRMED = frozenset({Action.CHANGE_PATIENT, *range(Action.MOVE_STUDY_TO_NEW_PATIENT, Action.MOVE_SERIES + 1)})


class How(TypedDict, total=False):
    """What every action takes beside what it is about."""

    reason: str  # why; required
    operator: str  # who; default the user of this computer
    station: str  # where; default the name of this computer
    description: str  # what; default the name of the action
    transaction: str  # Transaction UID of an operation that is said again
    confirm: str | Iterable[str]  # the identifiers that will be gone, for what deletes or merges
    dry_run: bool  # send nothing; show what is there and what would be sent
    study: str  # StudyInstanceUID of a series, where it is known: the archive is asked less
    timeout: float | None  # seconds without progress, for this call


def checked(how: Mapping[str, Any]) -> How:
    """The same, of nothing but what there is.

    Raises
    ------
    InvalidRequest
        There is no such argument, or no reason.
    """
    for name in how:
        if name not in How.__annotations__:
            near = did_you_mean(name, list(How.__annotations__))
            raise InvalidRequest(
                f"{name!r} is no argument{near}", advice=f"There are {', '.join(How.__annotations__)}."
            )
    if not isinstance(how.get("reason"), str) or not how["reason"].strip():
        raise InvalidRequest(
            "an update needs a reason, which goes to the archive and to the log here",
            advice='Say reason="...", in a few words.',
        )
    return how  # type: ignore[return-value]


def patient_id(value: Any) -> str:
    """A PatientID as it is, which names one patient."""
    value = phi.real(value)
    if not isinstance(value, str):
        raise InvalidRequest(
            f"PatientID takes one text, not {_kind(value)}",
            advice="Give row.PatientID; a number may have lost leading zeros: read saved tables with dl.read_table.",
        )
    if not value.strip() or len(value) > 64 or re.search(r"[\\*?\x00-\x1f]", value):
        raise InvalidRequest(
            f"PatientID {value!r} names no one patient", advice="Give 1 to 64 characters without \\, * and ?."
        )
    return value


def uid(keyword: str, value: Any) -> str:
    """A UID."""
    if not isinstance(value, str) or not _UID.fullmatch(value) or len(value) > 64:
        said = f"{value!r:.70}" if isinstance(value, str) else _kind(value)
        raise InvalidRequest(f"{keyword} takes one UID, not {said}", advice=f"Give row.{keyword} of a table.")
    return value


def with_values(dataset: Dataset, values: Mapping[str, Any]) -> Dataset:
    """The data set with those attributes, by keyword; None is an empty one."""
    for keyword, value in values.items():
        dataset.add(element(keyword, phi.key(keyword, _written(value))))
    return dataset


def _written(value: Any) -> Any:
    """A value of a table as it is written: a date, a time of day, NA."""
    import pandas as pd

    if isinstance(value, pd.Timedelta):
        value = (pd.Timestamp(0) + value).time()
    if isinstance(value, dt.time):
        return f"{value:%H%M%S.%f}".removesuffix(".000000")
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    return f"{value:%Y%m%d}" if isinstance(value, dt.date) else value


def _kind(value: Any) -> str:
    """What a value is, where it may be a whole row with names in it."""
    return repr(value) if isinstance(value, int | float) else f"a {type(value).__name__}"


def with_real_values(dataset: Dataset) -> Dataset:
    """The data set with what its pseudonyms stand for."""
    for one in dataset.iterall():
        if one.VM > 1 and one.VR != "SQ":
            one.value = [phi.key(one.keyword, str(part)) for part in one.value]
        elif isinstance(one.value, str | PersonName):
            one.value = phi.key(one.keyword, str(one.value))
    return dataset


def given(allowed: Iterable[str], values: Mapping[str, Any]) -> tuple[dict[str, Any], How]:
    """Attributes among the arguments of an action, and the others."""
    attributes = {name: value for name, value in values.items() if name[:1].isupper()}
    for name in attributes:
        if name not in tuple(allowed):
            raise InvalidRequest(
                f"{name} is not changed by this action{did_you_mean(name, list(allowed))}",
                advice=f"It takes {', '.join(allowed)}.",
            )
    return attributes, checked({name: value for name, value in values.items() if name not in attributes})


def patients_of(ids: Iterable[str]) -> list[Dataset]:
    """Items of a Referenced Patient Sequence."""
    return [with_values(Dataset(), {"PatientID": one}) for one in ids]


def studies_of(uids: Iterable[str]) -> list[Dataset]:
    """Items of a Referenced Study Sequence."""
    values = [{"ReferencedSOPClassUID": _STUDY_CLASS, "ReferencedSOPInstanceUID": one} for one in uids]
    return [with_values(Dataset(), one) for one in values]


def named(dataset: Dataset) -> tuple[list[str], list[str], list[str]]:
    """PatientIDs, StudyInstanceUIDs and SeriesInstanceUIDs that a data set of an action names."""
    patients = [dataset.get("OtherPatientIDs"), dataset.get("PatientID")]
    patients += [item.get("PatientID") for item in dataset.get("ReferencedPatientSequence") or []]
    studies = [dataset.get("StudyInstanceUID")]
    studies += [item.get("ReferencedSOPInstanceUID") for item in dataset.get("ReferencedStudySequence") or []]
    return _texts(patients), _texts(studies), _texts([dataset.get("SeriesInstanceUID")])


def gone(action: int, dataset: Dataset) -> list[str]:
    """The identifiers that will name nothing, or something else, once a deletion or merge is done (R11.2)."""
    patients = [item.get("PatientID") for item in dataset.get("ReferencedPatientSequence") or []]
    found = {
        Action.DELETE_PATIENT: [dataset.get("PatientID"), *named(dataset)[1]],
        Action.MERGE_PATIENT: patients,
        Action.DELETE_SERIES: [dataset.get("SeriesInstanceUID")],
        Action.MERGE_STUDY: [dataset.get("StudyInstanceUID")],
        Action.DELETE_STUDY: [dataset.get("StudyInstanceUID")],
    }
    return _texts(found.get(action, []))  # type: ignore[call-overload]


def _texts(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(one) for one in values if one))


def stamped(dataset: Dataset, action: int, how: How, transaction: str) -> Dataset:
    """The data set with the common block (R11.4)."""
    now = dt.datetime.now()
    parts = {
        "description": how.get("description") or words_of(action),
        "reason": how["reason"],
        "operator": how.get("operator") or _user(),
        "station": how.get("station") or socket.gethostname()[:16],
        "transaction": uid("transaction", transaction),
    }
    with_values(dataset, {COMMON[name]: value for name, value in parts.items()})
    with_values(dataset, {"InstanceCreationDate": f"{now:%Y%m%d}", "InstanceCreationTime": f"{now:%H%M%S}"})
    if any(not str(one.value).isascii() for one in dataset.iterall() if one.VR != "SQ"):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def new_transaction() -> str:
    """A Transaction UID (R11.5)."""
    return str(generate_uid(prefix=None))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without an entry for this user
        return "unknown"
