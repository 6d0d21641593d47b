"""The numbers of SPEC 5, "How real peers behave", with T31 (R16.7, R16.13), and storage (R16.8)."""

from __future__ import annotations

import importlib.util
import socket
import threading
import time
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, build_context, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from dicomlab.demo import DemoServer, Holdings, Manners

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)
get, STUDY, ST = scu.get, scu.STUDY, scu.ST
MANNERS = {"plain": Manners(), "dcmqrscp": Manners.dcmqrscp(), "orthanc": Manners.orthanc()}


class Destination:
    """A Storage SCP of pynetdicom's as AE DICOMLAB, which admits `callers` (all where empty)."""

    def __init__(self, callers=(), status=0x0000):
        self.received, self.callers = [], []
        ae = AE("DICOMLAB")
        ae.require_calling_aet = list(callers)
        for name in scu.CLASSES:
            ae.add_supported_context(name)
        self.server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store, [status])]
        )
        self.address = self.server.server_address[:2]

    def _store(self, event, status):
        request = event.request
        origin = request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID
        self.received.append((event.assoc.requestor.ae_title, *origin, request.AffectedSOPInstanceUID))
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()


def move(server, destination, level="STUDY", **keys):
    with scu.associated(server, STUDY + "2") as association:
        answers = list(association.send_c_move(scu.identifier(level, **keys), destination, STUDY + "2", msg_id=1))
    final, failed = answers[-1]
    uids = [] if failed is None else list(failed.get("FailedSOPInstanceUIDList") or [])
    return final, uids, len(answers)


def counts(response):
    names = ("Completed", "Failed", "Warning")
    return tuple(response.get(f"NumberOf{name}Suboperations") for name in names)


def test_get_of_a_study_sends_all_eleven(server):
    received, final, _ = get(server, "STUDY", StudyInstanceUID=ST)
    assert (len(received), final.Status, counts(final)) == (11, 0x0000, (11, 0, 0))
    assert all(each.StudyInstanceUID == ST for each in received)


def test_get_of_a_series_sends_seven(server):
    keys = {"StudyInstanceUID": ST, "SeriesInstanceUID": scu.PREFIX + "1196533885.18148.0.118"}
    received, final, _ = get(server, "SERIES", **keys)
    assert (len(received), final.Status) == (7, 0x0000)


def test_get_of_an_unknown_study(plain, dcmqrscp, orthanc):
    finals = [get(each, "STUDY", StudyInstanceUID="1.2.3")[1] for each in (plain, dcmqrscp, orthanc)]
    assert [final.Status for final in finals] == [0x0000, 0x0000, 0xC000]
    assert {counts(final) for final in finals} == {(0, 0, 0)}


@pytest.mark.parametrize(
    "name, count, status", [("plain", 0, 0xA900), ("dcmqrscp", 24, 0x0000), ("orthanc", 0, 0xC000)]
)
def test_a_get_at_study_level_without_a_study_uid(name, count, status, request):  # dcmqrscp sends all of the patient
    received, final, _ = get(request.getfixturevalue(name), "STUDY", PatientID=scu.PETER)
    assert (len(received), final.Status) == (count, status)


@pytest.mark.parametrize("service", ["2", "3"], ids=["C-MOVE", "C-GET"])
@pytest.mark.parametrize(
    "agree, asked, count", [((1,), b"\1", 7), ((), b"\1", 0), ((1,), b"\0", 0), ((0, 1), b"\1\1", 0)]
)
def test_a_series_without_its_study_comes_where_relational_retrieval_was_agreed(service, agree, asked, count):
    item = SOPClassExtendedNegotiation()  # PS3.4 C.4: byte 1, for each SOP class by itself
    item.sop_class_uid, item.service_class_application_information = STUDY + service, asked
    received = []
    keys = scu.identifier("SERIES", SeriesInstanceUID=scu.PREFIX + "1196533885.18148.0.118")
    choices = {"storage": scu.CLASSES, "received": received} if service == "3" else {}
    with (
        Destination() as there,
        DemoServer(Holdings.t31(), manners=Manners(agree=agree)) as server,
        scu.associated(server, STUDY + service, ext_neg=[item], **choices) as association,
    ):
        server.destinations["DICOMLAB"] = there.address
        if service == "3":
            answers = list(association.send_c_get(keys, STUDY + "3"))
        else:
            answers = list(association.send_c_move(keys, "DICOMLAB", STUDY + "2"))
        came = received or there.received
        assert (len(came), answers[-1][0].Status) == (count, 0x0000 if count else 0xA900)


