"""Retrieve against the embedded PACS (SPEC 5)."""

from __future__ import annotations

import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import Stopwatch, free_port

import dicomlab as dl
from dicomlab import errors
from dicomlab.datasets.uids import EXPLICIT
from dicomlab.demo import DemoServer, Holdings, Manners
from dicomlab.net.association.node import Quirks
from dicomlab.tables.tables import Address

PREFIX = "1.3.6.1.4.1.5962.1.1.0.0.0."
ST = f"{PREFIX}1196533885.18148.0.1"
SERIES = f"{PREFIX}1196533885.18148.0.118"


@pytest.fixture
def pacs() -> Iterator[dl.Peer]:
    with dl.demo_pacs(Holdings.t31(), timeout=10) as peer:
        yield peer


def asked(pacs: Any, service: str) -> list[Any]:
    """The requests of a service that the embedded PACS received."""
    return pacs._owner.server.requests(service)


def test_the_main_job_in_six_lines() -> None:
    with dl.demo_pacs() as pacs:
        series = pacs.find("SERIES", PatientName="DOE*", StudyDate="20240101-20240331")
        ct = series[(series.Modality == "CT") & (series.NumberOfSeriesRelatedInstances > 20)]
        volume = dl.load(pacs.retrieve(ct.head(1)))
        picture = dl.view(volume)
    assert volume.dims == ("z", "y", "x") and volume.attrs["units"] == "HU"
    assert picture._repr_png_().startswith(b"\x89PNG")


