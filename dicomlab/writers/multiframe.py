"""Segmentations and parametric maps, which highdicom makes (PS3.3 A.51, A.75; extra ``derived``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from pydicom.dataset import Dataset

from ..errors import InvalidRequest
from ..pixels.pixels import Array
from .alongside import frame_of, staying
from .laid import Planes, must_be_array, planes_of
from .modules import MAKER, finish, new_uid, version
from .planevalues import window_of
from .source import Source, text
from .withhighdicom import adopted, blamed, code_of, highdicom, prepared
from .writer import Made, Order

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_LARGE = 256 << 20  # bytes of frames above which empty ones are left out
_LEVELS = 255  # of a fraction


class Masks:
    """A segmentation of masks (bool), of labels (whole numbers), or of fractions (0 to 1).

    ``segments=`` names them: names in the order of the numbers, or for each a dict with ``label`` and, where known,
    ``category`` and ``type`` (code value, scheme, meaning), ``algorithm`` ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC") and
    ``algorithm_name``.
    """

    kind = "SEGMENTATION"
    choices = frozenset(("segments",))

    def writes(self, what: Any, source: Source) -> bool:
        """Boolean arrays, and those with a dimension ``segment``."""
        return isinstance(what, xr.DataArray) and (what.dtype == np.bool_ or "segment" in what.dims)

    def make(self, order: Order) -> Made:
        """One instance with a frame for each segment and plane."""
        hd = highdicom()
        array = order.what
        must_be_array(array, self.kind)
        names = order.choices.get("segments")
        numbers, masks = _split(array, names)
        planes = planes_of(masks)
        if planes.front != ("segment",):
            raise InvalidRequest(
                f"a segmentation has no dimensions {', '.join(planes.front[1:]) or 'channel'}",
                advice="Write one volume at a time.",
            )
        tables = _tables(array, numbers, names, order.attributes)
        values = np.moveaxis(np.ascontiguousarray(planes.array.values), 0, -1)
        fraction = values.dtype.kind == "f"
        large = values.size // (1 if fraction else 8) > _LARGE
        error = 0.0
        if fraction:
            error = float(np.abs(np.rint(values * _LEVELS) / _LEVELS - values).max())
        described = [_description(hd, number, entry) for number, entry in enumerate(tables, 1)]
        kinds = hd.seg.SegmentationTypeValues

        def build(common: dict[str, Any]) -> Dataset:
            return hd.seg.Segmentation(  # type: ignore[no-any-return]
                pixel_array=values.astype(np.float32) if fraction else values.astype(np.uint8),
                segmentation_type=kinds.FRACTIONAL if fraction else kinds.BINARY,
                segment_descriptions=described,
                max_fractional_value=_LEVELS,
                omit_empty_frames=large and bool(values.any()),
                **common,
            )

        dataset = _built(hd, build, order, planes, _STORAGE + "66.4", "SEG")
        if not fraction:
            _pack(dataset, planes, values)
        remarks = ["planes without any segment are left out, since there are many"] if large else []
        notes = []
        if staying(planes, order.source)[:1] == [None]:
            notes.append(
                "the masks lie on a grid of their own, which not every program shows over the images "
                "(masks.dicom.like(volume) puts them on that of the images)"
            )
        return Made([dataset], 1 / _LEVELS if fraction else 0.0, error, remarks, notes)


def _pack(dataset: Dataset, planes: Planes, values: Array) -> None:
    """The frames once more, one bit after the other without padding between them (PS3.5 8.1.1).

    highdicom pads frames of less than 8 pixels.
    """
    frames, shared = [], dataset.SharedFunctionalGroupsSequence[0]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        lies = group.get("PlanePositionSequence") or shared.PlanePositionSequence
        position = np.array(lies[0].ImagePositionPatient, np.float64)
        plane = int(np.argmin(np.linalg.norm(planes.positions - position, axis=1)))
        of = group.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence
        number = int(of[0].ReferencedSegmentNumber)
        frames.append(values[plane, :, :, number - 1].astype(bool))
    data = np.packbits(np.concatenate([frame.reshape(-1) for frame in frames]), bitorder="little").tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


class Maps:
    """A parametric map: real numbers of 32 or 64 bits, as they are, with their units."""

    kind = "PARAMETRIC MAP"
    choices: frozenset[str] = frozenset(("quantity",))

    def writes(self, what: Any, source: Source) -> bool:
        """Real numbers that are derived from a parametric map; others are asked for by ``kind``."""
        given = text(source.first, "SOPClassUID") == _STORAGE + "30"
        return given and isinstance(what, xr.DataArray) and what.dtype.kind == "f"

    def make(self, order: Order) -> Made:
        """One instance with a frame for each plane."""
        hd = highdicom()
        must_be_array(order.what, self.kind)
        planes = planes_of(order.what)
        if planes.front or planes.colour:
            raise InvalidRequest(
                f"a parametric map has no dimension {(*planes.front, 'channel')[0]!r}",
                advice="Write one volume at a time.",
            )
        given = np.ascontiguousarray(planes.array.values)
        values = given if given.dtype in (np.float32, np.float64) else given.astype(np.float64)
        values = values.astype(values.dtype.newbyteorder("="))
        finite = values[np.isfinite(values)]
        ends = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        units = order.units or "1"
        label = str(order.attributes.get("SeriesDescription") or "values")
        quantity = order.choices.get("quantity")
        mapping = hd.pm.RealWorldValueMapping(
            lut_label=label[:16],
            lut_explanation=label[:64],
            unit=hd.sr.CodedConcept(units, "UCUM", "no units" if units == "1" else units[:64]),
            value_range=ends,
            slope=1.0,
            intercept=0.0,
            quantity_definition=None if quantity is None else hd.sr.CodedConcept(*code_of(quantity, "quantity")),
        )
        order.what = planes.array.copy(data=np.nan_to_num(values, posinf=ends[1], neginf=ends[0]))
        centre, width = window_of(order)

        def build(common: dict[str, Any]) -> Dataset:
            return hd.pm.ParametricMap(  # type: ignore[no-any-return]
                pixel_array=values,
                contains_recognizable_visual_features=False,
                real_world_value_mappings=[mapping],
                window_center=centre,
                window_width=width,
                **common,
            )

        dataset = _built(hd, build, order, planes, _STORAGE + "30", text(order.source.first, "Modality") or "OT")
        return Made([dataset])


def _built(
    hd: Any, build: Callable[[dict[str, Any]], Dataset], order: Order, planes: Planes, sop_class: str, modality: str
) -> Dataset:
    """What highdicom makes, with patient and study as they are in the source."""
    source = order.source
    frame = frame_of(planes, source)
    images, common = _sources(hd, planes, source, frame)
    common |= {
        "source_images": images,
        "series_instance_uid": new_uid(),
        "series_number": 1,
        "sop_instance_uid": new_uid(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": version(),
        "device_serial_number": "0",
    }
    with blamed(modality):
        dataset = build(common)
    made = adopted(dataset, order, sop_class, modality)
    made.FrameOfReferenceUID = frame
    made.ContentLabel = str(made.get("ContentLabel") or modality)[:16]
    finish(made, order.attributes)
    return made


def _sources(hd: Any, planes: Planes, source: Source, frame: str) -> tuple[list[Dataset], dict[str, Any]]:
    """The source images as highdicom wants them, and where the planes lie if that is elsewhere."""
    stays = staying(planes, source)
    if stays and stays[0] is not None:
        return [prepared(one, frame) for one in stays], {}
    found: dict[int, Dataset] = {}
    for position in planes.positions:
        found |= {id(one): one for one in source.at(position, planes.orientation)}
    first = next(iter(found.values()))
    images = [one for one in found.values() if _alike(one, first)]
    if "PerFrameFunctionalGroupsSequence" in first:
        images = images[:1]
    where = {
        "plane_positions": [
            hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, [float(number) for number in position])
            for position in planes.positions
        ],
        "plane_orientation": hd.PlaneOrientationSequence(
            hd.CoordinateSystemNames.PATIENT, [float(number) for number in planes.orientation]
        ),
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=list(planes.spacing),
            slice_thickness=planes.step or float(first.get("SliceThickness") or 1.0),
            spacing_between_slices=planes.step,
        ),
    }
    return [prepared(one, frame) for one in images], where


def _alike(one: Dataset, other: Dataset) -> bool:
    names = ("SOPClassUID", "SeriesInstanceUID", "Rows", "Columns")
    return all(one.get(name) == other.get(name) for name in names)


def _split(array: xr.DataArray, names: Any) -> tuple[list[int], xr.DataArray]:
    """Numbers of the segments, and a mask for each in front."""
    if "segment" in array.dims:
        count = array.sizes["segment"]
        numbers = list(range(1, count + 1))
        if "segment" in array.coords:
            numbers = [int(number) for number in array.coords["segment"].values]
        masks = array.transpose("segment", ...)
    elif array.dtype == np.bool_ or array.dtype.kind == "f":
        numbers, masks = [1], array.expand_dims("segment")
    else:
        present = [int(value) for value in np.unique(array.values) if value != 0]
        if any(number < 0 for number in present):
            raise InvalidRequest("labels are whole numbers above 0", advice="Give masks, or labels from 1.")
        numbers = list(range(1, len(names) + 1)) if isinstance(names, list | tuple) else present
        numbers = sorted({*numbers, *present}) or [1]
        masks = xr.concat([array == number for number in numbers], "segment", coords="minimal", compat="override")
    if not numbers:
        raise InvalidRequest("there is no segment", advice="Give at least one mask.")
    if masks.dtype.kind == "f":
        if not bool(((masks >= 0) & (masks <= 1)).all()):
            raise InvalidRequest("fractions lie from 0 to 1", advice="Write masks: array > 0.5.")
    elif masks.dtype != np.bool_:
        if not bool(((masks == 0) | (masks == 1)).all()):
            raise InvalidRequest("the values of masks are 0 and 1", advice="Write array > 0.")
        masks = masks.astype(bool)
    return numbers, masks


def _tables(array: xr.DataArray, numbers: list[int], names: Any, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is known of each segment."""
    known: dict[int, dict[str, Any]] = {}
    if names is None and "segments" in array.attrs:
        try:
            known = {int(entry["number"]): entry for entry in json.loads(array.attrs["segments"])}
        except (ValueError, TypeError, KeyError):
            known = {}
    labels = {}
    if names is None and "SegmentLabel" in array.coords and "segment" in array.dims:
        labels = dict(zip(numbers, map(str, np.ravel(array.coords["SegmentLabel"].values)), strict=False))
    if isinstance(names, str):
        names = [names]
    if names is not None:
        if not isinstance(names, list | tuple) or len(names) != len(numbers):
            raise InvalidRequest(
                f"segments= describes {len(names) if isinstance(names, list | tuple) else 'no'} segments, "
                f"and there are {len(numbers)}",
                advice="Give a name or a dict for each.",
            )
        known = {
            n: ({"label": one} if isinstance(one, str) else dict(one)) for n, one in zip(numbers, names, strict=True)
        }
    only = str(attributes.get("SeriesDescription") or "mask") if len(numbers) == 1 else ""
    found = []
    for number in numbers:
        entry = known.get(number, {})
        label = entry.get("label") or labels.get(number) or only or f"segment {number}"
        found.append({**entry, "label": str(label)[:64]})
    return found


