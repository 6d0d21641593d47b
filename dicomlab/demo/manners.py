"""What archives do differently, as data: what is answered, refused, counted or left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from .matching import Rules

#: Transfer syntaxes by their UIDs (PS3.6 annex A), of the demo's own as all that it encodes with.
EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
FOLDING = Rules(fold=True)


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


#: What dcmqrscp (DCMTK 3.6.7) keeps of each level: it answers these, empty where there is no value, and no others.
DCMQRSCP_KEYS: dict[str, frozenset[str]] = {
    "PATIENT": words(
        "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs "
        "OtherPatientNames EthnicGroup"
    ),
    "STUDY": words(
        "StudyDate StudyTime AccessionNumber StudyID StudyInstanceUID ReferringPhysicianName "
        "StudyDescription NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription PatientAge "
        "PatientSize PatientWeight Occupation"
    ),
    "SERIES": words("Modality SeriesNumber SeriesInstanceUID"),
    "IMAGE": words("InstanceNumber SOPInstanceUID"),
}


PRINTER = {
    "PrinterStatus": "NORMAL",
    "PrinterStatusInfo": "NORMAL",
    "PrinterName": "DEMO",
    "Manufacturer": "dicomlab",
    "ManufacturerModelName": "demo PACS",
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
    # associations
    agree: tuple[int, ...] = ()  # bytes of extended negotiation answered; () answers none
    patient_study_only: bool = True  # the retired model is offered
    reject_unfit: bool = False  # an association in which no context fits is rejected (1/1/1)
    preferred_syntax: str | None = None  # accepted wherever it is proposed; None: the first that is proposed
    role_answer: bool = True  # SCP/SCU role selection is answered
    users: dict[str, str] | None = None  # who is let in, with passcode or "": others are rejected. None: anybody
    # the hierarchy of PS3.4 C.4
    hierarchy: str = "strict"  # unique keys above: "strict" one value each, "present" may be empty, "lenient" not due
    any_case: bool = False  # "study" is a level
    no_level: int = 0xA900  # status where Query/Retrieve Level is missing
    unknown_level: int = 0xA900  # status where it is no level at all
    wrong_level: int | None = 0xA900  # status where the model lacks the level; None: answered all the same
    # matching
    matching: Rules = FOLDING  # PS3.4 C.2.2.2.1 leaves the case of names open
    misplaced_wild: int | None = None  # status of a wild card in a UID, date or time; None: it matches by its rules
    known_keys: dict[str, frozenset[str]] | None = None  # by level; other keys are ignored. None: all
    filter_above: bool = True  # keys of the levels above match too; False: their unique keys alone
    filter_elsewhere: bool = False  # keys of levels below and counts, which are not kept, match nothing; False: ignored
    # the worklist
    period: bool = True  # ranges of date and time of a step are one period; False: each matches by itself
    many_held: bool = True  # an attribute of a step that has several values matches by any; False: by none
    # answers
    counts: bool = True  # NumberOf..., ModalitiesInStudy, SOPClassesInStudy are answered
    counts_above: bool = True  # those of the levels above too; False: empty
    availability: str | None = "ONLINE"  # InstanceAvailability where asked for; None: never answered
    retrieve_ae: str = "always"  # RetrieveAETitle: "always", "unless asked" (then empty), "never"
    any_attribute: bool = False  # whatever the first instance of a match holds is answered, at every level
    empty_sequences: bool = True  # a sequence without items is answered
    character_set: str = "own"  # (0008,0005) of responses: the data's "own", the one "asked" with, "never"
    response_limit: int | None = None  # C-FIND ends with 0xB001 after so many
    # sub-operations
    no_match: int = 0x0000  # final status of a C-GET or C-MOVE that matches nothing
    refusal_counts: bool = False  # a refused C-GET or C-MOVE carries counts of 0
    unknown_destination: int = 0xA801
    dead_destination: int = 0xA702  # final status where the destination refuses or does not answer
    no_context: int | None = None  # status of a C-GET at the first instance no context fits; None: it goes on
    failed_move: int | None = None  # status of a C-MOVE at the first C-STORE that fails; None: it goes on
    move_warnings: bool = True  # warnings at the destination are counted; False: as completed
    pending_counts: bool = True  # pending responses carry the counts
    pending_last: frozenset[str] = frozenset(["C-GET", "C-MOVE"])  # where one also follows the last sub-operation
    failed_list: bool = True  # FailedSOPInstanceUIDList comes with warnings and failures
    originator: bool = True  # C-STORE of a C-MOVE carries the originator
    # storage
    read_only: bool = False  # storage contexts are refused with result 1
    store_status: int = 0x0000  # the answer to a C-STORE that could be kept
    store_syntaxes: tuple[str, ...] | None = None  # transfer syntaxes taken for storage; None: all
    # storage commitment
    commitment: str = "new"  # how it answers: on a "new" association, the "same", "never"; "absent": not offered
    commitment_status: int = 0x0000  # the answer to the request itself
    commitment_delay: float = 0.0  # seconds until the event
    commitment_events: int = 1  # how often it comes
    commitment_reasons: dict[str, int] = field(default_factory=dict)  # SOP Instance UID: why it is not kept
    commitment_uid: str | None = None  # Transaction UID of the event; None: the one of the request
    commitment_silent: frozenset[str] = frozenset()  # SOP Instance UIDs that the event does not name
    # print
    print_classes: frozenset[str] = frozenset(
        ("grayscale", "colour", "annotation", "presentation LUT", "print job", "printer configuration")
    )
    print_statuses: dict[str, int] = field(default_factory=dict)  # "N-SET image box": what it is answered with
    print_events: dict[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)  # of the printer, before that
    print_printer: dict[str, str] = field(default_factory=lambda: dict(PRINTER))  # what N-GET knows
    print_job: tuple[int, ...] = (1, 2, 3)  # the events of a print job: pending, printing, done; 4 is failure
    print_job_info: str = "NORMAL"
    print_pace: float = 0.01  # seconds before each of them
    print_one_box: bool = False  # a film box is made only once the one before is printed
    print_largest: int = 0  # rows or columns above which an image is refused; 0: none
    # procedure steps
    performed: int = 2  # classes that are offered: 0 none, 1 MPPS, 2 its Retrieve class too
    performed_ignores: frozenset[str] = frozenset()  # keywords that are not kept: a warning, 0x0107, names them
    # media creation
    media: bool = True  # it is offered
    media_create: int = 0x0000  # the answer to an N-CREATE that could be taken
    media_action: int = 0x0000  # the answer to an N-ACTION that initiates
    media_get: int = 0x0000  # the answer to an N-GET
    media_cancel: int | None = None  # the answer to an N-ACTION that cancels; None: as its state is
    media_states: tuple[str, ...] = ("PENDING", "CREATING", "DONE")  # one after the other, at each N-GET
    media_info: str = "NORMAL"  # Execution Status Info at the end
    media_failures: dict[str, int] = field(default_factory=dict)  # SOP Instance UID: why it is not on the media
    # the patient updater
    updater: bool = True  # it is offered
    updater_status: int = 0x0000  # the answer to an action that is known
    updater_demands: frozenset[str] = words(
        "RequestedProcedureDescription ReasonForTheRequestedProcedure OperatorsName StationName InstanceCreationDate "
        "InstanceCreationTime TransactionUID"
    )  # what an action must have of the common block
    # time
    pace: float = 0.0  # seconds after each pending response
    pause: float = 0.0  # seconds each sub-operation of a C-GET or C-MOVE takes, before its C-STORE goes out

    @classmethod
    def dcmqrscp(cls) -> Manners:
        """DCMTK's dcmqrscp: no counts, few keys, case matters in names, keys above the level are ignored."""
        return cls(
            name="dcmqrscp",
            print_classes=frozenset(),
            performed=0,
            media=False,
            updater=False,
            preferred_syntax=EXPLICIT,
            hierarchy="present",
            any_case=True,
            unknown_level=0xC000,
            wrong_level=0xC000,
            matching=Rules(trim=False, lists=False, universal=False, short_dates="never", numbers=False),
            known_keys=DCMQRSCP_KEYS,
            filter_above=False,
            counts=False,
            availability=None,
            character_set="asked",
            refusal_counts=True,
        )

    @classmethod
    def dcmprscp(cls) -> Manners:
        """DCMTK's dcmprscp, a printer in grey: no events, and of its attributes two alone."""
        return cls(
            name="dcmprscp",
            print_classes=frozenset(("grayscale", "presentation LUT")),
            print_printer=dict.fromkeys(("PrinterStatus", "PrinterStatusInfo"), "NORMAL"),
        )

    @classmethod
    def wlmscpfs(cls) -> Manners:
        """DCMTK's wlmscpfs, a worklist alone: case matters in names, no character set is named."""
        return cls(
            name="wlmscpfs",
            print_classes=frozenset(),
            performed=0,
            media=False,
            updater=False,
            reject_unfit=True,
            preferred_syntax=EXPLICIT,
            matching=Rules(trim=False, lists=False, universal=False, numbers=False),
            character_set="never",
        )

    @classmethod
    def orthanc(cls) -> Manners:
        """Orthanc: counts, the hierarchy hardly matters, 0xC000 for all that does not work."""
        return cls(
            name="orthanc",
            print_classes=frozenset(),
            performed=0,
            media=False,
            updater=False,
            patient_study_only=False,
            preferred_syntax=EXPLICIT,
            hierarchy="lenient",
            any_case=True,
            no_level=0xC000,
            unknown_level=0xC000,
            wrong_level=None,
            matching=Rules(fold=True, trim=False, universal=False, short_dates="text", numbers=False),
            misplaced_wild=0xC000,
            filter_elsewhere=True,
            period=False,
            many_held=False,
            counts_above=False,
            availability="",
            retrieve_ae="unless asked",
            any_attribute=True,
            empty_sequences=False,
            no_match=0xC000,
            refusal_counts=True,
            unknown_destination=0xC000,
            dead_destination=0xC000,
            no_context=0xC000,
            failed_move=0xC000,
            move_warnings=False,
            pending_last=frozenset(["C-GET"]),
            failed_list=False,
        )
