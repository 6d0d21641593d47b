"""The patient updater: a private service of LEAD Technologies' servers that changes, merges, moves and deletes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from pydicom.dataset import Dataset

from ...errors import InvalidRequest
from .patientupdate import PatientUpdate
from .updates import (
    PATIENT,
    SERIES,
    STUDY,
    Action,
    checked,
    given,
    patient_id,
    patients_of,
    studies_of,
    uid,
    with_real_values,
    with_values,
)
from .updating import Updating


class PatientUpdater(Updating):
    """Updates of patients, studies and series at a peer; `Peer.patients`.

    It is a private service of LEAD Technologies' servers, tested against the demo PACS only: no open peer has it.
    Every action takes ``reason=`` and the rest of the common block (``operator=``, ``station=``, ``description=``),
    ``dry_run=True``, and ``transaction=`` to say an operation of another session again; what deletes or merges takes
    ``confirm=`` with the identifiers that will be gone. Attributes that are not given are sent as the archive has them.
    Each gives a `PatientUpdate`, and is written to the log at `log`.

    Raises
    ------
    InvalidRequest
        It cannot be, is not confirmed, or the node may not ``update_patient``; nothing was sent.
    NoAcceptedContext
        The peer has no such service, or not for our AE title.
    StatusError
        0x0120 patient not found, 0x0116 item not found, 0x0117 wrong instance, 0x0211 no permission, 0x0123 unknown
        action.
    """

    # -- patients ------------------------------------------------------------------------------------------------

    def change_patient(self, PatientID: str, *, new_id: str | None = None, **values: Any) -> PatientUpdate:
        """Change PatientName, PatientSex, PatientBirthDate, or the PatientID itself; 100.

        A `new_id` that the archive has already is refused: that would be a merge (R11.3).

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     pacs.patients.change_patient("DEMO-001", PatientName="ROE^JANE", reason="misspelt").status.meaning
        ...     pacs.find("STUDY", PatientID="DEMO-001").PatientName.unique().tolist()
        'success'
        ['ROE^JANE']
        """
        attributes, how = given(PATIENT, values)
        old = patient_id(PatientID)
        new = old if new_id is None else patient_id(new_id)
        if new == old and not attributes:
            raise InvalidRequest("nothing is to be changed", advice=f"Give new_id, or some of {', '.join(PATIENT)}.")
        made = with_values(Dataset(), {"OtherPatientIDs": old, "PatientID": new})
        self._fill(made, PATIENT, attributes, {"PatientID": old}, how)
        return self._do(Action.CHANGE_PATIENT, made, how, untaken=new if new != old else "")

    def delete_patient(self, PatientID: str, *, studies: Iterable[str] = (), **how: Any) -> PatientUpdate:
        """Delete a patient with all that is there, or only those of its studies; 101. Takes ``confirm=``."""
        made = with_values(Dataset(), {"PatientID": patient_id(PatientID)})
        uids = [uid("StudyInstanceUID", one) for one in ([studies] if isinstance(studies, str) else studies)]
        if uids:
            made.ReferencedStudySequence = studies_of(uids)
        return self._do(Action.DELETE_PATIENT, made, checked(how))

    def merge_patient(self, away: str | Iterable[str], into: str, **how: Any) -> PatientUpdate:
        """Merge one patient or several into another, which stays; 102. Takes ``confirm=``.

        Examples
        --------
        >>> import dicomlab as dl
        >>> with dl.demo_pacs() as pacs:
        ...     wish = dict(away="DEMO-003", into="DEMO-001", reason="one person")
        ...     pacs.patients.merge_patient(**wish, dry_run=True).lacks
        ...     done = pacs.patients.merge_patient(**wish, confirm="DEMO-003")
        ...     len(pacs.find("STUDY", PatientID="DEMO-003"))
        ('confirm="DEMO-003"',)
        0
        """
        survivor = patient_id(into)
        ids = [patient_id(one) for one in ([away] if isinstance(away, str) else away)]
        if not ids:
            raise InvalidRequest("nothing is selected", advice="Name the patient to merge away.")
        if survivor in ids:
            raise InvalidRequest(f"patient {survivor!r} cannot be merged into itself", advice="Name two patients.")
        made = with_values(Dataset(), {"PatientID": survivor})
        made.ReferencedPatientSequence = patients_of(ids)
        return self._do(Action.MERGE_PATIENT, made, checked(how))

    def copy_patient(self, PatientID: str, new_id: str, **values: Any) -> PatientUpdate:
        """Copy a patient with all that is there to another PatientID; 107."""
        attributes, how = given(PATIENT, values)
        old, new = patient_id(PatientID), patient_id(new_id)
        made = with_values(Dataset(), {"OtherPatientIDs": old, "PatientID": new})
        self._fill(made, PATIENT, attributes, {"PatientID": old}, how)
        return self._do(Action.COPY_PATIENT, made, how)

    # -- studies -------------------------------------------------------------------------------------------------

    def change_study(self, StudyInstanceUID: str, **values: Any) -> PatientUpdate:
        """Change StudyDate, StudyDescription, StudyID, AccessionNumber, or age, size or weight of the patient; 110."""
        attributes, how = given(STUDY, values)
        study = uid("StudyInstanceUID", StudyInstanceUID)
        _something(attributes, STUDY)
        made = with_values(Dataset(), {"StudyInstanceUID": study})
        self._fill(made, STUDY, attributes, {"StudyInstanceUID": study}, how)
        return self._do(Action.CHANGE_STUDY, made, how)

    def delete_study(self, StudyInstanceUID: str, **how: Any) -> PatientUpdate:
        """Delete a study; 111. Takes ``confirm=``."""
        made = with_values(Dataset(), {"StudyInstanceUID": uid("StudyInstanceUID", StudyInstanceUID)})
        return self._do(Action.DELETE_STUDY, made, checked(how))

    def merge_study(self, StudyInstanceUID: str, *, away: str, into: str, **how: Any) -> PatientUpdate:
        """Move a study from one patient to another that is there; 105. Takes ``confirm=`` with the study's UID."""
        made = with_values(Dataset(), {"PatientID": patient_id(into)})
        with_values(made, {"StudyInstanceUID": uid("StudyInstanceUID", StudyInstanceUID)})
        made.ReferencedPatientSequence = patients_of([patient_id(away)])
        return self._do(Action.MERGE_STUDY, made, checked(how))

    def move_study_to_new_patient(self, *_: Any, **__: Any) -> PatientUpdate:
        """Refused: what 106 takes is not known. Who knows it of a server says ``send(106, dataset)``."""
        raise InvalidRequest(
            "how a study is moved to a new patient (106) is encoded is not known, and so nothing is sent",
            advice="Copy the study (copy_study) and delete it afterwards (delete_study); or, where you know what your "
            "server takes, send(106, dataset).",
        )

    def copy_study(self, StudyInstanceUID: str, *, away: str, into: str, **values: Any) -> PatientUpdate:
        """Copy a study of one patient to another PatientID; 108."""
        attributes, how = given(PATIENT, values)
        old, new = patient_id(away), patient_id(into)
        made = with_values(Dataset(), {"PatientID": new, "OtherPatientIDs": old})
        with_values(made, {"StudyInstanceUID": uid("StudyInstanceUID", StudyInstanceUID)})
        made.ReferencedPatientSequence = patients_of([old])
        self._fill(made, PATIENT, attributes, {"PatientID": new}, how, {"PatientID": old})
        return self._do(Action.COPY_STUDY, made, how)

    # -- series --------------------------------------------------------------------------------------------------

    def change_series(self, SeriesInstanceUID: str, **values: Any) -> PatientUpdate:
        """Change Modality, SeriesDescription, SeriesDate or SeriesTime; 103."""
        attributes, how = given(SERIES, values)
        series = uid("SeriesInstanceUID", SeriesInstanceUID)
        _something(attributes, SERIES)
        made = with_values(Dataset(), {"SeriesInstanceUID": series})
        above = {"StudyInstanceUID": how["study"]} if how.get("study") else {}
        self._fill(made, SERIES, attributes, {**above, "SeriesInstanceUID": series}, how)
        return self._do(Action.CHANGE_SERIES, made, how)

    def delete_series(self, SeriesInstanceUID: str, *, StudyInstanceUID: str, **how: Any) -> PatientUpdate:
        """Delete a series; 104. Takes ``confirm=``."""
        made = with_values(Dataset(), {"StudyInstanceUID": uid("StudyInstanceUID", StudyInstanceUID)})
        with_values(made, {"SeriesInstanceUID": uid("SeriesInstanceUID", SeriesInstanceUID)})
        return self._do(Action.DELETE_SERIES, made, checked(how))

    def move_series(
        self, SeriesInstanceUID: str, *, away: str, into: str, new_study: str | None = None, **how: Any
    ) -> PatientUpdate:
        """Move a series of one patient to another, into a study `new_study`, or one that the server makes; 109."""
        made = with_values(Dataset(), {"PatientID": patient_id(into)})
        with_values(made, {"SeriesInstanceUID": uid("SeriesInstanceUID", SeriesInstanceUID)})
        made.ReferencedPatientSequence = patients_of([patient_id(away)])
        with_values(made, {"StudyInstanceUID": None if new_study is None else uid("StudyInstanceUID", new_study)})
        return self._do(Action.MOVE_SERIES, made, checked(how))

    def send(self, action: int, dataset: Dataset, **how: Any) -> PatientUpdate:
        """Any action with a data set of your own, to which the common block is added; what is gated stays so."""
        if isinstance(action, bool) or not isinstance(action, int) or not 0 <= action <= 0xFFFF:
            raise InvalidRequest(f"action {action!r} is none", advice="Give its number, such as 100.")
        if not isinstance(dataset, Dataset) or not len(dataset):
            raise InvalidRequest("an action needs a data set", advice="Give a pydicom Dataset that is not empty.")
        return self._do(action, with_real_values(deepcopy(dataset)), checked(how))


def _something(attributes: Mapping[str, Any], names: Iterable[str]) -> None:
    if not attributes:
        raise InvalidRequest("nothing is to be changed", advice=f"Give some of {', '.join(names)}.")
