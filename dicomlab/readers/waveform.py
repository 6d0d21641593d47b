"""Waveforms: each multiplex group as samples in physical units (PS3.3 C.10.9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..datasets.elements import Elements
from ..datasets.headers import Headers
from ..datasets.uids import BIG_ENDIAN
from ..errors import BadData, UnknownName
from ..pixels.pixels import Array, check_size
from ..stacks.imageheader import SERIES
from .codes import code_of, several
from .instance import WANTED, Instance, blamed, thing, whole
from .reader import Found

_WAVEFORMS = "1.2.840.10008.5.1.4.1.1.9."
_PRESENTATION = _WAVEFORMS + "100."  # how waveforms are shown: holds none
#: WaveformSampleInterpretation: how a sample is stored. MB and AB are companded, see `linear`.
_FORMS = {
    "SB": "i1", "UB": "u1", "MB": "u1", "AB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4", "SV": "i8",
    "UV": "u8",
}  # fmt: skip
ANNOTATIONS = ("group", "channels", "concept", "code", "text", "value", "unit", "range", "samples", "time")


@dataclass(frozen=True, repr=False, eq=False)
class Waveform(Instance, Mapping[str, xr.DataArray]):
    """The multiplex groups of one waveform instance by their label, and its annotations.

    Each group is a DataArray (channel, time) in physical units; times in seconds, from the trigger where the group
    has an offset to one. Coordinates of a channel: its name, ``units``, ``skew`` (seconds, not applied to the
    times), ``source`` and the limits of its filter in Hz.

    Attributes
    ----------
    groups
        Label to samples; ``ecg["RHYTHM"]`` is one of them, and an `UnknownName` error says which there are.
    annotations
        One row each: group (number), channels (names, all where empty), concept, code, text, value, unit, range
        (TemporalRangeType), samples (positions, from 1) and time (seconds).
    """

    groups: Mapping[str, xr.DataArray]
    annotations: pd.DataFrame

    def __getitem__(self, label: str) -> xr.DataArray:
        if label not in self.groups:
            raise UnknownName(label, self.groups, "multiplex group")
        return self.groups[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def facts(self) -> Iterable[tuple[str, str]]:
        """Title, what each group is, how many annotations."""
        yield "title", self.title
        for label, group in self.groups.items():
            channels, samples = group.shape
            units = group.attrs["units"] or "several units"
            rate = group.attrs["SamplingFrequency"]
            yield label, f"{channels} channels x {samples} samples, {rate:g} Hz, {units}"
        yield "annotations", str(len(self.annotations))


class Waveforms:
    """ECG, EEG, haemodynamic, audio and other waveforms."""

    wanted = WANTED

    def reads(self, sop_class: str, header: Elements) -> bool:
        """A waveform class."""
        return sop_class.startswith(_WAVEFORMS) and not sop_class.startswith(_PRESENTATION)

    def find(self, headers: Headers, rows: Sequence[int]) -> Found:
        """Each instance alone."""
        found = Found()
        for row in rows:
            big = headers.meta(row).transfer_syntax == BIG_ENDIAN

            def make(known: dict[str, Any], warnings: list[str], big: bool = big) -> Waveform:
                with blamed(known["path"]):
                    return _waveform(known, warnings, big)

            found.things.append(thing(headers, row, make))
        return found


def _waveform(known: dict[str, Any], warnings: list[str], big: bool) -> Waveform:
    header = whole(known["path"], "WaveformSequence", "WaveformAnnotationSequence", *SERIES)
    attributes = {name: value for name in SERIES if isinstance(value := header.get(name), str | int | float)}
    groups: dict[str, xr.DataArray] = {}
    items = header.items("WaveformSequence")
    if not items:
        raise BadData("WaveformSequence has no items", tag="54000100")
    for number, item in enumerate(items, 1):
        label = item.text("MultiplexGroupLabel") or f"group {number}"
        group = _group(item, label, warnings, big)
        group.attrs = attributes | group.attrs
        groups[label if label not in groups else f"{label} ({number})"] = group
    notes = [_annotation(item, list(groups.values())) for item in header.items("WaveformAnnotationSequence")]
    return Waveform(**known, groups=groups, annotations=pd.DataFrame(notes, columns=list(ANNOTATIONS)))


def _group(item: Elements, label: str, warnings: list[str], big: bool) -> xr.DataArray:
    channels = item.items("ChannelDefinitionSequence")
    count, samples = item.get("NumberOfWaveformChannels"), item.get("NumberOfWaveformSamples")
    rate, offset = item.get("SamplingFrequency"), item.get("MultiplexGroupTimeOffset", 0.0)
    if not isinstance(count, int) or not isinstance(samples, int) or len(channels) != count or min(count, samples) < 1:
        raise BadData(f"{label}: {count} channels of {samples} samples, {len(channels)} are defined", tag="003A0005")
    if not isinstance(rate, float) or not 0 < rate < np.inf or not isinstance(offset, float):
        raise BadData(f"{label}: SamplingFrequency is {rate!r}", tag="003A001A")
    stored, padding = _samples(item, label, samples, count, big)
    check_size(stored.size * 8)
    values = np.empty((count, samples), np.float32 if stored.dtype.itemsize < 4 else np.float64)
    units = []
    for index, channel in enumerate(channels):
        values[index], unit = _physical(stored[:, index], channel, f"{label}, channel {index + 1}", warnings)
        units.append(unit)
        if padding is not None:
            values[index, stored[:, index] == padding] = np.nan
    coordinates = {
        "channel": ("channel", _names(channels)),
        "time": ("time", offset / 1000 + np.arange(samples) / rate, {"units": "s"}),
        "units": ("channel", units),
        "skew": ("channel", [_skew(channel, rate) for channel in channels], {"units": "s"}),
        "source": ("channel", [_source(channel) for channel in channels]),
        "filter_low": ("channel", [_real(channel, "FilterLowFrequency") for channel in channels], {"units": "Hz"}),
        "filter_high": ("channel", [_real(channel, "FilterHighFrequency") for channel in channels], {"units": "Hz"}),
    }
    attributes = {
        "SamplingFrequency": rate,
        "MultiplexGroupLabel": label,
        "WaveformOriginality": item.text("WaveformOriginality"),
        "units": units[0] if len(set(units)) == 1 else "",
    }
    return xr.DataArray(values, coordinates, ("channel", "time"), attrs=attributes)


def _samples(item: Elements, label: str, samples: int, count: int, big: bool) -> tuple[Array, Any]:
    """Stored values (samples, channels), companded ones made linear, and the padding value among them, or None."""
    kind, bits = item.text("WaveformSampleInterpretation"), item.get("WaveformBitsAllocated")
    form = np.dtype(f"{'>' if big else '<'}{_FORMS[kind]}") if kind in _FORMS else None
    if form is None or bits != form.itemsize * 8:
        raise BadData(f"{label}: samples of {bits} bits as {kind or 'nothing'} are not known", tag="54001006")
    data = item.raw.get(0x54001010, ("", b""))[1]
    if len(data) < samples * count * form.itemsize:
        raise BadData(
            f"{label}: WaveformData ends after {len(data)} of {samples * count * form.itemsize} bytes", tag="54001010"
        )
    stored = np.frombuffer(data, form, samples * count).reshape(samples, count)
    pad = item.raw.get(0x5400100A, ("", b""))[1]
    padding = np.frombuffer(pad, form, 1)[0] if len(pad) >= form.itemsize else None
    if kind in ("MB", "AB"):
        table = linear(kind)
        return table[stored], None if padding is None else table[padding]
    return stored, padding


def linear(kind: str) -> Array:
    """What each of the 256 codes of ITU-T G.711 stands for: int16 (256,), of 14 bits for MB, of 13 for AB.

    Examples
    --------
    >>> linear("MB")[[0, 255, 128]].tolist(), linear("AB")[[0x2A, 0xD5]].tolist()
    ([-8031, 0, 8031], [-4032, 1])
    """
    code = np.arange(256)
    if kind == "MB":
        code = 255 - code
        size = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
        return np.where(code & 0x80, -size, size).astype(np.int16)
    code = code ^ 0x55
    part, step = code >> 4 & 7, code & 15
    size = np.where(part == 0, 2 * step + 1, (2 * step + 33) << np.maximum(part - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _physical(stored: Array, channel: Elements, where: str, warnings: list[str]) -> tuple[Array, str]:
    """Value x sensitivity x correction factor + baseline, and the unit; as stored where there is no sensitivity."""
    sensitivity = channel.get("ChannelSensitivity")
    if not isinstance(sensitivity, float):
        return stored, ""
    factors = {}
    for name, usual in (("ChannelSensitivityCorrectionFactor", 1.0), ("ChannelBaseline", 0.0)):
        value = channel.get(name)
        if not isinstance(value, float):
            warnings.append(f"{where}: {name} is missing and taken as {usual:g}")
            value = usual
        factors[name] = value
    slope = sensitivity * factors["ChannelSensitivityCorrectionFactor"]
    unit = code_of(channel, "ChannelSensitivityUnitsSequence").value
    return stored * np.float64(slope) + factors["ChannelBaseline"], unit


def _names(channels: Sequence[Elements]) -> list[str]:
    """A name for each channel: its label, else its source, else its number; each once."""
    names: list[str] = []
    for number, channel in enumerate(channels, 1):
        name = channel.text("ChannelLabel") or str(code_of(channel, "ChannelSourceSequence")) or f"channel {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names


def _source(channel: Elements) -> str:
    code = code_of(channel, "ChannelSourceSequence")
    return f"{code.value} {code.scheme}".strip()


def _skew(channel: Elements, rate: float) -> float:
    """Seconds that a channel is sampled after the first."""
    skew = _real(channel, "ChannelTimeSkew")
    return skew if np.isfinite(skew) else np.nan_to_num(_real(channel, "ChannelSampleSkew")) / rate


def _real(channel: Elements, name: str) -> float:
    value = channel.get(name)
    return value if isinstance(value, float) else np.nan


def _annotation(item: Elements, groups: Sequence[xr.DataArray]) -> dict[str, Any]:
    referenced = item.get("ReferencedWaveformChannels", ())
    pairs = list(zip(referenced[::2], referenced[1::2], strict=False)) if isinstance(referenced, tuple) else []
    group = pairs[0][0] if pairs else 0
    known = groups[group - 1] if 0 < group <= len(groups) else None
    channels: list[str] = []
    if known is not None:
        names = known.channel.values.tolist()
        channels = [names[channel - 1] for _, channel in pairs if 0 < channel <= len(names)]
    samples = several(item.get("ReferencedSamplePositions"))
    time = [float(seconds) for seconds in several(item.get("ReferencedTimeOffsets"))]
    if samples and known is not None:
        start, rate = float(known.time[0]), known.attrs["SamplingFrequency"]
        time = [start + (sample - 1) / rate for sample in samples]
    concept, value = code_of(item, "ConceptNameCodeSequence"), item.get("NumericValue")
    found: Any = value if value is not None else str(code_of(item, "ConceptCodeSequence")) or None
    return {
        "group": group,
        "channels": channels,
        "concept": str(concept),
        "code": f"{concept.value} {concept.scheme}".strip(),
        "text": item.text("UnformattedTextValue"),
        "value": found,
        "unit": code_of(item, "MeasurementUnitsCodeSequence").value,
        "range": item.text("TemporalRangeType"),
        "samples": samples,
        "time": time,
    }
