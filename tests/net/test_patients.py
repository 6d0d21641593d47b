"""The patient updater: what each action sends and brings about, and what keeps it from doing harm (SPEC 11)."""

from __future__ import annotations

import datetime as dt
import doctest
import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from normalizedfaults import FAULTS, meet
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings
from dicomlab.demo.manners import Manners
from dicomlab.errors import ConnectError, InvalidRequest, NoAcceptedContext, ProtocolError, StatusError
from dicomlab.net.association.node import Quirks
from dicomlab.net.patients.patients import PatientUpdater
from dicomlab.net.patients.updates import Action

UPDATER, INSTANCE = "1.2.840.114257.15.1.3", "1.2.840.114257.15.1.3.100.1"
ARCHIBALD, PETER = "77654033", "98890234"
WHY = {"reason": "reconciled with the register"}
BLOCK = (
    "RequestedProcedureDescription", "ReasonForTheRequestedProcedure", "OperatorsName", "StationName",
    "InstanceCreationDate", "InstanceCreationTime", "TransactionUID",
)  # fmt: skip


@pytest.fixture
def server() -> Any:
    with DemoServer(Holdings.t31()) as server:
        yield server


@pytest.fixture
def pacs(server: DemoServer) -> Any:
    """A node of LEAD's, as one says in its entry."""
    node = dl.Node(
        server.ae_title, server.host, server.port, allow=frozenset({"update_patient"}), quirks=Quirks(leadtools=True)
    )
    with dl.connect(node) as peer:
        yield peer


def actions(server: DemoServer) -> list[Any]:
    return [one for one in server.transcript if one.service == "N-ACTION"]


def beyond(asked: Dataset) -> dict[str, Any]:
    """The data set without the common block."""
    return {one.keyword: one.value for one in asked if one.keyword not in (*BLOCK, "SpecificCharacterSet")}


def studies(pacs: dl.Peer, patient: str) -> list[str]:
    return pacs.find("STUDY", PatientID=patient).StudyInstanceUID.tolist()


# -- the twelve actions --------------------------------------------------------------------------------------------


def test_a_patient_gets_another_name_and_the_rest_stays_as_the_archive_has_it(pacs, server):  # R11.1, R16.11
    done = pacs.patients.change_patient(PETER, PatientName="Roe^Pétra", **WHY)
    assert done.status.code == 0 and done.action == 100 and done.name == "change patient"
    (sent,) = actions(server)
    assert (sent.sop_class, sent.sop_instance, sent.action) == (UPDATER, INSTANCE, 100)
    assert sent.transfer_syntax == "1.2.840.10008.1.2"
    assert beyond(sent.identifier) == {
        "PatientName": "Roe^Pétra", "PatientID": PETER, "PatientSex": "M", "PatientBirthDate": "",
        "OtherPatientIDs": PETER,
    }  # fmt: skip
    assert set(pacs.find("STUDY", PatientID=PETER).PatientName) == {"Roe^Pétra"}


def test_every_action_carries_the_whole_common_block(pacs, server):  # R11.4
    pacs.patients.change_patient(PETER, PatientSex="O", **WHY, operator="Reader^Rita", station="WS7", description="fix")
    sent = actions(server)[0].identifier
    assert all(str(sent[name].value) for name in BLOCK)
    assert sent.ReasonForTheRequestedProcedure == WHY["reason"] and sent.OperatorsName == "Reader^Rita"
    assert sent.StationName == "WS7" and sent.RequestedProcedureDescription == "fix"


@pytest.mark.parametrize("part", BLOCK)
def test_a_server_may_demand_each_part_of_the_block(pacs, server, part):  # R11.4
    server.manners = Manners(updater_demands=frozenset({part}))
    assert pacs.patients.change_patient(PETER, PatientSex="O", **WHY).status.code == 0


def test_a_patient_gets_a_new_id_and_nobody_has_the_old_one(pacs):  # R11.1, R11.3
    before = studies(pacs, PETER)
    pacs.patients.change_patient(PETER, new_id="NEW-1", **WHY)
    assert studies(pacs, PETER) == [] and studies(pacs, "NEW-1") == before