def test_classes_without_a_context_are_failed_sub_operations(plain):
    received, final, _ = get(plain, "STUDY", storage=scu.CLASSES[1:], StudyInstanceUID=ST)
    assert (len(received), final.Status, counts(final)) == (0, 0xA702, (0, 11, 0))
    assert len(final.FailedSOPInstanceUIDList) == 11


@pytest.mark.parametrize(
    "answer, final, numbers", [(0xB000, 0xB000, (0, 0, 11)), (0xA700, 0xA702, (0, 11, 0)), (0, 0, (11, 0, 0))]
)
def test_the_status_of_each_store_is_counted(plain, answer, final, numbers):
    _, last, _ = get(plain, "STUDY", status=answer, StudyInstanceUID=ST)
    assert (last.Status, counts(last)) == (final, numbers)


def test_counts_failed_list_and_role_answers_can_be_left_out():
    manners = Manners(pending_counts=False, failed_list=False)
    with DemoServer(Holdings.t31(), manners=manners) as server:
        _, final, responses = get(server, "STUDY", status=0xA700, StudyInstanceUID=ST)
        assert "FailedSOPInstanceUIDList" not in final and counts(final) == (0, 11, 0)
        assert {counts(each) for each in responses[:-1]} == {(None, None, None)}
    with (
        DemoServer(Holdings.t31(), manners=Manners(role_answer=False)) as server,
        scu.associated(server, STUDY + "3", storage=scu.CLASSES) as association,
    ):
        assert not association.acceptor.role_selection


@pytest.mark.parametrize("name, responses", [("plain", 12), ("dcmqrscp", 12), ("orthanc", 11)])
def test_move_to_a_destination(name, responses):
    with Destination() as there, DemoServer(Holdings.t31(), manners=MANNERS[name]) as server:
        server.destinations["DICOMLAB"] = there.address
        final, _, number = move(server, "DICOMLAB", StudyInstanceUID=ST)
    assert (final.Status, counts(final), number) == (0x0000, (11, 0, 0), responses)
    assert len({each[-1] for each in there.received}) == 11
    assert {each[:3] for each in there.received} == {("DEMO", "DICOMLAB", 1)}


def test_move_without_originator():
    with Destination() as there, DemoServer(Holdings.t31(), manners=Manners(originator=False)) as server:
        server.destinations["DICOMLAB"] = there.address
        move(server, "DICOMLAB", StudyInstanceUID=ST)
    assert {each[1:3] for each in there.received} == {(None, None)}


@pytest.mark.parametrize(
    "name, status, failed", [("dcmqrscp", 0xA702, 11), ("orthanc", 0xC000, 0), ("plain", 0xA702, 11)]
)
def test_move_to_a_destination_that_admits_others_only(name, status, failed):
    with Destination(callers=["OTHER"]) as there, DemoServer(Holdings.t31(), manners=MANNERS[name]) as server:
        server.destinations["DICOMLAB"] = there.address
        final, uids, _ = move(server, "DICOMLAB", StudyInstanceUID=ST)
    assert (final.Status, len(uids), there.received) == (status, failed, [])


def test_move_to_an_unknown_or_dead_destination(plain):
    assert move(plain, "NOBODY", StudyInstanceUID=ST)[0].Status == 0xA801
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        plain.destinations["DEADEND"] = free.getsockname()
    final, uids, _ = move(plain, "DEADEND", StudyInstanceUID=ST)
    assert (final.Status, len(uids)) == (0xA702, 11)


