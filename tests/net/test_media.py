"""Media creation: the request and its steps, what is said of them, and what is remembered (SPEC 10)."""

from __future__ import annotations

import doctest
import inspect
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from normalizedfaults import FAULTS, Answer, Asked, honest, meet
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings
from dicomlab.demo.manners import Manners
from dicomlab.errors import (
    ConnectError,
    IncompleteStore,
    Interrupted,
    InvalidRequest,
    MediaFailed,
    NoAcceptedContext,
    ProtocolError,
    ResultWarning,
    StatusError,
    UnknownName,
)
from dicomlab.net.media import mediacreation
from dicomlab.net.media.mediarequest import MediaRequest, MediaRequests

MEDIA = "1.2.840.10008.5.1.1.33"
FILES = [get_testdata_file(name) for name in ("CT_small.dcm", "MR_small.dcm")]
ALLOW = ("create_media", "store")
ROWS = pd.DataFrame({"SOPInstanceUID": ["1.2.3.4"], "SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2"]})


@pytest.fixture
def server() -> Any:
    """The 31 instances of pydicom, with the transcript of who asked for what."""
    with DemoServer(Holdings.t31()) as server:
        yield server


def asked(server: DemoServer, *services: str) -> list[Any]:
    return [one for one in server.transcript if one.service in services]


def test_media_are_made_of_series_and_what_was_sent_is_what_the_standard_says(server):  # R10.2, R10.3, R10.4
    with dl.connect(server.address, allow="create_media") as pacs:
        series = pacs.find("SERIES", Modality="CT").head(1)
        made = pacs.create_media(series, copies=2, priority="high", StorageMediaFileSetID="DISC_1", LabelText="Zoë")
    assert made.status == "DONE" and made.info == "NORMAL" and made.final and made.pieces == 2
    assert [name for name, _ in made.file_sets] == ["DISC_1", "DISC_1"] and made.failures.empty
    assert made.attributes.ExecutionStatus == "DONE"
    create, action, *gets = asked(server, "N-CREATE", "N-ACTION", "N-GET")
    assert create.sop_instance == action.sop_instance == gets[0].sop_instance == made.uid
    assert {one.sop_class for one in (create, action, *gets)} == {MEDIA}
    said = create.identifier
    assert said.StorageMediaFileSetID == "DISC_1" and said.LabelText == "Zoë"
    assert len(said.ReferencedSOPSequence) == series.NumberOfSeriesRelatedInstances.iloc[0]
    assert {item.RequestedMediaApplicationProfile for item in said.ReferencedSOPSequence} == {"STD-GEN-CD"}
    assert all(item.ReferencedSOPInstanceUID in server.holdings for item in said.ReferencedSOPSequence)
    assert action.action == 1 and action.identifier.NumberOfCopies == 2 and action.identifier.RequestPriority == "HIGH"
    assert gets[0].attributes == (0x21000020, 0x21000030, 0x2200000B, 0x00081198, 0x2200000D)


def test_whatever_names_something_in_the_archive_may_be_given(server):
    with dl.connect(server.address, allow="create_media") as pacs:
        series = pacs.find("SERIES", Modality="CT").head(1)
        images = pacs.find(
            "IMAGE", StudyInstanceUID=series.StudyInstanceUID, SeriesInstanceUID=series.SeriesInstanceUID
        )
        study = series.StudyInstanceUID
        given = [
            series,
            series.iloc[0],
            images,
            images.iloc[0],
            study,
            study[0],
            [study[0]],
            dl.scan(*FILES).drop(columns=["path"]),
        ]
        for what in given:
            pacs.create_media(what, initiate=False)
    counts = [len(one.identifier.ReferencedSOPSequence) for one in asked(server, "N-CREATE")]
    number = series.NumberOfSeriesRelatedInstances.iloc[0]
    assert counts[:4] == [number, number, number, 1] and len(set(counts[4:7])) == 1 and counts[4] >= number


