"""A volume as a matplotlib figure: slices side by side, sides of the patient, window and units."""

from __future__ import annotations

from contextlib import suppress
from numbers import Real

import numpy as np
import xarray as xr

from ..errors import GeometryError, InvalidRequest
from ..facts import Facts
from ..geometry.geometry import axis_letters
from ..readers.waveform import Waveform
from ..volumes.montage import as_volume, aspect, grey, slices_of
from ..volumes.report import Volumes
from ..volumes.windows import checked_window
from .paper import BACK, FAINT, FOOTER, INK, Picture
from .traces import traces

_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))


def view(
    volume: xr.DataArray | Waveform,
    *,
    axis: str = "z",
    slices: int = 20,
    window: tuple[float, float] | str | None = None,
    width: float = 10.0,
) -> Picture:
    """Slices of a volume side by side, with the sides of the patient, the window and the units; or a waveform.

    Parameters
    ----------
    volume
        As `load` gives it; of several volumes (time, echo, ...) the first is shown. A single plane, such as
        ``volume.isel(x=3)`` or an image without a position, is shown alone. A waveform, or one multiplex group of it
        (``ecg["RHYTHM"]``), is drawn over time, a line for each channel, in its units.
    axis
        The dimension that is laid out; of a single plane the one that is gone.
    slices
        How many at most, the same step apart; of a waveform, how many channels.
    window
        Centre and width in units of the values, or for CT in HU "lung", "bone", "soft tissue" or "brain"; None
        takes ``volume.dicom.window``.
    width
        Of the figure, inches.

    Returns
    -------
    Picture
        A matplotlib Figure, made without pyplot, so that it may be made in any thread.

    Raises
    ------
    InvalidRequest
        It is no array of a volume, has no such dimension, or there is no such window.
    """
    if isinstance(width, bool) or not isinstance(width, Real) or not 1 <= width <= 100:
        raise InvalidRequest(f"a figure of width {width!r}", advice="Give inches, such as 10.")
    if isinstance(volume, Waveform) or (isinstance(volume, xr.DataArray) and set(volume.dims) == {"channel", "time"}):
        return traces(volume, slices, window, float(width))
    if not isinstance(volume, xr.DataArray):
        raise InvalidRequest(f"view takes a volume, not {type(volume).__name__}", advice=_instead(volume))
    given = volume
    volume, axis = as_volume(volume, axis)
    chosen, ordered = slices_of(volume, axis, slices)
    centre, wide = ordered.dicom.window if window is None else checked_window(window, ordered.dicom.units)
    stretch, sides = 1.0, None
    with suppress(GeometryError):  # an image that lies nowhere in the patient
        stretch = aspect(ordered, axis)
        sides = _sides(ordered, axis)
    tall = stretch * ordered.shape[1] / ordered.shape[2]
    wanted = max(1, min(len(chosen), round(np.sqrt(len(chosen) * 1.7 * tall))))
    near = range(max(1, wanted - 1), min(len(chosen), wanted + 2) + 1)
    across = min(near, key=lambda count: (-len(chosen) % count, abs(count - wanted), -count))  # few empty places
    down = -(-len(chosen) // across)
    tile = width / across
    head, foot = 0.62, 0.34
    high = down * tile * tall + head + foot
    figure = Picture(figsize=(width, high), facecolor=BACK, dpi=110)
    inverted = volume.attrs.get("PhotometricInterpretation") == "MONOCHROME1"
    gap = 0.03
    size = max(5.5, min(9.0, tile * 4.2))
    for number, index in enumerate(chosen):
        column, line = number % across, number // across
        left, bottom = column * tile + gap / 2, foot + (down - 1 - line) * tile * tall + gap / 2
        place = (left / width, bottom / high, (tile - gap) / width, (tile * tall - gap) / high)
        axes = figure.add_axes(place)
        axes.set_axis_off()
        picture = grey(np.asarray(ordered[index].values), (centre, wide), inverted)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="bilinear")
        _write(axes, 0.03, 0.03, _place(ordered, axis, index), size, va="bottom", ha="left", color=INK)
        if sides and number == 0:
            top, bottom_side, left_side, right_side = sides
            _write(axes, 0.5, 0.985, top, size + 1, va="top", ha="center")
            _write(axes, 0.5, 0.015, bottom_side, size + 1, va="bottom", ha="center")
            _write(axes, 0.015, 0.5, left_side, size + 1, va="center", ha="left")
            _write(axes, 0.985, 0.5, right_side, size + 1, va="center", ha="right")
    top_line = 1 - 0.2 / high
    figure.text(0.012, top_line, _title(volume), color=INK, fontsize=11, va="center", weight="bold", parse_math=False)
    figure.text(0.012, 1 - 0.44 / high, _facts(given), color=FAINT, fontsize=8.5, va="center", parse_math=False)
    units = f" {volume.dicom.units}" if volume.dicom.units else ""
    said = "colour" if "channel" in volume.dims else f"window {centre:g} / {wide:g}{units}"
    figure.text(0.988, top_line, said, color=INK, fontsize=9.5, va="center", ha="right", parse_math=False)
    figure.text(0.5, 0.17 / high, FOOTER, color=FAINT, fontsize=8, va="center", ha="center")
    return figure


