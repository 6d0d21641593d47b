"""Messages put together: how many bytes of each kind there may be (SPEC R0.8)."""

from __future__ import annotations

import pytest
from wires import meanwhile, wired

from dicomlab.datasets.uids import EXPLICIT
from dicomlab.errors import ProtocolError
from dicomlab.net.association import dimse
from dicomlab.net.association.incoming import IDENTIFIER_LIMIT, Incoming
from dicomlab.net.association.pdu import p_data

CT = "1.2.840.10008.5.1.4.1.1.2"
PART = 1 << 16


def message(command_field: int, size: int) -> bytes:
    """A message of that Command Field and a data set of that many bytes, in P-DATA-TFs of 64 KiB."""
    command = {0x0100: dimse.number(command_field), 0x0120: dimse.number(1), 0x0800: dimse.number(1)}
    sizes = [PART] * (size // PART) + [size % PART]
    parts = [p_data(1, 2 if number == len(sizes) - 1 else 0, bytes(part)) for number, part in enumerate(sizes)]
    return p_data(1, 3, dimse.encode(command)) + b"".join(parts)


def read(command_field: int, size: int) -> int:
    """How many bytes of the data set are there, once it was read."""
    with wired() as (wire, far), meanwhile(lambda: far.sendall(message(command_field, size))):
        try:
            data = Incoming(wire, {1: (CT, EXPLICIT)}).read().data
        finally:
            wire.shutdown()
    assert data is not None
    return len(data)


@pytest.mark.parametrize("command_field", [0x8010, 0x8021, 0x8020, 0x0100])  # of C-GET, C-MOVE, C-FIND; N-EVENT-REPORT
def test_only_what_is_stored_may_be_large(command_field: int) -> None:  # R0.8
    for size in (IDENTIFIER_LIMIT - 1, IDENTIFIER_LIMIT):
        assert read(command_field, size) == size
    with pytest.raises(ProtocolError, match="a data set of more than 1,048,576 bytes"):
        read(command_field, IDENTIFIER_LIMIT + 1)
    assert read(dimse.CommandField.C_STORE_RQ, IDENTIFIER_LIMIT + 1) == IDENTIFIER_LIMIT + 1
