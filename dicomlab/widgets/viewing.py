"""What `dl.view` shows: a volume in the viewer, a waveform as a still picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, overload

import xarray as xr

from ..errors import InvalidRequest, did_you_mean
from ..facts import Facts
from ..readers.waveform import Waveform
from ..volumes.report import Volumes
from .figure import view as still
from .paper import Picture
from .viewer import MEMORY, Viewer

_OF_WAVEFORM = ("slices", "width")  # what may be chosen of one


@overload
def view(volume: xr.DataArray, **choices: Any) -> Viewer: ...
@overload
def view(volume: Waveform, **choices: Any) -> Picture: ...
def view(
    volume: xr.DataArray | Waveform,
    *,
    window: tuple[float, float] | str | None = None,
    plane: str | None = None,
    position: Iterable[float] | None = None,
    masks: Any = None,
    dose: Any = None,
    beside: xr.DataArray | None = None,
    memory: float = MEMORY,
    **choices: Any,
) -> Viewer | Picture:
    """A viewer of a volume, with the mouse and with keys ("?" lists them); research use, not for diagnosis.

    The voxels go to the browser once; then scrolling and windowing need no kernel. They never are in the saved
    notebook, which keeps a still picture of six slices for where no widget runs.

    Parameters
    ----------
    volume
        As `load` gives it, also 4-D (time, echo, ...: a slider each), in colour, or a single plane. A waveform is
        drawn as a still picture, for which ``slices`` (how many channels) and ``width`` (inches) may be given.
    window
        Centre and width in units of the values, or for CT in HU "lung", "bone", "soft tissue" or "brain"; None
        takes ``volume.dicom.window``.
    plane
        To begin with: "axial", "coronal", "sagittal", or what lies across "z", "y" or "x".
    position
        To begin at, in the patient (LPS, mm).
    masks
        A boolean array, a segmentation, a structure set, names with these (``{"bone": ct > 300}``), or a list.
    dose
        A dose, or another array of z, y and x in one frame of reference; it is resampled.
    beside
        A second volume, shown beside and linked by the position in the patient (``viewer.beside``).
    memory
        MB that the browser may hold; of a larger volume slices come one at a time, and the viewer says so.
    choices
        Others of its attributes: ``three``, ``invert``, ``crosshair``, ``overlay``, ``opacity``, ``height`` (pixels).

    Returns
    -------
    Viewer
        Its attributes say and set what is shown: ``viewer.index``, ``.plane``, ``.window``, ``.position``; its
        ``figure()`` is a still picture.

    Raises
    ------
    InvalidRequest
        It is no volume, or there is no such window, plane or choice.
    GeometryError
        Masks, dose or the second volume are not in the same frame of reference.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> from dicomlab.volumes.series import load
    >>> viewer = view(load(get_testdata_file("rtdose.dcm")), plane="coronal")
    >>> viewer.index = 3
    >>> viewer
    <Viewer: RTDOSE 1, 15 z × 10 y × 10 x; coronal slice 3, window 1.026 / 0.456 relative>
    """
    if isinstance(volume, Waveform) or (isinstance(volume, xr.DataArray) and set(volume.dims) == {"channel", "time"}):
        for name in choices:
            if name not in _OF_WAVEFORM:
                raise InvalidRequest(f"view of a waveform has no choice {name!r}{did_you_mean(name, _OF_WAVEFORM)}")
        return still(volume, window=window, **choices)
    if not isinstance(volume, xr.DataArray):
        raise InvalidRequest(f"view takes a volume, not {type(volume).__name__}", advice=_instead(volume))
    return Viewer(
        volume, window=window, plane=plane, position=position, masks=masks, dose=dose, beside=beside, memory=memory,
        **choices,
    )  # fmt: skip


def _instead(thing: object) -> str:
    if isinstance(thing, Volumes):
        return f"Take one of them by its name, such as {next(iter(thing), 'a name')!r}."
    if isinstance(thing, Facts):
        return "It is no image; print it to see what it has."
    return "Write dl.view(dl.load(...))."
