"""The instances table: one row per SOP instance in a file, whether it was received or found in a folder."""

from __future__ import annotations

import math
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.datadict import tag_for_keyword

from . import whole
from .dicomdir import inside, is_directory_file, referenced
from .elements import Elements, parse_file
from .errors import BadData, BadFile, InvalidRequest, ResultWarning

if TYPE_CHECKING:
    import pandas as pd

#: Keywords of the instances table, in the order of its columns, after ``path``.
COLUMNS: tuple[str, ...] = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "Modality",
    "BodyPartExamined",
    "ProtocolName",
    "SOPInstanceUID",
    "SOPClassUID",
    "TransferSyntaxUID",
    "InstanceNumber",
    "ImageType",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "EchoTime",
)

#: Read and no columns: character set, and what the length of the pixel data is checked with.
_ALSO = (
    "SpecificCharacterSet",
    "BitsAllocated",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "IssuerOfPatientID",
)

#: Tags to read from a header.
WANTED: frozenset[int] = frozenset(
    int(tag) for tag in (tag_for_keyword(keyword) for keyword in (*COLUMNS, *_ALSO)) if tag and tag >= 0x00080000
)

_DIRECTORY = b"1.2.840.10008.1.3.10"  # Media Storage Directory Storage

Place = str | os.PathLike[str]


def describe(path: Place, wanted: frozenset[int] = WANTED) -> Elements:
    """The header of one file, with its transfer syntax as (0002,0010).

    Parameters
    ----------
    path
        Of a Part 10 file, or a data set without preamble.
    wanted
        Tags of the attributes to keep.

    Raises
    ------
    BadFile
        It is no DICOM, its header is broken, or its pixel data is not all there.
    """
    meta, elements = parse_file(path, wanted=wanted)
    elements.raw[0x00020010] = ("UI", meta.transfer_syntax.encode("ascii", "replace"))
    for tag, uid in ((0x00080016, meta.sop_class), (0x00080018, meta.sop_instance)):
        if uid and tag not in elements.raw:
            elements.raw[tag] = ("UI", uid.encode("ascii", "replace"))
    _finish(path, elements)
    return elements


def _finish(path: Place, elements: Elements) -> None:
    """Refuse a file whose pixel data is not all there."""
    try:
        whole.check_file(path, elements, elements.text(0x00020010))
    except BadData as error:
        raise BadFile(path, error.why, tag=error.tag) from None


def instances(paths: Sequence[Place], records: Sequence[Elements] | None = None) -> pd.DataFrame:
    """The instances table of these files, in their order.

    Parameters
    ----------
    paths
        One file for each row.
    records
        Their headers, where they are known already; read with `describe` otherwise.

    Returns
    -------
    pandas.DataFrame
        Column ``path`` (text), then `COLUMNS`, typed as `tables.table` does.

    Raises
    ------
    BadFile
        A file cannot be used.
    """
    import pandas as pd

    from .tables import table

    paths = [os.fspath(path) for path in paths]
    if records is None:
        records = [describe(path) for path in paths]
    frame = table(records, COLUMNS)
    try:
        column = pd.Series(paths, index=frame.index, dtype="string")
    except UnicodeEncodeError:  # a name that is not UTF-8
        column = pd.Series(paths, index=frame.index, dtype="object")
    frame.insert(0, "path", column)
    return frame


def scan(*places: Place | Iterable[Place], progress: Callable[[int, int], object] | None = None) -> pd.DataFrame:
    """The instances in folders, files and DICOMDIRs.

    Parameters
    ----------
    places
        Folders (with all below them), files, DICOMDIR files, or lists of them.
    progress
        Called with the numbers of files done and found; an exception raised in it ends the scan.

    Returns
    -------
    pandas.DataFrame
        The instances table, sorted by study, series, position and number. ``attrs["skipped"]`` counts the files
        that are no DICOM; ``attrs["problems"]`` names the damaged and odd ones (path, why), and one
        `ResultWarning` says how many there are, or that no instance was found at all.

    Raises
    ------
    InvalidRequest
        A place does not exist or cannot be read, or none is given.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> ct = scan(get_testdata_file("CT_small.dcm"))
    >>> ct.Modality.tolist()
    ['CT']
    """
    return gather(places, progress).frame()


