"""Keys of a worklist query: the minimal request, the two query forms, what belongs to the step (PS3.4 annex K)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..errors import InvalidRequest, did_you_mean
from .keys import Key, key_of, wanted

STEP: Final = "ScheduledProcedureStepSequence"  # each match has one item in it: the scheduled step


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: What is asked for of the step: every return key of type 1, 1C, 2 and 2C.
STEP_KEYS: Final = _words(
    """ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime Modality ScheduledStationAETitle
    ScheduledStationName ScheduledProcedureStepLocation ScheduledProcedureStepDescription
    ScheduledPerformingPhysicianName ScheduledProcedureStepID ScheduledProtocolCodeSequence PreMedication
    RequestedContrastAgent"""
)
_PATIENT_KEYS: Final = _words("PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex")
#: The same of patient, request, procedure and visit. IssuerOfPatientID, of type 3, says whose PatientID it is.
REQUEST_KEYS: Final = _PATIENT_KEYS + _words(
    """AccessionNumber RequestedProcedureID RequestedProcedureDescription RequestedProcedureCodeSequence
    RequestedProcedurePriority StudyInstanceUID ReferencedStudySequence PatientTransportArrangements
    RequestingPhysician ReferringPhysicianName AdmissionID CurrentPatientLocation ReferencedPatientSequence
    PatientWeight PregnancyStatus MedicalAlerts Allergies SpecialNeeds PatientState
    ConfidentialityConstraintOnPatientDataDescription"""
)
_CODE = _words("CodeValue CodingSchemeDesignator CodingSchemeVersion CodeMeaning")
_REFERENCE = _words("ReferencedSOPClassUID ReferencedSOPInstanceUID")
#: What is asked for in the items of a sequence.
ITEM_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "ScheduledProtocolCodeSequence": _CODE,
    "RequestedProcedureCodeSequence": _CODE,
    "ReferencedStudySequence": _REFERENCE,
    "ReferencedPatientSequence": _REFERENCE,
}
#: Attributes that stand in the item of the step, so that a key of that name is asked for there.
OF_STEP: Final = frozenset(STEP_KEYS) | frozenset(
    _words(
        """ScheduledProcedureStepEndDate ScheduledProcedureStepEndTime ScheduledProcedureStepStatus
        ScheduledPerformingPhysicianIdentificationSequence CommentsOnTheScheduledProcedureStep"""
    )
)
#: The columns of the table, in their order; keys beside the minimal request come behind.
COLUMNS: Final = (*STEP_KEYS[:5], *_PATIENT_KEYS, *dict.fromkeys((*REQUEST_KEYS, *STEP_KEYS)))
#: The two query forms of IHE, by the keys that each may filter by, in any combination.
FORMS: Final[dict[str, frozenset[str]]] = {
    "patient": frozenset(_words("PatientName PatientID AccessionNumber RequestedProcedureID")),
    "broad": frozenset(_words("ScheduledProcedureStepStartDate Modality ScheduledStationAETitle")),
}


def placed(keys: Mapping[Any, Any]) -> dict[Any, Any]:
    """The keys with those of the step put into its item.

    Examples
    --------
    >>> placed({"Modality": "CT", "PatientID": "1"})
    {'ScheduledProcedureStepSequence[0].Modality': 'CT', 'PatientID': '1'}
    """
    found: dict[Any, Any] = {}
    for name, value in keys.items():
        key = key_of(name)
        if key.name == STEP and (value is None or (isinstance(value, str) and not value)):
            continue  # all of it is asked for anyway
        found[f"{STEP}[0].{key.name}" if Key(key.path[:1]).name in OF_STEP else name] = value
    return found


def label(name: str) -> str:
    """The column of a key: of one in the step, its name there.

    Examples
    --------
    >>> label("ScheduledProcedureStepSequence[0].Modality"), label("PatientID")
    ('Modality', 'PatientID')
    """
    inner = name.removeprefix(f"{STEP}[0].")
    return inner if inner.partition("[")[0] in OF_STEP else name


def return_keys() -> list[str]:
    """The keys of the minimal request, as paths: nothing is filtered, all that an archive must know comes back."""
    found: list[str] = []
    for name in dict.fromkeys(COLUMNS):
        path = f"{STEP}[0].{name}" if name in OF_STEP else name
        found += [f"{path}[0].{inner}" for inner in ITEM_KEYS.get(name, ())] or [path]
    return found


def query_form(keys: Mapping[Any, Any], form: str | None = None) -> str:
    """Which query form the keys that have a value are of: "patient", "broad", or "free" where it is neither.

    Raises
    ------
    InvalidRequest
        `form` names another form than theirs, or none.
    """
    if form is not None and form not in FORMS:
        raise InvalidRequest(
            f"{form!r} is no query form{did_you_mean(str(form), list(FORMS))}", advice=f"Use {' or '.join(FORMS)}."
        )
    filters = [label(one.key.name) for one in wanted(keys) if one.filters]
    if form is not None:
        other = [name for name in filters if name not in FORMS[form]]
        if other:
            raise InvalidRequest(
                f"{', '.join(other)} is no key of the {form} query form",
                advice=f"Its keys are {', '.join(sorted(FORMS[form]))}; leave form out to combine any.",
            )
        return form
    return next((name for name, known in FORMS.items() if filters and known.issuperset(filters)), "free")


def check_moment(keys: Mapping[Any, Any]) -> None:
    """Refuse hours of several days at once: archives take them as one period, or as these hours of each day.

    Raises
    ------
    InvalidRequest
        A range of dates comes with a time.
    """
    given = {label(one.key.name): one.values for one in wanted(keys) if one.filters}
    dates = [str(value).partition("-") for value in given.get("ScheduledProcedureStepStartDate", ())]
    if "ScheduledProcedureStepStartTime" in given and any(dash and first != last for first, dash, last in dates):
        raise InvalidRequest(
            "a range of days and a time of day have two meanings: archives read them as one period, "
            "or as these hours of each day",
            advice="Give one day, or leave the time out and choose among the rows.",
        )