def test_a_new_id_that_somebody_has_is_refused_and_a_merge_is_offered(pacs, server):  # R11.3
    with pytest.raises(InvalidRequest, match=r"already, so that this would be a merge.*merge_patient"):
        pacs.patients.change_patient(PETER, new_id=ARCHIBALD, **WHY)
    assert not actions(server)
    looked = pacs.patients.change_patient(PETER, new_id=ARCHIBALD, **WHY, dry_run=True)
    assert len(looked.lacks) == 1 and "merge_patient" in looked.lacks[0]


def test_a_new_id_that_cannot_be_looked_up_is_not_given(pacs, server, monkeypatch):  # R11.3
    person = {"PatientName": "A^B", "PatientSex": "O", "PatientBirthDate": "19600101"}
    monkeypatch.setattr("dicomlab.demo.negotiation.MODELS", frozenset())
    with pytest.raises(NoAcceptedContext, match="nothing was changed"):
        pacs.patients.change_patient(PETER, new_id="NEW-1", **person, **WHY)
    assert not actions(server)


def test_a_patient_is_deleted_with_all_that_is_there(pacs, server):  # R11.1
    pacs.patients.delete_patient(PETER, **WHY, confirm=PETER)
    assert beyond(actions(server)[0].identifier) == {"PatientID": PETER}
    assert studies(pacs, PETER) == [] and studies(pacs, ARCHIBALD)


def test_a_deletion_may_be_limited_to_studies(pacs, server):  # R11.1
    first, *others = studies(pacs, PETER)
    pacs.patients.delete_patient(PETER, studies=first, **WHY, confirm=[PETER, first])
    (item,) = actions(server)[0].identifier.ReferencedStudySequence
    assert item.ReferencedSOPInstanceUID == first and studies(pacs, PETER) == others


def test_patients_are_merged_into_the_one_that_stays(pacs, server):  # R11.1
    both = {*studies(pacs, PETER), *studies(pacs, ARCHIBALD)}
    pacs.patients.merge_patient(PETER, into=ARCHIBALD, **WHY, confirm=PETER)
    sent = actions(server)[0].identifier
    assert sent.PatientID == ARCHIBALD and [item.PatientID for item in sent.ReferencedPatientSequence] == [PETER]
    found = pacs.find("STUDY", PatientID=ARCHIBALD)
    assert set(found.StudyInstanceUID) == both and found.PatientName.nunique() == 1 and not studies(pacs, PETER)


def test_a_series_gets_another_description(pacs, server):  # R11.1
    row = pacs.find("SERIES", PatientID=PETER, Modality="CT").iloc[0]
    pacs.patients.change_series(row.SeriesInstanceUID, SeriesDescription="thorax", study=row.StudyInstanceUID, **WHY)
    sent = beyond(actions(server)[0].identifier)
    assert set(sent) == {"SeriesInstanceUID", "Modality", "SeriesDescription", "SeriesDate", "SeriesTime"}
    assert sent["Modality"] == "CT"
    found = pacs.find("SERIES", StudyInstanceUID=row.StudyInstanceUID, SeriesInstanceUID=row.SeriesInstanceUID)
    assert found.SeriesDescription.tolist() == ["thorax"]


def test_a_series_is_deleted(pacs, server):  # R11.1
    row = pacs.find("SERIES", PatientID=PETER).iloc[0]
    uids = {"StudyInstanceUID": row.StudyInstanceUID, "SeriesInstanceUID": row.SeriesInstanceUID}
    pacs.patients.delete_series(**uids, **WHY, confirm=row.SeriesInstanceUID)
    assert beyond(actions(server)[0].identifier) == uids and not len(pacs.find("SERIES", **uids))


def test_a_study_goes_to_another_patient(pacs, server):  # R11.1, 105
    study = studies(pacs, PETER)[0]
    pacs.patients.merge_study(study, away=PETER, into=ARCHIBALD, **WHY, confirm=study)
    sent = actions(server)[0]
    assert sent.action == 105 and sent.identifier.ReferencedPatientSequence[0].PatientID == PETER
    assert study in studies(pacs, ARCHIBALD) and study not in studies(pacs, PETER)


