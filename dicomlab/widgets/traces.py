"""A waveform as a matplotlib figure: its channels under each other over time, each in its units."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InvalidRequest
from ..readers.waveform import Waveform
from .paper import BACK, FAINT, FOOTER, INK, Picture

_LINE = "#7fd1ae"
_BINS = 2000  # along the time axis: of more samples the least and the greatest of each bin are drawn


def traces(waveform: Waveform | xr.DataArray, channels: int, window: object, width: float) -> Picture:
    """The channels of a multiplex group, of several the first; see `view`.

    Channels of the same units have the same scale.

    Raises
    ------
    InvalidRequest
        It has no samples, or the number of channels or the window is none.
    """
    if window is not None:
        raise InvalidRequest("a waveform has no window", advice="Leave out window=.")
    if isinstance(channels, bool) or not isinstance(channels, Integral) or channels < 1:
        raise InvalidRequest(f"{channels!r} channels cannot be shown", advice="Give a whole number from 1 upwards.")
    group, others = _group(waveform)
    group = group.transpose("channel", "time")
    if not group.size:
        raise InvalidRequest("nothing is selected: the waveform has no samples left", advice="Look at its coordinates.")
    shown = group[: int(channels)]
    units = _units(shown)
    spans = _spans(np.asarray(shown.values, np.float64), units)
    count = len(units)
    tall, head, foot = max(0.45, min(1.1, 9 / count)), 0.66, 0.72
    high = count * tall + head + foot
    figure = Picture(figsize=(width, high), facecolor=BACK, dpi=110)
    left = 1.15 / width
    times = np.asarray(shown.time.values, np.float64)
    for row, (low, top) in enumerate(spans):
        bottom = foot + (count - 1 - row) * tall
        axes = figure.add_axes((left, bottom / high, 1 - left - 0.15 / width, tall * 0.94 / high))
        axes.set_facecolor(BACK)
        axes.plot(*_thinned(times, np.asarray(shown[row].values)), color=_LINE, linewidth=0.8)
        axes.set_xlim(times[0], max(times[-1], times[0] + 1e-9))
        axes.set_ylim(low, top)
        axes.grid(True, color="#26303a", linewidth=0.6)
        for side in axes.spines.values():
            side.set_color("#26303a")
        axes.tick_params(colors=FAINT, labelsize=6.5, length=2, labelbottom=row == count - 1)
        axes.locator_params(axis="y", nbins=3)
        name = str(shown.channel.values[row]) if "channel" in shown.coords else str(row + 1)
        said = f"{name}\n{units[row]}" if units[row] else name
        place = (0.09 / width, (bottom + tall * 0.47) / high)
        figure.text(*place, said, color=INK, fontsize=7.5, va="center", ha="left", parse_math=False)
    figure.text(0.5, 0.36 / high, "time (s)", color=FAINT, fontsize=8.5, va="center", ha="center")
    figure.text(0.5, 0.15 / high, FOOTER, color=FAINT, fontsize=8, va="center", ha="center")
    figure.text(0.012, 1 - 0.2 / high, _title(group), color=INK, fontsize=11, va="center", weight="bold",
                parse_math=False)  # fmt: skip
    facts = _facts(group, count, others)
    figure.text(0.012, 1 - 0.45 / high, facts, color=FAINT, fontsize=8.5, va="center", parse_math=False)
    return figure


def _group(waveform: Waveform | xr.DataArray) -> tuple[xr.DataArray, list[str]]:
    """The samples that are drawn, and the names of the groups that are not."""
    if isinstance(waveform, xr.DataArray):
        return waveform, []
    first, *others = waveform
    return waveform[first], others


def _units(group: xr.DataArray) -> list[str]:
    if "units" in group.coords and group.coords["units"].dims == ("channel",):
        return [str(unit) for unit in group.coords["units"].values]
    return [str(group.attrs.get("units", ""))] * group.sizes["channel"]


def _spans(values: NDArray[np.float64], units: list[str]) -> list[tuple[float, float]]:
    """Least and greatest value to draw of each channel: those of one unit span the same, each about its middle."""
    ends = []
    for line in values:
        known = line[np.isfinite(line)]
        ends.append((float(known.min()), float(known.max())) if known.size else (0.0, 0.0))
    found = []
    for unit, (low, high) in zip(units, ends, strict=True):
        alike = [end for other, end in zip(units, ends, strict=True) if other == unit] if unit else [(low, high)]
        half = max(top - bottom for bottom, top in alike) / 2 * 1.08 or 1.0
        found.append(((low + high) / 2 - half, (low + high) / 2 + half))
    return found


def _thinned(times: NDArray[np.float64], values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """As many points as can be seen: of each bin the least and the greatest, so that no peak is lost."""
    size = len(values) // _BINS
    if size < 3:
        return times, values
    whole = len(values) // size * size
    bins = values[:whole].reshape(-1, size)
    ends = np.stack([bins.min(axis=1), bins.max(axis=1)], axis=1).ravel()
    at = np.repeat(times[:whole:size], 2)
    return np.append(at, times[whole:]), np.append(ends, values[whole:])


def _title(group: xr.DataArray) -> str:
    names = ("Modality", "SeriesNumber", "SeriesDescription", "MultiplexGroupLabel")
    return " ".join(str(group.attrs[name]) for name in names if name in group.attrs) or "waveform"


def _facts(group: xr.DataArray, shown: int, others: list[str]) -> str:
    count, samples = group.shape
    said = [f"{shown} of {count} channels" if shown < count else f"{count} channels", f"{samples:,} samples"]
    if "SamplingFrequency" in group.attrs:
        said.append(f"{group.attrs['SamplingFrequency']:g} Hz")
    if others:
        said.append(f"the first group; others: {', '.join(others)}"[:160])
    return "   ·   ".join(said)
