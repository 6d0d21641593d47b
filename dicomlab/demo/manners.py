"""What archives do differently, as data: what is answered, refused, counted or left out."""

from __future__ import annotations

from dataclasses import dataclass

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


#: What dcmqrscp (DCMTK 3.6.7) knows at each level; it leaves out every other key, asked for or not.
DCMQRSCP_KEYS: dict[str, frozenset[str]] = {
    "PATIENT": words(
        "PatientName PatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientNames EthnicGroup "
        "PatientComments"
    ),
    "STUDY": words(
        "StudyDate StudyTime AccessionNumber StudyID StudyInstanceUID ReferringPhysicianName "
        "StudyDescription NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription PatientAge "
        "PatientSize PatientWeight Occupation AdditionalPatientHistory"
    ),
    "SERIES": words("Modality SeriesNumber SeriesInstanceUID"),
    "IMAGE": words("InstanceNumber SOPInstanceUID"),
}


@dataclass(frozen=True)
class Manners:
    """How the demo PACS behaves where peers differ; the defaults follow PS3.4.

    Examples
    --------
    >>> Manners.dcmqrscp().counts, Manners.orthanc().no_match
    (False, 49152)
    """

    name: str = "plain"
    fold_person_names: bool = True  # PN matches without regard to case (PS3.4 C.2.2.2.1 leaves it open)
    counts: bool = True  # NumberOf..., ModalitiesInStudy, SOPClassesInStudy are answered
    availability: str | None = "ONLINE"  # InstanceAvailability where asked for; None: never answered
    retrieve_ae: str = "always"  # RetrieveAETitle: "always", "unless asked" (then empty), "never"
    known_keys: dict[str, frozenset[str]] | None = None  # by level; other keys are ignored. None: all
    relational: bool = False  # unique keys above the level may be left out without agreement
    agree: tuple[int, ...] = ()  # bytes of extended negotiation answered; () answers none
    no_level: int = 0xA900  # status where Query/Retrieve Level is missing
    wrong_level: int | None = 0xA900  # status where the model lacks the level; None: answered all the same
    patient_study_only: bool = True  # the retired model is offered
    response_limit: int | None = None  # C-FIND ends with 0xB001 after so many
    no_match: int = 0x0000  # final status of a C-GET or C-MOVE that matches nothing
    dead_destination: int = 0xA702  # final status where the destination refuses or does not answer
    pending_counts: bool = True  # pending responses carry the counts
    pending_last: bool = True  # a pending response also follows the last sub-operation
    failed_list: bool = True  # FailedSOPInstanceUIDList comes with warnings and failures
    originator: bool = True  # C-STORE of a C-MOVE carries the originator
    role_answer: bool = True  # SCP/SCU role selection is answered
    read_only: bool = False  # storage contexts are refused with result 1
    store_status: int = 0x0000  # the answer to a C-STORE that could be kept
    store_syntaxes: tuple[str, ...] | None = None  # transfer syntaxes taken for storage; None: all
    character_set: bool = True  # (0008,0005) is in the responses that need it
    pace: float = 0.0  # seconds after each pending response
    pause: float = 0.0  # seconds each sub-operation of a C-GET or C-MOVE takes, before its C-STORE goes out

    @classmethod
    def dcmqrscp(cls) -> Manners:
        """DCMTK's dcmqrscp: no counts, few keys, case matters in names."""
        return cls(
            name="dcmqrscp",
            fold_person_names=False,
            counts=False,
            availability=None,
            known_keys=DCMQRSCP_KEYS,
            relational=True,
            wrong_level=0xC000,
        )

    @classmethod
    def orthanc(cls) -> Manners:
        """Orthanc: counts, level by level checks relaxed, 0xC000 for what it does not find."""
        return cls(
            name="orthanc",
            availability="",
            retrieve_ae="unless asked",
            relational=True,
            no_level=0xC000,
            wrong_level=None,
            patient_study_only=False,
            no_match=0xC000,
            dead_destination=0xC000,
            pending_last=False,
            failed_list=False,
        )