def test_moving_a_study_to_a_new_patient_is_refused_until_it_is_known(pacs, server):  # R11.0
    with pytest.raises(InvalidRequest, match=r"\(106\) is encoded is not known"):
        pacs.patients.move_study_to_new_patient("1.2.3", **WHY)
    with pytest.raises(StatusError, match="0x0123 unknown action"):  # who knows it may send it
        pacs.patients.send(106, one(StudyInstanceUID="1.2.3"), **WHY)


def test_a_patient_is_copied(pacs, server):  # R11.1
    pacs.patients.copy_patient(PETER, "COPY-1", PatientName="Copy^Peter", **WHY)
    sent = beyond(actions(server)[0].identifier)
    assert (sent["OtherPatientIDs"], sent["PatientID"]) == (PETER, "COPY-1")
    assert len(studies(pacs, "COPY-1")) == len(studies(pacs, PETER)) and actions(server)[0].action == 107
    assert not set(studies(pacs, "COPY-1")) & set(studies(pacs, PETER))


def test_a_study_is_copied_to_a_patient_as_that_one_is_named(pacs, server):  # R11.1
    study = studies(pacs, PETER)[0]
    pacs.patients.copy_study(study, away=PETER, into=ARCHIBALD, **WHY)
    sent = beyond(actions(server)[0].identifier)
    assert sent["PatientName"] == "Doe^Archibald" and sent["OtherPatientIDs"] == PETER
    assert sent["StudyInstanceUID"] == study and sent["ReferencedPatientSequence"][0].PatientID == PETER
    assert study in studies(pacs, PETER) and study not in studies(pacs, ARCHIBALD)


@pytest.mark.parametrize("new", [None, "1.2.3.4.5"])
def test_a_series_goes_to_another_patient(pacs, server, new):  # R11.1
    row = pacs.find("SERIES", PatientID=PETER).iloc[0]
    before = studies(pacs, ARCHIBALD)
    pacs.patients.move_series(row.SeriesInstanceUID, away=PETER, into=ARCHIBALD, new_study=new, **WHY)
    sent = actions(server)[0]
    assert sent.action == 109 and sent.identifier.StudyInstanceUID == (new or "")
    (study,) = set(studies(pacs, ARCHIBALD)) - set(before)
    assert new in (None, study)
    assert pacs.find("SERIES", StudyInstanceUID=study).SeriesInstanceUID.tolist() == [row.SeriesInstanceUID]


def test_a_study_gets_another_description(pacs, server):  # R11.1
    study = studies(pacs, PETER)[0]
    pacs.patients.change_study(study, StudyDescription="knee", PatientWeight=70, **WHY)
    sent = beyond(actions(server)[0].identifier)
    assert len(sent) == 8 and sent["StudyDescription"] == "knee" and sent["PatientWeight"] == 70
    found = pacs.find("STUDY", StudyInstanceUID=study)
    assert found.StudyDescription.tolist() == ["knee"] and found.StudyDate.notna().all()


def test_values_of_a_table_go_out_as_they_are_written(pacs, server):  # R11.6
    row = pacs.find("SERIES", PatientID=PETER, Modality="CT").iloc[0]
    pacs.patients.change_series(row.SeriesInstanceUID, SeriesDate=row.StudyDate, SeriesTime=row.StudyTime, **WHY)
    pacs.patients.change_series(row.SeriesInstanceUID, SeriesDate=dt.date(2024, 2, 1), SeriesTime=pd.NA, **WHY)
    first, second = [one.identifier for one in actions(server)]
    assert first.SeriesDate == f"{row.StudyDate:%Y%m%d}" and len(first.SeriesTime) == 6
    assert second.SeriesDate == "20240201" and not second.SeriesTime


def test_a_row_that_is_given_for_an_identifier_is_not_shown_whole(pacs):  # R0.6
    row = pacs.find("STUDY", PatientID=PETER).iloc[0]
    for call in (pacs.patients.delete_study, pacs.patients.delete_patient):
        with pytest.raises(InvalidRequest, match=r"takes one .* not a Series. Give row\.") as caught:
            call(row, **WHY)
        assert "Doe^Peter" not in str(caught.value)


