"""PDUs on a connection: framing, size limits, deadlines, Ctrl-C and cancel."""

from __future__ import annotations

import os
import random
import signal
import struct
import threading
import time
import tracemalloc

import pytest
from support import Stopwatch
from wires import collect, meanwhile, wired

from dicomlab.errors import AssociationAborted, ConnectionLost, DimseTimeout, ProtocolError
from dicomlab.net.association.deadline import Cancelled
from dicomlab.net.association.pdu import (
    MAXIMUM_LENGTH,
    RELEASE_RQ,
    PduType,
    ReleaseRequested,
    abort_pdu,
    p_data,
)

every_way = pytest.mark.parametrize("way", ["recvmsg_into", "steps", "TLS"])


def message(data: bytes, size: int) -> bytes:
    """A command and a data set in PDUs of `size` bytes each."""
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    pdus = [p_data(1, 0, part) for part in parts[:-1]] + [p_data(1, 2, parts[-1])]
    return p_data(1, 3, b"C" * 110) + b"".join(pdus)


@every_way
@pytest.mark.parametrize("size", [1, 7, 4095, 16378, 65530, MAXIMUM_LENGTH - 6])
@pytest.mark.parametrize("pause", [0, 0.002], ids=["at once", "in short sends"])
def test_fragments_of_any_size_come_together_again(way, size, pause):  # R5.14: received bytes are kept
    data = random.Random(size).randbytes(3_000 if size < 10 else 2_500_001)
    stream = message(data, size)

    def peer():
        if not pause:
            far.sendall(stream)
            return
        draw, at = random.Random(1), 0
        while at < len(stream):
            step = draw.choice([1, 5, 6, 11, 12, 13, 1_460]) if draw.random() < 0.1 or at < 400 else 90_000
            far.sendall(stream[at : at + step])
            at += step
            time.sleep(pause)

    with wired(way=way) as (wire, far), meanwhile(peer):
        fragments, received = collect(wire)
    assert fragments[0] == (1, True, True, 110)
    assert received == data


@every_way
def test_several_values_in_one_pdu_are_read_one_by_one(way):  # PS3.8 annex E: R1.21 rests on it
    values = [(1, 1, b"ab"), (1, 3, b"cd"), (1, 0, b""), (1, 0, b"ef"), (1, 2, b"gh")]
    body = b"".join(struct.pack(">LBB", len(data) + 2, *head) + data for *head, data in values)
    with wired(way=way) as (wire, far):
        far.sendall(struct.pack(">BxL", 4, len(body)) + body + RELEASE_RQ)
        fragments, data = collect(wire)
        assert [(item.command, item.last, item.length) for item in fragments] == [
            (True, False, 2),
            (True, True, 2),
            (False, False, 0),
            (False, False, 2),
            (False, True, 2),
        ]
        assert data == b"efgh"
        with pytest.raises(ReleaseRequested):
            wire.fragment()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (struct.pack(">BxL", 4, MAXIMUM_LENGTH + 1), "larger than the maximum"),
        (struct.pack(">BxL", 4, 0xFFFFFFFF), "larger than the maximum"),
        (struct.pack(">BxL", 4, 5), "holds no value"),
        (struct.pack(">BxLLBB", 4, 20, 30, 1, 0), "does not fit"),
        (struct.pack(">BxLLBB", 4, 20, 1, 1, 0), "does not fit"),
        (struct.pack(">BxLLBB", 4, 20, 14, 1, 0), "too short for a PDV"),
        (struct.pack(">BxL", 9, 4), "unknown type 0x09"),
        (struct.pack(">BxL", 2, 4), "ASSOCIATE_AC came"),
        (struct.pack(">BxL", 7, 65), "at most 64"),
    ],
)
def test_a_broken_frame_is_named_before_memory_is_taken(head, words):  # R0.8: the limit is the announced length
    with wired() as (wire, far):
        far.sendall(head)
        with pytest.raises(ProtocolError, match=words):
            wire.fragment()