def _instead(thing: object) -> str:
    if isinstance(thing, Volumes):
        return f"Take one of them by its name, such as {next(iter(thing), 'a name')!r}."
    if isinstance(thing, Facts):
        return "It is no image; print it to see what it has."
    return "Write dl.view(dl.load(...))."


def _write(axes: object, x: float, y: float, text: str, size: float, *, color: str = "#ffd479", **places: str) -> None:
    """Text over a picture, readable on light and dark; a dollar sign starts no formula."""
    from matplotlib.patheffects import withStroke

    if text:
        effects = [withStroke(linewidth=1.8, foreground="black")]
        axes.text(  # type: ignore[attr-defined]
            x,
            y,
            text,
            transform=axes.transAxes,  # type: ignore[attr-defined]
            fontsize=size,
            color=color,
            path_effects=effects,
            parse_math=False,
            **places,
        )


def _sides(volume: xr.DataArray, axis: str) -> tuple[str, str, str, str]:
    """Letters at the top, bottom, left and right of a slice; a second letter where the direction is oblique."""
    volume.dicom.orientation  # noqa: B018 (raises where there are no sides of a patient)
    dims = volume.dicom.dims
    direction = volume.dicom.direction
    down, right = (direction[:, dims.index(name)] for name in dims if name != axis)

    def letters(vector: np.ndarray) -> str:
        first = axis_letters(vector)
        rest = np.array(vector, np.float64)
        rest[np.argmax(np.abs(rest))] = 0
        return first + (axis_letters(rest) if np.abs(rest).max() > 0.2 else "")

    def other(text: str) -> str:
        return "".join(_OPPOSITE[letter] for letter in text)

    return other(letters(down)), letters(down), other(letters(right)), letters(right)


def _place(volume: xr.DataArray, axis: str, index: int) -> str:
    if axis not in volume.coords or "nowhere" in volume.coords[axis].attrs:
        return ""
    return f"{axis} {float(volume.coords[axis][index]):.1f}"


def _title(volume: xr.DataArray) -> str:
    attributes = volume.attrs
    parts = [str(attributes[name]) for name in ("Modality", "SeriesNumber", "SeriesDescription") if name in attributes]
    return " ".join(parts) or "volume"


def _facts(volume: xr.DataArray) -> str:
    if "geometry" not in volume.coords:
        sizes = [f"{length} {name}" for name, length in volume.sizes.items() if name != "z" or "z" in volume.coords]
        return f"{' × '.join(sizes)}   ·   no position in the patient"
    size = " × ".join(f"{length} {name}" for name, length in volume.sizes.items())
    try:
        spacing = " × ".join(f"{step:.3g}" for step in volume.dicom.spacing) + " mm"
        axes = ", ".join(f"{name} {text}" for name, text in volume.dicom.axes.items())
    except GeometryError as error:
        return f"{size}   ·   {error.message}"
    return f"{size}   ·   {spacing}   ·   {axes}"
