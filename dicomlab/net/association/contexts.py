"""Which SOP classes and transfer syntaxes are proposed; the limit of 128 contexts (PS3.8 9.3.2.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from ...datasets.uids import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG_2000, JPEG_2000_LOSSY, JPEG_LS, RLE

LIMIT = 128  # ids are the odd numbers 1 to 255

VERIFICATION = "1.2.840.10008.1.1"

#: What we can keep, most likely first; the order in which contexts are given out when they are scarce.
STORABLE = (
    EXPLICIT,
    IMPLICIT,
    JPEG_2000,
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first order
    JPEG_LS,
    RLE,
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    JPEG_2000_LOSSY,
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near lossless
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    DEFLATED,
    BIG_ENDIAN,
    "1.2.840.10008.1.2.4.100",  # MPEG2 main profile
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC/H.264 high profile
    "1.2.840.10008.1.2.4.103",  # ... BD-compatible
    "1.2.840.10008.1.2.4.107",  # HEVC/H.265 main profile
)


class Context(NamedTuple):
    """One presentation context as proposed: one abstract syntax and the transfer syntaxes offered for it."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


def preferred(first: Sequence[str]) -> tuple[str, ...]:
    """`STORABLE` with those transfer syntaxes first (R1.6).

    Examples
    --------
    >>> preferred([IMPLICIT])[:2] == (IMPLICIT, EXPLICIT)
    True
    """
    return tuple(dict.fromkeys((*first, *STORABLE)))


def query(model: str) -> list[Context]:
    """The context of a C-FIND, C-MOVE or C-GET model; identifiers may come in either encoding (R1.7)."""
    return [Context(model, (EXPLICIT, IMPLICIT))]


def _priority(name: str) -> int:
    """Place of a storage class among all: the everyday ones first, by their keyword in PS3.6."""
    order = (
        "CTImageStorage", "MRImageStorage", "EnhancedCTImageStorage", "EnhancedMRImageStorage",
        "PositronEmissionTomographyImageStorage", "SecondaryCaptureImageStorage",
        "ComputedRadiographyImageStorage", "DigitalXRayImageStorageForPresentation",
        "DigitalMammographyXRayImageStorageForPresentation", "UltrasoundImageStorage",
        "UltrasoundMultiFrameImageStorage", "NuclearMedicineImageStorage", "XRayAngiographicImageStorage",
        "SegmentationStorage", "RTStructureSetStorage", "RTDoseStorage", "RTPlanStorage", "RTImageStorage",
        "EnhancedSRStorage", "ComprehensiveSRStorage", "BasicTextSRStorage", "XRayRadiationDoseSRStorage",
        "KeyObjectSelectionDocumentStorage", "GrayscaleSoftcopyPresentationStateStorage",
        "EncapsulatedPDFStorage", "RawDataStorage",
    )  # fmt: skip
    return order.index(name) if name in order else len(order)


@cache
def storage_classes() -> tuple[str, ...]:
    """UIDs of every storage SOP class that pynetdicom knows, the everyday ones first."""
    from pynetdicom.sop_class import _STORAGE_CLASSES

    named = sorted(_STORAGE_CLASSES.items(), key=lambda item: (_priority(item[0]), item[0]))
    return tuple(dict.fromkeys(str(uid) for _, uid in named))


_MODALITIES = {
    "CT": ("CTImageStorage", "EnhancedCTImageStorage", "LegacyConvertedEnhancedCTImageStorage"),
    "MR": ("MRImageStorage", "EnhancedMRImageStorage", "EnhancedMRColorImageStorage", "MRSpectroscopyStorage"),
    "PT": ("PositronEmissionTomographyImageStorage", "EnhancedPETImageStorage"),
    "SEG": ("SegmentationStorage", "SurfaceSegmentationStorage"),
    "RTSTRUCT": ("RTStructureSetStorage",),
    "RTDOSE": ("RTDoseStorage",),
    "RTPLAN": ("RTPlanStorage", "RTIonPlanStorage"),
}


def classes_of(modalities: Sequence[str]) -> list[str] | None:
    """Storage classes of series of those modalities; None where a modality says too little."""
    from pynetdicom.sop_class import _STORAGE_CLASSES

    if not modalities or any(name not in _MODALITIES for name in modalities):
        return None
    names = [name for modality in modalities for name in _MODALITIES[modality]]
    names += ["SecondaryCaptureImageStorage", "RawDataStorage"]
    return [str(_STORAGE_CLASSES[name]) for name in names if name in _STORAGE_CLASSES]


def storage_batches(classes: Sequence[str], room: int, syntaxes: Sequence[str] = STORABLE) -> Iterator[list[Context]]:
    """Contexts to receive those classes in, one transfer syntax each, in batches for one association.

    Few classes get every syntax at once. Many get the two uncompressed ones in each batch and the others in
    later batches, which are needed only while something is missing (R1.6, R1.7, R5.6).

    Parameters
    ----------
    classes
        Storage SOP class UIDs, most likely first.
    room
        Contexts that one association has left, at most 127 beside a GET context.
    syntaxes
        Transfer syntax UIDs, most likely first.

    Examples
    --------
    >>> [len(batch) for batch in storage_batches(["1.2", "1.3"], 127)]
    [40]
    """
    if len(classes) * len(syntaxes) <= room:
        rounds = [tuple(syntaxes)]
    else:
        rounds = [tuple(syntaxes[:2])] + [tuple(syntaxes[at : at + 6]) for at in range(2, len(syntaxes), 6)]
    for wanted in rounds:
        if not wanted:
            continue
        width = max(1, room // len(wanted))
        for at in range(0, len(classes), width):
            yield [Context(uid, (syntax,)) for uid in classes[at : at + width] for syntax in wanted]
