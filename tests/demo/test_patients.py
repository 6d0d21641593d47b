"""The patient updater of the embedded PACS, asked by a requestor that is not ours (R16.11)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.dsutils import encode

from dicomlab.demo import DemoServer, Holdings, Manners

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
assert _place is not None and _place.loader is not None
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)
UPDATER, INSTANCE = "1.2.840.114257.15.1.3", "1.2.840.114257.15.1.3.100.1"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Holdings.t31()) as server:
        yield server


def asked(**values: Any) -> Dataset:
    made = Dataset()
    block = {
        "RequestedProcedureDescription": "change", "ReasonForTheRequestedProcedure": "test", "OperatorsName": "A^B",
        "StationName": "WS", "InstanceCreationDate": "20240101", "InstanceCreationTime": "120000",
        "TransactionUID": generate_uid(),
    }  # fmt: skip
    for name, value in (block | values).items():
        setattr(made, name, value)
    return made


def acted(server: DemoServer, action: int, data: Dataset, instance: str = INSTANCE) -> Dataset:
    """The response to an N-ACTION of the private class, which pynetdicom's own calls do not know."""
    with scu.associated(server, UPDATER) as association:
        (context,) = association.accepted_contexts
        assert context.transfer_syntax == ["1.2.840.10008.1.2"]  # SPEC 11: Implicit VR Little Endian only
        request = N_ACTION()
        request.MessageID, request.ActionTypeID = 7, action
        request.RequestedSOPClassUID, request.RequestedSOPInstanceUID = UPDATER, instance
        from io import BytesIO

        request.ActionInformation = BytesIO(encode(data, True, True) or b"")
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(request, context.context_id)
        _, response = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
    return response


def change(**values: Any) -> Dataset:
    person = {"PatientName": "Roe^P", "PatientSex": "O", "PatientBirthDate": "19600101"}
    return asked(**{"OtherPatientIDs": scu.PETER, "PatientID": scu.PETER, **person, **values})


def test_the_effect_of_an_update_is_visible_by_query(server):  # R16.11
    assert acted(server, 100, change()).Status == 0x0000
    rows, _ = scu.find(server, "STUDY", StudyInstanceUID="", PatientID=scu.PETER, PatientName="", model=scu.STUDY)
    assert rows and {str(row.PatientName) for row in rows} == {"Roe^P"}
    (request,) = server.requests("N-ACTION")
    assert (request.action, request.sop_class, request.sop_instance) == (100, UPDATER, INSTANCE)


@pytest.mark.parametrize(
    ("action", "data", "instance", "status"),
    [
        (100, change(OtherPatientIDs="NOBODY"), INSTANCE, 0x0120),
        (111, asked(StudyInstanceUID="1.2.3"), INSTANCE, 0x0116),
        (100, change(), "1.2.3", 0x0117),
        (99, change(), INSTANCE, 0x0123),
        (106, change(), INSTANCE, 0x0123),
        (100, change(ReasonForTheRequestedProcedure=""), INSTANCE, 0x0115),
    ],
)
def test_what_cannot_be_done_is_answered_by_the_meanings_of_this_service(server, action, data, instance, status):
    before = [one.data for one in server.holdings]  # R16.11, SPEC 11
    assert acted(server, action, data, instance).Status == status
    assert [one.data for one in server.holdings] == before and not server.updates


def test_who_has_no_permission_is_told_so(server):  # R16.11
    server.manners = Manners(updater_status=0x0211)
    assert acted(server, 100, change()).Status == 0x0211


def test_a_transaction_that_comes_twice_is_done_once(server):  # R11.5
    data = change(PatientID="COPY")
    assert [acted(server, 107, data).Status for _ in range(2)] == [0x0000, 0x0000]
    copies = [one for one in server.holdings if one.header.PatientID == "COPY"]
    assert len(copies) == len([one for one in server.holdings if one.header.PatientID == scu.PETER])
    assert not {one.uid for one in copies} & {one.uid for one in Holdings.t31()}


@pytest.mark.parametrize("manners", [Manners(updater=False), Manners.orthanc(), Manners.dcmqrscp()])
def test_archives_without_the_service_refuse_its_context(server, manners):  # R11.7, R16.13
    server.manners = manners
    with scu.associated(server, UPDATER) as association:
        assert not association.accepted_contexts and association.rejected_contexts[0].result == 0x03