def test_values_of_the_phantom_come_back_exactly() -> None:
    from dicomlab.demo.phantom import truth

    with dl.demo_pacs() as pacs:
        known = truth("ct")
        series = pacs.find("SERIES", StudyInstanceUID=known.StudyInstanceUID, SeriesInstanceUID=known.SeriesInstanceUID)
        volume = dl.load(pacs.retrieve(series))
    np.testing.assert_array_equal(volume.values, np.rint(known.values()))


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ([], "nothing is selected"),
        (pd.DataFrame(), "nothing is selected"),
        ("not a uid", "StudyInstanceUID"),
        (pd.DataFrame({"StudyInstanceUID": [1.5]}), "read_table"),
        (pd.DataFrame({"Modality": ["CT"]}), "UID"),
        (pd.DataFrame({"SeriesInstanceUID": ["1.2.3"]}), "StudyInstanceUID"),
        (pd.DataFrame({"StudyInstanceUID": ["1.2", None]}), "nothing is selected"),
    ],
)
def test_rows_that_name_nothing_are_refused_before_anything_is_sent(pacs: dl.Peer, what: Any, word: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        pacs.retrieve(what)
    assert word in str(caught.value)
    assert not asked(pacs, "A-ASSOCIATE")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_series_uid_alone_hears_what_it_was_taken_for(pacs: dl.Peer, dry_run: bool) -> None:  # R5.22
    uid = pacs.find("SERIES", Modality="CT").SeriesInstanceUID[0]
    with pytest.warns(dl.errors.ResultWarning, match="a UID alone is taken for a Study Instance UID"):
        assert len(pacs.retrieve(uid, dry_run=dry_run)) == 0


def test_rows_by_series_uid_are_those_series_and_not_their_studies(pacs: dl.Peer) -> None:  # R3.21
    ct = pacs.find("SERIES", Modality="CT").head(1).set_index("SeriesInstanceUID")
    assert pacs.retrieve(ct, dry_run=True).SeriesInstanceUID.tolist() == ct.index.tolist()


def test_only_what_is_missing_is_asked_for_again(pacs: dl.Peer) -> None:  # R5.13
    first = pacs.retrieve(ST, progress=False)
    Path(first.path[3]).unlink()
    again = pacs.retrieve(ST, progress=False)
    assert len(again) == 11 and again.attrs["fetched"] == 1
    last = asked(pacs, "C-GET")[-1]
    assert last.identifier.QueryRetrieveLevel == "IMAGE"
    assert last.identifier.SOPInstanceUID == first.SOPInstanceUID[3]


def test_another_node_is_never_answered_for(pacs: dl.Peer) -> None:  # R14.6a
    pacs.retrieve(ST, progress=False)
    with DemoServer(Holdings.t31()) as other:
        peer = dl.connect(other.address, cache=pacs.cache, timeout=10)
        assert peer.retrieve(ST, progress=False).attrs["fetched"] == 11


def test_refresh_fetches_again(pacs: dl.Peer) -> None:
    pacs.retrieve(ST, progress=False)
    assert pacs.retrieve(ST, progress=False, refresh=True).attrs["fetched"] == 11


def test_the_method_is_chosen_and_its_reason_kept(pacs: dl.Peer) -> None:  # R5.3
    got = pacs.retrieve(ST, progress=False)
    assert got.attrs["method"] == "get" and "no way back" in got.attrs["reason"]


def test_an_archive_whose_entry_has_no_get_is_moved_from(pacs: dl.Peer) -> None:  # R1.23, R5.3
    node = replace(pacs.node, quirks=Quirks(no_get=True))
    peer = dl.connect(node, cache=pacs.cache)
    got = peer.retrieve(ST, progress=False)
    assert len(got) == 11 and got.attrs["method"] == "move"
    with pytest.raises(errors.InvalidRequest, match="listen=port"):
        dl.connect(replace(node, listen=0), cache=pacs.cache).retrieve(ST, progress=False, refresh=True)


def test_a_port_in_use_is_said_before_anything_is_sent(pacs: dl.Peer) -> None:  # F10
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", pacs.node.listen))
        taken.listen()
        with pytest.raises(errors.InvalidRequest, match=str(pacs.node.listen)):
            pacs.retrieve(ST, method="move", progress=False)
    assert not asked(pacs, "C-MOVE")


def test_a_limit_is_asked_for_above_the_usual(pacs: dl.Peer) -> None:
    with dl.options.set(retrieve_limit=5), pytest.raises(errors.InvalidRequest, match="limit=11"):
        pacs.retrieve(ST, progress=False)
    with dl.options.set(retrieve_limit=5):
        assert len(pacs.retrieve(ST, progress=False, limit=11)) == 11


def test_progress_is_told_and_what_it_raises_stops_nothing(pacs: dl.Peer) -> None:  # R5.10, F13
    told: list[tuple[int, int]] = []
    pacs.retrieve(ST, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (11, 11) and [done for done, _ in told] == list(range(1, 12))

    def broken(done: int, total: int) -> None:
        raise ValueError("mine")

    with pytest.warns(errors.ResultWarning, match="mine"):
        assert len(pacs.retrieve(ST, progress=broken, refresh=True)) == 11


def test_a_patient_is_retrieved_by_its_id(pacs: dl.Peer) -> None:  # R5.1
    patients = pacs.find("PATIENT", PatientID="77654033")
    assert len(pacs.retrieve(patients[["PatientID"]], progress=False)) == 7


def test_a_table_saved_and_read_back_is_still_an_address(pacs: dl.Peer, tmp_path: Path) -> None:  # R3.21
    series = pacs.find("SERIES", StudyInstanceUID=ST, SeriesInstanceUID=SERIES)
    series.to_csv(tmp_path / "series.csv", index=False)
    again = dl.read_table(tmp_path / "series.csv")
    assert len(pacs.retrieve(again, progress=False)) == 7


def test_an_instance_that_the_archive_no_longer_holds_is_not_waited_for() -> None:  # R5.11
    with dl.demo_pacs(Holdings.t31(), timeout=10) as pacs:
        holdings = pacs._owner.server.holdings
        gone = pacs.find("IMAGE", StudyInstanceUID=ST, SeriesInstanceUID=SERIES).SOPInstanceUID[2]
        matches = pacs.find("SERIES", StudyInstanceUID=ST, SeriesInstanceUID=SERIES)
        due = pacs.retrieve(matches, dry_run=True)
        assert due.attrs["to_fetch"] == 7
        holdings.remove(gone)
        got = pacs.retrieve(matches, progress=False)
        assert len(got) == 6 and gone not in set(got.SOPInstanceUID) and got.attrs["complete"]


@pytest.mark.parametrize("method", ["get", "move"])
def test_ctrl_c_keeps_what_came_and_the_next_call_fetches_the_rest(method: str) -> None:  # R1.19, R5.21, L7
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pace=0.1), timeout=10) as pacs:
        pacs.echo()
        seen = threading.Event()

        def told(done: int, total: int) -> None:
            if done == 3 and not seen.is_set():
                seen.set()
                threading.Timer(0.01, signal.raise_signal, [signal.SIGINT]).start()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.ResultWarning)
            with pytest.raises(errors.IncompleteRetrieve, match="stopped on request") as caught:
                pacs.retrieve(ST, method=method, progress=told)
        stopped = caught.value
        assert 3 <= len(stopped.instances) < 11
        assert len(stopped.instances) + len(stopped.missing) == 11
        assert isinstance(stopped.__cause__, KeyboardInterrupt)
        end = time.monotonic() + 2
        while time.monotonic() < end and any(item.name.startswith("dicomlab") for item in threading.enumerate()):
            time.sleep(0.05)
        assert not [item.name for item in threading.enumerate() if item.name.startswith("dicomlab ")]
        rest = pacs.retrieve(ST, method=method, progress=False)
        assert len(rest) == 11 and rest.attrs["fetched"] == len(stopped.missing)