def test_each_step_can_be_taken_singly(server):  # R10.2
    with dl.connect(server.address, allow="create_media") as pacs:
        made = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1), initiate=False)
        assert made.status == "IDLE" and not asked(server, "N-ACTION")
        assert made.initiate(copies=3).status == "" and asked(server, "N-ACTION")[0].identifier.NumberOfCopies == 3
        assert [made.poll().status for _ in range(3)] == ["PENDING", "CREATING", "DONE"]
        assert made.pieces == 3


def test_that_the_device_takes_the_request_is_no_success(server):  # R10.3
    server.manners = Manners(media_states=("PENDING", "FAILURE"), media_info="OUT_OF_SUPPLIES")
    with dl.connect(server.address, allow="create_media") as pacs:
        with pytest.raises(MediaFailed, match="OUT_OF_SUPPLIES: blank media or ink have run out") as caught:
            pacs.create_media(pacs.find("SERIES", Modality="CT").head(1))
        made = pacs.media[caught.value.uid]
    assert made.status == "FAILURE" and made.final and made.pieces == 0


def test_failed_is_taken_for_failure_too(server):  # R10.3
    server.manners = Manners(media_states=("FAILED",), media_info="PROC_FAILURE")
    with dl.connect(server.address, allow="create_media") as pacs, pytest.raises(MediaFailed) as caught:
        pacs.create_media(pacs.find("SERIES", Modality="CT").head(1))
    with dl.connect(server.address) as pacs:
        assert pacs.media[caught.value.uid].status == "FAILURE"


def test_the_instances_that_are_not_on_the_media_are_named(server):  # R10.4
    uids = [one.uid for one in list(server.holdings)[:3]]
    server.manners = Manners(media_failures={uids[1]: 0x0122})
    rows = pd.DataFrame({"SOPInstanceUID": uids, "SOPClassUID": [server.holdings[uid].sop_class for uid in uids]})
    with dl.connect(server.address, allow="create_media") as pacs:
        with pytest.warns(ResultWarning, match="1 of 3 instances is not on the media"):
            made = pacs.create_media(rows)
        assert made.status == "DONE" and made.failures.SOPInstanceUID.tolist() == [uids[1]]
        assert made.failures.failure_reason.tolist() == [0x0122] and "SOP class" in made.failures.meaning[0]
        with pytest.raises(MediaFailed, match=r"NO_INSTANCE.*1 of 1 instances failed.*1\.2\.3\.4: no such") as caught:
            pacs.create_media(ROWS)
        assert caught.value.rows.SOPInstanceUID.tolist() == ["1.2.3.4"]


def test_what_the_device_lacks_is_stored_first_on_request_and_nothing_else(server):  # R10.1
    scanned = dl.scan(*FILES)
    with dl.connect(server.address, allow=ALLOW) as pacs:
        pacs.store(FILES[:1])
        before = len(asked(server, "C-STORE"))
        assert pacs.create_media(scanned, store=True).status == "DONE"
        sent = asked(server, "C-STORE")[before:]
        assert [one.sop_instance for one in sent] == [scanned.SOPInstanceUID[1]]
        assert [one.service for one in asked(server, "C-STORE", "N-CREATE")][-1] == "N-CREATE"
        assert pacs.create_media(scanned, store=True).status == "DONE" and len(asked(server, "C-STORE")) == before + 1
        assert pacs.create_media(FILES, store=True).status == "DONE"  # paths name no study: they are sent again


def test_what_cannot_be_stored_asks_for_no_media(server):  # R10.1
    server.manners = Manners(store_status=0xA700)
    with dl.connect(server.address, allow=ALLOW) as pacs:
        with pytest.raises(IncompleteStore):
            pacs.create_media(dl.scan(*FILES), store=True)
        assert not pacs.media
    assert not asked(server, "N-CREATE")


def test_rows_that_are_not_stored_are_refused_unless_they_are_to_be(server):  # R10.1
    with dl.connect(server.address, allow=ALLOW) as pacs:
        sent = pacs.store(FILES)
        sent.loc[0, "stored"] = False
        with pytest.raises(InvalidRequest, match="1 of 2 instances is not stored"):
            pacs.create_media(sent)
        assert pacs.create_media(sent, store=True).status == "DONE"


