"""What a modality performed procedure step says of itself: when it is created, later, and at its end (PS3.4 F.7.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from . import phi
from .errors import InvalidRequest, did_you_mean
from .worklistkeys import STEP
from .writers.modules import element, keyword_known, loose, new_uid

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Of the patient, from the scheduled step alone.
PATIENT: Final = _words("PatientName PatientID PatientBirthDate PatientSex ReferencedPatientSequence")
#: The item of ScheduledStepAttributesSequence, from the scheduled step alone.
SCHEDULED: Final = _words(
    """StudyInstanceUID ReferencedStudySequence AccessionNumber RequestedProcedureID RequestedProcedureDescription
    ScheduledProcedureStepID ScheduledProcedureStepDescription ScheduledProtocolCodeSequence"""
)
#: What is said once.
FIRST: Final = _words(
    """PerformedProcedureStepID PerformedStationAETitle PerformedStationName PerformedLocation
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime Modality StudyID"""
)
#: What may change until the end.
LATER: Final = _words(
    """PerformedProcedureStepEndDate PerformedProcedureStepEndTime PerformedProcedureStepDescription
    PerformedProcedureTypeDescription ProcedureCodeSequence PerformedProtocolCodeSequence
    CommentsOnThePerformedProcedureStep"""
)
#: What may change too, where the step was created with it: it is by itself for X-rays.
DOSE: Final = _words(
    """AnatomicStructureSpaceOrRegionSequence TotalTimeOfFluoroscopy TotalNumberOfExposures DistanceSourceToDetector
    DistanceSourceToEntrance EntranceDose EntranceDoseInmGy ExposedArea ImageAndFluoroscopyAreaDoseProduct
    CommentsOnRadiationDose ExposureDoseSequence"""
)
BILLING: Final = _words("BillingProcedureStepSequence FilmConsumptionSequence BillingSuppliesAndDevicesSequence")
#: What the step says by itself, and the way to it.
OURS: Final = {
    "PerformedProcedureStepStatus": "It follows from complete() and discontinue().",
    "PerformedSeriesSequence": "Say what was made by add().",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence": "Say why by discontinue(reason).",
}
X_RAYS: Final = frozenset(_words("BMD CR CT DX IO MG PX RF RG XA"))
NAMED: Final = "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate"  # differ where patients do
UNSPECIFIED: Final = "Discontinued for unspecified reason"
_EARLIEST: Final = 1890  # a date before is one that was moved while names were hidden
_NO_TEXT: Final = frozenset(_words("SQ DA TM DT US UL SS SL FL FD IS DS OB OW UN"))


# -- what was scheduled ----------------------------------------------------------------------------------------------


def scheduled(step: Any) -> list[dict[str, Any]]:
    """The values by keyword of each scheduled step in worklist rows, data sets or dicts.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or it is none of these.

    Examples
    --------
    >>> scheduled({"PatientID": "1", "Modality": "CT"})
    [{'PatientID': '1', 'Modality': 'CT'}]
    """
    found = list(_each(step))
    if not found:
        raise InvalidRequest("nothing is selected", advice="Choose a row of the worklist.")
    return found


def _each(step: Any) -> Iterator[dict[str, Any]]:
    import pandas as pd
    from pydicom.dataset import Dataset

    if isinstance(step, pd.DataFrame):
        for _, row in step.iterrows():
            yield from _each(row)
    elif isinstance(step, pd.Series):
        yield {str(name): value for name, value in step.items() if str(name)[:1].isupper()}
    elif isinstance(step, Dataset):
        values = {part.keyword: part.value for part in step if part.keyword and part.keyword != STEP}
        for item in step.get(STEP) or [Dataset()]:
            yield {**values, **{part.keyword: part.value for part in item if part.keyword}}
    elif isinstance(step, Mapping):
        for keyword in step:
            keyword_known(keyword)
        yield dict(step)
    elif isinstance(step, Sequence) and not isinstance(step, str | bytes):
        for one in step:
            yield from _each(one)
    else:
        raise InvalidRequest(
            f"{type(step).__name__} {step!r:.60} is no procedure step",
            advice="Give a row of peer.worklist(...), a dict of attributes, or the UID of a step that was begun.",
        )


# -- data sets -------------------------------------------------------------------------------------------------------


def creation(steps: Sequence[Mapping[str, Any]], given: Mapping[str, Any], calling: str, now: dt.datetime) -> Dataset:
    """The attribute list of the N-CREATE: all that may be said in the end, empty where it is not known yet (R8.3).

    Parameters
    ----------
    steps
        Scheduled steps of one patient, as `scheduled` gives them.
    given
        Attributes by keyword that the caller says; None makes one that is empty so far.
    calling
        Our AE title: of the station, where nothing else is said.
    now
        When it begins.

    Raises
    ------
    InvalidRequest
        A value that must be there is not, or one is not the caller's to say.
    """
    from pydicom.dataset import Dataset

    _of_one_patient(steps)
    own, first = dict(given), steps[0]
    for keyword in own:
        _known(keyword, (*FIRST, *LATER, *DOSE, *BILLING), "of a step that begins")
    made = Dataset()
    for keyword in (*PATIENT, "IssuerOfPatientID"):
        if keyword in PATIENT or not missing(first.get(keyword)):
            made.add(filled(keyword, first.get(keyword)))
    made.ScheduledStepAttributesSequence = [_scheduled_item(step) for step in steps]
    modality = own.pop("Modality", None) or _modality(steps)
    modality = str(filled("Modality", modality).value)
    defaults: dict[str, Any] = {
        "PerformedProcedureStepID": f"P{now:%y%m%d%H%M%S%f}"[:16],
        "PerformedStationAETitle": calling,
        "PerformedProcedureStepStartDate": f"{now:%Y%m%d}",
        "PerformedProcedureStepStartTime": f"{now:%H%M%S}",
        "StudyID": first.get("RequestedProcedureID"),
        "PerformedProcedureStepDescription": first.get("ScheduledProcedureStepDescription"),
        "ProcedureCodeSequence": first.get("RequestedProcedureCodeSequence"),
        "PerformedProtocolCodeSequence": first.get("ScheduledProtocolCodeSequence"),
    }
    for keyword in (*FIRST, *LATER, *(DOSE if modality in X_RAYS else ())):
        made.add(filled(keyword, defaults.get(keyword)))
    made.Modality, made.PerformedProcedureStepStatus = modality, "IN PROGRESS"
    made.PerformedSeriesSequence = made.PerformedProcedureStepDiscontinuationReasonCodeSequence = []
    for keyword, value in own.items():
        made.add(filled(keyword, value, strict=True))
    for keyword in FIRST[:2] + FIRST[4:6]:
        if not made[keyword].value:
            raise InvalidRequest(f"a step cannot begin without its {keyword}", advice="Give it a value.")
    declare(made)
    return made


def _scheduled_item(step: Mapping[str, Any]) -> Dataset:
    from pydicom.dataset import Dataset

    values = dict(step)
    if missing(values.get("StudyInstanceUID")):
        if not missing(values.get("ScheduledProcedureStepID")):
            raise InvalidRequest(
                "a scheduled step has no StudyInstanceUID", advice="Ask the worklist for it, or give a dict that has."
            )
        values["StudyInstanceUID"] = new_uid()  # nothing was scheduled: the study begins here
    item = Dataset()
    for keyword in SCHEDULED:
        item.add(filled(keyword, values.get(keyword)))
    return item


def _of_one_patient(steps: Sequence[Mapping[str, Any]]) -> None:
    for keyword in NAMED:
        several = {str(value) for step in steps if not missing(value := step.get(keyword))}
        if len(several) > 1:
            raise InvalidRequest(
                f"these {len(steps)} steps are of several patients: their {keyword} differs",
                advice="Perform the steps of each patient by themselves.",
            )


def _modality(steps: Sequence[Mapping[str, Any]]) -> str:
    several = {str(value) for step in steps if not missing(value := step.get("Modality"))}
    if len(several) != 1:
        what = f"has several modalities, {' and '.join(sorted(several))}" if several else "has no Modality"
        raise InvalidRequest(f"the step {what}", advice='Say which: perform(step, Modality="CT").')
    return several.pop()


def changeable(keyword: str, created: Sequence[str]) -> None:
    """Refuse an attribute that no N-SET may hold, or that the step was not created with (R8.3, R8.4).

    Raises
    ------
    InvalidRequest
        It is one of those; the message says where its value comes from.
    """
    _known(keyword, (*LATER, *DOSE, *BILLING), "that may change once a step is begun")
    if keyword not in created:
        raise InvalidRequest(
            f"the step was created without {keyword}, and only what it was created with may be set",
            advice=f"Create it empty: perform(step, {keyword}=None).",
        )


def _known(keyword: str, allowed: Sequence[str], what: str) -> None:
    if keyword in allowed:
        return
    if keyword in OURS:
        raise InvalidRequest(f"{keyword} is said by the step itself", advice=OURS[keyword])
    keyword_known(keyword)
    near = did_you_mean(keyword, allowed)
    fixed = (*PATIENT, *SCHEDULED, *FIRST, "IssuerOfPatientID")
    advice = "It is what it was when the step was begun." if keyword in FIRST else "It comes from the scheduled step."
    raise InvalidRequest(
        f"{keyword} is no attribute {what}{near}",
        advice=advice if keyword in fixed else f"Those are {', '.join(allowed[:8])}, and of dose and billing.",
    )


def reason_code(reason: Any) -> Dataset:
    """The item that says why a step was discontinued.

    Parameters
    ----------
    reason
        A meaning or value of CID 9300 of PS3.16, such as "Equipment failure" or "110501"; or a code of another list
        as (value, scheme, meaning) or a dict by keyword.

    Raises
    ------
    InvalidRequest
        It is none.

    Examples
    --------
    >>> reason_code("equipment failure").CodeValue
    '110501'
    """
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    known = [getattr(codes.cid9300, name) for name in codes.cid9300.dir()]
    if isinstance(reason, str):
        word = reason.strip().lower()
        found = next((one for one in known if word in (one.meaning.lower(), one.value)), None)
        if found is None:
            near = did_you_mean(reason, [one.meaning for one in known])
            common = "Equipment failure, Patient refused to continue procedure, Doctor canceled procedure"
            raise InvalidRequest(
                f"{reason!r} is no reason of CID 9300{near}",
                advice=f"Reasons are {common}, ...; words of your own go into comment=.",
            )
        reason = (found.value, found.scheme_designator, found.meaning)
    names = "CodeValue", "CodingSchemeDesignator", "CodeMeaning"
    if isinstance(reason, Dataset):
        reason = {name: reason.get(name) for name in names}
    values = dict(reason) if isinstance(reason, Mapping) else dict(zip(names, reason, strict=False))
    if not all(values.get(name) for name in names):
        raise InvalidRequest(
            f"{reason!r} is no code", advice="A code is (value, scheme, meaning), or a dict by keyword."
        )
    made = Dataset()
    for name, value in values.items():
        made.add(filled(name, value, strict=True))
    return made


# -- values ----------------------------------------------------------------------------------------------------------


def filled(keyword: str, value: Any, *, strict: bool = False) -> DataElement:
    """An element of a value as a table, a data set or a caller has it; empty where there is none.

    Parameters
    ----------
    strict
        Refuse what the VR does not allow; else what a worklist gave goes back as it is.

    Raises
    ------
    InvalidRequest
        It is no value of that attribute.
    """
    from pydicom.datadict import dictionary_VR

    vr = dictionary_VR(keyword)
    if missing(value):
        return loose(keyword, [] if vr == "SQ" else None)
    if vr == "SQ":
        return loose(keyword, _items(keyword, value, strict))
    value = phi.key(keyword, value)
    if not isinstance(value, str) and isinstance(value, Sequence):
        plain: Any = [_plain(keyword, vr, one) for one in value]
    else:
        plain = _plain(keyword, vr, value)
    return element(keyword, plain) if strict else loose(keyword, plain)


def missing(value: Any) -> bool:
    """Whether a cell, or what a caller gave, holds nothing."""
    import pandas as pd

    if value is None or (isinstance(value, str | list | tuple) and not len(value)):
        return True
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _items(keyword: str, value: Any, strict: bool) -> list[Dataset]:
    from pydicom.dataset import Dataset

    several = [value] if isinstance(value, Mapping | Dataset) else value
    if not isinstance(several, Sequence) or isinstance(several, str):
        raise InvalidRequest(
            f"{keyword} is a sequence, and {value!r:.60} has no items", advice="Give a dict, or a list of dicts."
        )
    made = []
    for one in several:
        pairs = [(part.keyword, part.value) for part in one] if isinstance(one, Dataset) else list(dict(one).items())
        item = Dataset()
        for name, inner in pairs:
            keyword_known(name)
            if not missing(inner):
                item.add(filled(name, inner, strict=strict))
        if len(item):
            made.append(item)
    return made


def _plain(keyword: str, vr: str, value: Any) -> Any:
    """One value in DICOM's form."""
    if vr in ("DA", "TM", "DT"):
        text = _moment(vr, value)
        if vr != "TM" and text[:4].isdecimal() and int(text[:4]) < _EARLIEST:
            raise InvalidRequest(
                f"{keyword} lies before {_EARLIEST}, as dates do in a table that was made while names were hidden",
                advice="Ask again with dl.options.phi as it is now, and take the rows of the new table.",
            )
        return text
    if vr not in _NO_TEXT and isinstance(value, int | float):
        raise InvalidRequest(
            f"{keyword} is text ({vr}), not the number {value!r}",
            advice=f"Write {keyword}={str(value)!r}; read_table keeps identifiers as text.",
        )
    return value.item() if hasattr(value, "item") and vr in _NO_TEXT else value if vr in _NO_TEXT else str(value)


def _moment(vr: str, value: Any) -> str:
    import pandas as pd

    if isinstance(value, dt.timedelta):
        value = (dt.datetime.min + value).time()
    if type(value).__name__ == "datetime64":
        value = pd.Timestamp(value)
    if isinstance(value, dt.date | dt.time):
        fraction = getattr(value, "microsecond", 0)
        text = value.strftime({"DA": "%Y%m%d", "TM": "%H%M%S", "DT": "%Y%m%d%H%M%S"}[vr])
        return text + (f".{fraction:06d}" if fraction and vr != "DA" else "")
    return str(value)


def declare(data: Dataset) -> None:
    """Say the character set where a text needs one."""
    texts = (str(part.value) for part in data.iterall() if part.VR != "SQ" and part.value is not None)
    if not all(text.isascii() for text in texts):
        data.SpecificCharacterSet = "ISO_IR 192"