def test_cancel_from_another_thread_ends_a_retrieve() -> None:  # R1.17, R5.21
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pace=0.1), timeout=10) as slow:

        def told(done: int, total: int) -> None:
            if done == 3:
                threading.Thread(target=slow.cancel).start()

        with pytest.warns(errors.ResultWarning, match="stopped on request"):
            some = slow.retrieve(ST, progress=told, errors="report")
        assert some.attrs["cancelled"] and 3 <= len(some) < 11
        assert len(some) + len(some.attrs["missing"]) == 11


def test_cancel_while_the_archive_is_asked_gives_what_is_here() -> None:  # R0.3, R1.17
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pace=0.2), timeout=10) as slow:
        threading.Timer(0.5, slow.cancel).start()
        clock = Stopwatch()
        with pytest.raises(errors.IncompleteRetrieve, match="stopped on request"):
            slow.retrieve(ST, progress=False)
        assert clock.seconds < 1.6


def test_a_destination_of_others_needs_no_listener(pacs: dl.Peer) -> None:  # R5.8
    port = free_port()
    with DemoServer(Holdings.of([]), ae_title="STORE3", port=port) as third:
        pacs._owner.server.destinations["STORE3"] = ("127.0.0.1", port)
        sent = pacs.retrieve(ST, destination="STORE3")
        assert len(sent) == 11 and len(third.holdings) == 11
    assert not pacs.cache.root.exists() or not list(pacs.cache.root.rglob("*.dcm"))


def test_a_destination_that_the_archive_does_not_know_is_told_with_whose_address_it_lacks(pacs: dl.Peer) -> None:
    with pytest.raises(errors.StatusError, match="'NOBODY'") as caught:
        pacs.retrieve(ST, destination="NOBODY")
    assert "this machine" not in caught.value.advice and "NOBODY" in caught.value.advice
    pacs._owner.server.destinations.clear()
    with pytest.raises(errors.StatusError, match=f"this machine and port {pacs.node.listen}"):
        pacs.retrieve(ST, method="move", progress=False)


def test_a_read_only_cache_is_said_before_the_archive_is_asked(pacs: dl.Peer, tmp_path: Path) -> None:  # F2
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(errors.CacheError, match="file"):
        dl.connect(pacs.node, cache=blocked).retrieve(ST, progress=False)
    assert not asked(pacs, "A-ASSOCIATE")


