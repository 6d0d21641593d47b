"""How an association is answered wrongly and how it ends, against a peer of a few lines (SPEC 1)."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Stopwatch, free_port
from wires import meanwhile

import dicomlab as dl
from dicomlab import errors
from dicomlab.cache.cache import Cache
from dicomlab.datasets.uids import IMPLICIT
from dicomlab.level import QueryLevel
from dicomlab.net.association import dimse, negotiation
from dicomlab.net.association.association import associate
from dicomlab.net.association.contexts import Context
from dicomlab.net.association.deadline import Cancelled, Deadline
from dicomlab.net.association.node import Node, Timeouts
from dicomlab.net.association.pdu import RELEASE_RP, RELEASE_RQ, PduType, p_data
from dicomlab.net.retrieve.receiver import Receiver
from dicomlab.net.retrieve.tally import Tally
from dicomlab.net.retrieve.transfer import GET, MOVE, Transfers, Unit

VERIFICATION, OTHER = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1"


def pdu(connection: socket.socket) -> tuple[int, bytes]:
    """The next PDU that came, (0, b"") where the connection was closed."""
    head = connection.recv(6, socket.MSG_WAITALL)
    if len(head) < 6:
        return 0, b""
    return head[0], connection.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL)


def echo_response(context_id: int = 1, message_id: int = 1, field: int = 0x8030) -> bytes:
    """A C-ECHO-RSP, right unless told otherwise."""
    elements = {
        0x0002: VERIFICATION.encode(),
        0x0100: dimse.number(field),
        0x0120: dimse.number(message_id),
        0x0800: dimse.number(dimse.NO_DATA_SET),
        0x0900: dimse.number(0),
    }
    return p_data(context_id, 3, dimse.encode(elements))


@contextlib.contextmanager
def peer_that(answers: Callable[[socket.socket], object], length: int = 1 << 14) -> Iterator[Node]:
    """A peer that takes PDUs of so many bytes: it accepts one association, and then does as told."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            connection, _ = door.accept()
            with connection:
                connection.settimeout(10)
                asked = negotiation.requested(pdu(connection)[1])
                wanted = frozenset({VERIFICATION, OTHER, *MOVE.values(), *GET.values()})
                accept, _ = negotiation.acceptance(asked, wanted, (IMPLICIT,))
                at = accept.index(b"\x51\x00\x00\x04") + 4
                connection.sendall(accept[:at] + length.to_bytes(4, "big") + accept[at + 4 :])
                answers(connection)

        with meanwhile(serve):
            yield Node("PEER", "127.0.0.1", door.getsockname()[1], timeouts=Timeouts(5, 2, 5))


def echo(node: Node) -> None:
    """A C-ECHO on the first of two contexts."""
    contexts = [Context(VERIFICATION, (IMPLICIT,)), Context(OTHER, (IMPLICIT,))]
    with associate(node, contexts, Deadline(5), phase="C-ECHO") as association:
        message_id = association.send(dimse.CommandField.C_ECHO_RQ, VERIFICATION)
        list(association.responses(message_id, dimse.CommandField.C_ECHO_RQ, "C-ECHO"))


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (echo_response(context_id=3), "a response came on context 3, 1 was asked on"),
        (echo_response(context_id=5), "a message came on context 5, which was never agreed"),
        (echo_response(message_id=2), "a response to message 2 came, 1 was asked"),
        (echo_response(field=0x8020), "a message of command field 0x8020 came, no C-ECHO response"),
    ],
    ids=["other context", "no context", "other message", "other service"],
)
def test_a_response_to_something_else_breaks_the_protocol(response: bytes, words: str) -> None:  # R1.21
    after: list[int] = []

    def answer(connection: socket.socket) -> None:
        pdu(connection)
        connection.sendall(response)
        after.append(pdu(connection)[0])

    with peer_that(answer) as node, pytest.raises(errors.ProtocolError, match=words):
        echo(node)
    assert after == [PduType.ABORT]


def test_the_right_response_is_taken_and_the_association_released() -> None:  # R1.21: the tests above can pass
    after: list[int] = []

    def answer(connection: socket.socket) -> None:
        pdu(connection)
        connection.sendall(echo_response())
        after.append(pdu(connection)[0])
        connection.sendall(RELEASE_RP)
        after.append(pdu(connection)[0])

    with peer_that(answer) as node:
        echo(node)
    assert after == [PduType.RELEASE_RQ, 0]


