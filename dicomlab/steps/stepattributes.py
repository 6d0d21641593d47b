"""What a modality performed procedure step says of itself: when it is created, later, and at its end (PS3.4 F.7.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidRequest, did_you_mean
from ..queries.worklistkeys import STEP
from ..writers.modules import keyword_known, new_uid
from .stepvalues import declare, filled, missing

if TYPE_CHECKING:
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
