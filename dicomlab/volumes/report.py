"""What came of a load: the volumes, and a table of what is none, or is one with a reservation.

pandas cuts a long cell, so what went wrong is told in full by the text and HTML of the volumes themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from .. import phi
from ..amounts import counted
from ..errors import UnknownName
from ..markup import Html, joined, pictured, printable, tag

COLUMNS = ("severity", "what", "why", "instances")
SEVERITIES = ("error", "warning", "note")
SHOWN = 8  # lines of the report that are told at once


def line(severity: str, what: str, why: str, instances: list[str]) -> dict[str, Any]:
    """One line of a report."""
    what, why = pictured(phi.said(what)), pictured(phi.said(why))
    return {"severity": severity, "what": what, "why": why, "instances": [phi.said(name) for name in instances]}


def dropped(instances: Any, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Lines of the report for what the scan that made a table left out of it."""
    attributes = getattr(instances, "attrs", {}) if isinstance(instances, pd.DataFrame | pd.Series) else {}
    return left_out(attributes.get("problems") or [], attributes.get("skipped") or 0, paths)


def left_out(problems: Sequence[Mapping[str, str]], skipped: int, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Lines of the report for what a scan found and did not take."""
    here, found = set(paths), []
    for one in problems:
        severity, path = one.get("severity", ""), one.get("path", "")
        if severity in ("error", "warning") and phi.real(path) not in here:
            found.append(line(severity, path, f"left out by the scan: {one['why']}", [path]))
    if skipped:
        files = counted(skipped, "file is", "files are")
        found.append(line("note", "scan", f"{files} no DICOM and passed over", []))
    return found


class Volumes(Mapping[str, xr.DataArray]):
    """A volume for each thing found, by name, and ``report``: what is not a volume, and why.

    Print it: the first errors and warnings are told in full, the others counted by severity.

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
            raise UnknownName(name, self)
        return self._volumes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._volumes)

    def __len__(self) -> int:
        return len(self._volumes)

    def _counts(self) -> str:
        """ "2 errors, 1 note" """
        count = Counter(self.report.severity)
        return ", ".join(counted(count[one], one) for one in SEVERITIES if count[one])

    def _told(self) -> list[tuple[str, str, str]]:
        """Severity, what and why of the lines that must not be missed, the worst first."""
        lines = [(str(line.severity), str(line.what), str(line.why)) for line in self.report.itertuples()]
        worst = [line for line in lines if line[0] != "note"]
        return sorted(worst, key=lambda line: SEVERITIES.index(line[0]))[:SHOWN]

    def _heading(self) -> str:
        what = "volume" if all(isinstance(each, xr.DataArray) for each in self.values()) else "thing"
        return counted(len(self), what)

    def _rest(self, told: int) -> str:
        return f"{self._counts()}: all are in .report" if len(self.report) > told else self._counts()

    def __repr__(self) -> str:
        lines = [self._heading()]
        lines += [f"  {name!r}: {_described(volume)}" for name, volume in self._volumes.items()]
        told = self._told()
        if len(self.report):
            lines.append(self._rest(len(told)))
            lines += [f"  {severity}: {printable(what)}: {printable(why)}" for severity, what, why in told]
        return "\n".join(lines)

    def _repr_html_(self) -> Html:
        wide = "text-align:left;white-space:normal"
        found = [(name, _described(volume)) for name, volume in self._volumes.items()]
        lines = [tag("tr", tag("th", name), tag("td", said, style="text-align:left")) for name, said in found]
        parts = [tag("table", tag("caption", self._heading()), lines)]
        if len(self.report):
            told = self._told()
            worst = [
                tag("tr", tag("td", severity), tag("td", what), tag("td", why, style=wide))
                for severity, what, why in told
            ]
            parts.append(tag("table", tag("caption", self._rest(len(told))), worst))
        return joined(parts)


def _described(thing: Any) -> str:
    """One line: sizes, type and units of a volume, the summary of what is none."""
    if not isinstance(thing, xr.DataArray):
        return str(getattr(thing, "summary", type(thing).__name__))
    size = " x ".join(map(str, thing.shape))
    dims = ", ".join(map(str, thing.dims))
    return f"{size} ({dims}), {thing.dtype}, {thing.attrs.get('units') or 'no units'}"
