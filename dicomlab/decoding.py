"""Compressed, deflated and big-endian frames to stored values: pydicom's decoders, tried in our own order."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import BadData, BadFile, MissingCodec
from .pixels import Array, Format, name_of, tidy

#: Plugins of pydicom's decoders in the order we try them: the exact and quick ones first.
ORDER = ("pylibjpeg", "gdcm", "pyjpegls", "pillow", "pydicom")
#: What to install for a transfer syntax that nothing here decodes.
PIP = {
    "1.2.840.10008.1.2.5": "pylibjpeg pylibjpeg-rle",
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "python-gdcm",
    "1.2.840.10008.1.2.4.57": "python-gdcm",
    "1.2.840.10008.1.2.4.70": "python-gdcm",
    "1.2.840.10008.1.2.4.80": "python-gdcm",
    "1.2.840.10008.1.2.4.81": "python-gdcm",
    "1.2.840.10008.1.2.4.90": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg pylibjpeg-openjpeg",
}
_IMAGECODECS = {  # syntaxes for which imagecodecs (extra `fast`) is tried first: it decodes without the GIL
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
}


def decode(
    path: str, transfer_syntax: str, form: Format, encapsulated: tuple[int, int] | None, index: int = 0
) -> Array:
    """Stored values of one compressed (or deflated, or big-endian) frame.

    Parameters
    ----------
    path
        The file.
    transfer_syntax
        Its Transfer Syntax UID.
    form
        What the header says of the pixels; the result is checked against it.
    encapsulated
        Offset and length of the value of Pixel Data in the file, where known and of one frame.
    index
        Number of the frame in the file, from 0.

    Raises
    ------
    MissingCodec
        No package here decodes this transfer syntax; the message holds the pip line.
    BadFile
        The pixel data cannot be decoded, or is not what the header says.
    """
    quick = _imagecodecs(transfer_syntax)
    if quick is not None and encapsulated is not None and form.samples == 1:
        try:
            array = np.asarray(quick(_fragments(path, *encapsulated)))
            if array.shape == form.shape:
                return tidy(np.ascontiguousarray(array).view(form.dtype).reshape(form.shape), form)
        except Exception:  # its own error classes are not importable by name; the decoders below say what is wrong
            pass
    return _by_pydicom(path, transfer_syntax, form, index, encapsulated is not None)


def _by_pydicom(path: str, transfer_syntax: str, form: Format, index: int, alone: bool) -> Array:
    import pydicom
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(pydicom.uid.UID(transfer_syntax))
    except NotImplementedError:
        raise MissingCodec(f"{path}: no decoder is known for transfer syntax {name_of(transfer_syntax)}") from None
    plugins: list[str] = []
    if decoder.is_encapsulated:
        plugins = [name for name in ORDER if name in decoder.available_plugins]
        plugins += [name for name in decoder.available_plugins if name not in plugins]
        if not plugins:
            packages = PIP.get(transfer_syntax, "imagecodecs")
            raise MissingCodec(
                f"{path}: nothing installed decodes {name_of(transfer_syntax)}",
                advice=f"pip install {packages}",
            )
    failures = []
    dataset = _dataset(path) if alone else _held(path)
    for plugin in plugins or [""]:
        try:
            array, _ = decoder.as_array(dataset, index=index, decoding_plugin=plugin, raw=False)
        except Exception as error:
            failures.append(f"{plugin}: {error}" if plugin else str(error))
            continue
        if array.shape != form.shape:
            failures.append(f"{plugin}: decoded to {array.shape}, the header says {form.shape}")
            continue
        little = np.ascontiguousarray(array).astype(form.dtype, copy=True)
        return tidy(little, form)
    raise BadFile(
        path,
        f"pixel data of {name_of(transfer_syntax)} cannot be decoded: {'; '.join(failures)[:300]}",
        tag="7FE00010",
    )


def _dataset(path: str) -> Any:
    import pydicom

    try:
        return pydicom.dcmread(path)
    except Exception as error:  # pydicom raises what it meets: struct.error, ValueError, KeyError, ...
        raise BadFile(path, f"cannot be read: {error}") from error


#: The file whose frames are being decoded, so that it is not read again for each; `forget` lets go of it.
_held = lru_cache(maxsize=1)(_dataset)
forget = _held.cache_clear


def _imagecodecs(transfer_syntax: str) -> Callable[[bytes], Any] | None:
    if transfer_syntax not in _IMAGECODECS:
        return None
    try:
        import imagecodecs
    except ImportError:
        return None
    return getattr(imagecodecs, _IMAGECODECS[transfer_syntax], None)


def _fragments(path: str, offset: int, length: int) -> bytes:
    """The one frame of an encapsulated value: its fragments joined, without the Basic Offset Table."""
    with open(path, "rb", 0) as file:
        file.seek(offset)
        data = file.read() if length == 0xFFFFFFFF else file.read(length)
    at = 0
    parts: list[bytes] = []
    while at + 8 <= len(data):
        tag, size = (
            int.from_bytes(data[at : at + 4], "little"),
            int.from_bytes(data[at + 4 : at + 8], "little"),
        )
        at += 8
        if tag == 0xE0DDFFFE:
            return b"".join(parts[1:])
        if tag != 0xE000FFFE or at + size > len(data):
            raise BadData("a fragment of the pixel data runs over its end", tag="7FE00010", offset=offset + at)
        parts.append(data[at : at + size])
        at += size
    raise BadData("the pixel data has no end", tag="7FE00010")
