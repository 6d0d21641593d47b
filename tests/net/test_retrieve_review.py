"""Retrieve: what is due is known to be all of it, or said not to be (SPEC 5)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless
from slow_scp import serving

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.datasets.uids import EXPLICIT
from dicomlab.demo import Holdings, Manners
from dicomlab.net.association import contexts
from dicomlab.net.retrieve.holdings import Held
from dicomlab.net.retrieve.holdings import Holdings as Due

ST = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"


def test_a_list_cut_by_the_archive_is_not_taken_for_all_there_is() -> None:  # R5.11, 0xB001
    with (
        dl.demo_pacs(Holdings.t31(), manners=Manners(response_limit=3), timeout=10) as pacs,
        pytest.warns(errors.ResultWarning, match="may not be all"),
    ):
        got = pacs.retrieve(ST, progress=False)
    assert len(got) == 11 and got.attrs["complete"] is False
    assert not any("twice" in remark for remark in got.attrs["remarks"])


def test_a_patient_and_a_study_of_another_go_together() -> None:  # R5.1
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        got = pacs.retrieve([{"PatientID": "98890234"}, {"StudyInstanceUID": ST}], progress=False)
    assert ST in set(got.StudyInstanceUID) and "98890234" in set(got.PatientID)


def test_classes_beyond_those_of_the_modality_are_proposed_at_last() -> None:  # R5.6
    due = Due({"1.2": Held("1.2", "1", "2")}, modalities={"MR"})
    proposed = {one.abstract_syntax for batch in due.batches(contexts.STORABLE) for one in batch}
    assert set(contexts.storage_classes()) <= proposed
    assert all(len(batch) <= 127 for batch in due.batches(contexts.STORABLE))


def test_a_study_partly_here_is_completed_series_by_series() -> None:  # R5.13
    with dl.demo_pacs(Holdings.t31(), manners=Manners.dcmqrscp(), timeout=10) as pacs, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = pacs.retrieve(ST, progress=False)
        for series in first.SeriesInstanceUID.unique()[:2]:
            Path(first.path[first.SeriesInstanceUID == series].iloc[0]).unlink()
        lost: Any = 11 - sum(Path(path).exists() for path in first.path)
        again = pacs.retrieve(ST, progress=False)
    assert len(again) == 11 and again.attrs["fetched"] == lost == 2


def peer(server: Any, folder: Path, **node: Any) -> dl.Peer:
    address = dl.Node("SLOW", "127.0.0.1", server.server_address[1], **node)
    return dl.connect(address, cache=Cache(folder / "cache", index=folder / "index.sqlite"), timeout=10)


def test_a_list_shorter_than_the_series_is_said_to_be_is_doubted(tmp_path: Path) -> None:  # R5.11
    with (
        serving(0, 9, listed=4) as server,
        peer(server, tmp_path) as pacs,
        pytest.warns(errors.ResultWarning, match="has 9 instances and lists 4"),
    ):
        got = pacs.retrieve("1.2.9", progress=False)
    assert len(got) == 9 and got.attrs["complete"] is False


def test_a_count_that_is_always_too_high_is_followed_up_once(tmp_path: Path) -> None:  # R5.11, R5.13
    with serving(0, 4, stated=9) as server:
        with peer(server, tmp_path) as pacs, pytest.warns(errors.ResultWarning, match="has 9 instances and lists 4"):
            assert len(pacs.retrieve("1.2.9", progress=False)) == 4
        assert server.asked == [4]
        with peer(server, tmp_path) as pacs:  # in another session, too
            with pytest.warns(errors.ResultWarning, match="when it was asked for all of them 4 came") as caught:
                again = pacs.retrieve("1.2.9", progress=False)
            assert len(caught) == 1 and len(again) == 4 and again.attrs["fetched"] == 0 and server.asked == [4]
            Path(again.path[2]).write_bytes(b"damaged")
            with pytest.warns(errors.ResultWarning, match=r"the file of .* had been damaged.* asks again"):
                assert pacs.retrieve("1.2.9", progress=False).attrs["fetched"] == 1
            assert server.models[-1][1] == "IMAGE"
            with pytest.warns(errors.ResultWarning, match="may not be all"):
                pacs.retrieve("1.2.9", progress=False, refresh=True)
            assert server.asked == [4, 1, 4]
            server.stated = 10  # the series has grown, or is said to have
            with pytest.warns(errors.ResultWarning, match="has 10 instances"):
                pacs.retrieve("1.2.9", progress=False)
            assert server.asked == [4, 1, 4, 4]


def test_what_came_beyond_the_list_stays_part_of_the_series(tmp_path: Path) -> None:  # R5.11
    with serving(0, 7, listed=4, stated=9) as server, peer(server, tmp_path) as pacs:
        for fetched in (7, 0):
            with pytest.warns(errors.ResultWarning, match="has 9 instances and lists 4"):
                got = pacs.retrieve("1.2.9", progress=False)
            assert len(got) == 7 and got.attrs["fetched"] == fetched
        Path(got.path[6]).unlink()  # one that no list names: only the whole series brings it
        with pytest.warns(errors.ResultWarning, match="may not be all"):
            assert len(pacs.retrieve("1.2.9", progress=False)) == 7


def test_a_doubted_series_is_asked_for_again_where_the_first_time_ended_badly(tmp_path: Path) -> None:  # R5.13
    with serving(0, 4, stated=9) as server, peer(server, tmp_path) as pacs:

        def told(done: int, total: int) -> None:
            if done == 4:  # all that is listed, but the archive has not said that it was all
                pacs.cancel()

        with pytest.warns(errors.ResultWarning, match="4 instances are here; how many there should be is not known"):
            pacs.retrieve("1.2.9", progress=told, errors="report")
        with pytest.warns(errors.ResultWarning, match="may not be all"):
            pacs.retrieve("1.2.9", progress=False)
        assert server.asked == [4, 4]


def test_without_c_find_patients_and_studies_are_asked_for_in_their_own_models(tmp_path: Path) -> None:  # R5.1
    with serving(0, 3, find=False) as server, peer(server, tmp_path) as pacs, warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ResultWarning)
        got = pacs.retrieve([{"PatientID": "P1"}, {"PatientID": "P1", "StudyInstanceUID": "1.2.9"}], progress=False)
    assert len(got) == 3
    assert server.models == [
        ("1.2.840.10008.5.1.4.1.2.2.3", "STUDY"),
        ("1.2.840.10008.5.1.4.1.2.1.3", "PATIENT"),
    ]


def test_without_c_find_what_failed_first_and_came_later_is_no_failure(tmp_path: Path) -> None:  # R5.6, R5.11
    with (
        serving(0, 8, find=False, halves=True) as server,
        peer(server, tmp_path) as pacs,
        pytest.warns(errors.ResultWarning, match="may not be all"),
    ):
        got = pacs.retrieve("1.2.9", progress=False)
    assert len(got) == 8 and server.asked == [8, 8]
    assert got.attrs["peer_status"] == [0xB000, 0xB000]


def test_a_compressed_instance_comes_over_a_later_association(tmp_path: Path) -> None:  # R1.7, R5.6
    compressed = pydicom.dcmread(get_testdata_file("MR_small_RLE.dcm"))
    plain = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    compressed.SOPInstanceUID = compressed.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    for one in (plain, compressed):
        one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", "1.2.3.1"
        one.Modality = "XX"  # so that every storage class may come
    with (
        dl.demo_pacs(Holdings.of([plain, compressed]), manners=Manners.dcmqrscp(), timeout=10) as pacs,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", errors.ResultWarning)
        got = pacs.retrieve("1.2.3", progress=False)
        asked = [one.identifier for one in pacs._owner.server.requests("C-GET")]
        assert pacs.retrieve("1.2.3", progress=False).attrs["fetched"] == 0
    assert sorted(got.TransferSyntaxUID) == sorted((EXPLICIT, RLELossless))
    assert got.attrs["complete"]
    assert asked[0].QueryRetrieveLevel == "SERIES" and asked[-1].SOPInstanceUID == "1.2.3.4"