def test_what_came_is_not_read_again_and_gives_the_same_table(pacs: dl.Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    from dicomlab.net.retrieve import outcome

    files: list[Any] = []
    read = outcome.read
    monkeypatch.setattr(outcome, "read", lambda paths, wanted: files.extend(paths) or read(paths, wanted))
    first = pacs.retrieve(ST, progress=False)
    assert not files
    again = pacs.retrieve(ST, progress=False)
    assert len(files) == 11
    pd.testing.assert_frame_equal(first, again)
    for number in (2, 5):
        Path(first.path[number]).unlink()
    mixed = pacs.retrieve(ST, progress=False)
    assert len(files) == 11 + 9
    pd.testing.assert_frame_equal(first, mixed)


def test_the_table_of_very_many_is_made_in_parts(pacs: dl.Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    from dicomlab.net.retrieve import outcome, receiver
    from dicomlab.scanning import instances

    whole = pacs.retrieve(ST, progress=False)
    sizes: list[int] = []
    read = outcome.read
    monkeypatch.setattr(outcome, "read", lambda paths, wanted: sizes.append(len(paths)) or read(paths, wanted))
    monkeypatch.setattr(instances, "PART", 4)
    monkeypatch.setattr(receiver, "HEADERS", 3)
    pd.testing.assert_frame_equal(pacs.retrieve(ST, progress=False, refresh=True), whole)
    assert sizes == [4, 4, 3]  # what came is read again, with the headers of few at a time
    monkeypatch.setattr(instances, "PART", 100)
    monkeypatch.setattr(receiver, "HEADERS", 100)
    pd.testing.assert_frame_equal(pacs.retrieve(ST, progress=False, refresh=True), whole)
    assert sizes == [4, 4, 3, 0]


def test_what_another_process_fetched_meanwhile_is_not_missing() -> None:  # R5.11: truth is what is on disk
    with dl.demo_pacs(Holdings.t31(), manners=Manners(pace=0.1), timeout=10) as slow:

        def told(done: int, total: int) -> None:
            if done == 3:  # the other one fetches all, then this one is stopped
                for entry in Holdings.t31():
                    data = entry.encoded(EXPLICIT)
                    assert data is not None
                    slow.cache.receive(
                        slow.node.identity,
                        data,
                        sop_class=entry.sop_class,
                        sop_instance=entry.uid,
                        transfer_syntax=EXPLICIT,
                    )
                slow.cancel()

        with pytest.warns(errors.ResultWarning, match="all instances are here"):
            got = slow.retrieve(ST, progress=told)
    assert len(got) == 11 and got.attrs["complete"] and got.attrs["fetched"] < 11


def test_hooks_see_the_instances_that_come_by_c_move(pacs: dl.Peer) -> None:  # R1.14
    seen: list[str] = []
    pacs.hooks.add("before C-STORE-RQ", lambda event: seen.append(event.dataset().SOPInstanceUID))
    got = pacs.retrieve(ST, method="move", progress=False)
    assert sorted(seen) == sorted(got.SOPInstanceUID) and len(seen) == 11


def test_a_hook_that_raises_ends_a_c_move_with_its_exception(pacs: dl.Peer) -> None:  # R1.14
    def fail(event: Any) -> None:
        raise LookupError("mine")

    pacs.hooks.add("before C-STORE-RQ", fail)
    with pytest.raises(LookupError, match="mine"):
        pacs.retrieve(ST, method="move", progress=False)


@pytest.mark.parametrize("quirk", [False, True])
def test_a_series_without_its_study_is_found_where_relational_queries_are_agreed(quirk: bool) -> None:  # R5.22
    manners = Manners(hierarchy="lenient") if quirk else Manners(agree=(1,))
    with dl.demo_pacs(Holdings.t31(), manners=manners, timeout=10) as made:
        node = replace(made.node, quirks=Quirks(relational=quirk))
        with dl.connect(node, cache=made.cache, timeout=10) as peer:
            got = peer.retrieve(Address(SeriesInstanceUID=SERIES), progress=False)
            one = peer.retrieve(Address(SOPInstanceUID=got.SOPInstanceUID[0]), progress=False, refresh=True)
    assert len(got) == 7 and set(got.SeriesInstanceUID) == {SERIES} and got.attrs["complete"]
    assert list(one.SOPInstanceUID) == [got.SOPInstanceUID[0]] and one.attrs["fetched"] == 1


def test_a_series_without_its_study_is_refused_where_they_are_not(pacs: dl.Peer) -> None:  # R5.22
    with pytest.raises(errors.InvalidRequest, match="StudyInstanceUID"):
        pacs.retrieve(Address(SeriesInstanceUID=SERIES), progress=False)
    assert not asked(pacs, "C-FIND")


def test_only_a_dry_run_asks_how_large_each_image_is(pacs: dl.Peer) -> None:  # an archive may open every file for it
    series = pacs.find("SERIES", Modality="MR").head(1)
    sizes = []
    for dry_run in (True, False):
        before = len(asked(pacs, "C-FIND"))
        pacs.retrieve(series, dry_run=dry_run)
        images = [one.identifier for one in asked(pacs, "C-FIND")[before:]]
        images = [identifier for identifier in images if identifier.QueryRetrieveLevel == "IMAGE"]
        assert images
        sizes.append(any("Rows" in identifier for identifier in images))
    assert sizes == [True, False]


def test_an_estimate_says_what_is_free_and_what_the_disk_cannot_hold(pacs, monkeypatch):  # R5.5
    series = pacs.find("SERIES", StudyInstanceUID=ST)
    estimate = pacs.retrieve(series, dry_run=True)
    assert estimate.attrs["free"] > 0
    if estimate.attrs["bytes_to_fetch"] is None:
        pytest.skip("the archive does not say how large its instances are")
    monkeypatch.setattr("dicomlab.net.retrieve.outcome.free", lambda folder: 1_000)
    with pytest.warns(errors.ResultWarning, match="the disk of the cache has 1,000 free"):
        assert pacs.retrieve(series, dry_run=True).attrs["free"] == 1_000
