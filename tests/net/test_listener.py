"""The Storage SCP of a C-MOVE to ourselves: whom it lets in, and that nobody else keeps it from its work."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from rejections import Rejection
from support import Stopwatch, free_port, until
from wires import meanwhile

import dicomlab as dl
from dicomlab.cache.cache import Cache
from dicomlab.datasets.uids import EXPLICIT
from dicomlab.demo import DemoServer, Holdings
from dicomlab.errors import CacheError, InvalidRequest
from dicomlab.net.association import negotiation
from dicomlab.net.association.contexts import Context
from dicomlab.net.association.deadline import Cancelled, Deadline
from dicomlab.net.association.node import Node
from dicomlab.net.retrieve import doorway, listener, receiver
from dicomlab.net.retrieve.listener import Listener, Storage, check_route, local_address
from dicomlab.net.retrieve.receiver import Receiver
from dicomlab.tables.tables import Address

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"


class Kept:
    """In the place of a Receiver: keeps what comes in memory."""

    sink = None

    def __init__(self):
        self.kept, self.refused, self.seconds = {}, [], 0.0

    def receive(self, transfer_syntax, message):
        time.sleep(self.seconds)
        self.kept[message.command.sop_instance] = (transfer_syntax, bytes(message.data))
        return 0x0000


def node(**changes):
    return Node("ARCHIVE", "127.0.0.1", 104, **{"calling": "LAB", "listen": free_port(), **changes})


@contextlib.contextmanager
def listening(deadline=None, **changes):
    received = Kept()
    with Listener(node(**changes), Storage(received), deadline or Deadline(10)) as door:
        yield door, received
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dicomlab")]  # R0.7


def instance(number=1, size=10_000):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CT, f"1.2.3.{number}"
    ds.PixelData = bytes(size)
    ds["PixelData"].VR = "OW"
    return ds


def store(address, *, calling="ARCHIVE", called="LAB", instances=1):
    """Statuses of C-STOREs by pynetdicom as SCU, or the (result, source, reason) of a rejection."""
    ae = AE(calling)
    ae.add_requested_context(CT, EXPLICIT)
    ae.add_requested_context(VERIFICATION)
    rejection = Rejection()
    association = ae.associate(*address, ae_title=called, evt_handlers=rejection.handlers)
    if not association.is_established:
        return rejection.reason
    statuses = [association.send_c_echo().Status]
    statuses += [association.send_c_store(instance(number)).Status for number in range(1, instances + 1)]
    association.release()
    return statuses


def request(calling="ARCHIVE", called="LAB"):
    return negotiation.request(calling, called, [Context(CT, (EXPLICIT,))])


def answer_to(connection, seconds=5.0):
    connection.settimeout(seconds)
    return connection.recv(4096)


def test_what_the_archive_stores_reaches_the_receiver():  # R5.8
    with listening() as (door, received):
        assert store(door.address, instances=3) == [0, 0, 0, 0]
    assert sorted(received.kept) == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
    assert {syntax for syntax, _ in received.kept.values()} == {EXPLICIT}
    assert (door.rejected, door.troubles, door.busy) == ([], [], 0)


def test_another_ae_title_is_rejected_as_not_recognised():  # R5.8: result 1, source 1, reason 3
    with listening() as (door, received):
        assert store(door.address, calling="STRANGER") == (1, 1, 3)
    assert door.rejected == ["calling AE title 'STRANGER' was not expected"]
    assert not received.kept


def test_a_call_for_another_ae_title_is_rejected_as_not_recognised():  # R5.8: result 1, source 1, reason 7
    with listening() as (door, _):
        assert store(door.address, called="OTHER") == (1, 1, 7)
    assert door.rejected == ["called AE title 'OTHER' was not expected"]


def test_an_archive_may_store_from_another_ae_title_that_its_entry_names():  # R1.23
    from dicomlab.net.association.node import Quirks

    with listening(quirks=Quirks(stores_from=("STORE3",))) as (door, _):
        assert store(door.address, calling="STORE3") == [0, 0]


def test_an_address_that_is_not_the_archives_is_closed_at_once(monkeypatch):  # R0.7
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 104))]
    monkeypatch.setattr(listener, "resolve", lambda *_: elsewhere)
    monkeypatch.setattr(listener, "check_route", lambda *_: None)
    with listening(listen_host="127.0.0.1") as (door, _), socket.create_connection(door.address) as foreign:
        assert answer_to(foreign) == b""
    assert door.rejected == ["127.0.0.1: not the address of the archive"]


def test_a_half_open_connection_is_closed_after_its_time(monkeypatch):  # R0.7
    monkeypatch.setattr(doorway, "HALF_OPEN", 0.5)
    with listening() as (door, _):
        for sent in (b"", b"\x01\x00\x00", request()[:-1]):
            with socket.create_connection(door.address) as silent:
                silent.sendall(sent)
                began = time.monotonic()
                with contextlib.suppress(ConnectionResetError):
                    assert answer_to(silent) == b""
                assert 0.3 < time.monotonic() - began < 1.5


def test_connections_that_say_nothing_do_not_keep_the_archive_out():  # R0.7
    with listening() as (door, _), contextlib.ExitStack() as held:
        for number in range(200):
            bare = held.enter_context(socket.create_connection(door.address))
            if number % 2:
                bare.sendall(request()[:40])  # and these stop in the middle of their request
        clock = Stopwatch()
        assert store(door.address) == [0, 0]
        assert clock.seconds < 2.0


def test_of_too_many_half_open_connections_the_oldest_is_closed(monkeypatch):  # R0.8
    monkeypatch.setattr(doorway, "WAITING", 5)
    with listening() as (door, _), contextlib.ExitStack() as held:
        bare = [held.enter_context(socket.create_connection(door.address)) for _ in range(8)]
        assert [answer_to(silent, 2.0) for silent in bare[:3]] == [b""] * 3
        with pytest.raises(TimeoutError):
            answer_to(bare[3], 0.3)
        assert store(door.address) == [0, 0]


def test_associations_beyond_the_limit_are_told_so(monkeypatch):  # R0.8
    monkeypatch.setattr(listener, "CONNECTIONS", 2)
    with listening() as (door, _), contextlib.ExitStack() as held:
        for expected in (2, 2, 3):
            connection = held.enter_context(socket.create_connection(door.address))
            connection.sendall(request())
            answer = answer_to(connection)
            assert answer[0] == expected
        assert answer == negotiation.reject_pdu(2, 3, 2)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">BxL", 1, 0xFFFFFFFF),
        struct.pack(">BxL", 1, 80) + bytes(80),
        struct.pack(">BxL", 4, 10),
        request() + b"more than was asked",
    ],
    ids=["http", "huge", "zeros", "data first", "too much"],
)
def test_who_speaks_something_else_is_aborted_and_the_archive_is_still_served(said):  # R0.8
    with listening() as (door, _):
        with socket.create_connection(door.address) as odd:
            odd.sendall(said)
            assert answer_to(odd)[:1] == b"\x07"
        assert store(door.address) == [0, 0]
    assert len(door.rejected) == 1
    assert door.troubles == []


def test_an_archive_that_breaks_the_protocol_is_aborted_and_named():  # R1.18
    with listening() as (door, _), socket.create_connection(door.address) as broken:
        broken.sendall(request())
        assert answer_to(broken)[0] == 2
        broken.sendall(struct.pack(">BxLLBB", 4, 20, 30, 1, 0))
        assert answer_to(broken)[:1] == b"\x07"
    assert len(door.troubles) == 1
    assert "does not fit" in door.troubles[0]


def test_the_port_is_free_afterwards():  # R0.7, R1.19
    with listening() as (door, _):
        assert store(door.address) == [0, 0]
        address = door.address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    with listening(listen=address[1]) as (door, _):
        assert door.address == address
        door.close()
        door.close()


def test_associations_that_stand_end_with_the_listener_by_an_abort():  # R1.19: within a second
    with listening() as (door, _), socket.create_connection(door.address) as connection:
        connection.sendall(request())
        assert answer_to(connection)[0] == 2
        clock = Stopwatch()
        door.close()
        assert clock.seconds < 1.0
        assert answer_to(connection)[:1] == b"\x07"


def test_a_port_in_use_is_named():  # R5.8: before anything is sent
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InvalidRequest, match=f"port {port} of 127") as caught:
            Listener(node(listen=port), Storage(Kept()), Deadline(1))
    assert "another port" in caught.value.advice


def test_a_loopback_address_for_an_archive_elsewhere_is_refused():  # R5.8: it could never reach us
    with pytest.raises(InvalidRequest, match="cannot be reached"):
        check_route(Node("A", "192.0.2.1", 104), "127.0.0.1", frozenset({"192.0.2.1"}))
    with pytest.raises(InvalidRequest, match="cannot be reached"):
        check_route(Node("A", "192.0.2.1", 104), "localhost", frozenset({"192.0.2.1"}))
    check_route(Node("A", "127.0.0.1", 104), "127.0.0.1", frozenset({"127.0.0.1"}))
    check_route(Node("A", "192.0.2.1", 104), "0.0.0.0", frozenset({"192.0.2.1"}))
    assert local_address(Node("A", "127.0.0.1", 104)) == "127.0.0.1"


# -- deadlines -------------------------------------------------------------------------------------------------


def test_bytes_that_come_in_are_progress_of_the_whole_call():  # R1.5: one large instance over a slow line
    call = Deadline(0.8)
    with listening(call) as (door, received), socket.create_connection(door.address) as connection:
        connection.sendall(request())
        assert answer_to(connection)[0] == 2
        from dicomlab.net.association import dimse
        from dicomlab.net.association.pdu import p_data

        elements = {0x0002: CT.encode(), 0x0100: b"\x01\0", 0x0110: b"\x01\0", 0x0800: b"\x01\0", 0x1000: b"1.2"}
        connection.sendall(p_data(1, 3, dimse.encode(elements)))
        for last in (0, 0, 0, 0, 2):
            time.sleep(0.3)
            connection.sendall(p_data(1, last, bytes(30_000)))
            assert call.remaining > 0
        assert answer_to(connection)[0] == 4
    assert len(received.kept["1.2"][1]) == 150_000


def test_what_the_disk_takes_is_no_silence_of_the_archive():  # R1.5
    call = Deadline(0.6)
    with listening(call) as (door, received):
        received.seconds = 0.9
        assert store(door.address, instances=2) == [0, 0, 0]
    assert door.troubles == []


def test_the_grace_time_counts_from_the_last_byte_that_moved():  # R5.12
    call, done = Deadline(10), threading.Event()
    with listening(call) as (door, _):

        def moving():
            for _ in range(5):
                time.sleep(0.2)
                call.progressed()

        began = time.monotonic()
        with meanwhile(moving):
            door.settle(0.5, done)
        assert 1.4 < time.monotonic() - began < 2.2


def test_the_grace_time_ends_when_all_is_here_with_the_total_deadline_or_on_request():  # R1.4, R1.17, R5.12
    done = threading.Event()
    with listening(Deadline(10, 0.5)) as (door, _):
        clock = Stopwatch()
        door.settle(5.0, done)
        assert clock.seconds < 1.0
    call = Deadline(10)
    with listening(call) as (door, _):
        threading.Timer(0.2, call.cancel).start()
        clock = Stopwatch()
        with pytest.raises(Cancelled):
            door.settle(5.0, done)
        assert clock.seconds < 0.7
    with listening() as (door, _):
        threading.Timer(0.2, done.set).start()
        clock = Stopwatch()
        door.settle(5.0, done)
        assert clock.seconds < 0.7


def test_a_cache_that_cannot_be_used_is_out_of_resources_and_no_abort(tmp_path):  # PS3.4 B.2.3
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "cache", index=tmp_path / "index.sqlite")
    received = Receiver(cache, node(), [], lambda size: None)
    with Listener(node(), Storage(received), Deadline(10)) as door:
        assert store(door.address, instances=2) == [0x0000, 0xA700, 0xA700]
    assert isinstance(received.full, CacheError) and not door.troubles


# -- whom it is there for --------------------------------------------------------------------------------------


def listening_at(port):
    """The addresses on which anybody listens at that port."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("addresses are read from /proc")
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        host, number = local.split(":")
        if state == "0A" and int(number, 16) == port:
            found.add(socket.inet_ntoa(bytes.fromhex(host)[::-1]))
    return found


