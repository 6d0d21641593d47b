"""Lookup tables of a header: modality LUT and palette, each with its first stored value (PS3.3 C.11.1, C.7.6.3.1.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..datasets.elements import Elements, tag_of
from ..errors import BadData
from .pixels import Array, Format, smallest

_COLOURS = ("Red", "Green", "Blue")
#: What a header must keep for a palette.
PALETTE = (
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _COLOURS),
)
_DESCRIPTOR = tag_of(PALETTE[0])


@dataclass(frozen=True, eq=False)
class Lookup:
    """A table of modality values, or of colours."""

    first: int  # the stored value of the first entry; smaller ones have that, greater ones the last
    table: Array  # (entries,), or (entries, 3) red, green, blue

    def of(self, stored: Array) -> Array:
        """The entries of stored values."""
        place = stored.astype(np.int64) - self.first if self.first else stored
        return self.table[np.clip(place, 0, len(self.table) - 1)]


def has_palette(header: Elements) -> bool:
    """Whether it has the tables of a palette."""
    return _DESCRIPTOR in header


def lookup(header: Elements, form: Format) -> Lookup:
    """The palette where the pixels are PALETTE COLOR, else the modality LUT.

    Raises
    ------
    BadData
        The table is damaged.
    """
    if form.palette:
        count, first, _ = _descriptor(header, PALETTE[0], form)
        return Lookup(first, _palette(header, count))
    items = header.items("ModalityLUTSequence")
    if not items:
        raise BadData("ModalityLUTSequence is empty", tag="00283000")
    count, first, bits = _descriptor(items[0], "LUTDescriptor", form)
    data = np.frombuffer(items[0].raw.get(tag_of("LUTData"), ("US", b""))[1], np.uint8)
    values = data[:count] if bits == 8 and len(data) < 2 * count else data[: len(data) // 2 * 2].view("<u2")[:count]
    if not len(values):
        raise BadData("LUTData is empty", tag="00283006")
    return Lookup(first, values.astype(smallest(int(values.min()), int(values.max()))))


def _descriptor(header: Elements, keyword: str, form: Format) -> tuple[int, int, int]:
    """Entries, stored value of the first, bits of each."""
    value: Any = header.get(keyword)
    if not isinstance(value, tuple) or len(value) != 3 or not all(isinstance(part, int) for part in value):
        raise BadData(f"{keyword} is {value}", tag=f"{tag_of(keyword):08X}")
    count, first, bits = value
    # The first is signed where the pixels are, whatever its VR: PS3.3 C.11.1.1.
    return count & 0xFFFF or 65536, ((first & 0xFFFF) ^ 0x8000) - 0x8000 if form.signed else first & 0xFFFF, bits


def _palette(header: Elements, count: int) -> Array:
    """(entries, 3) uint8 or uint16."""
    plain = [header.raw.get(tag_of(keyword), ("OW", b""))[1] for keyword in PALETTE[3:6]]
    if not any(plain):
        return _segmented(header, count)
    if min(map(len, plain)) < count:
        raise BadData(f"a palette of {count} colours has {min(map(len, plain))} bytes", tag="00281201")
    # 8-bit entries are written a byte or two bytes each; an odd number of bytes is padded.
    kind = "<u2" if min(map(len, plain)) >= 2 * count else "u1"
    return np.stack([np.frombuffer(data, kind, count) for data in plain], axis=-1)


def _segmented(header: Elements, count: int) -> Array:
    """The same of segmented tables, which pydicom expands (PS3.3 C.7.9.2)."""
    from pydicom.pixels import apply_color_lut

    wanted = {tag_of(keyword) for keyword in PALETTE}
    alone = Elements({tag: header.raw[tag] for tag in wanted & set(header.raw)}, header.implicit)
    try:
        dataset = alone.dataset()
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "PALETTE COLOR", 0
        for keyword in PALETTE[:3]:
            dataset[keyword].value = [count & 0xFFFF, 0, dataset[keyword].value[2]]
        return np.asarray(apply_color_lut(np.arange(count, dtype=np.uint32), dataset))
    except Exception as error:  # pydicom raises what it meets
        raise BadData(f"the palette cannot be read: {error}", tag="00281101") from error
