"""What a peer answers that lets pynetdicom not in."""

from __future__ import annotations

from typing import Any

from pynetdicom import evt


class Rejection:
    """The PDU of a rejection as it came.

    Where it comes at once, and the connection goes, pynetdicom takes the connection for one that never stood: its
    association is neither rejected then nor has it an answer.
    """

    def __init__(self) -> None:
        self._pdus: list[Any] = []
        self.handlers = [(evt.EVT_PDU_RECV, lambda event: self._pdus.append(event.pdu))]

    @property
    def reason(self) -> tuple[int, int, int]:
        """Result, source and reason (PS3.8 9.3.4)."""
        (pdu,) = self._pdus
        return pdu.result, pdu.source, pdu.reason_diagnostic
