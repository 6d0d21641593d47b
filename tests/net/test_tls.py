"""TLS: what may be set, what is refused and why, both ways; and that no secret is ever shown."""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import os
import pickle
import random
import signal
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from certificates import PASSWORD, Certificates
from support import Stopwatch, free_port
from wires import both_sides, collect, connected, meanwhile

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings
from dicomlab.errors import (
    AssociationTimeout,
    ConnectError,
    InvalidRequest,
    ResultWarning,
    TLSVerificationError,
)
from dicomlab.net.association.addressbook import nodes
from dicomlab.net.association.contexts import Context
from dicomlab.net.association.negotiation import request
from dicomlab.net.association.pdu import Wire, p_data
from dicomlab.net.association.sealed import Sealed
from dicomlab.net.association.tls import TLS
from dicomlab.net.retrieve.doorway import Doorway

STUDY = "1.3.6.1.4.1.5962.1.1.0.0.0.1196530851.28319.0.1"  # 4 instances


@pytest.fixture
def client(made: Certificates) -> TLS:
    return TLS(made.ca, made.client, made.client_key)


@contextmanager
def archive(tls: TLS | ssl.SSLContext) -> Iterator[str]:
    """The address of a demo PACS behind TLS, by the name in its certificate."""
    context = tls.server() if isinstance(tls, TLS) else tls
    with DemoServer(Holdings.t31(), tls=context) as server:
        yield f"DEMO@localhost:{server.port}"


@contextmanager
def bare(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """The address of a server that does that with its first connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        over = threading.Event()

        def run() -> None:
            connection, _ = door.accept()
            with connection, contextlib.suppress(OSError):
                serve(connection)
                over.wait(10)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"BARE@localhost:{door.getsockname()[1]}"
        over.set()
        thread.join(5)


# -- out -------------------------------------------------------------------------------------------------------


def test_an_echo_through_tls_says_version_cipher_and_whom_it_spoke_to(made, client):  # R1.12, R1.22
    seen = []
    with archive(TLS(made.ca, made.server, made.server_key)) as address, dl.connect(address, tls=client) as pacs:
        pacs.hooks.add("TLS ready", seen.append)
        assert pacs.echo() > 0
        link = pacs.negotiated.tls
        assert (link.version, link.cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
        assert (link.subject, link.issuer) == ("CN=server, O=Tests", "CN=ca, O=Tests")
        assert "TLSv1.3" in repr(pacs.negotiated) and "CN=server" in pacs.negotiated._repr_html_()
        assert [event.tls for event in seen] == [link]
        assert "TLS" in repr(pacs)


def test_questions_and_images_come_through_tls_as_without(made, client):  # R1.12
    with archive(TLS(made.ca, made.server, made.server_key)) as address, dl.connect(address, tls=client) as pacs:
        studies = pacs.find("STUDY", PatientID="77654033")
        assert len(studies) == 2
        assert len(pacs.retrieve(studies, method="get")) == 7


def test_a_version_and_a_cipher_can_be_asked_for(made):  # R1.12; observed at storescp
    wanted = "ECDHE-RSA-AES256-GCM-SHA384"
    tls = TLS(made.ca, made.client, made.client_key, maximum="1.2", ciphers=(wanted,))
    with archive(TLS(made.ca, made.server, made.server_key)) as address, dl.connect(address, tls=tls) as pacs:
        pacs.echo()
        assert (pacs.negotiated.tls.version, pacs.negotiated.tls.cipher) == ("TLSv1.2", wanted)


def test_the_name_in_the_certificate_may_be_another_if_that_is_said(made, client):  # R1.12
    with archive(TLS(made.ca, made.elsewhere, made.elsewhere_key)) as address:
        named = TLS(made.ca, made.client, made.client_key, server_name="elsewhere.example")
        unchecked = TLS(made.ca, made.client, made.client_key, check_host=False)
        for tls in (named, unchecked):
            with dl.connect(address, tls=tls) as pacs:
                assert pacs.echo() > 0


@pytest.mark.parametrize("maximum", ["1.2", "1.3"])
@pytest.mark.parametrize(
    ("server", "ca", "certificate", "words"),
    [
        ("server", "other", "client", "of a CA that is not trusted here .*(local issuer|self.signed)"),
        ("ca", "other", "client", "of a CA that is not trusted here .*self.signed"),
        ("expired", "ca", "client", "the peer's certificate has expired .*certificate has expired"),
        ("elsewhere", "ca", "client", "is for another host .*localhost"),
        ("server", "ca", "", "a client certificate is required|in common, or the peer misses a client certificate"),
        ("server", "ca", "stranger", "the peer does not trust our certificate .*UNKNOWN_CA"),
    ],
    ids=["untrusted CA", "self-signed", "expired", "wrong host", "no client certificate", "stranger"],
)
def test_each_bad_certificate_is_refused_with_its_own_reason(made, server, ca, certificate, words, maximum):  # S4
    ours = (getattr(made, certificate), getattr(made, f"{certificate}_key")) if certificate else ()
    inbound = TLS(made.ca, getattr(made, server), getattr(made, f"{server}_key"))
    tls = TLS(getattr(made, ca), *ours, maximum=maximum)
    with archive(inbound) as address, pytest.raises(TLSVerificationError, match=words) as caught:
        dl.connect(address, tls=tls).echo()
    assert caught.value.peer == address and caught.value.advice and caught.value.elapsed < 5


def old() -> ssl.SSLContext:
    """A server that knows TLS 1.1 at most."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused_with_its_reason(made, client):  # S4, R1.12
    context = old()
    context.load_cert_chain(made.server, made.server_key)
    with archive(context) as address, pytest.raises(TLSVerificationError, match="no TLS version in common"):
        dl.connect(address, tls=client).echo()


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (lambda peer: peer.sendall(b"\x07\0\0\0\0\4\0\0\2\1"), "speaks no TLS"),
        (lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "speaks no TLS"),
        (lambda peer: (peer.recv(10_000), peer.shutdown(2)), "closed the connection in the middle of TLS"),
    ],
    ids=["A-ABORT", "HTTP", "closes"],
)
def test_a_plain_server_is_told_apart(client, serve, words):  # S4, R2.3
    with bare(serve) as address, pytest.raises(TLSVerificationError, match=words):
        dl.connect(address, tls=client).echo()


