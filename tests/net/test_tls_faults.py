"""TLS that goes wrong on the way, and bad set-ups of who sends to our listener: in time, in words, nothing lost."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading

import pytest
from certificates import Certificates
from net.test_tls import archive, bare, old
from support import Stopwatch, free_port, require_peer

import dicomlab as dl
from dicomlab.demo import DemoServer, Holdings
from dicomlab.errors import ConnectError, DicomlabError, IncompleteRetrieve
from dicomlab.net.association.tls import TLS
from dicomlab.net.retrieve import doorway

STUDY = "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1"  # 11 instances
TIMEOUT = 1.5


@pytest.fixture
def client(made: Certificates) -> TLS:
    return TLS(made.ca, made.client, made.client_key)


# -- on the way ------------------------------------------------------------------------------------------------


class Relay:
    """Hands bytes on between a client and a server; once, after some bytes to the client, something goes wrong.

    Parameters
    ----------
    after
        Bytes of the server's that come through before; None: nothing goes wrong, and `passed` counts them.
    how
        "fin", "reset", "stall", "garbage" (bytes that are no record), "flip" (one bit of a record), "length" (a record
        longer than TLS allows), "plain" (a PDU without TLS).
    """

    def __init__(self, port: int, after: int | None, how: str = "", listen: int = 0) -> None:
        self.passed = 0
        self._target, self._after, self._how = port, after, how
        self._door = socket.create_server(("127.0.0.1", listen))
        self.port = self._door.getsockname()[1]
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Relay:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._door.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        self._door.settimeout(0.1)
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                near, _ = self._door.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, target, counted in ((near, far, False), (far, near, True)):
                    thread = threading.Thread(target=self._hand_on, args=(source, target, counted), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _hand_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        source.settimeout(0.1)
        with target, contextlib.suppress(OSError):
            while not self._over.is_set():
                try:
                    data = source.recv(8192)
                except TimeoutError:
                    continue
                if not data:
                    return
                if counted:
                    self.passed += len(data)
                    if self._after is not None and self.passed > self._after:
                        self._after = None
                        if not self._wrong(target, data):
                            return
                        continue
                target.sendall(data)

    def _wrong(self, target: socket.socket, data: bytes) -> bool:
        """Do it; whether bytes are handed on behind it."""
        half = len(data) // 2
        if self._how == "reset":
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if self._how == "flip":
            data = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
            target.sendall(data)
            return True
        target.sendall(data[:half])
        if self._how == "stall":
            self._over.wait(30)
        if self._how in ("garbage", "length", "plain"):
            heads = {"garbage": b"\xde\xad" * 100, "length": b"\x17\x03\x03\xff\xff" + bytes(100)}
            target.sendall(heads.get(self._how, b"\x07\0\0\0\0\4\0\0\0\0"))
            return True
        return False


WAYS = ["fin", "reset", "stall", "garbage", "flip", "length", "plain"]


def no_threads() -> None:
    """None of ours is left."""
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dicomlab")]


@pytest.mark.parametrize(
    ("where", "maximum"), [("in the handshake", "1.2"), ("in the handshake", "1.3"), ("in the answer", "1.3")]
)
@pytest.mark.parametrize("how", WAYS)
def test_an_echo_over_tls_that_breaks_ends_in_time_and_in_words(made, how, where, maximum):  # S4, R1.4, R0.4
    tls = TLS(made.ca, made.client, made.client_key, maximum=maximum)
    with archive(TLS(made.ca, made.server, made.server_key)) as address:
        port = int(address.rpartition(":")[2])
        with Relay(port, None) as clean:
            dl.connect(f"DEMO@localhost:{clean.port}", tls=tls).echo()
            whole = clean.passed
        after = 500 if where == "in the handshake" else whole - 200
        with Relay(port, after, how) as relay:
            pacs = dl.connect(f"DEMO@localhost:{relay.port}", tls=tls, timeout=TIMEOUT)
            watch = Stopwatch()
            try:
                pacs.echo()  # what breaks after the answer is no failure of the echo
            except DicomlabError as error:
                assert f"localhost:{relay.port}" in str(error) and error.phase and error.advice
                if where == "in the handshake":
                    assert isinstance(error, ConnectError)
            else:
                assert where == "in the answer"
            assert watch.seconds < TIMEOUT + 1.5
            assert pacs.echo() > 0  # the relay is honest again, and so is the next call
    no_threads()


@pytest.mark.parametrize("how", WAYS)
def test_a_get_over_tls_that_breaks_keeps_what_came_and_the_next_call_fetches_the_rest(client, made, how):  # R0.5
    with archive(TLS(made.ca, made.server, made.server_key)) as address:
        port = int(address.rpartition(":")[2])
        with Relay(port, None) as clean, dl.connect(f"DEMO@localhost:{clean.port}", tls=client) as pacs:
            assert len(pacs.retrieve([STUDY], method="get", refresh=True)) == 11
            whole = clean.passed
        with Relay(port, 2 * whole // 3, how) as relay:
            pacs = dl.connect(f"DEMO@localhost:{relay.port}", tls=client, timeout=TIMEOUT)
            watch = Stopwatch()
            with pytest.raises(IncompleteRetrieve) as caught:
                pacs.retrieve([STUDY], method="get")
            assert watch.seconds < TIMEOUT + 2
            came = caught.value.instances
            assert 0 < len(came) < 11 and len(came) + len(caught.value.missing) == 11
            again = pacs.retrieve([STUDY], method="get")
            assert len(again) == 11 and again.attrs["fetched"] == 11 - len(came)
            pacs.close()
    no_threads()


@pytest.mark.parametrize("how", ["fin", "reset", "stall", "flip"])
def test_a_move_over_tls_whose_store_association_breaks_names_what_is_missing(
    client, made, how, tmp_path
):  # R5.11, R0.5
    port, through = free_port(), free_port()
    server = DemoServer(
        Holdings.t31(),
        tls=TLS(made.ca, made.server, made.server_key).server(),
        tls_out=TLS(made.ca, made.server, made.server_key).client(),
        destinations={"DICOMLAB": ("localhost", through)},
    )
    def connected(cache: str) -> dl.Peer:
        return dl.connect(
            f"DEMO@localhost:{server.port}",
            tls=client,
            listen=port,
            listen_tls=TLS(made.ca, made.client, made.client_key),
            timeout=TIMEOUT,
            cache=tmp_path / cache,
        )

    with server:
        with connected("clean") as pacs, Relay(port, None, listen=through) as clean:
            assert len(pacs.retrieve([STUDY], method="move")) == 11
            whole = clean.passed  # what we answer: the handshake and the C-STORE responses
        with connected("broken") as pacs:
            with Relay(port, whole - 700, how, listen=through):
                watch = Stopwatch()
                with pytest.raises(IncompleteRetrieve) as caught:
                    pacs.retrieve([STUDY], method="move")
                assert watch.seconds < 2 * TIMEOUT + pacs.node.quirks.move_grace + 3
            came, missing = caught.value.instances, caught.value.missing
            assert missing and len(came) + len(missing) == 11
            with Relay(port, None, listen=through):
                again = pacs.retrieve([STUDY], method="move")
            assert len(again) == 11 and again.attrs["fetched"] == len(missing)
    no_threads()


def test_a_peer_that_ends_tls_properly_in_the_middle_is_a_lost_connection(client, made):  # close_notify
    context = TLS(made.ca, made.server, made.server_key).server()

    def serve(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as sealed:
            sealed.recv(65_536)
            with contextlib.suppress(OSError):
                sealed.unwrap()

    with bare(serve) as address:
        watch = Stopwatch()
        with pytest.raises(DicomlabError, match="closed the connection"):
            dl.connect(address, tls=client, timeout=TIMEOUT).echo()
        assert watch.seconds < TIMEOUT + 1


# -- renegotiation ---------------------------------------------------------------------------------------------


def openssl(*words: str) -> subprocess.Popen[str]:
    command = [require_peer("openssl"), *words]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        errors="replace",
    )


def until(process: subprocess.Popen[str], word: str) -> str:
    said = ""
    for line in process.stdout:
        said += line
        if word in line:
            break
    return said


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


@pytest.mark.parametrize("key", ["r", "R"])
def test_a_server_that_wants_to_renegotiate_does_not_hold_us(client, made, key):  # S4, BCP 195
    port = free_port()
    server = openssl("s_server", "-accept", f"127.0.0.1:{port}", "-tls1_2", "-cert", made.server, "-key",
                     made.server_key, "-CAfile", made.ca, "-Verify", "1")  # fmt: skip
    try:
        until(server, "ACCEPT")

        def ask_again() -> None:
            until(server, "Secure Renegotiation")
            with contextlib.suppress(OSError):
                server.stdin.write(f"{key}\n")

        thread = threading.Thread(target=ask_again, daemon=True)
        thread.start()
        watch = Stopwatch()
        with pytest.raises(DicomlabError):
            dl.connect(f"S@localhost:{port}", tls=client, timeout=TIMEOUT).echo()
        assert watch.seconds < TIMEOUT + 1
        assert thread.join(5) is None
    finally:
        ended(server)


def test_a_client_that_wants_to_renegotiate_does_not_hold_the_listener(client, made):  # S4, S8, BCP 195
    from net.test_tls import ask
    from net.test_tls import doorway as tls_doorway

    with tls_doorway(TLS(made.ca, made.server, made.server_key)) as (door, heard, _):
        peer = openssl("s_client", "-connect", f"127.0.0.1:{door.address[1]}", "-tls1_2", "-cert", made.client, "-key",
                       made.client_key, "-CAfile", made.ca)  # fmt: skip
        try:
            until(peer, "Extended master secret")
            for _ in range(3):
                with contextlib.suppress(OSError):
                    peer.stdin.write("R\n")
            watch = Stopwatch()
            ask(client, door)
            assert len(heard) == 1 and watch.seconds < 2
            assert peer.wait(10) is not None  # refused, or closed after its time
        finally:
            ended(peer)


# -- who sends to our listener ---------------------------------------------------------------------------------


SETUPS = {
    "wrong CA": ("stranger", "of a CA that is not trusted here"),
    "expired": ("expired", "certificate has expired"),
    "wrong host": ("elsewhere", "for another host .*elsewhere.example and not localhost"),
    "self-signed": ("other", "of a CA that is not trusted here .*self.signed"),
    "TLS 1.1": ("old", "no TLS version in common"),
    "plain": ("", "speaks no TLS"),
    "stalled handshake": ("stalled", "handshake was not finished"),
    "no client certificate": ("none", "a client certificate is required"),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("setup", SETUPS)
def test_an_archive_with_a_bad_set_up_brings_nothing_and_the_error_says_why(made, client, monkeypatch, setup):  # S4
    monkeypatch.setattr(doorway, "HALF_OPEN", 1.0)
    certificate, words = SETUPS[setup]
    out: ssl.SSLContext | None = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert out is not None
    out.load_verify_locations(made.ca)  # no default context: Python 3.13's wants more of a CA than hospitals' have
    if certificate == "old":
        out.set_ciphers("ALL:@SECLEVEL=0")
        out.minimum_version, out.maximum_version = old().minimum_version, old().maximum_version
        out.load_cert_chain(made.client, made.client_key)
    elif certificate == "":
        out = None
    elif certificate == "stalled":
        out.load_cert_chain(made.client, made.client_key)
    elif certificate != "none":
        out.load_cert_chain(getattr(made, certificate), getattr(made, f"{certificate}_key"))
    port = free_port()
    known = port if certificate != "stalled" else free_port()
    server = DemoServer(
        Holdings.t31(),
        tls=TLS(made.ca, made.server, made.server_key).server(),
        tls_out=out,
        destinations={"DICOMLAB": ("localhost", known)},
    )
    inbound = TLS(made.ca, made.server, made.server_key, server_name="localhost")
    between = Relay(port, 10, "stall", listen=known) if certificate == "stalled" else contextlib.nullcontext()
    with server, between, dl.connect(
        f"DEMO@localhost:{server.port}", tls=client, listen=port, listen_tls=inbound, timeout=8
    ) as pacs:
        brought = 10 if certificate == "stalled" else 0  # the archive tries again for each of 11 instances
        watch = Stopwatch()
        with pytest.raises(DicomlabError, match=words) as caught:
            pacs.retrieve([STUDY], method="move")
        assert watch.seconds < 12
        assert isinstance(caught.value, IncompleteRetrieve) and len(caught.value.instances) == brought
    no_threads()


def test_a_name_in_a_certificate_is_that_of_who_connects_or_a_wildcard_above_it():  # RFC 6125
    from dicomlab.net.association.sealed import _fits

    assert _fits("PACS.hospital.org", "pacs.hospital.org") and _fits("*.hospital.org", "pacs.hospital.org")
    assert _fits("10.0.0.5", "10.0.0.5") and _fits("pacs.hospital.org.", "pacs.hospital.org")
    for shown, name in (("*.hospital.org", "a.b.hospital.org"), ("*.", "pacs"), ("*", "pacs"), ("hospital.org", "org"),
                        ("*.hospital.org", "hospital.org")):  # fmt: skip
        assert not _fits(shown, name)
