"""Images as a printer or a screen takes them: grey of 8 or 12 bits or RGB, through a window or VOI LUT."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import BadFile, DicomlabError, GeometryError, InvalidRequest
from ..geometry.geometry import AXES
from ..outgoing.outgoing import outgoing
from ..pixels.transcoding import read_file
from ..remarks import remark
from ..volumes.montage import as_volume, aspect, grey, slices_of
from ..volumes.series import load, load_all
from ..volumes.windows import checked_window
from .rendered import Rendered, shrunk, texts, turned, written

_TAKES = "Give a volume, an array (rows, columns), instances, paths or pydicom data sets."


def render(
    what: Any,
    *,
    axis: str = "z",
    every: int = 1,
    window: Any = None,
    bits: int = 8,
    photometric: str = "MONOCHROME2",
    text: Any = None,
    largest: int | None = None,
) -> list[Rendered]:
    """The images of volumes, instances, arrays and data sets, each slice one, in their order.

    Parameters
    ----------
    what
        A volume, or an array (rows, columns), (slices, rows, columns), or unsigned with 3 colours behind; a table with
        a column ``path``, paths, pydicom data sets; or several of these.
    axis
        Of volumes, the dimension across which the slices lie.
    every
        1 for each slice, 3 for each third.
    window
        Centre and width, or a preset of CT; None takes the VOI LUT or window of each instance, and what
        ``volume.dicom.window`` says of an array.
    bits
        8 or 12.
    photometric
        "MONOCHROME2", or "MONOCHROME1" for pixels of which 0 is white.
    text
        None burns nothing in; True the place of the slice; or one text for each image. No name is ever taken.
    largest
        Rows or columns above which an image is made smaller.

    Raises
    ------
    InvalidRequest
        Nothing is selected, or something is no image.
    """
    _check(every, bits, photometric, largest)
    found = list(_each(what, axis, every, window, bits))
    if not found:
        raise InvalidRequest("nothing is selected: there is no image", advice="Choose at least one image.")
    wording = texts(text, found)
    return [
        turned(shrunk(written(one, words), largest), photometric) for one, words in zip(found, wording, strict=True)
    ]


def _check(every: Any, bits: Any, photometric: Any, largest: Any) -> None:
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise InvalidRequest(f"every={every!r}", advice="Give a whole number: 1 for each slice, 3 for each third.")
    if bits not in (8, 12) or isinstance(bits, bool):
        raise InvalidRequest(f"bits={bits!r}", advice="A printer takes images of 8 or 12 bits.")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InvalidRequest(f"photometric={photometric!r}", advice='It is "MONOCHROME2" or "MONOCHROME1".')
    if largest is not None and (isinstance(largest, bool) or not isinstance(largest, int) or largest < 1):
        raise InvalidRequest(f"largest={largest!r}", advice="Give pixels, such as 2048.")


# -- where they come from --------------------------------------------------------------------------------------------


def _each(what: Any, axis: str, every: int, window: Any, bits: int) -> Iterator[Rendered]:
    import pandas as pd
    from PIL.Image import Image
    from pydicom.dataset import Dataset

    def one(array: xr.DataArray, name: str = "", look: _Look | None = None) -> Iterator[Rendered]:
        return _slices(array, axis, every, window, bits, name, look)

    if isinstance(what, xr.DataArray):
        yield from one(what)
    elif isinstance(what, Image):
        kept = what.mode in ("L", "I;16", "I", "F")
        yield from one(_labelled(np.asarray(what if kept else what.convert("L" if what.mode == "1" else "RGB"))))
    elif isinstance(what, np.ndarray) and what.dtype.kind not in "OUS":
        yield from one(_labelled(what))
    elif isinstance(what, pd.DataFrame | pd.Series | str | Path):
        for name, volume in _loaded(what).items():
            yield from one(volume, name, _view)
    elif isinstance(what, Dataset):
        yield from _each([what], axis, every, window, bits)
    elif isinstance(what, Mapping):
        yield from _each(list(what.values()), axis, every, window, bits)
    elif isinstance(what, Iterable) and not isinstance(what, bytes):
        for kind, several in groupby(what, _kind):
            if kind is Dataset:
                volumes, views = _in_memory(list(several))
                for name, volume in volumes.items():
                    yield from one(volume, name, views.__getitem__)
            elif kind is Path:
                for name, volume in _loaded(list(several)).items():
                    yield from one(volume, name, _view)
            else:
                for item in several:
                    yield from _each(item, axis, every, window, bits)
    else:
        raise InvalidRequest(f"an object of type {type(what).__name__} is no image", advice=_TAKES)


def _kind(item: Any) -> type | None:
    from pydicom.dataset import Dataset

    return Dataset if isinstance(item, Dataset) else Path if isinstance(item, str | Path) else None


def _labelled(values: NDArray[Any]) -> xr.DataArray:
    """Plain values with the dimensions that their shape tells."""
    colour = values.ndim > 2 and values.shape[-1] == 3 and values.dtype.kind == "u"
    plain = values.ndim - colour
    if plain not in (2, 3) or values.dtype.kind not in "biuf":
        raise InvalidRequest(
            f"an array of shape {values.shape} and type {values.dtype} is no image", advice=_TAKES
        )
    dims = (*("z", "y", "x")[3 - plain :], *(("channel",) if colour else ()))
    return xr.DataArray(values, dims=dims)


def _loaded(instances: Any) -> dict[str, xr.DataArray]:
    """The volumes of instances, by name, and the images that are in none; what is no image is said."""
    found = load_all(instances)
    images = {name: thing for name, thing in found.items() if isinstance(thing, xr.DataArray)}
    left = [f"{name} ({type(thing).__name__})" for name, thing in found.items() if name not in images]
    errors: list[Any] = [told for told in found.report.itertuples() if told.severity == "error"]
    if errors:
        alone = {uid: str(told.what) for told in errors for uid in told.instances}
        images |= _alone(instances, alone)
        left += [f"{told.what}: {told.why}" for told in errors if any(uid in alone for uid in told.instances)]
    if not images:
        raise InvalidRequest(f"no image is among these: {'; '.join(left[:3])}", advice=_TAKES)
    if left:
        remark(f"not all of it is printed: {'; '.join(left[:5])}", stacklevel=5)
    return images


def _alone(instances: Any, wanted: dict[str, str]) -> dict[str, xr.DataArray]:
    """Instances that make no volume, each alone: as pages of a film they need none. Those found leave `wanted`."""
    images: dict[str, xr.DataArray] = {}
    for row in outgoing(instances):
        what = wanted.get(row.sop_instance)
        if what is None or not row.path:
            continue
        with suppress(DicomlabError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = load(row.path)
            if isinstance(image, xr.DataArray):
                images[f"{what} {len(images) + 1}"] = image
                del wanted[row.sop_instance]
    return images


def _in_memory(datasets: list[Any]) -> tuple[dict[str, xr.DataArray], dict[str, _View]]:
    """The volumes of data sets, which are written and read as files are, and how each file is to be looked at."""
    rows = outgoing(datasets)
    troubles = [row.trouble for row in rows if row.trouble]
    if troubles:
        raise InvalidRequest(f"a data set cannot be printed: {troubles[0]}", advice=_TAKES)
    with tempfile.TemporaryDirectory(prefix="dicomlab-") as folder:
        paths = [str(Path(folder, f"{number:06d}.dcm")) for number in range(len(rows))]
        for row, path in zip(rows, paths, strict=True):
            _save(row, path)
        return _loaded(paths), {path: _view(path) for path in paths}


def _save(row: Any, path: str) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filewriter import dcmwrite

    dataset = row.dataset.copy()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = row.sop_class, row.sop_instance
    meta.TransferSyntaxUID = row.transfer_syntax
    dataset.file_meta = meta
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcmwrite(path, dataset, enforce_file_format=True)
    except Exception as error:  # pydicom raises anything on values that do not fit
        raise InvalidRequest(f"a data set cannot be written: {error}") from None


# -- one volume ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """How an instance says that it is to be looked at."""

    window: tuple[float, float] | None = None
    lut: Any = None  # a data set with a VOI LUT Sequence
    sigmoid: bool = False


def _view(path: str) -> _View:
    """VOI LUT, else the first window of an instance; neither where it has none (PS3.3 C.11.2)."""
    try:
        header = read_file(path)
        if header.get("VOILUTSequence"):
            return _View(lut=header)
        centre, width = (np.atleast_1d(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
        if centre[0] is not None and width[0] is not None and float(width[0]) > 0:
            function = str(header.get("VOILUTFunction", "") or "")
            return _View((float(centre[0]), float(width[0])), sigmoid=function == "SIGMOID")
    except (BadFile, TypeError, ValueError, IndexError):
        pass
    return _View()


#: Gives how the instance in a file is to be looked at.
_Look = Callable[[str], _View]


def _slices(
    volume: xr.DataArray, axis: str, every: int, window: Any, bits: int, name: str, look: _Look | None
) -> Iterator[Rendered]:
    """The slices of a volume; of several (time, echo, ...) those of each in turn."""
    name = name or _title(volume)
    front = [str(dim) for dim in volume.dims if dim not in (*AXES, "channel")]
    for places in np.ndindex(*(volume.sizes[dim] for dim in front)):
        chosen = dict(zip(front, places, strict=True))
        told = (name, *(f"{dim} {at + 1}" for dim, at in chosen.items()))
        yield from _planes(volume.isel(chosen), axis, every, window, bits, ", ".join(told), look)


def _planes(
    volume: xr.DataArray, axis: str, every: int, window: Any, bits: int, name: str, look: _Look | None
) -> Iterator[Rendered]:
    whole, across = as_volume(volume, axis)
    total = whole.sizes.get(across, 1)
    _, ordered = slices_of(whole, across, max(1, total))
    otherwise = whole.dicom.window if window is None else checked_window(window, whole.dicom.units)
    ratio = (1, 1)
    with suppress(GeometryError, KeyError):  # an image that lies nowhere in the patient
        ratio = _ratio(aspect(ordered, across))
    inverted = whole.attrs.get("PhotometricInterpretation") == "MONOCHROME1"
    for index in range((total - 1) % every // 2, total, every):
        plane, seen = ordered[index], _View()
        if window is None and look is not None and across == "z" and "path" in plane.coords:
            seen = look(str(plane.coords["path"].values))
        names = (name, _place(ordered, across, index, total))
        yield _plane(np.asarray(plane.values), seen, otherwise, inverted, bits, ratio, names)


def _plane(
    values: NDArray[Any],
    seen: _View,
    otherwise: tuple[float, float],
    inverted: bool,
    bits: int,
    ratio: tuple[int, int],
    names: tuple[str, str],
) -> Rendered:
    if values.ndim == 3:
        return Rendered(_eight(values), 8, "RGB", ratio, *names)
    window, said = seen.window or otherwise, ""
    if seen.lut is not None:
        values, window, said = _by_lut(values, seen.lut)
    elif seen.sigmoid:
        centre, width = window
        with np.errstate(over="ignore"):
            values = 1 / (1 + np.exp(-4 * (values.astype(np.float64) - centre) / width))
        shown = grey(values, (0.5, 1.0), inverted, bits)
        return Rendered(shown, bits, "MONOCHROME2", ratio, *names, (centre, width), "SIGMOID")
    outside = 0.0
    if values.size and not said and values.dtype != np.bool_:
        low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
        outside = float(np.mean((values < low) | (values > high)))
    return Rendered(
        grey(values, window, inverted, bits),
        bits,
        "MONOCHROME2",
        ratio,
        *names,
        None if said else window,
        said,
        outside,
    )


def _by_lut(values: NDArray[Any], header: Any) -> tuple[NDArray[Any], tuple[float, float], str]:
    """Values through the first VOI LUT of a data set, and the window that shows all of its output."""
    from pydicom.pixels import apply_voi

    try:
        whole = np.asarray(np.round(values), np.int32)
        mapped = apply_voi(whole, header)
        depth = int(header.VOILUTSequence[0].LUTDescriptor[2])
    except Exception as error:  # pydicom raises anything on a damaged table
        raise InvalidRequest(f"a VOI LUT cannot be applied: {error}", advice="Give window=(centre, width).") from None
    white = 2.0**depth - 1
    return mapped, (white / 2, white), "VOI LUT"


def _eight(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour of 8 bits: of 16 bits the upper ones."""
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if values.dtype.kind == "f":
        high = 1.0 if values.size and np.nanmax(values) <= 1 else 255.0
        return np.round(np.clip(np.nan_to_num(values) / high, 0, 1) * 255).astype(np.uint8)
    return np.clip(values, 0, 255).astype(np.uint8)


def _ratio(tall: float) -> tuple[int, int]:
    """Height and width of a pixel in whole numbers."""
    found = Fraction(tall).limit_denominator(1000)
    return (found.numerator, found.denominator) if found.numerator else (1, 1)


def _title(volume: xr.DataArray) -> str:
    parts = [str(volume.attrs[name]) for name in ("Modality", "SeriesNumber") if name in volume.attrs]
    return " ".join(parts) or "image"


def _place(volume: xr.DataArray, across: str, index: int, total: int) -> str:
    if across in volume.coords and "nowhere" not in volume.coords[across].attrs:
        return f"{across} {float(volume.coords[across][index]):.1f}"
    return f"{index + 1} of {total}" if total > 1 else ""
