"""Procedure steps: what is told of them, when, and what stays where a peer or we break off (SPEC 8)."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest
from normalizedfaults import FAULTS, Scripted, meet
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab.demo import Manners
from dicomlab.errors import InvalidRequest, NoAcceptedContext, ResultWarning, StatusError
from dicomlab.net.association.association import associate
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.normalized import Normalized, proposed
from dicomlab.net.procedure.performed import MPPS, PerformedSteps
from dicomlab.steps.stepattributes import BILLING, DOSE, FIRST, LATER, PATIENT, SCHEDULED, reason_code

RETRIEVE = "1.2.840.10008.3.1.2.3.4"
BY_HAND = {"PatientID": "U1", "PatientName": "Unplanned^Ulf", "Modality": "CT"}
SERIES = {"SeriesInstanceUID": "1.2.3.4", "ProtocolName": "thorax"}
CT, MR = get_testdata_file("CT_small.dcm"), get_testdata_file("MR_small.dcm")


@pytest.fixture
def state(own_folders: Path) -> Path:
    """The folder of the steps."""
    return own_folders / "state" / "performed"


@pytest.fixture
def pacs() -> Iterator[dl.Peer]:
    with dl.demo_pacs() as peer:
        yield peer


@pytest.fixture
def step(pacs: dl.Peer) -> Any:
    """A row of the worklist, of a patient whose name is Greek."""
    return pacs.worklist(PatientID="DEMO-005").iloc[0]


def told(peer: dl.Peer, service: str) -> list[Any]:
    """The requests that the demo PACS got."""
    return peer._owner.server.requests(service)  # type: ignore[union-attr]


def kept(peer: dl.Peer, uid: str) -> Dataset:
    """The step as the demo PACS has it."""
    return peer._owner.server.performed[uid]  # type: ignore[union-attr]


# -- the block -------------------------------------------------------------------------------------------------------


def test_a_block_is_in_progress_and_then_completed(pacs: dl.Peer, step: Any) -> None:  # R8.1, R8.2, R4.7
    mpps = pacs.perform(step)
    assert mpps.status == "" and not told(pacs, "N-CREATE")
    with mpps:
        assert mpps.status == "IN PROGRESS" == kept(pacs, mpps.uid).PerformedProcedureStepStatus
        mpps.add(SERIES)
        mpps.set(PerformedProcedureStepDescription="CT abdomen, arterial phase")
        mpps.update()
    assert mpps.status == "COMPLETED"
    create, (update, final) = told(pacs, "N-CREATE")[0], told(pacs, "N-SET")
    assert create.sop_class == MPPS == update.sop_class and {create.sop_instance, final.sop_instance} == {mpps.uid}
    assert "PerformedProcedureStepStatus" not in update.identifier
    assert final.identifier.PerformedProcedureStepStatus == "COMPLETED"
    assert final.identifier.PerformedProcedureStepEndDate == f"{dt.date.today():%Y%m%d}"
    found = kept(pacs, mpps.uid)
    assert found.PerformedProcedureStepDescription == "CT abdomen, arterial phase"
    assert found.PerformedSeriesSequence[0].SeriesInstanceUID == "1.2.3.4"


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_discontinues_the_step_and_goes_on(  # R8.2
    kind: type[BaseException], pacs: dl.Peer, step: Any
) -> None:
    with pytest.raises(kind, match="the tube is hot") as caught, pacs.perform(step) as mpps:
        raise kind("the tube is hot")
    assert not hasattr(caught.value, "__notes__")
    assert mpps.status == "DISCONTINUED"
    found = kept(pacs, mpps.uid)
    assert found.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
    (series,) = found.PerformedSeriesSequence  # it must not be empty: one without images
    assert series.ProtocolName == "CT Abdomen" and not series.ReferencedImageSequence
    assert "tube" not in str(found)


@pytest.mark.parametrize(
    ("reason", "value", "scheme"),
    [
        ("Equipment failure", "110501", "DCM"),
        ("110505", "110505", "DCM"),
        (("S1", "99LOCAL", "Scanner sold"), "S1", "99LOCAL"),
        ({"CodeValue": "S2", "CodingSchemeDesignator": "99LOCAL", "CodeMeaning": "Door open"}, "S2", "99LOCAL"),
    ],
)
def test_a_step_is_discontinued_with_its_reason(  # R8.1
    reason: Any, value: str, scheme: str, pacs: dl.Peer, step: Any
) -> None:
    with pacs.perform(step) as mpps:
        mpps.discontinue(reason, comment="at the second phase")
    found = kept(pacs, mpps.uid)
    (code,) = found.PerformedProcedureStepDiscontinuationReasonCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == (value, scheme)
    assert found.CommentsOnThePerformedProcedureStep == "at the second phase" and mpps.status == "DISCONTINUED"
    assert len(told(pacs, "N-SET")) == 1


def test_a_reason_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'Equipment failure'"):
        reason_code("equipment failed")
    for reason in (("1", "2"), {"CodeValue": "1"}):
        with pytest.raises(InvalidRequest, match="is no code"):
            reason_code(reason)


def test_without_a_block_the_steps_are_taken_singly(pacs: dl.Peer, step: Any) -> None:  # R8.1
    mpps = pacs.perform(step)
    mpps.create()
    mpps.create()
    mpps.add(SERIES)
    mpps.complete(CommentsOnThePerformedProcedureStep="no remarks")
    assert [len(told(pacs, name)) for name in ("N-CREATE", "N-SET")] == [1, 1]
    assert kept(pacs, mpps.uid).CommentsOnThePerformedProcedureStep == "no remarks"


# -- what an N-CREATE says -------------------------------------------------------------------------------------------


def test_the_first_message_says_all_that_the_last_may(pacs: dl.Peer, step: Any) -> None:  # R8.3
    with pacs.perform(step, PerformedLocation="room 2") as mpps:
        mpps.add(SERIES)
    said = told(pacs, "N-CREATE")[0].identifier
    assert said.PerformedProcedureStepStatus == "IN PROGRESS" and said.SpecificCharacterSet == "ISO_IR 192"
    assert all(name in said for name in (*PATIENT, *FIRST, *LATER, *DOSE, "PerformedSeriesSequence"))
    assert not any(name in said for name in BILLING)
    assert (str(said.PatientName), said.PatientID, said.PatientBirthDate) == ("Νέος^Ἀσθενής", "DEMO-005", "19900505")
    assert (said.PerformedStationAETitle, said.PerformedLocation, said.Modality) == ("DICOMLAB", "room 2", "CT")
    assert len(said.PerformedProcedureStepID) <= 16 and said.PerformedProcedureStepEndDate == ""
    assert said.PerformedSeriesSequence == [] and said.PerformedProcedureStepStartTime
    (item,) = said.ScheduledStepAttributesSequence
    assert all(name in item for name in SCHEDULED)
    assert (item.StudyInstanceUID, item.ScheduledProcedureStepID) == (
        step.StudyInstanceUID, step.ScheduledProcedureStepID,
    )  # fmt: skip
    assert item.ScheduledProtocolCodeSequence[0].CodeMeaning == "CT Abdomen"
    assert said.PerformedProtocolCodeSequence[0].CodeValue == said.ProcedureCodeSequence[0].CodeValue == "24558-9"


def test_dose_is_said_of_x_rays_and_of_others_where_it_is_asked_for(pacs: dl.Peer) -> None:  # R8.3
    mr = pacs.worklist(Modality="MR").head(1)
    with pacs.perform(mr) as mpps:
        mpps.add(SERIES)
        with pytest.raises(InvalidRequest, match=r"created without EntranceDose.*perform\(step, EntranceDose=None\)"):
            mpps.set(EntranceDose=3)
    assert "EntranceDose" not in told(pacs, "N-CREATE")[0].identifier
    with pacs.perform(BY_HAND, BillingSuppliesAndDevicesSequence=None) as mpps:
        mpps.add(SERIES)
        mpps.set(
            EntranceDoseInmGy=3.25,
            ExposureDoseSequence=[{"RadiationMode": "PULSED", "KVP": 120.0}, {"KVP": 80}],
            BillingSuppliesAndDevicesSequence=[
                {"BillingItemSequence": [{"CodeValue": "1", "CodingSchemeDesignator": "99X", "CodeMeaning": "Film"}]}
            ],
        )
    found = kept(pacs, mpps.uid)
    assert float(found.EntranceDoseInmGy) == 3.25
    assert [float(item.KVP) for item in found.ExposureDoseSequence] == [120, 80]
    assert found.BillingSuppliesAndDevicesSequence[0].BillingItemSequence[0].CodeMeaning == "Film"


def test_a_step_nobody_scheduled_begins_a_study(pacs: dl.Peer) -> None:  # R8.3
    entry = Dataset()
    entry.PatientID, entry.PatientName, entry.Modality = "U1", "Unplanned^Ulf", "MR"
    for given in (BY_HAND, entry, pd.Series(BY_HAND)):
        with pacs.perform(given) as mpps:
            mpps.add(SERIES)
        (item,) = kept(pacs, mpps.uid).ScheduledStepAttributesSequence
        assert item.StudyInstanceUID.startswith("2.25.") and item.ScheduledProcedureStepID == ""


def test_several_steps_of_one_patient_are_performed_as_one(pacs: dl.Peer) -> None:  # R8.3
    steps = pacs.worklist(PatientID="DEMO-002", Modality="MR")
    assert len(steps) > 1
    with pacs.perform(steps) as mpps:
        mpps.add(SERIES)
    said = kept(pacs, mpps.uid).ScheduledStepAttributesSequence
    assert [item.ScheduledProcedureStepID for item in said] == steps.ScheduledProcedureStepID.tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Modality": None}, "has no Modality.*perform\\(step, Modality="),
        ({"PatientID": 17}, "PatientID is text .*read_table"),
        ({"PatientNmae": "x"}, "did you mean 'PatientName'"),
        ({"ScheduledProcedureStepID": "S"}, "no StudyInstanceUID"),
        ({"PatientBirthDate": "17900101"}, "names were hidden"),
    ],
)
def test_a_step_that_cannot_be_said_is_refused_before_anything_is_sent(
    change: dict[str, Any], words: str, pacs: dl.Peer, state: Path
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        pacs.perform({**BY_HAND, **change})
    assert not told(pacs, "A-ASSOCIATE") and not state.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"PatientName": "Other^One"}, "comes from the scheduled step"),
        ({"PerformedProcedureStepStatus": "COMPLETED"}, "said by the step itself"),
        ({"PerformedStationNmae": "x"}, "did you mean 'PerformedStationName'"),
        ({"PerformedProcedureStepID": "x" * 17}, "PerformedProcedureStepID"),
        ({"PerformedStationAETitle": None}, "cannot begin without its PerformedStationAETitle"),
        ({"KVP": 3}, "no attribute of a step that begins"),
    ],
)
def test_what_is_not_the_callers_to_say_is_refused(given: dict[str, Any], words: str, pacs: dl.Peer) -> None:
    with pytest.raises(InvalidRequest, match=words):
        pacs.perform(BY_HAND, **given)


def test_an_empty_choice_and_several_patients_are_refused(pacs: dl.Peer) -> None:
    steps = pacs.worklist(Modality="CT")
    for nothing in (steps.head(0), [], None, 7):
        with pytest.raises(InvalidRequest, match=r"nothing is selected|no procedure step"):
            pacs.perform(nothing)
    with pytest.raises(InvalidRequest, match="of several patients: their PatientID differs"):
        pacs.perform(steps)


def test_a_node_must_be_allowed_to_perform(state: Path) -> None:  # R1.0
    with dl.connect("RIS@127.0.0.1:9", allow="store") as peer, pytest.raises(InvalidRequest, match="perform"):
        peer.perform(BY_HAND)
    assert not state.exists()


def test_rows_with_hidden_names_say_the_real_ones(pacs: dl.Peer) -> None:  # R0.6
    dl.options.phi = False
    try:
        row = pacs.worklist(PatientID="DEMO-001").iloc[0]
        assert row.PatientName.startswith("hidden-") and row.PatientBirthDate.year < 1890
        with pacs.perform(row) as mpps:
            mpps.add(SERIES)
        assert "DOE" not in str(mpps.get())
    finally:
        dl.options.phi = True
    found = kept(pacs, mpps.uid)
    assert (str(found.PatientName), found.PatientID, found.PatientBirthDate) == ("DOE^JANE", "DEMO-001", "19600229")
    with pytest.raises(InvalidRequest, match="while names were hidden"):
        pacs.perform(row)


# -- what an N-SET may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PATIENT, *SCHEDULED, *FIRST])
def test_what_may_not_change_is_refused_by_us(name: str, pacs: dl.Peer) -> None:  # R8.4
    mpps = pacs.perform(BY_HAND)
    mpps.create()
    with pytest.raises(InvalidRequest, match=f"{name} is no attribute that may change"):
        mpps.set(**{name: "1"})
    with pytest.raises(InvalidRequest, match="said by the step itself"):
        mpps.set(PerformedProcedureStepStatus="COMPLETED")
    assert not told(pacs, "N-SET")


@pytest.mark.parametrize("name", LATER)
def test_what_may_change_is_taken(name: str, pacs: dl.Peer) -> None:  # R8.4
    code = {"CodeValue": "1", "CodingSchemeDesignator": "99X", "CodeMeaning": "One"}
    value: Any = [code] if name.endswith("Sequence") else "20240229" if "Date" in name else "120000"
    with pacs.perform(BY_HAND) as mpps:
        mpps.add(SERIES)
        if name.endswith("Date"):
            mpps.set(PerformedProcedureStepEndTime="235959")
        if name.endswith("Time"):
            mpps.set(PerformedProcedureStepEndDate="20240229")
        mpps.set(**{name: value})
    found = kept(pacs, mpps.uid)[name].value
    assert found[0].CodeMeaning == "One" if isinstance(value, list) else found == value


def test_a_step_without_series_is_not_completed_and_stays_open(pacs: dl.Peer) -> None:  # R8.5
    with pytest.raises(InvalidRequest, match=r"no series was added.*add\(instances\)"), pacs.perform(BY_HAND) as mpps:
        pass
    assert mpps.status == "IN PROGRESS" and not told(pacs, "N-SET")
    mpps.add(SERIES)
    mpps.complete()
    assert kept(pacs, mpps.uid).PerformedProcedureStepEndTime


def test_what_is_not_begun_is_neither_changed_nor_ended(pacs: dl.Peer, state: Path) -> None:  # R8.1
    mpps = pacs.perform(BY_HAND)
    for change in (lambda: mpps.add(SERIES), mpps.update, mpps.complete, mpps.discontinue):
        with pytest.raises(InvalidRequest, match="the step is not begun"):
            change()
    assert not told(pacs, "A-ASSOCIATE") and not state.exists()


def test_an_end_has_date_and_time(pacs: dl.Peer) -> None:  # R8.5
    mpps = pacs.perform(BY_HAND)
    mpps.create()
    mpps.add(SERIES)
    mpps.set(PerformedProcedureStepEndDate="20240101")
    with pytest.raises(InvalidRequest, match="PerformedProcedureStepEndTime beside its date"):
        mpps.complete()
    mpps.set(PerformedProcedureStepEndTime=dt.time(12, 30))
    mpps.complete()
    found = kept(pacs, mpps.uid)
    assert (found.PerformedProcedureStepEndDate, found.PerformedProcedureStepEndTime) == ("20240101", "123000")


def test_what_is_final_stays_final(pacs: dl.Peer) -> None:  # R8.6
    with pacs.perform(BY_HAND) as mpps:
        mpps.add(SERIES)
    messages = len(told(pacs, "N-SET"))
    for change in (
        lambda: mpps.add(SERIES),
        lambda: mpps.set(CommentsOnThePerformedProcedureStep="x"),
        mpps.update,
        mpps.complete,
        mpps.discontinue,
        mpps.__enter__,
    ):
        with pytest.raises(InvalidRequest, match="the step is COMPLETED, which is final"):
            change()
    assert len(told(pacs, "N-SET")) == messages


def test_a_change_after_the_end_is_reported_as_the_peer_answers(pacs: dl.Peer) -> None:  # R8.6
    mpps = pacs.perform(BY_HAND)
    mpps.create()
    mpps.add(SERIES)
    kept(pacs, mpps.uid).PerformedProcedureStepStatus = "DISCONTINUED"  # by somebody else
    with pytest.raises(StatusError, match="may no longer be updated") as caught:
        mpps.complete()
    assert caught.value.status is not None
    assert (caught.value.status.code, caught.value.status.error_id) == (0x0110, 0xA710)
    assert mpps.status == "IN PROGRESS" and caught.value.phase == "N-SET"


def test_what_is_taken_with_a_warning_is_said_by_its_attributes() -> None:  # R8.7
    manners = Manners(performed_ignores=frozenset(["CommentsOnThePerformedProcedureStep", "EntranceDose"]))
    with dl.demo_pacs(manners=manners) as pacs:
        mpps = pacs.perform(BY_HAND)
        with pytest.warns(ResultWarning, match="N-CREATE was taken with the warning 0x0107 attribute list error"):
            mpps.create()
        mpps.add(SERIES)
        mpps.set(EntranceDose=3)
        with pytest.warns(ResultWarning, match="N-SET .* for EntranceDose"):
            mpps.complete()
    assert mpps.status == "COMPLETED"
    assert [one["status"] for one in mpps.warnings] == [0x0107, 0x0107]
    assert mpps.warnings[1]["attributes"] == ["EntranceDose"] and mpps.warnings[1]["message"] == "N-SET"


@pytest.mark.parametrize("code", [0x0107, 0x0116])
def test_both_warnings_of_the_class_let_it_go_on(code: int) -> None:  # R8.7
    with Scripted([MPPS], "warning", at="N-SET", warning=code) as scp, scp.peer(allow="perform") as peer:
        mpps = peer.perform(BY_HAND)
        mpps.create()
        mpps.add(SERIES)
        with pytest.warns(ResultWarning, match=f"0x{code:04X}"):
            mpps.complete()
    assert mpps.status == "COMPLETED"


def test_the_peer_says_what_it_has(pacs: dl.Peer) -> None:
    with pacs.perform(BY_HAND) as mpps:
        mpps.add(SERIES)
        found = mpps.get()
        assert found.PerformedProcedureStepStatus == "IN PROGRESS" and str(found.PatientName) == "Unplanned^Ulf"
        with associate(pacs.node, proposed(RETRIEVE), Deadline(5), phase="N-GET") as association:
            one = Normalized(association, "MPPS").get(RETRIEVE, mpps.uid, [0x00100020])
        assert one.data is not None and [hex(tag) for tag in one.data.raw] == ["0x100020"]
    with dl.demo_pacs(manners=Manners(performed=1)) as silent:
        mpps = silent.perform(BY_HAND)
        mpps.create()
        with pytest.raises(NoAcceptedContext, match="Retrieve"):
            mpps.get()


# -- what was made ---------------------------------------------------------------------------------------------------


def test_what_store_gave_is_what_was_made(pacs: dl.Peer) -> None:  # R8.9
    study = pydicom.dcmread(CT, stop_before_pixels=True).StudyInstanceUID
    sent = pacs.store([CT, MR])
    other, sent["stored"] = sent.tail(1), [True, False]
    with pacs.perform({**BY_HAND, "StudyInstanceUID": study}) as mpps:
        mpps.add(sent, ProtocolName="thorax", OperatorsName="Tech^One")
        with pytest.raises(InvalidRequest, match=r"of the study .* this step of"):
            mpps.add(other)
        with pytest.raises(InvalidRequest, match="none of these is stored"):
            mpps.add(sent.iloc[1:2])
        with pytest.raises(InvalidRequest, match="neither the series of an instance nor its file"):
            mpps.add(pacs.store(pydicom.dcmread(CT)))
        with pytest.raises(InvalidRequest, match="neither the series of an instance nor its file"):
            mpps.add(pacs.find("SERIES", StudyInstanceUID=study))
        mpps.add(sent.head(1).assign(AffectedSOPInstanceUID="1.2.3.99"))
    (series,) = kept(pacs, mpps.uid).PerformedSeriesSequence
    images = [image.ReferencedSOPInstanceUID for image in series.ReferencedImageSequence]
    assert images == [sent.SOPInstanceUID[0], "1.2.3.99"]  # the second as the archive has it
    assert (series.ProtocolName, str(series.OperatorsName), series.RetrieveAETitle) == ("thorax", "Tech^One", "DEMO")


@pytest.mark.parametrize("kind", ["data set", "path", "folder", "table", "row", "rows"])
def test_instances_are_taken_in_every_form(kind: str, pacs: dl.Peer, tmp_path: Path) -> None:  # R8.9
    data = pydicom.dcmread(CT)
    data.OperatorsName, data.ProtocolName = "Tech^Two", "abdomen"
    data.save_as(tmp_path / "one.dcm")
    scanned = dl.scan(tmp_path)
    what = {
        "data set": data,
        "path": str(tmp_path / "one.dcm"),
        "folder": tmp_path,
        "table": scanned,
        "row": scanned.iloc[0],
        "rows": [data, data],
    }[kind]
    with pacs.perform({**BY_HAND, "StudyInstanceUID": data.StudyInstanceUID}) as mpps:
        mpps.add(what)
        mpps.add(what)
    (series,) = kept(pacs, mpps.uid).PerformedSeriesSequence
    assert series.SeriesInstanceUID == data.SeriesInstanceUID
    assert (str(series.OperatorsName), series.ProtocolName) == ("Tech^Two", "abdomen")
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence] == [data.SOPInstanceUID]


def test_images_and_other_objects_are_told_apart(pacs: dl.Peer) -> None:  # R8.9
    classes = {"1.2.840.10008.5.1.4.1.1.2": "image", "1.2.840.10008.5.1.4.1.1.88.67": "report"}
    with pacs.perform(BY_HAND) as mpps:
        for number, sop_class in enumerate(classes):
            mpps.add({**SERIES, "SOPClassUID": sop_class, "SOPInstanceUID": f"1.2.3.4.{number}"})
    (series,) = kept(pacs, mpps.uid).PerformedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence] == ["1.2.3.4.0"]
    others = series.ReferencedNonImageCompositeSOPInstanceSequence
    assert [one.ReferencedSOPInstanceUID for one in others] == ["1.2.3.4.1"]


def test_a_series_by_hand_needs_its_uid_and_gets_a_protocol(pacs: dl.Peer, step: Any) -> None:  # R8.9
    with pacs.perform(step) as mpps:
        for wrong, words in (({}, "no SeriesInstanceUID"), ({"Series": "1"}, "says nothing of a series")):
            with pytest.raises(InvalidRequest, match=words):
                mpps.add(wrong)
        with pytest.raises(InvalidRequest, match="named by its SOPClassUID and SOPInstanceUID"):
            mpps.add({**SERIES, "SOPInstanceUID": "1.2"})
        with pytest.raises(InvalidRequest, match="KVP says nothing of a series"):
            mpps.add(SERIES, KVP=3)
        mpps.add([{"SeriesInstanceUID": "1.2.3"}, {"SeriesInstanceUID": "1.2.4", "ProtocolName": "own"}])
    names = [item.ProtocolName for item in kept(pacs, mpps.uid).PerformedSeriesSequence]
    assert names == ["CT Abdomen", "own"]


# -- what stays ------------------------------------------------------------------------------------------------------


def test_a_step_is_gone_on_with_in_a_later_session(pacs: dl.Peer, step: Any, state: Path) -> None:  # R8.8
    mpps = pacs.perform(step)
    mpps.create()
    mpps.add(SERIES)
    del mpps
    lost = pacs.performed()
    assert lost.PerformedProcedureStepStatus.tolist() == ["IN PROGRESS"] and lost.series.tolist() == [1]
    with pacs.perform(lost) as mpps:
        mpps.add({"SeriesInstanceUID": "1.2.3.5"})
    assert len(told(pacs, "N-CREATE")) == 1 and len(kept(pacs, mpps.uid).PerformedSeriesSequence) == 2
    again = pacs.perform(mpps.uid)
    assert again.status == "COMPLETED" and "COMPLETED; 2 series" in repr(again)
    with pytest.raises(InvalidRequest, match="which is final"), again:
        pass
    with pytest.raises(InvalidRequest, match=r"no step 1.2.3 was begun from here"):
        pacs.perform("1.2.3")
    with pytest.raises(InvalidRequest, match="begun already"):
        pacs.perform(mpps.uid, PerformedLocation="x")
    (path,) = state.iterdir()
    assert oct(path.stat().st_mode)[-3:] == "600" and oct(state.stat().st_mode)[-3:] == "700"
    assert all(name not in path.read_text() for name in ("Νέος", "DEMO-005", "19900505"))  # R0.6
    assert json.loads(path.read_text())["status"] == "COMPLETED"


def test_a_step_of_another_peer_is_not_ours_to_go_on_with(pacs: dl.Peer) -> None:  # R8.8
    mpps = pacs.perform(BY_HAND)
    mpps.create()
    with dl.connect("OTHER@127.0.0.1:9", allow="perform") as other:
        assert not len(other.performed())
        with pytest.raises(InvalidRequest, match="performed\\(\\) lists"):
            other.perform(mpps.uid)


def test_beginning_the_same_step_twice_is_said(pacs: dl.Peer, step: Any) -> None:  # R8.8
    first = pacs.perform(step)
    first.create()
    with pytest.warns(ResultWarning, match=f"IN PROGRESS already: peer.perform\\('{first.uid}'\\)"):
        second = pacs.perform(pacs.worklist(PatientID="DEMO-005").iloc[0])
    assert second.uid != first.uid


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_that_fails_as_it_begins_is_begun_by_the_same_call(fault: str, state: Path) -> None:  # R8.8, R16.12
    uids: list[str] = []

    def call(peer: dl.Peer) -> str:
        mpps = peer.perform(BY_HAND)
        uids.append(mpps.uid)
        try:
            with mpps:
                mpps.add(SERIES)
        except dl.errors.DicomlabError as error:
            known = peer.performed()
            if isinstance(error, StatusError):  # it is not begun, and nothing stays
                assert not len(known) and "Nothing is begun" in str(error)
                raise
            assert known.unanswered.tolist() == ["IN PROGRESS"] and known.PerformedProcedureStepStatus.isna().all()
            assert "perform the same step again" in str(error)
            with pytest.raises(InvalidRequest, match="same row of the worklist"):
                peer.perform(uids[0]).create()
            with peer.perform(BY_HAND) as again:
                again.add(SERIES)
            uids.append(again.uid)
            raise
        return mpps.status

    outcome, scp = meet(fault, call, sop_classes=[MPPS], allow="perform", at="N-CREATE", warning=0x0107)
    assert len(set(uids)) == 1 and {one.sop_instance for one in scp.transcript} == set(uids)
    if outcome.error is None:
        assert outcome.result == "COMPLETED" and scp.names() == ["N-CREATE", "N-SET"]
    assert bool(outcome.warned) is (fault == "warning")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_that_fails_as_it_ends_is_ended_later(fault: str) -> None:  # R8.8, R16.12
    begun: list[Any] = []

    def call(peer: dl.Peer) -> str:
        mpps = peer.perform(BY_HAND)
        begun.append(mpps)
        try:
            with mpps:
                mpps.add(SERIES)
        except dl.errors.DicomlabError as error:
            (known,) = peer.performed().itertuples()
            assert (known.PerformedProcedureStepStatus, known.SOPInstanceUID) == ("IN PROGRESS", mpps.uid)
            assert pd.isna(known.unanswered) if isinstance(error, StatusError) else known.unanswered == "COMPLETED"
            peer.perform(mpps.uid).complete()
            raise
        return mpps.status

    outcome, scp = meet(fault, call, sop_classes=[MPPS], allow="perform", at="N-SET", warning=0x0107)
    with scp.peer() as peer:
        assert peer.performed().PerformedProcedureStepStatus.tolist() == ["COMPLETED"]
    assert scp.transcript[-1].data is not None
    assert scp.transcript[-1].data.PerformedProcedureStepStatus == "COMPLETED"
    assert len(scp.names()) == (2 if outcome.error is None else 3)


def test_an_end_that_came_although_its_answer_was_lost_is_known_by_the_next(pacs: dl.Peer) -> None:  # R8.8
    mpps = pacs.perform(BY_HAND)
    mpps.create()
    mpps.add(SERIES)
    mpps.complete()
    known = PerformedSteps()
    before = known.get(mpps.uid)
    assert before is not None
    for asked, ends in (("COMPLETED", "complete"), ("COMPLETED", "discontinue")):
        known.keep(type(before)(**{**vars(before), "status": "IN PROGRESS", "asked": asked}))
        again = pacs.perform(mpps.uid)
        if ends == "complete":
            again.complete()
        else:
            with pytest.raises(StatusError, match="It was COMPLETED already"):
                again.discontinue()
        assert again.status == "COMPLETED"


def test_a_line_that_breaks_in_the_block_leaves_the_step_in_progress(state: Path) -> None:  # R8.8
    with Scripted([MPPS], "abort", at="N-SET") as scp, scp.peer(allow="perform") as peer:
        with pytest.raises(dl.errors.AssociationAborted) as caught, peer.perform(BY_HAND) as mpps:
            mpps.add(SERIES)
            mpps.update()
        assert mpps.status == "IN PROGRESS" and scp.names() == ["N-CREATE", "N-SET"]
        assert any(mpps.uid in note for note in caught.value.__notes__)
        mpps.complete()
    assert scp.names() == ["N-CREATE", "N-SET", "N-SET"]


def test_a_peer_that_cannot_be_told_of_the_end_leaves_the_reason_as_it_was() -> None:  # R8.2
    with Scripted([MPPS], "abort", at="N-SET") as scp, scp.peer(allow="perform") as peer:
        with pytest.raises(ValueError, match="the tube") as caught, peer.perform(BY_HAND) as mpps:
            raise ValueError("the tube")
        assert any("could not be told" in note and mpps.uid in note for note in caught.value.__notes__)
        peer.perform(mpps.uid).discontinue("Equipment failure")
    assert peer.performed().PerformedProcedureStepStatus.tolist() == ["DISCONTINUED"]


def test_ctrl_c_comes_back_soon_although_the_peer_is_silent() -> None:  # R1.19, R8.2
    import time

    with Scripted([MPPS], "silent", at="N-SET") as scp, scp.peer(allow="perform", timeout=30) as peer:
        with pytest.raises(KeyboardInterrupt), peer.perform(BY_HAND):
            began = time.monotonic()
            raise KeyboardInterrupt
        assert time.monotonic() - began < 8  # not the 30 s that others wait


@pytest.mark.parametrize("name", ["dcmqrscp", "orthanc"])
def test_a_peer_without_steps_says_so_and_nothing_stays(name: str, state: Path) -> None:  # R0.3
    with dl.demo_pacs(manners=getattr(Manners, name)()) as pacs:
        with pytest.raises(NoAcceptedContext, match="Modality Performed Procedure Step") as caught:
            pacs.perform(BY_HAND).create()
        assert caught.value.result == 3 and not len(pacs.performed())


def test_a_state_that_cannot_be_written_stops_before_anything_is_sent(  # R8.8
    pacs: dl.Peer, own_folders: Path
) -> None:
    (own_folders / "state").write_text("in the way")
    with pytest.raises(dl.errors.CacheError, match="a procedure step cannot be remembered"):
        pacs.perform(BY_HAND).create()
    assert not told(pacs, "N-CREATE")


def test_the_log_names_the_messages_and_no_patient(pacs: dl.Peer) -> None:  # R1.16
    lines: list[dict[str, Any]] = []
    with pacs.log_to(lines.append), pacs.perform(BY_HAND) as mpps:
        mpps.add(SERIES)
    services = [line["service"] for line in lines if line["kind"] == "operation"]
    assert services == ["N-CREATE", "N-SET"] and "Ulf" not in json.dumps(lines)
    assert {line["sop_instance"] for line in lines if line["kind"] == "operation"} == {mpps.uid}


def test_an_error_of_a_step_survives_being_pickled() -> None:  # R0.4
    refused = pytest.raises(StatusError)
    with Scripted([MPPS], "failure") as scp, scp.peer(allow="perform") as peer, refused as caught:
        peer.perform(BY_HAND).create()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