def test_a_plain_archive_is_told_apart(client):  # S4, R2.3
    with DemoServer(Holdings.t31()) as server, pytest.raises(ConnectError, match=r"TLS") as caught:
        dl.connect(f"DEMO@localhost:{server.port}", tls=client, timeout=2).echo()
    assert caught.value.elapsed < 3 and caught.value.phase == "TLS"


def test_plain_to_a_tls_port_is_told_apart(made):  # S4, R2.3
    with archive(TLS(made.ca, made.server, made.server_key)) as address, pytest.raises(ConnectError) as caught:
        dl.connect(address).echo()
    assert isinstance(caught.value, TLSVerificationError) and "expects TLS" in str(caught.value)


def test_an_alert_that_answers_a_plain_request_says_that_tls_is_expected():  # R2.3
    alert = b"\x15\x03\x01\x00\x02\x02\x46"
    with bare(lambda peer: peer.sendall(alert)) as address, pytest.raises(TLSVerificationError, match="TLS") as caught:
        dl.connect(address).echo()
    assert "tls=" in caught.value.advice


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "drips"])
def test_a_handshake_that_stalls_ends_within_the_association_deadline(client, silent):  # S4, R1.4
    def drip(peer: socket.socket) -> None:
        for byte in b"\x16\x03\x03\x40\x00" + bytes(30):
            peer.sendall(bytes([byte]))
            time.sleep(0.1)

    with bare((lambda peer: None) if silent else drip) as address, pytest.raises(AssociationTimeout) as caught:
        dl.connect(address, tls=client, timeout=1).echo()
    assert caught.value.phase == "TLS" and "handshake" in str(caught.value)
    assert 0.9 < caught.value.elapsed < 2


def test_a_handshake_is_left_when_the_call_is_cancelled(client):  # R1.17
    with bare(lambda peer: None) as address, dl.connect(address, tls=client) as pacs:
        threading.Timer(0.3, pacs.cancel).start()
        clock = Stopwatch()
        with pytest.warns(ResultWarning):
            assert len(pacs.find(PatientID="")) == 0
        assert clock.seconds < 1.5


# -- in --------------------------------------------------------------------------------------------------------