def test_a_study_is_deleted(pacs):  # R11.1
    study, *others = studies(pacs, PETER)
    pacs.patients.delete_study(study, **WHY, confirm=study)
    assert studies(pacs, PETER) == others


def one(**values: Any) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_any_action_may_be_sent_with_a_data_set_of_ones_own(pacs, server):  # R11.1
    asked = one(OtherPatientIDs=PETER, PatientID=PETER, PatientName="O'Neil^Pat", PatientSex="O")
    pacs.patients.send(100, asked, **WHY)
    assert len(asked) == 4  # it is the caller's
    assert actions(server)[0].identifier.PatientName == "O'Neil^Pat"  # R11.6
    with pytest.raises(StatusError, match="0x0123 unknown action"):  # SPEC 11, tests
        pacs.patients.send(99, asked, **WHY)
    for action, data in ((True, asked), (-1, asked), ("100", asked), (100, Dataset()), (100, {"PatientID": "1"})):
        with pytest.raises(InvalidRequest):
            pacs.patients.send(action, data, **WHY)


# -- what keeps it from doing harm -----------------------------------------------------------------------------------


def destructive(updater: PatientUpdater, **how: Any) -> list[tuple[Any, Any]]:
    """Each call that deletes or merges, and what will be gone."""
    return [
        (lambda **more: updater.delete_patient(PETER, **how, **more), PETER),
        (lambda **more: updater.merge_patient([PETER, "X"], ARCHIBALD, **how, **more), [PETER, "X"]),
        (lambda **more: updater.delete_series("1.2.4", StudyInstanceUID="1.2.3", **how, **more), "1.2.4"),
        (lambda **more: updater.merge_study("1.2.3", away=PETER, into=ARCHIBALD, **how, **more), "1.2.3"),
        (lambda **more: updater.delete_study("1.2.3", **how, **more), "1.2.3"),
        (lambda **more: updater.send(101, one(PatientID=PETER), **how, **more), PETER),
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("confirm", [None, True, "", "1.2", [], ["1.2.3", PETER], ARCHIBALD])
def test_what_deletes_or_merges_is_refused_until_exactly_that_is_confirmed(pacs, server, number, confirm):  # R11.2
    call, _ = destructive(pacs.patients, **WHY)[number]
    with pytest.raises(InvalidRequest, match=r"confirm= does not name exactly .* dry_run=True first.* confirm="):
        call(**({} if confirm is None else {"confirm": confirm}))
    assert not server.transcript


@pytest.mark.parametrize("number", range(6))
def test_a_dry_run_says_what_to_confirm_and_sends_no_action(pacs, server, number):  # R11.2
    call, going = destructive(pacs.patients, **WHY)[number]
    looked = call(dry_run=True)
    text = f'"{going}"' if isinstance(going, str) else "[" + ", ".join(f'"{uid}"' for uid in going) + "]"
    assert looked.status is None and looked.lacks == (f"confirm={text}",)
    assert looked.found is not None and not actions(server) and not server.updates
    assert not pacs.patients.log.exists()
    assert "nothing was sent" in repr(looked) and "would be sent" in looked._repr_html_()


def test_a_dry_run_shows_what_is_there_and_what_would_be_sent(pacs):  # R11.2
    looked = pacs.patients.merge_patient(PETER, into=ARCHIBALD, **WHY, dry_run=True)
    assert set(looked.found.PatientID) == {PETER, ARCHIBALD}
    assert looked.dataset.PatientID == ARCHIBALD and looked.dataset.ReasonForTheRequestedProcedure == WHY["reason"]
    text = repr(looked)
    for words in (PETER, "Doe^Peter", "ReferencedPatientSequence", WHY["reason"], "still needed"):
        assert words in text
    series = pacs.find("SERIES", PatientID=PETER).iloc[0].SeriesInstanceUID
    assert pacs.patients.change_series(series, Modality="OT", **WHY, dry_run=True).found.SeriesInstanceUID[0] == series


@pytest.mark.parametrize(
    "call",
    [
        lambda one, how: one.change_patient(PETER, PatientName="A^B", **how),
        lambda one, how: one.copy_patient(PETER, "NEW", **how),
        lambda one, how: one.copy_study("1.2.3", away=PETER, into="NEW", **how),
        lambda one, how: one.move_series("1.2.3", away=PETER, into="NEW", **how),
        lambda one, how: one.delete_patient(PETER, studies=["1.2.3"], confirm=[PETER, "1.2.3"], **how),
    ],
)
def test_what_is_not_confirmed_with_any_server_is_refused_without_the_quirk(server, call):  # R11.0
    with dl.connect(server.address, allow="update_patient") as plain:
        with pytest.raises(InvalidRequest, match=r"not confirmed with any server.*quirks\.leadtools = true"):
            call(plain.patients, WHY)
        looked = call(plain.patients, {**WHY, "dry_run": True})
        assert any("quirks.leadtools" in needed for needed in looked.lacks)
    assert not actions(server)


@pytest.mark.parametrize("action", [100, 106, 107, 108, 109])
def test_send_is_gated_in_the_same_way(server, action):  # R11.0
    with dl.connect(server.address, allow="update_patient") as plain:
        with pytest.raises(InvalidRequest, match=r"quirks\.leadtools"):
            plain.patients.send(action, one(PatientID=PETER), **WHY)
        assert plain.patients.delete_patient(PETER, **WHY, confirm=PETER).status.code == 0  # of the confirmed ones


def test_a_word_is_no_quirk():  # R11.0
    with pytest.raises(InvalidRequest, match="quirk leadtools takes True or False, not 'no'"):
        Quirks(leadtools="no")  # type: ignore[arg-type]


def test_the_quirk_stands_in_the_file_of_nodes(own_folders: Path):  # R11.0
    book = dl.nodes()
    book.add("lead", replace(dl.Node("LEAD", "localhost", 104), quirks=Quirks(leadtools=True)))
    book.save()
    assert "leadtools = true" in (own_folders / "nodes.toml").read_text() and dl.nodes()["lead"].quirks.leadtools


def test_a_node_must_be_allowed_to_update_and_a_dry_run_only_reads(server):  # R1.0, R11.2
    with dl.connect(server.address) as plain:
        with pytest.raises(InvalidRequest, match="read-only, and update_patient writes"):
            plain.patients.delete_patient(PETER, **WHY, confirm=PETER)
        assert "update_patient" in plain.patients.delete_patient(PETER, **WHY, dry_run=True).lacks[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda one: one.change_patient(PETER, PatientName="A"), "needs a reason"),
        (lambda one: one.change_patient(PETER, PatientName="A", reason=" "), "needs a reason"),
        (lambda one: one.change_patient(PETER, PatientName="A", resaon="x"), "did you mean 'reason'"),
        (lambda one: one.change_patient(PETER, PatientNmae="A", **WHY), "did you mean 'PatientName'"),
        (lambda one: one.change_patient(PETER, StudyID="A", **WHY), "not changed by this action"),
        (lambda one: one.change_patient(PETER, **WHY), "nothing is to be changed"),
        (lambda one: one.change_patient(PETER, PatientBirthDate="1.1.60", **WHY), "PatientBirthDate"),
        (lambda one: one.change_patient(123, PatientName="A", **WHY), "takes one text, not 123"),
        (lambda one: one.change_patient("DOE*", PatientName="A", **WHY), "names no one patient"),
        (lambda one: one.change_patient("", PatientName="A", **WHY), "names no one patient"),
        (lambda one: one.change_patient("a\\b", PatientName="A", **WHY), "names no one patient"),
        (lambda one: one.merge_patient([], PETER, **WHY), "nothing is selected"),
        (lambda one: one.merge_patient(PETER, PETER, **WHY), "into itself"),
        (lambda one: one.delete_study("12*", **WHY), "takes one UID"),
        (lambda one: one.delete_study(None, **WHY), "takes one UID"),
        (lambda one: one.change_study("1.2.3", **WHY), "nothing is to be changed"),
        (lambda one: one.delete_study("1.2.3", **WHY, transaction="x", confirm="1.2.3"), "transaction takes one UID"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(pacs, server, call, words):
    with pytest.raises(InvalidRequest, match=words):
        call(pacs.patients)
    assert not server.transcript


def test_what_the_archive_does_not_have_cannot_be_left_as_it_is(pacs, server):
    with pytest.raises(InvalidRequest, match="has nothing of PatientID 'NOBODY'"):
        pacs.patients.change_patient("NOBODY", PatientName="A", **WHY)
    assert not actions(server)


# -- what the server answers ---------------------------------------------------------------------------------------

PERSON = {"PatientName": "A^B", "PatientSex": "O", "PatientBirthDate": None}


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (lambda one: one.change_patient("NOBODY", **PERSON, **WHY), 0x0120, "patient not found"),
        (lambda one: one.delete_patient("NOBODY", **WHY, confirm="NOBODY"), 0x0120, "patient not found"),
        (lambda one: one.delete_study("1.2.3", **WHY, confirm="1.2.3"), 0x0116, "item not found"),
        (lambda one: one.merge_patient("NOBODY", PETER, **WHY, confirm="NOBODY"), 0x0120, "patient not found"),
        (lambda one: one.move_series("1.2.3", away=PETER, into=ARCHIBALD, **WHY), 0x0116, "item not found"),
        (lambda one: one.copy_study("1.2.3", away=PETER, into="N", **PERSON, **WHY), 0x0116, "item not found"),
    ],
)
def test_a_status_is_read_by_the_meaning_of_this_service_and_raised(pacs, call, status, words):  # SPEC 11, statuses
    with pytest.raises(StatusError, match=f"0x{status:04X} {words}.*Nothing was changed") as caught:
        call(pacs.patients)
    assert caught.value.status.code == status


