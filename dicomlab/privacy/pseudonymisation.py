"""Copies of instances under pseudonyms, with the map of them in the user's hands (R13.12)."""

from __future__ import annotations

import copy
import datetime as dt
import os
import re
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from ..disk.placing import Piece
from ..errors import BadFile, InvalidRequest, ResultWarning
from ..outgoing.fileset import file_name, file_of, meta_of, to_folder
from ..outgoing.outgoing import Outgoing, outgoing
from ..pixels.transcoding import read_file
from ..progress import reporter
from ..scanning.instances import instances as table_of
from ..writing.originals import target_of
from .pseudonymmap import PseudonymMap, held, map_path
from .remains import Remains

if TYPE_CHECKING:
    import pandas as pd

_STANDARD = "1.2.840.10008."  # UIDs that PS3.6 gives out: classes, transfer syntaxes, well-known frames of reference
_CLASSES = frozenset(("CodingSchemeUID", "ContextUID", "MappingResourceUID", "ContextGroupExtensionCreatorUID"))
_IDENTIFIERS = frozenset(
    (
        "AccessionNumber", "AdmissionID", "CassetteID", "DetectorID", "DeviceID", "DeviceSerialNumber",
        "FillerOrderNumberImagingServiceRequest", "GantryID", "OtherPatientIDs", "PatientID",
        "PerformedProcedureStepID", "PlacerOrderNumberImagingServiceRequest", "PlateID", "RequestedProcedureID",
        "ScheduledProcedureStepID", "ServiceEpisodeID", "SpecimenIdentifier", "StudyID",
    )
)  # fmt: skip
#: What says who or where somebody is and is needed for nothing: it is emptied.
_EMPTIED = frozenset(
    (
        "AdditionalPatientHistory", "AdmittingDiagnosesDescription", "Allergies", "BranchOfService",
        "CommentsOnThePerformedProcedureStep", "ConfidentialityConstraintOnPatientDataDescription",
        "CountryOfResidence", "CurrentPatientLocation", "EthnicGroup", "ImageComments", "ImagingServiceRequestComments",
        "InstitutionAddress", "InstitutionCodeSequence", "InstitutionName", "InstitutionalDepartmentName",
        "InstitutionalDepartmentTypeCodeSequence", "InsurancePlanIdentification", "IssuerOfAccessionNumberSequence",
        "IssuerOfAdmissionID", "IssuerOfAdmissionIDSequence", "IssuerOfPatientID",
        "IssuerOfPatientIDQualifiersSequence", "IssuerOfServiceEpisodeID", "MedicalAlerts", "MedicalRecordLocator",
        "MilitaryRank", "Occupation", "OrderCallbackPhoneNumber", "OrderEntererLocation", "PatientAddress",
        "PatientComments", "PatientInstitutionResidence", "PatientInsurancePlanCodeSequence",
        "PatientReligiousPreference", "PatientState", "PatientTelecomInformation", "PatientTelephoneNumbers",
        "PatientTransportArrangements", "PerformedLocation", "PerformedStationName", "PersonAddress",
        "PersonIdentificationCodeSequence", "PersonTelecomInformation", "PersonTelephoneNumbers",
        "PhysiciansOfRecordIdentificationSequence", "PhysiciansReadingStudyIdentificationSequence",
        "PerformingPhysicianIdentificationSequence", "OperatorIdentificationSequence",
        "ReferringPhysicianAddress", "ReferringPhysicianIdentificationSequence", "ReferringPhysicianTelephoneNumbers",
        "RegionOfResidence", "RequestedProcedureComments", "RequestedProcedureLocation", "RequestingService",
        "ResponsibleOrganization", "ScheduledPatientInstitutionResidence", "ScheduledProcedureStepLocation",
        "ScheduledStationName", "ServiceEpisodeDescription", "SpecialNeeds", "StationName", "StudyComments",
        "VisitComments",
    )
)  # fmt: skip
#: What would hold the old values, or would no longer be true: it is removed.
_REMOVED = frozenset(
    ("OriginalAttributesSequence", "EncryptedAttributesSequence", "DigitalSignaturesSequence", "MACParametersSequence")
)
_TEXT = frozenset(("LO", "SH", "LT", "ST", "UT", "UC", "UR"))
_SHORTEST = 3  # characters of a name or an identifier that is looked for in texts


