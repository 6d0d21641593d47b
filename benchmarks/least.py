"""The least that a client can do with what a server sends: take it and let it go by, or write it and check nothing.

Beside the ways of a row these say what is the archive's own time, what the disk's, and what ours adds to both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from dicomlab.level import QueryLevel
from dicomlab.net.association import contexts
from dicomlab.net.association.association import associate
from dicomlab.net.association.deadline import Deadline
from dicomlab.net.association.dimse import CommandField
from dicomlab.net.association.node import Node
from dicomlab.queries.identifier import STUDY_ROOT, encode, identifiers

from . import data, peers
from .harness import Timed

FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve - FIND
GET = "1.2.840.10008.5.1.4.1.2.2.3"  # Study Root Query/Retrieve - GET
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


class Bucket:
    """Takes each data set into the same memory."""

    def __init__(self) -> None:
        self._memory = bytearray(1 << 20)
        self.filled = 0

    def room(self, length: int) -> memoryview:
        start, self.filled = self.filled, self.filled + length
        if self.filled > len(self._memory):
            self._memory = self._memory + bytes(self.filled)
        return memoryview(self._memory)[start : self.filled]

    def discard(self) -> None:
        self.filled = 0

    def taken(self) -> memoryview:
        """What came; the next one may be put over it."""
        filled, self.filled = self.filled, 0
        return memoryview(self._memory)[:filled]


def get(timed: Timed, ae_title: str, port: int, keep: Callable[[Path, memoryview], object]) -> None:
    """C-GET of the series without a query, cache, check or table; `keep` gets a path and the bytes of each instance."""
    node = Node(ae_title, peers.HOST, port)
    keys = {"StudyInstanceUID": data.STUDY, "SeriesInstanceUID": data.SERIES}
    bucket, count = Bucket(), 0
    with timed:
        deadline = Deadline(60)
        proposed = [*contexts.query(GET), contexts.Context(CT_STORAGE, ("1.2.840.10008.1.2.1",))]
        with associate(node, proposed, deadline, phase="C-GET", scp_roles=[CT_STORAGE]) as association:
            (identifier,) = identifiers(QueryLevel.SERIES, keys, model=STUDY_ROOT, return_keys=())
            implicit = association.context(GET)[1] == contexts.IMPLICIT
            asked = association.send(CommandField.C_GET_RQ, GET, encode(identifier, implicit=implicit))
            for message in association.responses(asked, CommandField.C_GET_RQ, "C-GET", lambda *_: bucket):
                if message.command.command_field == CommandField.C_STORE_RQ:
                    keep(timed.folder / f"{message.command.sop_instance}.dcm", bucket.taken())
                    count += 1
                    association.answer(message, 0x0000)
    assert count == data.SLICES


def let_go(path: Path, part: memoryview) -> None:
    """Nothing is kept."""


def write(path: Path, part: memoryview) -> None:
    """A file of the bare data set, in the small pieces that suit the page cache."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        for at in range(0, len(part), 1 << 15):
            os.write(handle, part[at : at + (1 << 15)])
    finally:
        os.close(handle)


def find(timed: Timed, ae_title: str, port: int, keys: Sequence[str]) -> None:
    """C-FIND whose answers are read and not looked at."""
    node, count = Node(ae_title, peers.HOST, port), 0
    with timed:
        deadline = Deadline(60)
        with associate(node, contexts.query(FIND), deadline, phase="C-FIND") as association:
            (identifier,) = identifiers(QueryLevel.STUDY, {}, model=STUDY_ROOT, return_keys=keys)
            implicit = association.context(FIND)[1] == contexts.IMPLICIT
            asked = association.send(CommandField.C_FIND_RQ, FIND, encode(identifier, implicit=implicit))
            for message in association.responses(asked, CommandField.C_FIND_RQ, "C-FIND"):
                count += message.data is not None
    assert count == data.STUDIES