def test_move_of_nothing(plain, orthanc):
    for each in (plain, orthanc):
        each.destinations["DICOMLAB"] = ("127.0.0.1", 1)
    assert [move(each, "DICOMLAB", StudyInstanceUID="1.2.3")[0].Status for each in (plain, orthanc)] == [0, 0xC000]


def test_a_cancelled_get_ends_with_fe00_and_what_was_sent_stays_sent():
    received = []
    with (
        DemoServer(Holdings.t31(), manners=Manners(pace=0.1)) as server,
        scu.associated(server, STUDY + "3", storage=scu.CLASSES, received=received) as association,
    ):
        answers = []
        for status, _ in association.send_c_get(scu.identifier("STUDY", StudyInstanceUID=ST), STUDY + "3", msg_id=9):
            answers.append(status)
            if len(answers) == 2:
                association.send_c_cancel(9, query_model=STUDY + "3")
    assert answers[-1].Status == 0xFE00 and 2 <= len(received) < 11
    assert answers[-1].NumberOfRemainingSuboperations == 11 - len(received)


def test_each_sub_operation_of_a_get_and_of_a_move_takes_the_pause():
    keys = {"StudyInstanceUID": ST}
    with Destination() as there, DemoServer(Holdings.t31(), manners=Manners(pause=0.05)) as server:
        server.destinations["DICOMLAB"] = there.address
        for ask in (lambda: get(server, "STUDY", **keys), lambda: move(server, "DICOMLAB", **keys)):
            before = time.monotonic()
            ask()
            assert time.monotonic() - before >= 11 * 0.05


def ct_small():
    return pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm", download=False))


def test_what_is_stored_can_be_found_and_fetched(tmp_path):
    dataset = ct_small()
    with DemoServer(Holdings.of([]), folder=tmp_path) as server:
        with scu.associated(server, dataset.SOPClassUID) as association:
            assert association.send_c_store(dataset).Status == 0x0000
        received, _, _ = get(server, "STUDY", StudyInstanceUID=dataset.StudyInstanceUID)
    assert [each.PixelData == dataset.PixelData for each in received] == [True]
    assert [pydicom.dcmread(path).SOPInstanceUID for path in tmp_path.iterdir()] == [dataset.SOPInstanceUID]


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xA700, 0xA900, 0xC000, 0x0122])
def test_store_answers_what_it_is_told_to(status):
    dataset = ct_small()
    with (
        DemoServer(Holdings.of([]), manners=Manners(store_status=status)) as server,
        scu.associated(server, dataset.SOPClassUID) as association,
    ):
        assert association.send_c_store(dataset).Status == status
        assert len(server.holdings) == (1 if status >> 12 == 0xB else 0)


def test_other_content_under_a_known_uid_is_0111_where_asked_for():
    dataset = ct_small()
    with (
        DemoServer(Holdings.of([ct_small()]), refuse_other_content=True) as server,
        scu.associated(server, dataset.SOPClassUID) as association,
    ):
        dataset.SeriesDescription = "other"
        assert association.send_c_store(dataset).Status == 0x0111


def test_a_read_only_archive_refuses_storage_with_result_1_and_still_sends():
    with DemoServer(Holdings.t31(), manners=Manners(read_only=True)) as server:
        with scu.associated(server, "1.2.840.10008.1.1", scu.CLASSES[0]) as association:
            assert [each.result for each in association.rejected_contexts] == [1]
        assert len(get(server, "STUDY", StudyInstanceUID=ST)[0]) == 11


def test_transfer_syntaxes_that_are_not_taken_are_result_4():
    ae = AE()
    with DemoServer(Holdings.of([]), manners=Manners(store_syntaxes=("1.2.840.10008.1.2",))) as server:
        contexts = [build_context(scu.CLASSES[0], "1.2.840.10008.1.2.5"), build_context("1.2.840.10008.1.1")]
        association = ae.associate(server.host, server.port, contexts=contexts, ae_title="DEMO")
        assert [each.result for each in association.rejected_contexts] == [4]
        association.release()


def test_four_retrievals_at_once(plain):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(len(get(plain, "STUDY", StudyInstanceUID=ST)[0])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [11] * 4
