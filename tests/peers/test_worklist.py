"""Worklists of DCMTK's wlmscpfs and of Orthanc, and of the embedded PACS with their manners (SPEC 4, R16.13)."""

from __future__ import annotations

import datetime as dt
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
import real_peers
from pydicom.dataset import FileMetaDataset
from support import free_port, shared

import dicomlab as dl
from dicomlab import errors
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.demo.schedule import schedule

DAY = dt.date(2024, 4, 1)
PEERS = ["wlmscpfs", "orthanc", "demo as wlmscpfs", "demo as orthanc"]


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Worklist files made here: those of the embedded PACS for one day."""
    folder = tmp_path_factory.mktemp("worklist")
    for number, entry in enumerate(schedule(today=DAY)):
        entry.file_meta = FileMetaDataset()
        entry.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        entry.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"  # DCMTK's for raw data sets
        entry.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        entry.save_as(folder / f"{number}.wl", enforce_file_format=True)
    return folder


@pytest.fixture(scope="session")
def offis() -> Path:
    """The ten worklist files of DCMTK."""
    return shared("data/worklist_offis/OFFIS")


def served(name: str, entries: Path, folder: Path) -> Any:
    """A context manager of the peer with those worklist files."""
    if name == "wlmscpfs":
        return real_peers.wlmscpfs(folder, entries, "-csk")
    if name == "orthanc":
        return real_peers.orthanc(folder, free_port(), free_port(), worklists=entries)
    csk = replace(Manners.wlmscpfs(), character_set="own")
    manners = csk if name == "demo as wlmscpfs" else Manners.orthanc()
    held = [pydicom.dcmread(path, force=True) for path in sorted(entries.glob("*.wl"))]
    return DemoServer(Holdings(), manners=manners, schedule=held)


@pytest.fixture(scope="session", params=PEERS)
def with_own(request: pytest.FixtureRequest, own: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with served(request.param, own, tmp_path_factory.mktemp("own")) as peer:
        yield dl.connect(peer.address, timeout=15)


@pytest.fixture(scope="session", params=PEERS)
def with_offis(
    request: pytest.FixtureRequest, offis: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Any]]:
    with served(request.param, offis, tmp_path_factory.mktemp("offis")) as peer:
        yield request.param, dl.connect(peer.address, timeout=15)


@pytest.mark.parametrize(
    ("keys", "rows"),  # SPEC 4, how real peers behave; where two numbers stand, of wlmscpfs and of Orthanc
    [
        ({"PatientName": ""}, 10),
        ({"ScheduledStationAETitle": "AB45"}, (2, 1)),
        ({"Modality": "CT"}, 4),
        ({"PatientName": "VIVALDI*"}, 3),
        ({"PatientName": "vivaldi*"}, (0, 3)),
        ({"ScheduledProcedureStepStartDate": "19960101-19961231"}, 6),
        ({"Modality": ["CT", "MR"]}, 6),
        ({"Modality": "CT", "PatientID": "AV35674"}, 1),
        ({"ScheduledProcedureStepStartDate": "19960406", "ScheduledProcedureStepStartTime": "1500-1700"}, 1),
        ({"AccessionNumber": "nobody"}, 0),
    ],
)
def test_the_steps_are_those_that_the_table_names(  # R4.2, R4.3
    with_offis: tuple[str, Any], keys: dict[str, Any], rows: int | tuple[int, int]
) -> None:
    name, peer = with_offis
    expected = rows if isinstance(rows, int) else rows["orthanc" in name]
    assert len(peer.worklist(**keys)) == expected


def test_all_peers_give_one_table(with_offis: tuple[str, Any]) -> None:  # R4.1, R3.24
    steps = with_offis[1].worklist(PatientName="")
    assert steps.ScheduledProcedureStepStartDate.is_monotonic_increasing
    first = steps.iloc[0]
    assert (first.PatientID, first.Modality, first.ScheduledProcedureStepStartTime.total_seconds()) == (
        "HF",
        "CT",
        15 * 3600 + 36 * 60,
    )
    assert first.ScheduledStationAETitle == ("FG56", "ER67", "JJ56", "TZ77")
    assert str(steps.PatientWeight.dtype) == "float64" and str(steps.PregnancyStatus.dtype) == "Int64"
    assert steps.ScheduledProcedureStepID.notna().all() and steps.StudyInstanceUID.is_unique
    twice = steps[steps.StudyInstanceUID == "1.2.276.0.7230010.3.2.102"]  # its file holds two accession numbers
    assert list(twice.AccessionNumber) == ["00002"]


def test_text_in_any_character_set_comes_back_as_it_is(with_own: Any) -> None:  # R3.18
    names = {"DEMO-001": "DOE^JANE", "DEMO-002": "山田^太郎", "DEMO-003": "Müller^Jürgen", "DEMO-005": "Νέος^Ἀσθενής"}
    for identity, name in names.items():
        steps = with_own.worklist(PatientID=identity)
        assert len(steps) and steps.PatientName.str.contains(name, regex=False).all()


def test_a_key_that_is_not_ascii_matches(with_own: Any) -> None:  # R3.18
    (identifier,) = with_own.identifier(None, model="worklist", PatientName="Müller*")
    assert identifier.SpecificCharacterSet == "ISO_IR 192"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ResultWarning)
        assert len(with_own.worklist(PatientName="DOE^J?NE")) == 2


def test_codes_and_several_stations_are_tuples(with_own: Any) -> None:  # R4.2
    steps = with_own.worklist(ScheduledProcedureStepStartDate=DAY)
    assert len(steps) == 5
    code = steps.ScheduledProtocolCodeSequence[0][0]
    assert (code["CodeValue"], code["CodingSchemeDesignator"], code["CodeMeaning"]) == ("24627-2", "LN", "CT Chest")
    assert ("DEMOCT1", "DEMOCT2") in list(steps.ScheduledStationAETitle)
    assert steps.ReferencedStudySequence.isna().all()  # an item of which nothing is known is none


def test_what_wlmscpfs_got_is_the_minimal_request_and_one_filter(own: Path, tmp_path: Path) -> None:  # R4.1, R4.9
    with real_peers.wlmscpfs(tmp_path, own, "-csk") as peer:
        dl.connect(peer.address, timeout=15).worklist(ScheduledStationAETitle="DEMOCT1")
        (request,) = (tmp_path / "requests").iterdir()
        dump = request.read_text()
    assert "[DEMOCT1" in dump and dump.count("[") == 1
    assert "(0008,0052)" not in dump and "(0008,0005)" not in dump
    for tag in ("0040,0009", "0040,1001", "0020,000d", "0010,21c0", "0040,3001", "0008,0104"):
        assert tag in dump


def test_steps_that_came_before_a_cancel_are_kept(own: Path, tmp_path: Path) -> None:  # R4.6
    with real_peers.wlmscpfs(tmp_path, own, "-csk", "--sleep-during", "1") as peer:
        pacs = dl.connect(peer.address, timeout=15)
        seen: list[dict[str, Any]] = []

        def stop(step: dict[str, Any]) -> None:
            seen.append(step)
            if len(seen) == 2:
                threading.Thread(target=pacs.cancel).start()

        began = time.monotonic()
        with pytest.warns(errors.ResultWarning, match="cancelled"):
            steps = pacs.worklist(PatientName="", on_match=stop)
        assert time.monotonic() - began < 7  # all of it takes 8 s
    assert steps.attrs["cancelled"] and 2 <= len(steps) < 8
    assert seen[0]["Modality"] in ("CT", "MR", "PT")


def test_a_peer_without_a_worklist_is_said_to_have_none(qr: Any, store3: Any) -> None:  # R4.8
    for peer in (qr, store3):
        with pytest.raises(errors.NoAcceptedContext, match=r"Modality Worklist .* was not accepted"):
            dl.connect(peer.address, timeout=15).worklist(PatientName="")
    with pytest.raises(errors.AssociationRejected, match="called AE title"):
        dl.connect(f"NOBODY@{qr.host}:{qr.port}", timeout=15).worklist(PatientName="")
