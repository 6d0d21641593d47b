"""Messages out of fragments (PS3.7 9.3, PS3.8 annex E): one reader an association."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ...errors import BadData
from ...status import Status
from . import dimse
from .pdu import COMMAND_LIMIT, Fragment, Wire

IDENTIFIER_LIMIT = 1 << 20  # bytes of the identifier of a query or of its answer (R0.8)
DATA_LIMIT = 16 << 30  # bytes of the data set of a C-STORE request


class Sink(Protocol):
    """Takes a data set as it arrives."""

    def room(self, length: int) -> memoryview:
        """Where the next `length` bytes belong; those of the call before are there by now."""

    def discard(self) -> None:
        """The rest will not come."""


#: Gives the sink for the data set of a C-STORE request in that transfer syntax.
Sinks = Callable[[dimse.Command, str], Sink]


@dataclass(slots=True)
class Message:
    """One DIMSE message: its command, and its data set as it came."""

    context_id: int
    command: dimse.Command
    data: bytes | memoryview | None  # None where it has none, or a sink has it
    sink: Sink | None = None
    status: Status | None = None  # of a response


class Incoming:
    """Puts the messages of one association together.

    Parameters
    ----------
    contexts
        Abstract and transfer syntax of each accepted context, by its id.
    """

    def __init__(self, wire: Wire, contexts: Mapping[int, tuple[str, str]]) -> None:
        self._wire, self._contexts = wire, contexts
        self._last = (b"", dimse.Command())  # responses to one request are often the same, byte for byte

    def read(self, sinks: Sinks | None = None) -> Message:
        """The next message, whole.

        Parameters
        ----------
        sinks
            Where given, the data set of a C-STORE request goes there, part by part.
        """
        wire = self._wire
        context_id, command = self._read_command()
        if not command.has_data:
            return Message(context_id, command, None)
        fragment = self._data_fragment(context_id)
        store = command.command_field == dimse.CommandField.C_STORE_RQ
        limit = DATA_LIMIT if store else IDENTIFIER_LIMIT
        if sinks is not None and store:
            sink = sinks(command, self._contexts[context_id][1])
            try:
                self._drain(fragment, limit, sink)
            except BaseException:
                sink.discard()
                raise
            return Message(context_id, command, None, sink)
        if fragment.last:
            self._check_size(fragment.length, limit)
            return Message(context_id, command, wire.take(fragment))
        memory = _Memory()
        self._drain(fragment, limit, memory)
        return Message(context_id, command, memory.data())

    def _read_command(self) -> tuple[int, dimse.Command]:
        wire, before = self._wire, b""
        while True:
            fragment = wire.fragment()
            context_id = fragment.context_id
            if context_id not in self._contexts:
                raise wire.broken(f"a message came on context {context_id}, which was never agreed")
            if not fragment.command:
                raise wire.broken("a data set came before its command")
            if len(before) + fragment.length > COMMAND_LIMIT:
                raise wire.broken(f"a command set of more than {COMMAND_LIMIT:,} bytes")
            data = before + wire.take(fragment) if before else wire.take(fragment)
            if fragment.last:
                if data != self._last[0]:
                    try:
                        self._last = data, dimse.decode(data)
                    except BadData as error:
                        raise wire.broken(str(error)) from error
                return context_id, self._last[1]
            before = data

    def _data_fragment(self, context_id: int) -> Fragment:
        fragment = self._wire.fragment()
        if fragment.context_id != context_id:
            if fragment.context_id not in self._contexts:
                raise self._wire.broken(
                    f"a message came on context {fragment.context_id}, which was never agreed"
                )
            raise self._wire.broken("a data set came on another context than its command")
        if fragment.command:
            raise self._wire.broken("a command came where the rest of a data set was due")
        return fragment

    def _drain(self, fragment: Fragment, limit: int, sink: Sink) -> None:
        filled = 0
        while True:
            filled += fragment.length
            self._check_size(filled, limit)
            self._wire.take_into(fragment, sink.room(fragment.length))
            if fragment.last:
                return
            fragment = self._data_fragment(fragment.context_id)

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            raise self._wire.broken(f"a data set of more than {limit:,} bytes")


class _Memory:
    """A sink in memory, which grows by doubling."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._filled = 0

    def room(self, length: int) -> memoryview:
        start = self._filled
        self._filled += length
        if self._filled > len(self._buffer):
            grown = bytearray(max(self._filled, 2 * len(self._buffer)))
            grown[:start] = memoryview(self._buffer)[:start]
            self._buffer = grown
        return memoryview(self._buffer)[start : self._filled]

    def data(self) -> memoryview:
        return memoryview(self._buffer)[: self._filled]

    def discard(self) -> None:
        self._buffer = bytearray()
