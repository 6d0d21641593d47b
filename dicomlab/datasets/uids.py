"""UIDs of PS3.6 annex A: the transfer syntaxes that are asked for by name, and the names of all."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"  # retired
RLE: Final = "1.2.840.10008.1.2.5"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"  # lossless
JPEG_2000: Final = "1.2.840.10008.1.2.4.90"  # lossless
JPEG_2000_LOSSY: Final = "1.2.840.10008.1.2.4.91"
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
#: Pixels are stored as they are (PS3.5 8.2), so that the length of the pixel data is that of the values.
NATIVE: Final = frozenset((IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN))
#: Of these, those whose values stand in the file as this machine has them: they are read straight into their place.
IN_PLACE: Final = frozenset((IMPLICIT, EXPLICIT))

_NEWER = {  # than pydicom's dictionary
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    DEFLATED_FRAMES: "Deflated Image Frame Compression",
}
#: Under which roots makers number their private SOP classes.
_MAKERS = {
    "1.2.840.113619.": "GE", "1.3.12.2.1107.": "Siemens", "1.3.46.670589.": "Philips", "1.2.392.200036.9116.": "Canon",
}  # fmt: skip


def class_name(sop_class: str) -> str:
    """Name of an SOP class with its UID; of one that is not the standard's, whose it is.

    Examples
    --------
    >>> class_name("1.2.840.10008.5.1.4.1.1.2"), class_name("1.3.46.670589.11.0.0.12.1")
    ('CT Image Storage (1.2.840.10008.5.1.4.1.1.2)', 'private SOP class of Philips (1.3.46.670589.11.0.0.12.1)')
    """
    name = name_of(sop_class)
    if name != sop_class or sop_class.startswith("1.2.840.10008."):
        return name
    maker = next((f" of {maker}" for root, maker in _MAKERS.items() if sop_class.startswith(root)), "")
    return f"private SOP class{maker} ({sop_class})"


@lru_cache(maxsize=256)
def name_of(uid: str) -> str:
    """Name of a UID in PS3.6 Annex A, with the UID; the UID alone if it has none.

    Examples
    --------
    >>> name_of("1.2.840.10008.1.2.1")
    'Explicit VR Little Endian (1.2.840.10008.1.2.1)'
    """
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    name = _NEWER.get(uid) or UID(uid, IGNORE).name
    return f"{name} ({uid})" if name != uid else uid