def test_it_listens_while_a_retrieve_needs_it_on_the_route_to_the_archive_alone():  # S3, R5.8
    port, during = free_port(), []
    server = DemoServer(Holdings.t31(), destinations={"DICOMLAB": ("127.0.0.1", port)})
    with server, dl.connect(f"DEMO@127.0.0.1:{server.port}", listen=port) as pacs:
        assert pacs.echo() > 0 and not listening_at(port)
        studies = pacs.find("STUDY", PatientID="77654033")
        assert not listening_at(port)
        got = pacs.retrieve(studies, method="move", progress=lambda *_: during.append(listening_at(port)))
        assert len(got) == 7 and not listening_at(port)
        pacs.retrieve(studies, method="get", refresh=True)
        assert not listening_at(port)
    assert during and all(one <= {"127.0.0.1"} for one in during) and {"127.0.0.1"} in during


def test_it_binds_to_every_address_only_where_it_is_told_to():  # S3
    with listening() as (door, _):
        assert listening_at(door.address[1]) == {"127.0.0.1"}
    with listening(listen_host="0.0.0.0") as (door, _):
        assert listening_at(door.address[1]) == {"0.0.0.0"}


def test_a_study_that_nobody_asked_for_is_set_aside_and_told(tmp_path):  # S3, R5.16
    cache = Cache(tmp_path / "cache", index=tmp_path / "index.sqlite")
    told = []
    received = Receiver(cache, node(), [Address("P1", "1.2.9")], told.append)
    with Listener(node(), Storage(received), Deadline(10)) as door:
        assert store(door.address) == [0x0000, 0xC000]
    assert not received.kept and not told
    assert ["was not asked for" in one.why for one in received.refused] == [True]
    assert not list(cache.entries())
    cache.close()


