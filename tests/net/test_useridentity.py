"""User identity (PS3.7 D.3.3.7): what is sent, what must come back, and that no passcode is shown."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import pickle
import socket
import struct
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification
from wires import meanwhile

import dicomlab as dl
from dicomlab.datasets.uids import IMPLICIT
from dicomlab.demo import Holdings, Manners
from dicomlab.errors import AssociationRejected, ConnectionLost, InvalidRequest, ProtocolError
from dicomlab.net.association.addressbook import nodes
from dicomlab.net.association.negotiation import acceptance, requested
from dicomlab.net.association.tls import TLS
from dicomlab.net.association.useridentity import TOKEN_LIMIT, UserIdentity
from dicomlab.net.association.verification import VERIFICATION

PASSCODE = "Sesame42"


@contextmanager
def archive(
    seen: list[tuple[object, ...]],
    *,
    confirms: bool = True,
    tls: TLS | None = None,
    answer: bytes | None = None,
    lets_in: bool = True,
) -> Iterator[str]:
    """An acceptor that notes user identities, and answers them or knows of none."""

    def user(event: evt.Event) -> tuple[bool, bytes | None]:
        seen.append((event.user_id_type, event.primary_field, event.secondary_field))
        return lets_in, answer

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


TOKENS = {3: "kerberos", 4: "saml", 5: "jwt"}


@pytest.mark.parametrize("number", TOKENS)
def test_a_token_goes_as_it_is_and_the_answer_to_it_can_be_read(made, monkeypatch, number):  # R1.11: types 3 to 5
    token, answered = bytes(range(256)) * 40, b"\x60\x82 the server's \xff answer"
    inbound, tls = TLS(made.ca, made.server, made.server_key), TLS(made.ca, made.client, made.client_key)
    seen: list[tuple[object, ...]] = []
    user = UserIdentity(kind=TOKENS[number], token=lambda: token, confirm=True)
    with archive(seen, tls=inbound, answer=answered) as address, dl.connect(address, user=user, tls=tls) as pacs:
        assert pacs.echo() > 0
        assert pacs.negotiated.user_response == answered
        assert "server's" not in repr(pacs.negotiated) + repr(pacs.negotiated.accepted)
    monkeypatch.setenv("THE_TOKEN", "eyJhbGciOi.e30.sig")
    user = UserIdentity(kind=TOKENS[number], token_variable="THE_TOKEN")
    with archive(seen, tls=inbound) as address, dl.connect(address, user=user, tls=tls) as pacs:
        assert pacs.echo() > 0 and pacs.negotiated.user_response is None
    assert seen == [(number, token, b""), (number, b"eyJhbGciOi.e30.sig", b"")]


def test_a_token_of_any_length_that_fits_is_sent_and_a_longer_one_is_named():  # R1.11
    seen: list[tuple[object, ...]] = []
    for size in (1, TOKEN_LIMIT):
        user = UserIdentity(kind="saml", token=lambda size=size: b"x" * size, without_tls=True)
        with archive(seen) as address:
            dl.connect(address, user=user).echo()
    assert [len(one[1]) for one in seen] == [1, TOKEN_LIMIT]  # type: ignore[arg-type]
    too_long = UserIdentity(kind="saml", token=lambda: b"x" * (TOKEN_LIMIT + 1), without_tls=True)
    with pytest.raises(InvalidRequest, match="49,153 bytes, at most 49,152"):
        dl.connect("A@localhost:1", user=too_long).echo()


def test_a_token_without_tls_and_one_that_is_not_confirmed_are_refused():  # R1.11
    user = UserIdentity(kind="jwt", token=lambda: "e30", confirm=True)
    with archive([], confirms=False) as address:
        with pytest.raises(InvalidRequest, match="the token would go in clear"):
            dl.connect(address, user=user).echo()
        allowed = UserIdentity(kind="jwt", token=lambda: "e30", confirm=True, without_tls=True)
        with pytest.raises(ProtocolError, match="did not confirm the JSON web token"):
            dl.connect(address, user=allowed).echo()


def test_a_user_that_the_peer_does_not_let_in_is_rejected_with_its_reason():  # R1.11
    user = UserIdentity(kind="jwt", token=lambda: "e30", without_tls=True)
    with archive([], lets_in=False) as address, pytest.raises(AssociationRejected) as caught:
        dl.connect(address, user=user).echo()
    assert caught.value.result in (1, 2) and caught.value.peer == address


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
    assert pacs.negotiated.user_response == b""


def _raise() -> str:
    raise RuntimeError(PASSCODE)


USERS = {
    "passcode": {"name": "anne", "passcode": lambda: PASSCODE},
    "token": {"kind": "jwt", "token": lambda: PASSCODE},
}


@pytest.mark.parametrize("what", USERS)
def test_no_secret_is_shown_logged_raised_pickled_or_kept(caplog, what):  # S5
    caplog.set_level(logging.DEBUG)
    user = UserIdentity(**USERS[what], without_tls=True)
    with archive([]) as address, dl.connect(address, user=user) as pacs:
        events: list[str] = []
        for event in ("association requested", "association accepted", "before message"):
            pacs.hooks.add(event, lambda event: events.append(f"{event!r} {vars(event)}"))
        pacs.echo()
        shown = [repr(user), str(user), repr(pacs.node), repr(pacs), repr(pacs.negotiated), *events]
        shown += [repr(pickle.dumps(pacs.node)), repr(copy.deepcopy(pacs.node)), repr(pickle.dumps(user))]
    wrong = [UserIdentity(**{**USERS[what], what: _raise}, without_tls=True)]
    named = {key: value for key, value in USERS[what].items() if key != what}
    wrong.append(UserIdentity(**named, **{f"{what}_variable": PASSCODE}, without_tls=True))
    for bad in wrong:
        with pytest.raises(InvalidRequest) as caught:
            dl.connect(address, user=bad).echo()
        shown += _told(caught.value)
    # The acceptor of this test, pynetdicom's, writes the passcode to a log of its own.
    shown += [item.getMessage() for item in caplog.records if item.name != "pynetdicom._handlers"]
    assert not [text for text in shown if PASSCODE in text]
    again = pickle.loads(pickle.dumps(user))
    assert again.passcode is None and (again.name, again.kind) == (user.name, user.kind)
    if what == "token":
        with pytest.raises(InvalidRequest, match="was not pickled"):
            again.item(tls=True)


@pytest.mark.parametrize(
    "made", [
        lambda: UserIdentity("anne", passcode=functools.partial(str, PASSCODE)),
        lambda: UserIdentity(kind="jwt", token=functools.partial(str, PASSCODE)),
        lambda: TLS(password=functools.partial(str, PASSCODE)),
    ], ids=["passcode", "token", "password"],
)  # fmt: skip
def test_a_function_whose_text_holds_the_secret_is_not_shown_either(made):  # S5
    one = made()
    node = dl.connect("A@host:104", **{"tls" if isinstance(one, TLS) else "user": one}).node
    for each in (one, node):
        views = (vars(each), dataclasses.asdict(each), dataclasses.astuple(each), vars(copy.deepcopy(each)))
        for view in (each, *views, fields(each)):
            assert PASSCODE not in repr(view) and PASSCODE.encode() not in pickle.dumps(view)
        assert copy.deepcopy(each) == each == copy.copy(each)
    given = one.password if isinstance(one, TLS) else one.passcode or one.token
    assert given() == PASSCODE


def fields(one: object) -> list[object]:
    return [getattr(one, each.name) for each in dataclasses.fields(one)]


def _told(error: BaseException) -> list[str]:
    """All that is said of an error: by itself, pickled, and by tracebacks that show the variables of our functions."""
    said = [str(error), repr(error.__dict__), repr(pickle.dumps(error)), *traceback.format_exception(error)]
    while True:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                said += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
                held = [value for value in frame.f_locals.values() if hasattr(value, "__dict__")]
                said += [repr(vars(value)) for value in held if not isinstance(value, UserIdentity)]  # of a debugger
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is None:
            return said
        error = before


@pytest.mark.parametrize("what", USERS)
@pytest.mark.parametrize("way", ["closed", "reset", "silent", "rejected", "aborted", "garbage"])
def test_no_secret_is_in_an_error_however_the_association_fails(what, way):  # S5
    words = {
        "rejected": b"\x03\0\0\0\0\4\0\1\1\3",
        "aborted": b"\x07\0\0\0\0\4\0\0\2\1",
        "garbage": b"\x02\0\0\0\0\x04abcd",
    }
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            connection, _ = door.accept()
            with connection:
                if way == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.recv(65_536)
                connection.sendall(words.get(way, b""))
                if way != "closed":
                    over.wait(10)

        user = UserIdentity(**USERS[what], without_tls=True)
        pacs = dl.connect(f"USERS@localhost:{door.getsockname()[1]}", user=user, timeout=1)
        with meanwhile(serve):
            with pytest.raises(dl.errors.DicomlabError) as caught:
                pacs.echo()
            over.set()
    assert not [text for text in _told(caught.value) if PASSCODE in text]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("", "user name"),
        ({"passcode_variable": "X"}, "user name"),
        ({"name": "anne", "passcode": PASSCODE}, "takes a function"),
        ({"name": "anne", "pascode_variable": "X"}, "did you mean 'passcode_variable'"),
        ({"kind": "kerbros", "token_variable": "X"}, "did you mean 'kerberos'"),
        ({"kind": "jwt"}, "needs a token"),
        ({"kind": "jwt", "token": PASSCODE}, "takes a function"),
        ({"kind": "jwt", "token": str, "token_variable": "X"}, "not given then"),
        ({"kind": "jwt", "token_variable": "X", "name": "anne"}, "name and passcode are not given"),
        ({"name": "anne", "token_variable": "X"}, "needs its kind"),
        (5, "not int"),
    ],
)
def test_a_user_that_cannot_be_is_refused_without_showing_the_passcode(user, words):  # R1.11, S5
    with pytest.raises(InvalidRequest, match=words) as caught:
        dl.connect("A@localhost:1", user=user)
    assert PASSCODE not in str(caught.value)


GIVEN = {
    "passcode": lambda given: UserIdentity("anne", passcode=given),
    "second": lambda given: UserIdentity("anne", given),
    "token": lambda given: UserIdentity(kind="jwt", token=given),
    "password": lambda given: TLS(password=given),
    "user": lambda given: dl.connect("A@localhost:1", user={"name": "anne", "passcode": given}),
    "misspelt": lambda given: dl.connect("A@localhost:1", user={"name": "anne", "passcod": given}),
    "pair": lambda given: dl.connect("A@localhost:1", user=("anne", given)),
    "tls": lambda given: dl.connect("A@localhost:1", tls={"password": given}),
    "text": lambda given: dl.connect("A@localhost:1", tls=given),
    "inbound": lambda given: dl.connect("A@localhost:1", listen=11112, listen_tls={"password": given}),
    "node": lambda given: dl.Node("A", "localhost", 1, user={"name": "anne", "passcode": given}),
    "tls of a node": lambda given: dl.Node("A", "localhost", 1, tls={"password": given}),
}


@pytest.mark.parametrize("kind", [str, str.encode])
@pytest.mark.parametrize("way", GIVEN)
def test_a_secret_that_is_given_as_it_is_is_refused_and_not_said_again(way, kind, caplog, capfd):  # S5
    """It stands in the line of the caller; in no word of ours."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InvalidRequest) as caught:
        GIVEN[way](kind(PASSCODE))
    error = caught.value
    shown = [str(error), repr(error), error.advice, repr(vars(error)), repr(pickle.dumps(error)), *capfd.readouterr()]
    shown += [item.getMessage() for item in caplog.records]
    shown += traceback.format_exception(error)
    assert not [text for text in shown if PASSCODE in text]