def test_a_profile_may_be_given_for_each_instance(server):  # R10.5
    with dl.connect(server.address, allow=ALLOW) as pacs:
        sent = pacs.store(FILES).assign(RequestedMediaApplicationProfile=["STD-GEN-CD", "STD-GEN-DVD-RAM"])
        pacs.create_media(sent)
    items = asked(server, "N-CREATE")[0].identifier.ReferencedSOPSequence
    assert [item.RequestedMediaApplicationProfile for item in items] == ["STD-GEN-CD", "STD-GEN-DVD-RAM"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"StorageMediaFileSetID": "SEVENTEEN_LETTERS"}, "cannot name a medium"),
        ({"StorageMediaFileSetID": "lower"}, "cannot name a medium"),
        ({"StorageMediaFileSetID": ""}, "cannot name a medium"),
        ({"StorageMediaFileSetID": 7}, "cannot name a medium"),
        ({"StorageMediaFileSetUID": "no uid"}, "StorageMediaFileSetUID"),
        ({"profile": ""}, "no media application profile"),
        ({"profile": None}, "no media application profile"),
        ({"copies": 0}, "copies=0"),
        ({"copies": True}, "copies=True"),
        ({"copies": 1.5}, "copies=1.5"),
        ({"priority": "urgent"}, "priority='urgent'"),
        ({"AllowMediaSplitting": "maybe"}, "Give True or False"),
        ({"LabelTxt": "x"}, "did you mean 'LabelText'"),
        ({"PatientName": "x"}, "says nothing of media"),
        ({"wait": -1}, "wait=-1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(server, settings, words):  # R10.5
    with dl.connect(server.address, allow="create_media") as pacs:
        with pytest.raises(InvalidRequest, match=words):
            pacs.create_media(ROWS, **settings)
        assert not server.transcript and not pacs.media


@pytest.mark.parametrize("what", [ROWS[:0], [], None, 5, "no such file", ROWS.assign(SOPClassUID=pd.NA)])
def test_an_empty_choice_or_none_at_all_is_refused(server, what):  # R10.5
    with dl.connect(server.address, allow="create_media") as pacs, pytest.raises(InvalidRequest):
        pacs.create_media(what)
    assert not server.transcript


def test_yes_and_no_are_true_and_false(server):
    with dl.connect(server.address, allow="create_media") as pacs:
        pacs.create_media(ROWS, initiate=False, AllowMediaSplitting=True, AllowLossyCompression=False)
    said = asked(server, "N-CREATE")[0].identifier
    assert said.AllowMediaSplitting == "YES" and said.AllowLossyCompression == "NO"


def test_a_cancelled_request_is_over_and_its_peer_knows_it_no_more(server):  # R10.2
    with dl.connect(server.address, allow="create_media") as pacs:
        made = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1), wait=0)
        assert made.cancel().status == "CANCELLED" and made.final
        assert asked(server, "N-ACTION")[-1].action == 2 and not asked(server, "N-ACTION")[-1].identifier
        assert made.poll().status == "CANCELLED"  # 0x0112, and that is right
        for step in (made.initiate, made.cancel):
            with pytest.raises(InvalidRequest, match="was cancelled"):
                step()


@pytest.mark.parametrize(
    ("states", "cancel", "code"),
    [(("CREATING",), None, 0xC202), (("DONE",), None, 0xC201), (("PENDING",), 0xC203, 0xC203)],
)
def test_a_cancellation_that_is_denied_changes_nothing(server, states, cancel, code):  # R10.2, R10.6
    server.manners = Manners(media_states=states, media_cancel=cancel)
    with dl.connect(server.address, allow="create_media") as pacs:
        made = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1), wait=0)
        with pytest.raises(StatusError) as caught:
            made.cancel()
        assert caught.value.status.code == code and made.uid in caught.value.advice
        assert pacs.media[made.uid].poll().status == states[0]


def test_a_second_initiation_is_refused_by_the_device_and_changes_nothing(server):  # SPEC 10, 0xA510
    with dl.connect(server.address, allow="create_media") as pacs:
        made = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1))
        with pytest.raises(StatusError, match="0xA510 media creation was already initiated") as caught:
            made.initiate()
        assert "poll()" in caught.value.advice and made.status == "DONE"


