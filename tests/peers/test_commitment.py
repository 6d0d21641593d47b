"""Storage commitment with Orthanc, as others have seen it answer (SPEC 7)."""

from __future__ import annotations

import pandas as pd
import pytest
import slices
from pydicom.data import get_testdata_file

import dicomlab as dl
from dicomlab.errors import NoAcceptedContext, ResultWarning

FILES = [get_testdata_file(name) for name in ("CT_small.dcm", "MR_small.dcm")]


@pytest.fixture
def orthanc(writable):
    return writable["orthanc"]


@pytest.fixture
def qr(writable):
    return writable["qr"]


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("DICOMLAB_STATE", str(tmp_path))


def test_orthanc_commits_what_it_has_and_names_what_it_has_not(orthanc):  # R7.1, R7.2, R7.5
    with dl.connect(orthanc.address, allow=("store", "commit"), listen=orthanc.move_port) as peer:
        sent = peer.store(FILES)
        found = peer.commit(sent, wait=30)
        assert found.committed.tolist() == [True, True], found.attrs
        strange = pd.concat([sent, sent[:1].assign(SOPInstanceUID="1.2.3.987.5")], ignore_index=True)
        with pytest.warns(ResultWarning, match="1 of 3 instances is not committed"):
            found = peer.commit(strange, wait=30)
    assert found.committed.tolist() == [True, True, False] and found.failure_reason[2] == 0x0112


def test_what_was_derived_is_written_stored_and_committed(orthanc, tmp_path):  # R6.12
    source = dl.scan(slices.write(tmp_path / "source", slices.stack(range(4), rows=16, columns=16)))
    with dl.connect(orthanc.address, allow=("store", "commit"), listen=orthanc.move_port) as peer:
        derived = dl.write(dl.load(source) + 10, tmp_path / "derived", like=source, units="HU")
        kept = peer.commit(peer.store(derived), wait=30)
        assert kept.committed.tolist() == [True] * 4 and kept.stored.all(), kept.attrs
        back = peer.retrieve(peer.find("SERIES", SeriesInstanceUID=derived.SeriesInstanceUID[0]), method="get")
        assert (dl.load(back).values == dl.load(source).values + 10).all()


@pytest.mark.parametrize("name", ["qr", "store3"])
def test_dcmtk_offers_no_commitment(name, request):  # R7.6
    peer = request.getfixturevalue(name)
    with dl.connect(peer.address, allow="commit") as archive, pytest.raises(NoAcceptedContext) as caught:
        archive.commit(FILES)
    assert caught.value.result == 3