def test_a_request_is_limited_before_memory_is_taken_for_it():  # R0.8, S8: at, below and above
    with listening() as (door, _):
        for length, turned_away in ((doorway.REQUEST_LIMIT, False), (doorway.REQUEST_LIMIT + 1, True)):
            with socket.create_connection(door.address) as one:
                one.sendall(struct.pack(">BxL", 1, length) + bytes(1000))
                if turned_away:
                    assert answer_to(one)[:1] == b"\x07"
                else:
                    with pytest.raises(TimeoutError):
                        answer_to(one, 0.5)


def test_lengths_beyond_the_limits_end_an_association_that_stands():  # R0.8: PDU, PDV, command set
    from dicomlab.net.association.pdu import COMMAND_LIMIT, MAXIMUM_LENGTH, p_data

    huge_pdu = struct.pack(">BxL", 4, MAXIMUM_LENGTH + 1)
    four_gib = struct.pack(">BxL", 4, 0xFFFFFFFF)
    pdv = struct.pack(">BxLLBB", 4, 100, 0xFFFFFFFF, 1, 3)
    command = p_data(1, 1, bytes(COMMAND_LIMIT)) + p_data(1, 3, b"ab")
    element = p_data(1, 3, struct.pack("<HHL", 0, 2, 0xFFFFFFF0) + bytes(10))
    words = ["larger than the maximum"] * 2 + ["does not fit", "a command set of more than", "longer than its command"]
    with listening() as (door, received):
        for number, said in enumerate((huge_pdu, four_gib, pdv, command, element), 1):
            with socket.create_connection(door.address) as one:
                one.sendall(request())
                assert answer_to(one)[0] == 2
                one.sendall(said)
                assert answer_to(one)[:1] == b"\x07"
            until(lambda number=number: len(door.troubles) == number)  # noted by its thread, after the answer
    assert [word in trouble for word, trouble in zip(words, door.troubles, strict=True)] == [True] * 5
    assert not received.kept


