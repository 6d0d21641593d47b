"""The patient updater, a private class of LEAD Technologies' servers: its effect is on what the demo PACS holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.dimse_primitives import N_ACTION

from .answering import respond
from .holdings import Instance, of_dataset

if TYPE_CHECKING:
    from .request import Call
    from .server import DemoServer

UPDATER = "1.2.840.114257.15.1.3"
INSTANCE = "1.2.840.114257.15.1.3.100.1"
DONE, ITEM_NOT_FOUND, WRONG_INSTANCE, PATIENT_NOT_FOUND, UNKNOWN_ACTION = 0x0000, 0x0116, 0x0117, 0x0120, 0x0123
INVALID, NO_OPERATION, NO_SUCH_CLASS = 0x0115, 0x0211, 0x0118
#: The common block.
BLOCK = (
    "RequestedProcedureDescription", "ReasonForTheRequestedProcedure", "OperatorsName", "StationName",
    "InstanceCreationDate", "InstanceCreationTime", "TransactionUID",
)  # fmt: skip
PERSON = ("PatientName", "PatientSex", "PatientBirthDate")


def serve(call: Call) -> None:
    """Do the action, and say what came of it; one whose Transaction UID was done before is answered as then."""
    message, server, asked = call.message, call.server, call.identifier
    if not isinstance(message, N_ACTION):
        respond(call, NO_OPERATION)
    elif message.RequestedSOPClassUID != UPDATER:
        respond(call, NO_SUCH_CLASS)
    elif message.RequestedSOPInstanceUID != INSTANCE:
        respond(call, WRONG_INSTANCE)
    elif message.ActionTypeID not in ACTIONS:
        respond(call, UNKNOWN_ACTION)
    elif server.manners.updater_status:
        respond(call, server.manners.updater_status)
    elif missing := [name for name in BLOCK if name in server.manners.updater_demands and not _text(asked, name)]:
        respond(call, INVALID, comment=f"{missing[0]} is demanded")
    else:
        assert asked is not None
        before = server.updates.get(str(asked.get("TransactionUID", "")))
        status = ACTIONS[message.ActionTypeID](server, asked) if before is None else before
        if not status and _text(asked, "TransactionUID"):
            server.updates[str(asked.TransactionUID)] = status
        respond(call, status)


def _text(asked: Dataset | None, name: str) -> str:
    return "" if asked is None else str(asked.get(name, "") or "").strip()


def _of(server: DemoServer, **keys: str) -> list[Instance]:
    """The instances with those attributes."""
    return [one for one in server.holdings if all(str(one.header.get(name, "")).strip() == keys[name] for name in keys)]


def _rewrite(server: DemoServer, found: Iterable[Instance], values: dict[str, Any]) -> None:
    """Other values in those instances."""
    for one in found:
        changed = one.dataset()
        _put(changed, values)
        server.holdings.add(of_dataset(changed))


def _copy(server: DemoServer, found: Iterable[Instance], values: dict[str, Any]) -> None:
    """The same again with other values, under other UIDs."""
    others: dict[str, str] = {}
    for one in found:
        made = one.dataset()
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(made, name, others.setdefault(str(made[name].value), generate_uid()))
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        _put(made, values)
        server.holdings.add(of_dataset(made))


def _put(dataset: Dataset, values: dict[str, Any]) -> None:
    texts = [str(value) for value in values.values()]
    if not all(text.isascii() for text in texts):
        dataset.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"
    for name, value in values.items():
        setattr(dataset, name, value)


def _person(asked: Dataset) -> dict[str, Any]:
    return {name: asked.get(name) for name in ("PatientID", *PERSON) if name in asked}


def _person_of(one: Instance) -> dict[str, Any]:
    return {name: one.header.get(name) for name in ("PatientID", *PERSON)}


def _merged(asked: Dataset) -> list[str]:
    return [_text(item, "PatientID") for item in asked.get("ReferencedPatientSequence") or []]


def _change_patient(server: DemoServer, asked: Dataset) -> int:
    found = _of(server, PatientID=_text(asked, "OtherPatientIDs"))
    _rewrite(server, found, _person(asked))
    return DONE if found else PATIENT_NOT_FOUND


def _delete_patient(server: DemoServer, asked: Dataset) -> int:
    found = _of(server, PatientID=_text(asked, "PatientID"))
    if not found:
        return PATIENT_NOT_FOUND
    studies = {str(item.ReferencedSOPInstanceUID) for item in asked.get("ReferencedStudySequence") or []}
    if not studies <= {str(one.header.StudyInstanceUID) for one in found}:
        return ITEM_NOT_FOUND
    return _delete(server, [one for one in found if not studies or str(one.header.StudyInstanceUID) in studies])


def _merge_patient(server: DemoServer, asked: Dataset) -> int:
    kept = _of(server, PatientID=_text(asked, "PatientID"))
    away = [_of(server, PatientID=one) for one in _merged(asked)]
    if not kept or not away or not all(away):
        return PATIENT_NOT_FOUND
    for found in away:
        _rewrite(server, found, _person_of(kept[0]))
    return DONE


def _copy_patient(server: DemoServer, asked: Dataset) -> int:
    found = _of(server, PatientID=_text(asked, "OtherPatientIDs"))
    _copy(server, found, _person(asked))
    return DONE if found else PATIENT_NOT_FOUND


def _change(unique: str, *names: str) -> Callable[[DemoServer, Dataset], int]:
    def change(server: DemoServer, asked: Dataset) -> int:
        found = _of(server, **{unique: _text(asked, unique)})
        _rewrite(server, found, {name: asked.get(name) for name in names if name in asked})
        return DONE if found else ITEM_NOT_FOUND

    return change


def _deletion(*unique: str) -> Callable[[DemoServer, Dataset], int]:
    def delete(server: DemoServer, asked: Dataset) -> int:
        return _delete(server, _of(server, **{name: _text(asked, name) for name in unique}))

    return delete


def _delete(server: DemoServer, found: list[Instance]) -> int:
    for one in found:
        server.holdings.remove(one.uid)
    return DONE if found else ITEM_NOT_FOUND


def _merge_study(server: DemoServer, asked: Dataset) -> int:
    kept = _of(server, PatientID=_text(asked, "PatientID"))
    found = [
        one for away in _merged(asked)
        for one in _of(server, PatientID=away, StudyInstanceUID=_text(asked, "StudyInstanceUID"))
    ]  # fmt: skip
    if not kept:
        return PATIENT_NOT_FOUND
    _rewrite(server, found, _person_of(kept[0]))
    return DONE if found else ITEM_NOT_FOUND


def _copy_study(server: DemoServer, asked: Dataset) -> int:
    if not _of(server, PatientID=_text(asked, "OtherPatientIDs")):
        return PATIENT_NOT_FOUND
    found = _of(server, PatientID=_text(asked, "OtherPatientIDs"), StudyInstanceUID=_text(asked, "StudyInstanceUID"))
    _copy(server, found, _person(asked))
    return DONE if found else ITEM_NOT_FOUND


def _move_series(server: DemoServer, asked: Dataset) -> int:
    kept = _of(server, PatientID=_text(asked, "PatientID"))
    found = [
        one for away in _merged(asked)
        for one in _of(server, PatientID=away, SeriesInstanceUID=_text(asked, "SeriesInstanceUID"))
    ]  # fmt: skip
    if not kept:
        return PATIENT_NOT_FOUND
    study = _text(asked, "StudyInstanceUID") or generate_uid()
    _rewrite(server, found, {**_person_of(kept[0]), "StudyInstanceUID": study})
    return DONE if found else ITEM_NOT_FOUND


#: By Action Type ID; what 106 takes is not known, and so it is an unknown action here.
ACTIONS: dict[int, Callable[[DemoServer, Dataset], int]] = {
    100: _change_patient,
    101: _delete_patient,
    102: _merge_patient,
    103: _change("SeriesInstanceUID", "Modality", "SeriesDescription", "SeriesDate", "SeriesTime"),
    104: _deletion("StudyInstanceUID", "SeriesInstanceUID"),
    105: _merge_study,
    107: _copy_patient,
    108: _copy_study,
    109: _move_series,
    110: _change(
        "StudyInstanceUID", "StudyDate", "StudyDescription", "StudyID", "AccessionNumber", "PatientAge", "PatientSize",
        "PatientWeight",
    ),
    111: _deletion("StudyInstanceUID"),
}  # fmt: skip
