"""Keys with a meaning of their own: of IHE, of availability, of time (SPEC 3)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from canned import Answers, archive, match
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import Holdings, Manners

DOCUMENT = ["ContentDate", "CompletionFlag", "VerificationFlag", "ReferencedSeriesSequence"]


class Report:
    """An archive of one study with a series CT and a series SR; keeps the Identifiers of IMAGE level."""

    def __init__(self) -> None:
        self.identifiers: list[Dataset] = []

    def __call__(self, identifier: Dataset) -> Answers:
        study = {"StudyInstanceUID": "1.2", "PatientID": "1"}
        if identifier.QueryRetrieveLevel == "STUDY":
            yield 0xFF00, match(**study)
        series = [{**study, "SeriesInstanceUID": f"1.2.{n}", "Modality": kind} for n, kind in ((1, "CT"), (2, "SR"))]
        chosen = [one for one in series if identifier.get("SeriesInstanceUID") in ("", None, one["SeriesInstanceUID"])]
        chosen = [one for one in chosen if identifier.get("Modality") in ("", None, one["Modality"])]
        if identifier.QueryRetrieveLevel == "SERIES":
            yield from ((0xFF00, match(**one)) for one in chosen)
        if identifier.QueryRetrieveLevel == "IMAGE":
            self.identifiers.append(identifier)
            for one in chosen:
                more = {"ContentDate": "20240131", "CompletionFlag": "COMPLETE"} if one["Modality"] == "SR" else {}
                yield 0xFF00, match(SOPInstanceUID=one["SeriesInstanceUID"] + ".9", **one, **more)


@pytest.mark.parametrize("relational", [False, True])
def test_documents_are_asked_for_what_ihe_wants_of_them(relational: bool) -> None:  # R3.11
    report = Report()
    with archive(report, relational=relational) as address:
        peer = dl.connect(address, timeout=10)
        everything = peer.find("IMAGE", PatientID="1")
        first, second = peer.each("IMAGE", PatientID="1")
        images = peer.find("IMAGE", PatientID="1", Modality="CT")
    assert set(DOCUMENT) <= set(everything.columns) and not set(DOCUMENT) & set(images.columns)
    assert everything.ContentDate.tolist() == [pd.NaT, pd.Timestamp("2024-01-31")]
    assert everything.VerificationFlag.isna().all()  # what the archive does not know comes back empty
    assert (first.get("CompletionFlag"), second["CompletionFlag"]) == (None, "COMPLETE")
    assert "ContentDate" not in report.identifiers[-1]
    if not relational:
        assert ["ContentDate" in one for one in report.identifiers[:2]] == [False, True]


def test_the_keys_of_ihe_can_be_switched_off() -> None:  # R3.11
    report = Report()
    with archive(report) as address, dl.options.set(ihe_keys=False):
        images = dl.connect(address, timeout=10).find("IMAGE", PatientID="1")
    assert len(images) == 2 and "ContentDate" not in images
    assert not any("ContentDate" in identifier for identifier in report.identifiers)


def test_a_folder_gives_the_keys_of_ihe_too() -> None:  # R3.11, R3.23
    images = dl.open_folder(get_testdata_file("reportsi.dcm"), get_testdata_file("CT_small.dcm")).find("IMAGE")
    assert images.loc[images.CompletionFlag.notna(), "VerificationFlag"].tolist() == ["UNVERIFIED"]


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_who_has_it_and_whether_it_is_online_are_columns(level: str) -> None:  # R3.12
    for manners, title in ((Manners(), ["DEMO"]), (Manners.orthanc(), ["DEMO"]), (Manners(retrieve_ae="never"), [])):
        with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as pacs:
            rows = pacs.find(level, PatientID="77654033")
        assert rows.RetrieveAETitle.dropna().unique().tolist() == title
        assert rows.InstanceAvailability.dropna().unique().tolist() == (["ONLINE"] if manners.availability else [])


def test_the_zone_of_the_keys_goes_out_at_each_level_and_converts_nothing() -> None:  # R3.25
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        plain = pacs.find("SERIES", StudyDate="20030505")
        before = len(pacs._owner.server.transcript)
        zoned = pacs.find("SERIES", StudyDate="20030505", TimezoneOffsetFromUTC="-0500")
        sent = [item.identifier for item in pacs._owner.server.transcript[before:] if item.service == "C-FIND"]
        assert [one.TimezoneOffsetFromUTC for one in sent] == ["-0500"] * len(sent) and len(sent) == 4
        assert [one.get("StudyDate") for one in sent] == ["20030505", None, None, None]
        pd.testing.assert_frame_equal(plain, zoned.drop(columns="TimezoneOffsetFromUTC"))
        with pytest.raises(errors.InvalidRequest, match=r"no offset from UTC. Write it as '\+0100'"):
            pacs.find("SERIES", StudyDate="20030505", TimezoneOffsetFromUTC="Europe/Berlin")


def test_the_zone_of_a_match_is_no_mismatch() -> None:  # R3.15, R3.25
    def answer(identifier: Dataset) -> Answers:
        yield 0xFF00, match(StudyInstanceUID="1.2", StudyDate="20240131", TimezoneOffsetFromUTC="+0100")

    with archive(answer) as address:
        studies = dl.connect(address, timeout=10).find("STUDY", StudyDate="20240131-", TimezoneOffsetFromUTC="-0500")
    assert studies.TimezoneOffsetFromUTC.tolist() == ["+0100"]


STUDIES = [("20240101", "0300"), ("20240101", "1200"), ("20240101", "2300"), ("20240102", "0300"), ("20240103", "2300")]


def test_a_time_range_over_midnight_is_two_queries_beside_a_range_of_dates() -> None:  # R3.5
    """Date and time match separately: the nights of both days, not one night from the first to the second."""
    asked: list[tuple[str, str]] = []

    def answer(identifier: Dataset) -> Answers:
        asked.append((identifier.StudyDate, identifier.StudyTime))
        for number, (day, time) in enumerate(STUDIES):  # an archive that heeds neither
            yield 0xFF00, match(StudyInstanceUID=f"1.2.{number}", StudyDate=day, StudyTime=time)

    keys: dict[str, Any] = {"StudyDate": ("20240101", "20240102"), "StudyTime": "1800-0600"}
    with archive(answer) as address, pytest.warns(errors.ResultWarning, match="ignored the key Study") as caught:
        studies = dl.connect(address, timeout=10).find("STUDY", **keys)
    assert asked == [("20240101-20240102", "1800-235959.999999"), ("20240101-20240102", "000000-0600")]
    assert list(studies.StudyInstanceUID) == ["1.2.0", "1.2.2", "1.2.3"]
    assert studies.attrs["keys"]["StudyTime"] == ["1800-235959.999999", "000000-0600"]
    assert studies.attrs["ignored"] == ["StudyDate", "StudyTime"] and len(caught) == 2


def test_combined_matching_of_date_and_time_is_never_proposed() -> None:  # R3.5, R1.10
    with dl.demo_pacs(Holdings.t31(), manners=Manners(agree=(1, 1, 1)), timeout=10) as pacs:
        series = pacs.find("SERIES", StudyDate="20030505-", StudyTime="1800-0600")
        assert series.attrs["relational"]
        sent = [item.identifier for item in pacs._owner.server.transcript if item.service == "C-FIND"]
    assert [one.StudyTime for one in sent] == ["1800-235959.999999", "000000-0600"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Jane Doe", '"Doe^Jane" or "DOE^JANE"'), ("Doe, Jane", '"Doe^Jane"'),
        ("Jane Maria Doe*", '"Doe*^Jane Maria"'), ("Nobody", '"Nobody*" or "NOBODY*"'),
    ],
)
def test_a_name_as_people_write_it_is_told_how_dicom_writes_it(name: str, written: str) -> None:  # PS3.5 6.2.1
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        with pytest.warns(errors.ResultWarning, match="names are written Family\\^Given") as caught:
            assert not len(pacs.find("STUDY", PatientName=name))
        assert written in str(caught[0].message)
        with dl.options.set(phi=False), pytest.warns(errors.ResultWarning) as caught:
            pacs.find("STUDY", PatientName=name)
        assert 'as in "FAMILY' in str(caught[0].message)
        assert not any(word in str(caught[0].message) for word in ("Maria", "Doe", "Nobody"))
        for quiet in ("Doe^Nobody", "Doe*", "Nob?dy"):  # a warning would be an error here
            pacs.find("STUDY", PatientName=quiet)
        assert not len(pacs.find("STUDY", StudyDescription="not there"))  # only names are written so


def test_a_modality_by_its_other_name_is_told_what_dicom_calls_it() -> None:  # PS3.3 C.7.3.1.1.1
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        with pytest.warns(errors.ResultWarning, match="no Modality is PET; DICOM's term for it is PT"):
            assert not len(pacs.find("SERIES", Modality="PET"))
        with pytest.warns(errors.ResultWarning, match="term for it is MR$"):
            pacs.find("STUDY", ModalitiesInStudy=["mri"])
        assert not len(pacs.find("SERIES", Modality="PT"))  # there is none, and nothing to be told