def test_a_pdu_as_long_as_was_announced_is_taken():  # R0.8: at the limit
    with wired() as (wire, far), meanwhile(lambda: far.sendall(p_data(1, 2, bytes(MAXIMUM_LENGTH - 6)))):
        fragments, data = collect(wire)
    assert len(data) == MAXIMUM_LENGTH - 6
    assert len(fragments) == 1


def test_an_association_pdu_above_the_limit_is_refused_before_memory_is_taken():  # R0.8
    with wired() as (wire, far):
        far.sendall(struct.pack(">BxL", 2, 0xFFFFFF00))
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="at most 1,048,576"):
                wire.read_pdu()
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a DICOM peer"),
        (b"<html></html>", "not a DICOM peer"),
    ],
)
def test_a_peer_that_speaks_something_else_is_told_apart(greeting, words):  # R0.4
    with wired() as (wire, far):
        far.sendall(greeting)
        with pytest.raises(ProtocolError, match=words):
            wire.read_pdu()


# -- the peer ends ---------------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("when", [0, 3, 6, 11, 12, 500], ids="after {} bytes".format)
def test_a_connection_that_is_closed_is_lost(way, when):  # R1.18
    with wired(way=way) as (wire, far):
        far.sendall(p_data(1, 0, bytes(1_000))[:when])
        far.close()
        with pytest.raises(ConnectionLost, match=r"closed") as caught:
            collect(wire)
        assert (caught.value.peer, caught.value.phase) == ("PEER@127.0.0.1:104", "C-FIND")


@every_way
def test_an_abort_in_the_middle_of_a_data_set_is_told_from_a_lost_connection(way):  # R1.18: source and reason
    with wired(way=way) as (wire, far):
        far.sendall(p_data(1, 0, bytes(100_000)))
        far.sendall(abort_pdu(2, 6))
        far.shutdown(1)
        with pytest.raises(AssociationAborted) as caught:
            collect(wire)
        assert (caught.value.source, caught.value.reason) == (2, 6)


@every_way
def test_an_abort_is_seen_while_the_peer_leaves_the_connection_open(way):  # R1.18
    with wired(way=way) as (wire, far):

        def peer():
            far.sendall(p_data(1, 0, bytes(100_000)))
            far.sendall(abort_pdu(2, 6))

        watch = Stopwatch()
        with meanwhile(peer), pytest.raises(AssociationAborted):
            collect(wire)
        assert watch.seconds < 1.0


def test_values_that_nobody_took_do_not_hide_the_next_pdu():  # R1.18: a release ends cleanly
    body = struct.pack(">LBB", 4, 1, 2) + b"ab" + struct.pack(">LBB", 9, 1, 2) + b"ignored"
    with wired() as (wire, far):
        far.sendall(struct.pack(">BxL", 4, len(body)) + body + b"\x06\x00\x00\x00\x00\x04" + bytes(4))
        assert collect(wire)[1] == b"ab"
        assert wire.read_pdu() == (PduType.RELEASE_RP, bytes(4))


# -- deadlines -------------------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("sent", [0, 3, 6, 12, 400], ids="silent after {} bytes".format)
def test_a_silent_peer_is_left_within_the_deadline_and_a_second(way, sent):  # R1.4: also in mid-PDU
    with wired(progress=0.6, way=way) as (wire, far):
        far.sendall(p_data(1, 0, bytes(1_000))[:sent])
        watch = Stopwatch()
        with pytest.raises(DimseTimeout, match="nothing moved"):
            collect(wire)
        assert wire.deadline.elapsed > 0.5 and watch.seconds < 1.6


@every_way
def test_a_peer_that_drips_is_left_within_the_deadline_and_a_second(way):  # R1.5
    over = threading.Event()

    def drip():
        pdu = p_data(1, 0, bytes(4_000))
        for byte in pdu:
            if over.wait(0.05):
                return
            far.sendall(bytes([byte]))

    with wired(progress=0.6, way=way) as (wire, far), meanwhile(drip):
        watch = Stopwatch()
        try:
            with pytest.raises(DimseTimeout, match="nothing moved"):
                collect(wire)
            assert watch.seconds < 1.6
        finally:
            over.set()