def test_where_the_system_gives_no_thread_the_archive_is_told_so_and_the_listener_goes_on(monkeypatch):  # R0.7, R0.8
    start = threading.Thread.start
    asked = []

    def none_left(thread):
        if thread.name == "dicomlab store" and not asked:
            asked.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    with listening() as (door, received):
        monkeypatch.setattr(threading.Thread, "start", none_left)
        assert store(door.address) == (2, 3, 2)  # local limit exceeded
        assert store(door.address) == [0, 0]
    assert len(received.kept) == 1 and len(door.rejected) == 1 and asked


def test_what_is_remembered_of_those_who_do_harm_has_an_end(monkeypatch):  # R0.8
    monkeypatch.setattr(listener, "REMEMBERED", 3)
    with listening() as (door, _):
        for _ in range(6):
            with socket.create_connection(door.address) as one:
                one.sendall(request())
                assert answer_to(one)[0] == 2
                one.sendall(b"\x04\0\xff\xff\xff\xff\0\0\0\0\1\3")  # a PDU of 4 GiB
                answer_to(one)
            with socket.create_connection(door.address) as one:
                one.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer_to(one)
        assert store(door.address) == [0, 0]
    assert len(door.troubles) == 3 and len(door.rejected) == 3


def test_an_archive_that_sends_without_end_what_nobody_asked_for_takes_no_memory(tmp_path, monkeypatch):  # R0.8, R5.16
    monkeypatch.setattr(receiver, "NAMED", 3)
    with Cache(tmp_path / "cache", index=tmp_path / "index.sqlite") as cache:
        wanted = [Address(StudyInstanceUID="1.2")]
        taken = receiver.Receiver(cache, node(), wanted, lambda size: None)
        with Listener(node(), Storage(taken), Deadline(10)) as door:
            statuses = store(door.address, instances=6)
    assert statuses[0] == 0 and 0 not in statuses[1:] and not taken.kept
    assert [one.SOPInstanceUID for one in taken.refused] == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