def test_a_request_that_is_refused_is_not_remembered(server):  # R10.6
    server.manners = Manners(media_create=0x0116)
    with dl.connect(server.address, allow="create_media") as pacs:
        with pytest.raises(StatusError, match="0x0116"):
            pacs.create_media(ROWS)
        assert not pacs.media and repr(pacs.media).startswith("no requests")


def test_an_initiation_that_is_refused_can_be_tried_again_in_another_session(server):  # R10.6
    server.manners = Manners(media_action=0x0213)
    with dl.connect(server.address, allow="create_media") as pacs:
        series = pacs.find("SERIES", Modality="CT").head(1)
        with pytest.raises(StatusError, match="0x0213") as caught:
            pacs.create_media(series)
    server.manners = Manners()
    with dl.connect(server.address, allow="create_media") as pacs:
        (uid,) = pacs.media
        assert uid in caught.value.advice and "created, and not initiated" in repr(pacs.media)
        assert pacs.media[uid].initiate().wait(20).status == "DONE"
    assert len(asked(server, "N-CREATE")) == 1


def test_a_request_that_is_not_final_in_time_goes_on_and_that_is_said(server):  # R10.2, R10.6
    server.manners = Manners(media_states=("PENDING",))
    with dl.connect(server.address, allow="create_media") as pacs:
        with pytest.warns(ResultWarning, match=r"PENDING after 0.3 s; the request goes on there, and peer.media"):
            made = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1), wait=0.3)
        assert made.status == "PENDING" and not made.final


def test_another_thread_stops_the_waiting_and_the_request_goes_on(server):  # R10.2
    server.manners = Manners(media_states=("PENDING",))
    with dl.connect(server.address, allow="create_media") as pacs:
        made = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1), wait=0)
        threading.Timer(0.5, pacs.cancel).start()
        began = time.monotonic()
        with pytest.warns(ResultWarning, match="stopped; the request goes on"):
            made.wait(60)
        assert time.monotonic() - began < 20 and made.status == "PENDING"


def test_ctrl_c_stops_the_waiting_and_says_where_it_goes_on(server, monkeypatch):  # R10.2, R10.6
    server.manners = Manners(media_states=("PENDING",))

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with dl.connect(server.address, allow="create_media") as pacs:
        made = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1), wait=0)
        monkeypatch.setattr("dicomlab.net.association.deadline.Deadline.wait", interrupted)
        with pytest.raises(Interrupted, match=made.uid):
            made.wait(60)


def test_the_pauses_between_two_questions_grow(server, monkeypatch):  # R10.2
    server.manners = Manners(media_states=("PENDING",) * 6 + ("DONE",))
    pauses: list[float] = []
    wait = "dicomlab.net.association.deadline.Deadline.wait"
    monkeypatch.setattr(wait, lambda self, seconds: bool(pauses.append(seconds)))
    monkeypatch.setattr(mediacreation, "LONGEST", 1.0)
    with dl.connect(server.address, allow="create_media") as pacs:
        pacs.create_media(pacs.find("SERIES", Modality="CT").head(1))
    assert pauses == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_a_node_must_be_allowed_to_create_media_and_to_store():  # R1.0
    with dl.connect("DEVICE@127.0.0.1:9", allow="store") as peer, pytest.raises(InvalidRequest, match="create_media"):
        peer.create_media(ROWS)
    with dl.connect("DEVICE@127.0.0.1:9", allow="create_media") as peer:
        with pytest.raises(InvalidRequest, match="may not store"):
            peer.create_media(FILES, store=True)
        with pytest.raises(ConnectError):
            peer.create_media(ROWS)
        assert not peer.media


def test_a_request_known_from_before_may_be_polled_but_not_changed_by_a_read_only_node(server):  # R1.0, R10.6
    with dl.connect(server.address, allow="create_media") as pacs:
        uid = pacs.create_media(pacs.find("SERIES", Modality="CT").head(1), wait=0).uid
    with dl.connect(server.address) as pacs:
        assert pacs.media[uid].poll().status == "PENDING"
        with pytest.raises(InvalidRequest, match="read-only"):
            pacs.media[uid].cancel()


