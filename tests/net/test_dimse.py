"""Command sets: any bytes give a command or BadData, and what we write is what pynetdicom writes."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import encode as encode_data_set

from dicomlab.errors import BadData
from dicomlab.net.association import dimse
from dicomlab.net.association.dimse import Command, CommandField

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
ELEMENTS = st.dictionaries(
    st.integers(1, 0xFFFF), st.binary(max_size=40).map(lambda value: value + b"\0" * (len(value) & 1)), max_size=12
)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_command_or_bad_data(data):  # R0.8: hostile input is named, never a crash
    try:
        command = dimse.decode(data)
    except BadData:
        return
    command.command_field, command.message_id, command.responded_to, command.has_data
    command.sop_class, command.sop_instance, command.counts(), command.status("C-FIND")


@given(ELEMENTS, st.binary(max_size=6), st.integers(0, 300))
def test_a_command_that_was_tampered_with_gives_a_command_or_bad_data(elements, noise, at):  # R0.8
    data = bytearray(dimse.encode(elements))
    data[at : at + len(noise)] = noise
    try:
        command = dimse.decode(bytes(data))
    except BadData:
        return
    command.status("C-GET"), command.counts(), command.has_data, command.sop_instance


@given(ELEMENTS)
def test_what_is_encoded_is_decoded_again(elements):  # R1.21 rests on it
    decoded = dict(dimse.decode(dimse.encode(elements)).raw)
    length = decoded.pop(0)
    assert decoded == elements
    assert struct.unpack("<L", length)[0] == len(dimse.encode(elements)) - 12


def pynetdicom_bytes(message, primitive):
    message.primitive_to_message(primitive)
    return encode_data_set(message.command_set, True, True)


@pytest.mark.parametrize(
    ("field", "message", "primitive"),
    [
        (CommandField.C_FIND_RQ, C_FIND_RQ, C_FIND),
        (CommandField.C_GET_RQ, C_GET_RQ, C_GET),
        (CommandField.C_MOVE_RQ, C_MOVE_RQ, C_MOVE),
    ],
)
@pytest.mark.parametrize("destination", ["STORE", "STORE3"])
def test_a_request_has_the_bytes_that_pynetdicom_gives_it(field, message, primitive, destination):  # R0.1
    asked = primitive()
    asked.MessageID, asked.AffectedSOPClassUID, asked.Priority = 7, STUDY_FIND, 0
    asked.Identifier = BytesIO(b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY ")
    move = field is CommandField.C_MOVE_RQ
    if move:
        asked.MoveDestination = destination
    ours = dimse.request(field, STUDY_FIND, 7, data=True, destination=destination if move else "")
    assert ours == pynetdicom_bytes(message(), asked)


@pytest.mark.parametrize("service", ["N-GET", "N-SET", "N-ACTION", "N-CREATE", "N-DELETE"])
def test_a_request_of_dimse_n_has_the_bytes_that_pynetdicom_gives_it(service):  # R8.1, R9.1, R10.2
    name = service.replace("-", "_")
    asked = getattr(dimse_primitives, name)()
    asked.MessageID = 7
    creates, fields = service == "N-CREATE", {}
    which = "Affected" if creates else "Requested"
    setattr(asked, f"{which}SOPClassUID", "1.2.3")
    setattr(asked, f"{which}SOPInstanceUID", "1.2.3.45")
    holder = {"N-SET": "ModificationList", "N-ACTION": "ActionInformation", "N-CREATE": "AttributeList"}.get(service)
    if holder:
        setattr(asked, holder, BytesIO(b"\x08\x00\x60\x00\x02\x00\x00\x00CT"))
    if service == "N-ACTION":
        asked.ActionTypeID = fields["action"] = 2
    if service == "N-GET":
        asked.AttributeIdentifierList = fields["attributes"] = [0x21100010, 0x00081199]
    ours = dimse.request(
        CommandField[f"{name}_RQ"], "1.2.3", 7, data=holder is not None, sop_instance="1.2.3.45", **fields
    )
    assert ours == pynetdicom_bytes(getattr(dimse_messages, f"{name}_RQ")(), asked)


def test_a_cancel_has_the_bytes_that_pynetdicom_gives_it():  # R1.17
    asked = C_CANCEL()
    asked.MessageIDBeingRespondedTo = 513
    command = pynetdicom_bytes(C_CANCEL_RQ(), asked)
    assert dimse.cancel(513) == command
    assert dimse.decode(command).encoded() == command


def test_a_response_names_the_request_it_answers():  # R1.21
    asked = dimse.decode(
        dimse.encode(
            {
                0x0002: b"1.2.3",
                0x0100: dimse.number(1),
                0x0110: dimse.number(9),
                0x0800: dimse.number(1),
                0x1000: b"1.2.3.4",
            }
        )
    )
    answer = dimse.decode(dimse.response(asked, 0xA700))
    assert (answer.command_field, answer.responded_to, answer.has_data) == (0x8001, 9, False)
    assert (answer.sop_class, answer.sop_instance) == ("1.2.3", "1.2.3.4")
    status = answer.status("C-STORE")
    assert status is not None
    assert status.code == 0xA700


def test_a_status_carries_comment_and_offending_elements():  # R0.4
    raw = {0x0900: dimse.number(0xA900), 0x0901: b"\x10\x00\x20\x00\x08\x00", 0x0902: b"no such key "}
    status = Command(raw).status("C-FIND")
    assert status is not None
    assert (status.code, status.comment, status.offending) == (0xA900, "no such key", ("(0010,0020)",))
    assert Command({}).status("C-FIND") is None


def test_a_status_of_dimse_n_carries_its_attribute_list_and_error_number():  # R8.7, PS3.7 annex C
    raw = {0x0900: dimse.number(0x0107), 0x0903: dimse.number(0xA710), 0x1005: b"\x40\x00\x52\x02\x10\x00\x10\x00"}
    status = Command(raw).status("MPPS")
    assert status is not None and status.error_id == 0xA710
    assert status.offending == ("(0040,0252)", "(0010,0010)")
    assert str(status) == "0x0107 attribute list error [(0040,0252), (0010,0010)] (error 0xA710)"


def test_counts_that_a_peer_leaves_out_are_absent():  # R5.10
    raw = {0x1020: dimse.number(3), 0x1021: b"\x01"}
    assert Command(raw).counts() == {"remaining": 3}
