"""Parametric maps: real world values of a quantity in its units (PS3.3 C.8.23, C.7.6.16.2.11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..amounts import counted
from ..datasets.elements import Elements, tag_of
from ..datasets.uids import BIG_ENDIAN, IN_PLACE
from ..errors import BadData, BadFile, GeometryError
from ..pixels.frames import stored_values
from ..pixels.pixels import Array, check_size, read_into
from ..stacks.functionalgroups import PER_FRAME, SHARED, Groups
from ..stacks.imageheader import WANTED
from ..stacks.stacks import line
from .laying import MEASURES, ORIENTATION, POSITION, Laid, lay
from .reader import Thing, title
from .single import File, Single, attributes, labelled, now

_MAPPING = tag_of("RealWorldValueMappingSequence")
_FLOATS: dict[str, np.dtype[Any]] = {"OF": np.dtype("<f4"), "OD": np.dtype("<f8")}
_QUANTITY = frozenset(("246205007", "G-C1C6"))  # the concept "Quantity" in SNOMED CT, and as it was written before
_PADDING = ("FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue", "PixelPaddingValue")


@dataclass(frozen=True)
class Mapping:
    """From stored values to real world values: a line, or a table."""

    slope: float = 1.0
    intercept: float = 0.0
    table: tuple[float, ...] = ()
    ends: tuple[float, float] | None = None  # stored values it holds for
    label: str = ""
    units: str = ""  # code, usually of UCUM
    quantity: str = ""

    def of(self, stored: Array) -> Array:
        """Real world values, float64."""
        if self.table and self.ends is not None:
            place = np.clip(stored.astype(np.int64) - int(self.ends[0]), 0, len(self.table) - 1)
            return np.array(self.table)[place]
        return stored.astype(np.float64) * self.slope + self.intercept


class ParametricMaps(Single):
    """Maps: (z, y, x), float32, or float64 where so stored; ``units`` and ``quantity`` in ``attrs``.

    A file whose frames are of several quantities gives a volume of each.
    """

    classes = frozenset(("1.2.840.10008.5.1.4.1.1.30",))
    wanted = WANTED | {SHARED, PER_FRAME} | frozenset(map(tag_of, ("NumberOfFrames", "ContentLabel", *_PADDING)))

    def things(self, file: File) -> list[Thing]:
        """A map of each quantity."""
        header, form, _ = file.header, file.form, file.place
        if header.pixels is not None and header.pixels[0] in _FLOATS:
            wrong = "" if min(form.rows, form.columns) > 0 else "Rows and Columns are missing or zero"
        else:
            wrong = form.check()
        if wrong or form.samples != 1:
            raise BadData(wrong or f"SamplesPerPixel is {form.samples}")
        groups = Groups(header, file.frames, (POSITION, ORIENTATION, MEASURES, _MAPPING))
        mappings = _mappings(groups)
        kinds: dict[tuple[str, str, str], list[int]] = {}
        for frame, mapping in enumerate(mappings):
            kinds.setdefault((mapping.quantity, mapping.units, mapping.label), []).append(frame)
        return [self._thing(file, groups, mappings, frames, len(kinds)) for frames in kinds.values()]

    @staticmethod
    def _thing(file: File, groups: Groups, mappings: list[Mapping], frames: list[int], kinds: int) -> Thing:
        header, form = file.header, file.form
        first = mappings[frames[0]]
        name = first.quantity or first.label
        laid = lay(groups, (form.rows, form.columns), frames)
        planes = len(laid.grid.z)
        if planes < len(frames):
            raise GeometryError(f"{len(frames)} frames of {name or 'one quantity'} at {counted(planes, 'position')}")
        warnings = list(laid.grid.problems)
        if not mappings[frames[0]].units and not name:
            warnings.append("no real world value mapping: stored values, in no known units")
        if (number := max(groups.each(_MAPPING, len), default=0)) > 1:
            warnings.append(f"the first of {number} real world value mappings is applied")

        def make(chunks: Any) -> xr.DataArray:
            now(chunks, "a parametric map")
            return _map(file, laid, mappings, frames, warnings)

        why = f"quantity {name}" if kinds > 1 else ""
        described = line(header, [file.name], why, laid.orientation)
        heading = f"{title(header)} {name}" if kinds > 1 and name else title(header)
        return Thing(heading, described, [file.name], make, why=why, warnings=warnings)


def _map(file: File, laid: Laid, mappings: list[Mapping], frames: list[int], warnings: list[str]) -> xr.DataArray:
    header, first = file.header, mappings[frames[0]]
    kind = _FLOATS.get(header.pixels[0]) if header.pixels else None
    dtype = np.dtype(np.float64 if kind is not None and kind.itemsize == 8 else np.float32)
    shape = (len(frames), file.form.rows, file.form.columns)
    check_size(int(np.prod(shape, dtype=object)) * dtype.itemsize)
    values, outside = np.empty(shape, dtype), 0
    for place, frame in zip(laid.place, frames, strict=True):
        stored = stored_values(file.frame(frame, file.form)) if kind is None else _floats(file, kind, frame)
        mapping = mappings[frame]
        if mapping.ends is not None:
            outside += int(((stored < mapping.ends[0]) | (stored > mapping.ends[1])).sum())
        identity = not mapping.table and (mapping.slope, mapping.intercept) == (1.0, 0.0)
        values[place] = stored if identity else mapping.of(stored)
    if outside:
        lie = counted(outside, "value lies", "values lie")
        warnings.append(f"{lie} outside the range the real world value mapping is stated for")
    attrs = attributes(header, ("ContentLabel",))
    attrs |= {"units": "" if first.units == "1" else first.units, "quantity": first.quantity}
    coordinates = {}
    padding = next((value for name in _PADDING if isinstance(value := header.get(name), int | float)), None)
    if padding is not None:
        coordinates["padding"] = float(first.of(np.array([padding]))[0])
    return labelled(values, file, laid.grid, front={}, attrs=attrs, coordinates=coordinates)


def _floats(file: File, dtype: np.dtype[Any], frame: int) -> Array:
    """The stored values of one frame of floating point numbers."""
    shape = file.form.rows, file.form.columns
    size = shape[0] * shape[1] * dtype.itemsize
    offset, length = file.place
    need = counted(file.frames, "frame needs", "frames need")
    if file.transfer_syntax in IN_PLACE:
        if length < (frame + 1) * size:
            raise file.bad(f"the pixel data has {length} bytes, {need} {file.frames * size}")
        values = np.empty(shape, dtype)
        read_into(file.path, offset + frame * size, values)
        return values
    import pydicom

    try:
        dataset = pydicom.dcmread(file.path)
        data = dataset.FloatPixelData if dtype.itemsize == 4 else dataset.DoubleFloatPixelData
    except Exception as error:  # pydicom raises what it meets: struct.error, ValueError, KeyError, ...
        raise BadFile(file.path, f"cannot be read: {error}") from error
    if len(data) < (frame + 1) * size:
        raise file.bad(f"the pixel data has {len(data)} bytes, {need} {file.frames * size}")
    order = dtype.newbyteorder(">") if file.transfer_syntax == BIG_ENDIAN else dtype
    return np.frombuffer(data, order, shape[0] * shape[1], frame * size).reshape(shape)


def _mappings(groups: Groups) -> list[Mapping]:
    """The first real world value mapping of each frame."""
    names = (
        "RealWorldValueSlope", "RealWorldValueIntercept", "RealWorldValueLUTData",
        "DoubleFloatRealWorldValueFirstValueMapped", "DoubleFloatRealWorldValueLastValueMapped",
        "RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped", "LUTLabel",
    )  # fmt: skip
    columns = [groups.column(_MAPPING, tag_of(name)) for name in names]
    units = groups.column(_MAPPING, tag_of("MeasurementUnitsCodeSequence"), tag_of("CodeValue"))
    quantities = groups.column(_MAPPING, tag_of("QuantityDefinitionSequence"))
    found = []
    for frame in range(groups.frames):
        slope, intercept, table, low, high, first, last, label = (column[frame] for column in columns)
        low, high = (first if low is None else low), (last if high is None else high)
        ends = (float(low), float(high)) if isinstance(low, int | float) and isinstance(high, int | float) else None
        found.append(
            Mapping(
                float(slope) if isinstance(slope, int | float) else 1.0,
                float(intercept) if isinstance(intercept, int | float) else 0.0,
                tuple(table) if isinstance(table, tuple) and slope is None else (),
                ends,
                str(label or ""),
                str(units[frame] or ""),
                _quantity(quantities[frame] or ()),
            )
        )
    return found


def _quantity(items: Sequence[Elements]) -> str:
    """What is measured, in words: the value of the concept "Quantity", or else of the first."""
    named = []
    for item in items:
        concept, value = item.items("ConceptNameCodeSequence"), item.items("ConceptCodeSequence")
        if value:
            named.append((not concept or concept[0].text("CodeValue") not in _QUANTITY, value[0].text("CodeMeaning")))
    return min(named, key=lambda one: one[0])[1] if named else ""
