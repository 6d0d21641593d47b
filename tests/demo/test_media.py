"""Media creation of the embedded PACS, asked by a requestor that is not ours (R16.11)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from dicomlab.demo import DemoServer, Holdings, Manners

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
assert _place is not None and _place.loader is not None
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)
MEDIA = "1.2.840.10008.5.1.1.33"
STATUS = [0x21000020, 0x21000030, 0x2200000B]


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Holdings.t31()) as server:
        yield server


def wish(*uids: str, **more: Any) -> Dataset:
    made = Dataset()
    made.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = scu.CLASSES[1], uid
        item.RequestedMediaApplicationProfile = "STD-GEN-CD"
        made.ReferencedSOPSequence.append(item)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def held(server: DemoServer) -> str:
    return next(iter(server.holdings)).uid


def initiation(**more: Any) -> Dataset:
    made = Dataset()
    made.NumberOfCopies, made.RequestPriority = 1, "MED"
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_a_request_goes_from_idle_over_pending_and_creating_to_done(server):  # R16.11
    uid = generate_uid()
    with scu.associated(server, MEDIA) as association:
        status, made = association.send_n_create(wish(held(server), StorageMediaFileSetID="A_1"), MEDIA, uid)
        assert status.Status == 0x0000 and made.ExecutionStatus == "IDLE"
        assert association.send_n_get(STATUS, MEDIA, uid)[1].ExecutionStatus == "IDLE"
        assert association.send_n_action(initiation(NumberOfCopies=2), 1, MEDIA, uid)[0].Status == 0x0000
        seen = [association.send_n_get(STATUS, MEDIA, uid) for _ in range(4)]
    assert [found.ExecutionStatus for _, found in seen] == ["PENDING", "CREATING", "DONE", "DONE"]
    assert seen[-1][1].ExecutionStatusInfo == "NORMAL" and seen[-1][1].TotalNumberOfPiecesOfMediaCreated == 2
    assert {status.Status for status, _ in seen} == {0x0000}
    services = [one.service for one in server.transcript[1:]]
    assert services == ["N-CREATE", "N-GET", "N-ACTION", *["N-GET"] * 4]


def test_what_is_not_there_fails(server):
    uid = generate_uid()
    with scu.associated(server, MEDIA) as association:
        association.send_n_create(wish("1.2.3.4"), MEDIA, uid)
        association.send_n_action(initiation(), 1, MEDIA, uid)
        *_, (_, found) = [association.send_n_get([*STATUS, 0x00081198], MEDIA, uid) for _ in range(3)]
    assert (found.ExecutionStatus, found.ExecutionStatusInfo) == ("FAILURE", "NO_INSTANCE")
    assert found.FailedSOPSequence[0].FailureReason == 0x0112


def without(name: str) -> Dataset:
    made = wish("1.2.3")
    del made.ReferencedSOPSequence[0][name]
    return made


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (Dataset(), 0x0120),
        (wish(), 0x0121),
        (without("ReferencedSOPClassUID"), 0x0120),
        (without("RequestedMediaApplicationProfile"), 0x0120),
        (wish("1.2.3", StorageMediaFileSetID="lower"), 0x0106),
        (wish("1.2.3", AllowMediaSplitting="MAYBE"), 0x0106),
    ],
)
def test_a_request_that_lacks_something_is_refused(server, asked, status):  # R16.11
    if not len(asked):
        asked.LabelText = "nothing else"
    with scu.associated(server, MEDIA) as association:
        assert association.send_n_create(asked, MEDIA, generate_uid())[0].Status == status
    assert not server.media


@pytest.mark.filterwarnings("ignore")
def test_what_comes_twice_or_too_late_or_for_nothing_is_refused(server):  # R16.11
    uid = generate_uid()
    with scu.associated(server, MEDIA) as association:
        assert association.send_n_action(initiation(), 1, MEDIA, uid)[0].Status == 0x0112
        assert association.send_n_get(STATUS, MEDIA, uid)[0].Status == 0x0112
        association.send_n_create(wish(held(server)), MEDIA, uid)
        assert association.send_n_create(wish(held(server)), MEDIA, uid)[0].Status == 0x0111
        assert association.send_n_action(initiation(), 3, MEDIA, uid)[0].Status == 0x0123
        assert association.send_n_action(initiation(RequestPriority="NOW"), 1, MEDIA, uid)[0].Status == 0x0115
        assert association.send_n_action(initiation(), 1, MEDIA, uid)[0].Status == 0x0000
        assert association.send_n_action(initiation(), 1, MEDIA, uid)[0].Status == 0xA510
        assert association.send_n_create(wish(held(server)), MEDIA, uid)[0].Status == 0xA510
        assert association.send_n_get([*STATUS, 0x00100010], MEDIA, uid)[0].Status == 0x0001


@pytest.mark.parametrize(
    ("states", "told", "status"),
    [
        (("PENDING",), None, 0x0000),
        (("CREATING",), None, 0xC202),
        (("DONE",), None, 0xC201),
        (("FAILURE",), None, 0xC201),
        (("PENDING",), 0xC203, 0xC203),
    ],
)
def test_a_cancellation_is_answered_by_the_state(server, states, told, status):  # R16.11
    server.manners = Manners(media_states=states, media_cancel=told)
    uid = generate_uid()
    with scu.associated(server, MEDIA) as association:
        association.send_n_create(wish(held(server)), MEDIA, uid)
        association.send_n_action(initiation(), 1, MEDIA, uid)
        assert association.send_n_action(None, 2, MEDIA, uid)[0].Status == status
        gone = association.send_n_get(STATUS, MEDIA, uid)[0].Status
    assert gone == (0x0112 if status == 0 else 0x0000)


@pytest.mark.parametrize("manners", [Manners.orthanc(), Manners.dcmqrscp(), Manners.wlmscpfs()])
def test_archives_that_have_no_such_service_do_not_offer_it(server, manners):  # R16.13, SPEC 0.5
    server.manners = manners
    with scu.associated(server, MEDIA) as association:
        assert not association.accepted_contexts
