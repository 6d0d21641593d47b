"""Store to programs of others: storescp in its manners, dcmqrscp and Orthanc (SPEC 6, the table of real peers)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import real_peers
import slices
from pydicom.data import get_testdata_file
from real_peers import RealPeer

import dicomlab as dl
from dicomlab.datasets.uids import BIG_ENDIAN, EXPLICIT, IMPLICIT
from dicomlab.errors import AssociationRejected, NoAcceptedContext

JPEG_2000 = "1.2.840.10008.1.2.4.90"
NAMES = ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "reportsi.dcm", "693_J2KI.dcm")
_numbers = itertools.count(1)


def connect(peer: RealPeer, **more: object) -> dl.Peer:
    return dl.connect(peer.address, allow="store", timeout=20.0, **more)


@pytest.fixture
def orthanc(writable):
    return writable["orthanc"]


@pytest.fixture
def qr(writable):
    return writable["qr"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Those files, each with an instance of its own: some share one."""
    folder = tmp_path_factory.mktemp("files")
    for number, name in enumerate(NAMES):
        dataset = pydicom.dcmread(get_testdata_file(name))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}"
        dataset.save_as(folder / name)
    return [folder / name for name in NAMES]


def received(peer: RealPeer, uid: str) -> pydicom.Dataset:
    """What storescp has of an instance."""
    (path,) = [path for path in (peer.folder / "received").iterdir() if path.name.endswith(uid)]
    return pydicom.dcmread(path)


@pytest.fixture(scope="module", params=["+xa", "+xi", "+xv", "+xe"])
def storescp(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, RealPeer]]:
    """storescp that takes any syntax, implicit only, JPEG 2000 lossless first, explicit first."""
    with real_peers.storescp(tmp_path_factory.mktemp("store"), takes=request.param) as peer:
        yield request.param, peer


def test_storescp_has_every_pixel_whatever_it_takes(storescp, paths):  # R6.2, R6.3, R6.4
    option, peer = storescp
    with connect(peer) as store:
        sent = store.store(paths)
    assert sent.stored.all(), sent.comment.tolist()
    allowed = {"+xi": {IMPLICIT}, "+xv": {JPEG_2000, EXPLICIT, IMPLICIT, BIG_ENDIAN}}.get(option)
    for path, row in zip(paths, sent.itertuples(), strict=True):
        assert allowed is None or row.sent_as in allowed
        there, here = received(peer, row.SOPInstanceUID), pydicom.dcmread(path)
        assert there.file_meta.TransferSyntaxUID == row.sent_as
        assert there.SOPClassUID == here.SOPClassUID
        if "PixelData" in here:
            np.testing.assert_array_equal(there.pixel_array, here.pixel_array)


def test_dcmqrscp_keeps_what_is_stored_and_gives_it_back(qr, tmp_path):
    number = next(_numbers)
    series = slices.stack([0, 1, 2], rows=16, columns=8, StudyInstanceUID=f"1.2.9.{number}", PatientName="Store^One")
    for index, one in enumerate(series):
        one.SeriesInstanceUID, one.SOPInstanceUID, one.StudyID = f"1.2.9.{number}.1", f"1.2.9.{number}.1.{index}", "1"
        one.StudyDate, one.StudyTime, one.AccessionNumber = "20240101", "120000", "A1"
    with connect(qr, cache=tmp_path / "cache") as peer:
        assert peer.store(slices.write(tmp_path / "out", series)).stored.all()
        found = peer.find("SERIES", StudyInstanceUID=f"1.2.9.{number}")
        assert len(found) == 1
        back = dl.load(peer.retrieve(found))
        np.testing.assert_array_equal(back.values, dl.load(dl.scan(tmp_path / "out")).values)


def test_a_read_only_archive_refuses_the_class_with_its_reason(qr):
    with dl.connect(f"READONLY@{qr.host}:{qr.port}", allow="store") as peer, pytest.raises(NoAcceptedContext) as caught:
        peer.store(get_testdata_file("CT_small.dcm"))
    assert caught.value.result == 1 and "CT Image Storage" in str(caught.value)


def test_an_unknown_called_title_is_rejected(qr):
    with dl.connect(f"NOBODY@{qr.host}:{qr.port}", allow="store") as peer, pytest.raises(AssociationRejected) as caught:
        peer.store(get_testdata_file("CT_small.dcm"))
    assert (caught.value.result, caught.value.source, caught.value.diagnostic) == (1, 1, 7)


def test_orthanc_keeps_every_pixel(orthanc, paths, tmp_path):
    with connect(orthanc, cache=tmp_path) as peer:
        sent = peer.store(paths)
        assert sent.stored.all(), sent.comment.tolist()
        for path, uid in zip(paths, sent.SOPInstanceUID, strict=True):
            here = pydicom.dcmread(path)
            rows = {name: str(here[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
            back = pydicom.dcmread(peer.retrieve(rows).path[0])
            assert back.SOPInstanceUID == uid
            if "PixelData" in here:
                np.testing.assert_array_equal(back.pixel_array, here.pixel_array)


def test_the_originator_is_taken_by_storescp(store3):  # R6.7
    with connect(store3) as peer:
        assert peer.store(get_testdata_file("CT_small.dcm"), originator=("MOVER", 77)).status.tolist() == [0]
    assert (Path(store3.folder) / "received").is_dir()


def test_several_associations_to_orthanc(orthanc, tmp_path):  # R1.20
    import dataclasses

    number = next(_numbers)
    series = slices.stack(range(40), rows=32, columns=32, StudyInstanceUID=f"1.2.9.{number}")
    for index, one in enumerate(series):
        one.SeriesInstanceUID, one.SOPInstanceUID = f"1.2.9.{number}.1", f"1.2.9.{number}.1.{index}"
    node = dataclasses.replace(dl.Node.of(orthanc.address), associations=4)
    with dl.connect(node, allow="store") as peer:
        sent = peer.store(slices.write(tmp_path / "out", series))
        assert sent.stored.all() and 1 < sent.attrs["associations"] <= 4
        assert len(peer.find("IMAGE", StudyInstanceUID=f"1.2.9.{number}")) == 40
