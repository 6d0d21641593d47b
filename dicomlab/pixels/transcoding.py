"""A data set in another transfer syntax: its pixels are the same, and that is checked; loss is asked for (R6.4)."""

from __future__ import annotations

import copy
import warnings
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.uid import UID

from ..datasets.uids import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG_2000, JPEG_2000_LOSSY, JPEG_LS, NATIVE, RLE
from ..errors import BadData, BadFile, MissingCodec
from . import compression

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: What we can write without loss, in the order of preference.
LOSSLESS = (EXPLICIT, IMPLICIT, DEFLATED, JPEG_2000, RLE, JPEG_LS, BIG_ENDIAN)
#: What has lost already and is not compressed again: JPEG, JPEG-LS near-lossless, JPEG 2000, HTJ2K, JPEG XL.
LOSSY = frozenset(f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 81, 91, 203, 111, 112))
_SWAPPED = {"OW": "u2", "OL": "u4", "OF": "u4", "OD": "u8", "OV": "u8"}


def transcode(dataset: Dataset, syntax: str, target: str) -> bytes:
    """The bytes of a data set in another transfer syntax.

    Parameters
    ----------
    dataset
        As read by pydicom; it is not changed.
    syntax
        Transfer syntax UID that it is in.
    target
        One of `LOSSLESS`, or `syntax` itself.

    Returns
    -------
    bytes
        The data set without file meta. Pixel data that was lossy stays as it was; nothing is lost again.

    Raises
    ------
    BadData
        Its pixel data cannot be decoded or encoded, or would not be the same.
    MissingCodec
        A package is needed that is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that break their VR; they are sent as they are
        warnings.filterwarnings("error", "Failed to (de|en)code")  # it would put question marks for letters
        changed = _without_groups(dataset)
        coded = "PixelData" in changed and syntax != target and not {syntax, target} <= NATIVE
        swapped = "PixelData" in changed and BIG_ENDIAN in (syntax, target)
        if target not in NATIVE and ("FloatPixelData" in changed or "DoubleFloatPixelData" in changed):
            raise BadData(f"its pixels are real numbers, which {UID(target).name} does not take")
        before = _pixels(changed, syntax) if coded or swapped else None
        if syntax == BIG_ENDIAN:
            _turned(changed, target)
        if coded:
            changed = _recoded(changed, syntax, target)
        if target == BIG_ENDIAN:
            _turned(changed, target)
        data = _written(changed, target)
        if before is not None:
            _check_same(before, data, target)
        return data


def with_loss(dataset: Dataset, syntax: str, ratio: float) -> tuple[bytes, str]:
    """An image as JPEG 2000 with loss, and the SOP Instance UID of that copy; see `compression.lossy`."""
    if syntax == BIG_ENDIAN:
        syntax, dataset = EXPLICIT, _parsed(transcode(dataset, syntax, EXPLICIT), EXPLICIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in `transcode`
            warnings.filterwarnings("error", "Failed to (de|en)code")
            made = compression.lossy(_without_groups(dataset), EXPLICIT if syntax == DEFLATED else syntax, ratio)
            return _written(made, JPEG_2000_LOSSY), str(made.SOPInstanceUID)
    except (BadData, MissingCodec) as error:
        raise _named(error, syntax, JPEG_2000_LOSSY) from None
    except Exception as error:  # encoders raise anything
        raise _named(BadData(_words(error)), syntax, JPEG_2000_LOSSY) from None


def _without_groups(dataset: Dataset) -> Dataset:
    """A copy without the groups 0000 and 0002, which are no part of a data set; values are shared until changed."""
    changed = copy.copy(dataset)
    changed._dict = {tag: element for tag, element in dataset._dict.items() if tag.group not in (0x0000, 0x0002)}
    return changed


def _recoded(dataset: Dataset, syntax: str, target: str) -> Dataset:
    """With its pixel data as the target has it."""
    from pydicom.dataset import FileMetaDataset

    dataset.file_meta = FileMetaDataset()
    dataset["PixelData"] = copy.copy(dataset["PixelData"])
    try:
        if syntax not in NATIVE:
            compression.unpack(dataset, syntax)
        if target not in NATIVE:
            compression.pack(dataset, target)
    except (BadData, MissingCodec) as error:
        raise _named(error, syntax, target) from None
    except Exception as error:  # encoders raise anything
        raise _named(BadData(_words(error)), syntax, target) from None
    return dataset


def _words(error: Exception) -> str:
    """What pydicom says, in one line and without the traceback that it may put in its message."""
    return " ".join(str(error).partition("Traceback (most")[0].rpartition(" got exception: ")[2].split())


def _named(error: BadData | MissingCodec, syntax: str, target: str) -> BadData | MissingCodec:
    """That error, with what was to be changed."""
    why = error.why if isinstance(error, BadData) else error.message
    text = f"its pixel data cannot be changed from {UID(syntax).name} to {UID(target).name}: {why}"
    return BadData(text) if isinstance(error, BadData) else MissingCodec(text, advice=error.advice)


def _written(dataset: Dataset, target: str) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = target != BIG_ENDIAN, target == IMPLICIT
    try:
        write_dataset(out, dataset)
    except Exception as error:  # pydicom raises anything on values that it cannot write
        raise BadData(f"it cannot be written as {UID(target).name}: {_words(error)}") from None
    data = out.getvalue()
    if target != DEFLATED:
        return data
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = engine.compress(data) + engine.flush()
    return packed + b"\0" * (len(packed) % 2)


def _turned(dataset: Dataset, target: str) -> None:
    """`_swap`, of a data set whose values all have a VR."""
    from pydicom.filewriter import correct_ambiguous_vr

    try:
        _swap(correct_ambiguous_vr(dataset, True))
    except Exception as error:  # pydicom raises anything on values that break their VR
        raise BadData(f"it cannot be written as {UID(target).name}: {_words(error)}") from None


def _swap(dataset: Dataset) -> None:
    """The other byte order for values that pydicom keeps as bytes, in sequences too (PS3.5 7.3).

    Pixels of 32 and 64 bits are turned whole, as GDCM and pydicom write and read them.
    """
    for element in list(dataset):
        if element.VR == "SQ":
            items = [copy.copy(item) for item in element.value]
            for item in items:
                item._dict = dict(item._dict)
                _swap(item)
            dataset[element.tag] = type(element)(element.tag, "SQ", items)
        elif element.VR in _SWAPPED and isinstance(element.value, bytes):
            bits = dataset.get("BitsAllocated", 0) if element.tag == 0x7FE00010 else 0
            kind = np.dtype(f"u{bits // 8}" if bits in (32, 64) else _SWAPPED[element.VR])
            whole = len(element.value) // kind.itemsize * kind.itemsize
            swapped = np.frombuffer(element.value[:whole], kind).byteswap().tobytes() + element.value[whole:]
            dataset[element.tag] = type(element)(element.tag, element.VR, swapped)


def _pixels(dataset: Dataset, syntax: str) -> Any:
    """Stored values: of codestreams by our own decoders, of all else by pydicom."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.pixels import pixel_array

    dataset = copy.copy(dataset)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    try:
        if syntax not in NATIVE:
            found = compression.frames(dataset, syntax)
            return found[0] if len(found) == 1 else np.stack(found)
        return pixel_array(dataset, raw=True)
    except (BadData, MissingCodec) as error:
        raise _named(error, syntax, EXPLICIT) from None
    except Exception as error:  # pydicom raises anything
        raise _named(BadData(_words(error)), syntax, EXPLICIT) from None


def _check_same(before: Any, data: bytes, target: str) -> None:
    after = _pixels(_parsed(data, target), target)
    if before.shape != after.shape or not np.array_equal(before, after):
        raise BadData(f"its pixels would not be the same as {UID(target).name}; it was not sent")


def _parsed(data: bytes, syntax: str) -> Dataset:
    from pydicom.filereader import read_dataset

    if syntax == DEFLATED:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    return read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG_ENDIAN)


def read_file(path: str) -> Dataset:
    """A file for `transcode`, by pydicom.

    Raises
    ------
    BadFile
        pydicom cannot read it.
    """
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dcmread(path, force=True)
    except Exception as error:
        raise BadFile(path, f"cannot be read: {_words(error)}") from None