def test_users_of_nodes_are_read_as_they_were_saved_without_a_passcode():  # R1.3
    book = nodes()
    book.add("a", dl.Node("A", "host", 1, user=UserIdentity("anne", passcode_variable="THE_PASSCODE", confirm=True)))
    book.add("t", dl.Node("A", "host", 1, user=UserIdentity(kind="saml", token_variable="THE_TOKEN")))
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


KNOWN = {"anne": PASSCODE, "guest": "", "e30": ""}


@pytest.mark.parametrize(
    ("user", "rejected"),
    [
        (UserIdentity("guest"), False),
        (UserIdentity("anne", passcode=lambda: PASSCODE, without_tls=True), False),
        (UserIdentity(kind="jwt", token=lambda: "e30", without_tls=True, confirm=True), False),
        (UserIdentity("anne"), True),
        (UserIdentity("anne", passcode=lambda: "wrong", without_tls=True), True),
        (UserIdentity("mallory"), True),
        (None, True),
    ],
)
def test_the_demo_pacs_lets_in_whom_it_knows(user, rejected):  # R1.11, R16.4
    with dl.demo_pacs(Holdings.of([]), manners=Manners(users=KNOWN)) as pacs, dl.connect(pacs.node, user=user) as peer:
        if rejected:
            with pytest.raises(AssociationRejected) as caught:
                peer.echo()
            assert (caught.value.result, caught.value.source) == (1, 1)
        else:
            assert peer.echo() < 10
        asked = pacs._owner.server.requests("A-ASSOCIATE")
    assert asked[-1].user == ("" if user is None or user.name == "" else user.name)
    assert PASSCODE not in repr(asked)
