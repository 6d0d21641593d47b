"""Scan: the instances in folders, files, DICOMDIRs and zip archives as a table, by studies, series and planes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import phi
from ..datasets.headerpack import joined
from ..datasets.headers import Headers, read
from ..errors import ResultWarning
from ..options import options
from ..progress import Silent, reporter
from .instances import WANTED, check_whole, contradictions, in_parts
from .ordering import in_order, twice
from .places import Files, Place, each
from .scanmemory import Memory, look

if TYPE_CHECKING:
    import pandas as pd

Told = Callable[[int], object]  # takes the number of files done

STEP: Final = 256  # files after which a bar is moved
_TWICE: Final = "has the same SOPInstanceUID as "
_NOTES: Final = {_TWICE: "twice", "its file meta names another ": "contradicts"}  # by their first words
_DIRECTORY: Final = b"1.2.840.10008.1.3.10"  # Media Storage Directory Storage


def scan(*places: Place | Iterable[Place], progress: Any = None, refresh: bool = False) -> pd.DataFrame:
    """The instances in folders, files, DICOMDIRs and zip archives.

    What was read of a folder or DICOMDIR is kept in this user's cache folder for 90 days: when the same places are
    scanned again, also in another session, only the files that are new or changed since are opened. It holds the
    names that the files hold; while ``options.remember`` is False nothing is kept or used, and what was kept of a
    place that is scanned is deleted; while ``options.phi`` is off nothing new is kept.

    Parameters
    ----------
    places
        Folders (with all below them), files, DICOMDIR files, zip archives, or lists of them. An archive is unpacked
        into a folder for temporary files that only this user can read, and that goes when Python ends.
    progress
        Default a bar where ``options.progress`` is on; True, False, or a function of the numbers of files done and
        found: an exception raised in it ends the scan.
    refresh
        Read all files, whatever is known of them.

    Returns
    -------
    pandas.DataFrame
        The instances table, sorted by study, series, position and number. ``attrs["skipped"]`` counts the files
        that are no DICOM; ``attrs["problems"]`` has the others with something wrong, each with its path, why, and a
        severity: "error" where the file cannot be used, "warning" where it was not opened, "note" where it is in the
        table all the same (a duplicate of another, a value that cannot be read, a file meta that names another
        instance than the data set, which is believed). One `ResultWarning` says how many there are of each but the
        last, for whole archives are anonymised so, or that no instance was found at all. `load_all` has those that are
        not in the table in its report.

    Raises
    ------
    InvalidRequest
        A place does not exist or cannot be read, or none is given.
    BadFile
        A DICOMDIR or zip archive is damaged, or the archive would grow beyond 4 GiB or 200 times its size.
    CacheError
        There is no room to unpack an archive.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> ct = scan(get_testdata_file("CT_small.dcm"))
    >>> ct.Modality.tolist()
    ['CT']
    """
    return gather(places, progress, refresh=refresh).frame()


@dataclass(frozen=True)
class Found:
    """What `gather` found."""

    headers: Headers  # of the instances, in the order of their files
    order: NDArray[np.intp]  # rows of `headers` in the order of a scan
    skipped: int  # files that are no DICOM
    problems: list[dict[str, str]]  # severity, path, why
    looked: int | None = None  # files looked at; None where they were known before

    @classmethod
    def nothing(cls) -> Found:
        """No instance, and no file looked at."""
        return cls(read([], WANTED), np.zeros(0, np.intp), 0, [])

    @cached_property
    def records(self) -> Headers:
        """The headers in the order of a scan."""
        return self.headers.take(self.order)

    @property
    def paths(self) -> list[str]:
        """Their files."""
        return self.records.paths

    def frame(self) -> pd.DataFrame:
        """The instances table; see `scan`."""
        headers, order, problems, looked, skipped = (
            self.headers, self.order, [*self.problems], self.looked, self.skipped
        )  # fmt: skip

        def part(rows: slice) -> tuple[list[str], Headers]:
            records = headers.take(order[rows])
            return records.paths, records

        frame = in_parts(len(order), part)  # what is wrong is said below, once for all
        for one in frame.attrs.get("problems") or []:
            why = f"{one['column']} {one['text']!r} cannot be read"
            problems.append({"severity": "note", "path": phi.path(headers.paths[order[one["row"]]]), "why": why})
        frame.attrs = {"skipped": skipped, "problems": problems}
        said = []
        if not len(frame) and looked is not None:
            files = "1 file" if looked == 1 else f"{looked:,} files"
            said.append(f"No DICOM instance was found; {files} looked at. Name the folder, file or DICOMDIR of some.")
        said += _counted(problems)
        if said:
            warnings.warn(" ".join(said), ResultWarning, stacklevel=3)
        return frame


def gather(
    places: Iterable[Place | Iterable[Place]],
    progress: Any = False,
    wanted: frozenset[int] = WANTED,
    *,
    refresh: bool = False,
) -> Found:
    """The headers of the instances in some places; see `scan`."""
    given = each(places)
    files = Files()
    for place in given:
        files.add(place)
    for path in files.paths if phi.masking() else ():
        phi.path(path)  # from now on known to be hidden in messages
    told, close = _teller(progress, len(files.paths))
    try:
        memory = Memory(given, wanted) if files.listed and not files.unpacked else None
        if memory is not None and options.remember:
            headers, foreign = _remembered(memory, files.paths, told, refresh)
        else:
            if memory is not None:
                memory.forget()
            headers, foreign = _read(files.paths, wanted, told)
    finally:
        close()
    skipped = 0
    for row, error in sorted(headers.errors.items()):
        path = files.paths[row]
        if path in files.named or row not in foreign:
            files.problem(path, error.said)
        else:
            skipped += 1
    classes = headers.values(0x00080016)
    directories = {value for value in set(classes) if value is not None and value.rstrip(b"\0 ") == _DIRECTORY}
    if headers.errors or directories:
        headers = headers.take(
            [row for row, value in enumerate(classes) if row not in headers.errors and value not in directories]
        )
    for row, why in contradictions(headers).items():
        files.problem(headers.paths[row], why, "note")
    order = in_order(headers)
    for path, first in twice(headers, order):
        files.problem(path, f"{_TWICE}{phi.path(first)!r}", "note")
    return Found(headers, order, skipped, files.problems, len(files.paths))


def _read(paths: list[str], wanted: frozenset[int], told: Told | None) -> tuple[Headers, set[int]]:
    """The headers of files, and the rows of those that do not say that they are DICOM."""
    headers = read(paths, wanted, told=told).described()
    check_whole(headers)
    return headers, {row for row in headers.errors if not _is_dicom(paths[row])}


def _remembered(memory: Memory, paths: list[str], told: Told | None, refresh: bool) -> tuple[Headers, set[int]]:
    """The same, where only what changed since it was read last is read, unless all is to be."""
    now = time.time()
    looks = look(paths)
    if not refresh:
        memory.recall()
    same, known, foreign = memory.known(paths, looks)
    count = len(same)
    others = np.setdiff1d(np.arange(len(paths)), same)
    if told is not None and count:
        told(count)
    after = told if told is None or not count else (lambda done: told(count + done))
    headers, strange = _read([paths[row] for row in others.tolist()], memory.wanted, after)
    if known is not None and count:
        strange = set(same[list(foreign)].tolist()) | set(others[list(strange)].tolist())
        order = np.argsort(np.concatenate([same, others]))
        headers = joined([known, headers]).take(order) if len(others) else known
    if not phi.masking():  # while names are hidden none is written anywhere
        memory.keep(headers, looks, strange, now)
    return headers, strange


def _teller(progress: Any, total: int) -> tuple[Told | None, Callable[[], None]]:
    """What is told how many files are done, and what is called at the end; a bar is moved now and then only."""
    if callable(progress):
        return (lambda done: progress(done, total)), lambda: None
    bar = reporter(progress, "scan", total, "files")
    if isinstance(bar, Silent):
        return None, bar.close
    shown = 0

    def told(done: int) -> None:
        nonlocal shown
        if done - shown >= STEP or done == total:
            bar.advance(done - shown, 0)
            shown = done

    return told, bar.close


def _counted(problems: list[dict[str, str]]) -> list[str]:
    """A sentence for each kind of problem, with the first of it; and where all are."""
    kinds: dict[str, list[dict[str, str]]] = {}
    for one in problems:
        kind = one["severity"]
        if kind == "note":
            kind = next((known for begin, known in _NOTES.items() if one["why"].startswith(begin)), kind)
        kinds.setdefault(kind, []).append(one)
    words = {
        "error": ("file cannot be used", "files cannot be used"),
        "warning": ("file or link was not opened", "files or links were not opened"),
        "twice": ("file is a duplicate", "files are duplicates"),
        "note": ("value cannot be read", "values cannot be read"),
    }
    said, told = [], 0
    for kind, (single, several) in words.items():
        if found := kinds.get(kind):
            told += len(found)
            count = f"1 {single}" if len(found) == 1 else f"{len(found):,} {several}"
            which = "" if len(found) == 1 else "the first is "
            said.append(f"{count}: {which}{found[0]['path']!r}, {found[0]['why']}.")
    return [*said, "All are in .attrs['problems']."] if told > 1 else said


def _is_dicom(path: str) -> bool:
    """Whether a file that could not be used says that it is DICOM."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return True  # cannot be read: that is no reason to be silent