def test_a_peer_without_the_service_says_so_and_nothing_is_remembered(server):  # SPEC 10, R10.6
    server.manners = Manners(media=False)
    with dl.connect(server.address, allow="create_media") as pacs:
        with pytest.raises(NoAcceptedContext, match="Media Creation Management") as caught:
            pacs.create_media(ROWS)
        assert caught.value.result == 3 and "not supported by this peer" in str(caught.value) and not pacs.media


def test_requests_are_found_by_uid_at_their_own_peer_only(server, own_folders: Path):  # R10.6
    known = MediaRequests()
    with dl.connect(server.address) as pacs:
        known.keep(MediaRequest("1.2.2", pacs.node.identity, 2.0, {"1.2.3": "1.2"}, step="initiated", status="DONE"))
        known.keep(MediaRequest("1.2.1", pacs.node.identity, 1.0, {"1.2.3": "1.2"}))
        known.keep(MediaRequest("1.2.9", "OTHER@127.0.0.1:9", 3.0, {"1.2.3": "1.2"}))
        assert list(pacs.media) == ["1.2.1", "1.2.2"] and len(pacs.media) == 2
        assert "poll() asks" in repr(pacs.media["1.2.1"]) and "DONE" in pacs.media._repr_html_()
        for uid in ("1.2.9", "9.9", "../1.2.1", 5):
            with pytest.raises(UnknownName, match="no request for media at"):
                pacs.media[uid]
    folder = own_folders / "state" / "media"
    assert oct(folder.stat().st_mode)[-3:] == "700" and len(list(folder.iterdir())) == 3


def test_names_are_hidden_in_what_is_shown_of_a_request(server):  # R0.6
    with dl.connect(server.address, allow="create_media") as pacs:
        series = pacs.find("SERIES", Modality="CT").head(1)
        dl.options.phi = False
        try:
            made = pacs.create_media(series, StorageMediaFileSetID="DOE_JANE")
            shown = repr(made) + made._repr_html_() + str(made.file_sets) + str(made.attributes)
        finally:
            dl.options.phi = True
    assert "DOE_JANE" not in shown and asked(server, "N-CREATE")[0].identifier.StorageMediaFileSetID == "DOE_JANE"


# -- what a peer does wrong ----------------------------------------------------------------------------------------


def device(asked: Asked) -> Answer:
    """One that is done at once."""
    if asked.name != "N-GET":
        return honest(asked)
    said = Dataset()
    said.ExecutionStatus, said.ExecutionStatusInfo, said.TotalNumberOfPiecesOfMediaCreated = "DONE", "NORMAL", 1
    return Answer(said)


@pytest.mark.parametrize("at", ["N-CREATE", "N-ACTION", "N-GET"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_survives_what_a_peer_does_wrong(fault, at, monkeypatch):  # R10.6, R16.12
    if (fault, at) == ("no list", "N-GET"):
        monkeypatch.setitem(FAULTS, fault, type(FAULTS[fault])(ProtocolError, ("Execution Status",)))
    kept: list[str] = []

    def call(peer: dl.Peer) -> Any:
        try:
            return peer.create_media(ROWS, wait=20)
        finally:
            kept.extend(peer.media)

    outcome, _ = meet(fault, call, sop_classes=[MEDIA], allow="create_media", at=at, answer=device)
    if outcome.error is None:
        assert outcome.result.status == "DONE" and kept == [outcome.result.uid]
        if fault == "warning":
            assert any("0x0001" in one for one in outcome.warned) or at == "N-GET"
        return
    refused = isinstance(outcome.error, StatusError) and at == "N-CREATE"
    assert len(kept) == (0 if refused else 1)
    if kept:
        assert kept[0] in str(outcome.error.advice), outcome.error


@pytest.mark.parametrize("name", ["create_media", "media"])
def test_the_examples_are_true(name):
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(getattr(dl.Peer, name)) or "", {}, name, None, None)
    assert doctest.DocTestRunner().run(example).failed == 0 and example.examples
