"""Private attributes that readers need: where they are, who made the block, and how they are encoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

from .values import typed

_ASCII: Final = (("ascii",), True)


@dataclass(frozen=True)
class Private:
    """A private attribute in its usual block (PS3.5 7.8.1)."""

    tag: int
    creator: str  # how the creator of the block begins
    vr: str  # where the file does not say

    @property
    def block(self) -> int:
        """Tag of the element that names the creator."""
        return self.tag & 0xFFFF0000 | self.tag >> 8 & 0xFF

    def of(self, creator: Any, value: Any) -> tuple[Any, ...]:
        """The values, by what the header gives for the creator and the attribute; () where it is none.

        Examples
        --------
        >>> Private(0x0019100C, "SIEMENS MR HEADER", "IS").of("SIEMENS MR HEADER", b"1000")
        (1000,)
        """
        if value is None or not isinstance(creator, str) or not creator.startswith(self.creator):
            return ()
        if isinstance(value, bytes):  # UN
            try:
                value = typed(self.vr, value, _ASCII)
            except (ValueError, struct.error, OverflowError):
                return ()
        return value if isinstance(value, tuple) else (value,)


#: b-value in s/mm2, where (0018,9087) is absent.
SIEMENS_B = Private(0x0019100C, "SIEMENS MR HEADER", "IS")
GE_B = Private(0x00431039, "GEMS_PARM_01", "IS")  # the first of four; the scanner adds multiples of 100 000 to it
PHILIPS_B = Private(0x20011003, "Philips Imaging DD 001", "FL")
UIH_B = Private(0x00651009, "Image Private Header", "FD")
#: Direction of the diffusion gradient, where (0018,9089) is absent.
SIEMENS_G = Private(0x0019100E, "SIEMENS MR HEADER", "FD")  # in the patient
PHILIPS_G = tuple(Private(0x200510B0 + axis, "Philips MR Imaging DD 001", "FL") for axis in range(3))  # in the patient
UIH_G = Private(0x00651037, "Image Private Header", "FD")  # along the rows, the columns and the normal of the image
GE_TYPE = Private(0x0043102F, "GEMS_PARM_01", "SS")  # 0 magnitude, 1 phase, 2 real, 3 imaginary
#: UIH's planes tiled into one image: their number, and a sequence that says where each lies.
UIH_TILES = Private(0x00651050, "Image Private Header", "DS")
UIH_FRAMES = 0x00651051
SIEMENS_TILES = Private(0x0019100A, "SIEMENS MR HEADER", "US")

_ALL = (SIEMENS_B, GE_B, PHILIPS_B, UIH_B, SIEMENS_G, *PHILIPS_G, UIH_G, GE_TYPE, UIH_TILES, SIEMENS_TILES)
TAGS: Final = frozenset(tag for one in _ALL for tag in (one.tag, one.block))