def test_empty_fragments_are_no_progress():  # R1.5: bytes moved, nothing else
    over = threading.Event()

    def drip():
        while not over.wait(0.1):
            far.sendall(p_data(1, 0, b""))

    with wired(progress=0.6) as (wire, far), meanwhile(drip):
        watch = Stopwatch()
        try:
            with pytest.raises(DimseTimeout):
                collect(wire)
            assert watch.seconds < 1.6
        finally:
            over.set()


@every_way
def test_a_slow_data_set_that_moves_is_no_timeout(way):  # R1.5
    def peer():
        far.sendall(p_data(1, 2, bytes(400_000))[:6])
        rest = p_data(1, 2, bytes(400_000))[6:]
        for at in range(0, len(rest), 40_000):
            time.sleep(0.15)
            far.sendall(rest[at : at + 40_000])

    with wired(progress=0.6, way=way) as (wire, far), meanwhile(peer):
        assert len(collect(wire)[1]) == 400_000
        assert wire.deadline.elapsed > 1.2


def test_the_total_deadline_holds_while_data_moves():  # R1.4
    over = threading.Event()

    def peer():
        while not over.wait(0.02):
            far.sendall(p_data(1, 0, bytes(1_000)))

    with wired(progress=5, total=0.7) as (wire, far), meanwhile(peer):
        watch = Stopwatch()
        try:
            with pytest.raises(DimseTimeout, match=r"total deadline of 0\.7 s"):
                collect(wire)
            assert watch.seconds < 1.7
        finally:
            over.set()


@every_way
def test_a_peer_that_does_not_read_is_left_within_the_deadline_and_a_second(way):  # R1.4
    with wired(progress=0.6, way=way) as (wire, _):
        watch = Stopwatch()
        with pytest.raises(DimseTimeout):
            wire.send(bytes(80_000_000))
        assert watch.seconds < 1.6


@every_way
def test_what_is_sent_comes_whole_to_a_peer_that_reads_slowly(way):
    data = [random.Random(number).randbytes(90_001) for number in range(150)]
    received = bytearray()

    def peer():
        while len(received) < 150 * 90_001:
            received.extend(far.recv(300_000))
            time.sleep(0.001)

    with wired(way=way) as (wire, far), meanwhile(peer):
        wire.send(*data)
    assert received == b"".join(data)


# -- told to stop ----------------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("sent", [0, 400], ids=["idle", "in mid-PDU"])
def test_a_cancel_from_another_thread_wakes_a_read_within_half_a_second(way, sent):  # R1.17
    with wired(way=way) as (wire, far):
        far.sendall(p_data(1, 0, bytes(1_000))[:sent])
        told = []

        def cancel():
            time.sleep(0.3)
            told.append(Stopwatch())
            wire.deadline.cancel()

        with meanwhile(cancel), pytest.raises(Cancelled):
            collect(wire)
        assert told[0].seconds < 0.5


@every_way
@pytest.mark.skipif(os.name == "nt", reason="signals are another thing there")
@pytest.mark.parametrize("sent", [0, 400], ids=["idle", "in mid-PDU"])
def test_ctrl_c_wakes_a_read_within_a_second(way, sent):  # R1.19
    told = []

    def interrupt():
        told.append(Stopwatch())
        os.kill(os.getpid(), signal.SIGINT)

    with wired(way=way) as (wire, far):
        far.sendall(p_data(1, 0, bytes(1_000))[:sent])
        timer = threading.Timer(0.3, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            collect(wire)
        assert told[0].seconds < 1.0
        timer.join(30)


def test_bytes_after_an_interrupted_read_are_never_taken_for_a_pdu():  # R1.19, R5.14
    with wired() as (wire, far):
        far.sendall(p_data(1, 0, bytes(1_000))[:400])
        threading.Timer(0.2, wire.deadline.cancel).start()
        with pytest.raises(Cancelled):
            collect(wire)
        wire.deadline = wire.deadline.grace(1)
        far.sendall(p_data(1, 2, b"looks like a PDU") * 200)
        with pytest.raises(ConnectionLost, match="in the middle of a PDU"):
            collect(wire)
