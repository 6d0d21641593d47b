"""Load instances and look at the volumes they make, one at a time."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets
import pandas as pd
import xarray as xr

from ..volumes.report import Volumes
from ..volumes.series import load_all
from .form import words_of
from .picker import Picker
from .unsaved import Said
from .viewing import view


class Looking(ipywidgets.VBox):
    """A picker of what was loaded, where it is several volumes, and the viewer of the one that is chosen.

    Attributes
    ----------
    volumes
        What was loaded, or None; ``volumes.report`` says what is no volume, and why.
    viewer
        Of the volume that is shown, or None.
    """

    def __init__(self, said: Said) -> None:
        self.said = said
        self.volumes: Volumes | None = None
        self.viewer: Any = None
        super().__init__()

    def load(self, instances: pd.DataFrame) -> threading.Thread:
        """Load and show; the kernel stays free, and the thread is given back."""
        self.said.say("loading ...")
        thread = threading.Thread(target=self._load, args=(instances,), name="dicomlab load", daemon=True)
        thread.start()
        return thread

    def clear(self) -> None:
        """Show nothing."""
        if self.viewer is not None:
            self.viewer.close()
        self.volumes = self.viewer = None
        self.children = ()

    def _load(self, instances: pd.DataFrame) -> None:
        try:
            found = load_all(instances)
            seen = {name: volume for name, volume in found.items() if isinstance(volume, xr.DataArray)}
            self.clear()
            self.volumes = found
            rest = [f"{line.what}: {line.why}" for line in found.report.itertuples()]
            self.said.say("\n".join([f"{len(seen)} of {len(found)} loaded can be looked at.", *rest]))
            if seen:
                self._offer(seen)
        except Exception as error:
            self.said.say(words_of(error))

    def _offer(self, volumes: dict[str, xr.DataArray]) -> None:
        table = pd.DataFrame(
            {
                "volume": list(volumes),
                "size": [" x ".join(f"{size} {name}" for name, size in one.sizes.items()) for one in volumes.values()],
                "units": [str(one.attrs.get("units") or "") for one in volumes.values()],
            }
        )
        choice = Picker(table, [0])
        choice.on_select(lambda rows: self._show(choice, volumes[rows["volume"].iloc[0]]) if len(rows) else None)
        self._show(choice, next(iter(volumes.values())))

    def _show(self, choice: Picker, volume: xr.DataArray) -> None:
        if self.viewer is not None:
            self.viewer.close()
        self.viewer = view(volume)
        self.children = tuple([choice, self.viewer] if len(choice.table) > 1 else [self.viewer])
