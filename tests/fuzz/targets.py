"""What is fuzzed: readers of bytes that a peer or a file gives, each with valid inputs to begin from.

A target returns for anything that it reads or refuses by a documented error; whatever else it raises is a finding.
Used by the fuzzer (``python -m fuzz``) and by the mutations of test_mutations.py.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from dicomlab.datasets import whole
from dicomlab.datasets.elements import Elements, parse
from dicomlab.datasets.part10 import parse_file
from dicomlab.datasets.uids import DEFLATED, EXPLICIT, IMPLICIT, NATIVE
from dicomlab.errors import BadData, DicomlabError
from dicomlab.net.association import dimse, negotiation, transport
from dicomlab.net.association.contexts import Context
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.incoming import Incoming
from dicomlab.net.association.pdu import MAXIMUM_LENGTH, PduType, Released, ReleaseRequested, Wire, p_data
from dicomlab.pixels.encapsulated import frame
from dicomlab.scanning.dicomdir import referenced

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
PROPOSED = (Context(VERIFICATION, (IMPLICIT,)), Context(CT, (EXPLICIT, IMPLICIT)))
DEPTH = 70  # of items that are looked into: one may hold 64 levels


@dataclass(frozen=True)
class Target:
    """One reader."""

    name: str
    run: Callable[[bytes], object]  # returns, or raises what is a finding
    seeds: Callable[[], list[bytes]]  # valid inputs


# -- PDUs --------------------------------------------------------------------------------------------------------


def pdus(data: bytes) -> None:
    """What a peer sends, read as the answer to an association, as the request for one, or as messages."""
    how, data = data[:1], data[1:]
    near, far = socket.socketpair()
    with _no_tcp(), far, contextlib.closing(Wire(near, "PEER@127.0.0.1:104")) as wire:
        wire.deadline = Deadline(5.0)
        far.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            far.send(data)
        far.shutdown(socket.SHUT_WR)
        with contextlib.suppress(DicomlabError, Released, ReleaseRequested):
            if how < b"\x40":
                _negotiated(wire)
            else:
                _messages(wire)


@contextlib.contextmanager
def _no_tcp() -> Iterator[None]:
    """A pair of UNIX sockets, which is made much quicker, has no options of TCP."""
    option, transport._QUICKACK = transport._QUICKACK, None
    try:
        yield
    finally:
        transport._QUICKACK = option


def _negotiated(wire: Wire) -> None:
    while True:
        kind, body = wire.read_pdu()
        assert len(body) <= MAXIMUM_LENGTH
        if kind == PduType.ASSOCIATE_RJ:
            negotiation.rejection(body, "LAB", "ARCHIVE")
        elif kind == PduType.ABORT:
            wire.aborted(body)
        with contextlib.suppress(ValueError):
            found = negotiation.accepted(body, PROPOSED, {CT: b"\1\1"})
            assert all(syntax in PROPOSED[at // 2].transfer_syntaxes for at, (_, syntax) in found.contexts.items())
        with contextlib.suppress(ValueError):
            asked = negotiation.requested(body)
            answer, _ = negotiation.acceptance(asked, frozenset({CT, VERIFICATION}), (EXPLICIT, IMPLICIT))
            assert answer[0] == 2 and len(answer) == 6 + int.from_bytes(answer[2:6], "big")


def _messages(wire: Wire) -> None:
    incoming = Incoming(wire, {1: (VERIFICATION, IMPLICIT), 3: (CT, EXPLICIT)})
    while True:
        message = incoming.read()
        assert message.context_id in (1, 3)
        _look(message.command)


def _pdu_seeds() -> list[bytes]:
    asked = negotiation.request("LAB", "ARCHIVE", PROPOSED, [CT], {CT: b"\1\0"})
    answer, _ = negotiation.acceptance(
        negotiation.requested(asked[6:]), frozenset({CT, VERIFICATION}), (EXPLICIT, IMPLICIT)
    )
    echo = dimse.request(dimse.CommandField.C_ECHO_RQ, VERIFICATION, 1, data=False)
    find = dimse.request(dimse.CommandField.C_FIND_RQ, CT, 2, data=True)
    body = struct.pack(">LBB", 8, 3, 0) + b"abcdef" + struct.pack(">LBB", 5, 3, 2) + b"ghi"
    parts = [p_data(3, 1, find[:40]), p_data(3, 3, find[40:]), struct.pack(">BxL", 4, len(body)) + body]
    ends = [b"\x05\0\0\0\0\4\0\0\0\0", b"\x06\0\0\0\0\4\0\0\0\0", b"\x07\0\0\0\0\4\0\0\2\1"]
    return [
        b"\0" + asked,
        b"\0" + answer,
        b"\0" + negotiation.reject_pdu(2, 3, 2) + ends[2],
        b"\x80" + p_data(1, 3, echo) + ends[0],
        b"\x80" + b"".join(parts) + p_data(1, 3, dimse.response(dimse.decode(echo), 0)) + ends[1],
        b"\x80" + p_data(3, 3, find) + p_data(3, 2, bytes(20_000)) + ends[2],
    ]


# -- command sets ------------------------------------------------------------------------------------------------


def command_sets(data: bytes) -> None:
    """A command set, all that is asked of it, and it encoded again."""
    try:
        command = dimse.decode(data)
    except BadData:
        return
    _look(command)
    again = dimse.decode(command.encoded())
    assert {tag: value + b"\0" * (len(value) & 1) for tag, value in command.raw.items() if 0 < tag <= 0xFFFF} == {
        tag: value for tag, value in again.raw.items() if tag
    }
    dimse.decode(dimse.response(command, 0xA700))


def _look(command: dimse.Command) -> None:
    str(command.status("C-FIND"))
    command.counts()
    _ = command.sop_class, command.sop_instance, command.message_id, command.responded_to, command.has_data


def _command_seeds() -> list[bytes]:
    move = dimse.request(dimse.CommandField.C_MOVE_RQ, CT, 7, data=True, destination="LAB")
    failure = {
        0x0002: CT.encode(),
        0x0100: b"\x21\x80",
        0x0120: b"\x07\0",
        0x0800: b"\1\1",
        0x0900: b"\x01\xa9",
        0x0901: bytes.fromhex("10001000 08005200"),
        0x0902: b"no such patient ",
        0x1020: b"\0\0",
        0x1021: b"\x05\0",
        0x1022: b"\1\0",
        0x1023: b"\0\0",
    }
    echo = dimse.request(dimse.CommandField.C_ECHO_RQ, CT, 1, data=False)
    return [move, dimse.encode(failure), dimse.cancel(7), echo]


# -- data elements -----------------------------------------------------------------------------------------------


def data_elements(data: bytes) -> None:
    """A data set, all at once and piece by piece: both give the same, or both refuse it."""
    implicit, data = data[:1] < b"\x40", data[1:]
    found: list[Elements | None] = []
    for given in (data, bytearray(data)):
        try:
            found.append(parse(given, implicit=implicit))
        except BadData:
            found.append(None)
    whole_one, by_piece = found
    assert (whole_one is None) == (by_piece is None), "window"
    if whole_one is not None and by_piece is not None:
        assert whole_one.raw == by_piece.raw and whole_one.pixels == by_piece.pixels
        _values(whole_one, 0)
        with contextlib.suppress(BadData):
            whole.check(data, whole_one, EXPLICIT)


def _values(elements: Elements, depth: int) -> None:
    assert depth < DEPTH
    for tag in elements.raw:
        elements.text(tag)
        with contextlib.suppress(BadData):
            elements.get(tag)
            if elements.vr(tag) == "SQ":
                for item in elements.items(tag):
                    _values(item, depth + 1)
    with contextlib.suppress(BadData):
        elements.dataset()


def _element_seeds() -> list[bytes]:
    found = []
    for name in ("rtplan.dcm", "reportsi.dcm", "UN_sequence.dcm", "priv_SQ.dcm", "test-SR.dcm"):
        path = str(get_testdata_file(name))
        meta, _ = parse_file(path)
        kind = b"\0" if meta.transfer_syntax == IMPLICIT else b"\x80"
        found.append(kind + Path(path).read_bytes()[meta.data_set :][:12_000])
    return found


# -- files of PS3.10 ---------------------------------------------------------------------------------------------


@cache
def _folder() -> Path:
    """A folder of this process for the files that are read, with two that a DICOMDIR may name."""
    top = Path(tempfile.mkdtemp(prefix="fuzz", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    (top / "set" / "A").mkdir(parents=True)
    for name in ("ONE", "A/TWO"):
        (top / "set" / name).write_bytes(b"\0" * 200)
    (top / "OUTSIDE").write_bytes(b"\0" * 200)
    return top


@atexit.register
def forget() -> None:
    """Remove the folder of this process."""
    if _folder.cache_info().currsize:
        shutil.rmtree(_folder(), ignore_errors=True)


def files(data: bytes) -> None:
    """A file: its header, whether its pixel data is whole, and its first frame."""
    path = _folder() / "one.dcm"
    path.write_bytes(data)
    with contextlib.suppress(BadData):
        meta, elements = parse_file(path)
        _values(elements, 0)
        if elements.pixels is None or meta.transfer_syntax == DEFLATED:
            return
        with contextlib.suppress(BadData):
            whole.check_file(path, elements, meta.transfer_syntax)
        if meta.transfer_syntax not in NATIVE:
            for count in (1, 2):
                with contextlib.suppress(BadData):
                    frame(str(path), elements.pixels[1:], 0, count)


def _file_seeds() -> list[bytes]:
    names = ("SC_rgb_rle_2frame.dcm", "JPEG2000.dcm", "image_dfl.dcm", "no_meta_group_length.dcm", "rtplan.dcm")
    found = [Path(str(get_testdata_file(name))).read_bytes() for name in names]
    return [*found, *(_written(syntax) for syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian))]


def _written(syntax: str) -> bytes:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID, made.PatientName = CT, "1.2.3", "Doe^Jane"
    made.ReferencedStudySequence = Sequence([Dataset()])
    made.ReferencedStudySequence[0].ReferencedSOPInstanceUID = "1.2.4"
    made.Rows = made.Columns = 4
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 16, 12, 11, 0, 1
    made.add_new(0x7FE00010, "OW", bytes(range(32)))
    return _bytes(made, CT, syntax)


def _bytes(made: Dataset, sop_class: str, syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid(entropy_srcs=["fuzz"])
    meta.TransferSyntaxUID = syntax
    path = _folder() / "seed.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(path, FileDataset(path, dict(made), b"\0" * 128, meta), enforce_file_format=True)
    return path.read_bytes()


# -- DICOMDIR ----------------------------------------------------------------------------------------------------


def directories(data: bytes) -> None:
    """A DICOMDIR: every file that it leads to lies in its own folder."""
    top = _folder()
    path = top / "set" / "DICOMDIR"
    path.write_bytes(data)
    with contextlib.suppress(BadData):
        paths, problems = referenced(str(path))
        assert all(Path(one).resolve().is_relative_to(top / "set") for one in paths), "outside"
        assert all(isinstance(one, str) for one in problems)


def _directory_seeds() -> list[bytes]:
    return [directory(["ONE"], ["A", "TWO"], ["..", "OUTSIDE"], ["/etc/passwd"], ["NOWHERE"])]


def directory(*files: list[str]) -> bytes:
    """A DICOMDIR with a patient, and an image for each of those Referenced File IDs."""

    def record(kind: str, **values: object) -> Dataset:
        made = Dataset()
        made.OffsetOfTheNextDirectoryRecord = made.OffsetOfReferencedLowerLevelDirectoryEntity = 0
        made.RecordInUseFlag, made.DirectoryRecordType = 0xFFFF, kind
        for name, value in values.items():
            setattr(made, name, value)
        return made

    made = Dataset()
    made.FileSetID = "FUZZ"
    made.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    made.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    made.FileSetConsistencyFlag = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the names
        images = [
            record(
                "IMAGE",
                ReferencedFileID=one,
                ReferencedSOPClassUIDInFile=CT,
                ReferencedSOPInstanceUIDInFile=f"1.2.{number}",
                ReferencedTransferSyntaxUIDInFile=EXPLICIT,
            )
            for number, one in enumerate(files)
        ]
    patient = record("PATIENT", PatientName="Doe^Jane", PatientID="1")
    made.DirectoryRecordSequence = Sequence([patient, *images])
    return _bytes(made, "1.2.840.10008.1.3.10", ExplicitVRLittleEndian)


TARGETS = {
    target.name: target
    for target in (
        Target("pdu", pdus, _pdu_seeds),
        Target("command", command_sets, _command_seeds),
        Target("elements", data_elements, _element_seeds),
        Target("file", files, _file_seeds),
        Target("dicomdir", directories, _directory_seeds),
    )
}

