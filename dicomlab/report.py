"""What came of a load: the volumes, and a table of what is none, or is one with a reservation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

COLUMNS = ("severity", "what", "why", "instances")


class Volumes(Mapping[str, xr.DataArray]):
    """A volume for each thing found, by name, and ``report``: what is not a volume, and why.

    Attributes
    ----------
    report
        Columns severity ("note", "warning", "error"), what (name of the volume, or path), why, instances
        (SOP Instance UIDs or paths).
    stacks
        Table of all stacks that were seen, volumes or not.
    """

    def __init__(
        self,
        volumes: Mapping[str, xr.DataArray],
        report: Sequence[Mapping[str, Any]] = (),
        stacks: pd.DataFrame | None = None,
    ) -> None:
        self._volumes = dict(volumes)
        self.report = pd.DataFrame(list(report), columns=list(COLUMNS))
        self.stacks = stacks if stacks is not None else pd.DataFrame()

    def __getitem__(self, name: str) -> xr.DataArray:
        if name not in self._volumes:
            some = ", ".join(map(repr, list(self._volumes)[:8])) + (", ..." if len(self) > 8 else "")
            raise KeyError(f"there is nothing named {name!r}; here are {some or 'none'}")
        return self._volumes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._volumes)

    def __len__(self) -> int:
        return len(self._volumes)

    def __repr__(self) -> str:
        what = "volume" if all(isinstance(each, xr.DataArray) for each in self.values()) else "thing"
        lines = [f"{len(self)} {what}{'' if len(self) == 1 else 's'}"]
        for name, volume in self._volumes.items():
            if not isinstance(volume, xr.DataArray):
                lines.append(f"  {name!r}: {getattr(volume, 'summary', type(volume).__name__)}")
                continue
            size = " x ".join(f"{dim} {length}" for dim, length in volume.sizes.items())
            lines.append(f"  {name!r}: {size}, {volume.dtype}, {volume.attrs.get('units') or 'no units'}")
        for severity, count in self.report.severity.value_counts().items():
            lines.append(f"{count} {severity}{'s' if count > 1 else ''}, see .report")
        return "\n".join(lines)
