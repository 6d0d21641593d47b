"""User identity (PS3.7 D.3.3.7): what is sent, what must come back, and that no passcode is shown."""

from __future__ import annotations

import copy
import logging
import pickle
import socket
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification
from wires import meanwhile

import dicomlab as dl
from dicomlab.errors import ConnectionLost, InvalidRequest, ProtocolError
from dicomlab.net.addressbook import nodes
from dicomlab.net.contexts import IMPLICIT
from dicomlab.net.negotiation import acceptance, requested
from dicomlab.net.tls import TLS
from dicomlab.net.useridentity import UserIdentity
from dicomlab.net.verification import VERIFICATION

PASSCODE = "Sesame42"


@contextmanager
def archive(seen: list[tuple[object, ...]], *, confirms: bool = True, tls: TLS | None = None) -> Iterator[str]:
    """An acceptor that notes user identities, and answers them or knows of none."""

    def user(event: evt.Event) -> tuple[bool, bytes | None]:
        seen.append((event.user_id_type, event.primary_field, event.secondary_field))
        return True, None

    ae = AE("USERS")
    ae.add_supported_context(Verification)
    handlers = [(evt.EVT_USER_ID, user)] if confirms else []
    context = tls.server() if tls else None
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=context)  # type: ignore
    try:
        yield f"USERS@localhost:{server.server_address[1]}"
    finally:
        server.shutdown()


def test_a_user_name_is_type_1():  # R1.11
    seen: list[tuple[object, ...]] = []
    for user in ("anne", {"name": "anne"}):
        with archive(seen) as address, dl.connect(address, user=user) as pacs:
            assert pacs.echo() > 0
    assert seen == [(1, b"anne", b"")] * 2


def test_a_passcode_is_type_2_and_goes_through_tls(made, monkeypatch):  # R1.11
    monkeypatch.setenv("THE_PASSCODE", PASSCODE)
    seen: list[tuple[object, ...]] = []
    inbound, tls = TLS(made.ca, made.server, made.server_key), TLS(made.ca, made.client, made.client_key)
    for user in (UserIdentity("anne", lambda: PASSCODE), UserIdentity("anne", passcode_variable="THE_PASSCODE")):
        with archive(seen, tls=inbound) as address, dl.connect(address, user=user, tls=tls) as pacs:
            assert pacs.echo() > 0
    assert seen == [(2, b"anne", PASSCODE.encode())] * 2


def test_a_passcode_without_tls_is_refused_unless_that_is_allowed():  # R1.11
    seen: list[tuple[object, ...]] = []
    with archive(seen) as address:
        with pytest.raises(InvalidRequest, match="in clear"):
            dl.connect(address, user=UserIdentity("anne", lambda: PASSCODE)).echo()
        assert not seen
        dl.connect(address, user=UserIdentity("anne", lambda: PASSCODE, without_tls=True)).echo()
    assert seen == [(2, b"anne", PASSCODE.encode())]


def test_a_confirmation_that_was_asked_for_and_does_not_come_is_an_error():  # R1.11
    with archive([], confirms=False) as address:
        assert dl.connect(address, user="anne").echo() > 0
        with pytest.raises(ProtocolError, match="did not confirm the user 'anne'") as caught:
            dl.connect(address, user=UserIdentity("anne", confirm=True)).echo()
    assert "confirm=True" in caught.value.advice


def confirming(connection: socket.socket) -> None:
    """Accept an association with the item 0x59 of a confirmed user name, and close (PS3.7 D.3.3.7)."""
    asked = connection.recv(65_536)
    answer, _ = acceptance(requested(asked[6:]), frozenset({VERIFICATION}), (IMPLICIT,))
    at = 74  # items follow the fixed part
    while answer[at] != 0x50:
        at += 4 + int.from_bytes(answer[at + 2 : at + 4], "big")
    items = answer[at + 4 :] + b"\x59\0\0\2\0\0"
    body = answer[6:at] + struct.pack(">BxH", 0x50, len(items)) + items
    connection.sendall(struct.pack(">BxL", 2, len(body)) + body)
    assert connection.recv(65_536)[0] == 4  # the C-ECHO request: the association stands


def test_a_confirmation_that_comes_is_seen():  # R1.11
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            connection, _ = door.accept()
            with connection:
                confirming(connection)

        pacs = dl.connect(f"USERS@localhost:{door.getsockname()[1]}", user=UserIdentity("anne", confirm=True))
        with meanwhile(serve), pytest.raises(ConnectionLost):
            pacs.echo()
    assert pacs.negotiated.accepted.user_confirmed


def _raise() -> str:
    raise RuntimeError(PASSCODE)


def test_no_passcode_is_shown_logged_raised_pickled_or_kept(caplog):  # S5
    caplog.set_level(logging.DEBUG)
    user = UserIdentity("anne", lambda: PASSCODE, without_tls=True)
    with archive([]) as address, dl.connect(address, user=user) as pacs:
        events: list[str] = []
        for event in ("association requested", "association accepted", "before message"):
            pacs.hooks.add(event, lambda event: events.append(f"{event!r} {vars(event)}"))
        pacs.echo()
        shown = [repr(user), repr(pacs.node), repr(pacs), repr(pacs.negotiated), *events]
        # The acceptor of this test, pynetdicom's, writes the passcode to a log of its own.
        shown += [item.getMessage() for item in caplog.records if item.name != "pynetdicom._handlers"]
        shown += [repr(pickle.dumps(pacs.node)), repr(copy.deepcopy(pacs.node))]
    for bad in (UserIdentity("anne", _raise, without_tls=True), UserIdentity("anne", None, PASSCODE, without_tls=True)):
        with pytest.raises(InvalidRequest) as caught:
            dl.connect(address, user=bad).echo()
        shown += traceback.format_exception(caught.value)
    assert not [text for text in shown if PASSCODE in text]
    assert pickle.loads(pickle.dumps(user)).passcode is None


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("", "user name"),
        ({"passcode_variable": "X"}, "user name"),
        ({"name": "anne", "passcode": PASSCODE}, "takes a function"),
        ({"name": "anne", "pascode_variable": "X"}, "did you mean 'passcode_variable'"),
        (5, "not int"),
    ],
)
def test_a_user_that_cannot_be_is_refused_without_showing_the_passcode(user, words):  # R1.11, S5
    with pytest.raises(InvalidRequest, match=words) as caught:
        dl.connect("A@localhost:1", user=user)
    assert PASSCODE not in str(caught.value)


def test_users_of_nodes_are_read_as_they_were_saved_without_a_passcode():  # R1.3
    book = nodes()
    book.add("a", dl.Node("A", "host", 1, user=UserIdentity("anne", passcode_variable="THE_PASSCODE", confirm=True)))
    book.save()
    assert dict(nodes()) == dict(book)
    book.add("b", dl.Node("A", "host", 1, user=UserIdentity("anne", lambda: PASSCODE)))
    with pytest.raises(InvalidRequest, match="cannot be kept in a file"):
        book.save()
    head = '[a]\nae_title = "A"\nhost = "h"\nport = 1\n'
    book.path.write_text(head + f'user = {{ name = "anne", passcode = "{PASSCODE}" }}\n')
    with pytest.raises(InvalidRequest, match="never in this file") as caught:
        nodes()
    assert PASSCODE not in str(caught.value)