@dataclass(frozen=True)
class Found:
    """What `gather` found: files and their headers, in the order of a scan."""

    paths: list[str]
    records: list[Elements]
    skipped: int  # files that are no DICOM
    problems: list[dict[str, str]]  # path, why
    looked: int | None = None  # files looked at; None where they were known before

    def frame(self) -> pd.DataFrame:
        """The instances table; see `scan`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResultWarning)  # said below, once for all
            frame = instances(self.paths, self.records)
        problems = [*self.problems]
        for odd in frame.attrs.get("problems") or []:
            why = f"{odd['column']} {odd['text']!r} cannot be read"
            problems.append({"path": self.paths[odd["row"]], "why": why})
        frame.attrs = {"skipped": self.skipped, "problems": problems}
        said = []
        if not self.paths and self.looked is not None:
            files = "1 file" if self.looked == 1 else f"{self.looked:,} files"
            said.append(f"No DICOM instance was found; {files} looked at. Name the folder, file or DICOMDIR of some.")
        if problems:
            first = problems[0]
            are = "1 file is" if len(problems) == 1 else f"{len(problems):,} files are"
            said.append(
                f"{are} damaged or odd; the first is {first['path']!r}: {first['why']}. "
                "All are in .attrs['problems']."
            )
        if said:
            warnings.warn(" ".join(said), ResultWarning, stacklevel=3)
        return frame


def gather(
    places: Iterable[Place | Iterable[Place]],
    progress: Callable[[int, int], object] | None = None,
    wanted: frozenset[int] = WANTED,
) -> Found:
    """The headers of the instances in some places; see `scan`."""
    files = Files()
    for place in _each(places):
        files.add(place)
    rows: list[tuple[tuple[Any, ...], str, Elements]] = []
    known: dict[Any, tuple[Any, ...]] = {}
    skipped = 0
    for done, path in enumerate(files.paths, 1):
        try:
            elements = describe(path, wanted)
        except BadFile as error:
            if path in files.named or _is_dicom(path):
                files.problem(path, f"{error.why}{f' ({error.tag})' if error.tag else ''}")
            else:
                skipped += 1
        else:
            if elements.raw.get(0x00080016, ("", b""))[1].rstrip(b"\0 ") != _DIRECTORY:
                rows.append((_order(elements, path, known), path, elements))
        if progress is not None:
            progress(done, len(files.paths))
    rows.sort(key=lambda row: row[0])
    seen: dict[str, str] = {}
    for _, path, elements in rows:
        uid = elements.text("SOPInstanceUID")
        if uid and seen.setdefault(uid, path) != path:
            files.problem(path, f"has the SOP Instance UID of {seen[uid]!r}")
    return Found([row[1] for row in rows], [row[2] for row in rows], skipped, files.problems, len(files.paths))


class Files:
    """The files in some places, each once; what is odd about a place is noted."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.named: set[str] = set()  # by the caller or a DICOMDIR, not found in a folder
        self.problems: list[dict[str, str]] = []
        self._seen: set[tuple[int, int]] = set()

    def problem(self, path: str, why: str) -> None:
        """Note what is odd about a file."""
        self.problems.append({"path": path, "why": why})

    def add(self, place: Place) -> None:
        """Take the files of one place."""
        try:
            path = os.path.expanduser(os.fspath(place))
            status = os.stat(path)
        except FileNotFoundError:
            raise InvalidRequest(f"there is no file or folder {os.fspath(place)!r}") from None
        except (OSError, ValueError, TypeError) as error:
            raise InvalidRequest(f"{place!r} cannot be read ({error})") from None
        if stat.S_ISDIR(status.st_mode):
            self._folder(path, os.path.realpath(path))
        elif not stat.S_ISREG(status.st_mode):
            raise InvalidRequest(f"{path!r} is neither a file nor a folder")
        elif is_directory_file(path):
            self._directory(path)
        else:
            self._file(path, status, named=True)

    def _file(self, path: str, status: os.stat_result, named: bool = False) -> None:
        key = (status.st_dev, status.st_ino)
        if key not in self._seen or not status.st_ino:
            self._seen.add(key)
            self.paths.append(path)
            if named:
                self.named.add(path)

    def _folder(self, top: str, root: str) -> None:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                if folder == top:
                    raise InvalidRequest(f"the folder {folder!r} cannot be read ({error.strerror})") from None
                self.problem(folder, f"the folder cannot be read ({error.strerror})")
                continue
            below = []
            for entry in ordered:
                try:
                    if entry.is_symlink():
                        self._link(entry.path, root)
                    elif entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        self._file(entry.path, entry.stat(follow_symlinks=False))
                    else:
                        self.problem(entry.path, "neither a file nor a folder, not opened")
                except OSError as error:
                    self.problem(entry.path, f"cannot be read ({error.strerror})")
            waiting += reversed(below)

    def _link(self, path: str, root: str) -> None:
        """A link to a file inside the root is taken; one to a folder inside is found there anyway."""
        target = os.path.realpath(path)
        if not inside(target, root):
            self.problem(path, "a link that leads out of the folder, not followed")
            return
        try:
            status = os.stat(target)
        except OSError:
            self.problem(path, "a link that leads nowhere")
            return
        if stat.S_ISREG(status.st_mode):
            self._file(path, status)

    def _directory(self, path: str) -> None:
        try:
            names, problems = referenced(path)
        except BadData as error:
            raise BadFile(path, f"the DICOMDIR cannot be read: {error}") from None
        for why in problems:
            self.problem(path, why)
        for name in names:
            self._file(name, os.stat(name), named=True)


