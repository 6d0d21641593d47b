"""One image as it goes to a printer, and what may be done to it: smaller, grey, in colour, with a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..amounts import counted
from ..errors import InvalidRequest


@dataclass(frozen=True, eq=False)
class Rendered:
    """One image as it goes to a printer."""

    pixels: NDArray[np.unsignedinteger]  # (rows, columns) uint8, of 12 bits uint16; or (rows, columns, 3) uint8
    bits: int  # 8 or 12
    photometric: str  # "MONOCHROME2", "MONOCHROME1" or "RGB"
    aspect: tuple[int, int]  # height and width of a pixel, as PixelAspectRatio (0028,0034) has them
    label: str = ""  # what it is an image of
    place: str = ""  # which image of that it is, such as "z -62.0"
    window: tuple[float, float] | None = None  # centre and width it was looked at through
    lut: str = ""  # "VOI LUT" or "SIGMOID" where that was applied
    clipped: float = 0.0  # of its values, the part outside the window
    changed: str = ""  # what else was done, "" for nothing

    @property
    def name(self) -> str:
        """What it is, and which image of that."""
        return ", ".join(filter(None, (self.label, self.place)))

    @property
    def colour(self) -> bool:
        """Whether it is RGB."""
        return self.pixels.ndim == 3


def in_grey(one: Rendered) -> Rendered:
    """A colour image in grey, as ITU-R 601 weighs the colours; one in grey as it is."""
    from PIL import Image

    if not one.colour:
        return one
    pixels = np.asarray(Image.fromarray(one.pixels).convert("L"))
    return replace(one, pixels=pixels, photometric="MONOCHROME2", changed=_and(one.changed, "colour to grey"))


def in_colour(one: Rendered) -> Rendered:
    """A grey image as RGB of 8 bits; one in colour as it is."""
    if one.colour:
        return one
    pixels = as_shown(one)
    made = np.repeat(pixels[..., np.newaxis], 3, axis=-1)
    return replace(one, pixels=made, bits=8, photometric="RGB")


def as_shown(one: Rendered) -> NDArray[np.uint8]:
    """Its pixels as they look: 8 bits, 0 is black; (rows, columns), of colour with 3 behind."""
    if one.colour:
        return one.pixels.astype(np.uint8)
    pixels = np.round(one.pixels / (2**one.bits - 1) * 255).astype(np.uint8)
    return 255 - pixels if one.photometric == "MONOCHROME1" else pixels


def _and(before: str, more: str) -> str:
    return f"{before}, {more}" if before else more


def shrunk(one: Rendered, largest: int | None) -> Rendered:
    """The image with at most so many rows and columns."""
    from PIL import Image

    rows, columns = one.pixels.shape[:2]
    if largest is None or max(rows, columns) <= largest:
        return one
    scale = largest / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    if one.colour or one.bits == 8:
        pixels: Any = np.asarray(Image.fromarray(one.pixels).resize(size, Image.Resampling.BILINEAR))
    else:
        real = Image.fromarray(one.pixels.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        pixels = np.round(np.asarray(real)).astype(np.uint16)
    said = f"scaled from {rows} x {columns} to {size[1]} x {size[0]}"
    return replace(one, pixels=pixels, changed=_and(one.changed, said))


def turned(one: Rendered, photometric: str) -> Rendered:
    """The same image in the other sense of grey."""
    if one.colour or one.photometric == photometric:
        return one
    return replace(one, pixels=(2**one.bits - 1 - one.pixels).astype(one.pixels.dtype), photometric=photometric)


def texts(text: Any, found: list[Rendered]) -> list[str]:
    """The text that is burned into each image, "" for none."""
    if text is None or text is False:
        return [""] * len(found)
    if text is True:
        return [one.place for one in found]
    if isinstance(text, str) or not isinstance(text, Iterable):
        raise InvalidRequest(f"text={text!r}", advice="Give True for the place of each slice, or one text an image.")
    words = [str(one) for one in text]
    if len(words) != len(found):
        raise InvalidRequest(
            f"{counted(len(words), 'text')} for {counted(len(found), 'image')}", advice="Give one text for each image."
        )
    return words


def written(one: Rendered, words: str) -> Rendered:
    """The image with a text burned in at its lower left."""
    from PIL import Image, ImageDraw, ImageFont

    if not words:
        return one
    rows, columns = one.pixels.shape[:2]
    font = ImageFont.load_default(max(8, rows // 24))
    place = (max(2, columns // 64), rows - max(2, rows // 64))
    pixels = one.pixels.copy()
    for edge, shade in ((1, 0), (0, 255 if one.colour else 2**one.bits - 1)):  # white, with a dark edge
        sheet = Image.new("L", (columns, rows), 0)
        ImageDraw.Draw(sheet).text(place, words, 255, font, anchor="ld", stroke_width=edge)
        pixels[np.asarray(sheet) > 96] = shade
    return replace(one, pixels=pixels, changed=_and(one.changed, "text burned in"))