@pytest.mark.parametrize(("status", "words"), [(0x0117, "wrong instance"), (0x0211, "no permission"), (0x0116, "item")])
def test_other_refusals_have_their_own_words_too(pacs, server, status, words):  # SPEC 11, statuses
    server.manners = Manners(updater_status=status)
    with pytest.raises(StatusError, match=words):
        pacs.patients.delete_patient(PETER, **WHY, confirm=PETER)
    assert studies(pacs, PETER)


def test_a_peer_without_the_service_says_so(pacs, server):  # R11.7
    server.manners = Manners(updater=False)
    with pytest.raises(
        NoAcceptedContext, match=r"no permission, or no such service.*not supported by this peer"
    ) as caught:
        pacs.patients.delete_patient(PETER, **WHY, confirm=PETER)
    assert caught.value.result == 3 and caught.value.abstract_syntax == UPDATER


# -- the Transaction UID and the log -----------------------------------------------------------------------------


def test_each_operation_has_a_transaction_of_its_own_and_a_retry_the_same(pacs, server):  # R11.5
    server.manners = Manners(updater_status=0x0110)
    for _ in range(2):
        with pytest.raises(StatusError):
            pacs.patients.change_patient(PETER, PatientName="A^B", **WHY)
    with pytest.raises(StatusError):
        pacs.patients.change_patient(PETER, PatientName="A^C", **WHY)
    server.manners = Manners()
    third = pacs.patients.change_patient(PETER, PatientName="A^B", **WHY).transaction
    fourth = pacs.patients.change_patient(PETER, PatientName="A^B", **WHY).transaction
    first, again, other, done, new = [one.identifier.TransactionUID for one in actions(server)]
    assert first == again == done == third and new == fourth and len({first, other, new}) == 3
    assert all(str(uid).startswith("2.25.") for uid in (first, other, new))


