"""TLS with peers of others: DCMTK's storescp and Orthanc."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import real_peers
from certificates import PASSWORD, Certificates
from real_peers import RealPeer
from support import free_port

import dicomlab as dl
from dicomlab.errors import DicomlabError, TLSVerificationError

STUDY = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"  # 11 instances


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, made: Certificates) -> Iterator[RealPeer]:
    with real_peers.storescp(tmp_path_factory.mktemp("store"), made) as peer:
        yield peer


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, made: Certificates) -> Iterator[RealPeer]:
    with real_peers.orthanc(tmp_path_factory.mktemp("orthanc"), free_port(), free_port(), made) as peer:
        real_peers.fill(peer, *real_peers.T31)
        yield peer


@pytest.fixture
def client(made: Certificates) -> dl.TLS:
    return dl.TLS(made.ca, made.client, made.client_key)


def test_an_echo_goes_through_tls(store, made, client):  # R1.12, as observed
    locked = dl.TLS(made.ca, made.client, made.locked_key, password=lambda: PASSWORD)
    for tls in (client, locked):
        with dl.connect(store.address.replace("127.0.0.1", "localhost"), tls=tls) as peer:
            assert peer.echo() > 0
            assert (peer.negotiated.tls.version, peer.negotiated.tls.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")


def test_a_cipher_that_is_asked_for_is_the_one(store, made):  # R1.12, as observed
    wanted = "ECDHE-RSA-AES256-GCM-SHA384"
    with dl.connect(
        store.address, tls=dl.TLS(made.ca, made.client, made.client_key, maximum="1.2", ciphers=wanted)
    ) as p:
        assert p.echo() > 0
        assert (p.negotiated.tls.version, p.negotiated.tls.cipher) == ("TLSv1.2", wanted)


@pytest.mark.parametrize(
    ("ca", "certificate", "words"),
    [
        ("ca", "", "client certificate"),
        ("ca", "stranger", "does not trust our certificate|refuses our certificate"),
        ("ca", "expired", "our certificate has expired|refuses our certificate"),
        ("other", "client", "of a CA that is not trusted here"),
    ],
)
@pytest.mark.parametrize("maximum", ["1.2", "1.3"])
def test_each_bad_certificate_has_its_own_reason(store, made, ca, certificate, words, maximum):  # S4
    ours = (getattr(made, certificate), getattr(made, f"{certificate}_key")) if certificate else ()
    with pytest.raises(TLSVerificationError, match=words) as caught:
        dl.connect(store.address, tls=dl.TLS(getattr(made, ca), *ours, maximum=maximum)).echo()
    assert caught.value.elapsed < 5


def test_plain_and_tls_are_told_apart_both_ways(store, store3, client):  # S4, R2.3
    with pytest.raises(TLSVerificationError, match="expects TLS"):
        dl.connect(store.address).echo()
    with pytest.raises(TLSVerificationError, match=r"speaks no TLS|in the middle of TLS"):
        dl.connect(store3.address, tls=client).echo()


def test_instances_come_by_get_and_by_move_through_tls(archive, made, client):  # R1.12, R1.13
    for method in ("get", "move"):
        with dl.connect(archive.address, tls=client, listen=archive.move_port) as pacs:
            assert len(pacs.find("STUDY", PatientID="98890234")) == 4
            assert len(pacs.retrieve([STUDY], method=method, refresh=True)) == 11


def test_a_listener_without_tls_is_told_apart_from_a_dead_one(archive, client):  # R1.13
    pacs = dl.connect(archive.address, tls=client, listen=archive.move_port, listen_tls=False)
    with pacs, pytest.warns(dl.errors.ResultWarning, match="comes without it"), pytest.raises(DicomlabError) as caught:
        pacs.retrieve([STUDY], method="move", refresh=True)
    assert "began with TLS" in str(caught.value)


def test_an_archive_whose_certificate_is_strange_to_us_brings_nothing(archive, made, client):  # R1.13
    inbound = dl.TLS(made.other, made.stranger, made.stranger_key)
    pacs = dl.connect(archive.address, tls=client, listen=archive.move_port, listen_tls=inbound)
    with pacs, pytest.raises(DicomlabError) as caught:
        pacs.retrieve([STUDY], method="move", refresh=True)
    assert "TLS" in str(caught.value)
