"""Command sets and data sets of messages as pydicom's, and back; for hooks, where comfort goes over speed."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ...datasets.inflating import inflate
from ...datasets.uids import BIG_ENDIAN, DEFLATED, IMPLICIT
from ...errors import BadData, InvalidRequest
from ...queries.identifier import encode
from . import dimse

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def command_set(command: dimse.Command) -> Dataset:
    """A command set with PS3.7's keywords.

    Examples
    --------
    >>> command_set(dimse.decode(dimse.cancel(7))).MessageIDBeingRespondedTo
    7
    """
    return _read(command.encoded(), implicit=True)


def encoded_command(command_set: Dataset) -> dimse.Command:
    """The command set in that Dataset; the group length is left to whoever sends it.

    Raises
    ------
    InvalidRequest
        It is empty, or pydicom cannot write it.
    """
    return dimse.decode(encode(command_set, implicit=True))


def dataset(data: bytes | memoryview, transfer_syntax: str) -> Dataset:
    """A data set in that transfer syntax.

    Raises
    ------
    BadData
        It cannot be read.
    """
    if transfer_syntax == DEFLATED:
        data = inflate(data)
    return _read(bytes(data), implicit=transfer_syntax == IMPLICIT, little=transfer_syntax != BIG_ENDIAN)


def header(data: bytes | memoryview, transfer_syntax: str) -> Dataset:
    """The data set up to its pixel data, which is not read.

    Raises
    ------
    BadData
        It cannot be read.
    """
    if transfer_syntax == DEFLATED:
        data = inflate(data)
    return _read(bytes(data), transfer_syntax == IMPLICIT, transfer_syntax != BIG_ENDIAN, _at_pixels)


def _at_pixels(tag: Any, vr: str | None, length: int) -> bool:
    return int(tag) >= 0x7FE00000


def encoded(dataset: Dataset, transfer_syntax: str) -> bytes:
    """That data set in that transfer syntax.

    Raises
    ------
    InvalidRequest
        It is empty, pydicom cannot write it, or the transfer syntax is big endian.
    """
    if transfer_syntax == BIG_ENDIAN:
        raise InvalidRequest("a data set is not written in Explicit VR Big Endian", advice="Leave it as it came.")
    data = encode(dataset, implicit=transfer_syntax == IMPLICIT)
    if transfer_syntax != DEFLATED:
        return data
    import zlib

    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflate.compress(data) + deflate.flush()
    return packed + b"\0" * (len(packed) & 1)  # PS3.5 A.5


def _read(data: bytes, implicit: bool, little: bool = True, stop: Callable[..., bool] | None = None) -> Dataset:
    from pydicom.filereader import read_dataset

    try:
        return read_dataset(BytesIO(data), implicit, little, stop_when=stop)
    except Exception as error:  # pydicom raises anything on bytes that do not fit
        raise BadData(f"the data set of a message cannot be read ({error})") from error
