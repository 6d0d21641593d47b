"""The pixel data of a data set into and out of codestreams: by our own decoders, and by the encoders there are."""

from __future__ import annotations

import copy
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.multival import MultiValue
from pydicom.uid import UID

from ..amounts import counted
from ..datasets.uids import EXPLICIT, IMPLICIT, JPEG_2000, JPEG_2000_LOSSY, RLE
from ..errors import BadData, BadFile, InvalidRequest, MissingCodec
from . import decoding
from .codecs import encoder_of
from .pixels import Array, Format, check_size, tidy

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def format_of(dataset: Dataset) -> Format:
    """How the pixels of a data set in memory are stored.

    Raises
    ------
    BadData
        Its image attributes are absent or contradict each other.
    """
    try:
        numbers = [int(dataset[name].value) for name in ("Rows", "Columns", "BitsAllocated", "BitsStored")]
        rows, columns, allocated, stored = numbers
        samples = int(dataset.get("SamplesPerPixel", 1) or 1)
        high, signed = int(dataset.get("HighBit", stored - 1)), int(dataset.get("PixelRepresentation", 0) or 0)
        photometric = str(dataset.get("PhotometricInterpretation", ""))
        planar = samples > 1 and int(dataset.get("PlanarConfiguration", 0) or 0) == 1
    except (KeyError, TypeError, ValueError) as error:
        raise BadData(f"it does not say how its pixels are stored ({error})") from None
    form = Format(rows, columns, samples, allocated, stored, high, signed == 1, photometric, planar)
    if why := form.check():
        raise BadData(why)
    return form


def frames(dataset: Dataset, syntax: str, *, clean: bool = True) -> list[Array]:
    """The values of each frame of compressed pixel data; without `clean`, with what is in the bits that are not used.

    Raises
    ------
    BadData
        They cannot be decoded.
    MissingCodec
        No package here does.
    """
    from pydicom.encaps import generate_frames

    form = format_of(dataset)
    try:
        count = int(dataset.get("NumberOfFrames", 1) or 1)
        streams = list(generate_frames(dataset.PixelData, number_of_frames=count))
    except Exception as error:  # pydicom raises anything on broken fragments
        raise BadData(f"its pixel data cannot be taken apart: {' '.join(str(error).split())}") from None
    if len(streams) != count:
        raise BadData(f"its pixel data has {counted(len(streams), 'frame')}, NumberOfFrames is {count}")
    try:
        check_size(form.full * count)
        found = [decoding.frame("", syntax, form, data, at, count) for at, data in enumerate(streams)]
        return [tidy(one, form) for one in found] if clean else found
    except BadFile as error:
        raise BadData(error.why) from None
    except InvalidRequest as error:
        raise BadData(error.message.removeprefix(": ")) from None
    except MissingCodec as error:
        raise MissingCodec(error.message.removeprefix(": "), advice=error.advice) from None


def unpack(dataset: Dataset, syntax: str) -> None:
    """Replace the pixel data of a data set by the same without compression, colours as they are coded.

    Raises
    ------
    BadData, MissingCodec
        As `frames`.
    """
    form = format_of(dataset)
    values = b"".join(one.tobytes() for one in frames(dataset, syntax, clean=syntax != RLE))  # it may hold overlays
    element = copy.copy(dataset["PixelData"])
    element.value = values + b"\0" * (len(values) % 2)
    element.VR = "OW" if form.allocated > 8 else "OB"
    element.is_undefined_length = False
    dataset["PixelData"] = element
    dataset.PhotometricInterpretation = decoding.photometric(syntax, form)
    if form.samples > 1:
        dataset.PlanarConfiguration = 0
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):  # of the fragments that are gone
        if name in dataset:
            delattr(dataset, name)


def pack(dataset: Dataset, target: str, **options: Any) -> None:
    """Replace native little-endian pixel data by the same in another transfer syntax.

    Raises
    ------
    MissingCodec
        Nothing here encodes it.
    """
    dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    plugin = encoder_of(target)
    if plugin == "imagecodecs":
        _jpeg_2000(dataset)
    else:
        dataset.compress(UID(target), encoding_plugin=plugin, generate_instance_uid=False, **options)


def _jpeg_2000(dataset: Dataset) -> None:
    """Without loss, by imagecodecs; colours stay as they are."""
    import imagecodecs
    from pydicom.encaps import encapsulate
    from pydicom.pixels import pixel_array

    form = format_of(dataset)
    values = pixel_array(dataset, raw=True).reshape(-1, *form.shape)
    streams = [
        bytes(
            imagecodecs.jpeg2k_encode(
                np.ascontiguousarray(one), 0, codecformat="j2k", bitspersample=form.stored, reversible=True, mct=False
            )
        )
        for one in values
    ]
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    if form.samples > 1:
        dataset.PlanarConfiguration = 0
    dataset.file_meta.TransferSyntaxUID = UID(JPEG_2000)


def lossy(dataset: Dataset, syntax: str, ratio: float) -> Dataset:
    """A copy of an image as JPEG 2000 with loss: an instance of its own, which says so (PS3.3 C.7.6.1.1.5).

    Parameters
    ----------
    ratio
        Bytes of the pixels to those of the codestreams, about. The same image and ratio give the same SOP Instance UID.

    Raises
    ------
    BadData
        Its pixels are no shades or colours that may be changed a little, or cannot be decoded or encoded.
    MissingCodec
        Nothing here encodes or decodes it.
    """
    from pydicom.dataset import Dataset as Item
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import generate_frames

    form = format_of(dataset)
    if form.palette or form.allocated == 1:
        raise BadData("pixels that are places in a palette, or single bits, take no lossy compression")
    made = copy.deepcopy(dataset)
    made.file_meta = FileMetaDataset()
    if syntax not in (EXPLICIT, IMPLICIT):
        unpack(made, syntax)
    size = len(made.PixelData)
    pack(made, JPEG_2000_LOSSY, j2k_cr=[ratio])
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    reached = size / sum(len(one) for one in generate_frames(made.PixelData, number_of_frames=count))
    source = Item()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    made.SOPInstanceUID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{dataset.SOPInstanceUID} {ratio:g}').int}"
    made.SourceImageSequence = [source]
    made.DerivationDescription = f"JPEG 2000 with loss, {reached:.1f} to 1"
    made.ImageType = ["DERIVED", *list(dataset.get("ImageType") or ["", "PRIMARY"])[1:]]
    made.LossyImageCompression = "01"
    for name, value in (("Ratio", f"{reached:.2f}"), ("Method", "ISO_15444_1")):
        before = dataset.get(f"LossyImageCompression{name}")
        several = list(before) if isinstance(before, list | MultiValue) else [before] if before else []
        setattr(made, f"LossyImageCompression{name}", [*several, value])
    return made