def _description(hd: Any, number: int, entry: Mapping[str, Any]) -> Any:
    wrong = set(entry) - {"number", "label", "category", "type", "algorithm", "algorithm_name"}
    if wrong:
        raise InvalidRequest(
            f"segments= knows no {min(wrong)!r}",
            advice="A segment has label, category, type, algorithm, algorithm_name.",
        )
    how = str(entry.get("algorithm") or "AUTOMATIC").upper()
    tissue = ("85756007", "SCT", "Tissue")
    try:
        algorithm = hd.seg.SegmentAlgorithmTypeValues(how)
    except ValueError:
        raise InvalidRequest(f"algorithm {how!r} is none", advice="It is MANUAL, SEMIAUTOMATIC or AUTOMATIC.") from None
    identified = None
    if how != "MANUAL":
        identified = hd.AlgorithmIdentificationSequence(
            name=str(entry.get("algorithm_name") or "not stated")[:64],
            family=hd.sr.CodedConcept("113076", "DCM", "Segmentation"),
            version="not stated",
        )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=entry["label"],
        segmented_property_category=hd.sr.CodedConcept(*code_of(entry.get("category") or tissue, "category")),
        segmented_property_type=hd.sr.CodedConcept(*code_of(entry.get("type") or tissue, "type")),
        algorithm_type=algorithm,
        algorithm_identification=identified,
    )
