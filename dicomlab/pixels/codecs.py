"""Which package decodes which transfer syntax, in our own order: imagecodecs first, for it decodes without the GIL.

pylibjpeg-libjpeg is never asked, even where it is installed: its licence is the GPL.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..datasets.uids import DEFLATED_FRAMES, RLE, name_of
from ..errors import BadData, InvalidRequest, MissingCodec
from . import codestream
from .pixels import Array, Format

_JPEG = "1.2.840.10008.1.2.4."
#: How many bytes of output RLE makes of one of input, at most (PS3.5 G.3.2).
_RLE_RATIO = 64

#: A codestream to values of any integer type; straight into the array where there is one and the codec can.
Decoder = Callable[[bytes, Format, Array | None], Any]


@dataclass(frozen=True)
class Codec:
    """What decodes a transfer syntax."""

    fast: str = ""  # function of imagecodecs, without _decode
    plugins: tuple[str, ...] = ()  # of pydicom's decoders, in our order
    needs: str = '"dicomlab[fast]"'  # what to install where there is none of them
    size: Callable[[bytes], codestream.Size | None] = lambda data: None  # what the codestream says of itself


_OPENJPEG = Codec("jpeg2k", ("pylibjpeg", "gdcm", "pillow"), "pylibjpeg pylibjpeg-openjpeg", codestream.jpeg_2000)
_HIGH_THROUGHPUT = Codec("jpeg2k", ("pylibjpeg",), "pylibjpeg pylibjpeg-openjpeg", codestream.jpeg_2000)
_JPEG_LS = Codec("jpegls", ("pyjpegls", "gdcm"), "python-gdcm", codestream.jpeg)
_LOSSLESS = Codec("jpegsof3", ("gdcm",), "python-gdcm", codestream.jpeg)
_LOSSY = Codec("jpeg8", ("gdcm", "pillow"), "python-gdcm", codestream.jpeg)
_XL = Codec("jpegxl", size=codestream.jpeg_xl)
CODECS = {
    RLE: Codec("dicomrle", ("pylibjpeg", "pydicom"), "pylibjpeg pylibjpeg-rle"),
    **{_JPEG + end: _LOSSY for end in ("50", "51")},
    **{_JPEG + end: _LOSSLESS for end in ("57", "70")},
    **{_JPEG + end: _JPEG_LS for end in ("80", "81")},
    **{_JPEG + end: _OPENJPEG for end in ("90", "91")},
    **{_JPEG + end: _HIGH_THROUGHPUT for end in ("201", "202", "203")},
    **{_JPEG + end: _XL for end in ("110", "111", "112")},
    DEFLATED_FRAMES: Codec(),
}
_ELSEWHERE = {_JPEG + end for end in ("94", "95", "204", "205")}
_VIDEO = {_JPEG + str(end) for end in range(100, 109)}


def refuse(path: str, transfer_syntax: str) -> None:
    """Raise for pixel data that is no image at all to us.

    Raises
    ------
    InvalidRequest
        It is a video, or lies with a JPIP server.
    MissingCodec
        The transfer syntax is none that we know of.
    """
    if transfer_syntax in CODECS:
        return
    if transfer_syntax.removesuffix(".1") in _VIDEO or transfer_syntax.startswith("1.2.840.10008.1.2.7."):
        raise InvalidRequest(
            f"{path}: its pixel data is a video, {name_of(transfer_syntax)}; dicomlab decodes no video",
            advice="A video player reads what dcmread(path).PixelData holds, without its fragments' headers.",
        )
    if transfer_syntax in _ELSEWHERE:
        raise InvalidRequest(
            f"{path}: its pixel data is not in the file but with a server, {name_of(transfer_syntax)}",
            advice="Retrieve it in another transfer syntax.",
        )
    raise MissingCodec(f"{path}: no decoder is known for transfer syntax {name_of(transfer_syntax)}")


def decoders(path: str, transfer_syntax: str, form: Format) -> Iterator[tuple[str, Decoder]]:
    """What decodes frames of that syntax and format here, with the name of each, best first.

    Raises
    ------
    MissingCodec
        There is nothing; the message holds the pip line.
    """
    codec = CODECS[transfer_syntax]
    if transfer_syntax == DEFLATED_FRAMES:
        yield "zlib", _inflated
        return
    fast, none = _fast(codec.fast), True
    if fast is not None:
        none = False
        yield "imagecodecs", fast
    for plugin in codec.plugins:
        if plugin == "gdcm" and not none:
            continue  # what the others refuse is damaged, and can end the process in gdcm
        if _can(plugin, transfer_syntax, form):
            none = False
            yield plugin, _by_pydicom(plugin, transfer_syntax)
    if none:
        twelve = transfer_syntax == _JPEG + "51" and form.stored > 8
        raise MissingCodec(
            f"{path}: nothing installed decodes {name_of(transfer_syntax)}" + (" of 12 bits" if twelve else ""),
            advice=f"pip install {Codec.needs if twelve or codec is _JPEG_LS else codec.needs}",
        )


def encoder_of(transfer_syntax: str) -> str:
    """The package here that encodes that syntax: a plugin of pydicom's, or "imagecodecs" for JPEG 2000 without loss.

    GDCM is never asked: what it cannot encode ends the process.

    Raises
    ------
    MissingCodec
        There is none; the message holds the pip line.
    """
    from pydicom.pixels import get_encoder
    from pydicom.uid import UID

    for plugin in get_encoder(UID(transfer_syntax)).available_plugins:
        if plugin != "gdcm":
            return str(plugin)
    if transfer_syntax == _JPEG + "90" and _imagecodecs() is not None:
        return "imagecodecs"
    needs = "pyjpegls" if CODECS[transfer_syntax] is _JPEG_LS else "pylibjpeg pylibjpeg-openjpeg"
    raise MissingCodec(f"nothing installed encodes {name_of(transfer_syntax)}", advice=f"pip install {needs}")


def size(transfer_syntax: str, data: bytes) -> codestream.Size | None:
    """Rows, columns, samples and bits (0: not said) that a codestream says it has; None where it says nothing.

    Raises
    ------
    BadData
        It is no codestream of that kind, or cut off.
    """
    return CODECS[transfer_syntax].size(data)


def _can(plugin: str, transfer_syntax: str, form: Format) -> bool:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    if plugin not in get_decoder(UID(transfer_syntax)).available_plugins:
        return False
    if transfer_syntax == _JPEG + "51":
        return form.stored <= 8  # neither gdcm nor pillow has 12 bits
    return not (plugin == "gdcm" and CODECS[transfer_syntax] is _JPEG_LS and form.stored in (6, 7))


@lru_cache(maxsize=1)
def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError:
        return None
    return imagecodecs


def _fast(name: str) -> Decoder | None:
    library = _imagecodecs()
    if library is None or not getattr(getattr(library, name.upper(), None), "available", False):
        return None
    function = getattr(library, f"{name}_decode")
    if name == "dicomrle":
        return lambda data, form, out: _segments(function, data, form, out)
    if name == "jpeg8":
        return lambda data, form, out: function(data, **_colours(form))
    if name in ("jpeg2k", "jpegxl"):  # our threads take a frame each
        return lambda data, form, out: function(data, numthreads=1)
    return lambda data, form, out: function(data)


def _colours(form: Format) -> dict[str, str]:
    """Options that leave the colours of JPEG as they are coded."""
    if form.samples == 1:
        return {}
    space = "YCBCR" if form.photometric.startswith("YBR") else "RGB"
    return {"colorspace": space, "outcolorspace": space}


def _segments(function: Callable[..., Any], data: bytes, form: Format, out: Array | None) -> Array:
    """RLE frames are by plane whatever the header says (PS3.5 G.2)."""
    if len(data) * _RLE_RATIO < form.full:
        raise BadData(f"{len(data)} bytes of RLE are too few for a frame of {form.full}")
    values = np.empty(form.full // form.dtype.itemsize, form.dtype) if out is None or form.samples > 1 else out
    place = values.reshape(-1).view(np.uint8)
    if len(found := function(data, f"<u{form.dtype.itemsize}", out=place)) != form.full:
        raise BadData(f"the frame is {len(found)} bytes, not {form.full}")
    if form.samples == 1:
        return values.reshape(form.shape)
    return np.moveaxis(values.reshape(form.samples, form.rows, form.columns), 0, -1)


def _inflated(data: bytes, form: Format, out: Array | None) -> Array:
    """A deflated frame (PS3.5 A.4.13), never inflated beyond its size."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    values = inflate.decompress(data, form.full + 2)
    if len(values) not in (form.full, form.full + form.full % 2) or not inflate.eof:
        raise BadData(f"the deflated frame does not have the {form.full} bytes that the header says")
    stored = np.frombuffer(values, form.dtype, form.full // form.dtype.itemsize)
    if form.planar:
        return np.moveaxis(stored.reshape(form.samples, form.rows, form.columns), 0, -1)
    return stored.reshape(form.shape)


def _by_pydicom(plugin: str, transfer_syntax: str) -> Decoder:
    def decode(data: bytes, form: Format, out: Array | None) -> Array:
        from pydicom.encaps import encapsulate
        from pydicom.pixels import get_decoder
        from pydicom.uid import UID

        if plugin == "gdcm" and CODECS[transfer_syntax] in (_LOSSLESS, _LOSSY):
            codestream.sound(data)
        options: dict[str, Any] = {
            "rows": form.rows,
            "columns": form.columns,
            "samples_per_pixel": form.samples,
            "bits_allocated": form.allocated,
            "bits_stored": form.stored,
            "photometric_interpretation": form.photometric,
            "pixel_representation": int(form.signed),
            "number_of_frames": 1,
            "pixel_keyword": "PixelData",
            **({"planar_configuration": int(form.planar)} if form.samples > 1 else {}),
        }
        decoder, value = get_decoder(UID(transfer_syntax)), encapsulate([data], has_bot=False)
        array, _ = decoder.as_array(value, index=0, raw=True, decoding_plugin=plugin, **options)
        return array

    return decode


def available() -> dict[str, Sequence[str]]:
    """What decodes each transfer syntax here, by its UID: names of packages, best first."""
    form = Format(1, 1, 1, 8, 8, 7, False, "MONOCHROME2")
    found: dict[str, Sequence[str]] = {}
    for syntax in CODECS:
        try:
            found[syntax] = [name for name, _ in decoders("", syntax, form)]
        except MissingCodec:
            found[syntax] = []
    return found
