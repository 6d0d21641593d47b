"""Information models of queries: their levels, the attributes of each, and what is asked for (PS3.4 C.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..errors import InvalidRequest
from ..level import QueryLevel
from .keys import Key, key_of

PATIENT_ROOT: Final = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT: Final = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY: Final = "1.2.840.10008.5.1.4.1.2.3.1"  # retired
WORKLIST: Final = "1.2.840.10008.5.1.4.31"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Levels of each information model (PS3.4 C.6).
MODELS: Final[dict[str, tuple[QueryLevel, ...]]] = {
    PATIENT_ROOT: tuple(QueryLevel),
    STUDY_ROOT: (QueryLevel.STUDY, QueryLevel.SERIES, QueryLevel.IMAGE),
    PATIENT_STUDY_ONLY: (QueryLevel.PATIENT, QueryLevel.STUDY),
}

_NAMES: Final = {PATIENT_ROOT: "Patient Root", STUDY_ROOT: "Study Root", PATIENT_STUDY_ONLY: "Patient/Study Only"}

#: Attributes of each level, beside its unique key (PS3.4 C.6.1.1); what is in none is an attribute of IMAGE.
ATTRIBUTES: Final[dict[QueryLevel, frozenset[str]]] = {
    QueryLevel.PATIENT: frozenset(
        _words(
            """PatientID PatientName IssuerOfPatientID IssuerOfPatientIDQualifiersSequence PatientBirthDate
        PatientBirthTime PatientSex OtherPatientIDs OtherPatientIDsSequence OtherPatientNames
        EthnicGroup PatientComments ReferencedPatientSequence ReferencedPatientPhotoSequence
        QualityControlSubject PatientSpeciesDescription PatientBreedDescription ResponsiblePerson
        ResponsibleOrganization NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries
        NumberOfPatientRelatedInstances"""
        )
    ),
    QueryLevel.STUDY: frozenset(
        _words(
            """StudyInstanceUID StudyDate StudyTime AccessionNumber IssuerOfAccessionNumberSequence StudyID
        StudyDescription ReferringPhysicianName ConsultingPhysicianName NameOfPhysiciansReadingStudy
        PhysiciansOfRecord ProcedureCodeSequence AdmittingDiagnosesDescription
        AdmittingDiagnosesCodeSequence ReferencedStudySequence PatientAge PatientSize PatientWeight
        Occupation AdditionalPatientHistory OtherStudyNumbers ModalitiesInStudy SOPClassesInStudy
        AnatomicRegionsInStudyCodeSequence NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
        RequestingService ReasonForVisit AdmissionID"""
        )
    ),
    QueryLevel.SERIES: frozenset(
        _words(
            """SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDescriptionCodeSequence
        SeriesDate SeriesTime BodyPartExamined ProtocolName Laterality PerformingPhysicianName
        OperatorsName PatientPosition FrameOfReferenceUID Manufacturer ManufacturerModelName
        DeviceSerialNumber StationName SoftwareVersions InstitutionName InstitutionAddress
        InstitutionalDepartmentName RequestAttributesSequence
        ReferencedPerformedProcedureStepSequence PerformedProcedureStepID
        PerformedProcedureStepDescription PerformedProcedureStepStartDate
        PerformedProcedureStepStartTime PerformedProcedureStepEndDate PerformedProcedureStepEndTime
        PresentationIntentType NumberOfSeriesRelatedInstances"""
        )
    ),
}

#: What no header holds, but the archive computes from the levels below (PS3.4 C.3.4).
COMPUTED: Final[frozenset[str]] = frozenset(
    _words(
        """NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances
    NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances NumberOfSeriesRelatedInstances
    ModalitiesInStudy SOPClassesInStudy AnatomicRegionsInStudyCodeSequence"""
    )
)

#: What is asked for when nothing else is said, by level; all of it is harmless where a peer does not know it.
#: SOPClassesInStudy is not among them: an archive may have to look at every instance of every match for it.
RETURN_KEYS: Final[dict[QueryLevel, tuple[str, ...]]] = {
    QueryLevel.PATIENT: _words(
        """PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex
        NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances"""
    ),
    QueryLevel.STUDY: _words(
        """PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex StudyInstanceUID
        StudyDate StudyTime AccessionNumber StudyID StudyDescription ReferringPhysicianName
        ModalitiesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances InstanceAvailability"""
    ),
    QueryLevel.SERIES: _words(
        """StudyInstanceUID SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate
        SeriesTime BodyPartExamined ProtocolName NumberOfSeriesRelatedInstances InstanceAvailability"""
    ),
    QueryLevel.IMAGE: _words(
        """StudyInstanceUID SeriesInstanceUID SOPInstanceUID SOPClassUID InstanceNumber Rows Columns
        BitsAllocated NumberOfFrames AvailableTransferSyntaxUID InstanceAvailability"""
    ),
}

#: What instances of some modalities are asked for beside that, by IHE.
_DOCUMENT = _words(
    """ContentDate ContentTime ConceptNameCodeSequence CompletionFlag VerificationFlag ObservationDateTime
    ReferencedSeriesSequence"""
)
IHE_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "PR": _words(
        """ContentLabel ContentDescription PresentationCreationDate PresentationCreationTime ContentCreatorName
        ReferencedSeriesSequence"""
    ),
    "SR": _DOCUMENT,
    "KO": _DOCUMENT,
}
#: What comes without being asked for, and from some archives (Orthanc) empty where it is asked for.
UNASKED: Final = ("RetrieveAETitle",)

ORDER: Final = {QueryLevel.PATIENT: 0, QueryLevel.STUDY: 1, QueryLevel.SERIES: 2, QueryLevel.IMAGE: 3}


def levels_of(model: str) -> tuple[QueryLevel, ...]:
    """The levels of an information model, highest first; () for a model without levels."""
    return MODELS.get(str(model), ())


def checked_level(level: str, model: str = STUDY_ROOT) -> QueryLevel:
    """The level of that name, if the model has it.

    Raises
    ------
    InvalidRequest
        There is no such level, or the model does not have it.
    """
    found = QueryLevel.of(level)
    known = levels_of(model)
    if found not in known:
        raise InvalidRequest(
            f"the information model {_NAMES.get(model, model)} has no {found} level",
            advice='Ask for patients with model="patient", or leave model out.'
            if found is QueryLevel.PATIENT
            else f"Its levels are {', '.join(known)}."
            if known
            else "It has no levels: leave the level out, by find(None, ...).",
        )
    return found


def unique_keys_above(level: str, model: str = STUDY_ROOT) -> list[str]:
    """Keywords of the unique keys of the levels above, as the model has them (no PatientID in Study Root).

    Examples
    --------
    >>> unique_keys_above("IMAGE")
    ['StudyInstanceUID', 'SeriesInstanceUID']
    """
    found = checked_level(level, model)
    known = levels_of(model)
    return [one.unique_key for one in known[: known.index(found)]]


def level_of_key(key: Key, level: QueryLevel, model: str = STUDY_ROOT) -> QueryLevel:
    """The level at which a key of a query at `level` is asked: its own, or `level` where its own is below."""
    word = Key(key.path[:1]).name
    own = next((one for one, known in ATTRIBUTES.items() if word in known), QueryLevel.IMAGE)
    if ORDER[own] > ORDER[level]:
        return level
    known_levels = levels_of(model)
    return own if own in known_levels else known_levels[0]


def split_keys(
    level: str, keys: Mapping[Any, Any], model: str = STUDY_ROOT
) -> dict[QueryLevel, dict[Any, Any]]:
    """The keys by the level they belong to, for a drill-down (PS3.4 C.4.1.2.1); a level without keys has {}.

    Parameters
    ----------
    level
        The level of the query.
    keys
        Keys as given; their values are not looked at.

    Returns
    -------
    by_level
        Highest level first, down to `level`. In Study Root the attributes of a patient belong to STUDY.

    Examples
    --------
    >>> split_keys("SERIES", {"PatientName": "DOE*", "Modality": "CT"})[QueryLevel.STUDY]
    {'PatientName': 'DOE*'}
    """
    lowest = checked_level(level, model)
    known = levels_of(model)
    found: dict[QueryLevel, dict[Any, Any]] = {one: {} for one in known[: known.index(lowest) + 1]}
    for name, value in keys.items():
        found[level_of_key(key_of(name), lowest, model)][name] = value
    return found
