"""Write: volumes, masks and documents to instances, each by the writer of its kind; and instances as they are."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr
from pydicom.uid import UID

from .. import phi, writers
from ..datasets.uids import EXPLICIT
from ..errors import DicomlabError, InvalidRequest, ResultWarning, did_you_mean
from ..outgoing.fileset import file_name, made
from ..pixels.transcoding import LOSSLESS
from ..progress import reporter
from ..scanning.instances import instances
from ..scanning.scanning import scan
from ..volumes.extensions import changed, copies
from ..writers.modules import checked
from ..writers.source import Source, source_of
from ..writers.writer import Order
from .mediaset import Entry
from .originals import Target, are_instances, originals, target_of, write_out

if TYPE_CHECKING:
    import pandas as pd

_SAME = 0.5  # of the voxels of a plane that are not 0: with so many unchanged, the units are those they had


@runtime_checkable
class Store(Protocol):
    """What takes instances, such as a Peer."""

    def store(self, what: Any, *, errors: str | None = None) -> pd.DataFrame:
        """Send the rows of an instances table; one row each says how it went."""
        ...


def write(
    volume: Any,
    to: Any,
    *,
    like: Any = None,
    units: str | None = None,
    kind: str | None = None,
    transfer_syntax: str | None = None,
    extensions: Iterable[Any] = (),
    progress: Any = None,
    **attributes: Any,
) -> pd.DataFrame:
    """Write a volume as a new series, derived from other instances; or instances as they are.

    Patient, study and references come from `like` alone, never from the array's ``attrs``. The place of each voxel
    comes from the coordinates. SOP Instance and Series Instance UIDs are new.

    Parameters
    ----------
    volume
        An array with its coordinates, as `load` gives it. Boolean masks become a segmentation, other values an image
        of the kind of their source (CT, MR, PET), or a secondary capture. Instances (a table, rows of one, paths, data
        sets) are written back unaltered, bit for bit; then there is no `like`.
    to
        A folder; a file named DICOMDIR, whose file-set it is added to; a zip archive that is not there yet, in which
        there is a DICOMDIR too; or a peer, to which it is sent at once. What is there stays as it is. Who may read the
        files is as your system has it for new ones (umask).
    like
        The instances it was made from: an instances table, rows of one, paths, or a loaded volume. Of several series
        that one is the source whose images the array names or lies on.
    units
        Of the values: "HU", of PET a term of Units (0054,1001), of a dose "Gy" or "relative", else a code of UCUM.
        None: the array's own, where its values are still those of the source.
    kind
        "CT", "MR", "PET", "SECONDARY CAPTURE", "SEGMENTATION", "PARAMETRIC MAP", "DOSE", ...; None: see above.
    transfer_syntax
        UID of one that loses nothing; Explicit VR Little Endian if none is given.
    extensions
        Functions of your own, called with each data set and the number of the frame from 1, after all are made. Each
        gives back the data set, or None if it changed what it was given.
    progress
        False, True, or a function of (done, total).
    attributes
        Others, by keyword: ``SeriesDescription="bone"``. Lower-case ones are choices of the writer, as ``segments``.

    Returns
    -------
    pandas.DataFrame
        The instances table of what was written. ``attrs["step"]`` is the distance of two values that can be told
        apart, ``attrs["max_error"]`` how far off the value is that is farthest from what was given; 0 where all are as
        they were. ``attrs["remarks"]`` is what else is to be known. Sent to a peer, the columns of `Peer.store` say how
        that went, and rows that it did not take keep their file in ``path``.

    Raises
    ------
    InvalidRequest
        There is no `like`, or the array cannot be written as that; nothing was written.
    MissingCodec
        The kind needs a package that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pydicom.data import get_testdata_file
    >>> from dicomlab.volumes.series import load
    >>> source = get_testdata_file("CT_small.dcm")
    >>> volume = load(source)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     smooth = volume.copy(data=volume.values // 2 * 2)
    ...     made = write(smooth, folder, like=source, units="HU", SeriesDescription="even")
    ...     load(made).identical(smooth), bool((load(made).values == smooth.values).all()), made.attrs["max_error"]
    (False, True, 0.0)
    """
    target = _target(to)
    if like is not None and are_instances(volume, like):
        raise InvalidRequest(
            "these are instances, which are written back as they are",
            advice="Leave out like=; to write something that is derived from them, load them first.",
        )
    if like is None and are_instances(volume):
        _unaltered(units, kind, transfer_syntax, extensions, attributes)
        return to.store(volume) if target is None else _put(originals(volume), target, progress)
    syntax = EXPLICIT if transfer_syntax is None else transfer_syntax
    if syntax not in LOSSLESS:
        raise InvalidRequest(
            f"write cannot make the transfer syntax {syntax!r}", advice=f"Choose of {', '.join(LOSSLESS)}."
        )
    functions = copies(extensions)
    choices = {name: value for name, value in attributes.items() if not name[:1].isupper()}
    given = checked({name: value for name, value in attributes.items() if name not in choices})
    what = _computed(volume)
    source = source_of(like, what)
    writer = writers.choose(what, source, kind)
    for name in choices:
        if name not in writer.choices:
            known = sorted({*writer.choices, "like", "units", "kind", "transfer_syntax", "extensions", "progress"})
            raise InvalidRequest(
                f"write takes no {name}= for {writer.kind}{did_you_mean(name, known)}",
                advice=f"It takes {', '.join(known)}, and attributes by keyword.",
            )
    own = units if units is not None else own_units(what, source)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pydicom\.")  # of headers of others, with what they hold
        done = writer.make(Order(what, source, own, given, choices))
    failures = changed(done.datasets, functions)
    for text in (*done.remarks, *failures):
        warnings.warn(text, ResultWarning, stacklevel=2)
    entries = [Entry(one, made(one, file_name(str(one.SOPInstanceUID)), syntax)) for one in done.datasets]
    for one in done.datasets:
        one.file_meta.TransferSyntaxUID = UID(syntax)
    table = _sent(entries, to) if target is None else _put(entries, target, progress)
    table.attrs |= {"step": done.step, "max_error": done.error}
    if done.remarks or done.notes:
        table.attrs["remarks"] = [*done.remarks, *done.notes]
    return table


def _computed(volume: Any) -> Any:
    if isinstance(volume, xr.DataArray):
        if volume.dtype.kind not in "biuf":
            raise InvalidRequest(f"values of type {volume.dtype} cannot be stored", advice="Give real numbers.")
        return volume.compute() if volume.chunks is not None else volume
    if isinstance(volume, xr.Dataset):
        raise InvalidRequest("a Dataset of xarray holds several arrays", advice="Write one of them.")
    return volume


def _target(to: Any) -> Target | None:
    """Where files go; None for a peer."""
    if isinstance(to, str | os.PathLike):
        return target_of(to)
    if isinstance(to, Store):
        return None
    raise InvalidRequest(
        f"write cannot write to {type(to).__name__}", advice="Name a folder, a DICOMDIR, a zip archive or a peer."
    )


def _unaltered(*changes: Any) -> None:
    if any(changes):
        raise InvalidRequest(
            "instances are written back as they are, without changes",
            advice="dl.modify changes attributes; to write something that is derived from instances, load them and "
            "give like=.",
        )


def _put(entries: list[Entry], target: Target, progress: Any) -> pd.DataFrame:
    bar = reporter(progress, "write", len(entries))
    try:
        paths, remarks = write_out(entries, target, lambda size: bar.advance(1, size))
    finally:
        bar.close()
    for text in remarks:
        warnings.warn(text, ResultWarning, stacklevel=3)
    return scan(*paths) if target.form == "zip" else instances(paths)


def _sent(entries: list[Entry], peer: Store) -> pd.DataFrame:
    """Store to a peer; what it does not take stays as files."""
    import pandas as pd

    folder = tempfile.mkdtemp(prefix="dicomlab-written-")
    keep = False
    try:
        table = _put(entries, Target(folder, "folder"), False)
        try:
            sent = peer.store(table, errors="report")
        except DicomlabError as error:
            keep = error.rows is not None
            raise
        except KeyboardInterrupt:
            keep = True
            raise
        stored = sent["stored"].fillna(False).astype(bool)
        keep = not bool(stored.all())
        for path in sent.loc[stored, "path"]:
            os.unlink(phi.real(path))
        sent["path"] = sent["path"].mask(stored, pd.NA)
        return sent
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def own_units(what: Any, source: Source) -> str | None:
    """The units of an array, if its values are still those that its source has; None where that cannot be told.

    Arithmetic of xarray may keep ``attrs``, so that twice a volume in HU still says "HU". One plane of the source is
    read and compared.
    """
    from ..volumes.series import load

    if not isinstance(what, xr.DataArray) or "SOPInstanceUID" not in what.coords or what.dtype == np.bool_:
        return None
    units = what.attrs.get("units")
    if not units:
        return None
    uids = what.coords["SOPInstanceUID"]
    try:
        at = {str(name): size // 2 for name, size in uids.sizes.items()}
        uid = str(uids.isel(at).values)
        path = source.paths.get(uid)
        if not path:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResultWarning)
            before = load(path)
        plane = what.isel({name: index for name, index in at.items() if name in what.dims})
        if before.attrs.get("units") != units:
            return None
        if "z" in before.dims and "z" in plane.coords and not plane.coords["z"].dims:
            before = before.sel(z=plane.coords["z"].values, method="nearest")
        theirs, ours = np.squeeze(before.values), np.squeeze(plane.values)
    except (DicomlabError, KeyError, ValueError, IndexError):
        return None
    if theirs.shape != ours.shape:
        return None
    counted = (theirs != 0) | (ours != 0)
    same = np.isclose(theirs.astype(np.float64), ours.astype(np.float64), rtol=1e-5, atol=0)[counted]
    return str(units) if not same.size or same.mean() >= _SAME else None
