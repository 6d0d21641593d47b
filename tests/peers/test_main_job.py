"""The main job against DCMTK's dcmqrscp and Orthanc, with the numbers of SPEC 3 and 5 for T31 (section 0.3)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache

PREFIX = "1.3.6.1.4.1.5962.1.1.0.0.0."
ST = f"{PREFIX}1196533885.18148.0.1"
SERIES = f"{PREFIX}1196533885.18148.0.118"


@pytest.fixture(params=["qr", "orthanc"])
def real(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def peer(real: Any, tmp_path: Path) -> Iterator[dl.Peer]:
    cache = Cache(tmp_path / "cache", index=tmp_path / "index.sqlite")
    with dl.connect(real.address, cache=cache, listen=real.move_port, timeout=15) as peer:
        yield peer


pytestmark = pytest.mark.filterwarnings("ignore::dicomlab.errors.ResultWarning")


def test_echo_is_answered(peer: dl.Peer) -> None:  # R2.1
    assert 0 < peer.echo() < 15


def test_a_wrong_ae_title_is_rejected_and_named(real: Any) -> None:  # SPEC 2: 1/1/7
    with pytest.raises(errors.AssociationRejected, match="called AE title not recognised") as caught:
        dl.connect(f"NOBODY@127.0.0.1:{real.port}").echo()
    assert (caught.value.result, caught.value.source, caught.value.diagnostic) == (1, 1, 7)


def test_there_are_two_patients(peer: dl.Peer) -> None:
    patients = peer.find("PATIENT", PatientID="*")
    assert sorted(patients.PatientID) == ["77654033", "98890234"]


def test_there_are_six_studies_in_order(peer: dl.Peer) -> None:  # R3.24
    studies = peer.find("STUDY", PatientID="*")
    assert len(studies) == 6
    assert list(studies.StudyDate.dt.year) == [1995, 2001, 2001, 2003, 2003, 2003]
    assert str(studies.StudyDate.dtype) == "datetime64[ns]"  # R3.19a


def test_a_name_with_a_wild_card_matches_four_studies(peer: dl.Peer) -> None:
    assert len(peer.find("STUDY", PatientName="Doe^P*")) == 4


def test_the_case_of_a_name_is_the_peers_affair(peer: dl.Peer, real: Any) -> None:
    expected = 0 if real.ae_title == "ARCHIVE" else 4
    assert len(peer.find("STUDY", PatientName="doe^p*")) == expected


@pytest.mark.parametrize("dates", ["20010101-20021231", ("20010101", "20021231")])
def test_a_range_of_dates_matches_two_studies(peer: dl.Peer, dates: Any) -> None:  # R3.5
    assert len(peer.find("STUDY", StudyDate=dates)) == 2


def test_a_list_of_uids_is_one_query(peer: dl.Peer) -> None:  # R3.6
    two = peer.find("STUDY", StudyInstanceUID=[ST, f"{PREFIX}1196533885.18148.0.133"])
    assert len(two) == 2
    assert two.attrs["queries"] == 1


def test_the_study_has_three_series_of_1_3_and_7_images(peer: dl.Peer) -> None:  # R3.10a
    series = peer.find("SERIES", StudyInstanceUID=ST, counts=True)
    assert sorted(series.NumberOfSeriesRelatedInstances) == [1, 3, 7]
    assert set(series.PatientID) == {"98890234"}  # of the level above, whichever peer answered


def test_the_images_of_a_series_are_seven(peer: dl.Peer) -> None:
    images = peer.find("IMAGE", StudyInstanceUID=ST, SeriesInstanceUID=SERIES)
    assert len(images) == 7 and images.SOPInstanceUID.is_unique
    assert list(images.InstanceNumber) == sorted(images.InstanceNumber)


def test_a_key_of_a_level_above_is_a_drill_down(peer: dl.Peer) -> None:  # R3.9: relational gives 7
    assert len(peer.find("SERIES", Modality="MR")) == 7
    named = peer.find("SERIES", PatientName="Doe^P*", Modality="MR")
    assert len(named) == 7 and set(named.PatientID) == {"98890234"}


def test_a_modality_at_study_level_gives_the_same_studies_everywhere(peer: dl.Peer) -> None:  # R3.15
    studies = peer.find("STUDY", ModalitiesInStudy="MR")
    assert sorted(studies.StudyDate.dt.year) == [2003, 2003, 2003]


def test_an_unknown_patient_is_no_match_and_no_error(peer: dl.Peer) -> None:  # R0.3
    nobody = peer.find("STUDY", PatientID="NOBODY")
    assert len(nobody) == 0 and "StudyInstanceUID" in nobody
    assert nobody.attrs["status"] == 0


def test_at_the_limit_the_list_is_cut_and_says_so(peer: dl.Peer) -> None:  # R3.14
    with pytest.warns(errors.ResultWarning, match="cut at the limit of 2"):
        assert len(peer.find("STUDY", PatientID="*", limit=2)) == 2


def test_matches_come_one_by_one(peer: dl.Peer) -> None:  # R3.2
    seen: list[Any] = []
    peer.find("STUDY", PatientID="*", on_match=seen.append)
    assert len(seen) == 6
    first = next(iter(peer.each("STUDY", PatientID="*")))
    assert first["StudyInstanceUID"].startswith(PREFIX)


@pytest.mark.parametrize("method", ["get", "move"])
def test_a_study_is_retrieved_whole(peer: dl.Peer, method: str) -> None:  # SPEC 5: 11, 0x0000
    instances = peer.retrieve(ST, method=method, progress=False)
    assert len(instances) == 11 and set(instances.Modality) == {"MR"}
    assert instances.attrs["complete"] and instances.attrs["peer_counts"]["completed"] == 11
    assert all(Path(path).is_file() for path in instances.path)
    again = peer.retrieve(ST, method=method, progress=False)
    assert len(again) == 11 and again.attrs["fetched"] == 0  # R5.13
    with socket.socket() as port:  # R0.7: the listener is gone
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", peer.node.listen))


def test_a_series_and_an_instance_are_retrieved_alone(peer: dl.Peer) -> None:  # R5.1
    images = peer.find("IMAGE", StudyInstanceUID=ST, SeriesInstanceUID=SERIES)
    two = peer.retrieve(images.iloc[[1, 4]], progress=False)
    assert set(two.SOPInstanceUID) == set(images.SOPInstanceUID.iloc[[1, 4]])
    series = peer.retrieve(peer.find("SERIES", StudyInstanceUID=ST, SeriesInstanceUID=SERIES), progress=False)
    assert len(series) == 7 and series.attrs["fetched"] == 5


def test_a_dry_run_counts_and_fetches_nothing(peer: dl.Peer) -> None:  # R5.5
    estimate = peer.retrieve(ST, dry_run=True)
    assert sorted(estimate.to_fetch) == [1, 3, 7]
    assert not peer.cache.root.exists() or not list(peer.cache.root.rglob("*.dcm"))


def test_an_unknown_study_is_an_empty_result(peer: dl.Peer) -> None:  # R5.18
    with pytest.warns(errors.ResultWarning, match="holds nothing"):
        nothing = peer.retrieve("1.2.3.4.5", progress=False)
    assert len(nothing) == 0


def test_a_third_party_gets_the_study(peer: dl.Peer, store3: Any) -> None:  # R5.8
    received = store3.folder / "received"
    for file in received.iterdir():
        file.unlink()
    sent = peer.retrieve(ST, destination="STORE3")
    assert len(sent) == 11 and len(list(received.iterdir())) == 11


def test_an_unknown_destination_is_named(peer: dl.Peer) -> None:  # R5.20
    with pytest.raises(errors.StatusError, match="NOWHERE") as caught:
        peer.retrieve(ST, destination="NOWHERE")
    assert "NOWHERE" in str(caught.value) and peer.node.identity in str(caught.value)


def test_a_refused_model_is_not_supported(peer: dl.Peer, real: Any) -> None:  # SPEC 0.5
    if real.ae_title == "ARCHIVE":
        assert len(peer.find("STUDY", PatientID="*", model="patient-study-only")) == 6
        return
    with pytest.raises(errors.NoAcceptedContext, match="not support") as caught:
        peer.find("STUDY", PatientID="*", model="patient-study-only")
    assert caught.value.result == 3


def test_an_angiogram_of_seven_projections_is_no_volume(peer: dl.Peer) -> None:  # R12.6
    series = peer.find("SERIES", StudyInstanceUID=ST, SeriesInstanceUID=SERIES)
    instances = peer.retrieve(series, progress=False)
    with pytest.raises(errors.GeometryError):
        dl.load(instances)