def pseudonymise(
    instances: Any,
    to: str | os.PathLike[str],
    *,
    map: Any,
    private: str = "drop",
    progress: Any = None,
) -> pd.DataFrame:
    """Copies of instances under pseudonyms; the map that leads back is yours to keep.

    The same patient, name, identifier and UID gets the same pseudonym each time that the same map is used, so that
    studies of another day still belong together and references between instances stay right. All dates of a patient
    are moved by one number of days, birth date too, so that ages and intervals stay. Institutions, addresses,
    stations, comments and the like are emptied; where the patient's name or identifier stands in another text, the
    pseudonym takes its place. **Pixels, overlays, documents, the time of day, sex, age, weight and descriptions
    stay**: what is made is pseudonymous, and whoever has the map, or knows the images, knows the patient.

    Parameters
    ----------
    instances
        An instances table, rows of one, paths or data sets.
    to
        A folder; its files are named by their new SOP Instance UID, and who may read them is as your system has it for
        new ones (umask).
    map
        The path of a file (JSON, readable by you alone, made where there is none), or a dictionary. Not in `to`.
    private
        "drop", or "keep": private attributes as they are.
    progress
        False, True, or a function of (done, total).

    Returns
    -------
    pandas.DataFrame
        The instances table of the copies. ``attrs["remarks"]`` says what was dropped, and what is still there:
        burned-in text, overlays, documents; of these a warning tells too.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or `map` is none; nothing was written.
    BadFile
        An instance cannot be read; nothing was written.

    Examples
    --------
    >>> import tempfile
    >>> from pydicom.data import get_testdata_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     who = {"patients": {"1CT1": {"PatientID": "S01", "days": -400}}}
    ...     made = pseudonymise(get_testdata_file("CT_small.dcm"), f"{folder}/out", map=who)
    ...     made.PatientID.tolist(), made.PatientName.tolist(), str(made.StudyDate[0])
    (['S01'], ['Pseudonym^S01'], '2002-12-15 00:00:00')
    """
    if private not in ("drop", "keep"):
        raise InvalidRequest(f"private={private!r} is no choice", advice='It is "drop" or "keep".')
    target = target_of(to)
    if target.form != "folder":
        raise InvalidRequest("pseudonymise writes to a folder", advice="Write that to a DICOMDIR or an archive after.")
    path, folder = map_path(map), os.path.abspath(target.path)
    if path and os.path.commonpath([folder, path]) == folder:
        raise InvalidRequest(
            "the map would lie among the pseudonyms, and go where they go", advice="Name a file elsewhere."
        )
    rows = outgoing(instances)
    bar, left = reporter(progress, "pseudonymise", len(rows)), Remains()
    names: dict[str, Outgoing] = {}
    try:
        with held(map) as known:  # all once before the first is written: each is readable, and its names are in the map
            for one in rows:
                uid = str(_changed(one, known, left, private == "keep").SOPInstanceUID)
                if uid in names:
                    raise InvalidRequest("an instance is there twice", advice="Choose one of them.")
                names[uid] = one
            known.save()
        pieces = [
            Piece(file_name(uid), partial(_file, one, known, private == "keep")) for uid, one in names.items()
        ]
        paths = to_folder(pieces, target.path, lambda size: bar.advance(1, size))
    finally:
        bar.close()
    dropped, stays = left.sentences()
    for said in stays:
        warnings.warn(said, ResultWarning, stacklevel=2)
    table = table_of(paths)
    table.attrs["remarks"] = [*dropped, *stays]
    return table


def _file(one: Outgoing, known: PseudonymMap, keep: bool) -> bytes:
    return file_of(_changed(one, known, Remains(), keep), one.transfer_syntax, one.transfer_syntax)