def test_an_operation_whose_answer_was_lost_is_not_done_twice(pacs, server):  # R11.5
    transaction = pacs.patients.copy_patient(PETER, "COPY-1", **WHY).transaction
    count = len(studies(pacs, "COPY-1"))
    again = pacs.patients.copy_patient(PETER, "COPY-1", **WHY, transaction=transaction)
    assert again.transaction == transaction and len(studies(pacs, "COPY-1")) == count


def lines(updater: PatientUpdater) -> list[dict[str, Any]]:
    return [json.loads(line) for line in updater.log.read_text().splitlines()]


def test_every_action_is_logged_with_its_reason_though_no_log_was_asked_for(pacs, server, own_folders):  # R11.8
    done = pacs.patients.delete_patient(PETER, **WHY, confirm=PETER)
    with pytest.raises(StatusError):
        pacs.patients.delete_patient(PETER, **WHY, confirm=PETER)
    written = [line for line in lines(pacs.patients) if line["kind"] == "operation"]
    assert [(line["action"], line["status"], line["reason"]) for line in written] == [
        (101, "0x0000", WHY["reason"]), (101, "0x0120", WHY["reason"]),
    ]  # fmt: skip
    assert written[0]["transaction"] == done.transaction and written[0]["user"] and written[0]["began"]
    log = pacs.patients.log
    assert log.parent == own_folders / "state" and oct(log.stat().st_mode)[-3:] == "600"
    assert PETER not in log.read_text() and len(pacs.hooks) == 0


