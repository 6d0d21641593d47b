"""Small pictures of instances that are here: the middle one of a series, made in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from queue import LifoQueue

import numpy as np
import xarray as xr

from .. import phi
from ..errors import GeometryError
from ..scanning.instances import instances
from ..volumes.montage import aspect, grey
from ..volumes.series import load_all

HEIGHT = 40  # pixels on the page; the picture has twice as many
LARGEST = 64_000_000  # bytes of a file that is still read for a picture
MOST_HEADERS = 1000  # of a series that are read to find its middle


def thumbnail(paths: Sequence[str | Path], height: int = 2 * HEIGHT) -> bytes | None:
    """The middle image of these files as a small PNG; None where there is none to be had cheaply.

    Parameters
    ----------
    paths
        Instances of one series.
    height
        Of the picture, pixels.
    """
    path = _middle(paths)
    if path is None or path.stat().st_size > LARGEST:
        return None
    found = [one for one in load_all([str(path)]).values() if isinstance(one, xr.DataArray) and one.size]
    if not found:
        return None
    volume = found[0].isel({name: size // 2 for name, size in found[0].sizes.items() if name not in _IMAGE})
    if set(volume.dims) - {"channel"} != {"y", "x"}:
        return None
    volume = volume.transpose("y", "x", ...)
    inverted = volume.attrs.get("PhotometricInterpretation") == "MONOCHROME1"
    return _png(grey(np.asarray(volume.values), volume.dicom.window, inverted), _stretch(found[0]), height)


_IMAGE = ("y", "x", "channel")


def _middle(paths: Sequence[str | Path]) -> Path | None:
    """The file in the middle by InstanceNumber; of very many just one of them."""
    if not paths:
        return None
    if len(paths) == 1 or len(paths) > MOST_HEADERS:
        return Path(paths[len(paths) // 2])
    table = instances([str(path) for path in paths]).sort_values("InstanceNumber", kind="stable")
    return Path(str(phi.real(table["path"].iloc[len(table) // 2])))


def _stretch(volume: xr.DataArray) -> float:
    """Height of a pixel over its width."""
    try:
        return aspect(volume, "z")
    except GeometryError:
        return 1.0


def _png(picture: np.ndarray, stretch: float, height: int) -> bytes:
    from PIL import Image

    rows, columns = picture.shape[:2]
    wide = max(1, min(3 * height, round(columns * height / (rows * stretch))))
    buffer = BytesIO()
    Image.fromarray(picture).resize((wide, height), Image.Resampling.BILINEAR).save(buffer, format="PNG")
    return buffer.getvalue()


class Pictures:
    """Makes pictures of rows one after another, those asked for last first, and tells each.

    Parameters
    ----------
    find
        Gives the files of a row, none where it has none here.
    tell
        Called in the thread with each row and its picture, a PNG.
    """

    def __init__(self, find: Callable[[int], Sequence[str | Path]], tell: Callable[[int, bytes], None]) -> None:
        self._find, self._tell = find, tell
        self._asked: LifoQueue[int | None] = LifoQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def ask(self, rows: Sequence[int]) -> None:
        """Make pictures of these rows, the first of them first."""
        if self._closed:
            return
        for row in reversed(rows):
            self._asked.put(row)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="dicomlab pictures", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread; what is asked for and not made is left."""
        self._closed = True
        self._asked.put(None)

    def _work(self) -> None:
        while not self._closed:
            row = self._asked.get()
            if row is None:
                return
            try:
                picture = thumbnail(self._find(row))
                if picture is not None and not self._closed:
                    self._tell(row, picture)
            except Exception:  # a picture is a convenience: a row whose instances cannot be drawn has none
                continue
