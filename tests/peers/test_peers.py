"""The peers of these tests behave as others have seen them; asked by DCMTK's findscu, not by us."""

import subprocess

import pytest
from real_peers import ENVIRONMENT
from support import require_peer

PREFIX = "1.3.6.1.4.1.5962.1.1.0.0.0."
STUDY = PREFIX + "1196533885.18148.0.1"


def count(peer, *keys):
    command = [require_peer("findscu"), "-S", "-aec", peer.ae_title, peer.host, str(peer.port)]
    command += ["-aet", "DICOMLAB"]
    command += [part for key in keys for part in ("-k", key)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=True)
    return (done.stdout + done.stderr).count("Find Response: ")


@pytest.mark.parametrize(
    ("name", "lower_case"),
    [("qr", 0), ("orthanc", 4)],  # case of PN is the peer's choice, PS3.4 C.2.2.2.1
)
def test_a_real_peer_holds_t31_and_matches_as_observed(name, lower_case, request):
    peer = request.getfixturevalue(name)
    study = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID")
    assert count(peer, *study) >= 6
    assert count(peer, *study, "PatientName=Doe^P*") == 4
    assert count(peer, *study, "PatientName=doe^p*") == lower_case
    assert count(peer, *study, "StudyDate=20010101-20021231") == 2
    assert count(peer, *study, "PatientID=NOBODY") == 0
    assert count(peer, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}", "SeriesInstanceUID") == 3
    series = f"SeriesInstanceUID={PREFIX}1196533885.18148.0.118"
    assert count(peer, "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={STUDY}", series, "SOPInstanceUID") == 7


def test_the_third_party_listens(store3):
    assert store3.process.poll() is None
    assert (store3.folder / "received").is_dir()
