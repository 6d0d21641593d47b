"""Compressed, deflated and big-endian frames to stored values: the size is checked, then the decoders are tried."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..amounts import counted
from ..datasets.inflating import inflated_size
from ..datasets.part10 import parse_file
from ..datasets.uids import BIG_ENDIAN, DEFLATED, IN_PLACE, name_of
from ..errors import BadData, BadFile
from . import codecs, encapsulated
from .pixels import Array, Format, check_size, read_into, tidy

_WHOLE = {DEFLATED, BIG_ENDIAN}
#: JPEG 2000 and JPEG XL undo their own colour transforms.
_RGB = ("YBR_RCT", "YBR_ICT", "XYB")


def decode(
    path: str,
    transfer_syntax: str,
    form: Format,
    place: tuple[int, int] | None,
    index: int = 0,
    count: int = 1,
    out: Array | None = None,
) -> Array:
    """Stored values of one frame that does not lie in the file as it does in memory; colours as they are coded.

    Parameters
    ----------
    path
        The file.
    transfer_syntax
        Its Transfer Syntax UID.
    form
        What the header says of the pixels; the result is checked against it, and the codestream before it is decoded.
    place
        Offset and length of the value of Pixel Data in the file.
    index, count
        Which frame of the file, from 0, of how many.
    out
        Contiguous, of the frame's shape and type: the values may come in it. What is returned says whether.

    Returns
    -------
    numpy.ndarray
        (rows, columns), or (rows, columns, 3) by pixel; see `photometric` for what the samples mean.

    Raises
    ------
    MissingCodec
        No package here decodes this transfer syntax; the message holds the pip line.
    BadFile
        The pixel data cannot be decoded, or is not what the header says; names the frame.
    InvalidRequest
        It is a video, it is not in the file, or one frame is larger than ``pixels.PIXEL_LIMIT``.
    """
    check_size(form.full)
    if transfer_syntax in IN_PLACE and place is not None:
        return _native(path, form, place, index, count)
    if transfer_syntax in _WHOLE:
        return _by_pydicom(path, transfer_syntax, form, index, count)
    codecs.refuse(path, transfer_syntax)
    if place is None:
        raise BadFile(path, "it has no pixel data")
    data = encapsulated.frame(path, place, index, count)
    return tidy(frame(path, transfer_syntax, form, data, index, count, out), form)


def frame(
    path: str,
    transfer_syntax: str,
    form: Format,
    data: bytes,
    index: int = 0,
    count: int = 1,
    out: Array | None = None,
) -> Array:
    """Values of one frame out of its codestream, all bits of them; `decode` has the parameters and what is raised."""
    codecs.refuse(path, transfer_syntax)
    try:
        said = codecs.size(transfer_syntax, data)
    except BadData as error:
        raise _bad(path, index, count, error.why) from None
    if said is not None and (said[:2] != (form.rows, form.columns) or said[2] not in (0, form.samples)):
        why = f"the codestream is of {_text(*said[:3])}, the header says {_text(form.rows, form.columns, form.samples)}"
        raise _bad(path, index, count, why)
    if said is not None and said[3] > form.allocated:
        raise _bad(path, index, count, f"the codestream is of {said[3]} bits, the header says {form.allocated}")
    failures = []
    for name, decoder in codecs.decoders(path, transfer_syntax, form):
        try:
            array = np.asarray(decoder(data, form, out))
        except BaseException as error:  # each library has its own; what they say is handed on
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            said_by_it = str(error).rpartition(f"{name}: ")[2]  # pydicom wraps it
            failures.append(f"{name}: {' '.join(said_by_it.split())}")
            if not isinstance(error, Exception):  # a panic of a decoder in Rust: others would pad or cut such data
                break
            continue
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[..., 0]
        if array.shape == form.shape:
            return _typed(array, form)
        failures.append(f"{name}: decoded to {array.shape}, the header says {form.shape}")
    raise _bad(path, index, count, f"{name_of(transfer_syntax)} cannot be decoded: {'; '.join(failures)[:300]}")


def photometric(transfer_syntax: str, form: Format) -> str:
    """Photometric Interpretation of what `decode` gives: subsampling and the codecs' own transforms are undone.

    Examples
    --------
    >>> photometric("1.2.840.10008.1.2.4.50", Format(2, 2, 3, 8, 8, 7, False, "YBR_FULL_422"))
    'YBR_FULL'
    """
    if form.samples == 1:
        return form.photometric
    if form.photometric in _RGB or transfer_syntax in (f"1.2.840.10008.1.2.4.{end}" for end in ("110", "111", "112")):
        return "RGB"
    return "YBR_FULL" if form.photometric == "YBR_FULL_422" else form.photometric


def _text(rows: int, columns: int, samples: int) -> str:
    return f"{rows} rows, {columns} columns" + (f", {counted(samples, 'sample')}" if samples else "")


def _bad(path: str, index: int, count: int, why: str) -> BadFile:
    where = f"frame {index + 1} of {count}: " if count > 1 else ""
    return BadFile(path, f"{where}{why}", tag="7FE00010")


def _native(path: str, form: Format, place: tuple[int, int], index: int, count: int) -> Array:
    """Native values by plane, or with one Cb and one Cr for two Y (PS3.3 C.7.6.3.1.2)."""
    half = form.size < form.full and place[1] < count * form.full  # some say so of what is not
    data = np.empty(form.size if half else form.full, np.uint8)
    read_into(path, place[0] + index * data.size, data)
    if half:
        from pydicom.pixels.utils import expand_ybr422

        return _stored(
            np.frombuffer(expand_ybr422(data.tobytes(), form.allocated), form.dtype).reshape(form.shape), form
        )
    values = data.view(form.dtype)
    if form.planar and form.samples > 1:
        return _stored(np.moveaxis(values.reshape(form.samples, form.rows, form.columns), 0, -1), form)
    return _stored(values.reshape(form.shape), form)


def _by_pydicom(path: str, transfer_syntax: str, form: Format, index: int, count: int) -> Array:
    """Values of another byte order, or in a deflated data set."""
    import pydicom
    from pydicom.pixels import get_decoder

    dataset = _dataset(path, transfer_syntax) if count == 1 else _held(path, transfer_syntax)
    try:
        decoder = get_decoder(pydicom.uid.UID(transfer_syntax))
        array, _ = decoder.as_array(dataset, index=index, raw=True)
    except Exception as error:  # pydicom raises what it meets
        raise _bad(path, index, count, f"{name_of(transfer_syntax)} cannot be decoded: {error}") from error
    if array.shape != form.shape:
        raise _bad(path, index, count, f"decoded to {array.shape}, the header says {form.shape}")
    return _stored(array, form)


def _stored(array: Array, form: Format) -> Array:
    return tidy(_typed(array, form), form)


def _typed(array: Array, form: Format) -> Array:
    if array.dtype.kind != form.dtype.kind and array.dtype.itemsize == form.dtype.itemsize:
        array = array.view(form.dtype)  # the header says whether the bits have a sign, a codestream may not know
    return np.require(array, form.dtype, ["C", "W"])


def _dataset(path: str, transfer_syntax: str) -> Any:
    import pydicom

    try:
        if transfer_syntax == DEFLATED:
            meta, _ = parse_file(path, wanted=frozenset())
            with open(path, "rb") as file:
                file.seek(meta.data_set)
                inflated_size(file.read())  # pydicom has no limit
        return pydicom.dcmread(path, force=True)  # its header has been read already
    except BadFile:
        raise
    except BadData as error:
        raise BadFile(path, error.why, tag="7FE00010") from None
    except Exception as error:  # pydicom raises what it meets: struct.error, ValueError, KeyError, ...
        raise BadFile(path, f"cannot be read: {error}") from None  # it may hold the path


#: The file whose frames are being decoded, so that it is not read again for each; `forget` lets go of it.
_held = lru_cache(maxsize=1)(_dataset)
forget = _held.cache_clear