def ask(tls: TLS | None, door: Doorway) -> None:
    """Send an A-ASSOCIATE-RQ to that door, and wait until it is closed."""
    with contextlib.ExitStack() as ends, contextlib.suppress(OSError):
        peer = ends.enter_context(socket.create_connection(door.address, 3))
        if tls is not None:
            peer = ends.enter_context(tls.client().wrap_socket(peer, server_hostname="localhost"))
        peer.sendall(request("A", "B", [Context("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))]))
        while peer.recv(64):
            pass


@contextmanager
def doorway(tls: TLS) -> Iterator[tuple[Doorway, list[bytes], list[str]]]:
    """A door, the first PDUs that came through it, and the reasons why others did not."""
    heard: list[bytes] = []
    failed: list[str] = []

    def came(connection, first):
        heard.append(first)
        connection.close()

    door = Doorway("127.0.0.1", 0, lambda host: True, came, tls.server(), failed.append)
    door.open()
    try:
        yield door, heard, failed
    finally:
        door.close()


def last(failed: list[str], count: int) -> str:
    """The reason of that many handshakes that failed, once it is told."""
    end = time.monotonic() + 5
    while len(failed) < count and time.monotonic() < end:
        time.sleep(0.01)
    assert len(failed) == count, failed
    return failed[-1]


def test_a_request_comes_through_the_door_by_tls_alone(made, client):  # R1.13
    with doorway(TLS(made.ca, made.server, made.server_key)) as (door, heard, failed):
        ask(client, door)
        assert [first[0] for first in heard] == [1] and not failed
        ask(None, door)
        assert "speaks no TLS" in last(failed, 1)
        ask(TLS(made.ca), door)
        assert "a client certificate is required" in last(failed, 2)
        ask(TLS(made.ca, made.stranger, made.stranger_key), door)
        assert "not trusted" in last(failed, 3)
        assert len(heard) == 1


def test_a_certificate_of_the_archive_need_not_be_asked_for(made):  # R1.13
    with doorway(TLS(made.ca, made.server, made.server_key, ask_certificate=False)) as (door, heard, _):
        ask(TLS(made.ca), door)
        assert len(heard) == 1


def test_handshakes_that_stall_keep_nobody_out(made, client, monkeypatch):  # S8, R7: half-open
    monkeypatch.setattr("dicomlab.net.retrieve.doorway.HALF_OPEN", 1.0)
    with doorway(TLS(made.ca, made.server, made.server_key)) as (door, heard, _):
        idle = [socket.create_connection(door.address) for _ in range(60)]
        for connection in idle[::2]:
            connection.sendall(b"\x16\x03\x01")
        began = time.monotonic()
        ask(client, door)
        assert len(heard) == 1 and time.monotonic() - began < 2
        time.sleep(1.2)
        for connection in idle:
            connection.settimeout(1)
            with connection:
                assert connection.recv(64)[:1] in (b"", b"\x15")


def test_to_receive_through_tls_needs_a_certificate_of_our_own(made):  # R1.13
    with archive(TLS(made.ca, made.server, made.server_key, ask_certificate=False)) as address:
        pacs = dl.connect(address, tls=TLS(made.ca), listen=free_port())
        with pytest.raises(InvalidRequest, match="certificate of our own") as caught:
            pacs.retrieve([STUDY], method="move")
    assert "listen_tls" in caught.value.advice


def test_to_receive_without_tls_is_never_silent(made, client):  # R1.13
    port = free_port()
    server = DemoServer(
        Holdings.t31(),
        tls=TLS(made.ca, made.server, made.server_key).server(),
        destinations={"DICOMLAB": ("127.0.0.1", port)},
    )
    with server, dl.connect(f"DEMO@localhost:{server.port}", tls=client, listen_tls=False, listen=port) as pacs:
        assert "without TLS" in repr(pacs)
        with pytest.warns(ResultWarning, match="comes without it"):
            pacs.retrieve([STUDY], method="move")


# -- what may be set -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"minimum": "1.1"}, "minimum='1.1'"),
        ({"minimum": "1.3", "maximum": "1.2"}, "below"),
        ({"ciphers": ("NULL-SHA256",)}, "too weak|no cipher"),
        ({"ciphers": ("RC4-SHA",)}, "too weak|no cipher"),
        ({"ciphers": ("ECDHE-RSA-AES256-GCM-SHA384", "NONSENSE")}, "no cipher 'NONSENSE'"),
        ({"key": "lab.key"}, "no certificate"),
        ({"ca": "-----BEGIN CERTIFICATE-----"}, "not what it holds"),
        ({"ca": 5}, "path"),
        ({"check_host": "no"}, "takes a bool"),
        ({"password": "clear"}, "takes a function"),
        ({"password": str, "password_variable": "X"}, "both"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_anything_is_sent(settings, words):  # R1.12
    with pytest.raises(InvalidRequest, match=words):
        TLS(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ca": "nowhere.pem"}, "nowhere.pem: No such file"),
        ({"ca": "{client_key}"}, "holds no certificate"),
        ({"ca": "{ca}", "certificate": "{client}", "key": "{server_key}"}, "not that of the certificate"),
        ({"ca": "{ca}", "certificate": "{client_key}", "key": "{client_key}"}, "do not hold a certificate and its key"),
        ({"ca": "{ca}", "certificate": "{client}", "key": "{locked_key}"}, "has a password, and none was given"),
    ],
)
def test_files_that_will_not_do_are_named_before_anything_is_sent(made, settings, words):  # R1.12
    paths = {name: value.format(**{n: getattr(made, n) for n in NAMES}) for name, value in settings.items()}
    with pytest.raises(InvalidRequest, match=words):
        dl.connect("A@localhost:1", tls=paths).echo()


NAMES = ("ca", "client", "client_key", "server_key", "locked_key")


def test_tls_is_true_or_a_table_or_itself(client):  # R1.12
    assert dl.connect("A@localhost:1", tls=True).node.tls == TLS()
    assert dl.connect("A@localhost:1", tls={"minimum": "1.3"}).node.tls == TLS(minimum="1.3")
    assert dl.connect("A@localhost:1", tls=client).node.inbound_tls == client
    assert dl.connect("A@localhost:1", tls=client, listen_tls=False).node.inbound_tls is None
    assert dl.connect(dl.Node("A", "localhost", 1, tls=True), tls=False).node.tls is None
    assert dl.connect("A@localhost:1", listen_tls=client).node.tls is None
    with pytest.raises(InvalidRequest, match="did you mean 'ciphers'"):
        dl.connect("A@localhost:1", tls={"cipher": "x"})
    with pytest.raises(InvalidRequest, match="not str"):
        dl.connect("A@localhost:1", tls="ca.pem")


# -- secrets ---------------------------------------------------------------------------------------------------


def test_a_locked_key_is_opened_by_a_function_or_a_variable_asked_once(made, monkeypatch):  # R1.12, R1.3
    asked = []

    def password() -> str:
        asked.append(True)
        return PASSWORD

    monkeypatch.setenv("THE_KEY", PASSWORD)
    with archive(TLS(made.ca, made.server, made.server_key)) as address:
        for given in ({"password": password}, {"password_variable": "THE_KEY"}):
            with dl.connect(address, tls=TLS(made.ca, made.client, made.locked_key, **given)) as pacs:
                assert pacs.echo() > 0 and pacs.echo() > 0
    assert len(asked) == 1


def failures(made: Certificates) -> Iterator[TLS]:
    """Set-ups that fail with a password on the way."""
    yield TLS(made.ca, made.client, made.locked_key, password=lambda: f"wrong {PASSWORD}")
    yield TLS(made.ca, made.client, made.locked_key, password_variable="WRONG_KEY")
    yield TLS(made.ca, made.client, made.locked_key, password_variable=PASSWORD)  # a mistake that users make
    yield TLS(made.ca, made.client, made.locked_key, password=functools.partial(_raise, PASSWORD))


def _raise(secret: str) -> str:
    raise RuntimeError(secret)


def test_no_secret_is_shown_logged_raised_or_pickled(made, monkeypatch, caplog):  # S5
    monkeypatch.setenv("WRONG_KEY", f"wrong {PASSWORD}")
    caplog.set_level(logging.DEBUG)
    for tls in failures(made):
        pacs = dl.connect("A@localhost:1", tls=tls)
        shown = [repr(tls), str(tls), repr(pacs), repr(pacs.node)]
        shown += [str(pickle.dumps(pacs.node))] if tls.password_variable != PASSWORD else []
        with pytest.raises(InvalidRequest) as caught:
            pacs.echo()
        shown += traceback.format_exception(caught.value)
        for frame, _ in traceback.walk_tb(caught.value.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:  # what a traceback with variables shows of ours
                shown += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
        shown += [repr(caught.value.__dict__), str(pickle.dumps(caught.value)), caplog.text]
        assert caught.value.__cause__ is None and caught.value.__context__ is None  # others pickle them too
        assert not [text for text in shown if PASSWORD in text]


def test_a_function_that_gives_a_password_is_copied_but_not_pickled(made):  # S5
    tls = TLS(made.ca, made.client, made.locked_key, password=lambda: PASSWORD)
    assert copy.deepcopy(tls) == tls == copy.copy(tls)
    again = pickle.loads(pickle.dumps(tls))
    assert (again.ca, again.key, again.password) == (tls.ca, tls.key, None)


# -- nodes.toml ------------------------------------------------------------------------------------------------


NAMES_OF_CIPHERS = ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256")


def test_tls_of_nodes_is_read_as_it_was_saved(made):  # R1.3, R1.13
    whole = TLS(made.ca, made.client, made.client_key, password_variable="KEY", ciphers=NAMES_OF_CIPHERS)
    book = nodes()
    book.add("out", dl.Node("A", "host", 1, tls=True, listen_tls=False))
    book.add("both", dl.Node("A", "host", 1, tls=whole, listen_tls=TLS(made.ca, made.server, made.server_key)))
    book.add("none", dl.Node("A", "host", 1))
    book.save()
    again = nodes()
    assert dict(again) == dict(book)


def test_a_password_is_never_in_the_file(made):  # R1.3
    book = nodes()
    book.add("a", dl.Node("A", "host", 1, tls=TLS(made.ca, made.client, made.locked_key, password=lambda: PASSWORD)))
    with pytest.raises(InvalidRequest, match="password_variable"):
        book.save()
    assert not book.path.exists()
    book.path.write_text(f'[a]\nae_title = "A"\nhost = "h"\nport = 1\ntls = {{ password = "{PASSWORD}" }}\n')
    with pytest.raises(InvalidRequest, match="line 5") as caught:
        nodes()
    assert PASSWORD not in str(caught.value)
    book.path.write_text('[a]\nae_title = "A"\nhost = "h"\nport = 1\ntls = { minimum = "1.0" }\n')
    with pytest.raises(InvalidRequest, match=r"line 5.*tls: TLS minimum='1.0'"):
        nodes()
    book.path.write_text('[a]\nae_title = "A"\nhost = "h"\nport = 1\ntls = "ca.pem"\n')
    with pytest.raises(InvalidRequest, match=r"line 5.*takes a table"):
        nodes()


# -- threads and signals ---------------------------------------------------------------------------------------


def test_ctrl_c_in_the_handshake_comes_back_within_a_second(client):  # R1.19, F7
    with bare(lambda peer: None) as address:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        clock = Stopwatch()
        with pytest.raises(KeyboardInterrupt):
            dl.connect(address, tls=client).echo()
        assert clock.seconds < 1.3


def test_one_thread_may_send_while_another_receives():  # R1.17: C-CANCEL in the middle of a C-GET
    ours, theirs = both_sides()
    near, far = connected()
    client = Sealed(near, ours.client(), server_name="localhost")
    server = Sealed(far, theirs.server(), inbound=True)
    with meanwhile(lambda: server.shake_hands(lambda: None)):
        client.shake_hands(lambda: None)
    ends = Wire(client, "CLIENT"), Wire(server, "SERVER")
    data, small = random.Random(1).randbytes(1 << 20), p_data(1, 2, b"cancel")
    many = 2_000

    def send() -> None:
        for _ in range(40):
            ends[1].send(p_data(1, 2, data[: (1 << 20) - 6]))

    def interrupt() -> None:
        for _ in range(many):
            ends[0].send(small)

    def heed() -> None:
        for _ in range(many):
            assert collect(ends[1])[1] == b"cancel"

    try:
        with meanwhile(send), meanwhile(interrupt), meanwhile(heed):
            for _ in range(40):
                assert collect(ends[0])[1] == data[: (1 << 20) - 6]
    finally:
        for end in ends:
            end.close()