def test_an_action_that_cannot_be_logged_is_not_done(pacs, server, monkeypatch, tmp_path):  # R11.8
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("DICOMLAB_STATE", str(place))
        with pytest.raises(InvalidRequest, match=r"log .*cannot be written"):
            pacs.patients.delete_patient(PETER, **WHY, confirm=PETER)
    assert not actions(server) and studies(pacs, PETER)


def test_what_could_not_be_sent_is_logged_too(own_folders):  # R11.8
    with dl.connect("LEAD@127.0.0.1:9", allow="update_patient") as peer:
        with pytest.raises(ConnectError):
            peer.patients.delete_study("1.2.3", **WHY, confirm="1.2.3")
        (line,) = lines(peer.patients)
    assert line["state"] == "failed" and line["reason"] == WHY["reason"]


def test_a_log_of_the_users_has_the_action_and_its_transaction_too(pacs):
    told: list[dict[str, Any]] = []
    with pacs.log_to(told.append):
        done = pacs.patients.delete_patient(PETER, **WHY, confirm=PETER)
    (line,) = [line for line in told if line.get("service") == "N-ACTION"]
    assert line["action"] == 101 and line["transaction"] == done.transaction and "reason" not in line


def test_names_are_hidden_in_what_is_shown_and_pseudonyms_are_taken_back(pacs, server):  # R0.6
    dl.options.phi = False
    try:
        row = pacs.find("STUDY", PatientID=PETER).iloc[0]
        looked = pacs.patients.delete_patient(row.PatientID, **WHY, dry_run=True)
        shown = repr(looked) + looked._repr_html_() + str(looked.dataset) + str(looked.found.PatientID.tolist())
        assert PETER not in shown and "Doe^Peter" not in shown and looked.lacks == (f'confirm="{row.PatientID}"',)
        done = pacs.patients.change_patient(row.PatientID, PatientSex="O", **WHY)
        assert "Doe^Peter" not in repr(done)
        pacs.patients.send(100, done.dataset, **WHY)
    finally:
        dl.options.phi = True
    for sent in actions(server):
        assert sent.identifier.OtherPatientIDs == PETER and sent.identifier.PatientName == "Doe^Peter"


@pytest.mark.parametrize("fault", FAULTS)
def test_an_update_survives_what_a_peer_does_wrong(fault):  # R11.5, R16.12
    outcome, scp = meet(
        fault,
        lambda peer: peer.patients.delete_study("1.2.3", **WHY, confirm="1.2.3"),
        sop_classes=[UPDATER],
        allow="update_patient",
        at="N-ACTION",
    )
    assert len(scp.transcript) == 1 and scp.transcript[0].action == 111
    if outcome.error is None:
        assert outcome.result.transaction == scp.transcript[0].data.TransactionUID
    elif not isinstance(outcome.error, StatusError):
        assert scp.transcript[0].data.TransactionUID in str(outcome.error)
    if isinstance(outcome.error, ProtocolError):
        assert "Whether it was done is not known" in str(outcome.error)


@pytest.mark.parametrize("owner", [dl.Peer.patients, PatientUpdater.change_patient, PatientUpdater.merge_patient])
def test_the_examples_are_true(owner):
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(owner) or "", {}, "example", None, None)
    assert doctest.DocTestRunner().run(example).failed == 0 and example.examples


def test_there_is_a_method_for_each_of_the_twelve_actions():  # R11.1
    assert len(Action) == 12
    for action in Action:
        assert inspect.getdoc(getattr(PatientUpdater, action.name.lower()))