@pytest.mark.parametrize("length", [7, 16, 1 << 14, 0])
def test_no_pdu_is_longer_than_the_peer_takes(length: int) -> None:  # R1.22: 0 is unlimited
    sizes: list[int] = []

    def answer(connection: socket.socket) -> None:
        command, last = b"", False
        while not last:
            kind, body = pdu(connection)
            assert kind == PduType.P_DATA_TF and body[4] == 1 and body[5] & 1
            sizes.append(len(body))
            command, last = command + body[6:], bool(body[5] & 2)
        assert dimse.decode(command).command_field == dimse.CommandField.C_ECHO_RQ
        connection.sendall(echo_response())
        assert pdu(connection)[0] == PduType.RELEASE_RQ
        connection.sendall(RELEASE_RP)

    with peer_that(answer, length) as node:
        echo(node)
    assert max(sizes) <= (length or 1 << 20) and (len(sizes) > 1) == (0 < length < 20)


def test_two_releases_that_cross_end_cleanly() -> None:  # R1.18, PS3.8 7.2.2.7
    after: list[int] = []

    def answer(connection: socket.socket) -> None:
        pdu(connection)
        connection.sendall(echo_response())
        after.append(pdu(connection)[0])
        connection.sendall(RELEASE_RQ)  # as if it had not seen ours yet
        after.append(pdu(connection)[0])
        connection.sendall(RELEASE_RP)
        after.append(pdu(connection)[0])

    with peer_that(answer) as node:
        clock = Stopwatch()
        echo(node)
        assert clock.seconds < 1.5  # no deadline was waited for
    assert after == [PduType.RELEASE_RQ, PduType.RELEASE_RP, 0]


def test_an_unanswered_release_leaves_the_result_and_ends_in_time() -> None:  # R1.4
    after: list[int] = []

    def answer(connection: socket.socket) -> None:
        pdu(connection)
        connection.sendall(echo_response())
        after.extend(pdu(connection)[0] for _ in range(2))

    with peer_that(answer) as node:
        began = time.monotonic()
        echo(node)
        assert 1.5 < time.monotonic() - began < 3
    assert after == [PduType.RELEASE_RQ, PduType.ABORT]


def test_a_release_in_mid_operation_is_confirmed_and_a_lost_connection() -> None:  # R1.18
    after: list[int] = []

    def answer(connection: socket.socket) -> None:
        pdu(connection)
        connection.sendall(RELEASE_RQ)
        after.extend(pdu(connection)[0] for _ in range(2))

    with peer_that(answer) as node, pytest.raises(errors.ConnectionLost, match="asked for release"):
        echo(node)
    assert after == [PduType.RELEASE_RP, 0]


@pytest.mark.parametrize("method", ["get", "move"])
def test_a_peer_that_answers_a_cancel_by_a_release_has_stopped(method: str, tmp_path: Path) -> None:  # R1.17, R1.18
    deadline = Deadline(5)

    def answer(connection: socket.socket) -> None:
        for _ in range(2):  # the request and its identifier
            pdu(connection)
        deadline.cancel()
        pdu(connection)
        connection.sendall(RELEASE_RQ)
        while pdu(connection)[0]:
            pass

    requests = [Unit(QueryLevel.STUDY, {"StudyInstanceUID": "1.2"})]
    with peer_that(answer) as node, Cache(tmp_path / "cache", index=tmp_path / "index.sqlite") as cache:
        receiver = Receiver(cache, node, [], lambda size: None)
        transfers = Transfers(
            dataclasses.replace(node, listen=free_port()), receiver, deadline, Tally(), lambda: False, list
        )
        with pytest.raises(Cancelled):
            if method == "get":
                transfers.get(requests, [[Context(OTHER, (IMPLICIT,))]])
            else:
                transfers.move(requests, threading.Event(), False)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_ctrl_c_while_the_release_is_waited_for_keeps_the_result() -> None:  # R1.19
    after: list[int] = []
    main = threading.main_thread().ident
    assert main is not None

    def answer(connection: socket.socket) -> None:
        pdu(connection)
        connection.sendall(echo_response())
        after.append(pdu(connection)[0])
        time.sleep(0.3)
        signal.pthread_kill(main, signal.SIGINT)
        after.append(pdu(connection)[0])

    with peer_that(answer) as node:
        clock = Stopwatch()
        assert dl.connect(node).echo() < 1.5
        assert clock.seconds < 1.3
    assert after == [PduType.RELEASE_RQ, PduType.ABORT]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_ctrl_c_while_a_response_is_waited_for_is_back_within_a_second() -> None:  # R1.19
    after: list[int] = []
    main = threading.main_thread().ident
    assert main is not None

    def answer(connection: socket.socket) -> None:
        pdu(connection)
        time.sleep(0.3)
        signal.pthread_kill(main, signal.SIGINT)
        after.append(pdu(connection)[0])

    with peer_that(answer) as node:
        clock = Stopwatch()
        with pytest.raises(KeyboardInterrupt):
            dl.connect(node).echo()
        assert clock.seconds < 1.3
    assert after == [PduType.ABORT]