def _each(places: Iterable[Place | Iterable[Place]]) -> list[Place]:
    flat: list[Place] = []
    for place in places:
        if isinstance(place, str | os.PathLike):
            flat.append(place)
        elif isinstance(place, Iterable) and not isinstance(place, bytes):
            flat += _each(place)
        else:
            raise InvalidRequest(f"{place!r} is no file or folder")
    if not flat:
        raise InvalidRequest("nothing is selected", advice="Name a folder, a file or a DICOMDIR.")
    return flat


def _is_dicom(path: str) -> bool:
    """Whether a file that could not be used says that it is DICOM."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return True  # cannot be read: that is no reason to be silent


_SERIES = (0x00080020, 0x00080030, 0x0020000D, 0x00200011, 0x0020000E)  # what a study and series are sorted by


def _order(elements: Elements, path: str, known: dict[Any, tuple[Any, ...]]) -> tuple[Any, ...]:
    """Study by date, series by number, planes along their normal, then by number.

    `known` keeps what was made of the bytes of study and series before.
    """
    key = tuple(map(elements.raw.get, _SERIES))
    series = known.get(key)
    if series is None:
        number = _numbers(elements, "SeriesNumber")
        date, time, study, _, uid = (elements.text(tag) for tag in _SERIES)
        series = known[key] = (date, time, study, number[0] if number else math.inf, uid)
    instance = _numbers(elements, "InstanceNumber")
    return (*series, _place(elements), instance[0] if instance else math.inf, path)


def _place(elements: Elements) -> tuple[float, ...]:
    """The normal of a plane and its position along it; () for what has none."""
    a = _numbers(elements, "ImageOrientationPatient")
    p = _numbers(elements, "ImagePositionPatient")
    if len(a) != 6 or len(p) != 3:
        return ()
    normal = (a[1] * a[5] - a[2] * a[4], a[2] * a[3] - a[0] * a[5], a[0] * a[4] - a[1] * a[3])
    along = sum(n * x for n, x in zip(normal, p, strict=True))
    return (*(round(n, 2) + 0.0 for n in normal), round(along, 3))


def _numbers(elements: Elements, keyword: str) -> tuple[float, ...]:
    try:
        value = elements.get(keyword)
    except BadData:
        return ()
    values = value if isinstance(value, tuple) else (value,)
    return values if all(isinstance(v, int | float) and math.isfinite(v) for v in values) else ()
