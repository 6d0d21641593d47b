"""The command sets that the demo PACS writes are those that pynetdicom would (PS3.7 annex E)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pydicom.tag import Tag
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dsutils import encode

from dicomlab.demo import wire

CT, UID = "1.2.840.10008.5.1.4.1.1.2", "1.2.826.0.1.3680043.2.1143.11"
COUNTS = {f"NumberOf{word}Suboperations": 7 for word in ("Remaining", "Completed", "Failed", "Warning")}
MESSAGES: list[tuple[str, dict[str, Any], str]] = [
    ("C_ECHO", {"MessageIDBeingRespondedTo": 1, "Status": 0}, ""),
    ("C_STORE", {"MessageID": 65535, "Priority": 2, "AffectedSOPInstanceUID": UID}, "DataSet"),
    ("C_STORE", {"MessageID": 1, "Priority": 2, "AffectedSOPInstanceUID": UID, "MoveOriginatorMessageID": 3,
                 "MoveOriginatorApplicationEntityTitle": "ODD"}, "DataSet"),
    ("C_FIND", {"MessageIDBeingRespondedTo": 5, "Status": 0xFF00}, "Identifier"),
    ("C_FIND", {"MessageIDBeingRespondedTo": 5, "Status": 0xA900, "ErrorComment": "no level"}, ""),
    ("C_FIND", {"MessageIDBeingRespondedTo": 5, "Status": 0xC001, "ErrorComment": "no level?"}, ""),
    ("C_GET", {"MessageIDBeingRespondedTo": 5, "Status": 0xFF00, **COUNTS}, ""),
    ("C_MOVE", {"MessageIDBeingRespondedTo": 5, "Status": 0xB000, **COUNTS}, "Identifier"),
    ("N_EVENT_REPORT", {"MessageID": 2, "EventTypeID": 1, "AffectedSOPInstanceUID": UID}, "EventInformation"),
    ("N_CREATE", {"MessageIDBeingRespondedTo": 5, "Status": 0x0107, "AffectedSOPInstanceUID": UID}, "AttributeList"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "holder"), MESSAGES)
def test_a_command_set_is_what_pynetdicom_makes_of_it(name: str, values: dict[str, Any], holder: str) -> None:
    def primitive() -> Any:
        made = getattr(dimse_primitives, name)()
        for word, value in {"AffectedSOPClassUID": CT, **values}.items():
            setattr(made, word, value)
        return made

    theirs = primitive()
    if holder:
        setattr(theirs, holder, BytesIO(b"\0\0"))
    kind = "RSP" if "MessageIDBeingRespondedTo" in values else "RQ"
    message = getattr(dimse_messages, f"{name}_{kind}")()
    message.primitive_to_message(theirs)
    assert wire.command(primitive(), data=bool(holder)) == encode(message.command_set, True, True)


def test_a_list_of_tags_is_written_as_pynetdicom_does() -> None:
    made = dimse_primitives.N_SET()
    made.MessageIDBeingRespondedTo, made.Status, made.AffectedSOPClassUID = 1, 0x0107, CT
    made.AttributeIdentifierList = [Tag(0x0010, 0x0020), Tag(0x0020, 0x000D)]
    message = dimse_messages.N_SET_RSP()
    message.primitive_to_message(made)
    assert wire.command(made, data=False) == encode(message.command_set, True, True)
