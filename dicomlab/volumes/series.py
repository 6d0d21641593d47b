"""Load: instances to volumes, each by the reader of its SOP class, never stacked silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import phi, readers
from ..amounts import counted
from ..datasets import headers
from ..errors import BadData, BadFile, DicomlabError, GeometryError, InvalidRequest, MissingCodec
from ..readers.reader import Found, Reader, Thing
from ..remarks import remark
from ..scanning.instances import contradictions
from .extensions import Extension, copies, extended
from .paths import gathered, paths_of, places_among
from .report import Volumes, dropped, line

Key = tuple[str, tuple[str, ...], int]  # title and instances of a thing, and which of those that have the same
Made = dict[Key, tuple[Thing, Any]]  # what it made, or why it did not


def load(instances: Any, *, chunks: Any = None, extensions: Iterable[Extension] = ()) -> xr.DataArray | Any:
    """The volume that instances of one series make, or the one report, waveform, document ... that they are.

    Parameters
    ----------
    instances
        An instances table (only its column `path` is needed), one row of it, a path, or a list of paths. A path may
        be that of a folder, a DICOMDIR or a zip archive, as for `scan`: then the instances in it.
    chunks
        None reads the values now. Chunk sizes as xarray takes them, or {} for one chunk a slice, give a lazy
        volume of the same type (extra ``dask``). Where the headers leave that open, the values are looked through
        once, a slice at a time.
    extensions
        Functions of your own, called in their order with the volume once it is complete. Each gives back the volume
        (another one, with more attributes or coordinates, ...), or None if it changed only what it was given. They
        are copied first, and may be called in another thread. One that fails is named in a warning.

    Returns
    -------
    xarray.DataArray
        Dimensions (z, y, x); where there are several images at each position, what tells them apart in front:
        ``type``, ``time``, ``echo``, ``b_value``, ``inversion_time``, ``flip_angle``, ``acquisition`` or ``frame``,
        each with the units of its values; ``channel`` behind for colour. Pictures that lie nowhere are (y, x), those
        of many frames (frame, y, x) with ``time`` in ms where the header gives it. Coordinates in mm,
        modality values (HU for CT) as int16 or the smallest integer type, float32 where slopes are not whole;
        their unit in ``attrs["units"]``, for PET a term of Units (0054,1001) such as "BQML" (see ``.dicom.units``).
        A segmentation is masks with ``segment`` in front, a dose is in Gy, a parametric map in its own units, each
        on its own grid; ``.dicom.like(volume)`` puts one on another's.
    dicomlab.facts.Facts
        For one instance that is no image: what its reader makes of it (a structure set with ``mask(volume)``, a
        report, a waveform, a document), at least a summary with its ``dataset``. Beside the instances of a volume
        such ones are left aside.

    Raises
    ------
    InvalidRequest
        Nothing is selected, a folder holds no instance, or the instances are no volume; the message names their SOP
        class.
    GeometryError
        They are not one volume: ``stacks`` lists what they are.
    BadFile
        No file of them can be used.
    MissingCodec
        Their transfer syntax needs a package that is absent.

    Warns
    -----
    ResultWarning
        Something about the volume must not be missed: slices are missing, the gantry was tilted, a file could
        not be used, an incomplete time point was left out.

    References
    ----------
    PS3.3 C.7.6.2

    Examples
    --------
    >>> load([])
    Traceback (most recent call last):
    dicomlab.errors.InvalidRequest: nothing is selected. Choose at least one instance.
    """
    return _only(_load(paths_of(instances), chunks, copies(extensions), one=True))


def load_all(instances: Any, *, extensions: Iterable[Extension] = ()) -> Volumes:
    """Everything that instances hold, by name: volumes, and what other readers give.

    ``.report`` says what is not loaded, or loaded with a reservation, and why; also what the scan that made the table
    could not use. Print the result to read the first reasons in full.

    Parameters
    ----------
    instances
        As for `load`, of any number of series.
    extensions
        As for `load`; called once for each volume.

    Raises
    ------
    InvalidRequest
        Nothing is selected.

    Examples
    --------
    >>> load_all([])
    Traceback (most recent call last):
    dicomlab.errors.InvalidRequest: nothing is selected. Choose at least one instance.
    """
    paths = paths_of(instances)
    return _load(paths, None, copies(extensions), one=False, before=dropped(instances, paths))


def _only(found: Volumes) -> Any:
    (result,) = found.values()
    for told in found.report.itertuples():
        if told.severity != "note":
            remark(f"{told.what}: {told.why}", stacklevel=3)
    return result


def _load(
    paths: Sequence[str],
    chunks: Any,
    extensions: Sequence[Extension],
    *,
    one: bool,
    before: Sequence[dict[str, Any]] = (),
) -> Volumes:
    # Headers are read again whatever a table says of them: the files may have changed since it was made.
    read = headers.read(paths, readers.wanted())
    if places := places_among(paths, read):
        paths, left = gathered(paths, places)
        before = [*before, *left]
        read = headers.read(paths, readers.wanted())
    read.masked = phi.masking()
    for path in paths if read.masked else ():
        phi.path(path)  # from now on known to be hidden in messages
    chosen, errors = readers.choose(read)
    made: Made = {}
    while True:
        found = _found(read, chosen, errors)
        aside: list[Thing] = []
        if one and (found.failed or any(thing.image for thing in found.things)):
            aside = [thing for thing in found.things if not thing.image]
            found.things = [thing for thing in found.things if thing.image]
        seen = pd.DataFrame([part.line for part in found.failed] + [thing.line for thing in found.things])
        bad = [(paths[row], error) for row, error in sorted(found.errors.items())]
        if one:
            _refuse_many(found, bad, seen)
        damaged = _make(found.things, made, chunks, paths, found.errors)
        if not damaged:
            break
        errors |= damaged  # each costs its file: what the others are is looked at again
    report = [*before, *(line("error", path, _without(error.message, path), [path]) for path, error in bad)]
    report += [line("warning", *doubt) for doubt in found.doubts]
    report += [line("note", *note) for note in found.notes]
    report += _contradictions(read)
    report += [line("error", part.title, part.error.message, part.instances) for part in found.failed]
    said = "no part of the volume, and left aside; load_all gives it"
    report += [line("warning", thing.title, said, thing.instances) for thing in aside]
    volumes: dict[str, Any] = {}
    for _, key in _keys(found.things):
        thing, result = made[key]
        name = _name(thing.title, volumes)
        if isinstance(result, DicomlabError):
            if one and isinstance(result, GeometryError):
                result.stacks = seen
            if one:
                raise result
            said = str(result) if isinstance(result, MissingCodec) else result.message  # with its pip line
            report.append(line("error", name, said, thing.instances))
            continue
        failures: list[str] = []
        if isinstance(result, xr.DataArray):
            result = _without_paths(result)
            result, failures = extended(result, extensions)
            phi.noted(result)
        volumes[name] = result
        report += [line("error", name, text, thing.instances) for text in failures]
        report += [line("warning", name, text, thing.instances) for text in thing.warnings]
        report += [line("warning", name, text, left) for text, left in thing.left]
        if thing.why:
            said = f"a stack of its own: {thing.why}" if thing.image else thing.why
            report.append(line("note", name, said, thing.instances))
    return Volumes(volumes, report, seen)


def _contradictions(read: headers.Headers) -> list[dict[str, Any]]:
    """A line of the report for all files whose file meta names another instance: of anonymised series each does."""
    found = contradictions(read)
    if not found:
        return []
    values, (why, *others) = read.values(0x00080018), found.values()
    uids = [(values[row] or b"").decode("latin-1").strip("\0 ") for row in found]
    files = "another file" if len(others) == 1 else f"{len(others):,} other files"
    said = f"{why}; so it is with {files}" if others else why
    return [line("note", read.paths[next(iter(found))], said, uids)]


def _found(
    read: headers.Headers, chosen: Sequence[tuple[Reader, list[int]]], errors: dict[int, DicomlabError]
) -> Found:
    """What all readers find in the rows that have no error."""
    found = Found(errors=dict(errors))
    for reader, rows in chosen:
        if good := [row for row in rows if row not in errors]:
            part = reader.find(read, good)
            found.things += part.things
            found.failed += part.failed
            found.errors |= part.errors
            found.notes += part.notes
            found.doubts += part.doubts
    return found


def _make(
    things: Sequence[Thing], made: Made, chunks: Any, paths: Sequence[str], errors: Container[int]
) -> dict[int, DicomlabError]:
    """Read the values of those that are not made yet, until files are found to be damaged: these, by row."""
    for thing, key in _keys(things):
        if key in made:
            continue
        try:
            value = thing.make(chunks)
            if isinstance(value, xr.DataArray):
                value.name = None  # not that of the dask graph
            made[key] = thing, value
        except (GeometryError, BadData, InvalidRequest, MissingCodec) as error:
            bad = {part.path: part for part in (error, *error.others)} if isinstance(error, BadFile) else {}
            shown = [phi.path(path) for path in paths] if bad else []
            rows = {row: bad[path] for row, path in enumerate(shown) if path in bad and row not in errors}
            if rows:
                return dict(rows)
            made[key] = thing, error
        except ValueError as error:
            if not chunks:
                raise
            made[key] = thing, InvalidRequest(f"chunks={chunks!r} does not fit {thing.title}: {error}")
    return {}


def _keys(things: Iterable[Thing]) -> Iterator[tuple[Thing, Key]]:
    count: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for thing in things:
        same = thing.title, tuple(thing.instances)
        yield thing, (*same, count[same])
        count[same] += 1


def _refuse_many(found: Found, bad: list[tuple[str, DicomlabError]], seen: pd.DataFrame) -> None:
    """Raise unless there is one thing, whole."""
    things, failed = found.things, found.failed
    if len(things) == 1 and not failed:
        return
    if not things and not failed:
        raise bad[0][1]
    if len(things) + len(failed) == 1:
        failed[0].error.stacks = seen
        raise failed[0].error
    reasons = "; ".join(dict.fromkeys(str(why) for why in seen["why"] if why))
    if bad:
        count = counted(len(bad), "file")
        reasons += f"{'; ' if reasons else ''}{count} cannot be used: {bad[0][1].message}"
    series = seen["SeriesInstanceUID"].nunique()
    images = failed or things[0].image
    what = f"{len(seen)} {'stacks' if images else 'objects'}" + (f" of {series} series" if series > 1 else "")
    whose = [uid for part in things for uid in part.instances] + [uid for part in failed for uid in part.instances]
    apart = len(set(whose)) == len(whose)
    raise GeometryError(
        f"the instances are {what}, not one{' volume' if images else ''}" + (f" ({reasons})" if reasons else ""),
        stacks=seen,
        advice="Filter the table (that of dl.scan) to one of them (error.stacks lists them), or use load_all."
        if apart
        else "Use load_all, which gives each: one file holds several of them, and no filter tells them apart.",
    )


def _without_paths(volume: xr.DataArray) -> xr.DataArray:
    """The volume whose coordinate ``path`` may be shown."""
    if not phi.masking() or "path" not in volume.coords:
        return volume
    paths = volume.coords["path"]
    shown = np.array([phi.path(path) for path in paths.values.ravel().tolist()], str).reshape(paths.shape)
    return volume.assign_coords(path=(paths.dims, shown))


def _name(title: str, taken: Container[str]) -> str:
    name, number = title, 1
    while name in taken:
        number += 1
        name = f"{title} ({number})"
    return name


def _without(message: str, path: str) -> str:
    for name in (path, phi.path(path), phi.said(path)):
        message = message.removeprefix(f"{name}: ")
    return message
