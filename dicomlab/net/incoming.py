"""Messages put together from the fragments that come (PS3.8 annex E)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import BadData, ProtocolError
from . import dimse
from .pdu import COMMAND_LIMIT, Fragment, Wire


class Incoming:
    """The messages of one association, one after the other.

    Parameters
    ----------
    contexts
        By context id, those that were agreed.
    broken
        Makes the error of a sentence.
    """

    def __init__(self, wire: Wire, contexts: Mapping[int, object], broken: Callable[[str], ProtocolError]) -> None:
        self._wire, self._contexts, self._broken = wire, contexts, broken
        self._hint = 1 << 12  # bytes that the next data set may well have

    def read(self, limit: int) -> tuple[int, dimse.Command, memoryview | None]:
        """The next message, whole: context id, command set, and the data set where there is one.

        Parameters
        ----------
        limit
            Bytes that the data set may have.

        Raises
        ------
        ProtocolError
            It is larger than that, or its fragments do not make a message.
        """
        command_bytes = bytearray()
        command: dimse.Command | None = None
        context_id = 0
        buffer = bytearray()
        filled = 0

        def place(fragment: Fragment) -> memoryview:
            nonlocal context_id, buffer
            if fragment.context_id not in self._contexts:
                raise self._broken(f"a message came on context {fragment.context_id}, which was never agreed")
            if fragment.command:
                if command is not None or filled:
                    raise self._broken("a command came where the rest of a data set was due")
                if len(command_bytes) + fragment.length > COMMAND_LIMIT:
                    raise self._broken(f"a command set of more than {COMMAND_LIMIT:,} bytes")
                context_id = fragment.context_id
                return memoryview(bytearray(fragment.length))
            if command is None:
                raise self._broken("a data set came before its command")
            if fragment.context_id != context_id:
                raise self._broken("a data set came on another context than its command")
            need = filled + fragment.length
            if need > limit:
                raise self._broken(f"a data set of more than {limit:,} bytes")
            if need > len(buffer):
                grown = bytearray(max(need, 2 * len(buffer), self._hint))
                grown[:filled] = memoryview(buffer)[:filled]
                buffer = grown
            return memoryview(buffer)[filled:need]

        while True:
            target: list[memoryview] = []

            def keep(fragment: Fragment, target: list[memoryview] = target) -> memoryview:
                target.append(place(fragment))
                return target[0]

            fragment = self._wire.read_fragment(keep)
            if fragment.command:
                command_bytes += target[0]
                if fragment.last:
                    command = self._decode(bytes(command_bytes))
                    if not command.has_data:
                        return context_id, command, None
            else:
                filled += fragment.length
                if fragment.last:
                    assert command is not None
                    self._hint = min(max(self._hint, filled + 64), 4 * filled + 64)
                    return context_id, command, memoryview(buffer)[:filled]

    def _decode(self, data: bytes) -> dimse.Command:
        try:
            return dimse.decode(data)
        except BadData as error:
            raise self._broken(str(error)) from error
