"""The numbers of SPEC 3, "How real peers behave", with T31 (R16.5, R16.13)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from dicomlab.demo import DemoServer, Holdings, Manners

_place = importlib.util.spec_from_file_location("demo_scu", Path(__file__).with_name("scu.py"))
scu = importlib.util.module_from_spec(_place)
_place.loader.exec_module(scu)
find, PATIENT, STUDY, PATIENT_STUDY, ST, PREFIX = (
    scu.find, scu.PATIENT, scu.STUDY, scu.PATIENT_STUDY, scu.ST, scu.PREFIX,
)  # fmt: skip


def test_two_patients_with_counts_where_the_archive_counts(server):
    keys = {"PatientID": "", "NumberOfPatientRelatedStudies": None, "NumberOfPatientRelatedInstances": None}
    rows, status = find(server, "PATIENT", PATIENT, **keys)
    assert (len(rows), status) == (2, 0)
    counts = {
        (row.PatientID, row.get("NumberOfPatientRelatedStudies"), row.get("NumberOfPatientRelatedInstances"))
        for row in rows
    }
    counted = {("77654033", 2, 7), ("98890234", 4, 24)}
    assert counts == (counted if server.manners.counts else {(name, None, None) for name, _, _ in counted})


@pytest.mark.parametrize(
    "keys, matches",
    [
        ({}, 6),
        ({"PatientName": "Doe^P*"}, 4),
        ({"StudyDate": "20010101-20021231"}, 2),
        ({"StudyDate": "-19991231"}, 1),
        ({"StudyDate": "20030505-"}, 3),
        ({"StudyDate": "20010101"}, 2),
        ({"PatientID": "nobody"}, 0),
        ({"PatientID": "9889023?"}, 4),
        ({"PatientID": "*"}, 6),
        ({"StudyInstanceUID": [PREFIX + "1196530851.28319.0.1", ST]}, 2),
    ],
)
def test_studies_match_as_the_table_says(server, keys, matches):
    rows, status = find(server, "STUDY", **{"StudyInstanceUID": "", "PatientName": "", **keys})
    assert (len(rows), status) == (matches, 0)


def test_case_of_names_matters_to_dcmqrscp_alone(plain, dcmqrscp, orthanc):
    counts = [len(find(each, "STUDY", PatientName="doe^p*")[0]) for each in (dcmqrscp, orthanc, plain)]
    assert counts == [0, 4, 4]


def test_counts_modalities_and_classes_of_a_study(plain, orthanc, dcmqrscp):
    names = ["NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy", "SOPClassesInStudy"]
    keys = {"StudyInstanceUID": ST} | dict.fromkeys(names)
    for each in (plain, orthanc):
        (row,), _ = find(each, "STUDY", **keys)
        assert [row[name].value for name in names] == [3, 11, "MR", "1.2.840.10008.5.1.4.1.1.4"]
    (row,), _ = find(dcmqrscp, "STUDY", **keys)
    assert not set(names) & set(row.dir())


def test_modalities_in_study_selects_studies(plain):
    rows, _ = find(plain, "STUDY", ModalitiesInStudy="MR", StudyInstanceUID="")
    assert {row.StudyInstanceUID for row in rows} >= {ST} and all("MR" in row.ModalitiesInStudy for row in rows)


def test_the_series_of_a_study_and_their_sizes(server):
    rows, _ = find(server, "SERIES", StudyInstanceUID=ST, SeriesInstanceUID="", NumberOfSeriesRelatedInstances=None)
    counts = sorted(row.get("NumberOfSeriesRelatedInstances", -1) for row in rows)
    assert counts == ([1, 3, 7] if server.manners.counts else [-1, -1, -1])


def test_the_images_of_a_series(server):
    series = PREFIX + "1196533885.18148.0.118"
    keys = {"StudyInstanceUID": ST, "SeriesInstanceUID": series, "SOPInstanceUID": "", "SOPClassUID": "", "Rows": None}
    rows, _ = find(server, "IMAGE", **keys)
    assert len(rows) == 7
    assert all(("Rows" in row) == ("SOPClassUID" in row) == (server.manners.name != "dcmqrscp") for row in rows)


def test_retrieve_ae_title_as_each_peer_gives_it(plain, dcmqrscp, orthanc):
    asked = [find(each, "STUDY", RetrieveAETitle="")[0][0].RetrieveAETitle for each in (plain, dcmqrscp, orthanc)]
    unasked = [find(each, "STUDY", PatientID="")[0][0].RetrieveAETitle for each in (plain, dcmqrscp, orthanc)]
    assert asked == ["DEMO", "ARCHIVE", ""] and unasked == ["DEMO", "ARCHIVE", "ORTHANC"]


def test_series_without_study_uid_is_relational(plain, dcmqrscp, orthanc):
    keys = {"Modality": "MR", "SeriesInstanceUID": ""}
    with_study = {"StudyInstanceUID": "", **keys}
    assert [len(find(each, "SERIES", **with_study)[0]) for each in (dcmqrscp, orthanc)] == [7, 7]
    assert len(find(orthanc, "SERIES", **keys)[0]) == 7
    assert find(dcmqrscp, "SERIES", **keys) == ([], 0xC000)  # it wants the key above, though it may be empty
    assert find(plain, "SERIES", **keys) == ([], 0xA900)


def test_relational_queries_are_answered_where_they_were_agreed():
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = STUDY + "1", b"\1\1"
    with (
        DemoServer(Holdings.t31(), manners=Manners(agree=(1,))) as server,
        scu.associated(server, STUDY + "1", ext_neg=[item]) as association,
    ):
        agreed = association.acceptor.sop_class_extended
        asked = scu.identifier("SERIES", Modality="MR", SeriesInstanceUID="")
        rows = [row for _, row in association.send_c_find(asked, STUDY + "1") if row is not None]
    assert agreed == {STUDY + "1": b"\1"} and len(rows) == 7


def test_a_missing_level_has_the_status_of_the_peer(plain, dcmqrscp, orthanc):
    assert [find(each, None, PatientID="")[1] for each in (plain, dcmqrscp, orthanc)] == [0xA900, 0xA900, 0xC000]


def test_patient_level_in_study_root(plain, dcmqrscp, orthanc):
    answers = [find(each, "PATIENT", PatientID="") for each in (plain, dcmqrscp, orthanc)]
    assert [(len(rows), status) for rows, status in answers] == [(0, 0xA900), (0, 0xC000), (2, 0)]


def test_patient_study_only_stops_at_studies(plain, orthanc):
    rows, status = find(plain, "STUDY", PATIENT_STUDY, PatientID=scu.PETER, StudyInstanceUID="")
    assert (len(rows), status) == (4, 0)
    assert find(plain, "SERIES", PATIENT_STUDY, PatientID=scu.PETER, StudyInstanceUID=ST)[1] == 0xA900
    with scu.associated(orthanc, "1.2.840.10008.1.1", PATIENT_STUDY + "1") as association:
        assert [each.result for each in association.rejected_contexts] == [3]


def test_an_unsupported_matching_key_is_said_by_ff01(plain):
    with scu.associated(plain, STUDY + "1") as association:
        answers = association.send_c_find(scu.identifier("STUDY", Modality="MR", PatientID=""), STUDY + "1")
        codes = [status.Status for status, _ in answers]
    assert codes == [0xFF01] * 6 + [0x0000]


def test_the_limit_of_the_archive_ends_with_b001():
    with DemoServer(Holdings.t31(), manners=Manners(response_limit=4)) as server:
        rows, status = find(server, "STUDY", PatientID="")
    assert (len(rows), status) == (4, 0xB001)


def test_a_cancelled_query_ends_with_fe00():
    with (
        DemoServer(Holdings.t31(), manners=Manners(pace=0.15)) as server,
        scu.associated(server, STUDY + "1") as association,
    ):
        codes = []
        for status, _ in association.send_c_find(scu.identifier("STUDY", PatientID=""), STUDY + "1", msg_id=7):
            codes.append(status.Status)
            if len(codes) == 1:
                association.send_c_cancel(7, query_model=STUDY + "1")
    assert codes[-1] == 0xFE00 and 2 <= len(codes) < 7


@pytest.mark.parametrize("pattern", ["Yamada*", "*山田*", "やまだ^たろう", "müller*", "Иванова^Анна"])
def test_names_in_other_scripts_match_and_come_back(pattern):
    from pydicom import Dataset

    asked = Dataset()
    asked.SpecificCharacterSet, asked.QueryRetrieveLevel = "ISO_IR 192", "STUDY"
    asked.PatientName, asked.StudyInstanceUID = pattern, ""
    with DemoServer(Holdings.phantoms()) as server, scu.associated(server, STUDY + "1") as association:
        rows = [row for _, row in association.send_c_find(asked, STUDY + "1") if row is not None]
    assert len(rows) == 1
    assert pattern.strip("*").casefold() in str(rows[0].PatientName).casefold()