def _changed(one: Outgoing, known: PseudonymMap, left: Remains, keep: bool) -> Dataset:
    """The data set of an instance under pseudonyms.

    Raises
    ------
    BadFile
        It cannot be read.
    """
    if one.trouble:
        raise BadFile(one.path, one.trouble)
    dataset = copy.deepcopy(one.dataset) if one.dataset is not None else read_file(one.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values of others are no news here
            left.private_of(dataset, kept=keep)
            left.look(dataset)
            _Change(dataset, known, left, keep).apply(dataset)
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as error:
        raise BadFile(one.path, f"cannot be read: {' '.join(str(error).split())}") from None
    dataset.file_meta = meta_of(dataset, one.transfer_syntax)
    return dataset


class _Change:
    """The pseudonyms of one instance."""

    def __init__(self, dataset: Dataset, known: PseudonymMap, left: Remains, keep: bool) -> None:
        self.known, self.left, self.keep = known, left, keep
        self.number, self.name = (str(dataset.get(word, "") or "") for word in ("PatientID", "PatientName"))
        issuer = str(dataset.get("IssuerOfPatientID", "") or "")
        key = self.number + (f"\\{issuer}" if issuer else "")
        self.patient = known.patient(key or self.name or str(dataset.get("StudyInstanceUID", "")))
        parts = {self.number, *re.split(r"[\^= ,]+", self.name), str(dataset.get("AccessionNumber", "") or "")}
        found = sorted((re.escape(part) for part in parts if len(part) >= _SHORTEST), key=len, reverse=True)
        self.mentions = re.compile("|".join(found), re.IGNORECASE) if found else None

    def apply(self, dataset: Dataset, depth: int = 0) -> None:
        """Change a data set, and the items of its sequences."""
        for element in list(dataset):
            tag = element.tag
            if tag.is_private:
                if not self.keep:
                    del dataset[tag]
                elif element.VR == "SQ":
                    self._items(element, depth)
                elif element.VR == "UI":
                    self._new(dataset, element, self._uid)
            elif element.keyword in _REMOVED:
                del dataset[tag]
            elif element.keyword in _EMPTIED or element.VR == "AE":
                dataset[tag] = DataElement(tag, element.VR, [] if element.VR == "SQ" else None)
            elif element.VR == "SQ":
                self._items(element, depth)
            elif not element.keyword and element.VR == "UN":
                self.left.unknown += 1
                del dataset[tag]
            else:
                self._value(dataset, element)
        if not depth:
            dataset.LongitudinalTemporalInformationModified = "MODIFIED"

    def _items(self, element: DataElement, depth: int) -> None:
        for item in element.value:
            self.apply(item, depth + 1)

    def _value(self, dataset: Dataset, element: DataElement) -> None:
        if element.value is None or element.value == "":
            return
        if element.VR == "UI":
            if not element.keyword.endswith("ClassUID") and element.keyword not in _CLASSES:
                self._new(dataset, element, self._uid)
        elif element.VR == "PN":
            self._new(dataset, element, self._name)
        elif element.keyword in _IDENTIFIERS:
            self._new(dataset, element, self._identifier)
        elif element.VR in ("DA", "DT"):
            self._new(dataset, element, lambda text: moved(text, int(self.patient["days"])))
        elif element.VR in _TEXT and self.mentions is not None:
            self._new(dataset, element, lambda text: self.mentions.sub(str(self.patient["PatientID"]), text))

    @staticmethod
    def _new(dataset: Dataset, element: DataElement, change: Any) -> None:
        """Each value of an element, changed."""
        value = element.value
        several = not isinstance(value, str) and type(value).__name__ == "MultiValue"
        olds = [str(one) for one in value] if several else [str(value)]
        news = [change(old) if old else old for old in olds]
        if news != olds:
            dataset[element.tag] = DataElement(element.tag, element.VR, news if several else news[0])

    def _uid(self, real: str) -> str:
        return real if real.startswith(_STANDARD) else self.known.uid(real)

    def _name(self, real: str) -> str:
        return str(self.patient["PatientName"]) if real == self.name else self.known.name(real)

    def _identifier(self, real: str) -> str:
        return str(self.patient["PatientID"]) if real == self.number else self.known.identifier(real)


def moved(text: str, days: int) -> str:
    """A DA or DT, moved by a number of days; "" where it is no date. One without a day keeps its precision."""
    match = re.match(r"(\d{4})(?:\.?(\d\d))?(?:\.?(\d\d))?", text.strip())
    if match is None:
        return ""
    year, month, day = match.groups()
    try:
        there = dt.date(int(year), int(month or 7), int(day or 15)) + dt.timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    said = f"{there.year:04d}" + (f"{there.month:02d}" if month else "") + (f"{there.day:02d}" if day else "")
    return said + (text.strip()[match.end() :] if day else "")
