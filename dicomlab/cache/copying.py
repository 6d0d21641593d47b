"""Instances of a cache copied into a folder under plain names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import phi
from ..disk.placing import Piece, place
from ..errors import CacheError, InvalidRequest
from ..progress import reporter
from ..scanning.scanning import gather
from .index import Row

if TYPE_CHECKING:
    import pandas as pd


def copied(
    here: Mapping[str, Row], to: str | os.PathLike[str], *, layout: str, link: bool, dry_run: bool, progress: Any
) -> pd.DataFrame:
    """The instances table of copies of these files; see `Upkeep.export`."""
    import pandas as pd

    if layout not in ("tree", "flat"):
        raise InvalidRequest(f"layout={layout!r} is no layout", advice='Use "tree" or "flat".')
    target = Path(phi.real(os.fspath(to))).expanduser().absolute()
    _check_target(target)
    found = gather(list(here))
    names = _names([here[path] for path in found.paths], layout)
    if not dry_run:
        pieces = [Piece(name, source=path, link=link) for name, path in zip(names, found.paths, strict=True)]
        _write_out(pieces, target, sum(row.size for row in here.values()), link, progress)
    frame = found.frame()
    paths = [phi.path(str(target / name)) for name in names]
    return frame.assign(path=pd.Series(paths, index=frame.index, dtype="string"))


def _write_out(pieces: Sequence[Piece], folder: Path, need: int, link: bool, progress: Any) -> None:
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    if not link and need > free:
        raise CacheError(
            f"{need:,} bytes are to be copied, and {there} has {free:,} free", advice="Make room, or use link=True."
        )
    bar = reporter(progress, "export", len(pieces))
    try:
        place(pieces, str(folder), lambda size: bar.advance(1, size), 0o600)
    except OSError as error:
        advice = "Leave out link=True: hard links stay on one disk." if link else "Name another folder."
        raise CacheError(f"no instance was written, for the disk refused ({error.strerror})", advice=advice) from error
    finally:
        bar.close()


def _check_target(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InvalidRequest(f"{phi.path(str(target))!r} is a file", advice="Name a folder that is not there yet.")
    if target.is_dir() and any(target.iterdir()):
        raise InvalidRequest(
            f"the folder {phi.path(str(target))!r} has something in it",
            advice="Name one that is empty, or not there yet.",
        )


def _names(rows: Sequence[Row], layout: str) -> list[str]:
    """A plain name for each instance, in their order."""
    if layout == "flat":
        return [f"{number:08d}.dcm" for number in range(1, len(rows) + 1)]
    numbers: dict[tuple[str, ...], dict[str, int]] = {}
    names = []
    for row in rows:
        own = (f"{row.node} {row.PatientID}", row.StudyInstanceUID, row.SeriesInstanceUID, row.name)
        parts = []
        for depth, prefix in enumerate(("PAT", "STU", "SER", "IMG")):
            siblings = numbers.setdefault(own[:depth], {})
            parts.append(f"{prefix}{siblings.setdefault(own[depth], len(siblings) + 1):05d}")
        names.append("/".join(parts))
    return names
