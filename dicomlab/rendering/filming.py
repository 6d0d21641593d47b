"""Films: images on pages as a DICOM printer lays them out, to look at before they are printed."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidRequest, did_you_mean
from ..facts import Facts
from .filmlayout import Layout, film_size
from .rendered import Rendered, as_shown, in_colour, in_grey
from .rendering import render

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

LIMIT = 20  # films of one call that need no limit=
#: Attributes that may be given, by what they are of (SPEC 9).
SESSION = (
    "NumberOfCopies", "PrintPriority", "MediumType", "FilmDestination", "FilmSessionLabel", "MemoryAllocation",
    "OwnerID",
)  # fmt: skip
BOX = (
    "AnnotationDisplayFormatID", "FilmOrientation", "FilmSizeID", "MagnificationType", "SmoothingType",
    "BorderDensity", "EmptyImageDensity", "MinDensity", "MaxDensity", "Trim", "ConfigurationInformation",
    "Illumination", "ReflectedAmbientLight", "RequestedResolutionID",
)  # fmt: skip
IMAGE = ("Polarity", "RequestedImageSize", "RequestedDecimateCropBehavior")
#: Those that the standard has a closed list of values for.
_VALUES = {
    "PrintPriority": ("HIGH", "MED", "LOW"),
    "FilmOrientation": ("PORTRAIT", "LANDSCAPE"),
    "Polarity": ("NORMAL", "REVERSE"),
    "Trim": ("YES", "NO"),
    "RequestedDecimateCropBehavior": ("DECIMATE", "CROP", "FAIL"),
}


@dataclass(frozen=True, repr=False, eq=False)
class Film(Facts):
    """Images on pages, ready to be printed; made by `film`.

    Attributes
    ----------
    layout
        The image boxes of each page.
    images
        The images in the order of the boxes, page after page.
    attributes
        Of the film session, the film boxes and the image boxes, by keyword.
    annotation
        Texts for the annotation boxes of each page.
    colour
        Whether a colour printer is needed.
    """

    layout: Layout
    images: tuple[Rendered, ...]
    attributes: Mapping[str, Any]
    annotation: tuple[str, ...] = ()

    @property
    def colour(self) -> bool:
        """Whether it is printed in colour."""
        return any(one.colour for one in self.images)

    @property
    def pages(self) -> list[tuple[Rendered, ...]]:
        """The images of each page; the last may leave boxes empty."""
        room = len(self.layout.boxes)
        return [self.images[at : at + room] for at in range(0, len(self.images), room)]

    def of(self, keywords: Sequence[str]) -> dict[str, Any]:
        """The attributes among those keywords that were given."""
        return {keyword: self.attributes[keyword] for keyword in keywords if keyword in self.attributes}

    @property
    def table(self) -> pd.DataFrame:
        """One row an image: where it goes, what it is, and what was done to it.

        Columns page and position (from 1), image, rows, columns, bits, photometric, centre and width of its window,
        lut, clipped (the part of its values outside the window) and changed.
        """
        import pandas as pd

        room = len(self.layout.boxes)
        rows = [
            {
                "page": number // room + 1,
                "position": number % room + 1,
                "image": one.name,
                "rows": one.pixels.shape[0],
                "columns": one.pixels.shape[1],
                "bits": one.bits,
                "photometric": one.photometric,
                "centre": one.window[0] if one.window else np.nan,
                "width": one.window[1] if one.window else np.nan,
                "lut": one.lut,
                "clipped": round(one.clipped, 4),
                "changed": one.changed,
            }
            for number, one in enumerate(self.images)
        ]
        return pd.DataFrame(rows).astype(dict.fromkeys(("image", "photometric", "lut", "changed"), "string"))

    def preview(self, page: int = 1, *, width: int = 800) -> Image:
        """What a page will look like; the printer's own calibration is not known here.

        Parameters
        ----------
        page
            From 1.
        width
            Of the picture, pixels.

        Returns
        -------
        PIL.Image.Image
            Mode "L", or "RGB" in colour.

        Examples
        --------
        >>> import numpy as np
        >>> film(np.full((4, 4), 7.0), window=(5, 10), layout="2x1").preview(width=200).size
        (200, 243)
        """
        from PIL import Image

        pages = self.pages
        if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= len(pages):
            raise InvalidRequest(f"there is no page {page!r}", advice=f"The film has pages 1 to {len(pages)}.")
        if isinstance(width, bool) or not isinstance(width, int) or not 16 <= width <= 20_000:
            raise InvalidRequest(f"a preview of width {width!r}", advice="Give pixels, such as 800.")
        wide, high = film_size(*(str(self.attributes.get(name, "")) for name in ("FilmSizeID", "FilmOrientation")))
        mode = "RGB" if self.colour else "L"
        sheet = Image.new(mode, (width, round(width * high / wide)), _density(self.attributes.get("BorderDensity")))
        foot = self._foot(sheet) if self.annotation else 0
        empty = _density(self.attributes.get("EmptyImageDensity"))
        for number, box in enumerate(self.layout.boxes):
            place = _place(box, sheet.width, sheet.height - foot)
            sheet.paste(Image.new(mode, (place[2], place[3]), empty), place[:2])
            if number < len(pages[page - 1]):
                self._lay(sheet, pages[page - 1][number], place)
        return sheet

    def _lay(self, sheet: Image, one: Rendered, place: tuple[int, int, int, int]) -> None:
        """One image into its box, as large as it fits, its pixels as tall as they are."""
        from PIL import Image

        pixels = as_shown(one)
        if self.attributes.get("Polarity") == "REVERSE":
            pixels = 255 - pixels
        left, top, wide, high = place
        tall = one.aspect[0] / one.aspect[1] * pixels.shape[0] / pixels.shape[1]
        across, down = (wide, max(1, round(wide * tall))) if wide * tall <= high else (max(1, round(high / tall)), high)
        smooth = Image.Resampling.NEAREST if self._replicates else Image.Resampling.BILINEAR
        picture = Image.fromarray(pixels).resize((across, down), smooth)
        sheet.paste(picture, (left + (wide - across) // 2, top + (high - down) // 2))

    @property
    def _replicates(self) -> bool:
        return self.attributes.get("MagnificationType") in ("REPLICATE", "NONE")

    def _foot(self, sheet: Image) -> int:
        """Write the annotation at the foot of the page; its height in pixels. Where it goes is the printer's choice."""
        from PIL import ImageDraw, ImageFont

        size = max(10, sheet.width // 50)
        foot = round(1.4 * size * len(self.annotation)) + size // 2
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
        for number, text in enumerate(self.annotation):
            draw.text((size, sheet.height - foot + round(1.4 * size * number)), text, _white(sheet), font)
        return foot

    def facts(self) -> Iterable[tuple[str, str]]:
        """How much there is on how many pages, and what was done to it."""
        count, pages = len(self.images), len(self.pages)
        yield "film", f"{count:,} image{'s' * (count != 1)} on {pages:,} page{'s' * (pages != 1)}"
        yield "layout", self.layout.display_format.replace("\\", " ")
        yield "kind", "colour" if self.colour else f"grayscale, {self.images[0].bits} bits"
        yield "clipped", "; ".join(_clipped(self.images))
        yield "changed", ", ".join(dict.fromkeys(one.changed for one in self.images if one.changed))
        yield "annotation", " / ".join(self.annotation)
        yield "attributes", ", ".join(f"{name} {value}" for name, value in self.attributes.items())

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.preview(width=500).save(out, "PNG")
        return out.getvalue()


def film(
    what: Any,
    layout: Any = None,
    *,
    axis: str = "z",
    every: int = 1,
    window: Any = None,
    bits: int = 8,
    photometric: str = "MONOCHROME2",
    colour: bool | None = None,
    text: Any = None,
    largest: int | None = None,
    annotation: str | Sequence[str] = (),
    limit: int | None = None,
    **attributes: Any,
) -> Film:
    """Images on films, to look at (``.preview()``, ``.table``) and to give to ``peer.print``.

    Parameters
    ----------
    what
        A volume, or an array (rows, columns), (slices, rows, columns), or unsigned with 3 colours behind; a table with
        a column ``path``, paths, pydicom data sets; or several of these, in their order.
    layout
        "3x4" for 3 columns and 4 rows, ``"ROW\\\\2,1"``, ``"COL\\\\1,3"``; None takes a usual one that fits.
    axis
        Of volumes, the dimension across which the slices lie.
    every
        1 for each slice, 3 for each third.
    window
        Centre and width, or a preset of CT such as "lung"; None takes the VOI LUT or window of each instance, and
        of an array ``volume.dicom.window``.
    bits
        Of grey pixels, 8 or 12.
    photometric
        "MONOCHROME2", or "MONOCHROME1" for a printer that takes 0 as white.
    colour
        True for a colour printer, False for grey (colour images are then made grey); None by the images.
    text
        Burnt into the images: None for nothing, True for the place of each slice, or one text an image.
    largest
        Rows or columns above which an image is made smaller before it is sent.
    annotation
        Texts for the annotation boxes of each film; needs AnnotationDisplayFormatID.
    limit
        How many films there may be, above 20.
    **attributes
        Of film session, film box and image box by their keywords: FilmSizeID, FilmOrientation, MediumType,
        NumberOfCopies, Polarity, Trim, ...

    Returns
    -------
    Film

    Raises
    ------
    InvalidRequest
        Nothing is selected, something is no image, or there are more films than `limit`.

    Examples
    --------
    >>> import numpy as np
    >>> film(np.zeros((10, 64, 64)), "2x2", window=(0, 1), every=2)
    Film
      film           5 images on 2 pages
      layout         STANDARD 2,2
      kind           grayscale, 8 bits
    """
    texts = (annotation,) if isinstance(annotation, str) else tuple(map(str, annotation))
    checked(attributes, bool(texts))
    images = render(
        what, axis=axis, every=every, window=window, bits=bits, photometric=photometric, text=text, largest=largest
    )
    if colour is False:
        images = [in_grey(one) for one in images]
    elif colour or any(one.colour for one in images):
        images = [in_colour(one) for one in images]
    made = Film(Layout.of(layout, len(images)), tuple(images), attributes, texts)
    most, count = LIMIT if limit is None else limit, len(made.pages)
    if count > most:
        room = len(made.layout.boxes)
        fewer = -(-len(images) // (max(1, most) * room)) * every
        raise InvalidRequest(
            f"{len(images):,} images, {room} a page, make {count:,} films, more than {most:,}",
            advice=f"Choose a larger layout or fewer slices (every={fewer}), or allow them with limit={count}.",
        )
    return made


def checked(attributes: Mapping[str, Any], annotated: bool = False) -> None:
    """Refuse what is no attribute of a print, or no value of it.

    Raises
    ------
    InvalidRequest
        The message names it.
    """
    known = (*SESSION, *BOX, *IMAGE)
    for name, value in attributes.items():
        if name not in known:
            raise InvalidRequest(
                f"{name} is no attribute of a print{did_you_mean(name, known)}",
                advice=f"There are {', '.join(known)}.",
            )
        values = _VALUES.get(name)
        if values and value not in values:
            raise InvalidRequest(f"{name}={value!r}", advice=f"It is one of {', '.join(values)}.")
        _check_value(name, value)
    if annotated and not attributes.get("AnnotationDisplayFormatID"):
        raise InvalidRequest(
            "annotation needs AnnotationDisplayFormatID, by which the printer makes boxes for it",
            advice="The printer's conformance statement lists its values.",
        )


_RULES = {
    "CS": 'up to 16 capitals, digits, spaces and _, such as FilmSizeID="14INX17IN"',
    "IS": "a whole number",
    "US": "a whole number below 65,536",
}


def _check_value(name: str, value: Any) -> None:
    """Refuse what the standard does not allow as a value of an attribute."""
    from pydicom import config
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import DataElement

    kind = dictionary_VR(name)
    try:
        DataElement(tag_for_keyword(name) or 0, kind, value, validation_mode=config.RAISE)
    except Exception as error:  # pydicom raises anything on a value that does not fit
        raise InvalidRequest(
            f"{name}={value!r} is no value of it: {_short(error)}", advice=f"It is {_RULES.get(kind, 'text')}."
        ) from None


def _short(error: Exception) -> str:
    """What pydicom says, without its address of the standard."""
    return str(error).split(" Please see")[0].rstrip(".")


def _clipped(images: Sequence[Rendered]) -> list[str]:
    parts = [one.clipped for one in images if one.clipped >= 0.0005]
    many = f"{len(parts)} of {len(images)} images"
    return [f"values outside the window in {many}, up to {max(parts):.1%} of one"] if parts else []


def _density(value: Any) -> Any:
    """How a density looks: WHITE, or a number in hundredths of optical density."""
    text = str(value or "BLACK").upper()
    if text == "WHITE":
        return "white"
    grey = round(255 * 10 ** (-int(text) / 100)) if text.isdecimal() else 0
    return f"rgb({grey},{grey},{grey})"


def _white(sheet: Image) -> Any:
    """Of a light border the ink is black."""
    corner = sheet.getpixel((0, 0))
    first = corner[0] if isinstance(corner, tuple) else corner
    return "black" if isinstance(first, int | float) and first > 127 else "white"


def _place(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """A box in pixels: left, top, width, height, a little apart from its neighbours."""
    gap = max(1, width // 200)
    left, top, wide, high = box
    start, end = round(left * width) + gap, round((left + wide) * width) - gap
    above, below = round(top * height) + gap, round((top + high) * height) - gap
    return start, above, max(1, end - start), max(1, below - above)
